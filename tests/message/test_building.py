"""Messages of our own: responses (§8.2.6), ACK (§17.1.1.3), CANCEL (§9.1)."""

from sipgw.message import Request, parse_message
from sipgw.message.build import ack_for, cancel_for, new_request, response_to

INVITE = (
    b"INVITE sip:bob@example.test SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa, SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKb\r\n"
    b"Max-Forwards: 9\r\n"
    b"Route: <sip:r1;lr>, <sip:r2;lr>\r\n"
    b'From: "A" <sip:alice@example.test>;tag=1\r\n'
    b"t: <sip:bob@example.test>\r\n"
    b"Call-ID: abc\r\n"
    b"CSeq: 7 INVITE\r\n"
    b"Via: SIP/2.0/TCP 192.0.2.3\r\n"
    b"Timestamp: 54\r\n"
    b"Contact: <sip:alice@192.0.2.3>\r\n"
    b"Content-Length: 2\r\n\r\nhi"
)


def invite() -> Request:
    request = parse_message(INVITE)
    assert isinstance(request, Request)
    return request


def test_a_response_copies_what_it_must() -> None:
    response = response_to(invite(), 486, to_tag="tt", headers=["Retry-After: 3"])
    assert response.start == "SIP/2.0 486 Busy Here"
    assert response.values("via") == invite().values("via")
    assert response.first("from") == '"A" <sip:alice@example.test>;tag=1'
    assert response.first("to") == "<sip:bob@example.test>;tag=tt"
    assert (response.call_id, response.cseq) == ("abc", (7, "INVITE"))
    assert response.first("retry-after") == "3"
    assert response.first("content-length") == "0"
    for name in ("route", "contact", "max-forwards", "timestamp"):
        assert name not in response.index


def test_100_has_no_tag_but_the_timestamp() -> None:
    response = response_to(invite(), 100, to_tag="tt")
    assert response.to_tag == ""
    assert response.first("timestamp") == "54"


def test_a_tag_that_is_there_is_kept() -> None:
    request = parse_message(INVITE.replace(b"<sip:bob@example.test>\r\n", b"<sip:bob@example.test>;tag=old\r\n"))
    assert isinstance(request, Request)
    assert response_to(request, 200, to_tag="new").to_tag == "old"


def test_a_body_is_measured() -> None:
    response = response_to(invite(), 200, body="ä".encode(), content_type="text/plain")
    again = parse_message(response.encode())
    assert again.body == "ä".encode()
    assert again.first("content-length") == "2"
    assert again.first("content-type") == "text/plain"


def test_reasons_of_our_own_and_of_others() -> None:
    assert response_to(invite(), 499, reason="Odd").start == "SIP/2.0 499 Odd"
    assert response_to(invite(), 499).start == "SIP/2.0 499 Unknown"


def test_ack_to_a_failure() -> None:
    """One Via, the same as the INVITE's top one; its Route; the response's To."""
    ack = ack_for(invite(), response_to(invite(), 486, to_tag="tt"))
    assert ack.start == "ACK sip:bob@example.test SIP/2.0"
    assert ack.values("via") == ["SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa"]
    assert ack.values("route") == ["<sip:r1;lr>", "<sip:r2;lr>"]
    assert ack.first("to") == "<sip:bob@example.test>;tag=tt"
    assert ack.first("from") == invite().first("from")
    assert ack.cseq == (7, "ACK")
    assert ack.call_id == "abc"
    assert ack.body == b""


def test_cancel() -> None:
    cancel = cancel_for(invite())
    assert cancel.start == "CANCEL sip:bob@example.test SIP/2.0"
    assert cancel.values("via") == ["SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa"]
    assert cancel.values("route") == ["<sip:r1;lr>", "<sip:r2;lr>"]
    assert cancel.first("to") == "<sip:bob@example.test>"
    assert cancel.cseq == (7, "CANCEL")
    assert cancel.first("content-length") == "0"


def test_a_built_request_reads_back() -> None:
    request = new_request("INFO", "sip:x", ["Call-ID: 1", "m: <sip:y>"], b"\x00")
    again = parse_message(request.encode())
    assert (again.names, again.body) == (request.names, b"\x00")
    assert request.names == ["call-id", "contact", "content-length"]


def test_a_head_that_has_lost_a_via_is_read_as_it_is_now() -> None:
    """Also one that lines were added to without a look at them, and another of the same shape afterwards."""
    for added in (0, 1, 0):
        response = parse_message(response_to(invite(), 200, to_tag="t").encode())
        for _ in range(added):
            response.lines.append("Subject: more")
            response.names.append("subject")
        for left in (2, 1, 0):
            response.drop_first("via")
            assert len(response.values("via")) == left
        assert (response.call_id, response.first("subject")) == ("abc", "more" if added else None)
        assert "via" not in response.index

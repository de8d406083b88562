"""What is kept of heads that were read before: bounded, no secrets, and never anything but what the text says."""

from collections.abc import Iterator

import pytest

from sipgw.message import heads, values
from sipgw.message.checks import check_mandatory, check_request
from sipgw.message.errors import MalformedMessage
from sipgw.message.heads import MAX_LINE_KEPT, MAX_LINES, MAX_SHAPES, known_name, known_values, learn_name, line_value
from sipgw.message.message import Request
from sipgw.message.parser import parse_message
from sipgw.message.values import MAX_VIA_HEADS, parse_via, plain_method, tag_of


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Begin and end with empty tables: other tests fill them too."""
    for table in (heads._names, heads.known_values, heads._shapes):
        table.clear()
    yield
    for table in (heads._names, heads.known_values, heads._shapes):
        table.clear()


def request(*lines: str) -> Request:
    always = ("Via: SIP/2.0/UDP a.invalid;branch=z9hG4bK1", "From: <sip:a@b>;tag=1", "To: <sip:c@d>", "Call-ID: x")
    text = "\r\n".join(["OPTIONS sip:c@d SIP/2.0", *always, "CSeq: 1 OPTIONS", *lines, "", ""])
    message = parse_message(text.encode("latin-1"))
    assert isinstance(message, Request)
    return message


def test_the_second_time_says_the_same() -> None:
    lines = ("m:  <sip:a@192.0.2.1> ", "Subject : hello", "X-New: 1", "Expires: 60")
    first, second = request(*lines), request(*lines)
    assert first.names == second.names and first.lines == second.lines
    for name in ("contact", "subject", "x-new", "expires", "from"):
        assert first.first(name) == second.first(name) is not None
    assert second.first("contact") == "<sip:a@192.0.2.1>"


def test_full_tables_are_emptied_and_nothing_changes() -> None:
    for number in range(MAX_LINES + 10):
        line = f"Subject: {number}"
        assert learn_name(line) == "subject" and line_value(line) == str(number)
    assert len(heads._names) <= MAX_LINES and len(heads.known_values) <= MAX_LINES
    assert request("Subject: 5").first("subject") == "5"


def test_what_is_kept_of_values_is_bounded_and_says_the_same_afterwards() -> None:
    for number in range(MAX_LINES + 10):
        assert plain_method(f"{number} INFO") == "INFO"
    for number in range(MAX_VIA_HEADS + 10):
        assert parse_via(f"SIP/2.0/UDP h{number}.test:5060;branch=z9hG4bK1").host == f"h{number}.test"
    assert len(values._methods) <= MAX_LINES and len(values._via_heads) <= MAX_VIA_HEADS
    assert plain_method("5 INFO") == "INFO"
    assert parse_via("SIP/2.0/UDP h5.test:5060;branch=z9hG4bK1").port == 5060


@pytest.mark.parametrize("value", ["", "INFO", "1", "1 ", "x INFO", "1  INFO", "1 IN FO", "²1 INFO", "9999999999 INFO"])
def test_a_cseq_that_is_not_of_the_plain_form(value: str) -> None:
    assert plain_method(value) == "" == plain_method(value)


def test_many_kinds_of_heads() -> None:
    for number in range(MAX_SHAPES + 10):
        message = request(*[f"X-{number}-{more}: 1" for more in range(3)])
        assert message.index[f"x-{number}-2"] == 7
    assert len(heads._shapes) <= MAX_SHAPES


@pytest.mark.parametrize(
    "line",
    [
        f"Subject: {'x' * MAX_LINE_KEPT}",
        "Via: SIP/2.0/UDP a.invalid;branch=z9hG4bK2",
        'Authorization: Digest response="0123456789abcdef0123456789abcdef"',
        'Proxy-Authorization: NTLM gssapi-data="TlRMTVNTUAADAAAA"',
        'Authentication-Info: NTLM rspauth="01000000000000000000000000000000"',
    ],
)
def test_what_is_not_kept(line: str) -> None:
    """What is long, what comes once, and what nobody should find in our memory later."""
    message = request(line)
    assert message.lines_of(message.names[-1])[-1] == line.partition(": ")[2]
    assert known_name(line) is None and known_values.get(line) is None


def test_a_known_name_without_a_colon_is_no_line() -> None:
    request("Subject: 1")
    with pytest.raises(MalformedMessage, match="not a header line"):
        request("Subject")


def test_a_folded_line_after_the_same_one_unfolded() -> None:
    assert request("Subject: one").first("subject") == "one"
    assert request("Subject: one\r\n two").first("subject") == "one two"


def test_heads_of_one_kind_share_their_index_and_faults() -> None:
    one, other = request("Subject: 1"), request("Subject: 2")
    assert one.index is other.index
    one.add("Expires: 1", "expires")
    assert "expires" in one.index and "expires" not in other.index
    for _ in range(2):
        with pytest.raises(MalformedMessage, match="more than one Call-ID"):
            check_mandatory(request("Call-ID: y"))


def test_an_address_is_looked_at_again_where_it_was_none() -> None:
    lines = ["Via: SIP/2.0/UDP a;branch=z9hG4bK1", 'From: "a <sip:a@b>;tag=1', "To: <sip:c@d>", "Call-ID: x"]
    text = "\r\n".join(["OPTIONS sip:c@d SIP/2.0", *lines, "CSeq: 1 OPTIONS", "", ""])
    for _ in range(2):
        message = parse_message(text.encode())
        assert isinstance(message, Request)
        with pytest.raises(MalformedMessage):
            check_request(message)


def test_tags_and_vias() -> None:
    for _ in range(2):
        assert tag_of('"a;tag=no" <sip:a@b;tag=neither>;x=1;tag=yes;y') == "yes"
        via = parse_via("SIP/2.0/TCP [2001:db8::1]:5070;branch=z9hG4bK-7;rport")
        assert (via.transport, via.host, via.port, via.branch) == ("TCP", "2001:db8::1", 5070, "z9hG4bK-7")
        with pytest.raises(MalformedMessage):
            parse_via("SIP/2.0/UDP a:99999;branch=z9hG4bK1")

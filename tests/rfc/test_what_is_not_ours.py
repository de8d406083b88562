"""What a proxy leaves as it is: header fields, their order, bodies, tags (RFC 3261 §7.3, §16.3, §16.6, §16.7)."""

import pytest

from sipgw.message import Request
from tests.harness import CONTACT_OBJECT, Party, World, reply

OWN = ("via", "max-forwards", "max-breadth", "record-route", "content-length")


def forwarded(world: World, *lines: str, method: str = "MESSAGE", body: bytes = b"") -> tuple[Request, Request, Party]:
    """(as sent, as received by the pool, the pool)."""
    alice, pool = world.phone("alice"), world.server()
    sent = alice.request(method, CONTACT_OBJECT, *lines, body=body)
    alice >> sent
    got: Request = pool << method
    pool >> reply(got, 200)
    alice << 200
    return sent, got, pool


def kept(request: Request) -> list[str]:
    return [line for line, name in zip(request.lines, request.names, strict=True) if name not in OWN]


@pytest.mark.parametrize(
    "line",
    [
        "Date: yesterday, or so",
        "Contact: <<sip:nobody",
        "Subject: ",
        "Expires: soon",
        "Retry-After: (",
        "Authorization: what, ever",
        "Supported: ,,,",
        "Content-Disposition: ;;",
        "Record-Route: not an address",
        "Require: \xff",
    ],
)
def test_a_broken_field_that_routing_does_not_need_travels_on(world: World, line: str) -> None:
    sent, got, _ = forwarded(world, line)
    assert line in got.lines
    assert kept(got) == kept(sent)


def test_fields_of_one_name_keep_their_order_and_their_rows(world: World) -> None:
    """Credentials above all: their rows may not be joined, as each has commas of its own (§7.3.1)."""
    lines = [
        'Authorization: Digest username="a", realm="one"',
        "X-A: 1, 2",
        'Authorization: Digest username="a", realm="two"',
        'Proxy-Authorization: Digest username="a", realm="p", opaque=""',
        "x-a: 3",
        'Proxy-Authorization: Digest username="a", realm="q"',
    ]
    sent, got, _ = forwarded(world, *lines)
    assert kept(got) == kept(sent)


def test_via_values_below_ours_stay_in_order(world: World) -> None:
    _, got, _ = forwarded(world, "v: SIP/2.0/UDP b.test;branch=z9hG4bKb, SIP/2.0/UDP c.test;branch=z9hG4bKc")
    assert [value.partition(";")[0] for value in got.values("via")[2:]] == ["SIP/2.0/UDP b.test", "SIP/2.0/UDP c.test"]


@pytest.mark.parametrize("body", [b"", b"\x00\xff\r\n\r\nINVITE", b"5\r\nhello\r\n0\r\n\r\n"])
def test_a_body_is_bytes(world: World, body: bytes) -> None:
    _, got, _ = forwarded(world, "Content-Type: application/octet-stream", "Content-Encoding: x-odd", body=body)
    assert got.body == body


def test_a_request_field_in_a_response_is_passed_over(world: World) -> None:
    """§7.3.2: a Route or Max-Forwards in a response means nothing, and leads nowhere."""
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    odd = ("Route: <sip:203.0.113.9;lr>", "Max-Forwards: 0", "Proxy-Require: x", "Max-Breadth: 0")
    pool >> reply(pool << "MESSAGE", 200, *odd)
    assert set(odd) <= set((alice << 200).lines)


def test_a_response_field_in_a_request_is_passed_over(world: World) -> None:
    lines = ("WWW-Authenticate: Digest realm=x", "Retry-After: 5", "Unsupported: 100rel", "Min-Expires: 1")
    _, got, _ = forwarded(world, *lines)
    assert set(lines) <= set(got.lines)


def test_what_we_write_is_upper_case_sip_2_0(world: World) -> None:
    """§7.1: received in any case, sent in one."""
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("MESSAGE", CONTACT_OBJECT).encode().replace(b" SIP/2.0\r\n", b" sip/2.0\r\n", 1)
    at_pool = pool << "MESSAGE"
    assert at_pool.start == f"MESSAGE {CONTACT_OBJECT} SIP/2.0"
    pool >> reply(at_pool, 200)
    assert (alice << 200).start.startswith("SIP/2.0 ")


@pytest.mark.parametrize("status", [180, 200])
def test_no_tag_is_added_to_or_taken_from_to(world: World, status: int) -> None:
    """§16.7 item 6: not even where a callee of the older kind sends none."""
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    at_pool = pool << "INVITE"
    pool >> reply(at_pool, status, tag="")
    assert (alice << status).to_tag == ""
    if status == 180:
        pool >> reply(at_pool, 486, tag="")
        pool << "ACK"
        assert alice.fail_call(486).to_tag == ""


def test_the_to_tag_of_a_request_comes_back_in_every_response(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    request = alice.request("MESSAGE", CONTACT_OBJECT)
    alice >> request.encode().replace(b"\r\nCall-ID", b";tag=there\r\nCall-ID")
    pool >> reply(pool << "MESSAGE", 481)
    assert (alice << 481).to_tag == "there"


def test_received_and_rport_come_back_in_the_response(world: World) -> None:
    """§16.7 item 9: what the request was stamped with is not taken off."""
    alice, pool = world.phone("alice", "UDP"), world.server()
    request = alice.request("MESSAGE", CONTACT_OBJECT)
    request.lines[0] = f"Via: SIP/2.0/UDP 10.0.0.9:{alice.port};rport;branch=z9hG4bKnat"
    alice >> request
    pool >> reply(pool << "MESSAGE", 200)
    via = (alice << 200).via
    assert (via.param("received"), via.param("rport")) == (alice.host, str(alice.port))


def test_our_record_route_stands_before_those_that_are_there(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    there = ("Record-Route: <sip:one.test;lr>", "Record-Route: <sip:two.test;lr>, <sip:three.test;lr>")
    alice >> alice.request("INVITE", CONTACT_OBJECT, *there)
    alice << 100
    at_pool = pool << "INVITE"
    ours, *others = at_pool.values("record-route")
    assert ";lr>" in ours and ours.startswith("<sip:")
    assert others == ["<sip:one.test;lr>", "<sip:two.test;lr>", "<sip:three.test;lr>"]
    pool >> reply(at_pool, 486)
    pool << "ACK"
    alice.fail_call(486)


@pytest.mark.parametrize("name", ["From", "To"])
@pytest.mark.parametrize("value", ["<tel:+1-201-555-0123>", "<isbn:2983792873>", "A Caller <mailto:a@b.test>;x=y"])
def test_an_address_of_any_scheme_passes_in_from_and_to(world: World, name: str, value: str) -> None:
    """§8.2.2.1: nobody is refused for what To says; a From without a tag is of the older kind (§12.1.1)."""
    alice, pool = world.phone("alice"), world.server()
    request = alice.request("INVITE", CONTACT_OBJECT)
    request.lines[request.index[name.lower()]] = f"{name}: {value}"
    alice >> request
    alice << 100
    at_pool = pool << "INVITE"
    assert at_pool.first(name.lower()) == value
    pool >> reply(at_pool, 200, contact=pool.contact)
    request.reindex()
    alice.sent[request.call_id] = request
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK")
    pool << "ACK"
    alice >> dialog.request("BYE")
    pool >> reply(pool << "BYE", 200)
    alice << 200


def test_a_response_in_several_rows_and_compact_names_comes_back_as_it_was(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    answer = reply(pool << "MESSAGE", 200, "k: a, b", "m: <sip:x@h>", "k: c", "s:  folded\r\n  value ")
    pool >> answer
    assert (alice << 200).lines == answer.lines[1:]

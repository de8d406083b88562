"""What is wrong with a request and what it is told (RFC 3261 §8.2, §16.3, §18.3, §21.4)."""

import pytest

from sipgw.message import MalformedMessage, Request
from sipgw.registry import Server
from tests.harness import CONTACT_OBJECT, DOMAIN, FQDN, MakeWorld, Party, World, default_pool, reply


def refused(party: Party, request: Request | bytes, status: int) -> str:
    """The request gets this status; returns the Warning that says why."""
    party >> request
    response = party << status
    party.nothing()
    warning: str = response.first("warning") or ""
    assert warning.startswith("399 ")
    return warning


def options(party: Party, *lines: str, uri: str = CONTACT_OBJECT, hops: int | None = 70) -> Request:
    return party.request("OPTIONS", uri, *lines, hops=hops)


def altered(request: Request, old: bytes, new: bytes) -> bytes:
    data = request.encode()
    assert old in data
    return data.replace(old, new)


# Max-Forwards


def test_no_hops_left(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    assert "Max-Forwards" in refused(alice, options(alice, hops=0), 483)
    pool.nothing()


def test_the_last_hop(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    alice >> options(alice, hops=1)
    at_pool = pool << "OPTIONS"
    assert at_pool.first("max-forwards") == "0"
    pool >> reply(at_pool, 200)
    alice << 200


def test_no_max_forwards_at_all(world: World) -> None:
    """§16.6 item 3: then 70 is added."""
    alice, pool = world.phone("alice"), world.server()
    alice >> options(alice, hops=None)
    at_pool = pool << "OPTIONS"
    assert at_pool.first("max-forwards") == "70"
    pool >> reply(at_pool, 200)
    alice << 200


@pytest.mark.parametrize("value", ["x", "-1", "256", "1000", "", "7.0", "\xb2"])
def test_max_forwards_that_is_none(world: World, value: str) -> None:
    alice = world.phone("alice")
    refused(alice, options(alice, f"Max-Forwards: {value}", hops=None), 400)


def test_max_forwards_with_leading_zeros() -> None:
    world = World()
    alice, pool = world.phone("alice"), world.server()
    alice >> options(alice, "Max-Forwards: 0068", hops=None)
    assert (pool << "OPTIONS").first("max-forwards") == "67"


def test_a_register_with_no_hops_left_has_arrived() -> None:
    alice = World().phone("alice")
    alice >> alice.register(hops=0)
    alice << 200


# Proxy-Require


def test_an_unknown_proxy_require(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    alice >> options(alice, "Proxy-Require: ms-benotify, x-odd, y-odd")
    assert (alice << 420).first("unsupported") == "x-odd, y-odd"
    pool.nothing()


def test_a_proxy_require_that_we_know(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    alice >> options(alice, "Proxy-Require: MS-Benotify")
    at_pool = pool << "OPTIONS"
    assert at_pool.first("proxy-require") == "MS-Benotify"
    pool >> reply(at_pool, 200)
    alice << 200


def test_require_is_not_for_proxies(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    alice >> options(alice, "Require: x-odd")
    pool >> reply(pool << "OPTIONS", 200)
    alice << 200


# URIs


@pytest.mark.parametrize(
    ("uri", "status"), [("tel:+12125551212", 416), ("nobody:x", 416), ("sip:", 400), ("sip:a@b@c", 400), ("x", 400)]
)
def test_request_uris(world: World, uri: str, status: int) -> None:
    alice = world.phone("alice")
    refused(alice, options(alice, uri=uri), status)


def test_a_request_uri_that_is_too_long(world: World) -> None:
    alice = world.phone("alice")
    refused(alice, options(alice, uri=f"sip:{'x' * 5000}@{DOMAIN}"), 414)


@pytest.mark.parametrize("route", ["<sip:", "x y", "<tel:1>", "<sip:a@b@c>"])
def test_a_route_that_cannot_be_read(world: World, route: str) -> None:
    alice = world.phone("alice")
    refused(alice, options(alice, f"Route: {route}"), 416 if "tel" in route else 400)


@pytest.mark.parametrize("route", [",", " , ,"])
def test_a_route_header_without_a_route(route: str) -> None:
    alice = World().phone("alice")
    refused(alice, options(alice, f"Route: {route}"), 400)


# what the message layer finds


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"SIP/2.0\r\n", b"SIP/3.0\r\n", 505),
        (b"SIP/2.0\r\n", b"HTTP/1.1\r\n", 400),
        (b"CSeq: 1 OPTIONS", b"CSeq: 1 INVITE", 400),
        (b"CSeq: 1", b"CSeq: x", 400),
        (b"CSeq: 1", b"CSeq: 4294967296", 400),
        (b"Max-Forwards: 70", b"Max-Forwards: 70\r\nbroken line", 400),
        (b"Max-Forwards: 70", b"Max-Forwards: 70\r\nMax-Forwards: 69", 400),
        (b"Content-Length: 0", b"Content-Length: x", 400),
        (b"Content-Length: 0", b"Content-Length: 1", 400),
        (b"Call-ID: ", b"Call-ID: two\r\nCall-ID: ", 400),
        (b"From: <", b'From: "x <', 400),
    ],
)
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_what_cannot_be_read_is_answered(
    make_world: MakeWorld, transport: str, old: bytes, new: bytes, status: int
) -> None:
    world = make_world()
    alice = world.phone("alice", transport)
    request = options(alice)
    alice >> altered(request, old, new)
    response = alice << status
    assert response.via.branch == request.via.branch
    assert response.to_tag
    assert world.engine.sizes().server_transactions == 0
    assert world.engine.counters["malformed"] == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Via: ", b"X-Via: "),
        (b"Via: SIP/2.0", b"Via: SIP"),
        (b"CSeq: ", b"X-CSeq: "),
        (b"OPTIONS sip:ocschat@example.test SIP/2.0", b"OPTIONS"),
        (b"OPTIONS sip:ocschat@example.test SIP/2.0", b"SIP/2.0 999 x"),
        (b"OPTIONS sip:ocschat@example.test SIP/2.0", b"SIP/2.0 200 OK"),
    ],
)
def test_what_cannot_be_answered_is_dropped(world: World, old: bytes, new: bytes) -> None:
    alice = world.phone("alice", "UDP")
    alice >> altered(options(alice), old, new)
    alice.nothing()


def test_a_broken_ack_is_never_answered(world: World) -> None:
    alice = world.phone("alice")
    request = alice.request("ACK", CONTACT_OBJECT)
    alice >> altered(request, b"CSeq: 1 ACK", b"CSeq: x ACK")
    alice >> altered(request, b"SIP/2.0\r\n", b"SIP/3.0\r\n")
    alice.nothing()


def test_more_headers_than_allowed(make_world: MakeWorld) -> None:
    world = make_world(max_headers=20)
    alice = world.phone("alice")
    alice >> options(alice, *["X-A: 1"] * 30)
    alice << 400


# a stream that cannot be followed


def broken_stream(world: World, party: Party, error: MalformedMessage) -> None:
    assert party.flow is not None
    world.perform(world.engine.receive_broken(error, party.flow, world.now))


def test_a_body_too_long_for_the_stream_gets_413(world: World) -> None:
    alice = world.phone("alice")
    head = altered(options(alice), b"Content-Length: 0", b"Content-Length: 999999")
    broken_stream(world, alice, MalformedMessage("a body longer than 10 bytes", 413, head))
    assert "longer than 10 bytes" in ((alice << 413).first("warning") or "")


@pytest.mark.parametrize("head", [None, b"", b"\r\n\r\n", b"junk\r\n\r\n", b"SIP/2.0 200 OK\r\n\r\n"])
def test_a_stream_that_breaks_without_a_request_in_sight(world: World, head: bytes | None) -> None:
    alice = world.phone("alice")
    broken_stream(world, alice, MalformedMessage("broken", 413, head))
    alice.nothing()


# the answer says who found fault


def test_the_warning_names_the_gateway(world: World) -> None:
    alice = world.phone("alice")
    assert refused(alice, options(alice, hops=0), 483).startswith(f"399 {FQDN} ")


@pytest.mark.parametrize("reason", ["\u63a5\u7d9a\u62d2\u5426", "certificate \u2018pc\u2019 has expired"])
def test_a_transport_error_in_any_language(reason: str) -> None:
    world = World([default_pool(Server("TCP", "192.0.2.51", 5041))])
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    branch = (pool << "INVITE").via.branch
    world.perform(world.engine.send_failed(branch, reason, world.now))
    alice << 504

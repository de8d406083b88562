"""On to the next hop: routes of strict routers, Content-Length, the size of datagrams (RFC 3261 §16.6, §18.1.1)."""

from ipaddress import ip_network

import pytest

from sipgw.message import Request
from sipgw.registry import Server
from tests.harness import CONTACT_OBJECT, REFUSING, SILENT, MakeWorld, Party, World, default_pool, reply

ELSEWHERE = "203.0.113.9"


# strict routers after us (§16.6 item 6)


def test_a_strict_router_outside_a_dialog(make_world: MakeWorld) -> None:
    """The Request-URI moves to the end of Route, the first Route becomes the Request-URI and says where to go."""
    world = make_world(trusted=(ip_network("192.0.2.0/24"),))
    server, other = world.server("UDP", "192.0.2.51", 5060), world.server("UDP", ELSEWHERE, 5060)
    routes = (f"Route: <sip:{ELSEWHERE}>, <sip:second.test;lr>", "Route: <sip:third.test>")
    server >> server.request("MESSAGE", "sip:x@far.test", *routes)
    got: Request = other << "MESSAGE"
    assert got.uri == f"sip:{ELSEWHERE}"
    assert got.values("route") == ["<sip:second.test;lr>", "<sip:third.test>", "<sip:x@far.test>"]
    other >> reply(got, 200)
    server << 200


@pytest.mark.parametrize("method", ["INFO", "ACK"])
def test_a_strict_router_inside_a_dialog(world: World, method: str) -> None:
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    at_pool = pool << "INVITE"
    pool >> reply(at_pool, 200, contact=pool.contact)
    dialog = alice.calling(alice << 200)
    dialog.routes.append("<sip:inner.example.test>")
    alice >> dialog.request(method)
    got: Request = pool << method
    assert got.uri == "sip:inner.example.test"
    assert got.values("route") == [f"<{pool.contact}>"]
    if method != "ACK":
        pool >> reply(got, 200)
        alice << 200


def test_a_loose_router_leaves_the_request_uri(make_world: MakeWorld) -> None:
    world = make_world(trusted=(ip_network("192.0.2.0/24"),))
    server, other = world.server("UDP", "192.0.2.51", 5060), world.server("UDP", ELSEWHERE, 5060)
    server >> server.request("MESSAGE", "sip:x@far.test", f"Route: <sip:{ELSEWHERE};lr>, <sip:second.test;lr>")
    got: Request = other << "MESSAGE"
    assert (got.uri, got.values("route")) == ("sip:x@far.test", [f"<sip:{ELSEWHERE};lr>", "<sip:second.test;lr>"])
    other >> reply(got, 200)
    server << 200


# Content-Length (§16.6 item 9, §18.3)


def without_length(message: Request) -> bytes:
    return message.encode().replace(b"\r\nContent-Length: 5", b"")


def test_a_stream_gets_a_content_length_both_ways(world: World) -> None:
    alice, pool = world.phone("alice", "UDP"), world.server("TCP")
    alice >> without_length(alice.request("MESSAGE", CONTACT_OBJECT, body=b"hello"))
    got = pool << "MESSAGE"
    assert (got.lines_of("content-length"), got.body) == (["5"], b"hello")
    pool >> reply(got, 200)
    alice << 200


def test_a_response_from_a_datagram_gets_one_for_the_stream(make_world: MakeWorld) -> None:
    world = make_world([default_pool(Server("UDP", "192.0.2.51", 5060))])
    alice, pool = world.phone("alice", "TCP"), world.server("UDP", port=5060)
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    answer = reply(pool << "MESSAGE", 200, body=b"hello").encode()
    pool >> answer.replace(b"\r\nContent-Length: 5", b"")
    got = alice << 200
    assert (got.lines_of("content-length"), got.body) == (["5"], b"hello")


# large requests (§18.1.1)


def large(make_world: MakeWorld, size: int = 1300) -> tuple[World, Party, Party, Party]:
    """A pool that is known by UDP and listens on TCP too; a MESSAGE that is too large for a datagram was sent to it."""
    world = make_world([default_pool(Server("UDP", "192.0.2.51", 5060))])
    alice, udp, tcp = world.phone("alice"), world.server("UDP", port=5060), world.server("TCP", port=5060)
    alice >> alice.request("MESSAGE", CONTACT_OBJECT, body=b"x" * size)
    return world, alice, udp, tcp


def test_a_request_over_1300_bytes_goes_by_tcp_and_says_so_in_its_via(make_world: MakeWorld) -> None:
    _, alice, udp, tcp = large(make_world)
    got = tcp << "MESSAGE"
    assert got.via.transport == "TCP"
    udp.nothing()
    tcp >> reply(got, 200)
    alice << 200


def test_the_bound_is_at_1300_bytes(make_world: MakeWorld) -> None:
    """Whatever takes the request, its size says that it was right; the names of both transports are equally long."""
    _, alice, udp, tcp = large(make_world, 0)
    got = udp << "MESSAGE"
    room = 1300 - len(got.encode())
    udp >> reply(got, 200)
    alice << 200
    sizes: dict[str, list[int]] = {"UDP": [], "TCP": []}
    for size in range(room - 8, room + 8):
        alice >> alice.request("MESSAGE", CONTACT_OBJECT, body=b"x" * size)
        taker = udp if udp.inbox else tcp
        got = taker << "MESSAGE"
        sizes[taker.transport].append(len(got.encode()))
        taker >> reply(got, 200)
        alice << 200
    assert max(sizes["UDP"]) <= 1300 < min(sizes["TCP"])


def test_where_tcp_is_refused_the_datagram_is_sent_after_all(make_world: MakeWorld) -> None:
    world = make_world([default_pool(Server("UDP", "192.0.2.51", 5060))])
    alice, udp, tcp = world.phone("alice"), world.server("UDP", port=5060), world.server("TCP", port=5060)
    tcp.state = REFUSING
    for _ in range(2):
        alice >> alice.request("MESSAGE", CONTACT_OBJECT, body=b"x" * 2000)
        got = udp << "MESSAGE"
        assert (got.via.transport, len(got.body)) == ("UDP", 2000)
        udp >> reply(got, 200)
        alice << 200


def test_a_large_datagram_is_received(world: World) -> None:
    """§18.1.1: up to what a datagram can hold."""
    alice, pool = world.phone("alice", "UDP"), world.server()
    alice >> alice.request("MESSAGE", CONTACT_OBJECT, body=b"x" * 64_000)
    got = pool << "MESSAGE"
    assert len(got.body) == 64_000
    pool >> reply(got, 200)
    alice << 200


# every attempt is a transaction of its own (§16.6 item 7, §8.1.2)


def test_the_via_names_the_transport_and_a_listener_of_it(make_world: MakeWorld) -> None:
    for transport, sent_by in (
        ("UDP", "192.0.2.1:5060"),
        ("TCP", "192.0.2.1:5060"),
        ("TLS", "sipgw.example.test:5061"),
    ):
        world = make_world([default_pool(Server(transport, "192.0.2.51", 5041))])
        alice, pool = world.phone("alice"), world.server(transport)
        alice >> alice.request("MESSAGE", CONTACT_OBJECT)
        got = pool << "MESSAGE"
        assert (got.via.transport, got.via.sent_by) == (transport, sent_by)
        assert got.via.branch.startswith("z9hG4bK")
        pool >> reply(got, 200)
        alice << 200


def test_no_two_requests_share_a_branch(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    seen: set[str] = set()
    for _ in range(200):
        alice >> alice.request("MESSAGE", CONTACT_OBJECT, call_id="same", branch="z9hG4bKsame" + str(len(seen)))
        got = pool << "MESSAGE"
        seen.add(got.via.branch)
        pool >> reply(got, 200)
        alice << 200
    assert len(seen) == 200


def test_a_silent_server_is_sent_nothing_but_the_same_request(make_world: MakeWorld) -> None:
    """§17.1.1.2: a retransmission is the same message; only another attempt has another branch."""
    world = make_world([default_pool(Server("UDP", "192.0.2.51", 5060), Server("UDP", "192.0.2.52", 5060))])
    alice = world.phone("alice")
    first, second = world.server("UDP", port=5060), world.server("UDP", "192.0.2.52", 5060)
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    world.advance(2)
    copies = [first << "INVITE" for _ in range(3)]
    assert len({copy.encode() for copy in copies}) == 1
    first.state = SILENT
    world.advance(1.1)
    at_second = second << "INVITE"
    assert at_second.via.branch != copies[0].via.branch
    second >> reply(at_second, 486)
    second << "ACK"
    alice.fail_call(486)

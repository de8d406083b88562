"""Nobody gets anywhere through the gateway but to what it serves; loops end; broken requests are told what is wrong."""

from ipaddress import ip_network

import pytest

from sipgw.registry import Server
from tests.harness import CONTACT_OBJECT, DOMAIN, GATEWAY, MakeWorld, World, default_pool, diagnostics_of, reply

ELSEWHERE = "203.0.113.9"


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "OPTIONS", "SUBSCRIBE", "SERVICE", "REGISTER", "BYE"])
@pytest.mark.parametrize("uri", [f"sip:x@{ELSEWHERE}", f"sip:{ELSEWHERE}:5060;transport=tcp", "sips:x@elsewhere.test"])
def test_a_foreign_request_uri(make_world: MakeWorld, method: str, uri: str) -> None:
    world = make_world()
    alice, other = world.phone("alice", "UDP"), world.server("UDP", ELSEWHERE, 5060)
    alice >> alice.request(method, uri)
    assert diagnostics_of(alice << 403)[0] == 1005
    other.nothing()
    assert world.resolved == []


@pytest.mark.parametrize(
    "route", [f"<sip:{ELSEWHERE};lr>", f"<sip:{GATEWAY}:5060;lr>, <sip:{ELSEWHERE};lr>", "<sip:elsewhere.test>"]
)
def test_a_foreign_route(world: World, route: str) -> None:
    alice, other = world.phone("alice", "UDP"), world.server("UDP", ELSEWHERE, 5060)
    alice >> alice.request("MESSAGE", CONTACT_OBJECT, f"Route: {route}")
    assert diagnostics_of(alice << 403)[0] == 1005
    other.nothing()


def test_our_own_route_without_a_token_changes_nothing(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("MESSAGE", CONTACT_OBJECT, f"Route: <sip:{GATEWAY}:5060;lr>")
    at_pool = pool << "MESSAGE"
    assert "route" not in at_pool.index
    pool >> reply(at_pool, 200)
    alice << 200
    alice >> alice.request("MESSAGE", f"sip:x@{ELSEWHERE}", f"Route: <sip:{GATEWAY}:5060;lr>")
    assert diagnostics_of(alice << 403)[0] == 1005


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "0.0.0.0",
        "00000000000000000000.00000000.ucb00710913c4.ucb00710913c4",
        ".",
        "a.b.c.d",
        "%00",
        "\xe4.\xf6.c5.c6",
    ],
)
def test_an_invented_token(world: World, token: str) -> None:
    alice, other = world.phone("alice", "UDP"), world.server("UDP", ELSEWHERE, 5060)
    alice >> alice.request("MESSAGE", f"sip:x@{ELSEWHERE}", f"Route: <sip:{token}@{GATEWAY}:5060;lr>")
    assert diagnostics_of(alice << 481)[0] == 1004
    other.nothing()


def test_a_true_token_leads_to_its_own_dialog_only(world: World) -> None:
    """With a foreign Request-URI it still leads to the party that the dialog was set up with, and no further."""
    alice, other, pool = world.phone("alice"), world.server("UDP", ELSEWHERE, 5060), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    at_pool = pool << "INVITE"
    pool >> reply(at_pool, 200, contact=pool.contact)
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK")
    pool << "ACK"
    dialog.target = f"sip:x@{ELSEWHERE}"
    alice >> dialog.request("BYE")
    pool >> reply(pool << "BYE", 481)
    alice << 481
    mallory = world.phone("mallory")
    stolen = dialog.routes[0]
    mallory >> mallory.request("MESSAGE", f"sip:x@{ELSEWHERE}", f"Route: {stolen}")
    assert diagnostics_of(mallory << 481)[0] == 1004
    other.nothing()
    pool.nothing()


def test_a_contact_that_names_a_third_party_aims_nothing_at_it(world: World) -> None:
    """Over UDP requests go back to where the REGISTER came from, whatever the Contact says."""
    mallory, victim = world.phone("mallory", "UDP"), world.server("UDP", ELSEWHERE, 5060)
    mallory >> mallory.register(contact=f"sip:victim@{ELSEWHERE}:5060")
    mallory << 200
    alice = world.phone("alice")
    alice >> alice.request("MESSAGE", mallory.uri)
    mallory >> reply(mallory << "MESSAGE", 200)
    alice << 200
    victim.nothing()


def test_a_via_that_names_a_third_party_aims_no_answer_at_it(world: World) -> None:
    alice, victim = world.phone("alice", "UDP"), world.server("UDP", ELSEWHERE, 5060)
    request = alice.request("OPTIONS", f"sip:{DOMAIN}")
    at = request.index["via"]
    request.lines[at] = f"Via: SIP/2.0/UDP {ELSEWHERE}:{alice.port};maddr={ELSEWHERE};branch=z9hG4bKaim"
    alice >> request
    alice << 200
    victim.nothing()


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
@pytest.mark.parametrize("by", ["Request-URI", "Route"])
def test_a_trusted_peer_is_told_of_a_host_that_does_not_resolve(
    make_world: MakeWorld, transport: str, method: str, by: str
) -> None:
    """RFC 3263 §4: no name, no server; and nothing is left of the request that waited for it."""
    world = make_world(trusted=(ip_network("192.0.2.0/24"),))
    peer = world.phone("peer", transport, host="192.0.2.80")
    tail = f";transport={transport.lower()}"
    if by == "Route":
        peer >> peer.request(method, "sip:x@far.test", f"Route: <sip:nowhere.test{tail};lr>")
    else:
        peer >> peer.request(method, f"sip:x@nowhere.test{tail}")
    assert "nowhere.test" in world.resolved[-1]
    if method == "INVITE":
        peer << 100
        failure = peer.fail_call(504)
    else:
        failure = peer << 504
    assert "nowhere.test" in diagnostics_of(failure)[1]
    peer.nothing()


def test_a_trusted_peer_may_relay(make_world: MakeWorld) -> None:
    world = make_world(trusted=(ip_network("192.0.2.0/24"),))
    server, other = world.server("UDP", "192.0.2.51", 5060), world.server("UDP", ELSEWHERE, 5060)
    server >> server.request("MESSAGE", f"sip:x@{ELSEWHERE}")
    other >> reply(other << "MESSAGE", 200)
    server << 200
    server >> server.request("MESSAGE", "sip:x@far.test", f"Route: <sip:{ELSEWHERE};lr>")
    routed = other << "MESSAGE"
    assert routed.values("route") == [f"<sip:{ELSEWHERE};lr>"]
    assert routed.uri == "sip:x@far.test"
    other >> reply(routed, 200)
    server << 200
    world.names["far.test"] = [ELSEWHERE]
    server >> server.request("MESSAGE", "sip:x@far.test")
    other >> reply(other << "MESSAGE", 200)
    server << 200


def test_a_pool_server_named_by_its_address(world: World) -> None:
    """Contacts of the pool lead to it even from a client that lost the route set."""
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("MESSAGE", "sip:ocschat@192.0.2.51:5041;transport=tcp")
    pool >> reply(pool << "MESSAGE", 200)
    alice << 200


# loops


def pointing_back(make_world: MakeWorld, listener: str = GATEWAY) -> World:
    """A pool whose only server is the gateway itself."""
    return make_world([default_pool(Server("UDP", listener, 5060))])


def test_a_pool_that_points_back_at_us(make_world: MakeWorld) -> None:
    world = pointing_back(make_world)
    alice, mirror = world.phone("alice", "UDP"), world.server("UDP", GATEWAY, 5060)
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    rounds = 0
    while mirror.inbox and rounds < 20:
        mirror >> mirror.inbox.pop(0)
        rounds += 1
    alice.fail_call(482)
    assert rounds < 12


def test_a_direct_loop_ends_at_the_first_return() -> None:
    world = World([default_pool(Server("UDP", GATEWAY, 5060))])
    alice, mirror = world.phone("alice", "UDP"), world.server("UDP", GATEWAY, 5060)
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    mirror >> (mirror << "MESSAGE")
    mirror << 482


def test_a_loop_through_another_proxy(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    back = pool << "MESSAGE"
    lines = [f"Via: {pool.via('z9hG4bKproxy')}", *back.lines]
    back.set_lines(back.uri, list(zip(lines, ["via", *back.names], strict=True)))
    pool >> back
    looped = pool << 482
    assert looped.cseq.method == "MESSAGE"
    looped.drop_first("via")
    pool >> looped
    alice << 482


def test_a_spiral_inside_a_dialog_is_legal() -> None:
    """A legacy pool that sends what it gets on through us to another user: the request passes here twice."""
    world = World()
    alice, pool, bob = world.phone("alice"), world.server(), world.phone("bob")
    bob.sign_in()
    message = alice.request("MESSAGE", CONTACT_OBJECT)
    alice >> message.encode().replace(b"\r\nCall-ID", b";tag=there\r\nCall-ID")
    back = pool << "MESSAGE"
    assert back.to_tag == "there"
    lines = [f"Via: {pool.via('z9hG4bKproxy')}", *back.lines]
    back.set_lines(bob.uri, list(zip(lines, ["via", *back.names], strict=True)))
    pool >> back
    bob << "MESSAGE"


def test_a_spiral_is_legal(world: World) -> None:
    """It comes back with another Request-URI (§16.3 item 4)."""
    alice, pool = world.phone("alice"), world.server()
    bob = world.phone("bob")
    bob.sign_in()
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    back = pool << "MESSAGE"
    lines = [f"Via: {pool.via('z9hG4bKproxy')}", *back.lines]
    back.set_lines(bob.uri, list(zip(lines, ["via", *back.names], strict=True)))
    pool >> back
    bob >> reply(bob << "MESSAGE", 200)
    ok = pool << 200
    ok.drop_first("via")
    pool >> ok
    alice << 200

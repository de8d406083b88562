"""The call that everything is for: a client asks the contact object, the pool answers, INFOs go both ways, BYE."""

import pytest

from sipgw.registry import Server
from tests.harness import CONTACT_OBJECT, FQDN, GATEWAY, MakeWorld, Party, World, default_pool, reply

XCCOS = b'<xccos ver="1"><cmd id="cmd:requri" seqid="1"><data/></cmd></xccos>'


def lookup(world: World, alice: Party, pool: Party) -> None:
    alice >> alice.request("INVITE", CONTACT_OBJECT, "Supported: ms-sender")
    alice << 100
    at_pool = pool << "INVITE"
    assert at_pool.uri == CONTACT_OBJECT
    assert at_pool.first("max-forwards") == "69"
    assert at_pool.first("supported") == "ms-sender"
    pool >> reply(at_pool, 200, contact=pool.contact)
    ok = alice << 200
    assert len(ok.values("via")) == 1

    caller, callee = alice.calling(ok), pool.called(at_pool, ok)
    alice >> caller.request("ACK")
    assert (pool << "ACK").uri == pool.contact
    alice >> caller.request("INFO", "Content-Type: text/plain", body=XCCOS)
    info = pool << "INFO"
    assert info.body == XCCOS
    assert "route" not in info.index
    assert "record-route" not in info.index
    pool >> reply(info, 200)
    alice << 200

    pool >> callee.request("INFO", "Content-Type: text/plain", body=XCCOS)
    info = alice << "INFO"
    assert info.uri == alice.contact
    assert info.body == XCCOS
    alice >> reply(info, 200)
    pool << 200

    alice >> caller.request("BYE")
    pool >> reply(pool << "BYE", 200)
    alice << 200
    alice.nothing()
    pool.nothing()


@pytest.mark.parametrize("client", ["UDP", "TCP", "TLS"])
@pytest.mark.parametrize("server", ["UDP", "TCP", "TLS"])
def test_lookup_call(make_world: MakeWorld, client: str, server: str) -> None:
    pool_server = Server(server, "192.0.2.51", 5041)
    world = make_world([default_pool(pool_server)])
    lookup(world, world.phone("alice", client), world.server(server))


def test_lookup_call_over_ipv6(make_world: MakeWorld) -> None:
    world = make_world([default_pool(Server("TCP", "2001:db8::51", 5041))])
    alice, pool = world.phone("alice", "UDP", "2001:db8::7"), world.server("TCP", "2001:db8::51")
    lookup(world, alice, pool)


def test_one_record_route_where_both_sides_reach_us_alike(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    at_pool = pool << "INVITE"
    (route,) = at_pool.values("record-route")
    assert route.endswith(f"@{GATEWAY}:5060;transport=tcp;lr>")
    pool >> reply(at_pool, 486)
    alice << 100
    alice.fail_call(486)
    pool << "ACK"


def test_two_record_routes_between_a_tcp_client_and_a_tls_pool(make_world: MakeWorld) -> None:
    """RFC 5658: each side gets an address that it can use, the pool's on top."""
    world = make_world([default_pool(Server("TLS", "192.0.2.51", 5061))])
    alice, pool = world.phone("alice"), world.server("TLS", port=5061)
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    at_pool = pool << "INVITE"
    towards_pool, towards_alice = at_pool.values("record-route")
    assert towards_pool.endswith(f"@{FQDN}:5061;transport=tls;lr>")
    assert towards_alice.endswith(f"@{GATEWAY}:5060;transport=tcp;lr>")
    pool >> reply(at_pool, 486)
    alice << 100
    alice.fail_call(486)
    pool << "ACK"


def test_a_pool_that_dials_us_for_its_requests(world: World) -> None:
    """The pool's INFO comes over a connection of its own making, not the one that carried the INVITE."""
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    at_pool = pool << "INVITE"
    pool >> reply(at_pool, 200, contact=pool.contact)
    ok = alice << 200
    alice >> alice.calling(ok).request("ACK")
    pool << "ACK"
    pool.connect(port=51000)
    pool >> pool.called(at_pool, ok).request("INFO")
    alice >> reply(alice << "INFO", 200)
    pool << 200


def test_service_uri_of_the_pool_routes_to_it(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", "sip:gc-1-persistentchatservice-1@EXAMPLE.test")
    alice << 100
    at_pool = pool << "INVITE"
    assert at_pool.uri == "sip:gc-1-persistentchatservice-1@EXAMPLE.test"
    pool >> reply(at_pool, 486)
    alice.fail_call(486)
    pool << "ACK"


def test_what_the_signatures_cover_stays_as_it_was(world: World) -> None:
    """Request-URI, From, To, Call-ID, unknown headers, order and case: only what a proxy owns changes."""
    alice, pool = world.phone("alice"), world.server()
    invite = alice.request("INVITE", CONTACT_OBJECT + ";x=1", "X-Odd: a,  b", "sUBJECT : \xe4", body=b"\x00\xff")
    alice >> invite
    alice << 100
    at_pool = pool << "INVITE"
    assert at_pool.start == invite.start
    assert at_pool.body == b"\x00\xff"
    kept = [line for line in at_pool.lines if not line.startswith(("Via", "Record-Route", "Max-"))]
    assert kept == [line for line in invite.lines if not line.startswith(("Via", "Max-"))]
    pool >> reply(at_pool, 486)
    alice.fail_call(486)
    pool << "ACK"

"""Request-URIs that say more than user and host: sips (§26.2.2, RFC 5630) and maddr (§16.4, §16.5)."""

from ipaddress import ip_network

import pytest

from sipgw.registry import Server
from tests.harness import (
    CONTACT_OBJECT,
    DOMAIN,
    GATEWAY,
    POOL_FQDN,
    MakeWorld,
    Party,
    World,
    default_endpoint,
    default_pool,
    diagnostics_of,
    reply,
)

SECURE = f"sips:ocschat@{DOMAIN}"


def secure_world(*servers: Server) -> tuple[World, Party]:
    world = World([default_pool(*servers)], [default_endpoint(POOL_FQDN)])
    return world, world.phone("alice", "TLS")


def test_a_sips_request_reaches_a_pool_over_tls_alone() -> None:
    """A server without TLS is passed over even when it is named first."""
    world, alice = secure_world(Server("TCP", "192.0.2.51", 5041), Server("TLS", "192.0.2.52", 5041))
    plain, secure = world.server("TCP", "192.0.2.51"), world.server("TLS", "192.0.2.52")
    alice >> alice.request("INVITE", SECURE)
    alice << 100
    at_pool = secure << "INVITE"
    plain.nothing()
    assert all(value.startswith("<sips:") for value in at_pool.values("record-route"))  # §16.6 item 4
    secure >> reply(at_pool, 200, contact="sips:pool@192.0.2.52:5041")
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK")
    secure << "ACK"
    alice >> dialog.request("BYE")
    secure >> reply(secure << "BYE", 200)
    alice << 200
    world.finish()


def test_a_sips_request_for_a_pool_without_tls_fails_and_says_why() -> None:
    world, alice = secure_world(Server("TCP", "192.0.2.51", 5041))
    alice >> alice.request("INVITE", SECURE)
    failure = alice.fail_call(480)
    assert "TLS" in (failure.first("ms-diagnostics") or "")
    world.finish()


def test_a_sips_request_does_not_reach_a_user_over_a_plain_connection() -> None:
    world, alice = secure_world()
    bob = world.phone("bob", "TCP")
    bob.sign_in()
    alice >> alice.request("MESSAGE", f"sips:bob@{DOMAIN}")
    alice << 480
    bob.nothing()
    world.finish()


def secure_contact(bob: Party) -> str:
    return f"sips:bob@{bob.host}:{bob.port}"


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_a_sips_contact_is_not_sent_to_in_clear(world: World, transport: str) -> None:
    """§16.6 item 7: whatever URI was called. What bob has registered says that he wants TLS on the whole way."""
    alice, bob = world.phone("alice"), world.phone("bob", transport, host="198.51.100.61")
    bob >> bob.register(contact=secure_contact(bob))
    bob << 200
    alice >> alice.request("INVITE", bob.uri)
    failure = alice.fail_call(480)
    assert "TLS" in diagnostics_of(failure)[1]
    bob.nothing()


def test_beside_a_sips_contact_without_tls_the_others_are_called(world: World) -> None:
    alice, bob, other = world.phone("alice"), world.phone("bob"), world.phone("bob", host="198.51.100.61")
    bob >> bob.register(contact=secure_contact(bob), call_id="one")
    bob << 200
    other >> other.register(call_id="two")
    other << 200
    alice >> alice.request("MESSAGE", bob.uri)
    other >> reply(other << "MESSAGE", 200)
    alice << 200
    bob.nothing()


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
def test_a_sips_contact_is_recorded_with_a_sips_uri(world: World, transport: str) -> None:
    """§16.6 item 4 goes by the Request-URI that is sent. The caller, who asked for sip, is given what it can use, and
    either side finds the other."""
    alice, bob = world.phone("alice", transport), world.phone("bob", "TLS", host="198.51.100.61")
    bob >> bob.register(contact=secure_contact(bob))
    bob << 200
    alice >> alice.request("INVITE", bob.uri)
    alice << 100
    at_bob = bob << "INVITE"
    assert at_bob.uri == secure_contact(bob)
    callers = "sip" if transport == "TCP" else "sips"  # by TLS alike, one value serves both
    routes = at_bob.values("record-route")
    assert [routes[0].partition(":")[0], routes[-1].partition(":")[0]] == ["<sips", f"<{callers}"]
    ok = reply(at_bob, 200, contact=secure_contact(bob))
    bob >> ok
    mine, theirs = alice.calling(alice << 200), bob.called(at_bob, ok)
    alice >> mine.request("ACK")
    bob << "ACK"
    for sender, other in ((mine, bob), (theirs, alice)):
        sender.party >> sender.request("INFO")
        other >> reply(other << "INFO", 200)
        sender.party << 200


@pytest.mark.parametrize("uri", [f"sips:carol@{DOMAIN}", "sips:carol@203.0.113.7;transport=udp"])
def test_a_redirection_to_a_sips_uri_is_followed_by_tls_alone(make_world: MakeWorld, uri: str) -> None:
    world = make_world(recurse=True, trusted=(ip_network("198.51.100.7/32"),))
    alice, bob, carol = world.phone("alice"), world.phone("bob"), world.phone("carol", host="198.51.100.9")
    bob.sign_in()
    carol.sign_in()
    alice >> alice.request("MESSAGE", bob.uri)
    bob >> reply(bob << "MESSAGE", 302, f"Contact: <{uri}>")
    assert (alice << 302).values("contact") == [f"<{uri}>"]
    carol.nothing()


def test_a_path_that_is_not_secure_is_no_way_to_a_sips_contact(make_world: MakeWorld) -> None:
    """RFC 3327 with §26.2.2: the edge proxy is reached by UDP, the client behind it wants TLS."""
    world = make_world(trusted=(ip_network("203.0.113.80/32"),))
    alice, edge = world.phone("alice"), world.server("UDP", "203.0.113.80", 5060, name="bob")
    edge >> edge.register("Path: <sip:203.0.113.80:5060;lr>", contact="sips:bob@10.0.0.5")
    edge << 200
    alice >> alice.request("MESSAGE", f"sip:bob@{DOMAIN}")
    alice << 480
    edge.nothing()


def test_a_route_by_datagram_is_no_way_for_a_sips_request(make_world: MakeWorld) -> None:
    world = make_world(trusted=(ip_network("198.51.100.7/32"),))
    alice, other = world.phone("alice"), world.server("UDP", "203.0.113.7", 5060)
    alice >> alice.request("MESSAGE", "sips:carol@elsewhere.test", "Route: <sip:203.0.113.7;lr>")
    alice << 480
    other.nothing()


@pytest.mark.parametrize("maddr", [GATEWAY, DOMAIN])
def test_a_maddr_that_names_us_is_taken_off_with_port_and_transport(world: World, maddr: str) -> None:
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("MESSAGE", f"sip:ocschat@{DOMAIN}:5070;transport=tcp;maddr={maddr};x=1")
    at_pool = pool << "MESSAGE"
    assert at_pool.uri == f"{CONTACT_OBJECT};x=1"
    pool >> reply(at_pool, 200)
    alice << 200
    world.finish()


def test_a_maddr_that_leads_elsewhere_is_refused_like_a_foreign_domain(world: World) -> None:
    alice = world.phone("alice")
    alice >> alice.request("MESSAGE", f"{CONTACT_OBJECT};maddr=203.0.113.9")
    assert diagnostics_of(alice << 403)[0] == 1005
    world.finish()

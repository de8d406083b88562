"""Request-URIs that say more than user and host: sips (§26.2.2, RFC 5630) and maddr (§16.4, §16.5)."""

import pytest

from sipgw.registry import Server
from tests.harness import (
    CONTACT_OBJECT,
    DOMAIN,
    GATEWAY,
    POOL_FQDN,
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

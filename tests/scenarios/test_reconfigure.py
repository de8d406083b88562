"""Another configuration under a running engine: calls under way go on as they were, new ones go by the new one."""

import pytest

from sipgw.core.admission import Rates
from sipgw.engine import EngineSettings
from sipgw.registry import Server
from tests.harness import (
    CONTACT_OBJECT,
    DOMAIN,
    FQDN,
    POOL_FQDN,
    SECRET,
    MakeWorld,
    World,
    default_endpoint,
    default_pool,
    diagnostics_of,
    make_registry,
    reply,
)

OTHER = Server("TCP", "192.0.2.61", 5041)


def reconfigure(
    world: World, *servers: Server, domains: frozenset[str] = frozenset({DOMAIN}), **settings: object
) -> None:
    values = EngineSettings(FQDN, domains, SECRET, **settings)  # type: ignore[arg-type]
    registry = make_registry([default_pool(*servers)], [default_endpoint(POOL_FQDN)])
    world.perform(world.engine.reconfigure(values, registry, world.listeners, world.now))


def test_a_call_goes_on_where_it_was_and_the_next_goes_by_the_new_pool(world: World) -> None:
    alice, before, after = world.phone("alice"), world.server(), world.server(host=OTHER.host)
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    at_pool = before << "INVITE"
    reconfigure(world, OTHER)
    before >> reply(at_pool, 200, contact=before.contact)
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK")
    before << "ACK"
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    after >> reply(after << "INVITE", 486)
    after << "ACK"
    alice.fail_call(486)
    alice >> dialog.request("BYE")
    before >> reply(before << "BYE", 200)
    alice << 200
    before.nothing()
    world.finish()


def test_a_call_that_rings_can_be_cancelled_after_the_change(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    invite = alice.request("INVITE", CONTACT_OBJECT)
    alice >> invite
    alice << 100
    at_pool = pool << "INVITE"
    pool >> reply(at_pool, 180)
    alice << 180
    reconfigure(world, OTHER)
    alice >> alice.cancel(invite)
    alice << 200
    pool >> reply(pool << "CANCEL", 200)
    pool >> reply(at_pool, 487)
    pool << "ACK"
    alice.fail_call(487)
    world.finish()


def test_what_waits_for_a_name_is_sent_when_the_name_is_known() -> None:
    world = World([default_pool(Server("TCP", "pc.example.test", 5041))])
    world.resolver = "holds"
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    reconfigure(world, Server("TCP", "pc.example.test", 5041))
    world.names["pc.example.test"] = [pool.host]
    world.release()
    pool >> reply(pool << "MESSAGE", 200)
    alice << 200
    world.resolver = "answers"
    world.finish()


def test_a_server_that_takes_no_tcp_is_not_asked_again_because_of_a_change(make_world: MakeWorld) -> None:
    """§18.1.1: that was found out by the dialling of a connection, which may take its time."""
    udp = Server("UDP", "192.0.2.51", 5060)
    world = make_world([default_pool(udp)])
    alice, pool = world.phone("alice", "UDP"), world.server("UDP", udp.host, udp.port)
    for _ in range(2):
        alice >> alice.request("MESSAGE", CONTACT_OBJECT, body=b"x" * 1300)
        pool >> reply(pool << "MESSAGE", 200)
        alice << 200
        assert world.engine.counters["unreachable"] == 1
        reconfigure(world, udp)


def test_a_registration_that_waits_for_the_store_is_answered(world: World) -> None:
    world.store = "holds"
    alice = world.phone("alice")
    alice >> alice.register()
    reconfigure(world)
    alice.nothing()
    world.release()
    alice << 200
    world.store = "answers"
    world.finish()


def test_a_domain_that_is_gone_is_foreign_and_its_users_are_kept_until_they_run_out(world: World) -> None:
    alice = world.phone("alice")
    alice.sign_in()
    reconfigure(world, domains=frozenset({"other.test"}))
    alice >> alice.request("MESSAGE", f"sip:bob@{DOMAIN}")
    assert diagnostics_of(alice << 403)[0] == 1005
    reconfigure(world)
    bob = world.phone("bob")
    bob >> bob.request("MESSAGE", f"sip:alice@{DOMAIN}")
    alice >> reply(alice << "MESSAGE", 200)
    bob << 200
    world.finish()


@pytest.mark.parametrize("recurse", [False, True])
def test_settings_count_from_the_next_request_on(world: World, recurse: bool) -> None:
    alice, bob, carol = world.phone("alice"), world.phone("bob"), world.phone("carol")
    bob.sign_in()
    carol.sign_in()
    reconfigure(world, recurse=recurse)
    alice >> alice.request("MESSAGE", f"sip:bob@{DOMAIN}")
    bob >> reply(bob << "MESSAGE", 302, contact=f"sip:carol@{DOMAIN}")
    if recurse:
        carol >> reply(carol << "MESSAGE", 200)
    alice << (200 if recurse else 302)
    world.finish()


def test_a_ban_outlasts_the_change() -> None:
    world = World(rates=Rates(per_source=1))
    alice = world.phone("alice")
    for _ in range(12):
        alice >> alice.request("OPTIONS", f"sip:{DOMAIN}")
    alice.inbox.clear()
    reconfigure(world, rates=Rates(per_source=1))
    alice >> alice.request("OPTIONS", f"sip:{DOMAIN}")
    alice.nothing()

"""A pool whose servers have addresses of both families (RFC 8305 §5): what does not connect soon holds nobody up."""

import pytest

from sipgw.registry import Pool, Server
from tests.harness import (
    REFUSING,
    SILENT,
    UP,
    MakeWorld,
    Party,
    World,
    default_endpoint,
    default_pool,
    diagnostics_of,
    reply,
)
from tests.scenarios.proxy.ladder import calls_pool, ends_with, hangs_up

STAGGER, FIRST_RESPONSE = 0.25, 3.0
NAME, SIX, FOUR = "pc.example.test", "2001:db8::51", "192.0.2.51"


def both(make_world: MakeWorld, *servers: Server) -> tuple[World, Party, Party, Party]:
    world = make_world([default_pool(*servers or (Server("TCP", NAME, 5041),))])
    world.names[NAME] = [SIX, FOUR]
    world.perform(world.engine.start_probing(world.now))  # looks the names up
    return world, world.phone("alice"), world.server(host=SIX), world.server(host=FOUR)


def takes(alice: Party, server: Party) -> None:
    server >> reply(server << "INVITE", 200, contact=server.contact)
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK")
    server << "ACK"
    hangs_up(dialog, server)


def events(world: World) -> list[str]:
    return [log.event for log in world.logs if log.event.startswith(("server ", "next hop"))]


def test_the_one_that_is_preferred_takes_the_call_when_it_connects(make_world: MakeWorld) -> None:
    world, alice, six, four = both(make_world)
    calls_pool(alice)
    world.advance(1.0)
    takes(alice, six)
    four.nothing()


def test_when_it_does_not_connect_soon_the_other_family_is_tried(make_world: MakeWorld) -> None:
    """Nothing is held against it, and its turn would come again."""
    world, alice, six, four = both(make_world)
    six.state = SILENT
    calls_pool(alice)
    world.advance(STAGGER - 0.01)
    four.nothing()
    world.advance(0.02)
    takes(alice, four)
    assert events(world) == []
    assert world.engine.health.known() == {}
    six.state = UP
    calls_pool(alice)
    takes(alice, six)


def test_its_turn_comes_again_when_the_other_fails(make_world: MakeWorld) -> None:
    world, alice, six, four = both(make_world)
    six.state, four.state = SILENT, REFUSING
    calls_pool(alice)
    world.advance(STAGGER - 0.01)
    six.state = UP
    world.advance(0.02)
    takes(alice, six)
    four.nothing()


def test_when_none_connects_the_caller_is_told_in_time(make_world: MakeWorld) -> None:
    world, alice, six, four = both(make_world)
    six.state = four.state = SILENT
    calls_pool(alice)
    world.advance(2 * STAGGER + 2 * FIRST_RESPONSE)
    _, text = diagnostics_of(ends_with(alice, 504))
    first, second = f"tcp:[{SIX}]:5041", f"tcp:{FOUR}:5041"
    assert f"{first} slow to connect, {second} slow to connect, {first} timeout, {second} timeout" in text


def test_a_call_that_has_been_hung_up_is_tried_nowhere_else(make_world: MakeWorld) -> None:
    world, alice, six, four = both(make_world)
    six.state = SILENT
    invite = calls_pool(alice)
    world.advance(0.1)
    alice >> alice.cancel(invite)
    alice << 200
    world.advance(STAGGER)
    ends_with(alice, 487)
    four.nothing()


@pytest.mark.parametrize("servers", [(SIX, FOUR), ("six.example.test", "four.example.test")])
def test_servers_of_their_own_are_not_hurried(make_world: MakeWorld, servers: tuple[str, str]) -> None:
    """The first is the one that is wanted, and the next may be another machine, or on standby."""
    pool = Pool("pcpool.example.test", tuple(Server("TCP", host, 5041) for host in servers), "sip:GC-1@example.test")
    world = make_world([pool], [default_endpoint(pool.fqdn)])
    world.names |= {"six.example.test": [SIX], "four.example.test": [FOUR]}
    alice, six, four = world.phone("alice"), world.server(host=SIX), world.server(host=FOUR)
    world.perform(world.engine.start_probing(world.now))
    six.state = SILENT
    calls_pool(alice)
    world.advance(FIRST_RESPONSE - 0.1)
    four.nothing()
    world.advance(0.2)
    takes(alice, four)

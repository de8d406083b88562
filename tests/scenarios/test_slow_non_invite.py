"""Requests other than INVITE that take long (RFC 4320): 100 when the sender has slowed down, no 408 ever."""

import pytest

from sipgw.registry import Server
from tests.harness import CONTACT_OBJECT, DOMAIN, POOL_FQDN, World, default_endpoint, default_pool, reply

SLOWED_DOWN = 3.5  # T1 + 2*T1 + 4*T1: the fourth sending is followed by T2


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_a_100_tells_the_sender_that_its_request_has_arrived(transport: str) -> None:
    world = World()
    alice, pool = world.phone("alice", transport), world.server()
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    at_pool = pool << "MESSAGE"
    world.advance(SLOWED_DOWN - 0.1)
    alice.nothing()
    world.advance(0.1)
    alice << 100
    pool >> reply(at_pool, 100)  # or the server would be given up
    world.advance(10)
    alice.nothing()
    pool >> reply(at_pool, 200)
    alice << 200
    world.finish()


def test_a_pool_server_has_time_for_its_own_100_before_the_next_is_tried() -> None:
    world = World()
    alice, (first, second) = world.phone("alice"), world.pool_servers()
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    at_first = first << "MESSAGE"
    world.advance(SLOWED_DOWN + 0.1)
    first >> reply(at_first, 100)
    world.advance(20)
    second.nothing()
    first >> reply(at_first, 200)
    alice << 100
    alice << 200
    world.finish()


def test_a_silent_pool_server_is_given_up_for_the_next() -> None:
    world = World()
    alice, (first, second) = world.phone("alice"), world.pool_servers()
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    first << "MESSAGE"
    world.advance(4.0)
    second >> reply(second << "MESSAGE", 200)
    alice << 100
    alice << 200
    world.finish()


def test_progress_below_is_not_passed_on(world: World) -> None:
    """RFC 4320 §4.1: a non-INVITE gets no provisional response but 100."""
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    at_pool = pool << "MESSAGE"
    pool >> reply(at_pool, 183)
    alice.nothing()
    pool >> reply(at_pool, 200)
    alice << 200
    world.finish()


def test_a_silent_user_gets_its_caller_no_late_408(world: World) -> None:
    alice, bob = world.phone("alice"), world.phone("bob")
    bob.sign_in()
    alice >> alice.request("MESSAGE", f"sip:bob@{DOMAIN}")
    bob << "MESSAGE"
    world.advance(40)
    alice << 100
    alice.nothing()
    world.finish()


def test_a_408_from_below_is_kept_back(world: World) -> None:
    alice, bob = world.phone("alice"), world.phone("bob")
    bob.sign_in()
    alice >> alice.request("MESSAGE", f"sip:bob@{DOMAIN}")
    bob >> reply(bob << "MESSAGE", 408)
    alice.nothing()
    world.finish()


def test_a_server_that_showed_itself_has_all_of_timer_f() -> None:
    world = World([default_pool(Server("TCP", "192.0.2.51", 5041))], [default_endpoint(POOL_FQDN)])
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    at_pool = pool << "MESSAGE"
    pool >> reply(at_pool, 100)
    world.advance(31.9)
    alice << 100
    alice.nothing()
    world.advance(0.2)
    alice << 504
    world.finish()

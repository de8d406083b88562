"""Requests inside dialogs: both directions by Record-Route, after a reconnect, across a restart, strict routers."""

from typing import Any

import pytest

from sipgw.events import Flow
from sipgw.message import Request
from sipgw.message.values import parse_name_addr
from sipgw.registry import Server
from tests.harness import (
    CONTACT_OBJECT,
    DOMAIN,
    REFUSING,
    Dialog,
    MakeWorld,
    Party,
    World,
    default_pool,
    diagnostics_of,
    make_engine,
    reply,
)


def gruu_of(answer: Any) -> str:
    (value,) = answer.values("contact")
    return str(value.partition('gruu="')[2].partition('"')[0])


def talk(world: World, alice: Party, pool: Party, contact: str = "") -> tuple[Dialog, Dialog]:
    """A dialog between alice and the pool, seen from both sides."""
    invite = alice.request("INVITE", CONTACT_OBJECT, f"Contact: <{contact or alice.contact}>", contact=False)
    alice >> invite
    alice << 100
    at_pool = pool << "INVITE"
    answer = reply(at_pool, 200, contact=pool.contact)
    pool >> answer
    caller, callee = alice.calling(alice << 200), pool.called(at_pool, answer)
    alice >> caller.request("ACK")
    pool << "ACK"
    return caller, callee


def both_ways(alice: Party, pool: Party, caller: Dialog, callee: Dialog) -> None:
    alice >> caller.request("INFO")
    pool >> reply(pool << "INFO", 200)
    alice << 200
    pool >> callee.request("INFO")
    alice >> reply(alice << "INFO", 200)
    pool << 200


def signed_in(world: World) -> tuple[Party, str]:
    alice = world.phone("alice", instance="a1")
    return alice, gruu_of(alice.sign_in())


def test_no_state_is_held_between_requests(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    caller, callee = talk(world, alice, pool)
    world.advance(7200)
    assert world.engine.sizes().timers == 0
    both_ways(alice, pool, caller, callee)


def test_over_udp_with_both_families(make_world: MakeWorld) -> None:
    """A client on IPv6, the pool on IPv4: Record-Route names a listener of each family."""
    world = make_world([default_pool(Server("UDP", "192.0.2.51", 5060))])
    alice, pool = world.phone("alice", "UDP", "2001:db8::7"), world.server("UDP", port=5060)
    caller, callee = talk(world, alice, pool)
    assert len(caller.routes) == 2
    assert "[2001:db8::1]:5060" in caller.routes[0]
    both_ways(alice, pool, caller, callee)


def test_a_user_calls_a_user(world: World) -> None:
    alice, bob = world.phone("alice", "UDP"), world.phone("bob", "TLS")
    bob.sign_in()
    alice >> alice.request("INVITE", bob.uri)
    alice << 100
    at_bob = bob << "INVITE"
    answer = reply(at_bob, 200, contact=bob.contact)
    bob >> answer
    caller, callee = alice.calling(alice << 200), bob.called(at_bob, answer)
    alice >> caller.request("ACK")
    bob << "ACK"
    both_ways(alice, bob, caller, callee)


def test_a_client_that_comes_back_is_found_by_its_gruu(world: World) -> None:
    alice, gruu = signed_in(world)
    pool = world.server()
    _, callee = talk(world, alice, pool, gruu)
    alice.break_connection()
    pool >> callee.request("INFO")
    assert diagnostics_of(pool << 481)[0] == 1004
    alice.connect(port=44444)
    alice.sign_in()
    pool >> callee.request("INFO")
    info = alice << "INFO"
    assert info.uri == gruu
    alice >> reply(info, 200)
    pool << 200


def test_the_gruu_of_another_user_does_not_lead_to_him(world: World) -> None:
    """The token names alice's lost connection; a Request-URI of bob's may not use it to get at bob unless it is his."""
    alice, gruu = signed_in(world)
    pool = world.server()
    _, callee = talk(world, alice, pool, gruu)
    alice.break_connection()
    callee.target = gruu.replace("epid:", "epid:X")
    pool >> callee.request("INFO")
    assert diagnostics_of(pool << 481)[0] == 1004


def test_the_connection_breaks_while_an_answer_is_due(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    caller, callee = talk(world, alice, pool)
    pool >> callee.request("INFO")
    alice << "INFO"
    alice.break_connection()
    assert diagnostics_of(pool << 481)[0] == 1004

    bob = world.phone("bob")
    caller, _ = talk(world, bob, pool)
    bob >> caller.request("INFO")
    pool << "INFO"
    pool.state = REFUSING
    pool.break_connection()
    assert diagnostics_of(bob << 481)[0] == 1004


def test_the_pool_is_dialled_again_inside_a_dialog(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    caller, _ = talk(world, alice, pool)
    pool.break_connection()
    alice >> caller.request("INFO")
    pool >> reply(pool << "INFO", 200)
    alice << 200


def test_a_dialog_outlives_a_restart(world: World) -> None:
    """The token holds all that is needed, so an engine with the same secret goes on with it."""
    alice, gruu = signed_in(world)
    pool = world.server()
    caller, callee = talk(world, alice, pool, gruu)
    rows = [row for persist in world.persisted for row in persist.puts]
    for party in (alice, pool):
        party.break_connection()
    world.advance(40)

    world.engine = make_engine(seed=2)
    world.engine.load_bindings(rows)
    pool.connect(port=51000)
    pool >> callee.request("INFO")
    assert diagnostics_of(pool << 481)[0] == 1004
    alice.connect(port=44444)
    alice.sign_in()
    pool >> callee.request("INFO")
    alice >> reply(alice << "INFO", 200)
    pool << 200
    alice >> caller.request("INFO")
    pool >> reply(pool << "INFO", 200)
    alice << 200


def test_another_secret_makes_old_routes_stale(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    caller, _ = talk(world, alice, pool)
    world.advance(40)
    other = World(secret=b"another secret of enough bytes..")
    bob = other.phone("alice")
    bob >> caller.request("INFO")
    assert diagnostics_of(bob << 481)[0] == 1004


def test_a_strict_router_before_us(world: World) -> None:
    """§16.4: it moves our Route into the Request-URI and the target to the end of the Route list."""
    alice, pool = world.phone("alice"), world.server()
    caller, _ = talk(world, alice, pool)
    ours, target = parse_name_addr(caller.routes[0]).uri, caller.target
    caller.target, caller.routes = ours, [f"<{target}>"]
    alice >> caller.request("INFO")
    info = pool << "INFO"
    assert info.uri == target
    assert "route" not in info.index
    pool >> reply(info, 200)
    alice << 200


def test_a_strict_router_before_two_record_routes(make_world: MakeWorld) -> None:
    world = make_world([default_pool(Server("TLS", "192.0.2.51", 5061))])
    alice, pool = world.phone("alice"), world.server("TLS", port=5061)
    caller, _ = talk(world, alice, pool)
    first, second = caller.routes
    target = caller.target
    caller.target, caller.routes = parse_name_addr(first).uri, [second, f"<{target}>"]
    alice >> caller.request("INFO")
    info = pool << "INFO"
    assert info.uri == target
    assert "route" not in info.index
    pool >> reply(info, 200)
    alice << 200


def test_routes_in_one_comma_list(make_world: MakeWorld) -> None:
    world = make_world([default_pool(Server("TLS", "192.0.2.51", 5061))])
    alice, pool = world.phone("alice"), world.server("TLS", port=5061)
    caller, callee = talk(world, alice, pool)
    caller.routes = [", ".join(caller.routes)]
    callee.routes = [" , ".join(callee.routes)]
    both_ways(alice, pool, caller, callee)


def test_what_follows_our_route_stays(world: World) -> None:
    """A proxy on the pool's side that recorded itself: its Route goes on with the request."""
    alice, pool = world.phone("alice"), world.server()
    caller, _ = talk(world, alice, pool)
    caller.routes.append("<sip:inner.example.test;lr>")
    alice >> caller.request("INFO")
    info = pool << "INFO"
    assert info.values("route") == ["<sip:inner.example.test;lr>"]
    pool >> reply(info, 200)
    alice << 200


def test_a_reinvite_gets_no_second_record_route(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    caller, _ = talk(world, alice, pool)
    invite: Request = caller.request("INVITE")
    alice >> invite
    alice << 100
    again = pool << "INVITE"
    assert "record-route" not in again.index
    pool >> reply(again, 200, contact=pool.contact)
    alice << 200
    caller.invite_cseq = caller.cseq
    alice >> caller.request("ACK")
    pool << "ACK"


@pytest.mark.parametrize("method", ["SUBSCRIBE", "REFER", "NOTIFY"])
def test_other_requests_that_form_dialogs_are_recorded_too(world: World, method: str) -> None:
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request(method, CONTACT_OBJECT)
    at_pool = pool << method
    assert len(at_pool.values("record-route")) == 1
    pool >> reply(at_pool, 202)
    alice << 202


@pytest.mark.parametrize("method", ["MESSAGE", "OPTIONS", "INFO"])
def test_requests_that_form_none_are_not(world: World, method: str) -> None:
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request(method, CONTACT_OBJECT)
    at_pool = pool << method
    assert "record-route" not in at_pool.index
    pool >> reply(at_pool, 200)
    alice << 200


def test_the_pool_starts_a_dialog_with_a_user(world: World) -> None:
    bob, pool = world.phone("bob", instance="b1"), world.server()
    bob.sign_in()
    pool.connect(port=51000)
    pool >> pool.request("INVITE", bob.uri)
    pool << 100
    at_bob = bob << "INVITE"
    answer = reply(at_bob, 200, contact=bob.contact)
    bob >> answer
    caller, callee = pool.calling(pool << 200), bob.called(at_bob, answer)
    pool >> caller.request("ACK")
    bob << "ACK"
    both_ways(pool, bob, caller, callee)
    assert DOMAIN in callee.remote


def test_a_caller_that_sends_from_another_port_than_it_listens_on() -> None:
    world = World()
    alice, pool = world.phone("alice", "UDP", port=5060), world.server()
    alice.flow = Flow("UDP", alice.host, 45000, world.listener("UDP", alice.host))
    _, callee = talk(world, alice, pool)
    pool >> callee.request("INFO")
    alice << "INFO"

"""The servers of a pool, one after the other: what crosses a change of server (RFC 3261 §16.9, RFC 3263 §4.3)."""

from collections.abc import Callable

import pytest

from sipgw.message import Request
from tests.harness import CONTACT_OBJECT, REFUSING, UP, MakeWorld, Party, World, diagnostics_of, reply
from tests.scenarios.proxy.ladder import (
    FORGOTTEN,
    TIMER_B,
    TIMER_C,
    accepts,
    acknowledges,
    all_quiet,
    calls_pool,
    cancelled,
    cancels,
    copies_until,
    ends_with,
    hangs_up,
    pool_of,
    refuses,
    repeats,
    trying,
)

FIRST_RESPONSE = 3.0
FIRST_SIGN = 4.0  # of a non-INVITE: a server may be silent on it for 3.5 s (RFC 4320 §4.1)
A_MOMENT = 0.01
Setup = tuple[World, Party, Party, Party]


@pytest.fixture
def two_servers(make_world: MakeWorld, transport: str) -> Setup:
    world, alice, (first, second) = pool_of(make_world, transport)
    return world, alice, first, second


def rings(server: Party, invite: Request, status: int = 180) -> None:
    server >> reply(invite, status, tag=server.host)


def takes(alice: Party, server: Party, invite: Request) -> None:
    """The whole of a call at a server, from its 200 to the BYE."""
    server >> reply(invite, 200, tag=server.host, contact=server.contact)
    ok = alice << 200
    assert ok.to_tag == server.host
    dialog = alice.calling(ok)
    alice >> dialog.request("ACK")
    server << "ACK"
    hangs_up(dialog, server)


def by_silence(world: World, transport: str, first: Party) -> Request:
    at_first: Request = repeats(first, "INVITE", 1)
    world.advance(FIRST_RESPONSE + A_MOMENT)
    for _ in range(copies_until(transport, FIRST_RESPONSE) - 1):
        first << "INVITE"
    first.nothing()
    return at_first


def by_overload(world: World, transport: str, first: Party) -> Request:
    at_first: Request = first << "INVITE"
    refuses(first, at_first, 503, "Retry-After: 10")
    return at_first


LEAVINGS: dict[str, Callable[[World, str, Party], Request]] = {"silence": by_silence, "503": by_overload}


@pytest.fixture(params=LEAVINGS.keys())
def leave(request: pytest.FixtureRequest) -> Callable[[World, str, Party], Request]:
    return LEAVINGS[request.param]


Leave = Callable[[World, str, Party], Request]


def test_the_next_server_gets_the_same_call_on_a_branch_of_its_own(
    two_servers: Setup, transport: str, leave: Leave
) -> None:
    world, alice, first, second = two_servers
    calls_pool(alice)
    at_first = leave(world, transport, first)
    at_second = second << "INVITE"
    assert at_second.via.branch != at_first.via.branch
    for name in ("from", "to", "call-id", "cseq", "max-forwards"):
        assert at_second.first(name) == at_first.first(name)
    assert len(at_second.values("via")) == 2
    takes(alice, second, at_second)
    all_quiet([alice, first, second])


@pytest.mark.parametrize("status", [100, 180, 200, 404, 486, 603])
def test_what_the_first_server_says_too_late_is_dropped(two_servers: Setup, transport: str, status: int) -> None:
    """Its client transaction ended with the change of server; the call at the second is not disturbed."""
    world, alice, first, second = two_servers
    calls_pool(alice)
    late = by_silence(world, transport, first)
    at_second = second << "INVITE"
    first >> reply(late, status, contact=first.contact)
    all_quiet([alice, first, second])
    rings(second, at_second)
    alice << 180
    first >> reply(late, status, contact=first.contact)
    all_quiet([alice, first, second])
    takes(alice, second, at_second)
    first >> reply(late, status, contact=first.contact)
    all_quiet([alice, first, second])


def test_what_an_overloaded_server_says_afterwards_is_dropped(two_servers: Setup, transport: str) -> None:
    """A 503 and then a 200 on the same branch: the transaction is Completed (§17.1.1.2)."""
    world, alice, first, second = two_servers
    calls_pool(alice)
    at_first = by_overload(world, transport, first)
    at_second = second << "INVITE"
    accepts(first, at_first)
    all_quiet([alice, first, second])
    takes(alice, second, at_second)


def test_an_overload_told_again_is_acknowledged_again(make_world: MakeWorld) -> None:
    _, alice, (first, second) = pool_of(make_world, "UDP")
    calls_pool(alice)
    at_first = first << "INVITE"
    busy = refuses(first, at_first, 503)
    at_second = second << "INVITE"
    first >> busy
    assert (first << "ACK").via.branch == at_first.via.branch
    second.nothing()
    takes(alice, second, at_second)
    all_quiet([alice, first, second])


def test_a_call_cancelled_at_the_second_server_is_not_cancelled_at_the_first(
    two_servers: Setup, transport: str, leave: Leave
) -> None:
    world, alice, first, second = two_servers
    invite = calls_pool(alice)
    leave(world, transport, first)
    at_second = second << "INVITE"
    trying(second, at_second)
    cancels(alice, invite)
    second >> reply(cancelled(second, at_second), 200)
    refuses(second, at_second, 487)
    ends_with(alice, 487)
    world.advance(FORGOTTEN)
    all_quiet([alice, first, second])


def test_a_call_cancelled_while_the_first_server_is_silent_goes_no_further(two_servers: Setup, transport: str) -> None:
    """There is no provisional to send a CANCEL after (§9.1); when the server's time is up the call is over."""
    world, alice, first, second = two_servers
    invite = calls_pool(alice)
    world.advance(1)
    cancels(alice, invite)
    world.advance(FIRST_RESPONSE - 1 - A_MOMENT)
    alice.nothing()
    world.advance(2 * A_MOMENT)
    ends_with(alice, 487)
    world.advance(FORGOTTEN)
    repeats(first, "INVITE", copies_until(transport, FIRST_RESPONSE))
    second.nothing()


@pytest.mark.parametrize("status", [503, 486, 487])
def test_a_call_cancelled_just_before_the_first_server_refuses_goes_no_further(two_servers: Setup, status: int) -> None:
    _, alice, first, second = two_servers
    invite = calls_pool(alice)
    at_first = first << "INVITE"
    trying(first, at_first)
    cancels(alice, invite)
    cancel = cancelled(first, at_first)
    refuses(first, at_first, status)
    first >> reply(cancel, 481)
    ends_with(alice, 487 if status == 503 else status)
    second.nothing()


def test_a_call_cancelled_just_after_the_change_of_server_ends_there(
    two_servers: Setup, transport: str, leave: Leave
) -> None:
    world, alice, first, second = two_servers
    invite = calls_pool(alice)
    leave(world, transport, first)
    at_second = second << "INVITE"
    cancels(alice, invite)
    second.nothing()
    trying(second, at_second)
    second >> reply(cancelled(second, at_second), 200)
    refuses(second, at_second, 487)
    ends_with(alice, 487)
    first.nothing()


def test_a_cancelled_call_whose_connection_breaks_goes_no_further(make_world: MakeWorld) -> None:
    _, alice, (first, second) = pool_of(make_world, "TCP")
    invite = calls_pool(alice)
    first << "INVITE"
    cancels(alice, invite)
    first.break_connection()
    ends_with(alice, 487)
    second.nothing()


def test_a_call_survives_a_server_that_breaks_off_after_ringing(make_world: MakeWorld) -> None:
    """§16.9, §16.7 item 1: a transport error is a 503, and after a 503 the next server is to be tried."""
    _, alice, (first, second) = pool_of(make_world, "TCP")
    calls_pool(alice)
    rings(first, first << "INVITE")
    alice << 180
    first.break_connection()
    takes(alice, second, second << "INVITE")
    all_quiet([alice, second])


def test_a_call_survives_a_server_that_is_overloaded_after_ringing(two_servers: Setup) -> None:
    _, alice, first, second = two_servers
    calls_pool(alice)
    at_first = first << "INVITE"
    rings(first, at_first)
    alice << 180
    refuses(first, at_first, 503)
    takes(alice, second, second << "INVITE")
    all_quiet([alice, first, second])


def test_a_broken_connection_moves_every_call_that_waits_on_it_and_no_other(make_world: MakeWorld) -> None:
    world, alice, (first, second) = pool_of(make_world, "TCP")
    dora = world.phone("dora")
    calls_pool(alice)
    up = first << "INVITE"
    first >> reply(up, 200, tag=first.host, contact=first.contact)
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK")
    first << "ACK"
    calls_pool(alice)
    calls_pool(dora)
    assert [first << "INVITE", first << "INVITE"]
    first.state = REFUSING
    first.break_connection()
    moved = [second << "INVITE", second << "INVITE"]
    for caller, at_second in zip((alice, dora), moved, strict=True):
        takes(caller, second, at_second)
    all_quiet([alice, dora, second])
    first.state = UP
    hangs_up(dialog, first)


def test_each_server_is_tried_once_and_in_order(make_world: MakeWorld, transport: str) -> None:
    _, alice, servers = pool_of(make_world, transport, 4)
    calls_pool(alice)
    for server in servers[:-1]:
        alice.nothing()
        refuses(server, server << "INVITE", 503)
    takes(alice, servers[-1], servers[-1] << "INVITE")
    all_quiet([alice, *servers])


@pytest.mark.parametrize("ways", [("503", "silence"), ("silence", "503"), ("silence", "silence"), ("503", "503")])
def test_when_the_last_server_fails_the_caller_is_told(
    make_world: MakeWorld, transport: str, ways: tuple[str, str]
) -> None:
    world, alice, servers = pool_of(make_world, transport)
    calls_pool(alice)
    for server, way in zip(servers, ways, strict=True):
        alice.nothing()
        LEAVINGS[way](world, transport, server)
    response = ends_with(alice, 503 if ways[-1] == "503" else 504)
    number, text = diagnostics_of(response)
    assert number in (20000, 1011)
    assert all(f"{server.host}:{server.port}" in text for server in servers)
    world.advance(FORGOTTEN)
    all_quiet([alice, *servers])


def test_refused_silent_overloaded_and_healthy_servers_in_a_row(make_world: MakeWorld) -> None:
    world, alice, (refusing, silent, full, healthy) = pool_of(make_world, "TCP", 4)
    refusing.state = REFUSING
    calls_pool(alice)
    by_silence(world, "TCP", silent)
    by_overload(world, "TCP", full)
    takes(alice, healthy, healthy << "INVITE")
    all_quiet([alice, refusing, silent, full, healthy])


@pytest.mark.parametrize("status", [404, 480, 486, 500, 504, 603])
def test_an_answer_of_the_second_server_is_final(two_servers: Setup, transport: str, leave: Leave, status: int) -> None:
    world, alice, first, second = two_servers
    calls_pool(alice)
    leave(world, transport, first)
    refuses(second, second << "INVITE", status)
    ends_with(alice, status)
    all_quiet([first, second])


@pytest.mark.parametrize("ends", [487, 503, 408, 0], ids=lambda status: str(status or "never"))
def test_a_server_that_rings_for_ever_is_not_followed_by_another(two_servers: Setup, ends: int) -> None:
    """Timer C ends the call: the person at the other end did not answer, and would not at the next server."""
    world, alice, first, second = two_servers
    calls_pool(alice)
    at_first = first << "INVITE"
    rings(first, at_first)
    alice << 180
    world.advance(TIMER_C + A_MOMENT)
    first >> reply(cancelled(first, at_first), 200)
    if ends:
        refuses(first, at_first, ends)
        ends_with(alice, ends)
    else:
        world.advance(TIMER_B + A_MOMENT)
        ends_with(alice, 408)
    all_quiet([first, second])


def test_an_invite_repeated_during_the_change_of_server_is_absorbed(make_world: MakeWorld) -> None:
    world, alice, (first, second) = pool_of(make_world, "UDP")
    invite = calls_pool(alice)
    by_silence(world, "UDP", first)
    at_second = second << "INVITE"
    alice >> invite
    alice << 100
    all_quiet([first, second])
    takes(alice, second, at_second)


@pytest.mark.parametrize("method", ["MESSAGE", "OPTIONS", "SUBSCRIBE", "NOVELTY"])
def test_other_requests_change_servers_too(two_servers: Setup, transport: str, method: str) -> None:
    """On silence after the time that RFC 4320 §4.1 gives a server to show itself, on 503 at once."""
    world, alice, first, second = two_servers
    alice >> alice.request(method, CONTACT_OBJECT)
    first >> reply(first << method, 503)
    at_second = second << method
    second >> reply(at_second, 200)
    alice << 200
    alice >> alice.request(method, CONTACT_OBJECT)
    late = first << method
    world.advance(FIRST_SIGN - A_MOMENT)
    alice << 100  # RFC 4320 §4.1
    second.nothing()
    world.advance(2 * A_MOMENT)
    if transport == "UDP":
        repeats(first, method, 3)
    second >> reply(second << method, 200)
    alice << 200
    first >> reply(late, 200)
    all_quiet([alice, first, second])


def test_a_call_in_progress_stays_with_the_server_that_took_it(two_servers: Setup, transport: str) -> None:
    world, alice, first, second = two_servers
    calls_pool(alice)
    by_silence(world, transport, first)
    at_second = second << "INVITE"
    ok = reply(at_second, 200, tag=second.host, contact=second.contact)
    second >> ok
    dialog = acknowledges(alice, alice << 200, second)
    for method in ("INFO", "UPDATE", "NOVELTY"):
        alice >> dialog.request(method)
        second >> reply(second << method, 200)
        assert (alice << 200).cseq.method == method
    hangs_up(second.called(at_second, ok), alice)
    all_quiet([alice, first, second])

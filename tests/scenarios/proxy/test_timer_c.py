"""Timer C: what rings for ever is ended by the gateway (RFC 3261 §16.6 item 11, §16.7 item 2, §16.8)."""

import pytest

from sipgw.message import Request
from tests.harness import Party, World, reply
from tests.scenarios.proxy.ladder import (
    FORGOTTEN,
    TIMER_B,
    TIMER_C,
    accepts,
    all_quiet,
    answers,
    calls,
    cancelled,
    cancels,
    copies_until,
    desks,
    ends_with,
    gives_up,
    hangs_up,
    hears,
    refuses,
    repeats,
    rings,
    trying,
)

A_MOMENT = 0.01


@pytest.fixture
def alice(world: World, transport: str) -> Party:
    return world.phone("alice", transport)


def ringing(world: World, transport: str, alice: Party) -> tuple[Party, Request]:
    (bob,) = desks(world, transport, 1.0)
    calls(alice)
    at_bob: Request = bob << "INVITE"
    rings(bob, at_bob)
    hears(alice, 180, bob)
    return bob, at_bob


def rung_out(world: World, transport: str, alice: Party) -> tuple[Party, Request, Request]:
    """Bob rang until Timer C and has just been sent the CANCEL. Bob, his INVITE, the CANCEL."""
    bob, at_bob = ringing(world, transport, alice)
    world.advance(TIMER_C - A_MOMENT)
    all_quiet([alice, bob])
    world.advance(2 * A_MOMENT)
    return bob, at_bob, cancelled(bob, at_bob)


def test_a_call_may_ring_for_three_minutes_and_no_longer(world: World, transport: str, alice: Party) -> None:
    bob, at_bob, cancel = rung_out(world, transport, alice)
    bob >> reply(cancel, 200)
    refuses(bob, at_bob, 487)
    ends_with(alice, 487)


@pytest.mark.parametrize("status", [180, 181, 182, 183, 199])
def test_each_sign_of_life_gives_the_call_another_three_minutes(
    world: World, transport: str, alice: Party, status: int
) -> None:
    bob, at_bob = ringing(world, transport, alice)
    for _ in range(3):
        world.advance(TIMER_C - A_MOMENT)
        rings(bob, at_bob, status)
        hears(alice, status, bob)
    world.advance(TIMER_C - A_MOMENT)
    all_quiet([alice, bob])
    world.advance(2 * A_MOMENT)
    gives_up(bob, at_bob)
    ends_with(alice, 487)


def test_trying_is_no_sign_of_life(world: World, transport: str, alice: Party) -> None:
    """§16.7 item 2: provisionals from 101 to 199 reset the timer, 100 does not."""
    bob, at_bob = ringing(world, transport, alice)
    for _ in range(3):
        world.advance(60)
        trying(bob, at_bob)
    all_quiet([alice, bob])
    world.advance(TIMER_C - 180 + A_MOMENT)
    gives_up(bob, at_bob)
    ends_with(alice, 487)


def test_a_call_that_is_only_ever_tried_is_ended_too(world: World, transport: str, alice: Party) -> None:
    (bob,) = desks(world, transport, 1.0)
    calls(alice)
    at_bob = bob << "INVITE"
    trying(bob, at_bob)
    world.advance(180)
    all_quiet([alice, bob])
    world.advance(TIMER_C - 180 + A_MOMENT)
    gives_up(bob, at_bob)
    ends_with(alice, 487)


def test_an_answered_call_is_not_timed(world: World, transport: str, alice: Party) -> None:
    bob, at_bob = ringing(world, transport, alice)
    dialog = answers(alice, bob, at_bob)
    world.advance(2 * TIMER_C)
    all_quiet([alice, bob])
    assert world.engine.counters["timer_c"] == 0
    hangs_up(dialog, bob)


def test_a_failed_call_is_not_timed(world: World, transport: str, alice: Party) -> None:
    bob, at_bob = ringing(world, transport, alice)
    refuses(bob, at_bob, 486)
    ends_with(alice, 486)
    world.advance(2 * TIMER_C)
    all_quiet([alice, bob])
    assert world.engine.counters["timer_c"] == 0


def test_a_phone_that_ignores_the_cancel_leaves_the_caller_with_408(world: World, transport: str, alice: Party) -> None:
    """§16.8, §9.1: 64*T1 after the CANCEL the branch counts as one that never gave a final response."""
    bob, _, _ = rung_out(world, transport, alice)
    world.advance(TIMER_B - 1)
    alice.nothing()
    world.advance(1)
    ends_with(alice, 408)
    world.advance(FORGOTTEN)
    if transport == "UDP":
        repeats_of_cancel = copies_until(transport, TIMER_B, invite=False) - 1
        repeats(bob, "CANCEL", repeats_of_cancel)
    bob.nothing()


def test_a_phone_that_grants_the_cancel_and_never_ends_the_call_leaves_the_caller_with_408(
    world: World, transport: str, alice: Party
) -> None:
    bob, _, cancel = rung_out(world, transport, alice)
    bob >> reply(cancel, 200)
    world.advance(TIMER_B + A_MOMENT)
    ends_with(alice, 408)
    bob.nothing()


def test_a_487_that_is_slow_is_still_the_answer(world: World, transport: str, alice: Party) -> None:
    bob, at_bob, cancel = rung_out(world, transport, alice)
    bob >> reply(cancel, 200)
    world.advance(TIMER_B - 1)
    refuses(bob, at_bob, 487)
    ends_with(alice, 487)


def test_an_answer_that_crosses_the_cancel_of_timer_c_is_a_call(world: World, transport: str, alice: Party) -> None:
    bob, at_bob, cancel = rung_out(world, transport, alice)
    dialog = answers(alice, bob, at_bob)
    bob >> reply(cancel, 481)
    hangs_up(dialog, bob)
    all_quiet([alice, bob])


@pytest.mark.parametrize("status", [200, 486, 487, 180])
def test_what_comes_after_the_call_was_given_up_on_is_dropped(
    world: World, transport: str, alice: Party, status: int
) -> None:
    """No client transaction is left: a proxy forwards no stray response (RFC 6026 §8.9)."""
    bob, at_bob, cancel = rung_out(world, transport, alice)
    bob >> reply(cancel, 200)
    world.advance(TIMER_B + A_MOMENT)
    ends_with(alice, 408)
    bob >> reply(at_bob, status)
    all_quiet([alice, bob])
    world.advance(TIMER_C)
    bob >> reply(at_bob, status)
    all_quiet([alice, bob])


def test_a_phone_that_rings_on_after_the_cancel_does_not_keep_the_call(
    world: World, transport: str, alice: Party
) -> None:
    bob, at_bob, cancel = rung_out(world, transport, alice)
    bob >> reply(cancel, 200)
    world.advance(20)
    rings(bob, at_bob)
    hears(alice, 180, bob)
    world.advance(TIMER_B - 20 + A_MOMENT)
    ends_with(alice, 408)
    world.advance(TIMER_C)
    all_quiet([alice, bob])


def test_a_call_that_its_caller_has_cancelled_is_not_cancelled_again(
    world: World, transport: str, alice: Party
) -> None:
    """The CANCEL left just before Timer C ran out; there is one per branch."""
    (bob,) = desks(world, transport, 1.0)
    invite = calls(alice)
    at_bob = bob << "INVITE"
    rings(bob, at_bob)
    hears(alice, 180, bob)
    world.advance(TIMER_C - 5)
    cancels(alice, invite)
    cancel = cancelled(bob, at_bob)
    bob >> reply(cancel, 200)
    world.advance(10)
    all_quiet([alice, bob])
    refuses(bob, at_bob, 487)
    ends_with(alice, 487)


def test_a_caller_who_hangs_up_after_timer_c_does_not_cause_a_second_cancel(
    world: World, transport: str, alice: Party
) -> None:
    (bob,) = desks(world, transport, 1.0)
    invite = calls(alice)
    at_bob = bob << "INVITE"
    rings(bob, at_bob)
    hears(alice, 180, bob)
    world.advance(TIMER_C + A_MOMENT)
    cancel = cancelled(bob, at_bob)
    bob >> reply(cancel, 200)
    cancels(alice, invite)
    bob.nothing()
    refuses(bob, at_bob, 487)
    ends_with(alice, 487)


def test_in_a_fork_each_endpoint_has_its_own_three_minutes(world: World, transport: str, alice: Party) -> None:
    """§16.7 item 2 resets the timer of the branch that the provisional came on, not that of its neighbour."""
    lively, dull = desks(world, transport, 1.0, 1.0)
    calls(alice)
    at_lively, at_dull = lively << "INVITE", dull << "INVITE"
    for bob, at in ((lively, at_lively), (dull, at_dull)):
        rings(bob, at)
        hears(alice, 180, bob)
    world.advance(100)
    rings(lively, at_lively)
    hears(alice, 180, lively)
    world.advance(TIMER_C - 100 + A_MOMENT)
    gives_up(dull, at_dull)
    all_quiet([alice, lively])
    world.advance(100 - 1)
    all_quiet([alice, lively])
    world.advance(1 + A_MOMENT)
    gives_up(lively, at_lively)
    ends_with(alice, 487)


@pytest.mark.parametrize("branches", [2, 3, 5])
def test_a_fork_in_which_nobody_answers_is_ended_as_a_whole(
    world: World, transport: str, alice: Party, branches: int
) -> None:
    bobs = desks(world, transport, *[1.0] * branches)
    calls(alice)
    at = [bob << "INVITE" for bob in bobs]
    for bob, invite in zip(bobs, at, strict=True):
        rings(bob, invite)
        hears(alice, 180, bob)
    world.advance(TIMER_C + A_MOMENT)
    for bob, invite in zip(bobs, at, strict=True):
        alice.nothing()
        gives_up(bob, invite)
    ends_with(alice, 487)


def test_an_endpoint_that_answers_while_another_rings_out_takes_the_call(
    world: World, transport: str, alice: Party
) -> None:
    dull, lively = desks(world, transport, 1.0, 1.0)
    calls(alice)
    at_dull, at_lively = dull << "INVITE", lively << "INVITE"
    rings(dull, at_dull)
    hears(alice, 180, dull)
    world.advance(0.4)
    rings(lively, at_lively)
    hears(alice, 180, lively)
    world.advance(TIMER_C - 0.4 + A_MOMENT)
    gives_up(dull, at_dull)
    dialog = answers(alice, lively, at_lively)
    hangs_up(dialog, lively)
    all_quiet([alice, dull, lively])


def test_two_ranks_that_ring_out_one_after_the_other_end_the_call(world: World, transport: str, alice: Party) -> None:
    first, second = desks(world, transport, 1.0, 0.5)
    calls(alice)
    for bob in (first, second):
        at = bob << "INVITE"
        rings(bob, at)
        hears(alice, 180, bob)
        world.advance(TIMER_C + A_MOMENT)
        gives_up(bob, at)
    ends_with(alice, 487)


@pytest.mark.parametrize("method", ["MESSAGE", "OPTIONS"])
def test_other_requests_know_no_timer_c(world: World, alice: Party, transport: str, method: str) -> None:
    """Timer F ends them long before; no CANCEL is ever sent for them (§9.1)."""
    (bob,) = desks(world, transport, 1.0)
    alice >> alice.request(method, bob.uri)
    at_bob = bob << method
    trying(bob, at_bob)
    world.advance(10)
    alice << 100  # RFC 4320 §4.1
    if transport == "UDP":  # at 0.5 s, then every T2 (§17.1.2.2)
        repeats(bob, method, 3)
    bob >> reply(at_bob, 200)
    alice << 200
    world.advance(2 * TIMER_C)
    all_quiet([alice, bob])


def test_a_late_answer_of_one_endpoint_reaches_the_caller_of_another(
    world: World, transport: str, alice: Party
) -> None:
    """One endpoint rings out and answers nonetheless, after its neighbour's failure: within 64*T1 that is a call."""
    dull, busy = desks(world, transport, 1.0, 1.0)
    calls(alice)
    at_dull, at_busy = dull << "INVITE", busy << "INVITE"
    rings(dull, at_dull)
    hears(alice, 180, dull)
    refuses(busy, at_busy, 486)
    world.advance(TIMER_C + A_MOMENT)
    cancel = cancelled(dull, at_dull)
    dull >> reply(cancel, 200)
    world.advance(15)
    ok = accepts(dull, at_dull)
    dialog = alice.calling(hears(alice, 200, dull))
    alice >> dialog.request("ACK")
    dull << "ACK"
    dull >> ok
    hears(alice, 200, dull)
    hangs_up(dialog, dull)
    all_quiet([alice, dull, busy])

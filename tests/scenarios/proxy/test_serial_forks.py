"""A user with endpoints of different ranks: the next is tried when the ones before have failed (RFC 3261 §16.6, q)."""

import pytest

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
    tag_of,
    trying,
)


@pytest.fixture
def alice(world: World, transport: str) -> Party:
    return world.phone("alice", transport)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_each_rank_is_tried_when_the_one_above_was_busy(world: World, transport: str, alice: Party, depth: int) -> None:
    bobs = desks(world, transport, *[1.0 - 0.1 * rank for rank in range(depth)])
    calls(alice)
    for rank, bob in enumerate(bobs[:-1]):
        all_quiet([alice, *bobs[rank + 1 :]])
        refuses(bob, bob << "INVITE", 486)
    answers(alice, bobs[-1], bobs[-1] << "INVITE")
    all_quiet([alice, *bobs])


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_the_caller_hears_busy_when_every_rank_is(world: World, transport: str, alice: Party, depth: int) -> None:
    bobs = desks(world, transport, *[1.0 - 0.1 * rank for rank in range(depth)])
    calls(alice)
    for bob in bobs:
        alice.nothing()
        refuses(bob, bob << "INVITE", 486)
    ends_with(alice, 486)


def test_endpoints_of_lower_rank_never_hear_of_a_call_that_was_taken(
    world: World, transport: str, alice: Party
) -> None:
    first, second, third = desks(world, transport, 1.0, 0.7, 0.3)
    calls(alice)
    at_first = first << "INVITE"
    rings(first, at_first)
    hears(alice, 180, first)
    dialog = answers(alice, first, at_first)
    hangs_up(dialog, first)
    world.advance(FORGOTTEN)
    all_quiet([alice, first, second, third])


def test_equal_ranks_ring_together_before_the_next_rank(world: World, transport: str, alice: Party) -> None:
    a, b, c, d, e = desks(world, transport, 1.0, 1.0, 0.5, 0.5, 0.1)
    calls(alice)
    at_a, at_b = a << "INVITE", b << "INVITE"
    refuses(a, at_a, 404)
    all_quiet([alice, c, d, e])
    refuses(b, at_b, 480)
    at_c, at_d = c << "INVITE", d << "INVITE"
    all_quiet([alice, e])
    rings(d, at_d)
    hears(alice, 180, d)
    answers(alice, c, at_c)
    gives_up(d, at_d)
    all_quiet([alice, a, b, c, d, e])


def test_the_caller_hears_each_rank_ring_in_turn(world: World, transport: str, alice: Party) -> None:
    """The To tags differ, so that the caller can keep the early dialogs apart."""
    bobs = desks(world, transport, 1.0, 0.5, 0.2)
    calls(alice)
    for bob in bobs:
        at = bob << "INVITE"
        rings(bob, at, 180)
        hears(alice, 180, bob)
        rings(bob, at, 183)
        hears(alice, 183, bob)
        refuses(bob, at, 480)
    ends_with(alice, 480)


def test_a_silent_endpoint_is_left_after_timer_b(world: World, transport: str, alice: Party) -> None:
    first, second = desks(world, transport, 1.0, 0.5)
    calls(alice)
    world.advance(TIMER_B - 0.01)
    all_quiet([alice, second])
    world.advance(0.02)
    answers(alice, second, second << "INVITE")
    repeats(first, "INVITE", copies_until(transport, TIMER_B))
    all_quiet([alice, second])


def test_an_answer_of_an_endpoint_that_was_left_comes_too_late(world: World, transport: str, alice: Party) -> None:
    """Its client transaction is gone: the 2xx matches nothing and is dropped (RFC 6026 §8.9, §18.1.2)."""
    first, second = desks(world, transport, 1.0, 0.5)
    calls(alice)
    world.advance(TIMER_B + 0.01)
    at_first = repeats(first, "INVITE", copies_until(transport, TIMER_B))
    at_second = second << "INVITE"
    accepts(first, at_first)
    all_quiet([alice, first])
    rings(second, at_second)
    hears(alice, 180, second)
    answers(alice, second, at_second)
    all_quiet([alice, first, second])


def test_an_endpoint_that_cannot_be_reached_is_passed_over_at_once(world: World) -> None:
    alice, (dead, second) = world.phone("alice"), desks(world, "TCP", 1.0, 0.5)
    dead.break_connection()
    calls(alice)
    answers(alice, second, second << "INVITE")


def test_an_endpoint_whose_connection_breaks_is_passed_over_at_once(world: World) -> None:
    alice, (first, second) = world.phone("alice"), desks(world, "TCP", 1.0, 0.5)
    calls(alice)
    at_first = first << "INVITE"
    rings(first, at_first)
    hears(alice, 180, first)
    second.nothing()
    first.break_connection()
    answers(alice, second, second << "INVITE")
    alice.nothing()


def test_an_overloaded_endpoint_is_passed_over_at_once(world: World, transport: str, alice: Party) -> None:
    first, second = desks(world, transport, 1.0, 0.5)
    calls(alice)
    refuses(first, first << "INVITE", 503, "Retry-After: 60")
    answers(alice, second, second << "INVITE")
    first.nothing()


@pytest.mark.parametrize("status", [600, 603, 604, 606])
def test_a_global_refusal_keeps_lower_ranks_from_being_tried(
    world: World, transport: str, alice: Party, status: int
) -> None:
    """§16.7 item 5: after 6xx no new branch is started."""
    first, second, third = desks(world, transport, 1.0, 0.5, 0.2)
    calls(alice)
    refuses(first, first << "INVITE", status)
    assert ends_with(alice, status).to_tag == tag_of(first)
    world.advance(FORGOTTEN)
    all_quiet([second, third])


@pytest.mark.parametrize(
    ("statuses", "best"),
    [
        ((404, 500, 302), 302),
        ((500, 404), 404),
        ((500, 502), 500),
        ((486, 486, 486), 486),
        ((503, 500), 500),
        ((503, 503), 500),
        ((500, 404, 603), 603),
        ((302, 603), 603),
        ((404, 407, 500), 407),
    ],
    ids=str,
)
def test_the_best_of_all_ranks_goes_back(
    world: World, transport: str, alice: Party, statuses: tuple[int, ...], best: int
) -> None:
    """§16.7 item 6. Among 5xx any may be chosen, but no 503."""
    bobs = desks(world, transport, *[1.0 - 0.1 * rank for rank in range(len(statuses))])
    calls(alice)
    for bob, status in zip(bobs, statuses, strict=True):
        alice.nothing()
        refuses(bob, bob << "INVITE", status)
    ends_with(alice, best)


def test_the_challenges_of_all_ranks_go_back_together(world: World, transport: str, alice: Party) -> None:
    """§16.7 item 7: the caller can answer them all in one further INVITE."""
    bobs = desks(world, transport, 1.0, 0.5, 0.2)
    fields = (
        (401, 'WWW-Authenticate: Digest realm="one", nonce="1"'),
        (404, "X-Other: 1"),
        (407, 'Proxy-Authenticate: Digest realm="three", nonce="3"'),
    )
    calls(alice)
    for bob, (status, line) in zip(bobs, fields, strict=True):
        refuses(bob, bob << "INVITE", status, line)
    response = ends_with(alice, 401)
    assert response.lines_of("www-authenticate") == ['Digest realm="one", nonce="1"']
    assert response.lines_of("proxy-authenticate") == ['Digest realm="three", nonce="3"']


@pytest.mark.parametrize("earlier", [500, 404, 401])
def test_a_cancelled_call_is_not_offered_to_the_next_rank(
    world: World, transport: str, alice: Party, earlier: int
) -> None:
    """And its caller is told that it is cancelled, not what an earlier rank had to say."""
    first, second, third = desks(world, transport, 1.0, 0.5, 0.2)
    invite = calls(alice)
    refuses(first, first << "INVITE", earlier)
    at_second = second << "INVITE"
    rings(second, at_second)
    hears(alice, 180, second)
    cancels(alice, invite)
    gives_up(second, at_second)
    ends_with(alice, 487)
    world.advance(FORGOTTEN)
    third.nothing()


@pytest.mark.parametrize("status", [404, 486, 480])
def test_a_refusal_that_crosses_the_cancel_is_not_followed_by_the_next_rank(
    world: World, transport: str, alice: Party, status: int
) -> None:
    first, second = desks(world, transport, 1.0, 0.5)
    invite = calls(alice)
    at_first = first << "INVITE"
    rings(first, at_first)
    hears(alice, 180, first)
    cancels(alice, invite)
    cancel = cancelled(first, at_first)
    refuses(first, at_first, status)
    first >> reply(cancel, 481)
    ends_with(alice, status)
    second.nothing()


def test_a_connection_that_breaks_after_the_cancel_is_not_followed_by_the_next_rank(world: World) -> None:
    alice, (first, second) = world.phone("alice"), desks(world, "TCP", 1.0, 0.5)
    invite = calls(alice)
    at_first = first << "INVITE"
    rings(first, at_first)
    hears(alice, 180, first)
    cancels(alice, invite)
    cancelled(first, at_first)
    first.break_connection()
    ends_with(alice, 487)
    second.nothing()


def test_an_answer_that_crosses_the_cancel_is_the_end_of_the_search(world: World, transport: str, alice: Party) -> None:
    first, second = desks(world, transport, 1.0, 0.5)
    invite = calls(alice)
    at_first = first << "INVITE"
    rings(first, at_first)
    hears(alice, 180, first)
    cancels(alice, invite)
    cancel = cancelled(first, at_first)
    dialog = answers(alice, first, at_first)
    first >> reply(cancel, 481)
    hangs_up(dialog, first)
    all_quiet([alice, first, second])


def test_an_endpoint_that_rings_out_gives_way_to_the_next_rank(world: World, transport: str, alice: Party) -> None:
    """§16.8: Timer C cancels the branch; its 487 is one failure among others and the search goes on."""
    first, second = desks(world, transport, 1.0, 0.5)
    calls(alice)
    at_first = first << "INVITE"
    rings(first, at_first)
    hears(alice, 180, first)
    world.advance(TIMER_C + 0.01)
    all_quiet([alice, second])
    gives_up(first, at_first)
    answers(alice, second, second << "INVITE")
    all_quiet([alice, first, second])


def test_a_lower_rank_has_its_own_time_to_ring(world: World, transport: str, alice: Party) -> None:
    """Timer C runs per branch (§16.6 item 11): what the first endpoint used up is not taken from the second."""
    first, second = desks(world, transport, 1.0, 0.5)
    calls(alice)
    at_first = first << "INVITE"
    rings(first, at_first)
    hears(alice, 180, first)
    world.advance(150)
    refuses(first, at_first, 480)
    at_second = second << "INVITE"
    trying(second, at_second)
    world.advance(150)
    second.nothing()
    rings(second, at_second)
    hears(alice, 180, second)
    answers(alice, second, at_second)

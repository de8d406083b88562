"""Which failure the caller of a fork hears (RFC 3261 §16.7 items 6 and 7), over every order in which they can come.

Where the RFC leaves a choice the table has endpoints fail alike, or the case is one of the tests below the table.
"""

from itertools import permutations

import pytest

from tests.harness import SILENT, Party, World
from tests.scenarios.proxy.ladder import TIMER_B, all_quiet, answers, calls, desks, ends_with, hangs_up, refuses, tag_of

Rows = list[tuple[tuple[int, ...], int]]
DEAD, MUTE = -1, -2  # an endpoint that cannot be reached; one that never answers

# what the endpoints answer; what the caller hears
CLASSES: Rows = [
    ((302, 404), 302),
    ((302, 500), 302),
    ((302, 603), 603),
    ((404, 500), 404),
    ((404, 603), 603),
    ((500, 603), 603),
    ((302, 404, 500), 302),
    ((404, 500, 603), 603),
    ((302, 404, 603), 603),
    ((302, 500, 600), 600),
    ((480, 500, 503), 480),
    ((500, 503), 500),
    ((502, 503, 503), 502),
    ((503, 503), 500),
    ((503, 503, 503), 500),
    ((302, 503), 302),
    ((486, 503), 486),
    ((503, 603), 603),
]
TELLING: Rows = [((404, status), status) for status in (401, 407, 415, 420, 484)]
LOCAL: Rows = [
    ((302, DEAD), 302),
    ((404, DEAD), 404),
    ((500, DEAD), 500),
    ((603, DEAD), 603),
    ((401, DEAD, DEAD), 401),
    ((302, MUTE), 302),
    ((401, MUTE), 401),
    ((500, MUTE), 408),
    ((503, MUTE), 408),
    ((603, MUTE), 603),
    ((DEAD, MUTE), 408),
    ((500, DEAD, MUTE), 408),
]


def every_order(rows: Rows) -> Rows:
    return [(order, best) for statuses, best in rows for order in sorted(set(permutations(statuses)))]


def outcome_of(world: World, transport: str, statuses: tuple[int, ...]) -> tuple[Party, list[Party]]:
    """A call to endpoints that fail as told, in that order. Nothing goes back before the last of them has."""
    alice, bobs = world.phone("alice", transport), desks(world, transport, *[1.0] * len(statuses))
    for bob, status in zip(bobs, statuses, strict=True):
        if status == DEAD:
            bob.break_connection()
        elif status == MUTE:
            bob.state = SILENT
    calls(alice)
    for bob, status in zip(bobs, statuses, strict=True):
        if status > 0:
            alice.nothing()
            refuses(bob, bob << "INVITE", status, f"X-From: {tag_of(bob)}")
    if MUTE in statuses:
        alice.nothing()
        world.advance(TIMER_B + 0.01)
    return alice, bobs


def case_id(value: object) -> str:
    if isinstance(value, tuple):
        return "+".join({DEAD: "dead", MUTE: "mute"}.get(status, str(status)) for status in value)
    return f"gives-{value}"


@pytest.mark.parametrize(("statuses", "best"), every_order(CLASSES), ids=case_id)
def test_a_6xx_wins_else_the_lowest_class_and_503_is_not_passed_on(
    world: World, transport: str, statuses: tuple[int, ...], best: int
) -> None:
    alice, bobs = outcome_of(world, transport, statuses)
    response = ends_with(alice, best)
    if best in statuses:  # it is the endpoint's own, with all that it said
        bob = bobs[statuses.index(best)]
        assert response.to_tag == tag_of(bob)
        assert response.first("x-from") == tag_of(bob)
    all_quiet(bobs)


@pytest.mark.parametrize(("statuses", "best"), every_order(TELLING), ids=case_id)
def test_within_4xx_what_helps_the_caller_to_try_again_wins(
    world: World, transport: str, statuses: tuple[int, ...], best: int
) -> None:
    alice, bobs = outcome_of(world, transport, statuses)
    ends_with(alice, best)
    all_quiet(bobs)


@pytest.mark.parametrize(("statuses", "best"), every_order(LOCAL), ids=case_id)
def test_what_the_gateway_finds_out_itself_competes_by_the_same_rule(
    world: World, statuses: tuple[int, ...], best: int
) -> None:
    """A transport error counts as 503 (§16.9), silence as 408 (§16.8)."""
    alice, bobs = outcome_of(world, "TCP", statuses)
    ends_with(alice, best)
    for bob, status in zip(bobs, statuses, strict=True):
        if status == DEAD:
            assert bob.flow is None
    all_quiet(bobs)


@pytest.mark.parametrize("statuses", [(404, 486), (486, 480), (480, 410, 403)], ids=case_id)
def test_among_failures_of_one_class_one_of_them_goes_back_whole(
    world: World, transport: str, statuses: tuple[int, ...]
) -> None:
    """Which one is the gateway's to choose; it is an answer of one endpoint, not a mixture."""
    alice, bobs = outcome_of(world, transport, statuses)
    (response,) = alice.inbox
    status = int(response.start.split()[1])
    response = ends_with(alice, status)
    bob = bobs[statuses.index(status)]
    assert response.to_tag == tag_of(bob)
    assert response.lines_of("x-from") == [tag_of(bob)]


def challenged(world: World, transport: str, *refusals: tuple[int, tuple[str, ...]]) -> Party:
    alice, bobs = world.phone("alice", transport), desks(world, transport, *[1.0] * len(refusals))
    calls(alice)
    for bob, (status, lines) in zip(bobs, refusals, strict=True):
        refuses(bob, bob << "INVITE", status, *lines)
    return alice


def www(realm: str) -> str:
    return f'WWW-Authenticate: Digest realm="{realm}", nonce="of {realm}", qop="auth,auth-int"'


def proxied(realm: str) -> str:
    return f'Proxy-Authenticate: Digest realm="{realm}", nonce="of {realm}", algorithm=MD5'


CHALLENGES = {
    "two servers": [(401, (www("a"),)), (401, (www("b"),))],
    "two proxies": [(407, (proxied("a"),)), (407, (proxied("b"),))],
    "server and proxy": [(401, (www("a"),)), (407, (proxied("b"),))],
    "proxy and server": [(407, (proxied("a"),)), (401, (www("b"),))],
    "several in one answer": [(407, (proxied("a"), proxied("b"))), (401, (www("c"), www("d")))],
    "both kinds in one answer": [(401, (www("a"), proxied("b"))), (401, (www("c"),))],
    "five endpoints": [(401, (www(realm),)) for realm in "abcde"],
    "with one that is away": [(480, ()), (401, (www("a"),)), (407, (proxied("b"),))],
    "with one that failed": [(401, (www("a"),)), (500, ()), (407, (proxied("b"),))],
    "with one that is overloaded": [(503, ()), (407, (proxied("a"),)), (503, ())],
}


@pytest.mark.parametrize("refusals", CHALLENGES.values(), ids=CHALLENGES.keys())
def test_the_caller_gets_every_challenge_once_and_unaltered(
    world: World, transport: str, refusals: list[tuple[int, tuple[str, ...]]]
) -> None:
    alice = challenged(world, transport, *refusals)
    (response,) = alice.inbox
    assert int(response.start.split()[1]) in (401, 407)
    sent = sorted(line for _, lines in refusals for line in lines)
    got = [line for line in response.lines if line.partition(":")[0] in ("WWW-Authenticate", "Proxy-Authenticate")]
    assert sorted(got) == sent
    ends_with(alice, int(response.start.split()[1]))


def test_a_challenge_does_not_travel_on_another_failure(world: World, transport: str) -> None:
    """Item 7 adds challenges to a 401 or 407 only: here the 6xx is the answer."""
    alice = challenged(world, transport, (401, (www("a"),)), (603, ()))
    response = ends_with(alice, 603)
    assert "www-authenticate" not in response.index


def test_a_call_that_one_endpoint_takes_is_not_spoilt_by_a_challenge(world: World, transport: str) -> None:
    alice, (one, two) = world.phone("alice", transport), desks(world, transport, 1.0, 1.0)
    calls(alice)
    refuses(one, one << "INVITE", 401, www("a"))
    at_two = two << "INVITE"
    dialog = answers(alice, two, at_two)
    hangs_up(dialog, two)
    all_quiet([alice, one, two])

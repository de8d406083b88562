"""A user with several endpoints of one rank: all ring, one takes the call (RFC 3261 §16.6, §16.7)."""

import pytest

from tests.harness import SILENT, World, reply
from tests.scenarios.proxy.ladder import (
    FORGOTTEN,
    SDP,
    T1,
    TIMER_B,
    accepts,
    acknowledges,
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


@pytest.mark.parametrize("branches", [2, 3, 5])
def test_every_endpoint_rings_and_the_one_that_answers_silences_the_others(
    world: World, transport: str, branches: int
) -> None:
    alice, bobs = world.phone("alice", transport), desks(world, transport, *[1.0] * branches)
    calls(alice)
    at = [bob << "INVITE" for bob in bobs]
    assert len({invite.via.branch for invite in at}) == branches
    assert [invite.uri for invite in at] == [bob.contact for bob in bobs]
    for bob, invite in zip(bobs, at, strict=True):
        rings(bob, invite)
        hears(alice, 180, bob)
    answers(alice, bobs[-1], at[-1])
    for bob, invite in zip(bobs[:-1], at[:-1], strict=True):
        gives_up(bob, invite)
    alice.nothing()


@pytest.mark.parametrize("branches", [2, 3, 5])
def test_the_caller_hears_busy_when_every_endpoint_is(world: World, transport: str, branches: int) -> None:
    alice, bobs = world.phone("alice", transport), desks(world, transport, *[1.0] * branches)
    calls(alice)
    for bob in bobs:
        alice.nothing()
        refuses(bob, bob << "INVITE", 486)
    ends_with(alice, 486)


@pytest.mark.parametrize("status", [302, 404, 486, 500, 503])
def test_one_endpoint_that_fails_does_not_keep_another_from_answering(
    world: World, transport: str, status: int
) -> None:
    alice, (one, two) = world.phone("alice", transport), desks(world, transport, 1.0, 1.0)
    calls(alice)
    at_one, at_two = one << "INVITE", two << "INVITE"
    refuses(one, at_one, status)
    alice.nothing()
    two.nothing()
    rings(two, at_two)
    hears(alice, 180, two)
    answers(alice, two, at_two)
    one.nothing()


def test_endpoints_that_answer_without_ringing_first_each_give_a_dialog(world: World, transport: str) -> None:
    """§16.7 item 5: every 2xx goes back. None has sent a provisional, so no CANCEL may leave (§9.1)."""
    alice, bobs = world.phone("alice", transport), desks(world, transport, 1.0, 1.0, 1.0)
    calls(alice)
    for bob, invite in [(bob, bob << "INVITE") for bob in bobs]:
        dialog = answers(alice, bob, invite)
        hangs_up(dialog, bob)
    all_quiet([alice, *bobs])


def test_one_endpoint_answers_and_one_stays_silent_for_ever(world: World, transport: str) -> None:
    """Its CANCEL waits for a provisional that never comes (§9.1), and the INVITE is given up on after Timer B."""
    alice, (one, two) = world.phone("alice", transport), desks(world, transport, 1.0, 1.0)
    calls(alice)
    at_one = one << "INVITE"
    answers(alice, one, at_one)
    world.advance(FORGOTTEN)
    repeats(two, "INVITE", copies_until(transport, TIMER_B))
    alice.nothing()


def test_one_endpoint_is_busy_and_one_stays_silent_for_ever(world: World, transport: str) -> None:
    alice, (one, two) = world.phone("alice", transport), desks(world, transport, 1.0, 1.0)
    calls(alice)
    refuses(one, one << "INVITE", 486)
    world.advance(TIMER_B - 0.01)
    alice.nothing()
    world.advance(0.02)
    ends_with(alice, 486)
    repeats(two, "INVITE", copies_until(transport, TIMER_B))


def test_a_call_that_no_endpoint_takes_notice_of_ends_with_408(world: World, transport: str) -> None:
    """§16.7 item 6: without any final response the answer is 408."""
    alice, bobs = world.phone("alice", transport), desks(world, transport, 1.0, 1.0, 1.0)
    for bob in bobs:
        bob.state = SILENT
    calls(alice)
    world.advance(TIMER_B - 0.01)
    alice.nothing()
    world.advance(0.02)
    ends_with(alice, 408)


@pytest.mark.parametrize("status", [0, 302, 404, 486, 500, 603])
def test_an_endpoint_that_refuses_connections_leaves_the_choice_to_the_others(world: World, status: int) -> None:
    """§16.9: a transport error is a branch that failed, no more; 0 stands for an answered call."""
    alice, (one, two) = world.phone("alice", "TCP"), desks(world, "TCP", 1.0, 1.0)
    one.break_connection()
    calls(alice)
    at_two = two << "INVITE"
    if status:
        refuses(two, at_two, status)
        ends_with(alice, status)
    else:
        answers(alice, two, at_two)
    one.nothing()


@pytest.mark.parametrize("status", [0, 302, 404, 486, 500, 603])
def test_an_endpoint_whose_connection_breaks_while_it_rings_leaves_the_choice_to_the_others(
    world: World, status: int
) -> None:
    alice, (one, two) = world.phone("alice", "TCP"), desks(world, "TCP", 1.0, 1.0)
    calls(alice)
    at_one, at_two = one << "INVITE", two << "INVITE"
    rings(one, at_one)
    hears(alice, 180, one)
    one.break_connection()
    alice.nothing()
    if status:
        refuses(two, at_two, status)
        ends_with(alice, status)
    else:
        answers(alice, two, at_two)


def test_dead_silent_overloaded_and_willing_endpoints_together_make_one_call(world: World) -> None:
    alice, (dead, silent, full, willing) = world.phone("alice"), desks(world, "TCP", 1.0, 1.0, 1.0, 1.0)
    dead.break_connection()
    calls(alice)
    refuses(full, full << "INVITE", 503)
    at_willing = willing << "INVITE"
    rings(willing, at_willing)
    hears(alice, 180, willing)
    world.advance(10)
    dialog = answers(alice, willing, at_willing)
    hangs_up(dialog, willing)
    silent << "INVITE"
    world.advance(FORGOTTEN)
    all_quiet([alice, dead, silent, full, willing])


def test_a_decline_ends_the_search_among_five(world: World, transport: str) -> None:
    """§16.7 item 5: on 6xx all pending branches are cancelled; those that never answered at all hold the call open."""
    alice, bobs = world.phone("alice", transport), desks(world, transport, *[1.0] * 5)
    declines, ringing, busy, tries, late = bobs
    calls(alice)
    at = {bob: bob << "INVITE" for bob in bobs}
    rings(ringing, at[ringing])
    hears(alice, 180, ringing)
    trying(tries, at[tries])
    refuses(busy, at[busy], 486)
    refuses(declines, at[declines], 603)
    alice.nothing()
    gives_up(ringing, at[ringing])
    gives_up(tries, at[tries])
    late.nothing()
    alice.nothing()
    rings(late, at[late])
    hears(alice, 180, late)
    gives_up(late, at[late])
    assert ends_with(alice, 603).to_tag == tag_of(declines)


def test_of_two_declines_one_goes_back(world: World, transport: str) -> None:
    alice, (one, two) = world.phone("alice", transport), desks(world, transport, 1.0, 1.0)
    calls(alice)
    at_one, at_two = one << "INVITE", two << "INVITE"
    refuses(one, at_one, 600)
    refuses(two, at_two, 603)
    response = alice << (600 if alice.inbox[0].start.startswith("SIP/2.0 600") else 603)  # either may be chosen
    alice >> alice.ack_failure(response)
    alice.nothing()


def test_a_decline_after_the_call_was_taken_changes_nothing(world: World, transport: str) -> None:
    alice, (one, two) = world.phone("alice", transport), desks(world, transport, 1.0, 1.0)
    calls(alice)
    at_one, at_two = one << "INVITE", two << "INVITE"
    rings(two, at_two)
    hears(alice, 180, two)
    dialog = answers(alice, one, at_one)
    cancel = cancelled(two, at_two)
    refuses(two, at_two, 603)
    two >> reply(cancel, 200)
    hangs_up(dialog, one)
    all_quiet([alice, one, two])


def test_a_call_taken_after_a_decline_is_taken(world: World, transport: str) -> None:
    """§16.7 item 5: a 2xx that was under way when the CANCEL left goes back before the 6xx could."""
    alice, (one, two) = world.phone("alice", transport), desks(world, transport, 1.0, 1.0)
    calls(alice)
    at_one, at_two = one << "INVITE", two << "INVITE"
    rings(two, at_two)
    hears(alice, 180, two)
    refuses(one, at_one, 603)
    cancel = cancelled(two, at_two)
    answers(alice, two, at_two)
    two >> reply(cancel, 481)
    all_quiet([alice, one, two])


@pytest.mark.parametrize("branches", [2, 3, 5])
def test_the_caller_cancels_and_every_ringing_endpoint_stops(world: World, transport: str, branches: int) -> None:
    alice, bobs = world.phone("alice", transport), desks(world, transport, *[1.0] * branches)
    invite = calls(alice)
    at = [bob << "INVITE" for bob in bobs]
    for bob, ringing in zip(bobs, at, strict=True):
        rings(bob, ringing)
        hears(alice, 180, bob)
    cancels(alice, invite)
    for bob, ringing in zip(bobs, at, strict=True):
        alice.nothing()
        gives_up(bob, ringing)
    ends_with(alice, 487)


def test_the_caller_cancels_while_one_rings_one_tries_and_one_has_failed(world: World, transport: str) -> None:
    """The failure that came before the CANCEL is in the choice too; 487 is of a lower class (§16.7 item 6)."""
    alice, (ringing, tries, gone) = world.phone("alice", transport), desks(world, transport, 1.0, 1.0, 1.0)
    invite = calls(alice)
    at_ringing, at_tries, at_gone = ringing << "INVITE", tries << "INVITE", gone << "INVITE"
    rings(ringing, at_ringing)
    hears(alice, 180, ringing)
    trying(tries, at_tries)
    refuses(gone, at_gone, 500)
    cancels(alice, invite)
    gone.nothing()
    gives_up(tries, at_tries)
    alice.nothing()
    gives_up(ringing, at_ringing)
    ends_with(alice, 487)


def test_an_endpoint_that_answers_while_its_cancel_is_under_way_gives_a_second_dialog(
    world: World, transport: str
) -> None:
    """It was slower than another endpoint; both 2xx go back and the caller ends the one it does not want."""
    alice, (fast, slow) = world.phone("alice", transport), desks(world, transport, 1.0, 1.0)
    calls(alice)
    at_fast, at_slow = fast << "INVITE", slow << "INVITE"
    rings(slow, at_slow)
    hears(alice, 180, slow)
    kept = answers(alice, fast, at_fast)
    cancel = cancelled(slow, at_slow)
    unwanted = answers(alice, slow, at_slow)
    slow >> reply(cancel, 481)
    hangs_up(unwanted, slow)
    hangs_up(kept, fast)
    all_quiet([alice, fast, slow])


def test_each_of_two_answers_is_repeated_and_acknowledged_on_its_own(world: World) -> None:
    """RFC 6026 §7: over UDP each UAS repeats its 2xx until its own ACK comes; the ACKs do not get mixed up."""
    alice, (one, two) = world.phone("alice", "UDP"), desks(world, "UDP", 1.0, 1.0)
    calls(alice)
    oks = [accepts(bob, bob << "INVITE") for bob in (one, two)]
    for bob in (one, two):
        hears(alice, 200, bob)
    world.advance(T1)
    two >> oks[1]
    acknowledges(alice, hears(alice, 200, two), two)
    one.nothing()
    world.advance(2 * T1)
    one >> oks[0]
    acknowledges(alice, hears(alice, 200, one), one)
    all_quiet([alice, one, two])


@pytest.mark.parametrize("who", ["caller", "called"])
def test_after_a_fork_either_side_can_hang_up(world: World, transport: str, who: str) -> None:
    alice, (one, two) = world.phone("alice", transport), desks(world, transport, 1.0, 1.0)
    calls(alice)
    at_one, at_two = one << "INVITE", two << "INVITE"
    refuses(one, at_one, 486)
    ok = accepts(two, at_two)
    dialog = acknowledges(alice, hears(alice, 200, two), two)
    if who == "caller":
        hangs_up(dialog, two)
    else:
        hangs_up(two.called(at_two, ok), alice)
    all_quiet([alice, one, two])


def test_the_body_reaches_every_endpoint_as_it_was_sent(world: World, transport: str) -> None:
    alice, bobs = world.phone("alice", transport), desks(world, transport, 1.0, 1.0, 1.0)
    invite = alice.request(
        "INVITE", "sip:bob@example.test", "Content-Type: application/sdp", "X-Odd:   kept ", body=SDP
    )
    alice >> invite
    alice << 100
    for bob in bobs:
        at = bob << "INVITE"
        assert at.body == SDP
        assert "X-Odd:   kept " in at.lines
        refuses(bob, at, 486)
    ends_with(alice, 486)

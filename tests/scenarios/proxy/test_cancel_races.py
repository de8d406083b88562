"""CANCEL and what crosses it on the way (RFC 3261 §9, §16.10), one caller and one called."""

import pytest

from sipgw.message import Request
from tests.harness import Party, World, reply
from tests.scenarios.proxy.ladder import (
    FORGOTTEN,
    TIMER_B,
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

A_MOMENT = 0.01


@pytest.fixture
def alice(world: World, transport: str) -> Party:
    return world.phone("alice", transport)


@pytest.fixture
def bob(world: World, transport: str) -> Party:
    return desks(world, transport, 1.0)[0]


def ringing(alice: Party, bob: Party) -> tuple[Request, Request]:
    """A call that rings: the INVITE as sent and as received."""
    invite = calls(alice)
    at_bob: Request = bob << "INVITE"
    rings(bob, at_bob)
    hears(alice, 180, bob)
    return invite, at_bob


# before any provisional response


def test_a_cancel_waits_until_the_phone_has_shown_that_it_has_the_call(alice: Party, bob: Party) -> None:
    invite = calls(alice)
    at_bob = bob << "INVITE"
    cancels(alice, invite)
    bob.nothing()
    rings(bob, at_bob)
    hears(alice, 180, bob)
    gives_up(bob, at_bob)
    ends_with(alice, 487)


def test_a_phone_that_answers_before_it_can_be_told_has_the_call(alice: Party, bob: Party) -> None:
    """§9.1: after a final response there is nothing to cancel; the caller has to say BYE."""
    invite = calls(alice)
    at_bob = bob << "INVITE"
    cancels(alice, invite)
    dialog = answers(alice, bob, at_bob)
    bob.nothing()
    hangs_up(dialog, bob)
    all_quiet([alice, bob])


@pytest.mark.parametrize("status", [302, 401, 404, 486, 500, 603])
def test_a_phone_that_refuses_before_it_can_be_told_is_heard(alice: Party, bob: Party, status: int) -> None:
    invite = calls(alice)
    at_bob = bob << "INVITE"
    cancels(alice, invite)
    refuses(bob, at_bob, status)
    assert ends_with(alice, status).to_tag == tag_of(bob)
    bob.nothing()


def test_a_phone_that_never_shows_itself_is_never_sent_the_cancel(
    world: World, transport: str, alice: Party, bob: Party
) -> None:
    """The INVITE goes on being repeated, for want of a way to take it back; then the call is over."""
    invite = calls(alice)
    cancels(alice, invite)
    world.advance(TIMER_B - A_MOMENT)
    alice.nothing()
    world.advance(2 * A_MOMENT)
    ends_with(alice, 487)
    repeats(bob, "INVITE", copies_until(transport, TIMER_B))


@pytest.mark.parametrize("status", [100, 180])
def test_a_phone_that_shows_itself_late_is_cancelled_then(
    world: World, transport: str, alice: Party, bob: Party, status: int
) -> None:
    invite = calls(alice)
    cancels(alice, invite)
    world.advance(20)
    at_bob = repeats(bob, "INVITE", copies_until(transport, 20))
    rings(bob, at_bob, status)
    if status > 100:
        hears(alice, status, bob)
    gives_up(bob, at_bob)
    ends_with(alice, 487)


# after a provisional response


def test_a_phone_that_rings_is_cancelled_at_once(alice: Party, bob: Party) -> None:
    invite, at_bob = ringing(alice, bob)
    cancels(alice, invite)
    gives_up(bob, at_bob)
    ends_with(alice, 487)


def test_a_cancel_travels_with_the_headers_of_its_invite_and_no_more(alice: Party, bob: Party) -> None:
    """§9.1: From, To, Call-ID, CSeq number and Request-URI are those of the INVITE; one Via; no Require."""
    invite = calls(alice, "sip:bob@example.test", "Supported: 100rel", "Require: x", "Subject: hello")
    at_bob = bob << "INVITE"
    trying(bob, at_bob)
    cancels(alice, invite)
    cancel = cancelled(bob, at_bob)
    for name in ("from", "to", "call-id"):
        assert cancel.first(name) == at_bob.first(name)
    assert {"require", "proxy-require", "contact", "record-route"}.isdisjoint(cancel.index)
    assert cancel.body == b""
    bob >> reply(cancel, 200)
    refuses(bob, at_bob, 487)
    ends_with(alice, 487)


@pytest.mark.parametrize("answer", [200, 481, 500, 0], ids=["granted", "unknown", "failed", "unanswered"])
def test_whatever_the_phone_says_to_the_cancel_its_487_ends_the_call(
    world: World, transport: str, alice: Party, bob: Party, answer: int
) -> None:
    """The answer to a CANCEL goes no further than the hop that sent it (§16.10)."""
    invite, at_bob = ringing(alice, bob)
    cancels(alice, invite)
    cancel = cancelled(bob, at_bob)
    if answer:
        bob >> reply(cancel, answer)
    alice.nothing()
    refuses(bob, at_bob, 487)
    ends_with(alice, 487)
    world.advance(FORGOTTEN)
    if not answer and transport == "UDP":
        repeats(bob, "CANCEL", copies_until(transport, TIMER_B, invite=False) - 1)
    all_quiet([alice, bob])


@pytest.mark.parametrize("answer", [200, 481, 0], ids=["granted", "unknown", "unanswered"])
def test_a_phone_that_never_ends_the_call_leaves_the_caller_with_487(
    world: World, transport: str, alice: Party, bob: Party, answer: int
) -> None:
    """§9.1: 64*T1 after the CANCEL the call counts as cancelled."""
    invite, at_bob = ringing(alice, bob)
    world.advance(50)
    cancels(alice, invite)
    cancel = cancelled(bob, at_bob)
    if answer:
        bob >> reply(cancel, answer)
    world.advance(TIMER_B - A_MOMENT)
    alice.nothing()
    world.advance(2 * A_MOMENT)
    ends_with(alice, 487)
    if not answer and transport == "UDP":
        repeats(bob, "CANCEL", copies_until(transport, TIMER_B, invite=False) - 1)
    all_quiet([alice, bob])


@pytest.mark.parametrize("status", [180, 200, 486, 487])
def test_what_the_phone_says_after_the_call_counted_as_cancelled_is_dropped(
    world: World, alice: Party, bob: Party, status: int
) -> None:
    invite, at_bob = ringing(alice, bob)
    cancels(alice, invite)
    bob >> reply(cancelled(bob, at_bob), 200)
    world.advance(TIMER_B + A_MOMENT)
    ends_with(alice, 487)
    bob >> reply(at_bob, status)
    all_quiet([alice, bob])


def test_a_phone_that_answers_before_the_cancel_reaches_it_has_the_call(alice: Party, bob: Party) -> None:
    invite, at_bob = ringing(alice, bob)
    cancels(alice, invite)
    cancel = cancelled(bob, at_bob)
    dialog = answers(alice, bob, at_bob)
    bob >> reply(cancel, 481)
    hangs_up(dialog, bob)
    all_quiet([alice, bob])


def test_an_answer_just_before_the_call_counts_as_cancelled_is_a_call(world: World, alice: Party, bob: Party) -> None:
    invite, at_bob = ringing(alice, bob)
    cancels(alice, invite)
    bob >> reply(cancelled(bob, at_bob), 200)
    world.advance(TIMER_B - A_MOMENT)
    dialog = answers(alice, bob, at_bob)
    world.advance(1)
    hangs_up(dialog, bob)
    all_quiet([alice, bob])


@pytest.mark.parametrize("status", [302, 401, 404, 480, 486, 500, 600, 603])
def test_a_refusal_that_crosses_the_cancel_goes_back_as_it_is(alice: Party, bob: Party, status: int) -> None:
    invite, at_bob = ringing(alice, bob)
    cancels(alice, invite)
    cancel = cancelled(bob, at_bob)
    refuses(bob, at_bob, status)
    bob >> reply(cancel, 200)
    assert ends_with(alice, status).to_tag == tag_of(bob)
    bob.nothing()


def test_an_overload_that_crosses_the_cancel_goes_back_as_500(alice: Party, bob: Party) -> None:
    invite, at_bob = ringing(alice, bob)
    cancels(alice, invite)
    cancel = cancelled(bob, at_bob)
    refuses(bob, at_bob, 503)
    bob >> reply(cancel, 200)
    ends_with(alice, 500)


def test_a_phone_that_rings_again_after_the_cancel_is_still_heard_and_still_cancelled(alice: Party, bob: Party) -> None:
    """§16.7 item 5: until a final response went back, provisionals are relayed."""
    invite, at_bob = ringing(alice, bob)
    cancels(alice, invite)
    cancel = cancelled(bob, at_bob)
    rings(bob, at_bob, 183)
    hears(alice, 183, bob)
    bob >> reply(cancel, 200)
    refuses(bob, at_bob, 487)
    ends_with(alice, 487)
    bob.nothing()


def test_a_connection_that_breaks_after_the_cancel_ends_the_call(world: World) -> None:
    alice, (bob,) = world.phone("alice"), desks(world, "TCP", 1.0)
    invite, at_bob = ringing(alice, bob)
    cancels(alice, invite)
    cancelled(bob, at_bob)
    bob.break_connection()
    ends_with(alice, 487)


def test_a_connection_that_breaks_while_the_cancel_waits_ends_the_call(world: World) -> None:
    alice, (bob,) = world.phone("alice"), desks(world, "TCP", 1.0)
    invite = calls(alice)
    bob << "INVITE"
    cancels(alice, invite)
    bob.break_connection()
    ends_with(alice, 487)


# after a final response


def test_a_cancel_that_crosses_the_answer_changes_nothing(alice: Party, bob: Party) -> None:
    """§9.2: answered, and without effect on a request that has its final response."""
    invite, at_bob = ringing(alice, bob)
    accepts(bob, at_bob)
    alice >> alice.cancel(invite)
    ok, to_cancel = alice << 200, alice << 200
    assert (ok.cseq.method, to_cancel.cseq.method) == ("INVITE", "CANCEL")
    bob.nothing()
    dialog = alice.calling(ok)
    alice >> dialog.request("ACK")
    bob << "ACK"
    hangs_up(dialog, bob)
    all_quiet([alice, bob])


@pytest.mark.parametrize("status", [302, 404, 486, 603])
def test_a_cancel_that_crosses_the_refusal_changes_nothing(alice: Party, bob: Party, status: int) -> None:
    invite, at_bob = ringing(alice, bob)
    refuses(bob, at_bob, status)
    alice >> alice.cancel(invite)
    refusal = alice << status
    assert (alice << 200).cseq.method == "CANCEL"
    alice >> alice.ack_failure(refusal)
    all_quiet([alice, bob])


def test_a_cancel_of_a_call_that_is_up_does_not_take_it_down(world: World, alice: Party, bob: Party) -> None:
    invite, at_bob = ringing(alice, bob)
    dialog = answers(alice, bob, at_bob)
    world.advance(TIMER_B - 1)
    cancels(alice, invite)
    bob.nothing()
    hangs_up(dialog, bob)
    all_quiet([alice, bob])


def test_a_cancel_of_a_call_that_was_cancelled_is_answered_again(alice: Party, bob: Party) -> None:
    invite, at_bob = ringing(alice, bob)
    cancels(alice, invite)
    gives_up(bob, at_bob)
    response = alice << 487
    cancels(alice, invite)
    alice >> alice.ack_failure(response)
    all_quiet([alice, bob])


# repeated messages


@pytest.mark.parametrize("times", [2, 5])
def test_a_caller_who_cancels_again_and_again_is_answered_each_time(alice: Party, bob: Party, times: int) -> None:
    """And the phone is told once."""
    invite, at_bob = ringing(alice, bob)
    for _ in range(times):
        cancels(alice, invite)
    gives_up(bob, at_bob)
    ends_with(alice, 487)
    bob.nothing()


def test_a_cancel_sent_again_while_it_waits_is_passed_on_once(alice: Party, bob: Party) -> None:
    invite = calls(alice)
    at_bob = bob << "INVITE"
    cancels(alice, invite)
    cancels(alice, invite)
    trying(bob, at_bob)
    gives_up(bob, at_bob)
    ends_with(alice, 487)
    bob.nothing()


def test_an_invite_repeated_after_its_cancel_is_not_a_new_call(alice: Party, bob: Party) -> None:
    """It gets the last provisional again (§17.2.1), and after the 487 the 487."""
    invite, at_bob = ringing(alice, bob)
    cancels(alice, invite)
    cancel = cancelled(bob, at_bob)
    alice >> invite
    hears(alice, 180, bob)
    bob >> reply(cancel, 200)
    refuses(bob, at_bob, 487)
    alice << 487
    alice >> invite
    ends_with(alice, 487)
    bob.nothing()


def test_a_call_repeated_and_cancelled_before_the_phone_shows_itself_ends_once(
    world: World, transport: str, alice: Party, bob: Party
) -> None:
    invite = calls(alice)
    world.advance(0.6)
    at_bob = repeats(bob, "INVITE", copies_until(transport, 0.6))
    alice >> invite
    alice << 100
    cancels(alice, invite)
    alice >> invite
    alice << 100
    bob.nothing()
    trying(bob, at_bob)
    gives_up(bob, at_bob)
    ends_with(alice, 487)


def test_answers_repeated_by_the_phone_do_not_reach_the_caller_twice(transport: str, alice: Party, bob: Party) -> None:
    invite, at_bob = ringing(alice, bob)
    cancels(alice, invite)
    cancel = cancelled(bob, at_bob)
    for _ in range(3):
        bob >> reply(cancel, 200)
    terminated = refuses(bob, at_bob, 487)
    if transport == "UDP":
        for _ in range(3):  # as if the ACK had been lost
            bob >> terminated
            assert (bob << "ACK").to_tag == terminated.to_tag
    ends_with(alice, 487)
    all_quiet([alice, bob])


# a CANCEL of something else


def test_a_cancel_of_another_sender_does_not_end_the_call(
    world: World, transport: str, alice: Party, bob: Party
) -> None:
    """Whose Via names somebody else speaks of another request (§17.2.3), even with the branch guessed right."""
    mallory = world.phone("mallory", transport, host="203.0.113.66")
    invite, at_bob = ringing(alice, bob)
    forged = alice.cancel(invite)
    forged.lines[0] = f"Via: {mallory.via(invite.via.branch)}"
    mallory >> forged
    mallory << 481
    all_quiet([alice, bob, mallory])
    answers(alice, bob, at_bob)


def test_a_cancel_with_another_branch_does_not_end_the_call(alice: Party, bob: Party) -> None:
    invite, at_bob = ringing(alice, bob)
    other = alice.cancel(invite)
    other.lines[0] = f"Via: {alice.via('z9hG4bK-other')}"
    alice >> other
    alice << 481
    bob.nothing()
    answers(alice, bob, at_bob)


@pytest.mark.parametrize("method", ["MESSAGE", "OPTIONS", "INFO"])
def test_a_cancel_of_anything_but_an_invite_has_no_effect(alice: Party, bob: Party, method: str) -> None:
    """§9.2: it is answered, as its request is known, and what is being worked on is not disturbed."""
    request = alice.request(method, bob.uri)
    alice >> request
    at_bob = bob << method
    cancel = alice.cancel(request)
    alice >> cancel
    assert (alice << 200).cseq.method == "CANCEL"
    bob.nothing()
    bob >> reply(at_bob, 202, tag=tag_of(bob))
    assert hears(alice, 202, bob).cseq.method == method
    all_quiet([alice, bob])


def test_a_re_invite_is_cancelled_without_harm_to_the_call(alice: Party, bob: Party) -> None:
    _, at_bob = ringing(alice, bob)
    dialog = answers(alice, bob, at_bob)
    again = dialog.request("INVITE")
    alice >> again
    alice << 100
    at_bob = bob << "INVITE"
    rings(bob, at_bob)
    hears(alice, 180, bob)
    cancels(alice, again)
    gives_up(bob, at_bob)
    ends_with(alice, 487)
    hangs_up(dialog, bob)
    all_quiet([alice, bob])


def test_of_two_calls_at_once_only_the_cancelled_one_ends(
    world: World, transport: str, alice: Party, bob: Party
) -> None:
    first, at_first = ringing(alice, bob)
    _, at_second = ringing(alice, bob)
    cancels(alice, first)
    gives_up(bob, at_first)
    ends_with(alice, 487)
    hangs_up(answers(alice, bob, at_second), bob)
    all_quiet([alice, bob])

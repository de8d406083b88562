"""What comes when all is over, or never comes: late answers, lost ACKs, parties that vanish (§17, RFC 6026)."""

import pytest

from sipgw.message import Request
from tests.harness import SILENT, Party, World, reply
from tests.scenarios.proxy.ladder import (
    FORGOTTEN,
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
    hangs_up,
    hears,
    refuses,
    repeats,
    rings,
    tag_of,
)

A_MOMENT = 0.01


@pytest.fixture
def alice(world: World, transport: str) -> Party:
    return world.phone("alice", transport)


@pytest.fixture
def bob(world: World, transport: str) -> Party:
    return desks(world, transport, 1.0)[0]


def unanswered(world: World, transport: str, alice: Party, bob: Party) -> Request:
    """A call that bob's phone took no notice of until Timer B; the caller has its 408."""
    calls(alice)
    world.advance(TIMER_B + A_MOMENT)
    ends_with(alice, 408)
    at_bob: Request = repeats(bob, "INVITE", copies_until(transport, TIMER_B))
    return at_bob


# late


@pytest.mark.parametrize("status", [100, 180, 200, 302, 486, 603])
def test_an_answer_after_timer_b_is_dropped(
    world: World, transport: str, alice: Party, bob: Party, status: int
) -> None:
    """No client transaction is left (RFC 6026 §8.9): not even a 2xx is passed on, and no failure is acknowledged."""
    at_bob = unanswered(world, transport, alice, bob)
    for _ in range(3):
        bob >> reply(at_bob, status, tag=tag_of(bob), contact=bob.contact)
    all_quiet([alice, bob])


def test_ringing_just_before_timer_b_keeps_the_call(world: World, transport: str, alice: Party, bob: Party) -> None:
    calls(alice)
    world.advance(TIMER_B - A_MOMENT)
    at_bob = repeats(bob, "INVITE", copies_until(transport, TIMER_B))
    rings(bob, at_bob)
    hears(alice, 180, bob)
    world.advance(100)
    hangs_up(answers(alice, bob, at_bob), bob)
    all_quiet([alice, bob])


def test_an_answer_that_is_repeated_goes_through_until_timer_m(
    world: World, transport: str, alice: Party, bob: Party
) -> None:
    """RFC 6026 §7.2: for 64*T1 after the first 2xx each further one is passed on, then it is stray."""
    calls(alice)
    ok = accepts(bob, bob << "INVITE")
    hears(alice, 200, bob)
    for _ in range(3):
        world.advance(10)
        bob >> ok
        hears(alice, 200, bob)
    world.advance(TIMER_B - 30 - A_MOMENT)
    bob >> ok
    dialog = acknowledges(alice, hears(alice, 200, bob), bob)
    world.advance(2 * A_MOMENT)
    bob >> ok
    all_quiet([alice, bob])
    hangs_up(dialog, bob)


@pytest.mark.parametrize("after", [0.0, 10.0, 31.9])
def test_a_second_answer_from_behind_the_phone_goes_through(
    world: World, transport: str, alice: Party, bob: Party, after: float
) -> None:
    """Bob's phone is a proxy that forks: another 2xx with another tag on the same branch (§16.7, RFC 6026 §7.2)."""
    calls(alice)
    at_bob = bob << "INVITE"
    first = answers(alice, bob, at_bob)
    world.advance(after)
    bob >> reply(at_bob, 200, tag="behind", contact="sip:bob@198.51.100.200:5060")
    ok = alice << 200
    assert ok.to_tag == "behind"
    second = alice.calling(ok)
    alice >> second.request("ACK")
    ack = bob << "ACK"
    assert (ack.uri, ack.to_tag) == ("sip:bob@198.51.100.200:5060", "behind")
    hangs_up(second, bob)
    hangs_up(first, bob)
    all_quiet([alice, bob])


def test_a_second_answer_is_repeated_until_its_own_timer_m(world: World, transport: str, alice: Party) -> None:
    """§16.7 item 9: the caller's transaction ends 64*T1 after the first 2xx (Timer L); a second phone that answered
    later still repeats its own, and is passed on without that transaction: else the ACK to it is never sent."""
    one, two = desks(world, transport, 1.0, 1.0)
    calls(alice)
    at_one, at_two = one << "INVITE", two << "INVITE"
    rings(two, at_two)
    alice << 180
    accepts(one, at_one)
    first = acknowledges(alice, hears(alice, 200, one), one)
    two >> reply(cancelled(two, at_two), 200)
    world.advance(20)
    accepts(two, at_two)
    hears(alice, 200, two)  # whose ACK is lost
    world.advance(TIMER_B - 19)
    accepts(two, at_two)
    second = acknowledges(alice, hears(alice, 200, two), two)
    assert world.engine.counters["unexpected"] == 0
    hangs_up(second, two)
    hangs_up(first, one)
    world.advance(TIMER_B)
    accepts(two, at_two)
    all_quiet([alice, one, two])


@pytest.mark.parametrize("status", [180, 200, 404, 486, 603])
@pytest.mark.parametrize("after", [0.0, FORGOTTEN], ids=["at-once", "much-later"])
def test_whatever_follows_a_refusal_is_not_heard(
    world: World, transport: str, alice: Party, bob: Party, status: int, after: float
) -> None:
    """§17.1.1.2: in Completed only a final failure has an effect, and that is the ACK again, over UDP."""
    calls(alice)
    at_bob = bob << "INVITE"
    refused = refuses(bob, at_bob, 480)
    ends_with(alice, 480)
    world.advance(after)
    bob >> reply(at_bob, status, tag=tag_of(bob))
    if transport == "UDP" and status >= 300 and not after:
        assert (bob << "ACK").to_tag == refused.to_tag
    all_quiet([alice, bob])


@pytest.mark.parametrize("status", [180, 486, 603])
def test_a_failure_after_the_answer_is_not_heard(transport: str, alice: Party, bob: Party, status: int) -> None:
    """RFC 6026 §7.2: in Accepted nothing but 2xx counts."""
    calls(alice)
    at_bob = bob << "INVITE"
    dialog = answers(alice, bob, at_bob)
    bob >> reply(at_bob, status, tag=tag_of(bob))
    all_quiet([alice, bob])
    hangs_up(dialog, bob)


def test_an_answer_when_everything_is_over_is_dropped(world: World, transport: str, alice: Party, bob: Party) -> None:
    calls(alice)
    at_bob = bob << "INVITE"
    ok = accepts(bob, at_bob)
    dialog = acknowledges(alice, hears(alice, 200, bob), bob)
    hangs_up(dialog, bob)
    world.advance(FORGOTTEN)
    bob >> ok
    all_quiet([alice, bob])
    assert world.engine.counters["stray_responses"] == 1


@pytest.mark.parametrize("status", [100, 180, 200, 404, 487])
def test_an_answer_to_nothing_is_dropped(world: World, transport: str, alice: Party, bob: Party, status: int) -> None:
    """Its topmost Via names the gateway, its branch is nobody's."""
    forged = alice.request("INVITE", bob.uri)
    forged.lines.insert(0, f"Via: SIP/2.0/{transport} 192.0.2.1:5060;branch=z9hG4bKnobody")
    forged.names.insert(0, "via")
    bob >> reply(forged, status)
    all_quiet([alice, bob])


@pytest.mark.parametrize("method", ["CANCEL", "BYE", "MESSAGE"])
def test_an_answer_that_names_another_method_is_not_the_answer(alice: Party, bob: Party, method: str) -> None:
    """§17.1.3: branch and CSeq method both count."""
    calls(alice)
    at_bob = bob << "INVITE"
    wrong = reply(at_bob, 200, tag=tag_of(bob))
    at = wrong.index["cseq"]
    wrong.lines[at] = f"CSeq: {at_bob.cseq.number} {method}"
    bob >> wrong
    alice.nothing()
    answers(alice, bob, at_bob)


# lost


def test_a_late_ack_is_still_passed_on(world: World, alice: Party, bob: Party) -> None:
    """The transaction is long gone; the ACK travels by its Route (§16.11)."""
    calls(alice)
    accepts(bob, bob << "INVITE")
    ok = hears(alice, 200, bob)
    world.advance(FORGOTTEN)
    hangs_up(acknowledges(alice, ok, bob), bob)
    all_quiet([alice, bob])


def test_each_ack_is_passed_on_as_often_as_it_is_sent(alice: Party, bob: Party) -> None:
    calls(alice)
    accepts(bob, bob << "INVITE")
    dialog = alice.calling(hears(alice, 200, bob))
    ack = dialog.request("ACK")
    for _ in range(4):
        alice >> ack
        bob << "ACK"
    all_quiet([alice, bob])


def test_an_ack_that_acknowledges_nothing_is_dropped(alice: Party, bob: Party) -> None:
    """§17.1.1.3, §16.11: outside a dialog of ours there is nowhere to take it, and nothing is answered to an ACK."""
    request = alice.request("ACK", bob.uri)
    alice >> request
    all_quiet([alice, bob])


def test_the_ack_to_a_refusal_stays_on_its_hop(alice: Party, bob: Party) -> None:
    calls(alice)
    refuses(bob, bob << "INVITE", 486)
    response = ends_with(alice, 486)
    alice >> alice.ack_failure(response)
    all_quiet([alice, bob])


def test_an_ack_on_another_branch_does_not_stop_a_refusal(world: World) -> None:
    """Over UDP it is repeated until its own ACK comes (§17.2.1)."""
    alice, (bob,) = world.phone("alice", "UDP"), desks(world, "UDP", 1.0)
    calls(alice)
    refuses(bob, bob << "INVITE", 486)
    wrong = alice.ack_failure(alice << 486)
    wrong.lines[0] = f"Via: {alice.via('z9hG4bK-wrong')}"
    alice >> wrong
    world.advance(T1 + A_MOMENT)
    ends_with(alice, 486)
    all_quiet([alice, bob])


def test_a_refusal_that_nobody_acknowledges_is_given_up_on(world: World) -> None:
    """Timer H; over UDP it is sent at growing intervals until then (Timer G)."""
    alice, (bob,) = world.phone("alice", "UDP"), desks(world, "UDP", 1.0)
    calls(alice)
    refuses(bob, bob << "INVITE", 486)
    world.advance(FORGOTTEN)
    assert len(alice.inbox) == 1 + copies_until("UDP", TIMER_B, invite=False) - 1
    assert {message.start for message in alice.inbox} == {"SIP/2.0 486 Busy Here"}
    alice.inbox.clear()
    assert world.engine.sizes().server_transactions == 0


@pytest.mark.parametrize("lost", [1, 3, 6])
def test_an_invite_that_is_lost_on_the_way_to_the_phone_arrives_in_the_end(world: World, lost: int) -> None:
    alice, (bob,) = world.phone("alice", "UDP"), desks(world, "UDP", 1.0)
    bob.state = SILENT
    calls(alice)
    elapsed = T1 * (2 ** (lost - 1) - 1)
    world.advance(elapsed + A_MOMENT)
    bob.state = "up"
    world.advance(T1 * 2 ** (lost - 1))
    hangs_up(answers(alice, bob, bob << "INVITE"), bob)
    all_quiet([alice, bob])


def test_an_invite_repeated_by_a_caller_that_lost_its_100_is_sent_on_once(world: World) -> None:
    alice, (one, two) = world.phone("alice", "UDP"), desks(world, "UDP", 1.0, 1.0)
    invite = calls(alice)
    for _ in range(4):
        alice >> invite
        alice << 100
    for bob in (one, two):
        refuses(bob, bob << "INVITE", 486)
        bob.nothing()
    ends_with(alice, 486)


# vanished


def test_a_caller_whose_connection_breaks_leaves_nothing_behind(world: World) -> None:
    """The phone rings on until it answers, is refused, or rings out; what it says reaches nobody."""
    alice, (bob,) = world.phone("alice"), desks(world, "TCP", 1.0)
    calls(alice)
    at_bob = bob << "INVITE"
    rings(bob, at_bob)
    hears(alice, 180, bob)
    alice.break_connection()
    accepts(bob, at_bob)
    all_quiet([alice, bob])


def test_a_caller_whose_connection_breaks_before_the_refusal_leaves_nothing_behind(world: World) -> None:
    alice, (bob,) = world.phone("alice"), desks(world, "TCP", 1.0)
    calls(alice)
    at_bob = bob << "INVITE"
    alice.break_connection()
    refuses(bob, at_bob, 486)
    world.advance(FORGOTTEN)
    all_quiet([alice, bob])


def test_the_caller_of_a_phone_that_vanished_learns_that_the_call_is_gone(
    world: World,
) -> None:
    """BYE finds nobody: at a 481 the caller ends the dialog (§12.2.1.2)."""
    alice, (bob,) = world.phone("alice"), desks(world, "TCP", 1.0)
    calls(alice)
    dialog = answers(alice, bob, bob << "INVITE")
    bob.break_connection()
    alice >> dialog.request("BYE")
    alice << 481
    all_quiet([alice, bob])


def test_a_call_to_a_phone_that_vanished_and_came_back_reaches_its_new_connection(world: World) -> None:
    alice, (bob,) = world.phone("alice"), desks(world, "TCP", 1.0)
    bob.break_connection()
    bob.connect(port=45000)
    line = f'Contact: <{bob.contact}>;q=1.0;+sip.instance="<urn:uuid:i0>"'
    bob >> bob.request("REGISTER", "sip:example.test", line, to=bob.uri, call_id="again")
    bob << 200
    calls(alice)
    hangs_up(answers(alice, bob, bob << "INVITE"), bob)
    all_quiet([alice, bob])


def test_a_caller_whose_connection_broke_is_called_back_where_its_via_says(world: World) -> None:
    """§18.2.2: the response goes to the address in the Via over a new connection, when the old one is gone."""
    alice, (bob,) = world.phone("alice", port=5060), desks(world, "TCP", 1.0)
    alice.listens = True
    calls(alice)
    at_bob = bob << "INVITE"
    rings(bob, at_bob)
    hears(alice, 180, bob)
    alice.break_connection()
    hangs_up(answers(alice, bob, at_bob), bob)
    all_quiet([alice, bob])


def test_a_caller_whose_connection_broke_can_still_cancel_over_a_new_one(world: World) -> None:
    """§17.2.3 asks for branch and sent-by, not for the connection."""
    alice, (bob,) = world.phone("alice", port=5060), desks(world, "TCP", 1.0)
    alice.listens = True
    invite = calls(alice)
    at_bob = bob << "INVITE"
    rings(bob, at_bob)
    hears(alice, 180, bob)
    alice.break_connection()
    alice.connect()
    cancels(alice, invite)
    bob >> reply(bob << "CANCEL", 200)
    refuses(bob, at_bob, 487)
    ends_with(alice, 487)
    bob.nothing()


def test_a_caller_that_cancels_and_vanishes_leaves_nothing_behind(world: World) -> None:
    alice, (bob,) = world.phone("alice"), desks(world, "TCP", 1.0)
    invite = calls(alice)
    at_bob = bob << "INVITE"
    rings(bob, at_bob)
    hears(alice, 180, bob)
    cancels(alice, invite)
    alice.break_connection()
    bob >> reply(bob << "CANCEL", 200)
    refuses(bob, at_bob, 487)
    all_quiet([alice, bob])

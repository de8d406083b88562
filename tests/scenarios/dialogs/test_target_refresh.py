"""Re-INVITE and UPDATE: new targets, offers, refusals and glare, from either side (§12.2, §14, RFC 3311)."""

from typing import Any

import pytest

from sipgw.message import Request
from tests.harness import Dialog, Party, World, reply
from tests.scenarios.dialogs.steps import asks, ends, opens, reinvites, talk
from tests.scenarios.proxy.ladder import SDP

Sides = tuple[Dialog, Dialog]


@pytest.fixture
def sides(request: pytest.FixtureRequest, alice: Party, bob: Party) -> Sides:
    """Both sides of a call, the one that asks first."""
    return talk(alice, bob)


@pytest.fixture(params=["caller", "called"])
def asking(request: pytest.FixtureRequest, sides: Sides) -> Sides:
    return sides if request.param == "caller" else (sides[1], sides[0])


def refused(sender: Dialog, other: Dialog, status: int, *headers: str) -> Any:
    """A re-INVITE that is refused, hop by hop acknowledged."""
    sender.party >> sender.request("INVITE", f"Contact: <{sender.party.contact}>")
    sender.party << 100
    other.party >> reply(other.party << "INVITE", status, *headers)
    other.party << "ACK"
    return sender.party.fail_call(status)


@pytest.mark.parametrize("moved", [";line=2", ";transport=tcp", ";gr=abc"])
def test_a_new_contact_in_a_reinvite_is_the_target_from_then_on(asking: Sides, moved: str) -> None:
    """§12.2: the Contact goes through untouched; what is sent to it afterwards takes the same way."""
    sender, other = asking
    contact = sender.party.contact.replace(f"sip:{sender.party.name}@", "sip:moved@") + moved
    arrived = reinvites(sender, other.party, contact=contact)
    assert arrived.values("contact") == [f"<{contact}>"]
    assert arrived.uri == other.party.contact
    other.target = contact
    assert asks(other, sender.party).uri == contact
    ends(other, sender.party)


def test_a_new_contact_in_an_update_is_the_target_from_then_on(asking: Sides) -> None:
    sender, other = asking
    contact = sender.party.contact + ";line=3"
    arrived = asks(sender, other.party, "UPDATE", f"Contact: <{contact}>", "Content-Type: application/sdp", body=SDP)
    assert (arrived.values("contact"), arrived.body) == ([f"<{contact}>"], SDP)
    other.target = contact
    assert asks(other, sender.party).uri == contact


def test_a_new_contact_in_the_answer_is_the_target_from_then_on(asking: Sides) -> None:
    sender, other = asking
    sender.party >> sender.request("INVITE", f"Contact: <{sender.party.contact}>")
    sender.party << 100
    moved = other.party.contact + ";line=4"
    other.party >> reply(other.party << "INVITE", 200, contact=moved)
    ok = sender.party << 200
    assert ok.values("contact") == [f"<{moved}>"]
    sender.target, sender.invite_cseq = moved, sender.cseq
    sender.party >> sender.request("ACK")
    assert (other.party << "ACK").uri == moved
    assert asks(sender, other.party).uri == moved


@pytest.mark.parametrize("status", [488, 491, 500, 481, 408, 603])
def test_a_refused_reinvite_leaves_the_call_as_it_was(asking: Sides, status: int) -> None:
    sender, other = asking
    refused(sender, other, status)
    asks(sender, other.party)
    asks(other, sender.party)
    ends(sender, other.party)


def test_both_sides_reinvite_at_once_and_both_are_told_to_wait(sides: Sides) -> None:
    """Glare (§14.1): each answers 491; four transactions on the same Call-ID keep apart."""
    mine, theirs = sides
    alice, bob = mine.party, theirs.party
    alice >> mine.request("INVITE", f"Contact: <{alice.contact}>")
    alice << 100
    at_bob = bob << "INVITE"
    bob >> theirs.request("INVITE", f"Contact: <{bob.contact}>")
    bob << 100
    at_alice = alice << "INVITE"
    bob >> reply(at_bob, 491)
    bob << "ACK"
    alice.fail_call(491)
    alice >> reply(at_alice, 491)
    alice << "ACK"
    bob.fail_call(491)
    reinvites(theirs, alice)
    reinvites(mine, bob)


def test_an_offer_may_come_in_the_answer_and_be_answered_in_the_ack(asking: Sides) -> None:
    sender, other = asking
    sender.party >> sender.request("INVITE", f"Contact: <{sender.party.contact}>")
    sender.party << 100
    offer = reply(other.party << "INVITE", 200, "Content-Type: application/sdp", contact=other.party.contact, body=SDP)
    other.party >> offer
    assert (sender.party << 200).body == SDP
    sender.invite_cseq = sender.cseq
    sender.party >> sender.request("ACK", "Content-Type: application/sdp", body=SDP * 2)
    assert (other.party << "ACK").body == SDP * 2


def test_a_reinvite_can_ring_and_be_cancelled(asking: Sides) -> None:
    sender, other = asking
    invite = sender.request("INVITE", f"Contact: <{sender.party.contact}>")
    sender.party >> invite
    sender.party << 100
    arrived = other.party << "INVITE"
    other.party >> reply(arrived, 180)
    sender.party << 180
    sender.party >> sender.party.cancel(invite)
    sender.party << 200
    cancel = other.party << "CANCEL"
    assert cancel.to_tag == arrived.to_tag
    other.party >> reply(cancel, 200)
    other.party >> reply(arrived, 487)
    other.party << "ACK"
    sender.party.fail_call(487)
    asks(sender, other.party)


def test_a_reinvite_that_is_never_answered_is_given_up_and_the_call_stays(world: World, asking: Sides) -> None:
    sender, other = asking
    sender.party >> sender.request("INVITE", f"Contact: <{sender.party.contact}>")
    sender.party << 100
    other.party << "INVITE"
    world.advance(32)
    other.party.inbox.clear()  # what was repeated over UDP
    sender.party.fail_call(408)
    asks(sender, other.party)


def test_requests_pass_each_other_while_a_reinvite_is_pending(asking: Sides) -> None:
    sender, other = asking
    sender.party >> sender.request("INVITE", f"Contact: <{sender.party.contact}>")
    sender.party << 100
    arrived = other.party << "INVITE"
    asks(sender, other.party)
    asks(other, sender.party)
    other.party >> reply(arrived, 200, contact=other.party.contact)
    sender.party << 200
    sender.invite_cseq = 2
    sender.party >> sender.request("ACK")
    assert (other.party << "ACK").cseq.number == 2


@pytest.mark.parametrize("interval", [90, 1800])
def test_session_timers_are_between_the_two_ends(alice: Party, bob: Party, interval: int) -> None:
    """RFC 4028 §8: a proxy without a wish of its own leaves Session-Expires, Min-SE and 422 alone."""
    headers = ["Supported: timer", f"Session-Expires: {interval};refresher=uac", "Min-SE: 90"]
    alice >> alice.request("INVITE", bob.uri, *headers)
    alice << 100
    invite = bob << "INVITE"
    assert [invite.first(name) for name in ("supported", "session-expires", "min-se")] == [
        "timer",
        f"{interval};refresher=uac",
        "90",
    ]
    bob >> reply(invite, 200, "Require: timer", f"Session-Expires: {interval};refresher=uas", contact=bob.contact)
    ok = alice << 200
    assert (ok.first("require"), ok.first("session-expires")) == ("timer", f"{interval};refresher=uas")
    mine = alice.calling(ok)
    alice >> mine.request("ACK")
    bob << "ACK"


def test_a_session_interval_that_is_too_small_is_for_the_ends_to_settle(alice: Party, bob: Party) -> None:
    alice >> alice.request("INVITE", bob.uri, "Session-Expires: 90", "Supported: timer")
    alice << 100
    bob >> reply(bob << "INVITE", 422, "Min-SE: 600")
    bob << "ACK"
    assert alice.fail_call(422).first("min-se") == "600"
    opens(alice, bob, "Session-Expires: 600", "Min-SE: 600")


def test_a_call_is_refreshed_for_hours(world: World, sides: Sides) -> None:
    mine, theirs = sides
    for number in range(6):
        world.advance(1700)
        sender, other = (mine, theirs) if number % 2 else (theirs, mine)
        refresh: Request = asks(sender, other.party, "UPDATE", "Session-Expires: 1800;refresher=uac")
        assert refresh.first("session-expires") == "1800;refresher=uac"
    ends(mine, theirs.party)

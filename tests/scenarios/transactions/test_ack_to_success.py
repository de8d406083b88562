"""The ACK to a 2xx: end to end, a transaction of nobody on the way, as often as it is sent (§13.2.2.4, §16.11)."""

from typing import Any

import pytest

from sipgw.message import Request
from tests.harness import DOMAIN, Dialog, Party, World, reply
from tests.scenarios.dialogs.steps import talk
from tests.scenarios.proxy.ladder import SDP, accepts, calls, hears, tag_of
from tests.scenarios.transactions.steps import over_udp


def answered(alice: Party, bob: Party) -> tuple[Dialog, Request, Any]:
    """A call that bob has answered and nobody has acknowledged: alice's side, the INVITE at bob, his 200."""
    calls(alice)
    at_bob = bob << "INVITE"
    ok = accepts(bob, at_bob)
    return alice.calling(hears(alice, 200, bob)), at_bob, ok


def test_an_ack_reaches_the_contact_of_who_answered_as_its_sender_wrote_it(alice: Party, bob: Party) -> None:
    dialog, at_bob, _ = answered(alice, bob)
    alice >> dialog.request("ACK", "X-Unknown: kept", "Content-Type: application/sdp", body=SDP)
    ack = bob << "ACK"
    assert ack.uri == bob.contact
    assert (ack.cseq.number, ack.call_id) == (at_bob.cseq.number, at_bob.call_id)
    assert (ack.from_tag, ack.to_tag) == (at_bob.from_tag, tag_of(bob))
    assert (ack.first("x-unknown"), ack.body) == ("kept", SDP)  # an offer in the 200 is answered in the ACK
    assert ack.first("max-forwards") == "69"
    assert "route" not in ack.index
    assert "record-route" not in ack.index
    assert len(ack.values("via")) == 2
    assert ack.via.branch.startswith("z9hG4bK")
    assert ack.via.branch != at_bob.via.branch  # of its own, or bob would take it for the ACK to a failure


def test_nobody_answers_an_ack(alice: Party, bob: Party) -> None:
    dialog, _, _ = answered(alice, bob)
    alice >> dialog.request("ACK")
    alice.nothing()
    bob << "ACK"


@pytest.mark.parametrize("lost", [1, 2, 5])
def test_each_repetition_of_an_answer_can_be_acknowledged(alice: Party, bob: Party, lost: int) -> None:
    """ACKs are lost behind the gateway; the phone says 200 until one arrives (§13.3.1.4)."""
    dialog, _, ok = answered(alice, bob)
    ack = dialog.request("ACK")
    alice >> ack
    for _ in range(lost):
        bob << "ACK"
        bob >> ok
        hears(alice, 200, bob)
        alice >> ack
    bob << "ACK"


def test_an_ack_that_is_sent_three_times_arrives_three_times(alice: Party, bob: Party) -> None:
    dialog, _, _ = answered(alice, bob)
    ack = dialog.request("ACK")
    for _ in range(3):
        alice >> ack
    for _ in range(3):
        bob << "ACK"


def test_an_ack_is_sent_on_once_even_when_nobody_reacts(world: World, alice: Party, bob: Party) -> None:
    """No timers, no state: the gateway does not repeat it."""
    dialog, _, _ = answered(alice, bob)
    world.advance(65)
    alice >> dialog.request("ACK")
    before = world.engine.sizes()
    world.advance(65)
    bob << "ACK"
    assert (before.client_transactions, before.server_transactions) == (0, 0)


@pytest.mark.parametrize(("hops", "after"), [("1", "0"), ("70", "69"), ("255", "254")])
def test_an_ack_is_counted_down_like_any_request(alice: Party, bob: Party, hops: str, after: str) -> None:
    dialog, _, _ = answered(alice, bob)
    alice >> dialog.request("ACK").encode().replace(b"Max-Forwards: 70", b"Max-Forwards: " + hops.encode())
    assert (bob << "ACK").first("max-forwards") == after


def test_an_ack_without_max_forwards_gets_one(alice: Party, bob: Party) -> None:
    dialog, _, _ = answered(alice, bob)
    alice >> dialog.request("ACK").encode().replace(b"Max-Forwards: 70\r\n", b"")
    assert (bob << "ACK").first("max-forwards") == "70"


@pytest.mark.parametrize("value", ["0", "-1", "many", "256", "9" * 20])
def test_an_ack_that_may_go_no_further_is_dropped_without_a_word(alice: Party, bob: Party, value: str) -> None:
    """§17.1: there is no answer to an ACK, whatever is wrong with it."""
    dialog, _, _ = answered(alice, bob)
    alice >> dialog.request("ACK").encode().replace(b"Max-Forwards: 70", b"Max-Forwards: " + value.encode())
    bob.nothing()
    alice.nothing()


@pytest.mark.parametrize("header", ["Proxy-Require: x-strange", "Require: x-strange"])
def test_an_ack_is_not_held_up_by_what_it_requires(alice: Party, bob: Party, header: str) -> None:
    """§8.2.2.3: Require and Proxy-Require mean nothing in an ACK."""
    dialog, _, _ = answered(alice, bob)
    alice >> dialog.request("ACK", header)
    bob << "ACK"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Call-ID: ", b"Call-ID: other-"),
        (b";tag=alice-tag", b";tag=mallory"),
        (b"SIP/2.0\r\n", b"SIP/3.0\r\n"),
        (b"CSeq: 1 ACK", b"CSeq: 1 INVITE"),
        (b"CSeq: 1 ACK", b"CSeq: none"),
        (b"From: ", b"X-From: "),
        (b"Via: ", b"X-Via: "),
    ],
    ids=["Call-ID", "From-tag", "version", "method", "CSeq", "no-From", "no-Via"],
)
def test_a_forged_or_broken_ack_goes_nowhere(alice: Party, bob: Party, old: bytes, new: bytes) -> None:
    dialog, _, _ = answered(alice, bob)
    alice >> dialog.request("ACK").encode().replace(old, new, 1)
    bob.nothing()
    answers = [message for message in alice.inbox if isinstance(message, Request)]
    assert answers == []
    alice.inbox.clear()


def test_an_ack_from_a_stranger_that_knows_no_tags_goes_nowhere(world: World, alice: Party, bob: Party) -> None:
    dialog, _, _ = answered(alice, bob)
    mallory = world.phone("mallory", alice.transport)
    mallory >> mallory.request("ACK", bob.contact, f"Route: {dialog.routes[0]}", to=bob.uri, call_id=dialog.call_id)
    mallory.nothing()
    bob.nothing()
    alice >> dialog.request("ACK")
    bob << "ACK"


@pytest.mark.parametrize("uri", [f"sip:nobody@{DOMAIN}", f"sip:{DOMAIN}", "sip:x@203.0.113.9", "tel:+1234", "x"])
def test_an_ack_to_nobody_is_dropped_without_a_word(alice: Party, bob: Party, uri: str) -> None:
    alice >> alice.request("ACK", uri)
    alice.nothing()
    bob.nothing()


@pytest.mark.parametrize("status", [100, 180, 200, 404, 500, 603])
@pytest.mark.parametrize("method", ["ACK", "INVITE", "MESSAGE"])
def test_an_answer_to_an_ack_is_heard_by_nobody(alice: Party, bob: Party, status: int, method: str) -> None:
    """A broken phone answers the ACK; what it says concerns no transaction."""
    dialog, _, _ = answered(alice, bob)
    alice >> dialog.request("ACK")
    ack = bob << "ACK"
    bob >> reply(ack, status).encode().replace(b"CSeq: 1 ACK", b"CSeq: 1 " + method.encode())
    alice.nothing()
    alice >> dialog.request("BYE")
    bob >> reply(bob << "BYE", 200)
    alice << 200


@pytest.mark.parametrize("method", ["ACK", "INVITE", "MESSAGE"])
def test_an_ack_that_a_phone_sends_back_does_not_come_round(alice: Party, bob: Party, method: str) -> None:
    """A broken phone returns the ACK to us, as it is or as another request: it reaches neither side."""
    dialog, _, _ = answered(alice, bob)
    alice >> dialog.request("ACK")
    back = (bob << "ACK").encode()
    bob >> back.replace(b"ACK sip", method.encode() + b" sip").replace(b"1 ACK", b"1 " + method.encode())
    alice.nothing()
    for message in bob.inbox:
        assert not isinstance(message, Request)
    bob.inbox.clear()
    alice >> dialog.request("BYE")
    bob >> reply(bob << "BYE", 200)
    alice << 200


@pytest.mark.parametrize("sender", ["caller", "called"])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_request_on_the_branch_of_an_ack_is_a_request_of_its_own(
    alice: Party, bob: Party, method: str, sender: str
) -> None:
    """The ACK left no state (§16.11). What is said to it, by whichever side, is no answer to the other request."""
    mine, theirs = talk(alice, bob)
    dialog, asked, other = (mine, alice, bob) if sender == "caller" else (theirs, bob, alice)
    asked >> dialog.request("INVITE", f"Contact: <{asked.contact}>")
    asked << 100
    other >> reply(other << "INVITE", 200, contact=other.contact)
    asked << 200
    dialog.invite_cseq = dialog.cseq
    ack = dialog.request("ACK", branch="z9hG4bKsame")
    asked >> ack
    acknowledged = other << "ACK"
    request = dialog.request(method, f"Contact: <{asked.contact}>", branch="z9hG4bKsame")
    asked >> request
    if method == "INVITE":
        asked << 100
    arrived = other << method
    assert arrived.via.branch != acknowledged.via.branch
    for status in (180, 200, 486):
        for injected in (reply(acknowledged, status), reply(ack, status), reply(request, status)):
            other >> injected
            asked >> injected
        other >> reply(acknowledged, status).encode().replace(b" ACK\r\n", b" " + method.encode() + b"\r\n")
    for party in (asked, other):
        party.nothing()
    other >> reply(arrived, 200, contact=other.contact)
    assert (asked << 200).cseq.method == method
    if method == "INVITE":
        dialog.invite_cseq = dialog.cseq
        asked >> dialog.request("ACK")
        other << "ACK"


def test_the_ack_arrives_over_another_connection_than_the_invite(world: World, bob: Party) -> None:
    """A phone whose connection broke after the answer acknowledges over the new one; the token still leads to bob."""
    alice = world.phone("alice", "TCP")
    dialog, _, ok = answered(alice, bob)
    alice.break_connection()
    alice.connect(port=45555)
    bob >> ok  # in the meantime: where alice's Via says that she listens there is nobody
    alice >> dialog.request("ACK")
    bob << "ACK"
    alice.nothing()


def test_a_call_answered_twice_over_is_acknowledged_in_both_dialogs(alice: Party, bob: Party) -> None:
    """Behind bob's contact two phones answer (a proxy that forks): two dialogs with a route of ours each."""
    calls(alice)
    at_bob = bob << "INVITE"
    dialogs = []
    for tag in ("one", "two"):
        bob >> reply(at_bob, 200, tag=tag, contact=f"{bob.contact};phone={tag}")
        dialogs.append(alice.calling(alice << 200))
    for dialog, tag in zip(dialogs, ("one", "two"), strict=True):
        alice >> dialog.request("ACK")
        ack = bob << "ACK"
        assert (ack.to_tag, ack.uri) == (tag, f"{bob.contact};phone={tag}")
    for dialog in dialogs:
        alice >> dialog.request("BYE")
        bob >> reply(bob << "BYE", 200)
        alice << 200


@over_udp
def test_an_answer_that_nobody_acknowledges_goes_through_as_often_as_it_is_sent(
    world: World, alice: Party, bob: Party
) -> None:
    """Over UDP the phone says 200 at T1, doubling up to T2, until 64*T1; then it ends the call (§13.3.1.4)."""
    _, at_bob, ok = answered(alice, bob)
    for gap in (0.5, 1.0, 2.0, *[4.0] * 7):
        world.advance(gap)
        bob >> ok
        hears(alice, 200, bob)
    world.advance(0.5)
    bob >> bob.called(at_bob, ok).request("BYE")
    alice >> reply(alice << "BYE", 200)
    bob << 200

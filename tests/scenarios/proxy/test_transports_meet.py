"""Caller and called on different transports: Record-Route twice, responses on the way they have to take (RFC 5658)."""

from itertools import product

import pytest

from sipgw.message import Request
from tests.harness import Party, World, reply
from tests.scenarios.proxy.ladder import (
    SDP,
    accepts,
    all_quiet,
    answers,
    calls,
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
)

PAIRS = list(product(("UDP", "TCP", "TLS"), repeat=2))
MIXED = [(mine, theirs) for mine, theirs in PAIRS if mine != theirs]


@pytest.fixture(params=PAIRS, ids="-to-".join)
def pair(request: pytest.FixtureRequest, world: World) -> tuple[Party, Party]:
    """Alice and bob, each on a transport."""
    mine, theirs = request.param
    return world.phone("alice", mine), desks(world, theirs, 1.0)[0]


Pair = tuple[Party, Party]


def test_a_call_is_made_and_the_caller_hangs_up(pair: Pair) -> None:
    alice, bob = pair
    calls(alice)
    at_bob = bob << "INVITE"
    assert len(at_bob.values("record-route")) == (1 if alice.transport == bob.transport else 2)
    assert at_bob.via.transport == bob.transport
    rings(bob, at_bob)
    assert len(hears(alice, 180, bob).values("via")) == 1
    hangs_up(answers(alice, bob, at_bob), bob)
    all_quiet([alice, bob])


def test_a_call_is_made_and_the_called_hangs_up(pair: Pair) -> None:
    alice, bob = pair
    calls(alice)
    at_bob = bob << "INVITE"
    ok = accepts(bob, at_bob)
    dialog = alice.calling(hears(alice, 200, bob))
    alice >> dialog.request("ACK")
    assert "route" not in (bob << "ACK").index
    hangs_up(bob.called(at_bob, ok), alice)
    all_quiet([alice, bob])


@pytest.mark.parametrize("sender", ["caller", "called"])
def test_either_side_can_ask_to_change_the_call(pair: Pair, sender: str) -> None:
    """A re-INVITE with its own 2xx and ACK, and an INFO."""
    alice, bob = pair
    calls(alice)
    at_bob = bob << "INVITE"
    ok = accepts(bob, at_bob)
    dialog = alice.calling(hears(alice, 200, bob))
    alice >> dialog.request("ACK")
    bob << "ACK"
    side, other = (dialog, bob) if sender == "caller" else (bob.called(at_bob, ok), alice)
    again = side.request("INVITE", f"Contact: <{side.party.contact}>", "Content-Type: application/sdp", body=SDP)
    side.party >> again
    side.party << 100
    at_other = other << "INVITE"
    assert (at_other.body, "record-route" in at_other.index) == (SDP, False)
    other >> reply(at_other, 200, contact=other.contact)
    side.party << 200
    side.invite_cseq = again.cseq.number
    side.party >> side.request("ACK")
    assert (other << "ACK").cseq.number == again.cseq.number
    side.party >> side.request("INFO")
    other >> reply(other << "INFO", 200)
    side.party << 200
    hangs_up(side, other)
    all_quiet([alice, bob])


def test_a_call_is_refused(pair: Pair) -> None:
    alice, bob = pair
    calls(alice)
    refuses(bob, bob << "INVITE", 486)
    ends_with(alice, 486)


def test_a_call_is_cancelled(pair: Pair) -> None:
    alice, bob = pair
    invite = calls(alice)
    at_bob = bob << "INVITE"
    rings(bob, at_bob)
    hears(alice, 180, bob)
    cancels(alice, invite)
    gives_up(bob, at_bob)
    ends_with(alice, 487)


@pytest.mark.parametrize("method", ["MESSAGE", "OPTIONS", "NOVELTY"])
def test_a_single_request_is_answered(pair: Pair, method: str) -> None:
    alice, bob = pair
    alice >> alice.request(method, bob.uri, body=SDP)
    at_bob = bob << method
    assert (at_bob.body, "record-route" in at_bob.index) == (SDP, False)
    bob >> reply(at_bob, 200, tag=tag_of(bob))
    hears(alice, 200, bob)


def test_repetition_is_a_matter_of_the_hop_that_may_lose(world: World, pair: Pair) -> None:
    """The caller's UDP does not make the gateway repeat over the called's TCP, nor the other way round."""
    alice, bob = pair
    invite = calls(alice)
    world.advance(3.6)
    at_bob = repeats(bob, "INVITE", copies_until(bob.transport, 3.6))
    if alice.transport == "UDP":
        alice >> invite
        alice << 100
    refuses(bob, at_bob, 486)
    response = alice << 486
    world.advance(1.6)
    if alice.transport == "UDP":
        for _ in range(2):
            assert (alice << 486).encode() == response.encode()
    alice.nothing()
    alice >> alice.ack_failure(response)


def in_a_fork(world: World, mine: str) -> tuple[Party, Request, list[Party], list[Request]]:
    """Alice calls bob, who has a phone on each transport."""
    alice = world.phone("alice", mine)
    bobs = [_desk(world, number, theirs) for number, theirs in enumerate(("UDP", "TCP", "TLS"))]
    invite = calls(alice)
    at = [bob << "INVITE" for bob in bobs]
    assert [one.via.transport for one in at] == ["UDP", "TCP", "TLS"]
    return alice, invite, bobs, at


def _desk(world: World, number: int, transport: str) -> Party:
    desk = world.phone("bob", transport, host=f"198.51.100.{120 + number}")
    line = f"Contact: <{desk.contact}>;q=0.5"
    desk >> desk.request("REGISTER", "sip:example.test", line, to=desk.uri, call_id=f"desk-{number}")
    desk << 200
    return desk


@pytest.mark.parametrize("winner", [0, 1, 2], ids=["UDP", "TCP", "TLS"])
def test_phones_on_all_transports_ring_and_one_answers(world: World, transport: str, winner: int) -> None:
    alice, _, bobs, at = in_a_fork(world, transport)
    for bob, invite in zip(bobs, at, strict=True):
        rings(bob, invite)
        hears(alice, 180, bob)
    dialog = answers(alice, bobs[winner], at[winner])
    for bob, invite in zip(bobs, at, strict=True):
        if bob is not bobs[winner]:
            gives_up(bob, invite)
    hangs_up(dialog, bobs[winner])
    all_quiet([alice, *bobs])


def test_phones_on_all_transports_stop_when_the_caller_cancels(world: World, transport: str) -> None:
    alice, invite, bobs, at = in_a_fork(world, transport)
    for bob, one in zip(bobs, at, strict=True):
        rings(bob, one)
        hears(alice, 180, bob)
    cancels(alice, invite)
    for bob, one in zip(bobs, at, strict=True):
        gives_up(bob, one)
    ends_with(alice, 487)


@pytest.mark.parametrize(("mine", "theirs"), MIXED, ids=str)
def test_the_way_back_of_a_lost_answer_is_the_same(world: World, mine: str, theirs: str) -> None:
    """The 2xx is repeated by the called, whatever it speaks; the caller's ACK crosses over each time."""
    alice, (bob,) = world.phone("alice", mine), desks(world, theirs, 1.0)
    calls(alice)
    ok = accepts(bob, bob << "INVITE")
    dialog = alice.calling(hears(alice, 200, bob))
    for wait in (0.5, 1.0, 2.0):
        world.advance(wait)
        bob >> ok
        hears(alice, 200, bob)
        alice >> dialog.request("ACK")
        bob << "ACK"
    hangs_up(dialog, bob)
    all_quiet([alice, bob])

"""Early media, ringing from several places, and talk inside an early dialog (RFC 3261 §16.7, RFC 3262, RFC 3311)."""

import pytest

from sipgw.message import Request, Response
from tests.harness import Dialog, Party, World, reply
from tests.scenarios.proxy.ladder import (
    SDP,
    all_quiet,
    answers,
    calls,
    cancels,
    desks,
    ends_with,
    gives_up,
    hangs_up,
    hears,
    refuses,
    rings,
    tag_of,
    trying,
)


@pytest.fixture
def alice(world: World, transport: str) -> Party:
    return world.phone("alice", transport)


@pytest.mark.parametrize("status", [180, 181, 182, 183, 189, 199])
def test_every_kind_of_progress_is_told_to_the_caller_at_once(
    world: World, transport: str, alice: Party, status: int
) -> None:
    (bob,) = desks(world, transport, 1.0)
    calls(alice)
    at_bob = bob << "INVITE"
    for _ in range(3):
        rings(bob, at_bob, status)
        hears(alice, status, bob)
    answers(alice, bob, at_bob)


def test_trying_stays_on_its_hop(world: World, transport: str, alice: Party) -> None:
    """§16.7 item 5: the caller has had a 100 of the gateway's own."""
    bobs = desks(world, transport, 1.0, 1.0)
    calls(alice)
    at = [bob << "INVITE" for bob in bobs]
    for bob, invite in zip(bobs, at, strict=True):
        for _ in range(3):
            trying(bob, invite)
    alice.nothing()
    for bob, invite in zip(bobs, at, strict=True):
        refuses(bob, invite, 486)
    ends_with(alice, 486)


@pytest.mark.parametrize("branches", [1, 2, 3])
def test_early_media_of_each_endpoint_reaches_the_caller_unaltered(
    world: World, transport: str, alice: Party, branches: int
) -> None:
    """Everything but our Via stays as the endpoint wrote it, its To tag above all (§16.7 items 3 and 9)."""
    bobs = desks(world, transport, *[1.0] * branches)
    calls(alice)
    at = [bob << "INVITE" for bob in bobs]
    for bob, invite in zip(bobs, at, strict=True):
        fields = ("Content-Type: application/sdp", f"Contact: <{bob.contact}>", "Require: 100rel", "RSeq: 7")
        sent = rings(bob, invite, 183, *fields, body=SDP)
        got = hears(alice, 183, bob)
        assert got.body == SDP
        assert got.lines == sent.lines[1:]
    answers(alice, bobs[0], at[0])
    for bob, invite in zip(bobs[1:], at[1:], strict=True):
        gives_up(bob, invite)


def test_the_caller_hears_progress_in_the_order_in_which_it_happened(
    world: World, transport: str, alice: Party
) -> None:
    one, two = desks(world, transport, 1.0, 1.0)
    calls(alice)
    at = {one: one << "INVITE", two: two << "INVITE"}
    course = [(one, 180), (two, 183), (two, 180), (one, 183), (one, 180), (two, 181)]
    for bob, status in course:
        rings(bob, at[bob], status)
    for bob, status in course:
        hears(alice, status, bob)
    answers(alice, two, at[two])
    gives_up(one, at[one])


def test_an_endpoint_that_rings_after_the_call_was_taken_is_not_heard(
    world: World, transport: str, alice: Party
) -> None:
    """§16.7 item 5: after the final response only 2xx go back. Its first sign of life brings it the CANCEL."""
    one, two = desks(world, transport, 1.0, 1.0)
    calls(alice)
    at_one, at_two = one << "INVITE", two << "INVITE"
    answers(alice, one, at_one)
    two.nothing()
    rings(two, at_two)
    alice.nothing()
    gives_up(two, at_two)
    all_quiet([alice, one, two])


@pytest.mark.parametrize("final", [200, 486])
def test_an_endpoint_that_rings_after_its_own_final_answer_is_not_heard(
    world: World, transport: str, alice: Party, final: int
) -> None:
    """The two were reordered on the way: the client transaction is past Proceeding (§17.1.1.2)."""
    (bob,) = desks(world, transport, 1.0)
    calls(alice)
    at_bob = bob << "INVITE"
    if final == 200:
        answers(alice, bob, at_bob)
    else:
        refuses(bob, at_bob, final)
        ends_with(alice, final)
    for status in (100, 180, 183):
        rings(bob, at_bob, status)
    all_quiet([alice, bob])


def test_ringing_after_the_call_was_declined_elsewhere_is_heard_until_the_decline_goes_back(
    world: World, transport: str, alice: Party
) -> None:
    one, two = desks(world, transport, 1.0, 1.0)
    calls(alice)
    at_one, at_two = one << "INVITE", two << "INVITE"
    refuses(one, at_one, 603)
    rings(two, at_two)
    hears(alice, 180, two)
    gives_up(two, at_two)
    ends_with(alice, 603)
    rings(two, at_two)
    all_quiet([alice, one, two])


def test_a_caller_that_repeats_its_invite_hears_the_latest_progress_again(world: World) -> None:
    """§17.2.1: the most recent provisional, whichever branch it came from; no endpoint is asked again."""
    alice, (one, two) = world.phone("alice", "UDP"), desks(world, "UDP", 1.0, 1.0)
    invite = calls(alice)
    at_one, at_two = one << "INVITE", two << "INVITE"
    rings(one, at_one)
    hears(alice, 180, one)
    rings(two, at_two, 183)
    hears(alice, 183, two)
    alice >> invite
    hears(alice, 183, two)
    all_quiet([one, two])
    answers(alice, one, at_one)
    gives_up(two, at_two)


# inside an early dialog


def early(alice: Party, bob: Party, at_bob: Request, rseq: int = 1) -> tuple[Dialog, Response]:
    """A reliable provisional: the caller's side of the early dialog, and the response as bob sent it."""
    sent = rings(bob, at_bob, 183, "Require: 100rel", f"RSeq: {rseq}", f"Contact: <{bob.contact}>")
    return alice.calling(hears(alice, 183, bob)), sent


def test_a_prack_finds_its_way_and_its_answer_back(world: World, transport: str, alice: Party) -> None:
    (bob,) = desks(world, transport, 1.0)
    calls(alice, bob.uri, "Supported: 100rel")
    at_bob = bob << "INVITE"
    assert at_bob.first("supported") == "100rel"
    dialog, _ = early(alice, bob, at_bob)
    alice >> dialog.request("PRACK", "RAck: 1 1 INVITE", "Content-Type: application/sdp", body=SDP)
    prack = bob << "PRACK"
    assert (prack.first("rack"), prack.body, prack.uri) == ("1 1 INVITE", SDP, bob.contact)
    assert "route" not in prack.index
    bob >> reply(prack, 200, "Content-Type: application/sdp", body=SDP)
    ok = alice << 200
    assert (ok.cseq.method, ok.body) == ("PRACK", SDP)
    hangs_up(answers(alice, bob, at_bob), bob)


@pytest.mark.parametrize("method", ["PRACK", "UPDATE", "INFO", "MESSAGE", "NOVELTY"])
@pytest.mark.parametrize("sender", ["caller", "called"])
def test_any_method_passes_untouched_in_an_early_dialog(
    world: World, transport: str, alice: Party, method: str, sender: str
) -> None:
    (bob,) = desks(world, transport, 1.0)
    calls(alice)
    at_bob = bob << "INVITE"
    dialog, sent = early(alice, bob, at_bob)
    side, other = (dialog, bob) if sender == "caller" else (bob.called(at_bob, sent), alice)
    request = side.request(method, "X-Kept: as it is", "Content-Type: application/sdp", body=SDP)
    side.party >> request
    at_other = other << method
    assert (at_other.body, at_other.first("x-kept")) == (SDP, "as it is")
    assert at_other.first("max-forwards") == "69"
    assert [at_other.first(name) for name in ("from", "to", "call-id", "cseq")] == [
        request.first(name) for name in ("from", "to", "call-id", "cseq")
    ]
    other >> reply(at_other, 200, "X-Kept: on the way back")
    ok = side.party << 200
    assert (ok.cseq.method, ok.first("x-kept")) == (method, "on the way back")
    answers(alice, bob, at_bob)
    all_quiet([alice, bob])


def test_two_early_dialogs_of_one_call_are_kept_apart(world: World, transport: str, alice: Party) -> None:
    """Each PRACK goes to the endpoint whose provisional it acknowledges."""
    one, two = desks(world, transport, 1.0, 1.0)
    calls(alice)
    at_one, at_two = one << "INVITE", two << "INVITE"
    first, _ = early(alice, one, at_one, 10)
    second, _ = early(alice, two, at_two, 20)
    for dialog, bob, other, rack in ((second, two, one, "20 1 INVITE"), (first, one, two, "10 1 INVITE")):
        alice >> dialog.request("PRACK", f"RAck: {rack}")
        prack = bob << "PRACK"
        assert (prack.first("rack"), prack.to_tag) == (rack, tag_of(bob))
        other.nothing()
        bob >> reply(prack, 200)
        hears(alice, 200, bob)
    answers(alice, two, at_two)
    gives_up(one, at_one)


def test_a_prack_that_is_under_way_when_the_call_is_cancelled_is_still_answered(
    world: World, transport: str, alice: Party
) -> None:
    (bob,) = desks(world, transport, 1.0)
    invite = calls(alice)
    at_bob = bob << "INVITE"
    dialog, _ = early(alice, bob, at_bob)
    alice >> dialog.request("PRACK", "RAck: 1 1 INVITE")
    prack = bob << "PRACK"
    cancels(alice, invite)
    bob >> reply(prack, 200)
    assert (alice << 200).cseq.method == "PRACK"
    gives_up(bob, at_bob)
    ends_with(alice, 487)


def test_an_unacknowledged_reliable_provisional_is_repeated_end_to_end(
    world: World, transport: str, alice: Party
) -> None:
    """RFC 3262 §3: the UAS repeats it; a proxy passes each copy on, without a timer of its own."""
    (bob,) = desks(world, transport, 1.0)
    calls(alice)
    at_bob = bob << "INVITE"
    dialog, sent = early(alice, bob, at_bob)
    for wait in (0.5, 1.0, 2.0):
        world.advance(wait)
        alice.nothing()
        bob >> sent
        hears(alice, 183, bob)
    alice >> dialog.request("PRACK", "RAck: 1 1 INVITE")
    bob >> reply(bob << "PRACK", 200)
    alice << 200
    answers(alice, bob, at_bob)


def test_a_caller_ends_an_early_dialog_with_bye(world: World, transport: str, alice: Party) -> None:
    """§15: a caller may say BYE to one early dialog and let the rest of the fork ring."""
    one, two = desks(world, transport, 1.0, 1.0)
    calls(alice)
    at_one, at_two = one << "INVITE", two << "INVITE"
    unwanted, _ = early(alice, one, at_one)
    rings(two, at_two)
    hears(alice, 180, two)
    hangs_up(unwanted, one)
    two.nothing()
    refuses(one, at_one, 487)
    alice.nothing()
    answers(alice, two, at_two)

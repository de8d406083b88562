"""What a user agent does to the Via values of a response (RFC 3261 §8.2.6.2, §16.7 item 3, §18.1.2).

Below ours has to stand the Via of the request, or the caller would have no use for the response. How it is written is
another matter: a list on one line, compact, in capitals, with its parameters in another order.
"""

from collections.abc import Callable

import pytest

from sipgw.message import Request, Response
from tests.harness import Party, World, reply
from tests.scenarios.proxy.ladder import FORGOTTEN, cancelled, desks, ends_with, refuses, rings, tag_of

Vias = list[str]


@pytest.fixture
def alice(world: World, transport: str) -> Party:
    return world.phone("alice", transport)


@pytest.fixture
def bob(world: World, transport: str) -> Party:
    return desks(world, transport, 1.0)[0]


def asks(alice: Party, bob: Party, method: str) -> Request:
    alice >> alice.request(method, bob.uri)
    if method == "INVITE":
        alice << 100
    arrived: Request = bob << method
    return arrived


def with_vias(response: Response, vias: Vias) -> Response:
    """The response with these lines in place of its Via lines."""
    rest = [(line, name) for line, name in zip(response.lines, response.names, strict=True) if name != "via"]
    response.lines = [*vias, *[line for line, _ in rest]]
    response.names = ["via"] * len(vias) + [name for _, name in rest]
    response.reindex()
    return response


def answered(bob: Party, request: Request, status: int, vias: Vias) -> Response:
    contact = bob.contact if status == 200 else ""
    return with_vias(reply(request, status, tag=tag_of(bob), contact=contact), vias)


def lines(request: Request) -> tuple[str, str]:
    ours, theirs = (f"Via: {value}" for value in request.values("via"))
    return ours, theirs


OTHER = "SIP/2.0/UDP 203.0.113.9:5060;branch=z9hG4bKother"
SPOILED: dict[str, Callable[[str, str], Vias]] = {
    "one-more-between": lambda ours, theirs: [ours, f"Via: {OTHER}", theirs],
    "one-more-on-our-line": lambda ours, theirs: [f"{ours}, {OTHER}", theirs],
    "another-in-its-place": lambda ours, _: [ours, f"Via: {OTHER}"],
    "another-branch": lambda ours, theirs: [ours, theirs.replace("branch=z9hG4bK", "branch=z9hG4bKx")],
    "no-branch": lambda ours, theirs: [ours, theirs.replace(";branch=", ";branched=")],
    "another-host": lambda ours, theirs: [ours, theirs.replace("198.51.100.7:", "198.51.100.8:")],
    "another-port": lambda ours, theirs: [ours, theirs.replace("198.51.100.7:", "198.51.100.7:1")],
    "ours-twice": lambda ours, theirs: [ours, ours, theirs],
    "ours-alone": lambda ours, _: [ours],
    "rubbish": lambda ours, _: [ours, "Via: rubbish"],
}
SPELT: dict[str, Callable[[str, str], Vias]] = {
    "as-a-list": lambda ours, theirs: [f"{ours}, {theirs[5:]}"],
    "compact": lambda ours, theirs: [f"v:{ours[5:]}", f"v:{theirs[5:]}"],
    "branch-in-capitals": lambda ours, theirs: [ours, theirs.replace("z9hG4bK-alice", "z9hG4bK-ALICE")],
    "with-more-parameters": lambda ours, theirs: [ours, f"{theirs};x=1"],
    "with-spaces": lambda ours, theirs: [ours, theirs.replace("SIP/2.0/", "SIP / 2.0 / ").replace(";", " ; ")],
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
@pytest.mark.parametrize("status", [200, 486])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_response_that_does_not_lead_back_is_no_answer(
    world: World, alice: Party, bob: Party, method: str, status: int, spoil: Callable[[str, str], Vias]
) -> None:
    arrived = asks(alice, bob, method)
    bob >> answered(bob, arrived, status, spoil(*lines(arrived)))
    if method == "INVITE" and status == 486:
        bob << "ACK"
    if method == "INVITE":
        ends_with(alice, 502)
    else:
        alice << 502
    assert world.engine.counters["misdirected"] == 1


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_ringing_that_does_not_lead_back_is_not_passed_on(
    alice: Party, bob: Party, spoil: Callable[[str, str], Vias]
) -> None:
    arrived = asks(alice, bob, "INVITE")
    bob >> answered(bob, arrived, 180, spoil(*lines(arrived)))
    alice.nothing()
    rings(bob, arrived)
    alice << 180
    refuses(bob, arrived, 486)
    ends_with(alice, 486)


@pytest.mark.parametrize("spell", SPELT.values(), ids=SPELT)
@pytest.mark.parametrize("status", [200, 486])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_response_that_leads_back_is_passed_on_however_it_is_spelt(
    alice: Party, bob: Party, method: str, status: int, spell: Callable[[str, str], Vias]
) -> None:
    arrived = asks(alice, bob, method)
    bob >> answered(bob, arrived, status, spell(*lines(arrived)))
    answer = alice << status
    assert len(answer.values("via")) == 1
    if method == "INVITE" and status == 200:
        alice >> alice.calling(answer).request("ACK")
        bob << "ACK"
    elif method == "INVITE":
        bob << "ACK"
        alice >> alice.ack_failure(answer)


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_our_own_branch_altered_is_an_answer_to_nothing(world: World, alice: Party, bob: Party, method: str) -> None:
    """§17.1.3: it belongs to no transaction; the request is as unanswered as before."""
    arrived = asks(alice, bob, method)
    ours, theirs = lines(arrived)
    bob >> answered(bob, arrived, 200, [ours.replace("branch=z9hG4bK", "branch=z9hG4bKx"), theirs])
    alice.nothing()
    bob >> reply(arrived, 486, tag=tag_of(bob))
    if method == "INVITE":
        bob << "ACK"
        ends_with(alice, 486)
    else:
        alice << 486
    assert world.engine.counters["stray_responses"] == 1


@pytest.mark.parametrize("how", ["one-more-between", "another-in-its-place"])
def test_of_two_phones_one_spoils_its_answer_and_the_other_takes_the_call(
    world: World, transport: str, alice: Party, how: str
) -> None:
    one, two = desks(world, transport, 1.0, 1.0)
    alice >> alice.request("INVITE", one.uri)
    alice << 100
    at_one, at_two = one << "INVITE", two << "INVITE"
    one >> answered(one, at_one, 200, SPOILED[how](*lines(at_one)))
    alice.nothing()
    two >> reply(at_two, 200, tag=tag_of(two), contact=two.contact)
    mine = alice.calling(alice << 200)
    alice >> mine.request("ACK")
    two << "ACK"


@pytest.mark.parametrize("again", [True, False], ids=["repeated", "second"])
def test_after_the_answer_a_spoiled_one_is_not_passed_on_either(
    world: World, transport: str, alice: Party, again: bool
) -> None:
    one, two = desks(world, transport, 1.0, 1.0)
    alice >> alice.request("INVITE", one.uri)
    alice << 100
    at_one, at_two = one << "INVITE", two << "INVITE"
    if not again:
        rings(two, at_two)
        alice << 180
    one >> reply(at_one, 200, tag=tag_of(one), contact=one.contact)
    alice >> alice.calling(alice << 200).request("ACK")
    one << "ACK"
    if again:
        refuses(two, at_two, 486)
        one >> answered(one, at_one, 200, SPOILED["another-in-its-place"](*lines(at_one)))
    else:
        two >> reply(cancelled(two, at_two), 200)
        two >> answered(two, at_two, 200, SPOILED["another-in-its-place"](*lines(at_two)))
    world.advance(FORGOTTEN)
    alice.nothing()
    assert world.engine.counters["misdirected"] == 1


@pytest.mark.parametrize("branch", ["", ";branch=1234"])
def test_a_caller_of_the_older_kind_is_told_by_its_whole_via(
    world: World, transport: str, alice: Party, bob: Party, branch: str
) -> None:
    """RFC 2543 had no branch, or one without the magic cookie."""
    for spoil, status in (
        (SPOILED["another-in-its-place"], 502),
        (SPOILED["another-host"], 502),
        (SPELT["compact"], 200),
    ):
        message = alice.request("MESSAGE", bob.uri)
        message.lines[0] = message.lines[0].partition(";")[0] + branch
        alice >> message
        arrived = bob << "MESSAGE"
        bob >> answered(bob, arrived, 200, spoil(*lines(arrived)))
        alice << status

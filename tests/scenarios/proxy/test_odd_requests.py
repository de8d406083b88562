"""Requests that are unusual, wrong, or look like another one: the right one is answered, nobody else is troubled."""

import pytest

from sipgw.message import Request
from tests.harness import Party, World, reply
from tests.scenarios.proxy.ladder import (
    TIMER_B,
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
)


@pytest.fixture
def alice(world: World, transport: str) -> Party:
    return world.phone("alice", transport)


@pytest.fixture
def bob(world: World, transport: str) -> Party:
    return desks(world, transport, 1.0)[0]


def renumbered(request: Request, value: str) -> Request:
    """The request with another CSeq."""
    request.lines[request.index["cseq"]] = f"CSeq: {value}"
    return request


@pytest.mark.parametrize(
    ("method", "cseq"),
    [
        ("INVITE", "1 CANCEL"),
        ("INVITE", "1 BYE"),
        ("INVITE", "1 NOVELTY"),
        ("MESSAGE", "1 INVITE"),
        ("CANCEL", "1 INVITE"),
        ("OPTIONS", "1"),
        ("OPTIONS", "one OPTIONS"),
        ("OPTIONS", "99999999999 OPTIONS"),
    ],
)
def test_a_request_whose_cseq_is_wrong_is_refused(alice: Party, bob: Party, method: str, cseq: str) -> None:
    """§8.1.1.5: the method in it is that of the request, the number one of 32 bits."""
    alice >> renumbered(alice.request(method, bob.uri), cseq)
    alice << 400
    bob.nothing()


def test_a_request_that_shares_a_branch_with_a_call_is_another_request(alice: Party, bob: Party) -> None:
    """§17.2.3: the method is part of what tells transactions apart."""
    invite = calls(alice)
    at_bob = bob << "INVITE"
    alice >> alice.request("MESSAGE", bob.uri, branch=invite.via.branch)
    at_message = bob << "MESSAGE"
    assert at_message.via.branch != at_bob.via.branch
    bob >> reply(at_message, 200, tag=tag_of(bob))
    assert hears(alice, 200, bob).cseq.method == "MESSAGE"
    answers(alice, bob, at_bob)


def test_two_callers_that_choose_the_same_branch_are_told_apart(world: World, transport: str, bob: Party) -> None:
    """§17.2.3: by the sent-by of their Vias."""
    alice, dora = world.phone("alice", transport), world.phone("dora", transport, host="203.0.113.4")
    for caller in (alice, dora):
        caller >> caller.request("INVITE", bob.uri, branch="z9hG4bKsame")
        caller << 100
    at_alice, at_dora = bob << "INVITE", bob << "INVITE"
    refuses(bob, at_alice, 486)
    ends_with(alice, 486)
    dora.nothing()
    hangs_up(answers(dora, bob, at_dora), bob)
    all_quiet([alice, dora, bob])


@pytest.mark.parametrize("branch", ["Z9HG4BK-LOUD", "z9hG4bK" + "x" * 200, "z9hG4bK.1/2_3~4"])
def test_a_branch_of_any_spelling_works(alice: Party, bob: Party, branch: str) -> None:
    """It is a token: its own sender knows it again as it wrote it."""
    invite = alice.request("INVITE", bob.uri, branch=branch)
    for ending in ("answer", "cancel"):
        alice >> invite
        alice << 100
        at_bob = bob << "INVITE"
        rings(bob, at_bob)
        assert hears(alice, 180, bob).via.branch == branch
        if ending == "answer":
            refuses(bob, at_bob, 486)
            ends_with(alice, 486)
        else:
            cancels(alice, invite)
            gives_up(bob, at_bob)
            ends_with(alice, 487)
        invite = alice.request("INVITE", bob.uri, branch=branch + "2")
        branch = branch + "2"


@pytest.mark.parametrize("ending", ["answered", "refused", "cancelled"])
def test_a_caller_of_the_older_kind_is_served_too(alice: Party, bob: Party, ending: str) -> None:
    """No branch in its Via: Request-URI, tags, Call-ID, CSeq and Via are compared (§17.2.3)."""
    invite = alice.request("INVITE", bob.uri)
    invite.lines[0] = invite.lines[0].partition(";")[0]
    alice >> invite
    alice << 100
    at_bob = bob << "INVITE"
    rings(bob, at_bob)
    hears(alice, 180, bob)
    if ending == "answered":
        hangs_up(answers(alice, bob, at_bob), bob)
    elif ending == "refused":
        refuses(bob, at_bob, 486)
        ends_with(alice, 486)
    else:
        cancels(alice, invite)
        gives_up(bob, at_bob)
        ends_with(alice, 487)
    all_quiet([alice, bob])


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
@pytest.mark.parametrize("tags", ["frobnicate", "path, frobnicate", "sec-agree"])
def test_what_the_gateway_would_have_to_understand_and_does_not_is_refused(
    alice: Party, bob: Party, method: str, tags: str
) -> None:
    """§16.3 item 5: 420 names what is not understood."""
    request = alice.request(method, bob.uri, f"Proxy-Require: {tags}")
    alice >> request
    response = ends_with(alice, 420) if method == "INVITE" else alice << 420
    assert response.values("unsupported") == [tags.rpartition(", ")[2]]
    bob.nothing()


@pytest.mark.parametrize("line", ["Require: frobnicate", "Supported: frobnicate", "Proxy-Require: path"])
def test_what_only_the_phone_has_to_understand_is_passed_on(alice: Party, bob: Party, line: str) -> None:
    calls(alice, bob.uri, line)
    at_bob = bob << "INVITE"
    assert line in at_bob.lines
    refuses(bob, at_bob, 420, "Unsupported: frobnicate")
    assert ends_with(alice, 420).first("unsupported") == "frobnicate"


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "NOVELTY"])
@pytest.mark.parametrize("status", [302, 400, 403, 404, 420, 480, 481, 488, 500, 501, 504, 513, 600, 603, 606, 699])
def test_every_refusal_goes_back_whole(alice: Party, bob: Party, method: str, status: int) -> None:
    alice >> alice.request(method, bob.uri)
    if method == "INVITE":
        alice << 100
    at_bob = bob << method
    sent = reply(at_bob, status, 'Warning: 399 bob "why"', "X-Kept:  so ", tag=tag_of(bob), body=b"explained")
    bob >> sent
    got = hears(alice, status, bob)
    assert got.lines == sent.lines[1:]
    assert (got.start, got.body) == (sent.start, b"explained")
    if method == "INVITE":
        assert (bob << "ACK").to_tag == tag_of(bob)
        alice >> alice.ack_failure(got)
    all_quiet([alice, bob])


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
@pytest.mark.parametrize("method", ["MESSAGE", "NOVELTY"])
def test_every_success_goes_back_whole(alice: Party, bob: Party, method: str, status: int) -> None:
    alice >> alice.request(method, bob.uri)
    sent = reply(bob << method, status, "X-Kept:  so ", tag=tag_of(bob), body=b"done")
    bob >> sent
    got = hears(alice, status, bob)
    assert (got.lines, got.body) == (sent.lines[1:], b"done")


@pytest.mark.parametrize("status", [200, 486])
def test_an_ack_to_anything_but_an_invite_is_dropped(
    world: World, transport: str, alice: Party, bob: Party, status: int
) -> None:
    """§17: only INVITE has an ACK; what a confused caller sends goes nowhere, and its answer stays valid."""
    request = alice.request("MESSAGE", bob.uri)
    alice >> request
    bob >> reply(bob << "MESSAGE", status, tag=tag_of(bob))
    response = hears(alice, status, bob)
    alice.sent[request.call_id] = request
    alice >> alice.ack_failure(response)
    all_quiet([alice, bob])
    if transport == "UDP":
        world.advance(TIMER_B - 1)
        alice >> request
        assert (alice << status).encode() == response.encode()
    bob.nothing()


@pytest.mark.parametrize("status", [200, 404, 500])
def test_an_answer_repeated_by_the_phone_reaches_the_caller_once(
    world: World, alice: Party, bob: Party, status: int
) -> None:
    """To a non-INVITE, in Completed: absorbed (§17.1.2.2)."""
    alice >> alice.request("MESSAGE", bob.uri)
    answer = reply(bob << "MESSAGE", status, tag=tag_of(bob))
    for _ in range(4):
        bob >> answer
        world.advance(2)
    hears(alice, status, bob)
    all_quiet([alice, bob])


@pytest.mark.parametrize("count", [2, 5])
def test_a_caller_may_have_many_calls_at_once(
    world: World, transport: str, alice: Party, bob: Party, count: int
) -> None:
    """Each is answered on its own, whatever the order."""
    for _ in range(count):
        calls(alice)
    at = [bob << "INVITE" for _ in range(count)]
    assert len({invite.call_id for invite in at}) == count
    for number, invite in enumerate(reversed(at)):
        if number % 2:
            refuses(bob, invite, 486)
            ends_with(alice, 486)
        else:
            hangs_up(answers(alice, bob, invite), bob)
    all_quiet([alice, bob])

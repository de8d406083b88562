"""Clients of RFC 2543, and pidgin-sipe in its dialogs: no branch, or one without the cookie (§17.2.3, second rule)."""

from typing import Any

import pytest

from sipgw.message import Request
from tests.harness import CONTACT_OBJECT, DOMAIN, Party, World, reply
from tests.scenarios.proxy.ladder import refuses
from tests.scenarios.transactions.steps import over_udp

BRANCHES = {
    "none": "",
    "old": ";branch=1",
    "empty": ";branch=",
    "capitals": ";branch=Z9HG4BK7",
    "cookie": ";branch=z9hG4bK",
}


@pytest.fixture(params=list(BRANCHES))
def branch(request: pytest.FixtureRequest) -> str:
    """What such a client writes into its Via."""
    return BRANCHES[request.param]


def older(request: Request, branch: str = "") -> Request:
    """The request as a client without the cookie sends it."""
    at = request.index["via"]
    request.lines[at] = request.lines[at].partition(";")[0] + branch
    request.reindex()
    return request


def calls_the_older_way(alice: Party, branch: str, uri: str = CONTACT_OBJECT) -> Request:
    invite = older(alice.request("INVITE", uri), branch)
    alice >> invite
    alice << 100
    return invite


def changed(request: Request, old: str, new: str) -> bytes:
    data = request.encode()
    assert old.encode() in data
    return data.replace(old.encode(), new.encode(), 1)


def test_a_whole_call(world: World, alice: Party, pool: Party, branch: str) -> None:
    calls_the_older_way(alice, branch)
    at_pool = pool << "INVITE"
    assert at_pool.via.branch.startswith("z9hG4bK")  # ours is always of the new kind
    answer = reply(at_pool, 200, contact=pool.contact)
    pool >> answer
    ok = alice << 200
    dialog = alice.calling(ok)
    alice >> older(dialog.request("ACK"), branch)
    pool << "ACK"
    for method in ("INFO", "INFO", "BYE"):
        alice >> older(dialog.request(method), branch)
        pool >> reply(pool << method, 200)
        assert (alice << 200).cseq.method == method


def test_the_via_of_the_client_comes_back_as_it_was(alice: Party, pool: Party, branch: str) -> None:
    """No branch is invented for it: it could not match the answer."""
    invite = calls_the_older_way(alice, branch)
    at_pool = pool << "INVITE"
    pool >> reply(at_pool, 180)
    ringing = alice << 180
    refuses(pool, at_pool, 486)
    failure = alice << 486
    for response in (ringing, failure):
        (via,) = response.values("via")
        assert via.startswith(invite.values("via")[0])
        assert via.count("branch") == branch.count("branch")
    alice >> older(alice.ack_failure(failure), branch)


def test_a_repeated_invite_is_sent_on_once(alice: Party, pool: Party, branch: str) -> None:
    invite = calls_the_older_way(alice, branch)
    at_pool = pool << "INVITE"
    alice >> invite
    alice << 100
    pool.nothing()
    pool >> reply(at_pool, 180)
    alice << 180
    alice >> invite
    alice << 180
    refuses(pool, at_pool, 486)
    failure = alice << 486
    alice >> invite
    assert (alice << 486).encode() == failure.encode()
    alice >> older(alice.ack_failure(failure), branch)
    pool.nothing()


def test_a_repeated_invite_after_its_answer_is_absorbed(world: World, alice: Party, pool: Party, branch: str) -> None:
    invite = calls_the_older_way(alice, branch)
    pool >> reply(pool << "INVITE", 200, contact=pool.contact)
    alice << 200
    world.advance(31)
    alice >> invite
    alice.nothing()
    pool.nothing()


@over_udp
def test_a_repeated_request_is_answered_from_memory(alice: Party, pool: Party, branch: str) -> None:
    message = older(alice.request("MESSAGE", CONTACT_OBJECT), branch)
    alice >> message
    at_pool = pool << "MESSAGE"
    alice >> message
    pool.nothing()
    pool >> reply(at_pool, 200)
    first = alice << 200
    alice >> message
    assert (alice << 200).encode() == first.encode()
    pool.nothing()


ANOTHER = [
    pytest.param("sip:ocschat@example.test SIP", "sip:ocschat@example.test;x=1 SIP", id="Request-URI"),
    pytest.param(";tag=alice-tag", ";tag=alice-2", id="From-tag"),
    pytest.param("Call-ID: ", "Call-ID: 2", id="Call-ID"),
    pytest.param("CSeq: 1", "CSeq: 2", id="CSeq"),
    pytest.param(":40000", ":40000;ttl=1", id="Via-parameter"),
    pytest.param("198.51.100.7:40000", "elsewhere.test:40000", id="sent-by"),
]


@pytest.mark.parametrize(("old", "new"), ANOTHER)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_what_differs_in_any_part_is_another_request(
    alice: Party, pool: Party, method: str, old: str, new: str
) -> None:
    """All of these, and the whole topmost Via, make the transaction where there is no branch to make it."""
    request = older(alice.request(method, CONTACT_OBJECT))
    alice >> request
    alice >> changed(request, old, new)
    for at_pool in (pool << method, pool << method):
        pool >> reply(at_pool, 200, contact=pool.contact)
    alice.inbox = [message for message in alice.inbox if message.start != "SIP/2.0 100 Trying"]
    alice << 200
    alice << 200


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "BYE"])
def test_the_same_request_to_another_dialog_is_another_request(alice: Party, pool: Party, method: str) -> None:
    """The To tag belongs to the rule for every method. Two dialogs of one fork can differ in nothing else."""
    request = alice.request(method, CONTACT_OBJECT)
    for tag in ("one", "two"):
        copy = older(alice.request(method, CONTACT_OBJECT, call_id=request.call_id))
        alice >> changed(copy, f"To: <{CONTACT_OBJECT}>", f"To: <{CONTACT_OBJECT}>;tag={tag}")
    arrived = [pool << method, pool << method]
    assert [message.to_tag for message in arrived] == ["one", "two"]
    for message in arrived:
        pool >> reply(message, 200, contact=pool.contact)
    alice.inbox = [message for message in alice.inbox if message.start != "SIP/2.0 100 Trying"]
    assert [(alice << 200).to_tag, (alice << 200).to_tag] == ["one", "two"]


@pytest.mark.parametrize(
    "method", ["INVITE", "MESSAGE", "INFO", "OPTIONS", "BYE", "SUBSCRIBE", "NOTIFY", "REFER", "UNHEARDOF"]
)
def test_requests_that_differ_in_their_method_alone_are_two(alice: Party, pool: Party, method: str) -> None:
    first = older(alice.request("PUBLISH", CONTACT_OBJECT, call_id="c"))
    second = older(alice.request(method, CONTACT_OBJECT, call_id="c"))
    alice >> first >> second
    pool >> reply(pool << "PUBLISH", 200)
    pool >> reply(pool << method, 200, contact=pool.contact)
    if method == "INVITE":
        alice << 100
    assert [(alice << 200).cseq.method, (alice << 200).cseq.method] == ["PUBLISH", method]


def refused(alice: Party, pool: Party, branch: str) -> Any:
    calls_the_older_way(alice, branch)
    refuses(pool, pool << "INVITE", 486)
    return alice << 486


def test_the_ack_to_a_failure_is_told_by_the_to_tag_of_the_failure(
    world: World, alice: Party, pool: Party, branch: str
) -> None:
    failure = refused(alice, pool, branch)
    alice >> older(alice.ack_failure(failure), branch)
    world.advance(40)
    alice.nothing()
    pool.nothing()
    assert world.engine.counters["unacknowledged"] == 0


@over_udp
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Call-ID: ", "Call-ID: x"),
        (";tag=alice-tag", ";tag=other"),
        ("CSeq: 1 ACK", "CSeq: 2 ACK"),
        ("ACK sip:ocschat@", "ACK sip:other@"),
        (";tag=ocschat-51", ";tag=forged"),
        (";tag=ocschat-51", ""),
        (":40000", ":40001"),
    ],
    ids=["Call-ID", "From-tag", "CSeq", "Request-URI", "To-tag", "no-To-tag", "Via"],
)
def test_the_ack_to_something_else_does_not_silence_a_failure(
    world: World, alice: Party, pool: Party, branch: str, old: str, new: str
) -> None:
    failure = refused(alice, pool, branch)
    ack = older(alice.ack_failure(failure), branch)
    alice >> changed(ack, old, new)
    pool.nothing()
    world.advance(0.5)
    assert (alice << 486).encode() == failure.encode()
    alice >> ack
    world.advance(40)
    alice.nothing()


def test_the_ack_to_an_answer_goes_through_although_nothing_but_its_method_is_new(
    alice: Party, pool: Party, branch: str
) -> None:
    """A pool whose Contact is the address that was called: the ACK looks like one to the INVITE's own transaction."""
    calls_the_older_way(alice, branch)
    pool >> reply(pool << "INVITE", 200, contact=CONTACT_OBJECT)
    dialog = alice.calling(alice << 200)
    alice >> older(dialog.request("ACK"), branch)
    ack = pool << "ACK"
    assert ack.uri == CONTACT_OBJECT


def test_a_cancel_finds_its_invite(alice: Party, pool: Party, branch: str) -> None:
    invite = calls_the_older_way(alice, branch)
    at_pool = pool << "INVITE"
    pool >> reply(at_pool, 180)
    alice << 180
    alice >> older(alice.cancel(invite), branch)
    assert (alice << 200).cseq.method == "CANCEL"
    pool >> reply(pool << "CANCEL", 200)
    refuses(pool, at_pool, 487)
    alice >> older(alice.ack_failure(alice << 487), branch)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Call-ID: ", "Call-ID: x"),
        (";tag=alice-tag", ";tag=other"),
        ("CSeq: 1 CANCEL", "CSeq: 2 CANCEL"),
        ("CANCEL sip:ocschat@", "CANCEL sip:other@"),
        (f"To: <{CONTACT_OBJECT}>", f"To: <{CONTACT_OBJECT}>;tag=x"),
        (":40000", ":40001"),
    ],
    ids=["Call-ID", "From-tag", "CSeq", "Request-URI", "To-tag", "Via"],
)
def test_a_cancel_of_something_else_ends_no_call(alice: Party, pool: Party, branch: str, old: str, new: str) -> None:
    invite = calls_the_older_way(alice, branch)
    at_pool = pool << "INVITE"
    pool >> reply(at_pool, 180)
    alice << 180
    cancel = older(alice.cancel(invite), branch)
    if ":4000" in old:
        cancel.lines[0] += ";x=1"  # the answer has to find the way back all the same
        alice >> cancel
    else:
        alice >> changed(cancel, old, new)
    assert (alice << 481).cseq.method == "CANCEL"
    refuses(pool, at_pool, 486)
    alice >> older(alice.ack_failure(alice << 486), branch)


@over_udp
def test_two_clients_that_say_the_same_of_themselves_from_two_hosts_are_two(world: World, pool: Party) -> None:
    """The Via that is compared has been stamped with where the request came from."""
    one, two = world.phone("alice", "UDP", "198.51.100.7", 5070), world.phone("alice", "UDP", "198.51.100.8", 5070)
    request = older(one.request("MESSAGE", CONTACT_OBJECT, call_id="same"))
    one >> request.encode()
    two >> request.encode()
    for at_pool, status in ((pool << "MESSAGE", 200), (pool << "MESSAGE", 202)):
        pool >> reply(at_pool, status)
    one << 200
    two << 202


@over_udp
def test_a_register_repeated_without_a_branch_is_done_once(world: World, alice: Party, branch: str) -> None:
    register = older(alice.register(), branch)
    alice >> register
    first = alice << 200
    alice >> register
    assert (alice << 200).encode() == first.encode()
    assert len(world.persisted) == 1


def test_an_unknown_user_is_refused_in_the_old_way_too(world: World, alice: Party, branch: str) -> None:
    alice >> older(alice.request("INVITE", f"sip:nobody@{DOMAIN}"), branch)
    alice >> older(alice.ack_failure(alice << 404), branch)
    world.advance(40)
    alice.nothing()

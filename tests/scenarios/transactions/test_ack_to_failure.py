"""The ACK to a failure: hop by hop, ours to whoever refused, the caller's to us (§17.1.1.3, §17.2.1)."""

from typing import Any

import pytest

from sipgw.message import Request
from tests.harness import CONTACT_OBJECT, DOMAIN, Party, World, reply
from tests.scenarios.proxy.ladder import SDP, calls, calls_pool, desks, ends_with, refuses, repeats, tag_of
from tests.scenarios.transactions.steps import over_tcp, over_udp

FAILURES = [300, 302, 404, 407, 486, 488, 500, 503, 504, 600, 603]
REPEATED = [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]  # Timer G, seconds after the response
HEADERS_OF_AN_ACK = ["via", "from", "to", "call-id", "cseq", "max-forwards", "content-length"]


def refused(alice: Party, bob: Party, status: int = 486) -> tuple[Request, Any]:
    """A call that bob has refused; alice has not yet acknowledged. Returns her INVITE and what she got."""
    invite = calls(alice)
    refuses(bob, bob << "INVITE", status)
    return invite, alice << (500 if status == 503 else status)


def stays_quiet(world: World, alice: Party) -> None:
    """The failure is not repeated any more: it was acknowledged."""
    world.advance(40)
    alice.nothing()
    assert world.engine.counters["unacknowledged"] == 0


@pytest.mark.parametrize("status", FAILURES)
def test_a_refusal_is_acknowledged_on_both_hops_apart(world: World, alice: Party, bob: Party, status: int) -> None:
    _, failure = refused(alice, bob, status)
    bob.nothing()
    alice >> alice.ack_failure(failure)
    bob.nothing()  # alice's ACK ends here
    stays_quiet(world, alice)


@pytest.mark.parametrize("status", FAILURES)
def test_our_ack_is_made_of_the_invite_and_of_the_to_of_the_refusal(alice: Party, bob: Party, status: int) -> None:
    alice >> alice.request("INVITE", bob.uri, "Subject: talk", "Proxy-Authorization: Digest x", body=SDP, cseq=4711)
    alice << 100
    invite = bob << "INVITE"
    bob >> reply(invite, status, "Contact: <sip:else@there.test>", "Record-Route: <sip:odd.test;lr>", tag="refused")
    ack = bob << "ACK"
    assert sorted(ack.names) == sorted(HEADERS_OF_AN_ACK)
    assert ack.uri == invite.uri
    assert ack.values("via") == invite.values("via")[:1]  # one, the topmost
    assert ack.first("from") == invite.first("from")
    assert ack.call_id == invite.call_id
    assert ack.first("to") == f"{invite.first('to')};tag=refused"
    assert (ack.cseq.number, ack.cseq.method) == (4711, "ACK")
    assert ack.body == b""
    ends_with(alice, 500 if status == 503 else status)


@pytest.mark.parametrize(
    "routes",
    [
        ["<sip:edge.test;lr>"],
        ["<sip:edge.test;lr>", '"Edge, the second" <sip:two.test;lr;x="a,b">'],
        ["<sip:edge.test;lr>, <sip:two.test;lr>"],
    ],
    ids=["one", "two", "a-list"],
)
def test_our_ack_takes_the_route_of_the_invite(alice: Party, pool: Party, routes: list[str]) -> None:
    """A re-INVITE that goes on to proxies behind the pool: its ACK has to pass the same ones."""
    calls_pool(alice)
    answer = reply(pool << "INVITE", 200, contact=pool.contact)
    pool >> answer
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK")
    pool << "ACK"
    dialog.routes += routes
    alice >> dialog.request("INVITE")
    alice << 100
    invite = pool << "INVITE"
    pool >> reply(invite, 488)
    ack = pool << "ACK"
    assert ack.lines_of("route") == invite.lines_of("route") == routes
    assert ack.uri == invite.uri
    ends_with(alice, 488)


def test_a_strict_next_hop_gets_the_ack_in_the_form_of_its_invite(alice: Party, pool: Party) -> None:
    calls_pool(alice)
    pool >> reply(pool << "INVITE", 200, contact=pool.contact)
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK")
    pool << "ACK"
    dialog.routes.append("<sip:strict.test>")
    alice >> dialog.request("INVITE")
    alice << 100
    invite = pool << "INVITE"
    assert invite.uri == "sip:strict.test"
    pool >> reply(invite, 488)
    ack = pool << "ACK"
    assert (ack.uri, ack.values("route")) == (invite.uri, [f"<{pool.contact}>"])
    ends_with(alice, 488)


@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("status", [302, 404, 486, 603])
def test_a_refusal_that_is_repeated_is_acknowledged_again_and_heard_once(
    world: World, alice: Party, bob: Party, status: int, times: int
) -> None:
    calls(alice)
    invite = bob << "INVITE"
    answer = refuses(bob, invite, status)
    failure = alice << status
    for _ in range(times):
        bob >> answer
    if alice.transport == "UDP":  # over a connection Timer D is zero: what comes now belongs to nothing
        repeats(bob, "ACK", times)
    alice.nothing()
    alice >> alice.ack_failure(failure)


@over_udp
def test_a_refusal_in_other_words_is_acknowledged_as_the_first_one(world: World, alice: Party, bob: Party) -> None:
    """Another failure on the same branch: heard by nobody, and the same ACK goes out (figure 5: "300-699 ACK sent")."""
    calls(alice)
    invite = bob << "INVITE"
    refuses(bob, invite, 486)
    ends_with(alice, 486)
    bob >> reply(invite, 603, tag=tag_of(bob))
    bob << "ACK"
    alice.nothing()


@over_udp
def test_a_failure_goes_out_at_the_instants_of_timer_g_until_timer_h(world: World, alice: Party, bob: Party) -> None:
    _, failure = refused(alice, bob)
    begin = world.now
    for second in REPEATED:
        world.advance(begin + second - 0.001 - world.now)
        alice.nothing()
        world.advance(0.001)
        assert (alice << 486).encode() == failure.encode()
    world.advance(0.499)
    assert world.engine.sizes().server_transactions > 0
    world.advance(0.001)
    assert world.engine.counters["unacknowledged"] == 1
    world.advance(60)
    alice.nothing()
    bob.nothing()


@pytest.mark.parametrize("lost", [1, 3, 9])
@over_udp
def test_an_ack_that_is_lost_is_sent_for_the_next_copy(world: World, alice: Party, bob: Party, lost: int) -> None:
    _, failure = refused(alice, bob)
    world.advance(REPEATED[lost - 1])
    for _ in range(lost):
        alice << 486
    alice >> alice.ack_failure(failure)
    stays_quiet(world, alice)


@over_tcp
def test_over_a_connection_a_failure_is_sent_once_and_remembered_until_timer_h(
    world: World, alice: Party, bob: Party
) -> None:
    refused(alice, bob)
    world.advance(31.999)
    assert world.engine.sizes().server_transactions == 1
    world.advance(0.001)
    assert world.engine.sizes().server_transactions == 0
    assert world.engine.counters["unacknowledged"] == 1


@over_udp
def test_an_ack_that_comes_twice_is_absorbed_for_t4(world: World, alice: Party, bob: Party) -> None:
    """Timer I: the answer was repeated, and so is its ACK."""
    _, failure = refused(alice, bob)
    ack = alice.ack_failure(failure)
    for wait in (0.0, 2.5, 2.4):
        world.advance(wait)
        alice >> ack
    assert world.engine.counters["ack_dropped"] == 0
    world.advance(0.2)
    alice >> ack  # nobody's any more: it goes no further either
    assert world.engine.counters["ack_dropped"] == 1
    alice.nothing()
    bob.nothing()


@over_udp
def test_an_invite_that_comes_late_after_its_ack_is_absorbed(world: World, alice: Party, bob: Party) -> None:
    invite, failure = refused(alice, bob)
    alice >> alice.ack_failure(failure)
    world.advance(4.9)
    alice >> invite
    alice.nothing()
    bob.nothing()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"branch=z9hG4bK", b"branch=z9hG4bK-other-"),
        (b"branch=z9hG4bK-alice", b"x=1"),
        (b"SIP/2.0/UDP 198.51.100.7", b"SIP/2.0/UDP elsewhere.test"),
        (b":4000", b":4100"),
    ],
    ids=["branch", "no-branch", "sent-by", "port"],
)
def test_a_forged_ack_does_not_silence_a_failure(world: World, old: bytes, new: bytes) -> None:
    """§17.2.3: branch and sent-by are the transaction. What names another one goes nowhere."""
    alice, bob = world.phone("alice", "UDP", port=40001), desks(world, "UDP", 1.0)[0]
    _, failure = refused(alice, bob)
    ack = alice.ack_failure(failure)
    assert old in ack.encode()
    alice >> ack.encode().replace(old, new, 1)
    bob.nothing()
    world.advance(0.5)
    alice << 486
    alice >> ack
    stays_quiet(world, alice)


@over_udp
def test_an_ack_with_another_call_id_on_the_right_branch_is_matched_by_the_branch(
    world: World, alice: Party, bob: Party
) -> None:
    """§17.2.3 looks at branch, sent-by and method alone; Call-ID and tags are for those without a cookie."""
    _, failure = refused(alice, bob)
    alice >> alice.ack_failure(failure).encode().replace(b"Call-ID: ", b"Call-ID: x")
    bob.nothing()
    stays_quiet(world, alice)


def test_the_ack_may_come_over_another_connection(world: World, bob: Party) -> None:
    """What belongs to the transaction is told by branch and sent-by, not by the connection."""
    alice = world.phone("alice", "TCP", port=40123)
    _, failure = refused(alice, bob)
    ack = alice.ack_failure(failure)
    alice.break_connection()
    alice.connect(port=45555)
    alice >> ack
    stays_quiet(world, alice)
    bob.nothing()


@pytest.mark.parametrize("rings", [False, True])
def test_an_ack_before_any_final_answer_changes_nothing(alice: Party, bob: Party, rings: bool) -> None:
    invite = calls(alice)
    at_bob = bob << "INVITE"
    if rings:
        bob >> reply(at_bob, 180)
        alice << 180
    early = invite.encode().replace(b"INVITE sip", b"ACK sip").replace(b"1 INVITE", b"1 ACK")
    alice >> early
    bob.nothing()
    alice.nothing()
    refuses(bob, at_bob, 486)
    ends_with(alice, 486)


@pytest.mark.parametrize("method", ["MESSAGE", "OPTIONS", "BYE"])
def test_an_ack_on_the_branch_of_another_request_changes_nothing(alice: Party, bob: Party, method: str) -> None:
    request = alice.request(method, bob.uri)
    alice >> request
    at_bob = bob << method
    name = method.encode()
    alice >> request.encode().replace(name + b" sip", b"ACK sip").replace(b"1 " + name, b"1 ACK")
    bob.nothing()
    alice.nothing()
    bob >> reply(at_bob, 200)
    alice << 200


@pytest.mark.parametrize("status", [180, 200, 404])
@pytest.mark.parametrize("method", ["ACK", "INVITE"])
def test_an_answer_to_our_ack_is_heard_by_nobody(alice: Party, bob: Party, status: int, method: str) -> None:
    calls(alice)
    bob >> reply(bob << "INVITE", 486, tag=tag_of(bob))
    ack = bob << "ACK"
    ends_with(alice, 486)
    bob >> reply(ack, status).encode().replace(b"1 ACK", b"1 " + method.encode())
    alice.nothing()
    bob.inbox.clear()  # a failure on the branch of the INVITE may have been acknowledged once more
    assert alice.world.engine.sizes().client_transactions <= 1


@pytest.mark.parametrize("method", ["ACK", "INVITE", "MESSAGE"])
def test_our_ack_sent_back_to_us_does_not_come_round(alice: Party, bob: Party, method: str) -> None:
    calls(alice)
    bob >> reply(bob << "INVITE", 486, tag=tag_of(bob))
    back = (bob << "ACK").encode()
    ends_with(alice, 486)
    bob >> back.replace(b"ACK sip", method.encode() + b" sip").replace(b"1 ACK", b"1 " + method.encode())
    alice.nothing()
    assert not [message for message in bob.inbox if isinstance(message, Request)]
    bob.inbox.clear()


def test_every_phone_of_a_fork_gets_its_own_ack_and_the_caller_sends_one(world: World, transport: str) -> None:
    alice, phones = world.phone("alice", transport), desks(world, transport, 1.0, 1.0, 1.0)
    calls(alice)
    invites = [phone << "INVITE" for phone in phones]
    for phone, invite in zip(phones, invites, strict=True):
        refuses(phone, invite, 486)
    failure = alice << 486
    alice >> alice.ack_failure(failure)
    stays_quiet(world, alice)


@pytest.mark.parametrize("uri", [f"sip:nobody@{DOMAIN}", "sip:x@203.0.113.9"], ids=["404", "403"])
def test_our_own_refusals_are_acknowledged_like_others(world: World, alice: Party, pool: Party, uri: str) -> None:
    alice >> alice.request("INVITE", uri)
    alice.fail_call(404 if "nobody" in uri else 403)
    stays_quiet(world, alice)
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    pool >> reply(pool << "MESSAGE", 200)
    alice << 200

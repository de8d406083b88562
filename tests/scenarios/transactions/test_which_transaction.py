"""Which transaction a message belongs to, when it looks much like another (§17.1.3, §17.2.3, §18.1.2)."""

from collections.abc import Callable
from itertools import permutations

import pytest

from sipgw.message import Request, Response
from tests.harness import CONTACT_OBJECT, Party, World, reply
from tests.scenarios.proxy.ladder import accepts, acknowledges, calls, ends_with, hears, refuses, rings, tag_of
from tests.scenarios.transactions.steps import over_tcp, over_udp

METHODS = ["INVITE", "MESSAGE", "BYE", "SUBSCRIBE", "NOVELTY"]


def final(party: Party) -> Response:
    """The next message that is no 100."""
    party.inbox = [message for message in party.inbox if message.start != "SIP/2.0 100 Trying"]
    response: Response = party << 200
    return response


# requests


@pytest.mark.parametrize(("first", "second"), list(permutations(METHODS, 2)))
def test_two_methods_on_one_branch_are_two_requests(alice: Party, pool: Party, first: str, second: str) -> None:
    """A client that forgets to make a new branch gets each of its requests served all the same."""
    for method in (first, second):
        alice >> alice.request(method, CONTACT_OBJECT, call_id="c", branch="z9hG4bK-one")
    for method in (second, first):
        at_pool = next(message for message in pool.inbox if message.start.startswith(method))
        pool.inbox.remove(at_pool)
        pool >> reply(at_pool, 200, contact=pool.contact)
        assert final(alice).cseq.method == method


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("branch=z9hG4bK-one", "branch=z9hG4bK-two"),
        ("branch=z9hG4bK-one", "branch=z9hG4bK-ONE-AND-A-HALF"),
        ("198.51.100.7:40000", "198.51.100.7:40009"),
        ("198.51.100.7:40000", "198.51.100.7"),
        ("198.51.100.7:40000", "phone.test:40000"),
    ],
    ids=["branch", "longer-branch", "port", "no-port", "host"],
)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_another_branch_or_sent_by_is_another_request(
    alice: Party, pool: Party, method: str, old: str, new: str
) -> None:
    """§17.2.3: sent-by is compared too, since two clients may pick the same branch, in error or in malice."""
    request = alice.request(method, CONTACT_OBJECT, branch="z9hG4bK-one")
    alice >> request.encode()
    alice >> request.encode().replace(old.encode(), f"{new};rport".encode() if "branch" in new else new.encode())
    for at_pool in (pool << method, pool << method):
        pool >> reply(at_pool, 200, contact=pool.contact)
    assert alice.world.engine.counters["absorbed"] == 0
    alice.inbox.clear()


@pytest.mark.parametrize("name", ["Phone.Test", "PHONE.TEST", "phone.test"])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_the_name_in_via_is_the_same_in_any_case(alice: Party, pool: Party, method: str, name: str) -> None:
    request = alice.request(method, CONTACT_OBJECT).encode()
    alice >> request.replace(b"198.51.100.7:", b"phone.test:")
    alice >> request.replace(b"198.51.100.7:", name.encode() + b":")
    pool >> reply(pool << method, 200, contact=pool.contact)
    pool.nothing()
    final(alice)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Call-ID: ", b"Call-ID: other-"),
        (b";tag=alice-tag", b";tag=other"),
        (b"CSeq: 1 ", b"CSeq: 9 "),
        (b"\r\nMax-Forwards: 70", b"\r\nMax-Forwards: 60"),
        (b"INVITE sip:ocschat@", b"INVITE sip:nobody@"),
    ],
    ids=["Call-ID", "From-tag", "CSeq", "Max-Forwards", "Request-URI"],
)
def test_with_the_cookie_nothing_but_the_via_and_the_method_is_looked_at(
    alice: Party, pool: Party, old: bytes, new: bytes
) -> None:
    invite = calls(alice, CONTACT_OBJECT)
    assert old in invite.encode()
    alice >> invite.encode().replace(old, new)
    alice << 100
    at_pool = pool << "INVITE"
    pool.nothing()
    refuses(pool, at_pool, 486)
    ends_with(alice, 486)


@over_tcp
def test_a_copy_over_another_connection_belongs_to_the_first(world: World, pool: Party) -> None:
    """A client that has reconnected says its request again: it is not done twice."""
    alice = world.phone("alice", "TCP", port=40123)
    message = alice.request("MESSAGE", CONTACT_OBJECT)
    alice >> message
    at_pool = pool << "MESSAGE"
    alice.break_connection()
    alice.connect(port=45555)
    alice >> message
    pool.nothing()
    pool >> reply(at_pool, 200)
    pool.nothing()


# after the end


@over_udp
@pytest.mark.parametrize("status", [200, 202, 404, 500, 603])
@pytest.mark.parametrize("after", [0.0, 5.1, 31.9])
def test_a_request_repeated_after_its_answer_gets_that_answer(
    world: World, alice: Party, pool: Party, status: int, after: float
) -> None:
    message = alice.request("MESSAGE", CONTACT_OBJECT)
    alice >> message
    pool >> reply(pool << "MESSAGE", status)
    first = alice << status
    world.advance(after)
    alice >> message
    alice >> message
    assert (alice << status).encode() == (alice << status).encode() == first.encode()
    pool.nothing()


@over_udp
def test_after_timer_j_it_is_a_new_request(world: World, alice: Party, pool: Party) -> None:
    message = alice.request("MESSAGE", CONTACT_OBJECT)
    for _ in range(2):
        alice >> message
        pool >> reply(pool << "MESSAGE", 200)
        alice << 200
        world.advance(32.0)


@over_tcp
def test_over_a_connection_a_request_that_comes_again_is_a_new_one(alice: Party, pool: Party) -> None:
    """Timer J is zero: nobody repeats over TCP, so what comes again was meant again."""
    message = alice.request("MESSAGE", CONTACT_OBJECT)
    for status in (200, 404):
        alice >> message
        pool >> reply(pool << "MESSAGE", status)
        alice << status


@pytest.mark.parametrize("after", [0.0, 31.9])
def test_an_invite_repeated_after_the_answer_rings_nobody(world: World, alice: Party, bob: Party, after: float) -> None:
    """RFC 6026 §7.1: the caller's copy crossed the 200. Over connections too, for a proxy before us may repeat it."""
    invite = calls(alice)
    accepts(bob, bob << "INVITE")
    acknowledges(alice, hears(alice, 200, bob), bob)
    world.advance(after)
    alice >> invite
    alice.nothing()
    bob.nothing()


def test_after_timer_l_it_is_a_new_call(world: World, alice: Party, bob: Party) -> None:
    invite = calls(alice)
    for _ in range(2):
        accepts(bob, bob << "INVITE")
        acknowledges(alice, hears(alice, 200, bob), bob)
        world.advance(32.0)
        alice >> invite
        alice << 100
    refuses(bob, bob << "INVITE", 486)
    ends_with(alice, 486)


@over_udp
def test_copies_of_an_answer_are_absorbed_for_timer_k_and_dropped_after_it(
    world: World, alice: Party, pool: Party
) -> None:
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    answer = reply(pool << "MESSAGE", 200)
    pool >> answer
    alice << 200
    for after in (0.0, 4.9, 0.2, 30.0):
        world.advance(after)
        pool >> answer
        alice.nothing()
    assert world.engine.counters["stray_responses"] == 2


@pytest.mark.parametrize("late", [180, 200, 404, 503, 603])
@pytest.mark.parametrize("early", [200, 404, 603])
def test_the_first_final_answer_to_other_requests_is_the_only_one(
    alice: Party, pool: Party, early: int, late: int
) -> None:
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    at_pool = pool << "MESSAGE"
    pool >> reply(at_pool, early)
    alice << early
    pool >> reply(at_pool, late)
    alice.nothing()
    pool.nothing()


# responses


@pytest.mark.parametrize("status", [180, 200, 486])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (";branch=z9hG4bK", ";branch=z9hG4bK0"),
        (";branch=z9hG4bK", ";branch=1"),
        (";branch=z9hG4bK", ";x=z9hG4bK"),
        ("192.0.2.1:5060", "192.0.2.1:5070"),
        ("192.0.2.1:5060", "192.0.2.9:5060"),
        ("CSeq: 1 INVITE", "CSeq: 1 OPTIONS"),
        ("CSeq: 1 INVITE", "CSeq: 1 ACK"),
    ],
    ids=["other-branch", "old-branch", "no-branch", "other-port", "other-host", "other-method", "ACK"],
)
def test_an_answer_that_names_another_transaction_is_not_the_answer(
    alice: Party, bob: Party, old: str, new: str, status: int
) -> None:
    """§17.1.3, §18.1.2: the branch of our Via, its sent-by, and the method of CSeq. The right one then goes through."""
    calls(alice)
    at_bob = bob << "INVITE"
    data = reply(at_bob, status, tag=tag_of(bob)).encode()
    assert old.encode() in data
    bob >> data.replace(old.encode(), new.encode(), 1)
    alice.nothing()
    bob.nothing()
    accepts(bob, at_bob)
    acknowledges(alice, hears(alice, 200, bob), bob)


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
@pytest.mark.parametrize(
    "broken",
    ["without-our-Via", "with-a-Via-on-top", "without-any-Via", "without-Call-ID", "without-CSeq"],
)
def test_an_answer_whose_head_is_spoiled_is_dropped(alice: Party, bob: Party, method: str, broken: str) -> None:
    alice >> alice.request(method, bob.uri)
    at_bob = bob << method
    response = reply(at_bob, 200, tag=tag_of(bob), contact=bob.contact)
    lines = list(zip(response.lines, response.names, strict=True))
    vias = [line for line, name in lines if name == "via"]
    rest = [line for line, name in lines if name != "via"]
    if broken == "without-our-Via":
        rest = vias[1:] + rest
    elif broken == "with-a-Via-on-top":
        rest = ["Via: SIP/2.0/UDP 203.0.113.9;branch=z9hG4bKnew", *vias, *rest]
    elif broken != "without-any-Via":
        rest = vias + [line for line in rest if not line.startswith(broken.removeprefix("without-"))]
    bob >> "\r\n".join([response.start, *rest, "", ""]).encode()
    alice.inbox = [message for message in alice.inbox if message.start != "SIP/2.0 100 Trying"]
    alice.nothing()
    bob >> response
    dialog = alice.calling(alice << 200) if method == "INVITE" else final(alice)
    if method == "INVITE":
        assert not isinstance(dialog, Response)
        alice >> dialog.request("ACK")
        bob << "ACK"


@pytest.mark.parametrize("change", [str.upper, str.lower, str.swapcase], ids=["upper", "lower", "swapped"])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_phone_that_changes_the_case_of_our_branch_still_answers(
    alice: Party, bob: Party, method: str, change: Callable[[str], str]
) -> None:
    """§7.3.1: parameter values have no case unless they are said to have; the one of branch is not."""
    alice >> alice.request(method, bob.uri)
    at_bob = bob << method
    answer = reply(at_bob, 200, tag=tag_of(bob), contact=bob.contact).encode()
    bob >> answer.replace(at_bob.via.branch.encode(), change(at_bob.via.branch).encode(), 1)
    ok = final(alice)
    if method == "INVITE":
        alice >> alice.calling(ok).request("ACK")
        bob << "ACK"


# requests that come back


@pytest.mark.parametrize("returned", ["INVITE", "ACK", "MESSAGE", "OPTIONS"])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_request_that_a_phone_returns_disturbs_nobody(alice: Party, bob: Party, method: str, returned: str) -> None:
    """A broken phone sends what it got, our Via on top, back to us, as it is or as another method."""
    alice >> alice.request(method, bob.uri)
    at_bob = bob << method
    back = at_bob.encode().replace(f"{method} sip".encode(), f"{returned} sip".encode(), 1)
    bob >> back.replace(f"1 {method}".encode(), f"1 {returned}".encode())
    bob.inbox = [message for message in bob.inbox if not isinstance(message, Response)]
    bob.nothing()
    bob >> reply(at_bob, 200, tag=tag_of(bob), contact=bob.contact)
    ok = final(alice)
    if method == "INVITE":
        alice >> alice.calling(ok).request("ACK")
        bob << "ACK"
    alice.nothing()
    alice.world.advance(40)
    assert not [message for message in bob.inbox if isinstance(message, Request)]
    bob.inbox.clear()


def test_ringing_reaches_the_caller_as_often_as_it_comes(alice: Party, bob: Party) -> None:
    calls(alice)
    at_bob = bob << "INVITE"
    for _ in range(20):
        rings(bob, at_bob)
        hears(alice, 180, bob)
    refuses(bob, at_bob, 486)
    ends_with(alice, 486)

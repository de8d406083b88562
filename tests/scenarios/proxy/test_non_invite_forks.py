"""MESSAGE, OPTIONS, SUBSCRIBE and methods nobody has heard of, to several endpoints (RFC 3261 §16.7, RFC 4320)."""

import pytest

from sipgw.message import Request
from tests.harness import SILENT, Party, World, reply
from tests.scenarios.proxy.ladder import (
    BOB,
    T1,
    TIMER_B,
    all_quiet,
    copies_until,
    desks,
    hears,
    repeats,
    tag_of,
)

METHODS = ["MESSAGE", "OPTIONS", "SUBSCRIBE", "REFER", "PUBLISH", "FROBNICATE"]
A_MOMENT = 0.01
UNTIL_100 = 7 * T1  # RFC 4320 §4.1: when the sender's Timer E has grown to T2


@pytest.fixture
def alice(world: World, transport: str) -> Party:
    return world.phone("alice", transport)


def asks(alice: Party, method: str) -> Request:
    request = alice.request(method, BOB, *(["Event: presence"] if method in ("SUBSCRIBE", "PUBLISH") else []))
    alice >> request
    return request


def says(bob: Party, request: Request, status: int, *headers: str) -> None:
    bob >> reply(request, status, *headers, tag=tag_of(bob))


@pytest.mark.parametrize("method", METHODS)
def test_the_first_answer_goes_back_and_no_other(world: World, transport: str, alice: Party, method: str) -> None:
    """§16.7 item 5: one 2xx ends it. What is pending cannot be cancelled (§9.1)."""
    one, two, three = desks(world, transport, 1.0, 1.0, 1.0)
    asks(alice, method)
    at_one, at_two, at_three = one << method, two << method, three << method
    assert len({at.via.branch for at in (at_one, at_two, at_three)}) == 3
    says(two, at_two, 200)
    assert hears(alice, 200, two).cseq.method == method
    says(one, at_one, 200)
    says(three, at_three, 486)
    all_quiet([alice, one, two, three])


@pytest.mark.parametrize("method", METHODS)
def test_one_refusal_does_not_spoil_it(world: World, transport: str, alice: Party, method: str) -> None:
    one, two = desks(world, transport, 1.0, 1.0)
    asks(alice, method)
    at_one, at_two = one << method, two << method
    says(one, at_one, 501)
    alice.nothing()
    says(two, at_two, 202)
    hears(alice, 202, two)


@pytest.mark.parametrize(
    ("statuses", "best"),
    [((404, 404), 404), ((302, 404), 302), ((500, 405), 405), ((603, 404), 603), ((503, 503), 500), ((404, 489), 0)],
    ids=str,
)
def test_the_best_of_the_refusals_goes_back(
    world: World, transport: str, alice: Party, statuses: tuple[int, int], best: int
) -> None:
    """As for a call; 0 stands for either."""
    bobs = desks(world, transport, 1.0, 1.0)
    asks(alice, "MESSAGE")
    for bob, status in zip(bobs, statuses, strict=True):
        alice.nothing()
        says(bob, bob << "MESSAGE", status)
    (response,) = alice.inbox
    assert int(response.start.split()[1]) in ({best} if best else set(statuses))
    alice.inbox.clear()
    all_quiet(bobs)


def test_a_global_refusal_ends_it_when_all_have_answered(world: World, transport: str, alice: Party) -> None:
    """§16.7 item 5: 6xx may not go back before the pending branches have ended, and these cannot be cancelled."""
    one, two = desks(world, transport, 1.0, 1.0)
    asks(alice, "MESSAGE")
    at_one, at_two = one << "MESSAGE", two << "MESSAGE"
    says(one, at_one, 603)
    two.nothing()
    says(two, at_two, 404)
    hears(alice, 603, one)
    all_quiet([alice, one, two])


def test_an_answer_after_a_global_refusal_goes_back(world: World, transport: str, alice: Party) -> None:
    one, two = desks(world, transport, 1.0, 1.0)
    asks(alice, "MESSAGE")
    at_one, at_two = one << "MESSAGE", two << "MESSAGE"
    says(one, at_one, 603)
    says(two, at_two, 200)
    hears(alice, 200, two)
    all_quiet([alice, one, two])


@pytest.mark.parametrize("method", ["MESSAGE", "SUBSCRIBE"])
def test_lower_ranks_are_asked_when_higher_ones_refuse(world: World, transport: str, alice: Party, method: str) -> None:
    first, second, third = desks(world, transport, 1.0, 0.5, 0.2)
    asks(alice, method)
    says(first, first << method, 480)
    all_quiet([alice, third])
    says(second, second << method, 200)
    hears(alice, 200, second)
    all_quiet([alice, first, second, third])


@pytest.mark.parametrize("broken", ["refused", "reset"])
def test_an_endpoint_that_is_gone_does_not_keep_the_other_from_answering(world: World, broken: str) -> None:
    alice, (one, two) = world.phone("alice"), desks(world, "TCP", 1.0, 1.0)
    if broken == "refused":
        one.break_connection()
    asks(alice, "MESSAGE")
    if broken == "reset":
        one << "MESSAGE"
        one.break_connection()
    alice.nothing()
    says(two, two << "MESSAGE", 200)
    hears(alice, 200, two)
    all_quiet([alice, two])


def test_a_silent_endpoint_does_not_keep_the_other_from_answering(world: World, transport: str, alice: Party) -> None:
    """It is asked again until Timer F even so: nothing can take a MESSAGE back."""
    one, two = desks(world, transport, 1.0, 1.0)
    asks(alice, "MESSAGE")
    says(two, two << "MESSAGE", 200)
    hears(alice, 200, two)
    world.advance(TIMER_B + 1)
    repeats(one, "MESSAGE", copies_until(transport, TIMER_B, invite=False))
    all_quiet([alice, two])


@pytest.mark.parametrize("branches", [1, 2, 3])
def test_silence_is_not_answered_with_408(world: World, transport: str, alice: Party, branches: int) -> None:
    """RFC 4320 §4.2: it would come when the sender has given up itself. It has had its 100 by then."""
    bobs = desks(world, transport, *[1.0] * branches)
    for bob in bobs:
        bob.state = SILENT
    asks(alice, "MESSAGE")
    world.advance(UNTIL_100 + A_MOMENT)
    alice << 100
    world.advance(2 * TIMER_B)
    alice.nothing()


@pytest.mark.parametrize("statuses", [(408,), (408, 408)], ids=str)
def test_a_408_of_an_endpoint_is_not_passed_on(
    world: World, transport: str, alice: Party, statuses: tuple[int, ...]
) -> None:
    """RFC 4320 §4.2: no element sends 408 to a non-INVITE, whoever it heard it from."""
    bobs = desks(world, transport, *[1.0] * len(statuses))
    asks(alice, "MESSAGE")
    for bob, status in zip(bobs, statuses, strict=True):
        says(bob, bob << "MESSAGE", status)
    alice.nothing()
    world.advance(2 * TIMER_B)
    assert [message.start for message in alice.inbox] in ([], ["SIP/2.0 100 Trying"])
    alice.inbox.clear()
    all_quiet(bobs)


def test_a_request_that_ended_in_408_is_not_delivered_again(world: World) -> None:
    """Its sender has no answer and goes on repeating it; that is still the same request (§17.2.2)."""
    alice, (bob,) = world.phone("alice", "UDP"), desks(world, "UDP", 1.0)
    request = asks(alice, "MESSAGE")
    says(bob, bob << "MESSAGE", 408)
    for wait in (0.5, 1.0, 1.5):
        world.advance(wait)
        alice >> request
        all_quiet([alice, bob])
    world.advance(2 * TIMER_B)
    assert [message.start for message in alice.inbox] in ([], ["SIP/2.0 100 Trying"])
    alice.inbox.clear()


def test_a_408_of_one_endpoint_gives_way_to_the_answer_of_another(world: World, transport: str, alice: Party) -> None:
    one, two = desks(world, transport, 1.0, 1.0)
    asks(alice, "MESSAGE")
    at_one, at_two = one << "MESSAGE", two << "MESSAGE"
    says(one, at_one, 408)
    says(two, at_two, 200)
    hears(alice, 200, two)
    all_quiet([alice, one, two])


def test_a_sender_is_told_after_three_and_a_half_seconds_that_its_request_has_arrived(
    world: World, transport: str, alice: Party
) -> None:
    """RFC 4320 §4.1: not before, over UDP; then it must."""
    (bob,) = desks(world, transport, 1.0)
    asks(alice, "MESSAGE")
    at_bob = bob << "MESSAGE"
    world.advance(UNTIL_100 - A_MOMENT)
    alice.nothing()
    world.advance(2 * A_MOMENT)
    alice << 100
    if transport == "UDP":
        repeats(bob, "MESSAGE", copies_until(transport, UNTIL_100, invite=False) - 1)
    says(bob, at_bob, 200)
    hears(alice, 200, bob)


@pytest.mark.parametrize("status", [100, 180, 183, 199])
def test_a_provisional_answer_of_an_endpoint_is_kept_to_ourselves(
    world: World, transport: str, alice: Party, status: int
) -> None:
    """RFC 4320 §4.1: to a non-INVITE nobody sends any provisional but 100, and that not early over UDP."""
    (bob,) = desks(world, transport, 1.0)
    asks(alice, "MESSAGE")
    at_bob = bob << "MESSAGE"
    for _ in range(3):
        says(bob, at_bob, status)
    alice.nothing()
    says(bob, at_bob, 200)
    hears(alice, 200, bob)
    says(bob, at_bob, status)
    alice.nothing()


def test_a_provisional_answer_slows_repetition_down_but_does_not_stop_the_clock(
    world: World, alice: Party, transport: str
) -> None:
    """§17.1.2.2: after it every T2; Timer F ends it all the same."""
    (bob,) = desks(world, transport, 1.0)
    asks(alice, "MESSAGE")
    at_bob = bob << "MESSAGE"
    says(bob, at_bob, 100)
    world.advance(TIMER_B + 1)
    alice << 100
    if transport == "UDP":  # at 0.5 s the first timer still runs out, then at 4.5, 8.5 ... 28.5 s
        repeats(bob, "MESSAGE", 8)
    all_quiet([alice, bob])


def test_an_answer_after_timer_f_is_dropped(world: World, transport: str, alice: Party) -> None:
    (bob,) = desks(world, transport, 1.0)
    asks(alice, "MESSAGE")
    world.advance(TIMER_B + A_MOMENT)
    at_bob = repeats(bob, "MESSAGE", copies_until(transport, TIMER_B, invite=False))
    alice << 100
    says(bob, at_bob, 200)
    all_quiet([alice, bob])


def test_a_subscription_that_two_endpoints_accept_is_notified_by_both(
    world: World, transport: str, alice: Party
) -> None:
    """RFC 6665 §4.5.2: the 2xx names one of them only; the NOTIFY of each says the rest and must get through."""
    one, two = desks(world, transport, 1.0, 1.0)
    asks(alice, "SUBSCRIBE")
    for bob in (one, two):
        at_bob = bob << "SUBSCRIBE"
        ok = reply(at_bob, 200, "Expires: 600", tag=tag_of(bob), contact=bob.contact)
        bob >> ok
        if bob is one:
            hears(alice, 200, one)
        notify = bob.called(at_bob, ok).request("NOTIFY", "Event: presence", "Subscription-State: active")
        bob >> notify
        at_alice = alice << "NOTIFY"
        assert at_alice.from_tag == tag_of(bob)
        alice >> reply(at_alice, 200)
        assert (bob << 200).cseq.method == "NOTIFY"
    all_quiet([alice, one, two])


def test_a_notify_that_is_faster_than_the_answer_gets_through(world: World, transport: str, alice: Party) -> None:
    (bob,) = desks(world, transport, 1.0)
    asks(alice, "SUBSCRIBE")
    at_bob = bob << "SUBSCRIBE"
    ok = reply(at_bob, 200, "Expires: 600", tag=tag_of(bob), contact=bob.contact)
    bob >> bob.called(at_bob, ok).request("NOTIFY", "Event: presence", "Subscription-State: active")
    alice >> reply(alice << "NOTIFY", 200)
    bob << 200
    bob >> ok
    hears(alice, 200, bob)


@pytest.mark.parametrize("method", METHODS)
def test_repeated_requests_reach_each_endpoint_once(world: World, alice: Party, transport: str, method: str) -> None:
    """Over UDP the answer is given again from memory (Timer J); over TCP nobody repeats."""
    one, two = desks(world, transport, 1.0, 1.0)
    request = asks(alice, method)
    at_one, at_two = one << method, two << method
    alice >> request
    all_quiet([alice, one, two])
    says(one, at_one, 200)
    first = hears(alice, 200, one)
    says(two, at_two, 200)
    if transport == "UDP":
        world.advance(TIMER_B - 1)
        alice >> request
        assert (alice << 200).encode() == first.encode()
    all_quiet([alice, one, two])

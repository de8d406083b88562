"""SUBSCRIBE and NOTIFY through the gateway (RFC 6665): order, refresh, end, forks, and BENOTIFY that nobody answers."""

from typing import Any

import pytest

from sipgw.message import Request
from tests.harness import CONTACT_OBJECT, Dialog, Party, World, diagnostics_of, reply
from tests.scenarios.dialogs.steps import asks
from tests.scenarios.proxy.ladder import desks, tag_of
from tests.scenarios.transactions.steps import over_udp

EVENT = "Event: dialog"


def subscribes(alice: Party, bob: Party, *headers: str) -> Request:
    """A SUBSCRIBE on its way to bob, not yet answered."""
    alice >> alice.request("SUBSCRIBE", bob.uri, EVENT, "Expires: 3600", *headers)
    arrived: Request = bob << "SUBSCRIBE"
    return arrived


def accepted(alice: Party, bob: Party, subscribe: Request) -> tuple[Dialog, Dialog]:
    """Bob's 200 to a SUBSCRIBE, and both sides of what it has opened."""
    ok = reply(subscribe, 200, "Expires: 3600", tag=tag_of(bob), contact=bob.contact)
    bob >> ok
    at_alice = alice << 200
    alice.sent[at_alice.call_id] = subscribe
    return alice.calling(at_alice), bob.called(subscribe, ok)


def notifies(
    theirs: Dialog, alice: Party, state: str = "active;expires=3600", status: int = 200, body: bytes = b""
) -> Any:
    return asks(theirs, alice, "NOTIFY", EVENT, f"Subscription-State: {state}", status=status, body=body)


def subscription(alice: Party, bob: Party) -> tuple[Dialog, Dialog]:
    mine, theirs = accepted(alice, bob, subscribes(alice, bob))
    notifies(theirs, alice)
    return mine, theirs


def test_a_subscription_lives_and_is_refreshed_and_ends(world: World, alice: Party, bob: Party) -> None:
    mine, theirs = subscription(alice, bob)
    for _ in range(3):
        world.advance(1800)
        arrived = asks(mine, bob, "SUBSCRIBE", EVENT, "Expires: 3600")
        assert arrived.uri == bob.contact
        assert arrived.first("expires") == "3600"
        notice = notifies(theirs, alice, body=b"<state/>")
        assert (notice.uri, notice.body) == (alice.contact, b"<state/>")
    asks(mine, bob, "SUBSCRIBE", EVENT, "Expires: 0")
    last = notifies(theirs, alice, "terminated;reason=timeout")
    assert last.first("subscription-state") == "terminated;reason=timeout"


@pytest.mark.parametrize("status", [200, 202])
def test_the_first_notify_may_overtake_the_answer(alice: Party, bob: Party, status: int) -> None:
    """RFC 6665 §4.1.2.4: it opens the dialog as well as the answer would; the way back is in the SUBSCRIBE."""
    subscribe = subscribes(alice, bob)
    theirs = bob.called(subscribe, reply(subscribe, 200, tag=tag_of(bob)))
    notifies(theirs, alice)
    bob >> reply(subscribe, status, tag=tag_of(bob), contact=bob.contact)
    assert (alice << status).cseq.method == "SUBSCRIBE"
    notifies(theirs, alice)


def test_notifies_come_at_any_pace(alice: Party, bob: Party) -> None:
    """Several under way, answered out of order."""
    _, theirs = subscription(alice, bob)
    for number in range(10):
        bob >> theirs.request("NOTIFY", EVENT, "Subscription-State: active", body=str(number).encode())
    arrived = [alice << "NOTIFY" for _ in range(10)]
    assert [notice.body for notice in arrived] == [str(number).encode() for number in range(10)]
    for notice in arrived[::-1]:
        alice >> reply(notice, 200)
    assert [(bob << 200).cseq.number for _ in range(10)] == [notice.cseq.number for notice in arrived[::-1]]


@pytest.mark.parametrize("status", [403, 404, 423, 481, 489, 603])
def test_a_subscription_is_refused(alice: Party, bob: Party, status: int) -> None:
    bob >> reply(subscribes(alice, bob), status, "Allow-Events: dialog", "Min-Expires: 60")
    answer = alice << status
    assert (answer.first("allow-events"), answer.first("min-expires")) == ("dialog", "60")


def test_a_refresh_that_comes_too_late_is_answered_481(alice: Party, bob: Party) -> None:
    mine, _ = subscription(alice, bob)
    asks(mine, bob, "SUBSCRIBE", EVENT, "Expires: 3600", status=481)


def test_a_subscriber_that_has_forgotten_says_so(alice: Party, bob: Party) -> None:
    """RFC 6665 §4.2.2: 481 to a NOTIFY ends the subscription; it has to come back as it is."""
    _, theirs = subscription(alice, bob)
    notifies(theirs, alice, status=481)


@pytest.mark.parametrize("name", ["Event", "o"])
def test_event_and_state_go_through_in_any_spelling(alice: Party, bob: Party, name: str) -> None:
    alice >> alice.request("SUBSCRIBE", bob.uri, f'{name}: dialog;id=7;x="y"', "u: presence, dialog", "Expires: 60")
    subscribe = bob << "SUBSCRIBE"
    assert f'{name}: dialog;id=7;x="y"' in subscribe.lines
    assert "u: presence, dialog" in subscribe.lines
    bob >> reply(subscribe, 489)
    alice << 489


def notified(alice: Party, theirs: Dialog, notice: Request, contact: str) -> Dialog:
    """Alice's side of what a NOTIFY has opened: the route set is that of the NOTIFY (RFC 6665 §4.4.1)."""
    return Dialog(alice, notice.call_id, theirs.remote, theirs.local, contact, notice.values("record-route"))


def test_a_forked_subscription_has_one_answer_and_a_notify_from_each(world: World, transport: str) -> None:
    """RFC 6665 §4.4.1: only one 2xx goes back; each phone opens a dialog of its own with its NOTIFY."""
    alice, phones = world.phone("alice", transport), desks(world, transport, 1.0, 1.0, 1.0)
    alice >> alice.request("SUBSCRIBE", phones[0].uri, EVENT)
    arrived = [phone << "SUBSCRIBE" for phone in phones]
    for phone, subscribe in zip(phones, arrived, strict=True):
        phone >> reply(subscribe, 200, tag=tag_of(phone), contact=phone.contact)
    assert (alice << 200).to_tag == tag_of(phones[0])
    alice.nothing()
    for phone, subscribe in zip(phones, arrived, strict=True):
        theirs = phone.called(subscribe, reply(subscribe, 200, tag=tag_of(phone)))
        notice = notifies(theirs, alice)
        assert notice.from_tag == tag_of(phone)
        mine = notified(alice, theirs, notice, phone.contact)
        asks(mine, phone, "SUBSCRIBE", EVENT, "Expires: 0")
        notifies(theirs, alice, "terminated;reason=noresource")


@pytest.mark.parametrize("callers", ["UDP", "TCP", "TLS"])
@pytest.mark.parametrize("called", ["UDP", "TCP", "TLS"])
def test_a_notify_opens_a_dialog_from_whatever_transport_to_whatever_transport(
    world: World, callers: str, called: str
) -> None:
    """RFC 6665 §4.3: it is recorded as the SUBSCRIBE was, with a value for each side where they differ."""
    alice, bob = world.phone("alice", callers), world.phone("bob", called, host="198.51.100.61")
    bob.sign_in()
    subscribe = subscribes(alice, bob)
    theirs = bob.called(subscribe, reply(subscribe, 200, tag=tag_of(bob)))
    notice = notifies(theirs, alice)
    assert notice.values("record-route") == subscribe.values("record-route")[::-1]
    mine = notified(alice, theirs, notice, bob.contact)
    asks(mine, bob, "SUBSCRIBE", EVENT, "Expires: 0")
    bob >> reply(subscribe, 200, tag=tag_of(bob), contact=bob.contact)
    alice << 200


def test_a_best_effort_notify_is_recorded_too_and_nothing_else_inside_a_dialog(alice: Party, bob: Party) -> None:
    mine, theirs = subscription(alice, bob)
    bob >> theirs.request("BENOTIFY", EVENT, "Subscription-State: active")
    assert (alice << "BENOTIFY").values("record-route")
    assert "record-route" not in asks(mine, bob, "SUBSCRIBE", EVENT, "Expires: 0").index


def test_one_phone_of_a_fork_refuses_and_the_other_notifies(world: World, transport: str) -> None:
    alice, (one, two) = world.phone("alice", transport), desks(world, transport, 1.0, 1.0)
    alice >> alice.request("SUBSCRIBE", one.uri, EVENT)
    at_one, at_two = one << "SUBSCRIBE", two << "SUBSCRIBE"
    theirs = two.called(at_two, reply(at_two, 200, tag=tag_of(two)))
    notifies(theirs, alice)
    one >> reply(at_one, 489)
    two >> reply(at_two, 200, tag=tag_of(two), contact=two.contact)
    assert (alice << 200).to_tag == tag_of(two)


def test_the_pool_notifies_a_user_that_has_subscribed_to_it(alice: Party, pool: Party) -> None:
    alice >> alice.request("SUBSCRIBE", CONTACT_OBJECT, EVENT)
    subscribe = pool << "SUBSCRIBE"
    ok = reply(subscribe, 202, contact=pool.contact)
    pool >> ok
    alice << 202
    notifies(pool.called(subscribe, ok), alice)


def test_a_best_effort_notify_is_sent_once_and_needs_no_answer(world: World, alice: Party, bob: Party) -> None:
    """BENOTIFY (Microsoft): the client answers it with nothing, so nothing tells that a copy would be of use; and its
    sender must not be told that it has failed."""
    _, theirs = subscription(alice, bob)
    bob >> theirs.request("BENOTIFY", EVENT, "Subscription-State: active", body=b"<state/>")
    assert (alice << "BENOTIFY").body == b"<state/>"
    world.advance(60)
    alice.nothing()
    bob.nothing()


@over_udp
def test_a_best_effort_notify_that_comes_twice_is_passed_on_once(alice: Party, bob: Party) -> None:
    _, theirs = subscription(alice, bob)
    notice = theirs.request("BENOTIFY", EVENT, "Subscription-State: active")
    bob >> notice
    bob >> notice
    alice << "BENOTIFY"
    alice.nothing()
    bob.nothing()


def test_a_best_effort_notify_without_a_way_to_its_subscriber_is_told_so(world: World, bob: Party) -> None:
    alice = world.phone("alice", "TCP")
    _, theirs = subscription(alice, bob)
    alice.break_connection()
    bob >> theirs.request("BENOTIFY", EVENT, "Subscription-State: active")
    assert diagnostics_of(bob << 481)[0] == 1004  # that there is no way is worth telling; a phone ignores it


def test_a_notify_to_a_subscriber_that_is_gone_ends_the_subscription(world: World, bob: Party) -> None:
    alice = world.phone("alice", "TCP")
    _, theirs = subscription(alice, bob)
    alice.break_connection()
    bob >> theirs.request("NOTIFY", EVENT, "Subscription-State: active")
    assert diagnostics_of(bob << 481)[0] == 1004


def test_a_subscriber_notifies_in_turn(alice: Party, bob: Party) -> None:
    """Both subscribe to each other: two dialogs, two ways."""
    mine, theirs = subscription(alice, bob)
    alice.sign_in()
    other_mine, other_theirs = subscription(bob, alice)
    notifies(theirs, alice)
    notifies(other_theirs, bob)
    asks(mine, bob, "SUBSCRIBE", EVENT, "Expires: 0")
    asks(other_mine, alice, "SUBSCRIBE", EVENT, "Expires: 0")


def test_a_notify_out_of_nowhere_is_for_its_target_to_refuse(alice: Party, bob: Party) -> None:
    alice >> alice.request("NOTIFY", bob.uri, EVENT, "Subscription-State: active")
    bob >> reply(bob << "NOTIFY", 481)
    alice << 481

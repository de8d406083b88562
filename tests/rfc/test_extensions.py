"""Extensions that a proxy has to let through, and the few rules that they have for it (RFC 3262, 3311, 4028, 6665)."""

import pytest

from sipgw.message import Request
from tests.harness import CONTACT_OBJECT, DOMAIN, Dialog, Party, World, reply

TIMER = ("Supported: timer", "Session-Expires: 90;refresher=uac", "Min-SE: 90")


def up(world: World, *lines: str) -> tuple[Party, Party, Dialog]:
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT, *lines)
    alice << 100
    pool >> reply(pool << "INVITE", 200, contact=pool.contact)
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK")
    pool << "ACK"
    return alice, pool, dialog


# session timers (RFC 4028 §8)


def test_session_timers_are_left_to_the_ends(world: World) -> None:
    """Nothing is put in, taken out or changed, whatever the interval."""
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT, *TIMER)
    alice << 100
    at_pool = pool << "INVITE"
    assert set(TIMER) <= set(at_pool.lines)
    agreed = ("Session-Expires: 90;refresher=uac", "Require: timer")
    pool >> reply(at_pool, 200, *agreed, contact=pool.contact)
    assert set(agreed) <= set((alice << 200).lines)


def test_an_interval_that_is_too_small_for_the_callee_is_told_to_the_caller(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT, *TIMER)
    alice << 100
    pool >> reply(pool << "INVITE", 422, "Min-SE: 3600")
    pool << "ACK"
    assert alice.fail_call(422).first("min-se") == "3600"


def test_no_session_timer_is_added_where_there_is_none(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    at_pool = pool << "INVITE"
    assert {"session-expires", "min-se", "supported"}.isdisjoint(at_pool.index)
    pool >> reply(at_pool, 486)
    pool << "ACK"
    alice.fail_call(486)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_refresh_passes_in_the_dialog(world: World, method: str) -> None:
    """RFC 4028 §7.4, RFC 3311 §5: the headers of a refresh go both ways, and no session ends here when none comes."""
    alice, pool, dialog = up(world, *TIMER)
    world.advance(3600)
    alice >> dialog.request(method, *TIMER, f"Contact: <{alice.contact}>")
    if method == "INVITE":
        alice << 100
    at_pool = pool << method
    assert set(TIMER) <= set(at_pool.lines)
    pool >> reply(at_pool, 200, TIMER[1], contact=pool.contact)
    assert (alice << 200).first("session-expires") == "90;refresher=uac"
    if method == "INVITE":
        dialog.invite_cseq = dialog.cseq
        alice >> dialog.request("ACK")
        pool << "ACK"


# events (RFC 6665)


def subscribed(world: World) -> tuple[Party, Party, Request]:
    alice, bob = world.phone("alice"), world.phone("bob")
    bob.sign_in()
    alice >> alice.request("SUBSCRIBE", bob.uri, "Event: presence", "Expires: 600")
    return alice, bob, bob << "SUBSCRIBE"


def test_subscribe_and_the_notify_that_makes_a_dialog_are_recorded(world: World) -> None:
    """§4.3: who wants to see what follows has to record both."""
    alice, bob, at_bob = subscribed(world)
    assert len(at_bob.values("record-route")) == 1
    bob >> reply(at_bob, 200, "Expires: 600", contact=bob.contact)
    ok = alice << 200
    assert len(ok.values("record-route")) == 1
    alice.sign_in()
    bob >> bob.request(
        "NOTIFY", alice.uri, "Event: presence", "Subscription-State: active", f"Contact: <{bob.contact}>"
    )
    at_alice = alice << "NOTIFY"
    assert len(at_alice.values("record-route")) == 1
    alice >> reply(at_alice, 481)
    bob << 481


def test_fields_of_a_subscription_pass_untouched(world: World) -> None:
    alice, bob, at_bob = subscribed(world)
    assert (at_bob.first("event"), at_bob.first("expires")) == ("presence", "600")
    ok = reply(at_bob, 202, "Expires: 300", "Allow-Events: presence", contact=bob.contact)
    bob >> ok
    assert {"Expires: 300", "Allow-Events: presence"} <= set((alice << 202).lines)
    lines = ("Event: presence;id=1", "Subscription-State: terminated;reason=timeout;retry-after=5")
    bob >> bob.called(at_bob, ok).request("NOTIFY", *lines, body=b"<presence/>")
    notify = alice << "NOTIFY"
    assert set(lines) <= set(notify.lines)
    assert notify.body == b"<presence/>"
    alice >> reply(notify, 200)
    bob << 200


def test_a_refresh_and_the_end_of_a_subscription_follow_its_dialog(world: World) -> None:
    alice, bob, at_bob = subscribed(world)
    bob >> reply(at_bob, 200, "Expires: 600", contact=bob.contact)
    dialog = Party.calling(_remember(alice, at_bob), alice << 200)
    for expires in ("600", "0"):
        alice >> dialog.request("SUBSCRIBE", "Event: presence", f"Expires: {expires}")
        again = bob << "SUBSCRIBE"
        assert (again.first("expires"), again.uri) == (expires, bob.contact)
        bob >> reply(again, 200)
        alice << 200


def _remember(alice: Party, request: Request) -> Party:
    """Dialogs are made from the request that opened them."""
    alice.sent[request.call_id] = request
    return alice


def test_a_notifier_answers_with_the_interval_it_grants_and_its_contact(world: World) -> None:
    """§4.2.1: here the notifier is the Front End, for what users subscribe to of themselves."""
    alice = world.phone("alice")
    alice >> alice.request("SUBSCRIBE", alice.uri, "Event: presence", "Expires: 600")
    ok = alice << 200
    assert ok.first("expires") == "600"
    assert len(ok.values("contact")) == 1
    assert ok.to_tag
    notice = alice << "NOTIFY"
    assert (notice.first("subscription-state") or "").startswith("active")
    alice >> reply(notice, 200)


def test_a_package_that_is_unknown_is_489_and_names_those_that_are(world: World) -> None:
    """§4.2.1.1, and no Event at all is no package that is known."""
    alice = world.phone("alice")
    for lines in (("Event: dialog",), ()):
        alice >> alice.request("SUBSCRIBE", alice.uri, *lines)
        assert "presence" in (alice << 489).tokens("allow-events")


# reliable provisional responses (RFC 3262)


def test_no_extension_is_asked_for_on_anybodys_behalf(world: World) -> None:
    """§3: Require: 100rel and RSeq come from a UAS alone."""
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT, "Supported: 100rel")
    trying = alice << 100
    assert {"require", "rseq"}.isdisjoint(trying.index)
    at_pool = pool << "INVITE"
    assert "require" not in at_pool.index
    pool >> reply(at_pool, 183)
    assert {"require", "rseq"}.isdisjoint((alice << 183).index)
    pool >> reply(at_pool, 486)
    pool << "ACK"
    alice.fail_call(486)


def test_a_prack_outside_a_dialog_of_ours_is_a_request_like_any_other(world: World) -> None:
    alice, bob = world.phone("alice"), world.phone("bob")
    bob.sign_in()
    alice >> alice.request("PRACK", f"sip:bob@{DOMAIN}", "RAck: 1 1 INVITE")
    bob >> reply(bob << "PRACK", 481)
    alice << 481

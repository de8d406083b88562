"""MaxEndpointsPerUser: one endpoint more than is allowed, and the one that is told to go ([MS-SIPREGE] §3.2)."""

import pytest

from sipgw.core.registrar import RegistrarSettings
from sipgw.frontend import deregistration
from sipgw.message import Request
from tests.harness import MakeWorld, Party, World, reply
from tests.scenarios.registration.steps import BOB, LYNC, flow, registers, uris

BODY = b"deregistered;event=unregistered"


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """Where two endpoints are allowed."""
    return make_world(registrar=RegistrarSettings(max_bindings_per_user=2))


def signs_in(world: World, number: int, *lines: str, transport: str = "TCP") -> Party:
    party = world.phone("bob", transport, host=f"198.51.100.{70 + number}")
    registers(party, flow(number, uri=party.contact), *(lines or LYNC), call_id=f"endpoint{number}")
    world.advance(1)
    return party


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
def test_the_oldest_endpoint_is_told_and_gone(world: World, transport: str) -> None:
    first, second, third = (signs_in(world, number, transport=transport) for number in (1, 2, 3))
    notify: Request = first << "NOTIFY"
    first >> reply(notify, 200)
    assert sorted(uris(second)) == sorted([second.contact, third.contact])
    for party in (first, second, third):
        party.nothing()


def test_what_it_is_told(world: World) -> None:
    """As the documents show it: the dialog is that of its REGISTER, the subscription ends."""
    first = world.phone("bob", "TCP", host="198.51.100.71")
    line = flow(1, uri=first.contact)
    first >> first.request("REGISTER", "sip:example.test", line, *LYNC, to=BOB, call_id="its-own").encode().replace(
        b";tag=bob-tag", b";tag=bob-tag;epid=abc1"
    )
    tag = (first << 200).to_tag
    signs_in(world, 2), signs_in(world, 3)
    notify: Request = first << "NOTIFY"
    assert notify.uri == first.contact
    assert notify.call_id == "its-own"
    assert notify.first("from") == f"<{BOB}>;tag={tag}"
    assert notify.first("to") == f"<{BOB}>;tag=bob-tag;epid=abc1"
    assert notify.cseq.number == 1
    assert notify.first("event") == "registration-notify"
    assert notify.first("subscription-state") == "terminated;expires=0"
    assert (notify.first("ms-diagnostics-public") or "").startswith('4140;reason="')
    assert notify.first("content-type") == "text/registration-event"
    assert notify.body == BODY
    assert "sip:192.0.2.1:5060" in (notify.first("contact") or "")
    first >> reply(notify, 200)


def test_the_tags_are_those_of_its_last_refresh(world: World) -> None:
    first, second = signs_in(world, 1), signs_in(world, 2)
    registers(second, flow(2, uri=second.contact), *LYNC, call_id="endpoint2")
    tag = registers(first, flow(1, uri=first.contact), *LYNC, call_id="endpoint1").to_tag
    world.advance(1)
    registers(second, flow(2, uri=second.contact), *LYNC, call_id="endpoint2")
    signs_in(world, 3)
    notify: Request = first << "NOTIFY"
    assert f"tag={tag}" in (notify.first("from") or "")
    first >> reply(notify, 200)


def test_a_client_that_takes_benotify_is_not_asked_to_answer(world: World) -> None:
    first = signs_in(world, 1, "Event: registration", "Supported: gruu-10, ms-benotify")
    signs_in(world, 2), signs_in(world, 3)
    assert world.engine.sizes().client_transactions == 0
    notify: Request = first << "BENOTIFY"
    assert notify.cseq.method == "BENOTIFY"
    assert notify.body == BODY


def test_a_phone_that_subscribed_to_nothing_is_told_nothing(world: World) -> None:
    first = signs_in(world, 1, "Supported: gruu")
    signs_in(world, 2), signs_in(world, 3)
    first.nothing()


def test_a_client_whose_connection_is_gone_is_told_nothing(world: World) -> None:
    first = signs_in(world, 1)
    first.break_connection()
    signs_in(world, 2), signs_in(world, 3)
    assert world.engine.sizes().client_transactions == 0


def test_a_connection_that_goes_while_the_store_is_slow(world: World) -> None:
    first = signs_in(world, 1)
    signs_in(world, 2)
    world.store = "holds"
    third = world.phone("bob", "TCP", host="198.51.100.73")
    third >> third.request("REGISTER", "sip:example.test", flow(3, uri=third.contact), *LYNC, to=BOB)
    first.nothing()
    first.break_connection()
    world.release()
    third << 200
    assert world.engine.sizes().client_transactions == 0


def test_nobody_is_told_when_the_store_fails(world: World) -> None:
    first = signs_in(world, 1)
    signs_in(world, 2)
    world.store = "disk full"
    third = world.phone("bob", "TCP", host="198.51.100.73")
    registers(third, flow(3, uri=third.contact), *LYNC, status=500)
    first.nothing()
    world.store = "answers"
    assert first.contact in uris(first)


def test_a_failure_brings_back_a_binding_without_its_lost_connection(world: World, alice: Party) -> None:
    first = signs_in(world, 1)
    signs_in(world, 2)
    world.store = "holds"
    third = world.phone("bob", "TCP", host="198.51.100.73")
    third >> third.request("REGISTER", "sip:example.test", flow(3, uri=third.contact), *LYNC, to=BOB)
    first.break_connection()
    world.release("disk full")
    third << 500
    world.store = "answers"
    (lost,) = [
        one for one in world.engine.location.bindings("bob@example.test", world.now) if one.contact == first.contact
    ]
    assert lost.flow is None


@pytest.mark.parametrize("end", ["answer", "silence", "loss"])
def test_what_becomes_of_the_notify_makes_no_difference(world: World, end: str) -> None:
    first = signs_in(world, 1)
    signs_in(world, 2), signs_in(world, 3)
    notify: Request = first << "NOTIFY"
    if end == "answer":
        first >> reply(notify, 481)
    elif end == "loss":
        first.break_connection()
    else:
        world.advance(33)
    assert world.engine.sizes().client_transactions == 0
    assert world.engine._registration._deregistration._unanswered == 0


def test_notifies_under_way_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deregistration, "MAX_UNANSWERED", 1)
    first, second = signs_in(world, 1), signs_in(world, 2)
    signs_in(world, 3), signs_in(world, 4)
    notify: Request = first << "NOTIFY"
    second.nothing()
    assert world.engine.counters["deregistrations_untold"] == 1
    first >> reply(notify, 200)
    third = world.phone("bob", "TCP", host="198.51.100.79")
    registers(third, flow(9, uri=third.contact), *LYNC, call_id="endpoint9")
    assert world.engine.counters["deregistrations_untold"] == 1


def test_a_refresh_displaces_nobody(world: World) -> None:
    first, second = signs_in(world, 1), signs_in(world, 2)
    for _ in range(3):
        registers(second, flow(2, uri=second.contact), *LYNC, call_id="endpoint2")
    first.nothing()


def test_a_refresh_makes_an_endpoint_the_youngest(world: World) -> None:
    first, second = signs_in(world, 1), signs_in(world, 2)
    registers(first, flow(1, uri=first.contact), *LYNC, call_id="endpoint1")
    world.advance(1)
    signs_in(world, 3)
    first.nothing()
    second >> reply(second << "NOTIFY", 200)


def test_the_displaced_one_may_come_back(world: World) -> None:
    """And then displaces another: so they go on for ever, which is why the limit is to be set with care."""
    first, second = signs_in(world, 1), signs_in(world, 2)
    signs_in(world, 3)
    first >> reply(first << "NOTIFY", 200)
    registers(first, flow(1, uri=first.contact), *LYNC, call_id="endpoint1")
    second >> reply(second << "NOTIFY", 200)


def test_an_operator_reads_who_had_to_go(world: World) -> None:
    first = signs_in(world, 1)
    signs_in(world, 2), signs_in(world, 3)
    (log,) = [one for one in world.logs if one.event == "signed out by a further endpoint"]
    assert log.fields["user"] == "bob@example.test"
    assert log.fields["contact"] == first.contact
    first >> reply(first << "NOTIFY", 200)

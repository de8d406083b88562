"""Registrations and the store that has to have them before anybody is told so; what happens when there is too much."""

import re
from email.utils import parsedate_to_datetime

import pytest

from sipgw.frontend import registration
from tests.harness import MakeWorld, Party, World
from tests.scenarios.registration.steps import BOB, contact, misses, reaches, refused, registers, uris


def test_nobody_is_told_before_it_is_stored(world: World, bob: Party) -> None:
    world.store = "holds"
    bob >> bob.register()
    bob.nothing()
    assert world.engine.sizes().parked == 1
    world.release()
    bob << 200
    assert world.engine.sizes().parked == 0


def test_a_repeated_request_waits_with_the_first(world: World, bob: Party) -> None:
    world.store = "holds"
    request = bob.register()
    for _ in range(3):
        bob >> request
    world.release()
    bob << 200
    bob.nothing()
    assert len(world.persisted) == 1


def test_a_refresh_waits_behind_the_first_and_both_are_answered(world: World, bob: Party) -> None:
    world.store = "holds"
    bob >> bob.register(cseq=1)
    bob >> bob.register(cseq=2)
    world.release()
    assert [bob << 200, bob << 200]
    assert world.engine.sizes().bindings == 1


def test_the_connection_goes_before_the_answer(world: World) -> None:
    bob = world.phone("bob")
    world.store = "holds"
    bob >> bob.register()
    bob.break_connection()
    world.release()
    assert world.engine.sizes().parked == 0
    assert world.engine.sizes().bindings == 1


def test_a_failed_removal_leaves_the_binding(world: World, alice: Party, bob: Party) -> None:
    bob.sign_in()
    world.store = "disk full"
    registers(bob, "Contact: *", "Expires: 0", status=500)
    reaches(alice, BOB, bob)


def test_a_failed_refresh_leaves_the_old_time(world: World, alice: Party, bob: Party) -> None:
    registers(bob, f"Contact: <{bob.contact}>", "Expires: 300")
    world.advance(100)
    world.store = "disk full"
    assert registers(bob, f"Contact: <{bob.contact}>", status=500).first("retry-after") == "10"
    world.store = "answers"
    reaches(alice, BOB, bob)
    world.advance(200)
    misses(alice, BOB, 480)


def test_what_runs_out_is_deleted_from_the_store(world: World, bob: Party) -> None:
    registers(bob, contact(1, '+sip.instance="<i>"'), "Expires: 300")
    world.advance(300)
    assert world.persisted[-1].deletes == [("bob@example.test", "sip:desk1@198.51.100.30", "i", 0)]


def test_too_many_wait_for_the_store(world: World, bob: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "MAX_PARKED", 1)
    world.store = "holds"
    bob >> bob.register(cseq=1)
    answer = registers(bob, contact(2), status=503)
    assert answer.first("retry-after") == "10"
    world.release()
    bob << 200


@pytest.mark.parametrize(("has", "more", "status"), [(2, 1, 200), (2, 2, 503), (3, 1, 503), (0, 3, 200), (0, 4, 503)])
def test_the_location_service_is_full(make_world: MakeWorld, has: int, more: int, status: int) -> None:
    """All of a REGISTER goes in or nothing does."""
    world = make_world(max_bindings=3)
    alice, bob = world.phone("alice"), world.phone("bob")
    if has:
        registers(alice, *(contact(number) for number in range(has)))
    answer = registers(bob, *(contact(10 + number) for number in range(more)), status=status)
    assert answer.first("retry-after") == (None if status == 200 else "60")
    assert world.engine.sizes().bindings == has + (more if status == 200 else 0)


def test_a_full_location_service_takes_refreshes_and_moves(make_world: MakeWorld) -> None:
    bob = make_world(max_bindings=1).phone("bob")
    registers(bob, contact(1))
    registers(bob, contact(1))
    registers(bob, contact(1, "expires=0"), contact(2))
    assert uris(bob) == ["sip:desk2@198.51.100.30"]


def test_a_long_user_agent_is_kept_in_part(world: World, bob: Party) -> None:
    registers(bob, contact(), f"User-Agent: {'x' * 3000}")
    assert {len(row[11]) for persist in world.persisted for row in persist.puts} == {256}


def test_the_answer_is_dated_where_the_time_of_day_is_known(make_world: MakeWorld) -> None:
    """§10.3 step 8: a client without a clock may set it by that."""
    world = make_world(wall_offset=1_700_000_000.0)
    text = registers(world.phone("bob"), contact()).first("date") or ""
    assert re.fullmatch(r"Tue, 14 Nov 2023 22:30:00 GMT", text)
    assert parsedate_to_datetime(text).timestamp() == world.now + 1_700_000_000
    assert "date" not in registers(make_world().phone("bob"), contact()).index


def test_refusals_leave_no_trace(world: World, bob: Party) -> None:
    refused(bob, contact(1, "q=9"), status=400)
    refused(bob, contact(), "Expires: 1", status=423)
    refused(bob, contact(), "Require: foo", status=420)
    assert world.persisted == []
    assert world.engine.sizes().parked == 0

"""How long a binding lives: intervals, refreshes, removals, the wildcard, order of requests (RFC 3261 §10.3)."""

import pytest

from sipgw.core.registrar import RegistrarSettings
from tests.harness import MakeWorld, Party, World, diagnostics_of
from tests.scenarios.registration.steps import BOB, contact, misses, reaches, refused, registers, uris

DESKS = [f"sip:desk{number}@198.51.100.30" for number in (1, 2, 3)]


def test_a_binding_lives_as_long_as_was_granted_and_no_longer(world: World, alice: Party, bob: Party) -> None:
    registers(bob, f"Contact: <{bob.contact}>", "Expires: 300")
    world.advance(299.9)
    reaches(alice, BOB, bob)
    world.advance(0.1)
    assert diagnostics_of(misses(alice, BOB, 480))[0] == 1007


def test_a_refresh_before_the_end_keeps_it(world: World, alice: Party, bob: Party) -> None:
    for cseq in range(1, 6):
        registers(bob, f"Contact: <{bob.contact}>", "Expires: 300", cseq=cseq)
        world.advance(270)
    reaches(alice, BOB, bob)
    assert world.engine.sizes().bindings == 1


def test_a_refresh_after_the_end_begins_anew(world: World, alice: Party, bob: Party) -> None:
    registers(bob, f"Contact: <{bob.contact}>", "Expires: 300")
    world.advance(400)
    answer = registers(bob, f"Contact: <{bob.contact}>", "Expires: 300")
    assert answer.first("presence-state") == 'register-action="added"'
    reaches(alice, BOB, bob)


def test_a_refresh_may_shorten(world: World, bob: Party) -> None:
    registers(bob, contact(), "Expires: 900")
    registers(bob, contact(), "Expires: 300")
    world.advance(300)
    assert uris(bob) == []


def test_a_refresh_changes_q(alice: Party, bob: Party) -> None:
    registers(bob, "Contact: <sip:1@h>;q=0.9, <sip:2@h>;q=0.1")
    registers(bob, "Contact: <sip:1@h>;q=0.1, <sip:2@h>;q=0.9")
    assert uris(bob) == ["sip:2@h", "sip:1@h"]


def test_each_contact_has_its_own_interval(world: World, bob: Party) -> None:
    registers(bob, contact(1, "expires=300"), contact(2, "expires=500"), contact(3), "Expires: 400")
    for passed, left in ((0, {1, 2, 3}), (300, {2, 3}), (100, {2}), (100, set())):
        world.advance(passed)
        assert set(uris(bob)) == {f"sip:desk{number}@198.51.100.30" for number in left}


def test_an_interval_is_cut_to_what_is_allowed(bob: Party) -> None:
    assert registers(bob, contact(), "Expires: 86400").values("contact") == [f"<{DESKS[0]}>;expires=900"]


def test_an_interval_that_is_too_brief_names_the_least(bob: Party) -> None:
    assert refused(bob, contact(), "Expires: 299", status=423).first("min-expires") == "300"


def test_a_least_interval_of_hours_is_not_enforced_on_an_hour(make_world: MakeWorld) -> None:
    """§10.3 step 7: nothing of an hour or more is too brief."""
    settings = RegistrarSettings(default_expires=7200, min_expires=7200, max_expires=9000)
    bob = make_world(registrar=settings).phone("bob")
    registers(bob, contact(), "Expires: 3600")
    refused(bob, contact(), "Expires: 3599", status=423)


@pytest.mark.parametrize("text", ["soon", "-1", "1e3", "600 ", "", "99999999999999999999"])
def test_intervals_that_are_no_numbers_count_as_an_hour(bob: Party, text: str) -> None:
    granted = 600 if text.strip() == "600" else 900
    assert registers(bob, contact(1, f"expires={text}")).first("expires") == str(granted)


def test_without_any_interval_there_is_a_default(bob: Party) -> None:
    assert registers(bob, contact()).first("expires") == "600"


# removal


def test_one_contact_is_removed_and_the_others_stay(alice: Party, bob: Party) -> None:
    registers(bob, contact(1), contact(2))
    answer = registers(bob, contact(1), "Expires: 0")
    assert answer.first("expires") == "0"
    assert uris(bob) == DESKS[1:2]


def test_a_contact_is_removed_by_its_parameter(bob: Party) -> None:
    registers(bob, contact(1), contact(2))
    registers(bob, contact(1, "expires=0"), contact(2), contact(3))
    assert sorted(uris(bob)) == DESKS[1:]


def test_removing_what_is_not_there(world: World, bob: Party) -> None:
    registers(bob, contact(1))
    registers(bob, contact(2, "expires=0"))
    assert uris(bob) == DESKS[:1]


def test_a_contact_added_and_removed_in_one_request(bob: Party) -> None:
    """Read in order, the last word counts."""
    registers(bob, contact(1), contact(1, "expires=0"))
    assert uris(bob) == []
    registers(bob, contact(1, "expires=0"), contact(1))
    assert uris(bob) == DESKS[:1]


def test_all_are_removed_at_once(alice: Party, bob: Party) -> None:
    registers(bob, contact(1), contact(2), f"Contact: <{bob.contact}>", "Contact: <tel:1>")
    assert registers(bob, "Contact: *", "Expires: 0").values("contact") == []
    misses(alice, BOB, 480)


def test_all_are_removed_where_there_is_none(world: World, bob: Party) -> None:
    registers(bob, "Contact: *", "Expires: 0")
    assert world.persisted == []


@pytest.mark.parametrize(
    "lines",
    [
        ("Contact: *",),
        ("Contact: *", "Expires: 300"),
        ("Contact: *;expires=0",),
        ("Contact: *, <sip:1@h>", "Expires: 0"),
        ("Contact: <*>", "Expires: 0"),
    ],
)
def test_a_wildcard_out_of_place(bob: Party, lines: tuple[str, ...]) -> None:
    registers(bob, contact())
    refused(bob, *lines, status=400, call_id="other")
    assert uris(bob) == DESKS[:1]


def test_a_wildcard_of_another_client_needs_no_order(bob: Party) -> None:
    """§10.3 step 6: where the Call-ID differs the binding goes, whatever the CSeq."""
    registers(bob, contact(1), cseq=50)
    registers(bob, "Contact: *", "Expires: 0", call_id="other", cseq=1)
    assert uris(bob) == []


# order


def test_a_request_that_was_overtaken_changes_nothing(world: World, bob: Party) -> None:
    registers(bob, contact(1), cseq=10)
    refused(bob, contact(1, "expires=0"), status=500, because="CSeq", cseq=9)
    refused(bob, "Contact: *", "Expires: 0", status=500, because="CSeq", cseq=8)
    world.advance(40)  # until the first one's transaction is over, so that this is no copy of it
    refused(bob, contact(1, "expires=0"), status=500, because="CSeq", cseq=10)
    assert uris(bob) == DESKS[:1]


def test_one_overtaken_contact_holds_back_the_others(bob: Party) -> None:
    registers(bob, contact(1), cseq=10)
    refused(bob, contact(2), contact(1, "expires=0"), status=500, because="CSeq", cseq=9)
    assert uris(bob) == DESKS[:1]


def test_each_binding_has_its_own_order(bob: Party) -> None:
    registers(bob, contact(1), cseq=10)
    registers(bob, contact(2), cseq=3)
    registers(bob, contact(2, "expires=0"), cseq=4)
    assert uris(bob) == DESKS[:1]


def test_a_restarted_client_counts_from_one(bob: Party) -> None:
    registers(bob, contact(1), cseq=10)
    registers(bob, contact(1), call_id="after-the-restart", cseq=1)
    registers(bob, contact(1, "expires=0"), call_id="after-the-restart")
    assert uris(bob) == []


def test_a_retransmission_is_answered_and_not_carried_out_again(world: World, bob: Party) -> None:
    request = bob.request("REGISTER", "sip:example.test", contact(), to=BOB)
    bob >> request
    first = bob << 200
    stored = len(world.persisted)
    if bob.transport == "UDP":
        bob >> request
        assert (bob << 200).lines == first.lines
    assert len(world.persisted) == stored


def test_the_same_request_by_two_ways_is_carried_out_once(world: World, bob: Party) -> None:
    """§8.2.2.2: two copies, told apart by nothing but the branch, while the first is being worked on."""
    world.store = "holds"
    for branch in ("z9hG4bKone", "z9hG4bKtwo"):
        bob >> bob.request("REGISTER", "sip:example.test", contact(), to=BOB, call_id="c", branch=branch)
    bob << 482
    world.release()
    bob << 200
    assert world.engine.sizes().bindings == 1


def test_two_users_with_the_same_call_id_are_not_one_request(world: World, transport: str) -> None:
    """pidgin-sipe takes its random numbers from the time of day: two that start in one second choose the same ones."""
    for name in ("bob", "carol"):
        party = world.phone(name, transport, host="198.51.100.30")
        request = party.register(call_id="same").encode().replace(f";tag={name}-tag".encode(), b";tag=same")
        party >> request
        party << 200
    assert world.engine.sizes().bindings == 2

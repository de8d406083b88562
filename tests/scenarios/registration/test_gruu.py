"""Globally routable URIs of one endpoint (RFC 5627): handed out at registration, and leading to that endpoint alone."""

import pytest

from sipgw.message import parse_uri
from tests.harness import DOMAIN, MakeWorld, Party, World, diagnostics_of, make_engine, reply
from tests.scenarios.registration.steps import BOB, INSTANCE, flow, misses, param, reaches, registers

GRUU = "Supported: gruu"


def at(world: World, number: int, transport: str = "TCP") -> Party:
    """One of bob's endpoints, registered, its GRUUs asked for."""
    party = world.phone("bob", transport, host=f"198.51.100.{60 + number}", instance=f"{number}")
    registers(party, flow(number, uri=party.contact), GRUU, call_id=f"endpoint{number}")
    return party


def gruus(party: Party, number: int) -> tuple[str, str]:
    """(public, temporary) as a refresh tells them."""
    answer = registers(party, flow(number, uri=party.contact), GRUU, call_id=f"endpoint{number}")
    own = next(at for at, value in enumerate(answer.values("contact")) if f"{INSTANCE}{number}" in value)
    return param(answer, "pub-gruu", own), param(answer, "temp-gruu", own)


# handing out


def test_both_kinds_are_in_the_contact(bob: Party) -> None:
    answer = registers(bob, flow(1), GRUU)
    assert param(answer, "pub-gruu") == f"{BOB};gr={INSTANCE}1"
    temporary = parse_uri(param(answer, "temp-gruu"))
    assert temporary.params == {"gr": None}
    assert temporary.host == DOMAIN
    assert "bob" not in temporary.text


@pytest.mark.parametrize("lines", [(flow(1),), ("Contact: <sip:bob@h>", GRUU), (flow(1), "Supported: gruu-10")])
def test_only_who_asks_and_has_an_instance_gets_them(bob: Party, lines: tuple[str, ...]) -> None:
    (value,) = registers(bob, *lines).values("contact")
    assert "pub-gruu" not in value
    assert "temp-gruu" not in value


def test_microsofts_form_is_there_as_before(bob: Party) -> None:
    (value,) = registers(bob, flow(1), "Supported: gruu-10").values("contact")
    assert f';gruu="{BOB};opaque=user:epid:' in value


def test_the_public_one_never_changes_and_the_temporary_one_always_does(world: World) -> None:
    bob = at(world, 1)
    public, temporary = zip(*[gruus(bob, 1) for _ in range(5)], strict=True)
    assert len(set(public)) == 1
    assert len(set(temporary)) == 5


def test_temporary_ones_have_nothing_in_common(world: World) -> None:
    """Nobody can tell that they lead to the same user: hardly more digits agree than chance would have it."""
    bob = at(world, 1)
    one, two = (parse_uri(gruus(bob, 1)[1]).user or "" for _ in range(2))
    same = sum(a == b for a, b in zip(one, two, strict=True)) - len("tgruu.")
    assert same < 15


def test_a_query_shows_the_gruus_of_all_endpoints(world: World) -> None:
    bob = at(world, 1)
    at(world, 2)
    answer = registers(bob, GRUU, call_id="query")
    assert {param(answer, "pub-gruu", number)[-1] for number in (0, 1)} == {"1", "2"}


# leading there


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
@pytest.mark.parametrize("kind", [0, 1])
def test_a_gruu_leads_to_one_endpoint_of_two(world: World, alice: Party, transport: str, kind: int) -> None:
    one, two = at(world, 1, transport), at(world, 2, transport)
    for party, number, other in ((one, 1, two), (two, 2, one)):
        gruu = gruus(party, number)[kind]
        assert reaches(alice, gruu, party).uri == party.contact
        other.nothing()


def test_the_address_of_record_leads_to_both(world: World, alice: Party) -> None:
    one, two = at(world, 1), at(world, 2)
    alice >> alice.request("MESSAGE", BOB)
    for party in (one, two):
        party >> reply(party << "MESSAGE", 486)
    alice << 486


def test_every_temporary_one_of_a_registration_is_good(world: World, alice: Party) -> None:
    bob = at(world, 1)
    for gruu in [gruus(bob, 1)[1] for _ in range(3)]:
        reaches(alice, gruu, bob)


def test_a_gruu_follows_its_endpoint_to_another_contact(world: World, alice: Party) -> None:
    bob = at(world, 1)
    public, temporary = gruus(bob, 1)
    bob.break_connection()
    bob.connect(port=42001)
    registers(bob, flow(1, uri=bob.contact), call_id="endpoint1")
    reaches(alice, public, bob)
    reaches(alice, temporary, bob)


def test_a_gruu_leads_down_the_flows_of_its_endpoint(world: World, alice: Party) -> None:
    """RFC 5626 and RFC 5627 together: one flow, and the other when it is gone."""
    first, second = (world.phone("bob", "TCP", host=f"198.51.100.6{number}") for number in (1, 2))
    registers(first, flow(1, 1), "Supported: gruu, outbound", call_id="f1")
    world.advance(1)
    answer = registers(second, flow(1, 2), "Supported: gruu, outbound", call_id="f2")
    for gruu in (param(answer, "pub-gruu"), param(answer, "temp-gruu")):
        reaches(alice, gruu, second)
    second.break_connection()
    for gruu in (param(answer, "pub-gruu"), param(answer, "temp-gruu")):
        reaches(alice, gruu, first)


def test_a_dialog_addressed_by_gruu_survives_the_loss_of_its_connection(world: World, alice: Party) -> None:
    bob = at(world, 1)
    for gruu in gruus(bob, 1):
        alice >> alice.request("INVITE", BOB)
        alice << 100
        bob >> reply(bob << "INVITE", 200, contact=gruu)
        dialog = alice.calling(alice << 200)
        alice >> dialog.request("ACK")
        bob << "ACK"
        bob.break_connection()
        alice >> dialog.request("INFO")
        assert diagnostics_of(alice << 481)[0] == 1004
        bob.connect(port=42000 + bob._serial)
        registers(bob, flow(1, uri="sip:bob@h"), call_id="endpoint1")
        alice >> dialog.request("INFO")
        info = bob << "INFO"
        assert info.uri == "sip:bob@h"
        bob >> reply(info, 200)
        alice << 200


# leading nowhere


def test_the_endpoint_is_not_registered_any_more(world: World, alice: Party) -> None:
    """The public GRUU is good for ever, the endpoint just not there; a temporary one has ended (RFC 5627 §5.3)."""
    bob = at(world, 1)
    public, temporary = gruus(bob, 1)
    registers(bob, "Contact: *", "Expires: 0", call_id="other")
    assert diagnostics_of(misses(alice, public, 480))[0] == 1007
    assert diagnostics_of(misses(alice, temporary, 404))[0] == 1003


def test_another_endpoint_does_not_step_in(world: World, alice: Party) -> None:
    one, two = at(world, 1), at(world, 2)
    public, temporary = gruus(one, 1)
    registers(one, flow(1, uri=one.contact), "Expires: 0", call_id="endpoint1")
    misses(alice, public, 480)
    misses(alice, temporary, 404)
    two.nothing()


def test_a_temporary_one_does_not_come_back_to_life(world: World, alice: Party) -> None:
    """Signed out and in again, under the same Call-ID: somebody who knew the old one learns nothing."""
    bob = at(world, 1)
    _, old = gruus(bob, 1)
    registers(bob, flow(1, uri=bob.contact), "Expires: 0", call_id="endpoint1")
    _, new = gruus(bob, 1)
    misses(alice, old, 404)
    reaches(alice, new, bob)


def test_a_temporary_one_ends_with_its_call_id(world: World, alice: Party) -> None:
    bob = at(world, 1)
    public, old = gruus(bob, 1)
    registers(bob, flow(1, uri=bob.contact), GRUU, call_id="restarted")
    misses(alice, old, 404)
    reaches(alice, public, bob)


def test_a_temporary_one_ends_when_the_registration_runs_out(world: World, alice: Party) -> None:
    bob = at(world, 1)
    _, old = gruus(bob, 1)
    world.advance(601)
    misses(alice, old, 404)
    gruus(bob, 1)
    misses(alice, old, 404)


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        (f"{BOB};gr={INSTANCE}9", 480),
        (f"{BOB};gr", 404),
        (f"{BOB};gr=", 404),
        (f"sip:carol@{DOMAIN};gr={INSTANCE}1", 404),
        (f"sip:tgruu.{'0' * 52}@{DOMAIN};gr", 404),
        (f"sip:tgruu.@{DOMAIN};gr", 404),
        (f"{BOB};opaque=user:epid:AAAA;gruu", 480),
    ],
)
def test_gruus_that_nobody_was_given(world: World, alice: Party, uri: str, status: int) -> None:
    bob = at(world, 1)
    misses(alice, uri, status)
    bob.nothing()


def test_a_temporary_one_of_another_server_or_altered(world: World, alice: Party) -> None:
    bob = at(world, 1)
    _, temporary = gruus(bob, 1)
    user, _, host = temporary.partition("@")
    digit = "0" if user[-1] != "0" else "1"
    misses(alice, f"{user[:-1]}{digit}@{host}", 404)
    reaches(alice, f"{user.upper().replace('SIP:', 'sip:')}@{host}", bob)


# a restart


def test_gruus_survive_a_restart(world: World, make_world: MakeWorld) -> None:
    bob = at(world, 1, "UDP")
    public, temporary = gruus(bob, 1)
    rows = {row[:4]: row for persist in world.persisted for row in persist.puts}
    after = make_world()
    after.engine.load_bindings(rows.values())
    again = after.phone("bob", "UDP", host=bob.host, port=bob.port)
    alice = after.phone("alice")
    for gruu in (public, temporary):
        reaches(alice, gruu, again)


def test_temporary_ones_end_when_the_secret_changes(world: World, make_world: MakeWorld) -> None:
    bob = at(world, 1, "UDP")
    public, temporary = gruus(bob, 1)
    rows = {row[:4]: row for persist in world.persisted for row in persist.puts}
    after = make_world(secret=b"another secret of this service.")
    assert make_engine().location.count == 0
    after.engine.load_bindings(rows.values())
    again = after.phone("bob", "UDP", host=bob.host, port=bob.port)
    alice = after.phone("alice")
    misses(alice, temporary, 404)
    reaches(alice, public, again)

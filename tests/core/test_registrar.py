"""The registrar (RFC 3261 §10.3), through whole REGISTER requests."""

import pytest

from sipgw.core.registrar import RegistrarSettings
from sipgw.message import Response
from tests.harness import DOMAIN, MakeWorld, Party, World, reply


def registers(party: Party, *lines: str, cseq: int = 1, call_id: str = "r", status: int = 200) -> Response:
    party >> party.request("REGISTER", f"sip:{DOMAIN}", *lines, to=party.uri, cseq=cseq, call_id=call_id)
    answer: Response = party << status
    return answer


def contacts(party: Party) -> list[str]:
    """What a query shows (§10.2.3)."""
    return registers(party, call_id="query").values("contact")


def uris(party: Party) -> list[str]:
    return [value.partition("<")[2].partition(">")[0] for value in contacts(party)]


def test_add_query_remove(world: World) -> None:
    alice = world.phone("alice")
    assert contacts(alice) == []
    answer = registers(alice, "Contact: <sip:a@h>", "Expires: 600")
    assert answer.values("contact") == ["<sip:a@h>;expires=600"]
    assert answer.first("expires") == "600"
    world.advance(100.4)
    assert contacts(alice) == ["<sip:a@h>;expires=500"]
    answer = registers(alice, "Contact: <sip:a@h>;expires=0", cseq=2)
    assert answer.values("contact") == []
    assert answer.first("expires") == "0"
    assert world.engine.sizes().bindings == 0
    puts = [(row[0], row[1]) for persist in world.persisted for row in persist.puts]
    assert puts == [("alice@example.test", "sip:a@h")]
    assert world.persisted[-1].deletes == [("alice@example.test", "sip:a@h", "", 0)]


def test_a_query_changes_and_stores_nothing(world: World) -> None:
    alice = world.phone("alice")
    registers(alice, "Contact: <sip:a@h>")
    stored = len(world.persisted)
    contacts(alice)
    assert len(world.persisted) == stored


def test_refresh(world: World) -> None:
    alice = world.phone("alice")
    registers(alice, "Contact: <sip:a@h>")
    world.advance(500)
    answer = registers(alice, "Contact: <sip:a@h>", cseq=2)
    assert answer.values("contact") == ["<sip:a@h>;expires=600"]
    world.advance(500)
    assert uris(alice) == ["sip:a@h"]
    assert world.engine.sizes().bindings == 1


def test_a_contact_is_compared_as_a_uri(world: World) -> None:
    alice = world.phone("alice")
    registers(alice, "Contact: <sip:%61@H.test;x=1>")
    registers(alice, "Contact: <sip:a@h.TEST>", cseq=2)
    assert uris(alice) == ["sip:a@h.TEST"]
    registers(alice, "Contact: <sip:A@h.test>", cseq=3)
    assert sorted(uris(alice)) == ["sip:A@h.test", "sip:a@h.TEST"]


def test_several_contacts_in_one_request(world: World) -> None:
    alice = world.phone("alice")
    registers(alice, "Contact: <sip:1@h>;expires=400, <sip:2@h>", 'm: "x" <sip:3@h>;q=0.5', "Expires: 700")
    assert contacts(alice) == ["<sip:2@h>;expires=700", "<sip:1@h>;expires=400", "<sip:3@h>;expires=700;q=0.5"]
    registers(alice, "Contact: <sip:1@h>;expires=0, <sip:2@h>;expires=600", cseq=2)
    assert sorted(uris(alice)) == ["sip:2@h", "sip:3@h"]


def test_the_same_contact_twice_in_one_request(world: World) -> None:
    alice = world.phone("alice")
    registers(alice, "Contact: <sip:1@h>;expires=400, <sip:1@h>;expires=500")
    assert contacts(alice) == ["<sip:1@h>;expires=500"]
    assert world.engine.sizes().bindings == 1


def test_remove_all(world: World) -> None:
    alice, bob = world.phone("alice"), world.phone("bob")
    registers(alice, "Contact: <sip:1@h>, <sip:2@h>")
    registers(bob, "Contact: <sip:3@h>")
    answer = registers(alice, "Contact: *", "Expires: 0", cseq=2)
    assert answer.values("contact") == []
    assert sorted(delete[1] for delete in world.persisted[-1].deletes) == ["sip:1@h", "sip:2@h"]
    assert uris(bob) == ["sip:3@h"]


@pytest.mark.parametrize(
    "lines",
    [
        ("Contact: *",),
        ("Contact: *", "Expires: 600"),
        ("Contact: *, <sip:1@h>", "Expires: 0"),
        ("Contact: *", "m: <sip:1@h>", "Expires: 0"),
        ("Contact: *", "Expires: x"),
    ],
)
def test_a_wildcard_goes_alone_and_with_expires_0(world: World, lines: tuple[str, ...]) -> None:
    alice = world.phone("alice")
    registers(alice, "Contact: <sip:1@h>")
    registers(alice, *lines, cseq=2, status=400)
    assert uris(alice) == ["sip:1@h"]


# intervals


@pytest.mark.parametrize("lines", [("Contact: <sip:a@h>;expires=299",), ("Contact: <sip:a@h>", "Expires: 1")])
def test_too_brief(world: World, lines: tuple[str, ...]) -> None:
    alice = world.phone("alice")
    answer = registers(alice, *lines, status=423)
    assert answer.first("min-expires") == "300"
    assert world.engine.sizes().bindings == 0


@pytest.mark.parametrize(
    ("lines", "granted"),
    [
        (("Contact: <sip:a@h>",), 600),
        (("Contact: <sip:a@h>", "Expires: x"), 900),  # §10.2: what cannot be read counts as an hour
        (("Contact: <sip:a@h>", "Expires: -5"), 900),
        (("Contact: <sip:a@h>;expires=x", "Expires: 400"), 900),
        (("Contact: <sip:a@h>;expires=", "Expires: 400"), 900),
        (("Contact: <sip:a@h>;expires", "Expires: 400"), 900),
        (("Contact: <sip:a@h>;expires=300", "Expires: 800"), 300),
        (("Contact: <sip:a@h>", "Expires: 901"), 900),
        (("Contact: <sip:a@h>;expires=4294967295",), 900),
        (("Contact: <sip:a@h>;expires=99999999999999999999",), 900),
        (("Contact: sip:a@h;expires=700",), 700),
    ],
)
def test_what_is_granted(world: World, lines: tuple[str, ...], granted: int) -> None:
    alice = world.phone("alice")
    answer = registers(alice, *lines)
    assert answer.first("expires") == str(granted)
    assert answer.values("contact") == [f"<sip:a@h>;expires={granted}"]


def test_expiry(world: World) -> None:
    alice = world.phone("alice")
    registers(alice, "Contact: <sip:1@h>;expires=300, <sip:2@h>;expires=400")
    world.advance(300)
    assert uris(alice) == ["sip:2@h"]
    assert world.engine.sizes().bindings == 1
    assert (world.persisted[-1].key, world.persisted[-1].deletes) == (0, [("alice@example.test", "sip:1@h", "", 0)])
    world.advance(100)
    assert uris(alice) == []


# order


def test_of_one_call_id_the_sequence_must_rise(world: World) -> None:
    alice = world.phone("alice")
    registers(alice, "Contact: <sip:1@h>", cseq=5)
    for late in (4, 5):
        registers(alice, "Contact: <sip:1@h>;expires=0", cseq=late, status=500)
        registers(alice, "Contact: *", "Expires: 0", cseq=late, status=500)
    assert uris(alice) == ["sip:1@h"]
    registers(alice, "Contact: <sip:1@h>;expires=0", cseq=6)
    assert uris(alice) == []


def test_another_call_id_starts_anew(world: World) -> None:
    """A client that was restarted."""
    alice = world.phone("alice")
    registers(alice, "Contact: <sip:1@h>", cseq=5)
    registers(alice, "Contact: <sip:1@h>", cseq=1, call_id="new")
    registers(alice, "Contact: <sip:2@h>", cseq=4)
    assert len(uris(alice)) == 2


def test_all_or_nothing(world: World) -> None:
    """§10.3 step 7: one Contact that cannot be changed leaves all as they were."""
    alice = world.phone("alice")
    registers(alice, "Contact: <sip:1@h>", cseq=5)
    stored = len(world.persisted)
    registers(alice, "Contact: <sip:2@h>, <sip:1@h>", cseq=5, status=500)
    registers(alice, "Contact: <sip:2@h>, <sip:3@h>;expires=1", cseq=6, status=423)
    registers(alice, "Contact: <sip:2@h>, <sip:3@h>;q=2", cseq=7, status=400)
    assert uris(alice) == ["sip:1@h"]
    assert len(world.persisted) == stored


# instances, q, quota


INSTANCE = '+sip.instance="<urn:uuid:{}>"'
LYNC = "Event: registration"


def test_a_lync_client_that_moved_is_the_same_endpoint(world: World) -> None:
    """[MS-SIPREGE]: its instance says so, whatever port it has now."""
    alice = world.phone("alice")
    for number, instance in ((1, 1), (2, 1), (3, 2)):
        registers(alice, f"Contact: <sip:{number}@h>;{INSTANCE.format(instance)}", LYNC, call_id=f"c{number}")
    assert sorted(uris(alice)) == ["sip:2@h", "sip:3@h"]


def test_an_endpoint_id_does_what_an_instance_does(world: World) -> None:
    alice = world.phone("alice")
    for number, epid in ((1, "e1"), (2, "e1"), (3, "e2")):
        request = alice.register(LYNC, contact=f"sip:{number}@h", call_id=f"c{number}")
        alice >> request.encode().replace(b";tag=alice-tag", f";tag=alice-tag;epid={epid}".encode())
        alice << 200
    assert sorted(uris(alice)) == ["sip:2@h", "sip:3@h"]


def test_others_are_told_apart_by_their_contact(world: World) -> None:
    """§10.3 step 7, also when they say their instance: without reg-id RFC 5626 leaves it at that."""
    alice = world.phone("alice")
    for number, instance in ((1, 1), (2, 1), (2, 2)):
        registers(alice, f"Contact: <sip:{number}@h>;{INSTANCE.format(instance)}", call_id=f"c{number}{instance}")
    assert sorted(uris(alice)) == ["sip:1@h", "sip:2@h"]


@pytest.mark.parametrize(
    ("q", "shown"), [("0.5", ";q=0.5"), ("1.0", ""), ("1.000", ""), ("1", ""), ("0", ";q=0"), ("0.", ";q=0")]
)
def test_q(world: World, q: str, shown: str) -> None:
    alice = world.phone("alice")
    assert registers(alice, f"Contact: <sip:a@h>;q={q}").values("contact") == [f"<sip:a@h>;expires=600{shown}"]


@pytest.mark.parametrize("q", ["7", "-1", "x", "nan", ".5", "0.1234", "1.1", "1e0", "", "0,5", '"0.5"'])
def test_q_outside_the_grammar(world: World, q: str) -> None:
    alice = world.phone("alice")
    answer = registers(alice, f"Contact: <sip:a@h>;q={q}", status=400)
    assert "in Contact" in (answer.first("warning") or "")
    assert world.engine.sizes().bindings == 0


def test_the_oldest_endpoint_gives_way(make_world: MakeWorld) -> None:
    world = make_world(registrar=RegistrarSettings(max_bindings_per_user=2))
    alice = world.phone("alice")
    for number in (1, 2, 3):
        registers(alice, f"Contact: <sip:{number}@h>", call_id=f"c{number}")
        world.advance(1)
    assert sorted(uris(alice)) == ["sip:2@h", "sip:3@h"]
    assert [delete[1] for delete in world.persisted[-1].deletes] == ["sip:1@h"]
    registers(alice, "Contact: <sip:4@h>, <sip:5@h>, <sip:6@h>", call_id="c4")
    assert sorted(uris(alice)) == ["sip:5@h", "sip:6@h"]
    registers(alice, "Contact: <sip:5@h>", call_id="c4", cseq=2)
    assert sorted(uris(alice)) == ["sip:5@h", "sip:6@h"]


def test_too_many_contacts_in_one_request(world: World) -> None:
    alice = world.phone("alice")
    line = ", ".join(f"<sip:{number}@h>" for number in range(17))
    registers(alice, f"Contact: {line}", status=400)


def test_a_full_location_service(make_world: MakeWorld) -> None:
    world = make_world(max_bindings=1)
    alice, bob = world.phone("alice"), world.phone("bob")
    registers(alice, "Contact: <sip:1@h>")
    answer = registers(bob, "Contact: <sip:2@h>", status=503)
    assert answer.first("retry-after") == "60"
    registers(alice, "Contact: <sip:1@h>;expires=0", cseq=2)
    registers(bob, "Contact: <sip:2@h>", cseq=2)


def test_a_full_location_service_takes_refreshes() -> None:
    world = World(max_bindings=1)
    alice = world.phone("alice")
    registers(alice, "Contact: <sip:1@h>")
    registers(alice, "Contact: <sip:1@h>", cseq=2)


# durability


def test_the_200_waits_for_the_store(world: World) -> None:
    alice = world.phone("alice")
    world.store = "holds"
    register = alice.register()
    alice >> register
    alice >> register
    alice.nothing()
    world.release()
    alice << 200
    alice.nothing()


def test_when_the_store_fails_nothing_has_changed(world: World) -> None:
    alice = world.phone("alice")
    registers(alice, "Contact: <sip:1@h>;expires=400")
    world.advance(50)
    world.store = "disk full"
    answer = registers(alice, "Contact: <sip:1@h>;expires=0, <sip:2@h>", cseq=2, status=500)
    assert answer.first("retry-after") == "10"
    registers(alice, "Contact: *", "Expires: 0", cseq=3, status=500)
    registers(alice, "Contact: <sip:1@h>;expires=900", cseq=4, status=500)
    assert contacts(alice) == ["<sip:1@h>;expires=350"]
    errors = [log for log in world.logs if log.event == "registration not stored"]
    assert [log.fields["error"] for log in errors] == ["disk full"] * 3
    world.store = "answers"
    world.advance(350)
    assert contacts(alice) == []


def test_registers_that_wait_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sipgw.frontend.registration.MAX_PARKED", 2)
    world.store = "holds"
    alice = world.phone("alice")
    for number in range(3):
        alice >> alice.register(call_id=f"c{number}", contact=f"sip:{number}@h")
    assert (alice << 503).first("retry-after") == "10"
    world.release()
    assert [alice << 200, alice << 200]
    world.store = "answers"
    alice >> alice.register(call_id="c4", contact="sip:4@h")
    alice << 200


def test_a_refresh_that_overtakes_a_failed_registration(world: World) -> None:
    """Two changes wait; the first fails, the second succeeds and stands."""
    alice = world.phone("alice")
    world.store = "holds"
    for number in (1, 2):
        alice >> alice.request(
            "REGISTER", f"sip:{DOMAIN}", "Contact: <sip:1@h>", to=alice.uri, call_id="r", cseq=number
        )
    first, second = world.held
    world.held = [first]
    world.release("disk full")
    alice << 500
    world.held = [second]
    world.release()
    alice << 200
    world.store = "answers"
    assert uris(alice) == ["sip:1@h"]
    assert world.engine.sizes().bindings == 1


def test_two_failed_registrations_leave_nothing() -> None:
    world = World()
    alice = world.phone("alice")
    world.store = "holds"
    for number in (1, 2):
        alice >> alice.request(
            "REGISTER", f"sip:{DOMAIN}", "Contact: <sip:1@h>", to=alice.uri, call_id="r", cseq=number
        )
    world.release("disk full")
    assert world.engine.sizes().bindings == 0


# what a registration is good for


def test_it_leads_to_the_client(world: World) -> None:
    alice, bob = world.phone("alice"), world.phone("bob")
    bob.sign_in()
    alice >> alice.request("MESSAGE", "sip:BOB@example.test;x=y")
    message = bob << "MESSAGE"
    assert message.uri == bob.contact
    bob >> reply(message, 200)
    alice << 200


def test_stored_bindings_come_back_after_a_restart(world: World) -> None:
    alice, bob = world.phone("alice", "UDP"), world.phone("bob", "UDP")
    bob.sign_in()
    other = World()
    other.engine.load_bindings([row for persist in world.persisted for row in persist.puts])
    again = other.phone("bob", "UDP", port=bob.port)
    other.phone("alice", "UDP", port=alice.port) >> alice.request("MESSAGE", bob.uri)
    again << "MESSAGE"


@pytest.mark.parametrize("unknown", ["100rel", "x-odd, y-odd"])
def test_require_of_what_we_do_not_know(world: World, unknown: str) -> None:
    alice = world.phone("alice")
    answer = registers(alice, "Contact: <sip:1@h>", f"Require: {unknown}", status=420)
    assert answer.first("unsupported") == unknown


@pytest.mark.parametrize("known", ["path", "outbound", "gruu", "gruu-10, Path"])
def test_require_of_what_we_know(world: World, known: str) -> None:
    registers(world.phone("alice"), "Contact: <sip:1@h>", f"Require: {known}")


def test_require_is_looked_at_first(world: World) -> None:
    """§10.3 step 2: before To is, and before anything that a Lync client would be told."""
    alice = world.phone("alice")
    alice >> alice.request("REGISTER", f"sip:{DOMAIN}", "Require: x", "Event: presence", to="sip:a@elsewhere.test")
    assert (alice << 420).first("unsupported") == "x"


def test_an_instance_with_a_quote_in_it_is_shown_as_it_came() -> None:
    world = World()
    alice = world.phone("alice")
    answer = registers(alice, 'Contact: <sip:1@h>;+sip.instance="<urn:a\\"b>"')
    assert '+sip.instance="<urn:a\\"b>"' in answer.values("contact")[0]

"""REGISTER where other workers change registrations too: they change when that is settled, in everybody's order."""

from sipgw.core.location import Binding
from sipgw.core.ownership import STALE, Sharing
from sipgw.events import Persist
from sipgw.frontend.registration import MAX_PLANS
from sipgw.message import Response
from tests.harness import DOMAIN, Party, World

AOR = f"alice@{DOMAIN}"


def shared(world: World) -> World:
    """As a worker's; the store answers when it is told to."""
    world.engine.share(Sharing(world.engine.layer, 0), [])
    world.store = "holds"
    return world


def bindings(world: World) -> list[Binding]:
    return world.engine.location.bindings(AOR, world.now)


def header(response: Response, name: str) -> str:
    return response.first(name) or ""


def elsewhere(world: World, cseq: int, call_id: str = "alice-registration") -> Binding:
    """Another worker has settled a registration of the same endpoint."""
    for binding in bindings(world):
        world.engine.location.remove(binding)
    (waiting,) = [output for output in world.held if isinstance(output, Persist)]
    binding = Binding(waiting.added[0].row())
    binding.cseq, binding.call_id = cseq, call_id
    world.engine.location.add(binding)
    return binding


def test_nothing_changes_before_it_is_settled(world: World, alice: Party) -> None:
    shared(world)
    alice >> alice.register()
    alice.nothing()
    assert not bindings(world)
    world.release()
    alice << 200
    (binding,) = bindings(world)
    assert binding.flow is not None
    assert world.persisted[0].aor == AOR and world.persisted[0].added == [binding]


def test_what_could_not_be_stored_has_changed_nothing(world: World, alice: Party) -> None:
    shared(world)
    alice >> alice.register()
    world.release("disk full")
    assert header(alice << 500, "retry-after") == "10"
    assert not bindings(world)
    alice >> alice.register(cseq=2)
    world.release()
    alice << 200
    (kept,) = bindings(world)
    alice >> alice.register(cseq=3, expires=0)
    world.release("disk full")
    alice << 500
    assert bindings(world) == [kept]


def test_planned_anew_it_is_weighed_against_what_has_come_before(world: World, alice: Party) -> None:
    """RFC 3261 §10.3 step 7, though the later of the two came to another worker."""
    shared(world)
    alice >> alice.register(cseq=5)
    other = elsewhere(world, cseq=6)
    world.release(STALE)
    assert "CSeq" in header(alice << 500, "warning")
    assert bindings(world) == [other]


def test_planned_anew_it_takes_the_place_of_what_has_come_before(world: World, alice: Party) -> None:
    shared(world)
    alice >> alice.register(cseq=5)
    other = elsewhere(world, cseq=4)
    world.release(STALE)
    alice.nothing()
    (second,) = world.held
    assert isinstance(second, Persist) and second.deletes == [other.key]
    world.release()
    assert "expires=600" in header(alice << 200, "contact")
    (binding,) = bindings(world)
    assert binding.cseq == 5


def test_planned_in_vain_again_and_again(world: World, alice: Party) -> None:
    shared(world)
    alice >> alice.register()
    for _ in range(MAX_PLANS):
        alice.nothing()
        world.release(STALE)
    assert header(alice << 500, "retry-after") == "10"
    assert not world.held and not bindings(world)
    assert len(world.persisted) == MAX_PLANS


def test_a_connection_that_is_lost_meanwhile(world: World, alice: Party) -> None:
    shared(world)
    alice >> alice.register()
    alice.break_connection()
    world.release()
    (binding,) = bindings(world)
    assert binding.flow is None


def test_who_was_displaced_is_told(world: World, alice: Party) -> None:
    shared(world)
    phones = [world.phone("alice", "TCP", f"198.51.100.{number}", instance=f"i{number}") for number in range(9)]
    for number, phone in enumerate(phones):
        phone >> phone.register("Event: registration", call_id=f"c{number}")
        world.release()
        phone << 200
        world.now += 1
    assert len(bindings(world)) == 8
    phones[0] << "NOTIFY"

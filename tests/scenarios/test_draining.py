"""What is waited for before the gateway ends, and what is not."""

from sipgw.core.health import HealthSettings
from sipgw.registry import Server
from tests.harness import CONTACT_OBJECT, SILENT, MakeWorld, World, default_pool, reply
from tests.scenarios.proxy.ladder import calls_pool, ends_with, hangs_up, refuses


def drain(world: World) -> None:
    world.engine.drain(world.now)
    world.perform(world.engine.outputs())


def test_a_call_without_a_final_response_is_waited_for(world: World) -> None:
    alice, server = world.phone("alice"), world.server()
    calls_pool(alice)
    drain(world)
    assert world.engine.busy
    refuses(server, server << "INVITE", 486)
    ends_with(alice, 486)
    assert not world.engine.busy


def test_a_call_that_waits_for_a_name_is_waited_for(make_world: MakeWorld) -> None:
    world = make_world([default_pool(Server("TCP", "pc.example.test", 5041))])
    world.names["pc.example.test"] = ["192.0.2.51"]
    world.resolver = "holds"
    alice, server = world.phone("alice"), world.server()
    calls_pool(alice)
    drain(world)
    assert world.engine.busy
    world.release()
    assert world.engine.busy
    refuses(server, server << "INVITE", 486)
    ends_with(alice, 486)
    assert not world.engine.busy


def test_a_sign_in_that_waits_for_the_store_is_waited_for(world: World) -> None:
    world.store = "holds"
    alice = world.phone("alice")
    alice >> alice.register()
    drain(world)
    assert world.engine.busy
    world.release()
    alice << 200
    assert not world.engine.busy


def test_options_of_our_own_are_not() -> None:
    world = World(health=HealthSettings(interval=10.0))
    first, second = world.pool_servers()
    second.state = SILENT
    world.perform(world.engine.start_probing(world.now))
    late = first << "OPTIONS"
    drain(world)
    assert not world.engine.busy
    first >> reply(late, 200)
    world.advance(60.0)
    first.nothing()
    world.finish()


def test_nothing_new_is_taken_and_dialogs_go_on(world: World) -> None:
    alice, server = world.phone("alice"), world.server()
    calls_pool(alice)
    server >> reply(server << "INVITE", 200, contact=server.contact)
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK")
    server << "ACK"
    drain(world)
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    ends_with(alice, 503)
    hangs_up(dialog, server)

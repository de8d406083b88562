"""When it is a bound of the gateway's own that a message to a server runs into, the server is not to blame."""

import pytest

from sipgw.events import OURS
from sipgw.message import Request
from tests.harness import MakeWorld, Party, World
from tests.scenarios.proxy.ladder import calls_pool
from tests.scenarios.test_pool_health import call, setup, takes, told

REASON = f"{OURS}waits for the connection"  # as the shell says it


def finds_no_room(world: World, server: Party, method: str) -> None:
    """What was to go to a server was not sent."""
    request: Request = server << method
    world.perform(world.engine.send_failed(request.via.branch, REASON, world.now))


def test_calls_go_to_the_next_server_and_the_first_is_not_condemned(make_world: MakeWorld) -> None:
    world = make_world()
    alice, first, second = setup(world)
    for _ in range(5):
        calls_pool(alice)
        finds_no_room(world, first, "INVITE")
        takes(alice, second)
    assert told(world) == []
    assert world.engine.health.known() == {}
    call(alice, first)


@pytest.mark.parametrize("method", ["INFO", "BYE"])
def test_nor_is_it_by_what_belongs_to_its_calls(make_world: MakeWorld, method: str) -> None:
    world = make_world()
    alice, first, _ = setup(world)
    for _ in range(3):
        dialog = call(alice, first)
        alice >> dialog.request(method)
        finds_no_room(world, first, method)
        alice << 481
    assert told(world) == []
    assert world.engine.health.known() == {}
    call(alice, first)

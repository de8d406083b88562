"""A server of a pool that takes no calls while something of it goes on to answer."""

import pytest

from sipgw.core.health import HealthSettings
from sipgw.message import Request, Response
from tests.harness import Party, World, reply
from tests.scenarios.proxy.ladder import calls_pool
from tests.scenarios.test_pool_health import FIRST_RESPONSE, call, down, setup, takes, told

EVERY = 12.0  # seconds between calls
STEP = 0.5


def pass_time(world: World, seconds: float, hung: Party, *others: Party) -> None:
    """Both servers answer OPTIONS; calls to the hung one vanish."""
    for _ in range(int(seconds / STEP)):
        world.advance(STEP)
        for server in (hung, *others):
            options = [one for one in server.inbox if isinstance(one, Request) and one.method == "OPTIONS"]
            server.inbox = [one for one in server.inbox if one not in options and server is not hung]
            for one in options:
                server >> reply(one, 200)


def seconds_to_the_second(world: World, alice: Party, first: Party, second: Party) -> float:
    """A call; how long it takes until the second server has it, which answers it."""
    began = world.now
    calls_pool(alice)
    while not any(isinstance(one, Request) and one.method == "INVITE" for one in second.inbox):
        pass_time(world, STEP, first, second)
    takes(alice, second)
    return world.now - began


@pytest.mark.parametrize("interval", [10.0, 0.0], ids=["OPTIONS", "no OPTIONS"])
def test_calls_avoid_it_but_for_one_now_and_then(interval: float) -> None:
    world = World(health=HealthSettings(interval=interval))
    alice, first, second = setup(world)
    dialog = call(alice, first)  # of before, and going on
    world.perform(world.engine.start_probing(world.now))
    waits = []
    for _ in range(20):
        pass_time(world, EVERY, first, second)
        alice >> dialog.request("INFO")
        first >> reply(next(one for one in first.inbox if isinstance(one, Request) and one.method == "INFO"), 200)
        first.inbox.clear()
        alice.inbox = [one for one in alice.inbox if not isinstance(one, Response)]
        waits.append(seconds_to_the_second(world, alice, first, second))
    assert waits[:2] == [FIRST_RESPONSE, FIRST_RESPONSE]
    assert sum(wait > 0 for wait in waits) <= 5, f"two to find out, then after 30, 60 and 120 seconds: {waits}"
    assert max(waits) == FIRST_RESPONSE
    assert told(world)[0] == down(first.host, "timeout")

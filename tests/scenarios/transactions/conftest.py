"""Worlds that hold every party to account: what a scenario does not take, nobody may have been sent."""

from collections.abc import Iterator
from typing import Any

import pytest

from sipgw.registry import Server
from tests.harness import MakeWorld, Party, World, default_pool
from tests.scenarios.proxy.ladder import desks


@pytest.fixture
def make_world() -> Iterator[MakeWorld]:
    """As in the harness; besides, after the last timer nobody may hold a message that the scenario did not take."""
    made: list[World] = []

    def make(*args: Any, **settings: Any) -> World:
        made.append(World(*args, **settings))
        return made[-1]

    yield make
    for world in made:
        world.finish()
        for party in world._parties:
            party.nothing()


@pytest.fixture
def world(make_world: MakeWorld, transport: str) -> World:
    """One declared endpoint, whose pool has one server on the transport of the scenario."""
    return make_world([default_pool(Server(transport, "192.0.2.51", 5041))])


@pytest.fixture(params=["UDP", "TCP"])
def transport(request: pytest.FixtureRequest) -> str:
    """What all parties speak."""
    name: str = request.param
    return name


@pytest.fixture
def alice(world: World, transport: str) -> Party:
    """Who calls."""
    return world.phone("alice", transport)


@pytest.fixture
def bob(world: World, transport: str) -> Party:
    """A user that has signed in, at one phone."""
    return desks(world, transport, 1.0)[0]


@pytest.fixture
def pool(world: World, transport: str) -> Party:
    """The server that the Group Chat endpoint leads to."""
    return world.server(transport)

"""Worlds that hold every party to account: a scenario has to take each message that anybody was sent."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness import MakeWorld, World


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


@pytest.fixture(params=["UDP", "TCP"])
def transport(request: pytest.FixtureRequest) -> str:
    """What caller and called speak."""
    name: str = request.param
    return name

"""A gateway that asks for Digest, with alice, bob and an account that is disabled."""

import pytest

from tests.harness import DOMAIN, World
from tests.scenarios.sign_in.people import ACCOUNTS, Directory, gate_for


@pytest.fixture
def directory() -> Directory:
    return Directory(ACCOUNTS)


@pytest.fixture
def world(directory: Directory) -> World:
    world = World(realm=DOMAIN, wall_offset=1_795_000_000.0)
    world.engine.use_gate(gate_for(directory, world.engine.counters))
    return world

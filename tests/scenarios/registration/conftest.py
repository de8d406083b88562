"""Two callers for scenarios around the location service."""

import pytest

from tests.harness import Party, World


@pytest.fixture(params=["UDP", "TCP"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def alice(world: World, transport: str) -> Party:
    """Who calls."""
    return world.phone("alice", transport, host="198.51.100.20")


@pytest.fixture
def bob(world: World, transport: str) -> Party:
    """Who registers."""
    return world.phone("bob", transport, host="198.51.100.30")

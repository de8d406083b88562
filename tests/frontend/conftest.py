"""The fixtures of the virtual world, and the real client in it."""

import pytest

from tests.harness import Party, World, make_world, world

__all__ = ["alice", "make_world", "world"]


@pytest.fixture
def alice(world: World) -> Party:
    """The connection that the recorded messages of pidgin-sipe came over."""
    return world.phone("alice", "TCP", "127.0.0.1", 42002)

"""The fixtures of the virtual world."""

from tests.harness import make_world, world

__all__ = ["make_world", "world"]

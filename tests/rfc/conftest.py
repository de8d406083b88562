"""The fixtures of the virtual world, and the recorder of docs/rfc-coverage.md."""

from tests.coverage_rows import pytest_collection_modifyitems
from tests.harness import make_world, world

__all__ = ["make_world", "pytest_collection_modifyitems", "world"]

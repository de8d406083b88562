"""The parties of the transaction scenarios serve here too; everybody takes what it was sent."""

from tests.scenarios.transactions.conftest import alice, bob, make_world, pool, transport, world

__all__ = ["alice", "bob", "make_world", "pool", "transport", "world"]

"""Changes of several pools at once, as an administrator words them."""

from collections.abc import Iterable, Mapping

from sipgw.registry.model import Pool
from sipgw.registry.pool_state import (
    Change,
    PoolState,
    adding,
    exactly,
    failing_back,
    failing_over,
    find_servers,
    removing,
    swapping,
)


def to_state(pool: Pool, failed_over: bool) -> Change:
    """Raises ServersUnknown."""
    return failing_over(pool) if failed_over else failing_back(pool)


def swaps(pools: Iterable[Pool]) -> dict[str, Change]:
    """Raises ServersUnknown."""
    return {pool.fqdn: swapping(pool) for pool in pools}


def changes(pools: list[Pool], wanted: Mapping[str, list[str]]) -> dict[str, Change]:
    """The change of each pool that `Add`, `Remove` or `Replace` means, with servers as an administrator calls them.

    Raises NoServer or ServersUnknown.
    """
    named = {verb: _by_pool(pools, names) for verb, names in wanted.items()}
    if "Replace" in named:
        return {pool.fqdn: exactly(pool, named["Replace"].get(pool.fqdn, ())) for pool in pools}
    found: dict[str, Change] = {}
    for pool in pools:
        steps = [
            made(pool, named[verb][pool.fqdn])
            for verb, made in (("Remove", removing), ("Add", adding))
            if pool.fqdn in named.get(verb, {})
        ]
        if steps:
            found[pool.fqdn] = _in_turn(steps)
    return found


def _by_pool(pools: list[Pool], names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        for fqdn, servers in find_servers(pools, name).items():
            found.setdefault(fqdn, []).extend(servers)
    return found


def _in_turn(steps: list[Change]) -> Change:
    def change(state: PoolState) -> PoolState:
        for step in steps:
            state = step(state)
        return state

    return change

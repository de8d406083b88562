"""The servers of a pool in the order in which they are tried for a request."""

from random import Random

from sipgw.core.health import Health
from sipgw.events import Hop
from sipgw.locating import Destination, Located, Locator, NotLocated, of_pool, of_server
from sipgw.locating.destination import is_address
from sipgw.registry import Pool

Found = list[Hop] | Destination | NotLocated


class PoolServers:
    """Configured servers in their order, or what the name service says; those that work first, standby ones after."""

    def __init__(self, locator: Locator, health: Health, random: Random) -> None:
        self._locator = locator
        self._health = health
        self._random = random
        self._fixed: dict[str, list[Hop] | None] = {}

    def forget(self) -> None:
        """The configuration has changed."""
        self._fixed = {}

    def hops(self, pool: Pool, now: float) -> Found:
        """Servers for a new dialog; a destination that has to be located first; or why there is none."""
        known = self.every(pool, now)
        if not isinstance(known, list):
            return known
        if pool.drained:
            known = [hop for hop in known if not _is_among(hop, pool.drained)]
        found = self._health.ordered(known, now)
        if pool.standby:
            found = sorted(found, key=lambda hop: self._rank(hop, pool, now))
        return found

    def _rank(self, hop: Hop, pool: Pool, now: float) -> tuple[bool, bool]:
        """A standby server is used when no active one works (Set-CsPersistentChatActiveServer)."""
        return not self._health.usable(hop, now), _is_among(hop, pool.standby)

    def every(self, pool: Pool, now: float) -> Found:
        """All servers, whatever their state."""
        fixed = self._fixed.get(pool.fqdn)
        if fixed is None and pool.fqdn not in self._fixed:
            fixed = self._fixed[pool.fqdn] = _numeric(pool)
        return fixed if fixed is not None else self._located(pool, now)

    def _located(self, pool: Pool, now: float) -> Found:
        wanted = [of_server(one.transport, one.host, one.port, pool.fqdn) for one in pool.servers]
        hops: list[Hop] = []
        failure: NotLocated | None = None
        for destination in wanted or [of_pool(pool.fqdn)]:
            found = self._locator.find(destination, now)
            if found is None:
                return destination
            if isinstance(found, Located):
                hops += [Hop(*address) for address in found.order(self._random)]
            else:
                failure = failure or found
        return hops or failure or []


def _numeric(pool: Pool) -> list[Hop] | None:
    """The hops of a pool whose servers are all named by address, None where a name has to be looked up."""
    if not pool.servers or not all(is_address(server.host) for server in pool.servers):
        return None
    return [
        Hop(server.transport, server.host, server.port, pool.fqdn if server.transport == "TLS" else "")
        for server in pool.servers
    ]


def _is_among(hop: Hop, names: frozenset[str]) -> bool:
    return hop.host in names or str(hop) in names

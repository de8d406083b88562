"""The servers of a pool in the order in which they are tried for a request."""

from ipaddress import ip_address
from random import Random

from sipgw.core.health import Health
from sipgw.events import Flow, Hop
from sipgw.locating import Destination, Located, Locator, NotLocated, of_pool, of_server
from sipgw.locating.destination import is_address
from sipgw.registry import Pool, Server

Found = list[Hop] | Destination | NotLocated


class PoolServers:
    """Configured servers in their order, or what the name service says; those that work first, standby ones after."""

    def __init__(self, locator: Locator, health: Health, random: Random) -> None:
        self._locator = locator
        self._health = health
        self._random = random
        self._fixed: dict[str, list[Hop] | None] = {}

    def hops(self, pool: Pool, now: float) -> Found:
        """Servers for a new dialog; a destination that has to be located first; or why there is none."""
        known = self.every(pool, now)
        if not isinstance(known, list):
            return known
        if pool.drained:
            drained = self.meant(pool, pool.drained, now)
            known = [hop for hop in known if hop not in drained]
        if not pool.standby:
            return self._health.ordered(known, now)
        standby = self.meant(pool, pool.standby, now)  # for when no active one works (Set-CsPersistentChatActiveServer)
        return sorted(known, key=lambda hop: (not self._health.usable(hop, now), hop in standby))

    def meant(self, pool: Pool, names: frozenset[str], now: float) -> set[Hop]:
        """The servers that `Pool.standby` or `Pool.drained` names: by their addresses, or as `Pool.servers` does."""
        known = self.every(pool, now)
        found = {hop for hop in known if is_among(hop, names)} if isinstance(known, list) else set()
        for server in pool.servers:
            if str(server) in names:
                found |= set(self._hops_of(server, pool, now))
        return found

    def of_one_name(self, pool: Pool, hops: tuple[Flow | Hop, ...], now: float) -> bool:
        """Whether two hops are at addresses of one name: two ways to a server, or to servers that are as good."""
        hosts, port = {hop.host for hop in hops}, hops[0].port
        for destination in [_destination(server, pool) for server in pool.servers] or [of_pool(pool.fqdn)]:
            found = self._locator.find(destination, now) if not is_address(destination.host) else None
            for service in found.services if isinstance(found, Located) else ():
                if service.port == port and hosts <= {host for family in service.families for host in family}:
                    return True
        return False

    def every(self, pool: Pool, now: float) -> Found:
        """All servers, whatever their state."""
        fixed = self._fixed.get(pool.fqdn)
        if fixed is None and pool.fqdn not in self._fixed:
            fixed = self._fixed[pool.fqdn] = _numeric(pool)
        return fixed if fixed is not None else self._located(pool, now)

    def _located(self, pool: Pool, now: float) -> Found:
        wanted = [_destination(server, pool) for server in pool.servers]
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
        return list(dict.fromkeys(hops)) or failure or []

    def _hops_of(self, server: Server, pool: Pool, now: float) -> list[Hop]:
        """What one server of the configuration has come to."""
        if is_address(server.host):
            return [_numeric_hop(server, pool)]
        found = self._locator.find(_destination(server, pool), now)
        return [Hop(*address) for address in found.order(self._random)] if isinstance(found, Located) else []


def _numeric(pool: Pool) -> list[Hop] | None:
    """The hops of a pool whose servers are all named by address, None where a name has to be looked up."""
    if not pool.servers or not all(is_address(server.host) for server in pool.servers):
        return None
    return [_numeric_hop(server, pool) for server in pool.servers]


def _numeric_hop(server: Server, pool: Pool) -> Hop:
    """With the address in its one normal form, which is also what a flow token gives back."""
    host = str(ip_address(server.host))
    return Hop(server.transport, host, server.port, pool.fqdn if server.transport == "TLS" else "")


def _destination(server: Server, pool: Pool) -> Destination:
    return of_server(server.transport, server.host, server.port, pool.fqdn)


def is_among(hop: Hop, names: frozenset[str]) -> bool:
    """Whether the names hold the address of a server, with or without transport and port."""
    return hop.host in names or str(hop) in names

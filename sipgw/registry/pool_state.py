"""Which servers of a pool take new dialogs, as an administrator has it at the moment, over what the configuration says.

What Set-CsPersistentChatActiveServer and Set-CsPersistentChatState change. A server that is not active gets no new
dialog; those under way go on. A server that nobody has spoken of is what the configuration makes it, also one that is
added there later.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from sipgw.registry.errors import NoServer, ServersUnknown
from sipgw.registry.model import Pool, Server

Names = frozenset[str]


@dataclass(frozen=True)
class PoolState:
    """What is set for the pool `pool_fqdn`. `active` and `inactive` are servers as `str(Server)` writes them; of a pool
    whose servers the name service knows, addresses. `failed_over` is the pool's state FailedOver, else it is Normal."""

    pool_fqdn: str
    failed_over: bool = False
    active: Names = frozenset()
    inactive: Names = frozenset()

    @property
    def is_as_configured(self) -> bool:
        return not (self.failed_over or self.active or self.inactive)


Change = Callable[[PoolState], PoolState]


def applied(pool: Pool, state: PoolState) -> Pool:
    """A pool of the configuration as it is in a state."""
    known = {str(server) for server in pool.servers}
    active = state.active & known if pool.servers else state.active
    inactive = state.inactive & known if pool.servers else state.inactive
    if not active and not inactive:
        return pool
    standby = _without(pool, pool.standby, active | inactive)
    drained = _without(pool, pool.drained, active | inactive)
    return replace(pool, standby=standby, drained=drained | inactive)


def _without(pool: Pool, names: Names, spoken_of: Names) -> Names:
    """Names that mean none of the servers that were spoken of. A name may mean several servers of one address, of which
    the others keep what it says."""
    kept: set[str] = set()
    for name in names:
        meant = {str(server) for server in pool.servers if name in _names(server)} or {_address(name)}
        kept |= {name} if not meant & spoken_of else meant - spoken_of
    return frozenset(kept)


def _names(server: Server) -> tuple[str, str]:
    """What `Pool.standby` and `Pool.drained` may call a server."""
    return str(server), _normal(server.host)


def _normal(host: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError:
        return host.lower()


def _address(name: str) -> str:
    """The host in `tcp:host:port`, or the address that stands alone."""
    if name.partition(":")[0] not in ("udp", "tcp", "tls"):
        return name
    return name.partition(":")[2].rpartition(":")[0].strip("[]")


def active_servers(pool: Pool) -> list[str]:
    """The servers of a pool that take new dialogs in the first place, in their order."""
    passive = pool.standby | pool.drained
    return [str(server) for server in pool.servers if not passive.intersection(_names(server))]


def inactive_servers(pool: Pool) -> list[str]:
    """The others: standby ones and drained ones. Of a pool without configured servers, the addresses that are named."""
    active = active_servers(pool)
    if pool.servers:
        return [str(server) for server in pool.servers if str(server) not in active]
    return sorted(pool.standby | pool.drained)


def role_of(pool: Pool, server: Server) -> str:
    """`active`, `standby` or `drained`."""
    names = _names(server)
    if pool.drained.intersection(names):
        return "drained"
    return "standby" if pool.standby.intersection(names) else "active"


def shown_names(pool: Pool) -> dict[str, str]:
    """What an administrator calls each server (`str(Server)`): by its host where that is enough."""
    hosts = [server.host.lower() for server in pool.servers]
    return {
        str(server): server.host if hosts.count(server.host.lower()) == 1 else str(server) for server in pool.servers
    }


def servers_called(pool: Pool, name: str) -> list[str]:
    """The servers of a pool that an administrator means: by host, host:port or transport:host:port. [] for none.

    Of a pool without configured servers an address means itself.
    """
    wanted = name.strip().lower()
    if not pool.servers:
        return [_normal(wanted)] if _is_address(wanted) else []
    return [
        str(server)
        for server in pool.servers
        if wanted in (*map(str.lower, _names(server)), str(server).partition(":")[2].lower())
    ]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def adding(pool: Pool, servers: Sequence[str]) -> Change:
    """Make servers active beside those that are. `pool` is always the one of the configuration."""
    return lambda state: _set(pool, state, state.active.union(servers), state.inactive.difference(servers))


def removing(pool: Pool, servers: Sequence[str]) -> Change:
    """Make servers inactive."""
    return lambda state: _set(pool, state, state.active.difference(servers), state.inactive.union(servers))


def exactly(pool: Pool, servers: Iterable[str]) -> Change:
    """Make these servers active and all others inactive. Raises ServersUnknown."""
    wanted = frozenset(servers)
    everything = _everything(pool)
    return lambda state: _set(pool, state, wanted, everything - wanted)


def swapping(pool: Pool) -> Change:
    """Make active what is not, and the other way round. Raises ServersUnknown."""
    everything = _everything(pool)

    def change(state: PoolState) -> PoolState:
        active = frozenset(active_servers(applied(pool, state)))
        return _set(pool, state, everything - active, active)

    return change


def failing_over(pool: Pool) -> Change:
    """The standby servers take over. Where there is none, the pool's servers go on. Raises ServersUnknown."""
    standby = {str(server) for server in pool.servers if role_of(pool, server) == "standby"}
    if not standby and not pool.standby:
        return lambda state: replace(state, failed_over=True)
    return lambda state: replace(exactly(pool, standby)(state), failed_over=True)


def failing_back(pool: Pool) -> Change:
    """Everything is as configured."""
    return lambda state: PoolState(state.pool_fqdn)


def _everything(pool: Pool) -> Names:
    if not pool.servers:
        advice = "make single ones active or inactive by their addresses, or name its servers in the configuration"
        raise ServersUnknown(f"the servers of pool {pool.fqdn} are known to the name service alone; {advice}")
    return frozenset(map(str, pool.servers))


def _set(pool: Pool, state: PoolState, active: Names, inactive: Names) -> PoolState:
    """With nothing said where that is what the configuration says: a swap back leaves no trace."""
    new = replace(state, active=active, inactive=inactive)
    changed = applied(pool, new)
    if pool.servers and active_servers(changed) == active_servers(pool):
        return replace(new, active=frozenset(), inactive=frozenset())
    if not pool.servers and changed == pool:
        return replace(new, active=frozenset(), inactive=frozenset())
    return new


def find_servers(pools: Iterable[Pool], name: str) -> dict[str, list[str]]:
    """The servers that a name means, by pool. Raises NoServer, saying which there are."""
    pools = list(pools)
    found = {pool.fqdn: called for pool in pools if (called := servers_called(pool, name))}
    if not found:
        known = ", ".join(shown for pool in pools for shown in shown_names(pool).values()) or "by address only"
        raise NoServer(f'no pool has a server "{name}" (servers: {known})')
    return found

"""/api/v1/pools: the pools, their servers and what is known of them."""

import time
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, Literal

from sipgw.core.pool_servers import PoolServers
from sipgw.events import Hop
from sipgw.locating import NotLocated
from sipgw.registry import Pool
from sipgw.server.admin.models import PoolBody, PoolList, ServerBody
from sipgw.server.admin.operation import Answer, Call

if TYPE_CHECKING:
    from sipgw.server.app import GatewayApp


async def list_pools(call: Call) -> Answer:
    """All, in the order of the configuration."""
    return Answer(PoolList(pools=pools_now(call.gateway)))


def pools_now(gateway: "GatewayApp") -> list[PoolBody]:
    """Each pool as it is now. Names that are not known, or no longer, are asked for on this occasion."""
    found: list[PoolBody] = []
    gateway.shell.run(lambda now: found.extend(_bodies(gateway, now)), gateway.engine.outputs)
    return found


def _bodies(gateway: "GatewayApp", now: float) -> Iterator[PoolBody]:
    engine = gateway.engine
    finder = PoolServers(engine.locator, engine.health, Random(0))
    for pool in gateway.registry.pools:
        found = finder.every(pool, now)
        state = gateway.registry.states.get(pool.fqdn.lower())
        yield PoolBody(
            fqdn=pool.fqdn,
            service_uri=pool.service_uri,
            state="FailedOver" if state is not None and state.failed_over else "Normal",
            configured=[str(server) for server in pool.servers],
            servers=_servers(gateway, finder, pool, found, now) if isinstance(found, list) else [],
            missing="" if isinstance(found, list) else _why(found),
        )


def _why(found: object) -> str:
    return found.text if isinstance(found, NotLocated) else "the name service has not answered yet"


def _servers(gateway: "GatewayApp", finder: PoolServers, pool: Pool, hops: list[Hop], now: float) -> list[ServerBody]:
    standby = finder.meant(pool, pool.standby, now) if pool.standby else set[Hop]()
    drained = finder.meant(pool, pool.drained, now) if pool.drained else set[Hop]()
    offset = time.time() - now
    shown: list[ServerBody] = []
    for hop in hops if pool.servers else sorted(hops, key=str):
        known = gateway.engine.health.of(hop)
        role: Literal["active", "standby", "drained"] = "standby" if hop in standby else "active"
        shown.append(
            ServerBody(
                server=str(hop),
                role="drained" if hop in drained else role,
                health="up" if known.up else "down",
                since=None if known.up else known.since + offset,
                reason=known.reason,
                until=known.until + offset if known.until and not known.up else None,
            )
        )
    return shown


def is_served(pool: PoolBody) -> bool:
    """Whether a call to this pool has a server that may take it and is not known to be down."""
    return any(server.health == "up" and server.role != "drained" for server in pool.servers)

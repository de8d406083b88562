"""PATCH /api/v1/pools/{pool_fqdn}: which servers of a pool get new dialogs. Calls under way go on."""

import asyncio
from typing import TYPE_CHECKING, Any

from sipgw.observability.log import get_logger
from sipgw.registry import NotFound, Pool, PoolState
from sipgw.registry.pool_changes import changes, to_state
from sipgw.registry.pool_state import Change
from sipgw.server.admin.models import Fault, PoolChange
from sipgw.server.admin.operation import Answer, Call
from sipgw.server.admin.pools import pools_now
from sipgw.server.admin.problems import Problem
from sipgw.server.audit import Actor, audited

if TYPE_CHECKING:
    from sipgw.server.app import GatewayApp


async def change_pool(call: Call) -> Answer:
    """It is in effect when the answer is sent. Raises RegistryError, Problem or StoreError."""
    wanted, gateway, who = call.body, call.gateway, call.actor
    assert isinstance(wanted, PoolChange)
    assert who is not None, "the guard lets nobody else come here"
    async with gateway.changing:
        pool = _configured(gateway, call.path["pool_fqdn"])
        await asyncio.to_thread(_change, gateway, who, pool.fqdn, _meant(pool, wanted))
        await gateway.followed()
    return Answer(next(shown for shown in pools_now(gateway) if shown.fqdn == pool.fqdn))


def _configured(gateway: "GatewayApp", fqdn: str) -> Pool:
    found = next((pool for pool in gateway.registry.configured if pool.fqdn.lower() == fqdn.lower()), None)
    if found is None:
        known = ", ".join(pool.fqdn for pool in gateway.registry.configured) or "none"
        raise NotFound(f"{fqdn} is not a configured pool (pools: {known})")
    return found


def _meant(pool: Pool, wanted: PoolChange) -> Change:
    """Raises NoServer or ServersUnknown."""
    said = [wanted.state is not None, wanted.active is not None, bool(wanted.add or wanted.remove)]
    if sum(said) != 1:
        advice = "say one of state, active, or add and remove"
        raise Problem("invalid", advice, [Fault(key="state", text=advice)])
    if wanted.state is not None:
        return to_state(pool, wanted.state == "FailedOver")
    if wanted.active is not None:
        return changes([pool], {"Replace": wanted.active})[pool.fqdn]
    return changes([pool], {"Add": wanted.add, "Remove": wanted.remove})[pool.fqdn]


def _change(gateway: "GatewayApp", who: Actor, fqdn: str, change: Change) -> None:
    """In a thread: waits for the disk."""
    with audited(gateway.store.path, who, "pool-state.set", fqdn) as entry:
        before, after = gateway.store.change_pool_state(fqdn, change)
        entry.before, entry.after = _told(before), _told(after)
    get_logger().info("state of pool set", pool=fqdn, by=str(who))


def _told(state: PoolState) -> dict[str, Any]:
    names = {"active": sorted(state.active), "inactive": sorted(state.inactive)}
    return {"state": "FailedOver" if state.failed_over else "Normal", **names}

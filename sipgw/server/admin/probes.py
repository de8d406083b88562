"""/healthz, /readyz, and which gateway this is."""

import asyncio
from typing import TYPE_CHECKING

from sipgw import __version__
from sipgw.server.admin.models import Alive, Check, GatewayBody, Readiness
from sipgw.server.admin.operation import Answer, Call
from sipgw.server.admin.pools import is_served, pools_now
from sipgw.server.store_file import StoreError

if TYPE_CHECKING:
    from sipgw.server.app import GatewayApp


async def healthz(call: Call) -> Answer:
    """Whoever answers is alive."""
    return Answer(Alive())


async def readyz(call: Call) -> Answer:
    """Whether calls can be taken and brought to a pool; 503 when not, and what is missing."""
    checks = [_listening(call.gateway), await _store(call.gateway), _pool(call.gateway)]
    if call.actor is None:
        checks = [Check(name=check.name, ok=check.ok) for check in checks]
    ready = all(check.ok for check in checks)
    return Answer(Readiness(ready=ready, checks=checks), 200 if ready else 503)


def _listening(gateway: "GatewayApp") -> Check:
    closing = gateway.engine.admission.closing
    return Check(name="listening", ok=not closing, detail="draining: nothing new is taken" if closing else "")


async def _store(gateway: "GatewayApp") -> Check:
    try:
        await asyncio.to_thread(gateway.store.check_writable)
    except StoreError as error:
        return Check(name="store", ok=False, detail=str(error))
    return Check(name="store", ok=True)


def _pool(gateway: "GatewayApp") -> Check:
    """One server of one pool is enough to be of use; which pools have none is told all the same."""
    pools = pools_now(gateway)
    without = [f"{pool.fqdn} ({pool.missing or _states(pool.servers)})" for pool in pools if not is_served(pool)]
    detail = f"no server up: {'; '.join(without)}" if without else ""
    if not pools:
        detail = "no pool is configured; add a [[pool]]"
    return Check(name="pool", ok=len(without) < len(pools), detail=detail)


def _states(servers: object) -> str:
    assert isinstance(servers, list)
    return ", ".join(
        f"{server.server} {'drained' if server.role == 'drained' else server.reason or server.health}"
        for server in servers
    )


async def gateway(call: Call) -> Answer:
    """Which gateway answers."""
    app = call.gateway
    config = app.config
    return Answer(
        GatewayBody(
            version=__version__,
            pid=app.pid,
            since=app.since,
            fqdn=config.gateway.fqdn,
            source=str(config.source.absolute()) if config.source is not None else "",
            store=str(config.store.path),
            listening=[str(listener) for listener in app.listeners],
            overloaded=app.engine.admission.overloaded,
            draining=app.engine.admission.closing,
        )
    )

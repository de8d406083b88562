"""/metrics: the readings of this moment, written out in pieces so that no message has to wait for all of it."""

import asyncio
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING

from prometheus_client import Metric, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from starlette.responses import Response

from sipgw import __version__
from sipgw.observability.metrics import CertificateReading, Readings, ServerReading, families
from sipgw.server.admin.operation import Call
from sipgw.server.admin.pools import pools_now
from sipgw.server.certificates import expiries
from sipgw.server.tls import tls_settings

if TYPE_CHECKING:
    from sipgw.server.app import GatewayApp

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"  # Prometheus' text exposition format
PIECE = 200  # samples that are written out at a time
_process = ProcessCollector(registry=None)


class _One(Collector):
    """One metric, as `generate_latest` wants it."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        yield self._metric


async def metrics(call: Call) -> Response:
    """In Prometheus' text format."""
    gateway = call.gateway
    certificates = await asyncio.to_thread(_certificates, gateway)
    parts: list[bytes] = []
    readings = await gateway.all_readings(readings_of(gateway, certificates))
    for metric in chain(families(readings), _process.collect()):
        for part in _written(metric):
            parts.append(part)
            await asyncio.sleep(0)  # a message may come in between
    return Response(b"".join(parts), headers={"Cache-Control": "no-store", "Content-Type": CONTENT_TYPE})


def _written(metric: Metric) -> Iterator[bytes]:
    """In pieces of about a millisecond."""
    samples = metric.samples
    for at in range(0, max(1, len(samples)), PIECE):
        metric.samples = samples[at : at + PIECE]
        text = generate_latest(_One(metric))
        yield text if not at else text.split(b"\n", 2)[2]  # HELP and TYPE stand there once


def _certificates(gateway: "GatewayApp") -> list[CertificateReading]:
    """As the files are now. In a thread: reads them."""
    found = expiries(tls_settings(gateway.config).everything, datetime.now(UTC))
    return [CertificateReading(str(one.file), one.name, one.at.timestamp()) for one in found]


def readings_of(gateway: "GatewayApp", certificates: list[CertificateReading]) -> Readings:
    """All that is to be shown of a gateway, as it is now."""
    engine, shell, config, registry = gateway.engine, gateway.shell, gateway.config, gateway.registry
    banned = len(engine.admission.bans(asyncio.get_running_loop().time()))
    sizes = {**asdict(engine.sizes()), "connections": shell.connection_count, "banned": banned}
    pools = pools_now(gateway)
    endpoints = registry.endpoints()
    declared = sum(one.declared for one in endpoints)
    return Readings(
        version=__version__,
        since=gateway.since,
        reloaded=gateway.reloaded,
        reloaded_well=gateway.reloaded_well,
        meter=engine.meter,
        responses=engine.layer.responses,
        core_events=engine.counters,
        shell_events=shell.counters,
        addresses={one.sip_address for one in endpoints},
        pools={pool.fqdn for pool in pools},
        endpoints={True: declared, False: len(endpoints) - declared},
        sizes=sizes,
        queues={"store": gateway.store.queued, "register": sizes["parked"], "names": sizes["waiting"]},
        limits={
            "transactions": config.limits.max_transactions,
            "registrations": config.limits.max_bindings,
            "connections": config.limits.max_connections,
        },
        overloaded=engine.admission.overloaded,
        failed_over={pool.fqdn: pool.state == "FailedOver" for pool in pools},
        servers=[
            ServerReading(pool.fqdn, one.server, one.role, one.health == "up") for pool in pools for one in pool.servers
        ],
        certificates=certificates,
        sign_in=gateway.sign_in_sizes(),
        lag=gateway.lag.durations,
    )

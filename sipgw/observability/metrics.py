"""What the gateway shows to Prometheus. Readings are taken and made into metrics when they are asked for, never before.

`docs/metrics.md` describes each; a test compares the two. Labels are bounded: an endpoint or a pool has its own only
while it is configured.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from prometheus_client import Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)

from sipgw.core.meter import BOUNDS, OTHER, Durations, Meter
from sipgw.observability.shares import WorkerReading

_ENDPOINT = "endpoint "  # how `Route.matched` names one
_UNAVAILABLE = (408, 480)  # of the class 4xx, but nobody has said no
_RESULTS = {2: "answered", 3: "redirected", 4: "refused", 5: "unavailable", 6: "refused"}
_GAUGES = ("certificate_days_left",)  # among the counters, but none


class ServerReading(NamedTuple):
    """A server of a pool. `role` is active, standby or drained."""

    pool: str
    server: str
    role: str
    up: bool


class CertificateReading(NamedTuple):
    """A certificate file; `expires` in seconds since 1970."""

    file: str
    name: str
    expires: float


@dataclass(frozen=True)
class Readings:
    """All that is shown. `since` and `reloaded` in seconds since 1970; `responses` are counts with the status as index;
    `events` counts by name, of the core and of the shell; `endpoints` by whether they are declared; `addresses` and
    `pools` are those that may be labels. `sizes`, `queues` and `limits` are numbers by name. `workers` are by number,
    none where one process does everything; `restarts` is how often one had to be started again."""

    version: str
    since: float
    reloaded: float
    reloaded_well: bool
    meter: Meter
    responses: Sequence[int]
    core_events: Mapping[str, int]
    shell_events: Mapping[str, int]
    addresses: Collection[str]
    pools: Collection[str]
    endpoints: Mapping[bool, int]
    sizes: Mapping[str, int]
    queues: Mapping[str, int]
    limits: Mapping[str, int]
    overloaded: bool
    failed_over: Mapping[str, bool]
    servers: Sequence[ServerReading]
    certificates: Sequence[CertificateReading]
    sign_in: Mapping[str, int]
    lag: Durations
    workers: Mapping[int, WorkerReading] = field(default_factory=dict)
    restarts: int = 0


def result_of(status: int) -> str:
    """What a final response means to who watches: answered, cancelled, redirected, refused or unavailable."""
    if status == 487:
        return "cancelled"
    return "unavailable" if status in _UNAVAILABLE else _RESULTS.get(status // 100, "refused")


def families(readings: Readings) -> Iterator[Metric]:
    """Every metric, one after the other: the caller may pause in between."""
    yield from _about(readings)
    yield _calls(readings)
    yield from _durations(readings)
    yield from _counts(readings)
    yield from _sizes(readings)
    yield from _pools(readings)
    yield from _sign_in(readings)
    yield from _workers(readings)


def _about(readings: Readings) -> Iterator[Metric]:
    yield InfoMetricFamily("sipgw_build", "The release that runs.", {"version": readings.version})
    yield GaugeMetricFamily("sipgw_start_time_seconds", "When it was started, since 1970.", readings.since)
    yield GaugeMetricFamily(
        "sipgw_config_last_reload_timestamp_seconds", "When the configuration was read, since 1970.", readings.reloaded
    )
    yield GaugeMetricFamily(
        "sipgw_config_last_reload_successful", "1 if the last attempt to read it was.", int(readings.reloaded_well)
    )
    certificates = GaugeMetricFamily(
        "sipgw_certificate_expiry_timestamp_seconds",
        "When a certificate file ends, since 1970.",
        labels=("file", "name"),
    )
    for one in readings.certificates:
        certificates.add_metric((one.file, one.name), one.expires)
    yield certificates


def _calls(readings: Readings) -> Metric:
    family = CounterMetricFamily(
        "sipgw_calls", "INVITEs that begin a dialog, by their final responses.", labels=("endpoint", "pool", "result")
    )
    totals: dict[tuple[str, str, str], int] = {}
    for (matched, pool), statuses in readings.meter.calls.items():
        address = matched.removeprefix(_ENDPOINT) if matched.startswith(_ENDPOINT) else ""
        if matched == OTHER or (address and address not in readings.addresses) or not _is_label(pool, readings):
            address, pool = OTHER, OTHER
        for status, count in statuses.items():
            key = address, pool, result_of(status)
            totals[key] = totals.get(key, 0) + count
    for key, total in totals.items():
        family.add_metric(key, total)
    return family


def _is_label(pool: str, readings: Readings) -> bool:
    return not pool or pool in readings.pools


def _durations(readings: Readings) -> Iterator[Metric]:
    calls = HistogramMetricFamily(
        "sipgw_call_setup_seconds", 'From an INVITE to its final response; pool "" for users.', labels=("pool",)
    )
    for pool, durations in readings.meter.until_final.items():
        if _is_label(pool, readings):
            _add(calls, (pool,), durations)
    yield calls
    first = HistogramMetricFamily(
        "sipgw_pool_first_response_seconds",
        "From sending an INVITE to a server of a pool to its first response.",
        labels=("pool", "server"),
    )
    for (pool, server), durations in readings.meter.until_first.items():
        if _is_label(pool, readings) or pool == OTHER:
            _add(first, (pool, server), durations)
    yield first
    lag = HistogramMetricFamily("sipgw_event_loop_lag_seconds", "How late timers of the event loop run.", labels=())
    _add(lag, (), readings.lag)
    yield lag


def _add(family: HistogramMetricFamily, labels: Sequence[str], durations: Durations) -> None:
    seen, buckets = 0, []
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), durations.buckets, strict=True):
        seen += count
        buckets.append((bound, seen))
    family.add_metric(labels, buckets, durations.total)


def _counts(readings: Readings) -> Iterator[Metric]:
    responses = ((str(status), count) for status, count in enumerate(readings.responses) if count)
    yield _counter("sipgw_responses", "Responses sent, retransmissions apart, by status.", "status", responses)
    failures = ((str(number), count) for number, count in sorted(readings.meter.failures.items()))
    yield _counter("sipgw_failures", "Failures answered, by the id in ms-diagnostics.", "diagnostics", failures)
    for layer, events in (("core", readings.core_events), ("shell", readings.shell_events)):
        kept = ((name, count) for name, count in sorted(events.items()) if name not in _GAUGES)
        text = "Protocol events" if layer == "core" else "Events of sockets, connections and certificates"
        yield _counter(f"sipgw_{layer}_events", f"{text}, by name.", "event", kept)


def _counter(name: str, text: str, label: str, values: Iterable[tuple[str, int]]) -> Metric:
    family = CounterMetricFamily(name, text, labels=(label,))
    for value, count in values:
        family.add_metric((value,), count)
    return family


def _gauge(name: str, text: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=(label,))
    for value, number in values:
        family.add_metric((value,), number)
    return family


def _sizes(readings: Readings) -> Iterator[Metric]:
    sizes = readings.sizes
    sides = [(side, sizes[f"{side}_transactions"]) for side in ("server", "client")]
    yield _gauge("sipgw_transactions", "Transactions there are, lingering ones included.", "side", sides)
    for name, text, size in (
        ("timers", "Timers that run.", "timers"),
        ("registrations", "Bindings of users.", "bindings"),
        ("connections", "Stream connections that stand.", "connections"),
        ("banned_sources", "Addresses that are not heard for now.", "banned"),
    ):
        yield GaugeMetricFamily(f"sipgw_{name}", text, sizes.get(size, 0))
    yield _gauge("sipgw_queue_length", "What waits, by for what.", "queue", readings.queues.items())
    yield _gauge("sipgw_limit", "Bounds of the configuration.", "resource", readings.limits.items())
    overloaded = int(readings.overloaded)
    yield GaugeMetricFamily("sipgw_overloaded", "1 while new requests are answered 503.", overloaded)
    declared = [("true" if is_declared else "false", count) for is_declared, count in readings.endpoints.items()]
    yield _gauge("sipgw_endpoints", "Endpoints there are.", "declared", declared)


def _pools(readings: Readings) -> Iterator[Metric]:
    up = GaugeMetricFamily(
        "sipgw_pool_server_up", "1 unless a server is known to be down.", labels=("pool", "server", "role")
    )
    for one in readings.servers:
        up.add_metric((one.pool, one.server, one.role), int(one.up))
    yield up
    states = [(fqdn, float(over)) for fqdn, over in readings.failed_over.items()]
    yield _gauge("sipgw_pool_failed_over", "1 while a pool's state is FailedOver.", "pool", states)


def _sign_in(readings: Readings) -> Iterator[Metric]:
    events = readings.core_events
    for name, text, event in (
        ("sipgw_challenges", "Requests that were asked to sign in.", "challenged"),
        ("sipgw_sign_in_failures", "Wrong passwords and unknown users.", "sign_ins_failed"),
        ("sipgw_locked_out_requests", "Requests refused because of failures before.", "refused_lockout"),
    ):
        yield CounterMetricFamily(name, text, events.get(event, 0))
    locks = [(what, events.get(f"locked_{what}", 0)) for what in ("account", "source")]
    yield _counter("sipgw_lockouts", "Accounts and sources locked after too many failures.", "of", locks)
    yield _gauge("sipgw_sign_in_entries", "What sign-in keeps in mind.", "kind", sorted(readings.sign_in.items()))


def _workers(readings: Readings) -> Iterator[Metric]:
    workers = readings.workers
    yield GaugeMetricFamily("sipgw_workers", "Processes that share the work.", max(1, len(workers)))
    yield CounterMetricFamily("sipgw_worker_restarts", "Workers that ended and were started again.", readings.restarts)
    cpu = CounterMetricFamily("sipgw_worker_cpu_seconds", "Processor time of a worker.", labels=("worker",))
    for number, one in workers.items():
        cpu.add_metric((str(number),), one.cpu)
    yield cpu
    connections = [(str(number), one.connections) for number, one in workers.items()]
    yield _gauge("sipgw_worker_connections", "Stream connections that a worker holds.", "worker", connections)
    transactions = [(str(number), one.transactions) for number, one in workers.items()]
    yield _gauge("sipgw_worker_transactions", "Server transactions of a worker.", "worker", transactions)

"""What several workers have counted, each for itself, put together: built of plain values, so that it can be sent."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from sipgw.core.meter import Durations, Line, Meter

if TYPE_CHECKING:
    from sipgw.observability.metrics import Readings

_REPLICATED = ("bindings", "banned")  # of these each worker has all
K = TypeVar("K")
Times = tuple[list[int], float]  # `Durations.buckets` and `.total`


class WorkerReading(NamedTuple):
    """A process that shares the work: processor time in seconds, connections and server transactions."""

    cpu: float
    connections: int
    transactions: int


class Share(NamedTuple):
    """What one worker has counted, and how much state it has. Empty when nothing is given."""

    calls: Mapping[Line, Mapping[int, int]] = {}
    until_final: Mapping[str, Times] = {}
    until_first: Mapping[tuple[str, str], Times] = {}
    failures: Mapping[int, int] = {}
    responses: Mapping[int, int] = {}
    core_events: Mapping[str, int] = {}
    shell_events: Mapping[str, int] = {}
    lag: Times = ([], 0.0)
    sizes: Mapping[str, int] = {}
    queues: Mapping[str, int] = {}
    sign_in: Mapping[str, int] = {}
    overloaded: bool = False


def counted(meter: Meter, responses: Sequence[int]) -> Share:
    """A share with what is counted of calls; `responses` are counts with the status as index."""
    return Share(
        calls={line: dict(statuses) for line, statuses in meter.calls.items()},
        until_final={pool: times_of(durations) for pool, durations in meter.until_final.items()},
        until_first={server: times_of(durations) for server, durations in meter.until_first.items()},
        failures=dict(meter.failures),
        responses={status: count for status, count in enumerate(responses) if count},
    )


def counts_only(share: Share) -> Share:
    """What stays of a worker that has ended."""
    return share._replace(sizes={}, queues={}, sign_in={}, overloaded=False)


def together(shares: Iterable[Share]) -> Share:
    """The sums; of what each worker has all of, the largest."""
    found = list(shares)
    lines = {line for share in found for line in share.calls}
    return Share(
        calls={line: _sum(share.calls.get(line, {}) for share in found) for line in lines},
        until_final=_sum_times([share.until_final for share in found]),
        until_first=_sum_times([share.until_first for share in found]),
        failures=_sum(share.failures for share in found),
        responses=_sum(share.responses for share in found),
        core_events=_sum(share.core_events for share in found),
        shell_events=_sum(share.shell_events for share in found),
        lag=_sum_times([{"": share.lag} for share in found]).get("", ([], 0.0)),
        sizes=_sizes(share.sizes for share in found),
        queues=_sum(share.queues for share in found),
        sign_in=_sizes(share.sign_in for share in found),
        overloaded=any(share.overloaded for share in found),
    )


def with_share(readings: "Readings", share: Share, workers: Mapping[int, WorkerReading], restarts: int) -> "Readings":
    """Readings of one worker, with what all together have counted in place of its own."""
    meter = Meter()
    meter.calls = {line: Counter(statuses) for line, statuses in share.calls.items()}
    meter.until_final = {pool: _durations(times) for pool, times in share.until_final.items()}
    meter.until_first = {server: _durations(times) for server, times in share.until_first.items()}
    meter.failures = Counter(share.failures)
    responses = [share.responses.get(status, 0) for status in range(len(readings.responses))]
    per_worker = {name: bound * max(1, len(workers)) for name, bound in readings.limits.items()}
    return replace(
        readings,
        meter=meter,
        responses=responses,
        core_events=share.core_events,
        shell_events=share.shell_events,
        lag=_durations(share.lag),
        sizes=share.sizes,
        queues=share.queues,
        sign_in=share.sign_in,
        overloaded=share.overloaded,
        limits={**per_worker, "registrations": readings.limits["registrations"]},
        workers=workers,
        restarts=restarts,
    )


def _sum(counts: Iterable[Mapping[K, int]]) -> dict[K, int]:
    total: Counter[K] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)


def _sizes(sizes: Iterable[Mapping[str, int]]) -> dict[str, int]:
    found = list(sizes)
    total = _sum(found)
    for name in total:
        if name in _REPLICATED or name.startswith("lockout_"):
            total[name] = max(one.get(name, 0) for one in found)
    return total


def times_of(durations: Durations) -> Times:
    """As plain values."""
    return list(durations.buckets), durations.total


def _durations(times: Times) -> Durations:
    durations = Durations()
    durations.buckets = list(times[0]) or durations.buckets
    durations.total = times[1]
    return durations


def _sum_times(found: list[Any]) -> dict[Any, Times]:
    total: dict[Any, Times] = {}
    for one in found:
        for key, (buckets, seconds) in one.items():
            known, before = total.get(key, ([0] * len(buckets), 0.0))
            width = max(len(known), len(buckets))
            padded = [*known, *[0] * (width - len(known))]
            total[key] = [a + b for a, b in zip(padded, buckets or [0] * width, strict=True)], before + seconds
    return total

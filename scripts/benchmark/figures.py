"""Pure part of the bench: from rounds to medians and ratios."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

FAILURES_ALLOWED = 0.001  # a round is clean below this share of failed calls, and of messages sent twice
COMPARED = ("cpu_per_call", "p50", "p99", "memory")


@dataclass(frozen=True)
class Round:
    """One run of the load through one proxy. Times in milliseconds, memory in MiB; `load_per_call` is the CPU time of
    the load generator."""

    proxy: str
    rate: int
    cpu_per_call: float
    p50: float
    p99: float
    memory: float
    clean: bool
    load_per_call: float = 0.0


@dataclass(frozen=True)
class Offered:
    """What became of calls begun at a fixed rate, per second; p99 of INVITE to 200 of those that were taken, in ms;
    the share of its core that the load generator needed."""

    finished_per_second: float
    rejected_per_second: float
    lost_per_second: float
    p99: float
    clean: bool
    load_share: float


def offered(load: dict[str, Any], seconds: int) -> Offered:
    """From the generator's line about a run of `seconds`."""
    return Offered(
        load["finished_in_window"] / seconds,
        load["rejected"] / seconds,
        load["timed_out"] / seconds,
        load["p99_ms"],
        is_clean(load),
        load["generator_cpu"] / load["window"],
    )


def is_clean(load: dict[str, Any]) -> bool:
    """Whether a run of the generator lost or repeated next to nothing. An ACK that is lost is missed when BYE comes."""
    calls = max(1, int(load["calls"]))
    failed: float = load["timed_out"] + load["rejected"] + load["faults"]["no_ack"]
    repeated: float = load["retransmitted_requests"] + load["retransmitted_responses"]
    return failed / calls < FAILURES_ALLOWED and repeated / calls < FAILURES_ALLOWED


def medians(rounds: Iterable[Round]) -> dict[str, float]:
    """The median of each figure, and the share of clean rounds."""
    kept = list(rounds)
    return {
        "cpu_per_call": median(one.cpu_per_call for one in kept),
        "p50": median(one.p50 for one in kept),
        "p99": median(one.p99 for one in kept),
        "memory": median(one.memory for one in kept),
        "clean": sum(one.clean for one in kept) / len(kept),
    }


@dataclass(frozen=True)
class Row:
    """Medians of each proxy at one rate, and those of ours as multiples of `theirs`, where that ran too."""

    rate: int
    medians: dict[str, dict[str, float]]
    ratios: dict[str, dict[str, float]]


def summary(rounds: list[Round], theirs: str = "kamailio") -> list[Row]:
    """A row for each rate."""
    rows: list[Row] = []
    for rate in sorted({one.rate for one in rounds}):
        here = [one for one in rounds if one.rate == rate]
        names = list(dict.fromkeys(one.proxy for one in here))
        found = {name: medians(one for one in here if one.proxy == name) for name in names}
        other = found.get(theirs)
        ours = [name for name in names if name != theirs] if other else []
        rows.append(Row(rate, found, {name: _multiples(found[name], found[theirs]) for name in ours}))
    return rows


def _multiples(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, float]:
    return {key: ours[key] / theirs[key] if theirs[key] else 0.0 for key in COMPARED}

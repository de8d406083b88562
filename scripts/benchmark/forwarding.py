"""The job through real sockets, each proxy in turn: `scripts/bench udp`, `tcp`, `tls`, `highest` and `curve`."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmark import rig
from benchmark.figures import Round, Row, medians, summary
from benchmark.proxies import OURS, PROXIES, THEIRS, Place
from benchmark.report import Goal, Section, at_least, at_most
from benchmark.search import highest_clean

GATEWAY_CORE, LOAD_CORE = 0, 1
COLUMNS = ["calls/s", "proxy", "CPU ms/call", "p50 ms", "p99 ms", "MiB", "clean rounds"]
CPU_GOALS = {  # CPU per call, as a share of Kamailio's
    "udp": {"compiled": 0.75, "interpreted": 1.0},
    "tcp": {"compiled": 0.9},
    "tls": {"compiled": 1.0},
}


@dataclass(frozen=True)
class Stage:
    """A running load generator, and where a proxy is to run in front of it."""

    load: rig.Generator
    place: Place


@contextmanager
def stage(transport: str, cores: frozenset[int] = frozenset({GATEWAY_CORE})) -> Iterator[Stage]:
    spoken = rig.TRANSPORTS[transport]
    with tempfile.TemporaryDirectory(prefix="sipgw-bench-") as name:
        folder = Path(name)
        program = rig.build_generator(folder)
        with rig.generator(program, spoken, LOAD_CORE) as load:
            yield Stage(load, Place(folder, load.pool_port, cores, spoken))


def rounds_of(names: list[str], on: Stage, rate: int, rounds: int, seconds: int) -> list[Round]:
    """In turn; every round starts its proxy anew, so that none inherits another's memory."""
    found: list[Round] = []
    for _ in range(rounds):
        for name in names:
            with PROXIES[name](on.place) as (pid, port):
                found.append(on.load.run(name, pid, port, rate, seconds))
            print(describe(found[-1]), file=sys.stderr)
    return found


def describe(one: Round) -> str:
    clean = "" if one.clean else "  NOT CLEAN"
    used = f"{one.cpu_per_call:.3f} ms/call (load {one.load_per_call:.3f})"
    return f"{one.proxy:11} {one.rate:5}/s  {used}  p99 {one.p99:.2f} ms{clean}"


def fixed_rates(transport: str, names: list[str], rates: list[int], rounds: int, seconds: int, command: str) -> Section:
    """What a call costs at some rates."""
    with stage(transport) as on:
        found = [one for rate in rates for one in rounds_of(names, on, rate, rounds, seconds)]
    rows = summary(found)
    spoken = rig.TRANSPORTS[transport]
    title = f"What a call costs: {spoken.callers.upper()} from callers, {spoken.pool.upper()} to the pool"
    goals = [goal for row in rows for goal in _cpu_goals(transport, row)]
    data = {"rounds": [asdict(one) for one in found]}
    return Section(transport, title, command, COLUMNS, [line for row in rows for line in _lines(row)], goals, data)


def _cpu_goals(transport: str, row: Row) -> Iterator[Goal]:
    for name, limit in CPU_GOALS[transport].items():
        if name in row.ratios:
            text = f"{transport.upper()}, {row.rate} calls/s, {name}: CPU per call by Kamailio's"
            yield at_most(text, row.ratios[name]["cpu_per_call"], limit)


def _lines(row: Row) -> Iterator[list[str]]:
    for name, one in row.medians.items():
        times = [f"{one[key]:.3f}" for key in ("cpu_per_call", "p50", "p99")]
        yield [str(row.rate), name, *times, f"{one['memory']:.0f}", f"{one['clean']:.0%}"]
    for name, one in row.ratios.items():
        ratios = [f"{one[key]:.2f}" for key in ("cpu_per_call", "p50", "p99", "memory")]
        yield [str(row.rate), f"ratio, {name} by {THEIRS}", *ratios, ""]


def highest(transport: str, names: list[str], rounds: int, seconds: int, command: str) -> Section:
    """The highest clean rate on one core, and the latency at half of Kamailio's."""
    reached: dict[str, list[float]] = {name: [] for name in names}
    with stage(transport) as on:
        for _ in range(rounds):
            for name in names:
                first = median(reached[name]) * 0.8 if reached[name] else 800.0
                with PROXIES[name](on.place) as (_, port):
                    reached[name].append(highest_clean(on.load, port, first, seconds))
                print(f"{name:11} clean up to {reached[name][-1]:.0f} calls/s", file=sys.stderr)
        half = max(1, round(median(reached[THEIRS if THEIRS in names else names[0]]) / 2))
        calm = rounds_of(names, on, half, rounds, seconds)
    found = {name: median(rates) for name, rates in reached.items()}
    latency = {name: medians(one for one in calm if one.proxy == name)["p99"] for name in names}
    rows = [[name, f"{found[name]:.0f}", f"{latency[name]:.2f}"] for name in names]
    data = {"reached": reached, "half": half, "rounds": [asdict(one) for one in calm]}
    title = f"The highest clean rate on one core, {transport.upper()}"
    columns = ["proxy", "calls/s", f"p99 ms at {half} calls/s, half of Kamailio's highest"]
    return Section(f"highest-{transport}", title, command, columns, rows, _high_goals(transport, found, latency), data)


def _high_goals(transport: str, found: dict[str, float], latency: dict[str, float]) -> list[Goal]:
    if THEIRS not in found or "compiled" not in found:
        return []
    at_half = latency["compiled"] / max(latency[THEIRS], 1e-6)
    return [
        at_least(
            f"{transport.upper()}, compiled: highest clean rate by Kamailio's", found["compiled"] / found[THEIRS], 1.3
        ),
        at_most(f"{transport.upper()}, compiled: p99 at half of Kamailio's highest rate, by Kamailio's", at_half, 1.0),
    ]


def curve(transport: str, names: list[str], rates: list[int], rounds: int, seconds: int, command: str) -> Section:
    """p99 at many rates, for a plot."""
    with stage(transport) as on:
        found = [one for rate in rates for one in rounds_of(names, on, rate, rounds, seconds)]
    rows = summary(found)
    columns = ["calls/s", *[f"{name}: p99 ms" for name in names]]
    lines = [[str(row.rate), *[_point(row.medians[name]) for name in names]] for row in rows]
    data = {"points": {name: [[row.rate, row.medians[name]["p99"], row.medians[name]["clean"]] for row in rows]
                       for name in names}}  # fmt: skip
    return Section("curve", f"Rate against p99, {transport.upper()}", command, columns, lines, [], data)


def _point(one: dict[str, float]) -> str:
    return f"{one['p99']:.2f}" + ("" if one["clean"] > 0.5 else " (not clean)")


def chosen(only: tuple[str, ...]) -> list[str]:
    """The proxies to run: all, or some."""
    return list(only) or [*OURS, THEIRS]

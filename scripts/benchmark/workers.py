"""What a second worker is worth: `scripts/bench workers`.

The load has no core of its own here, as there may be no third one. So what a call costs is compared as well, at the
same rate for each worker.
"""

import sys
from dataclasses import asdict, replace
from statistics import median

from benchmark.figures import Round
from benchmark.forwarding import describe, stage
from benchmark.proxies import PROXIES
from benchmark.report import Section, at_least
from benchmark.search import highest_clean


def section(build: str, rate: int, rounds: int, seconds: int, command: str) -> Section:
    """One and two workers in turn, each with a core of its own."""
    reached: dict[int, list[float]] = {1: [], 2: []}
    calm: dict[int, list[Round]] = {1: [], 2: []}
    with stage("workers") as on:
        for _ in range(rounds):
            for workers in reached:
                place = replace(on.place, workers=workers, cores=frozenset(range(workers)))
                with PROXIES[build](place) as (pid, port):
                    calm[workers].append(on.load.run(f"{workers} workers", pid, port, rate * workers, seconds))
                    print(describe(calm[workers][-1]), file=sys.stderr)
                    reached[workers].append(highest_clean(on.load, port, float(rate * workers), seconds))
    cost = {workers: median(one.cpu_per_call for one in found) for workers, found in calm.items()}
    top = {workers: median(found) for workers, found in reached.items()}
    rows = [[str(workers), str(rate * workers), f"{cost[workers]:.3f}", f"{top[workers]:.0f}"] for workers in cost]
    gain = 2 * cost[1] / cost[2]
    rows.append(["ratio", "", f"{gain:.2f} (work done in the same CPU time of two cores)", f"{top[2] / top[1]:.2f}"])
    goals = [at_least(f"Two workers by one ({build}), at {rate} calls/s each", gain, 1.7)]
    data = {"reached": reached, "rounds": {workers: [asdict(one) for one in found] for workers, found in calm.items()}}
    columns = ["workers", "calls/s", "CPU ms/call", "highest clean rate, with the load beside it"]
    return Section("workers", "Two workers", command, columns, rows, goals, data)

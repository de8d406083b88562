"""What becomes of calls at twice the rate that the gateway can take: `scripts/bench overload`."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from benchmark import rig
from benchmark.forwarding import stage
from benchmark.proxies import PROXIES
from benchmark.report import Goal, Section, at_least, at_most
from benchmark.search import highest_clean

FIRST, TRIAL = 400.0, 2  # calls a second to begin with, seconds of a search step
LINGER = 40  # seconds at the capacity until memory grows no more: what was answered stays for 32 of them (64*T1)
RECOVERY = 2.0  # seconds after the load until the gateway has to be itself again
AFTERWARDS = 0.9  # of the capacity, which is then to be taken as if nothing had been


@dataclass(frozen=True)
class Figures:
    """Calls per second; `capacity` is the highest rate of which next to nothing fails, and so the peak of what can be
    completed. `failed_afterwards` is the share of calls refused or lost after recovery. Memory in MiB, before and after
    the run at twice the capacity, both with all that lingers."""

    capacity: float
    offered: float
    finished: float
    refused: float
    lost: float
    p99_ms: float
    memory_before: float
    memory_after: float
    failed_afterwards: float


def measure(build: str, seconds: int, linger: int = LINGER) -> Figures:
    """All of one gateway process."""
    with stage("udp") as on, PROXIES[build](on.place) as (pid, port):
        return observe(on.load, port, lambda: rig.memory_mib(rig.family(pid)), seconds, linger)


def observe(
    load: rig.Generator,
    port: int,
    memory: Callable[[], float],
    seconds: int,
    linger: int,
    wait: Callable[[float], None] = time.sleep,
) -> Figures:
    """The capacity, a run at it until memory has settled, one at twice of it, and one at most of it afterwards."""
    capacity = highest_clean(load, port, FIRST, TRIAL)
    load.offer(port, capacity, seconds, linger)
    before = memory()
    crowd = load.offer(port, capacity * 2, seconds)
    after = memory()
    wait(max(0.0, RECOVERY - load.since_last))
    again = load.offer(port, capacity * AFTERWARDS, max(TRIAL, seconds // 2), warm_up=0)
    failed = (again.rejected_per_second + again.lost_per_second) / max(1.0, capacity * AFTERWARDS)
    return Figures(
        capacity,
        capacity * 2,
        crowd.finished_per_second,
        crowd.rejected_per_second,
        crowd.lost_per_second,
        crowd.p99,
        before,
        after,
        failed,
    )


def goals(build: str, found: Figures) -> list[Goal]:
    at = f"At twice the capacity, {build}"
    return [
        at_least(f"{at}: calls completed, by the capacity", found.finished / max(1.0, found.capacity), 0.9),
        at_most(f"{at}: p99 of the calls that are taken", found.p99_ms, 500.0, " ms"),
        at_most(f"{at}: memory, by that at the capacity", found.memory_after / found.memory_before, 1.05),
        at_most(
            f"From {RECOVERY:g} s after its end, at {AFTERWARDS:.0%} of the capacity: calls refused or lost",
            found.failed_afterwards * 100,
            0.1,
            " %",
        ),
    ]


def section(build: str, seconds: int, command: str, linger: int = LINGER) -> Section:
    found = measure(build, seconds, linger)
    rows = [
        ["capacity, calls/s", f"{found.capacity:.0f}"],
        ["offered, calls/s", f"{found.offered:.0f}"],
        ["completed, calls/s", f"{found.finished:.0f}"],
        ["share of the capacity", f"{found.finished / max(1.0, found.capacity):.2f}"],
        ["refused, calls/s", f"{found.refused:.0f}"],
        ["lost, calls/s", f"{found.lost:.0f}"],
        ["p99 of the calls that are taken", f"{found.p99_ms:.0f} ms"],
        ["memory at the capacity, settled", f"{found.memory_before:.0f} MiB"],
        ["memory after twice of it", f"{found.memory_after:.0f} MiB"],
        ["refused or lost afterwards", f"{found.failed_afterwards:.2%}"],
    ]
    title = f"At twice of what it can take ({build})"
    return Section("overload", title, command, ["figure", "value"], rows, goals(build, found), asdict(found))

"""What becomes of calls at twice the rate that the gateway can take: `scripts/bench overload`."""

import time
from typing import Any

from benchmark import rig
from benchmark.forwarding import stage
from benchmark.proxies import PROXIES
from benchmark.report import Section
from benchmark.search import highest_clean

FIRST, TRIAL = 400.0, 2  # calls a second to begin with, seconds of a search step
SETTLE = 2.0  # seconds after the load until the gateway has to be itself again


def measure(build: str, seconds: int) -> dict[str, Any]:
    """Capacity, a run at twice of it, and one at half of it afterwards, all of one gateway process."""
    with stage("udp") as on, PROXIES[build](on.place) as (pid, port):
        load = on.load
        capacity = highest_clean(load, port, FIRST, TRIAL)
        calm = load.offer(port, capacity * 0.9, seconds)
        before = rig.memory_mib(rig.family(pid))
        crowd = load.offer(port, capacity * 2, seconds)
        after = rig.memory_mib(rig.family(pid))
        time.sleep(SETTLE)
        again = load.offer(port, capacity * 0.5, TRIAL)
    return {
        "capacity": round(capacity),
        "peak_per_second": calm.finished_per_second,
        "offered_per_second": round(capacity * 2),
        "finished_per_second": crowd.finished_per_second,
        "share_of_peak": crowd.finished_per_second / max(1.0, calm.finished_per_second),
        "refused_per_second": crowd.rejected_per_second,
        "lost_per_second": crowd.lost_per_second,
        "p99_ms": crowd.p99,
        "memory_before_mib": before,
        "memory_after_mib": after,
        "recovered": again.clean,
    }


def section(build: str, seconds: int, command: str) -> Section:
    figures = measure(build, seconds)
    rows = [
        [key.replace("_", " "), f"{value:.2f}" if isinstance(value, float) else str(value)]
        for key, value in figures.items()
    ]
    title = f"At twice of what it can take ({build})"
    return Section("overload", title, command, ["figure", "value"], rows, [], figures)

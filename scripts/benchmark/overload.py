"""What becomes of calls at twice the rate that the gateway can take: `scripts/bench overload`."""

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmark import rig

FIRST, STEP, PRECISION = 200.0, 1.5, 0.05  # calls per second to begin with, factor to the next, share to stop at
TRIAL = 2  # seconds of a search step
SETTLE = 2.0  # seconds after the load until the gateway has to be itself again


def measure(folder: Path, gateway_core: int, load_core: int, seconds: int) -> dict[str, Any]:
    """Capacity, a run at twice of it, and one at half of it afterwards, all of one gateway process."""
    program = rig.build_generator(folder)
    with rig.generator(program, load_core) as load, rig.sipgw(folder, load.pool_port, gateway_core) as (pid, port):
        capacity = search(load, port)
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


def search(load: rig.Generator, port: int) -> float:
    """The highest rate at which next to no call fails, to within PRECISION."""
    good, bad = 0.0, FIRST
    while load.offer(port, bad, TRIAL).clean:
        good, bad = bad, bad * STEP
        if bad > 50_000:
            break
        time.sleep(0.2)
    while bad - good > PRECISION * bad:
        middle = (good + bad) / 2
        time.sleep(1.0)  # what was refused and repeated before has to be over
        good, bad = (middle, bad) if load.offer(port, middle, TRIAL).clean else (good, middle)
    return good


def main(seconds: int, gateway_core: int, load_core: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="sipgw-bench-") as name:
        return measure(Path(name), gateway_core, load_core, seconds)

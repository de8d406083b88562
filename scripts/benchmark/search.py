"""The highest rate at which next to no call fails."""

import sys
import time

from benchmark import rig

STEP, PRECISION, LARGEST = 1.5, 0.04, 20_000.0  # factor to the next rate, share to stop at, what the generator takes
SETTLE = 1.0  # seconds until what was refused and repeated is over


def highest_clean(load: rig.Generator, port: int, first: float, seconds: int) -> float:
    """In calls a second, to within PRECISION. A rate is good when one of two trials of `seconds` was clean: the machine
    may have been busy with something else."""

    def good(rate: float) -> bool:
        for _ in range(2):
            found = load.offer(port, rate, seconds)
            state = "clean" if found.clean else "not clean"
            print(f"    {rate:6.0f}/s {state}, the load at {found.load_share:.0%} of its core", file=sys.stderr)
            if found.clean:
                return True
            time.sleep(SETTLE)
        return False

    low, high = 0.0, first
    while good(high):
        low, high = high, min(high * STEP, LARGEST)
        if low == LARGEST:
            break
    while high - low > PRECISION * high:
        middle = (low + high) / 2
        low, high = (middle, high) if good(middle) else (low, middle)
    return low

"""The highest rate at which next to no call fails."""

import time

from benchmark import rig

STEP, PRECISION, LARGEST = 1.5, 0.04, 20_000.0  # factor to the next rate, share to stop at, what the generator takes


def highest_clean(load: rig.Generator, port: int, first: float, seconds: int) -> float:
    """In calls a second, to within PRECISION. A rate is good when one of two trials of `seconds` was clean: the machine
    may have been busy with something else."""

    def good(rate: float) -> bool:
        for _ in range(2):
            if load.offer(port, rate, seconds).clean:
                return True
            time.sleep(1.0)  # what was refused and repeated has to be over
        return False

    low, high = 0.0, first
    while high < LARGEST and good(high):
        low, high = high, min(high * STEP, LARGEST)
    while high - low > PRECISION * high:
        middle = (low + high) / 2
        low, high = (middle, high) if good(middle) else (low, middle)
    return low

"""Deadlines of transactions.

Nearly every timer runs for one of a few fixed durations and nearly all are cancelled. So there is one queue per
duration: what is started later is due later, hence a queue is sorted without sorting, and starting, cancelling and
finding the next are all O(1). Cancelling forgets the owner at once: nothing finished is kept alive by its timers.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class TimerValues:
    """Seconds. T1, T2, T4 of RFC 3261 table 4; `c` is Timer C (§16.6 item 11: more than three minutes)."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0
    c: float = 181.0

    @property
    def long(self) -> float:
        """64*T1: timers B, F, H, J, L, M, and D on unreliable transports."""
        return 64 * self.t1

    @property
    def until_t2(self) -> float:
        """From the first sending of a non-INVITE until Timer E is set to T2."""
        interval, total = self.t1, 0.0
        while interval < self.t2:
            total += interval
            interval *= 2
        return total


class Timed(Protocol):
    """Whatever has timers; it is called once for each that runs out."""

    def fire(self, kind: str, now: float) -> None: ...


Queue = OrderedDict[Timed, float]


class Timers:
    """`start` a timer of some kind for an owner, `cancel` it by the queue that `start` returned, `run` what is due.

    An owner runs at most one timer of a kind and duration at a time.
    """

    def __init__(self) -> None:
        self._queues: dict[tuple[str, float], Queue] = {}

    def start(self, kind: str, duration: float, owner: Timed, now: float) -> Queue:
        queue = self._queues.get((kind, duration))
        if queue is None:
            queue = self._queues[kind, duration] = OrderedDict()
        queue[owner] = now + duration
        return queue

    def run(self, now: float) -> None:
        for (kind, _), queue in list(self._queues.items()):
            while queue:
                owner = next(iter(queue))
                if queue[owner] > now:
                    break
                del queue[owner]
                owner.fire(kind, now)

    def next_deadline(self) -> float | None:
        """When `run` has something to do next, None while nothing is pending."""
        heads = [queue[next(iter(queue))] for queue in self._queues.values() if queue]
        return min(heads) if heads else None

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

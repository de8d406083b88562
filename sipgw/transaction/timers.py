"""Deadlines of transactions.

Nearly every timer runs for one of a few fixed durations and nearly all are cancelled. So there is one queue per
duration: what is started later is due later, hence a queue is sorted without sorting, and starting, cancelling and
finding the next are all O(1). Cancelling forgets the owner at once: nothing finished is kept alive by its timers.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Protocol

from sipgw.transaction.tables import LINGER


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


class Lingering:
    """Owners and when they are due, the next one first."""

    __slots__ = ("due", "owners")

    def __init__(self) -> None:
        self.due: deque[float] = deque()
        self.owners: deque[Timed] = deque()

    def add(self, owner: Timed, due: float) -> None:
        self.due.append(due)
        self.owners.append(owner)

    def run(self, now: float) -> None:
        due, owners = self.due, self.owners
        while due and due[0] <= now:
            due.popleft()
            owners.popleft().fire(LINGER, now)


class Timers:
    """`start` a timer of some kind for an owner, `cancel` it by the queue that `start` returned, `run` what is due.

    An owner runs at most one timer of a kind and duration at a time. `linger` starts one that nobody can cancel, for
    what nearly always lasts until it runs out; that is most of what there is at any time, so it has to be small.
    """

    def __init__(self) -> None:
        self._queues: dict[tuple[str, float], Queue] = {}
        self._lingering: dict[float, Lingering] = {}

    def start(self, kind: str, duration: float, owner: Timed, now: float) -> Queue:
        queue = self._queues.get((kind, duration))
        if queue is None:
            queue = self._queues[kind, duration] = OrderedDict()
        queue[owner] = now + duration
        return queue

    def linger(self, duration: float, owner: Timed, now: float) -> None:
        lingering = self._lingering.get(duration)
        if lingering is None:
            lingering = self._lingering[duration] = Lingering()
        lingering.add(owner, now + duration)

    def run(self, now: float) -> None:
        for lingering in list(self._lingering.values()):
            lingering.run(now)
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
        heads += [lingering.due[0] for lingering in self._lingering.values() if lingering.due]
        return min(heads) if heads else None

    def __len__(self) -> int:
        running = sum(len(queue) for queue in self._queues.values())
        return running + sum(len(lingering.due) for lingering in self._lingering.values())

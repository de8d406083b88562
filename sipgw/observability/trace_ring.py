"""The last calls, whole: every message in and out, and what the gateway decided in between.

A call is here what has one Call-ID: a conversation, a registration with all its refreshes, a subscription. On the hot
path one reference is appended for each message that comes in: its bytes and the outputs that the engine answered with,
which hold the messages that go out and the log lines that say why. They are sorted by Call-ID afterwards, a bounded
number at a time. Nothing is parsed before somebody reads.
"""

import re
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from sipgw.events import Flow, Log, Output, Send

BURST: Final = 4096  # messages that may come at once and are all taken
AT_ONCE, SENT_AT_ONCE = 256, 64  # messages that are sorted in one go, and when each is sent on: about a millisecond
FIRST, LAST = 40, 160  # turns of a call that are kept: how it began, and what came last
NUMBERED: Final = 64  # rings whose serial numbers can be told apart
BACKGROUND: Final = 50  # calls that begin with OPTIONS, which are probes: they must not drive the others out
OVERHEAD: Final = 400  # bytes that a turn takes beside its messages
_FAST: Final = b"\r\nCall-ID: "
_CALL_ID: Final = re.compile(rb"(?im)^(?:call-id|i)[ \t]*:[ \t]*([^\r\n]*)")


class Turn(NamedTuple):
    """One thing that happened: at `now` on the engine's clock `data` came by `flow` (b"" and None for a timer, and for
    what the outside reports), and the engine answered with `outputs`."""

    now: float
    data: bytes
    flow: Flow | None
    outputs: list[Output]


Kept = tuple[float, bytes, Flow | None, list[Output]]  # a turn, not yet made into one


@dataclass(frozen=True)
class TraceSettings:
    """`calls` and `size` (in bytes) are what is kept at most; `rate` is how many messages a second are taken for long.
    Without `bodies` nobody gets to read what people say."""

    calls: int = 1000
    size: int = 16 << 20
    rate: int = 1000
    bodies: bool = False


class TracedCall:
    """`serial` tells the order in which calls have changed; `left_out` counts turns from the middle of a long call.
    `incomplete` when messages were not taken at the time, so that some may be missing."""

    __slots__ = ("call_id", "first", "incomplete", "last", "left_out", "serial", "size")

    def __init__(self, call_id: bytes) -> None:
        self.call_id = call_id
        self.first: list[Kept] = []
        self.last: deque[Kept] = deque()
        self.left_out = 0
        self.size = len(call_id) + OVERHEAD
        self.serial = 0
        self.incomplete = False

    @property
    def turns(self) -> Iterator[Turn]:
        yield from map(Turn._make, self.first)
        yield from map(Turn._make, self.last)

    @property
    def numbers(self) -> Iterator[int]:
        """Of the turns, from 1; those that were left out have theirs too."""
        yield from range(1, len(self.first) + 1)
        yield from range(len(self.first) + self.left_out + 1, len(self.first) + self.left_out + len(self.last) + 1)

    @property
    def touched(self) -> float:
        """When something happened last."""
        return (self.last or self.first)[-1][0]

    def add(self, turn: Kept, size: int) -> int:
        """By how many bytes it has grown."""
        if len(self.first) < FIRST:
            self.first.append(turn)
        else:
            self.last.append(turn)
            if len(self.last) > LAST:
                size -= size_of(self.last.popleft())
                self.left_out += 1
        self.size += size
        return size


class TraceRing:
    """Is called with every message that comes in and every output; `settle` sorts what has come since.

    `sink`, if set, gets every turn as it is sorted. `evicted` counts calls that had to go, `missed` turns that were not
    taken because there were too many. `numbered`, if set, is what tells our serial numbers from those of others who
    sort calls too: then they also tell the order between all of them.
    """

    def __init__(self, settings: TraceSettings) -> None:
        self.settings = settings
        self.sink: Callable[[Turn], None] | None = None
        self.calls: OrderedDict[bytes, TracedCall] = OrderedDict()  # in the order in which they have changed
        self.background: OrderedDict[bytes, TracedCall] = OrderedDict()
        self.size = self.evicted = self.missed = self.serial = 0
        self._pending: deque[Kept] = deque()
        self._room = BURST
        self._credit = 0.0
        self._paid_until = float("-inf")
        self._missed_before = 0
        self.numbered: int | None = None

    def __call__(self, now: float, data: bytes, flow: Flow | None, outputs: list[Output]) -> None:
        if self._room:
            self._room -= 1
            self._pending.append((now, data, flow, outputs))
        elif outputs and type(outputs[0]) is Log and len(self._pending) < 2 * BURST:
            self._pending.append((now, data, flow, outputs))  # more than is taken for long, but a failure is wanted
        else:
            self.missed += 1

    @property
    def behind(self) -> int:
        """How many turns have not been sorted yet."""
        return len(self._pending)

    def settle(self, now: float) -> None:
        """Sort some of what has come, and see how much more may."""
        pending = self._pending
        for _ in range(min(len(pending), AT_ONCE if self.sink is None else SENT_AT_ONCE)):
            self._sort(pending.popleft())
        if self._room < BURST:
            self._make_room(now)

    def _make_room(self, now: float) -> None:
        """Under a load that lasts, whole stretches of time are taken and others are not: that leaves whole calls."""
        elapsed = min(now - self._paid_until, BURST)
        self._paid_until = now
        self._credit = min(self._credit + elapsed * self.settings.rate, BURST)
        if not self._room and self._credit < BURST / 2:
            return
        room = min(int(self._credit), BURST - self._room - len(self._pending))  # they are not sorted faster than that
        if room > 0:
            self._room += room
            self._credit -= room

    def _sort(self, kept: Kept) -> None:
        """To its call; what it has caused in others to theirs."""
        if self.sink is not None:
            self.sink(Turn._make(kept))
        data = kept[1]
        if data:
            call_id = call_id_of(data)
            size = OVERHEAD + len(data)
            for output in kept[3]:
                if type(output) is not Send or call_id not in output.data:
                    break
                size += len(output.data)
            else:
                self._file(call_id, kept, size)
                return
        self._divide(Turn._make(kept))

    def _divide(self, turn: Turn) -> None:
        """Among the calls that it is about."""
        call_id = call_id_of(turn.data) if turn.data else b""
        shares = _shares(turn, call_id)
        if turn.data:
            own = turn._replace(outputs=shares.pop(call_id, []))
            self._file(call_id, own, size_of(own))
        for key, outputs in shares.items():
            share = Turn(turn.now, b"", None, outputs)
            self._file(key, share, size_of(share))

    def _file(self, call_id: bytes, turn: Kept, size: int) -> None:
        calls = self.calls
        call = calls.get(call_id)
        if call is None and call_id in self.background:
            calls = self.background
            call = calls[call_id]
        if call is not None:
            calls.move_to_end(call_id)
        else:
            if _begins_probe(turn):
                calls = self.background
            call = calls[call_id] = TracedCall(call_id)
            self.size += call.size
        if self.missed > self._missed_before:
            call.incomplete = True
            if not self._pending:
                self._missed_before = self.missed
        self.serial = self._next_serial(turn[0])
        call.serial = self.serial
        self.size += call.add(turn, size)
        if self.size > self.settings.size or len(calls) > self.settings.calls or calls is self.background:
            self._evict()

    def _next_serial(self, now: float) -> int:
        if self.numbered is None:
            return self.serial + 1
        return max(self.serial + NUMBERED, self._stamp(now))

    def _stamp(self, now: float) -> int:
        return int(now * 1e6) * NUMBERED + (self.numbered or 0)

    def newest(self, now: float) -> int:
        """A serial number that all turns which are not sorted yet will be above, those of any numbered ring."""
        if self.numbered is None or not self.serial:
            return self.serial
        since = self._pending[0][0] if self._pending else now
        return max(self.serial, self._stamp(since) - NUMBERED)

    def _evict(self) -> None:
        calls, background, settings = self.calls, self.background, self.settings
        while len(background) > BACKGROUND:
            self.size -= background.popitem(last=False)[1].size
        while len(calls) > settings.calls or self.size > settings.size:
            probes = not calls or (background and _oldest(background) < _oldest(calls) and len(calls) <= settings.calls)
            self.size -= (background if probes else calls).popitem(last=False)[1].size
            self.evicted += not probes

    def reconfigure(self, settings: TraceSettings) -> None:
        """Keep as much as these say from now on."""
        self.settings = settings
        self._evict()


def _oldest(calls: OrderedDict[bytes, TracedCall]) -> int:
    return next(iter(calls.values())).serial


def _shares(turn: Turn, call_id: bytes) -> dict[bytes, list[Output]]:
    """Outputs by the call that they belong to. A log line that names none belongs to the message after it, or else to
    the one before."""
    shares: dict[bytes, list[Output]] = {}
    waiting: list[Output] = []
    for output in turn.outputs:
        if type(output) is Send:
            call_id = call_id_of(output.data)
            shares.setdefault(call_id, []).extend([*waiting, output])
            waiting = []
        elif type(output) is Log and isinstance(output.fields.get("call_id"), str):
            shares.setdefault(output.fields["call_id"].encode("latin-1", "replace"), []).append(output)
        elif type(output) is Log:
            waiting.append(output)
    if waiting and (turn.data or call_id):
        shares.setdefault(call_id, []).extend(waiting)
    return shares


def size_of(turn: Kept) -> int:
    """Bytes that it takes, near enough."""
    return OVERHEAD + len(turn[1]) + sum(len(output.data) for output in turn[3] if type(output) is Send)


def call_id_of(data: bytes) -> bytes:
    """Which call a message belongs to; b"" where it does not say."""
    at = data.find(_FAST)
    if at >= 0:
        start = at + len(_FAST)
        return data[start : data.find(b"\r", start)]
    found = _CALL_ID.search(data)
    return found[1].strip() if found is not None else b""


def _begins_probe(turn: Kept) -> bool:
    if turn[1]:
        return turn[1].startswith(b"OPTIONS ")
    return any(type(output) is Send and output.data.startswith(b"OPTIONS ") for output in turn[3])

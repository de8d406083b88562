"""The trace ring of a running gateway: sorts what has come, sends it on by HEP, lets the API read it page by page."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sipgw.config import Config
from sipgw.events import Flow, Listener, Output, Send
from sipgw.observability.trace_read import Filter, Lens, Step, Summary, steps_of, summary_of
from sipgw.observability.trace_ring import TracedCall, TraceRing, TraceSettings
from sipgw.server.hep import HepSender
from sipgw.server.interfaces import Tap, Tracer

NAP, BUSY_NAP = 0.5, 0.02  # seconds between looks at what has come
MAX_PAGE_BYTES = 1 << 20  # of messages on one page, but for the first call on it, which is bounded by its turns
TURN = 0.001  # seconds of looking through calls before messages get a chance
STEP = 0.1  # seconds by which the wall clock must have gone astray to have been set: less is how long a reading took


@dataclass(frozen=True)
class Query:
    """Which calls are wanted, the one that has changed last first: those changed after the serial number `after`, and
    before `before`, that every one of `filters` lets through. With `steps` all that happened in them as well."""

    limit: int = 50
    after: int = 0
    before: int | None = None
    since: float = 0.0
    filters: Sequence[Filter] = ()
    steps: bool = False


@dataclass(frozen=True)
class Found:
    """A call. `left_out` counts what was dropped from its middle; `incomplete` tells that messages may be missing."""

    serial: int
    summary: Summary
    left_out: int
    incomplete: bool
    steps: list[Step] | None


@dataclass
class Page:
    """`more` is the serial number to go on before, None at the end; `newest` the highest that there is."""

    newest: int
    found: list[Found] = field(default_factory=list)
    more: int | None = None


class Tracing:
    """`tap` is for the shell, None while tracing is off. `reconfigure` follows a change of the configuration; what has
    been kept stays, unless tracing is switched off. `numbered` is for the ring of a worker."""

    def __init__(self, config: Config, counters: Counter[str], numbered: int | None = None) -> None:
        self._numbered = numbered
        self._counters = counters
        self._hep: HepSender | None = None
        self._hep_of: tuple[object, ...] = (None,)
        self._closing: set[asyncio.Task[None]] = set()
        self._sorter: asyncio.TimerHandle | None = None
        self.ring: TraceRing | None = None
        self.listeners: tuple[Listener, ...] = ()
        self._offset = _offset_now()
        self.reconfigure(config)

    @property
    def tap(self) -> Tap | None:
        return self.ring

    def reconfigure(self, config: Config) -> None:
        trace = config.trace
        settings = TraceSettings(trace.calls, trace.max_bytes, trace.rate, trace.bodies)
        if not trace.enabled:
            self.ring = None
        elif self.ring is None:
            self.ring = TraceRing(settings)
            self.ring.numbered = self._numbered
        else:
            self.ring.reconfigure(settings)
        self._send_hep(trace.hep if trace.enabled else None, trace.hep_id)
        if self.ring is not None:
            self.ring.sink = self._hep
            if self._sorter is None:
                self._look()

    def _send_hep(self, collector: tuple[str, int] | None, capture_id: int) -> None:
        if self._hep_of == (collector, capture_id):
            return
        if self._hep is not None:
            task = asyncio.get_running_loop().create_task(self._hep.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        self._hep = HepSender(collector, capture_id, self._counters) if collector is not None else None
        self._hep_of = (collector, capture_id)

    def _look(self) -> None:
        ring, loop = self.ring, asyncio.get_running_loop()
        if ring is None:
            self._sorter = None
            return
        if self._hep is not None:
            self._hep.lens = self.lens()
        ring.settle(loop.time())
        self._counters["traces_evicted"], self._counters["traces_missed"] = ring.evicted, ring.missed
        self._sorter = loop.call_later(BUSY_NAP if ring.behind else NAP, self._look)

    def lens(self) -> Lens:
        """How calls are looked at now. One that is looked at twice happened at the same time, to the last digit."""
        offset = _offset_now()
        if abs(offset - self._offset) > STEP:
            self._offset = offset
        bodies = self.ring is not None and self.ring.settings.bodies
        return Lens(self._offset, bodies, self.listeners)

    async def page(self, query: Query) -> Page:
        """Some of the calls. What has come until now is among them."""
        ring = self.ring
        if ring is None:
            return Page(0)
        await self._catch_up(ring)
        lens, page, size = self.lens(), Page(ring.newest(asyncio.get_running_loop().time())), 0
        earliest = query.since - lens.offset
        turn = time.monotonic() + TURN
        for call in list(_newest_first(ring)):
            if time.monotonic() > turn:
                await asyncio.sleep(0)
                turn = time.monotonic() + TURN
            if call.serial <= query.after or call.touched < earliest:
                break
            if query.before is not None and call.serial >= query.before:
                continue
            if not all(matches(call) for matches in query.filters):
                continue
            if len(page.found) >= query.limit or (query.steps and page.found and size + call.size > MAX_PAGE_BYTES):
                page.more = page.found[-1].serial
                break
            size += call.size
            page.found.append(_found(call, lens, query.steps))
        return page

    async def _catch_up(self, ring: TraceRing) -> None:
        """Sort all that there is now; what comes meanwhile is for the next time."""
        wanted = max(1, ring.behind)
        while wanted > 0:
            before = ring.behind
            ring.settle(asyncio.get_running_loop().time())
            wanted -= max(1, before - ring.behind)
            await asyncio.sleep(0)

    async def close(self) -> None:
        if self._sorter is not None:
            self._sorter.cancel()
        self._send_hep(None, 0)
        await asyncio.gather(*self._closing)


def _offset_now() -> float:
    """What the wall's clock is ahead of the loop's, in seconds: of what the loop reads, that is; it does so seldom."""
    return time.time() - time.monotonic()


def _newest_first(ring: TraceRing) -> Iterator[TracedCall]:
    """Both kinds together, in the order in which they have changed."""
    return iter(sorted((*ring.calls.values(), *ring.background.values()), key=lambda call: -call.serial))


def _found(call: TracedCall, lens: Lens, steps: bool) -> Found:
    shown = list(steps_of(call, lens)) if steps else None
    return Found(call.serial, summary_of(call, lens), call.left_out, call.incomplete, shown)


def each_message(tracer: Tracer | None) -> Tap | None:
    """For who only wants to see messages pass."""
    if tracer is None:
        return None

    def tap(now: float, data: bytes, flow: Flow | None, outputs: list[Output]) -> None:
        if data and flow is not None:
            tracer("in", data, flow)
        for output in outputs:
            if isinstance(output, Send):
                tracer("out", output.data, output.to)

    return tap

"""How late the event loop runs: every message waits at least as long as a timer that is due."""

import asyncio

from sipgw.core.meter import Durations

EVERY = 0.25  # seconds between looks


class LoopLag:
    """`durations` says how late looks came, since it was made. `close` ends it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.durations = Durations()
        self._due = self._loop.time() + EVERY
        self._handle = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        self.durations.add(max(0.0, now - self._due))
        self._due = now + EVERY
        self._handle = self._loop.call_at(self._due, self._look)

    def close(self) -> None:
        self._handle.cancel()

"""A shell around a machine that only keeps what it is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from sipgw.events import Flow, Hop, Output, Send, SendKey
from sipgw.locating import Answer
from sipgw.message.errors import MalformedMessage
from sipgw.server.ears import bind
from sipgw.server.limits import ShellLimits
from sipgw.server.shell import Shell
from sipgw.server.tls import TlsContexts

WITHIN = 10.0  # seconds for anything to happen that has to


class Event(NamedTuple):
    kind: str
    what: Any
    reason: str = ""


class Probe:
    """Events are "received" (data), "connected", "superseded" and "lost" (flow, reason), "failed" (key, reason),
    "resolved" (answer). `hops` are what the connections that were lost had been opened for. `overloaded` is what it was
    told of that, one after the other; connections from `banned` addresses are not to be taken."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.open: set[int] = set()
        self.banned: set[str] = set()
        self.overloaded: list[bool] = []
        self.hops: list[Hop | None] = []
        self.none_open = asyncio.Event()
        self.none_open.set()

    def receive(self, data: bytes, flow: Flow, now: float) -> list[Output]:
        self.events.put_nowait(Event("received", data))
        return []

    def receive_broken(self, error: MalformedMessage, flow: Flow, now: float) -> list[Output]:
        return []

    def welcomes(self, host: str, now: float) -> bool:
        return host not in self.banned

    def connected(self, flow: Flow) -> None:
        self.events.put_nowait(Event("connected", flow))
        self.open.add(flow.cid)
        self.none_open.clear()

    def connection_lost(self, flow: Flow, hop: Hop | None, reason: str, now: float) -> list[Output]:
        self.events.put_nowait(Event("lost", flow, reason))
        self.open.remove(flow.cid)
        self.hops.append(hop)
        if not self.open:
            self.none_open.set()
        return []

    def superseded(self, flow: Flow, hop: Hop) -> None:
        self.events.put_nowait(Event("superseded", flow))

    def send_failed(self, key: SendKey, reason: str, now: float) -> list[Output]:
        self.events.put_nowait(Event("failed", key, reason))
        return []

    def set_overloaded(self, overloaded: bool, now: float) -> None:
        self.overloaded.append(overloaded)

    def resolved(self, answer: Answer, now: float) -> list[Output]:
        self.events.put_nowait(Event("resolved", answer))
        return []

    def persisted(self, key: int, error: str | None, now: float) -> list[Output]:
        return []

    def handle_timers(self, now: float) -> list[Output]:
        return []

    def next_deadline(self) -> float | None:
        return None


class Log:
    """Takes log lines as text."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[str] = asyncio.Queue()

    def __getattr__(self, level: str) -> Any:
        return lambda event, **fields: self.lines.put_nowait(f"{level} {event} {fields}")


class Running:
    """A shell and its probe. `port` is that of its only listener."""

    def __init__(self, shell: Shell, probe: Probe, log: Log, port: int) -> None:
        self.shell = shell
        self.probe = probe
        self.log = log
        self.port = port

    async def next(self, kind: str) -> Event:
        """The next event, which has to be of this kind."""
        async with asyncio.timeout(WITHIN):
            event = await self.probe.events.get()
        assert event.kind == kind, event
        return event

    async def find(self, kind: str) -> Event:
        """The next event of this kind, past any others."""
        async with asyncio.timeout(WITHIN):
            while (event := await self.probe.events.get()).kind != kind:
                pass
        return event

    def heard(self) -> list[bytes]:
        """What has been received and not been taken yet."""
        events = [self.probe.events.get_nowait() for _ in range(self.probe.events.qsize())]
        return [event.what for event in events if event.kind == "received"]

    def send(self, hop: Hop, data: bytes, key: str = "key") -> None:
        self.shell.perform([Send(data, hop, key)])
        self.shell.batch_done()


@asynccontextmanager
async def running(
    tls: TlsContexts | None = None, transport: str = "TLS", limits: ShellLimits | None = None
) -> AsyncIterator[Running]:
    """Listening on a free port; closed afterwards, with nothing left under way."""
    probe, log = Probe(), Log()
    shell = Shell(probe, limits=limits, tls=tls, log=log)
    ears = bind([(transport, "127.0.0.1", 0)], "")
    await shell.start(ears)
    try:
        yield Running(shell, probe, log, ears[0].listener.port)
    finally:
        await shell.close()
        async with asyncio.timeout(WITHIN):
            await probe.none_open.wait()
        assert shell.arrivals.total == 0

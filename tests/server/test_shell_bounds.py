"""What the shell sees to by itself: how many connections, from whom, and that too much is noticed while it is."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic

import pytest

from sipgw.events import Flow, Hop, Output
from sipgw.server.ears import bind
from sipgw.server.limits import ShellLimits
from sipgw.server.shell import Shell
from tests.server.probe import WITHIN, Probe, Running, running

Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def until(condition: Callable[[], bool]) -> None:
    """By a clock that does not leap."""
    end = monotonic() + WITHIN
    while not condition():
        assert monotonic() < end
        await asyncio.sleep(0.01)


# connections


@asynccontextmanager
async def dialled(here: Running, source: str = "127.0.0.1") -> AsyncIterator[Peer]:
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port, local_addr=(source, 0))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def is_taken(here: Running, peer: Peer) -> bool:
    """Whether what it sends is heard, rather than its connection closed."""
    reader, writer = peer
    writer.write(b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 0\r\n\r\n")
    heard, closed = asyncio.ensure_future(here.find("received")), asyncio.ensure_future(reader.read())
    done, waiting = await asyncio.wait((heard, closed), return_when=asyncio.FIRST_COMPLETED, timeout=WITHIN)
    for task in waiting:
        task.cancel()
    await asyncio.gather(heard, closed, return_exceptions=True)
    assert done
    return heard in done


async def test_of_all_connections_there_are_so_many() -> None:
    async with running(transport="TCP", limits=ShellLimits(max_connections=2)) as here, AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(dialled(here)) for _ in range(2)]
        assert await is_taken(here, first)
        assert await is_taken(here, second)
        async with dialled(here, "127.0.0.2") as third:
            assert not await is_taken(here, third)
        assert here.shell.counters["connections_refused"] == 1
        first[1].transport.abort()
        await until(lambda: here.shell.connection_count == 1)
        async with dialled(here) as fourth:
            assert await is_taken(here, fourth)


async def test_of_one_address_there_are_so_many() -> None:
    async with running(transport="TCP", limits=ShellLimits(max_per_peer=1)) as here, AsyncExitStack() as stack:
        assert await is_taken(here, await stack.enter_async_context(dialled(here)))
        async with dialled(here) as another:
            assert not await is_taken(here, another)
        assert here.shell.counters["connections_refused"] == 1
        async with dialled(here, "127.0.0.2") as elsewhere:
            assert await is_taken(here, elsewhere)


async def test_what_we_dial_is_never_one_too_many() -> None:
    limits = ShellLimits(max_connections=1, max_per_peer=1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        async with running(transport="TCP", limits=limits) as here, dialled(here) as peer:
            assert await is_taken(here, peer)
            here.send(Hop("TCP", "127.0.0.1", server.getsockname()[1]), b"x")
            await here.find("connected")
            accepted, _ = await asyncio.to_thread(server.accept)
            with accepted:
                assert await asyncio.to_thread(accepted.recv, 1) == b"x"


async def test_connections_of_a_banned_address_are_not_taken() -> None:
    async with running(transport="TCP") as here:
        here.probe.banned.add("127.0.0.2")
        async with dialled(here, "127.0.0.2") as banned:
            assert not await is_taken(here, banned)
        async with dialled(here) as other:
            assert await is_taken(here, other)
        here.probe.banned.clear()
        async with dialled(here, "127.0.0.2") as forgiven:
            assert await is_taken(here, forgiven)


# too much

DELAY = 5.0  # much longer than a busy machine needs; the clock here goes forward in leaps


class Leaping(Probe):
    """A machine with something to do at any time, on a clock that can leap. `stalls` are seconds that the loop spends
    with something else between two looks at the timers, one after the other, `slow` those that a message takes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.stalls: list[float] = []
        self.slow = 0.0
        self.ahead = 0.0
        self.works = False
        self.loop = asyncio.get_running_loop()
        monkeypatch.setattr(self.loop, "time", lambda: monotonic() + self.ahead)

    def leap(self, seconds: float) -> None:
        self.ahead += seconds

    def receive(self, data: bytes, flow: Flow, now: float) -> list[Output]:
        self.leap(self.slow)
        return super().receive(data, flow, now)

    def next_deadline(self) -> float | None:
        return self.loop.time() if self.works else None

    def handle_timers(self, now: float) -> list[Output]:
        if self.stalls:
            self.loop.call_soon(self.leap, self.stalls.pop(0))
        return []

    async def is_told(self, *expected: bool) -> None:
        await until(lambda: len(self.overloaded) >= len(expected))
        assert self.overloaded == list(expected)


@asynccontextmanager
async def leaping(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Leaping, Shell, int]]:
    with monkeypatch.context() as patch:
        probe = Leaping(patch)
        shell = Shell(probe, limits=ShellLimits(max_delay=DELAY, gather=0.0))
        ears = bind([("UDP", "127.0.0.1", 0)], "")
        await shell.start(ears)
        try:
            yield probe, shell, ears[0].listener.port
        finally:
            await shell.close()


async def test_timers_that_run_late_again_and_again_are_too_much_and_those_in_time_are_the_end_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That is how connections show it: the loop comes round too seldom."""
    async with leaping(monkeypatch) as (probe, shell, _):
        probe.works, probe.stalls = True, [2 * DELAY] * 3
        shell.batch_done()
        await probe.is_told(True, False)
        assert shell.counters["overloads"] == 1


async def test_one_that_is_late_is_an_accident(monkeypatch: pytest.MonkeyPatch) -> None:
    async with leaping(monkeypatch) as (probe, shell, _):
        probe.works, probe.stalls = True, [2 * DELAY, 0.0, 2 * DELAY, 0.0, 0.0]
        shell.batch_done()
        await until(lambda: not probe.stalls)
        assert probe.overloaded == []


async def test_datagrams_that_wait_too_long_are_too_much_until_none_does(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 600
    async with leaping(monkeypatch) as (probe, _, port):
        probe.slow = DELAY / 50  # less than a burst of them takes
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            for _ in range(count):
                peer.sendto(b"OPTIONS", ("127.0.0.1", port))
            await probe.is_told(True, False)
        assert probe.events.qsize() == count


async def test_a_burst_that_is_taken_in_time_is_not_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 600
    async with leaping(monkeypatch) as (probe, _, port):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            for _ in range(count):
                peer.sendto(b"OPTIONS", ("127.0.0.1", port))
            await until(lambda: probe.events.qsize() == count)
        assert probe.overloaded == []

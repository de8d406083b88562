"""The transport layer on real sockets: keep-alives, connections used again, failures told (§18, RFC 5626)."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sipgw.events import Flow, Hop, Output, Send, SendKey
from sipgw.message.errors import MalformedMessage
from sipgw.server.connection import MAX_UNSENT
from sipgw.server.ears import bind
from sipgw.server.shell import Shell

PING = b"\r\n\r\n"
BINDING = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(range(12))
HELLO = b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 0\r\n\r\n"


class Probe:
    """A machine that keeps what it is told and does what the test says."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.open: set[int] = set()
        self.none_open = asyncio.Event()
        self.none_open.set()

    def receive(self, data: bytes, flow: Flow, now: float) -> list[Output]:
        self.events.put_nowait((data.decode(), flow))
        return []

    def receive_broken(self, error: MalformedMessage, flow: Flow, now: float) -> list[Output]:
        self.events.put_nowait(("broken", flow))
        return []

    def welcomes(self, host: str, now: float) -> bool:
        return True

    def connected(self, flow: Flow) -> None:
        self.events.put_nowait(("connected", flow))
        self.open.add(flow.cid)
        self.none_open.clear()

    def connection_lost(self, flow: Flow, hop: Hop | None, reason: str, now: float) -> list[Output]:
        self.events.put_nowait(("lost", flow))
        self.open.remove(flow.cid)
        if not self.open:
            self.none_open.set()
        return []

    def superseded(self, flow: Flow, hop: Hop) -> None:
        """Not of interest."""

    def send_failed(self, key: SendKey, reason: str, now: float) -> list[Output]:
        self.events.put_nowait(("failed", key))
        return []

    def set_overloaded(self, *_: Any) -> None:
        """Not of interest."""

    def resolved(self, *_: Any) -> list[Output]:
        return []

    def persisted(self, key: int, error: str | None, now: float) -> list[Output]:
        return []

    def handle_timers(self, now: float) -> list[Output]:
        return []

    def next_deadline(self) -> float | None:
        return None

    async def next(self, kind: str) -> Any:
        """What comes with the next event, which has to be of this kind."""
        async with asyncio.timeout(10):
            seen, what = await self.events.get()
        assert seen == kind
        return what


@asynccontextmanager
async def running() -> AsyncIterator[tuple[Probe, Shell, dict[str, int]]]:
    probe = Probe()
    shell = Shell(probe)
    ears = bind([("UDP", "127.0.0.1", 0), ("TCP", "127.0.0.1", 0)], "")
    await shell.start(ears)
    try:
        yield probe, shell, {ear.listener.transport: ear.listener.port for ear in ears}
    finally:
        await shell.close()
        await asyncio.wait_for(probe.none_open.wait(), 10)


async def read(reader: asyncio.StreamReader, size: int) -> bytes:
    async with asyncio.timeout(10):
        return await reader.readexactly(size)


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def test_a_double_crlf_is_answered_with_one() -> None:
    """RFC 5626 §4.4.1, §5.4; messages around it are messages."""
    async with running() as (probe, _, ports):
        reader, writer = await asyncio.open_connection("127.0.0.1", ports["TCP"])
        writer.write(PING + HELLO + PING)
        assert await read(reader, 4) == b"\r\n\r\n"  # two pongs
        await probe.next("connected")
        await probe.next(HELLO.decode())
        await closed(writer)


async def test_stun_is_answered_on_the_port_of_sip() -> None:
    """RFC 5626 §8: told from SIP by its first byte."""
    async with running() as (probe, _, ports):
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
            phone.setblocking(False)
            phone.bind(("127.0.0.1", 0))
            for data in (b"\r\n\r\n", b"\x00", BINDING, HELLO):
                await loop.sock_sendto(phone, data, ("127.0.0.1", ports["UDP"]))
            async with asyncio.timeout(10):
                answer, source = await loop.sock_recvfrom(phone, 2000)
            assert source[1] == ports["UDP"]
            assert answer[:2] == b"\x01\x01"
            assert answer[8:20] == BINDING[8:20]
            await probe.next(HELLO.decode())


async def test_a_connection_is_opened_once_and_answers_come_back_on_it() -> None:
    """§18.1.1: requests to one address, port and transport share it."""
    seen: list[bytes] = []
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read(reader, 2 * len(HELLO)))
        writer.write(HELLO)
        await reader.read()
        await closed(writer)
        over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with running() as (probe, shell, _):
        hop = Hop("TCP", "127.0.0.1", server.sockets[0].getsockname()[1])
        shell.perform([Send(HELLO, hop, "one")])
        first = await probe.next("connected")
        shell.perform([Send(HELLO, hop, "two")])
        shell.batch_done()
        assert (await probe.next(HELLO.decode())).cid == first.cid
        assert seen == [2 * HELLO]
    await asyncio.wait_for(over.wait(), 10)
    server.close()


async def test_a_datagram_leaves_by_the_port_that_is_listened_on() -> None:
    """RFC 3581 §3, §18.1.1: so that its answer finds the way back, through NAT too."""
    async with running() as (_, shell, ports):
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.setblocking(False)
            peer.bind(("127.0.0.1", 0))
            shell.perform([Send(HELLO, Hop("UDP", *peer.getsockname()), "key")])
            async with asyncio.timeout(10):
                data, source = await loop.sock_recvfrom(peer, 2000)
        assert (data, source) == (HELLO, ("127.0.0.1", ports["UDP"]))


async def test_a_connection_that_cannot_be_made_is_told() -> None:
    """§18.4, §17.1.4."""
    async with running() as (probe, shell, _):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            port = nobody.getsockname()[1]
            shell.perform([Send(HELLO, Hop("TCP", "127.0.0.1", port), "key")])
            assert await probe.next("failed") == "key"


async def test_an_answer_for_a_connection_that_is_gone_is_told() -> None:
    async with running() as (probe, shell, ports):
        _, writer = await asyncio.open_connection("127.0.0.1", ports["TCP"])
        flow = await probe.next("connected")
        await closed(writer)
        await probe.next("lost")
        shell.perform([Send(HELLO, flow, ("server", "key"))])
        assert await probe.next("failed") == ("server", "key")


async def test_a_connection_stays_open_between_requests() -> None:
    """§18: at least as long as a transaction may take; it is closed after `timers.idle`, an hour, by default."""
    async with running() as (probe, shell, ports):
        _, writer = await asyncio.open_connection("127.0.0.1", ports["TCP"])
        flow = await probe.next("connected")
        now, idle = asyncio.get_running_loop().time(), shell.limits.idle
        connection = shell._connections[flow.cid]
        assert not connection.overdue(now + 181 + 32, idle)  # Timer C and what follows it
        assert connection.overdue(now + idle + 1, idle)
        await closed(writer)


@pytest.mark.parametrize("size", [1, 1400, 9000, 60_000])
async def test_datagrams_of_any_size_are_read(size: int) -> None:
    async with running() as (probe, _, ports):
        data = b"OPTIONS sip:x SIP/2.0\r\n\r\n" + b"x" * size
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
            phone.sendto(data, ("127.0.0.1", ports["UDP"]))
            await probe.next(data.decode())


class Redials(Probe):
    """Sends something elsewhere when it loses a connection, as an element that fails over does."""

    def __init__(self, elsewhere: int) -> None:
        super().__init__()
        self._elsewhere = elsewhere

    def connection_lost(self, flow: Flow, hop: Hop | None, reason: str, now: float) -> list[Output]:
        super().connection_lost(flow, hop, reason, now)
        return [Send(HELLO, Hop("TCP", "127.0.0.1", self._elsewhere), "key")]


async def test_what_closes_dials_nobody() -> None:
    """Else a server that is told to end would say BYE, or try the next one, by connections that nobody closes."""
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.setblocking(False)
        probe = Redials(elsewhere.getsockname()[1])
        shell = Shell(probe)
        (ear,) = ears = bind([("TCP", "127.0.0.1", 0)], "")
        await shell.start(ears)
        _, writer = await asyncio.open_connection("127.0.0.1", ear.listener.port)
        assert (await asyncio.wait_for(probe.events.get(), 10))[0] == "connected"
        await shell.close()
        await asyncio.wait_for(probe.none_open.wait(), 10)
        for _ in range(5):
            await asyncio.sleep(0)  # turns of the loop in which it could begin to dial
        with pytest.raises(BlockingIOError):
            elsewhere.accept()
        writer.close()
        await writer.wait_closed()


async def test_a_peer_that_does_not_read_is_cut() -> None:
    """What it leaves unread stays in our memory: at MAX_UNSENT beyond what the kernel holds its connection ends."""
    async with running() as (probe, shell, ports):
        with socket.socket() as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.setblocking(False)
            await asyncio.get_running_loop().sock_connect(peer, ("127.0.0.1", ports["TCP"]))
            flow = await probe.next("connected")
            message = HELLO.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * 60_000 + b"\r\n\r\n")
            sent = 0
            while probe.open:  # the kernel takes some megabytes at most
                assert sent < 64 << 20, "nothing is cut"
                shell.perform([Send(message, flow, "key")])
                shell.batch_done()
                sent += len(message)
                await asyncio.sleep(0)
            assert sent > MAX_UNSENT
            assert (await probe.next("lost")).cid == flow.cid


async def test_a_peer_that_reads_slowly_is_not_cut() -> None:
    async with running() as (probe, shell, ports):
        reader, writer = await asyncio.open_connection("127.0.0.1", ports["TCP"])
        flow = await probe.next("connected")
        message = HELLO.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * 60_000 + b"\r\n\r\n")
        for _ in range(2 * MAX_UNSENT // len(message)):
            shell.perform([Send(message, flow, "key")])
            shell.batch_done()
            assert await read(reader, len(message)) == message
        assert flow.cid in probe.open
        await closed(writer)

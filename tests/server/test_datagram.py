"""One UDP socket: every datagram once and in order, however they come; what is known of peers is bounded."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sipgw.events import Flow, Listener
from sipgw.server import datagram
from sipgw.server.datagram import BURST, MAX_FLOWS, DatagramSocket, bind_datagram
from sipgw.server.pace import Pace


class Ear:
    """A socket that is listened on, and what has been heard."""

    def __init__(self, sock: socket.socket) -> None:
        self.port = sock.getsockname()[1]
        self.heard: list[tuple[bytes, Flow]] = []
        self.bursts: list[int] = []
        self.counters: Counter[str] = Counter()
        self._before = 0
        self._more = asyncio.Event()
        listener = Listener("UDP", "127.0.0.1", self.port, f"127.0.0.1:{self.port}")
        self.socket = DatagramSocket(
            sock, listener, lambda *what: self.heard.append(what), self._done, self.counters, Pace()
        )

    def _done(self, behind: float) -> None:
        self.bursts.append(len(self.heard) - self._before)
        self._before = len(self.heard)
        self._more.set()

    async def hears(self, count: int) -> list[bytes]:
        async with asyncio.timeout(10):
            while len(self.heard) < count:
                await self._more.wait()
                self._more.clear()
        return [data for data, _ in self.heard]


@asynccontextmanager
async def listening() -> AsyncIterator[Ear]:
    ear = Ear(bind_datagram("127.0.0.1", 0))
    try:
        yield ear
    finally:
        ear.socket.close()


async def test_all_come_in_order_one_by_one_and_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        async with listening() as ear:
            sent = [str(number).encode() for number in range(600)]
            for number, data in enumerate(sent[:100]):
                peer.sendto(data, ("127.0.0.1", ear.port))
                await ear.hears(number + 1)
            for data in sent[100:]:
                peer.sendto(data, ("127.0.0.1", ear.port))
            assert await ear.hears(600) == sent
    assert max(ear.bursts) == BURST and sum(ear.bursts) == 600


async def test_who_sends_again_is_known_again() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as b,
    ):
        async with listening() as ear:
            for sender in (peer, peer, b):
                sender.sendto(b"x", ("127.0.0.1", ear.port))
            await ear.hears(3)
            first, again, other = (flow for _, flow in ear.heard)
            assert first is again and (first.host, first.port) == ("127.0.0.1", peer.getsockname()[1])
            assert (other.host, other.port) == ("127.0.0.1", b.getsockname()[1])


async def test_what_is_known_of_peers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_FLOWS <= 10_000
    async with listening() as ear:
        for number in range(MAX_FLOWS + 50):
            flow = ear.socket._new_flow((f"192.0.2.{number % 250}", number))
            assert flow.port == number
        assert len(ear.socket._flows) <= MAX_FLOWS


async def test_a_datagram_that_cannot_be_sent_is_counted() -> None:
    async with listening() as ear:
        ear.socket.send(b"x" * 70_000, "127.0.0.1", 9)
    assert ear.counters == {"datagrams_dropped": 1}
    assert datagram.LARGEST == 65535

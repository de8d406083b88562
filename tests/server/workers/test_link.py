"""Packets between processes: whole, in order, and what waits is known."""

import asyncio
import socket

import pytest

from sipgw.server.workers.link import HUB, LOSABLE, NEEDED, Link


class Ends:
    """Two links that are each other's ends, and what has come to them."""

    def __init__(self) -> None:
        self.come: asyncio.Queue[tuple[int, int, bytes]] = asyncio.Queue()
        self.lost = asyncio.Event()
        self.near = Link(lambda *packet: None, lambda: None)
        self.far = Link(lambda *packet: self.come.put_nowait(packet), self.lost.set)

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        for link, sock in zip((self.near, self.far), socket.socketpair(), strict=True):
            await loop.create_unix_connection(lambda link=link: link, sock=sock)  # type: ignore[misc]

    async def next(self) -> tuple[int, int, bytes]:
        async with asyncio.timeout(10):
            return await self.come.get()

    async def close(self) -> None:
        self.near.close()
        async with asyncio.timeout(10):
            await self.lost.wait()
        self.far.close()


async def test_packets_of_all_sizes() -> None:
    ends = Ends()
    await ends.connect()
    sent = [(HUB, NEEDED, b""), (3, LOSABLE, b"x"), (0, NEEDED, bytes(3_000_000)), (63, LOSABLE, b"last")]
    for target, manner, payload in sent:
        ends.near.send(target, payload, manner)
    assert ends.near.backlog >= 3_000_000
    assert [await ends.next() for _ in sent] == sent
    await ends.close()
    assert not ends.near.open and not ends.far.open


async def test_what_is_said_last_arrives() -> None:
    ends = Ends()
    await ends.connect()
    ends.near.send(HUB, b"the end")
    await ends.close()
    assert await ends.next() == (HUB, NEEDED, b"the end")


async def test_nothing_gathers_for_who_is_gone() -> None:
    ends = Ends()
    await ends.connect()
    await ends.close()
    ends.near.send(HUB, b"too late")
    assert ends.near.backlog == 0


@pytest.mark.parametrize("size", [1, 5, 6, 7, 1000])
def test_however_it_is_cut(size: int) -> None:
    come: list[tuple[int, int, bytes]] = []
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(_feed(come, size))
    finally:
        loop.close()
    assert come == [(1, 0, b"one"), (254, 1, b""), (2, 2, b"three")]


async def _feed(come: list[tuple[int, int, bytes]], size: int) -> None:
    link = Link(lambda *packet: come.append(packet), lambda: None)
    data = b"\0\0\0\3\1\0one" + b"\0\0\0\0\xfe\1" + b"\0\0\0\5\2\2three"
    for at in range(0, len(data), size):
        link.data_received(data[at : at + size])

"""What the supervisor passes on, in which order, and what it does where there is no room."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sipgw.core.location import ROW
from sipgw.core.ownership import STALE, first_cid
from sipgw.server.store import Store
from sipgw.server.workers import hub as hub_module
from sipgw.server.workers import wire
from sipgw.server.workers.hub import Hub
from sipgw.server.workers.link import ALL, HUB, LOSABLE, NEEDED, RETURNED, Link


class Worker:
    """The other end of a link, and what was said to it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.left = asyncio.Event()
        self.come: asyncio.Queue[tuple[int, Any]] = asyncio.Queue()
        self.link = Link(
            lambda target, manner, payload: self.come.put_nowait((manner, wire.unpacked(payload))), _nothing
        )

    def say(self, packet: object, target: int = HUB, manner: int = NEEDED) -> None:
        self.link.send(target, wire.packed(packet), manner)

    async def hears(self, kind: type) -> Any:
        """The next thing of this kind; others are passed over."""
        return (await self.next(kind))[1]

    async def next(self, kind: type) -> tuple[int, Any]:
        async with asyncio.timeout(10):
            while not isinstance((found := await self.come.get())[1], kind):
                pass
        return found


def _nothing() -> None:
    """Not of interest."""


class Here:
    """A hub with its store."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(folder / "sipgw.db")
        self.heard: list[tuple[int, Any]] = []
        self.stuck: list[int] = []
        self.hub = Hub(self.store, lambda worker, packet: self.heard.append((worker, packet)), self.stuck.append)
        self.workers: list[Worker] = []

    async def worker(self) -> Worker:
        number, loop = len(self.workers), asyncio.get_running_loop()
        one = Worker(number)

        def left() -> None:
            self.hub.left(number, link)
            one.left.set()

        link = self.hub.link(number, left)
        for end, sock in zip((one.link, link), socket.socketpair(), strict=True):
            await loop.create_unix_connection(lambda end=end: end, sock=sock)  # type: ignore[misc]
        self.hub.joined(number, link)
        self.workers.append(one)
        return one


@asynccontextmanager
async def here(folder: Path) -> AsyncIterator[Here]:
    found = Here(folder)
    try:
        yield found
    finally:
        for worker in found.workers:
            worker.link.close()
        await asyncio.gather(*(worker.left.wait() for worker in found.workers))
        found.store.close()


def row(user: str) -> tuple[Any, ...]:
    values: dict[str, Any] = dict.fromkeys(ROW, "")
    values |= {"aor": f"{user}@contoso.com", "contact": f"sip:{user}@h", "reg_id": 0, "expires_at": 1e12}
    values |= {"q": 1.0, "cseq": 1, "since": 1}
    return tuple(values[name] for name in ROW)


def change(key: int, user: str, seen: int) -> wire.Change:
    return wire.Change(key, 7, seen, [], [(row(user), 0, None)])


async def test_a_change_is_on_the_disk_before_anybody_is_told(tmp_path: Path) -> None:
    async with here(tmp_path) as found:
        first, second = await found.worker(), await found.worker()
        first.say(change(1, "alice", 0))
        assert await first.hears(wire.Answer) == wire.Answer(1, 7, None)
        assert [one[0] for one in found.store.load_bindings(0.0)] == ["alice@contoso.com"]
        assert (await second.hears(wire.Changed)).puts == [(row("alice"), 0, None)]


async def test_who_comes_too_late_hears_first_of_what_was_before(tmp_path: Path) -> None:
    async with here(tmp_path) as found:
        first, second = await found.worker(), await found.worker()
        first.say(change(1, "alice", 0))
        assert await first.hears(wire.Answer) == wire.Answer(1, 7, None)
        second.say(change(9, "bob", 0))
        told = [await second.hears(object) for _ in range(3)]
        kinds = [type(one) for one in told if not isinstance(one, wire.Members)]
        assert kinds == [wire.Changed, wire.Answer]
        assert told[-1] == wire.Answer(9, 7, STALE)
        second.say(change(10, "bob", 1))
        assert await second.hears(wire.Answer) == wire.Answer(10, 7, None)
        assert len(list(found.store.load_bindings(0.0))) == 2


async def test_what_the_disk_does_not_take_counts_for_all(tmp_path: Path) -> None:
    async with here(tmp_path) as found:
        first, second = await found.worker(), await found.worker()
        bad = wire.Change(1, 7, 0, [], [((*row("alice"), "too much"), 0, None)])
        first.say(bad)
        assert await second.hears(wire.Voided) == wire.Voided(7)
        assert await first.hears(wire.Voided) == wire.Voided(7)
        assert "sipgw.db" in (await first.hears(wire.Answer)).error
        first.say(change(2, "alice", 1))
        assert await first.hears(wire.Answer) == wire.Answer(2, 7, None)


async def test_connections_are_known_to_all_until_their_worker_ends(tmp_path: Path) -> None:
    async with here(tmp_path) as found:
        first, second = await found.worker(), await found.worker()
        flow = wire.FlowData("TCP", "127.0.0.1", 5070, "", first_cid(0, 1) + 1, ())
        first.say(wire.Opened(flow))
        assert await second.hears(wire.Opened) == wire.Opened(flow)
        third = await found.worker()
        assert found.hub.ledger.snapshot([]).flows == (flow,)
        first.link.close()
        while (await third.hears(wire.Members)).alive != (1, 2):
            pass
        assert found.hub.ledger.snapshot([]).flows == ()


async def test_from_one_to_another_and_to_all(tmp_path: Path) -> None:
    async with here(tmp_path) as found:
        first, second, third = [await found.worker() for _ in range(3)]
        first.say(wire.SendFailed("key", "reason"), target=1, manner=LOSABLE)
        assert await second.hears(wire.SendFailed) == wire.SendFailed("key", "reason")
        first.say(wire.Tried("alice", "sip:alice@contoso.com", "127.0.0.1", False), target=ALL)
        for other in (second, third):
            assert await other.hears(wire.Tried) == wire.Tried("alice", "sip:alice@contoso.com", "127.0.0.1", False)
        first.say(wire.Ready())
        second.say(wire.Tried("bob", "sip:bob@contoso.com", "127.0.0.1", True), target=0)
        assert await first.hears(wire.Tried) == wire.Tried("bob", "sip:bob@contoso.com", "127.0.0.1", True)
        assert found.heard == [(0, wire.Ready())]


async def test_what_is_for_nobody_comes_back(tmp_path: Path) -> None:
    async with here(tmp_path) as found:
        first = await found.worker()
        packet = wire.SendOver(0, 1, b"data", "key")
        first.say(packet, target=5, manner=LOSABLE)
        assert await first.next(wire.SendOver) == (RETURNED, packet)
        assert found.hub.counters["hand_overs_returned"] == 1


async def test_who_does_not_listen_is_spared_messages_and_ended_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "ROOM", 1 << 20)
    monkeypatch.setattr(hub_module, "LIMIT", 4 << 20)
    async with here(tmp_path) as found:
        first, deaf = await found.worker(), await found.worker()
        deaf.link._transport.pause_reading()
        packet = wire.SendOver(0, 1, bytes(100_000), "key")
        for _ in range(40):
            first.say(packet, target=1, manner=LOSABLE)
        assert (await first.next(wire.SendOver))[0] == RETURNED
        assert not found.stuck
        big = wire.Told(1, bytes(1 << 20))
        for _ in range(5):
            first.say(big, target=1)
        first.say(packet, target=5, manner=LOSABLE)  # comes back when all that was said before has been heard
        while (await first.next(wire.SendOver)) != (RETURNED, packet) or not found.stuck:
            pass
        assert set(found.stuck) == {1}

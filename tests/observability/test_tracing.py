"""The trace ring within a gateway: pages for the API, changes of the configuration, HEP that never waits."""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sipgw.config import parse_config
from sipgw.events import Flow, Listener, Send
from sipgw.observability.trace_read import has_failed, is_of_user
from sipgw.observability.trace_ring import BURST, Turn
from sipgw.server.hep import HepSender
from sipgw.server.tracing import MAX_PAGE_BYTES, Page, Query, Tracing

LISTENER = Listener("UDP", "127.0.0.1", 5060, "127.0.0.1:5060")
ALICE = Flow("UDP", "127.0.0.1", 40_000, LISTENER)


def message(call_id: str, user: str = "alice", body: str = "") -> bytes:
    lines = ["INVITE sip:o@c SIP/2.0", "Via: SIP/2.0/UDP a;branch=z9hG4bK1", f"From: <sip:{user}@contoso.com>;tag=1"]
    lines += ["To: <sip:o@contoso.com>", f"Call-ID: {call_id}", "CSeq: 1 INVITE", f"Content-Length: {len(body)}", ""]
    return "\r\n".join([*lines, body]).encode()


def refused(call_id: str) -> Send:
    return Send(message(call_id).replace(b"INVITE sip:o@c SIP/2.0", b"SIP/2.0 404 Not Found"), ALICE)


def make(folder: Path, counters: Counter[str] | None = None, **trace: Any) -> Tracing:
    config = parse_config({"trace": trace}, folder / "gw.toml")
    return Tracing(config, counters if counters is not None else Counter())


@pytest.fixture
async def tracing(tmp_path: Path) -> AsyncIterator[Tracing]:
    made = make(tmp_path, max_bytes=1 << 26)
    yield made
    await made.close()


def put(tracing: Tracing, *call_ids: str, user: str = "alice", body: str = "", fails: bool = False) -> None:
    assert tracing.tap is not None
    for call_id in call_ids:
        outputs: list[Any] = [refused(call_id)] if fails else []
        tracing.tap(asyncio.get_running_loop().time(), message(call_id, user, body), ALICE, outputs)


def ids(page: Page) -> list[str]:
    return [found.summary.call_id for found in page.found]


async def test_pages(tracing: Tracing) -> None:
    """The latest first; what changes meanwhile moves to the front, and nothing is told twice or left out behind it."""
    put(tracing, "1", "2", "3", "4", "5")
    page = await tracing.page(Query(limit=2))
    assert (ids(page), page.newest) == (["5", "4"], 5) and page.more is not None
    put(tracing, "2", "6")
    page = await tracing.page(Query(limit=2, before=page.more))
    assert ids(page) == ["3", "1"] and page.more is None
    later = await tracing.page(Query(after=5))
    assert ids(later) == ["6", "2"] and later.newest == 7
    assert ids(await tracing.page(Query(after=7))) == []


async def test_filters_and_time(tracing: Tracing) -> None:
    put(tracing, "1", "2", user="bob")
    put(tracing, "3", fails=True)
    put(tracing, "4")
    assert ids(await tracing.page(Query(filters=[is_of_user("bob@contoso.com")], limit=1))) == ["2"]
    assert ids(await tracing.page(Query(filters=[has_failed]))) == ["3"]
    offset = tracing.lens().offset
    assert ids(await tracing.page(Query(since=offset + asyncio.get_running_loop().time() - 60))) == ["4", "3", "2", "1"]
    assert ids(await tracing.page(Query(since=offset + asyncio.get_running_loop().time() + 60))) == []


async def test_a_call_has_one_time_until_the_clock_is_set(tracing: Tracing, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tracing, "1")
    (first,) = (await tracing.page(Query())).found
    read, astray = time.time, 0.002
    monkeypatch.setattr(time, "time", lambda: read() + astray)
    assert (await tracing.page(Query())).found == [first]
    astray = 3600.0
    (later,) = (await tracing.page(Query())).found
    assert 3599 < later.summary.began - first.summary.began < 3601


async def test_a_page_is_bounded_in_bytes(tracing: Tracing) -> None:
    put(tracing, *map(str, range(10)), body="x" * (MAX_PAGE_BYTES // 3))
    page = await tracing.page(Query(steps=True))
    assert len(page.found) == 2 and page.more is not None
    seen = ids(page)
    while page.more is not None:
        page = await tracing.page(Query(steps=True, before=page.more))
        seen += ids(page)
    assert seen == [str(number) for number in reversed(range(10))]
    assert len((await tracing.page(Query())).found) == 10, "without the messages they are small"


async def test_reading_gives_way_to_messages(tracing: Tracing) -> None:
    """A page that has to sort and look through thousands of calls lets the event loop turn in between."""
    put(tracing, *map(str, range(BURST)))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.get_running_loop().create_task(count())
    page = await tracing.page(Query(limit=1, filters=[is_of_user("nobody@contoso.com")]))
    counting.cancel()
    assert not page.found and tracing.ring is not None and not tracing.ring.behind
    assert turns > BURST // 256


async def test_switched_off_and_on(tmp_path: Path) -> None:
    tracing = make(tmp_path, enabled=False)
    assert tracing.tap is None and await tracing.page(Query()) == Page(0)
    for enabled in (True, True, False):
        tracing.reconfigure(parse_config({"trace": {"enabled": enabled, "calls": 2}}, tmp_path / "gw.toml"))
        if enabled:
            put(tracing, "1", "2", "3")
            assert ids(await tracing.page(Query())) == ["3", "2"]
    assert tracing.tap is None
    await tracing.close()


# HEP


async def told(sender: HepSender, counters: Counter[str]) -> None:
    """Send until it has found its collector."""
    async with asyncio.timeout(10):
        while not counters["hep_sent"]:
            sender(Turn(1.0, message("1"), ALICE, []))
            await asyncio.sleep(0.01)


async def test_a_collector_that_does_not_read(tmp_path: Path) -> None:
    """What does not fit into its buffer is lost; nobody waits."""
    counters: Counter[str] = Counter()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        sender = HepSender(deaf.getsockname(), 1, counters)
        await told(sender, counters)
        for _ in range(2000):
            sender(Turn(1.0, message("1", body="x" * 30_000), ALICE, [refused("1")]))
        assert counters["hep_sent"] + counters["hep_lost"] >= 4001
        await sender.close()


async def test_a_collector_that_is_not_there() -> None:
    counters: Counter[str] = Counter()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        address = gone.getsockname()
    sender = HepSender(address, 1, counters)
    await told(sender, counters)
    async with asyncio.timeout(10):
        while not counters["hep_lost"]:  # the machine says that nobody listens
            sender(Turn(1.0, message("1"), ALICE, []))
            await asyncio.sleep(0.01)
    await sender.close()


async def test_a_collector_without_an_address() -> None:
    counters: Counter[str] = Counter()
    sender = HepSender(("nowhere.invalid", 9060), 1, counters)
    sender(Turn(1.0, message("1"), ALICE, []))
    assert counters == {"hep_lost": 1}
    await sender.close()


async def test_another_collector_takes_over(tmp_path: Path) -> None:
    counters: Counter[str] = Counter()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second,
    ):
        socks = (first, second)
        for sock in socks:
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
        tracing = make(tmp_path, counters, hep=f"udp:127.0.0.1:{first.getsockname()[1]}")
        for sock in socks:
            where = {"hep": f"udp:127.0.0.1:{sock.getsockname()[1]}", "hep_id": 7}
            tracing.reconfigure(parse_config({"trace": where}, tmp_path / "gw.toml"))
            async with asyncio.timeout(10):
                data = b""
                while not data:
                    put(tracing, "1")
                    await tracing.page(Query())
                    data = received(sock)
                    await asyncio.sleep(0.01)
            assert data.startswith(b"HEP3") and message("1") in data
        await tracing.close()


def received(sock: socket.socket) -> bytes:
    try:
        return sock.recv(65_536)
    except BlockingIOError:
        return b""

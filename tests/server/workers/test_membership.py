"""What a worker leaves to others, and what it is told when they do not take it."""

import asyncio
from typing import Any, cast

import pytest

from sipgw.core.ownership import first_cid
from sipgw.events import OURS, Flow, Persist, Send, SendKey
from sipgw.server.shell import Shell
from sipgw.server.workers import membership as module
from sipgw.server.workers import wire
from sipgw.server.workers.link import ALL, HUB, LOSABLE, NEEDED, RETURNED
from sipgw.server.workers.membership import Membership, NoAnswer
from sipgw.server.workers.replica import Replica
from tests.harness import World

THEIRS = Flow("TCP", "127.0.0.1", 5070, None, first_cid(1, 9) + 1)
MINE = Flow("TCP", "127.0.0.1", 5071, None, first_cid(0, 9) + 1)


class Sent:
    """Stands for the link."""

    def __init__(self) -> None:
        self.backlog = 0
        self.packets: list[tuple[int, int, Any]] = []

    def send(self, target: int, payload: bytes, manner: int = NEEDED) -> None:
        self.packets.append((target, manner, wire.unpacked(payload)))


class Shown:
    """Stands for the shell."""

    def __init__(self) -> None:
        self.failed: list[tuple[SendKey, str]] = []
        self.stored: list[tuple[int, str | None]] = []

    def send_failed(self, key: SendKey, reason: str) -> None:
        self.failed.append((key, reason))

    def persisted(self, key: int, error: str | None) -> None:
        self.stored.append((key, error))


class Bench:
    """A worker's membership, with what is on its two sides."""

    def __init__(self, world: World) -> None:
        self.orders: list[object] = []
        self.shell, self.sent = Shown(), Sent()
        self.membership = Membership(self.orders.append)
        self.membership.link = cast(Any, self.sent)
        replica = Replica(0, world.engine, cast(Shell, self.shell), dict, lambda: 0.0)
        replica.sharing.alive = {0, 1}
        for flow in (MINE, THEIRS):
            world.engine.connected(flow)
        self.replica = replica

    def join(self) -> "Bench":
        self.membership.join(self.replica, self.replica.engine.counters)
        return self

    def hear(self, packet: object, manner: int = NEEDED) -> None:
        self.membership._received(HUB, manner, wire.packed(packet))


@pytest.fixture
async def bench() -> Bench:
    return Bench(World())


async def test_over_the_connection_of_another(bench: Bench) -> None:
    bench.join()
    assert bench.membership.send(Send(b"data", THEIRS, "key"), THEIRS)
    assert bench.sent.packets == [(1, LOSABLE, wire.SendOver(0, THEIRS.cid, b"data", "key"))]
    assert not bench.membership.send(Send(b"data", MINE, "key"), MINE), "that is ours, and gone"
    assert not bench.membership.send(Send(b"data", THEIRS, "key"), Flow("TCP", "h", 1, None, THEIRS.cid + 1))


async def test_where_there_is_no_room(bench: Bench) -> None:
    bench.join()
    bench.sent.backlog = module.ROOM + 1
    assert bench.membership.send(Send(b"data", THEIRS, "key"), THEIRS)
    assert not bench.sent.packets
    bench.hear(wire.SendOver(0, THEIRS.cid, b"data", "other"), RETURNED)
    bench.hear(wire.SendOver(0, THEIRS.cid, b"a response", ""), RETURNED)
    assert [key for key, _ in bench.shell.failed] == ["key", "other"]
    assert all(reason.startswith(OURS) for _, reason in bench.shell.failed), "the next server is no better"
    assert bench.membership.counters["hand_overs_lost"] == 3


async def test_changes_are_answered_in_one_go(bench: Bench) -> None:
    bench.join()
    bench.membership.persist(Persist(5, [], [("a", "b", "", 0)], [], "alice@contoso.com"), 0.0)
    ((target, manner, change),) = bench.sent.packets
    assert (target, manner, change.seen) == (HUB, NEEDED, 0)
    bench.hear(wire.Answer(change.key, change.bucket, None))
    assert bench.shell.stored == [(5, None)]
    assert bench.replica.sharing.versions[change.bucket] == 1
    bench.membership.persist(Persist(6, [], [("a", "b", "", 0)], [], "alice@contoso.com"), 0.0)
    assert bench.sent.packets[-1][2].seen == 1


async def test_what_has_run_out_is_for_the_supervisor(bench: Bench) -> None:
    bench.join().membership.persist(Persist(0, [], [("a", "b", "", 0)]), 0.0)
    assert not bench.sent.packets


async def test_what_comes_before_it_takes_part_waits(bench: Bench) -> None:
    bench.hear(wire.Voided(7))
    bench.hear(wire.Opened(wire.FlowData.of(Flow("TCP", "h", 1, None, first_cid(1, 9) + 7))))
    bench.hear("an order")
    assert not bench.orders
    bench.join()
    assert bench.replica.sharing.versions[7] == 1
    assert first_cid(1, 9) + 7 in bench.replica.engine.layer.flows
    assert bench.orders == ["an order"]


async def test_those_of_a_worker_that_is_gone_are_gone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.join()
    lost: list[int] = []
    monkeypatch.setattr(bench.replica, "lost", lambda cid, reason: lost.append(cid))
    bench.hear(wire.Signed(("127.0.0.1", 5070), 1))
    bench.hear(wire.Signed(("127.0.0.1", 5071), 2))
    bench.hear(wire.Members((0, 2)))
    assert lost == [THEIRS.cid]
    assert bench.replica.signed == {("127.0.0.1", 5071): 2}


async def test_questions(bench: Bench) -> None:
    bench.join()
    asking = asyncio.create_task(bench.membership.ask(1, "share"))
    await asyncio.sleep(0)
    ((target, _, asked),) = bench.sent.packets
    assert (target, asked.what) == (1, "share")
    bench.hear(wire.Told(asked.serial, "an answer"))
    assert await asking == "an answer"
    asking = asyncio.create_task(bench.membership.ask(1, "share"))
    await asyncio.sleep(0)
    bench.hear(wire.Told(bench.sent.packets[-1][2].serial, None, failed=True))
    with pytest.raises(NoAnswer):
        await asking
    with pytest.raises(NoAnswer, match="does not answer"):
        await bench.membership.ask(1, "share", patience=0.0)
    assert await bench.membership.ask_others("share", patience=0.0) == [], "who does not answer is left out"


async def test_answers(bench: Bench) -> None:
    async def later(value: int) -> int:
        return value + 1

    bench.join().membership.answers = {"now": lambda value: value, "later": later}
    for serial, what in enumerate(("now", "later"), 1):
        bench.hear(wire.Ask(1, serial, what, 10))
        await asyncio.gather(*bench.replica.tasks)
    assert bench.sent.packets == [(1, NEEDED, wire.Told(1, 10)), (1, NEEDED, wire.Told(2, 11))]


async def test_all_are_told(bench: Bench) -> None:
    bench.join().membership.tell_all(wire.Tried("alice", "sip:alice@contoso.com", "127.0.0.1", False))
    assert bench.sent.packets == [(ALL, NEEDED, wire.Tried("alice", "sip:alice@contoso.com", "127.0.0.1", False))]

"""A worker's place among the others: what it tells them, what it hears from them, what it leaves to them."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from sipgw.auth.sipae_associations import FlowKey
from sipgw.core.ownership import bucket_of, worker_of
from sipgw.events import OURS, Flow, HandOver, Listener, Notice, Persist, Send
from sipgw.server.datagram import Put
from sipgw.server.workers import wire
from sipgw.server.workers.link import ALL, HUB, LOSABLE, NEEDED, RETURNED, Link
from sipgw.server.workers.replica import Replica

ROOM = 4 << 20  # bytes for others that may wait; beyond it messages for them are lost, and counted
PATIENCE = 5.0  # seconds that an answer of another may take
NO_ROOM = f"{OURS}waits for another worker"
MAX_ASKED = 1000  # questions under way


class NoAnswer(Exception):
    """Another process has not answered, or could not."""


class Membership:
    """Implements `shell.Peers`, and the storing of registrations.

    What comes before `join` waits. `answers` are functions that give the answers to questions of others, by name;
    `orders` is called with what the supervisor says to this worker alone. `ended` is set when the supervisor is gone.
    """

    def __init__(self, orders: Callable[[object], None]) -> None:
        self.link = Link(self._received, self._lost)
        self.ended = asyncio.Event()
        self.answers: dict[str, Callable[[Any], Any]] = {}
        self.told_by: dict[type, Callable[[Any], None]] = {}
        self._orders = orders
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[int, bytes]] = []
        self._replica: Replica | None = None
        self._changes: dict[int, int] = {}
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._serial = 0
        self.number = -1
        self.counters: Counter[str] = Counter()

    def join(self, replica: Replica, counters: Counter[str]) -> None:
        """Take part from now on."""
        self._replica, self.number, self.counters = replica, replica.number, counters
        waiting, self._waiting = self._waiting, []
        for manner, payload in waiting:
            self._take(replica, manner, payload)

    # what the shell calls

    def opened(self, flow: Flow) -> None:
        self._tell(wire.Opened(wire.FlowData.of(flow)))

    def closed(self, flow: Flow, reason: str) -> None:
        self._tell(wire.Lost(flow.cid, reason))

    def send(self, send: Send, flow: Flow) -> bool:
        """Over a connection that another worker holds; False where none does."""
        replica = self._replica
        if replica is None or flow.cid not in replica.engine.layer.flows or worker_of(flow.cid) == self.number:
            return False
        packet = wire.SendOver(self.number, flow.cid, send.data, send.key)
        if not self._pass(worker_of(flow.cid), packet):
            replica.shell.send_failed(send.key, NO_ROOM)
        return True

    def hand_over(self, output: HandOver) -> None:
        packet = wire.Sip(output.data, wire.FlowData.of(output.flow), output.passed)
        self._pass(output.worker, packet)

    def _pass(self, worker: int, packet: object) -> bool:
        if self.link.backlog > ROOM:
            self.counters["hand_overs_lost"] += 1
            return False
        self.counters["hand_overs"] += 1
        self.link.send(worker, wire.packed(packet), LOSABLE)
        return True

    def put_before(self, listener: Listener, put: Put) -> Put:
        """For `shell.put_before`: what has to be signed goes to who can."""

        def put_or_pass(data: bytes, host: str, port: int) -> None:
            signed = self._replica.signed if self._replica is not None else None
            worker = signed.get((host, port)) if signed else None
            if worker is None:
                put(data, host, port)
            else:
                self._pass(worker, wire.SendDatagram(str(listener), host, port, data))

        return put_or_pass

    def signs(self, key: FlowKey, signed: bool) -> None:
        """For `Gate.tell_flows`: of connections it is known anyway who can sign."""
        if not isinstance(key, int):
            self._tell(wire.Signed(key, self.number if signed else -1))

    def persist(self, persist: Persist, offset: float) -> None:
        """Have a change made by the supervisor. What has run out it removes by itself."""
        replica = self._replica
        if replica is None or not persist.aor:
            return
        self._serial += 1
        self._changes[self._serial] = persist.key
        bucket = bucket_of(persist.aor)
        puts = [wire.put_of(binding, offset) for binding in persist.added]
        seen = replica.sharing.versions[bucket]
        self._tell(wire.Change(self._serial, bucket, seen, persist.deletes, puts))

    def _tell(self, packet: object) -> None:
        self.link.send(HUB, wire.packed(packet), NEEDED)

    def tell_all(self, packet: object) -> None:
        """All other workers."""
        self.link.send(ALL, wire.packed(packet), NEEDED)

    def tell_supervisor(self, packet: object) -> None:
        self._tell(packet)

    # what comes

    def _received(self, target: int, manner: int, payload: bytes) -> None:
        if self._replica is not None:
            self._take(self._replica, manner, payload)
            return
        packet = wire.unpacked(payload)
        if isinstance(packet, wire.Assignment):
            self._orders(packet)
        else:
            self._waiting.append((manner, payload))

    def _take(self, replica: Replica, manner: int, payload: bytes) -> None:
        packet = wire.unpacked(payload)
        if manner == RETURNED:
            self._returned(packet, replica)
            return
        handler = _HANDLERS.get(type(packet))
        if handler is not None:
            handler(self, replica, packet)
        elif type(packet) in self.told_by:
            self.told_by[type(packet)](packet)
        else:
            self._orders(packet)

    def _returned(self, packet: object, replica: Replica) -> None:
        """The other worker does not take what we have for it."""
        self.counters["hand_overs_lost"] += 1
        if isinstance(packet, wire.SendOver) and packet.key:
            replica.shell.send_failed(packet.key, NO_ROOM)

    def _answer(self, replica: Replica, packet: wire.Answer) -> None:
        if packet.error is None:
            replica.sharing.versions[packet.bucket] += 1
        replica.shell.persisted(self._changes.pop(packet.key), packet.error)

    def _send_over(self, replica: Replica, packet: wire.SendOver) -> None:
        if not replica.send(packet.cid, packet.data) and packet.key:
            self._pass(packet.origin, wire.SendFailed(packet.key, "connection closed"))

    def _send_failed(self, replica: Replica, packet: wire.SendFailed) -> None:
        replica.shell.send_failed(packet.key, packet.reason)

    def _send_datagram(self, replica: Replica, packet: wire.SendDatagram) -> None:
        replica.send_datagram(*packet)

    def _signed(self, replica: Replica, packet: wire.Signed) -> None:
        replica.signed_by(packet.peer, packet.worker)

    def notice(self, notice: Notice) -> None:
        """For `shell.notify`: whether servers work all shall know."""
        self.tell_all(wire.Servers(wire.health_data(notice.fields["servers"])))

    def _servers(self, replica: Replica, packet: wire.Servers) -> None:
        wire.learn_health(packet.health, replica.engine.health)

    def _banned(self, replica: Replica, packet: wire.Banned) -> None:
        replica.learn_ban(packet.source, packet.seconds)

    def _sip(self, replica: Replica, packet: wire.Sip) -> None:
        replica.receive(packet.data, packet.flow, packet.passed)

    def _opened(self, replica: Replica, packet: wire.Opened) -> None:
        replica.opened(packet.flow)

    def _lost_one(self, replica: Replica, packet: wire.Lost) -> None:
        replica.lost(packet.cid, packet.reason)

    def _changed(self, replica: Replica, packet: wire.Changed) -> None:
        replica.changed(packet)

    def _voided(self, replica: Replica, packet: wire.Voided) -> None:
        replica.sharing.versions[packet.bucket] += 1

    def _members(self, replica: Replica, packet: wire.Members) -> None:
        replica.members(packet.alive)

    def _lost(self) -> None:
        self.ended.set()
        for future in self._asked.values():
            if not future.done():
                future.set_exception(NoAnswer("the supervisor is gone"))

    # questions

    async def ask(self, whom: int, what: str, value: Any = None, patience: float = PATIENCE) -> Any:
        """What another worker, or the supervisor (HUB), answers. Raises NoAnswer."""
        if len(self._asked) >= MAX_ASKED:
            raise NoAnswer("too many questions are under way")
        self._serial += 1
        serial = self._serial
        future = self._asked[serial] = self._loop.create_future()
        self.link.send(whom, wire.packed(wire.Ask(self.number, serial, what, value)), NEEDED)
        try:
            async with asyncio.timeout(patience):
                return await future
        except TimeoutError:
            raise NoAnswer(f"worker {whom} does not answer") from None
        finally:
            del self._asked[serial]

    async def ask_others(self, what: str, value: Any = None, patience: float = PATIENCE) -> list[Any]:
        """What all other workers answer; those that do not are left out."""
        replica = self._replica
        others = sorted(replica.sharing.alive - {self.number}) if replica is not None else []
        found = await asyncio.gather(
            *(self.ask(other, what, value, patience) for other in others), return_exceptions=True
        )
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, NoAnswer):
                raise one
        return [one for one in found if not isinstance(one, BaseException)]

    def _asked_for(self, replica: Replica, packet: wire.Ask) -> None:
        task = self._loop.create_task(self._give_answer(packet))
        replica.tasks.add(task)
        task.add_done_callback(replica.tasks.discard)

    async def _give_answer(self, packet: wire.Ask) -> None:
        told = wire.Told(packet.serial, None, failed=True)
        try:
            answer = self.answers[packet.what](packet.value)
            told = wire.Told(packet.serial, await answer if asyncio.iscoroutine(answer) else answer)
        finally:
            self.link.send(packet.origin, wire.packed(told), NEEDED)

    def _told(self, replica: Replica, packet: wire.Told) -> None:
        future = self._asked.get(packet.serial)
        if future is None or future.done():
            return
        if packet.failed:
            future.set_exception(NoAnswer("a worker could not answer"))
        else:
            future.set_result(packet.value)


_HANDLERS: dict[type, Callable[[Membership, Replica, Any], None]] = {
    wire.Answer: Membership._answer,
    wire.SendOver: Membership._send_over,
    wire.SendFailed: Membership._send_failed,
    wire.SendDatagram: Membership._send_datagram,
    wire.Signed: Membership._signed,
    wire.Banned: Membership._banned,
    wire.Servers: Membership._servers,
    wire.Sip: Membership._sip,
    wire.Opened: Membership._opened,
    wire.Lost: Membership._lost_one,
    wire.Changed: Membership._changed,
    wire.Voided: Membership._voided,
    wire.Members: Membership._members,
    wire.Ask: Membership._asked_for,
    wire.Told: Membership._told,
}

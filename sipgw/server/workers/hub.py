"""What the supervisor does for its workers: passes on what they say to each other, keeps the ledger and the store."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from sipgw.core.ownership import STALE
from sipgw.server.store import Store, StoreError
from sipgw.server.workers import wire
from sipgw.server.workers.ledger import Ledger
from sipgw.server.workers.link import ALL, HUB, LOSABLE, NEEDED, RETURNED, Link

ROOM = 4 << 20  # bytes for a worker that may wait; messages beyond it go back to their senders
LIMIT = 128 << 20  # bytes at which a worker that takes nothing is ended
PRUNE_EVERY = 300.0  # seconds between looks for registrations that have run out


class Hub:
    """`links` are the workers that are there. `heard` is called with what a worker says to the supervisor itself, and
    `stuck` with the number of one that does not take what it has to be told."""

    def __init__(self, store: Store, heard: Callable[[int, Any], None], stuck: Callable[[int], None]) -> None:
        self.ledger = Ledger()
        self.links: dict[int, Link] = {}
        self.counters: Counter[str] = Counter()
        self._store = store
        self._heard = heard
        self._stuck = stuck
        self._loop = asyncio.get_running_loop()

    def link(self, worker: int, lost: Callable[[], None]) -> Link:
        """The supervisor's end of a link to a worker that is about to come."""
        return Link(partial(self._received, worker), lost)

    def joined(self, worker: int, link: Link) -> wire.Snapshot:
        """A worker comes: what it has to know. From now on it is told what the others are."""
        self.links[worker] = link
        self._tell_members()
        return self.ledger.snapshot(self.links)

    def left(self, worker: int, link: Link) -> None:
        """A worker is gone, and what it held."""
        if self.links.get(worker) is link:
            del self.links[worker]
            self.ledger.gone(worker)
            self._tell_members()

    def _tell_members(self) -> None:
        self.tell_all(wire.Members(tuple(self.links)))

    def tell(self, worker: int, packet: object) -> None:
        link = self.links.get(worker)
        if link is not None:
            self._send(worker, link, wire.packed(packet))

    def tell_all(self, packet: object, but: int = -1) -> None:
        """All workers but one."""
        self._send_all(wire.packed(packet), but)

    def _send_all(self, payload: bytes, but: int) -> None:
        for worker, link in list(self.links.items()):
            if worker != but:
                self._send(worker, link, payload)

    def _send(self, worker: int, link: Link, payload: bytes) -> None:
        link.send(HUB, payload)
        if link.backlog > LIMIT:
            self._stuck(worker)

    def _received(self, worker: int, target: int, manner: int, payload: bytes) -> None:
        if target == HUB:
            packet = wire.unpacked(payload)
            handler = _HANDLERS.get(type(packet))
            if handler is not None:
                handler(self, worker, packet, payload)
            else:
                self._heard(worker, packet)
        elif target == ALL:
            self._send_all(payload, but=worker)
        else:
            self._pass(worker, target, manner, payload)

    def _pass(self, worker: int, target: int, manner: int, payload: bytes) -> None:
        link = self.links.get(target)
        if link is not None and (manner == NEEDED or link.backlog <= ROOM):
            self._send(target, link, payload)
        elif manner == LOSABLE and worker in self.links:
            self.counters["hand_overs_returned"] += 1
            self.links[worker].send(HUB, payload, RETURNED)

    # what all have to know

    def _opened(self, worker: int, packet: wire.Opened, payload: bytes) -> None:
        self.ledger.opened(packet.flow)
        self._send_all(payload, but=worker)

    def _lost(self, worker: int, packet: wire.Lost, payload: bytes) -> None:
        self.ledger.lost(packet.cid)
        self._send_all(payload, but=worker)

    def _signed(self, worker: int, packet: wire.Signed, payload: bytes) -> None:
        self.ledger.signed(packet.peer, packet.worker)
        self._send_all(payload, but=worker)

    def _change(self, worker: int, packet: wire.Change, payload: bytes) -> None:
        """What comes too early waits behind what it came before: its worker shall know that when it plans anew."""
        link = self.links[worker]
        taken = self.ledger.take(packet)
        then = self._settled if taken else self._refused
        self.counters["changes_stale"] += not taken

        def done(error: Exception | None) -> None:  # called from the store's thread
            self._loop.call_soon_threadsafe(then, worker, link, packet, error)

        if taken:
            self._store.write_bindings([row for row, _, _ in packet.puts], packet.deletes, done)
        else:
            self._store.write_bindings([], [], done)

    def _settled(self, worker: int, link: Link, change: wire.Change, error: Exception | None) -> None:
        self.ledger.settled(change, done=error is None)
        if error is None:
            self.tell_all(wire.Changed(change.bucket, change.deletes, change.puts), but=worker)
        else:
            self.tell_all(wire.Voided(change.bucket))
        self._answer(worker, link, change, None if error is None else str(error))

    def _refused(self, worker: int, link: Link, change: wire.Change, error: Exception | None) -> None:
        self._answer(worker, link, change, STALE if error is None else str(error))

    def _answer(self, worker: int, link: Link, change: wire.Change, error: str | None) -> None:
        """To the very worker that asked: one that has come in its place has heard of the change as all others have."""
        if self.links.get(worker) is link:
            self.tell(worker, wire.Answer(change.key, change.bucket, error))
        elif error is None:
            self.tell(worker, wire.Changed(change.bucket, change.deletes, change.puts))

    async def keep_pruning(self) -> None:
        """Remove for ever what has run out."""
        while True:
            await asyncio.sleep(PRUNE_EVERY)
            now = time.time()
            self.ledger.prune(now)
            with suppress(StoreError):  # it is tried again
                await asyncio.to_thread(self._store.prune, now)


_HANDLERS: dict[type, Callable[[Hub, int, Any, bytes], None]] = {
    wire.Opened: Hub._opened,
    wire.Lost: Hub._lost,
    wire.Signed: Hub._signed,
    wire.Change: Hub._change,
}

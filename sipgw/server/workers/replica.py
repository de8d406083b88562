"""A worker's engine and shell as part of a whole: what the other workers do is done here too."""

import asyncio
from array import array
from collections.abc import Callable, Iterable

from sipgw.core.admission import MAX_BANNED
from sipgw.core.location import KEY, Binding, Subscription
from sipgw.core.ownership import Sharing, worker_of
from sipgw.engine import Engine
from sipgw.events import Flow, Listener, Send
from sipgw.message.errors import MalformedMessage
from sipgw.message.parser import parse_message
from sipgw.server.settings import shifted
from sipgw.server.shell import Shell
from sipgw.server.workers.wire import Changed, FlowData, Row, Snapshot

_FOREVER = float("-inf")


class Replica:
    """`listeners` are by their names; `offset` gives what the wall's clock is ahead of the engine's. `signed` are peers
    by datagram for whom another worker signs."""

    def __init__(
        self,
        number: int,
        engine: Engine,
        shell: Shell,
        listeners: Callable[[], dict[str, Listener]],
        offset: Callable[[], float],
    ) -> None:
        self.number = number
        self.engine = engine
        self.shell = shell
        self.sharing = Sharing(engine.layer, number)
        self.tasks: set[asyncio.Task[None]] = set()
        self.signed: dict[tuple[str, int], int] = {}
        self._listeners = listeners
        self._offset = offset
        self._loop = asyncio.get_running_loop()

    def load(self, snapshot: Snapshot) -> None:
        """How things are at the start. The registrations themselves are in the location service already."""
        self.sharing.alive = {*snapshot.alive, self.number}
        self.sharing.versions = array("I", snapshot.versions).tolist()
        for flow in snapshot.flows:
            self.opened(flow)
        self.signed.update(snapshot.signed)
        for key, cid, subscription in snapshot.homes:
            binding = self._find(key)
            if binding is not None:
                self._put(binding.row(), cid, subscription)

    def members(self, alive: Iterable[int]) -> None:
        """Connections of those that are gone are gone too."""
        self.sharing.alive = {*alive, self.number}
        for cid in [cid for cid in self.engine.layer.flows if worker_of(cid) not in self.sharing.alive]:
            self.lost(cid, "its worker has ended")
        for peer in [peer for peer, worker in self.signed.items() if worker not in self.sharing.alive]:
            del self.signed[peer]

    def signed_by(self, peer: tuple[str, int], worker: int) -> None:
        """Who signs what goes to a peer by datagram; -1 for nobody."""
        if worker < 0:
            self.signed.pop(peer, None)
        else:
            self.signed[peer] = worker

    def opened(self, data: FlowData) -> None:
        """A connection of another worker."""
        self.engine.connected(data.flow(self._listeners()))

    def lost(self, cid: int, reason: str) -> None:
        flow = self.engine.layer.flows.get(cid)
        if flow is not None:
            self.shell.perform(self.engine.connection_lost(flow, None, reason, self._loop.time()))
            self.shell.batch_done()

    def receive(self, data: bytes, flow: FlowData, passed: int) -> None:
        """A message that came to another worker."""
        known = self.engine.layer.flows.get(flow.cid) or flow.flow(self._listeners())
        self.sharing.passed = passed
        try:
            self.shell.handed(data, known)
        finally:
            self.sharing.passed = 0

    def send(self, cid: int, data: bytes) -> bool:
        """For another worker, over a connection of ours; signed, where its client has signed in."""
        flow = self.engine.layer.flows.get(cid)
        if flow is None or worker_of(cid) != self.number:
            return False
        sent = self.shell.write(cid, self.sealed(data, flow))
        self.shell.batch_done()
        return sent

    def send_datagram(self, listener: str, host: str, port: int, data: bytes) -> None:
        """For another worker, to a client that has signed in here."""
        flow = Flow("UDP", host, port, self._listeners().get(listener))
        self.shell.perform([Send(self.sealed(data, flow), flow)])

    def learn_ban(self, source: str, seconds: float) -> None:
        """Another worker does not hear a source for now; nor do we."""
        banned = self.engine.admission.banned
        if len(banned) < MAX_BANNED:
            banned[source] = max(banned.get(source, 0.0), self._loop.time() + seconds)

    def sealed(self, data: bytes, flow: Flow) -> bytes:
        """As it goes to a client: who has signed in here, only this worker can sign for."""
        gate = self.engine.gate
        if gate is None or not gate.signs_for(flow):
            return data
        try:
            message = parse_message(data)
        except MalformedMessage:
            return data
        gate.seal(message, flow)
        return message.encode()

    def changed(self, packet: Changed) -> None:
        """Registrations that another worker has changed."""
        self.sharing.versions[packet.bucket] += 1
        for key in packet.deletes:
            self._remove(tuple(key))
        offset = self._offset()
        for row, cid, subscription in packet.puts:
            self._put(shifted(row, -offset), cid, subscription)

    def _put(self, row: Row, cid: int, subscription: Subscription | None) -> None:
        binding = Binding(row, self.engine.layer.flows.get(cid))
        binding.subscription = subscription
        self._remove(binding.key)
        self.engine.location.add(binding)

    def _remove(self, key: Row) -> None:
        binding = self._find(key)
        if binding is not None:
            self.engine.location.remove(binding)

    def _find(self, key: Row) -> Binding | None:
        held = self.engine.location.bindings(key[KEY.index("aor")], _FOREVER)
        return next((binding for binding in held if binding.key == key), None)

"""The asyncio shell: reads sockets and the clock, calls the engine, performs the outputs. It decides nothing."""

import asyncio
import os
import ssl
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final

from sipgw.events import (
    Close,
    Flow,
    GiveWay,
    HandOver,
    Hop,
    Listener,
    Log,
    Notice,
    Output,
    Persist,
    Redial,
    Resolve,
    Send,
    SendKey,
)
from sipgw.locating import Answer
from sipgw.locating.records import SERVER_FAILURE
from sipgw.message.errors import MalformedMessage
from sipgw.server.connection import Connection, Prove
from sipgw.server.connector import Connector, Key
from sipgw.server.datagram import DatagramSocket, Put
from sipgw.server.ears import Ears
from sipgw.server.handshake import Arrivals, SecureListener
from sipgw.server.interfaces import Machine, Peers, Persister, Tap
from sipgw.server.limits import ShellLimits
from sipgw.server.pace import Pace
from sipgw.server.tls import TlsContexts
from sipgw.transport import stun

if TYPE_CHECKING:
    from sipgw.server.resolver import Resolver

SWEEP_EVERY: Final = 10.0  # seconds between looks for idle and half-open connections
HANDSHAKE: Final = 4  # times the time to connect that a client has for a TLS handshake: it comes from further away
SHORTEST_NAP, LONGEST_NAP = 0.01, 0.1  # seconds between looks at the timers


class Shell:
    """Runs one machine. `resolver` answers Resolve outputs, by default from the system's name servers; `persist`
    performs Persist outputs, `log` takes Log outputs, `notify` Notices; `trace` sees every message that
    comes, by the machine's clock, with what is decided. `first_cid` is what the ids of connections count up from, by
    default at random; `peers` are other workers."""

    def __init__(
        self,
        machine: Machine,
        *,
        limits: ShellLimits | None = None,
        tls: TlsContexts | None = None,
        log: Any = None,
        persist: Persister | None = None,
        notify: Callable[[Notice], None] | None = None,
        trace: Tap | None = None,
        resolver: "Resolver | None" = None,
        first_cid: int | None = None,
    ) -> None:
        self.machine = machine
        self.limits = limits or ShellLimits()
        self.counters: Counter[str] = Counter()
        self.trace = trace
        self._resolver = resolver
        self._loop = asyncio.get_running_loop()
        self.log = log
        self._persist = persist
        self.notify = notify
        self.arrivals = Arrivals()
        self._datagrams: dict[Listener, DatagramSocket] = {}
        self._any_datagram: list[DatagramSocket | None] = [None, None]  # the first for IPv4 and for IPv6
        self._servers: dict[Listener, asyncio.Server | SecureListener] = {}
        self._connections: dict[int, Connection] = {}
        self._per_peer: Counter[str] = Counter()
        self._unflushed: list[Connection] = []
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._late = 0
        self._behind = False
        self._resolving: set[asyncio.Task[None]] = set()
        # never the same ids again, also after a restart
        self._next_cid = first_cid if first_cid is not None else int.from_bytes(os.urandom(4)) << 32
        self.peers: Peers | None = None
        self._wrap: Callable[[Listener, Put], Put] | None = None
        self._connector = Connector(
            self._outgoing, self.send_failed, self._flush, tls, lambda: self.limits.connect_timeout
        )
        self._sweeper: asyncio.TimerHandle | None = None
        self._closing = False
        self._pace = Pace()
        self._turn_ends = False

    async def start(self, ears: list[Ears]) -> None:
        """Begin to read and accept."""
        await self.listen(ears)
        self._sweeper = self._loop.call_later(SWEEP_EVERY, self._sweep)
        self._arm()

    async def listen(self, ears: list[Ears]) -> None:
        """Read and accept at further addresses."""
        for ear in ears:
            if ear.listener.transport == "UDP":
                self._datagrams[ear.listener] = DatagramSocket(
                    ear.sock, ear.listener, self._datagram, self._burst_done, self.counters, self._pace
                )
                if self._wrap is not None:
                    sock = self._datagrams[ear.listener]
                    sock.send = self._wrap(ear.listener, sock.send)
            else:
                await self._serve(ear)
        self._choose_datagram()

    def _choose_datagram(self) -> None:
        sockets = self._datagrams.items()
        of_family = [[sock for known, sock in sockets if (":" in known.host) == ipv6] for ipv6 in (False, True)]
        self._any_datagram = [next(iter(found), None) for found in of_family]

    def put_before(self, wrap: Callable[[Listener, Put], Put]) -> None:
        """Have datagrams sent by what `wrap` makes of the way in which they are sent now, at addresses to come too."""
        self._wrap = wrap
        for listener, sock in self._datagrams.items():
            sock.send = wrap(listener, sock.send)

    def unlisten(self, listeners: list[Listener]) -> None:
        """Read and accept no longer at these addresses. Connections that were accepted there go on."""
        for listener in listeners:
            server, sock = self._servers.pop(listener, None), self._datagrams.pop(listener, None)
            if server is not None:
                server.close()
            if sock is not None:
                sock.close()
        self._choose_datagram()

    async def _serve(self, ear: Ears) -> None:
        if ear.listener.transport == "TLS":
            self._servers[ear.listener] = SecureListener(ear.sock, ear.listener, self)
        else:
            server = await self._loop.create_server(lambda: self.incoming(ear.listener), sock=ear.sock)
            self._servers[ear.listener] = server

    def use_tls(self, tls: TlsContexts) -> None:
        """Go by other certificates and authorities from now on. Connections that are open go on."""
        self._connector.tls = tls

    @property
    def patience(self) -> float:
        """Seconds that a client has for a TLS handshake."""
        return self.limits.connect_timeout * HANDSHAKE

    def server_context(self) -> ssl.SSLContext:
        assert self._connector.tls is not None, "a TLS listener needs Shell(tls=...)"
        return self._connector.tls.server

    # what connections and sockets call

    def _datagram(self, data: bytes, flow: Flow) -> None:
        if not data or data[0] < 65:  # no SIP message starts with less than an A
            self._keep_alive(data, flow)
        else:
            self.received(data, flow)

    def _keep_alive(self, data: bytes, flow: Flow) -> None:
        """What only keeps a NAT binding open, and what is not SIP at all."""
        if stun.is_stun(data):
            answer = stun.answer(data, flow.host, flow.port)
            if answer is not None:
                self._send_datagram(answer, flow.host, flow.port, flow.listener)
        elif (message := data.lstrip(b"\r\n")) and message != b"\0":  # §7.5
            self.received(message, flow)

    def received(self, data: bytes, flow: Flow) -> None:
        now = self._loop.time()
        self._pace.taken += 1
        outputs = self.machine.receive(data, flow, now)
        if self.trace is not None:
            self.trace(now, data, flow, outputs)
        self._perform(outputs)

    def handed(self, data: bytes, flow: Flow) -> None:
        """What came to another worker, which has told of it, and is for this one."""
        self.perform(self.machine.receive(data, flow, self._loop.time()))
        self.batch_done()

    def write(self, cid: int, data: bytes) -> bool:
        """Over a connection that is held here, for another worker; False when it is gone."""
        if (connection := self._connections.get(cid)) is not None:
            connection.write(data)
        return connection is not None

    @property
    def connection_count(self) -> int:
        """How many connections are held here."""
        return len(self._connections)

    def broken(self, error: MalformedMessage, flow: Flow) -> None:
        self.counters["broken_streams"] += 1
        now = self._loop.time()
        outputs = self.machine.receive_broken(error, flow, now)
        if self.trace is not None:
            self.trace(now, error.message if isinstance(error.message, bytes) else b"", flow, outputs)
        self._perform(outputs)

    def _burst_done(self, behind: float) -> None:
        """A burst of datagrams was read; `behind` is for how many seconds there have been more than could be taken."""
        if self._behind or behind > self.limits.max_delay:
            self._look_at_delay(self._loop.time())
        self.batch_done()

    def _look_at_delay(self, now: float) -> None:
        """Tell the machine when it is too much and when no longer. Streams show it by how late timers run."""
        limit = self.limits.max_delay
        behind = self._late > 1 or any(sock.behind(now) > limit for sock in self._datagrams.values())
        if behind != self._behind:
            self._behind = behind
            self.counters["overloads"] += behind
            self.machine.set_overloaded(behind, now)

    def batch_done(self) -> None:
        """What has come in was seen to. While much comes in, what is to be written waits for all that this turn of the
        loop brings."""
        if not self._pace.busy:
            self._see_off()
            self._pace.look(monotonic(), self.limits.gather)
        elif not self._turn_ends:
            self._turn_ends = True
            self._loop.call_soon(self._end_turn)

    def _see_off(self) -> None:
        if self._unflushed:
            self._flush()
        if self._timer is None:
            self._arm()

    def _end_turn(self) -> None:
        """Sleep in place, whole: a timer of the loop's costs several times as much and knows milliseconds only."""
        self._turn_ends = False
        if not self._closing:
            self._see_off()
            wait = self._pace.rest(monotonic(), self.limits.gather)
            if wait:
                sleep(wait)

    def written(self, connection: Connection) -> None:
        self._unflushed.append(connection)

    def run(self, action: Callable[[float], None], outputs: Callable[[], list[Output]]) -> None:
        """Let the machine's application act of its own accord: `action(now)`, then perform what it wants."""
        action(self._loop.time())
        self.perform(outputs())
        self.batch_done()

    def _flush(self) -> None:
        connections, self._unflushed = self._unflushed, []
        for connection in connections:
            connection.flush()

    def opened(self, connection: Connection) -> bool:
        peer = connection.flow.host
        limit = self.limits.max_per_peer
        refused = connection.hop is None and (
            len(self._connections) >= self.limits.max_connections
            or (limit and self._per_peer[peer] >= limit)
            or not self.machine.welcomes(peer, self._loop.time())
        )
        self._per_peer[peer] += 1
        self._connections[connection.flow.cid] = connection
        self.counters["connections_refused" if refused else "connections"] += 1
        self.machine.connected(connection.flow)
        if self.peers is not None:
            self.peers.opened(connection.flow)
        return not refused

    def closed(self, connection: Connection, reason: str) -> None:
        flow = connection.flow
        self._connections.pop(flow.cid, None)
        self._per_peer[flow.host] -= 1
        if not self._per_peer[flow.host]:
            del self._per_peer[flow.host]
        self._connector.closed(connection)
        if self.peers is not None:
            self.peers.closed(flow, reason)
        outputs = self.machine.connection_lost(flow, connection.hop, reason, self._loop.time())
        if self._closing:  # nobody is sent anything any more, or dialled for it
            self.perform([output for output in outputs if type(output) is not Send])
        else:
            self.perform(outputs)
            self.batch_done()

    # performing

    def perform(self, outputs: list[Output]) -> None:
        """Carry out what the machine decided of its own accord, in order."""
        if outputs and self.trace is not None:
            self.trace(self._loop.time(), b"", None, outputs)
        self._perform(outputs)

    def _perform(self, outputs: list[Output]) -> None:
        for output in outputs:
            if type(output) is Send:
                self._send(output)
            elif type(output) is Log:
                self._write_log(output)
            else:
                self._perform_rare(output)

    def _send(self, send: Send) -> None:
        to = send.to
        if type(to) is Flow:
            if to.cid:
                self._send_connected(send, to)
            else:
                self._send_datagram(send.data, to.host, to.port, to.listener, send.key)
        elif to.transport == "UDP":
            self._send_datagram(send.data, to.host, to.port, None, send.key)
        else:
            assert isinstance(to, Hop)
            self._connector.send(to, send.data, send.key)

    def _send_connected(self, send: Send, flow: Flow) -> None:
        connection = self._connections.get(flow.cid)
        if connection is not None:
            connection.write(send.data)
        elif self.peers is None or not self.peers.send(send, flow):
            self.send_failed(send.key, "connection closed")

    def _send_datagram(self, data: bytes, host: str, port: int, listener: Listener | None, key: SendKey = "") -> None:
        sock = self._datagrams.get(listener) if listener is not None else None
        if sock is None:
            sock = self._any_datagram[":" in host]
        if sock is None:
            self.counters["datagrams_dropped"] += 1
            self.send_failed(key, f"no UDP address of IPv{6 if ':' in host else 4} to send from in gateway.listen")
        else:
            sock.send(data, host, port)

    def send_failed(self, key: SendKey, reason: str) -> None:
        """What was to be sent is lost."""
        if key:
            self._loop.call_soon(self._report_failure, key, reason)
        else:
            self.counters["responses_lost"] += 1

    def _report_failure(self, key: SendKey, reason: str) -> None:
        self.perform(self.machine.send_failed(key, reason, self._loop.time()))
        self.batch_done()

    def _write_log(self, record: Log) -> None:
        if self.log is not None:
            getattr(self.log, record.level)(record.event, **record.fields)

    def _perform_rare(self, output: Output) -> None:
        if isinstance(output, Notice) and self.notify is not None:
            self.notify(output)
        elif isinstance(output, Persist):
            self._store(output)
        elif isinstance(output, HandOver) and self.peers is not None:
            self.peers.hand_over(output)
        elif isinstance(output, Resolve):
            task = self._loop.create_task(self._resolve(output))
            self._resolving.add(task)
            task.add_done_callback(self._resolving.discard)
        elif isinstance(output, Close):
            connection = self._connections.get(output.cid)
            if connection is not None:
                connection.close(output.reason)
        elif isinstance(output, Redial):
            if (silent := self._connector.redial(output.hop, output.since)) is not None:
                self.counters["connections_superseded"] += 1
                self.machine.superseded(silent.flow, output.hop)
        elif isinstance(output, GiveWay):
            self._connector.give_way(output.hop, output.key)

    def _store(self, persist: Persist) -> None:
        def done(error: str | None) -> None:  # called from the store's thread
            self._loop.call_soon_threadsafe(self.persisted, persist.key, error)

        if self._persist is None:
            self._loop.call_soon(self.persisted, persist.key, None)
        else:
            self._persist(persist, done)

    def persisted(self, key: int, error: str | None) -> None:
        """What became of a Persist."""
        self.perform(self.machine.persisted(key, error, self._loop.time()))
        self.batch_done()

    async def _resolve(self, wanted: Resolve) -> None:
        try:
            if self._resolver is None:  # only when it is needed: it reads files, and many a gateway asks for no name
                module = await asyncio.to_thread(import_module, "sipgw.server.resolver")
                self._resolver = module.Resolver()
            answer = await self._resolver.ask(wanted.question)
        except Exception as error:  # requests wait for it, whatever has happened
            answer = Answer(wanted.question, failure=SERVER_FAILURE, detail=f"{type(error).__name__}: {error}")
        self.perform(self.machine.resolved(answer, self._loop.time()))
        self.batch_done()

    # timers

    def _arm(self) -> None:
        """See to it that `_tick` runs in time.

        While anything is pending it runs at least every LONGEST_NAP, which is shorter than any timer that a message can
        start: so what a batch has started need not be looked at, and this costs nothing on the hot path. It runs at
        most every SHORTEST_NAP, so that thousands of lingering transactions do not wake the loop one by one.
        """
        if self._timer is None:
            deadline = self.machine.next_deadline()
            if deadline is not None:
                now = self._loop.time()
                when = min(max(deadline, now + SHORTEST_NAP), now + LONGEST_NAP)
                self._due = when
                self._timer = self._loop.call_at(when, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        self._late = self._late + 1 if now - self._due > self.limits.max_delay else 0  # once is an accident
        if self._behind or self._late:
            self._look_at_delay(now)
        self._timer = None
        self.perform(self.machine.handle_timers(now))
        self.batch_done()

    def _sweep(self) -> None:
        now = self._loop.time()
        for connection in list(self._connections.values()):
            if connection.overdue(now, self.limits.idle):
                self.counters["connections_timed_out"] += 1
                connection.abort("silent for too long")
        self._sweeper = self._loop.call_later(SWEEP_EVERY, self._sweep)

    # connections

    def _new_cid(self) -> int:
        self._next_cid += 1
        return self._next_cid

    def incoming(self, listener: Listener) -> Connection:
        sizes = (self.limits.max_head, self.limits.max_body)
        tls = self._connector.tls if listener.transport == "TLS" else None
        prove = tls.accepted_names if tls is not None else None
        return Connection(self, listener.transport, self._new_cid(), sizes, self._loop.time, listener, prove=prove)

    def _outgoing(self, hop: Hop, at: Key, prove: Prove | None) -> Connection:
        sizes = (self.limits.max_head, self.limits.max_body)
        return Connection(
            self, hop.transport, self._new_cid(), sizes, self._loop.time, hop=hop, pooled_as=at, prove=prove
        )

    def has_room(self, peer: str) -> bool:
        """Whether another TLS handshake may begin, and with this peer. One under way counts like a connection."""
        limits, arrivals = self.limits, self.arrivals
        full = len(self._connections) + arrivals.total >= limits.max_connections
        crowded = limits.max_per_peer and self._per_peer[peer] + arrivals.from_peer[peer] >= limits.max_per_peer
        if full or crowded or not self.machine.welcomes(peer, self._loop.time()):
            self.counters["connections_refused"] += 1
            return False
        return True

    def handshake_failed(self, listener: Listener, peer: str, reason: str) -> None:
        self.counters["handshakes_failed"] += 1
        if self.arrivals.worth_telling(peer, self._loop.time()):
            self._write_log(
                Log("warning", "TLS handshake failed", {"peer": peer, "at": str(listener), "reason": reason})
            )

    # ending

    async def stop_accepting(self) -> None:
        """Take no new connections; what is connected goes on."""
        for server in list(self._servers.values()):
            server.close()
            if isinstance(server, SecureListener):
                await server.closed()

    async def close(self) -> None:
        """Close everything at once."""
        self._closing = True
        await self.stop_accepting()
        await self.arrivals.abandon()
        await self._connector.close()
        for task in list(self._resolving):
            task.cancel()
        for handle in (self._timer, self._sweeper):
            if handle is not None:
                handle.cancel()
        for connection in list(self._connections.values()):
            connection.close("shutting down")
        for sock in self._datagrams.values():
            sock.close()
        await asyncio.sleep(0)  # connection_lost callbacks run in the next turn of the loop

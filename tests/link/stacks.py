"""The project's own stacks as nodes of the network; the gateway, which counts what its transaction user is told."""

from collections import Counter
from collections.abc import Callable

from sipgw.events import Flow, Hop, Listener, Output, Persist, Send
from sipgw.message.message import Request, Response
from sipgw.registry import Server
from sipgw.transaction.client import ClientTransaction, ClientUser
from sipgw.transaction.layer import TransactionUser
from sipgw.transaction.server import ServerTransaction
from sipgw.transaction.stack import Stack
from tests.harness import GATEWAY, default_endpoint, default_pool, make_engine
from tests.link.network import Connection, Network, Node
from tests.link.record import Heard


class StackNode:
    """A stack on the network: performs its outputs, wakes it at its deadlines."""

    def __init__(self, net: Network, name: str, host: str, port: int, transport: str, stack: Stack) -> None:
        self.net = net
        self.name = name
        self.host = host
        self.port = port
        self.transport = transport
        self.stack = stack
        self.listener = Listener(transport, host, port, f"{host}:{port}")
        self._flows: dict[int, tuple[Flow, Connection, Hop | None]] = {}
        self._alarm: float | None = None
        net.add(self)

    # what the network calls

    def receive(self, data: bytes, source: Node, connection: Connection | None) -> None:
        if connection is None:
            flow = Flow("UDP", source.host, source.port, self.listener)
        else:
            flow = self._flows[connection.number][0]
        self.perform(self.stack.receive(data, flow, self.net.now))

    def connected(self, connection: Connection) -> None:
        self._open(connection, None)

    def lost(self, connection: Connection) -> None:
        flow, _, hop = self._flows.pop(connection.number)
        self.perform(self.stack.connection_lost(flow, hop, "reset", self.net.now))

    # outputs

    def perform(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Send):
                self._send(output)
            else:
                self._other(output)
        self._set_alarm()

    def _other(self, output: Output) -> None:
        """Nothing but log lines is expected, and that a connection is thought dead, which the links here tell by
        themselves."""
        assert type(output).__name__ in ("Log", "Redial"), output

    def _send(self, send: Send) -> None:
        to = send.to
        if to.transport == "UDP":
            self.net.datagram(self, to.host, to.port, send.data)
            return
        connection = self._way(to)
        if connection is None:
            if send.key:
                self.perform(self.stack.send_failed(send.key, "no way", self.net.now))
            return
        self.net.stream(self, connection, send.data)

    def _way(self, to: Flow | Hop) -> Connection | None:
        if isinstance(to, Flow):
            held = self._flows.get(to.cid)
            return held[1] if held is not None else None
        for _, connection, hop in self._flows.values():
            if hop == to:
                return connection
        made = self.net.dial(self, to.host, to.port)
        if made is not None:
            self._open(made, to)
        return made

    def _open(self, connection: Connection, hop: Hop | None) -> None:
        peer = connection.peer(self)
        listener = self.listener if hop is None else None
        flow = Flow(self.transport, peer.host, peer.port, listener, connection.number)
        self._flows[connection.number] = (flow, connection, hop)
        self.stack.connected(flow)

    # deadlines

    def _set_alarm(self) -> None:
        deadline = self.stack.next_deadline()
        if deadline is not None and (self._alarm is None or deadline < self._alarm):
            self._alarm = deadline
            self.net.at(deadline, self._wake(deadline))

    def _wake(self, deadline: float) -> Callable[[], None]:
        def wake() -> None:
            if self._alarm == deadline:
                self._alarm = None
                self.perform(self.stack.handle_timers(self.net.now))

        return wake


class Gateway(StackNode):
    """The engine under test. `heard` are the requests that came up to its transaction user, `finals` how often the user
    of each client transaction was told that it is over."""

    def __init__(self, net: Network, transport: str, servers: list[Server], store_delay: float) -> None:
        self.engine = make_engine([default_pool(*servers)], [default_endpoint()])
        super().__init__(net, "gateway", GATEWAY, 5060, transport, self.engine)
        self._store_delay = store_delay
        self.heard: list[Heard] = []
        self.finals: Counter[str] = Counter()
        self.engine.layer.user = _HeardRequests(self.engine.layer.user, self.heard)

    def perform(self, outputs: list[Output]) -> None:
        for client in self.engine.layer._clients.values():  # before anything can answer a new one
            if client.method != "CANCEL" and not isinstance(client.user, _HeardResponses):
                client.user = _HeardResponses(client.user, self.finals)
        super().perform(outputs)

    def _other(self, output: Output) -> None:
        if isinstance(output, Persist):
            key = output.key
            self.net.after(
                self.net.random.random() * self._store_delay,
                lambda: self.perform(self.engine.persisted(key, None, self.net.now)),
            )
        else:
            super()._other(output)


class _HeardRequests:
    """Stands before the proxy core and takes notes."""

    def __init__(self, user: TransactionUser, heard: list[Heard]) -> None:
        self._user = user
        self._heard = heard

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        request, branch = transaction.request, transaction.key[0]
        what = transaction.method, request.call_id, request.first("cseq") or "", branch
        self._heard.append(Heard(what, branch, now))
        self._user.on_request(transaction, now)

    def on_ack(self, ack: Request, flow: Flow, now: float) -> None:
        self._user.on_ack(ack, flow, now)

    def on_stray_response(self, response: Response, flow: Flow, now: float) -> None:
        self._user.on_stray_response(response, flow, now)


class _HeardResponses:
    """Stands before a response context and counts final outcomes."""

    def __init__(self, user: ClientUser, finals: Counter[str]) -> None:
        self._user = user
        self._finals = finals

    def on_response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        if response.status >= 300 or (response.status >= 200 and transaction.method != "INVITE"):
            self._finals[transaction.key] += 1
        self._user.on_response(transaction, response, now)

    def on_failure(self, transaction: ClientTransaction, reason: str, now: float) -> None:
        self._finals[transaction.key] += 1
        self._user.on_failure(transaction, reason, now)

"""A virtual world around one engine: a clock that tests move, scripted parties, and nothing that waits.

A scenario reads as a ladder. `party >> message` puts a message on the wire towards the gateway, `party << "INVITE"` or
`party << 180` takes the next message that the gateway sent to that party and checks what it is:

    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    at_pool = pool << "INVITE"
    pool >> reply(at_pool, 200)
    alice << 200

All outputs are performed at once, in order. Names are looked up in `world.names`, rows stored as `world.store` says.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sipgw.engine import Engine, EngineSettings
from sipgw.events import UNTRUSTED, Close, Flow, GiveWay, Hop, Listener, Log, Output, Persist, Redial, Resolve, Send
from sipgw.message import Message, Request, Response, parse_message
from sipgw.message.build import new_request, response_to
from sipgw.message.values import bracketed, parse_name_addr
from sipgw.registry import Endpoint, Pool, Registry, Server
from sipgw.transport.framing import StreamFramer
from tests.zone import answer

SIPE = Path(__file__).parent / "data" / "pidgin-sipe"
DOMAIN = "example.test"
FQDN = "sipgw.example.test"
SECRET = b"0123456789abcdef0123456789abcdef"
CONTACT_OBJECT = f"sip:ocschat@{DOMAIN}"
POOL_FQDN = f"pcpool.{DOMAIN}"
SERVICE_URI = f"sip:GC-1-PersistentChatService-1@{DOMAIN}"
GATEWAY = "192.0.2.1"
GATEWAY6 = "2001:db8::1"
POOL_SERVERS = (Server("TCP", "192.0.2.51", 5041), Server("TCP", "192.0.2.52", 5041))
UP, REFUSING, SILENT, DISTRUSTED = "up", "refusing", "silent", "distrusted"


def default_pool(*servers: Server) -> Pool:
    return Pool(POOL_FQDN, servers or POOL_SERVERS, SERVICE_URI)


def default_endpoint(pool: str = POOL_FQDN, *, enabled: bool = True, user: str = "ocschat") -> Endpoint:
    return Endpoint(f"sip:{user}@{DOMAIN}", pool, "Legacy Group Chat", declared=True, enabled=enabled)


def make_registry(pools: Sequence[Pool], endpoints: Sequence[Endpoint]) -> Registry:
    """The only place that knows how a Registry is made."""
    return Registry(pools, declared=endpoints, domains=(DOMAIN,))


def make_listeners() -> list[Listener]:
    """UDP, TCP and TLS on IPv4 and on IPv6."""
    ports = ("UDP", 5060), ("TCP", 5060), ("TLS", 5061)
    places = [(host, *one) for host in (GATEWAY, GATEWAY6) for one in ports]
    named = [(*place, FQDN if place[1] == "TLS" else bracketed(place[0])) for place in places]
    return [Listener(transport, host, port, f"{name}:{port}") for host, transport, port, name in named]


def make_engine(
    pools: Sequence[Pool] | None = None, endpoints: Sequence[Endpoint] | None = None, seed: int = 1, **settings: Any
) -> Engine:
    pools = [default_pool()] if pools is None else pools
    endpoints = [default_endpoint()] if endpoints is None else endpoints
    settings.setdefault("secret", SECRET)
    values = EngineSettings(FQDN, frozenset({DOMAIN}), **settings)
    return Engine(values, make_registry(pools, endpoints), make_listeners(), Random(seed))


def reply(
    request: Message,
    status: int,
    *headers: str,
    tag: str = "remote",
    contact: str = "",
    body: bytes = b"",
    routes: bool = True,
) -> Response:
    """What a user agent answers: Record-Route copied into what opens a dialog (RFC 3261 §12.1.1)."""
    assert isinstance(request, Request)
    lines = (
        [f"Record-Route: {value}" for value in request.values("record-route")] if routes and 100 < status < 300 else []
    )
    if contact:
        lines.append(f"Contact: <{contact}>")
    return response_to(request, status, to_tag=tag, headers=[*lines, *headers], body=body)


@dataclass
class Dialog:
    """One side of a dialog, kept by a test party (RFC 3261 §12)."""

    party: "Party"
    call_id: str
    local: str
    remote: str
    target: str
    routes: list[str]
    invite_cseq: int = 1
    cseq: int = 1

    def request(self, method: str, *headers: str, body: bytes = b"", branch: str = "") -> Request:
        if method != "ACK":
            self.cseq += 1
        number = self.invite_cseq if method == "ACK" else self.cseq
        via = self.party.via(branch or self.party.new_branch())
        lines = [f"Via: {via}", *[f"Route: {route}" for route in self.routes], "Max-Forwards: 70"]
        lines += [f"From: {self.local}", f"To: {self.remote}", f"Call-ID: {self.call_id}", f"CSeq: {number} {method}"]
        return new_request(method, self.target, [*lines, *headers], body)


@dataclass(eq=False)
class Party:
    """Something that speaks SIP with the gateway. `flow` is how; a pool server has none before it is dialled."""

    world: "World"
    name: str
    transport: str
    host: str
    port: int
    flow: Flow | None = None
    state: str = UP
    inbox: list[Message] = field(default_factory=list)
    sent: dict[str, Request] = field(default_factory=dict)
    instance: str = ""
    listens: bool = False
    names: tuple[str, ...] = ()
    heard: float = 0.0
    _serial: int = 0

    # the ladder

    def __rshift__(self, message: Message | bytes) -> "Party":
        """Send to the gateway."""
        if isinstance(message, Request) and message.method == "INVITE":
            self.sent[message.call_id] = message
        data = message if isinstance(message, bytes) else message.encode()
        assert self.flow is not None, f"{self.name} has no way to the gateway"
        self.heard = self.world.now
        self.world.perform(self.world.engine.receive(data, self.flow, self.world.now))
        return self

    def __lshift__(self, expected: str | int) -> Any:
        """Take the next message received: a method, or a status."""
        assert self.inbox, f"{self.name} received nothing, not {expected}"
        message = self.inbox.pop(0)
        got = message.method if isinstance(message, Request) else message.status  # type: ignore[attr-defined]
        assert got == expected, f"{self.name} received {message.start!r}, not {expected}"
        return message

    def nothing(self) -> None:
        """Assert that there is nothing more."""
        assert not self.inbox, f"{self.name} received {[message.start for message in self.inbox]}"

    # messages

    @property
    def uri(self) -> str:
        return f"sip:{self.name}@{DOMAIN}"

    @property
    def contact(self) -> str:
        tail = "" if self.transport == "UDP" else f";transport={self.transport.lower()}"
        return f"sip:{self.name}@{bracketed(self.host)}:{self.port}{tail}"

    def new_branch(self) -> str:
        self._serial += 1
        return f"z9hG4bK-{self.name}-{self._serial}"

    def via(self, branch: str) -> str:
        return f"SIP/2.0/{self.transport} {bracketed(self.host)}:{self.port};branch={branch}"

    def request(
        self,
        method: str,
        uri: str,
        *headers: str,
        to: str = "",
        call_id: str = "",
        cseq: int = 1,
        branch: str = "",
        hops: int | None = 70,
        contact: bool = True,
        body: bytes = b"",
    ) -> Request:
        """A request outside any dialog, From this party, To the Request-URI unless told."""
        branch = branch or self.new_branch()
        lines = [f"Via: {self.via(branch)}"]
        lines += [] if hops is None else [f"Max-Forwards: {hops}"]
        lines += [f"From: <{self.uri}>;tag={self.name}-tag", f"To: <{to or uri}>"]
        lines += [f"Call-ID: {call_id or f'{self.name}-{method}-{self._serial}'}", f"CSeq: {cseq} {method}"]
        if contact and method in ("INVITE", "SUBSCRIBE"):
            lines.append(f"Contact: <{self.contact}>")
        return new_request(method, uri, [*lines, *headers], body)

    def register(self, *headers: str, expires: int = 600, contact: str = "", cseq: int = 1, **more: Any) -> Request:
        """A plain registration of this party's contact."""
        instance = f';+sip.instance="<urn:uuid:{self.instance}>"' if self.instance else ""
        line = f"Contact: <{contact or self.contact}>{instance}"
        more.setdefault("call_id", f"{self.name}-registration")
        return self.request(
            "REGISTER", f"sip:{DOMAIN}", line, f"Expires: {expires}", *headers, to=self.uri, cseq=cseq, **more
        )

    def sign_in(self) -> Response:
        """Register and take the 200."""
        self._serial += 1
        self >> self.register(cseq=self._serial)
        answer: Response = self << 200
        return answer

    def cancel(self, invite: Request) -> Request:
        """§9.1: the CANCEL of an INVITE that this party sent."""
        lines = [f"Via: {invite.first('via')}", f"From: {invite.first('from')}", f"To: {invite.first('to')}"]
        lines += [f"Call-ID: {invite.call_id}", f"CSeq: {invite.cseq.number} CANCEL", "Max-Forwards: 70"]
        return new_request("CANCEL", invite.uri, lines)

    def ack_failure(self, response: Response) -> Request:
        """§17.1.1.3: the ACK to a failure of an INVITE that this party sent."""
        invite = self.sent[response.call_id]
        lines = [f"Via: {invite.first('via')}", f"From: {invite.first('from')}", f"To: {response.first('to')}"]
        lines += [f"Call-ID: {invite.call_id}", f"CSeq: {invite.cseq.number} ACK", "Max-Forwards: 70"]
        return new_request("ACK", invite.uri, lines)

    def calling(self, ok: Response) -> Dialog:
        """The caller's side of the dialog that a 2xx opened."""
        invite = self.sent[ok.call_id]
        contacts = ok.values("contact")
        target = parse_name_addr(contacts[0]).uri if contacts else invite.uri
        routes = ok.values("record-route")[::-1]
        number = invite.cseq.number
        return Dialog(self, ok.call_id, str(invite.first("from")), str(ok.first("to")), target, routes, number, number)

    def called(self, invite: Request, ok: Response) -> Dialog:
        """The callee's side of the dialog that its own 2xx opened."""
        target = parse_name_addr((invite.values("contact") or [str(invite.first("from"))])[0]).uri
        routes = invite.values("record-route")
        return Dialog(self, invite.call_id, str(ok.first("to")), str(invite.first("from")), target, routes, cseq=0)

    def fail_call(self, status: int) -> Response:
        """Take a failure of this party's INVITE and acknowledge it."""
        response: Response = self << status
        self >> self.ack_failure(response)
        return response

    # the connection

    def break_connection(self, reason: str = "connection reset") -> None:
        assert self.flow is not None
        flow, self.flow = self.flow, None
        self.world.disconnect(flow, reason)

    def connect(self, port: int = 0) -> None:
        """Open a (new) connection to the gateway."""
        if port and not self.listens:
            self.port = port
        self.flow = self.world.open(self, self.transport, port or self.port, inbound=True)


class World:
    """One engine and all around it. Settings beyond pools and endpoints go to EngineSettings."""

    def __init__(
        self, pools: Sequence[Pool] | None = None, endpoints: Sequence[Endpoint] | None = None, **settings: Any
    ) -> None:
        self.now = 1000.0
        self.engine = make_engine(pools, endpoints, **settings)
        self.listeners = self.engine.router.own.listeners
        self.logs: list[Log] = []
        self.closed: list[Close] = []
        self.persisted: list[Persist] = []
        self.held: list[Persist | Resolve] = []
        self.resolved: list[str] = []
        self.names: dict[str, list[str]] = {}
        self.store = "answers"  # or "holds", or the text of an error
        self.resolver = "answers"  # or "holds"
        self._flows: dict[int, tuple[Flow, Party, Hop | None]] = {}
        self._parties: list[Party] = []
        self._next_cid = 0x100

    # who is there

    def phone(
        self,
        name: str,
        transport: str = "TCP",
        host: str = "198.51.100.7",
        port: int = 0,
        instance: str = "",
        names: tuple[str, ...] = (),
    ) -> Party:
        """A client. Over TCP and TLS it is connected; `names` are what its certificate proves."""
        party = Party(self, name, transport, host, port or 40000 + len(self._parties), instance=instance, names=names)
        self._parties.append(party)
        party.flow = self.open(party, transport, party.port, inbound=True)
        return party

    def server(
        self, transport: str = "TCP", host: str = "192.0.2.51", port: int = 5041, name: str = "ocschat"
    ) -> Party:
        """Something that listens: the gateway dials it. Over UDP it can send at once."""
        party = Party(self, name, transport, host, port, listens=True)
        self._parties.append(party)
        if transport == "UDP":
            party.flow = self.open(party, transport, port, inbound=True)
        return party

    def pool_servers(self) -> list[Party]:
        """One party for each server of the default pool."""
        return [self.server(one.transport, one.host, one.port) for one in POOL_SERVERS]

    def listener(self, transport: str, host: str) -> Listener:
        of_family = [listener for listener in self.listeners if (":" in listener.host) == (":" in host)]
        return next(listener for listener in of_family if listener.transport == transport)

    def open(self, party: Party, transport: str, port: int, *, inbound: bool, hop: Hop | None = None) -> Flow:
        listener = self.listener(transport, party.host) if inbound else None
        if transport == "UDP":
            return Flow("UDP", party.host, port, listener)
        self._next_cid += 1
        flow = Flow(transport, party.host, port, listener, self._next_cid, party.names)
        self._flows[flow.cid] = (flow, party, hop)
        self.engine.connected(flow)
        return flow

    def disconnect(self, flow: Flow, reason: str) -> None:
        _, _, hop = self._flows.pop(flow.cid)
        self.perform(self.engine.connection_lost(flow, hop, reason, self.now))

    # what the gateway wants done

    def perform(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Send):
                self._deliver(output)
            elif isinstance(output, Log):
                self.logs.append(output)
            elif isinstance(output, Close):
                self.closed.append(output)
            elif isinstance(output, Persist):
                self.persisted.append(output)
                self._store(output)
            elif isinstance(output, Redial | GiveWay):
                self._redial(output)
            elif isinstance(output, Resolve):
                if output.question.type != "AAAA":
                    self.resolved.append(output.question.name)
                self._resolve(output)
            else:
                raise AssertionError(f"not expected of an engine: {output!r}")

    def _store(self, output: Persist) -> None:
        if self.store == "holds":
            self.held.append(output)
        else:
            error = None if self.store == "answers" else self.store
            self.perform(self.engine.persisted(output.key, error, self.now))

    def _resolve(self, output: Resolve) -> None:
        if self.resolver == "holds":
            self.held.append(output)
        else:
            self.perform(self.engine.resolved(answer(output.question, self.names), self.now))

    def release(self, error: str | None = None) -> None:
        """Answer what was held."""
        held, self.held = self.held, []
        for output in held:
            if isinstance(output, Persist):
                self.perform(self.engine.persisted(output.key, error, self.now))
            else:
                self.perform(self.engine.resolved(answer(output.question, self.names), self.now))

    def _deliver(self, send: Send) -> None:
        party = self._way(send)
        if party is not None and party.state == UP:
            party.inbox.append(self._read(send))

    def _way(self, send: Send) -> Party | None:
        """Who gets it; None when it is lost, after the failure was reported where the transport would notice."""
        to = send.to
        if to.transport == "UDP":
            return self._at(to)
        if isinstance(to, Flow):
            if to.cid in self._flows:
                return self._flows[to.cid][1]
            self._refuse(send, "not connected")
            return None
        return self._dial(send, to)

    def _dial(self, send: Send, hop: Hop) -> Party | None:
        for _, connected, opened_for in self._flows.values():
            if opened_for == hop:
                return connected
        party = self._at(hop)
        if party is None or not party.listens or party.state in (REFUSING, DISTRUSTED):
            distrusted = party is not None and party.state == DISTRUSTED
            self._refuse(send, f"{UNTRUSTED}: self-signed certificate" if distrusted else "connection refused")
            return None
        if party.state == UP:
            party.flow = self.open(party, hop.transport, hop.port, inbound=False, hop=hop)
        return party

    def _redial(self, output: Redial | GiveWay) -> None:
        to_hop = [(flow, party) for flow, party, opened_for in self._flows.values() if opened_for == output.hop]
        if isinstance(output, GiveWay) and not to_hop:
            self.perform(self.engine.send_failed(output.key, "slow to connect", self.now))
        for flow, party in to_hop:
            if isinstance(output, Redial) and party.heard < output.since:
                self._flows[flow.cid] = (flow, party, None)
                self.engine.superseded(flow, output.hop)

    def _at(self, to: Flow | Hop) -> Party | None:
        address = (to.transport, to.host, to.port)
        return next((one for one in self._parties if (one.transport, one.host, one.port) == address), None)

    def _refuse(self, send: Send, reason: str) -> None:
        if send.key:
            self.perform(self.engine.send_failed(send.key, reason, self.now))

    @staticmethod
    def _read(send: Send) -> Message:
        """Parse what was sent; on a stream it must also frame as exactly one message."""
        if send.to.transport != "UDP":
            assert StreamFramer(65536, 1 << 20).feed(send.data) == [send.data]
        return parse_message(send.data)

    # time

    def advance(self, seconds: float) -> None:
        """Let time pass, running timers at every deadline on the way."""
        end = self.now + seconds
        stuck = 0
        while (deadline := self.engine.next_deadline()) is not None and deadline <= end:
            stuck = stuck + 1 if deadline <= self.now else 0
            assert stuck < 100, "timers run without time passing"
            self.now = max(self.now, deadline)
            self.perform(self.engine.handle_timers(self.now))
        self.now = end

    def failures(self) -> list[dict[str, Any]]:
        """The fields of every logged failure."""
        return [log.fields for log in self.logs if log.event == "request failed"]

    def finish(self) -> None:
        """After all timers nothing is left."""
        assert not self.held, "the scenario ends with questions of the engine unanswered"
        self.advance(100_000.0)
        sizes = self.engine.sizes()
        left = (sizes.server_transactions, sizes.client_transactions, sizes.timers, sizes.bindings)
        assert left == (0, 0, 0, 0), f"left behind: {sizes}"
        assert sizes.connections == len(self._flows)
        assert (self.engine.next_deadline(), self.engine.layer._by_peer) == (None, {})
        assert (sizes.parked, sizes.waiting) == (0, 0)


def sipe_message(number: str) -> Request:
    """A message that pidgin-sipe put on the wire; see data/pidgin-sipe."""
    (path,) = SIPE.glob(f"{number}-*.sip")
    message = parse_message(path.read_bytes())
    assert isinstance(message, Request)
    return message


def diagnostics_of(response: Message) -> tuple[int, str]:
    """ms-diagnostics id and the whole value; the source is checked."""
    value = response.first("ms-diagnostics")
    assert value is not None, f"no ms-diagnostics in {response.lines}"
    assert f'source="{FQDN}"' in value
    return int(value.partition(";")[0]), value


MakeWorld = Callable[..., World]


@pytest.fixture
def make_world() -> Iterator[MakeWorld]:
    """Makes worlds; each is checked for leftovers at the end."""
    made: list[World] = []

    def make(*args: Any, **settings: Any) -> World:
        made.append(World(*args, **settings))
        return made[-1]

    yield make
    for world in made:
        world.finish()


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """Two pool servers over TCP, one declared endpoint."""
    return make_world()

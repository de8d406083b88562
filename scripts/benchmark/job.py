"""The job "group-chat lookup call" in memory: a caller, the engine alone, and the pool behind it.

INVITE to the contact object, 100, 200, ACK, two INFOs with 300 bytes and their 200s, BYE, 200.
"""

from dataclasses import dataclass
from random import Random
from time import thread_time

from sipgw.engine import Engine, EngineSettings
from sipgw.events import Flow, Listener, Send
from sipgw.message import Request, Response, parse_message
from sipgw.message.build import new_request, response_to
from sipgw.registry import Endpoint, Pool, Registry, Server

CONTACT_OBJECT, BODY = "sip:ocschat@contoso.com", b"x" * 300
INFO = "Content-Type: text/plain;charset=UTF-8"
MESSAGES = 10  # that leave the engine in one call, 100 included


@dataclass(frozen=True)
class Step:
    """Something that happened to the engine: a message from the pool or the caller; None where time went by."""

    data: bytes | None
    from_pool: bool
    now: float


@dataclass(frozen=True)
class Site:
    """Who talks to the engine, and over what."""

    transport: str
    listener: Listener
    caller: Flow
    pool: Flow


def site(transport: str) -> Site:
    """The parties on "UDP" or "TCP"."""
    listener = Listener(transport, "127.0.0.1", 5060, "127.0.0.1:5060")
    caller, pool = (1, 2) if transport != "UDP" else (0, 0)
    behind = listener if transport == "UDP" else None
    return Site(
        transport,
        listener,
        Flow(transport, "127.0.0.1", 6000, listener, caller),
        Flow(transport, "127.0.0.1", 5041, behind, pool),
    )


def engine_of(place: Site, contact_objects: list[str], fqdn: str = "127.0.0.1") -> Engine:
    """As `sipgw serve` has it with log.level = "warning". The same each time, so that what was said once fits again."""
    pool = Pool("pcpool.contoso.com", (Server(place.transport, "127.0.0.1", 5041),), "sip:service@contoso.com")
    registry = Registry([pool], [Endpoint(address, pool.fqdn) for address in contact_objects])
    settings = EngineSettings(fqdn, frozenset({"contoso.com"}), bytes(32), verbose=False)
    engine = Engine(settings, registry, [place.listener], Random(1))
    for flow in (place.caller, place.pool):
        if flow.cid:
            engine.connected(flow)
    return engine


class Caller:
    """Makes calls through an engine of its own and plays the pool. `spent` is the engine's CPU in seconds, `steps` all
    that it was given. `interval` is the time from call to call, on its clock."""

    def __init__(self, place: Site, engine: Engine, user: str = "alice", interval: float = 0.001) -> None:
        self.place, self.engine, self.user, self.interval = place, engine, user, interval
        self.spent, self.now, self.calls = 0.0, 0.0, 0
        self.steps: list[Step] = []

    def call(self, contact_object: str = CONTACT_OBJECT) -> None:
        self.calls += 1
        self.now += self.interval
        invite = self.at_pool(self.request("INVITE", contact_object, 1, "Content-Type: application/sdp", body=BODY))
        contact = f"<sip:ocschat@127.0.0.1:5041;transport={self.place.transport.lower()}>"
        routes = [f"Record-Route: {value}" for value in invite.values("record-route")]
        answer = response_to(invite, 200, to_tag="p", headers=[*routes, f"Contact: {contact}"], body=BODY)
        (ok,) = self.receive(answer, self.place.pool)
        self._in_dialog(contact_object, contact.strip("<>"), ok)
        self.pass_time()

    def _in_dialog(self, contact_object: str, target: str, ok: bytes) -> None:
        route = [f"Route: {value}" for value in reversed(parse_message(ok).values("record-route"))]
        to = f"To: <{contact_object}>;tag=p"
        self.at_pool(self.request("ACK", target, 1, *route, to=to))
        for number, method in ((2, "INFO"), (3, "INFO"), (4, "BYE")):
            headers, body = ([*route, INFO], BODY) if method == "INFO" else (route, b"")
            there = self.at_pool(self.request(method, target, number, *headers, to=to, body=body))
            self.receive(response_to(there, 200), self.place.pool)

    def pass_time(self) -> None:
        self.steps.append(Step(None, False, self.now))
        began = thread_time()
        self.engine.handle_timers(self.now)
        self.spent += thread_time() - began

    def at_pool(self, request: Request) -> Request:
        """Send to the gateway; the request as the pool gets it."""
        forwarded = parse_message(self.receive(self.prepared(request), self.place.caller)[-1])
        assert isinstance(forwarded, Request), forwarded.start
        return forwarded

    def prepared(self, request: Request) -> Request:
        """The request as this caller sends it."""
        return request

    def request(self, method: str, uri: str, number: int, *headers: str, body: bytes = b"", to: str = "") -> Request:
        transport, call = self.place.transport, self.calls
        lines = [f"Via: SIP/2.0/{transport} 127.0.0.1:6000;branch=z9hG4bK{call}{method}{number}", "Max-Forwards: 70"]
        lines += [f"From: <sip:{self.user}@contoso.com>;tag=f{call};epid=01", to or f"To: <{uri}>"]
        lines += [f"Call-ID: c{call}@bench", f"CSeq: {number} {method}", "User-Agent: bench/1 (legacy client)"]
        lines += ["Supported: ms-sender", f"Contact: <sip:{self.user}@127.0.0.1:6000>"]
        return new_request(method, uri, [*lines, *headers], body)

    def receive(self, message: Request | Response, flow: Flow) -> list[bytes]:
        """The engine's turn; what it sends."""
        data = message.encode()
        self.steps.append(Step(data, flow is self.place.pool, self.now))
        began = thread_time()
        outputs = self.engine.receive(data, flow, self.now)
        self.spent += thread_time() - began
        return [output.data for output in outputs if isinstance(output, Send)]


def replay(place: Site, engine: Engine, steps: list[Step]) -> int:
    """Give an engine what another one like it was given. How many messages it sent."""
    sent = 0
    for step in steps:
        if step.data is None:
            outputs = engine.handle_timers(step.now)
        else:
            outputs = engine.receive(step.data, place.pool if step.from_pool else place.caller, step.now)
        for output in outputs:
            sent += isinstance(output, Send)
    return sent

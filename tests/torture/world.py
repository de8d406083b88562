"""The virtual world of the torture tests: what a message does, over UDP and over TCP."""

from ipaddress import ip_network
from random import Random

from sipgw.core.admission import Rates
from sipgw.engine import Engine, EngineSettings
from sipgw.events import Flow, Send
from sipgw.message import MalformedMessage, Message, Request, Response, parse_message
from sipgw.registry import Registry
from sipgw.transport.framing import StreamFramer
from tests.harness import SECRET, World, make_listeners
from tests.torture.expectations import CALLEES, CLOSED, DOMAINS, DROPPED, FORWARDED, FQDN, GOES_ON, SWALLOWED

SENDER, CALLEE = "198.51.100.7", "192.0.2.60"
NAMES = {"registrar.example.com": ["192.0.2.61"], "host.example.net": ["192.0.2.62"]}
AFTER = (
    b"OPTIONS sip:example.com SIP/2.0\r\nVia: SIP/2.0/TCP 198.51.100.7;branch=z9hG4bKafter\r\nMax-Forwards: 70\r\n"
    b"From: <sip:someone@example.com>;tag=1\r\nTo: <sip:example.com>\r\nCall-ID: after\r\nCSeq: 1 OPTIONS\r\n"
    b"Content-Length: 0\r\n\r\n"
)


class TortureWorld(World):
    """A gateway for the domains of the messages with their callees signed in. `sent` is what it sent, read again."""

    def __init__(self, trusted: bool = True) -> None:
        super().__init__()
        networks = (ip_network("198.51.100.0/24"),) if trusted else ()
        settings = EngineSettings(FQDN, frozenset(DOMAINS), SECRET, networks, rates=Rates())
        self.engine = Engine(settings, Registry((), domains=DOMAINS), make_listeners(), Random(1))
        self.listeners = self.engine.router.own.listeners
        self.names = dict(NAMES)
        self.sent: list[tuple[Send, Message]] = []
        self.left = b""
        for number, callee in enumerate(CALLEES):
            self._sign_in(number, callee)

    def _sign_in(self, number: int, callee: str) -> None:
        contact = f"sip:callee@{CALLEE}"
        data = (
            f"REGISTER sip:{callee.rpartition('@')[2]} SIP/2.0\r\nVia: SIP/2.0/UDP {CALLEE};branch=z9hG4bK{number}\r\n"
            f"From: <{callee}>;tag=1\r\nTo: <{callee}>\r\nCall-ID: {number}\r\nCSeq: 1 REGISTER\r\n"
            f"Contact: <{contact}>\r\nContent-Length: 0\r\n\r\n"
        )
        self.datagram(data.encode(), CALLEE)
        assert self.outcome(CALLEE) == "200", callee

    def _deliver(self, send: Send) -> None:
        if send.to.transport != "UDP":
            assert StreamFramer(65536, 1 << 20).feed(send.data) == [send.data]
        self.sent.append((send, parse_message(send.data)))

    def datagram(self, data: bytes, host: str = SENDER) -> None:
        self.sent = []
        self.perform(self.engine.receive(data, Flow("UDP", host, 5060, self.listener("UDP", host)), self.now))

    def stream(self, data: bytes) -> str:
        """A message on a new connection, and another request after it. Returns what becomes of the connection."""
        self.sent = []
        flow = Flow("TCP", SENDER, 40000, self.listener("TCP", SENDER), 0x1000)
        self.engine.connected(flow)
        framer = StreamFramer(16_384, 262_144)
        piece, then = data + AFTER, GOES_ON
        try:
            while frames := framer.feed(piece):
                for frame in frames:
                    self.perform(self.engine.receive(frame, flow, self.now))
                piece = b""
        except MalformedMessage as error:
            self.perform(self.engine.receive_broken(error, flow, self.now))
            then = CLOSED
        answered = [read for _, read in self.sent if isinstance(read, Response) and read.call_id == "after"]
        self.perform(self.engine.connection_lost(flow, None, "closed", self.now))
        return then if answered or then == CLOSED else SWALLOWED

    def outcome(self, host: str = SENDER) -> str:
        """What the last message came to, in the words of the expectations."""
        seen: dict[str, None] = {}
        for send, read in self.sent:
            if isinstance(read, Request):
                seen[FORWARDED] = None
            elif isinstance(read, Response) and read.status > 100 and read.call_id != "after":
                assert send.to.host == host
                seen[str(read.status)] = None
        return " ".join(seen) or DROPPED

    def forwarded(self) -> Request:
        """The one copy that went out."""
        (request,) = [read for _, read in self.sent if isinstance(read, Request)]
        return request

    def answer(self) -> Response:
        """The one final answer."""
        (response,) = [read for _, read in self.sent if isinstance(read, Response) and read.status > 100]
        return response

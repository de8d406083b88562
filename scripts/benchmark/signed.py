"""What signing and verifying cost: `scripts/bench signed`.

The lookup call goes through the engine alone, in memory, over a TCP connection of a client that has signed in with
NTLM, and over one of a gateway that trusts its network; in turn. Only what the gateway does is counted.
"""

from collections import Counter
from dataclasses import dataclass
from random import Random
from statistics import median
from time import thread_time

from sipgw.auth.accounts import Account, AccountTable
from sipgw.auth.gate import Gate
from sipgw.auth.lockout import Lockout, LockoutSettings
from sipgw.auth.mechanism import Proven
from sipgw.auth.ntlm_session import NtlmSession
from sipgw.auth.sipae_buffer import signing_buffer
from sipgw.auth.sipae_server import SipaeServer, SipaeSettings
from sipgw.auth.sipae_wire import REALM
from sipgw.engine import Engine, EngineSettings
from sipgw.events import Flow, Listener, Send
from sipgw.message import Request, Response, parse_message
from sipgw.message.build import new_request, response_to
from sipgw.registry import Endpoint, Pool, Registry, Server

KEY, FLAGS = bytes(range(16)), 0xE2888235  # unicode, sign, NTLM, extended session security, 128, key exchange, 56
ALICE = Account("sip:alice@contoso.com", ("alice",))
CONTACT_OBJECT, BODY = "sip:ocschat@contoso.com", b"x" * 300
LISTENER = Listener("TCP", "127.0.0.1", 5060, "127.0.0.1:5060")


class _Granted:
    """A mechanism that asks for no proof, and leaves the keys that NTLM would."""

    scheme, targetname = "NTLM", "sipgw.contoso.com"

    def begin(self) -> "_Granted":
        return self

    def step(self, token: bytes, now: float) -> Proven:
        return Proven("alice", ALICE, NtlmSession(KEY, FLAGS, client=False))


@dataclass
class Cost:
    """Microseconds of CPU a call, medians over rounds, and of one message that is signed or verified."""

    plain: float
    signed: float
    messages: int

    @property
    def ratio(self) -> float:
        return self.signed / self.plain

    @property
    def message(self) -> float:
        return (self.signed - self.plain) / self.messages


class Caller:
    """A client's connection to an engine of its own, and the pool behind it. `spent` is the engine's CPU in seconds."""

    def __init__(self, signs: bool) -> None:
        pool = Pool("pcpool.contoso.com", (Server("TCP", "127.0.0.1", 5041),), "sip:service@contoso.com")
        registry = Registry([pool], [Endpoint(CONTACT_OBJECT, pool.fqdn)])
        settings = EngineSettings("sipgw.contoso.com", frozenset({"contoso.com"}), bytes(32), verbose=False)
        self.engine = Engine(settings, registry, [LISTENER], Random(1))
        self.flow, self.pool = Flow("TCP", "127.0.0.1", 6000, LISTENER, 1), Flow("TCP", "127.0.0.1", 5041, None, 2)
        self.engine.connected(self.flow)
        self.engine.connected(self.pool)
        self.spent, self.now = 0.0, 0.0
        self._session = NtlmSession(KEY, FLAGS, client=True) if signs else None
        self._opaque, self._count, self._calls = "", 0, 0
        if signs:
            self._sign_in()

    def _sign_in(self) -> None:
        counters: Counter[str] = Counter()
        lockout = Lockout(LockoutSettings(), counters)
        sipae = SipaeServer([_Granted()], SipaeSettings(), lockout, Random(2), counters)
        self.engine.use_gate(Gate(AccountTable([ALICE]), sipae, None, counters))
        told = f'NTLM qop="auth", realm="{REALM}", targetname="{_Granted.targetname}", gssapi-data="", version=3'
        asked = self._request("OPTIONS", f"sip:{_Granted.targetname}", 1, f"Authorization: {told}")
        answer = parse_message(self._receive(asked, self.flow)[0])
        self._opaque = (answer.first("authentication-info") or "").partition('opaque="')[2].partition('"')[0]
        assert self._opaque, answer.start

    def call(self) -> None:
        """INVITE, ACK, two INFOs of 300 bytes, BYE, and what is answered to them."""
        self._calls += 1
        self.now += 0.001
        invite = self._at_pool(self._request("INVITE", CONTACT_OBJECT, 1, "Content-Type: application/sdp", body=BODY))
        contact = "<sip:ocschat@127.0.0.1:5041;transport=tcp>"
        routes = [f"Record-Route: {value}" for value in invite.values("record-route")]
        (ok,) = self._receive(response_to(invite, 200, to_tag="p", headers=[*routes, f"Contact: {contact}"]), self.pool)
        route = [f"Route: {value}" for value in reversed(parse_message(ok).values("record-route"))]
        to, target = f"To: <{CONTACT_OBJECT}>;tag=p", contact.strip("<>")
        self._at_pool(self._request("ACK", target, 1, *route, to=to))
        for number, method in ((2, "INFO"), (3, "INFO"), (4, "BYE")):
            body = BODY if method == "INFO" else b""
            there = self._at_pool(self._request(method, target, number, *route, to=to, body=body))
            self._receive(response_to(there, 200), self.pool)
        self.engine.handle_timers(self.now)

    def _at_pool(self, request: Request) -> Request:
        """Send to the gateway; the request as the pool gets it."""
        forwarded = parse_message(self._receive(self._with_signature(request), self.flow)[-1])
        assert isinstance(forwarded, Request), forwarded.start
        return forwarded

    def _with_signature(self, request: Request) -> Request:
        if self._session is None:
            return request
        self._count += 1
        target = _Granted.targetname
        data = signing_buffer(request, "NTLM", "0badcafe", str(self._count), REALM, target, 3)
        assert data is not None
        told = f'NTLM qop="auth", opaque="{self._opaque}", realm="{REALM}", targetname="{target}", crand="0badcafe"'
        line = f'Authorization: {told}, cnum="{self._count}", response="{self._session.sign(data).hex()}"'
        kept = [line for line, name in zip(request.lines, request.names, strict=True) if name != "content-length"]
        return new_request(request.method, request.uri, [*kept, line], request.body)

    def _request(self, method: str, uri: str, number: int, *headers: str, body: bytes = b"", to: str = "") -> Request:
        lines = [f"Via: SIP/2.0/TCP 127.0.0.1:6000;branch=z9hG4bK{self._calls}{method}{number}", "Max-Forwards: 70"]
        lines += [f"From: <{ALICE.uri}>;tag=f{self._calls};epid=01", to or f"To: <{CONTACT_OBJECT}>"]
        lines += [f"Call-ID: c{self._calls}@bench", f"CSeq: {number} {method}", "Contact: <sip:alice@127.0.0.1:6000>"]
        return new_request(method, uri, [*lines, *headers], body)

    def _receive(self, message: Request | Response, flow: Flow) -> list[bytes]:
        """The engine's turn. What it sends to the pool comes back on a connection that it never had to dial."""
        data = message.encode()
        began = thread_time()
        outputs = self.engine.receive(data, flow, self.now)
        self.spent += thread_time() - began
        return [output.data for output in outputs if isinstance(output, Send)]


MESSAGES = 9  # of a call that the gateway verifies (INVITE, ACK, INFOs, BYE) or signs (every 200)
CALLS, WARM_UP = 400, 100


def measure(rounds: int) -> Cost:
    """Both kinds in turn."""
    callers = {signs: Caller(signs) for signs in (False, True)}
    spent: dict[bool, list[float]] = {False: [], True: []}
    for caller in callers.values():
        _calls(caller, WARM_UP)
    for _ in range(rounds):
        for signs, caller in callers.items():
            spent[signs].append(_calls(caller, CALLS))
    return Cost(median(spent[False]), median(spent[True]), MESSAGES)


def _calls(caller: Caller, count: int) -> float:
    """Microseconds of CPU a call."""
    caller.spent = 0.0
    for _ in range(count):
        caller.call()
    return caller.spent / count * 1e6

"""What signing and verifying cost: `scripts/bench signed`.

The lookup call goes through the engine alone, in memory, over a TCP connection of a client that has signed in with
NTLM, over one of a phone with Digest, and over one of a gateway that trusts its network; in turn. Only what the gateway
does is counted. Kerberos needs a realm: what it costs more or less than NTLM is its signatures.
"""

import json
import sys
from dataclasses import asdict, dataclass
from random import Random
from statistics import median

from benchmark import builds, job
from benchmark.report import Section
from sipgw.auth.accounts import Account, AccountTable
from sipgw.auth.digest_client import DigestClient
from sipgw.auth.digest_gate import DigestGate
from sipgw.auth.digest_server import DigestServer, DigestSettings
from sipgw.auth.gate import Gate
from sipgw.auth.lockout import Lockout, LockoutSettings
from sipgw.auth.mechanism import Proven
from sipgw.auth.ntlm_session import NtlmSession
from sipgw.auth.password import ha1_of
from sipgw.auth.sipae_buffer import signing_buffer
from sipgw.auth.sipae_server import SipaeServer, SipaeSettings
from sipgw.auth.sipae_wire import REALM
from sipgw.message import Request, Response, parse_message
from sipgw.message.build import new_request

KEY, FLAGS = bytes(range(16)), 0xE2888235  # unicode, sign, NTLM, extended session security, 128, key exchange, 56
PASSWORD, REALM_OF_DIGEST = "secret", "contoso.com"
HA1 = ha1_of("alice", REALM_OF_DIGEST, PASSWORD, ["SHA-256"])
ALICE = Account("sip:alice@contoso.com", ("alice",), ha1=HA1)
FQDN = "sipgw.contoso.com"


class _Granted:
    """A mechanism that asks for no proof, and leaves the keys that NTLM would."""

    scheme, targetname = "NTLM", FQDN

    def begin(self) -> "_Granted":
        return self

    def step(self, token: bytes, now: float) -> Proven:
        return Proven("alice", ALICE, NtlmSession(KEY, FLAGS, client=False))

    def holds(self, name: str, account: Account) -> bool:
        return True


@dataclass
class Cost:
    """Microseconds of CPU a call, medians over rounds, and of one message that is signed or verified."""

    plain: float
    signed: float
    digest: float
    messages: int
    verified: int

    @property
    def ratio(self) -> float:
        return self.signed / self.plain

    @property
    def message(self) -> float:
        return (self.signed - self.plain) / self.messages

    @property
    def checked(self) -> float:
        """Of one request with Digest."""
        return (self.digest - self.plain) / self.verified


class Caller(job.Caller):
    """A client's connection to an engine of its own, and the pool behind it."""

    def __init__(self, scheme: str = "") -> None:
        """By "ntlm", "digest", or without any."""
        place = job.site("TCP")
        super().__init__(place, job.engine_of(place, [job.CONTACT_OBJECT], FQDN))
        self._session = NtlmSession(KEY, FLAGS, client=True) if scheme == "ntlm" else None
        self._digest = DigestClient("alice", PASSWORD, Random(3)) if scheme == "digest" else None
        self._opaque, self._count = "", 0
        self._lockout = Lockout(LockoutSettings(), self.engine.counters)
        if scheme == "ntlm":
            self._sign_in()
        elif self._digest is not None:
            self._be_challenged(self._digest)

    def _be_challenged(self, client: DigestClient) -> None:
        table, counters = AccountTable([ALICE]), self.engine.counters
        server = DigestServer(DigestSettings(REALM_OF_DIGEST, nonce_lifetime=1e9), table, Random(2), counters)
        self.engine.use_gate(Gate(table, None, DigestGate(server, self._lockout), counters))
        answer = parse_message(self.receive(self.request("OPTIONS", f"sip:{FQDN}", 1), self.place.caller)[0])
        assert isinstance(answer, Response) and client.challenged(answer), answer.start

    def _sign_in(self) -> None:
        counters = self.engine.counters
        sipae = SipaeServer([_Granted()], SipaeSettings(), self._lockout, Random(2), counters)
        self.engine.use_gate(Gate(AccountTable([ALICE]), sipae, None, counters))
        told = f'NTLM qop="auth", realm="{REALM}", targetname="{FQDN}", gssapi-data="", version=3'
        asked = self.request("OPTIONS", f"sip:{FQDN}", 1, f"Authorization: {told}")
        answer = parse_message(self.receive(asked, self.place.caller)[0])
        self._opaque = (answer.first("authentication-info") or "").partition('opaque="')[2].partition('"')[0]
        assert self._opaque, answer.start

    def prepared(self, request: Request) -> Request:
        """With its signature, or its answer to the challenge, which an ACK has none of."""
        if self._digest is not None and request.method != "ACK":
            return _with(request, *self._digest.credentials(request.method, request.uri))
        if self._session is None:
            return request
        self._count += 1
        data = signing_buffer(request, "NTLM", "0badcafe", str(self._count), REALM, FQDN, 3)
        assert data is not None
        told = f'NTLM qop="auth", opaque="{self._opaque}", realm="{REALM}", targetname="{FQDN}", crand="0badcafe"'
        line = f'Authorization: {told}, cnum="{self._count}", response="{self._session.sign(data).hex()}"'
        return _with(request, line)


def _with(request: Request, *lines: str) -> Request:
    kept = [line for line, name in zip(request.lines, request.names, strict=True) if name != "content-length"]
    return new_request(request.method, request.uri, [*kept, *lines], request.body)


MESSAGES = 9  # of a call that the gateway verifies (INVITE, ACK, INFOs, BYE) or signs (every 200)
VERIFIED = 4  # of a call that Digest is checked in: INVITE, INFOs, BYE
CALLS, WARM_UP = 400, 100


def measure(rounds: int) -> Cost:
    """All kinds in turn."""
    callers = {scheme: Caller(scheme) for scheme in ("", "ntlm", "digest")}
    spent: dict[str, list[float]] = {scheme: [] for scheme in callers}
    for caller in callers.values():
        _calls(caller, WARM_UP)
    for _ in range(rounds):
        for scheme, caller in callers.items():
            spent[scheme].append(_calls(caller, CALLS))
    return Cost(median(spent[""]), median(spent["ntlm"]), median(spent["digest"]), MESSAGES, VERIFIED)


def _calls(caller: Caller, count: int) -> float:
    """Microseconds of CPU a call."""
    caller.spent = 0.0
    caller.steps.clear()
    for _ in range(count):
        caller.call()
    return caller.spent / count * 1e6


def section(build: str, rounds: int, command: str) -> Section:
    """Measured in a process of its own, on that build."""
    cost = Cost(**builds.run(build, "signed", rounds))
    rows = [
        ["not signed", f"{cost.plain:.0f} \u00b5s"],
        ["signed", f"{cost.signed:.0f} \u00b5s"],
        ["ratio", f"{cost.ratio:.2f}"],
        ["a message signed or verified", f"{cost.message:.1f} \u00b5s"],
        ["with Digest", f"{cost.digest:.0f} \u00b5s"],
        ["a request with Digest", f"{cost.checked:.1f} \u00b5s"],
    ]
    title = f"A call of a client that signs with NTLM, and of a phone with Digest ({build}, engine alone)"
    return Section("signed", title, command, ["", "CPU a call"], rows, [], asdict(cost))


if __name__ == "__main__":
    print(json.dumps(asdict(measure(int(sys.argv[1])))))

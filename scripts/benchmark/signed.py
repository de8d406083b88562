"""What signing and verifying cost: `scripts/bench signed`.

The lookup call goes through the engine alone, in memory, over a TCP connection of a client that has signed in with
NTLM, and over one of a gateway that trusts its network; in turn. Only what the gateway does is counted.
"""

import json
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from random import Random
from statistics import median

from benchmark import builds, job
from benchmark.report import Section
from sipgw.auth.accounts import Account, AccountTable
from sipgw.auth.gate import Gate
from sipgw.auth.lockout import Lockout, LockoutSettings
from sipgw.auth.mechanism import Proven
from sipgw.auth.ntlm_session import NtlmSession
from sipgw.auth.sipae_buffer import signing_buffer
from sipgw.auth.sipae_server import SipaeServer, SipaeSettings
from sipgw.auth.sipae_wire import REALM
from sipgw.message import Request, parse_message
from sipgw.message.build import new_request

KEY, FLAGS = bytes(range(16)), 0xE2888235  # unicode, sign, NTLM, extended session security, 128, key exchange, 56
ALICE = Account("sip:alice@contoso.com", ("alice",))
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
    messages: int

    @property
    def ratio(self) -> float:
        return self.signed / self.plain

    @property
    def message(self) -> float:
        return (self.signed - self.plain) / self.messages


class Caller(job.Caller):
    """A client's connection to an engine of its own, and the pool behind it."""

    def __init__(self, signs: bool) -> None:
        place = job.site("TCP")
        super().__init__(place, job.engine_of(place, [job.CONTACT_OBJECT], FQDN))
        self._session = NtlmSession(KEY, FLAGS, client=True) if signs else None
        self._opaque, self._count = "", 0
        if signs:
            self._sign_in()

    def _sign_in(self) -> None:
        counters: Counter[str] = Counter()
        lockout = Lockout(LockoutSettings(), counters)
        sipae = SipaeServer([_Granted()], SipaeSettings(), lockout, Random(2), counters)
        self.engine.use_gate(Gate(AccountTable([ALICE]), sipae, None, counters))
        told = f'NTLM qop="auth", realm="{REALM}", targetname="{FQDN}", gssapi-data="", version=3'
        asked = self.request("OPTIONS", f"sip:{FQDN}", 1, f"Authorization: {told}")
        answer = parse_message(self.receive(asked, self.place.caller)[0])
        self._opaque = (answer.first("authentication-info") or "").partition('opaque="')[2].partition('"')[0]
        assert self._opaque, answer.start

    def prepared(self, request: Request) -> Request:
        """With its signature."""
        if self._session is None:
            return request
        self._count += 1
        data = signing_buffer(request, "NTLM", "0badcafe", str(self._count), REALM, FQDN, 3)
        assert data is not None
        told = f'NTLM qop="auth", opaque="{self._opaque}", realm="{REALM}", targetname="{FQDN}", crand="0badcafe"'
        line = f'Authorization: {told}, cnum="{self._count}", response="{self._session.sign(data).hex()}"'
        kept = [line for line, name in zip(request.lines, request.names, strict=True) if name != "content-length"]
        return new_request(request.method, request.uri, [*kept, line], request.body)


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
    ]
    title = f"A call of a client that signs with NTLM ({build}, engine alone)"
    return Section("signed", title, command, ["", "CPU a call"], rows, [], asdict(cost))


if __name__ == "__main__":
    print(json.dumps(asdict(measure(int(sys.argv[1])))))

"""The client's side of signing in: one name and password, by the scheme that the server offers and that suits best."""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from random import Random

from sipgw.auth.digest import CHALLENGE, CREDENTIALS
from sipgw.auth.digest_client import DigestClient
from sipgw.auth.sipae_client import REFUSED, Begin, SipaeClient, Verdict, add_line
from sipgw.events import Flow, Hop
from sipgw.message.message import Request, Response

SCHEMES = {"kerberos": "Kerberos", "ntlm": "NTLM", "digest": "Digest"}  # the ones to be preferred first
_NOT_FOR = frozenset({"ACK", "CANCEL"})  # §22.1: an ACK has those of its INVITE, a CANCEL none


@dataclass(frozen=True)
class Login:
    """`name` is as the scheme has it: `CORP\\alice`, `alice@corp.contoso.com`, `alice`. `scheme` is one of SCHEMES, ""
    for the one that suits best."""

    name: str
    password: str = field(repr=False)
    scheme: str = ""


class LoginClient:
    """Answers challenges, and signs and checks where the scheme signs. `kerberos` begins a sign-in with a ticket;
    `wall_offset` added to the clock gives the time of day; `dropped` is told of messages that were not heard."""

    def __init__(
        self,
        login: Login,
        random: Random,
        wall_offset: float,
        kerberos: Begin | None = None,
    ) -> None:
        self._login = login
        self._digest = DigestClient(login.name, login.password, random)
        from sipgw.auth.ntlm_client import NtlmInitiator  # what it needs takes long to load

        begin: dict[str, Begin] = {"ntlm": lambda _: NtlmInitiator(login.name, login.password, random, wall_offset)}
        if kerberos is not None:
            begin["kerberos"] = kerberos
        self._sipae = SipaeClient(begin, random)
        self._usable = [name for name in SCHEMES if name in (*begin, "digest") and login.scheme in ("", name)]
        self.dropped: Callable[[str], None] | None = None
        self.counters: Counter[str] = Counter()
        self.why = ""

    @property
    def busy(self) -> bool:
        """Whether a handshake is under way."""
        return bool(self._sipae.shaking)

    def challenged(self, request: Request, response: Response, now: float) -> Verdict:
        """What becomes of a request after a 401 or 407. After REFUSED, `why` says it for people."""
        self.why = ""
        offers = offers_of(response)
        scheme = self._sipae.shaking or next((name for name in self._usable if name in offers), "")
        if not scheme:
            self.why = self._nothing_for_us(response, offers)
            return Verdict.REFUSED
        verdict = self._try(scheme, offers.get(scheme, ""), request, response, now)
        if verdict is Verdict.REFUSED and scheme == "kerberos" and not self._login.scheme:
            self._usable.remove(scheme)  # no ticket, or none that this server takes: a password may do
            return self.challenged(request, response, now)
        return verdict

    def _nothing_for_us(self, response: Response, offers: Collection[str]) -> str:
        wanted = SCHEMES.get(self._login.scheme, "anything that this client speaks")
        if self._login.scheme in offers:
            return f"this client has no {wanted}"
        return f"the server offers {offered(response)}, not {wanted}"

    def _try(self, scheme: str, offer: str, request: Request, response: Response, now: float) -> Verdict:
        if scheme == "digest":
            return self._try_digest(request, response)
        verdict = self._sipae.challenged(request, offer, response.status, now)
        if verdict is Verdict.REFUSED:
            self.why = f"{SCHEMES[scheme]} as {self._login.name}: {self._sipae.why}"
        return verdict

    def _try_digest(self, request: Request, response: Response) -> Verdict:
        name = CREDENTIALS[response.status]
        carried = any(value[:7].lower() == "digest " for value in request.lines_of(name.lower()))
        if not carried and any(line.startswith(f"{name}:") for line in self._lines(request)):
            return Verdict.AGAIN  # it was sent before another request brought us the challenge
        if self._digest.challenged(response):
            return Verdict.AGAIN
        self.why = f"Digest as {self._login.name}: {REFUSED}"
        return Verdict.REFUSED

    def _lines(self, request: Request) -> list[str]:
        return self._digest.credentials(request.method, request.uri)

    def settled(self, request: Request) -> None:
        """A request has got its answer, or will get none."""
        self._sipae.settled(request)

    def connection_lost(self) -> None:
        """What was agreed on goes with the connection."""
        self._sipae.connection_lost()

    def seal(self, message: Request | Response, to: Flow | Hop) -> None:
        """Add what a message has to show."""
        if isinstance(message, Request) and message.method not in _NOT_FOR:
            for line in self._lines(message):
                add_line(message, line)
        self._sipae.seal(message)

    def hears(self, message: Request | Response, flow: Flow, now: float) -> bool:
        """False for what the server would have had to sign otherwise; `dropped` has been told then."""
        wrong = self._sipae.check(message, now)
        if wrong:
            self.counters[wrong.replace(" ", "_")] += 1
            if self.dropped is not None:
                self.dropped(f"{message.start.removesuffix(' SIP/2.0')} ({message.first('cseq')}): {wrong}")
        return not wrong


def digest_lines(request: Request) -> list[str]:
    """The Digest credentials of an INVITE, which its ACK has as well (§22.1)."""
    return [
        f"{name}: {value}"
        for name in CREDENTIALS.values()
        for value in request.lines_of(name.lower())
        if value[:7].lower() == "digest "
    ]


def offers_of(response: Response) -> dict[str, str]:
    """The challenges of a 401 or 407 by their schemes in lower case, the first of each."""
    offers: dict[str, str] = {}
    for value in response.lines_of(CHALLENGE[response.status].lower()):
        offers.setdefault(value.partition(" ")[0].lower(), value)
    return offers


def offered(response: Response) -> str:
    """The same, for people: `NTLM and Digest`."""
    names = [SCHEMES.get(scheme, scheme) for scheme in offers_of(response)]
    return " and ".join(names) or "nothing"

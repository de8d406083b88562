"""The server's side of Digest (RFC 3261 §22, RFC 7616, RFC 8760): challenges, and whether credentials are good.

Whether there is such a user shows neither in what comes back nor in the work done. A password is looked at only behind
a nonce that was sent to where the request comes from: nobody can make another's sign-ins fail by forging his address.
"""

import hmac
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from random import Random

from sipgw.auth.accounts import Account, Accounts
from sipgw.auth.digest import CHALLENGE, CREDENTIALS, from_wire, read_auth, response_of, scheme_of
from sipgw.auth.digest_nonce import Nonces, Use
from sipgw.auth.password import digest
from sipgw.message.errors import MalformedMessage, MalformedUri
from sipgw.message.message import Request
from sipgw.message.uri import equivalent, parse_uri
from sipgw.message.values import quote

_NEEDED = ("username", "nonce", "uri", "response", "cnonce", "nc")
_BARRED = "too many failed sign-ins by the names of this account"
_COUNT = re.compile(r"[0-9A-Fa-f]{8}")


class Outcome(Enum):
    """What credentials came to. MALFORMED is answered with 400, DISABLED with 403, all others but ACCEPTED are
    challenged."""

    MISSING = "missing"  # none for this realm and an algorithm that was offered
    MALFORMED = "malformed"
    REFUSED = "refused"  # unknown user, wrong password, or no HA1 for the algorithm: a failed sign-in
    STALE = "stale"  # the nonce is not ours for this source, or too old: whatever it proves, challenge with stale=true
    REPLAYED = "replayed"  # right, but used before: challenge with stale=true
    DISABLED = "disabled"  # the password is right, the account may not sign in
    ACCEPTED = "accepted"


@dataclass(frozen=True)
class Checked:
    """`name` is the user name as it was given, "" without one; `account` the one that has proved its password;
    `reason` is for the log, and on the wire only where the outcome is MALFORMED."""

    outcome: Outcome
    name: str = ""
    account: Account | None = None
    reason: str = ""

    @property
    def stale(self) -> bool:
        """Whether the next challenge says that nothing but the nonce was wrong."""
        return self.outcome in (Outcome.STALE, Outcome.REPLAYED)


@dataclass(frozen=True)
class Presented:
    """Credentials in order, not looked at yet. `name` is the user name as it was given."""

    name: str
    method: str
    params: dict[str, str] = field(repr=False)


@dataclass(frozen=True)
class DigestSettings:
    """`algorithms` in the order in which they are offered; `nonce_lifetime` in seconds; `max_nonces` are counted."""

    realm: str
    algorithms: tuple[str, ...] = ("SHA-256", "SHA-512-256")
    nonce_lifetime: float = 300.0
    max_nonces: int = 50_000


class DigestServer:
    """Offers and checks Digest for one realm. `counters` gets `digest_` and the outcome."""

    def __init__(self, settings: DigestSettings, accounts: Accounts, random: Random, counters: Counter[str]) -> None:
        self.settings = settings
        self.accounts = accounts
        self.counters = counters
        self._nonces = Nonces(settings.nonce_lifetime, settings.max_nonces, random)
        self._opaque = f"{random.getrandbits(64):016x}"
        self._decoy = f"{random.getrandbits(128):032x}"

    def take_over(self, other: "DigestServer") -> None:
        """Heed what another server of ours has given out."""
        self._nonces, self._opaque, self._decoy = other._nonces, other._opaque, other._decoy

    def challenges(self, status: int, now: float, stale: bool = False, source: str = "") -> list[str]:
        """Header lines for a 401 or 407, one for each algorithm, the preferred one first (RFC 8760 §2.3). They can be
        answered from the host `source` alone."""
        told = f'realm={quote(self.settings.realm)}, nonce="{self._nonces.make(now, source)}", opaque="{self._opaque}"'
        tail = ", stale=true" if stale else ""
        return [
            f'{CHALLENGE[status]}: Digest {told}, algorithm={algorithm}, qop="auth"{tail}'
            for algorithm in self.settings.algorithms
        ]

    def check(self, request: Request, status: int, now: float, source: str = "") -> Checked:
        """Judge what a request has in answer to a challenge of `status`: Authorization for 401, Proxy-Authorization
        for 407."""
        read = self.read(request, status)
        return read if isinstance(read, Checked) else self.judge(read, now, source)

    def read(self, request: Request, status: int) -> Presented | Checked:
        """The first half of `check`: whose credentials they say they are, or MISSING or MALFORMED."""
        try:
            params = self._credentials(request, status)
            if params is not None:
                _check_form(params, request.uri)
                return Presented(from_wire(params["username"]), request.method, params)
            checked = Checked(Outcome.MISSING)
        except MalformedMessage as error:
            checked = Checked(Outcome.MALFORMED, reason=error.reason)
        return self._counted(checked)

    def judge(self, presented: Presented, now: float, source: str = "", barred: bool = False) -> Checked:
        """The second half: whether they are. Where the account is `barred` nothing is right."""
        return self._counted(self._judge(presented, now, source, barred))

    def _counted(self, checked: Checked) -> Checked:
        self.counters[f"digest_{checked.outcome.value}"] += 1
        return checked

    def _credentials(self, request: Request, status: int) -> dict[str, str] | None:
        """Those for this realm (§22.3: a request may have some for others) and an algorithm that was offered."""
        for line in request.lines_of(CREDENTIALS[status].lower()):
            if scheme_of(line)[0] != "digest":
                continue
            _, params = read_auth(line)
            offered = _algorithm(params, self.settings.algorithms)
            if params.get("realm") == self.settings.realm and offered:
                return {**params, "algorithm": offered}
        return None

    def _judge(self, presented: Presented, now: float, source: str, barred: bool) -> Checked:
        name, params = presented.name, presented.params
        ours = params.get("opaque", self._opaque) == self._opaque
        if not ours or not self._nonces.is_good(params["nonce"], now, source):
            return Checked(Outcome.STALE, name, reason=f"the nonce is {Use.STALE.value}")
        algorithm = params["algorithm"]
        account = self.accounts.find(name)
        decoy = digest(algorithm, f"{self._decoy}:{params['username']}".encode("latin-1"))  # as much for each
        ha1 = decoy if account is None else account.ha1.get(algorithm, decoy)
        wanted = response_of(algorithm, ha1, presented.method, params)
        right = hmac.compare_digest(params["response"].encode("latin-1"), wanted.encode())
        if not right or account is None or ha1 is decoy or barred:
            return Checked(Outcome.REFUSED, name, reason=_BARRED if barred else _why(account, algorithm))
        use = self._nonces.use(params["nonce"], int(params["nc"], 16), now, source)
        if use is not Use.FRESH:
            return Checked(Outcome.REPLAYED, name, reason=f"the nonce is {use.value}")
        if not account.enabled:
            return Checked(Outcome.DISABLED, name, account, "the account is disabled")
        return Checked(Outcome.ACCEPTED, name, account)


def _algorithm(params: Mapping[str, str], offered: tuple[str, ...]) -> str:
    """The algorithm as we write it, "" when it was not offered; MD5 where none is named (RFC 7616 §3.4)."""
    named = params.get("algorithm", "MD5").upper()
    return named if named in offered else ""


def _check_form(params: dict[str, str], uri: str) -> None:
    """Raises MalformedMessage for what no client that was challenged by us sends."""
    missing = [name for name in _NEEDED if not params.get(name)]
    if missing:
        raise MalformedMessage(f"Digest credentials without {', '.join(missing)}")
    if params.get("qop") != "auth":
        raise MalformedMessage("Digest credentials without qop=auth, which was asked for")
    if not _COUNT.fullmatch(params["nc"]) or int(params["nc"], 16) == 0:
        raise MalformedMessage("nc of Digest credentials is not 8 hexadecimal digits from 00000001 on")
    if params.get("userhash", "false").lower() != "false":
        raise MalformedMessage("Digest credentials with userhash, which was not offered")
    if not _same_uri(params["uri"], uri):  # RFC 7616 §3.4.6; nobody stands between that could have changed it
        raise MalformedMessage("uri of Digest credentials is not the Request-URI")


def _same_uri(a: str, b: str) -> bool:
    if a == b:
        return True
    try:
        return equivalent(parse_uri(a), parse_uri(b))
    except MalformedUri:
        return False


def _why(account: Account | None, algorithm: str) -> str:
    """For the log. The password that was tried is not known here, which is as well."""
    if account is None:
        return "no such user"
    return "wrong password" if algorithm in account.ha1 else f"the account has no ha1 for {algorithm}"

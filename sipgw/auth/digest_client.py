"""The client's side of Digest: from a 401 or 407 to the credentials of the request sent again (RFC 3261 §22)."""

from collections.abc import Collection, Iterable, Mapping
from random import Random

from sipgw.auth.digest import CHALLENGE, CREDENTIALS, from_wire, read_auth, response_of, to_wire
from sipgw.auth.password import ALGORITHMS, ha1_of
from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Response
from sipgw.message.values import quote

_Params = Mapping[str, str]


class _Session:
    """One challenge and how often it was answered."""

    def __init__(self, challenge: _Params, ha1: str) -> None:
        self.challenge = challenge
        self.written = challenge.get("algorithm", "MD5")
        self._algorithm = self.written.upper()
        self._ha1 = ha1
        self._count = 0

    def answer(self, method: str, uri: str, cnonce: str) -> _Params:
        """`nc` counts the requests that were sent with this nonce (RFC 7616 §3.4)."""
        self._count += 1
        params = {"uri": uri, "nonce": self.challenge["nonce"], "nc": f"{self._count:08x}", "cnonce": cnonce}
        return {**params, "response": response_of(self._algorithm, self._ha1, method, params)}


class DigestClient:
    """Answers challenges with one name and password, and goes on by them until the next."""

    def __init__(self, name: str, password: str, random: Random, algorithms: Collection[str] = ALGORITHMS) -> None:
        self._name = name
        self._password = password
        self._random = random
        self._algorithms = algorithms
        self._sessions: dict[tuple[int, str], _Session] = {}  # by status and realm

    def challenged(self, response: Response) -> bool:
        """Take the challenges of a 401 or 407. Whether to send the request again: False when the password was wrong, or
        when none of them can be answered."""
        news = False
        for realm, params in self._chosen(response.lines_of(CHALLENGE[response.status].lower())):
            key = response.status, realm
            if key in self._sessions and params.get("stale", "").lower() != "true":
                del self._sessions[key]  # §22.1: not again with credentials that were just refused
                continue
            algorithm = params.get("algorithm", "MD5").upper()
            ha1 = ha1_of(self._name, from_wire(realm), self._password, [algorithm])[algorithm]
            self._sessions[key] = _Session(params, ha1)
            news = True
        return news

    def _chosen(self, lines: Iterable[str]) -> list[tuple[str, _Params]]:
        """For each realm the topmost challenge that can be answered (RFC 8760 §2.4)."""
        chosen: dict[str, _Params] = {}
        for line in lines:
            try:
                scheme, params = read_auth(line)
            except MalformedMessage:
                continue
            if scheme == "digest" and self._can_answer(params):
                chosen.setdefault(params["realm"], params)
        return list(chosen.items())

    def _can_answer(self, params: _Params) -> bool:
        qops = [qop.strip() for qop in params.get("qop", "").split(",")]
        known = params.get("algorithm", "MD5").upper() in self._algorithms
        return known and "auth" in qops and {"nonce", "realm"} <= params.keys()

    def credentials(self, method: str, uri: str) -> list[str]:
        """Header lines for a request; none before the first challenge."""
        return [
            f"{CREDENTIALS[status]}: {self._line(realm, session, method, uri)}"
            for (status, realm), session in self._sessions.items()
        ]

    def _line(self, realm: str, session: _Session, method: str, uri: str) -> str:
        params = session.answer(method, uri, f"{self._random.getrandbits(64):016x}")
        parts = [
            f"username={quote(to_wire(self._name))}, realm={quote(realm)}, nonce={quote(params['nonce'])}",
            f'uri="{uri}", response="{params["response"]}", algorithm={session.written}',
            f'qop=auth, nc={params["nc"]}, cnonce="{params["cnonce"]}"',
        ]
        if "opaque" in session.challenge:
            parts.append(f"opaque={quote(session.challenge['opaque'])}")
        return f"Digest {', '.join(parts)}"

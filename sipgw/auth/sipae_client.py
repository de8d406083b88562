"""The client's side of [MS-SIPAE]: a handshake, and from then on a signature on every message, both ways.

One request carries the steps of the handshake: it is sent again with each. Others that are challenged meanwhile wait.
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from enum import Enum
from random import Random
from typing import Protocol

from sipgw.auth.digest import CREDENTIALS as CARRIER
from sipgw.auth.mechanism import Session
from sipgw.auth.sipae_buffer import signing_buffer
from sipgw.auth.sipae_wire import VERSION, read_params
from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Request, Response
from sipgw.message.values import line_method, quote

CHALLENGES = (401, 407)
REFUSED = "refused, as the name, the password or the ticket is wrong"
CREDENTIALS = ("authorization", "proxy-authorization")
_SIGNED = ("authentication-info", "proxy-authentication-info")


class SignInError(Exception):
    """A sign-in cannot go on; the text says why, for people."""


class Initiator(Protocol):
    """The client's side of one NTLM or Kerberos handshake. `session` is there when there are keys to sign with."""

    session: Session | None

    def step(self, token: bytes, now: float) -> bytes:
        """The next token for the server; `token` is its last, b"" at the start. Raises SignInError."""
        ...


Begin = Callable[[str], Initiator]  # by the targetname of the challenge; raises SignInError


class Verdict(Enum):
    """What becomes of a request that was challenged."""

    AGAIN = "again"  # it is sent again, now
    LATER = "later"  # it is sent again when the handshake of another is over
    REFUSED = "refused"  # this was its answer


class _Association:
    """A security association, from the challenge that asked for it."""

    def __init__(self, scheme: str, status: int, params: Mapping[str, str], initiator: Initiator) -> None:
        self.scheme = scheme
        self.header = CARRIER[status]
        self.realm = params["realm"]
        self.targetname = params["targetname"]
        self.version = min(int(params.get("version", "2")), VERSION)
        self.initiator = initiator
        self.opaque = ""
        self._count = 0

    def step(self, token: bytes, now: float) -> str:
        """The parameters of the handshake's next step. Raises SignInError."""
        data = b64encode(self.initiator.step(token, now)).decode()
        told = f", version={self.version}" if self.version > 2 else ""
        return f'gssapi-data="{data}"{told}'

    def line(self, message: Request | Response, step: str, random: Random) -> str:
        """The credentials of a message: a step of the handshake, a signature, or both."""
        params = ['qop="auth"']
        if self.opaque:
            params.append(f"opaque={quote(self.opaque)}")
        params += [f"realm={quote(self.realm)}", f"targetname={quote(self.targetname)}"]
        if step:
            params.append(step)
        if not step or self.version >= 4:  # older ones do not sign what ends the handshake
            params += self._signature(message, random)
        return f"{self.header}: {self.scheme} {', '.join(params)}"

    def _signature(self, message: Request | Response, random: Random) -> list[str]:
        session = self.initiator.session
        if session is None:
            return []
        rand = f"{random.getrandbits(32):08x}"
        data = self._covered(message, rand, str(self._count + 1))
        if data is None:
            return []
        self._count += 1
        return [f'crand="{rand}"', f'cnum="{self._count}"', f'response="{session.sign(data).hex()}"']

    def verifies(self, message: Request | Response, told: Mapping[str, str]) -> bool:
        """Whether the server has signed this, with the keys of this association."""
        session = self.initiator.session
        data = self._covered(message, told.get("srand", ""), told.get("snum", ""))
        try:
            signature = bytes.fromhex(told.get("rspauth", ""))
        except ValueError:
            return False
        return session is not None and data is not None and session.verify(data, signature)

    def _covered(self, message: Request | Response, rand: str, num: str) -> bytes | None:
        return signing_buffer(message, self.scheme, rand, num, self.realm, self.targetname, self.version)

    def has_signed(self, request: Request) -> bool:
        mark = f"opaque={quote(self.opaque)}" if self.opaque else "crand="
        return any(mark in value for name in CREDENTIALS for value in request.lines_of(name))


class SipaeClient:
    """Signs in and signs. `begin` makes an initiator for a scheme, whose name is in lower case. From the first sign-in
    on, what is not signed is not heard."""

    def __init__(self, begin: Mapping[str, Begin], random: Random) -> None:
        self._begin = begin
        self._random = random
        self._association: _Association | None = None
        self._shaking: _Association | None = None
        self._carrier: Request | None = None
        self._step = ""
        self._strict = False
        self.why = ""

    @property
    def schemes(self) -> tuple[str, ...]:
        """What it can answer, in lower case."""
        return tuple(self._begin)

    @property
    def shaking(self) -> str:
        """The scheme of the handshake that is under way, in lower case; "" without one."""
        return self._shaking.scheme.lower() if self._shaking is not None else ""

    # challenges

    def challenged(self, request: Request, offer: str, status: int, now: float) -> Verdict:
        """`offer` is the value of the challenge for the scheme to use. After REFUSED, `why` says it for people."""
        if self._shaking is not None and request is not self._carrier:
            return Verdict.LATER
        if self._shaking is None and self._association is not None and not self._association.has_signed(request):
            return Verdict.AGAIN  # it was sent before there was anything to sign with
        try:
            scheme, _, rest = offer.partition(" ")
            self._go_on(request, scheme, read_params(rest), status, now)
        except (SignInError, MalformedMessage) as error:
            self.why = str(error)
            self._end()
            return Verdict.REFUSED
        return Verdict.AGAIN

    def _go_on(self, request: Request, scheme: str, params: Mapping[str, str], status: int, now: float) -> None:
        """The next step, or the first. Raises SignInError, MalformedMessage."""
        shaking = self._shaking
        if shaking is None:
            _check_offer(scheme, params)
            shaking = _Association(scheme, status, params, self._begin[scheme.lower()](params["targetname"]))
            self._shaking, self._carrier = shaking, request
            self._step = shaking.step(b"", now)
        elif not params.get("gssapi-data") or shaking.initiator.session is not None:
            raise SignInError(REFUSED)
        else:
            shaking.opaque = params.get("opaque", "")
            self._step = shaking.step(_token(params), now)
        if shaking.initiator.session is not None:
            self._association = shaking

    def _end(self) -> None:
        """The handshake is over, without a sign-in."""
        if self._association is self._shaking:
            self._association = None
        self._shaking = self._carrier = None

    def settled(self, request: Request) -> None:
        """A request has got its answer, or will get none."""
        if request is self._carrier:
            self._shaking = self._carrier = None

    def connection_lost(self) -> None:
        """Sign in anew: the server may have forgotten us."""
        self._association = self._shaking = self._carrier = None

    # signatures

    def seal(self, message: Request | Response) -> None:
        """Add the credentials that a message needs."""
        if message is self._carrier and self._shaking is not None:
            add_line(message, self._shaking.line(message, self._step, self._random))
        elif self._association is not None:
            add_line(message, self._association.line(message, "", self._random))

    def check(self, message: Request | Response, now: float) -> str:
        """What is wrong with the signature of a message from the server, "" when it may be heard."""
        for params in _told(message):
            association = self._signer(message, params, now)
            if association is not None:
                if not association.verifies(message, params):
                    return "wrongly signed"
                self._strict = True
                return ""
        strict = self._strict or self._association is not None
        return "not signed" if strict and not self._may_be_unsigned(message) else ""

    def _signer(self, message: Request | Response, params: Mapping[str, str], now: float) -> _Association | None:
        """Whose keys the server says that it has signed with, None when they are not ours."""
        association, shaking = self._association, self._shaking
        if association is not None and params.get("opaque") == association.opaque:
            return association
        if shaking is None or shaking.opaque or not self._answers_carrier(message):
            return None
        # in Kerberos the answer names the association, and has the server's last token where the client wants one
        with suppress(SignInError, MalformedMessage):
            if "gssapi-data" in params:
                shaking.initiator.step(_token(params), now)
            shaking.opaque = params.get("opaque", "")
            if shaking.initiator.session is not None:
                self._association = shaking
        return shaking

    def _answers_carrier(self, message: Request | Response) -> bool:
        carrier = self._carrier
        if carrier is None or isinstance(message, Request):
            return False
        return (message.call_id, message.cseq) == (carrier.call_id, carrier.cseq)

    def _may_be_unsigned(self, message: Request | Response) -> bool:
        """What the real client takes as it comes, and the bad end of a handshake, which leaves nothing to sign with."""
        if isinstance(message, Request):
            return False
        if message.status < 200 or message.status in CHALLENGES or line_method(message.first("cseq")) == "REGISTER":
            return True
        return message.status >= 300 and self._answers_carrier(message)


def add_line(message: Request | Response, line: str) -> None:
    """Add a header line below all others."""
    message.add(line, line.partition(":")[0].lower())


def _check_offer(scheme: str, params: Mapping[str, str]) -> None:
    """Raises SignInError."""
    version = params.get("version", "2")
    good = version.isascii() and version.isdecimal() and len(version) <= 4 and int(version) >= 2
    if not good or "realm" not in params or not params.get("targetname"):
        raise SignInError(f"the server's {scheme} challenge lacks realm, targetname or a version that there is")


def _token(params: Mapping[str, str]) -> bytes:
    """Raises MalformedMessage."""
    try:
        return b64decode(params.get("gssapi-data", ""), validate=True)
    except (binascii.Error, ValueError):
        raise MalformedMessage("gssapi-data of the server is not Base64") from None


def _told(message: Request | Response) -> Iterator[Mapping[str, str]]:
    """What the server says about its signatures, as far as it can be read."""
    for value in (value for name in _SIGNED for value in message.lines_of(name)):
        with suppress(MalformedMessage):
            yield read_params(value.partition(" ")[2])

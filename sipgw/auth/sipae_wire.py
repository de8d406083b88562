"""Header lines of [MS-SIPAE] (§2.2): credentials read, challenges and signatures written, quoted as servers do it."""

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from sipgw.auth.digest import CHALLENGE
from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Request, Response

REALM = "SIP Communications Service"
VERSION = 4  # of the protocol, the newest one; we speak 3 and 2 with whoever does
CARRIERS = ("authorization", "proxy-authorization")
_PARAM = re.compile(r'(?<![\w\-])([A-Za-z0-9_\-]+)\s*=\s*(?:"([^"]*)"|([^\s",]+))')  # linear on purpose
_MAX_RAND = 64  # characters; clients send eight


class Signature(NamedTuple):
    """`rand` and `num` as they were written, which is how they were signed; `number` is what `num` says."""

    rand: str
    num: str
    number: int
    value: bytes


@dataclass(slots=True)
class Credentials:
    """What a message has from a client. `scheme` is spelt as in our challenges; `ours` says that realm and targetname
    are; `proxy` that it came as Proxy-Authorization."""

    scheme: str
    targetname: str
    opaque: str
    ours: bool
    proxy: bool
    params: Mapping[str, str] = field(repr=False)

    @property
    def shakes(self) -> bool:
        """Whether they are a step of a handshake."""
        return "gssapi-data" in self.params

    def token(self) -> bytes:
        """The handshake's token, b"" for an empty one. Raises MalformedMessage."""
        try:
            return b64decode(self.params["gssapi-data"], validate=True)
        except (binascii.Error, ValueError):
            raise MalformedMessage("gssapi-data is not Base64") from None

    def version(self) -> int:
        """What the client speaks, which is not above what we do. Only versions from 3 on say so. Raises
        MalformedMessage."""
        text = self.params.get("version", "2")
        if not text.isascii() or not text.isdecimal() or len(text) > 4 or int(text) < 2:
            raise MalformedMessage("version of the authentication protocol is not a number from 2 on")
        return min(int(text), VERSION)

    def signature(self) -> Signature | None:
        """None without one. Raises MalformedMessage for one that cannot be right."""
        params = self.params
        if "response" not in params:
            return None
        rand, num = params.get("crand", ""), params.get("cnum", "")
        if not rand or len(rand) > _MAX_RAND or not num.isascii() or not num.isdecimal() or len(num) > 10:
            raise MalformedMessage("a signature without crand and cnum")
        try:
            return Signature(rand, num, int(num), bytes.fromhex(params["response"]))
        except ValueError:
            raise MalformedMessage("response is not hexadecimal") from None


def read_params(text: str) -> dict[str, str]:
    """Parameters by their names in lower case, unquoted. Raises MalformedMessage for one that is there twice, and for
    quoted pairs, as none of the values needs them."""
    found = _PARAM.findall(text)
    params = {name.lower(): quoted or plain for name, quoted, plain in found}
    if len(params) != len(found) or "\\" in text:
        raise MalformedMessage("authentication parameters that are there twice or cannot be read")
    return params


def read_credentials(message: Request | Response, targets: Mapping[str, tuple[str, str]]) -> Credentials | None:
    """Those for us, else the first for a scheme of ours, else None. `targets` has scheme and targetname as our
    challenges spell them, by the scheme in lower case. Raises MalformedMessage. Needs the message's index."""
    foreign = None
    for carrier in CARRIERS:
        if carrier not in message.index:
            continue
        for value in message.lines_of(carrier):
            scheme, _, rest = value.partition(" ")
            target = targets.get(scheme.lower())
            if target is None:
                continue
            found = _credentials(target, read_params(rest), carrier is CARRIERS[1])
            if found.ours:
                return found
            foreign = foreign or found
    return foreign


def _credentials(target: tuple[str, str], params: dict[str, str], proxy: bool) -> Credentials:
    scheme, expected = target
    named = params.get("targetname", "")
    ours = params.get("realm") == REALM and named.lower() == expected.lower()
    return Credentials(scheme, named, params.get("opaque", ""), ours, proxy, params)


def challenge_line(status: int, scheme: str, targetname: str) -> str:
    """The offer of a scheme, in a 401 or 407."""
    return f'{CHALLENGE[status]}: {scheme} targetname="{targetname}", realm="{REALM}", version={VERSION}'


def handshake_line(status: int, scheme: str, targetname: str, opaque: str, token: bytes) -> str:
    """Our step of a handshake, in a 401 or 407."""
    data = b64encode(token).decode()
    return (
        f'{CHALLENGE[status]}: {scheme} opaque="{opaque}", gssapi-data="{data}", '
        f'targetname="{targetname}", realm="{REALM}", version={VERSION}'
    )


def signature_line(
    scheme: str, targetname: str, opaque: str, signature: bytes, rand: str, num: str, proxy: bool, token: bytes = b""
) -> str:
    """Our signature of a message; `token` is the last one of a handshake that ends with one of ours."""
    name = "Proxy-Authentication-Info" if proxy else "Authentication-Info"
    data = f', gssapi-data="{b64encode(token).decode()}"' if token else ""
    return (
        f'{name}: {scheme} rspauth="{signature.hex().upper()}", srand="{rand}", snum="{num}", opaque="{opaque}", '
        f'qop="auth", targetname="{targetname}", realm="{REALM}"{data}'
    )

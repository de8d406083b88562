"""Digest as both sides have it: header values and the response (RFC 3261 §22.4, RFC 7616, RFC 8760).

Texts are as on the wire, one character for each byte (Latin-1), as everywhere in a message.
"""

from collections.abc import Mapping
from functools import lru_cache

from sipgw.auth.password import digest
from sipgw.message.errors import MalformedMessage
from sipgw.message.values import split_list, unquote

MAX_PARAMS = 32  # of one header value; RFC 7616 knows a dozen
MAX_VALUE = 1024  # characters of one of them

CHALLENGE = {401: "WWW-Authenticate", 407: "Proxy-Authenticate"}
CREDENTIALS = {401: "Authorization", 407: "Proxy-Authorization"}


@lru_cache(maxsize=4)  # what is checked is read again at once, to be dropped
def read_auth(value: str) -> tuple[str, Mapping[str, str]]:
    """One challenge or one set of credentials: the scheme in lower case, and its parameters, unquoted, by their names
    in lower case. Raises MalformedMessage, also for a parameter that is there twice."""
    scheme, rest = scheme_of(value)
    pieces = split_list(rest)
    if len(pieces) > MAX_PARAMS:
        raise MalformedMessage(f"more than {MAX_PARAMS} authentication parameters")
    params: dict[str, str] = {}
    for piece in pieces:
        name, equals, written = piece.partition("=")
        name, text = name.strip().lower(), unquote(written.strip())
        if not equals or not name or name in params or len(text) > MAX_VALUE:
            raise MalformedMessage(f"authentication parameters that cannot be read, at {name[:20]!r}")
        params[name] = text
    return scheme, params


def scheme_of(value: str) -> tuple[str, str]:
    """The scheme of a challenge or of credentials in lower case, "" without one, and the rest."""
    scheme, *rest = value.split(None, 1) or [""]
    return scheme.lower(), rest[0] if rest else ""


def response_of(algorithm: str, ha1: str, method: str, params: Mapping[str, str]) -> str:
    """The response for qop=auth (RFC 7616 §3.4.1), of `uri`, `nonce`, `nc` and `cnonce` in `params`."""
    ha2 = digest(algorithm, f"{method}:{params['uri']}".encode("latin-1"))
    text = f"{ha1}:{params['nonce']}:{params['nc']}:{params['cnonce']}:auth:{ha2}"
    return digest(algorithm, text.encode("latin-1"))


def to_wire(text: str) -> str:
    """A text as it stands in a header: UTF-8, a character for each byte."""
    return text.encode("utf-8").decode("latin-1")


def from_wire(text: str) -> str:
    """The same back; what is not UTF-8 is taken for Latin-1."""
    data = text.encode("latin-1", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return text

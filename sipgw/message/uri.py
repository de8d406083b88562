"""SIP and SIPS URIs (RFC 3261 §19.1)."""

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import Final
from urllib.parse import unquote as unescape

from sipgw.message.errors import MalformedMessage, MalformedUri
from sipgw.message.values import MAX_PARAMS, host_port, split_host_port

MAX_URI: Final = 4096  # characters; a longer one cannot be routed by anyone (§21.4.12: 414)

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")
_HOST: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*\Z")  # linear: names are checked where they are resolved
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_FORBIDDEN: Final = re.compile(r"[\x00-\x20<>\"\x7f]")
_ALWAYS_COMPARED: Final = ("user", "ttl", "method", "maddr", "transport")  # §19.1.4: absent on one side is a mismatch


class SipUri:
    """A parsed sip: or sips: URI, not to be changed. `params` and `headers` keys are in lower case.

    `user` is as written (escapes kept), None when there is none; `port` 0 when none is given.
    """

    __slots__ = ("headers", "host", "params", "password", "port", "scheme", "text", "user")

    def __init__(
        self,
        text: str,
        scheme: str,
        user: str | None,
        password: str | None,
        host: str,
        port: int,
        params: dict[str, str | None],
        headers: dict[str, str],
    ) -> None:
        self.text = text
        self.scheme = scheme
        self.user = user
        self.password = password
        self.host = host
        self.port = port
        self.params = params
        self.headers = headers

    @property
    def aor(self) -> str:
        """`user@host` as a key (§10.3 step 5): parameters aside, escapes undone, case folded."""
        user = unescape(self.user or "", "latin-1")
        return f"{user}@{self.host}".lower()

    @property
    def transport(self) -> str:
        """The transport parameter in upper case, "" when not given."""
        return (self.params.get("transport") or "").upper()

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=4096)
def parse_uri(text: str) -> SipUri:
    """Parse a sip: or sips: URI. Raises MalformedUri: status 416 for another scheme, 414 when too long, else 400."""
    if len(text) > MAX_URI:
        raise MalformedUri(f"the URI is longer than {MAX_URI} characters", 414)
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    if not colon or not _SCHEME.fullmatch(scheme):
        raise MalformedUri(f"not a URI: {text[:60]!r}")
    if scheme not in ("sip", "sips"):
        raise MalformedUri(f"the URI scheme {scheme[:20]!r} is not supported", 416)
    if _FORBIDDEN.search(text) or _BAD_ESCAPE.search(text):
        raise MalformedUri(f"a character or escape is not allowed in a URI: {text[:60]!r}")
    return _parse_rest(text, scheme, rest)


def _parse_rest(text: str, scheme: str, rest: str) -> SipUri:
    user: str | None = None
    password: str | None = None
    if "@" in rest:  # the user part may hold ; and ? (§25.1 user-unreserved), so it is cut off first
        userinfo, _, rest = rest.rpartition("@") if rest.count("@") == 1 else rest.partition("@")
        user, colon, secret = userinfo.partition(":")
        password = secret if colon else None
        if not user:
            raise MalformedUri(f"an empty user in a URI: {text[:60]!r}")
    rest, question, header_text = rest.partition("?")
    address, semicolon, param_text = rest.partition(";")
    try:
        host, port = split_host_port(address)
    except MalformedMessage as error:
        raise MalformedUri(f"{error.reason} in {text[:60]!r}") from None
    if not address.startswith("[") and not _HOST.match(host):
        raise MalformedUri(f"not a host name: {host[:60]!r}")
    params = _params(param_text) if semicolon else {}
    headers = _headers(header_text) if question else {}
    return SipUri(text, scheme, user, password, host.lower(), port, params, headers)


def _params(text: str) -> dict[str, str | None]:
    params: dict[str, str | None] = {}
    pieces = text.split(";")
    if len(pieces) > MAX_PARAMS:
        raise MalformedUri(f"more than {MAX_PARAMS} parameters in a URI: {text[:60]!r}")
    for piece in pieces:
        key, equals, value = piece.partition("=")
        if key:
            params[key.lower()] = value if equals else None
    return params


def _headers(text: str) -> dict[str, str]:
    pairs = (piece.partition("=") for piece in text.split("&") if piece)
    return {key.lower(): value for key, _, value in pairs}


def equivalent(a: SipUri, b: SipUri) -> bool:
    """RFC 3261 §19.1.4. Not transitive, as the section says."""
    if a.text == b.text:
        return True
    if a.scheme != b.scheme or a.port != b.port or not _same_host(a.host, b.host):
        return False
    if _undo(a.user) != _undo(b.user) or _undo(a.password) != _undo(b.password):
        return False
    return _same_params(a.params, b.params) and _same_headers(a.headers, b.headers)


def _same_host(a: str, b: str) -> bool:
    """RFC 5954 §4.2: IPv6 addresses are compared by what they are, not by how they are written."""
    if a == b or ":" not in a or ":" not in b:
        return a == b
    try:
        return ip_address(a) == ip_address(b)
    except ValueError:
        return False


def _undo(text: str | None) -> str | None:
    return None if text is None else unescape(text, "latin-1")


def _same_params(a: dict[str, str | None], b: dict[str, str | None]) -> bool:
    for key in a.keys() | b.keys():
        if key in a and key in b:
            if (_undo(a[key]) or "").lower() != (_undo(b[key]) or "").lower():
                return False
        elif key in _ALWAYS_COMPARED:
            return False
    return True


def _same_headers(a: dict[str, str], b: dict[str, str]) -> bool:
    return {k: _undo(v) for k, v in a.items()} == {k: _undo(v) for k, v in b.items()}


def sip_uri(user: str | None, host: str, port: int = 0, *, scheme: str = "sip", params: str = "") -> str:
    """Compose a URI's text. `params` starts with its semicolon."""
    at = f"{user}@" if user else ""
    return f"{scheme}:{at}{host_port(host, port)}{params}"

"""Record-Route flow tokens (RFC 5626 §5.2): the two sides of a dialog in the user part of our Record-Route URI.

`MAC.mark.caller.callee`, all in characters that a URI's user part may hold. A side is a connection (`c` and its id), a
datagram peer (`u`, address and port in hex), an address to connect to (`U`, `T` or `S` for UDP, TCP, TLS, then the
same, then `p` and the pool's checksum where a server name has to be proved), or `0` when unknown. The mark is a
checksum of Call-ID and the caller's tag: it binds the token to its dialog and tells, for a request inside the dialog,
which side it came from. So a request inside a dialog needs no state here, and no token leads anywhere but to the two
parties that the dialog was set up between.
"""

import hmac
from functools import lru_cache
from hashlib import blake2b
from ipaddress import ip_address
from typing import Final, NamedTuple
from zlib import crc32

from sipgw.events import Flow, Hop

_HOP_LETTER: Final = {"UDP": "U", "TCP": "T", "TLS": "S"}
_HOP_TRANSPORT: Final = {letter: transport for transport, letter in _HOP_LETTER.items()}
MAX_KEPT, MAX_LENGTH = 8192, 300  # dialogs whose tokens are known to be good, and characters of what names one
_MAC_BYTES: Final = 10  # RFC 5626 §5.2 suggests 80 bits


class Side(NamedTuple):
    """One party: `cid` of its connection, else transport, host and port; `datagram` for a peer seen, not one to dial.

    `pool` is the checksum of the pool's name, 0 for none.
    """

    cid: int = 0
    transport: str = ""
    host: str = ""
    port: int = 0
    pool: int = 0
    datagram: bool = False


def checksum(text: str) -> int:
    return crc32(text.lower().encode("latin-1", "replace"))


def mark_of(call_id: str, tag: str) -> str:
    return crc32(f"{call_id}/{tag}".encode("latin-1", "replace")).to_bytes(4).hex()


def write_side(to: Flow | Hop, pool: str = "") -> str:
    if isinstance(to, Flow):
        return f"c{to.cid:x}" if to.cid else f"u{_hex_address(to.host, to.port)}"
    suffix = f"p{checksum(pool):x}" if pool else ""
    return f"{_HOP_LETTER[to.transport]}{_hex_address(to.host, to.port)}{suffix}"


@lru_cache(maxsize=4096)
def _hex_address(host: str, port: int) -> str:
    parts = host.split(".")
    if len(parts) == 4:
        a, b, c, d = parts
        return f"{int(a):02x}{int(b):02x}{int(c):02x}{int(d):02x}{port:04x}"
    return f"{ip_address(host.partition('%')[0]).packed.hex()}{port:04x}"


@lru_cache(maxsize=4096)
def read_side(text: str) -> Side:
    """Undo `write_side`. Raises ValueError."""
    kind, rest = text[:1], text[1:]
    if kind == "c":
        return Side(cid=int(rest, 16))
    if kind == "0":
        return Side()
    address, _, pool = rest.partition("p")
    host = str(ip_address(bytes.fromhex(address[:-4])))
    port = int(address[-4:], 16)
    if kind == "u":
        return Side(transport="UDP", host=host, port=port, datagram=True)
    if kind not in _HOP_TRANSPORT:
        raise ValueError(f"not a side: {kind!r}")
    return Side(transport=_HOP_TRANSPORT[kind], host=host, port=port, pool=int(pool, 16) if pool else 0)


class FlowTokens:
    """Makes and reads tokens with one secret key, which nodes and restarts share."""

    def __init__(self, key: bytes) -> None:
        self._keyed = blake2b(digest_size=_MAC_BYTES, key=key[:64])
        self._proved: dict[tuple[str, str, str, str], tuple[Side, Side]] = {}

    def make(self, call_id: str, caller_tag: str, caller: str, callee: str) -> str:
        """A token; the sides are texts from `write_side`."""
        body = f"{mark_of(call_id, caller_tag)}.{caller}.{callee}"
        return f"{self._mac(body)}.{body}"

    def towards(self, token: str, call_id: str, from_tag: str, to_tag: str) -> Side:
        """Where a request with these tags is going: the other side. Raises ValueError for a forged token, another
        dialog's, and one that cannot be read."""
        return self._sides(token, call_id, from_tag, to_tag)[1]

    def sender(self, token: str, call_id: str, from_tag: str, to_tag: str) -> Side:
        """Which side a request with these tags says that it comes from; otherwise as `towards`."""
        return self._sides(token, call_id, from_tag, to_tag)[0]

    def _sides(self, token: str, call_id: str, from_tag: str, to_tag: str) -> tuple[Side, Side]:
        """The sender's and the other one. What was proved for a dialog once is known for what follows in it."""
        if len(call_id) + len(from_tag) + len(to_tag) > MAX_LENGTH:
            return self._prove(token, call_id, from_tag, to_tag)
        dialog = (token, call_id, from_tag, to_tag)
        sides = self._proved.get(dialog)
        if sides is None:
            sides = self._prove(token, call_id, from_tag, to_tag)
            if len(self._proved) >= MAX_KEPT:
                self._proved.clear()
            self._proved[dialog] = sides
        return sides

    def _prove(self, token: str, call_id: str, from_tag: str, to_tag: str) -> tuple[Side, Side]:
        mac, _, body = token.partition(".")
        if not hmac.compare_digest(mac.encode("latin-1"), self._mac(body).encode()):
            raise ValueError("not a token of ours")
        parts = body.split(".")
        if len(parts) != 3:
            raise ValueError("not a token")
        mark, caller, callee = parts
        if mark == mark_of(call_id, from_tag):
            return read_side(caller), read_side(callee)
        if mark == mark_of(call_id, to_tag):
            return read_side(callee), read_side(caller)
        raise ValueError("the token of another dialog")

    def _mac(self, body: str) -> str:
        mac = self._keyed.copy()
        mac.update(body.encode("latin-1"))
        return mac.hexdigest()

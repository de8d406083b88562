"""Keep-alives over UDP (RFC 5626 §3.5.2): a STUN Binding request on the SIP port is answered with where it came from.

Nothing of STUN (RFC 5389) but that: no attributes are read, no authentication, no other method. A client learns from
the answer that its NAT binding stands and whether it has moved.
"""

from ipaddress import ip_address
from struct import pack, unpack

_REQUEST, _SUCCESS = 0x0001, 0x0101
_COOKIE = 0x2112A442
_XOR_MAPPED_ADDRESS = 0x0020


def is_stun(data: bytes) -> bool:
    """Whether a datagram is STUN: its first two bits are zero, which no SIP message's are (RFC 5626 §8)."""
    return len(data) >= 20 and data[0] < 0x40 and data[4:8] == b"\x21\x12\xa4\x42"


def answer(data: bytes, host: str, port: int) -> bytes | None:
    """The Binding success response to a STUN datagram from `host` and `port`; None when it asks for none."""
    kind, length, _ = unpack("!HHI", data[:8])
    if kind != _REQUEST or length != len(data) - 20 or length % 4:
        return None
    address = ip_address(host.partition("%")[0])
    mask = (data[4:8] if address.version == 4 else data[4:20])[: len(address.packed)]
    hidden = bytes(a ^ b for a, b in zip(address.packed, mask, strict=True))
    family = 1 if address.version == 4 else 2
    value = pack("!BBH", 0, family, port ^ (_COOKIE >> 16)) + hidden
    attribute = pack("!HH", _XOR_MAPPED_ADDRESS, len(value)) + value
    return pack("!HH", _SUCCESS, len(attribute)) + data[4:20] + attribute

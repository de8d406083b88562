"""HEP version 3 (the Homer Encapsulation Protocol, also EEP): one message with where and when, in one datagram.

"HEP3", the length of all, then chunks: vendor and type (2 bytes each), length with this head of 6, value. Numbers are
big endian. Vendor 0 is the protocol's own.
"""

from struct import pack

from sipgw.observability.addresses import Ends

MAX_SIZE = 65_507  # bytes of payload that a datagram holds
_SIP = 1  # protocol type
_UDP, _TCP = 17, 6
_IPV4, _IPV6 = 2, 10


def encode(data: bytes, ends: Ends, incoming: bool, at: float, capture_id: int, call_id: bytes = b"") -> bytes:
    """One packet. `at` by the wall clock; `call_id` lets the collector put messages together. A message that is too
    long is cut."""
    source, target = (ends.peer, ends.local) if incoming else (ends.local, ends.peer)
    microseconds = round(at * 1_000_000)
    ipv6 = source.host.version == 6
    chunks = [
        _chunk(1, pack("!B", _IPV6 if ipv6 else _IPV4)),
        _chunk(2, pack("!B", _UDP if ends.transport == "UDP" else _TCP)),
        _chunk(5 if ipv6 else 3, source.host.packed),
        _chunk(6 if ipv6 else 4, target.host.packed),
        _chunk(7, pack("!H", source.port)),
        _chunk(8, pack("!H", target.port)),
        _chunk(9, pack("!I", microseconds // 1_000_000)),
        _chunk(10, pack("!I", microseconds % 1_000_000)),
        _chunk(11, pack("!B", _SIP)),
        _chunk(12, pack("!I", capture_id)),
    ]
    if call_id:
        chunks.append(_chunk(17, call_id[:256]))
    head = b"".join(chunks)
    payload = _chunk(15, data[: MAX_SIZE - len(head) - 12])
    return b"HEP3" + pack("!H", 6 + len(head) + len(payload)) + head + payload


def _chunk(kind: int, value: bytes) -> bytes:
    return pack("!HHH", 0, kind, 6 + len(value)) + value

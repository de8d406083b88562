"""Traced messages as a file for Wireshark: pcapng.

IP and UDP or TCP around each message are made up from what is known of its way. What the gateway decided stands as a
comment at the message that follows.
"""

from collections.abc import Iterable, Iterator
from struct import pack
from typing import NamedTuple

from sipgw.observability.addresses import SIP_PORT, End, Ends

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_RAW_IP = 101  # LINKTYPE_RAW: IPv4 or IPv6, whichever the first four bits say
_COMMENT, _APPLICATION, _RESOLUTION = 1, 4, 9
_TCP, _UDP = 6, 17
_PUSH_ACK = 0x18
_MOST = 65_000  # bytes of a message in one packet: IP counts in 16 bits
_WINDOW = 65_535


class Packet(NamedTuple):
    """`at` by the wall clock; `comments` are shown with it."""

    at: float
    data: bytes
    ends: Ends
    incoming: bool
    comments: list[str]


def encode(packets: Iterable[Packet], application: str) -> Iterator[bytes]:
    """The file, piece by piece."""
    about = (
        "Written from messages that the gateway kept. Credentials are hidden. Headers of IP, UDP and TCP are made up, "
        "and so are our ports where the system chose them, and 192.0.2.1 and 2001:db8::1"
    )
    yield _section([(_APPLICATION, application), (_COMMENT, about)])
    microseconds = _option(_RESOLUTION, b"\x06") + _option(0, b"")
    yield _block(_INTERFACE, pack("<HHI", _RAW_IP, 0, 0) + microseconds)
    streams = _Streams()
    for packet in packets:
        yield from _packets(packet, streams)


def _packets(packet: Packet, streams: "_Streams") -> Iterator[bytes]:
    comments, ends = list(packet.comments), packet.ends
    if ends.transport == "TLS":
        comments.append("came by TLS; shown decrypted, as if by TCP")
        ends = _plain(ends)
    source, target = (ends.peer, ends.local) if packet.incoming else (ends.local, ends.peer)
    for at in range(0, max(1, len(packet.data)), _MOST):
        part = packet.data[at : at + _MOST]
        wrapped = _udp(part, source, target) if ends.transport == "UDP" else streams.segment(part, source, target)
        yield _packet(packet.at, wrapped, comments if at == 0 else [])


def _plain(ends: Ends) -> Ends:
    """With the port of SIP by TCP where that of SIP by TLS was, so that it is taken for what it is: on our side, or on
    the other's where the connection is ours."""
    if ends.local.port < ends.peer.port or ends.known:
        return ends._replace(transport="TCP", local=End(ends.local.host, SIP_PORT))
    return ends._replace(transport="TCP", peer=End(ends.peer.host, SIP_PORT))


class _Streams:
    """Where each direction of each connection is."""

    def __init__(self) -> None:
        self._sent: dict[tuple[End, End], int] = {}

    def segment(self, data: bytes, source: End, target: End) -> bytes:
        """One that follows what came before it, so that nothing is taken for lost."""
        sequence = self._sent.get((source, target), 1)
        acknowledged = self._sent.get((target, source), 1)
        self._sent[source, target] = (sequence + len(data)) & 0xFFFF_FFFF
        head = pack("!HHIIBBHHH", source.port, target.port, sequence, acknowledged, 5 << 4, _PUSH_ACK, _WINDOW, 0, 0)
        return _ip(_with_checksum(head + data, 16, source, target, _TCP), source, target, _TCP)


def _udp(data: bytes, source: End, target: End) -> bytes:
    head = pack("!HHHH", source.port, target.port, 8 + len(data), 0)
    return _ip(_with_checksum(head + data, 6, source, target, _UDP), source, target, _UDP)


def _with_checksum(segment: bytes, at: int, source: End, target: End, protocol: int) -> bytes:
    """RFC 768, RFC 9293 §3.1, RFC 8200 §8.1: over addresses, protocol and length too."""
    around = source.host.packed + target.host.packed + pack("!II", len(segment), protocol)
    checksum = _checksum(around + segment) or 0xFFFF
    return segment[:at] + pack("!H", checksum) + segment[at + 2 :]


def _checksum(data: bytes) -> int:
    """RFC 1071: the ones' complement sum, which is the remainder modulo 65535."""
    total = int.from_bytes(data + b"\0" * (len(data) % 2), "big")
    return ~(total % 0xFFFF) & 0xFFFF


def _ip(payload: bytes, source: End, target: End, protocol: int) -> bytes:
    if source.host.version == 6:
        head = pack("!IHBB", 6 << 28, len(payload), protocol, 64)
        return head + source.host.packed + target.host.packed + payload
    head = pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0)
    head += source.host.packed + target.host.packed
    return head[:10] + pack("!H", _checksum(head)) + head[12:] + payload


def _section(options: list[tuple[int, str]]) -> bytes:
    """Section Header Block: byte order, version 1.0, length not told."""
    written = b"".join(_option(code, text.encode()) for code, text in options) + _option(0, b"")
    return _block(_SECTION, pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + written)


def _packet(at: float, data: bytes, comments: list[str]) -> bytes:
    """Enhanced Packet Block."""
    moment = round(at * 1_000_000)
    head = pack("<IIIII", 0, moment >> 32, moment & 0xFFFF_FFFF, len(data), len(data))
    options = b"".join(_option(_COMMENT, comment[:1000].encode()) for comment in comments)
    return _block(_PACKET, head + _padded(data) + (options + _option(0, b"") if options else b""))


def _option(code: int, value: bytes) -> bytes:
    return pack("<HH", code, len(value)) + _padded(value)


def _block(kind: int, body: bytes) -> bytes:
    length = pack("<I", 12 + len(body))
    return pack("<I", kind) + length + body + length


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)

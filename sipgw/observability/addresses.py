"""Both ends of a message as numbers, for formats that want an IP header: HEP and pcapng."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from sipgw.message.values import host_port

IpAddress = IPv4Address | IPv6Address
UNKNOWN = {4: ip_address("192.0.2.1"), 6: ip_address("2001:db8::1")}  # for documentation (RFC 5737, RFC 3849)
_LOOPBACK = {4: ip_address("127.0.0.1"), 6: ip_address("::1")}
SIP_PORT = 5060
_EPHEMERAL = 49_152  # RFC 6335 §6


class End(NamedTuple):
    host: IpAddress
    port: int


class Ends(NamedTuple):
    """`transport` is "UDP", "TCP" or "TLS"; `known` is False where an address had to be made up."""

    transport: str
    local: End
    peer: End
    known: bool


def ends_of(local: str, peer: str) -> Ends:
    """Of addresses as `tcp:127.0.0.1:5060`; `local` "" where the system chose it. What is not known is made up, the
    same for the same peer, so that what belongs together stays together."""
    transport, host, port = cut(peer)
    there = _ip(host)
    known = there is not None
    there = there or UNKNOWN[4]
    if not local:
        made_up = _LOOPBACK if there.is_loopback else UNKNOWN
        near = End(
            made_up[there.version], SIP_PORT if transport == "UDP" else _EPHEMERAL + port % (65_536 - _EPHEMERAL)
        )
        return Ends(transport, near, End(there, port), False)
    _, own, own_port = cut(local)
    here = _ip(own)
    if here is None or here.is_unspecified or here.version != there.version:
        here, known = (_LOOPBACK if there.is_loopback else UNKNOWN)[there.version], False
    return Ends(transport, End(here, own_port), End(there, port), known)


def cut(address: str) -> tuple[str, str, int]:
    """Transport in capitals, host without brackets, port."""
    transport, _, rest = address.partition(":")
    host, _, port = rest.rpartition(":")
    return transport.upper(), host.strip("[]"), int(port)


def _ip(host: str) -> IpAddress | None:
    try:
        return ip_address(host.partition("%")[0])  # a zone has no place in a header
    except ValueError:
        return None


def text_of(end: End) -> str:
    return host_port(str(end.host), end.port)

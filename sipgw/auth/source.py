"""Where something came from, as failures and handshakes are counted by it."""

from ipaddress import AddressValueError, IPv6Address

_NETWORK = 64  # bits: one subscriber has all addresses of such a network (RFC 6177 §2), and can use each once


def source_of(host: str) -> str:
    """An IPv4 address is itself, an IPv6 address its network."""
    if ":" not in host:
        return host
    try:
        address = IPv6Address(host.partition("%")[0])
    except AddressValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> _NETWORK << _NETWORK)}/{_NETWORK}"

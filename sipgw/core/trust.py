"""Whom the configuration trusts: by the network that somebody is in, or by a name that a certificate has proved."""

from ipaddress import IPv4Network, IPv6Network, ip_address

from sipgw.events import Flow

Network = IPv4Network | IPv6Network


def is_trusted(flow: Flow, networks: tuple[Network, ...], names: frozenset[str]) -> bool:
    """Whether a peer belongs to one of the networks, or its certificate has proved one of the names."""
    if flow.names and not names.isdisjoint(flow.names):
        return True
    return is_within(flow.host, networks)


def is_within(host: str, networks: tuple[Network, ...]) -> bool:
    """Whether a numeric address belongs to one of the networks."""
    if not networks:
        return False
    address = ip_address(host.partition("%")[0])
    return any(address in network for network in networks)

"""Where somebody wants to send something, before any name has been looked up."""

from ipaddress import ip_address
from typing import NamedTuple

from sipgw.message.uri import SipUri
from sipgw.message.values import host_port

POOL_TLS_PORT = 5041  # where a Persistent Chat server listens for its Front End
DEFAULT_PORTS = {"UDP": 5060, "TCP": 5060, "TLS": 5061}  # RFC 3261 §19.1.2


class Destination(NamedTuple):
    """The TARGET of RFC 3263 §4 and what is known of the way to it. Hashable.

    `host` is a name in lower case without a final dot, or an address without brackets; `port` 0 and `transport` ""
    where none is given. `secure` allows TLS only. `default_transport` and `default_port` serve where neither the
    caller nor the name service says more; `default_port` 0 is the transport's own. `verify_name` is what a TLS server
    has to prove: the name that was meant, never one that the name service came up with (RFC 5922 §7.2).
    """

    host: str
    port: int
    transport: str
    secure: bool
    default_transport: str
    default_port: int
    verify_name: str

    def __str__(self) -> str:
        return host_port(self.host, self.port) + (f";transport={self.transport.lower()}" if self.transport else "")


def of_pool(fqdn: str) -> Destination:
    """A Persistent Chat pool that is known by its name only: whatever its zone says, else TLS to port 5041."""
    name = bare(fqdn)
    return Destination(name, 0, "", False, "TLS", POOL_TLS_PORT, name)


def of_server(transport: str, host: str, port: int, verify_name: str) -> Destination:
    """One server of a pool, as the configuration names it: only its addresses are looked up."""
    return Destination(bare(host), port, transport, False, transport, 0, bare(verify_name))


def of_uri(uri: SipUri) -> Destination:
    """A next hop that a Request-URI or Route names (RFC 3261 §8.1.2, §16.6 item 7; maddr: §19.1.1).

    sips with transport=tcp is TLS over TCP; sips with transport=udp keeps "UDP", which nobody can go to.
    """
    secure = uri.scheme == "sips"
    transport = "TLS" if secure and uri.transport == "TCP" else uri.transport
    host = uri.params.get("maddr") or uri.host
    default = "TLS" if secure else "UDP"  # §4.1
    return Destination(bare(host), uri.port, transport, secure, default, 0, bare(uri.host))


def bare(host: str) -> str:
    """A host as names and addresses are compared: no brackets, no final dot, lower case."""
    return host.strip("[]").rstrip(".").lower()


def is_address(host: str) -> bool:
    """Whether a host is a numeric address rather than a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True

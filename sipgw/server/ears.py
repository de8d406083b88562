"""Addresses to listen at: bound before anything is read, so that what cannot be had is told in time."""

import socket
from dataclasses import dataclass

from sipgw.events import Listener
from sipgw.message.values import host_port
from sipgw.server.datagram import bind_datagram


@dataclass(frozen=True)
class Ears:
    """A bound socket and the listener that it is."""

    listener: Listener
    sock: socket.socket


def bind(addresses: list[tuple[str, str, int]], name: str, shared: bool = False) -> list[Ears]:
    """Bind (transport, host, port) addresses; port 0 takes a free one. All or none. Raises OSError naming the address.
    `shared` ones may be bound again by this user: what comes is then divided.

    `name` stands in Via and Record-Route where an address is a wildcard or `name` is not empty.
    """
    ears: list[Ears] = []
    for transport, host, port in addresses:
        try:
            sock = (bind_datagram if transport == "UDP" else _bind_stream)(host, port, shared)
        except OSError as error:
            for bound in ears:
                bound.sock.close()
            raise OSError(error.errno, f"{transport.lower()}:{host_port(host, port)}: {error.strerror}") from None
        bound_port = sock.getsockname()[1]
        ears.append(Ears(Listener(transport, host, bound_port, host_port(name or host, bound_port)), sock))
    return ears


def _bind_stream(host: str, port: int, shared: bool) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if ":" in host:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind((host, port))
        sock.listen(1024)
    except OSError:
        sock.close()
        raise
    return sock

"""Addresses to listen at: bound before anything is read, so that what cannot be had is told in time."""

import socket
from dataclasses import dataclass

from sipgw.events import Listener, address_text
from sipgw.message.values import host_port
from sipgw.server.datagram import bind_datagram


@dataclass(frozen=True)
class Ears:
    """A bound socket and the listener that it is."""

    listener: Listener
    sock: socket.socket


Address = tuple[str, str, int]  # transport, host, port


class Unbound(OSError):
    """Addresses that cannot be had: each with what the system says of it."""

    def __init__(self, number: int | None, failures: list[tuple[Address, str]]) -> None:
        super().__init__(number, "; ".join(f"{address_text(*address)}: {reason}" for address, reason in failures))
        self.failures = failures

    def __str__(self) -> str:
        return str(self.strerror)


def bind(addresses: list[Address], name: str, shared: bool = False) -> list[Ears]:
    """Bind addresses; port 0 takes a free one. All or none. Raises Unbound, which names all that cannot be had.
    `shared` ones may be bound again by this user: what comes is then divided.

    `name` stands in Via and Record-Route where an address is a wildcard or `name` is not empty.
    """
    ears: list[Ears] = []
    failures: list[tuple[Address, str]] = []
    number: int | None = None
    for transport, host, port in addresses:
        try:
            sock = (bind_datagram if transport == "UDP" else _bind_stream)(host, port, shared)
        except OSError as error:
            failures.append(((transport, host, port), error.strerror or str(error)))
            number = number or error.errno
            continue
        bound_port = sock.getsockname()[1]
        ears.append(Ears(Listener(transport, host, bound_port, host_port(name or host, bound_port)), sock))
    if failures:
        for bound in ears:
            bound.sock.close()
        raise Unbound(number, failures)
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

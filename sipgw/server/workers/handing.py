"""Sockets handed from one process to another (unix(7), SCM_RIGHTS)."""

import socket
from collections.abc import Sequence

AT_ONCE = 100  # the kernel takes 253


def send_sockets(over: socket.socket, socks: Sequence[socket.socket]) -> None:
    """Raises OSError."""
    for at in range(0, len(socks), AT_ONCE):
        socket.send_fds(over, [b"s"], [sock.fileno() for sock in socks[at : at + AT_ONCE]])


def received_sockets(over: socket.socket, count: int) -> list[socket.socket]:
    """As many as have been sent already. Raises OSError."""
    found: list[socket.socket] = []
    while len(found) < count:
        data, numbers, _, _ = socket.recv_fds(over, 1, AT_ONCE)
        if not data:
            raise OSError("the other side is gone")
        found += [socket.socket(fileno=number) for number in numbers]
    for sock in found:
        sock.setblocking(False)
    return found

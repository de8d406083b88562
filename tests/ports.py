"""Ports for programs that have to be told theirs, or have to come back at the same one."""

import socket
from random import randrange

_LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


def free_port() -> int:
    """One that is free for UDP and TCP, below those that systems give out of their own accord: it stays free, however
    many other tests run beside this one."""
    for _ in range(100):
        port = randrange(20_000, 32_000)
        if all(
            _is_free(family, kind, port) for family in _LOOPBACK for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)
        ):
            return port
    raise AssertionError("no port is free")


def _is_free(family: socket.AddressFamily, kind: socket.SocketKind, port: int) -> bool:
    with socket.socket(family, kind) as sock:
        try:
            sock.bind((_LOOPBACK[family], port))
        except OSError:
            return False
    return True

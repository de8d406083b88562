"""Accepting on a TLS socket: a handshake that ends within a bound, and only then a connection.

Done by hand because a failed handshake leaves no trace with asyncio's own servers, and because each connection gets the
certificate that is valid when it comes.
"""

import asyncio
import errno
import socket
import ssl
from collections import Counter
from typing import Protocol

from sipgw.events import Listener
from sipgw.server.connection import Connection
from sipgw.server.tls_reasons import reason_of

PAUSE = 0.5  # seconds without accepting when the process has run out of file descriptors
TELL_EVERY, MAX_TOLD = 60.0, 1000  # seconds between two lines about a peer's failures, peers that are remembered
_GONE = (errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.EINTR)  # accept(2): only this one connection


class Arrivals:
    """Handshakes under way at all listeners: how many, and from whom. And whose failure was told lately."""

    def __init__(self) -> None:
        self.from_peer: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._told: dict[str, float] = {}

    def worth_telling(self, peer: str, now: float) -> bool:
        """Whether a failure is more than one of many: a line a minute about one peer is enough."""
        if now < self._told.get(peer, now):
            return False
        if peer not in self._told and len(self._told) >= MAX_TOLD:
            self._told.clear()
        self._told[peer] = now + TELL_EVERY
        return True

    @property
    def total(self) -> int:
        return len(self._tasks)

    async def abandon(self) -> None:
        """Break all of them off."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def begin(self, peer: str, task: asyncio.Task[None]) -> None:
        self.from_peer[peer] += 1
        self._tasks.add(task)
        task.add_done_callback(lambda ended: self._end(peer, ended))

    def _end(self, peer: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.from_peer[peer] -= 1
        if not self.from_peer[peer]:
            del self.from_peer[peer]


class Door(Protocol):
    """What the shell decides about whoever connects."""

    arrivals: Arrivals

    @property
    def patience(self) -> float: ...

    def has_room(self, peer: str) -> bool: ...

    def incoming(self, listener: Listener) -> Connection: ...

    def server_context(self) -> ssl.SSLContext: ...

    def handshake_failed(self, listener: Listener, peer: str, reason: str) -> None: ...


class SecureListener:
    """One listening socket."""

    def __init__(self, sock: socket.socket, listener: Listener, door: Door) -> None:
        self._sock = sock
        self._listener = listener
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._accepting = self._loop.create_task(self._accept())
        self._accepting.add_done_callback(lambda _: sock.close())  # not before the loop has let go of it

    def close(self) -> None:
        """Accept no longer. Handshakes under way may end well."""
        self._accepting.cancel()

    async def closed(self) -> None:
        """After `close`: wait until the socket is closed."""
        await asyncio.gather(self._accepting, return_exceptions=True)

    async def _accept(self) -> None:
        while True:
            try:
                sock, address = await self._loop.sock_accept(self._sock)
            except OSError as error:
                if error.errno not in _GONE:
                    await asyncio.sleep(PAUSE)
                continue
            self._greet(sock, address[0])
            await asyncio.sleep(0)  # a flood of connections must not keep the loop from all else

    def _greet(self, sock: socket.socket, peer: str) -> None:
        if not self._door.has_room(peer):
            sock.close()
            return
        self._door.arrivals.begin(peer, self._loop.create_task(self._shake_hands(sock, peer)))

    async def _shake_hands(self, sock: socket.socket, peer: str) -> None:
        reason, patience = "", self._door.patience
        try:
            async with asyncio.timeout(patience):
                await self._loop.connect_accepted_socket(
                    lambda: self._door.incoming(self._listener), sock, ssl=self._door.server_context()
                )
        except TimeoutError:
            reason = f"no handshake within {patience:g} s"
        except OSError as error:
            reason = reason_of(error)
        if reason:
            self._door.handshake_failed(self._listener, peer, reason)

"""Opening connections to hops, and what waits to be sent over them meanwhile."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from sipgw.config import TlsFiles
from sipgw.events import SLOW, UNTRUSTED, Hop, SendKey
from sipgw.server.connection import Connection, Prove
from sipgw.server.tls import TlsContexts, proves
from sipgw.server.tls_reasons import reason_of

# A server that vanished without a word: seconds without its acknowledgement of what was sent after which a connection
# is broken, which is sooner than Timer F; and seconds without traffic between looks, fewer than firewalls remember.
UNACKNOWLEDGED, KEEP_ALIVE, KEEP_ALIVE_AGAIN = 10, 30, 5
MAX_QUEUED = 1000  # messages waiting for one connection to open; one more fails at once
MAX_OPENING = 1000  # connections being opened; a message that needs one more fails at once
Key = Hop | tuple[Hop, TlsFiles]  # by TLS it also matters who we are and whom we believe
Failed = Callable[[SendKey, str], None]  # key of the Send, reason


@dataclass(slots=True)
class _Opening:
    task: asyncio.Task[None]
    queue: list[tuple[bytes, SendKey]] = field(default_factory=list)
    by_tcp: bool = False  # TCP is connected, TLS is not yet


class Connector:
    """One connection for each transport, address, server name, certificate of ours and set of authorities: so nothing
    goes over a connection that somebody else was believed to be at the end of. `tls` may be set anew at any time."""

    def __init__(
        self,
        make: Callable[[Hop, Key, Prove | None], Connection],
        failed: Failed,
        flushed: Callable[[], None],
        tls: TlsContexts | None,
        timeout: Callable[[], float],
    ) -> None:
        self.tls = tls
        self._make = make
        self._failed = failed
        self._flushed = flushed
        self._timeout = timeout
        self._open: dict[object, Connection] = {}
        self._opening: dict[Key, _Opening] = {}
        self._superseded: dict[object, Connection] = {}

    def send(self, hop: Hop, data: bytes, key: SendKey) -> None:
        """Over the open connection, or as soon as one is open. A failure is reported, never raised."""
        at = self._key(hop)
        connection = self._open.get(at)
        if connection is not None:
            connection.write(data)
            return
        opening = self._opening.get(at)
        if opening is None:
            if len(self._opening) >= MAX_OPENING:
                self._failed(key, "too much is being connected to already")
                return
            task = asyncio.get_running_loop().create_task(self._connect(hop, at, self.tls))
            opening = self._opening[at] = _Opening(task)
        if len(opening.queue) >= MAX_QUEUED:
            self._failed(key, "too much waits for the connection")
        else:
            opening.queue.append((data, key))

    def _key(self, hop: Hop) -> Key:
        return hop if self.tls is None or hop.transport != "TLS" else (hop, self.tls.identity(hop.server_name))

    def redial(self, hop: Hop, since: float) -> Connection | None:
        """Have the next message to a hop open another connection, if nothing has come over the present one since then.
        The present one is returned; of those that went before it none stays."""
        at = self._key(hop)
        connection = self._open.get(at)
        if connection is None or connection.heard >= since:
            return None
        del self._open[at]
        connection.hop = None
        before, self._superseded[at] = self._superseded.get(at), connection
        if before is not None:
            before.abort("silent, and so is its successor")
        return connection

    def give_way(self, hop: Hop, key: SendKey) -> None:
        """Take back what waits for TCP to connect; its sender tries elsewhere meanwhile."""
        opening = self._opening.get(self._key(hop))
        if opening is not None and not opening.by_tcp:
            for waiting in [one for one in opening.queue if one[1] == key]:
                opening.queue.remove(waiting)
                self._failed(key, SLOW)

    @property
    def replaced(self) -> int:
        """How many connections are open that another has taken the place of."""
        return len(self._superseded)

    async def _connect(self, hop: Hop, at: Key, tls: TlsContexts | None) -> None:
        connection, reason = None, ""
        opening, patience = self._opening[at], self._timeout()
        try:
            async with asyncio.timeout(patience):
                connection = await (self._dial(hop, at) if hop.transport != "TLS" else self._dial_tls(hop, at, tls))
        except TimeoutError:
            reason = f"no {'TLS handshake' if opening.by_tcp else 'connection'} within {patience:g} s"
        except OSError as error:  # ssl.SSLError is one
            reason = reason_of(error)
        except Exception as error:  # a name that no certificate can have, and whatever else: who waits has to be told
            reason = f"cannot be dialled: {reason_of(error)}"
        if opening.by_tcp and reason and UNTRUSTED not in reason:
            reason = f"{reason}; TCP connects and TLS does not: is a plain TCP port meant?"
        self._settle(at, connection, reason)

    async def _dial(self, hop: Hop, at: Key) -> Connection:
        """Raises OSError."""
        sock = await _connected(hop.host, hop.port)
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(lambda: self._make(hop, at, None), sock=sock))[1]

    async def _dial_tls(self, hop: Hop, at: Key, tls: TlsContexts | None) -> Connection:
        """Raises OSError, and ValueError for a name that is none. A whole name of the certificate has to prove it."""
        if tls is None or isinstance(at, Hop):
            raise OSError("TLS is not configured")
        name, prove = hop.server_name or hop.host, partial(tls.dialled_names, identity=at[1])
        sock = await _connected(hop.host, hop.port)
        self._opening[at].by_tcp = True
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: self._make(hop, at, prove), sock=sock, ssl=tls.client(at[1]), server_hostname=name
            )
        except ValueError:  # before there was a transport to close it
            sock.close()
            raise
        if not proves(connection.flow.names, name):
            connection.abort("wrong name")
            raise OSError(f"{UNTRUSTED}: it is for {name} by a wildcard only, which SIP does not know")
        return connection

    def _settle(self, at: Key, connection: Connection | None, reason: str) -> None:
        queue = self._opening.pop(at).queue
        if connection is None or not connection.open:
            for _, key in queue:
                self._failed(key, reason or "closed at once")
            return
        self._open[at] = connection
        for data, _ in queue:
            connection.write(data)
        self._flushed()

    def closed(self, connection: Connection) -> None:
        for known in (self._open, self._superseded):
            if known.get(connection.pooled_as) is connection:
                del known[connection.pooled_as]

    async def close(self) -> None:
        """Give up what is being opened."""
        tasks = [opening.task for opening in self._opening.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._opening.clear()


async def _connected(host: str, port: int) -> socket.socket:
    """A TCP connection: by itself, so that it can be told what goes wrong before TLS and what in it. Raises OSError."""
    loop = asyncio.get_running_loop()
    failure = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        try:
            _watch(sock)
            await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _watch(sock: socket.socket) -> None:
    """Have the kernel break a connection whose other side has vanished."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    values = {"TCP_USER_TIMEOUT": UNACKNOWLEDGED * 1000, "TCP_KEEPIDLE": KEEP_ALIVE, "TCP_KEEPINTVL": KEEP_ALIVE_AGAIN}
    for name, value in values.items():
        if hasattr(socket, name):  # Linux has all of them
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

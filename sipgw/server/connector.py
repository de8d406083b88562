"""Opening connections to hops, and what waits to be sent over them meanwhile."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from sipgw.config import TlsFiles
from sipgw.events import UNTRUSTED, Hop, SendKey
from sipgw.server.connection import Connection, Prove
from sipgw.server.tls import TlsContexts, proves
from sipgw.server.tls_reasons import reason_of

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
        timeout: float,
    ) -> None:
        self.tls = tls
        self._make = make
        self._failed = failed
        self._flushed = flushed
        self._timeout = timeout
        self._open: dict[object, Connection] = {}
        self._opening: dict[Key, _Opening] = {}

    def send(self, hop: Hop, data: bytes, key: SendKey) -> None:
        """Over the open connection, or as soon as one is open. A failure is reported, never raised."""
        at = hop if self.tls is None or hop.transport != "TLS" else (hop, self.tls.identity(hop.server_name))
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

    async def _connect(self, hop: Hop, at: Key, tls: TlsContexts | None) -> None:
        connection, reason = None, ""
        opening = self._opening[at]
        try:
            async with asyncio.timeout(self._timeout):
                connection = await (self._dial(hop, at) if hop.transport != "TLS" else self._dial_tls(hop, at, tls))
        except TimeoutError:
            reason = f"no {'TLS handshake' if opening.by_tcp else 'connection'} within {self._timeout:g} s"
        except OSError as error:  # ssl.SSLError is one
            reason = reason_of(error)
        if opening.by_tcp and reason and UNTRUSTED not in reason:
            reason = f"{reason}; TCP connects and TLS does not: is a plain TCP port meant?"
        self._settle(at, connection, reason)

    async def _dial(self, hop: Hop, at: Key) -> Connection:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(lambda: self._make(hop, at, None), hop.host, hop.port))[1]

    async def _dial_tls(self, hop: Hop, at: Key, tls: TlsContexts | None) -> Connection:
        """Raises OSError. The name has to be proved by a whole name of the certificate."""
        if tls is None or isinstance(at, Hop):
            raise OSError("TLS is not configured")
        name, prove = hop.server_name or hop.host, partial(tls.dialled_names, identity=at[1])
        sock = await _connected(hop.host, hop.port)
        self._opening[at].by_tcp = True
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: self._make(hop, at, prove), sock=sock, ssl=tls.client(at[1]), server_hostname=name
        )
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
        if self._open.get(connection.pooled_as) is connection:
            del self._open[connection.pooled_as]

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

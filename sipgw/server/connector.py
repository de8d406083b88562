"""Opening connections to hops, and what waits to be sent over them meanwhile."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from sipgw.events import UNTRUSTED, Hop, SendKey
from sipgw.server.connection import Connection

MAX_QUEUED = 1000  # messages waiting for one connection to open; one more fails at once
Failed = Callable[[SendKey, str], None]  # key of the Send, reason


@dataclass(slots=True)
class _Opening:
    task: asyncio.Task[None]
    queue: list[tuple[bytes, SendKey]] = field(default_factory=list)


class Connector:
    """One connection per hop: (transport, address, server name) is its identity, so names are never mixed."""

    def __init__(
        self,
        make: Callable[[Hop], Connection],
        failed: Failed,
        flushed: Callable[[], None],
        tls: ssl.SSLContext | None,
        timeout: float,
    ) -> None:
        self._make = make
        self._failed = failed
        self._flushed = flushed
        self._tls = tls
        self._timeout = timeout
        self._open: dict[Hop, Connection] = {}
        self._opening: dict[Hop, _Opening] = {}

    def send(self, hop: Hop, data: bytes, key: SendKey) -> None:
        """Over the open connection, or as soon as one is open. A failure is reported, never raised."""
        connection = self._open.get(hop)
        if connection is not None:
            connection.write(data)
            return
        opening = self._opening.get(hop)
        if opening is None:
            task = asyncio.get_running_loop().create_task(self._connect(hop))
            opening = self._opening[hop] = _Opening(task)
        if len(opening.queue) >= MAX_QUEUED:
            self._failed(key, "too much waits for the connection")
        else:
            opening.queue.append((data, key))

    async def _connect(self, hop: Hop) -> None:
        loop = asyncio.get_running_loop()
        secure = self._tls if hop.transport == "TLS" else None
        reason = ""
        try:
            if hop.transport == "TLS" and secure is None:
                raise OSError("TLS is not configured")
            async with asyncio.timeout(self._timeout):
                _, connection = await loop.create_connection(
                    lambda: self._make(hop), hop.host, hop.port, ssl=secure, server_hostname=hop.server_name or None
                )
        except ssl.SSLCertVerificationError as error:
            reason = f"{UNTRUSTED}: {error.verify_message}"
        except TimeoutError:
            reason = f"no connection within {self._timeout:g} s"
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror or str(error) or type(error).__name__
        self._settle(hop, None if reason else connection, reason)

    def _settle(self, hop: Hop, connection: Connection | None, reason: str) -> None:
        queue = self._opening.pop(hop).queue
        if connection is None or not connection.open:
            for _, key in queue:
                self._failed(key, reason or "closed at once")
            return
        self._open[hop] = connection
        for data, _ in queue:
            connection.write(data)
        self._flushed()

    def closed(self, connection: Connection) -> None:
        if connection.hop is not None and self._open.get(connection.hop) is connection:
            del self._open[connection.hop]

    async def close(self) -> None:
        """Give up what is being opened."""
        tasks = [opening.task for opening in self._opening.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._opening.clear()

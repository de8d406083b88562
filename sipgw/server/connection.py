"""One stream connection, accepted or opened: framing, keep-alives, bounded writing."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol, cast

from sipgw.events import UNTRUSTED, Flow, Hop, Listener
from sipgw.message.errors import MalformedMessage
from sipgw.server.tls_reasons import reason_of
from sipgw.transport.framing import PING, PONG, StreamFramer

MAX_UNSENT = 1 << 20  # bytes that a slow peer may leave unread before its connection is cut
PARTIAL_TIMEOUT = 30.0  # seconds for the rest of a message that has begun
AFTERMATH = 2.0  # seconds after a TLS handshake in which a server may still find our certificate wanting
Prove = Callable[[ssl.SSLObject], tuple[str, ...]]  # the names that a verified peer has


class Host(Protocol):
    """What a connection needs of the shell that owns it."""

    def opened(self, connection: "Connection") -> bool: ...

    def received(self, data: bytes, flow: Flow) -> None: ...

    def broken(self, error: MalformedMessage, flow: Flow) -> None: ...

    def batch_done(self) -> None: ...

    def closed(self, connection: "Connection", reason: str) -> None: ...

    def written(self, connection: "Connection") -> None: ...


class Connection(asyncio.Protocol):
    """`flow` is set once connected; `hop` is what it was opened for, None when it was accepted or another one has taken
    its place, and `pooled_as` what it is found by for the next message to that hop."""

    def __init__(
        self,
        host: Host,
        transport: str,
        cid: int,
        limits: tuple[int, int],
        clock: Callable[[], float],
        listener: Listener | None = None,
        hop: Hop | None = None,
        pooled_as: object = None,
        prove: Prove | None = None,
    ) -> None:
        self._host = host
        self._name = transport
        self._cid = cid
        self._framer = StreamFramer(*limits)
        self._clock = clock
        self._listener = listener
        self._transport: asyncio.Transport
        self._pending: list[bytes] = []
        self._reason = "closed by the peer"
        self._prove = prove
        self.hop = hop
        self.pooled_as = pooled_as
        self.flow: Flow
        self.open = False
        self._opened = self.heard = clock()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class, only by behaviour
        peer = transport.get_extra_info("peername") or ("", 0)
        secure = transport.get_extra_info("ssl_object") if self._prove is not None else None
        names = self._prove(secure) if self._prove is not None and secure is not None else ()
        self.flow = Flow(self._name, peer[0], peer[1], self._listener, self._cid, names)
        self._opened = self.heard = self._clock()
        self.open = True
        if not self._host.opened(self):
            self.abort("one connection too many, or from a banned address")

    def data_received(self, data: bytes) -> None:
        if not self.open:
            return
        self.heard = self._clock()
        try:
            while frames := self._framer.feed(data):
                for frame in frames:
                    if frame == PING:
                        self.write(PONG)  # RFC 5626 §4.4.1
                    else:
                        self._host.received(frame, self.flow)
                data = b""
        except MalformedMessage as error:
            self._host.broken(error, self.flow)
            self.close(error.reason)
        self._host.batch_done()

    def overdue(self, now: float, idle: float) -> bool:
        """Whether a message has begun and does not end, or nothing at all has come for `idle` seconds."""
        silence = now - self.heard
        return silence > (PARTIAL_TIMEOUT if self._framer.pending else idle)

    def write(self, data: bytes) -> None:
        """Queue for the end of the batch: one system call for all that one wake-up has to say."""
        if not self._pending:
            self._host.written(self)
        self._pending.append(data)

    def flush(self) -> None:
        data = self._pending[0] if len(self._pending) == 1 else b"".join(self._pending)
        self._pending = []
        if not self.open:
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > MAX_UNSENT:
            self.abort("the peer does not read")

    def close(self, reason: str) -> None:
        """Send what is queued, then close."""
        if self._pending:
            self.flush()
        self._reason = reason
        self._transport.close()

    def abort(self, reason: str) -> None:
        self._reason = reason
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.open:
            return
        self.open = False
        self._host.closed(self, self._why(exc))

    def _why(self, error: Exception | None) -> str:
        """With TLS 1.3 a server looks at our certificate when the handshake is over for us; many then just hang up."""
        reason = reason_of(error) if error is not None else self._reason
        if self.hop is None or self._name != "TLS" or UNTRUSTED in reason:
            return reason
        if self.heard > self._opened or self._clock() - self._opened > AFTERMATH:
            return reason
        return f"{UNTRUSTED}: {reason} right after the TLS handshake; it may want a certificate of ours, or another one"

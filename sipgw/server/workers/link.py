"""Packets over a stream between two processes of ours: each has a target, which a relay reads without the rest."""

import asyncio
from collections.abc import Callable
from struct import Struct
from typing import cast

_HEAD = Struct("!IBB")
HUB, ALL = 0xFE, 0xFF  # targets beside the numbers of workers
NEEDED, LOSABLE, RETURNED = 0, 1, 2  # what happens to a packet where there is no room: it is waited with, or comes back


class Link(asyncio.Protocol):
    """`received(target, manner, payload)` is called for each packet, `lost` once when the other side is gone.

    All that is sent in one turn of the event loop is written at once.
    """

    def __init__(self, received: Callable[[int, int, bytes], None], lost: Callable[[], None]) -> None:
        self._received = received
        self._lost = lost
        self._buffer = bytearray()
        self._unsent: list[bytes] = []
        self._unsent_size = 0
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self.open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.open = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._lost()

    def data_received(self, data: bytes) -> None:
        buffer, at = self._buffer, 0
        buffer += data
        while len(buffer) - at >= _HEAD.size:
            size, target, manner = _HEAD.unpack_from(buffer, at)
            start = at + _HEAD.size
            if len(buffer) - start < size:
                break
            at = start + size
            self._received(target, manner, bytes(buffer[start:at]))
        del buffer[:at]

    @property
    def backlog(self) -> int:
        """Bytes that the other side has not taken yet."""
        return self._unsent_size + (self._transport.get_write_buffer_size() if self.open else 0)

    def send(self, target: int, payload: bytes, manner: int = NEEDED) -> None:
        if not self.open:
            return
        if not self._unsent:
            self._loop.call_soon(self.flush)
        self._unsent += (_HEAD.pack(len(payload), target, manner), payload)
        self._unsent_size += _HEAD.size + len(payload)

    def flush(self) -> None:
        """Write what has gathered."""
        unsent, self._unsent, self._unsent_size = self._unsent, [], 0
        if unsent and self.open:
            self._transport.write(b"".join(unsent))

    def close(self) -> None:
        if self.open:
            self.flush()
            self._transport.close()

"""Sends messages to a HEP collector: Homer, or sngrep on somebody's screen.

It never waits: what cannot go at once is lost.
"""

import asyncio
import socket
from collections import Counter

from sipgw.events import Flow, Hop, Send
from sipgw.observability.addresses import ends_of
from sipgw.observability.hep import encode
from sipgw.observability.trace_read import Lens
from sipgw.observability.trace_ring import Turn, call_id_of

TRY_AGAIN = 30.0  # seconds until a name is looked up again that had no address


class HepSender:
    """`lens` tells how messages are looked at. Counts `hep_sent` and `hep_lost`."""

    def __init__(self, collector: tuple[str, int], capture_id: int, counters: Counter[str]) -> None:
        self.lens = Lens(0.0, bodies=False)
        self._collector = collector
        self._capture_id = capture_id
        self._counters = counters
        self._sock: socket.socket | None = None
        self._opening = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> None:
        """Look its name up, until it has an address."""
        loop = asyncio.get_running_loop()
        host, port = self._collector
        while self._sock is None:
            try:
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
                self._sock = _connected(found[0][0], found[0][4])
            except OSError:
                await asyncio.sleep(TRY_AGAIN)

    def __call__(self, turn: Turn) -> None:
        """All messages of a turn."""
        if turn.data and turn.flow is not None:
            self._send(turn.now, turn.data, turn.flow, incoming=True)
        for output in turn.outputs:
            if isinstance(output, Send):
                self._send(turn.now, output.data, output.to, incoming=False)

    def _send(self, now: float, data: bytes, peer: Flow | Hop, incoming: bool) -> None:
        lens = self.lens
        ends = ends_of(lens.local(peer), str(peer))
        packet = encode(lens.shown(data), ends, incoming, now + lens.offset, self._capture_id, call_id_of(data))
        try:
            if self._sock is not None:
                self._sock.send(packet)
                self._counters["hep_sent"] += 1
                return
        except OSError:  # its buffer is full, or nobody listens there
            pass
        self._counters["hep_lost"] += 1

    async def close(self) -> None:
        self._opening.cancel()
        await asyncio.gather(self._opening, return_exceptions=True)
        if self._sock is not None:
            self._sock.close()


def _connected(family: int, address: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock

"""One listening UDP socket.

Read in bursts straight from the socket: a datagram library's receive queue is unbounded and costs a wake-up for each
datagram, which at rate is most of what a call costs. The kernel's buffer is the bounded queue instead.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable

from sipgw.events import Flow, Listener

BURST = 64  # datagrams taken per wake-up before connections and timers get their turn
KERNEL_BUFFER = 4 << 20  # bytes asked of the kernel for bursts while we are busy
LARGEST = 65535

Receive = Callable[[bytes, Flow], None]


def bind_datagram(host: str, port: int) -> socket.socket:
    """A bound, non-blocking UDP socket. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER)
        sock.setblocking(False)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


class DatagramSocket:
    """Reads bursts and hands every datagram to `receive`; `finished` is called after each with what `behind` says."""

    def __init__(
        self,
        sock: socket.socket,
        listener: Listener,
        receive: Receive,
        finished: Callable[[float], None],
        counters: Counter[str],
    ) -> None:
        self._sock = sock
        self._listener = listener
        self._receive = receive
        self._finished = finished
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._emptied = self._loop.time()
        self._full = False
        self._loop.add_reader(sock.fileno(), self._readable)

    def _readable(self) -> None:
        receive, listener, recvfrom = self._receive, self._listener, self._sock.recvfrom
        full = True
        for _ in range(BURST):
            try:
                data, address = recvfrom(LARGEST)
            except (BlockingIOError, InterruptedError):
                full = False
                break
            except OSError:  # an ICMP error of an earlier send; the transaction's own timer deals with it
                self._counters["datagram_errors"] += 1
                continue
            receive(data, Flow("UDP", address[0], address[1], listener))
        now = self._loop.time()
        if not full:
            self._emptied = now
        self._full = full
        self._finished(self.behind(now))

    def behind(self, now: float) -> float:
        """For how many seconds the kernel has held more than could be taken, as far as is known; 0.0 when it did not.

        Its buffer is bounded, so a datagram may have waited less long, or have been lost.
        """
        return now - self._emptied if self._full else 0.0

    def send(self, data: bytes, host: str, port: int) -> None:
        """Send or drop: what a full kernel buffer loses, retransmission repairs, as with any loss on the way."""
        try:
            self._sock.sendto(data, (host, port))
        except OSError:
            self._counters["datagrams_dropped"] += 1

    def close(self) -> None:
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()

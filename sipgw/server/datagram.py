"""One listening UDP socket.

Read in bursts straight from the socket: a datagram library's receive queue is unbounded and costs a wake-up for each
datagram, which at rate is most of what a call costs. The kernel's buffer is the bounded queue instead.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from sipgw.events import Flow, Listener
from sipgw.server.pace import Pace

BURST: Final = 64  # datagrams taken per wake-up before connections and timers get their turn
CALM: Final = 16  # wake-ups with as many datagrams as were expected before more are expected
MAX_FLOWS: Final = 4096  # peers whose flow is kept for their next datagram; a full table is emptied
KERNEL_BUFFER: Final = 4 << 20  # bytes asked of the kernel for bursts while we are busy
LARGEST: Final = 65535

Receive = Callable[[bytes, Flow], None]
Put = Callable[[bytes, str, int], None]  # what, and to which host and port


def bind_datagram(host: str, port: int, shared: bool = False) -> socket.socket:
    """A bound, non-blocking UDP socket; `shared` with others at the same address. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setblocking(False)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


class DatagramSocket:
    """Reads bursts and hands every datagram to `receive`; `finished` is called after each with what `behind` says.

    As many datagrams are taken at once as there were the last times: to find out that there is no further one costs
    about as much as to be woken for it. While `pace` has them gathered, all that there are.
    """

    def __init__(
        self,
        sock: socket.socket,
        listener: Listener,
        receive: Receive,
        finished: Callable[[float], None],
        counters: Counter[str],
        pace: Pace,
    ) -> None:
        self._sock = sock
        self._pace = pace
        self._listener = listener
        self._receive = receive
        self._finished = finished
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._emptied = self._loop.time()
        self._full = False
        self._expected = 1
        self._calm = 0
        self._flows: dict[Any, Flow] = {}
        self.send: Put = self._send  # a worker puts another in its place
        self._loop.add_reader(sock.fileno(), self._readable)

    def _readable(self) -> None:
        receive, recvfrom, flow_of = self._receive, self._sock.recvfrom, self._flows.get
        expected = BURST if self._pace.busy else self._expected
        taken, empty = 0, False
        while taken < expected:
            taken += 1
            try:
                data, address = recvfrom(LARGEST)
            except (BlockingIOError, InterruptedError):
                empty = True
                break
            except OSError:  # an ICMP error of an earlier send; the transaction's own timer deals with it
                self._counters["datagram_errors"] += 1
                continue
            receive(data, flow_of(address) or self._new_flow(address))
        full = taken == BURST and not empty
        if full or self._full:
            self._note(full)
        self._pace.more = self._pace.more or full
        self._expect(taken, empty)
        self._finished(self.behind(self._loop.time()) if full else 0.0)

    def _expect(self, taken: int, empty: bool) -> None:
        """How many datagrams to look for next time."""
        if empty:
            self._expected = max(1, taken - 1)
            self._calm = 0
        elif self._expected > 1 or self._calm >= CALM:
            self._expected = min(self._expected * 2, BURST)
            self._calm = 0
        else:
            self._calm += 1

    def _note(self, full: bool) -> None:
        """Since when there have been more than could be taken."""
        if full != self._full:
            self._full = full
            self._emptied = self._loop.time()

    def _new_flow(self, address: tuple[str, int]) -> Flow:
        if len(self._flows) >= MAX_FLOWS:
            self._flows.clear()
        flow = self._flows[address] = Flow("UDP", address[0], address[1], self._listener)
        return flow

    def behind(self, now: float) -> float:
        """For how many seconds the kernel has held more than could be taken, as far as is known; 0.0 when it did not.

        Its buffer is bounded, so a datagram may have waited less long, or have been lost.
        """
        return now - self._emptied if self._full else 0.0

    def _send(self, data: bytes, host: str, port: int) -> None:
        """Send or drop: what a full kernel buffer loses, retransmission repairs, as with any loss on the way."""
        try:
            self._sock.sendto(data, (host, port))
        except OSError:
            self._counters["datagrams_dropped"] += 1

    def close(self) -> None:
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()

"""One transaction on a bench: driven by bytes, by its user, by time and by the transport, and no other way.

What is seen of it: messages on the wire, what its user is told, which deadlines it has, and the name of its state.
"""

from random import Random
from typing import Any

from sipgw.events import Flow, Hop, Listener, Send
from sipgw.message import Request, Response, parse_message
from sipgw.message.build import new_request, response_to
from sipgw.transaction.client import ClientTransaction
from sipgw.transaction.layer import TransactionLayer
from sipgw.transaction.server import ServerTransaction
from sipgw.transaction.stack import Stack
from sipgw.transaction.tables import TERMINATED
from sipgw.transaction.timers import TimerValues

PEER = "198.51.100.7"
LISTENER = Listener("UDP", "192.0.2.1", 5060, "192.0.2.1:5060")
BRANCH = "z9hG4bKbench"
STATUS = {"1xx": 180, "2xx": 200, "300-699": 486}
TOLD = ("unacknowledged", "responses_lost")  # how the user of a server transaction learns of Timer H and of §17.2.4


def a_request(method: str, to_tag: str = "", via: str = f"SIP/2.0/UDP {PEER}:5060;branch={BRANCH}") -> Request:
    tag = f";tag={to_tag}" if to_tag else ""
    lines = [f"Via: {via}", "From: <sip:a@x.test>;tag=1", f"To: <sip:b@x.test>{tag}", "Call-ID: call"]
    return new_request(method, "sip:b@x.test", [*lines, f"CSeq: 1 {method}", "Max-Forwards: 70"])


class Bench:
    """A transaction layer, its user, and one transaction started at once: `side` is "client" or "server"."""

    def __init__(self, side: str, method: str, transport: str, values: TimerValues | None = None) -> None:
        self.layer = TransactionLayer(values or TimerValues(), Random(1))
        self.layer.user = self
        self.stack = Stack(self.layer)
        self.method = method
        self.flow = Flow(transport, PEER, 5060, LISTENER, 0 if transport == "UDP" else 7)
        if self.flow.cid:
            self.stack.connected(self.flow)
        self.started = self.now = 100.0
        self.wire: list[str] = []
        self.heard: list[str] = []
        self.transaction: Any = None
        self.request = a_request(method)
        if side == "client":
            to = self.flow if self.flow.cid else Hop("UDP", PEER, 5060)
            self.transaction = self.layer.send_request(self, self.request, BRANCH, to, self.now)
        else:
            self._receive(self.request.encode())
        self.look()

    # what its user is told

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        self.heard.append(transaction.method)
        self.transaction = transaction
        self.received = transaction.request

    def on_ack(self, ack: Request, flow: Flow, now: float) -> None:
        self.heard.append("ACK")

    def on_stray_response(self, response: Response, flow: Flow, now: float) -> None:
        self.heard.append("stray")

    def on_response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        self.heard.append(str(response.status))

    def on_failure(self, transaction: ClientTransaction, reason: str, now: float) -> None:
        self.heard.append(reason)

    # what can be seen

    def look(self) -> tuple[str, str]:
        """What went on the wire and what the user was told since the last look."""
        told = [name for name in TOLD for _ in range(self.layer.counters.pop(name, 0))]
        wire, heard = " ".join(self._on_the_wire()), " ".join([*self.heard, *told])
        self.heard = []
        return wire, heard

    def _on_the_wire(self) -> list[str]:
        sent, self.layer.out = self.layer.out, []
        seen = []
        for output in sent:
            assert isinstance(output, Send)
            message = parse_message(output.data)
            seen.append(message.method if isinstance(message, Request) else str(message.status))
        return seen

    @property
    def deadlines(self) -> list[float]:
        """Seconds from now until each running timer."""
        timers = self.layer.timers
        due = [at for queue in timers._queues.values() for at in queue.values()]
        due += [at for queue in timers._lingering.values() for at in queue.due if self.transaction.state != TERMINATED]
        return sorted(round(at - self.now, 6) for at in due)

    # what can happen

    def do(self, event: str) -> None:
        """One event: a message, a response of the user's, "transport error", or "Timer X 1.5": 1.5 s have gone by."""
        if event.startswith("Timer"):
            self.wait_until(float(event.split()[2]))
        elif event.startswith("TU "):
            response = response_to(self.received, STATUS[event[3:]], to_tag="t")
            self.transaction.respond(response, self.now)
        elif event == "transport error":
            self.layer.send_failed(self.transaction.key, "broken", self.now)
        else:
            self._receive(self._message(event))

    def _message(self, event: str) -> bytes:
        if event == "ACK":
            return a_request("ACK", "t").encode()
        if event == "again":
            return self.request.encode()
        return response_to(a_request(self.method), STATUS[event], to_tag="t").encode()

    def _receive(self, data: bytes) -> None:
        self.layer.out = self.stack.receive(data, self.flow, self.now)

    def wait_until(self, seconds: float) -> None:
        """Go on to a moment, counted from the start; what happened before it is looked at and forgotten."""
        end = self.started + seconds
        self.look()
        while (deadline := self.layer.timers.next_deadline()) is not None and deadline <= end + 1e-9:
            self.now = deadline
            self.layer.timers.run(deadline)
            if deadline < end - 1e-9:
                self.look()
        self.now = end

    def life(self, until: float = 1000.0) -> list[tuple[float, str]]:
        """All that happens with nothing from outside, each with its second since now."""
        begin, seen = self.now, []
        self.look()
        while (deadline := self.layer.timers.next_deadline()) is not None and deadline <= begin + until:
            self.now = deadline
            self.layer.timers.run(deadline)
            wire, heard = self.look()
            seen += [(round(deadline - begin, 6), what) for what in (wire, heard) if what]
        return seen

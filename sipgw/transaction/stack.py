"""Message layer and transaction layer in one: bytes in, outputs out. Proxy engine and user agents stand on it."""

from collections import Counter
from typing import Final

from sipgw.events import Flow, Hop, Log, Output, SendKey
from sipgw.locating import Answer
from sipgw.message.build import response_to
from sipgw.message.checks import check_mandatory, check_request, check_response
from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Request, Response
from sipgw.message.parser import MAX_BODY, MAX_HEADERS, parse_message, salvage
from sipgw.message.values import quote, salvage_via
from sipgw.transaction.layer import TransactionLayer
from sipgw.transport.via import reply_flow, stamp

LOG_EVERY: Final = 1.0  # seconds between log lines about malformed messages: whoever sends many must not fill the disk


class Stack:
    """Each method returns the outputs to perform, in order. The subclass sets `layer.user`."""

    def __init__(self, layer: TransactionLayer, max_headers: int = MAX_HEADERS, max_body: int = MAX_BODY) -> None:
        self.layer = layer
        self._max_headers = max_headers
        self._max_body = max_body
        self.counters: Counter[str] = layer.counters
        self._log_from = float("-inf")

    def receive(self, data: bytes, flow: Flow, now: float) -> list[Output]:
        """One datagram, or one message cut from a stream."""
        message: Request | Response | None = None
        try:
            message = parse_message(data, self._max_headers, self._max_body)
            check_mandatory(message)
            if isinstance(message, Request):
                check_request(message)
                stamp(message, flow)
                self.layer.receive_request(message, flow, now)
            else:
                check_response(message)
                self.layer.receive_response(message, flow, now)
        except MalformedMessage as error:
            error.message = error.message or message
            self._reject(error, flow, now)
        return self.outputs()

    def receive_broken(self, error: MalformedMessage, flow: Flow, now: float) -> list[Output]:
        """A stream that cannot be followed any longer; the error's `message` is the head's bytes, as far as it came."""
        request = salvage(error.message) if isinstance(error.message, bytes) else None
        self._reject(MalformedMessage(error.reason, error.status, request), flow, now)
        return self.outputs()

    def _reject(self, error: MalformedMessage, flow: Flow, now: float) -> None:
        """§8.2, §16.3: say what is wrong where there is somebody to tell; drop what cannot be answered."""
        request = error.message
        if not isinstance(request, Request) or request.method == "ACK" or not _answerable(request, flow):
            self._note("unanswerable", error, flow, now)
            return
        self._note(f"answered_{error.status}", error, flow, now)
        headers = [f"Warning: 399 {flow.listener.sent_by if flow.listener else 'sipgw'} {quote(error.reason)}"]
        response = response_to(request, error.status, to_tag=self.layer.stateless_tag(request), headers=headers)
        self.layer.responses[error.status] += 1
        self.layer.send(response, reply_flow(request.via, flow))

    def _note(self, what: str, error: MalformedMessage, flow: Flow, now: float) -> None:
        """Count, and tell an operator; all that came since the last line are in the count."""
        self.counters["malformed"] += 1
        self.counters[what] += 1
        if now >= self._log_from:
            self._log_from = now + LOG_EVERY
            fields = {"source": str(flow), "reason": error.reason, "malformed": self.counters["malformed"]}
            self.layer.out.append(Log("warning", f"malformed message, {what.replace('_', ' ')}", fields))

    def welcomes(self, host: str, now: float) -> bool:
        """Whether a connection from this address is to be taken."""
        return True

    def connected(self, flow: Flow) -> None:
        """A connection is up."""
        self.layer.flows[flow.cid] = flow
        self.layer.newest = flow.cid

    def connection_lost(self, flow: Flow, hop: Hop | None, reason: str, now: float) -> list[Output]:
        """A connection is gone; `hop` is what it was opened for, if it was opened by us."""
        self.layer.flows.pop(flow.cid, None)
        self.layer.peer_lost(flow.cid, reason, now)
        if hop is not None:
            self.layer.hop_lost(hop, flow.cid, reason, now)
        return self.outputs()

    def superseded(self, flow: Flow, hop: Hop) -> None:
        """A connection is kept for what is under way over it, and not used for what is sent to the hop from now on."""
        self.layer.superseded(hop, flow)

    def send_failed(self, key: SendKey, reason: str, now: float) -> list[Output]:
        """A Send with this key could not be performed."""
        self.layer.send_failed(key, reason, now)
        return self.outputs()

    def set_overloaded(self, overloaded: bool, now: float) -> None:
        """Whether what has come in waits too long to be looked at."""

    def resolved(self, answer: Answer, now: float) -> list[Output]:
        """The answer to a Resolve."""
        return self.outputs()

    def persisted(self, key: int, error: str | None, now: float) -> list[Output]:
        """The answer to a Persist."""
        return self.outputs()

    def handle_timers(self, now: float) -> list[Output]:
        """Do what is due."""
        self.layer.timers.run(now)
        return self.outputs()

    def next_deadline(self) -> float | None:
        """When `handle_timers` has something to do next; None for never."""
        return self.layer.timers.next_deadline()

    def outputs(self) -> list[Output]:
        """What has gathered since the last call."""
        outputs = self.layer.out
        self.layer.out = []
        return outputs


def _answerable(request: Request, flow: Flow) -> bool:
    """Whether a response can be sent and matched: that takes the topmost Via and CSeq (§17.1.3, §18.2.2).

    A Via that is not of our version, or that is itself what is wrong, serves as far as it can be read.
    """
    if "cseq" not in request.index:
        return False
    try:
        try:
            stamp(request, flow)
        except MalformedMessage:
            request.set_via(salvage_via(request.first("via") or ""))
            stamp(request, flow)
    except MalformedMessage:
        return False
    return True

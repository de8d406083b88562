"""Message layer and transaction layer in one: bytes in, outputs out. Proxy engine and user agents stand on it."""

from collections import Counter

from sipgw.events import Flow, Hop, Output, Send, SendKey
from sipgw.locating import Answer
from sipgw.message.build import response_to
from sipgw.message.checks import check_mandatory, check_request
from sipgw.message.errors import MalformedMessage
from sipgw.message.message import MAX_HEADERS, Request, parse_message
from sipgw.message.values import quote
from sipgw.transaction.layer import TransactionLayer
from sipgw.transport.via import reply_flow, stamp


class Stack:
    """Each method returns the outputs to perform, in order. The subclass sets `layer.user`."""

    def __init__(self, layer: TransactionLayer, max_headers: int = MAX_HEADERS) -> None:
        self.layer = layer
        self._max_headers = max_headers
        self.counters: Counter[str] = layer.counters

    def receive(self, data: bytes, flow: Flow, now: float) -> list[Output]:
        """One datagram, or one message cut from a stream."""
        try:
            message = parse_message(data, self._max_headers)
            check_mandatory(message)
            if isinstance(message, Request):
                check_request(message)
                stamp(message, flow)
                self.layer.receive_request(message, flow, now)
            else:
                self.layer.receive_response(message, flow, now)
        except MalformedMessage as error:
            self._reject(error, flow)
        return self.outputs()

    def receive_broken(self, error: MalformedMessage, flow: Flow, now: float) -> list[Output]:
        """A stream that cannot be followed any longer; the error's `message` is the head's bytes where there is one."""
        request: object = None
        if isinstance(error.message, bytes):
            try:
                request = parse_message(error.message)
            except MalformedMessage as fault:  # its body is missing, and that is known already
                request = fault.message
        self._reject(MalformedMessage(error.reason, error.status, request), flow)
        return self.outputs()

    def _reject(self, error: MalformedMessage, flow: Flow) -> None:
        """§8.2, §16.3: say what is wrong where there is somebody to tell; drop what cannot be answered."""
        self.counters["malformed"] += 1
        request = error.message
        if not isinstance(request, Request) or request.method == "ACK":
            return
        if not {"from", "to", "call-id", "cseq"} <= request.index.keys():
            return  # nobody could match a response without them
        try:
            stamp(request, flow)
        except MalformedMessage:
            return
        headers = [f"Warning: 399 {flow.listener.sent_by if flow.listener else 'sipgw'} {quote(error.reason)}"]
        response = response_to(request, error.status, to_tag=self.layer.new_tag(), headers=headers)
        self.layer.out.append(Send(response.encode(), reply_flow(request.via, flow)))

    def connected(self, flow: Flow) -> None:
        """A connection is up."""
        self.layer.flows[flow.cid] = flow

    def connection_lost(self, flow: Flow, hop: Hop | None, reason: str, now: float) -> list[Output]:
        """A connection is gone; `hop` is what it was opened for, if it was opened by us."""
        self.layer.flows.pop(flow.cid, None)
        self.layer.peer_lost(flow.cid, reason, now)
        if hop is not None:
            self.layer.peer_lost(hop, reason, now)
        return self.outputs()

    def send_failed(self, key: SendKey, reason: str, now: float) -> list[Output]:
        """A Send with this key could not be performed."""
        self.layer.send_failed(key, reason, now)
        return self.outputs()

    def set_overloaded(self, overloaded: bool) -> None:
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

"""Server transactions (RFC 3261 §17.2, RFC 6026 §7.1)."""

from typing import TYPE_CHECKING, Final

from sipgw.events import Flow, Hop, Send
from sipgw.message.build import response_to
from sipgw.message.message import Request, Response
from sipgw.message.values import parse_via
from sipgw.transaction.machine import Deadlines, Machine, bind
from sipgw.transaction.tables import (
    ACK,
    COMPLETED,
    INVITE_SERVER,
    PROCEEDING,
    REQUEST,
    RETRANSMIT,
    SEND_1XX,
    SEND_2XX,
    SEND_FINAL,
    SERVER,
    TERMINATED,
    TIMEOUT,
    TRANSPORT_ERROR,
    TRYING,
)

if TYPE_CHECKING:
    from sipgw.transaction.layer import TransactionLayer

STILL_TRYING: Final = "still trying"
ServerKey = tuple[str, ...]


class ServerTransaction(Deadlines):
    """One received request. `user` is what its transaction user keeps with it (a response context), or None.

    `flow` is where it came from and `reply_to` where responses go. `request` is there until a final response was sent.
    `identity` is the SIP URI that its sender has proved to be, "" where nothing was proved.
    `merge_key` is what another copy of the request would have in common with it, () while nobody has asked.
    """

    __deletable__ = ("request",)  # a word to the compiler
    __slots__ = (
        "_interval",
        "_last",
        "_layer",
        "_machine",
        "final_tag",
        "flow",
        "identity",
        "key",
        "merge_key",
        "method",
        "reply_to",
        "request",
        "state",
        "user",
    )

    def __init__(self, layer: "TransactionLayer", request: Request, key: ServerKey, flow: Flow, reply_to: Flow) -> None:
        super().__init__()
        self._layer = layer
        self._last = b""
        self._interval = layer.values.t1
        self.user: object = None
        self.identity = ""
        self.request = request
        self.method = request.method
        self.key = key
        self.merge_key: tuple[str, ...] = ()
        self.flow = flow
        self.reply_to: Flow | Hop = reply_to
        self.final_tag = ""
        invite = self.method == "INVITE"
        self._machine = INVITE_MACHINE if invite else MACHINE
        self.state = PROCEEDING if invite else TRYING

    @property
    def answered(self) -> bool:
        """Whether any response has been sent."""
        return bool(self._last)

    def respond(self, response: Response, now: float) -> None:
        """Send a response of the transaction user's."""
        status = response.status
        self._layer.responses[status] += 1
        event = SEND_FINAL if status >= 300 else SEND_2XX if status >= 200 else SEND_1XX
        self._event(event, response, now)

    def watch(self, now: float) -> None:
        """See to it that a non-INVITE whose answer takes long gets a 100 (RFC 4320 §4.1): by then its sender repeats it
        only rarely, and what it has heard nothing of it would give up."""
        if self._again is None and not self._last and self.method != "INVITE":
            self._again = self._layer.timers.start(STILL_TRYING, self._layer.trying_after, self, now)

    def receive(self, request: Request, now: float) -> None:
        """The same request again, or the ACK to our response."""
        self._event(ACK if request.method == "ACK" else REQUEST, request, now)

    def fire(self, kind: str, now: float) -> None:
        """A timer has run out."""
        if kind == STILL_TRYING:
            self._again = None
            self.respond(response_to(self.request, 100), now)
            return
        if kind == RETRANSMIT:
            self._again = None
        elif kind == TIMEOUT:
            self._end = None
        self._event(kind, None, now)

    def transport_failed(self, now: float) -> None:
        """A response could not be delivered. That ends nothing (§17.2.4 as RFC 6026 §8.8 has it)."""
        self._layer.counters["responses_lost"] += 1
        self._event(TRANSPORT_ERROR, None, now)

    def abandon(self, now: float) -> None:
        """End without a final response: the sender has given up by now (RFC 4320 §4.2). Late copies are absorbed."""
        self.state = COMPLETED
        self._last = b""
        self.stop_again()
        self._settle(now)

    def _event(self, event: str, message: object, now: float) -> None:
        row = self._machine[self.state].get(event)
        if row is None:
            self._layer.counters["unexpected"] += 1
            return
        self.state, action = row
        action(self, message, now)

    # actions

    def nothing(self, _: object, now: float) -> None:
        """Absorb."""

    def send(self, response: Response, now: float) -> None:
        if self._again is not None:
            self.stop_again()
        self._last = self._layer.encoded(response, self.reply_to)
        self._put()

    def _put(self) -> None:
        to = self.reply_to
        if to.transport == "UDP":
            self._layer.out.append(Send(self._last, to))
            return
        if isinstance(to, Flow) and to.cid not in self._layer.flows:
            to = self.reply_to = self._way_back(to)
        self._layer.out.append(Send(self._last, to, self.key))

    def _way_back(self, lost: Flow) -> Hop:
        """§18.2.2: the connection is gone; the sender may listen on the port that its Via names."""
        top = self.key[-1] if len(self.key) > 3 else f"SIP/2.0/{lost.transport} {self.key[1]}"
        via = parse_via(top)
        secure = lost.transport == "TLS"
        return Hop(lost.transport, lost.host, via.port or (5061 if secure else 5060), via.host if secure else "")

    def resend(self, _: object, now: float) -> None:
        if self._last:
            self._layer.counters["absorbed"] += 1
            self._put()

    def send_and_linger(self, response: Response, now: float) -> None:
        self.send(response, now)
        if self.method == "INVITE":
            self._last = b""  # RFC 6026 §7.1: retransmitted INVITEs are absorbed; the UAS repeats the 2xx itself
        self._settle(now)

    def _settle(self, now: float) -> None:
        """Linger without the request for what may still come."""
        del self.request
        self.user = None
        if self.method != "INVITE" and self.reply_to.reliable:
            self.drop(None, now)
        else:
            self._layer.timers.linger(self._layer.values.long, self, now)  # Timers L and J

    def send_until_ack(self, response: Response, now: float) -> None:
        self.final_tag = response.to_tag
        self.send(response, now)
        del self.request
        self.user = None
        timers, values = self._layer.timers, self._layer.values
        if not self.reply_to.reliable:
            self._again = timers.start(RETRANSMIT, values.t1, self, now)
        self._end = timers.start(TIMEOUT, values.long, self, now)

    def resend_to_t2(self, _: object, now: float) -> None:
        self._interval = min(self._interval * 2, self._layer.values.t2)
        self._layer.counters["retransmitted"] += 1
        self._put()
        self._again = self._layer.timers.start(RETRANSMIT, self._interval, self, now)

    def confirm(self, _: object, now: float) -> None:
        self.stop_again()
        self.stop_end()
        if self.reply_to.reliable:
            self.drop(None, now)
        else:
            self._layer.timers.linger(self._layer.values.t4, self, now)  # Timer I

    def pass_ack(self, ack: Request, now: float) -> None:
        """The ACK to a 2xx shares the INVITE's key when a UAC reuses its branch or sends none: it goes end to end."""
        self._layer.user.on_ack(ack, self.flow, now)

    def ack_never_came(self, _: object, now: float) -> None:
        self._layer.counters["unacknowledged"] += 1  # pidgin-sipe never acknowledges a failure (§17.2.1 asks it to)
        self.drop(None, now)

    def drop(self, _: object, now: float) -> None:
        self.state = TERMINATED
        self.stop_again()
        self.stop_end()
        self._layer.forget_server(self)


INVITE_MACHINE: Final[Machine] = bind(INVITE_SERVER, ServerTransaction)
MACHINE: Final[Machine] = bind(SERVER, ServerTransaction)

"""Client transactions (RFC 3261 §17.1, RFC 6026 §7.2)."""

from typing import TYPE_CHECKING, Final, Protocol

from sipgw.events import Flow, Hop, Send
from sipgw.message.build import ack_for, cancel_for
from sipgw.message.message import Request, Response
from sipgw.transaction.machine import Deadlines, Machine, bind
from sipgw.transaction.tables import (
    CALLING,
    CLIENT,
    FAILURE,
    INVITE_CLIENT,
    PROCEEDING,
    PROVISIONAL,
    RETRANSMIT,
    SUCCESS,
    TERMINATED,
    TIMEOUT,
    TRANSPORT_ERROR,
    TRYING,
)

if TYPE_CHECKING:
    from sipgw.transaction.layer import TransactionLayer


class ClientUser(Protocol):
    """The transaction user of a client transaction: a response context or a user agent."""

    def on_response(self, transaction: "ClientTransaction", response: Response, now: float) -> None:
        """A response to pass on: provisional, final, and each 2xx to an INVITE as often as it comes."""

    def on_failure(self, transaction: "ClientTransaction", reason: str, now: float) -> None:
        """No response will come: `reason` is "timeout" or what the transport said. Called once."""


class Nobody:
    """The user of a CANCEL, as the INVITE's own transaction tells what becomes of it; and of a transaction that has
    nothing more to tell, so that what was its user need not wait for it to end."""

    def on_response(self, transaction: "ClientTransaction", response: Response, now: float) -> None:
        """Not of interest."""

    def on_failure(self, transaction: "ClientTransaction", reason: str, now: float) -> None:
        """Not of interest."""


NOBODY: Final = Nobody()


class ClientTransaction(Deadlines):
    """One request on its way to one next hop. `key` is the branch of the Via that `request` carries on top, `sent_by`
    what that Via names as the place to answer to, `data` the request encoded."""

    __deletable__ = ("request",)  # a word to the compiler
    __slots__ = (
        "_cancel",
        "_cancelled",
        "_data",
        "_interval",
        "_layer",
        "_machine",
        "_more",
        "key",
        "method",
        "request",
        "sent_by",
        "state",
        "to",
        "user",
    )

    def __init__(
        self,
        layer: "TransactionLayer",
        user: ClientUser,
        request: Request,
        data: bytes,
        key: str,
        sent_by: str,
        to: Flow | Hop,
    ) -> None:
        super().__init__()
        self._layer = layer
        self._cancel: tuple[str, ...] | None = None
        self._cancelled = False
        self._data = data
        self._interval = layer.values.t1
        self._more = 0.0
        self.user = user
        self.request = request
        self.method = request.method
        self.key = key
        self.sent_by = sent_by
        self.to = to
        invite = self.method == "INVITE"
        self._machine = INVITE_MACHINE if invite else MACHINE
        self.state = CALLING if invite else TRYING

    def start(self, now: float, give_up_after: float | None = None) -> None:
        """Send; `give_up_after` is how long to wait for a first response, where another server may take the request.

        Once there is one, Timers B and F have the rest of their time.
        """
        self._send(self._data)
        values, timers = self._layer.values, self._layer.timers
        if not self.to.reliable:
            self._again = timers.start(RETRANSMIT, values.t1, self, now)
        if give_up_after is not None and give_up_after < values.long:
            self._more = values.long - give_up_after
            self._end = timers.start(TIMEOUT, give_up_after, self, now)
        else:
            self._end = timers.start(TIMEOUT, values.long, self, now)

    def receive(self, response: Response, now: float) -> None:
        status = response.status
        event = FAILURE if status >= 300 else SUCCESS if status >= 200 else PROVISIONAL
        self._event(event, response, now)

    def fire(self, kind: str, now: float) -> None:
        """A timer has run out."""
        if kind == RETRANSMIT:
            self._again = None
        elif (
            kind == TIMEOUT and self._more and self.state == PROCEEDING
        ):  # the server has shown itself in time: Timer F runs in full
            self._end = self._layer.timers.start(TIMEOUT, self._more, self, now)
            self._more = 0.0
            return
        else:
            self._end = None
        self._event(kind, "timeout", now)

    def transport_failed(self, reason: str, now: float) -> None:
        self._event(TRANSPORT_ERROR, reason, now)

    def send_anew(self) -> None:
        """The same once more: it was lost on its way."""
        self._send(self._data)

    def abandon(self, now: float) -> None:
        """Nobody wants to know the answer any more."""
        self.user = NOBODY
        self._layer.settled(self)
        self.drop(None, now)

    def cancel(self, now: float, reasons: tuple[str, ...] = ()) -> None:
        """Ask for the end of a pending INVITE: at once, or when the first provisional shows that it arrived (§9.1).

        `reasons` are whole Reason lines that say why (RFC 3326).
        """
        if self.state == CALLING:
            self._cancel = reasons
        elif self.state == PROCEEDING and self.method == "INVITE" and not self._cancelled:
            self._cancelled = True
            self._layer.send_cancel(self, cancel_for(self.request, reasons), now)
            self.stop_end()
            self._end = self._layer.timers.start(TIMEOUT, self._layer.values.long, self, now)

    def _event(self, event: str, message: object, now: float) -> None:
        row = self._machine[self.state].get(event)
        if row is None:
            self._layer.counters["unexpected"] += 1
            return
        self.state, action = row
        action(self, message, now)

    def _send(self, data: bytes) -> None:
        self._layer.out.append(Send(data, self.to, self.key))

    # actions

    def nothing(self, _: object, now: float) -> None:
        """Absorb."""

    def resend_doubling(self, _: object, now: float) -> None:
        self._interval *= 2  # §17.1.1.2 Timer A
        self._resend(self._interval, now)

    def resend_to_t2(self, _: object, now: float) -> None:
        self._interval = min(self._interval * 2, self._layer.values.t2)  # §17.1.2.2 Timer E
        self._resend(self._interval, now)

    def resend_at_t2(self, _: object, now: float) -> None:
        self._resend(self._layer.values.t2, now)

    def _resend(self, interval: float, now: float) -> None:
        self._layer.counters["retransmitted"] += 1
        self._send(self._data)
        self._again = self._layer.timers.start(RETRANSMIT, interval, self, now)

    def pass_provisional(self, response: Response, now: float) -> None:
        self.stop_again()
        self._more = 0.0
        if self._cancel is None and not self._cancelled:
            self.stop_end()  # an INVITE may ring as long as Timer C lets it
        self.user.on_response(self, response, now)
        if self._cancel is not None and self.state == PROCEEDING:
            reasons, self._cancel = self._cancel, None
            self.cancel(now, reasons)

    def pass_up(self, response: Response, now: float) -> None:
        self.user.on_response(self, response, now)

    def pass_and_linger(self, response: Response, now: float) -> None:
        self._data = b""  # nothing is left to send again
        user = self.user
        if self.method == "INVITE":
            self._linger(self._layer.values.long, now)  # Timer M
        else:
            self.user = NOBODY
            self._linger(self._layer.values.t4, now)  # Timer K
        user.on_response(self, response, now)

    def ack_and_pass(self, response: Response, now: float) -> None:
        self._data = self._layer.encoded(ack_for(self.request, response), self.to)
        self._send(self._data)
        user, self.user = self.user, NOBODY
        self._linger(max(self._layer.values.long, 32.0), now)  # Timer D: whatever our own T1, the peer's may be longer
        user.on_response(self, response, now)

    def ack_again(self, _: object, now: float) -> None:
        self._send(self._data)

    def _linger(self, duration: float, now: float) -> None:
        """Wait for stragglers (D, K, M) without the request. On connections only a 2xx can come again."""
        self.stop_again()
        self.stop_end()
        self._layer.settled(self)
        del self.request
        if self.to.reliable and self.state != "Accepted":
            self.drop(None, now)
        else:
            self._layer.timers.linger(duration, self, now)

    def report_timeout(self, reason: str, now: float) -> None:
        self._fail("timeout", now)

    def report_transport_error(self, reason: str, now: float) -> None:
        self._fail(reason, now)

    def _fail(self, reason: str, now: float) -> None:
        self._layer.settled(self)
        self.drop(None, now)
        self.user.on_failure(self, reason, now)

    def drop(self, _: object, now: float) -> None:
        self.state = TERMINATED
        self.stop_again()
        self.stop_end()
        self._layer.forget_client(self)


INVITE_MACHINE: Final[Machine] = bind(INVITE_CLIENT, ClientTransaction)
MACHINE: Final[Machine] = bind(CLIENT, ClientTransaction)

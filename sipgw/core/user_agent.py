"""A user agent core (RFC 3261 §8, §12, §13) for the emulated pool and client: dialogs, requests, 2xx until ACK."""

from collections.abc import Callable
from random import Random
from typing import Protocol

from sipgw.auth.login_client import LoginClient, digest_lines
from sipgw.auth.sipae_client import CHALLENGES, CREDENTIALS, Verdict
from sipgw.core.dialog import Dialog, DialogId, dialog_id
from sipgw.events import Flow, Hop, Listener, Output, Send
from sipgw.message.build import new_request, response_to
from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Request, Response
from sipgw.message.uri import parse_uri
from sipgw.message.values import bracketed, parse_name_addr
from sipgw.transaction.client import ClientTransaction
from sipgw.transaction.layer import TransactionLayer
from sipgw.transaction.server import ServerTransaction
from sipgw.transaction.stack import Stack
from sipgw.transaction.tables import RETRANSMIT, TIMEOUT
from sipgw.transaction.timers import Queue, TimerValues

MAX_ANSWERS = 64  # of one INVITE by different callees; further ones are left to end by themselves
MAX_HELD = 1000  # requests that wait for the end of a handshake; to further ones the challenge is the answer
MAX_TRIES = 8  # of one request, whatever the challenges say; NTLM takes three, six after a lost association
TARGET_REFRESH = ("INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER")
Answered = Callable[["Response | None", str, float], None]  # final response or None, reason when None, now


class Application(Protocol):
    """What a user agent is for: the pool's or the client's own logic."""

    def on_request(self, transaction: ServerTransaction, dialog: Dialog | None, now: float) -> None:
        """A request other than ACK; `dialog` is the one that it belongs to, None outside."""

    def on_dialog_lost(self, dialog: Dialog, reason: str, now: float) -> None:
        """A dialog ended without a BYE of ours: its ACK never came, or its connection broke."""


class UserAgent(Stack):
    """`listeners` are where it can be reached, none for a client that only opens connections. `extensions` are option
    tags that a peer may require, in lower case; `login` answers challenges, signs and checks signatures, and is set by
    `sign_in_by`; `on_connection_lost` is told why a connection is gone."""

    def __init__(
        self, listeners: list[Listener], random: Random, timers: TimerValues, max_transactions: int = 10_000
    ) -> None:
        super().__init__(TransactionLayer(timers, random, max_transactions))
        self.application: Application
        self.extensions: frozenset[str] = frozenset()
        self.login: LoginClient | None = None
        self.on_connection_lost: Callable[[str, float], None] | None = None
        self.layer.user = self
        self.layer.endpoint = True
        self.dialogs: dict[DialogId, Dialog] = {}
        self._listeners = listeners
        self._unacknowledged: dict[DialogId, _Unacknowledged] = {}
        self._held: list[tuple[_Waiting, Response]] = []

    def sign_in_by(self, login: LoginClient) -> None:
        """Answer challenges by this from now on, also in dialogs."""
        self.login = login
        self.layer.seal, self.layer.hears = login.seal, login.hears

    # requests that come in

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        dialog = self.dialogs.get(dialog_id(request)) if request.to_tag else None
        if request.method == "CANCEL":
            self.answer(transaction, 200 if self.layer.find_cancelled(request) else 481, now)
        elif self.layer.merged(transaction):
            self.answer(transaction, 482, now)  # §8.2.2.2
        elif request.to_tag and dialog is None:
            self.answer(transaction, 481, now)
        elif dialog is not None and not dialog.in_order(request):
            self.answer(transaction, 500, now)  # §12.2.2
        elif unknown := [tag for tag in request.values("require") if tag.lower() not in self.extensions]:
            self.answer(transaction, 420, now, [f"Unsupported: {', '.join(unknown)}"])  # §8.2.2.3
        else:
            if dialog is not None:
                self._follow(dialog, transaction)
            self._dispatch(transaction, dialog, now)

    @staticmethod
    def _follow(dialog: Dialog, transaction: ServerTransaction) -> None:
        """Where the peer is now, should its connection have been replaced or its target refreshed (§12.2.2)."""
        if isinstance(dialog.to, Flow):
            dialog.to = transaction.flow
        contacts = transaction.request.values("contact") if transaction.method in TARGET_REFRESH else []
        if contacts:
            dialog.target = parse_name_addr(contacts[0]).uri

    def _dispatch(self, transaction: ServerTransaction, dialog: Dialog | None, now: float) -> None:
        try:
            self.application.on_request(transaction, dialog, now)
        except MalformedMessage as error:
            self.answer(transaction, error.status, now, [f'Warning: 399 sipgw "{error.reason}"'])

    def on_ack(self, ack: Request, flow: Flow, now: float) -> None:
        waiting = self._unacknowledged.pop(dialog_id(ack), None)
        if waiting is not None:
            waiting.stop()

    def on_stray_response(self, response: Response, flow: Flow, now: float) -> None:
        self.counters["stray_responses"] += 1

    # answers

    def answer(
        self,
        transaction: ServerTransaction,
        status: int,
        now: float,
        headers: list[str] | None = None,
        body: bytes = b"",
        content_type: str = "",
    ) -> None:
        """A response; a 2xx to an INVITE inside a dialog is sent until it is acknowledged, as the first was (§14.2)."""
        request = transaction.request
        response = response_to(
            request,
            status,
            to_tag=self.layer.new_tag(),
            headers=headers or (),
            body=body,
            content_type=content_type,
        )
        dialog = self.dialogs.get(dialog_id(request)) if transaction.method == "INVITE" and status // 100 == 2 else None
        transaction.respond(response, now)
        if dialog is not None:
            self._await_ack(dialog, transaction.reply_to, response, now)

    def _await_ack(self, dialog: Dialog, to: Flow | Hop, response: Response, now: float) -> None:
        before = self._unacknowledged.pop(dialog.id, None)
        if before is not None:
            before.stop()
        self._unacknowledged[dialog.id] = waiting = _Unacknowledged(self, dialog, to, response.encode())
        waiting.start(now)

    def accept(
        self, transaction: ServerTransaction, headers: list[str], body: bytes, content_type: str, now: float
    ) -> Dialog:
        """Answer an INVITE with 200 and open the dialog; the 200 is sent until it is acknowledged (§13.3.1.4)."""
        request = transaction.request
        tag = self.layer.new_tag()
        dialog = Dialog.from_request(request, tag, transaction.flow)
        routes = [f"Record-Route: {value}" for value in dialog.routes]
        response = response_to(
            request, 200, to_tag=tag, headers=[*routes, *headers], body=body, content_type=content_type
        )
        self.dialogs[dialog.id] = dialog
        transaction.respond(response, now)
        self._await_ack(dialog, transaction.reply_to, response, now)
        return dialog

    def ack_missing(self, dialog: Dialog, now: float) -> None:
        """No ACK within 64*T1: the session is to be ended (§13.3.1.4)."""
        self.bye(dialog, now)
        self.application.on_dialog_lost(dialog, "the 200 was never acknowledged", now)

    # requests that we send

    def send(
        self, dialog: Dialog, method: str, now: float, done: Answered, headers: list[str], body: bytes = b""
    ) -> None:
        """A request inside a dialog; `done` is called once with its final response, or None and why."""
        branch = self.layer.new_branch()
        to = self._way(dialog)
        request = dialog.request(method, self.via(to, branch), headers, body)
        self._start(_Waiting(self, request, to, done, dialog), branch, now)

    def _way(self, dialog: Dialog) -> Flow | Hop:
        """The connection that the peer last used while it lives, else a new one to the first route (§12.2.1.1)."""
        to = dialog.to
        if isinstance(to, Hop) or not to.cid or to.cid in self.layer.flows:
            return to
        uri = parse_uri(parse_name_addr(dialog.routes[0]).uri if dialog.routes else dialog.target)
        return Hop(to.transport, uri.host, uri.port or 5060, uri.host if to.transport == "TLS" else "")

    def send_outside(
        self, method: str, uri: str, to: Flow | Hop, headers: list[str], now: float, done: Answered, body: bytes = b""
    ) -> Request:
        """A request outside any dialog; `headers` hold all but Via, Max-Forwards and Content-Length. Returns it; where
        it is challenged it becomes what is sent again, with credentials and a higher CSeq."""
        branch = self.layer.new_branch()
        lines = [f"Via: {self.via(to, branch)}", "Max-Forwards: 70", *headers]
        request = new_request(method, uri, lines, body)
        self._start(_Waiting(self, request, to, done), branch, now)
        return request

    def _start(self, waiting: "_Waiting", branch: str, now: float) -> None:
        to = waiting.to
        self.layer.send_request(waiting, waiting.request, branch, to, now, sent_by=self.sent_by(to.transport))

    # challenges

    def takes_challenge(self, waiting: "_Waiting", response: Response, now: float) -> bool:
        """Whether a 401 or 407 is not the end of a request: it is sent again, or will be (§22.2)."""
        if self.login is None or waiting.tries >= MAX_TRIES:
            return False
        verdict = self.login.challenged(waiting.request, response, now)
        if verdict is Verdict.LATER:
            if len(self._held) >= MAX_HELD:
                self.counters["not_held"] += 1
                return False
            self._held.append((waiting, response))
        elif verdict is Verdict.AGAIN:
            self._send_again(waiting, now)
        else:
            self._give_up_held(now)
        return verdict is not Verdict.REFUSED

    def _send_again(self, waiting: "_Waiting", now: float) -> None:
        """The same request with another branch and a CSeq that is one higher (§22.2), by the way that there is now."""
        waiting.tries += 1
        request, dialog = waiting.request, waiting.dialog
        if dialog is None:
            number = request.cseq.number + 1
        else:
            waiting.to = self._way(dialog)
            number = dialog.local_seq = dialog.local_seq + 1
        branch = self.layer.new_branch()
        fresh = {"via": f"Via: {self.via(waiting.to, branch)}", "cseq": f"CSeq: {number} {request.method}"}
        pairs = zip(request.lines, request.names, strict=True)
        request.set_lines(
            request.uri, [(fresh.get(name, line), name) for line, name in pairs if name not in CREDENTIALS]
        )
        self._start(waiting, branch, now)

    def settled(self, request: Request, now: float) -> None:
        """A request has got its final response or will get none: those that were held for it can go on."""
        if self.login is None:
            return
        self.login.settled(request)
        if not self.login.busy:
            held, self._held = self._held, []
            for waiting, _ in held:
                self._send_again(waiting, now)

    def _give_up_held(self, now: float) -> None:
        """Who was refused once need not try again with each request."""
        held, self._held = self._held, []
        for waiting, response in held:
            waiting.end(response, now)

    def connection_lost(self, flow: Flow, hop: Hop | None, reason: str, now: float) -> list[Output]:
        if self.login is not None and hop is not None:  # others may connect to us as well
            self.login.connection_lost()
        outputs = super().connection_lost(flow, hop, reason, now)
        if self.on_connection_lost is not None:
            self.on_connection_lost(reason, now)
        return outputs + self.outputs()

    # dialogs

    def establish(self, request: Request, response: Response, to: Flow | Hop, now: float) -> Dialog:
        """The dialog that a 2xx to our INVITE opens, acknowledged (§13.2.2.4). Raises MalformedMessage."""
        dialog = Dialog.from_response(request, response, to)
        self.dialogs[dialog.id] = dialog
        self._acknowledge(dialog, request)
        return dialog

    def _acknowledge(self, dialog: Dialog, invite: Request) -> None:
        """With the number of the INVITE, and its credentials where they are not for each message (§13.2.2.4)."""
        via = self.via(dialog.to, self.layer.new_branch())
        credentials = digest_lines(invite)
        self.layer.send(dialog.request("ACK", via, credentials, cseq=invite.cseq.number), dialog.to)

    def answered_again(self, request: Request, response: Response, tags: set[str], to: Flow | Hop, now: float) -> None:
        """A further 2xx to our INVITE (§13.2.2.4): the same again, whose ACK was lost, or another branch of a fork, of
        which we want one only; `tags` are those of the answers before. Raises MalformedMessage."""
        known = self.dialogs.get((response.call_id, response.from_tag, response.to_tag))
        dialog = known or Dialog.from_response(request, response, to)
        self._acknowledge(dialog, request)
        if response.to_tag not in tags:
            tags.add(response.to_tag)
            self.bye(dialog, now)

    def bye(self, dialog: Dialog, now: float, done: Answered | None = None) -> None:
        """End a dialog (§15.1.1)."""
        self.forget(dialog)
        self.send(dialog, "BYE", now, done or _ignore, [])

    def forget(self, dialog: Dialog) -> None:
        self.dialogs.pop(dialog.id, None)
        waiting = self._unacknowledged.pop(dialog.id, None)
        if waiting is not None:
            waiting.stop()

    def via(self, to: Flow | Hop, branch: str) -> str:
        return f"SIP/2.0/{to.transport} {self.sent_by(to.transport)};branch={branch};rport"

    def sent_by(self, transport: str) -> str:
        for listener in self._listeners:
            if listener.transport == transport:
                return listener.sent_by
        return bracketed("127.0.0.1")  # a client without a listening socket is answered on its connection


class _Waiting:
    """The user of a client transaction that only wants the final response, once; after a challenge of the next."""

    __slots__ = ("_agent", "_done", "_tags", "dialog", "request", "to", "tries")

    def __init__(
        self, agent: UserAgent, request: Request, to: Flow | Hop, done: Answered, dialog: Dialog | None = None
    ) -> None:
        self._agent = agent
        self._done = done
        self._tags: set[str] = set()
        self.request = request
        self.to = to
        self.dialog = dialog
        self.tries = 1

    def on_response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        if response.status < 200:
            return
        if not self._tags:
            if response.status not in CHALLENGES or not self._agent.takes_challenge(self, response, now):
                self.end(response, now)
        elif len(self._tags) < MAX_ANSWERS or response.to_tag in self._tags:
            self._agent.answered_again(self.request, response, self._tags, transaction.to, now)

    def end(self, response: Response, now: float) -> None:
        """This is the answer."""
        self._tags.add(response.to_tag)
        self._agent.settled(self.request, now)
        self._done(response, "", now)

    def on_failure(self, transaction: ClientTransaction, reason: str, now: float) -> None:
        self._agent.settled(self.request, now)
        self._done(None, reason, now)


class _Unacknowledged:
    """A 2xx on its way: again after T1, doubling up to T2, until the ACK or 64*T1 (§13.3.1.4)."""

    __slots__ = ("_again", "_agent", "_data", "_dialog", "_end", "_interval", "_to")

    def __init__(self, agent: UserAgent, dialog: Dialog, to: Flow | Hop, data: bytes) -> None:
        self._agent = agent
        self._dialog = dialog
        self._to = to
        self._data = data
        self._interval = agent.layer.values.t1
        self._again: Queue | None = None
        self._end: Queue | None = None

    def start(self, now: float) -> None:
        timers = self._agent.layer.timers
        self._end = timers.start(TIMEOUT, self._agent.layer.values.long, self, now)
        self._again = timers.start(RETRANSMIT, self._interval, self, now)

    def stop(self) -> None:
        for queue in (self._again, self._end):
            if queue is not None:
                queue.pop(self, None)

    def fire(self, kind: str, now: float) -> None:
        if kind == TIMEOUT:
            self._end = None
            self._agent.ack_missing(self._dialog, now)
            return
        self._interval = min(self._interval * 2, self._agent.layer.values.t2)
        self._agent.layer.out.append(Send(self._data, self._to))
        self._again = self._agent.layer.timers.start(RETRANSMIT, self._interval, self, now)


def _ignore(response: Response | None, reason: str, now: float) -> None:
    """The answer makes no difference."""

"""The emulated Persistent Chat pool as a user agent: lookup answer and channel service behind SIP dialogs.

Every INVITE opens a session of the channel service; INFOs carry envelopes both ways, each direction in its own
requests ([MS-OCSPROT] §2.5.21, pidgin-sipe). Deliveries to one session go out one after the other, so they arrive in
order over any transport.
"""

from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import Protocol

from sipgw.core.dialog import Dialog
from sipgw.core.failures import CHAT_FULL, diagnostics
from sipgw.core.user_agent import UserAgent
from sipgw.events import Log, Notice
from sipgw.groupchat.channel import Deliver, Output, SessionsFull
from sipgw.message.message import Response
from sipgw.message.uri import parse_uri
from sipgw.message.values import parse_name_addr
from sipgw.transaction.server import ServerTransaction

SESSION_EXPIRES = 600  # seconds; pidgin-sipe sends UPDATEs in a storm when the lookup answer names no interval
MAX_UNDELIVERED = 500  # envelopes waiting for one session; a session that falls further behind is ended
ALLOWED = "INVITE, ACK, BYE, CANCEL, INFO, UPDATE, OPTIONS"


class ChatService(Protocol):
    """What stands behind the dialogs: a channel service, or a lookup service alone. See ChannelService."""

    def open(self, session: int, user_uri: str, display_name: str, now: float) -> list[Output]: ...

    def close(self, session: int, now: float) -> list[Output]: ...

    def handle(self, session: int, body: bytes, now: float) -> list[Output]: ...


class _Session:
    __slots__ = ("busy", "dialog", "number", "queue")

    def __init__(self, number: int, dialog: Dialog) -> None:
        self.number = number
        self.dialog = dialog
        self.queue: deque[bytes] = deque()
        self.busy = False


class PoolAgent:
    """The application of a UserAgent. `wall_offset` plus the engine's clock is the time of day, for timestamps.

    Records for the room store go out as Notices of kind "record" as they come from the channel service. Agents that
    share one service share the `numbers` of its sessions: what is for another agent's session goes out as a Notice of
    kind "delivery", to be given to that agent's `deliver`. `contact` is the URI to be reached at where that is not
    the address that a request came in at.
    """

    def __init__(
        self,
        agent: UserAgent,
        service: ChatService,
        wall_offset: float,
        name: str,
        numbers: Iterator[int] | None = None,
    ) -> None:
        self._agent = agent
        self._service = service
        self._wall_offset = wall_offset
        self._name = name
        self._sessions: dict[int, _Session] = {}
        self._by_dialog: dict[Dialog, _Session] = {}
        self._numbers = numbers if numbers is not None else count(1)
        self.contact = ""
        agent.application = self

    # requests

    def on_request(self, transaction: ServerTransaction, dialog: Dialog | None, now: float) -> None:
        method = transaction.method
        if method == "INVITE":
            self._invite(transaction, dialog, now)
        elif method == "OPTIONS":
            self._agent.answer(transaction, 200, now, [f"Allow: {ALLOWED}"])
        elif dialog is None:
            self._agent.answer(
                transaction, 481 if method in ("BYE", "INFO", "UPDATE") else 405, now, [f"Allow: {ALLOWED}"]
            )
        elif method == "INFO":
            self._info(transaction, dialog, now)
        elif method == "BYE":
            self._agent.answer(transaction, 200, now)
            self._agent.forget(dialog)
            self.end(dialog, now)
        elif method == "UPDATE":
            self._agent.answer(transaction, 200, now, self._session_headers(transaction))
        else:
            self._agent.answer(transaction, 405, now, [f"Allow: {ALLOWED}"])

    def _invite(self, transaction: ServerTransaction, dialog: Dialog | None, now: float) -> None:
        if dialog is not None:  # a re-INVITE changes nothing here
            self._agent.answer(
                transaction, 200, now, self._session_headers(transaction), self._sdp(transaction), "application/sdp"
            )
            return
        sender = parse_name_addr(transaction.request.first("from") or "")
        user = f"sip:{parse_uri(sender.uri).aor}"
        headers = self._session_headers(transaction)
        body = self._sdp(transaction)
        number = next(self._numbers)
        try:
            outputs = self._service.open(number, user, _text(sender.display), self._wall(now))
        except SessionsFull:
            self._agent.answer(
                transaction, CHAT_FULL.status, now, [diagnostics(CHAT_FULL, self._name), "Retry-After: 60"]
            )
            return
        opened = self._agent.accept(transaction, headers, body, "application/sdp", now)
        session = _Session(number, opened)
        self._sessions[session.number] = self._by_dialog[opened] = session
        self._agent.layer.out.append(Log("info", "session opened", {"user": user, "pool": self._name}))
        self._perform(outputs, now)

    def _session_headers(self, transaction: ServerTransaction) -> list[str]:
        user = parse_uri(transaction.request.uri).user or "pool"
        transport = transaction.flow.transport
        contact = self.contact or f"sip:{user}@{self._agent.sent_by(transport)};transport={transport.lower()}"
        return [
            f"Contact: <{contact}>",
            f"Session-Expires: {SESSION_EXPIRES};refresher=uac",
            "Supported: timer",
            f"Allow: {ALLOWED}",
        ]

    def _sdp(self, transaction: ServerTransaction) -> bytes:
        listener = transaction.flow.listener
        host, port = (listener.host, listener.port) if listener is not None else ("127.0.0.1", 5060)
        family = "IP6" if ":" in host else "IP4"
        aor = parse_uri(transaction.request.uri).aor
        lines = (
            "v=0",
            f"o=- 0 0 IN {family} {host}",
            "s=session",
            f"c=IN {family} {host}",
            "t=0 0",
            f"m=message {port} sip sip:{aor}",
            "a=accept-types:text/plain",
            "",
        )
        return "\r\n".join(lines).encode("latin-1")

    def _info(self, transaction: ServerTransaction, dialog: Dialog, now: float) -> None:
        body = transaction.request.body
        self._agent.answer(transaction, 200, now)
        session = self._by_dialog.get(dialog)
        if session is not None:
            self._perform(self._service.handle(session.number, body, self._wall(now)), now)

    # deliveries

    def _perform(self, outputs: list[Output], now: float) -> None:
        for output in outputs:
            if not isinstance(output, Deliver):
                self._agent.layer.out.append(Notice("record", {"record": output}))
            elif output.session in self._sessions:
                self.deliver(output, now)
            else:
                self._agent.layer.out.append(Notice("delivery", {"delivery": output}))

    def deliver(self, delivery: Deliver, now: float) -> None:
        """An envelope for a session; one that is over gets nothing."""
        session = self._sessions.get(delivery.session)
        if session is None:
            return
        if len(session.queue) >= MAX_UNDELIVERED:
            self._agent.counters["sessions_overrun"] += 1
            self._drop(session.dialog, "it does not take what it is sent", now)
            return
        session.queue.append(delivery.body)
        self._send_next(session, now)

    def _send_next(self, session: _Session, now: float) -> None:
        if session.busy or not session.queue:
            return
        session.busy = True

        def done(response: Response | None, reason: str, at: float) -> None:
            self._delivered(session, response, reason, at)

        self._agent.send(session.dialog, "INFO", now, done, ["Content-Type: text/plain"], session.queue.popleft())

    def _delivered(self, session: _Session, response: Response | None, reason: str, now: float) -> None:
        session.busy = False
        if response is None or response.status in (408, 480, 481, 487):  # §12.2.1.2: the dialog is gone
            if session.number in self._sessions:
                self._drop(session.dialog, reason if response is None else str(response.status), now)
            return
        self._send_next(session, now)

    # endings

    def _drop(self, dialog: Dialog, reason: str, now: float) -> None:
        self._agent.bye(dialog, now)
        self.on_dialog_lost(dialog, reason, now)

    def on_dialog_lost(self, dialog: Dialog, reason: str, now: float) -> None:
        self._agent.layer.out.append(Log("warning", "session lost", {"remote": dialog.remote, "reason": reason}))
        self.end(dialog, now)

    def end(self, dialog: Dialog, now: float) -> None:
        """A dialog is over, and with it its session, if it has one."""
        session = self._by_dialog.pop(dialog, None)
        if session is not None:
            del self._sessions[session.number]
            session.queue.clear()
            self._perform(self._service.close(session.number, self._wall(now)), now)

    def _wall(self, now: float) -> float:
        return now + self._wall_offset


def _text(latin: str) -> str:
    """Header text as people wrote it."""
    return latin.encode("latin-1", "replace").decode("utf-8", "replace")

"""The emulated legacy client as a user agent: signs in, finds the contact object, chats.

It does what pidgin-sipe does, in that order: REGISTER, self-SUBSCRIBE for provisioning, INVITE of the contact object,
cmd:requri, BYE, INVITE of the channel URI, then envelopes in INFOs. What happens is told in Notice outputs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sipgw.groupchat.xccos as xccos
from sipgw.auth.login_client import LoginClient, offered
from sipgw.auth.sipae_client import CHALLENGES
from sipgw.core.dialog import Dialog
from sipgw.core.user_agent import UserAgent
from sipgw.events import Flow, Hop, Notice
from sipgw.message.message import Request, Response
from sipgw.message.values import parse_name_addr, unquote
from sipgw.transaction.server import ServerTransaction

SDP = (
    b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=session\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=message 5060 sip null\r\na=accept-types:text/plain\r\n"
)
_EVENT = "vnd-microsoft-provisioning-v2"


@dataclass(frozen=True)
class Identity:
    """Who signs in: `user` is the SIP URI; `epid` 12 hex digits and `instance` a urn:uuid, the endpoint's own."""

    user: str
    epid: str
    instance: str

    @property
    def domain(self) -> str:
        return self.user.rpartition("@")[2]


class ClientAgent:
    """The application of a UserAgent. `server` is the Front End; `contact_object` what to look for there.

    Notices: `signed in`, `found` (uri), `ready`, `failed` (step, reason, and the envid of what was not sent),
    `envelope`, `lost` (reason), `refreshed`, `not refreshed` (reason, and whether it was refused), `disconnected`
    (reason), `dropped` (what), `hung up`, `signed out`.
    """

    def __init__(
        self, agent: UserAgent, identity: Identity, server: Hop, contact_object: str, login: LoginClient | None = None
    ) -> None:
        self._agent = agent
        self._identity = identity
        self._server: Flow | Hop = server
        self._contact_object = contact_object
        self._call_id = f"{agent.layer.new_tag()}{agent.layer.new_tag()}"
        self._registration: Request | None = None
        self._signed_in = False
        self._contact = f"sip:{identity.user.removeprefix('sip:')}"
        self._envid = 1
        self._lookup: Dialog | None = None
        self._channel: Dialog | None = None
        agent.application = self
        agent.on_connection_lost = self._disconnected
        if login is not None:
            login.dropped = lambda what: self._notice("dropped", what=what)
            agent.sign_in_by(login)

    # signing in

    def sign_in(self, now: float) -> None:
        """REGISTER, and on with the rest when it is accepted."""
        self._register(600, self._registered, now)

    def _register(self, expires: int, done: Callable[[Response | None, str, float], None], now: float) -> None:
        identity = self._identity
        number = self._registration.cseq.number + 1 if self._registration is not None else 1
        transport = self._server.transport
        address = f"sip:{self._agent.sent_by(transport)};transport={transport.lower()}"
        contact = f'<{address}>;proxy=replace;+sip.instance="<{identity.instance}>"'
        headers = [
            *self._from_to(identity.user),
            f"Call-ID: {self._call_id}",
            f"CSeq: {number} REGISTER",
            f"Contact: {contact}",
            "Supported: gruu-10, adhoclist, msrtc-event-categories",
            "Event: registration",
            "ms-keep-alive: UAC;hop-hop=yes",
            "User-Agent: sipgw client",
            f"Expires: {expires}",
        ]
        uri = f"sip:{identity.domain}"
        self._registration = self._agent.send_outside("REGISTER", uri, self._server, headers, now, done)

    def _from_to(self, to: str) -> list[str]:
        identity = self._identity
        return [f"From: <{identity.user}>;tag={self._agent.layer.new_tag()};epid={identity.epid}", f"To: <{to}>"]

    def _registered(self, response: Response | None, reason: str, now: float) -> None:
        if response is None or response.status != 200:
            self._failed("sign in", response, reason)
            return
        self._take_gruu(response)
        self._signed_in = True
        self._notice("signed in")
        self._subscribe(now)

    def _take_gruu(self, response: Response) -> None:
        for value in response.values("contact"):
            params = parse_name_addr(value).params
            if self._identity.instance in (params.get("+sip.instance") or "") and params.get("gruu"):
                self._contact = unquote(params["gruu"] or "")

    def refresh(self, now: float) -> None:
        """Keep the registration alive; the caller does this well before it ends, and when a connection was lost."""
        self._register(600, self._refreshed, now)

    def _refreshed(self, response: Response | None, reason: str, now: float) -> None:
        if response is not None and response.status == 200:
            self._take_gruu(response)
            self._notice("refreshed")
        else:
            refused = response is not None and response.status in (*CHALLENGES, 403)
            self._notice("not refreshed", reason=self._why(response, reason), refused=refused)

    def _disconnected(self, reason: str, now: float) -> None:
        if self._signed_in:
            self._notice("disconnected", reason=reason)

    def _subscribe(self, now: float) -> None:
        headers = [
            *self._from_to(self._identity.user),
            f"Call-ID: {self._agent.layer.new_tag()}",
            "CSeq: 1 SUBSCRIBE",
            f"Contact: <{self._contact}>",
            f"Event: {_EVENT}",
            "Supported: ms-piggyback-first-notify",
            "Expires: 0",
        ]
        user = self._identity.user
        self._agent.send_outside("SUBSCRIBE", user, self._server, headers, now, self._provisioned)

    def _provisioned(self, response: Response | None, reason: str, now: float) -> None:
        """Provisioning is a courtesy: without it the contact object is asked for all the same."""
        self._invite(self._contact_object, self._lookup_answered, now)

    # finding the channel

    def _invite(self, uri: str, answered: Callable[..., None], now: float) -> None:
        headers = [
            *self._from_to(uri),
            f"Call-ID: {self._agent.layer.new_tag()}{self._agent.layer.new_tag()}",
            "CSeq: 1 INVITE",
            f"Contact: <{self._contact}>",
            "Supported: ms-sender",
            "Content-Type: application/sdp",
        ]
        request: Request

        def done(response: Response | None, reason: str, at: float) -> None:
            answered(request, response, reason, at)

        request = self._agent.send_outside("INVITE", uri, self._server, headers, now, done, SDP)

    def _lookup_answered(self, request: Request, response: Response | None, reason: str, now: float) -> None:
        if response is None or response.status >= 300:
            self._failed(f"find {self._contact_object}", response, reason)
            return
        self._lookup = self._agent.establish(request, response, self._server, now)
        envid = self._next_envid()
        self._send(self._lookup, envid, xccos.command(envid, "requri"), now)

    def _found(self, uri: str, now: float) -> None:
        self._notice("found", uri=uri)
        if self._lookup is not None:
            self._agent.bye(self._lookup, now)
            self._lookup = None
        self._invite(uri, self._channel_answered, now)

    def _channel_answered(self, request: Request, response: Response | None, reason: str, now: float) -> None:
        if response is None or response.status >= 300:
            self._failed(f"open the channel {request.uri}", response, reason)
            return
        self._channel = self._agent.establish(request, response, self._server, now)
        self._notice("ready")

    # chatting

    def send_command(self, name: str, now: float, *data: Any) -> str:
        """Send `cmd:name`; `data` are the elements of its <data>. Returns the envid that the reply will name."""
        envid = self._next_envid()
        self._send_on_channel(envid, xccos.command(envid, name, *data), now)
        return envid

    def say(self, room_uri: str, text: str, timestamp: str, now: float) -> str:
        """A line of chat for a room; it comes back as a notice when the pool has taken it. Returns its envid."""
        envid = self._next_envid()
        envelope = xccos.chat(envid, room_uri, self._identity.user, timestamp, text)
        self._send_on_channel(envid, envelope, now)
        return envid

    def _send_on_channel(self, envid: str, envelope: bytes, now: float) -> None:
        if self._channel is None:
            self._notice("failed", step="send", reason="the channel is not open", envid=envid)
        else:
            self._send(self._channel, envid, envelope, now)

    def _send(self, dialog: Dialog, envid: str, envelope: bytes, now: float) -> None:
        def done(response: Response | None, reason: str, at: float) -> None:
            if response is None or response.status >= 300:
                self._notice("failed", step="send", reason=self._why(response, reason), envid=envid)

        self._agent.send(dialog, "INFO", now, done, ["Content-Type: text/plain"], envelope)

    def _next_envid(self) -> str:
        self._envid += 1
        return str(self._envid)

    # what the pool sends

    def on_request(self, transaction: ServerTransaction, dialog: Dialog | None, now: float) -> None:
        method = transaction.method
        if dialog is None:
            self._agent.answer(transaction, 200 if method in ("OPTIONS", "NOTIFY", "MESSAGE") else 481, now)
            return
        body = transaction.request.body
        self._agent.answer(transaction, 200 if method in ("INFO", "BYE", "OPTIONS") else 405, now)
        if method == "INFO":
            self._envelope(dialog, body, now)
        elif method == "BYE":
            self._agent.forget(dialog)
            self.on_dialog_lost(dialog, "the pool ended it", now)

    def _envelope(self, dialog: Dialog, body: bytes, now: float) -> None:
        try:
            envelope = xccos.parse(body)
        except xccos.XccosError as error:
            self._notice("failed", step="read", reason=str(error))
            return
        if dialog is self._lookup:
            uri = xccos.channel_uri(envelope)
            if uri:
                self._found(uri, now)
            else:
                self._notice("failed", step=f"find {self._contact_object}", reason="rpl:requri names no channel")
            return
        self._notice("envelope", envelope=envelope)

    def on_dialog_lost(self, dialog: Dialog, reason: str, now: float) -> None:
        if dialog is self._channel:
            self._channel = None
            self._notice("lost", reason=reason)

    # signing out

    @property
    def is_signed_in(self) -> bool:
        return self._signed_in

    def hang_up(self, now: float) -> None:
        """BYE, and `hung up` when it is answered. Until then the dialogs are there for what the pool has sent before it
        heard of that, such as that somebody else has left (§15.1.1 ends the session, not the dialog)."""
        leaving = [dialog for dialog in (self._lookup, self._channel) if dialog is not None]
        self._lookup = self._channel = None

        def bye(dialog: Dialog) -> None:
            def answered(response: Response | None, reason: str, at: float) -> None:
                self._agent.forget(dialog)
                leaving.remove(dialog)
                if not leaving:
                    self._notice("hung up")

            self._agent.send(dialog, "BYE", now, answered, [])

        if not leaving:
            self._notice("hung up")
        for dialog in list(leaving):
            bye(dialog)

    def sign_out(self, now: float) -> None:
        """BYE, then REGISTER with Expires 0."""
        for dialog in (self._lookup, self._channel):
            if dialog is not None:
                self._agent.bye(dialog, now)
        self._lookup = self._channel = None
        self._signed_in = False
        self._register(0, lambda response, reason, at: self._notice("signed out"), now)

    # telling

    def _failed(self, step: str, response: Response | None, reason: str) -> None:
        self._notice("failed", step=step, reason=self._why(response, reason))

    def _why(self, response: Response | None, reason: str) -> str:
        """All that is known: the status, who tried to sign in and how, and what the server said."""
        if response is None:
            return reason
        told = [response.first(name) for name in ("ms-diagnostics", "ms-diagnostics-public", "warning")]
        if wait := response.first("retry-after"):
            told.append(f"try again after {wait} s")
        if response.status in CHALLENGES:
            login = self._agent.login
            needed = f"a login is needed, by {offered(response)}"
            told.insert(0, login.why or "challenged again and again" if login is not None else needed)
        known = "; ".join(text for text in told if text)
        return f"{response.status} {response.reason}" + (f" ({known})" if known else "")

    def _notice(self, kind: str, **fields: Any) -> None:
        self._agent.layer.out.append(Notice(kind, fields))

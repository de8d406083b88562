"""The emulated legacy client as a user agent: signs in, finds the contact object, chats.

It does what pidgin-sipe does, in that order: REGISTER, self-SUBSCRIBE for provisioning, INVITE of the contact object,
cmd:requri, BYE, INVITE of the channel URI, then envelopes in INFOs. What happens is told in Notice outputs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sipgw.groupchat.xccos as xccos
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

    Notices: `signed in`, `found` (uri), `ready`, `failed` (step, reason), `envelope`, `lost` (reason), `signed out`.
    """

    def __init__(self, agent: UserAgent, identity: Identity, server: Hop, contact_object: str) -> None:
        self._agent = agent
        self._identity = identity
        self._server: Flow | Hop = server
        self._contact_object = contact_object
        self._call_id = f"{agent.layer.new_tag()}{agent.layer.new_tag()}"
        self._register_seq = 0
        self._contact = f"sip:{identity.user.removeprefix('sip:')}"
        self._envid = 1
        self._lookup: Dialog | None = None
        self._channel: Dialog | None = None
        agent.application = self

    # signing in

    def sign_in(self, now: float) -> None:
        """REGISTER, and on with the rest when it is accepted."""
        self._register(600, self._registered, now)

    def _register(self, expires: int, done: Callable[[Response | None, str, float], None], now: float) -> None:
        identity = self._identity
        self._register_seq += 1
        transport = self._server.transport
        address = f"sip:{self._agent.sent_by(transport)};transport={transport.lower()}"
        contact = f'<{address}>;proxy=replace;+sip.instance="<{identity.instance}>"'
        headers = [
            *self._from_to(identity.user),
            f"Call-ID: {self._call_id}",
            f"CSeq: {self._register_seq} REGISTER",
            f"Contact: {contact}",
            "Supported: gruu-10, adhoclist, msrtc-event-categories",
            "Event: registration",
            "ms-keep-alive: UAC;hop-hop=yes",
            "User-Agent: sipgw client",
            f"Expires: {expires}",
        ]
        self._agent.send_outside("REGISTER", f"sip:{identity.domain}", self._server, headers, now, done)

    def _from_to(self, to: str) -> list[str]:
        identity = self._identity
        return [f"From: <{identity.user}>;tag={self._agent.layer.new_tag()};epid={identity.epid}", f"To: <{to}>"]

    def _registered(self, response: Response | None, reason: str, now: float) -> None:
        if response is None or response.status != 200:
            self._failed("sign in", response, reason)
            return
        for value in response.values("contact"):
            params = parse_name_addr(value).params
            if self._identity.instance in (params.get("+sip.instance") or "") and params.get("gruu"):
                self._contact = unquote(params["gruu"] or "")
        self._notice("signed in")
        self._subscribe(now)

    def refresh(self, now: float) -> None:
        """Keep the registration alive; the caller does this well before it ends."""
        self._register(600, lambda response, reason, at: None, now)

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
        self._send(self._lookup, xccos.command(self._next_envid(), "requri"), now)

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
        self._send_on_channel(xccos.command(envid, name, *data), now)
        return envid

    def say(self, room_uri: str, text: str, timestamp: str, now: float) -> None:
        """A line of chat for a room; it comes back as a notice when the pool has taken it."""
        envelope = xccos.chat(self._next_envid(), room_uri, self._identity.user, timestamp, text)
        self._send_on_channel(envelope, now)

    def _send_on_channel(self, envelope: bytes, now: float) -> None:
        if self._channel is None:
            self._notice("failed", step="send", reason="the channel is not open")
        else:
            self._send(self._channel, envelope, now)

    def _send(self, dialog: Dialog, envelope: bytes, now: float) -> None:
        def done(response: Response | None, reason: str, at: float) -> None:
            if response is None or response.status >= 300:
                self._failed("send", response, reason)

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

    def sign_out(self, now: float) -> None:
        """BYE, then REGISTER with Expires 0."""
        for dialog in (self._lookup, self._channel):
            if dialog is not None:
                self._agent.bye(dialog, now)
        self._lookup = self._channel = None
        self._register(0, lambda response, reason, at: self._notice("signed out"), now)

    # telling

    def _failed(self, step: str, response: Response | None, reason: str) -> None:
        if response is not None:
            told = response.first("ms-diagnostics")
            reason = f"{response.status} {response.reason}" + (f" ({told})" if told else "")
        self._notice("failed", step=step, reason=reason)

    def _notice(self, kind: str, **fields: Any) -> None:
        self._agent.layer.out.append(Notice(kind, fields))

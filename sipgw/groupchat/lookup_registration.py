"""How a service of a legacy pool stays signed in: REGISTER, again before it ends, again when the Front End has lost it.

An OCS service registers as any user does (a UCMA user endpoint), with an endpoint id and instance of its own, so that
several of them share one address ([MS-SIPREGE] §3.1). What happens is told in Log outputs and by `on_change`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sipgw.core.user_agent import UserAgent
from sipgw.events import Hop, Log
from sipgw.groupchat.client import Identity
from sipgw.message.message import Request, Response
from sipgw.message.values import parse_name_addr, unquote
from sipgw.transaction.timers import Queue

REFRESH, RETRY = "refresh", "retry"  # kinds of timers
WANTED = 600  # seconds asked for; the registrar grants what it likes
EARLY = 30.0  # seconds before the end, as OCS clients do; half of a time that is shorter than that twice
FIRST_RETRY, LAST_RETRY = 1.0, 60.0  # seconds; doubled from one to the other
AFTER_REFUSAL = 60.0  # seconds: an administrator has to do something first
REFUSALS = (401, 403, 404, 407, 489)

_EVENTS = {  # [MS-SIPREGE] §3.2: what the registrar says when it ends a registration
    "unregistered": "more endpoints are signed in as this user than it may have; raise limits.max_bindings_per_user",
    "rejected": "this user is disabled",
    "deactivated": "this user was moved to another server",
    "preferred-registrar-change": "this user has another preferred registrar",
}
_ADVICE = {
    401: "it wants a password: give --login and --password-file, or have the gateway trust this address",
    403: "this address is an endpoint of the gateway, or the account is disabled",
    404: "the gateway does not serve this domain, or has no such user",
}


@dataclass(frozen=True)
class Place:
    """Who registers, where, and what it calls itself in log lines."""

    identity: Identity
    server: Hop
    name: str


class Registration:
    """`contact` is the URI that dialogs name: the GRUU once there is one, "" before. `up` tells whether it is there.

    `start` it once, `stop` it once. An own Call-ID serves all its REGISTERs (RFC 3261 §10.2.4).
    """

    def __init__(self, agent: UserAgent, place: Place, on_change: Callable[[], None]) -> None:
        self._agent = agent
        self._place = place
        self._on_change = on_change
        self._call_id = f"{agent.layer.new_tag()}{agent.layer.new_tag()}"
        self._last: Request | None = None
        self._expires = WANTED
        self._pause = FIRST_RETRY
        self._asking = False
        self._timer: Queue | None = None
        self._stopped: Callable[[], None] | None = None
        self.up = False
        self.contact = ""

    def start(self, now: float) -> None:
        self._ask(self._expires, now)

    def stop(self, now: float, done: Callable[[], None]) -> None:
        """De-register this endpoint and no other; `done` is called when that is over, however it went."""
        self._cancel_timers()
        self._stopped = done
        was_up = self.up
        self._changed(False)
        if was_up:
            self._ask(0, now)
        else:
            done()

    # asking

    def _ask(self, expires: int, now: float) -> None:
        self._asking = True
        number = 1 if self._last is None else self._last.cseq.number + 1  # a challenge has made it count on
        server, identity = self._place.server, self._place.identity
        transport = server.transport
        user = identity.user.removeprefix("sip:").partition("@")[0]
        address = f"sip:{user}@{self._agent.sent_by(transport)};transport={transport.lower()}"
        headers = [
            f"From: <{identity.user}>;tag={self._agent.layer.new_tag()};epid={identity.epid}",
            f"To: <{identity.user}>",
            f"Call-ID: {self._call_id}",
            f"CSeq: {number} REGISTER",
            f'Contact: <{address}>;proxy=replace;+sip.instance="<{identity.instance}>"',
            "Supported: gruu-10, adhoclist, msrtc-event-categories",
            "Event: registration",
            f"User-Agent: sipgw lookup ({self._place.name})",
            f"Expires: {expires}",
        ]
        self._last = self._agent.send_outside(
            "REGISTER", f"sip:{identity.domain}", server, headers, now, self._answered
        )

    def _answered(self, response: Response | None, reason: str, now: float) -> None:
        self._asking = False
        if self._stopped is not None:
            self._log("info", "signed out")
            self._stopped()
        elif response is not None and response.status == 200:
            self._registered(response, now)
        elif response is not None and response.status == 423 and (least := _number(response.first("min-expires"))):
            self._expires = least
            self._ask(least, now)
        else:
            self._failed(response, reason, now)

    def _registered(self, response: Response, now: float) -> None:
        granted = float(_number(response.first("expires")) or self._expires)
        for value in response.values("contact"):
            contact = parse_name_addr(value)
            if self._place.identity.instance in (contact.params.get("+sip.instance") or ""):
                self.contact = unquote(contact.params.get("gruu") or "")
                granted = float(_number(contact.params.get("expires")) or granted)
        self._pause = FIRST_RETRY
        if not self.up:
            self._log("info", "signed in", expires=int(granted))
        self._start_timer(REFRESH, max(granted - EARLY, granted / 2), now)
        self._changed(True)

    def _failed(self, response: Response | None, reason: str, now: float) -> None:
        pause, why = self._pause, ""
        fields: dict[str, object] = {"reason": reason}
        if response is not None:
            told = response.first("ms-diagnostics") or response.first("warning") or ""
            if self._agent.login is not None and response.status in (401, 407):
                why = self._agent.login.why
            fields = {"status": response.status, "reason": why or told or response.reason}
        if response is not None and response.status in REFUSALS:
            pause = AFTER_REFUSAL
            if response.status in _ADVICE and not why:
                fields["advice"] = _ADVICE[response.status]
        self._log("warning", "not signed in", **fields, again_in=f"{pause:g} s")
        self._pause = min(self._pause * 2, LAST_RETRY)
        self._changed(False)
        self._start_timer(RETRY, pause, now)

    # what ends it

    def notified(self, notify: Request, now: float) -> None:
        """`Event: registration-notify`: the registrar has ended it ([MS-SIPREGE] §3.2)."""
        _, _, event = notify.body.decode("latin-1").partition("event=")
        word = event.strip().partition(";")[0]
        told = notify.first("ms-diagnostics-public") or notify.first("ms-diagnostics") or ""
        meaning = _EVENTS.get(word, told or "no reason was given")
        if self._stopped is not None:
            return
        self._log("warning", "signed out by the gateway", notified=word or "nothing", reason=meaning, told=told)
        self._cancel_timers()
        self._changed(False)
        self._start_timer(RETRY, AFTER_REFUSAL, now)

    def connection_lost(self, now: float) -> None:
        """The connection to the registrar is gone; requests come down it no longer."""
        if self._stopped is not None or self._asking:  # a REGISTER under way fails by itself
            return
        if self.up:
            self._log("warning", "connection to the gateway lost", again_in=f"{FIRST_RETRY:g} s")
            self._cancel_timers()
            self._changed(False)
            self._start_timer(RETRY, FIRST_RETRY, now)

    def fire(self, kind: str, now: float) -> None:
        if not self._asking:
            self._ask(self._expires, now)

    # helpers

    def _start_timer(self, kind: str, seconds: float, now: float) -> None:
        self._cancel_timers()
        self._timer = self._agent.layer.timers.start(kind, seconds, self, now)

    def _cancel_timers(self) -> None:
        if self._timer is not None:
            self._timer.pop(self, None)

    def _changed(self, up: bool) -> None:
        if up != self.up:
            self.up = up
            self._on_change()

    def _log(self, level: str, event: str, **fields: object) -> None:
        fields = {"service": self._place.name, "uri": self._place.identity.user, **fields}
        self._agent.layer.out.append(Log(level, event, fields))


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 10 else None

"""What a request has to show before it is routed: who sends it, proved, and speaking for nobody else."""

from email.utils import formatdate
from typing import TYPE_CHECKING

from sipgw.auth.accounts import Account
from sipgw.auth.answer import Answer
from sipgw.auth.gate import Gate
from sipgw.auth.own_credentials import drop_credentials
from sipgw.core.admission import EXEMPT, Admission
from sipgw.core.branch import Branch
from sipgw.core.failures import CLOCKS, NOT_SIGNED, NOT_YOUR_URI, OVERLOADED, diagnostics
from sipgw.core.routing import Router
from sipgw.core.validation import Refused
from sipgw.events import Close, Flow, Log
from sipgw.message.build import response_to
from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Request, Response
from sipgw.message.uri import parse_uri
from sipgw.message.values import parse_name_addr, quote
from sipgw.transaction.server import ServerTransaction

if TYPE_CHECKING:
    from sipgw.core.proxy import Proxy

_CLAIMS = frozenset(  # RFC 3325, RFC 5502, and what was in use before them
    {"p-asserted-identity", "p-preferred-identity", "p-served-user", "remote-party-id"}
)


class Entrance:
    """Asks the gate about everybody but servers: trusted peers and pools.

    `realm` is that of Digest; `wall_offset` added to the clock gives the time of day, None for no Date.
    """

    def __init__(
        self, proxy: "Proxy", gate: Gate, admission: Admission, realm: str, fqdn: str, wall_offset: float | None
    ) -> None:
        self._proxy = proxy
        self._gate = gate
        self._admission = admission
        self._realm = realm
        self._fqdn = fqdn
        self._wall_offset = wall_offset

    @property
    def _router(self) -> Router:
        return self._proxy.router

    def passes(self, transaction: ServerTransaction, now: float) -> bool:
        """Whether a request may go on; it has been answered where not. Raises MalformedMessage."""
        request = transaction.request
        if self._is_from_server(request, transaction.flow, now):
            return True
        found = self._gate.judge(request, transaction.flow, now)
        if isinstance(found, Answer):
            self._turn_away(transaction, found, now)
            return False
        stranger = _speaks_for_another(request, found.uri)
        if stranger:
            self._proxy.fail(transaction, NOT_YOUR_URI, {"detail": f"{stranger}, signed in as {found.uri}"}, now)
            return False
        if _is_for_servers_to_say(request):
            self._silence(transaction, now)
            return False
        _drop(request)
        drop_credentials(request, self._realm)
        transaction.identity = found.uri
        return True

    def passes_ack(self, ack: Request, flow: Flow, now: float) -> bool:
        """Whether the ACK to a 2xx may go on."""
        try:
            if self._is_from_server(ack, flow, now):
                return True
            signer = self._gate.admits_ack(ack, flow, now)
            if isinstance(signer, Account):
                admitted = not _speaks_for_another(ack, signer.uri)
            else:  # a user who signs signs this too, wherever it seems to come from
                admitted = signer and not any(map(self._gate.signs_for, self._router.senders(ack)))
        except MalformedMessage:
            return False
        if admitted:
            _drop(ack)
            drop_credentials(ack, self._realm)
        return admitted

    def has_room(self, transaction: ServerTransaction, now: float) -> bool:
        """Whether somebody who has signed in may send this beside all else, outside of dialogs; answered where not."""
        user = transaction.identity
        if not user or transaction.method in EXEMPT or self._admission.user_may(user, now):
            return True
        self._proxy.fail(transaction, OVERLOADED, {"detail": f"too many requests of {user}"}, now)
        return False

    def _silence(self, transaction: ServerTransaction, now: float) -> None:
        """Clients go by the event alone: whoever could send these could sign others out, or lead them to himself."""
        self._proxy.counters["events_refused"] += 1
        if transaction.method == "BENOTIFY":  # it gets no response ([MS-SIP] §3.6)
            transaction.abandon(now)
        else:
            self._proxy.refuse(transaction, Refused(403, "this event is for the server alone to tell of"), now)

    def may_challenge(self, branch: Branch, now: float) -> bool:
        """Whether the caller may be shown a challenge: a user's could ask for a password that is good here."""
        if branch.target.pool is not None or branch.target.member_of is not None:
            return True
        return isinstance(branch.hop, Flow) and self._router.is_server(branch.hop, now)

    def hears(self, message: Request | Response, flow: Flow, now: float) -> bool:
        """False for a response that is not its sender's; what it claims to be counts for nothing either."""
        if isinstance(message, Request):
            return True
        if not self._gate.hears(message, flow, now):
            return False
        names = _CLAIMS | {"event"} if _tells_of_servers(message) else _CLAIMS
        if not names.isdisjoint(message.index) and not self._router.is_server(flow, now):
            _drop(message, names)
        return True

    def _is_from_server(self, request: Request, flow: Flow, now: float) -> bool:
        return self._router.is_server(flow, now) or self._router.is_of_dialog(request, flow)

    def may_cancel(self, cancel: ServerTransaction, invite: ServerTransaction, now: float) -> bool:
        """CANCEL cannot be challenged: it has to come the way of what it cancels (RFC 3261 §22.1, §26). It may do
        without a signature; one that it has is that of who sent the other."""
        way, before = cancel.flow, invite.flow
        if self._router.is_server(way, now):
            return True
        if (way.cid, way.host) != (before.cid, before.host) or (not way.cid and way.port != before.port):
            return False
        signer = self._gate.signer_of(cancel.request, way, now)
        return signer is None or (isinstance(signer, Account) and signer.uri == invite.identity)

    def _turn_away(self, transaction: ServerTransaction, answer: Answer, now: float) -> None:
        """Once and without state (RFC 3261 §26.3.2.4): by datagrams with a forged source nobody is to be sent more than
        was sent in his name, and no room taken from others. The ACK, if there is one, is dropped."""
        headers = list(answer.headers)
        if answer.status in (401, 407) and self._wall_offset is not None:  # clients set their clock by it
            headers.append(f"Date: {formatdate(now + self._wall_offset, usegmt=True)}")
        if answer.skewed:
            headers.append(diagnostics(CLOCKS, self._fqdn))
        elif answer.failed:
            headers.append(diagnostics(NOT_SIGNED, self._fqdn))
        elif answer.status == 403:
            headers.append(f"Warning: 399 {self._fqdn} {quote(answer.reason)}")
        layer, flow, request = self._proxy.layer, transaction.flow, transaction.request
        self._proxy.counters[f"answered_{answer.status}"] += 1
        if answer.failed or answer.status not in (401, 407):  # an old nonce or association is nothing to tell of
            fields = {"user": answer.name, "from": _address(request, "from"), "method": request.method}
            layer.out.append(Log("warning", "sign-in failed", {**fields, "source": str(flow), "reason": answer.reason}))
        layer.forget_server(transaction)
        layer.responses[answer.status] += 1
        tag = layer.stateless_tag(request)
        layer.send(response_to(request, answer.status, to_tag=tag, headers=headers), transaction.reply_to)
        if answer.close and flow.cid:
            layer.out.append(Close(flow.cid, answer.reason))


def _is_for_servers_to_say(request: Request) -> bool:
    """Whether a notification has an event of which only a Front End tells ([MS-SIPREGE] §3.2, [MS-PRES])."""
    return request.method in ("NOTIFY", "BENOTIFY") and _tells_of_servers(request)


def _tells_of_servers(message: Request | Response) -> bool:
    """Wherever in its Event lines: clients look for what they know."""
    if "event" not in message.index:
        return False
    events = " ".join(message.lines_of("event")).lower()
    return any(known in events for known in ("vnd-microsoft-", "registration", "presence.wpending"))


def _address(request: Request, name: str) -> str:
    """`sip:user@host` of From or To in lower case, "" for what is none."""
    try:
        uri = parse_uri(parse_name_addr(request.first(name) or "").uri)
    except MalformedMessage:
        return ""
    return f"sip:{uri.aor}".lower()


def _speaks_for_another(request: Request, own: str) -> str:
    """What is somebody else's, "" when all is well: From, and To where that is who is registered (§10.3 step 4)."""
    names = ("from", "to") if request.method == "REGISTER" else ("from",)
    for name in names:
        if _address(request, name) != own:
            return f"{name.capitalize()} is {_address(request, name) or 'no SIP address'}"
    return ""


def _drop(message: Request | Response, names: frozenset[str] = _CLAIMS) -> None:
    """RFC 3325 §5: who a client says that it is counts for nothing."""
    if names.isdisjoint(message.index):
        return
    kept = [pair for pair in zip(message.lines, message.names, strict=True) if pair[1] not in names]
    message.lines, message.names = [line for line, _ in kept], [name for _, name in kept]
    message.reindex()

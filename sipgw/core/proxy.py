"""The proxy core (RFC 3261 §16): transaction user of everything that the gateway receives."""

from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

from sipgw.core.aliases import Aliases, Shown
from sipgw.core.branch import Branch
from sipgw.core.entrance import Entrance
from sipgw.core.failures import BUSY_RETRY_AFTER, Failure, diagnostics
from sipgw.core.flow_token import FlowTokens, write_side
from sipgw.core.forwarding import (
    DIALOG_FORMING,
    NOTIFYING,
    Limits,
    append,
    fingerprint,
    forwarded_copy,
    push_route,
    suit_strict_router,
    via_line,
)
from sipgw.core.health import Health
from sipgw.core.meter import Meter
from sipgw.core.probing import retry_after
from sipgw.core.response_context import ResponseContext
from sipgw.core.route import Route, Target
from sipgw.core.routing import Router
from sipgw.core.validation import DEFAULT_BREADTH, Refused, breadth_left, check_loop, check_proxy_require, hops_left
from sipgw.events import AGED, OURS, SLOW, Flow, Hop, Listener, Log, Redial
from sipgw.locating import Destination
from sipgw.message.build import response_to
from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Request, Response
from sipgw.message.uri import parse_uri
from sipgw.message.values import quote
from sipgw.transaction.client import ClientTransaction
from sipgw.transaction.layer import TransactionLayer
from sipgw.transaction.server import ServerTransaction

MAX_WAITING: Final = 1000  # requests held while a name is looked up; one more is answered 503
LARGE: Final = 1300  # bytes; a larger request goes by TCP where it can (§18.1.1: the path's MTU is not known)
KEEP_DATAGRAM_ONLY, MAX_DATAGRAM_ONLY = 300.0, 1000  # seconds, servers: those that were found to take no TCP


class LocalServer(Protocol):
    """What answers requests that are for this server itself: registrar and Front End."""

    def handle(self, transaction: ServerTransaction, now: float) -> None: ...


class Proxy:
    """Validates, routes, forwards, and answers what cannot be forwarded.

    `verbose` turns the informational log line of every dialog-forming request on. `first_response` is how many
    seconds a pool server has for its first answer before the next one is tried. `recurse` has the contacts of a 3xx
    tried instead of handed to the caller. `shown` says towards whom a certificate of ours is shown. `entrance` is None
    where the network is trusted. With several workers `own_listeners` are UDP addresses that are this worker's alone,
    for what pools answer to; `pass_on` is offered each CANCEL and ACK whose INVITE is not here.
    """

    def __init__(
        self,
        layer: TransactionLayer,
        router: Router,
        tokens: FlowTokens,
        health: Health,
        fqdn: str,
        first_response: float = 3.0,
    ) -> None:
        self.layer = layer
        self.router = router
        self.health = health
        self.local: LocalServer
        self.entrance: Entrance | None = None
        self.counters: Counter[str] = Counter()
        self.meter = Meter()
        self.verbose = True
        self.recurse = False
        self.aliases = Aliases()
        self.shown = Shown()
        self._tokens = tokens
        self._fqdn = fqdn
        self._first_response = first_response
        # RFC 4320 §4.1 lets a server be silent on a non-INVITE until its sender has slowed down to T2
        self._first_sign = max(first_response, layer.trying_after + layer.values.t1)
        self.own_listeners: list[Listener] = []
        self.pass_on: Callable[[Request, Flow], bool] | None = None
        self._datagram_only: dict[tuple[str, int], float] = {}
        self._waiting: dict[Destination, list[ServerTransaction]] = {}
        self._waiting_count = 0

    def take_over(self, other: "Proxy") -> None:
        """Go on with the requests that wait for a name, after a change of configuration."""
        self._waiting, self._waiting_count = other._waiting, other._waiting_count
        self._datagram_only = other._datagram_only

    # the transaction layer calls these

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        if transaction.flow.names:
            self.aliases.learn(transaction.request.via, transaction.flow)
        self._go_on(transaction, now, entering=self.entrance is not None and transaction.method != "CANCEL")

    def _go_on(self, transaction: ServerTransaction, now: float, entering: bool) -> None:
        try:
            if not entering or (self.entrance is not None and self.entrance.passes(transaction, now)):
                self._dispatch(transaction, now)
        except (MalformedMessage, Refused) as error:
            self.refuse(transaction, error, now)

    def on_ack(self, ack: Request, flow: Flow, now: float) -> None:
        """The ACK to a 2xx has no transaction and gets no answer: it is forwarded or dropped (§16.11, §17.1)."""
        if self.entrance is not None and not self.entrance.passes_ack(ack, flow, now):
            self.counters["ack_dropped"] += 1
            return
        route = self._route_of_ack(ack, flow, now)
        try:
            limits = Limits(hops_left(ack), breadth_left(ack))
        except MalformedMessage:
            limits = Limits(0, 0)
        if limits.hops == 0 or not route.in_dialog:
            if self.pass_on is None or not self.pass_on(ack, flow):
                self.counters["ack_dropped"] += 1
            return
        target = route.groups[0][0]
        hop = target.hops[0]
        via = via_line(hop.transport, self.sent_by(hop), self.layer.new_branch())
        if hop.transport == "TLS":
            via, hop = self._both_ways(via, hop)
        copy = forwarded_copy(ack, target.uri, via, [], limits, hop.transport != "UDP")
        if "route" in ack.index:
            suit_strict_router(copy)
        self.layer.send(copy, hop)

    def _route_of_ack(self, ack: Request, flow: Flow, now: float) -> Route:
        if "route" not in ack.index and ";lr" not in ack.uri:
            return Route()  # no token of ours: the ACK to a refusal that left no state, most of all when there are many
        try:
            return self.router.route(ack, flow, now)
        except MalformedMessage:
            return Route()

    def on_stray_response(self, response: Response, flow: Flow, now: float) -> None:
        """A response to nothing: an attack, or later than any timer allows (RFC 6026 §8 has it dropped)."""
        self.counters["stray_responses"] += 1

    # one request

    def _dispatch(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        if request.method == "CANCEL":
            self._cancel(transaction, now)
            return
        parse_uri(request.uri)  # §16.3 item 2: a scheme we do not speak is 416
        limits = Limits(hops_left(request), breadth_left(request))
        check_proxy_require(request)
        mark = fingerprint(request)
        check_loop(request, self.router.own.sent_by, mark)
        route = self.router.route(request, transaction.flow, now)
        exempt = route.in_dialog or route.unresolved is not None  # what waits for a name comes by here again
        if self.entrance is None or exempt or self.entrance.has_room(transaction, now):
            self._act(transaction, route, limits, mark, now)

    def _act(self, transaction: ServerTransaction, route: Route, limits: Limits, mark: str, now: float) -> None:
        if route.groups:
            if limits.hops == 0:
                raise Refused(483, "Max-Forwards is 0")
            if limits.breadth < DEFAULT_BREADTH and limits.breadth < max(map(len, route.groups)):
                raise Refused(440, f"Max-Breadth is {limits.breadth}")
            context = ResponseContext(self, transaction, route, limits, mark)
            if transaction.method == "BENOTIFY":
                self._forward_unanswered(context, transaction, now)
                return
            transaction.user = context
            self._trying(transaction, now)
            if self.verbose and not route.in_dialog:
                self._log_forwarded(transaction.request, route)
            context.start(now)
        elif route.local:
            if self.layer.merged(transaction):
                raise Refused(482, "the same request came another way")  # §8.2.2.2
            self.local.handle(transaction, now)
        elif route.unresolved is not None:
            self._wait_for(route.unresolved, transaction, now)
        else:
            assert route.failure is not None
            if transaction.method == "INVITE" and not transaction.request.to_tag:
                self.meter.turned_down(route.matched, route.failure.status)
            self.fail(transaction, route.failure, route.details, now, route.matched)

    @staticmethod
    def _trying(transaction: ServerTransaction, now: float) -> None:
        """100 to an INVITE, once and at once: it has to be there within 200 ms (§17.2.1)."""
        if transaction.method == "INVITE" and not transaction.answered:
            transaction.respond(response_to(transaction.request, 100), now)

    def forward(
        self, context: ResponseContext, request: Request, source: Flow | Hop, branch: Branch, now: float
    ) -> ClientTransaction:
        """Send one copy of a request to the hop that its branch has come to (§16.6)."""
        hop, target = branch.hop, branch.target
        key = self.layer.new_branch() + context.loop_mark
        own = self._own_way(hop, target) if self.own_listeners else None
        sent_by = self.sent_by(own or hop)
        copy, to = self._copy(request, source, target, hop, via_line(hop.transport, sent_by, key), context)
        to = own or to
        data = self.layer.encoded(copy, to)
        if len(data) > LARGE and hop.transport == "UDP" and self._takes_stream(hop, now):
            branch.detour(Hop("TCP", hop.host, hop.port))
            return self.forward(context, request, source, branch, now)
        give_up_after = None
        if target.pool is not None:
            give_up_after = self._first_response if request.method == "INVITE" else self._first_sign
        elif self.health.troubled and self.gave_up_on(hop):
            branch.hurried, give_up_after = True, self._first_sign
        return self.layer.send_request(context, copy, key, to, now, give_up_after, data, sent_by)

    def _own_way(self, hop: Flow | Hop, target: Target) -> Flow | None:
        """To a pool's server by datagram from an address of this worker's own, where the answer comes back to. Clients
        are sent datagrams from where they send theirs to: by no other way do these pass a NAT."""
        if hop.transport != "UDP" or isinstance(hop, Flow) or not (target.pool or target.member_of):
            return None
        same = (listener for listener in self.own_listeners if (":" in listener.host) == (":" in hop.host))
        listener = next(same, None)
        return Flow("UDP", hop.host, hop.port, listener) if listener is not None else None

    def _forward_unanswered(self, context: ResponseContext, transaction: ServerTransaction, now: float) -> None:
        """BENOTIFY gets no response ([MS-SIP] §3.6): sent once, and copies that come later are absorbed."""
        for target in context.route.groups[0]:
            hop = target.hops[0]
            via = via_line(hop.transport, self.sent_by(hop), self.layer.new_branch() + context.loop_mark)
            copy, to = self._copy(transaction.request, transaction.flow, target, hop, via, context)
            self.layer.send(copy, to)
        transaction.abandon(now)

    def _copy(
        self,
        request: Request,
        source: Flow | Hop,
        target: Target,
        hop: Flow | Hop,
        via: str,
        context: ResponseContext,
    ) -> tuple[Request, Flow | Hop]:
        """What goes to a hop, and by which way."""
        record_routes: list[str] = []
        if request.method in DIALOG_FORMING:
            record_routes = self._record_route(request, source, target, hop, context.route)
        to = hop
        if hop.transport == "TLS":
            via, to = self._both_ways(via, hop)
        copy = forwarded_copy(request, target.uri, via, record_routes, context.limits, hop.transport != "UDP")
        if context.identity and (target.pool is not None or target.member_of is not None):
            append(copy.lines, copy.names, f"P-Asserted-Identity: <{context.identity}>", "p-asserted-identity")
        if target.route:
            push_route(copy, target.route)
        if target.route or "route" in request.index:
            suit_strict_router(copy)
        return copy, to

    def _both_ways(self, via: str, hop: Flow | Hop) -> tuple[str, Flow | Hop]:
        """RFC 5923 §8: over a connection that the other side has opened, where it offers that; else offer ours."""
        if isinstance(hop, Flow):
            return via, hop
        offered = self.aliases.find(hop) if self.aliases else None
        if offered is not None:
            return via, offered
        listener = self.router.own.towards(hop)
        listens = listener is not None and listener.transport == "TLS"
        return f"{via};alias" if listens and self.shown.to(hop.server_name) else via, hop

    def _takes_stream(self, hop: Flow | Hop, now: float) -> bool:
        """Whether TCP is worth a try: there is something to dial, and it has not refused lately."""
        return isinstance(hop, Hop) and self._datagram_only.get((hop.host, hop.port), 0.0) < now

    def _record_route(
        self, request: Request, source: Flow | Hop, target: Target, hop: Flow | Hop, route: Route
    ) -> list[str]:
        """Our Record-Route (§16.6 item 4), one for each side where they reach us differently (RFC 5658).

        Inside a dialog only a notification has it, with the token that it came by: by a NOTIFY that is faster than the
        answer, or comes from another branch of a fork, the subscriber learns its route set (RFC 6665 §4.3, §4.4.1).
        """
        token = route.token
        if not route.in_dialog:
            pool = target.pool.fqdn if target.pool is not None else ""
            token = self._tokens.make(request.call_id, request.from_tag, write_side(source), write_side(hop, pool))
        elif request.method not in NOTIFYING:
            return []
        callee = self.router.own.suffix_for(hop)
        caller = self.router.own.suffix_for(source)
        scheme = parse_uri(target.uri or request.uri).scheme  # item 4: sips stays sips
        lines = [f"Record-Route: <{scheme}:{token}@{callee}>"]
        if caller != callee:  # a caller that was not asked for sips may have no way to use it
            scheme = parse_uri(request.uri).scheme
            lines.append(f"Record-Route: <{scheme}:{token}@{caller}>")
        return lines

    def sent_by(self, hop: Flow | Hop) -> str:
        listener = self.router.own.towards(hop)
        return listener.sent_by if listener is not None else self._fqdn

    def _cancel(self, transaction: ServerTransaction, now: float) -> None:
        """§16.10: answered here, then carried to every branch. With nothing to cancel 481: we hold state for every
        INVITE that we forward, so one that we do not know was never ours to forward either."""
        invite = self.layer.find_cancelled(transaction.request)
        if invite is None and self.pass_on is not None and self.pass_on(transaction.request, transaction.flow):
            self.layer.forget_server(transaction)
            return
        if invite is None or not self._may_cancel(transaction, invite, now):
            self.answer(transaction, 481, now)
            return
        context = invite.user
        reasons = transaction.request.lines_of("reason")
        self.answer(transaction, 200, now)
        if invite.method != "INVITE":
            return  # §9.1: what is not an INVITE ends soon by itself
        if isinstance(context, ResponseContext):
            context.cancel(now, tuple(f"Reason: {value}" for value in reasons))
        elif self._stop_waiting(invite):
            self.answer(invite, 487, now)

    def _may_cancel(self, cancel: ServerTransaction, invite: ServerTransaction, now: float) -> bool:
        return self.entrance is None or self.entrance.may_cancel(cancel, invite, now)

    # names

    def _wait_for(self, destination: Destination, transaction: ServerTransaction, now: float) -> None:
        if self._waiting_count >= MAX_WAITING:
            raise Refused(503, "too many requests wait for name resolution", (f"Retry-After: {BUSY_RETRY_AFTER}",))
        self._trying(transaction, now)
        transaction.watch(now)
        self._waiting_count += 1
        self._waiting.setdefault(destination, []).append(transaction)

    def located(self, destination: Destination, now: float) -> None:
        """Whether there are servers at a destination, that requests may wait for, is known now."""
        waiting = self._waiting.pop(destination, [])
        self._waiting_count -= len(waiting)
        for transaction in waiting:
            self._go_on(transaction, now, entering=False)

    @property
    def waiting(self) -> int:
        """How many requests wait for a name."""
        return self._waiting_count

    def _stop_waiting(self, invite: ServerTransaction) -> bool:
        for waiting in self._waiting.values():
            if invite in waiting:
                waiting.remove(invite)
                self._waiting_count -= 1
                return True
        return False

    # answers of our own

    def answer(self, transaction: ServerTransaction, status: int, now: float, headers: tuple[str, ...] = ()) -> None:
        """A response of ours without diagnostics."""
        tag = self.layer.new_tag()
        transaction.respond(response_to(transaction.request, status, to_tag=tag, headers=headers), now)

    def fail(
        self,
        transaction: ServerTransaction,
        failure: Failure,
        details: dict[str, str],
        now: float,
        matched: str = "",
        wait: int = 0,
    ) -> None:
        """Answer with a failure, its diagnostics, and a log line that says why; `wait` is in seconds for a 503."""
        request = transaction.request
        headers = [diagnostics(failure, self._fqdn, **details)]
        if failure.status == 503:
            headers.append(f"Retry-After: {wait or BUSY_RETRY_AFTER}")
        self.meter.failures[failure.id] += 1
        self._log_failure(request, transaction.flow, failure.status, f"{failure.id} {failure.reason}", details, matched)
        self.answer(transaction, failure.status, now, tuple(headers))

    def refuse(self, transaction: ServerTransaction, error: MalformedMessage | Refused, now: float) -> None:
        """Answer a request that breaks a rule."""
        headers = error.headers if isinstance(error, Refused) else ()
        warning = f"Warning: 399 {self._fqdn} {quote(error.reason)}"  # §20.43: for whoever looks at the trace
        self._log_failure(transaction.request, transaction.flow, error.status, error.reason, {}, "")
        self.answer(transaction, error.status, now, (*headers, warning))

    # what people read

    def note_unreachable(self, branch: Branch, reason: str, call_id: str, now: float) -> None:
        if reason == SLOW:
            return
        self.counters["unreachable"] += 1
        hop = branch.hop
        if branch.detoured:
            self._remember_datagram_only(hop, now)
            return
        serves = branch.target.pool or branch.target.member_of
        if serves is not None and isinstance(hop, Hop) and not reason.startswith((OURS, AGED)):
            self.health.failed(hop, reason, now, certain=reason != "timeout", by=branch.told_by)
        if reason == "timeout" and branch.sent and isinstance(hop, Hop) and hop.reliable:
            self.layer.out.append(Redial(hop, branch.sent))  # the connection may be dead rather than the server
        fields = {"hop": str(hop), "reason": reason, "call_id": call_id}
        self.layer.out.append(Log("warning", "next hop failed", fields))

    def dial_instead(self, transaction: ClientTransaction, branch: Branch, reason: str) -> bool:
        """Whether a call was lost with a connection that its server had opened: then the server is dialled before
        anything is held against it. A connection that failed is no way to the server any longer (RFC 5923 §8)."""
        to = transaction.to
        if not isinstance(to, Flow) or to.listener is None or not to.cid or not isinstance(branch.hop, Hop):
            return False
        self.aliases.lost(to.cid)
        return bool(branch.sent) and reason != "timeout"

    def may_challenge(self, branch: Branch, now: float) -> bool:
        """Whether a challenge that came from a branch may go to the caller."""
        return self.entrance is None or self.entrance.may_challenge(branch, now)

    def gave_up_on(self, hop: Flow | Hop) -> bool:
        """Whether a pool's server is known not to answer, so that it is no use to be patient with it."""
        return isinstance(hop, Hop) and self.health.gone(hop)

    def note_busy(self, branch: Branch, response: Response, now: float) -> None:
        """A pool's server has answered 503 (§21.5.4)."""
        if branch.target.pool is not None and isinstance(branch.hop, Hop):
            self.health.failed(branch.hop, "503", now, retry_after(response), by=branch.told_by)

    def _remember_datagram_only(self, hop: Flow | Hop, now: float) -> None:
        if len(self._datagram_only) >= MAX_DATAGRAM_ONLY:
            self._datagram_only = {key: until for key, until in self._datagram_only.items() if until > now}
        if len(self._datagram_only) < MAX_DATAGRAM_ONLY:
            self._datagram_only[hop.host, hop.port] = now + KEEP_DATAGRAM_ONLY

    def _log_forwarded(self, request: Request, route: Route) -> None:
        targets = [f"{target.label} at {target.hops[0]}" for group in route.groups for target in group]
        fields = {**_who(request), "matched": route.matched, "to": ", ".join(targets)}
        self.layer.out.append(Log("info", "forwarded", fields))

    def _log_failure(
        self, request: Request, flow: Flow, status: int, reason: str, details: dict[str, str], matched: str
    ) -> None:
        self.counters[f"answered_{status}"] += 1
        fields = {**_who(request), "source": str(flow), "status": status, "reason": reason, **details}
        if matched:
            fields["matched"] = matched
        self.layer.out.append(Log("warning", "request failed", fields))


def _who(request: Request) -> dict[str, object]:
    return {
        "method": request.method,
        "uri": request.uri,
        "from": (request.first("from") or "").partition(";")[0],
        "call_id": request.call_id,
    }

"""The response context of a proxied request (RFC 3261 §16.6-16.10): its branches and what becomes of them."""

from math import ceil
from typing import TYPE_CHECKING, Final

from sipgw.core.best_response import Outcome, best, collect_challenges
from sipgw.core.branch import Branch
from sipgw.core.failures import (
    NOT_SIGNED_IN,
    NOT_TRUSTED,
    POOL_BUSY,
    SERVERS_DOWN,
    STALE_ROUTE,
)
from sipgw.core.forwarding import Limits
from sipgw.core.health import LONGEST_RETRY
from sipgw.core.probing import retry_after
from sipgw.core.recursion import follow
from sipgw.core.route import Route
from sipgw.events import UNTRUSTED, GiveWay, Hop
from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Request, Response
from sipgw.message.uri import SipUri, parse_uri
from sipgw.message.values import parse_via
from sipgw.transaction.client import ClientTransaction
from sipgw.transaction.server import ServerTransaction

if TYPE_CHECKING:
    from sipgw.core.proxy import Proxy


class ResponseContext:
    """One server transaction, its client transactions, and the choice of the response that goes back."""

    __deletable__ = ("_request",)  # a word to the compiler
    __slots__ = (
        "_began",
        "_branches",
        "_breadth",
        "_cancelled",
        "_final",
        "_groups",
        "_outcomes",
        "_proxy",
        "_request",
        "_seen",
        "_server",
        "identity",
        "limits",
        "loop_mark",
        "route",
    )

    def __init__(self, proxy: "Proxy", server: ServerTransaction, route: Route, limits: Limits, loop_mark: str) -> None:
        self._proxy = proxy
        self._server = server
        self._request: Request = server.request
        self.identity = server.identity
        self.route = route
        self.limits = limits
        self.loop_mark = loop_mark
        self._breadth = limits.breadth
        self._groups = route.groups
        self._branches: dict[ClientTransaction, Branch] = {}
        self._outcomes: list[Outcome] = []
        self._seen: list[SipUri] = []
        self._final = False
        self._cancelled = False
        self._began = 0.0

    def start(self, now: float) -> None:
        """Forward to the first group of targets."""
        self._began = now
        self._server.watch(now)
        self._start_group(now)

    def _start_group(self, now: float) -> None:
        group = self._groups[0]
        if len(group) > self._breadth:  # what a redirection added: as many at once as may be, the others after them
            self._groups[:1] = [group[at : at + self._breadth] for at in range(0, len(group), self._breadth)]
            group = self._groups[0]
        share = self._breadth // len(group)  # RFC 5393 §5.3.3: shared out; what the group before had is free again
        if share != self.limits.breadth:
            self.limits = Limits(self.limits.hops, share)
        for target in group:
            self._try(Branch(self, target), now)

    def _try(self, branch: Branch, now: float) -> None:
        branch.transaction = transaction = self._proxy.forward(self, self._request, self._server.reply_to, branch, now)
        self._branches[transaction] = branch
        if branch.target.pool is not None and transaction.method == "INVITE":
            branch.sent = now
            pair = branch.families()
            if pair and self._proxy.router.servers.of_one_name(branch.target.pool, pair, now):
                branch.stagger(self._proxy.layer, now)

    # §16.7: responses

    def on_response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        status = response.status
        if status < 200:
            self._provisional(transaction, response, now)
            return
        branch = self._branches.pop(transaction, None)
        if branch is not None:
            if branch.timer_c is not None:
                branch.stop()
            if branch.sent:
                self._heard(branch, now)
        if self._proxy.health.troubled and status != 503 and branch is not None and isinstance(branch.hop, Hop):
            self._proxy.health.succeeded(branch.hop, now, branch.told_by)
        if self._is_astray(response):
            self._misdirected(branch, now)
        elif status < 300:
            self._success(transaction, response, now)
        elif branch is not None:
            self._failed_with(branch, response, now)

    def _provisional(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        if self._final or transaction.method != "INVITE":  # RFC 4320 §4.1: to others nothing but our own 100
            return
        branch = self._branches.get(transaction)
        if branch is not None and branch.sent:
            self._heard(branch, now)
        telling = response.status > 100
        if branch is not None and (telling or branch.timer_c is None):
            branch.restart(self._proxy.layer, now)  # item 2
        if telling and not self._is_astray(response):
            self._relay(response, now)  # item 5: at once, 100 excepted

    def _heard(self, branch: Branch, now: float) -> None:
        """The first response of a pool's server."""
        assert branch.target.pool is not None
        self._proxy.meter.responded(branch.target.pool.fqdn, branch.hop, now - branch.sent)
        branch.sent = 0.0

    def _is_astray(self, response: Response) -> bool:
        """Whether a response does not lead back to where its request came from. Nearly all have the Via below ours just
        as it went out."""
        if not self._final and response.shape.vias > 1:
            at, request = response.index["via"], self._request
            if response.lines[at + 1] == request.lines[request.index["via"]] and "," not in response.lines[at]:
                return False
        return is_astray(response, self._server)

    def _misdirected(self, branch: Branch | None, now: float) -> None:
        """A final response that is astray: the next hop has lost the way back, so it has not answered."""
        self._proxy.counters["misdirected"] += 1
        if branch is not None:
            self._settle(Outcome(502), now)

    def _success(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        if self._final and transaction.method != "INVITE":
            return
        self._relay(response, now)  # every 2xx to an INVITE goes back, also after a final response (item 5)
        if not self._final:
            self._finish(response.status, now)
            self._cancel_branches(now, _ELSEWHERE)  # item 10
            if transaction.method == "INVITE" and not self._branches:
                transaction.user = Afterwards(self._proxy, self._server)

    def _failed_with(self, branch: Branch, response: Response, now: float) -> None:
        status = response.status
        if status == 503:
            branch.put_off(retry_after(response))
            self._proxy.note_busy(branch, response, now)
        if self._groups and not branch.rang_out and _moves_on(branch, status):
            self._retry(branch, now)
            return
        if status == 503 and branch.target.pool is not None:
            wait = ceil(min(max(branch.retry_after, 0.0), LONGEST_RETRY))
            outcome = Outcome(503, failure=POOL_BUSY, details=branch.account("503"), retry_after=wait)
        elif status == 430:  # RFC 5626 §11.5: between proxies only
            outcome = Outcome(480, failure=NOT_SIGNED_IN, details=branch.account("430"))
        elif status in (401, 407) and self.identity and not self._proxy.may_challenge(branch, now):
            outcome = Outcome(403)
        else:
            outcome = Outcome(status, response)
        if status >= 600:
            self._groups = []
            self._cancel_branches(now)  # item 5: 6xx ends the search
        elif status < 400 and self._proxy.recurse and self._followed(response, now):
            self._next(now)
            return
        self._settle(outcome, now)

    def _followed(self, response: Response, now: float) -> bool:
        """Item 4: try what a 3xx names. What cannot be tried stays in the response; True when nothing does."""
        if self._final or self._cancelled or not self._groups or not self.route.ours:
            return False
        if not self._seen:
            own = self._request.uri
            self._seen = [
                parse_uri(flow.uri or own)
                for group in self.route.groups
                for target in group
                for flow in (target, *target.others)
            ]
        groups, rest = follow(self._proxy.router, self._request, response, self._server.flow, self._seen, now)
        self._groups[1:1] = groups
        return bool(groups) and not rest

    # §16.8, §16.9: silence and transport errors

    def on_failure(self, transaction: ClientTransaction, reason: str, now: float) -> None:
        branch = self._branches.pop(transaction, None)
        if branch is None:
            return
        branch.stop()
        if self._proxy.dial_instead(transaction, branch, reason):
            self._retry(branch, now)
            return
        branch.put_off(0.0)
        self._proxy.note_unreachable(branch, reason, "" if self._final else self._request.call_id, now)
        if self._groups and not self._cancelled and not branch.rang_out and branch.next_way(reason):
            self._retry(branch, now)
        else:
            self._settle(self._unreachable(branch, reason), now)

    def _unreachable(self, branch: Branch, reason: str) -> Outcome:
        """§16.9 has a transport error count as 503; when it is all there is, the caller is told more precisely."""
        if self._cancelled:
            return Outcome(487)  # §9.1: nobody answered the CANCEL either; it is over all the same
        if branch.rang_out:
            return Outcome(408)
        if branch.target.pool is not None:
            failure = NOT_TRUSTED if UNTRUSTED in reason else SERVERS_DOWN
            return Outcome(failure.status, failure=failure, details=branch.account(reason))
        if reason == "timeout" and not branch.hurried:
            return Outcome(408)
        if not self.route.in_dialog:
            return Outcome(480, failure=NOT_SIGNED_IN, details=branch.account(reason), counts_as=503)
        # whoever is told 481 begins anew, at another server; after 504 such clients go on as if nothing had been
        return Outcome(STALE_ROUTE.status, failure=STALE_ROUTE, details=branch.account(reason))

    def _retry(self, branch: Branch, now: float) -> None:
        if self._final or self._cancelled:
            self._settle(Outcome(487 if self._cancelled else 408), now)
        else:
            self._try(branch, now)

    def _settle(self, outcome: Outcome, now: float) -> None:
        """A branch has ended."""
        self._outcomes.append(outcome)
        self._next(now)

    def _next(self, now: float) -> None:
        """With no branch left the next group is tried, then the best response goes back."""
        if self._branches or self._final:
            return
        self._groups = self._groups[1:]
        if self._groups and not self._cancelled:
            self._start_group(now)
        else:
            self._answer(best(self._outcomes, self._cancelled), now)

    def _answer(self, outcome: Outcome, now: float) -> None:
        if outcome.status == 408 and self._server.method != "INVITE":
            self._server.abandon(now)  # RFC 4320 §4.2: it would come too late, and make things worse
        elif outcome.response is not None and outcome.status == 503:
            self._proxy.answer(self._server, 500, now)  # item 6: a 503 would make the caller shun us, not that user
        elif outcome.response is not None:
            collect_challenges(outcome, self._outcomes)
            self._relay(outcome.response, now)
        elif outcome.failure is not None:
            wait = outcome.retry_after
            self._proxy.fail(self._server, outcome.failure, outcome.details, now, self.route.matched, wait)
        else:
            self._proxy.answer(self._server, outcome.status, now)
        self._finish(outcome.status, now)

    def _relay(self, response: Response, now: float) -> None:
        relay(response, self._server, now)

    def _finish(self, status: int, now: float) -> None:
        if self._server.method == "INVITE" and not self.route.in_dialog:
            self._proxy.meter.ended(self.route, status, now - self._began)
        self._final = True
        self._groups = []
        self._outcomes = []
        del self._request

    # §16.10: CANCEL, and Timer C

    def cancel(self, now: float, reasons: tuple[str, ...] = ()) -> None:
        """The caller has hung up before an answer; `reasons` are the Reason lines that it gave."""
        self._cancelled = True
        self._cancel_branches(now, reasons)

    def _cancel_branches(self, now: float, reasons: tuple[str, ...] = ()) -> None:
        for transaction in self._branches:
            transaction.cancel(now, reasons)

    def give_way(self, output: GiveWay) -> None:
        """An address of a server has not connected soon."""
        self._proxy.layer.out.append(output)

    def rang_out(self, branch: Branch, now: float) -> None:
        """Timer C: nobody has answered for minutes (§16.8)."""
        self._proxy.counters["timer_c"] += 1
        if branch.transaction is not None:
            branch.transaction.cancel(now)


class Afterwards:
    """What is left of a response context when an INVITE has its 2xx and no branch is open: those that still come, from
    a fork further on or sent again, go back as well (§16.7 item 5)."""

    __slots__ = ("_proxy", "_server")

    def __init__(self, proxy: "Proxy", server: ServerTransaction) -> None:
        self._proxy = proxy
        self._server = server

    def on_response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        if is_astray(response, self._server):
            self._proxy.counters["misdirected"] += 1
        else:
            relay(response, self._server, now)

    def on_failure(self, transaction: ClientTransaction, reason: str, now: float) -> None:
        """Nothing waits for an answer."""


def relay(response: Response, server: ServerTransaction, now: float) -> None:
    """Send a response back, without our Via (§16.7 item 3)."""
    response.drop_first("via")
    if server.reply_to.transport != "UDP" and "content-length" not in response.index:
        response.lines.append(f"Content-Length: {len(response.body)}")  # §18.3: a stream needs it
        response.names.append("content-length")
    server.respond(response, now)


_ELSEWHERE: Final = ('Reason: SIP;cause=200;text="Call completed elsewhere"',)  # RFC 3326 §2: it was not missed
_FLOW_FAILED: Final = (430, 408)  # RFC 5626 §7: after any other answer the other flows of the instance are left alone


def _moves_on(branch: Branch, status: int) -> bool:
    """After a failure of its present hop a branch goes on to another server (§16.7 item 6, 503), or to another flow of
    the client, which by RFC 5626 §7 a 503 of the client itself is no reason for."""
    return branch.next_hop("503") if status == 503 else status in _FLOW_FAILED and branch.next_flow(str(status))


def is_astray(response: Response, server: ServerTransaction) -> bool:
    """Whether the Via below ours is not the one of the request (§16.7 item 3, §18.1.2). Without any the response was
    meant for us, and we asked for nothing; with another its receiver would find no transaction for it."""
    vias = response.values("via")
    if len(vias) < 2:
        return True
    try:
        below, key = parse_via(vias[1]), server.key
        branch, place = key[:2] if len(key) == 3 else _of_older(key[-1])
    except MalformedMessage:
        return True
    return below.branch.lower() != branch.lower() or below.place != place


def _of_older(via: str) -> tuple[str, str]:
    """Branch, if there is one, and sent-by of a Via without the magic cookie, which is in the key as a whole."""
    read = parse_via(via)
    return read.branch, read.place

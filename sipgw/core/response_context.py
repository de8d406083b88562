"""The response context of a proxied request (RFC 3261 §16.6-16.10): its branches and what becomes of them."""

from typing import TYPE_CHECKING

from sipgw.core.best_response import Outcome, best, collect_challenges
from sipgw.core.failures import (
    NOT_SIGNED_IN,
    NOT_TRUSTED,
    POOL_BUSY,
    SERVERS_DOWN,
    STALE_ROUTE,
)
from sipgw.core.routing import Route, Target
from sipgw.events import UNTRUSTED, Flow, Hop
from sipgw.message.message import Request, Response
from sipgw.transaction.client import ClientTransaction
from sipgw.transaction.server import ServerTransaction
from sipgw.transaction.timers import Queue

if TYPE_CHECKING:
    from sipgw.core.proxy import Proxy


class ResponseContext:
    """One server transaction, its client transactions, and the choice of the response that goes back."""

    __slots__ = (
        "_branches",
        "_cancelled",
        "_final",
        "_groups",
        "_outcomes",
        "_proxy",
        "_rang_out",
        "_request",
        "_server",
        "_timer_c",
        "hops_left",
        "loop_mark",
        "route",
    )

    def __init__(
        self, proxy: "Proxy", server: ServerTransaction, route: Route, hops_left: int | None, loop_mark: str
    ) -> None:
        self._proxy = proxy
        self._server = server
        self._request: Request = server.request
        self.route = route
        self.hops_left = hops_left
        self.loop_mark = loop_mark
        self._groups = route.groups
        self._branches: dict[ClientTransaction, _Branch] = {}
        self._outcomes: list[Outcome] = []
        self._final = False
        self._cancelled = False
        self._rang_out = False
        self._timer_c: Queue | None = None

    def start(self, now: float) -> None:
        """Forward to the first group of targets."""
        for target in self._groups[0]:
            self._try(_Branch(target), now)

    def _try(self, branch: "_Branch", now: float) -> None:
        transaction = self._proxy.forward(self, self._request, self._server.reply_to, branch.target, branch.hop, now)
        self._branches[transaction] = branch

    # §16.7: responses

    def on_response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        status = response.status
        if status < 200:
            self._provisional(response, now)
            return
        branch = self._branches.pop(transaction, None)
        if status < 300:
            self._success(transaction, response, now)
        elif branch is not None:
            self._failed_with(branch, response, now)

    def _provisional(self, response: Response, now: float) -> None:
        if self._final:
            return
        if response.status > 100:
            self._relay(response, now)  # item 5: at once, 100 excepted
        if self._server.method == "INVITE" and (response.status > 100 or self._timer_c is None):
            self._restart_timer_c(now)  # item 2

    def _success(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        if self._final and transaction.method != "INVITE":
            return
        self._relay(response, now)  # every 2xx to an INVITE goes back, also after a final response (item 5)
        if not self._final:
            self._finish()
            self._cancel_branches(now)  # item 10

    def _failed_with(self, branch: "_Branch", response: Response, now: float) -> None:
        if response.status == 503 and branch.next_hop("503"):
            self._retry(branch, now)
            return
        if response.status == 503 and branch.target.pool is not None:
            outcome = Outcome(503, failure=POOL_BUSY, details=branch.account("503"))
        else:
            outcome = Outcome(response.status, response)
        if response.status >= 600:
            self._groups = []
            self._cancel_branches(now)  # item 5: 6xx ends the search
        self._settle(outcome, now)

    # §16.8, §16.9: silence and transport errors

    def on_failure(self, transaction: ClientTransaction, reason: str, now: float) -> None:
        branch = self._branches.pop(transaction, None)
        if branch is None:
            return
        self._proxy.note_unreachable(branch.hop, reason)
        if not self._cancelled and not self._rang_out and branch.next_hop(reason):
            self._retry(branch, now)
        else:
            self._settle(self._unreachable(branch, reason), now)

    def _unreachable(self, branch: "_Branch", reason: str) -> Outcome:
        """§16.9 would have a transport error count as 503; the gateway is more precise."""
        if branch.target.pool is not None:
            failure = NOT_TRUSTED if UNTRUSTED in reason else SERVERS_DOWN
            return Outcome(failure.status, failure=failure, details=branch.account(reason))
        if reason == "timeout":
            return Outcome(408)
        if not self.route.in_dialog:
            return Outcome(480, failure=NOT_SIGNED_IN, details=branch.account(reason))
        failure = STALE_ROUTE if isinstance(branch.hop, Flow) else SERVERS_DOWN
        return Outcome(failure.status, failure=failure, details=branch.account(reason))

    def _retry(self, branch: "_Branch", now: float) -> None:
        if self._final or self._cancelled:
            self._settle(Outcome(487 if self._cancelled else 408), now)
        else:
            self._try(branch, now)

    def _settle(self, outcome: Outcome, now: float) -> None:
        """A branch has ended. With none left the next group is tried, then the best response goes back."""
        self._outcomes.append(outcome)
        if self._branches or self._final:
            return
        self._groups = self._groups[1:]
        if self._groups and not self._cancelled and outcome.status < 600:
            self.start(now)
        else:
            self._answer(best(self._outcomes), now)

    def _answer(self, outcome: Outcome, now: float) -> None:
        if outcome.response is not None and outcome.status == 503:
            self._proxy.answer(self._server, 500, now)  # item 6: a 503 would make the caller shun us, not that user
        elif outcome.response is not None:
            collect_challenges(outcome, self._outcomes)
            self._relay(outcome.response, now)
        elif outcome.failure is not None:
            self._proxy.fail(self._server, outcome.failure, outcome.details, now, self.route.matched)
        else:
            self._proxy.answer(self._server, outcome.status, now)
        self._finish()

    def _relay(self, response: Response, now: float) -> None:
        if response.names.count("via") == 1 and "," not in response.lines[response.index["via"]]:
            self._proxy.counters["misdirected"] += 1  # it was meant for us, and we asked for nothing
            return
        response.drop_first("via")  # item 3
        self._server.respond(response, now)

    def _finish(self) -> None:
        self._final = True
        self._groups = []
        self._outcomes = []
        del self._request
        self._stop_timer_c()

    # §16.10: CANCEL, and Timer C

    def cancel(self, now: float) -> None:
        """The caller has hung up before an answer."""
        self._cancelled = True
        self._cancel_branches(now)

    def _cancel_branches(self, now: float) -> None:
        for transaction in self._branches:
            transaction.cancel(now)

    def fire(self, kind: str, now: float) -> None:
        """Timer C: nobody has answered for minutes (§16.8)."""
        self._timer_c = None
        self._rang_out = True
        self._proxy.counters["timer_c"] += 1
        self._cancel_branches(now)

    def _restart_timer_c(self, now: float) -> None:
        self._stop_timer_c()
        self._timer_c = self._proxy.layer.timers.start("C", self._proxy.layer.values.c, self, now)

    def _stop_timer_c(self) -> None:
        if self._timer_c is not None:
            self._timer_c.pop(self, None)
            self._timer_c = None


class _Branch:
    """A target with the hop that is being tried, and what became of those before."""

    __slots__ = ("_at", "_tried", "target")

    def __init__(self, target: Target) -> None:
        self.target = target
        self._at = 0
        self._tried: list[str] = []

    @property
    def hop(self) -> Flow | Hop:
        return self.target.hops[self._at]

    def next_hop(self, reason: str) -> bool:
        """Move on after a failure; False when this was the last."""
        if self._at + 1 >= len(self.target.hops):
            return False
        self._tried.append(f"{self.hop} {reason}")
        self._at += 1
        return True

    def account(self, reason: str) -> dict[str, str]:
        """Details for the diagnostics: every server tried and what it came to."""
        return {"detail": f"{self.target.label}: " + ", ".join([*self._tried, f"{self.hop} {reason}"])}

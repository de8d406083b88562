"""One branch of a proxied request (RFC 3261 §16.6): a target, the hop being tried, what became of those before."""

from typing import TYPE_CHECKING

from sipgw.core.health import CALL, DIALOG
from sipgw.core.route import Target
from sipgw.events import SLOW, Flow, GiveWay, Hop
from sipgw.transaction.client import ClientTransaction
from sipgw.transaction.layer import TransactionLayer
from sipgw.transaction.tables import CALLING
from sipgw.transaction.timers import Queue

if TYPE_CHECKING:
    from sipgw.core.response_context import ResponseContext

STAGGER = 0.25  # seconds that one family has to connect before the other is tried as well (RFC 8305 §5)


class Branch:
    """`transaction` is the one under way. `rang_out` tells that Timer C has ended it, `detoured` that TCP is tried
    for a request too large for a datagram (§18.1.1), `hurried` that a server known to be down is given little time.
    `sent` is when a call went to a server of a pool, 0.0 once it has responded. `retry_after` is the shortest time that
    its servers have named with a 503, 0.0 without any, negative once one has failed and named none.
    """

    __slots__ = (
        "_context",
        "_flows",
        "_hops",
        "_slow",
        "_stagger",
        "_tried",
        "detoured",
        "hop",
        "hurried",
        "rang_out",
        "retry_after",
        "sent",
        "target",
        "timer_c",
        "transaction",
    )

    def __init__(self, context: "ResponseContext", target: Target) -> None:
        self._context = context
        self.target = target
        self.hop: Flow | Hop = target.hops[0]
        self._hops = target.hops[1:]
        self._flows = target.others
        self._slow: tuple[Flow | Hop, ...] = ()
        self._stagger: Queue | None = None
        self._tried: list[str] = []
        self.rang_out = self.detoured = self.hurried = False
        self.sent = self.retry_after = 0.0
        self.timer_c: Queue | None = None
        self.transaction: ClientTransaction | None = None

    @property
    def told_by(self) -> str:
        """What kind of request tells how its server is: a new call, or anything else."""
        calls = self.target.pool is not None and self.transaction is not None and self.transaction.method == "INVITE"
        return CALL if calls else DIALOG

    def next_way(self, reason: str) -> bool:
        """Move on after a hop was not reached: to the next one, or the next flow of the client; False without any."""
        return self.next_hop(reason) or self.next_flow(reason)

    def next_hop(self, reason: str) -> bool:
        """Move on to the next hop of the same target; False when this was the last."""
        if not self._hops:
            return False
        self._tried.append(f"{self.hop} {reason}")
        self.detoured = False
        if reason == SLOW:  # it connects meanwhile: its turn comes again when the others have failed
            self._slow = (*self._slow, self.hop)
            self._hops = [*self._hops, self.hop]
        self.hop = self._hops[0]
        self._hops = self._hops[1:]
        return True

    def families(self) -> tuple[Flow | Hop, ...]:
        """This hop and the next, if that is reached by the other family and this one has not given way yet; else ()."""
        following = self._hops[:1]
        if not following or (":" in following[0].host) == (":" in self.hop.host) or self.hop in self._slow:
            return ()
        return (self.hop, following[0])

    def next_flow(self, reason: str) -> bool:
        """Move on to the next flow of the same client instance (RFC 5626 §7); False when there is none."""
        if not self._flows:
            return False
        self._tried.append(f"{self.hop} {reason}")
        self.target, *self._flows = self._flows
        self.hop, *self._hops = self.target.hops
        self.detoured = False
        return True

    def put_off(self, seconds: float) -> None:
        """A server has failed: with a 503 that named `seconds`, or in any other way, 0.0."""
        if self.retry_after >= 0.0:
            self.retry_after = min(self.retry_after or seconds, seconds) if seconds else -1.0

    def detour(self, hop: Hop) -> None:
        """Try another way to the same server first, and the present one if that fails."""
        self._hops = [self.hop, *self._hops]
        self.hop = hop
        self.detoured = True

    def account(self, reason: str) -> dict[str, str]:
        """Details for the diagnostics: every server tried and what it came to."""
        return {"detail": f"{self.target.label}: " + ", ".join([*self._tried, f"{self.hop} {reason}"])}

    # Timer C (§16.6 item 11, §16.8)

    def stagger(self, layer: TransactionLayer, now: float) -> None:
        """Let the next hop be tried as well if the present one does not connect soon."""
        self._stagger = layer.timers.start("stagger", STAGGER, self, now)

    def _give_way(self) -> None:
        self._stagger = None
        transaction = self.transaction
        if transaction is not None and transaction.state == CALLING and isinstance(self.hop, Hop):
            self._context.give_way(GiveWay(self.hop, transaction.key))

    def restart(self, layer: TransactionLayer, now: float) -> None:
        self.stop()
        self.timer_c = layer.timers.start("C", layer.values.c, self, now)

    def stop(self) -> None:
        if self._stagger is not None:
            self._stagger.pop(self, None)
            self._stagger = None
        if self.timer_c is not None:
            self.timer_c.pop(self, None)
            self.timer_c = None

    def fire(self, kind: str, now: float) -> None:
        if kind == "stagger":
            self._give_way()
            return
        self.timer_c = None
        self.rang_out = True
        self._context.rang_out(self, now)

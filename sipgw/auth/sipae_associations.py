"""Security associations of [MS-SIPAE] §3.3.1: who has signed in on which flow, and the keys that each side signs with.

What is kept is bounded: one more for a user displaces the user's own that has been idle longest, one more for the table
the one that has been idle longest of all.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from sipgw.auth.accounts import Account
from sipgw.auth.mechanism import Session
from sipgw.auth.replay import ReplayWindow
from sipgw.events import Flow

FlowKey = int | tuple[str, int]


def flow_key(flow: Flow) -> FlowKey:
    """What a connection or a peer's datagram address is known by."""
    return flow.cid or (flow.host, flow.port)


@dataclass(slots=True, eq=False)
class Association:
    """`user` is the account's SIP URI, `name` what was proved; `proxy` says that the handshake was that of a 407;
    `token` is one that has still to be sent; `signs_responses` that the client has signed one. Times are of the
    engine's clock; `used` is when the client was heard of last, `expires` when what has proved it is good no longer."""

    opaque: str
    scheme: str
    targetname: str
    version: int
    proxy: bool
    account: Account
    name: str
    epid: str
    flow: FlowKey
    session: Session = field(repr=False)
    created: float
    used: float
    token: bytes = field(default=b"", repr=False)
    expires: float = inf
    snum: int = 0
    signs_responses: bool = False
    window: ReplayWindow = field(default_factory=ReplayWindow, repr=False)

    @property
    def user(self) -> str:
        return self.account.uri


@dataclass(frozen=True)
class AssociationLimits:
    """Seconds, and how many. After `lifetime`, or when it expires before, an association is due to be made anew;
    `grace` after that, or `idle` after it was used last, it is gone."""

    lifetime: float
    grace: float
    idle: float
    most: int
    most_per_user: int


class Associations:
    """`counters` gets `sipae_displaced` for what a bound has cost. `tell` is called for each flow that comes to have
    associations, with True, or has none any more."""

    def __init__(self, limits: AssociationLimits, counters: Counter[str]) -> None:
        self._limits = limits
        self._counters = counters
        self._known: OrderedDict[str, Association] = OrderedDict()  # the one idle longest is first
        self._by_flow: dict[FlowKey, list[Association]] = {}
        self._by_user: dict[str, list[Association]] = {}
        self.tell: Callable[[FlowKey, bool], None] | None = None

    def take_over(self, other: "Associations") -> None:
        """Go on with what another has, within our own limits."""
        self._known, self._by_flow, self._by_user = other._known, other._by_flow, other._by_user

    def add(self, association: Association, now: float) -> None:
        """In place of the one that this endpoint had on the flow."""
        for old in self._by_flow.get(association.flow, [])[:]:
            if (old.user, old.epid) == (association.user, association.epid):
                self._drop(old)
        self._drop_gone(now)
        own = self._by_user.get(association.user, [])
        if len(own) >= self._limits.most_per_user:
            self._displace(min(own, key=lambda old: old.used))
        while len(self._known) >= self._limits.most:
            self._displace(next(iter(self._known.values())))
        self._known[association.opaque] = association
        if self.tell is not None and association.flow not in self._by_flow:
            self.tell(association.flow, True)
        self._by_flow.setdefault(association.flow, []).append(association)
        self._by_user.setdefault(association.user, []).append(association)

    def find(self, opaque: str, now: float) -> Association | None:
        """None for one that is not known or gone."""
        association = self._known.get(opaque)
        if association is not None and self._is_gone(association, now):
            self._drop(association)
            return None
        return association

    def use(self, association: Association, now: float) -> None:
        """The client was heard of."""
        association.used = now
        self._known.move_to_end(association.opaque)

    def is_due(self, association: Association, now: float) -> bool:
        """Whether the client should sign in anew."""
        return now >= self._end(association)

    def of_flow(self, flow: Flow) -> Sequence[Association]:
        """Those of one flow, the newest last."""
        return self._by_flow.get(flow_key(flow), ())

    def drop(self, association: Association) -> None:
        """It proves nothing any more."""
        self._drop(association)

    def drop_flow(self, flow: Flow) -> None:
        for association in self._by_flow.get(flow_key(flow), [])[:]:
            self._drop(association)

    def _is_gone(self, association: Association, now: float) -> bool:
        limits = self._limits
        return now >= association.used + limits.idle or now >= self._end(association) + limits.grace

    def _end(self, association: Association) -> float:
        return min(association.created + self._limits.lifetime, association.expires)

    def _drop_gone(self, now: float) -> None:
        """Those idle too long, which are the first; the others are found out when they are looked for."""
        while self._known and self._is_gone(first := next(iter(self._known.values())), now):
            self._drop(first)

    def _displace(self, association: Association) -> None:
        self._drop(association)
        self._counters["sipae_displaced"] += 1

    def _drop(self, association: Association) -> None:
        del self._known[association.opaque]
        _remove(self._by_flow, association.flow, association)
        if self.tell is not None and association.flow not in self._by_flow:
            self.tell(association.flow, False)
        _remove(self._by_user, association.user, association)

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, opaque: str) -> bool:
        return opaque in self._known


def _remove(table: dict[Any, list[Association]], key: Any, association: Association) -> None:
    table[key].remove(association)
    if not table[key]:
        del table[key]

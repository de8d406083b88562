"""Who is let in: rates per source and per user, bans for floods, and nothing new while the gateway cannot keep up.

New requests, those outside our dialogs, are refused first: what goes on inside a dialog, and above all ACK, BYE and
CANCEL, helps calls to their end. A refusal costs next to nothing and leaves no state behind.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from sipgw.core.routing import Router
from sipgw.core.trust import Network, is_trusted, is_within
from sipgw.events import Flow, Log
from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Request

MAX_TRACKED = 50_000  # sources, and users, whose rate is known; one more displaces the one heard of longest ago
MAX_BANNED = 10_000  # sources; beyond it nobody else is banned, only slowed
PATIENCE = 10.0  # seconds' worth of refusals after which a source is banned; they are forgiven at the rate itself
IN_DIALOGS = 2.0  # times the rate that a source has for what is new: what belongs to calls has a rate of its own
EXEMPT = frozenset({"ACK", "BYE", "CANCEL"})


@dataclass(frozen=True)
class Rates:
    """Requests per second, 0 for no limit, and how many seconds a ban lasts."""

    per_source: float = 0.0
    per_user: float = 0.0
    ban: float = 60.0


class _Buckets:
    """Token buckets that hold `depth` and gain `rate` a second. What is refused takes nothing."""

    def __init__(self, rate: float, depth: float) -> None:
        self._rate = rate
        self._depth = depth
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, now: float) -> bool:
        """Take one, if there is one."""
        level, at = self._levels.pop(key, (self._depth, now))
        level = min(self._depth, level + (now - at) * self._rate)
        there = level >= 1.0
        self._levels[key] = level - 1.0 if there else level, now
        if len(self._levels) > MAX_TRACKED:
            self._levels.popitem(last=False)
        return there


class Admission:
    """`overloaded` is set from outside, by whoever sees the queues. Peers in `trusted` networks, or whose certificates
    prove one of `trusted_names`, are not weighed, nor are the pools' servers that `router` knows: what they send is
    called for by the users, all of them together. With `proved` set, users are weighed by `user_may` alone, when it is
    known who they are: else anybody could use up what is another's. `tell` takes log lines."""

    def __init__(
        self,
        rates: Rates,
        trusted: tuple[Network, ...],
        counters: Counter[str],
        trusted_names: frozenset[str] = frozenset(),
        router: Router | None = None,
    ) -> None:
        self.overloaded = self.closing = self.proved = False
        self.counters = counters
        self._rates = rates
        self._trusted = trusted
        self._trusted_names = trusted_names
        self._router = router
        self._sources = _Buckets(rates.per_source, rates.per_source)
        self._in_dialogs = _Buckets(rates.per_source * IN_DIALOGS, rates.per_source * IN_DIALOGS)
        self._patience = _Buckets(rates.per_source, rates.per_source * PATIENCE)
        self._users = _Buckets(rates.per_user, rates.per_user)
        self.banned: dict[str, float] = {}
        self.tell: Callable[[Log], None] | None = None

    def take_over(self, other: "Admission") -> None:
        """Keep bans over a change of configuration; rates begin anew."""
        self.banned = other.banned
        self.overloaded, self.closing = other.overloaded, other.closing

    def admits(self, request: Request, flow: Flow, now: float) -> bool:
        """Whether a request that no transaction knows may get one."""
        new = is_new(request)
        if new and self.shut:
            self.note_shut()
            return False
        rates = self._rates
        if not (rates.per_source or rates.per_user) or is_trusted(flow, self._trusted, self._trusted_names):
            return True
        if flow.listener is None and self._is_pools(flow, now):  # a connection that we have dialled
            return True
        if not self._source_may(request, flow, new, now):
            return False
        return self.proved or not new or self.user_may(_sender(request), now, flow)

    @property
    def shut(self) -> bool:
        """Whether nothing new is taken."""
        return self.overloaded or self.closing

    def note_shut(self) -> None:
        """Count what was turned down for that."""
        self.counters["refused_closing" if self.closing else "refused_overloaded"] += 1

    def _source_may(self, request: Request, flow: Flow, new: bool, now: float) -> bool:
        """What is new has the rate, and what belongs to dialogs twice that, each without touching the other."""
        rate, source = self._rates.per_source, _source_of(flow)
        if not rate or (self._sources if new else self._in_dialogs).take(source, now) or request.method in EXEMPT:
            return True
        if self._is_pools(flow, now) or self._is_of_pools_dialog(request, flow):
            return True  # by datagram anybody may have used up what others at its address have, too
        self.counters["refused_source"] += 1
        if self._rates.ban and not self._patience.take(source, now) and not self._bans(source, now):
            self._ban(source, now)
        return False

    def _is_pools(self, flow: Flow, now: float) -> bool:
        return self._router is not None and self._router.is_pools(flow, now)

    def _is_of_pools_dialog(self, request: Request, flow: Flow) -> bool:
        """A pool's server that had to dial us anew proves its calls by their tokens."""
        try:
            return self._router is not None and self._router.is_of_dialog(request, flow)
        except MalformedMessage:
            return False

    def _ban(self, source: str, now: float) -> None:
        if len(self.banned) >= MAX_BANNED:
            self.banned = {known: until for known, until in self.banned.items() if until > now}
        if len(self.banned) >= MAX_BANNED:
            self.counters["bans_not_kept"] += 1
            return
        self.banned[source] = now + self._rates.ban
        self.counters["banned"] += 1
        if self.tell is not None:
            reason = f"went on far beyond {self._rates.per_source:g} requests a second"
            fields: dict[str, object] = {"source": source, "reason": reason, "seconds": self._rates.ban}
            self.tell(Log("warning", "source banned", fields))

    def user_may(self, uri: str, now: float, flow: Flow | None = None) -> bool:
        """Whether a user may send one more request outside dialogs; what comes by `flow` may be a server's."""
        if not self._rates.per_user or self._users.take(uri, now) or (flow is not None and self._is_pools(flow, now)):
            return True
        self.counters["refused_user"] += 1
        return False

    def is_banned(self, flow: Flow, now: float) -> bool:
        """Whether nothing of this source is looked at for now."""
        if not self._bans(_source_of(flow), now) or self._is_server(flow, now):
            return False
        self.counters["dropped_banned"] += 1
        return True

    def welcomes(self, host: str, now: float) -> bool:
        """Whether a connection from a host may be taken: not while it is banned, unless servers are there, which may
        have to prove themselves over it."""
        if not self._bans(host, now) or is_within(host, self._trusted):
            return True
        if self._router is not None and self._router.is_host_of_pool(host, now):
            return True
        self.counters["connections_refused_banned"] += 1
        return False

    def _bans(self, source: str, now: float) -> bool:
        until = self.banned.get(source)
        if until is not None and until <= now:
            del self.banned[source]
            return False
        return until is not None

    def _is_server(self, flow: Flow, now: float) -> bool:
        return is_trusted(flow, self._trusted, self._trusted_names) or self._is_pools(flow, now)

    def bans(self, now: float) -> list[tuple[str, float]]:
        """Sources that are not heard, and for how many seconds more."""
        return [(source, until - now) for source, until in self.banned.items() if until > now]


def is_new(request: Request) -> bool:
    """Whether a request begins something. A To tag alone is no dialog: what is inside one of ours has our Route, with a
    token that routing looks at."""
    if request.method in EXEMPT:
        return False
    index, lines = request.index, request.lines
    return "tag=" not in lines[index["to"]] or "route" not in index or "@" not in lines[index["route"]]


def _source_of(flow: Flow) -> str:
    """A host is two sources: a connection proves whose it is, a datagram may be anybody's."""
    return flow.host if flow.cid else f"udp {flow.host}"


def _sender(request: Request) -> str:
    """The URI of From as a key; parameters and display name aside."""
    text = request.lines[request.index["from"]].lower()
    return text[text.find("sip") :].partition(">")[0].partition(";")[0]

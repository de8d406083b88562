"""Who is let in: rates per source and per user, bans for floods, and nothing new while the gateway cannot keep up.

New requests, those outside our dialogs, are refused first: what goes on inside a dialog, and above all ACK, BYE and
CANCEL, helps calls to their end. A refusal costs next to nothing and leaves no state behind.
"""

from collections import Counter, OrderedDict
from dataclasses import dataclass

from sipgw.core.routing import Network, is_trusted
from sipgw.events import Flow
from sipgw.message.message import Request

MAX_TRACKED = 50_000  # sources, and users, whose rate is known; one more displaces the one heard of longest ago
MAX_BANNED = 10_000  # sources; beyond it nobody else is banned, only slowed
PATIENCE = 10.0  # seconds' worth of refusals after which a source is banned; they are forgiven at the rate itself
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

    def take(self, key: str, now: float, floor: float = 0.0) -> bool:
        """Take one, unless that would bring the level below `floor`."""
        level, at = self._levels.pop(key, (self._depth, now))
        level = min(self._depth, level + (now - at) * self._rate)
        there = level - 1.0 >= floor
        self._levels[key] = level - 1.0 if there else level, now
        if len(self._levels) > MAX_TRACKED:
            self._levels.popitem(last=False)
        return there


class Admission:
    """`overloaded` is set from outside, by whoever sees the queues. Peers in `trusted` networks, or whose certificates
    prove one of `trusted_names`, are not weighed. With `proved` set, users are weighed by `user_may` alone, when it is
    known who they are: else anybody could use up what is another's."""

    def __init__(
        self,
        rates: Rates,
        trusted: tuple[Network, ...],
        counters: Counter[str],
        trusted_names: frozenset[str] = frozenset(),
    ) -> None:
        self.overloaded = self.closing = self.proved = False
        self.counters = counters
        self._rates = rates
        self._trusted = trusted
        self._trusted_names = trusted_names
        self._sources = _Buckets(rates.per_source, rates.per_source)
        self._patience = _Buckets(rates.per_source, rates.per_source * PATIENCE)
        self._users = _Buckets(rates.per_user, rates.per_user)
        self.banned: dict[str, float] = {}

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
        if not self._source_may(request, _source_of(flow), new, now):
            return False
        return self.proved or not new or self.user_may(_sender(request), now)

    @property
    def shut(self) -> bool:
        """Whether nothing new is taken."""
        return self.overloaded or self.closing

    def note_shut(self) -> None:
        """Count what was turned down for that."""
        self.counters["refused_closing" if self.closing else "refused_overloaded"] += 1

    def _source_may(self, request: Request, source: str, new: bool, now: float) -> bool:
        """All that a source sends counts. What is new is refused over the rate, the rest at twice the rate."""
        rate = self._rates.per_source
        if not rate or self._sources.take(source, now, 0.0 if new else -rate) or request.method in EXEMPT:
            return True
        self.counters["refused_source"] += 1
        if self._rates.ban and not self._patience.take(source, now) and len(self.banned) < MAX_BANNED:
            self.banned[source] = now + self._rates.ban
            self.counters["banned"] += 1
        return False

    def user_may(self, uri: str, now: float) -> bool:
        """Whether a user may send one more request outside dialogs."""
        if not self._rates.per_user or self._users.take(uri, now):
            return True
        self.counters["refused_user"] += 1
        return False

    def is_banned(self, flow: Flow, now: float) -> bool:
        """Whether nothing of this source is looked at for now."""
        source = _source_of(flow)
        until = self.banned.get(source)
        if until is None:
            return False
        if until > now:
            self.counters["dropped_banned"] += 1
            return True
        del self.banned[source]
        return False


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

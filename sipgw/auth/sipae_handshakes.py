"""Handshakes under way: begun by anybody, so bounded in age, in number, and for each source."""

from collections import Counter, OrderedDict
from dataclasses import dataclass, field

from sipgw.auth.mechanism import Handshake
from sipgw.auth.sipae_associations import flow_key
from sipgw.auth.source import source_of
from sipgw.events import Flow


@dataclass(frozen=True)
class HandshakeLimits:
    """`age` in seconds; a source is an address or IPv6 network, behind which there may be an office."""

    age: float = 60.0
    most: int = 4096
    most_per_source: int = 256


@dataclass(slots=True, frozen=True)
class _Pending:
    handshake: Handshake = field(repr=False)
    scheme: str
    flow: object
    source: str
    begun: float


class Handshakes:
    """One more for a source displaces its own oldest, one more for the table the oldest of all; `counters` gets
    `sipae_handshakes_displaced`."""

    def __init__(self, limits: HandshakeLimits, counters: Counter[str]) -> None:
        self._limits = limits
        self._counters = counters
        self._pending: OrderedDict[str, _Pending] = OrderedDict()  # the oldest first, as are those of a source
        self._by_source: dict[str, dict[str, None]] = {}

    def take_over(self, other: "Handshakes") -> None:
        """Go on with what another has, within our own limits."""
        self._pending, self._by_source = other._pending, other._by_source

    def put(self, opaque: str, handshake: Handshake, scheme: str, flow: Flow, now: float) -> None:
        """Wait for the peer's next token, which has to come on the same flow."""
        self._drop_old(now)
        source = source_of(flow.host)
        own = self._by_source.get(source, {})
        if len(own) >= self._limits.most_per_source:
            self._displace(next(iter(own)))
        while len(self._pending) >= self._limits.most:
            self._displace(next(iter(self._pending)))
        self._pending[opaque] = _Pending(handshake, scheme, flow_key(flow), source, now)
        self._by_source.setdefault(source, {})[opaque] = None

    def take(self, opaque: str, scheme: str, flow: Flow, now: float) -> Handshake | None:
        """The handshake that a token is for, which is waited for no longer: each challenge is good for one try."""
        self._drop_old(now)
        pending = self._pending.get(opaque)
        if pending is None or (pending.scheme, pending.flow) != (scheme, flow_key(flow)):
            return None
        self._drop(opaque)
        return pending.handshake

    def _drop_old(self, now: float) -> None:
        while self._pending:
            opaque, pending = next(iter(self._pending.items()))
            if now - pending.begun < self._limits.age:
                return
            self._drop(opaque)

    def _displace(self, opaque: str) -> None:
        self._drop(opaque)
        self._counters["sipae_handshakes_displaced"] += 1

    def _drop(self, opaque: str) -> None:
        source = self._pending.pop(opaque).source
        own = self._by_source[source]
        del own[opaque]
        if not own:
            del self._by_source[source]

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, opaque: str) -> bool:
        return opaque in self._pending

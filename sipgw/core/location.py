"""The location service (RFC 3261 §10): bindings of addresses-of-record, in memory, with their expiry."""

import heapq
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from hashlib import sha1
from typing import Any

from sipgw.events import Flow

# Columns of a stored binding; times are seconds of the engine's clock.
ROW = (
    "aor",
    "contact",
    "instance",
    "reg_id",
    "epid",
    "q",
    "expires_at",
    "call_id",
    "cseq",
    "path",
    "received",
    "user_agent",
)
_SLACK = 64
MAX_REMEMBERED = 10_000  # users without a binding who are told apart from users nobody knows; the oldest is forgotten


class Binding:
    """One contact of an AOR. `flow` is the connection it registered over while that lives, else None.

    `contact` is the URI's text, `instance` the +sip.instance value without quotes, "" when there is none.
    """

    __slots__ = ("flow", "void", *ROW)

    aor: str
    contact: str
    instance: str
    reg_id: int
    epid: str
    q: float
    expires_at: float
    call_id: str
    cseq: int
    path: str
    received: str
    user_agent: str

    def __init__(self, row: Iterable[Any], flow: Flow | None = None) -> None:
        (
            self.aor,
            self.contact,
            self.instance,
            self.reg_id,
            self.epid,
            self.q,
            self.expires_at,
            self.call_id,
            self.cseq,
            self.path,
            self.received,
            self.user_agent,
        ) = row
        self.flow = flow
        self.void = False  # taken back because the store failed: nothing may bring it back

    def row(self) -> tuple[Any, ...]:
        return tuple(getattr(self, column) for column in ROW)

    @property
    def identity(self) -> str:
        """What makes an endpoint the same endpoint: its instance, else its endpoint id, else nothing."""
        return self.instance or self.epid


def gruu_of(aor: str, identity: str) -> str:
    """The GRUU of an endpoint: always the same for the same AOR and instance, so it survives restarts unstored."""
    digest = urlsafe_b64encode(sha1(f"{aor}\n{identity}".encode("latin-1", "replace")).digest()).decode().rstrip("=")
    return f"sip:{aor};opaque=user:epid:{digest};gruu"


class LocationService:
    """Bindings by AOR. The caller tells the time; whoever changes bindings takes care of making the change durable."""

    def __init__(self, max_bindings: int = 1_000_000) -> None:
        self._bindings: dict[str, list[Binding]] = {}
        self._expiry: list[tuple[float, int, Binding]] = []
        self._serial = 0
        self._by_cid: dict[int, list[Binding]] = {}
        self._known: OrderedDict[str, None] = OrderedDict()
        self._max = max_bindings
        self.count = 0

    def bindings(self, aor: str, now: float) -> list[Binding]:
        """Live bindings, best q first, the most recent first among equals."""
        found = [binding for binding in self._bindings.get(aor, ()) if binding.expires_at > now]
        if len(found) > 1:
            found.sort(key=lambda binding: (-binding.q, -binding.expires_at))
        return found

    def known(self, aor: str) -> bool:
        """Whether this user is, or was lately, signed in."""
        return aor in self._bindings or aor in self._known

    @property
    def full(self) -> bool:
        return self.count >= self._max

    def add(self, binding: Binding) -> None:
        self._bindings.setdefault(binding.aor, []).append(binding)
        self._known.pop(binding.aor, None)
        self.count += 1
        self._serial += 1
        if len(self._expiry) > 2 * self.count + _SLACK:
            self._forget_refreshed()
        heapq.heappush(self._expiry, (binding.expires_at, self._serial, binding))
        if binding.flow is not None:
            self._by_cid.setdefault(binding.flow.cid, []).append(binding)

    def _forget_refreshed(self) -> None:
        """Each refresh leaves the entry of the binding that it replaced: drop those when they are the greater part."""
        self._expiry = [entry for entry in self._expiry if entry[2].expires_at]
        heapq.heapify(self._expiry)

    def remove(self, binding: Binding) -> None:
        held = self._bindings.get(binding.aor, [])
        if binding not in held:
            return
        held.remove(binding)
        self.count -= 1
        binding.expires_at = 0.0
        if not held:
            del self._bindings[binding.aor]
            self._remember(binding.aor)
        if binding.flow is not None:
            self._unlink(binding.flow.cid, binding)

    def _remember(self, aor: str) -> None:
        self._known[aor] = None
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)

    def _unlink(self, cid: int, binding: Binding) -> None:
        linked = self._by_cid.get(cid, [])
        if binding in linked:
            linked.remove(binding)
        if not linked:
            self._by_cid.pop(cid, None)

    def connection_lost(self, cid: int) -> None:
        """A client's connection is gone. Its bindings stay until they expire: it may come back (RFC 5626 §5.3)."""
        for binding in self._by_cid.pop(cid, ()):
            binding.flow = None

    def by_gruu(self, aor: str, opaque: str, now: float) -> Binding | None:
        """The endpoint that a GRUU's opaque parameter names."""
        for binding in self.bindings(aor, now):
            if binding.identity and f"opaque={opaque};" in gruu_of(aor, binding.identity):
                return binding
        return None

    def expire(self, now: float) -> list[Binding]:
        """Remove and return what has run out."""
        gone: list[Binding] = []
        while self._expiry and self._expiry[0][0] <= now:
            _, serial, binding = heapq.heappop(self._expiry)
            if binding.expires_at > now:
                heapq.heappush(self._expiry, (binding.expires_at, serial, binding))
            elif binding.expires_at:
                self.remove(binding)
                gone.append(binding)
        return gone

    def next_expiry(self) -> float | None:
        return self._expiry[0][0] if self._expiry else None

    def __iter__(self) -> Iterator[Binding]:
        return (binding for held in self._bindings.values() for binding in held)

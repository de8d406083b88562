"""The location service (RFC 3261 §10): bindings of addresses-of-record, in memory, with their expiry."""

import heapq
import sys
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sipgw.core.gruu import TemporaryGruus, is_temporary, names
from sipgw.events import Flow
from sipgw.message.uri import SipUri

# Columns of a stored binding; times are seconds of the engine's clock. KEY tells one from another.
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
    "since",
)
KEY = ("aor", "contact", "instance", "reg_id")
_SLACK = 64
MAX_REMEMBERED = 10_000  # users without a binding who are told apart from users nobody knows; the oldest is forgotten


class Subscription(NamedTuple):
    """What a Lync client's REGISTER subscribes it to ([MS-SIPREGE]): being told of its deregistration.

    `local_tag` is ours, of the 200; `best_effort` asks for BENOTIFY, which is not answered.
    """

    local_tag: str
    remote_tag: str
    best_effort: bool


class Binding:
    """One contact of an AOR. `flow` is the connection it registered over while that lives, else None.

    `contact` is the URI's text, `instance` the +sip.instance value without quotes and brackets, "" when there is none.
    `reg_id` is 0 unless this is a flow of RFC 5626. `path` holds the values of Path, joined by commas. `since` is the
    CSeq with which the registration under this Call-ID began. `subscription` lives no longer than the connection.
    """

    __slots__ = ("flow", "handle", "subscription", "void", *ROW)

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
    since: int

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
            user_agent,
            self.since,
        ) = row
        self.user_agent = sys.intern(user_agent)  # few clients, many users
        if self.q == 1.0:
            self.q = 1.0  # that of all others, too
        self.flow = flow
        self.handle = b""  # of its temporary GRUUs, once it is in the location service
        self.subscription: Subscription | None = None
        self.void = False  # taken back because the store failed: nothing may bring it back

    def __lt__(self, other: "Binding") -> bool:
        return False  # of those that expire at the same time none is first

    def row(self) -> tuple[Any, ...]:
        return tuple(getattr(self, column) for column in ROW)

    @property
    def key(self) -> tuple[str, str, str, int]:
        return (self.aor, self.contact, self.instance, self.reg_id)

    @property
    def source(self) -> tuple[str, str, int]:
        """Transport in upper case, address and port that the REGISTER came from."""
        transport, _, address = self.received.partition(":")
        host, _, port = address.rpartition(":")
        return transport.upper(), host.strip("[]"), int(port)

    @property
    def identity(self) -> str:
        """What makes an endpoint the same endpoint: its instance, else its endpoint id, else nothing."""
        return self.instance or self.epid


class LocationService:
    """Bindings by AOR. The caller tells the time; whoever changes bindings takes care of making the change durable.

    `secret` is the key of temporary GRUUs.
    """

    def __init__(self, max_bindings: int = 1_000_000, secret: bytes = b"") -> None:
        self._bindings: dict[str, tuple[Binding, ...]] = {}
        self._expiry: list[tuple[float, Binding]] = []
        self._by_cid: dict[int, list[Binding]] = {}
        self._by_handle: dict[bytes, Binding] = {}  # the first of each
        self._temporary = TemporaryGruus(secret)
        self._known: OrderedDict[str, None] = OrderedDict()
        self.max_bindings = max_bindings
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

    def has_room(self, more: int) -> bool:
        """Whether so many more bindings may be added."""
        return more <= 0 or self.count + more <= self.max_bindings

    def add(self, binding: Binding) -> None:
        held = self._bindings.get(binding.aor)
        self._bindings[binding.aor] = (binding,) if held is None else (*held, binding)
        self._known.pop(binding.aor, None)
        self.count += 1
        if len(self._expiry) > 2 * self.count + _SLACK:
            self._forget_refreshed()
        heapq.heappush(self._expiry, (binding.expires_at, binding))
        if binding.flow is not None:
            self._by_cid.setdefault(binding.flow.cid, []).append(binding)
        if binding.instance:
            binding.handle = self._temporary.handle(binding.aor, binding.instance, binding.call_id, binding.since)
            self._by_handle.setdefault(binding.handle, binding)

    def _forget_refreshed(self) -> None:
        """Each refresh leaves the entry of the binding that it replaced: drop those when they are the greater part."""
        self._expiry = [entry for entry in self._expiry if entry[1].expires_at]
        heapq.heapify(self._expiry)

    def remove(self, binding: Binding) -> None:
        held = self._bindings.get(binding.aor, ())
        if binding not in held:
            return
        rest = tuple(one for one in held if one is not binding)
        self.count -= 1
        binding.expires_at = 0.0
        if rest:
            self._bindings[binding.aor] = rest
        else:
            del self._bindings[binding.aor]
            self._remember(binding.aor)
        if binding.flow is not None:
            _unlink(self._by_cid, binding.flow.cid, binding)
        if binding.handle and self._by_handle.get(binding.handle) is binding:
            del self._by_handle[binding.handle]
            for one in rest:
                if one.handle == binding.handle:
                    self._by_handle.setdefault(one.handle, one)

    def _remember(self, aor: str) -> None:
        self._known[aor] = None
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)

    def connection_lost(self, cid: int) -> None:
        """A client's connection is gone. Its bindings stay until they expire: it may come back (RFC 5626 §5.3)."""
        for binding in self._by_cid.pop(cid, ()):
            binding.flow = None

    def by_gruu(self, uri: SipUri, now: float) -> list[Binding]:
        """The endpoint that a GRUU names, the best binding first: several are flows of it (RFC 5626).

        Without reg-id there is one: where the endpoint was last heard of.
        """
        if is_temporary(uri):
            like = self._by_handle.get(self._temporary.read(uri) or b"")
            held = self.bindings(like.aor, now) if like is not None else []
            found = [one for one in held if like is not None and one.instance == like.instance]
        else:
            found = [one for one in self.bindings(uri.aor, now) if names(uri, one.aor, one.instance, one.identity)]
        flows = [binding for binding in found if binding.reg_id]
        return flows or ([max(reversed(found), key=lambda binding: binding.expires_at)] if found else [])

    def temporary_gruu(self, binding: Binding, nonce: str) -> str:
        """A new temporary GRUU for a binding that has an instance; `nonce` is 12 hex digits, never used before."""
        return self._temporary.make(binding.handle, nonce, binding.aor.rpartition("@")[2])

    def expire(self, now: float) -> list[Binding]:
        """Remove and return what has run out."""
        gone: list[Binding] = []
        while self._expiry and self._expiry[0][0] <= now:
            _, binding = heapq.heappop(self._expiry)
            if binding.expires_at > now:
                heapq.heappush(self._expiry, (binding.expires_at, binding))
            elif binding.expires_at:
                self.remove(binding)
                gone.append(binding)
        return gone

    def next_expiry(self) -> float | None:
        return self._expiry[0][0] if self._expiry else None

    def __iter__(self) -> Iterator[Binding]:
        return (binding for held in self._bindings.values() for binding in held)


def _unlink(index: dict[int, list[Binding]], key: int, binding: Binding) -> None:
    linked = index.get(key, [])
    if binding in linked:
        linked.remove(binding)
    if not linked:
        index.pop(key, None)

"""The registrar (RFC 3261 §10.3): reads a REGISTER, decides on the bindings, changes the location service.

Everything is checked before anything changes, so a request is carried out whole or not at all.
"""

from dataclasses import dataclass, field

from sipgw.core.location import Binding, LocationService
from sipgw.events import Flow
from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Request
from sipgw.message.uri import equivalent, parse_uri
from sipgw.message.values import NameAddr, parse_name_addr, unquote

MAX_CONTACTS = 16  # in one REGISTER
_RENEGOTIATE_BELOW = 3600  # §10.3 step 7: only an interval under an hour may be refused as too brief


@dataclass(frozen=True)
class RegistrarSettings:
    """Seconds, and how many endpoints one user may have signed in (the oldest gives way)."""

    default_expires: int = 600
    min_expires: int = 300
    max_expires: int = 900
    max_bindings_per_user: int = 8


class RegisterError(Exception):
    """A REGISTER that is refused: `status` and whole header lines for the answer."""

    def __init__(self, status: int, reason: str, headers: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers


@dataclass(slots=True)
class Change:
    """What a REGISTER does: bindings to remove, bindings to add, and of the added the wholly new ones."""

    aor: str
    removed: list[Binding] = field(default_factory=list)
    added: list[Binding] = field(default_factory=list)
    fresh: list[Binding] = field(default_factory=list)
    displaced: list[Binding] = field(default_factory=list)


@dataclass(slots=True)
class _Wish:
    """One Contact of a REGISTER with its interval."""

    contact: NameAddr
    expires: int


class Registrar:
    def __init__(self, location: LocationService, settings: RegistrarSettings) -> None:
        self._location = location
        self._settings = settings

    def plan(self, request: Request, aor: str, flow: Flow, now: float) -> Change:
        """Decide what a REGISTER for `aor` changes, changing nothing. Raises RegisterError or MalformedMessage."""
        contacts = request.values("contact")
        change = Change(aor)
        current = self._location.bindings(aor, now)
        if "*" in contacts:
            self._remove_all(request, contacts, current, change)
            return change
        if len(contacts) > MAX_CONTACTS:
            raise RegisterError(400, f"more than {MAX_CONTACTS} contacts in one REGISTER")
        for wish in [self._wish(request, text) for text in contacts]:
            self._plan_contact(request, wish, flow, current, change, now)
        self._make_room(current, change)
        if len(change.added) > len(change.removed) and self._location.full:
            raise RegisterError(503, "the location service is full", ("Retry-After: 60",))
        return change

    def apply(self, change: Change) -> None:
        for binding in change.removed:
            self._location.remove(binding)
        for binding in change.added:
            self._location.add(binding)

    def undo(self, change: Change, expiries: list[float]) -> None:
        """Take back an applied change that could not be made durable; `expiries` are the removed ones' own times."""
        for binding in change.added:
            binding.void = True
            self._location.remove(binding)
        for binding, expires_at in zip(change.removed, expiries, strict=True):
            if binding.void:
                continue
            binding.expires_at = expires_at
            self._location.add(binding)

    def _remove_all(self, request: Request, contacts: list[str], current: list[Binding], change: Change) -> None:
        if len(contacts) > 1 or self._seconds(request.first("expires")) != 0:
            raise RegisterError(400, "Contact: * goes alone and with Expires: 0")  # §10.3 step 6
        for binding in current:
            self._check_order(request, binding)
            change.removed.append(binding)

    def _wish(self, request: Request, text: str) -> _Wish:
        contact = parse_name_addr(text)
        parse_uri(contact.uri)
        expires = self._seconds(contact.params.get("expires"))
        if expires is None:
            expires = self._seconds(request.first("expires"))
        if expires is None:
            expires = self._settings.default_expires
        minimum = self._settings.min_expires
        if 0 < expires < minimum and expires < _RENEGOTIATE_BELOW:
            raise RegisterError(423, f"expires {expires} is below {minimum}", (f"Min-Expires: {minimum}",))
        return _Wish(contact, min(expires, self._settings.max_expires))

    @staticmethod
    def _seconds(text: str | None) -> int | None:
        """delta-seconds; a value that is none counts as absent (§20.19), one beyond 2**32 as 2**32-1."""
        if text is None or not text.isdecimal():
            return None
        return int(text) if len(text) < 11 else 2**32 - 1

    def _plan_contact(
        self, request: Request, wish: _Wish, flow: Flow, current: list[Binding], change: Change, now: float
    ) -> None:
        fresh = self._binding(request, wish, flow, change.aor, now)
        old = [binding for binding in current if _same(binding, fresh)]
        for binding in old:
            self._check_order(request, binding)
            if binding not in change.removed:
                change.removed.append(binding)
        change.added = [binding for binding in change.added if not _same(binding, fresh)]
        if wish.expires:
            change.added.append(fresh)
            if not old:
                change.fresh.append(fresh)

    @staticmethod
    def _check_order(request: Request, binding: Binding) -> None:
        """§10.3 step 7: of two requests with one Call-ID the one with the lower CSeq came late and changes nothing."""
        if binding.call_id == request.call_id and request.cseq.number <= binding.cseq:
            raise RegisterError(500, "CSeq is not higher than that of the binding it would change")

    def _binding(self, request: Request, wish: _Wish, flow: Flow, aor: str, now: float) -> Binding:
        params = wish.contact.params
        sender = parse_name_addr(request.first("from") or "")
        row = (
            aor,
            wish.contact.uri,
            unquote(params.get("+sip.instance") or "").strip("<>"),
            _reg_id(params.get("reg-id")),
            sender.params.get("epid") or "",
            _q(params.get("q")),
            now + wish.expires,
            request.call_id,
            request.cseq.number,
            ", ".join(request.values("path")),
            str(flow),
            request.first("user-agent") or "",
        )
        return Binding(row, flow if flow.cid else None)

    def _make_room(self, current: list[Binding], change: Change) -> None:
        """MaxEndpointsPerUser: the endpoints that signed in longest ago give way."""
        staying = [binding for binding in current if binding not in change.removed]
        excess = len(staying) + len(change.added) - self._settings.max_bindings_per_user
        if excess > 0:
            staying.sort(key=lambda binding: binding.expires_at)
            change.displaced = staying[:excess]
            change.removed += change.displaced
            change.added = change.added[-self._settings.max_bindings_per_user :]


def _same(a: Binding, b: Binding) -> bool:
    """Whether two bindings are the same contact: instance and reg-id (RFC 5626 §5.1), else URI equality (§10.3)."""
    if a.instance and b.instance:
        return bool(a.instance == b.instance and a.reg_id == b.reg_id)
    try:
        return equivalent(parse_uri(a.contact), parse_uri(b.contact))
    except MalformedMessage:
        return bool(a.contact == b.contact)


def _reg_id(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 10 else 0


def _q(text: str | None) -> float:
    """qvalue, 1.0 when absent or unreadable (§20.10)."""
    try:
        value = float(text) if text else 1.0
        return min(max(value, 0.0), 1.0) if value == value else 1.0
    except ValueError:
        return 1.0

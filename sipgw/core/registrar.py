"""The registrar (RFC 3261 §10.3): reads a REGISTER, decides on the bindings, changes the location service.

Everything is checked before anything changes, so a request is carried out whole or not at all.
"""

from dataclasses import dataclass, field

from sipgw.core.contact import Wish, default_interval, read_contact, same_uri
from sipgw.core.gruu import is_gruu
from sipgw.core.location import Binding, LocationService, Subscription
from sipgw.core.outbound import check_first_hop, registered_path
from sipgw.core.validation import Refused
from sipgw.events import Flow
from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Request
from sipgw.message.uri import parse_uri
from sipgw.message.values import parse_name_addr

MAX_CONTACTS = 16  # in one REGISTER
MAX_USER_AGENT = 256  # characters that are kept of it
EXTENSIONS = frozenset({"path", "outbound", "gruu", "gruu-10"})  # option tags that a REGISTER may require
_RENEGOTIATE_BELOW = 3600  # §10.3 step 7: only an interval under an hour may be refused as too brief


@dataclass(frozen=True)
class RegistrarSettings:
    """Seconds, how many endpoints one user may have signed in (the oldest gives way), and the URIs of Service-Route."""

    default_expires: int = 600
    min_expires: int = 300
    max_expires: int = 900
    max_bindings_per_user: int = 8
    service_route: tuple[str, ...] = ()


@dataclass(slots=True)
class Change:
    """What a REGISTER does: bindings to remove, bindings to add; of the added the wholly new ones, of the removed those
    that gave way to them."""

    aor: str
    removed: list[Binding] = field(default_factory=list)
    added: list[Binding] = field(default_factory=list)
    fresh: list[Binding] = field(default_factory=list)
    displaced: list[Binding] = field(default_factory=list)


@dataclass(slots=True)
class _Asked:
    """A REGISTER under way. `microsoft` tells a Lync client's, whose endpoint is what its instance and epid say."""

    request: Request
    flow: Flow
    path: str
    call_id: str
    cseq: int
    epid: str
    microsoft: bool
    gruu: bool
    subscription: Subscription | None
    now: float
    current: list[Binding]


class Registrar:
    def __init__(self, location: LocationService, settings: RegistrarSettings) -> None:
        self._location = location
        self._settings = settings

    def plan(self, request: Request, aor: str, flow: Flow, now: float, *, tag: str, trusted: bool = False) -> Change:
        """Decide what a REGISTER for `aor` changes, changing nothing. Raises Refused or MalformedMessage.

        `tag` will be that of the 200; `trusted` says that the sender may name a Path.
        """
        contacts = request.values("contact")
        change = Change(aor)
        asked = self._asked(request, aor, flow, tag, trusted, now)
        if "*" in contacts:
            self._remove_all(asked, contacts, change)
            return change
        for wish in self._wishes(asked, contacts):
            self._plan_contact(asked, wish, change)
        self._make_room(asked.current, change)
        if not self._location.has_room(len(change.added) - len(change.removed)):
            raise Refused(503, "the location service is full", ("Retry-After: 60",))
        return change

    def _asked(self, request: Request, aor: str, flow: Flow, tag: str, trusted: bool, now: float) -> _Asked:
        supported = request.tokens("supported")
        sender = parse_name_addr(request.first("from") or "")
        lync = "event" in request.index  # else nobody subscribed to anything
        return _Asked(
            request,
            flow,
            registered_path(request, trusted),
            request.call_id,
            request.cseq.number,
            sender.params.get("epid") or "",
            microsoft=lync or "gruu-10" in supported,
            gruu="gruu" in supported,
            subscription=Subscription(tag, sender.tag, "ms-benotify" in supported) if lync else None,
            now=now,
            current=self._location.bindings(aor, now),
        )

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

    def _remove_all(self, asked: _Asked, contacts: list[str], change: Change) -> None:
        if len(contacts) > 1 or default_interval(asked.request) != 0:
            raise Refused(400, "Contact: * goes alone and with Expires: 0")  # §10.3 step 6
        for binding in asked.current:
            _check_order(asked, binding)
            change.removed.append(binding)

    def _wishes(self, asked: _Asked, contacts: list[str]) -> list[Wish]:
        """The Contacts of a REGISTER, each with the interval that it is granted."""
        if not contacts and "contact" in asked.request.index:
            raise Refused(400, "Contact is empty")  # it would pass for a query
        if len(contacts) > MAX_CONTACTS:
            raise Refused(400, f"more than {MAX_CONTACTS} contacts in one REGISTER")
        request = asked.request
        outbound = "outbound" in request.tokens("supported")
        wishes = [read_contact(text, outbound) for text in contacts]
        if any(wish.reg_id for wish in wishes):
            check_first_hop(request, asked.path)
        otherwise = default_interval(request)
        for wish in wishes:
            wish.expires = self._granted(wish.expires if wish.expires is not None else otherwise)
        if sum(1 for wish in wishes if wish.reg_id and wish.expires) > 1:
            raise Refused(400, "more than one Contact with reg-id in one REGISTER")  # RFC 5626 §6
        return wishes

    def _granted(self, expires: int | None) -> int:
        settings = self._settings
        if expires is None:
            return settings.default_expires
        minimum = settings.min_expires
        if 0 < expires < minimum and expires < _RENEGOTIATE_BELOW:
            raise Refused(423, f"expires {expires} is below {minimum}", (f"Min-Expires: {minimum}",))
        return min(expires, settings.max_expires)

    def _plan_contact(self, asked: _Asked, wish: Wish, change: Change) -> None:
        _check_no_loop(asked, wish, change.aor)
        fresh = _binding(asked, wish, change.aor)
        old = [binding for binding in asked.current if _same(binding, fresh, asked.microsoft)]
        for binding in old:
            _check_order(asked, binding)
            if binding not in change.removed:
                change.removed.append(binding)
        change.added = [binding for binding in change.added if not _same(binding, fresh, asked.microsoft)]
        if wish.expires:
            change.added.append(fresh)
            if not old:
                change.fresh.append(fresh)

    def _make_room(self, current: list[Binding], change: Change) -> None:
        """MaxEndpointsPerUser: those that were not heard of for longest give way."""
        staying = [binding for binding in current if binding not in change.removed]
        excess = len(staying) + len(change.added) - self._settings.max_bindings_per_user
        if excess > 0:
            staying.sort(key=lambda binding: binding.expires_at)
            change.displaced = staying[:excess]
            change.removed += change.displaced
            change.added = change.added[-self._settings.max_bindings_per_user :]


def _check_order(asked: _Asked, binding: Binding) -> None:
    """§10.3 step 7: of two requests with one Call-ID the one with the lower CSeq came late and changes nothing."""
    if binding.call_id == asked.call_id and asked.cseq <= binding.cseq:
        raise Refused(500, "CSeq is not higher than that of the binding it would change")


def _check_no_loop(asked: _Asked, wish: Wish, aor: str) -> None:
    """RFC 5627 §5.1: a GRUU leads to a contact and cannot be one, nor can the AOR of an instance that gets a GRUU."""
    try:
        uri = parse_uri(wish.uri)
    except MalformedMessage:
        return  # not a sip URI: nothing is sent there
    ours = uri.host == aor.rpartition("@")[2]
    if ours and (is_gruu(uri) or (asked.gruu and wish.instance and uri.aor == aor)):
        raise Refused(403, f"{wish.uri[:100]} leads back here; a contact is where the client itself is reached")


def _binding(asked: _Asked, wish: Wish, aor: str) -> Binding:
    assert wish.expires is not None
    row = (
        aor,
        wish.uri,
        wish.instance,
        wish.reg_id,
        asked.epid,
        wish.q,
        asked.now + wish.expires,
        asked.call_id,
        asked.cseq,
        asked.path,
        str(asked.flow),
        (asked.request.first("user-agent") or "")[:MAX_USER_AGENT],
        _since(asked, wish.instance),
    )
    binding = Binding(row, asked.flow if asked.flow.cid and not asked.path else None)
    binding.subscription = asked.subscription
    return binding


def _since(asked: _Asked, instance: str) -> int:
    """The CSeq at which the registration of this instance under this Call-ID began."""
    begun = [one.since for one in asked.current if one.instance == instance and one.call_id == asked.call_id]
    return min(begun, default=asked.cseq)


def _same(old: Binding, new: Binding, microsoft: bool) -> bool:
    """Whether `new` takes the place of `old`.

    A flow replaces that of the same instance and reg-id and nothing else (RFC 5626 §6). A Lync client is the same
    endpoint when instance and endpoint id are ([MS-SIPREGE] §3.1.2.5.1), whatever port it now has. All others are told
    apart by their Contact (§10.3 step 7).
    """
    if new.reg_id or old.reg_id:
        return (old.instance, old.reg_id) == (new.instance, new.reg_id)
    if microsoft and new.identity and (old.instance, old.epid) == (new.instance, new.epid):
        return True
    return same_uri(old.contact, new.contact)

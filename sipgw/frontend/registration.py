"""Carries a REGISTER through: checks, the registrar's plan, the store, the answer.

Bindings change in memory at once, so that the next request sees them; the 200 waits until they are durable (a client
that was told yes is still signed in after a crash). When the store fails the change is taken back and 500 is sent.

Where several workers share the registrations, they change when they are durable, in the order in which they are made so
for all; what was planned against registrations that had changed by then is planned anew.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sipgw.core.failures import NO_USER, NOT_YOUR_URI
from sipgw.core.location import Binding, LocationService
from sipgw.core.ownership import STALE
from sipgw.core.registrar import EXTENSIONS, Change, Registrar
from sipgw.core.validation import Refused, check_require
from sipgw.events import Log, Persist
from sipgw.frontend import signin
from sipgw.frontend.deregistration import Deregistration
from sipgw.message.build import response_to
from sipgw.message.errors import MalformedMessage, MalformedUri
from sipgw.message.message import Request
from sipgw.message.uri import SipUri, parse_uri
from sipgw.message.values import parse_name_addr
from sipgw.registry import Registry
from sipgw.transaction.server import ServerTransaction

if TYPE_CHECKING:
    from sipgw.core.proxy import Proxy

MAX_PARKED = 10_000  # REGISTERs waiting for the store; one more is answered 503
MAX_PLANS = 10  # times that one is planned before it is given up: each time another one of the same user came first


@dataclass(slots=True)
class _Parked:
    """A REGISTER that waits for the store: `tag` will be that of its answer, `expiries` are the removed bindings'.
    `plans` is how often it was planned."""

    transaction: ServerTransaction
    change: Change
    expiries: list[float]
    tag: str
    plans: int = 1


class Registration:
    """`granting` is what the 200 says beside the bindings. `shared` tells that other workers change them too."""

    def __init__(
        self,
        proxy: "Proxy",
        registrar: Registrar,
        location: LocationService,
        registry: Registry,
        domains: frozenset[str],
        granting: signin.Granting,
    ) -> None:
        self._proxy = proxy
        self._registrar = registrar
        self._location = location
        self._registry = registry
        self._domains = domains
        self._granting = granting
        self._deregistration = Deregistration(proxy)
        self.shared = False
        self._parked: dict[int, _Parked] = {}
        self._serial = 0

    @property
    def parked(self) -> int:
        """How many REGISTERs wait for the store."""
        return len(self._parked)

    def take_over(self, other: "Registration") -> None:
        """Go on with what waits for the store, after a change of configuration."""
        self._parked, self._serial = other._parked, other._serial

    def handle(self, transaction: ServerTransaction, now: float) -> None:
        """A REGISTER for one of our domains, in the order of §10.3. Raises MalformedMessage or Refused."""
        request = transaction.request
        check_require(request, EXTENSIONS)
        failure = signin.check(request)
        if failure is not None:
            self._proxy.fail(transaction, failure, {}, now)
            return
        uri = self._address_of_record(request)
        if uri is None:
            detail = f"{request.first('to')} is not a user of {parse_uri(request.uri).host}"
            self._proxy.fail(transaction, NO_USER, {"detail": detail}, now)
            return
        endpoint = self._registry.find(uri.user or "", uri.host)
        if endpoint is not None:
            detail = f"{endpoint.sip_address} is the endpoint of pool {endpoint.pool_fqdn}, not a user"
            self._proxy.fail(transaction, NOT_YOUR_URI, {"detail": detail}, now)
            return
        self._register(transaction, uri.aor, now)

    def _address_of_record(self, request: Request) -> SipUri | None:
        """What To names, when it is a user of the Request-URI's domain (§10.3 step 5).

        A Request-URI that names this server itself stands for all its domains.
        """
        try:
            uri = parse_uri(parse_name_addr(request.first("to") or "").uri)
        except MalformedUri as error:
            raise Refused(400, f"To is no sip or sips URI: {error.reason}") from None
        asked = parse_uri(request.uri).host
        valid = uri.host in self._domains and (uri.host == asked or asked not in self._domains)
        return uri if valid and uri.user is not None else None

    def _register(self, transaction: ServerTransaction, aor: str, now: float, plans: int = 1) -> None:
        if len(self._parked) >= MAX_PARKED:
            raise Refused(503, "the store does not keep up", ("Retry-After: 10",))
        tag = self._proxy.layer.new_tag()
        trusted = "path" in transaction.request.index and self._proxy.router.trusts(transaction.flow)
        change = self._registrar.plan(transaction.request, aor, transaction.flow, now, tag=tag, trusted=trusted)
        parked = _Parked(transaction, change, [binding.expires_at for binding in change.removed], tag, plans)
        if change.added or change.removed:
            if not self.shared:
                self._registrar.apply(change)
            transaction.watch(now)
            self._park(parked)
        else:
            self._accept(parked, now)

    def _park(self, parked: _Parked) -> None:
        self._serial += 1
        self._parked[self._serial] = parked
        puts = [binding.row() for binding in parked.change.added]
        deletes = [binding.key for binding in parked.change.removed]
        change = parked.change
        self._proxy.layer.out.append(Persist(self._serial, puts, deletes, change.added, change.aor))

    def persisted(self, key: int, error: str | None, now: float) -> None:
        """The store has committed, or failed with `error`. Keys that are not ours (expiries) are passed over."""
        parked = self._parked.pop(key, None)
        if parked is None:
            return
        if self.shared and not self._settle_shared(parked, error, now):
            return
        if error is None:
            self._accept(parked, now)
            return
        change = parked.change
        self._drop_lost_flows(change.removed)
        if not self.shared:
            self._registrar.undo(change, parked.expiries)
        self._proxy.layer.out.append(Log("error", "registration not stored", {"aor": change.aor, "error": error}))
        self._proxy.answer(parked.transaction, 500, now, ("Retry-After: 10",))

    def _settle_shared(self, parked: _Parked, error: str | None, now: float) -> bool:
        """Make the change, or plan it anew; False when there is nothing to answer yet."""
        if error is None:
            self._drop_lost_flows(parked.change.added)
            self._registrar.apply(parked.change)
        elif error == STALE and parked.plans < MAX_PLANS:
            self._plan_anew(parked, now)
            return False
        return True

    def _plan_anew(self, parked: _Parked, now: float) -> None:
        try:
            self._register(parked.transaction, parked.change.aor, now, parked.plans + 1)
        except (MalformedMessage, Refused) as refusal:
            self._proxy.refuse(parked.transaction, refusal, now)

    def _drop_lost_flows(self, bindings: list[Binding]) -> None:
        """While they were out of the location service nobody told them of their connections."""
        for binding in bindings:
            if binding.flow is not None and binding.flow.cid not in self._proxy.layer.flows:
                binding.flow = None

    def _accept(self, parked: _Parked, now: float) -> None:
        transaction, change = parked.transaction, parked.change
        request = transaction.request
        bindings = self._location.bindings(change.aor, now)
        mine = change.added[0] if change.added else _current(request, bindings)
        granted = max(0, round(mine.expires_at - now)) if mine else 0
        headers = self._granting.contacts(request, bindings, now)
        headers += self._granting.headers(request, change, granted, transaction.flow, now)
        self._log(transaction, change, granted)
        transaction.respond(response_to(request, 200, to_tag=parked.tag, headers=headers), now)
        for binding in change.displaced:
            self._deregistration.tell(binding, now)

    def _log(self, transaction: ServerTransaction, change: Change, granted: int) -> None:
        if change.fresh:
            event = "signed in"
        elif change.removed and not change.added:
            event = "signed out"
        else:
            return  # refreshes and queries would drown what matters
        fields = {"user": change.aor, "source": str(transaction.flow), "expires": granted}
        self._proxy.layer.out.append(Log("info", event, fields))


def _current(request: Request, bindings: list[Binding]) -> Binding | None:
    """For a query (no Contact, §10.2.3): the binding that ends first. After a removal there is nothing granted."""
    return (
        min(bindings, key=lambda binding: binding.expires_at) if bindings and "contact" not in request.index else None
    )

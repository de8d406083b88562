"""Carries a REGISTER through: checks, the registrar's plan, the store, the answer.

Bindings change in memory at once, so that the next request sees them; the 200 waits until they are durable (a client
that was told yes is still signed in after a crash). When the store fails the change is taken back and 500 is sent.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sipgw.core.failures import FOREIGN_DOMAIN, NOT_YOUR_URI
from sipgw.core.location import Binding, LocationService
from sipgw.core.registrar import Change, RegisterError, Registrar
from sipgw.core.validation import Refused
from sipgw.events import Log, Persist
from sipgw.frontend import signin
from sipgw.message.build import response_to
from sipgw.message.message import Request
from sipgw.message.uri import parse_uri
from sipgw.message.values import parse_name_addr
from sipgw.registry import Registry
from sipgw.transaction.server import ServerTransaction

if TYPE_CHECKING:
    from sipgw.core.proxy import Proxy

MAX_PARKED = 10_000  # REGISTERs waiting for the store; one more is answered 503


@dataclass(slots=True)
class _Parked:
    transaction: ServerTransaction
    change: Change
    expiries: list[float]


class Registration:
    def __init__(
        self,
        proxy: "Proxy",
        registrar: Registrar,
        location: LocationService,
        registry: Registry,
        domains: frozenset[str],
    ) -> None:
        self._proxy = proxy
        self._registrar = registrar
        self._location = location
        self._registry = registry
        self._domains = domains
        self._parked: dict[int, _Parked] = {}
        self._serial = 0

    def handle(self, transaction: ServerTransaction, now: float) -> None:
        """A REGISTER for one of our domains (§10.3). Raises MalformedMessage or Refused."""
        request = transaction.request
        failure = signin.check(request)
        if failure is not None:
            self._proxy.fail(transaction, failure, {}, now)
            return
        uri = parse_uri(parse_name_addr(request.first("to") or "").uri)
        if uri.host not in self._domains or uri.user is None:
            self._proxy.fail(transaction, FOREIGN_DOMAIN, {"detail": f"{uri} is not a user of this server"}, now)
            return
        endpoint = self._registry.find(uri.user, uri.host)
        if endpoint is not None:
            detail = f"{endpoint.sip_address} is the endpoint of pool {endpoint.pool_fqdn}, not a user"
            self._proxy.fail(transaction, NOT_YOUR_URI, {"detail": detail}, now)
            return
        self._register(transaction, uri.aor, now)

    def _register(self, transaction: ServerTransaction, aor: str, now: float) -> None:
        request = transaction.request
        unknown = request.values("require")
        if unknown:
            raise Refused(420, f"Require {', '.join(unknown)}", (f"Unsupported: {', '.join(unknown)}",))
        if len(self._parked) >= MAX_PARKED:
            raise Refused(503, "the store does not keep up", ("Retry-After: 10",))
        try:
            change = self._registrar.plan(request, aor, transaction.flow, now)
        except RegisterError as error:
            raise Refused(error.status, str(error), error.headers) from None
        if not change.added and not change.removed:
            self._accept(transaction, change, now)
            return
        expiries = [binding.expires_at for binding in change.removed]
        self._registrar.apply(change)
        self._park(transaction, change, expiries)

    def _park(self, transaction: ServerTransaction, change: Change, expiries: list[float]) -> None:
        self._serial += 1
        self._parked[self._serial] = _Parked(transaction, change, expiries)
        puts = [binding.row() for binding in change.added]
        deletes = [(binding.aor, binding.contact) for binding in change.removed]
        self._proxy.layer.out.append(Persist(self._serial, puts, deletes))

    def persisted(self, key: int, error: str | None, now: float) -> None:
        """The store has committed, or failed with `error`. Keys that are not ours (expiries) are passed over."""
        parked = self._parked.pop(key, None)
        if parked is None:
            return
        if error is None:
            self._accept(parked.transaction, parked.change, now)
            return
        self._registrar.undo(parked.change, parked.expiries)
        self._proxy.layer.out.append(
            Log("error", "registration not stored", {"aor": parked.change.aor, "error": error})
        )
        self._proxy.answer(parked.transaction, 500, now, ("Retry-After: 10",))

    def _accept(self, transaction: ServerTransaction, change: Change, now: float) -> None:
        request = transaction.request
        bindings = self._location.bindings(change.aor, now)
        mine = change.added[0] if change.added else _current(request, bindings)
        granted = max(0, round(mine.expires_at - now)) if mine else 0
        headers = signin.answer_headers(request, bindings, granted, bool(change.fresh), now)
        self._log(transaction, change, granted)
        response = response_to(request, 200, to_tag=self._proxy.layer.new_tag(), headers=headers)
        transaction.respond(response, now)

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

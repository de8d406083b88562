"""/api/v1/explain: what would happen to a request, by the configuration and the state of this very gateway."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from sipgw.auth.accounts import Account, Accounts
from sipgw.config import Config
from sipgw.core.gruu import is_gruu
from sipgw.core.location import Binding, LocationService
from sipgw.message.errors import MalformedMessage
from sipgw.message.uri import parse_uri
from sipgw.server.admin.models import ExplainBody, Fault
from sipgw.server.admin.operation import Answer, Call
from sipgw.server.admin.problems import Problem
from sipgw.server.store import Contents

if TYPE_CHECKING:
    from sipgw.server.app import GatewayApp


class State(NamedTuple):
    """What is stored that matters, the users that are known, and by their keys the registrations whose connections
    stand."""

    stored: Contents
    accounts: Accounts
    standing: frozenset[tuple[object, ...]]


# Configuration, the gateway's state, method, URI, sender ("" for anybody): what
# `sipgw explain --json` shows. Raises ValueError for a method or a URI that is none, naming it.
Explain = Callable[[Config, State, str, str, str], Awaitable[dict[str, Any]]]


class _Known:
    """The users as the router has them, and for the rehearsal those as well who were signed in lately: its own location
    service has never seen them."""

    def __init__(self, accounts: Accounts | None, location: LocationService) -> None:
        self._accounts = accounts
        self._location = location

    def find(self, name: str) -> Account | None:
        account = self._accounts.find(name) if self._accounts is not None else None
        if account is None and self._location.known(name.partition(":")[2]):
            return Account(name, ())
        return account


async def explain(call: Call) -> Answer:
    """Raises Problem or StoreError."""
    wanted, gateway = call.body, call.gateway
    assert isinstance(wanted, ExplainBody)
    if gateway.explain is None:
        raise Problem("not-found", "this program cannot explain; ask a gateway that sipgw serve has started")
    sender = wanted.sender or ""
    state = _state(gateway, (wanted.uri, sender))
    try:
        return Answer(await gateway.explain(gateway.config, state, wanted.method, wanted.uri, sender))
    except ValueError as error:
        raise Problem("invalid", str(error), [Fault(text=str(error))]) from None


def _state(gateway: "GatewayApp", uris: tuple[str, ...]) -> State:
    """Of the registrations only those of the users in question: there may be a million."""
    offset = time.time() - asyncio.get_running_loop().time()
    bindings = {id(one): one for uri in uris for one in _bindings(gateway, uri)}
    rows = [_shifted(one, offset) for one in bindings.values()]
    stored = [one for one in gateway.registry.endpoints() if not one.declared]
    known = _Known(gateway.engine.router.accounts, gateway.engine.location)
    standing = frozenset(one.key for one in bindings.values() if one.flow is not None)
    return State(
        Contents(stored, rows, gateway.store.secret(), list(gateway.registry.states.values())), known, standing
    )


def _bindings(gateway: "GatewayApp", text: str) -> list[Binding]:
    now = asyncio.get_running_loop().time()
    try:
        uri = parse_uri(text)
    except MalformedMessage:
        return []
    location = gateway.engine.location
    return location.by_gruu(uri, now) if is_gruu(uri) else location.bindings(uri.aor, now)


def _shifted(binding: Binding, seconds: float) -> tuple[Any, ...]:
    row = binding.row()
    at = row.index(binding.expires_at)
    return (*row[:at], binding.expires_at + seconds, *row[at + 1 :])

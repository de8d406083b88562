"""/api/v1/endpoints: by the same rules as `sipgw endpoint`, and in effect when the answer is sent."""

import asyncio
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from sipgw.auth.accounts import Account
from sipgw.observability.log import get_logger
from sipgw.registry import (
    BadAddress,
    Endpoint,
    HeldByUser,
    NotFound,
    Registry,
    check_display_name,
    parse_address,
)
from sipgw.server.admin.models import EndpointBody, EndpointList, EndpointsQuery, NewEndpoint
from sipgw.server.admin.operation import Answer, Call
from sipgw.server.audit import Actor, audited

if TYPE_CHECKING:
    from sipgw.server.app import GatewayApp

PATH = "/api/v1/endpoints"


async def list_endpoints(call: Call) -> Answer:
    """All, or those with an address or display name, or those of a pool."""
    query, registry = call.query, call.gateway.registry
    assert isinstance(query, EndpointsQuery)
    found = registry.endpoints() if query.identity is None else registry.matching(query.identity)
    if query.pool_fqdn is not None:
        found = [one for one in found if one.pool_fqdn.lower() == query.pool_fqdn.lower()]
    return Answer(EndpointList(endpoints=[_shape(one) for one in found]))


async def get_endpoint(call: Call) -> Answer:
    """The one with an address."""
    written = call.path["sip_address"]
    address = _address(written)
    found = next((one for one in call.gateway.registry.endpoints() if one.sip_address == address), None)
    if found is None:
        raise NotFound(f"no endpoint has the address {written}")
    return Answer(_shape(found))


async def make_endpoint(call: Call) -> Answer:
    """Raises RegistryError or StoreError."""
    wanted, gateway = call.body, call.gateway
    assert isinstance(wanted, NewEndpoint)
    name = check_display_name(wanted.display_name)
    made = Endpoint(f"sip:{parse_address(wanted.sip_address)}", wanted.pool_fqdn.strip().lower(), name)
    async with gateway.changing:
        if _account(gateway, made) is not None:  # perhaps no longer: it may have been disabled just now
            await gateway.users_followed()
        _refuse_user(gateway, made)
        _stored_now(gateway).add(made)
        await asyncio.to_thread(_make, gateway, _who(call), made)
        await gateway.followed()
    return Answer(_shape(made), 201, {"Location": f"{PATH}/{quote(made.sip_address, safe=':@')}"})


async def remove_endpoint(call: Call) -> Answer:
    """Raises RegistryError or StoreError."""
    gateway = call.gateway
    async with gateway.changing:
        removed = _stored_now(gateway).remove(_address(call.path["sip_address"]))
        await asyncio.to_thread(_remove, gateway, _who(call), removed)
        await gateway.followed()
    return Answer(_shape(removed))


def _address(written: str) -> str:
    """Normal; what is no address is nobody's. Raises NotFound."""
    try:
        return f"sip:{parse_address(written)}"
    except BadAddress as error:
        raise NotFound(str(error)) from None


def _account(gateway: "GatewayApp", made: Endpoint) -> Account | None:
    """The user who may sign in with that address, by what was last read of users."""
    gate = gateway.engine.gate
    account = gate.accounts.find(made.sip_address) if gate is not None else None
    return account if account is not None and account.enabled else None


def _refuse_user(gateway: "GatewayApp", made: Endpoint) -> None:
    """The store knows who is signed in, but only the gateway who could."""
    account = _account(gateway, made)
    if account is not None:
        name = f" {account.names[0]}" if account.names else ""
        raise HeldByUser(f"{made.sip_address} is the address of the user{name}; delete or disable that user first")
    live = gateway.engine.location.bindings(made.key, asyncio.get_running_loop().time())
    if live:
        raise HeldByUser(
            f"{made.sip_address} is held by a user who is signed in ({live[0].contact}); sign that user out first"
        )


def _stored_now(gateway: "GatewayApp") -> Registry:
    """What is declared, and what is stored at this moment, also by a command of just now."""
    registry = gateway.config.registry()
    registry.replace_stored(gateway.store.load_endpoints())
    return registry


def _make(gateway: "GatewayApp", who: Actor, made: Endpoint) -> None:
    """In a thread: waits for the disk."""
    with audited(gateway.store.path, who, "endpoint.new", made.sip_address) as entry:
        gateway.store.add_endpoint(made, time.time())
        entry.after = _shape(made).model_dump()
    get_logger().info("endpoint made", endpoint=made.sip_address, pool=made.pool_fqdn, by=str(who))


def _remove(gateway: "GatewayApp", who: Actor, removed: Endpoint) -> None:
    with audited(gateway.store.path, who, "endpoint.remove", removed.sip_address) as entry:
        entry.before = _shape(removed).model_dump()
        gateway.store.remove_endpoint(removed.sip_address)
    get_logger().info("endpoint removed", endpoint=removed.sip_address, pool=removed.pool_fqdn, by=str(who))


def _who(call: Call) -> Actor:
    assert call.actor is not None, "the guard lets nobody else come here"
    return call.actor


def _shape(one: Endpoint) -> EndpointBody:
    return EndpointBody(
        sip_address=one.sip_address,
        pool_fqdn=one.pool_fqdn,
        display_name=one.display_name,
        declared=one.declared,
        enabled=one.enabled,
    )

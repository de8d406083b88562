"""Get-CsService, Get- and Set-CsPersistentChatState, Set-CsPersistentChatActiveServer."""

import re
from collections.abc import Iterable, Mapping

from sipgw.management.cmdlets import kinds
from sipgw.management.cmdlets.cmdlet import SWITCH, Call, Cmdlet, Parameter
from sipgw.management.cmdlets.errors import closest
from sipgw.management.cmdlets.filters import like
from sipgw.management.cmdlets.items import Item
from sipgw.registry import Pool, Registry, pool_changes
from sipgw.registry.pool_state import Change, active_servers, inactive_servers, shown_names

STATE_KIND = "Microsoft.Rtc.Management.WritableConfig.Settings.PersistentChat.PersistentChatState"
SERVICE_KIND = "Microsoft.Rtc.Management.Xds.DisplayPersistentChatServer"
COLLECTIONS = ("global", "pchatservercollection")  # as Microsoft's own examples call the one collection of servers
DEFAULT_PORT = 5041
_PREFIX = re.compile(r"(?i)(?:PersistentChatServer|service):")
_NO_REPLICA = "there is one store, and no replica of it"


def _identity(pool: Pool) -> str:
    return f"PersistentChatServer:{pool.fqdn}"


def chosen_pools(call: Call, registry: Registry, identity: str) -> list[Pool]:
    """The pool, as configured, that `PersistentChatServer:fqdn`, `service:fqdn` or `fqdn` names; also by one of its
    servers. Raises CmdletError."""
    wanted = _PREFIX.sub("", identity.strip(), 1).lower()
    for pool in registry.configured:
        if wanted in (pool.fqdn.lower(), *(server.host.lower() for server in pool.servers)):
            return [pool]
    known = [pool.fqdn for pool in registry.configured]
    shown = ", ".join(map(_identity, registry.configured)) or "none"
    text = f'no pool has the identity "{identity}"{closest(wanted, known)} (pools: {shown})'
    raise call.fail(text, "ManagementObjectNotFound")


def _state_item(registry: Registry, pool: Pool) -> Item:
    state = registry.states.get(pool.fqdn.lower())
    failed_over = state is not None and state.failed_over
    return Item(STATE_KIND, {"Identity": _identity(pool), "PoolState": "FailedOver" if failed_over else "Normal"})


def _get_state(call: Call) -> Iterable[Item]:
    if call.given("Identity") and call.given("Filter"):
        raise call.fail("-Identity and -Filter do not go together", "AmbiguousParameterSet")
    registry = call.backend.registry()
    pools = chosen_pools(call, registry, call.get("Identity")) if call.given("Identity") else registry.configured
    if call.given("Filter"):
        wanted = call.get("Filter")
        pools = [pool for pool in pools if like(_identity(pool), wanted) or like(pool.fqdn, wanted)]
    return [_state_item(registry, pool) for pool in pools]


def _set_state(call: Call) -> Iterable[Item]:
    registry = call.backend.registry()
    identity = call.get("Instance", call.get("Identity"))
    if identity is None and len(registry.configured) != 1:
        shown = ", ".join(map(_identity, registry.configured)) or "none"
        raise call.fail(f"-Identity has to be given where there is not one pool (pools: {shown})", "MissingIdentity")
    pools = chosen_pools(call, registry, identity) if identity is not None else registry.configured
    state = call.get("PoolState", "Normal")
    for pool in pools:
        change = pool_changes.to_state(pool, state == "FailedOver")
        if state == "FailedOver" and not pool.standby:
            call.warn(f"pool {pool.fqdn} has no standby servers: those that it has go on")
        _carry_out(call, registry, pool, change)
    return []


def _set_active(call: Call) -> Iterable[Item]:
    registry = call.backend.registry()
    identity = call.get("Identity", "global")
    everywhere = identity.strip().lower() in COLLECTIONS
    pools = list(registry.configured) if everywhere else chosen_pools(call, registry, identity)
    if call.given("ActiveServers") == bool(call.get("Swap", False)):
        raise call.fail("give either -ActiveServers or -Swap", "AmbiguousParameterSet")
    wanted: Mapping[str, list[str]] | None = call.get("ActiveServers")
    changes = pool_changes.swaps(pools) if wanted is None else pool_changes.changes(pools, wanted)
    for pool in pools:
        if pool.fqdn in changes:
            _carry_out(call, registry, pool, changes[pool.fqdn])
    return []


def _carry_out(call: Call, registry: Registry, pool: Pool, change: Change) -> None:
    if not call.should(_identity(pool)):
        return
    call.backend.change_pool(pool.fqdn, change)
    now = call.backend.registry().pool(pool.fqdn)
    if now is not None and now.servers:
        active = ", ".join(_shown(now, active_servers(now)))
        call.details(f"pool {pool.fqdn}: active are {active or 'none'}")
        if not active and not now.standby:
            call.warn(f"pool {pool.fqdn} has no active server now: new calls to it fail")


def _shown(pool: Pool, servers: Iterable[str]) -> list[str]:
    names = shown_names(pool)
    return [names.get(server, server) for server in servers]


def _get_service(call: Call) -> Iterable[Item]:
    registry = call.backend.registry()
    config = call.backend.config
    pools = list(registry.pools)
    if call.given("Identity"):
        named = {pool.fqdn for pool in chosen_pools(call, registry, call.get("Identity"))}
        pools = [pool for pool in pools if pool.fqdn in named]
    if call.given("PoolFqdn"):
        named = {pool.fqdn for pool in chosen_pools(call, registry, call.get("PoolFqdn"))}
        pools = [pool for pool in pools if pool.fqdn in named]
    numbers = {pool.fqdn: at for at, pool in enumerate(registry.configured, 1)}
    return [_service_item(pool, numbers[pool.fqdn], config.gateway.fqdn, config.gateway.domains[0]) for pool in pools]


def _service_item(pool: Pool, number: int, registrar: str, site: str) -> Item:
    databases = ("PersistentChat", "PersistentChatCompliance")
    return Item(
        SERVICE_KIND,
        {
            "Identity": _identity(pool),
            "Registrar": f"Registrar:{registrar}",
            "FileStore": "",
            **{f"{role}{name}Database": "" for role in ("", "Mirror", "Backup", "BackupMirror") for name in databases},
            "MtlsPort": pool.servers[0].port if pool.servers else DEFAULT_PORT,
            "DisplayName": "",
            "ActiveServers": _shown(pool, active_servers(pool)),
            "InactiveServers": _shown(pool, inactive_servers(pool)),
            "DependentServiceList": [],
            "ServiceId": f"1-PersistentChatServer-{number}",
            "SiteId": f"Site:{site}",
            "PoolFqdn": pool.fqdn,
            "Version": "",
            "Role": "PersistentChatServer",
        },
        source=pool,
    )


CMDLETS = (
    Cmdlet(
        "Get-CsService",
        "Show the pools and their servers.",
        _get_service,
        (
            Parameter("Identity", kinds.some_text, position=0),
            Parameter("PersistentChatServer", SWITCH),
            Parameter("PoolFqdn", kinds.fqdn),
            Parameter("LocalStore", SWITCH, unused=_NO_REPLICA),
        ),
    ),
    Cmdlet(
        "Get-CsPersistentChatState",
        "Show whether pools have failed over.",
        _get_state,
        (
            Parameter("Identity", kinds.some_text, position=0),
            Parameter("Filter", kinds.some_text),
            Parameter("LocalStore", SWITCH, unused=_NO_REPLICA),
        ),
    ),
    Cmdlet(
        "Set-CsPersistentChatState",
        "Make the standby servers of a pool take over, or give back.",
        _set_state,
        (
            Parameter("Identity", kinds.some_text, position=0),
            Parameter("Instance", kinds.some_text, piped=("Identity", "Value")),
            Parameter("PoolState", kinds.one_of("Normal", "FailedOver")),
            Parameter("Force", SWITCH, unused="there is nothing to be forced"),
        ),
        changes=True,
    ),
    Cmdlet(
        "Set-CsPersistentChatActiveServer",
        "Say which servers of the pools get new dialogs.",
        _set_active,
        (
            Parameter("Identity", kinds.some_text, position=0),
            Parameter("ActiveServers", kinds.list_change),
            Parameter("Swap", SWITCH),
            Parameter("Force", SWITCH, unused="there is nothing to be forced"),
        ),
        changes=True,
    ),
)

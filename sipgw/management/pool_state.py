"""`sipgw pool-state get|set`: what Get- and Set-CsPersistentChatState and Set-CsPersistentChatActiveServer do."""

import json
from pathlib import Path
from typing import Any

import click

from sipgw.config import load_config
from sipgw.management.cmdlets.choose import backend_for
from sipgw.management.parameters import config_option
from sipgw.management.suggestions import pools_begun
from sipgw.registry import Pool, Registry, UnknownPool
from sipgw.registry.pool_changes import changes, swaps, to_state
from sipgw.registry.pool_state import inactive_servers, role_of

as_json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON, for machines.")


@click.group("pool-state")
def pool_state() -> None:
    """Which servers of the pools get new dialogs."""


@pool_state.command("get")
@click.argument("pool_fqdn", required=False, metavar="[POOL]", shell_complete=pools_begun)
@as_json_option
@config_option
def get(pool_fqdn: str | None, as_json: bool, config_path: Path | None) -> None:
    """Show the pools, or POOL alone, as they are now."""
    registry = backend_for(load_config(config_path)).registry()
    _show([_chosen(registry, pool_fqdn)] if pool_fqdn else list(registry.pools), registry, as_json)


@pool_state.command("set")
@click.argument("pool_fqdn", metavar="POOL", shell_complete=pools_begun)
@click.option("--add", multiple=True, metavar="SERVER", help="Make it active; may be repeated.")
@click.option("--remove", multiple=True, metavar="SERVER", help="Make it inactive; may be repeated.")
@click.option("--only", multiple=True, metavar="SERVER", help="Make it and no other active; may be repeated.")
@click.option("--none", "no_server", is_flag=True, help="Make all of them inactive.")
@click.option("--swap", is_flag=True, help="Make active what is not, and the other way round.")
@click.option("--failed-over", is_flag=True, help="Let the standby servers take over.")
@click.option("--normal", is_flag=True, help="Everything as configured.")
@as_json_option
@config_option
def set_state(pool_fqdn: str, as_json: bool, config_path: Path | None, **options: Any) -> None:
    """Say which servers of POOL get new dialogs. Those under way go on."""
    backend = backend_for(load_config(config_path))
    pool = _configured(backend.registry(), pool_fqdn)
    given = [name for name in ("only", "no_server", "swap", "failed_over", "normal") if options[name]]
    listed = {verb: list(options[verb.lower()]) for verb in ("Add", "Remove") if options[verb.lower()]}
    if len(given) + bool(listed) != 1:
        raise click.UsageError("say one of --add and --remove, --only, --none, --swap, --failed-over, --normal")
    if listed or options["only"] or options["no_server"]:
        change = changes([pool], listed or {"Replace": list(options["only"])})[pool.fqdn]
    elif options["swap"]:
        change = swaps([pool])[pool.fqdn]
    else:
        change = to_state(pool, options["failed_over"])
    backend.change_pool(pool.fqdn, change)
    registry = backend.registry()
    _show([_chosen(registry, pool.fqdn)], registry, as_json)


def _chosen(registry: Registry, fqdn: str) -> Pool:
    pool = registry.pool(fqdn)
    if pool is None:
        known = ", ".join(one.fqdn for one in registry.pools) or "none"
        raise UnknownPool(f"{fqdn} is not a configured pool (pools: {known})")
    return pool


def _configured(registry: Registry, fqdn: str) -> Pool:
    found = _chosen(registry, fqdn)
    return next(pool for pool in registry.configured if pool.fqdn == found.fqdn)


def pool_as_dict(pool: Pool, registry: Registry) -> dict[str, Any]:
    """A pool in JSON, with what its servers are now."""
    state = registry.states.get(pool.fqdn.lower())
    return {
        "pool_fqdn": pool.fqdn,
        "state": "FailedOver" if state is not None and state.failed_over else "Normal",
        "as_configured": state is None,
        "servers": [{"server": str(server), "role": role_of(pool, server)} for server in pool.servers],
        "not_for_new_dialogs": inactive_servers(pool),
    }


def _show(pools: list[Pool], registry: Registry, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([pool_as_dict(pool, registry) for pool in pools], indent=2))
        return
    for pool in pools:
        told = pool_as_dict(pool, registry)
        origin = "as configured" if told["as_configured"] else "set by command"
        click.echo(f"{pool.fqdn}: {told['state']}, {origin}")
        for one in told["servers"]:
            click.echo(f"  {one['role']:8} {one['server']}")
        for name in () if pool.servers else told["not_for_new_dialogs"]:
            click.echo(f"  inactive {name}")

"""What a shell may suggest for a word that has been begun."""

from pathlib import Path

import click

from sipgw.config import ConfigError, load_config
from sipgw.management.cmdlets.choose import backend_for
from sipgw.registry import Registry
from sipgw.server.store import StoreError


def _registry(context: click.Context) -> Registry | None:
    path = context.params.get("config_path")
    try:
        return backend_for(load_config(Path(path) if path else None)).registry()
    except (ConfigError, StoreError, OSError):
        return None  # a shell has no place to tell of it


def endpoints_begun(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    registry = _registry(context)
    known = [one.sip_address for one in registry.endpoints()] if registry is not None else []
    return [address for address in known if address.startswith(incomplete.lower())]


def pools_begun(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    registry = _registry(context)
    known = [pool.fqdn for pool in registry.pools] if registry is not None else []
    return [fqdn for fqdn in known if fqdn.startswith(incomplete.lower())]

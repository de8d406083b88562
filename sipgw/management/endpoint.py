"""`sipgw endpoint new|get|remove`: what New-, Get- and Remove-CsPersistentChatEndpoint do.

They act on a running gateway, also by way of the store of `--config`, which the gateway looks at every second.
"""

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sipgw.config import load_config
from sipgw.management.cmdlets.accounts import check_no_user
from sipgw.management.cmdlets.choose import backend_for
from sipgw.management.cmdlets.endpoint_cmdlets import matching
from sipgw.management.parameters import config_option
from sipgw.management.suggestions import endpoints_begun, pools_begun
from sipgw.registry import Endpoint, NotFound, check_display_name, parse_address

as_json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON, for machines.")


@click.group()
def endpoint() -> None:
    """Contact objects: the addresses that legacy clients ask for the chat service."""


@endpoint.command()
@click.option("--sip-address", required=True, metavar="ADDRESS", help="Such as sip:ocschat@contoso.com.")
@click.option(
    "--pool-fqdn",
    required=True,
    metavar="FQDN",
    shell_complete=pools_begun,
    help="The configured pool that it leads to.",
)
@click.option("--display-name", default="", metavar="NAME")
@as_json_option
@config_option
def new(sip_address: str, pool_fqdn: str, display_name: str, as_json: bool, config_path: Path | None) -> None:
    """Make an endpoint."""
    backend = backend_for(load_config(config_path))
    made = Endpoint(f"sip:{parse_address(sip_address)}", pool_fqdn.lower(), check_display_name(display_name))
    check_no_user(backend.config, made.sip_address, lambda text: click.echo(f"sipgw: warning: {text}", err=True))
    backend.add_endpoint(made)
    _show_one(made, as_json, f"{made.sip_address} now leads to {made.pool_fqdn}")


@endpoint.command()
@click.argument("identity", required=False, shell_complete=endpoints_begun)
@as_json_option
@config_option
def get(identity: str | None, as_json: bool, config_path: Path | None) -> None:
    """List the endpoints, or those whose address or display name is IDENTITY."""
    registry = backend_for(load_config(config_path)).registry()
    found = registry.endpoints() if identity is None else matching(registry, identity)
    if identity is not None and not found:
        raise NotFound(f'no endpoint has the address or display name "{identity}"')
    if as_json:
        click.echo(json.dumps([as_dict(one) for one in found], indent=2))
    elif found:
        _show_table(found)


@endpoint.command()
@click.argument("identity", shell_complete=endpoints_begun)
@as_json_option
@config_option
def remove(identity: str, as_json: bool, config_path: Path | None) -> None:
    """Remove the endpoint whose address or display name is IDENTITY."""
    removed = backend_for(load_config(config_path)).remove_endpoint(identity)
    _show_one(removed, as_json, f"{removed.sip_address} is removed")


def as_dict(one: Endpoint) -> dict[str, str | bool]:
    """An endpoint in JSON."""
    return {
        "sip_address": one.sip_address,
        "pool_fqdn": one.pool_fqdn,
        "display_name": one.display_name,
        "declared": one.declared,
        "enabled": one.enabled,
    }


def _show_one(one: Endpoint, as_json: bool, sentence: str) -> None:
    click.echo(json.dumps(as_dict(one), indent=2) if as_json else sentence)


def _show_table(found: list[Endpoint]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("address", "pool", "display name", "made in", ""):
        table.add_column(heading, no_wrap=True)
    for one in found:
        place = "the file" if one.declared else "the store"
        texts = (one.sip_address, one.pool_fqdn, one.display_name, place, "" if one.enabled else "disabled")
        table.add_row(*map(Text, texts))  # Text: a display name is not markup
    terminal = Console()
    console = terminal if terminal.is_terminal else Console(width=1000)  # what is not for a terminal is not cut to fit
    console.print(table)

"""`sipgw explain`: what would happen to a request, and why. Nothing is sent but questions to the name service."""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path

import click

from sipgw.config import Config, load_config
from sipgw.management.explain_text import text_of
from sipgw.management.explaining import explain as find_out
from sipgw.management.explanation import Explanation
from sipgw.management.parameters import ADDRESS, METHOD, URI, config_option
from sipgw.management.rehearsal import Rehearsal
from sipgw.server.resolver import Resolver


@click.command()
@click.argument("method", type=METHOD)
@click.argument("uri", type=URI)
@click.option("--from", "sender", type=ADDRESS, help="Who sends it; default: somebody of the first domain.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for machines.")
@config_option
def explain(method: str, uri: str, sender: str, as_json: bool, config_path: Path | None) -> int:
    """Show what would happen to a request, and why. Sends nothing.

    The exit status is 0 when it would be forwarded, or answered here, and 1 when it would be refused. METHOD is such as
    INVITE, URI such as sip:ocschat@contoso.com.
    """
    config = load_config(config_path)
    found = asyncio.run(_explain(config, method, uri, sender or f"sip:somebody@{config.gateway.domains[0]}"))
    click.echo(json.dumps(asdict(found), indent=2) if as_json else text_of(found, config))
    return 0 if found.decision.kind in ("forwarded", "answered") else 1


async def _explain(config: Config, method: str, uri: str, sender: str) -> Explanation:
    return await find_out(Rehearsal(config, Resolver()), method, uri, sender)

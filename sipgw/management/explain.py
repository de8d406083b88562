"""`sipgw explain`: what would happen to a request, and why. Nothing is sent but questions: to the name service, and to
the gateway that runs, where it alone knows."""

import asyncio
import json
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import click

from sipgw.config import Config, ConfigError, load_config
from sipgw.core.failures import NO_USER, NOT_ENABLED, NOT_SIGNED_IN
from sipgw.management.api_client import ApiError, running_gateway
from sipgw.management.explain_text import text_of
from sipgw.management.explaining import explain as find_out
from sipgw.management.explanation import Decision, Destination, Explanation, Server
from sipgw.management.parameters import ADDRESS, METHOD, URI, config_option
from sipgw.management.rehearsal import Rehearsal
from sipgw.registry import RegistryError
from sipgw.server.resolver import Resolver
from sipgw.server.store import StoreError


@click.command()
@click.argument("method", type=METHOD)
@click.argument("uri", type=URI)
@click.option("--from", "sender", type=ADDRESS, help="Who sends it; default: somebody of the first domain.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for machines.")
@config_option
def explain(method: str, uri: str, sender: str, as_json: bool, config_path: Path | None) -> int:
    """Show what would happen to a request, and why. Sends nothing.

    The exit status is 0 when it would be forwarded, or answered here, and 1 when it would be refused, or nothing works
    that it would be sent to. METHOD is such as
    INVITE, URI such as sip:ocschat@contoso.com.
    """
    config = load_config(config_path)
    found = asyncio.run(_explain(config, method, uri, sender or f"sip:somebody@{config.gateway.domains[0]}"))
    if found.gateway is not None and found.decision.unless:
        found = _told_by_the_gateway(config, found)
    click.echo(json.dumps(asdict(found), indent=2) if as_json else text_of(found, config))
    return 0 if found.decision.kind in ("forwarded", "answered") else 1


def _told_by_the_gateway(config: Config, found: Explanation) -> Explanation:
    """Whether a user is known it can say itself, and only by its API: where that is to be had, its word counts."""
    try:
        gateway = running_gateway(config)
        answer = gateway.explain(found.method, found.uri, found.sender) if gateway is not None else {}
    except (ApiError, ConfigError, RegistryError, StoreError):
        return found  # the doubt is told
    told = answer.get("decision", {})
    known = {one.name: told[one.name] for one in fields(Decision) if one.name in told}  # it may be of another release
    sent_on = found.decision.kind == "forwarded"
    if told.get("diagnostics") not in (NO_USER.id, NOT_SIGNED_IN.id, NOT_ENABLED.id, *((0,) if sent_on else ())):
        return found  # it goes by another configuration
    if sent_on:
        return _connections_told(found, answer, Decision(**known))
    return replace(found, decision=Decision(**known))


def _connections_told(found: Explanation, answer: dict[str, Any], decision: Decision) -> Explanation:
    """Which connections stand; without those that are gone, users are looked for elsewhere."""
    names = {one.name for one in fields(Server)}
    destinations = [
        Destination(
            one["turn"],
            one["label"],
            one["request_uri"],
            one["path"],
            [Server(**{key: value for key, value in server.items() if key in names}) for server in one["servers"]],
        )
        for one in answer.get("destinations", ())
    ]
    return replace(found, decision=decision, destinations=destinations)


async def _explain(config: Config, method: str, uri: str, sender: str) -> Explanation:
    return await find_out(Rehearsal(config, Resolver()), method, uri, sender)

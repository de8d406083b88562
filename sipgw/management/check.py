"""`sipgw check`: what stands in the way of `sipgw serve`, a verdict per line."""

import asyncio
from pathlib import Path
from typing import NamedTuple

import click

from sipgw.config import Config, ConfigError, load_config
from sipgw.management import dns_names, file_probes, pool_probes, probes
from sipgw.management.certificate_probes import certificates
from sipgw.management.parameters import config_option
from sipgw.management.probes import Verdict
from sipgw.management.user_probes import sign_in
from sipgw.server.resolver import Resolver
from sipgw.server.running import read_running

_COLOURS = {"ok": "green", "note": "yellow", "FAIL": "red"}


class Findings(NamedTuple):
    """`zone` are lines that should be added to zone files."""

    verdicts: list[Verdict]
    zone: list[str]


@click.command()
@config_option
def check(config_path: Path | None) -> int:
    """Try the configuration, store, certificates, users, files, ports, names and pools; exit status 1 when one
    fails."""
    verdicts, zone = asyncio.run(_findings(config_path))
    for verdict in verdicts:
        click.echo(f"{click.style(f'{verdict.grade:5}', fg=_COLOURS[verdict.grade])}{verdict.subject}: {verdict.text}")
    if zone:
        click.echo("\nFor clients to find the gateway by themselves, add to the zone:")
        for line in zone:
            click.echo(f"  {line}")
    return 1 if any(verdict.grade == "FAIL" for verdict in verdicts) else 0


async def _findings(config_path: Path | None) -> Findings:
    try:
        config = load_config(config_path)
    except ConfigError as error:
        return Findings([Verdict("FAIL", "config", problem) for problem in error.problems], [])
    source = str(config_path) if config_path is not None else "built-in values"
    resolver = Resolver()
    running = read_running(config.store.path)
    registry = config.registry()
    stored = list(probes.store(config, registry))  # first: the registry has the states of pools from then on
    names, pools = await asyncio.gather(_names(config, resolver), pool_probes.pools(config, resolver, registry))
    verdicts = [
        Verdict("ok", "config", f"{source}: {_summary(config)}"),
        *stored,
        *certificates(config),
        *sign_in(config),
        *file_probes.tokens(config),
        *file_probes.log(config),
        *probes.ports(config, running),
        *probes.workers(config, running),
        *names.verdicts,
        *pools,
    ]
    return Findings([_located(one, config) for one in verdicts], names.zone)


def _located(verdict: Verdict, config: Config) -> Verdict:
    """With the place of the key that a failure is about."""
    line = config.lines.of(tuple(verdict.subject.split("."))) if verdict.grade == "FAIL" else 0
    return verdict._replace(text=f"{verdict.text} ({config.source}:{line})") if line else verdict


async def _names(config: Config, resolver: Resolver) -> dns_names.Names:
    gateway = config.gateway
    asked = dns_names.questions(gateway.fqdn, gateway.domains, gateway.listen)
    answers = dict(zip(asked, await asyncio.gather(*map(resolver.ask, asked)), strict=True))
    return dns_names.findings(gateway.fqdn, gateway.domains, gateway.listen, answers)


def _summary(config: Config) -> str:
    domains = ", ".join(config.gateway.domains)
    declared = f"pools: {len(config.pools)}, endpoints declared: {len(config.endpoints)}"
    return f"{config.gateway.fqdn} serves {domains}; {declared}"

"""`sipgw check`: what stands in the way of `sipgw serve`, a verdict per line."""

import asyncio
from pathlib import Path

import click

from sipgw.config import Config, ConfigError, load_config
from sipgw.management import probes
from sipgw.management.certificate_probes import certificates
from sipgw.management.parameters import config_option
from sipgw.management.probes import Verdict

_COLOURS = {"ok": "green", "note": "yellow", "FAIL": "red"}


@click.command()
@config_option
def check(config_path: Path | None) -> int:
    """Try the configuration, store, certificates, ports and pools; exit status 1 when one fails."""
    verdicts = asyncio.run(_verdicts(config_path))
    for verdict in verdicts:
        click.echo(f"{click.style(f'{verdict.grade:5}', fg=_COLOURS[verdict.grade])}{verdict.subject}: {verdict.text}")
    return 1 if any(verdict.grade == "FAIL" for verdict in verdicts) else 0


async def _verdicts(config_path: Path | None) -> list[Verdict]:
    try:
        config = load_config(config_path)
    except ConfigError as error:
        return [Verdict("FAIL", "config", problem) for problem in error.problems]
    source = str(config_path) if config_path is not None else "built-in values"
    return [
        Verdict("ok", "config", f"{source}: {_summary(config)}"),
        *probes.store(config),
        *certificates(config),
        *probes.ports(config),
        *await probes.pools(config),
    ]


def _summary(config: Config) -> str:
    domains = ", ".join(config.gateway.domains)
    return f"{config.gateway.fqdn} serves {domains}; pools: {len(config.pools)}, endpoints: {len(config.endpoints)}"

"""`sipgw lookup`: what a legacy Group Chat pool is told on the command line."""

from pathlib import Path
from typing import Any

import click

from sipgw.config import Log
from sipgw.config.values import parse_server
from sipgw.management.login import login_options, read_login
from sipgw.management.parameters import ADDRESS, EXISTING_FILE, FILE, Parsed
from sipgw.observability import log
from sipgw.options import LookupOptions
from sipgw.registry import Server

MAX_SERVICES = 3  # servers that a legacy pool could have


def parse_via(value: object) -> Server:
    """A server as elsewhere, TCP where no transport is named. Raises ValueError."""
    written = str(value)
    named = written.partition(":")[0].lower() in ("udp", "tcp", "tls")
    return parse_server(written if named else f"tcp:{written}")


VIA = Parsed("[transport:]host:port", parse_via, needed=True)


@click.command()
@click.option("--register", type=ADDRESS, required=True, help="The well-known user, such as sip:ocschat@contoso.com.")
@click.option("--via", type=VIA, required=True, help="The gateway, such as 127.0.0.1:5060; by TCP if not said.")
@click.option("--services", type=click.IntRange(1, MAX_SERVICES), default=1, show_default=True, help="Lookup services.")
@click.option(
    "--channel-uri",
    "channel_uris",
    type=ADDRESS,
    multiple=True,
    help="Address of a Channel service; may be repeated. Default: one for each Lookup service.",
)
@click.option("--data", type=FILE, help="SQLite file for rooms and history; default: in memory.")
@click.option("--rooms", "rooms_file", type=EXISTING_FILE, help="TOML file of rooms.")
@click.option("--room", "rooms", multiple=True, metavar="NAME", help="A room to have; may be repeated.")
@click.option("--ca", type=EXISTING_FILE, help="PEM file to check the gateway's certificate against.")
@login_options
def lookup(register: str, channel_uris: tuple[str, ...], login: str, password_file: Path | None, **options: Any) -> int:
    """Run an emulated OCS 2007 R2 or Lync 2010 Group Chat pool.

    Its Lookup services sign in as the well-known user, each as an endpoint of its own; the gateway sends every call to
    all of them. They send clients to the Channel services in turn, which have addresses of their own and share rooms
    and history. Where the gateway asks for passwords, --login is the account of the Lookup services; that of a Channel
    service is called like the user part of its address, and has the same password.
    """
    channels = channel_uris or default_channels(register, options["services"])
    _check_distinct(register, channels)
    from sipgw.management.cli import run
    from sipgw.server.lookup_app import run_lookup

    defaults = Log()
    log.configure(defaults.format, defaults.level)
    options |= read_login(login, password_file, options["auth"])
    return run(run_lookup(LookupOptions(register, channel_uris=channels, **options)))


def default_channels(register: str, services: int) -> tuple[str, ...]:
    """As many Channel services as Lookup services, each server having one of both."""
    user, _, domain = register.partition("@")
    return tuple(f"{user}-channel-{number}@{domain}" for number in range(1, services + 1))


def _check_distinct(register: str, channels: tuple[str, ...]) -> None:
    """Raises click.UsageError: calls for two services under one address would be forked to both."""
    if len({register, *channels}) <= len(channels):
        raise click.UsageError("each --channel-uri needs an address of its own, other than that of --register")

"""The command line: `sipgw serve|check|explain|endpoint|user|pool|client`.

A mistake of the user's ends in one line on standard error that says what to do, and exit status 1 (2 for a command line
that cannot be read); an interrupt ends in silence and 130.
"""

import asyncio
import os
import sys
from collections.abc import Coroutine
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from sipgw import __version__
from sipgw.build import kind
from sipgw.config import ConfigError, ListenAddress, Log, load_config
from sipgw.management.lazy import LazyGroup
from sipgw.management.login import login_options, read_login
from sipgw.management.manual import write_manual
from sipgw.management.parameters import ADDRESS, DOMAIN, EXISTING_FILE, FILE, LISTEN, SERVER, SERVICE_URI, config_option
from sipgw.observability import log
from sipgw.options import ClientOptions, PoolOptions
from sipgw.registry import RegistryError
from sipgw.server.store_file import StoreError

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
COMMANDS = {
    "backup": "sipgw.management.backup:backup",
    "check": "sipgw.management.check:check",
    "cmdlet": "sipgw.management.cmdlets.command:cmdlet",
    "completion": "sipgw.management.completion:completion",
    "cutover": "sipgw.management.cutover:cutover",
    "endpoint": "sipgw.management.endpoint:endpoint",
    "explain": "sipgw.management.explain:explain",
    "lookup": "sipgw.management.lookup:lookup",
    "pool-state": "sipgw.management.pool_state:pool_state",
    "restore": "sipgw.management.backup:restore",
    "trace": "sipgw.management.trace:trace",
    "user": "sipgw.management.users:user",
}
POOL_DATA = {name: f"sipgw.management.pool_data:{name}_" for name in ("export", "import", "compare")}
POOL_LISTEN = ListenAddress("TCP", "127.0.0.1", 5041)


def main(arguments: list[str] | None = None) -> int:
    """Run a command line, by default this process's. Returns the exit status."""
    try:
        status = commands.main(arguments, prog_name="sipgw", standalone_mode=False)
        sys.stdout.flush()
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        program = context.command_path if context is not None else "sipgw"
        click.echo(f"{program}: {error.format_message().rstrip('.')}; see {program} --help", err=True)
        return error.exit_code
    except BrokenPipeError:  # the reader left, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at exit would fail again
        return 1
    except (ConfigError, RegistryError, StoreError, OSError) as error:
        for line in _text_of(error).splitlines():
            click.echo(f"sipgw: {line}", err=True)
        return 1
    return status if isinstance(status, int) else 0


def _text_of(error: Exception) -> str:
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def run(program: Coroutine[Any, Any, int]) -> int:
    """Run a program's coroutine to its exit status, on uvloop where that is installed."""
    factory = None
    if find_spec("uvloop") is not None:
        import uvloop

        factory = uvloop.new_event_loop
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(program)
    except KeyboardInterrupt:  # before click sees it, which would write an empty line
        return INTERRUPTED


@click.group(
    cls=LazyGroup, lazy=COMMANDS, manual=write_manual, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="sipgw", message=f"%(prog)s, version %(version)s, {kind()}")
def commands() -> None:
    """A SIP front door for legacy Group Chat clients.

    `sipgw COMMAND --help` has the signals, exit status, files and examples of each.
    """


async def _explain(*asked: Any) -> dict[str, Any]:
    """See `explain_live`, which is loaded when somebody asks, and not while calls wait."""
    module = await asyncio.to_thread(import_module, "sipgw.management.explain_live")
    found: dict[str, Any] = await module.explain_live(*asked)
    return found


@commands.command()
@config_option
def serve(config_path: Path | None) -> int:
    """Run the gateway: take calls at gateway.listen, and bring them to the pools and users that they are for.

    It runs in the foreground and logs to standard error, or to log.file. `sipgw check` tells beforehand what stands in
    the way; config/sipgw.service runs it under systemd.
    """
    config = load_config(config_path)
    from sipgw.server.log_file import OUTPUT
    from sipgw.server.serving import serve as run_gateway

    OUTPUT.set_up(config)

    return run(run_gateway(config, _explain))


@commands.command(hidden=True)
@click.argument("number", type=int)
@click.argument("link", type=int)
@click.argument("sockets", type=int)
def worker(number: int, link: int, sockets: int) -> int:
    """A process that a gateway starts to share the work with others: NUMBER shows which one it is, LINK and SOCKETS are
    what was left open for it."""
    from sipgw.server.workers.worker_app import run_worker

    return run(run_worker(link, sockets, _explain))


@commands.group(cls=LazyGroup, lazy=POOL_DATA, invoke_without_command=True)
@click.option("--listen", type=LISTEN, multiple=True, default=[POOL_LISTEN], show_default="tcp:127.0.0.1:5041")
@click.option("--data", type=FILE, help="SQLite file for rooms and history; default: in memory.")
@click.option("--rooms", "rooms_file", type=EXISTING_FILE, help="TOML file of rooms.")
@click.option("--room", "rooms", multiple=True, metavar="NAME", help="A room to have; may be repeated.")
@click.option("--domain", type=DOMAIN, default="contoso.com", show_default=True, help="SIP domain of the pool's URIs.")
@click.option(
    "--service-uri",
    type=SERVICE_URI,
    default="",
    help="Its own contact object, as the gateway's pool.service_uri has it; default: that of a gateway's first pool.",
)
@click.option("--certificate", type=EXISTING_FILE, help="PEM file, for --listen tls:...")
@click.option("--private-key", type=EXISTING_FILE, help="PEM file of its key.")
@click.option(
    "--ca", type=EXISTING_FILE, help="PEM file; whoever connects has to show a certificate of these authorities."
)
@click.pass_context
def pool(context: click.Context, /, **options: Any) -> int:
    """Run an emulated Persistent Chat pool; or, with a command, move the data of one."""
    if context.invoked_subcommand is not None:
        return 0
    _log_as_default()
    if any(item.transport == "TLS" for item in options["listen"]):
        for name in ("certificate", "private_key"):
            if options[name] is None:
                raise click.UsageError(f"--listen tls:... needs --{name.replace('_', '-')}")
    from sipgw.server.pool_app import run_pool

    return run(run_pool(PoolOptions(**options)))


@commands.command()
@click.option("--user", type=ADDRESS, required=True, help="Who signs in.")
@click.option("--server", type=SERVER, required=True, help="The gateway.")
@click.option("--contact-object", type=ADDRESS, default="", help="Whom to ask for the chat service; default: ocschat@.")
@click.option("--join", multiple=True, metavar="NAME", help="Join a room; may be repeated.")
@click.option("--say", multiple=True, metavar="TEXT", help="Say this in every joined room; may be repeated.")
@click.option("--expect", multiple=True, metavar="TEXT", help="Wait until somebody says this; may be repeated.")
@click.option("--history", is_flag=True, help="Show what was said before.")
@click.option("--rooms", "list_rooms", is_flag=True, help="List the rooms.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=30.0, show_default=True, metavar="SECONDS")
@click.option("--ca", type=EXISTING_FILE, help="PEM file to check the gateway's certificate against.")
@login_options
def client(user: str, contact_object: str, login: str, password_file: Path | None, auth: str, **options: Any) -> int:
    """Run an emulated legacy client: sign in, find the chat service, then what the options say.

    Without --join, --say, --expect, --history or --rooms it is a small chat program.
    """
    _log_as_default()
    from sipgw.server.client_app import run_client

    contact_object = contact_object or f"sip:ocschat@{user.rpartition('@')[2]}"
    options |= read_login(login, password_file, auth)
    return run(run_client(ClientOptions(user, contact_object=contact_object, **options)))


@commands.command(hidden=True)
@click.option("--ladder", is_flag=True, help="Sign in two clients, show their call, then end.")
def demo(ladder: bool) -> int:
    """Run a gateway, a pool and two rooms in one process."""
    _log_as_default()
    from sipgw.server.demo_app import run_demo

    return run(run_demo(ladder))


def _log_as_default() -> None:
    defaults = Log()
    log.configure(defaults.format, defaults.level)

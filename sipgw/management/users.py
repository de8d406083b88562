"""`sipgw user add|list|remove|enable|disable`: the entries of the file of users.

They act on the file that `auth.users` of `--config` names. A gateway that runs on it takes them over by itself.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sipgw.auth.accounts import Account
from sipgw.auth.password import ha1_of, nt_hash
from sipgw.config import Config, ConfigError, load_config
from sipgw.config.users import (
    UsersRules,
    addresses,
    parse_name_of_account,
    parse_password,
    read_users,
    user_part,
    users_rules,
)
from sipgw.config.users_text import editing, replace_file, with_entry, without_entry
from sipgw.management.cmdlets.choose import backend_for
from sipgw.management.parameters import ADDRESS, Parsed, config_option
from sipgw.registry import AlreadyExists

ACCOUNT_NAME = Parsed("name", parse_name_of_account, needed=True)
as_json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON, for machines. Never any secret.")


@click.group()
def user() -> None:
    """Users that may sign in, in the file that auth.users names."""


@user.command()
@click.argument("uri", type=ADDRESS)
@click.option("--name", "names", type=ACCOUNT_NAME, multiple=True, help="An account name; the first is Digest's.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of asking.")
@click.option("--clear", is_flag=True, help="Write the password itself instead of what it is checked against.")
@click.option("--disabled", is_flag=True, help="May not sign in.")
@click.option("--replace", is_flag=True, help="Also if there is one, as for another password.")
@as_json_option
@config_option
def add(uri: str, names: tuple[str, ...], as_json: bool, config_path: Path | None, **options: Any) -> None:
    """Add the user URI (sip:user@domain), asking for the password."""
    path, rules = _file(load_config(config_path))
    names = names or (user_part(uri),)
    password = _ask(options["password_stdin"])
    ha1 = ha1_of(names[0], rules.realm, password)
    account = Account(uri, names, nt_hash(password), ha1, not options["disabled"])

    def change(text: str) -> str:
        known = _position(text, uri, path)
        if known is not None and not options["replace"]:
            raise ConfigError([f"{path}: {uri} is there already; give --replace for another password or other names"])
        rest = text if known is None else without_entry(text, known, path)
        return with_entry(rest, account, rules.realm, password if options["clear"] else None)

    _change(path, rules, change)
    _tell(account, as_json, f"{uri} signs in as {', '.join(names)}; in Digest as {names[0]}")


@user.command("list")
@as_json_option
@config_option
def list_users(as_json: bool, config_path: Path | None) -> None:
    """List the users."""
    path, rules = _file(load_config(config_path))
    found = read_users(path.read_text("utf-8"), path, rules) if path.exists() else []
    if as_json:
        click.echo(json.dumps([_as_dict(account) for account in found], indent=2))
    elif found:
        _show_table(found)


@user.command()
@click.argument("uri", type=ADDRESS)
@as_json_option
@config_option
def remove(uri: str, as_json: bool, config_path: Path | None) -> None:
    """Remove the user URI."""
    path, rules = _file(load_config(config_path))
    removed: list[Account] = []

    def change(text: str) -> str:
        known = _position(text, uri, path)
        if known is None:
            raise ConfigError([f"{path}: there is no user {uri}; `sipgw user list` shows those that there are"])
        removed.append(read_users(text, path, rules)[known])
        return without_entry(text, known, path)

    _change(path, rules, change)
    _tell(removed[0], as_json, f"{uri} is removed")


@user.command()
@click.argument("uri", type=ADDRESS)
@as_json_option
@config_option
def enable(uri: str, as_json: bool, config_path: Path | None) -> None:
    """Let the user URI sign in again."""
    _set_enabled(uri, True, as_json, load_config(config_path))


@user.command()
@click.argument("uri", type=ADDRESS)
@as_json_option
@config_option
def disable(uri: str, as_json: bool, config_path: Path | None) -> None:
    """Let the user URI no longer sign in; the entry stays, with what the password is checked against."""
    _set_enabled(uri, False, as_json, load_config(config_path))


def _set_enabled(uri: str, enabled: bool, as_json: bool, config: Config) -> None:
    path, rules = _file(config)

    def found() -> Account | None:
        accounts = read_users(path.read_text("utf-8"), path, rules) if path.exists() else []
        return next((one for one in accounts if one.uri == uri), None)

    account = found()
    if account is None:
        raise ConfigError([f"{path}: there is no user {uri}; `sipgw user list` shows those that there are"])
    if account.enabled != enabled:
        backend = backend_for(config)
        held = next((one for one in backend.registry().endpoints() if one.sip_address == uri), None)
        if enabled and held is not None:
            raise AlreadyExists(
                f"{uri} is an endpoint, to {held.pool_fqdn}; `sipgw endpoint remove {uri}` removes that"
            )
        backend.enable_user(uri, enabled)
    _tell(found() or account, as_json, f"{uri} {'may sign in' if enabled else 'may no longer sign in'}")


def _file(config: Config) -> tuple[Path, UsersRules]:
    path = config.auth.users_file
    if path is None:
        raise ConfigError([f"auth.users is the directory {config.auth.users}: its own tools make and remove users"])
    return path.resolve(), users_rules(config)


def _ask(from_stdin: bool) -> str:
    """Raises click.UsageError for what cannot be a password."""
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt="Once more", err=True)
    try:
        return parse_password(password)
    except ValueError as error:
        raise click.UsageError(f"the password {error}".replace("is no password; write", "has to be")) from None


def _position(text: str, uri: str, path: Path) -> int | None:
    """Which entry is that of `uri`. What else is wrong with the file is said when it is checked."""
    return next((at for at, known in enumerate(addresses(text, path)) if known == uri), None)


def _change(path: Path, rules: UsersRules, change: Callable[[str], str]) -> None:
    """Replace the file by one that is good, or leave it. Raises ConfigError or OSError."""
    with editing(path):
        text = change(path.read_text("utf-8") if path.exists() else "")
        read_users(text, path, rules)
        replace_file(path, text)


def _as_dict(account: Account) -> dict[str, Any]:
    return {
        "uri": account.uri,
        "names": list(account.names),
        "ntlm": bool(account.nt_hash),
        "digest": list(account.ha1),
        "enabled": account.enabled,
    }


def _tell(account: Account, as_json: bool, sentence: str) -> None:
    click.echo(json.dumps(_as_dict(account), indent=2) if as_json else sentence)


def _show_table(found: list[Account]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("address", "names", "NTLM", "Digest", ""):
        table.add_column(heading, no_wrap=True)
    for one in found:
        texts = (one.uri, ", ".join(one.names), "yes" if one.nt_hash else "-", " ".join(one.ha1) or "-")
        table.add_row(*map(Text, (*texts, "" if one.enabled else "disabled")))
    terminal = Console()
    console = terminal if terminal.is_terminal else Console(width=1000)  # what is not for a terminal is not cut to fit
    console.print(table)

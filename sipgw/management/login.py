"""The options of commands that sign in as somebody, and how they come by the password: never as an argument, which
whoever lists processes could read."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sipgw.config.users import parse_name_of_account, parse_password
from sipgw.management.parameters import EXISTING_FILE, F, Parsed

VARIABLE = "SIPGW_PASSWORD"
SCHEMES = ("auto", "ntlm", "digest", "kerberos")
_MAX_FILE = 4096  # bytes that are read; the password is the first line


def login_options(command: F) -> F:
    """Adds --login, --password-file and --auth, which come as `login`, `password_file` and `auth`."""
    options: list[Callable[[F], F]] = [
        click.option(
            "--login",
            type=Parsed("name", parse_name_of_account, needed=True),
            help="Sign in with this account: CORP\\alice, alice@corp.contoso.com or alice.",
        ),
        click.option(
            "--password-file",
            type=EXISTING_FILE,
            help=f"Its first line is the password. Else {VARIABLE} of the environment is; else it is asked for.",
        ),
        click.option("--auth", type=click.Choice(SCHEMES), default="auto", show_default=True, help="How to sign in."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def read_login(login: str | None, password_file: Path | None, auth: str) -> dict[str, Any]:
    """`login`, `password` and `auth` for ClientOptions. Raises click.UsageError."""
    if not login and (password_file is not None or auth != "auto"):
        raise click.UsageError("--password-file and --auth need --login NAME, the account to sign in with")
    password = _password(login, password_file) if login and auth != "kerberos" else ""
    return {"login": login or "", "password": password, "auth": auth}


def _password(login: str, path: Path | None) -> str:
    source, password = _found(login, path)
    try:
        return parse_password(password)
    except ValueError as error:
        reason = str(error).replace("is no password; write", "has to be").replace(" in quotes", "")
        raise click.UsageError(f"the password {source} {reason}") from None


def _found(login: str, path: Path | None) -> tuple[str, str]:
    """Where the password is from, for people, and the password."""
    if path is not None:
        return f"in {path}", _first_line(path)
    if VARIABLE in os.environ:
        return f"in {VARIABLE}", os.environ[VARIABLE]
    if sys.stdin is None or not sys.stdin.isatty():
        raise click.UsageError(f"--login needs a password: --password-file FILE, or {VARIABLE} in the environment")
    return "", str(click.prompt(f"Password of {login}", hide_input=True, err=True))


def _first_line(path: Path) -> str:
    with path.open("rb") as file:
        line = file.read(_MAX_FILE).split(b"\n", 1)[0]
    try:
        return line.decode("utf-8-sig").rstrip("\r")
    except UnicodeDecodeError:
        raise click.UsageError(f"{path}: the password is not text in UTF-8") from None

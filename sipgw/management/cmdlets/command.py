"""`sipgw cmdlet`: an administrator's lines, verbatim."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from sipgw.config import load_config
from sipgw.management.cmdlets.catalog import CMDLETS
from sipgw.management.cmdlets.choose import backend_for
from sipgw.management.cmdlets.cmdlet import ACTIONS, Cmdlet
from sipgw.management.cmdlets.errors import CmdletError
from sipgw.management.cmdlets.items import Item
from sipgw.management.cmdlets.output import as_json, as_lines
from sipgw.management.cmdlets.runner import Run
from sipgw.management.parameters import EXISTING_FILE, Parsed, config_option

ACTION = Parsed("action", lambda written: ACTIONS(str(written)))
CHOICE = click.Choice(["Y", "A", "N", "L"], case_sensitive=False)
_ANSWERS = "[Y] Yes  [A] Yes to All  [N] No  [L] No to All  (default is Y)"


class Terminal:
    """Writes beside the output, and asks; without a terminal to ask at, says how to do without."""

    def __init__(self, as_json: bool, credentials: Mapping[str, str] | None = None) -> None:
        """`credentials` are passwords by the accounts' names, in lower case."""
        self._as_json = as_json
        self._credentials = credentials or {}
        self._always: bool | None = None

    def say(self, line: str) -> None:
        click.echo(line, err=self._as_json or not line.startswith("What if:"))

    def confirm(self, what: str) -> bool:
        if self._always is not None:
            return self._always
        if not sys.stdin.isatty():
            text = "there is no terminal to ask at; give -Confirm:$false to go ahead unasked"
            raise CmdletError(text, "NotInteractive")
        click.echo(f"\nConfirm\nAre you sure you want to perform this action?\n{what}", err=True)
        answer = click.prompt(_ANSWERS, "Y", type=CHOICE, show_choices=False, show_default=False, err=True)
        if answer in ("A", "L"):
            self._always = answer == "A"
        return answer in ("Y", "A")

    def password(self, name: str, variable: str) -> str:
        if name.lower() in self._credentials:
            return self._credentials[name.lower()]
        if variable in os.environ:
            return os.environ[variable]
        if not sys.stdin.isatty():
            text = (
                f"there is no terminal to ask for the password of {name} at; "
                f"put it into a file of --credentials, or into the environment as {variable}"
            )
            raise CmdletError(text, "NotInteractive")
        return str(click.prompt(f"Password of {name}", hide_input=True, err=True))


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    return [cmdlet.name for cmdlet in CMDLETS if cmdlet.name.lower().startswith(incomplete.lower())]


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("line", required=False, shell_complete=_complete)
@click.option("--file", "script", type=EXISTING_FILE, help="Read lines from a file.")
@click.option("--what-if", is_flag=True, help="As if every line had -WhatIf: nothing is changed.")
@click.option("--error-action", type=ACTION, default="Stop", help="Where a line has no -ErrorAction; default: Stop.")
@click.option("--json", "json_wanted", is_flag=True, help="Write one JSON array of all objects, for machines.")
@click.option("--list", "list_wanted", is_flag=True, help="Show the cmdlets and their parameters.")
@click.option(
    "--credentials",
    type=EXISTING_FILE,
    help="A file with an account in each line: its name, a blank, its password. Nobody is asked for these.",
)
@config_option
def cmdlet(line: str | None, script: Path | None, config_path: Path | None, **options: Any) -> int:
    """Carry out LINE, an administrator's line of PowerShell with one of the Persistent Chat cmdlets in it.

    LINE goes into single quotes, for the shell's sake. Without a LINE, or for -, lines come from standard input.

    \b
    sipgw cmdlet 'New-CsPersistentChatEndpoint -SipAddress sip:chat@contoso.com -PersistentChatPoolFqdn pc.contoso.com'
    """
    if options["list_wanted"]:
        click.echo("\n".join(map(_described, CMDLETS)))
        return 0
    text = _text(line, script)
    found: list[Item] = []
    as_one = options["json_wanted"]
    show = found.extend if as_one else _show
    host = Terminal(as_one, _credentials(options["credentials"]))
    backend = backend_for(load_config(config_path))
    run = Run(backend, host, show, _complain, options["what_if"], str(options["error_action"]))
    good = run.script(text)
    if as_one:
        click.echo(as_json(found))
    return 0 if good else 1


def _credentials(path: Path | None) -> dict[str, str]:
    """Passwords by the names of accounts. Raises click.UsageError, without anything of the file in it."""
    found: dict[str, str] = {}
    try:
        lines = path.read_text("utf-8-sig").splitlines() if path is not None else []
    except UnicodeDecodeError:
        raise click.UsageError(f"{path} is not UTF-8; save it as that") from None
    for number, line in enumerate(lines, 1):
        name, _, password = line.strip().partition(" ")
        if line.strip() and not password.strip():
            raise click.UsageError(f"{path}, line {number}: write an account's name, a blank, and its password")
        found[name.lower()] = password.strip()
    return found


def _text(line: str | None, script: Path | None) -> str:
    """Raises click.UsageError for what is no text."""
    if line is not None and script is not None:
        raise click.UsageError("give a LINE or --file, not both")
    try:
        if script is not None:
            return script.read_text("utf-8-sig")
        return sys.stdin.read() if line is None or line == "-" else line
    except UnicodeDecodeError:
        raise click.UsageError(f"{script or 'standard input'} is not UTF-8; save it as that") from None


def _show(items: list[Item]) -> None:
    for line in as_lines(items):
        click.echo(line)


def _complain(text: str) -> None:
    click.echo(text, err=True)


def _described(one: Cmdlet) -> str:
    parameters = " ".join(f"-{parameter.name}" for parameter in one.parameters)
    return f"{one.name}\n    {one.about}\n    {parameters}".rstrip()

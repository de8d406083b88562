"""`--help` reads like a man page: of each command the exit status, and examples that the program can read."""

import re
import shlex
from pathlib import Path

import click
import pytest

from sipgw.management.cli import commands
from sipgw.management.manual import sections
from tests.management.conftest import Run
from tests.management.test_documented_lines import read

FIXED = (
    "serve", "check", "explain", "endpoint", "cmdlet", "pool",
    "lookup", "client", "trace", "cutover", "backup", "restore",
)  # fmt: skip
EXAMPLES = [line for name in FIXED for line in sections(name)["Examples"]]


@pytest.mark.parametrize("name", FIXED)
def test_each_command_has_its_manual(sipgw: Run, name: str) -> None:
    """In the help itself, line by line as it is to be copied."""
    status, out, _ = sipgw(name, "--help", config=None)
    assert status == 0
    titles = re.findall(r"^(\w[\w ]*):$", out, re.MULTILINE)
    assert {"Options", "Exit status", "Examples"} <= set(titles)
    for lines in sections(name).values():
        assert all(f"\n  {line}\n" in out for line in lines)
    assert {line[0] for line in sections(name)["Exit status"]} >= {"0", "1", "2"}
    assert all(name in line for line in sections(name)["Examples"][:1])


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_is_understood(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("legacy.db", "pcpool.db", "rooms.zip", "runbook.ps1", "sipgw-copy.db"):
        Path(file).touch()
    context = read(shlex.join(shlex.split(line, comments=True)))
    assert context.command.callback is not None


def test_what_waits_for_signals_says_which() -> None:
    for name in ("serve", "pool", "lookup"):
        assert any(line.startswith("SIGTERM, SIGINT ") for line in sections(name)["Signals"])
    assert {"SIGHUP", "SIGUSR1"} <= {line.split()[0] for line in sections("serve")["Signals"]}


def test_every_command_that_is_shown_is_in_the_list() -> None:
    """But for those that are not of the fixed ones."""
    context = click.Context(commands)
    shown = {name for name in commands.list_commands(context) if not commands.get_command(context, name).hidden}  # type: ignore[union-attr]
    assert shown - set(FIXED) == {"completion", "pool-state", "user"}

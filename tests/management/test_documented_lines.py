"""The lines of docs/cutover.md and docs/rehearsal.md are lines that the program reads."""

import shlex
from pathlib import Path

import click
import pytest

from sipgw.management.cli import commands

DOCS = Path(__file__).parents[2] / "docs"
LINES = [
    (name, line.strip().rpartition("| ")[2])
    for name in ("cutover.md", "rehearsal.md")
    for line in (DOCS / name).read_text("utf-8").splitlines()
    if line.startswith("    ") and line.strip().rpartition("| ")[2].startswith("sipgw ")
]


def read(line: str) -> click.Context:
    """Parse a line down to its last command."""
    words = shlex.split(line)[1:]
    command: click.Command = commands
    context = command.make_context("sipgw", words)
    while isinstance(command, click.Group) and (rest := [*context._protected_args, *context.args]):
        found = command.get_command(context, rest[0])
        assert found is not None, f"{rest[0]}: no such command"
        command = found
        context = command.make_context(rest[0], rest[1:], parent=context)
    return context


@pytest.mark.parametrize(("name", "line"), LINES, ids=[line for _, line in LINES])
def test_a_documented_line_is_understood(name: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("sipgw.toml", "legacy.db", "pcpool.db", "rooms.zip"):
        Path(file).touch()
    context = read(line)
    assert context.command.callback is not None


def test_there_are_lines() -> None:
    assert len(LINES) > 20

"""`sipgw pool export|import|compare`: rooms, their people and their history, from one emulated pool to another."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sipgw.groupchat.archive import Level, Manifest
from sipgw.management.parameters import EXISTING_FILE, FILE
from sipgw.server.room_archive import export
from sipgw.server.room_archive_import import Existing, Report, import_archive
from sipgw.server.room_compare import Comparison, compare

LEVELS = click.Choice(get_args(Level), case_sensitive=False)
data_option = click.option("--data", type=FILE, required=True, help="The --data of the pool.")


@click.command("export")
@click.argument("file", type=FILE)
@data_option
@click.option(
    "--level", type=LEVELS, default="All", show_default=True, help="Rooms, users' own data, or messages only."
)
@click.option(
    "--start-date", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="Leave older messages out; UTC."
)
def export_(file: Path, data: Path, level: Level, start_date: datetime | None) -> None:
    """Write the rooms of a pool, with members, settings and history, to the archive FILE.

    The pool may run meanwhile: what is exported is one state of it. FILE is whole or not there at all.
    """
    since = None if start_date is None else start_date.replace(tzinfo=UTC).timestamp()
    manifest = export(data, file, time.time(), level, since)
    click.echo(f"{file}: {_contents(manifest)}")


def _contents(manifest: Manifest) -> str:
    return ", ".join(f"{part.records} {part.name.partition('.')[0]}" for part in manifest.parts)


@click.command("import")
@click.argument("file", type=EXISTING_FILE)
@data_option
@click.option("--what-if", is_flag=True, help="Say what would happen and change nothing; also while the pool runs.")
@click.option("--report", "report_file", type=FILE, help="Write what happened to this file as well, as JSON.")
@click.option(
    "--existing",
    type=click.Choice(get_args(Existing)),
    default="refuse",
    show_default=True,
    help="A room that is there already and differs: refuse all, keep it, or replace it by the archive's.",
)
def import_(file: Path, data: Path, what_if: bool, report_file: Path | None, existing: Existing) -> None:
    """Bring the rooms of the archive FILE into the data of a pool that is stopped.

    All or nothing: what was interrupted is run again. What is there already stays as it is and is not there twice.
    Rooms keep their addresses, so that clients find them again.
    """
    with _report(report_file) as write:
        report = import_archive(file, data, existing, what_if)
        write(json.dumps(_as_dict(report), indent=2) + "\n")
    _show(report, file, data)


@contextmanager
def _report(path: Path | None) -> Iterator[Callable[[str], object]]:
    """Takes what the report says. It is opened beforehand: once all is imported it would be too late to find that it
    cannot be; and a report of before stays until then."""
    if path is None:
        yield lambda text: None
        return
    new = path.with_name(f".{path.name}.new")
    try:
        with new.open("w", encoding="utf-8") as file:
            yield file.write
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _as_dict(report: Report) -> dict[str, Any]:
    told = asdict(report)
    del told["manifest"]["parts"]
    return told


def _show(report: Report, file: Path, data: Path) -> None:
    exported = datetime.fromtimestamp(report.manifest.created, UTC).isoformat(" ", "seconds")
    click.echo(f"{file}: level {report.manifest.level}, exported {exported}")
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    headings = {"given": "in it", "new": "new", "there": "there already", "replaced": "replaced", "kept": "kept"}
    headings["beyond"] = "too old"
    for heading in headings.values():
        table.add_column(heading, justify="right")
    for kind, tally in report.tallies.items():
        table.add_row(kind, *(str(getattr(tally, name)) for name in headings))
    _print(table)
    for name in report.renumbered:
        click.echo(f"the messages of {name!r} were numbered anew: both pools had used the same numbers")
    done = "what would be done" if report.what_if else "done"
    click.echo(f"{data}: {done}" if report.changes else f"{data}: nothing to do, all of it is there")


@click.command("compare")
@click.argument("first", type=EXISTING_FILE)
@click.argument("second", type=EXISTING_FILE)
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for machines.")
def compare_(first: Path, second: Path, as_json: bool) -> int:
    """Whether the data file SECOND has all rooms and messages of FIRST; exit status 1 when it has not.

    The pools may run meanwhile.
    """
    comparison = compare(first, second)
    if as_json:
        told = {**asdict(comparison), "complete": comparison.is_complete}
        click.echo(json.dumps(told, indent=2))
    else:
        _show_comparison(comparison, first, second)
    return 0 if comparison.is_complete else 1


def _show_comparison(comparison: Comparison, first: Path, second: Path) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("room", first.name, second.name, "missing", ""):
        table.add_column(heading, justify="left" if heading in ("room", "") else "right")
    for room in comparison.rooms:
        verdict = "ok" if room.is_there else f"differs: {', '.join(room.differences)}" if room.differences else "FAIL"
        counts = (str(room.messages), str(room.messages_there), str(room.missing))
        table.add_row(*map(Text, (room.name, *counts, verdict)))
    _print(table)
    for name in comparison.only_there:
        click.echo(f"only in {second}: {name}")
    complete = "has all of" if comparison.is_complete else "does not have all of"
    click.echo(f"{second} {complete} {first}: {len(comparison.rooms)} rooms, {comparison.messages} messages")


def _print(table: Table) -> None:
    terminal = Console()
    console = terminal if terminal.is_terminal else Console(width=1000)  # what is not for a terminal is not cut to fit
    console.print(table)

"""What the bench found out, as tables: on the terminal, in JSON, and in the marked part of docs/performance.md."""

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmark import machine

BEGIN, END = "<!-- figures: written by scripts/bench, not by hand -->", "<!-- end of figures -->"


class ReportError(Exception):
    """What was found cannot be written where it should be; the text says why."""


@dataclass(frozen=True)
class Goal:
    """Something wanted, what was found, and whether that will do."""

    text: str
    wanted: str
    found: str
    met: bool


def at_most(text: str, found: float, limit: float, unit: str = "") -> Goal:
    return Goal(text, f"at most {_figure(limit)}{unit}", f"{_figure(found)}{unit}", found <= limit)


def at_least(text: str, found: float, limit: float, unit: str = "") -> Goal:
    return Goal(text, f"at least {_figure(limit)}{unit}", f"{_figure(found)}{unit}", found >= limit)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


@dataclass(frozen=True)
class Section:
    """One command's findings: a table, goals, and the figures behind them. `command` is how to get them again."""

    name: str
    title: str
    command: str
    columns: list[str]
    rows: list[list[str]]
    goals: list[Goal] = field(default_factory=list)
    data: Any = None


def show(section: Section) -> None:
    console = Console()
    table = Table(*section.columns, title=section.title)
    for row in section.rows:
        table.add_row(*row, style="bold" if any(cell.startswith("ratio") for cell in row) else "")
    console.print(table)
    if section.goals:
        goals = Table("goal", "wanted", "found", "")
        for goal in section.goals:
            goals.add_row(goal.text, goal.wanted, goal.found, "met" if goal.met else "[bold]not met[/bold]")
        console.print(goals)


def keep(section: Section, file: Path) -> None:
    """Put a section in the place of its last one in the JSON file."""
    kept = _read(file)
    kept["machine"] = machine.describe()
    kept.setdefault("sections", {})[section.name] = {"date": f"{datetime.now(UTC):%Y-%m-%d}", **asdict(section)}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(kept, indent=1) + "\n")


def _read(file: Path) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    if file.exists():
        try:
            kept = json.loads(file.read_text())
        except ValueError:
            raise ReportError(f"{file} is no JSON; move it away, or name another file with --json") from None
        if "sections" not in kept:  # of an earlier release
            return {}
    return kept


def write(document: Path, file: Path, order: list[str]) -> None:
    """Replace the marked part of a Markdown document by all that the JSON file holds. Raises ReportError."""
    text = document.read_text("utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ReportError(f"{document} has no lines {BEGIN!r} and {END!r} to write between")
    document.write_text(f"{before}{BEGIN}\n\n{markdown(_read(file), order)}\n{END}{after}", "utf-8")


def markdown(kept: dict[str, Any], order: list[str]) -> str:
    """Goals first, then every section, each with its command and date."""
    sections = [kept["sections"][name] for name in order if name in kept.get("sections", {})]
    goals = [
        [goal["text"], goal["wanted"], goal["found"], "yes" if goal["met"] else "**no**"]
        for section in sections
        for goal in section["goals"]
    ]
    parts = [f"{kept.get('machine', machine.describe())}\n"]
    if goals:
        parts.append(_table(["goal", "wanted", "found", "met"], goals))
    for section in sections:
        heading = f"### {section['title']}\n\n    {section['command']}\n\n{section['date']}.\n"
        parts.append(f"{heading}\n{_table(section['columns'], section['rows'])}")
    return "\n".join(parts)


def _table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)

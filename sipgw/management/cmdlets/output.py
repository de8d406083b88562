"""Objects as PowerShell shows them: as lists, as tables, as JSON."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from sipgw.management.cmdlets.items import Item, as_text


@dataclass(frozen=True)
class Formatted:
    """What Format-List or Format-Table makes of objects."""

    style: Literal["list", "table"]
    items: Sequence[Item]
    headings: bool = True


def as_lines(items: Iterable[Item]) -> list[str]:
    """What a person reads. Texts stand as they are, everything else as a list."""
    lines: list[str] = []
    for is_text, group in groupby(items, lambda item: item.kind == "String"):
        if is_text:
            lines += [line for item in group for line in as_text(item.properties["Value"]).split("\n")]
        else:
            lines += _shown(list(group))
    return lines


def _shown(items: list[Item]) -> list[str]:
    lines: list[str] = []
    for item in items:
        if isinstance(item.source, Formatted):
            shown = item.source
            lines += _table(shown.items, shown.headings) if shown.style == "table" else _list(shown.items)
    return lines or _list(items)


def _list(items: Sequence[Item]) -> list[str]:
    lines: list[str] = []
    for item in items:
        width = max((len(item.labels.get(name, name)) for name in item.properties), default=0)
        lines.append("")
        for name, value in item.properties.items():
            label = item.labels.get(name, name)
            lines.append(f"{label:{width}} : {_printable(as_text(value))}".rstrip())
    return [*lines, ""] if lines else []


def _table(items: Sequence[Item], headings: bool = True) -> list[str]:
    if not items:
        return []
    names = list(dict.fromkeys(name for item in items for name in item.properties))
    rows = [[_printable(as_text(item.properties.get(name))) for name in names] for item in items]
    widths = [max(len(name), *(len(row[at]) for row in rows)) for at, name in enumerate(names)]
    lines = [*([names, ["-" * len(name) for name in names]] if headings else []), *rows]
    return ["", *("  ".join(f"{cell:{widths[at]}}" for at, cell in enumerate(row)).rstrip() for row in lines), ""]


def _printable(text: str) -> str:
    """A terminal must not be steered by what somebody wrote into a name."""
    return "".join(char if char.isprintable() else " " for char in text)


def as_json(items: Iterable[Item]) -> str:
    """What a machine reads: an array of all objects."""
    return json.dumps(
        [value for item in items for value in _values(item)], indent=2, ensure_ascii=False, default=as_text
    )


def plain(item: Item) -> Any:
    """What JSON has of an object: of a text, itself."""
    return item.properties["Value"] if item.kind == "String" else dict(item.properties)


def _values(item: Item) -> list[Any]:
    if isinstance(item.source, Formatted):
        return [dict(one.properties) for one in item.source.items]
    return [plain(item)]

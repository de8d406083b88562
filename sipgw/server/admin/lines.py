"""Where in a TOML file a key stands, for problems that name the key alone."""

import re
from pathlib import Path

from sipgw.server.admin.models import Fault

MAX_SIZE = 1 << 20  # bytes of a file that is looked through
_PART = re.compile(r"([^.\[\]]+)(?:\[(\d+)\])?")
_AT_LINE = re.compile(r"\b(?:at line|line) (\d+)")


def fault_of(problem: str) -> Fault:
    """A line of ConfigError, `FILE: KEY: TEXT`, taken apart."""
    file, first, rest = problem.partition(": ")
    if not first:
        return Fault(text=problem)
    at = _AT_LINE.search(rest)
    if at is not None:  # what is no TOML is told with its line, and has no key
        return Fault(text=rest, file=file, line=int(at[1]))
    key, second, text = rest.partition(": ")
    if not second or " " in key:
        return Fault(text=rest, file=file)
    return Fault(key=key, text=text, file=file, line=line_of(Path(file), key))


def line_of(path: Path, key: str) -> int:
    """The line of a key such as `pool[0].servers[1]`, or of the table that should have it; 0 where there is neither."""
    try:
        with path.open("rb") as file:
            lines = file.read(MAX_SIZE).decode("utf-8", "replace").splitlines()
    except OSError:
        return 0
    parts = _PART.findall(key)
    if not parts:
        return 0
    (table, index), name = parts[0], parts[1][0] if len(parts) > 1 else ""
    start = _header(lines, table, int(index or 0))
    if start is None:
        return 0
    for number in range(start + 1, len(lines)):
        if lines[number].lstrip().startswith("["):
            break
        if re.match(rf'\s*"?{re.escape(name)}"?\s*=', lines[number]) and name:
            return number + 1
    return start + 1


def _header(lines: list[str], table: str, index: int) -> int | None:
    """The line, from 0, of a [table], or of the [[table]] with that index."""
    pattern = re.compile(rf"\s*\[\[?\s*{re.escape(table)}\s*\]")
    found = [number for number, line in enumerate(lines) if pattern.match(line)]
    return found[index] if index < len(found) else None

"""The rows of docs/rfc-coverage, and the tests that there are for them to name."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

INDEX, PARTS = "rfc-coverage.md", "rfc-coverage"
STATES = ("holds", "not applicable", "departs")
_ROW_ID = re.compile(r"(?:\d{4}:)?[A-Z]?\d+(?:\.\d+)*-\d+")
_TEST = re.compile(r"`([^`\s]+\.py::\w+)`")


@dataclass(frozen=True)
class Row:
    """One rule. `id` is `16.6-5`, or `3581:4-1` where the RFC is not 3261; `tests` are node ids below tests/."""

    file: str
    id: str
    rule: str
    who: str
    state: str
    reason: str
    tests: tuple[str, ...]

    @property
    def rfc(self) -> str:
        return self.id.partition(":")[0] if ":" in self.id else "3261"

    @property
    def section(self) -> str:
        return self.id.rpartition(":")[2].rpartition("-")[0]


def read_rows(docs: Path) -> list[Row]:
    """All rows of the index and of its parts, in order. Raises ValueError for a line that is no row of five cells."""
    files = [docs / INDEX, *sorted((docs / PARTS).glob("*.md"))]
    return [row for path in files if path.exists() for row in _rows_of(path)]


def _rows_of(path: Path) -> Iterator[Row]:
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("| ") or not _ROW_ID.fullmatch(cells[0]):
            continue
        if len(cells) != 5:
            raise ValueError(f"{path.name}:{number}: {len(cells)} cells, not 5")
        state, _, reason = cells[3].partition(":")
        number_of_row, rule, who = cells[:3]
        tests = tuple(_TEST.findall(cells[4]))
        yield Row(path.name, number_of_row, rule, who, state.strip(), reason.strip(), tests)


def named_tests(rows: Sequence[Row]) -> set[str]:
    return {test for row in rows for test in row.tests}


def functions_of(path: Path) -> set[str]:
    """Names of the test functions of a file, empty when it does not exist."""
    if not path.is_file():
        return set()
    body = ast.parse(path.read_text("utf-8")).body
    return {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}

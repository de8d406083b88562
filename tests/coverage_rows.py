"""The rows of docs/rfc-coverage, and a check at the end of a whole run that every test they name ran and passed.

`tests/rfc/conftest.py` registers the `Recorder`. When only a part of the suite runs it says nothing.
"""

import ast
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

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


def _excused(report: pytest.TestReport) -> bool:
    return report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") != "true"


class Recorder:
    """Sees which tests ran, and fails a whole run in which one that the table names did not run and pass.

    A test that was skipped because its real peer is missing is excused, but not in CI.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._root = config.rootpath
        chosen = config.option.ignore or config.option.ignore_glob or config.option.collectonly
        self._whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not chosen
        self._passed: set[str] = set()
        self._failed: set[str] = set()
        self._missing: list[str] = []

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self._whole = self._whole and not items

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid.partition("[")[0].partition("/")[2]
        if report.failed:
            self._failed.add(name)
        elif (report.when == "call" and report.passed) or _excused(report):
            self._passed.add(name)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        ended_early = session.shouldstop or session.shouldfail
        if not self._whole or ended_early or exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return
        named = named_tests(read_rows(self._root / "docs"))
        self._missing = sorted(named - (self._passed - self._failed))
        if self._missing:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._missing:
            terminalreporter.section("docs/rfc-coverage.md names tests that did not run and pass", red=True)
            for test in self._missing:
                terminalreporter.line(test)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config) -> None:
    """For a conftest: registers the recorder, since a conftest is told of the tests in its own folder only."""
    if not config.pluginmanager.has_plugin("coverage_rows"):
        config.pluginmanager.register(Recorder(config), "coverage_rows")

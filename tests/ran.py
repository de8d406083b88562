"""After the whole suite, from pytest's JUnit reports: every test ran, and those of docs/rfc-coverage.md passed.

`scripts/test` runs the suite in several goes, so that none of them sees all of it.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from tests.coverage_rows import functions_of, named_tests, read_rows

ROOT = Path(__file__).parent.parent


def problems(root: Path, reports: Sequence[Path]) -> list[str]:
    """A line for each test that no report speaks of, or that a row names and that did not pass. Tests are named as in
    the rows: `rfc/test_some.py::test_here`. One that is skipped because its real peer is missing is excused, but not
    in CI."""
    results = [result for report in reports for result in _results(report)]
    ran = {name for name, _ in results}
    failed = {name for name, passed in results if not passed}
    named = named_tests(read_rows(root / "docs"))
    found = [f"{name} did not run" for name in sorted((_tests(root) | named) - ran)]
    return found + [f"{name} is named by docs/rfc-coverage.md and did not pass" for name in sorted(named & failed)]


def _tests(root: Path) -> set[str]:
    """Every test function of the suite. One that is defined under a condition may not be there."""
    files = (root / "tests").rglob("test_*.py")
    return {
        f"{path.relative_to(root / 'tests').as_posix()}::{name}"
        for path in files
        for name in functions_of(path)
        if name.startswith("test_")
    }


def _results(report: Path) -> Iterator[tuple[str, bool]]:
    """A test's name and whether it passed, for each case of a report."""
    for case in ElementTree.parse(report).iter("testcase"):
        file = case.get("classname", "").removeprefix("tests.").replace(".", "/")
        yield f"{file}.py::{case.get('name', '').partition('[')[0]}", all(map(_excused, case))


def _excused(outcome: ElementTree.Element) -> bool:
    """Whether what a report has below a case is no failure: what it printed, or a peer that is missing."""
    if outcome.tag in ("failure", "error"):
        return False
    return outcome.tag != "skipped" or (outcome.get("type") == "pytest.skip" and os.environ.get("CI") != "true")


if __name__ == "__main__":
    found = problems(ROOT, [Path(argument) for argument in sys.argv[1:]])
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))

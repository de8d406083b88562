"""docs/rfc-coverage.md: every row says by which tests its rule holds, or why it does not; every test exists."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.coverage_rows import INDEX, PARTS, STATES, Row, functions_of, read_rows

ROOT = Path(__file__).parent.parent
ROWS = read_rows(ROOT / "docs")

# What the table has to cover: for each RFC the sections with rules for anybody, as the RFC numbers them.
SCOPE = {
    "3261": (
        "7 7.1 7.2 7.3.1 7.3.2 7.3.3 7.4.1 7.4.2 7.5 8.1.1 8.1.1.1 8.1.1.2 8.1.1.3 8.1.1.4 8.1.1.5 8.1.1.6 8.1.1.7 "
        "8.1.1.8 8.1.1.9 8.1.2 8.1.3.1 8.1.3.2 8.1.3.3 8.1.3.4 8.1.3.5 8.2 8.2.1 8.2.2 8.2.2.1 8.2.2.2 8.2.2.3 8.2.3 "
        "8.2.4 8.2.6.1 8.2.6.2 8.2.7 9.1 9.2 10.1 10.2 10.2.2 10.2.4 10.2.6 10.2.7 10.3 11 11.1 11.2 12.1 12.1.1 "
        "12.1.2 12.2.1.1 12.2.1.2 12.2.2 16.1 16.2 16.3 16.4 16.5 16.6 16.7 16.8 16.9 16.10 16.11 17.1 17.1.1.2 "
        "17.1.1.3 17.1.2.2 17.1.3 17.1.4 17.2.1 17.2.2 17.2.3 17.2.4 18 18.1.1 18.1.2 18.2.1 18.2.2 18.3 18.4 "
        "19.1.1 19.1.2 19.1.4 19.1.5 19.1.6 19.2 19.3 22.1 22.2 22.3 22.4"
    ),
    "3262": "3 4",
    "3263": "4 4.1 4.2 4.3 5",
    "3311": "5.1 5.2",
    "3325": "5",
    "3327": "5.1 5.2 5.3 5.4",
    "3581": "3 4",
    "3608": "5 6.1 6.2 6.3",
    "4028": "7 8.1 8.2 9",
    "4320": "4.1 4.2",
    "5393": "4.1 4.2 5.3",
    "5626": "4.2 4.4 5.1 5.2 5.3 5.4 6 7 8",
    "5627": "4 5.1 5.2 5.3 5.4 6.1 6.2",
    "5658": "3 4 5",
    "5923": "5 8.1 8.2 9",
    "5954": "4.1 4.2",
    "6026": "7.1 7.2 8.4 8.5 8.8 8.9",
    "6665": "3.1 4.1 4.1.4 4.2.1 4.2.2 4.3 4.4 4.4.1",
    "7616": "3.3 3.4 3.9.1",
    "8760": "2.3 2.4",
}


def test_ids_are_there_once() -> None:
    assert [number for number, count in Counter(row.id for row in ROWS).items() if count > 1] == []


@pytest.mark.parametrize("rfc", SCOPE)
def test_every_section_in_scope_has_rows(rfc: str) -> None:
    found = {row.section for row in ROWS if row.rfc == rfc}
    assert [section for section in SCOPE[rfc].split() if section not in found] == []


def test_no_section_is_there_by_mistake() -> None:
    assert [row.id for row in ROWS if row.section not in SCOPE.get(row.rfc, "").split()] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_no_row_is_empty(row: Row) -> None:
    assert row.state in STATES
    assert len(row.rule) > 10
    assert row.who
    if row.state == "holds":
        assert row.tests, "a rule that holds is held by a test"
        assert not row.reason
    else:
        assert len(row.reason) > 10, "say why"


def test_every_named_test_exists() -> None:
    there = {
        file: functions_of(ROOT / "tests" / file) for file in {t.partition("::")[0] for r in ROWS for t in r.tests}
    }
    named = {(row.id, *test.split("::")) for row in ROWS for test in row.tests}
    assert [(number, file, name) for number, file, name in sorted(named) if name not in there[file]] == []


def test_the_index_leads_to_every_part() -> None:
    text = (ROOT / "docs" / INDEX).read_text("utf-8")
    parts = sorted((ROOT / "docs" / PARTS).glob("*.md"))
    assert parts
    assert [path.name for path in parts if f"]({PARTS}/{path.name})" not in text] == []


def test_the_index_speaks_of_rows_that_are_there() -> None:
    _, _, text = (ROOT / "docs" / INDEX).read_text("utf-8").partition("## Why")
    named = set(re.findall(r"(?:\d{4}:)?\d+(?:\.\d+)+-\d+", text))
    states = {row.id: row.state for row in ROWS}
    assert named
    assert {number: states.get(number) for number in named if states.get(number) != "departs"} == {}

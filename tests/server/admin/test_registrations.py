"""A page of a million registrations costs what a page of ten does."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sipgw.server.admin.problems import Problem
from sipgw.server.admin.registrations import _START, ALL, ONE_USER, _cursor, _page, _read_cursor
from sipgw.server.store import Store
from sipgw.server.store_file import COLUMNS

MANY = 20_000


def filled(path: Path, count: int) -> None:
    """A store with that many registrations, every tenth of which has run out."""
    Store.open(path).close()
    now = time.time()
    rest = "call", 1, "", "udp:192.0.2.1:5060", "", 1
    rows = (
        (f"user{number:07}@contoso.com", "sip:a@192.0.2.1", "", 0, "", 1.0, now + (600 if number % 10 else -1), *rest)
        for number in range(count)
    )
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(f"INSERT INTO bindings ({COLUMNS}) VALUES ({', '.join('?' * 13)})", rows)


def test_all_pages_together_are_all_in_order(tmp_path: Path) -> None:
    path = tmp_path / "gw.db"
    filled(path, MANY)
    seen: list[str] = []
    after: Any = _START
    while True:
        rows = _page(path, after, None, 500)
        seen += [row[0] for row in rows[:500]]
        if len(rows) <= 500:
            break
        after = _read_cursor(_cursor(rows[499]))
    assert seen == [f"user{number:07}@contoso.com" for number in range(MANY) if number % 10]


def test_a_page_is_found_by_its_key_and_not_by_looking_through_all(tmp_path: Path) -> None:
    path = tmp_path / "gw.db"
    filled(path, 10)
    with closing(sqlite3.connect(path)) as connection:
        plans = [
            connection.execute(f"EXPLAIN QUERY PLAN {statement}", (*_START, 0.0, *more, 10)).fetchall()
            for statement, more in ((ALL, ()), (ONE_USER, ("user0000001@contoso.com",)))
        ]
    assert [[text for *_, text in plan] for plan in plans] == [
        ["SEARCH bindings USING PRIMARY KEY ((aor,contact,instance,reg_id)>(?,?,?,?))"],
        ["SEARCH bindings USING PRIMARY KEY (aor=?)"],
    ]


@given(st.text())
def test_marks_of_others_are_refused(text: str) -> None:
    try:
        key = _read_cursor(text)
    except Problem as problem:
        assert problem.faults[0].key == "after"
    else:
        assert len(key) == 4

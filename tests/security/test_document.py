"""docs/security.md names tests that exist, and the figures that they hold."""

import re
from pathlib import Path

import pytest

from sipgw.auth.lockout import LockoutSettings
from sipgw.config import default_config
from tests.security.test_amplification import LEAST, USUAL

TESTS = Path(__file__).parent.parent
TEXT = (TESTS.parent / "docs" / "security.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)`", TEXT)))


@pytest.mark.parametrize("name", NAMED)
def test_it_names_tests_that_are_there(name: str) -> None:
    assert "def test_" in (TESTS / name).read_text()


def test_every_promise_has_its_tests() -> None:
    rows = [line for line in TEXT.splitlines() if re.match(r"\| P\d+ \|", line)]
    assert [row.split()[1] for row in rows] == [f"P{number}" for number in range(1, len(rows) + 1)]
    assert all(".py`" in row.split(" | ")[2] for row in rows)


def test_every_suite_of_this_folder_is_named() -> None:
    assert {f"security/{path.name}" for path in Path(__file__).parent.glob("test_*.py")} <= set(NAMED)


def test_its_figures() -> None:
    account, source = LockoutSettings().account, LockoutSettings().source
    assert f"at most {USUAL:g} times" in TEXT and f"at most {LEAST:g} times" in TEXT.replace("\n", " ")
    assert f"After {account.free:g} failures an account waits, after {account.most:g} it is locked" in TEXT
    assert f"a source after {source.free:g} and {source.most:g}" in TEXT
    assert f"for {account.locked / 60:g} minutes" in TEXT
    assert f"the {default_config().auth.max_challenges} challenges" in TEXT

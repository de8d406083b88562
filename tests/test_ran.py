"""The check after the whole suite: every test ran, in one go or another, and those that a row names passed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.coverage_rows import INDEX
from tests.ran import problems

TABLE = """
| § | rule | for | state | tests |
|---|---|---|---|---|
| 1-1 | a rule that a test holds | proxy | holds | `rfc/test_some.py::test_here`, `test_top.py::test_there` |
"""
NAMED = "is named by docs/rfc-coverage.md and did not pass"
THERE = "import pytest\n@pytest.mark.parametrize('n', [0, 1])\ndef test_there(n): print(n)\n"
WITHOUT_PLUGINS = os.environ | {"CI": "true", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # loading them takes seconds


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite of its own with a table of its own."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / INDEX).write_text(TABLE, "utf-8")
    (tmp_path / "tests" / "rfc").mkdir(parents=True)
    some = "import pytest\n@pytest.mark.alone\ndef test_here(): pass\ndef test_other(): pass\n"
    (tmp_path / "tests" / "rfc" / "test_some.py").write_text(some, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = tests\nmarkers = alone: x\n", "utf-8")
    return tmp_path


def run(suite: Path, *goes: str, top: str = THERE) -> list[str]:
    """What is wrong after runs of the suite, each with a marker expression."""
    (suite / "tests" / "test_top.py").write_text(top, "utf-8")
    for go in goes:
        options = ["-q", "-p", "no:cacheprovider", "--import-mode=importlib", f"--junitxml={go}.xml", "-m", go]
        command = [sys.executable, "-m", "pytest", *options]
        subprocess.run(command, cwd=suite, env=WITHOUT_PLUGINS, capture_output=True, timeout=120, check=False)
    return problems(suite, [suite / f"{go}.xml" for go in goes])


def test_everything_ran_and_passed(suite: Path) -> None:
    assert run(suite, "alone", "not alone") == []


def test_what_no_go_has_run(suite: Path) -> None:
    assert run(suite, "alone") == ["rfc/test_some.py::test_other did not run", "test_top.py::test_there did not run"]
    assert run(suite, "not alone") == ["rfc/test_some.py::test_here did not run"]


def test_what_is_not_there(suite: Path) -> None:
    assert run(suite, "alone", "not alone", top="") == ["test_top.py::test_there did not run"]


@pytest.mark.parametrize(
    "body",
    [
        "def test_there(): assert False\n",
        "import pytest\n@pytest.mark.parametrize('n', [0, 1])\ndef test_there(n): assert n\n",
        "import pytest\n@pytest.fixture\ndef it(): yield 1/0\ndef test_there(it): pass\n",
        "import pytest\n@pytest.fixture\ndef it():\n    yield 1\n    1/0\ndef test_there(it): pass\n",
        "import pytest\n@pytest.mark.skip\ndef test_there(): pass\n",
        "import pytest\n@pytest.mark.xfail(reason='known')\ndef test_there(): assert False\n",
    ],
    ids=["fails", "one of several fails", "cannot begin", "cannot end", "skipped in CI", "expected to fail"],
)
def test_what_a_row_names_and_did_not_pass(suite: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    monkeypatch.setenv("CI", "true")
    assert run(suite, "alone", "not alone", top=body) == [f"test_top.py::test_there {NAMED}"]


def test_a_peer_that_is_missing_is_excused_outside_ci(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    assert run(suite, "alone", "not alone", top="import pytest\n@pytest.mark.skip\ndef test_there(): pass\n") == []
    monkeypatch.setenv("CI", "true")
    assert problems(suite, [suite / "alone.xml", suite / "not alone.xml"]) == [f"test_top.py::test_there {NAMED}"]

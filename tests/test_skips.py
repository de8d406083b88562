"""The suite's own rule: a missing peer is named where it may be missing, and in CI nothing is skipped."""

import os
import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).parent / "conftest.py"
TESTS = """
import pytest

@pytest.mark.peer("no-such-program", "no-such-package")
def test_with_a_peer(): pass

@pytest.mark.peer("sh", "dash")
def test_with_a_peer_that_is_there(): pass

def test_that_skips_itself(): pytest.skip("not today")

@pytest.mark.xfail(strict=True)
def test_of_a_known_gap(): assert False
"""
WHOLE_FILE = "import pytest\npytest.importorskip('no_such_module')\n"


def run(folder: Path, ci: str) -> tuple[int, str]:
    (folder / "conftest.py").write_text(CONFTEST.read_text("utf-8"), "utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = peer(program, package): x\n", "utf-8")
    (folder / "test_some.py").write_text(TESTS, "utf-8")
    (folder / "test_file.py").write_text(WHOLE_FILE, "utf-8")
    command = [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    environment = os.environ | {"CI": ci, "PYTHONPATH": str(CONFTEST.parent.parent)}
    found = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=120, check=False)
    return found.returncode, found.stdout.decode()


def test_a_missing_peer_is_named(tmp_path: Path) -> None:
    status, out = run(tmp_path, ci="")
    assert status == 0
    assert "1 passed, 3 skipped, 1 xfailed" in out
    assert "no-such-program is not installed; Debian package: no-such-package" in out


def test_in_ci_a_skip_is_a_failure(tmp_path: Path) -> None:
    status, out = run(tmp_path, ci="true")
    assert status == 1
    assert "1 failed, 1 passed, 1 xfailed, 2 errors" in out
    assert "skipped in CI: " in out
    assert "no-such-program is not installed; Debian package: no-such-package" in out

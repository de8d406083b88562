"""For all tests: real peers that may be missing, no silent skips in CI, nothing left behind."""

import os
import shutil
import signal
from collections.abc import Generator, Iterator

import pytest
from hypothesis import settings

from tests import leaks

# The same examples each time: a test that fails fails for everybody, and load on the machine fails none.
settings.register_profile("sipgw", deadline=None, derandomize=True)
settings.load_profile("sipgw")
leaks.install()
# a shell starts what runs in the background deaf to it, and what tests start is to be ended by it
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="module")
def nothing_left_behind_by_the_module() -> Iterator[None]:
    """The same as below for what the fixtures of a whole module hold."""
    with leaks.watching() as watch:
        yield
        leaks.check(watch)


@pytest.fixture(autouse=True)
def nothing_left_behind(nothing_left_behind_by_the_module: None) -> Iterator[None]:
    """Set up before all other fixtures of a test, hence taken down after them: what is left then is a leak."""
    with leaks.watching() as watch:
        yield
        leaks.check(watch)


def in_ci() -> bool:
    return os.environ.get("CI") == "true"


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("peer"):
        program, package = marker.args
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed; Debian package: {package}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In CI all peers are installed: what is skipped there is tested nowhere. An expected failure is no skip."""
    if in_ci() and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"

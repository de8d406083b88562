"""The operator's guide: it has every failure that the gateway has, and so has the advice of `sipgw trace`."""

import re
from pathlib import Path

import click
import pytest

from sipgw.core import failures
from sipgw.core.failures import Failure
from sipgw.management.cli import commands
from sipgw.management.trace_advice import REMEDIES, remedy

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "operations.md").read_text("utf-8")
FAILURES = [value for value in vars(failures).values() if isinstance(value, Failure)]


def rows() -> dict[int, list[str]]:
    """The table of failures, by the id of ms-diagnostics."""
    lines = [line.strip("|").split("|") for line in GUIDE.splitlines() if re.match(r"\|[^|]*\*\*\d{4,5}\*\*", line)]
    found: dict[int, list[str]] = {}
    for line in lines:  # what has the same id and says more comes after it
        found.setdefault(int(re.findall(r"\*\*(\d+)\*\*", line[0])[0]), [cell.strip() for cell in line])
    return found


def test_there_are_failures() -> None:
    assert len(FAILURES) > 15


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: str(failure.id))
def test_each_failure_is_in_the_guide(failure: Failure) -> None:
    says, sees, seen, what, todo = rows()[failure.id]
    assert str(failure.status) in says and all((sees, seen, what, todo))
    assert failure.id == 1011 or failure.reason.split(" (")[0].split()[0] in says, "by the first word of its reason"


def test_the_guide_has_no_failure_that_there_is_not() -> None:
    assert set(rows()) == {failure.id for failure in FAILURES}


def test_each_failure_has_its_advice() -> None:
    assert set(REMEDIES) == {failure.id for failure in FAILURES}
    assert all(text and len(text) < 160 for text in REMEDIES.values())


@pytest.mark.parametrize(
    ("failure", "diagnostics", "start"),
    [
        ("504 1011 none", 1011, "start the pool's servers"),
        ("503 Service Unavailable", 0, "sipgw_overloaded"),
        ("probe failed: Connection refused", 0, "start the pool's servers"),
        ("probe failed: timeout", 0, "start the pool's servers"),
        ("probe failed: certificate not trusted: it has expired", 0, "sipgw check shows each server's certificate"),
        ("probe failed: 503 Busy", 0, "the pool refuses"),
        ("486 Busy Here", 0, "the other side has said so"),
        ("603 Decline", 0, "the other side has said so"),
        ("dropped: an ACK gets no answer", 0, "the client that the dialog led to is gone"),
        ("sign-in failed: user alice", 0, "wrong password"),
        ("420 Bad Extension", 0, ""),
        (
            "504 1011 none (detail every server of pool pc.x is drained by command)",
            1011,
            "sipgw pool-state set pc.x --",
        ),
        (
            "504 1011 none (detail every server of pool pc.x is drained)",
            1011,
            "take a server out of drained at the",
        ),
        ("404 1003 x (detail sip:a@b leads to pool pc.x, which is not configured)", 1003, "put the [[pool]] pc.x back"),
    ],
)
def test_advice_without_an_id(failure: str, diagnostics: int, start: str) -> None:
    assert remedy(failure, diagnostics).startswith(start)
    assert bool(remedy(failure, diagnostics)) == bool(start)


def test_links_lead_somewhere() -> None:
    for page in ("operations.md", "tracing.md"):
        for link in re.findall(r"\]\(([\w.-]+)\)", (DOCS / page).read_text("utf-8")):
            assert (DOCS / link).exists(), link


@pytest.mark.parametrize("page", ["operations.md", "tracing.md"])
def test_commands_are_there(page: str) -> None:
    """Every `sipgw ...` of both pages is a command of ours, with options that it has."""
    lines = re.findall(r"(?:^    |`)sipgw ([a-z][^`\n#|]*)", (DOCS / page).read_text("utf-8"), re.MULTILINE)
    assert len(lines) > 4
    for line in lines:
        name, *words = line.split()
        context = click.Context(commands)
        command = commands.get_command(context, name)
        if isinstance(command, click.Group) and words:
            command = command.get_command(context, words[0]) or (command if words[0].startswith("-") else None)
        assert command is not None, line
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line

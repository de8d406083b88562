"""Lines of administrators, right and wrong, with all that comes back: lines/*.txt."""

from pathlib import Path

import pytest

from sipgw.management.cmdlets.binding import bind
from sipgw.management.cmdlets.catalog import CMDLETS, find_cmdlet
from sipgw.management.cmdlets.parser import parse
from tests.management.cmdlets.session import Block, blocks, prepare, run, without_last_blanks

PAGE = Path(__file__).parents[3] / "docs/cmdlets.md"
FILES = sorted((Path(__file__).parent / "lines").glob("*.txt"))
BLOCKS = {f"{path.stem}: {block.title}": block for path in FILES for block in blocks(path.read_text("utf-8"))}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_a_session(block: Block, tmp_path: Path) -> None:
    prepare(tmp_path)
    for step in block.steps:
        found = run(step.command, tmp_path)
        assert without_last_blanks(found) == without_last_blanks(step)


def test_there_are_enough_of_both_kinds() -> None:
    steps = [step for block in BLOCKS.values() for step in block.steps]
    wrong = [step for step in steps if step.status]
    assert len(steps) >= 120
    assert len(steps) / 3 <= len(wrong) <= len(steps) * 2 / 3
    assert all(step.err for step in wrong), "a failure is told"


def test_the_examples_of_the_page_can_be_read() -> None:
    lines = [line[6:] for line in PAGE.read_text("utf-8").splitlines() if line.startswith("    > ")]
    for pipeline in parse("\n".join(lines)):
        for command in pipeline.commands:
            bind(find_cmdlet(command), command)
    assert len(lines) >= 5


def test_the_page_names_every_cmdlet_and_parameter() -> None:
    page = PAGE.read_text("utf-8")
    for cmdlet in CMDLETS:
        assert cmdlet.name in page
        for parameter in cmdlet.parameters:
            assert parameter.unused or parameter.name in page or cmdlet.takes_all, (cmdlet.name, parameter.name)

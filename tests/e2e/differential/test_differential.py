"""The same messages through sipgw and through Kamailio: what differs is explained, or fails.

Both run as processes of their own with the same domain, contact objects, trusted peer and registrar limits (servers.py,
kamailio.cfg). A case (cases_*.py) is a short script that is played on either side with the same bytes, ports aside
(stage.py); what each party heard is written down as fields with the proxies' own choices taken out (observe.py). Every
field that differs has a row in explained*.py that says what either does and by which section sipgw is right, or why
both are. A difference without a row fails its case, and so does a row without its difference.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import leaks
from tests.e2e.differential import (
    cases_calls,
    cases_cancel,
    cases_forks,
    cases_register,
    cases_routing,
    cases_silence,
    cases_stream,
    cases_syntax,
)
from tests.e2e.differential.book import CASES, SILENT, Waits
from tests.e2e.differential.explained import EXPLAINED
from tests.e2e.differential.observe import Fields, observe
from tests.e2e.differential.servers import CALM, HASTY, Pace, proxy
from tests.e2e.differential.stage import ANSWER, Side, Stage, open_side

pytestmark = pytest.mark.peer("kamailio", "kamailio")
CATALOGUE = (
    cases_syntax, cases_routing, cases_calls, cases_cancel, cases_forks, cases_register, cases_stream, cases_silence,
)  # fmt: skip
Sides = tuple[Side, Side]  # sipgw, Kamailio
Differences = dict[str, tuple[str, str]]
Observed = dict[str, Fields]


def _start(stack: ExitStack, folder: Path, pace: Pace) -> Sides:
    first, second = (_one_side(stack, name, folder, pace) for name in ("sipgw", "kamailio"))
    return first, second


def _one_side(stack: ExitStack, name: str, folder: Path, pace: Pace) -> Side:
    side = open_side(name)
    stack.callback(side.close)
    side.proxy = ("127.0.0.1", stack.enter_context(proxy(name, folder / name, side.behind, pace)))
    return side


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    with ExitStack() as stack:
        yield _start(stack, tmp_path_factory.mktemp("calm"), CALM)


@pytest.fixture(scope="module")
def after_silence(tmp_path_factory: pytest.TempPathFactory) -> tuple[Observed, Observed]:
    """What all cases about silence came to, on either side."""
    with ExitStack() as stack:
        sipgw, kamailio = _start(stack, tmp_path_factory.mktemp("hasty"), HASTY)
        return _play_silent(sipgw), _play_silent(kamailio)


def _play_silent(side: Side) -> Observed:
    for pool in ("pool", "spare"):
        side.pools[pool].plays["INVITE"] = [200] if pool == "spare" else []
    stages = {name: Stage(side, name, alone=False) for name in SILENT}
    try:
        _wait_out({name: script(stages[name]) for name, script in SILENT.items()}, stages)
        return {name: _end(stage) for name, stage in stages.items()}
    finally:
        for stage in stages.values():
            stage.close()


def _wait_out(waits: dict[str, Waits], stages: dict[str, Stage]) -> None:
    """Go on with each case when what it waits for is there."""
    waiting: dict[str, Callable[[], bool]] = {name: next(wait) for name, wait in waits.items()}
    while waiting:
        one = stages[next(iter(waiting))]
        one.wait_for(lambda: any(ready() for ready in waiting.values()), f"an end of {', '.join(waiting)}")
        for name in [name for name, ready in waiting.items() if ready()]:
            following = next(waits[name], None)
            del waiting[name]
            if following is not None:
                waiting[name] = following


def _play(side: Side, name: str) -> Fields:
    stage = Stage(side, name, CASES[name].transport)
    try:
        CASES[name].script(stage)
        return _end(stage)
    finally:
        stage.close()


def _end(stage: Stage) -> Fields:
    stage.settle()
    fields = observe(stage)
    stage.tidy()
    return fields


def differences(ours: Fields, theirs: Fields) -> Differences:
    """By field. A message that only one side has shows in the sequence of its party; its fields say nothing more."""
    found = {}
    heads = {_head(field) for field in ours} & {_head(field) for field in theirs}
    for field in sorted(ours.keys() | theirs.keys()):
        pair = ours.get(field, "absent"), theirs.get(field, "absent")
        if pair[0] != pair[1] and _head(field) in heads:
            found[field] = pair
    return found


def _head(field: str) -> str:
    """`caller 200 to 1 INVITE.via` belongs to the message `caller 200 to 1 INVITE`."""
    return field.rpartition(".")[0]


def explained(name: str) -> Differences:
    return {field: pair for row in EXPLAINED if name in row.cases for field, pair in row.fields.items()}


@pytest.mark.parametrize("name", CASES)
def test_case(name: str, sides: Sides) -> None:
    with leaks.for_the_module():  # connections that a proxy opens to a pool, and keeps
        ours, theirs = (_play(side, name) for side in sides)
    assert differences(ours, theirs) == explained(name)


@pytest.mark.parametrize("name", SILENT)
def test_silence(name: str, after_silence: tuple[Observed, Observed]) -> None:
    ours, theirs = after_silence
    assert differences(ours[name], theirs[name]) == explained(name)


def test_the_table_is_in_order() -> None:
    """Every row is of a case that exists, says why, and says it once."""
    names = CASES.keys() | SILENT.keys()
    assert not {case for row in EXPLAINED for case in row.cases} - names
    assert all("§" in row.why or row.why.startswith(("Design", "[MS-")) for row in EXPLAINED)
    assert all(ours != theirs for row in EXPLAINED for ours, theirs in row.fields.values())
    pairs = [(case, field) for row in EXPLAINED for case in row.cases for field in row.fields]
    assert len(pairs) == len(set(pairs))


def test_the_catalogue_is_as_large_as_was_asked() -> None:
    files = {path.stem for path in Path(__file__).parent.glob("cases_*.py")}
    assert {module.__name__.rpartition(".")[2] for module in CATALOGUE} == files
    assert len(CASES) + len(SILENT) >= 120


def test_what_only_one_side_heard_is_a_difference() -> None:
    ours = {"caller": "200 to 1 A", "caller 200 to 1 A.to": "x"}
    theirs = {"caller": "404 to 1 A", "caller 404 to 1 A.to": "y"}
    assert differences(ours, theirs) == {"caller": ("200 to 1 A", "404 to 1 A")}
    assert differences(ours, {**ours, "caller 200 to 1 A.to": "y"}) == {"caller 200 to 1 A.to": ("x", "y")}


def test_no_wait_is_shorter_than_silence() -> None:
    assert HASTY.silence < ANSWER

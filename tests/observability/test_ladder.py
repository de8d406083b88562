"""Ladders: within their width, whatever is drawn; notes beside their rail; the gateway's calls in columns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipgw.management.trace_text import GATEWAY, MAX_PARTIES, OTHERS, columns, heading, ladder, line_of, printable
from sipgw.observability.ladder import Note, Step, render
from sipgw.server.admin.call_models import CallBody, StepBody

NAMES = ["alice", "gw", "pool", "x" * 60]
names = st.sampled_from(NAMES)
texts = st.text(st.characters(exclude_categories=("C", "Z", "M")) | st.just(" "), max_size=200)
drawn = st.builds(Step, st.floats(0, 1e5), names, names, texts) | st.builds(Note, st.floats(0, 1e5), names, texts)


@given(st.lists(drawn, max_size=20), st.lists(names, min_size=1, max_size=4, unique=True), st.integers(60, 160))
def test_nothing_is_wider(steps: list[Step | Note], parties: list[str], width: int) -> None:
    lines = render(parties, steps, width).split("\n")
    assert max(map(len, lines)) <= width
    arrows = [one for one in steps if isinstance(one, Step) and {one.source, one.target} <= {*parties}]
    assert sum("►" in line or "◄" in line for line in lines) >= sum(one.source != one.target for one in arrows)


def test_notes() -> None:
    text = "matched endpoint sip:ocschat@contoso.com; sent on to pool pc.contoso.com"
    steps: list[Step | Note] = [
        Step(0.0, "alice", "gw", "INVITE"),
        Note(0.0, "gw", text),
        Step(0.0015, "gw", "pool", "INVITE"),
    ]
    assert render(["alice", "gw", "pool"], steps, 80).split("\n") == [
        "     ms alice                             gw                               pool",
        "         │                                 │                                 │",
        "    0.0  │── INVITE ──────────────────────►│                                 │",
        "         │                                 ├ matched endpoint",
        "         │                                 │ sip:ocschat@contoso.com; sent on",
        "         │                                 │ to pool pc.contoso.com",
        "    1.5  │                                 │── INVITE ──────────────────────►│",
        "         │                                 │                                 │",
    ]


def step(turn: int, kind: str, label: str, peer: str = "", level: str = "") -> StepBody:
    return StepBody.model_validate(
        {"turn": turn, "at": 100.0 + turn, "kind": kind, "label": label, "peer": peer, "level": level}
    )


def call(*steps: StepBody, failure: str = "", incomplete: bool = False) -> CallBody:
    return CallBody(
        call_id="id",
        serial=1,
        began=101.0,
        touched=102.0,
        method="INVITE",
        uri="sip:o@c",
        sender="a@c",
        receiver="o@c",
        status=0,
        reason="",
        failure=failure,
        diagnostics=1011 if failure else 0,
        matched="",
        messages=len(steps),
        left_out=0,
        incomplete=incomplete,
        steps=list(steps),
    )


def test_columns() -> None:
    """Who began it, the gateway, everybody else; too many share the last."""
    begins = [step(1, "in", "INVITE", "tcp:a"), step(1, "decision", "x"), step(1, "out", "INVITE", "tcp:p")]
    assert list(columns(begins)) == ["tcp:a", GATEWAY, "tcp:p"]
    assert list(columns(begins[2:])) == [GATEWAY, "tcp:p"]
    many = columns([begins[0], *(step(2, "out", "INVITE", f"tcp:p{number}") for number in range(20))])
    assert len(set(many.values())) == MAX_PARTIES and many["tcp:p19"] == many["tcp:p4"] == OTHERS
    assert many["tcp:p2"] == "tcp:p2"


def test_what_is_new_and_what_was_left_out() -> None:
    shown = call(*(step(number, "in", f"INFO {number}", "tcp:a") for number in (1, 2, 5)))
    text = ladder(shown, 80)
    assert "2 turns of a long call are not kept" in text and "INFO 1 " in text
    text = ladder(shown, 80, behind=2)
    assert "INFO 5" in text and "INFO 2" not in text and "4000.0" in text


def test_warnings_stand_out() -> None:
    text = ladder(call(step(1, "in", "INVITE", "tcp:a"), step(1, "decision", "refused", level="warning")), 80)
    assert "├ ! refused" in text


def test_what_stands_over_it() -> None:
    lines = list(heading(call(failure="504 1011 none\x1b[2J", incomplete=True)))
    assert lines[1:] == [
        "  FAILED  504 1011 none?[2J",
        "  to do   start the pool's servers, or open the way to them; sipgw check tries each of them",
        "  there was too much at the time: messages may be missing",
    ]
    assert line_of(call()).endswith("  under way  [id]")


@pytest.mark.parametrize("text", ["\x1b[2J", "a\r\nb", "\u202eabc", "e\u0301"])
def test_a_peer_cannot_steer_the_terminal(text: str) -> None:
    assert printable(text).isprintable() and len(printable(text)) == len(text) and "\u0301" not in printable(text)

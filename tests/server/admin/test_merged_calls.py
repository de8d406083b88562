"""Calls that several workers have seen something of."""

from typing import Any

from sipgw.server.admin.call_models import CallBody, CallPage, StepBody
from sipgw.server.admin.merged_calls import in_order, merged_call, merged_page, part, whole


def step(turn: int, at: float, kind: Any = "in", label: str = "") -> StepBody:
    return StepBody(turn=turn, at=at, kind=kind, label=label or f"{kind} {at}", fields={})


def call(call_id: str, serial: int, began: float = 1.0, **changes: Any) -> CallBody:
    values: dict[str, Any] = {
        "call_id": call_id,
        "serial": serial,
        "began": began,
        "touched": began,
        "method": "INVITE",
        "uri": "sip:b@c",
        "sender": "a@c",
        "receiver": "b@c",
        "status": 0,
        "reason": "",
        "failure": "",
        "diagnostics": 0,
        "matched": "",
        "messages": 1,
        "left_out": 0,
        "incomplete": False,
        "steps": None,
    }
    return CallBody(**values | changes)


def page(*calls: CallBody, more: int | None = None, newest: int = 9) -> CallPage:
    return CallPage(enabled=True, calls=list(calls), next=more, newest=newest, kept=3, evicted=1, missed=2, bytes=10)


def test_two_parts_are_one_call() -> None:
    first = call("x", 5, 1.0, messages=2, steps=[step(1, 1.0), step(1, 1.0, "out"), step(2, 3.0, "out")])
    second = call(
        "x", 7, 2.0, uri="", status=486, reason="Busy", failure="busy", diagnostics=7, matched="user", incomplete=True,
        steps=[step(1, 2.0), step(2, 4.0, "out")],
    )  # fmt: skip
    found = merged_call([second, first])
    assert (found.serial, found.began, found.touched, found.messages) == (7, 1.0, 2.0, 3)
    assert (found.uri, found.status, found.reason, found.failure, found.diagnostics) == (
        "sip:b@c", 486, "Busy", "busy", 7
    )  # fmt: skip
    assert found.matched == "user" and found.incomplete
    assert found.steps is not None
    assert [(one.turn, one.at) for one in found.steps] == [(1, 1.0), (1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]


def test_the_answer_to_something_else_is_not_that_to_the_call() -> None:
    found = merged_call([call("x", 1, 1.0), call("x", 2, 2.0, method="BYE", status=200)])
    assert (found.method, found.status) == ("INVITE", 0)


def test_who_passed_on_an_answer_does_not_know_what_it_was_to() -> None:
    answer = call("x", 1, 1.0, method="", uri="")
    found = merged_call([answer, call("x", 2, 1.0, status=200)])
    assert (found.method, found.uri, found.status) == ("INVITE", "sip:b@c", 200)


def test_within_a_millisecond_what_came_in_is_first() -> None:
    sent = call("x", 1, 1.0, steps=[step(1, 1.0), step(2, 2.0002, "out", "sent")])
    came = call("x", 2, 2.0, steps=[step(1, 2.0004, "in", "came")])
    found = merged_call([sent, came])
    assert found.steps is not None
    assert [one.label for one in found.steps][1:] == ["came", "sent"]


def test_a_page_ends_where_one_of_them_may_have_more() -> None:
    pages = [page(call("a", 9), call("b", 6), more=6), page(call("c", 8), call("d", 4), call("e", 2))]
    ids, lowest = in_order(pages)
    assert ids == ["a", "c", "b"] and lowest == 6
    ids, lowest = in_order([page(call("a", 9)), page(call("a", 3), call("c", 8))])
    assert ids == ["a", "c"] and lowest is None


def test_what_was_on_a_page_before_is_not_on_the_next() -> None:
    pages = [page(call("a", 9)), page(call("a", 3), call("c", 4))]
    assert [one.call_id for one in whole(pages, None)] == ["a", "c"]
    assert [one.call_id for one in whole(pages, 5)] == ["c"]


def test_the_page_says_where_the_next_begins() -> None:
    pages = [page(newest=30), page(newest=20)]
    calls = [call("a", 9), call("b", 8), call("c", 7)]
    assert merged_page(pages, calls, 2, 5).next == 8
    assert merged_page(pages, calls, 3, 5).next == 5
    found = merged_page(pages, calls, 3, None)
    assert (found.next, found.newest, found.kept, found.missed) == (None, 20, 6, 4), "of the newest the older one"


def test_only_a_part_that_was_asked_for_says_where_a_call_stands() -> None:
    """Another one, which changed later than the page began, must not put it on a page before."""
    matching, other = page(call("x", 5)), page(call("x", 8))
    found = whole([part(matching, matching), part(other, page())], before=7)
    assert [(one.serial, one.messages) for one in found] == [(5, 2)]

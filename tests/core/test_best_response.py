"""The choice among the failures of a fork (RFC 3261 §16.7 item 6)."""

from itertools import permutations

import pytest

from sipgw.core.best_response import Outcome, best
from sipgw.core.failures import NOT_SIGNED_IN
from sipgw.message import Response


def answered(status: int) -> Outcome:
    return Outcome(status, Response(status, "", [], [], b""))


@pytest.mark.parametrize(
    ("statuses", "chosen"),
    [
        ((404,), 404),
        ((603, 404), 603),
        ((603, 302, 401), 603),
        ((302, 404, 500), 302),
        ((500, 404), 404),
        ((504, 486), 486),
        ((404, 401), 401),
        ((486, 407), 407),
        ((404, 415), 415),
        ((404, 420), 420),
        ((404, 484), 484),
        ((503, 500, 302), 302),
    ],
)
def test_in_whatever_order_they_came(statuses: tuple[int, ...], chosen: int) -> None:
    for order in permutations(statuses):
        assert best([answered(status) for status in order]).status == chosen


def test_the_first_among_equals() -> None:
    assert best([answered(486), answered(404)]).status == 486
    assert best([answered(401), answered(407)]).status == 401


def test_a_servers_own_answer_before_one_of_our_making() -> None:
    ours, theirs = Outcome(480, failure=NOT_SIGNED_IN), answered(404)
    assert best([ours, theirs]) is theirs
    assert best([ours]) is ours
    assert best([ours, answered(500)]) is ours


@pytest.mark.parametrize(
    ("statuses", "chosen"),
    [((404, 487), 487), ((401, 487, 486), 487), ((487, 603), 603), ((487, 302), 302), ((500, 487), 487), ((404,), 404)],
)
def test_who_has_cancelled_is_told_so(statuses: tuple[int, ...], chosen: int) -> None:
    for order in permutations(statuses):
        assert best([answered(status) for status in order], cancelled=True).status == chosen

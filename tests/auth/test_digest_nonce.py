"""Nonces: authentic, of limited life, each count once, bounded."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipgw.auth.digest_nonce import Nonces, Use
from sipgw.auth.replay import WINDOW

FRESH, STALE, REPLAYED = Use


def nonces(max_used: int = 1000, seed: int = 1) -> Nonces:
    return Nonces(300.0, max_used, Random(seed))


def test_each_count_once_and_in_any_order_within_the_window() -> None:
    table = nonces()
    nonce = table.make(10.0)
    assert [table.use(nonce, count, 10.0) for count in (1, 3, 2, 3, 1, 4)] == [
        FRESH,
        FRESH,
        FRESH,
        *[REPLAYED] * 2,
        FRESH,
    ]


def test_what_is_far_below_the_highest_counts_as_used() -> None:
    table = nonces()
    nonce = table.make(10.0)
    assert table.use(nonce, 1000, 10.0) is FRESH
    assert table.use(nonce, 1000 - WINDOW + 1, 10.0) is FRESH
    assert table.use(nonce, 1000 - WINDOW, 10.0) is REPLAYED


@given(st.lists(st.integers(1, 200), max_size=200))
def test_no_count_is_taken_twice(counts: list[int]) -> None:
    table = nonces()
    nonce = table.make(0.0)
    taken = [count for count in counts if table.use(nonce, count, 1.0) is FRESH]
    assert len(taken) == len(set(taken))
    highest = 0
    for count in counts:  # and whatever is new and high enough is taken
        assert count <= highest or count in taken
        highest = max(highest, count)


def test_life_ends() -> None:
    table = nonces()
    nonce, other = table.make(10.0), table.make(10.0)
    assert table.use(nonce, 1, 310.0) is FRESH
    assert table.use(nonce, 2, 310.1) is STALE
    assert table.use(other, 1, 310.1) is STALE


def test_one_from_the_future_is_not_taken() -> None:
    table = nonces()
    assert table.use(table.make(1000.0), 1, 10.0) is STALE


def test_another_process_makes_others() -> None:
    assert nonces(seed=2).use(nonces(seed=1).make(10.0), 1, 10.0) is STALE


@given(st.integers(0, 100), st.characters())
def test_no_altered_nonce_is_taken(at: int, char: str) -> None:
    table = nonces()
    nonce = table.make(10.0)
    altered = nonce[:at] + char + nonce[at + 1 :]
    assert table.use(altered, 1, 10.0) is (FRESH if altered == nonce else STALE)


@pytest.mark.parametrize("nonce", ["", "x", "0" * 62, "\xff" * 62, "\N{SNOWMAN}"])
def test_what_is_no_nonce(nonce: str) -> None:
    assert nonces().use(nonce, 1, 10.0) is STALE


def test_all_are_different() -> None:
    table = nonces()
    assert len({table.make(10.0) for _ in range(1000)}) == 1000


def test_making_costs_no_memory() -> None:
    table = nonces()
    for _ in range(1000):
        table.make(10.0)
    assert len(table) == 0


def test_bounded_and_what_is_displaced_cannot_be_used_again() -> None:
    table = nonces(max_used=10)
    used = [table.make(10.0 + at) for at in range(25)]
    for nonce in used:
        assert table.use(nonce, 1, 40.0) is FRESH
        assert len(table) <= 10
    assert [table.use(nonce, 1, 40.0) for nonce in used] == [STALE] * 15 + [REPLAYED] * 10
    assert table.use(table.make(41.0), 1, 41.0) is FRESH


def test_those_past_their_life_are_forgotten() -> None:
    table = nonces()
    for at in range(20):
        table.use(table.make(float(at)), 1, float(at))
    assert len(table) == 20
    table.use(table.make(1000.0), 1, 1000.0)
    assert len(table) == 1

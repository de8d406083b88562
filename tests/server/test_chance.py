"""Randomness a page at a time: nothing comes twice, and every length is what was asked for."""

from sipgw.server.chance import PAGE, Chance


def test_nothing_comes_twice() -> None:
    chance = Chance()
    found = [chance.randbytes(9) for _ in range(3 * PAGE // 9)]
    assert len(set(found)) == len(found) and {len(one) for one in found} == {9}


def test_any_length() -> None:
    chance = Chance()
    for length in (0, 1, PAGE - 1, PAGE, PAGE + 1, 16):
        assert len(chance.randbytes(length)) == length
    whole = [chance.randbytes(PAGE) for _ in range(3)]
    assert len(set(whole)) == 3


def test_two_have_nothing_in_common() -> None:
    assert Chance().randbytes(16) != Chance().randbytes(16)

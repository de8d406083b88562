"""Failed sign-ins: free, slowed, locked, forgotten, and bounded."""

from collections import Counter

import pytest

from sipgw.auth.lockout import Limits, Lockout, LockoutSettings

ALICE, HERE, THERE = "sip:alice@contoso.com", "192.0.2.7", "192.0.2.8"


class Tries:
    """A lockout, its counters and a clock."""

    def __init__(self, **settings: object) -> None:
        self.counters: Counter[str] = Counter()
        self.lockout = Lockout(LockoutSettings(**settings), self.counters)  # type: ignore[arg-type]
        self.now = 1000.0

    def fail(self, account: str = ALICE, source: str = HERE) -> float:
        """Fail as soon as it is allowed; returns the wait after it."""
        self.now += self.lockout.wait(account, source, self.now)
        self.lockout.failed(account, source, self.now)
        return self.wait(account, source)

    def wait(self, account: str = ALICE, source: str = HERE) -> float:
        return round(self.lockout.wait(account, source, self.now), 3)


def test_few_are_free_then_the_wait_doubles_then_nothing_is_taken() -> None:
    tries = Tries(account=Limits(free=3, most=7, forget=1e9), source=Limits(free=99, most=999))
    assert [tries.fail() for _ in range(7)] == [0.0, 0.0, 0.0, 1.0, 2.0, 4.0, 300.0]
    assert tries.counters["locked_account"] == 1
    tries.now += 299.0
    assert tries.wait() == 1.0
    tries.now += 1.0
    assert tries.wait() == 0.0
    assert tries.fail() == 1.0  # and slowed at once


def test_the_wait_has_a_longest() -> None:
    tries = Tries(account=Limits(free=0, most=100, slowest=30.0, forget=1e9))
    assert [tries.fail() for _ in range(7)] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_failures_are_forgotten_one_by_one() -> None:
    tries = Tries()
    for _ in range(3):
        assert tries.fail() == 0.0
    tries.now += 60.0
    assert tries.fail() == 0.0  # 3 - 1 + 1
    assert tries.fail() == 1.0


def test_a_mistyped_password_now_and_then_costs_nothing() -> None:
    tries = Tries()
    for _ in range(100):
        assert tries.fail() == 0.0
        tries.now += 60.0


def test_an_account_is_kept_from_all_strange_sources() -> None:
    tries = Tries()
    for at in range(11):
        tries.fail(source=f"198.51.100.{at}")
    assert tries.counters["locked_account"] == 1
    assert tries.wait(source=THERE) > 200.0
    assert tries.wait("sip:bob@contoso.com", THERE) == 0.0


def test_its_owner_is_not_locked_out_by_others() -> None:
    tries = Tries()
    tries.lockout.succeeded(ALICE, HERE)
    for _ in range(11):
        tries.fail(source=THERE)
    assert tries.wait(source=THERE) > 200.0
    assert tries.wait(source=HERE) == 0.0


def test_a_familiar_source_has_limits_too() -> None:
    tries = Tries()
    tries.lockout.succeeded(ALICE, HERE)
    for _ in range(11):
        tries.fail()
    assert tries.wait() > 200.0
    assert tries.wait(source=THERE) == 0.0


def test_the_owner_signing_in_does_not_clear_what_others_failed() -> None:
    tries = Tries()
    for _ in range(11):
        tries.fail(source=THERE)
        tries.lockout.succeeded(ALICE, HERE)
    assert tries.wait(source=THERE) > 200.0


def test_a_success_forgives_what_failed_at_the_same_place() -> None:
    tries = Tries()
    tries.lockout.succeeded(ALICE, HERE)
    for _ in range(5):
        tries.fail()
        tries.fail()
        tries.lockout.succeeded(ALICE, HERE)
        assert tries.wait() == 0.0


def test_a_source_that_tries_many_accounts_is_locked() -> None:
    tries = Tries(source=Limits(free=20, most=40, forget=1e9))
    waits = [tries.fail(f"user{at}") for at in range(40)]
    assert waits[:20] == [0.0] * 20
    assert waits[20:23] == [1.0, 2.0, 4.0]
    assert waits[39] == 300.0
    assert tries.counters["locked_source"] == 1
    assert tries.wait("somebody else") == 300.0
    assert tries.wait("somebody else", THERE) == 0.0


def test_an_account_of_ones_own_does_not_clear_a_source() -> None:
    tries = Tries(source=Limits(free=2, most=10, forget=1e9))
    for at in range(3):
        tries.fail(f"user{at}")
        tries.lockout.succeeded("mine", HERE)
    assert tries.wait("other") == 1.0


def test_an_unknown_account_is_slowed_as_any_other() -> None:
    known, unknown = Tries(), Tries()
    assert [known.fail(ALICE) for _ in range(12)] == [unknown.fail("nobody") for _ in range(12)]


def test_what_is_refused_is_counted() -> None:
    tries = Tries(account=Limits(free=0, most=9))
    assert tries.fail() == 1.0
    assert tries.counters["refused_lockout"] == 1


@pytest.mark.parametrize("what", ["account", "source"])
def test_tables_are_bounded(what: str) -> None:
    tries = Tries(tracked=50, account=Limits(free=0, most=10), source=Limits(free=0, most=10))
    for at in range(80):
        names = {"account": (f"user{at}", HERE), "source": (ALICE, f"198.51.100.{at}")}[what]
        tries.lockout.failed(*names, tries.now)
    assert tries.counters[f"lockout_displaced_{what}"] == 30
    assert tries.lockout.sizes()[what] == 50


def test_the_table_of_familiar_pairs_is_bounded() -> None:
    tries = Tries(tracked=50)
    for at in range(80):
        tries.lockout.succeeded(ALICE, f"198.51.100.{at}")
    assert tries.lockout.sizes()["familiar"] == 50

"""Failed sign-ins: free, slowed, locked, forgotten, and bounded."""

from collections import Counter

import pytest

from sipgw.auth.lockout import Limits, Lockout, LockoutSettings
from sipgw.auth.source import source_of

NAME, ALICE, HERE, THERE = "alice", "sip:alice@contoso.com", "192.0.2.7", "192.0.2.8"


class Tries:
    """A lockout, its counters and a clock."""

    def __init__(self, **settings: object) -> None:
        self.counters: Counter[str] = Counter()
        self.lockout = Lockout(LockoutSettings(**settings), self.counters)  # type: ignore[arg-type]
        self.now = 1000.0

    def fail(self, name: str = NAME, source: str = HERE, uri: str = "") -> float:
        """Fail as soon as it is allowed; returns the wait after it."""
        self.now += self.lockout.wait(name, source, self.now)
        self.lockout.failed(name, uri, source, self.now)
        return self.wait(name, source)

    def wait(self, name: str = NAME, source: str = HERE) -> float:
        return round(self.lockout.wait(name, source, self.now), 3)

    def bars(self, source: str = HERE) -> bool:
        return self.lockout.bars(ALICE, source, self.now)


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
    tries.lockout.succeeded(NAME, ALICE, HERE)
    for _ in range(11):
        tries.fail(source=THERE)
    assert tries.wait(source=THERE) > 200.0
    assert tries.wait(source=HERE) == 0.0


def test_a_familiar_source_has_limits_too() -> None:
    tries = Tries()
    tries.lockout.succeeded(NAME, ALICE, HERE)
    for _ in range(11):
        tries.fail()
    assert tries.wait() > 200.0
    assert tries.wait(source=THERE) == 0.0


def test_the_owner_signing_in_does_not_clear_what_others_failed() -> None:
    tries = Tries()
    for _ in range(11):
        tries.fail(source=THERE)
        tries.lockout.succeeded(NAME, ALICE, HERE)
    assert tries.wait(source=THERE) > 200.0


def test_a_success_forgives_what_failed_at_the_same_place() -> None:
    tries = Tries()
    tries.lockout.succeeded(NAME, ALICE, HERE)
    for _ in range(5):
        tries.fail()
        tries.fail()
        tries.lockout.succeeded(NAME, ALICE, HERE)
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
        tries.lockout.succeeded("mine", "sip:mine@contoso.com", HERE)
    assert tries.wait("other") == 1.0


def test_an_unknown_account_is_slowed_as_any_other() -> None:
    known, unknown = Tries(), Tries()
    assert [known.fail(uri=ALICE) for _ in range(12)] == [unknown.fail("nobody") for _ in range(12)]


def test_what_is_refused_is_counted() -> None:
    tries = Tries(account=Limits(free=0, most=9))
    assert tries.fail() == 1.0
    assert tries.counters["refused_lockout"] == 1


@pytest.mark.parametrize("what", ["account", "source"])
def test_tables_are_bounded(what: str) -> None:
    tries = Tries(tracked=50, account=Limits(free=0, most=10), source=Limits(free=0, most=10))
    for at in range(80):
        names = {"account": (f"user{at}", HERE), "source": (NAME, f"198.51.100.{at}")}[what]
        tries.lockout.failed(names[0], f"sip:{names[0]}@contoso.com", names[1], tries.now)
    assert tries.counters[f"lockout_displaced_{what}"] == 30
    assert tries.lockout.sizes()[what] == 50


def test_the_table_of_familiar_pairs_is_bounded() -> None:
    tries = Tries(tracked=50)
    for at in range(80):
        tries.lockout.succeeded(NAME, ALICE, f"198.51.100.{at}")
    assert tries.lockout.sizes()["familiar"] == 100, "by name, and by account"


def test_the_table_of_accounts_is_bounded() -> None:
    tries = Tries(tracked=50)
    for at in range(80):
        tries.lockout.failed("x", f"sip:user{at}@contoso.com", HERE, tries.now)
    assert tries.lockout.sizes()["alias"] == 50 and tries.counters["lockout_displaced_alias"] == 30


def test_what_fails_by_several_names_of_an_account_counts_together_and_nobody_is_told() -> None:
    tries = Tries()
    for at in range(12):
        assert tries.fail(f"name{at % 6}", f"198.51.100.{at}", ALICE) == 0.0
    assert tries.bars() and not tries.lockout.bars("sip:bob@contoso.com", HERE, tries.now)
    tries.now += 300.0
    assert not tries.bars()


def test_an_account_that_is_barred_is_not_barred_for_ever_by_who_goes_on() -> None:
    tries = Tries(source=Limits(free=999, most=9999))
    for at in range(300):
        if not tries.bars() and at > 20:
            break
        tries.lockout.failed(f"name{at}", ALICE, HERE, tries.now)
        tries.now += 2.0
    assert 20 < at < 200


def test_its_owner_is_not_barred_by_others() -> None:
    tries = Tries()
    tries.lockout.succeeded(NAME, ALICE, HERE)
    for at in range(12):
        tries.fail(f"name{at}", THERE, ALICE)
    assert tries.bars(THERE) and not tries.bars(HERE)
    for at in range(12):
        tries.fail(f"other{at}", HERE, ALICE)
    assert tries.bars(HERE)
    tries.lockout.succeeded(NAME, ALICE, HERE)
    assert not tries.bars(HERE) and tries.bars(THERE)


def test_what_failed_somewhere_else_bars_too() -> None:
    here, there = Tries(), Tries()
    there.lockout.tell = lambda name, uri, source, good: here.lockout.learn(name, uri, source, good, here.now)
    for at in range(12):
        there.fail(f"name{at}", THERE, ALICE)
    assert here.bars() and not here.counters


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.7", HERE, True),
        ("fe80::1%eth0", "fe80::2", True),
        (HERE, THERE, False),
        ("not:an:address", "not:an:addres", False),
    ],
)
def test_a_source_is_what_one_subscriber_has(one: str, other: str, together: bool) -> None:
    """Who has an IPv6 network would have 2^64 sources."""
    tries = Tries(source=Limits(free=0, most=9))
    tries.fail(source=one)
    assert (tries.wait("another", other) > 0.0) is together
    tries.lockout.succeeded("third", "sip:third@contoso.com", one)
    assert (source_of(one) == source_of(other)) is together

"""What is kept of sign-ins and of handshakes under way: found, replaced, aged, displaced."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipgw.auth.accounts import Account, AccountTable
from sipgw.auth.ntlm_mechanism import NtlmMechanism
from sipgw.auth.ntlm_session import NtlmSession
from sipgw.auth.replay import WINDOW, ReplayWindow
from sipgw.auth.sipae_associations import Association, AssociationLimits, Associations, flow_key
from sipgw.auth.sipae_handshakes import HandshakeLimits, Handshakes
from sipgw.events import Flow
from tests.auth.vectors.peer import ALICE, BOB, TARGETNAME, flow

SESSION = NtlmSession(bytes(16), 0x62988255, client=False)
HANDSHAKE = NtlmMechanism(AccountTable(), TARGETNAME, Random(1), 0.0).begin()


class Table:
    def __init__(self, **limits: float) -> None:
        self.counters: Counter[str] = Counter()
        most, most_per_user = int(limits.pop("most", 10)), int(limits.pop("most_per_user", 5))
        times = {"lifetime": 1000.0, "grace": 100.0, "idle": 300.0} | limits
        limited = AssociationLimits(times["lifetime"], times["grace"], times["idle"], most, most_per_user)
        self.kept = Associations(limited, self.counters)

    def add(
        self, opaque: str, now: float, over: Flow | None = None, account: Account = ALICE, epid: str = ""
    ) -> Association:
        where = flow_key(over or flow())
        made = Association(
            opaque, "NTLM", TARGETNAME, 4, False, account, "x", epid or opaque, where, SESSION, created=now, used=now
        )
        self.kept.add(made, now)
        return made

    def known(self, *opaques: str, now: float) -> list[str]:
        return [opaque for opaque in opaques if self.kept.find(opaque, now)]


def test_ended_by_what_proved_it() -> None:
    """A ticket that is good for less than an association bounds it; one that is good for longer does not."""
    table = Table()
    short, long = table.add("short", 0.0), table.add("long", 0.0)
    short.expires, long.expires = 100.0, 5000.0
    for now, due in ((99.0, False), (100.0, True), (199.0, True)):
        assert table.kept.is_due(short, now) is due and not table.kept.is_due(long, now)
        assert table.known("short", "long", now=now) == ["short", "long"]
    assert table.known("short", "long", now=200.0) == ["long"]
    table.kept.use(long, 999.0)
    assert table.kept.is_due(long, 1000.0)


# numbers


def test_numbers_are_taken_once() -> None:
    window = ReplayWindow()
    assert [window.take(number) for number in (1, 2, 2, 1, 5, 3, 3, 4, 5, 6)] == [
        True, True, False, False, True, True, False, True, False, True
    ]  # fmt: skip


def test_numbers_that_are_too_old_to_tell() -> None:
    window = ReplayWindow()
    assert window.take(1000)
    assert not window.take(1000 - WINDOW)
    assert window.take(1001 - WINDOW) and not window.take(1001 - WINDOW)
    assert window.take(10**9) and not window.take(1000) and not window.take(999)


@pytest.mark.parametrize("number", [0, -1])
def test_numbers_that_nobody_sends(number: int) -> None:
    assert not ReplayWindow().take(number)


@given(st.lists(st.integers(0, 300), max_size=200))
def test_no_number_is_taken_twice_and_each_new_one_near_enough_is(numbers: list[int]) -> None:
    window, taken, highest = ReplayWindow(), set[int](), 0
    for number in numbers:
        expected = number > 0 and number not in taken and number > highest - WINDOW
        assert window.take(number) == expected
        if expected:
            taken.add(number)
            highest = max(highest, number)


# associations


def test_found_by_opaque_and_by_flow() -> None:
    table, over = Table(), flow(7)
    first, second = table.add("a", 0.0), table.add("b", 1.0, over)
    third = table.add("c", 2.0, over, BOB)
    assert table.kept.find("b", 3.0) is second and table.kept.find("x", 3.0) is None
    assert list(table.kept.of_flow(over)) == [second, third]
    assert list(table.kept.of_flow(flow())) == [first] and not table.kept.of_flow(flow(99))
    assert "a" in table.kept and "x" not in table.kept and len(table.kept) == 3


def test_datagram_flows_are_told_apart_by_address() -> None:
    table = Table()
    made = table.add("a", 0.0, flow(0, "192.0.2.1", 5060))
    assert list(table.kept.of_flow(flow(0, "192.0.2.1", 5060))) == [made]
    assert not table.kept.of_flow(flow(0, "192.0.2.1", 5061)) and not table.kept.of_flow(flow(0, "192.0.2.2", 5060))


def test_an_endpoint_has_one_on_a_flow() -> None:
    table = Table()
    table.add("old", 0.0, epid="e")
    table.add("other endpoint", 0.0, epid="f")
    table.add("other user", 0.0, account=BOB, epid="e")
    table.add("other flow", 0.0, flow(2), epid="e")
    table.add("new", 1.0, epid="e")
    rest = ("other endpoint", "other user", "other flow", "new")
    assert table.known("old", *rest, now=1.0) == list(rest)
    assert not table.counters


def test_a_lost_flow_takes_its_own() -> None:
    table = Table()
    for number in range(4):
        table.add(f"{number}", 0.0, flow(1 + number % 2))
    table.kept.drop_flow(flow(1))
    table.kept.drop_flow(flow(99))
    assert table.known("0", "1", "2", "3", now=0.0) == ["1", "3"] and not table.kept.of_flow(flow(1))


def test_idle_ones_are_gone() -> None:
    table = Table()
    used, unused = table.add("used", 0.0), table.add("unused", 0.0)
    table.kept.use(used, 200.0)
    assert table.known("used", "unused", now=299.9) == ["used", "unused"]
    assert table.known("used", "unused", now=300.0) == ["used"] and unused not in table.kept.of_flow(flow())
    assert table.known("used", now=500.0) == [] and len(table.kept) == 0


def test_due_at_the_end_of_the_lifetime_and_gone_after_the_grace() -> None:
    table = Table()
    made = table.add("a", 50.0)
    for now in range(100, 1200, 100):
        table.kept.use(made, float(now))
    assert [table.kept.is_due(made, now) for now in (1049.9, 1050.0)] == [False, True]
    assert table.known("a", now=1149.9) == ["a"] and table.known("a", now=1150.0) == []


def test_a_new_one_clears_out_what_is_gone() -> None:
    table = Table(most=3)
    for number in range(3):
        table.add(f"{number}", float(number))
    table.add("new", 301.0)
    assert len(table.kept) == 2 and not table.counters


def test_the_one_idle_longest_makes_room() -> None:
    table = Table(most=3)
    first, *_ = [table.add(f"{number}", 0.0) for number in range(3)]
    table.kept.use(first, 1.0)
    table.add("new", 2.0)
    assert table.known("0", "1", "2", "new", now=2.0) == ["0", "2", "new"]
    assert table.counters == {"sipae_displaced": 1} and len(table.kept.of_flow(flow())) == 3


def test_a_user_makes_room_for_himself_only() -> None:
    table = Table(most_per_user=2)
    table.add("bob", 0.0, account=BOB)
    first = table.add("0", 1.0)
    table.add("1", 2.0)
    table.kept.use(first, 3.0)
    table.add("2", 4.0)
    assert table.known("bob", "0", "1", "2", now=4.0) == ["bob", "0", "2"]
    assert table.counters == {"sipae_displaced": 1}


def test_taken_over_with_other_limits() -> None:
    old, new = Table(), Table(most=2)
    for number in range(4):
        old.add(f"{number}", float(number), flow(number + 1))
    new.kept.take_over(old.kept)
    assert len(new.kept) == 4 and len(new.kept.of_flow(flow(1))) == 1
    new.add("new", 5.0)
    assert new.known("0", "1", "2", "3", "new", now=5.0) == ["3", "new"] and new.counters == {"sipae_displaced": 3}


def test_keys_are_not_shown() -> None:
    assert "session" not in repr(Table().add("a", 0.0)) and "window" not in repr(Table().add("a", 0.0))


# handshakes


class Waiting:
    def __init__(self, **limits: int) -> None:
        self.counters: Counter[str] = Counter()
        self.kept = Handshakes(HandshakeLimits(**limits), self.counters)

    def put(self, *opaques: str, now: float = 0.0, over: Flow | None = None) -> None:
        for opaque in opaques:
            self.kept.put(opaque, HANDSHAKE, "NTLM", over or flow(), now)


def test_a_handshake_goes_on_once_on_its_flow_with_its_scheme() -> None:
    waiting = Waiting()
    waiting.put("a")
    assert waiting.kept.take("a", "NTLM", flow(2), 1.0) is None
    assert waiting.kept.take("a", "Kerberos", flow(), 1.0) is None
    assert waiting.kept.take("b", "NTLM", flow(), 1.0) is None
    assert waiting.kept.take("a", "NTLM", flow(), 1.0) is HANDSHAKE
    assert waiting.kept.take("a", "NTLM", flow(), 1.0) is None and len(waiting.kept) == 0


def test_a_handshake_is_not_waited_for_for_ever() -> None:
    waiting = Waiting(age=60)
    waiting.put("a")
    waiting.put("b", now=30.0)
    assert waiting.kept.take("a", "NTLM", flow(), 60.0) is None and len(waiting.kept) == 1
    assert waiting.kept.take("b", "NTLM", flow(), 89.9) is HANDSHAKE


def test_a_source_makes_room_for_itself_only() -> None:
    waiting, elsewhere = Waiting(most_per_source=2), flow(2, "192.0.2.99")
    waiting.put("other", over=elsewhere)
    waiting.put("a", "b", "c")
    assert [opaque for opaque in ("other", "a", "b", "c") if opaque in waiting.kept] == ["other", "b", "c"]
    assert waiting.counters == {"sipae_handshakes_displaced": 1}


def test_the_oldest_makes_room() -> None:
    waiting = Waiting(most=2)
    for number in range(3):
        waiting.put(f"{number}", over=flow(number + 1, f"192.0.2.{number}"))
    assert [opaque for opaque in "012" if opaque in waiting.kept] == ["1", "2"]
    assert waiting.counters == {"sipae_handshakes_displaced": 1}


def test_sources_are_forgotten_with_their_handshakes() -> None:
    waiting = Waiting(age=10)
    for number in range(50):
        waiting.put(f"{number}", now=number * 10.0, over=flow(number + 1, f"192.0.2.{number}"))
    assert len(waiting.kept) == 1 and len(waiting.kept._by_source) == 1


def test_handshakes_are_taken_over() -> None:
    old, new = Waiting(), Waiting(most=1)
    old.put("a", "b")
    new.kept.take_over(old.kept)
    assert new.kept.take("a", "NTLM", flow(), 1.0) is HANDSHAKE
    new.put("c", now=1.0)
    assert "b" not in new.kept and "c" in new.kept and len(new.kept) == 1

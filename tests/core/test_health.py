"""What brings a pool server down, what brings it back, and in which order servers are tried meanwhile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipgw.core import health as module
from sipgw.core.health import (
    CALL,
    DIALOG,
    DOUBLINGS,
    FORGIVEN,
    LONGEST_RETRY,
    MAX_SERVERS,
    PROBE,
    Health,
    HealthSettings,
)
from sipgw.events import Hop

ONE, TWO, THREE = (Hop("TCP", f"192.0.2.{last}", 5041) for last in (51, 52, 53))
PROBED = HealthSettings(interval=10.0)
UNPROBED = HealthSettings()


def a_health(settings: HealthSettings = PROBED) -> Health:
    return Health(settings)


def down(settings: HealthSettings = PROBED, now: float = 0.0) -> Health:
    """One server, down since its connection was refused."""
    health = a_health(settings)
    health.failed(ONE, "connection refused", now, certain=True)
    return health


def changes(health: Health) -> list[tuple[str, bool]]:
    taken, health.changes = health.changes, []
    return [(hop.host, known.up) for hop, known in taken]


# going down


def test_a_server_that_nothing_is_known_of_is_up() -> None:
    health = a_health()
    assert health.usable(ONE, 0.0)
    assert health.of(ONE).up
    assert not health.troubled


def test_a_refused_connection_brings_a_server_down_at_once() -> None:
    health = down(now=7.0)
    known = health.of(ONE)
    assert (known.up, known.since, known.reason) == (False, 7.0, "connection refused")
    assert not health.usable(ONE, 7.0)
    assert changes(health) == [(ONE.host, False)]


@pytest.mark.parametrize("fall", [1, 2, 5])
def test_timeouts_have_to_come_in_a_row(fall: int) -> None:
    health = a_health(HealthSettings(10.0, fall=fall))
    for at in range(fall):
        assert health.usable(ONE, float(at))
        health.failed(ONE, "timeout", float(at))
    assert not health.usable(ONE, float(fall))
    assert changes(health) == [(ONE.host, False)]


@pytest.mark.parametrize(
    ("fails", "answers"), [(CALL, CALL), (DIALOG, CALL), (DIALOG, DIALOG), (DIALOG, PROBE), (PROBE, DIALOG)]
)
def test_an_answer_in_between_starts_the_count_anew(fails: str, answers: str) -> None:
    health = a_health()
    for at in range(10):
        health.failed(ONE, "timeout", float(at), by=fails)
        health.succeeded(ONE, at + 0.5, answers)
    assert health.usable(ONE, 10.0)
    assert changes(health) == []
    assert not health.troubled


@pytest.mark.parametrize("settings", [PROBED, UNPROBED])
@pytest.mark.parametrize("answers", [DIALOG, PROBE])
@pytest.mark.parametrize("reason", ["timeout", "503"])
def test_a_server_that_takes_no_calls_is_down_whatever_else_it_answers(
    settings: HealthSettings, answers: str, reason: str
) -> None:
    health = a_health(settings)
    for at in (0.0, 200.0):
        assert health.usable(ONE, at)
        health.failed(ONE, reason, at)
        for after in range(1, 9):
            health.succeeded(ONE, at + after, answers)
    assert changes(health) == [(ONE.host, False)]
    assert not health.usable(ONE, 200.0 + settings.retry - 1)
    assert health.usable(ONE, 200.0 + settings.retry), "a call may try"


@pytest.mark.parametrize("settings", [PROBED, UNPROBED])
def test_the_next_call_may_try_it_later_each_time(settings: HealthSettings) -> None:
    health, now = a_health(settings), 0.0
    health.failed(ONE, "timeout", now)
    waits = [settings.retry * 2.0**times for times in range(DOUBLINGS + 1)]
    for wait in [*waits, waits[-1]]:
        health.failed(ONE, "timeout", now)
        assert not health.usable(ONE, now + wait - 0.1)
        now += wait
        assert health.usable(ONE, now)
    assert waits[-1] < FORGIVEN


def test_an_answered_call_makes_up_for_all_of_it() -> None:
    health = a_health()
    for at in (0.0, 1.0, 40.0):
        health.failed(ONE, "timeout", at)
    health.succeeded(ONE, 101.0, CALL)
    assert changes(health) == [(ONE.host, False), (ONE.host, True)]
    assert not health.troubled


def test_when_it_may_be_tried_options_bring_it_back_and_one_more_call_that_it_does_not_take_is_enough() -> None:
    """Where no call comes it must not look down for ever; where calls come not two of them have to find out again."""
    health = a_health()
    for at in (0.0, 1.0):
        health.failed(ONE, "timeout", at)
    for at in range(2, 33):
        health.succeeded(ONE, float(at), PROBE)
    assert health.usable(ONE, 32.0)
    assert changes(health) == [(ONE.host, False), (ONE.host, True)]
    health.failed(ONE, "timeout", 50.0)
    assert changes(health) == [(ONE.host, False)]


def test_calls_that_it_did_not_take_are_forgotten_after_a_while() -> None:
    health = a_health()
    for at in range(4):
        health.failed(ONE, "timeout", at * FORGIVEN)
        health.succeeded(ONE, at * FORGIVEN + 1.0, PROBE)
    assert changes(health) == []
    health.succeeded(ONE, 4 * FORGIVEN, PROBE)
    assert not health.troubled


@pytest.mark.parametrize(("reason", "certain"), [("timeout", False), ("Connection refused", True)])
def test_a_server_that_is_gone_for_options_too_is_back_when_they_are_answered(reason: str, certain: bool) -> None:
    health = a_health()
    for call in range(10):
        health.failed(ONE, "timeout", float(call))
    health.failed(ONE, reason, 11.0, certain=certain, by=PROBE)
    for at in (12.0, 13.0):
        health.succeeded(ONE, at, PROBE)
    assert health.usable(ONE, 13.0)
    assert changes(health) == [(ONE.host, False), (ONE.host, True)]


def test_a_change_is_told_once_however_often_a_server_fails() -> None:
    health = a_health()
    for at in range(5):
        health.failed(ONE, "timeout", float(at))
    assert changes(health) == [(ONE.host, False)]
    assert health.of(ONE).since == 1.0, "since it fell, not since it failed last"


def test_servers_differ_by_transport_port_and_the_name_that_they_have_to_prove() -> None:
    health = down()
    others = [Hop("TLS", ONE.host, 5041), Hop("TCP", ONE.host, 5060), Hop("TCP", ONE.host, 5041, "pc.example.test")]
    assert all(health.usable(hop, 0.0) for hop in others)
    for hop in others:
        health.succeeded(hop, 1.0)
    assert not health.usable(ONE, 1.0), "that one transport works says nothing of another"


# 503


def test_a_503_counts_as_any_failure() -> None:
    health = a_health()
    health.failed(ONE, "503", 0.0)
    assert health.usable(ONE, 0.0)
    health.failed(ONE, "503", 1.0)
    assert not health.usable(ONE, 1.0)


@pytest.mark.parametrize("settings", [PROBED, UNPROBED])
def test_retry_after_counts_at_once_and_for_as_long_as_it_says(settings: HealthSettings) -> None:
    health = a_health(settings)
    health.failed(ONE, "503", 100.0, retry_after=40.0)
    assert changes(health) == [(ONE.host, False)]
    assert not health.usable(ONE, 139.9)
    assert health.usable(ONE, 140.0)


def test_retry_after_is_believed_for_an_hour_at_most() -> None:
    health = a_health()
    health.failed(ONE, "503", 0.0, retry_after=1e9)
    assert not health.usable(ONE, LONGEST_RETRY - 1)
    assert health.usable(ONE, LONGEST_RETRY)


@pytest.mark.parametrize("answers", [CALL, DIALOG, PROBE])
def test_until_then_no_answer_counts(answers: str) -> None:
    """A server that takes no new dialogs still answers in those that it has (§21.5.4)."""
    health = a_health()
    health.failed(ONE, "503", 0.0, retry_after=40.0)
    for at in range(40):
        health.succeeded(ONE, float(at), answers)
    assert not health.usable(ONE, 39.9)
    health.succeeded(ONE, 40.0)
    assert changes(health) == [(ONE.host, False), (ONE.host, True)]


@pytest.mark.parametrize("settings", [PROBED, UNPROBED])
def test_a_further_failure_does_not_shorten_it(settings: HealthSettings) -> None:
    health = a_health(settings)
    health.failed(ONE, "503", 0.0, retry_after=40.0)
    health.failed(ONE, "503", 1.0)
    assert not health.usable(ONE, 39.9)
    assert health.usable(ONE, 40.0)


def test_a_server_that_died_meanwhile_is_not_tried_for_ever_since_its_time_is_over() -> None:
    health = a_health()
    health.failed(ONE, "503", 0.0, retry_after=5.0)
    assert health.usable(ONE, 5.0)
    health.failed(ONE, "connection refused", 6.0, certain=True)
    assert not health.usable(ONE, 7.0)
    assert not health.usable(ONE, 1e6)
    assert changes(health) == [(ONE.host, False)]


@pytest.mark.parametrize(
    ("reasons", "gone"),
    [
        ([], False),
        (["timeout"], False),
        (["timeout", "timeout"], True),
        (["503", "503"], False),
        (["503 to OPTIONS", "503 to OPTIONS"], False),
        (["503", "503", "connection refused"], True),
        (["connection refused", "connection refused", "503"], False),
    ],
)
def test_to_have_too_much_to_do_is_not_to_be_gone(reasons: list[str], gone: bool) -> None:
    health = a_health()
    for at, reason in enumerate(reasons):
        health.failed(ONE, reason, float(at))
    assert health.gone(ONE) == gone


# coming back


@pytest.mark.parametrize("rise", [1, 2, 4])
def test_answered_options_have_to_come_in_a_row(rise: int) -> None:
    health = down(HealthSettings(10.0, rise=rise))
    for at in range(rise):
        assert not health.usable(ONE, float(at))
        health.succeeded(ONE, float(at), by=PROBE)
    assert health.usable(ONE, float(rise))
    assert changes(health) == [(ONE.host, False), (ONE.host, True)]
    assert not health.troubled


def test_a_failure_in_between_starts_them_anew() -> None:
    health = down()
    for at in range(5):
        health.succeeded(ONE, float(at), by=PROBE)
        health.failed(ONE, "timeout", at + 0.5)
    assert not health.usable(ONE, 5.0)
    assert changes(health) == [(ONE.host, False)]


def test_an_answered_call_brings_a_server_back_at_once() -> None:
    health = down()
    health.succeeded(ONE, 3.0)
    assert health.usable(ONE, 3.0)
    assert changes(health) == [(ONE.host, False), (ONE.host, True)]
    assert not health.troubled


def test_with_options_only_an_answer_brings_a_server_back() -> None:
    assert not down(PROBED).usable(ONE, 1e6)


def test_without_options_it_is_tried_again_after_a_while_and_after_each_failure_later() -> None:
    health = down(UNPROBED)
    assert not health.usable(ONE, UNPROBED.retry - 0.1)
    assert health.usable(ONE, UNPROBED.retry)
    assert not health.of(ONE).up, "that it may be tried does not say that it works"
    health.failed(ONE, "timeout", UNPROBED.retry + 3.0)
    assert not health.usable(ONE, UNPROBED.retry + 4.0)
    assert health.usable(ONE, 2 * UNPROBED.retry + 3.0)


def test_when_options_are_given_up_nobody_waits_for_one() -> None:
    health = down(PROBED)
    health.failed(TWO, "503", 0.0, retry_after=5.0)
    health.settings = UNPROBED
    health.without_probes(100.0)
    assert not health.usable(ONE, 100.0)
    assert health.usable(ONE, 100.0 + UNPROBED.retry)
    assert health.usable(TWO, 100.0), "its own time is long over"


def test_a_success_of_a_server_without_failures_leaves_nothing() -> None:
    health = a_health()
    health.succeeded(ONE, 0.0)
    assert health.known() == {}
    assert not health.troubled


# the order of tries


def test_servers_that_work_come_first_and_otherwise_in_their_order() -> None:
    health = down()
    assert health.ordered([ONE, TWO, THREE], 0.0) == [TWO, THREE, ONE]
    health.failed(TWO, "connection reset", 0.0, certain=True)
    assert health.ordered([ONE, TWO, THREE], 0.0) == [THREE, ONE, TWO]
    health.failed(THREE, "connection reset", 0.0, certain=True)
    assert health.ordered([ONE, TWO, THREE], 0.0) == [ONE, TWO, THREE], "none is left out when all look down"


def test_a_server_that_has_failed_but_is_not_down_keeps_its_place() -> None:
    health = a_health()
    health.failed(ONE, "timeout", 0.0)
    assert health.troubled
    assert health.ordered([ONE, TWO], 0.0) == [ONE, TWO]


# bounds


def test_of_too_many_servers_the_last_are_taken_for_up_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_SERVERS >= 1000
    monkeypatch.setattr(module, "MAX_SERVERS", 2)
    health = down()
    for hop in (TWO, THREE, THREE):
        health.failed(hop, "connection refused", 0.0, certain=True)
    assert [health.usable(hop, 0.0) for hop in (ONE, TWO, THREE)] == [False, False, True]
    assert health.counters["health_not_kept"] == 2
    health.failed(ONE, "connection refused", 1.0, certain=True)
    assert health.counters["health_not_kept"] == 2, "one that is known needs no room"
    health.succeeded(ONE, 2.0)
    health.failed(THREE, "connection refused", 3.0, certain=True)
    assert not health.usable(THREE, 3.0)


def test_servers_that_are_gone_from_the_configuration_are_forgotten() -> None:
    health = down()
    health.failed(TWO, "timeout", 0.0)
    health.keep_only([TWO, THREE])
    assert health.usable(ONE, 0.0)
    assert list(health.known()) == [TWO]
    health.keep_only([])
    assert not health.troubled
    health.failed(ONE, "timeout", 1.0)
    assert health.usable(ONE, 1.0), "one that comes back begins anew"


# whatever happens

Happening = tuple[str, int, float]
HAPPENINGS = st.lists(
    st.tuples(
        st.sampled_from([CALL, DIALOG, PROBE, "timeout", "refused", "503"]), st.integers(0, 2), st.floats(0.0, 100.0)
    )
)


@given(HAPPENINGS, st.sampled_from([PROBED, UNPROBED, HealthSettings(1.0, 1, 1)]))
def test_changes_alternate_and_nothing_but_trouble_is_kept(
    happenings: list[Happening], settings: HealthSettings
) -> None:
    hops, now, health = (ONE, TWO, THREE), 0.0, Health(settings)
    for kind, at, pause in happenings:
        now += pause
        if kind in (CALL, DIALOG, PROBE):
            health.succeeded(hops[at], now, kind)
        else:
            health.failed(hops[at], kind, now, pause if kind == "503" else 0.0, kind == "refused")
        assert sorted(health.ordered(list(hops), now), key=hops.index) == list(hops)
        assert health.troubled == bool(health.known())
        assert all(known.failures or known.missed or not known.up for known in health.known().values())
    for hop in hops:
        told = [known.up for changed, known in health.changes if changed == hop]
        assert told == [bool(number % 2) for number in range(len(told))], "down, up, down, up"
        assert health.of(hop).up == (not told or told[-1])

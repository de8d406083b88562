"""Timers A to M (RFC 3261 table 4, RFC 6026 §8): when each runs out, over UDP and over connections."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipgw.events import Hop
from sipgw.transaction.layer import TransactionLayer
from sipgw.transaction.timers import Timers, TimerValues
from tests.transaction.test_machine_tables import Bench

DOUBLING = [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
CAPPED = [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]


def run(bench: Bench, until: float = 1000.0) -> list[tuple[float, str]]:
    """All that happens with nothing from outside, with its time since now."""
    start, seen = bench.now, []
    bench.seen()
    while (deadline := bench.layer.timers.next_deadline()) is not None and deadline <= start + until:
        bench.now = deadline
        bench.layer.timers.run(deadline)
        seen += [(round(deadline - start, 6), event) for event in bench.seen()]
    return seen


def client(method: str, transport: str, values: TimerValues | None = None) -> Bench:
    bench = Bench(transport)
    if values is not None:
        bench.layer = TransactionLayer(values, Random(1))
        bench.layer.user = bench
    bench.start_client(method)
    return bench


def server(method: str, transport: str, *events: str) -> Bench:
    bench = Bench(transport)
    bench.start_server(method)
    for event in events:
        bench.do(event)
    return bench


def ended_after(bench: Bench) -> float:
    """Seconds until the transaction is gone."""
    start = bench.now
    run(bench)
    assert bench.layer.size == (0, 0)
    assert bench.transaction.state == "Terminated"
    return bench.now - start


def test_a_and_b_over_udp() -> None:
    assert run(client("INVITE", "UDP")) == [(at, "> INVITE") for at in DOUBLING] + [(32.0, "^ timeout")]


def test_e_and_f_over_udp() -> None:
    assert run(client("INFO", "UDP")) == [(at, "> INFO") for at in CAPPED] + [(32.0, "^ timeout")]


@pytest.mark.parametrize(
    ("method", "transport"), [("INVITE", "TCP"), ("INVITE", "TLS"), ("INFO", "TCP"), ("INFO", "TLS")]
)
def test_b_and_f_over_connections_without_repetition(method: str, transport: str) -> None:
    assert run(client(method, transport)) == [(32.0, "^ timeout")]


def test_e_in_proceeding_runs_at_t2() -> None:
    bench = client("INFO", "UDP")
    assert run(bench, 0.6) == [(0.5, "> INFO")]
    bench.do("1xx")
    bench.now = 100.6
    seen = run(bench)
    assert [round(at + 0.6, 6) for at, event in seen if event == "> INFO"] == [
        1.5,
        5.5,
        9.5,
        13.5,
        17.5,
        21.5,
        25.5,
        29.5,
    ]
    assert seen[-1][1] == "^ timeout"
    assert round(seen[-1][0] + 0.6, 6) == 32.0


def test_a_provisional_ends_a_and_b() -> None:
    """§17.1.1.2: from then on the transaction user decides how long it may ring (Timer C)."""
    bench = client("INVITE", "UDP")
    bench.do("1xx")
    assert run(bench) == []
    assert len(bench.layer.timers) == 0


@pytest.mark.parametrize(
    ("method", "event", "transport", "seconds"),
    [
        ("INVITE", "300-699", "UDP", 32.0),  # D
        ("INVITE", "300-699", "TCP", 0.0),
        ("INVITE", "2xx", "UDP", 32.0),  # M
        ("INVITE", "2xx", "TCP", 32.0),
        ("INFO", "2xx", "UDP", 5.0),  # K
        ("INFO", "300-699", "UDP", 5.0),
        ("INFO", "2xx", "TCP", 0.0),
    ],
)
def test_d_k_and_m(method: str, event: str, transport: str, seconds: float) -> None:
    bench = client(method, transport)
    bench.do(event)
    assert ended_after(bench) == seconds


def test_a_repeated_2xx_does_not_prolong_m() -> None:
    bench = client("INVITE", "UDP")
    bench.do("2xx")
    bench.now += 20
    bench.do("2xx")
    assert ended_after(bench) == 12.0


def test_g_and_h_over_udp() -> None:
    bench = server("INVITE", "UDP", "send 300-699")
    assert run(bench) == [(at, "> 486") for at in CAPPED]
    assert bench.now == 132.0
    assert bench.layer.counters["unacknowledged"] == 1
    assert bench.layer.size == (0, 0)


def test_h_over_tcp_without_g() -> None:
    bench = server("INVITE", "TCP", "send 300-699")
    assert run(bench) == []
    assert bench.now == 132.0
    assert bench.layer.size == (0, 0)


@pytest.mark.parametrize(
    ("method", "events", "transport", "seconds"),
    [
        ("INVITE", ("send 300-699", "ACK"), "UDP", 5.0),  # I
        ("INVITE", ("send 300-699", "ACK"), "TCP", 0.0),
        ("INFO", ("send 2xx",), "UDP", 32.0),  # J
        ("INFO", ("send 300-699",), "UDP", 32.0),
        ("INFO", ("send 2xx",), "TCP", 0.0),
        ("INVITE", ("send 2xx",), "UDP", 32.0),  # L
        ("INVITE", ("send 2xx",), "TCP", 32.0),
    ],
)
def test_i_j_and_l(method: str, events: tuple[str, ...], transport: str, seconds: float) -> None:
    assert ended_after(server(method, transport, *events)) == seconds


def test_other_values() -> None:
    bench = client("INVITE", "UDP", TimerValues(t1=0.1, t2=0.4, t4=1.0))
    seen = run(bench)
    assert [at for at, _ in seen] == [0.1, 0.3, 0.7, 1.5, 3.1, 6.3, 6.4]
    bench = client("INFO", "UDP", TimerValues(t1=0.1, t2=0.4, t4=1.0))
    assert [at for at, _ in run(bench, 2.0)] == [0.1, 0.3, 0.7, 1.1, 1.5, 1.9]
    bench.do("2xx")
    assert ended_after(bench) == pytest.approx(1.0)


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_a_request_that_another_server_may_take_is_given_up_sooner(transport: str) -> None:
    bench = Bench(transport)
    bench.start_client("INVITE")
    bench.transaction.transport_failed("gone", bench.now)
    bench.seen()
    hop = Hop(transport, "198.51.100.7", 5060)
    bench.transaction = bench.layer.send_request(bench, bench.original, "z9hG4bKtest", hop, bench.now, 3.0)
    assert run(bench)[-1] == (3.0, "^ timeout")


# CANCEL


def test_cancel_waits_for_a_provisional() -> None:
    bench = client("INVITE", "TCP")
    bench.seen()
    bench.transaction.cancel(bench.now)
    assert bench.seen() == []
    bench.do("1xx")
    assert bench.seen() == ["> CANCEL", "^ 180"]
    bench.do("300-699")
    assert bench.seen() == ["> ACK", "^ 486"]


def test_cancel_that_was_overtaken_by_the_final_response() -> None:
    bench = client("INVITE", "TCP")
    bench.seen()
    bench.transaction.cancel(bench.now)
    bench.do("2xx")
    assert bench.seen() == ["^ 200"]
    bench.transaction.cancel(bench.now)
    assert bench.seen() == []


def test_a_cancelled_call_ends_after_64_t1() -> None:
    bench = client("INVITE", "TCP")
    bench.do("1xx")
    bench.transaction.cancel(bench.now)
    assert run(bench)[-1] == (32.0, "^ timeout")


def test_a_cancelled_call_ends_even_if_it_rings_again() -> None:
    bench = client("INVITE", "TCP")
    bench.do("1xx")
    bench.transaction.cancel(bench.now)
    bench.do("1xx")
    assert run(bench)[-1] == (32.0, "^ timeout")


def test_a_cancel_over_udp_is_repeated_like_any_request() -> None:
    bench = client("INVITE", "UDP")
    bench.do("1xx")
    bench.transaction.cancel(bench.now)
    assert bench.seen()[-1] == "^ 180"
    assert [at for at, event in run(bench) if event == "> CANCEL"] == CAPPED


# the queues


class Owner:
    def __init__(self) -> None:
        self.fired: list[tuple[str, float]] = []

    def fire(self, kind: str, now: float) -> None:
        self.fired.append((kind, now))


def test_timers_fire_once_and_in_order() -> None:
    timers, a, b = Timers(), Owner(), Owner()
    timers.start("x", 2.0, a, 10.0)
    timers.start("x", 2.0, b, 11.0)
    timers.start("y", 0.5, b, 11.0)
    assert timers.next_deadline() == 11.5
    timers.run(11.4)
    assert (a.fired, b.fired) == ([], [])
    timers.run(12.0)
    assert (a.fired, b.fired) == ([("x", 12.0)], [("y", 12.0)])
    assert timers.next_deadline() == 13.0
    timers.run(99.0)
    assert len(timers) == 0
    assert timers.next_deadline() is None
    assert len(a.fired) + len(b.fired) == 3


def test_a_cancelled_timer_is_forgotten_at_once() -> None:
    timers, a = Timers(), Owner()
    timers.start("x", 2.0, a, 10.0).pop(a)
    assert len(timers) == 0
    timers.run(99.0)
    assert a.fired == []


def test_a_timer_may_be_started_while_timers_run() -> None:
    timers = Timers()
    times = []

    class Again:
        def fire(self, kind: str, now: float) -> None:
            times.append(now)
            if len(times) < 3:
                timers.start(kind, 1.0, self, now)

    timers.start("x", 1.0, Again(), 0.0)
    for now in (1.0, 2.0, 3.0, 4.0):
        timers.run(now)
    assert times == [1.0, 2.0, 3.0]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.5, 4.0, 32.0]), st.floats(0, 5), st.booleans()), max_size=30))
def test_no_timer_fires_early_or_never(steps: list[tuple[float, float, bool]]) -> None:
    timers, now = Timers(), 0.0
    owners: list[tuple[Owner, float, bool]] = []
    for duration, pause, cancelled in steps:
        owner = Owner()
        queue = timers.start("x", duration, owner, now)
        owners.append((owner, now + duration, cancelled))
        if cancelled:
            queue.pop(owner, None)
        now += pause
        while (deadline := timers.next_deadline()) is not None and deadline <= now:
            timers.run(deadline)
    timers.run(now + 100)
    for owner, due, cancelled in owners:
        assert len(owner.fired) == (0 if cancelled else 1)
        assert all(at >= due for _, at in owner.fired)

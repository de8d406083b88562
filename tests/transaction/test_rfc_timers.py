"""Timers A to M of RFC 3261 table 4 over a whole life, for the default T1, T2 and T4 and for others (§17.1.1.1).

Each life is all that happens, with the second of it, when one side falls silent.
"""

import pytest

from sipgw.transaction.timers import TimerValues
from tests.transaction.bench import Bench

DEFAULT = TimerValues()
SLOW = TimerValues(t1=2.0, t2=4.0, t4=5.0)  # a link with long round trips
COARSE = TimerValues(t1=3.0, t2=4.0, t4=10.0)  # T2 less than twice T1: the cap holds from the first doubling on
QUICK = TimerValues(t1=0.1, t2=0.4, t4=0.5)


def life(side: str, method: str, transport: str, values: TimerValues, *events: str) -> list[tuple[float, str]]:
    bench = Bench(side, method, transport, values)
    for event in events:
        bench.do(event)
    seen = bench.life()
    assert bench.layer.size == (0, 0)
    assert bench.deadlines == []
    return seen


@pytest.mark.parametrize(
    ("values", "sent", "over"),
    [
        (DEFAULT, [0.5, 1.5, 3.5, 7.5, 15.5, 31.5], 32.0),
        (SLOW, [2.0, 6.0, 14.0, 30.0, 62.0, 126.0], 128.0),
        (COARSE, [3.0, 9.0, 21.0, 45.0, 93.0, 189.0], 192.0),
        (QUICK, [0.1, 0.3, 0.7, 1.5, 3.1, 6.3], 6.4),
    ],
    ids=["default", "slow", "coarse", "quick"],
)
def test_an_invite_is_repeated_at_doubling_intervals_until_timer_b(
    values: TimerValues, sent: list[float], over: float
) -> None:
    """§17.1.1.2: Timer A doubles without a cap, so that with any T1 an INVITE goes out seven times."""
    assert life("client", "INVITE", "UDP", values) == [(at, "INVITE") for at in sent] + [(over, "timeout")]


@pytest.mark.parametrize(
    ("values", "sent", "over"),
    [
        (DEFAULT, [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5], 32.0),
        (SLOW, [2.0, *range(6, 128, 4)], 128.0),
        (COARSE, [3.0, *range(7, 192, 4)], 192.0),
        (QUICK, [0.1, 0.3, *[round(0.7 + 0.4 * n, 6) for n in range(15)]], 6.4),
    ],
    ids=["default", "slow", "coarse", "quick"],
)
@pytest.mark.parametrize("side", ["client", "server"])
def test_other_messages_are_repeated_with_intervals_up_to_t2(
    side: str, values: TimerValues, sent: list[float], over: float
) -> None:
    """§17.1.2.2 Timer E; §17.2.1 Timer G runs at the same instants, until Timer H."""
    if side == "client":
        assert life("client", "INFO", "UDP", values) == [(at, "INFO") for at in sent] + [(over, "timeout")]
    else:
        seen = life("server", "INVITE", "UDP", values, "TU 300-699")
        assert seen == [(at, "486") for at in sent] + [(over, "unacknowledged")]


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
@pytest.mark.parametrize("values", [DEFAULT, SLOW, QUICK], ids=["default", "slow", "quick"])
@pytest.mark.parametrize(
    ("side", "method", "events", "end"),
    [
        ("client", "INVITE", [], "timeout"),
        ("client", "INFO", [], "timeout"),
        ("client", "INFO", ["1xx"], "timeout"),
        ("server", "INVITE", ["TU 300-699"], "unacknowledged"),
    ],
    ids=["B", "F", "F-in-Proceeding", "H"],
)
def test_a_connection_repeats_for_us_so_we_only_wait(
    side: str, method: str, events: list[str], end: str, values: TimerValues, transport: str
) -> None:
    """§17.1.1.2, §17.1.2.2, §17.2.1: A, E and G are for unreliable transports; B, F and H for all."""
    assert life(side, method, transport, values, *events) == [(round(64 * values.t1, 6), end)]


@pytest.mark.parametrize("values", [DEFAULT, SLOW, QUICK], ids=["default", "slow", "quick"])
@pytest.mark.parametrize(
    ("side", "method", "events", "timer"),
    [
        ("client", "INVITE", ["300-699"], "D"),
        ("client", "INVITE", ["2xx"], "M"),
        ("client", "INFO", ["2xx"], "K"),
        ("client", "INFO", ["1xx", "300-699"], "K"),
        ("server", "INVITE", ["TU 300-699", "ACK"], "I"),
        ("server", "INFO", ["TU 2xx"], "J"),
        ("server", "INFO", ["TU 1xx", "TU 300-699"], "J"),
        ("server", "INVITE", ["TU 2xx"], "L"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else value,
)
def test_what_has_ended_is_remembered_for_as_long_as_a_copy_may_come(
    side: str, method: str, events: list[str], timer: str, values: TimerValues
) -> None:
    """T4 is how long a message may be on its way: K, I. 64*T1 is how long its sender may repeat it: D, J, L, M."""
    bench = Bench(side, method, "UDP", values)
    for event in events:
        bench.do(event)
    long = values.t4 if timer in "KI" else 64 * values.t1
    if timer == "D":  # whatever our own T1, the peer's may be longer
        long = max(long, 32.0)
    assert bench.deadlines == [long]
    bench.wait_until(long - 0.001)
    assert bench.layer.size != (0, 0)
    bench.wait_until(long)
    assert bench.layer.size == (0, 0)


@pytest.mark.parametrize("status", ["2xx", "300-699"])
def test_an_answer_stops_the_repetition_at_once(status: str) -> None:
    for method in ("INVITE", "INFO"):
        bench = Bench("client", method, "UDP")
        bench.wait_until(1.0)
        bench.do(status)
        bench.look()
        assert all(what not in ("INVITE", "INFO") for _, what in bench.life())


def test_a_provisional_does_not_put_off_the_end_of_other_requests() -> None:
    """§17.1.2.2: Timer F runs from the start, whatever comes between."""
    bench = Bench("client", "INFO", "UDP")
    for second in (1.0, 10.0, 31.0):
        bench.wait_until(second)
        bench.do("1xx")
    assert bench.life()[-1] == (1.0, "timeout")


def test_a_repeated_failure_does_not_put_off_timer_d() -> None:
    bench = Bench("client", "INVITE", "UDP")
    bench.do("300-699")
    bench.wait_until(30.0)
    bench.do("300-699")
    assert bench.look() == ("ACK", "")
    assert bench.deadlines == [2.0]


def test_a_repeated_request_does_not_put_off_the_end_of_its_memory() -> None:
    for method, events in (("INFO", ["TU 2xx"]), ("INVITE", ["TU 2xx"]), ("INVITE", ["TU 300-699", "ACK"])):
        bench = Bench("server", method, "UDP")
        for event in events:
            bench.do(event)
        bench.wait_until(4.0)
        before = bench.deadlines
        bench.do("again")
        assert bench.deadlines == before


def test_a_repeated_invite_does_not_disturb_timer_g() -> None:
    """§17.2.1: the response goes out for the copy of the request, and again at the instants of Timer G."""
    bench = Bench("server", "INVITE", "UDP")
    bench.do("TU 300-699")
    bench.wait_until(1.0)
    bench.do("again")
    assert bench.look() == ("486", "")
    assert bench.deadlines == [0.5, 31.0]

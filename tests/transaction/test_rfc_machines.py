"""The four machines as RFC 3261 figures 5 to 8 and RFC 6026 §7 draw them, each cell by what can be seen from outside.

The tables were written from the RFCs, not from the code. A row: state, event, what goes on the wire, what the user is
told, seconds until each timer that runs then, next state. "Timer A 0.5" is an event 0.5 s after the start; the state is
entered at second 0. Over connections A, E and G never run and D, I, J and K are zero, so the states that only they end
are passed through at once. Nothing else may happen in any cell: no message, no word to the user, no further timer.
"""

import pytest

from tests.transaction.bench import Bench

Row = tuple[str, str, str, str, tuple[float, ...], str]

INVITE_CLIENT_UDP: list[Row] = [
    ("Calling", "Timer A 0.5", "INVITE", "", (1.0, 31.5), "Calling"),
    ("Calling", "Timer A 1.5", "INVITE", "", (2.0, 30.5), "Calling"),
    ("Calling", "Timer A 31.5", "INVITE", "", (0.5, 32.0), "Calling"),
    ("Calling", "Timer B 32", "", "timeout", (), "Terminated"),
    ("Calling", "1xx", "", "180", (), "Proceeding"),
    ("Calling", "2xx", "", "200", (32.0,), "Accepted"),  # M, RFC 6026 §7.2
    ("Calling", "300-699", "ACK", "486", (32.0,), "Completed"),  # D
    ("Calling", "transport error", "", "broken", (), "Terminated"),
    ("Proceeding", "1xx", "", "180", (), "Proceeding"),
    ("Proceeding", "2xx", "", "200", (32.0,), "Accepted"),
    ("Proceeding", "300-699", "ACK", "486", (32.0,), "Completed"),
    # No figure has it, for nothing is sent here; a report that comes late is still a report (§17.1.4).
    ("Proceeding", "transport error", "", "broken", (), "Terminated"),
    ("Completed", "1xx", "", "", (32.0,), "Completed"),
    ("Completed", "2xx", "", "", (32.0,), "Completed"),
    ("Completed", "300-699", "ACK", "", (32.0,), "Completed"),
    ("Completed", "Timer D 32", "", "", (), "Terminated"),
    # "Inform TU" (a SHOULD, §17.1.4): it has its final response, and an ACK that was lost changes nothing for it.
    ("Completed", "transport error", "", "", (), "Terminated"),
    ("Accepted", "1xx", "", "", (32.0,), "Accepted"),
    ("Accepted", "2xx", "", "200", (32.0,), "Accepted"),
    ("Accepted", "300-699", "", "", (32.0,), "Accepted"),
    ("Accepted", "Timer M 32", "", "", (), "Terminated"),
    ("Accepted", "transport error", "", "", (32.0,), "Accepted"),
    ("Terminated", "1xx", "", "stray", (), "Terminated"),
    ("Terminated", "2xx", "", "stray", (), "Terminated"),  # RFC 6026 §8.9: not to be forwarded
    ("Terminated", "300-699", "", "stray", (), "Terminated"),
    ("Terminated", "transport error", "", "", (), "Terminated"),
]
INVITE_CLIENT_TCP: list[Row] = [
    ("Calling", "Timer A 0.5", "", "", (31.5,), "Calling"),
    ("Calling", "Timer B 32", "", "timeout", (), "Terminated"),
    ("Calling", "1xx", "", "180", (), "Proceeding"),
    ("Calling", "2xx", "", "200", (32.0,), "Accepted"),
    ("Calling", "300-699", "ACK", "486", (), "Terminated"),
    ("Calling", "transport error", "", "broken", (), "Terminated"),
    ("Proceeding", "1xx", "", "180", (), "Proceeding"),
    ("Proceeding", "2xx", "", "200", (32.0,), "Accepted"),
    ("Proceeding", "300-699", "ACK", "486", (), "Terminated"),
    ("Proceeding", "transport error", "", "broken", (), "Terminated"),
    ("Accepted", "1xx", "", "", (32.0,), "Accepted"),
    ("Accepted", "2xx", "", "200", (32.0,), "Accepted"),
    ("Accepted", "300-699", "", "", (32.0,), "Accepted"),
    ("Accepted", "Timer M 32", "", "", (), "Terminated"),
    ("Accepted", "transport error", "", "", (32.0,), "Accepted"),
    ("Terminated", "1xx", "", "stray", (), "Terminated"),
    ("Terminated", "2xx", "", "stray", (), "Terminated"),
    ("Terminated", "300-699", "", "stray", (), "Terminated"),
]
CLIENT_UDP: list[Row] = [
    ("Trying", "Timer E 0.5", "INFO", "", (1.0, 31.5), "Trying"),
    ("Trying", "Timer E 1.5", "INFO", "", (2.0, 30.5), "Trying"),
    ("Trying", "Timer E 3.5", "INFO", "", (4.0, 28.5), "Trying"),
    ("Trying", "Timer E 7.5", "INFO", "", (4.0, 24.5), "Trying"),
    ("Trying", "Timer F 32", "", "timeout", (), "Terminated"),
    ("Trying", "1xx", "", "180", (0.5, 32.0), "Proceeding"),
    ("Trying", "2xx", "", "200", (5.0,), "Completed"),  # K
    ("Trying", "300-699", "", "486", (5.0,), "Completed"),
    ("Trying", "transport error", "", "broken", (), "Terminated"),
    ("Proceeding", "Timer E 0.5", "INFO", "", (4.0, 31.5), "Proceeding"),
    ("Proceeding", "Timer E 4.5", "INFO", "", (4.0, 27.5), "Proceeding"),
    ("Proceeding", "Timer F 32", "", "timeout", (), "Terminated"),
    ("Proceeding", "1xx", "", "180", (0.5, 32.0), "Proceeding"),
    ("Proceeding", "2xx", "", "200", (5.0,), "Completed"),
    ("Proceeding", "300-699", "", "486", (5.0,), "Completed"),
    ("Proceeding", "transport error", "", "broken", (), "Terminated"),
    ("Completed", "1xx", "", "", (5.0,), "Completed"),
    ("Completed", "2xx", "", "", (5.0,), "Completed"),
    ("Completed", "300-699", "", "", (5.0,), "Completed"),
    ("Completed", "Timer K 5", "", "", (), "Terminated"),
    ("Completed", "transport error", "", "", (5.0,), "Completed"),
    ("Terminated", "1xx", "", "stray", (), "Terminated"),
    ("Terminated", "2xx", "", "stray", (), "Terminated"),
    ("Terminated", "300-699", "", "stray", (), "Terminated"),
    ("Terminated", "transport error", "", "", (), "Terminated"),
]
CLIENT_TCP: list[Row] = [
    ("Trying", "Timer E 0.5", "", "", (31.5,), "Trying"),
    ("Trying", "Timer F 32", "", "timeout", (), "Terminated"),
    ("Trying", "1xx", "", "180", (32.0,), "Proceeding"),
    ("Trying", "2xx", "", "200", (), "Terminated"),
    ("Trying", "300-699", "", "486", (), "Terminated"),
    ("Trying", "transport error", "", "broken", (), "Terminated"),
    ("Proceeding", "Timer E 4.5", "", "", (27.5,), "Proceeding"),
    ("Proceeding", "Timer F 32", "", "timeout", (), "Terminated"),
    ("Proceeding", "1xx", "", "180", (32.0,), "Proceeding"),
    ("Proceeding", "2xx", "", "200", (), "Terminated"),
    ("Proceeding", "300-699", "", "486", (), "Terminated"),
    ("Proceeding", "transport error", "", "broken", (), "Terminated"),
    ("Terminated", "1xx", "", "stray", (), "Terminated"),
    ("Terminated", "2xx", "", "stray", (), "Terminated"),
    ("Terminated", "300-699", "", "stray", (), "Terminated"),
]
INVITE_SERVER_UDP: list[Row] = [
    ("Proceeding", "again", "", "", (), "Proceeding"),  # no provisional yet: there is nothing to send again
    ("Proceeding", "ACK", "", "", (), "Proceeding"),
    ("Proceeding", "TU 1xx", "180", "", (), "Proceeding"),
    ("Proceeding", "TU 2xx", "200", "", (32.0,), "Accepted"),  # L, RFC 6026 §7.1
    ("Proceeding", "TU 300-699", "486", "", (0.5, 32.0), "Completed"),  # G, H
    ("Proceeding", "transport error", "", "responses_lost", (), "Proceeding"),  # RFC 6026 §8.8
    ("Rung", "again", "180", "", (), "Proceeding"),
    ("Rung", "TU 1xx", "180", "", (), "Proceeding"),
    ("Rung", "TU 2xx", "200", "", (32.0,), "Accepted"),
    ("Rung", "TU 300-699", "486", "", (0.5, 32.0), "Completed"),
    ("Completed", "again", "486", "", (0.5, 32.0), "Completed"),
    ("Completed", "ACK", "", "", (5.0,), "Confirmed"),  # I
    ("Completed", "TU 1xx", "", "", (0.5, 32.0), "Completed"),
    ("Completed", "TU 2xx", "", "", (0.5, 32.0), "Completed"),
    ("Completed", "TU 300-699", "", "", (0.5, 32.0), "Completed"),
    ("Completed", "Timer G 0.5", "486", "", (1.0, 31.5), "Completed"),
    ("Completed", "Timer G 1.5", "486", "", (2.0, 30.5), "Completed"),
    ("Completed", "Timer G 3.5", "486", "", (4.0, 28.5), "Completed"),
    ("Completed", "Timer G 7.5", "486", "", (4.0, 24.5), "Completed"),
    ("Completed", "Timer H 32", "", "unacknowledged", (), "Terminated"),
    ("Completed", "transport error", "", "responses_lost", (0.5, 32.0), "Completed"),
    ("Confirmed", "again", "", "", (5.0,), "Confirmed"),
    ("Confirmed", "ACK", "", "", (5.0,), "Confirmed"),
    ("Confirmed", "TU 1xx", "", "", (5.0,), "Confirmed"),
    ("Confirmed", "TU 2xx", "", "", (5.0,), "Confirmed"),
    ("Confirmed", "TU 300-699", "", "", (5.0,), "Confirmed"),
    ("Confirmed", "Timer I 5", "", "", (), "Terminated"),
    ("Accepted", "again", "", "", (32.0,), "Accepted"),
    ("Accepted", "ACK", "", "ACK", (32.0,), "Accepted"),
    ("Accepted", "TU 1xx", "", "", (32.0,), "Accepted"),
    ("Accepted", "TU 2xx", "200", "", (32.0,), "Accepted"),
    ("Accepted", "TU 300-699", "", "", (32.0,), "Accepted"),
    ("Accepted", "Timer L 32", "", "", (), "Terminated"),
    ("Accepted", "transport error", "", "responses_lost", (32.0,), "Accepted"),
    ("Terminated", "ACK", "", "ACK", (), "Terminated"),
    ("Terminated", "TU 1xx", "", "", (), "Terminated"),
    ("Terminated", "TU 2xx", "200", "", (), "Terminated"),  # §16.7 item 9: without state
    ("Terminated", "TU 300-699", "", "", (), "Terminated"),
    ("Terminated", "transport error", "", "", (), "Terminated"),
]
INVITE_SERVER_TCP: list[Row] = [
    ("Proceeding", "again", "", "", (), "Proceeding"),
    ("Proceeding", "ACK", "", "", (), "Proceeding"),
    ("Proceeding", "TU 1xx", "180", "", (), "Proceeding"),
    ("Proceeding", "TU 2xx", "200", "", (32.0,), "Accepted"),
    ("Proceeding", "TU 300-699", "486", "", (32.0,), "Completed"),
    ("Proceeding", "transport error", "", "responses_lost", (), "Proceeding"),  # RFC 6026 §8.8
    ("Rung", "again", "180", "", (), "Proceeding"),
    ("Completed", "again", "486", "", (32.0,), "Completed"),
    ("Completed", "ACK", "", "", (), "Terminated"),
    ("Completed", "TU 2xx", "", "", (32.0,), "Completed"),
    ("Completed", "TU 300-699", "", "", (32.0,), "Completed"),
    ("Completed", "Timer G 0.5", "", "", (31.5,), "Completed"),
    ("Completed", "Timer H 32", "", "unacknowledged", (), "Terminated"),
    ("Completed", "transport error", "", "responses_lost", (32.0,), "Completed"),
    ("Accepted", "again", "", "", (32.0,), "Accepted"),
    ("Accepted", "ACK", "", "ACK", (32.0,), "Accepted"),
    ("Accepted", "TU 2xx", "200", "", (32.0,), "Accepted"),
    ("Accepted", "TU 300-699", "", "", (32.0,), "Accepted"),
    ("Accepted", "Timer L 32", "", "", (), "Terminated"),
    ("Accepted", "transport error", "", "responses_lost", (32.0,), "Accepted"),
    ("Terminated", "ACK", "", "ACK", (), "Terminated"),
    ("Terminated", "TU 2xx", "200", "", (), "Terminated"),  # §16.7 item 9: without state
    ("Terminated", "TU 300-699", "", "", (), "Terminated"),
]
SERVER_UDP: list[Row] = [
    ("Trying", "again", "", "", (), "Trying"),
    ("Trying", "TU 1xx", "180", "", (), "Proceeding"),
    ("Trying", "TU 2xx", "200", "", (32.0,), "Completed"),  # J
    ("Trying", "TU 300-699", "486", "", (32.0,), "Completed"),
    ("Proceeding", "again", "180", "", (), "Proceeding"),
    ("Proceeding", "TU 1xx", "180", "", (), "Proceeding"),
    ("Proceeding", "TU 2xx", "200", "", (32.0,), "Completed"),
    ("Proceeding", "TU 300-699", "486", "", (32.0,), "Completed"),
    ("Proceeding", "transport error", "", "responses_lost", (), "Proceeding"),  # RFC 6026 §8.8, not the figure
    ("Completed", "again", "200", "", (32.0,), "Completed"),
    ("Completed", "TU 1xx", "", "", (32.0,), "Completed"),
    ("Completed", "TU 2xx", "", "", (32.0,), "Completed"),
    ("Completed", "TU 300-699", "", "", (32.0,), "Completed"),
    ("Completed", "Timer J 32", "", "", (), "Terminated"),
    ("Completed", "transport error", "", "responses_lost", (32.0,), "Completed"),
    ("Terminated", "TU 1xx", "", "", (), "Terminated"),
    ("Terminated", "TU 2xx", "", "", (), "Terminated"),
    ("Terminated", "TU 300-699", "", "", (), "Terminated"),
    ("Terminated", "transport error", "", "", (), "Terminated"),
]
SERVER_TCP: list[Row] = [
    ("Trying", "again", "", "", (), "Trying"),
    ("Trying", "TU 1xx", "180", "", (), "Proceeding"),
    ("Trying", "TU 2xx", "200", "", (), "Terminated"),
    ("Trying", "TU 300-699", "486", "", (), "Terminated"),
    ("Proceeding", "again", "180", "", (), "Proceeding"),
    ("Proceeding", "TU 1xx", "180", "", (), "Proceeding"),
    ("Proceeding", "TU 2xx", "200", "", (), "Terminated"),
    ("Proceeding", "TU 300-699", "486", "", (), "Terminated"),
    ("Proceeding", "transport error", "", "responses_lost", (), "Proceeding"),
    ("Terminated", "TU 1xx", "", "", (), "Terminated"),
    ("Terminated", "TU 2xx", "", "", (), "Terminated"),
    ("Terminated", "TU 300-699", "", "", (), "Terminated"),
]
# machine: side, method, and by which events each state is reached ("Rung": Proceeding after a provisional)
WAYS: dict[str, tuple[str, str, dict[str, list[str]]]] = {
    "INVITE client": (
        "client",
        "INVITE",
        {
            "Calling": [],
            "Proceeding": ["1xx"],
            "Completed": ["300-699"],
            "Accepted": ["2xx"],
            "Terminated": ["Timer B 32"],
        },
    ),
    "client": (
        "client",
        "INFO",
        {"Trying": [], "Proceeding": ["1xx"], "Completed": ["2xx"], "Terminated": ["Timer F 32"]},
    ),
    "INVITE server": (
        "server",
        "INVITE",
        {
            "Proceeding": [],
            "Rung": ["TU 1xx"],
            "Completed": ["TU 300-699"],
            "Confirmed": ["TU 300-699", "ACK"],
            "Accepted": ["TU 2xx"],
            "Terminated": ["TU 2xx", "Timer L 32"],
        },
    ),
    "server": (
        "server",
        "INFO",
        {"Trying": [], "Proceeding": ["TU 1xx"], "Completed": ["TU 2xx"], "Terminated": ["TU 2xx", "Timer J 32"]},
    ),
}
TABLES = {
    ("INVITE client", "UDP"): INVITE_CLIENT_UDP,
    ("INVITE client", "TCP"): INVITE_CLIENT_TCP,
    ("INVITE client", "TLS"): INVITE_CLIENT_TCP,
    ("client", "UDP"): CLIENT_UDP,
    ("client", "TCP"): CLIENT_TCP,
    ("client", "TLS"): CLIENT_TCP,
    ("INVITE server", "UDP"): INVITE_SERVER_UDP,
    ("INVITE server", "TCP"): INVITE_SERVER_TCP,
    ("INVITE server", "TLS"): INVITE_SERVER_TCP,
    ("server", "UDP"): SERVER_UDP,
    ("server", "TCP"): SERVER_TCP,
    ("server", "TLS"): SERVER_TCP,
}
CELLS = [
    pytest.param(machine, transport, row, id=f"{machine}-{transport}-{row[0]}-{row[1]}".replace(" ", "_"))
    for (machine, transport), rows in TABLES.items()
    for row in rows
]


def bench_in(machine: str, transport: str, state: str) -> Bench:
    side, method, ways = WAYS[machine]
    bench = Bench(side, method, transport)
    for event in ways[state]:
        bench.do(event)
    assert bench.transaction.state == ("Proceeding" if state == "Rung" else state)
    bench.look()
    return bench


@pytest.mark.parametrize(("machine", "transport", "row"), CELLS)
def test_a_machine_does_what_the_figure_says_and_nothing_else(machine: str, transport: str, row: Row) -> None:
    state, event, wire, user, timers, then = row
    bench = bench_in(machine, transport, state)
    bench.do(event)
    assert bench.look() == (wire, user)
    assert bench.transaction.state == then
    assert tuple(bench.deadlines) == timers
    if then == "Terminated":
        assert bench.layer.size == (0, 0)  # "MUST be destroyed the instant it enters the Terminated state"


@pytest.mark.parametrize("machine", list(WAYS))
def test_no_state_of_a_machine_was_forgotten(machine: str) -> None:
    rows = TABLES[machine, "UDP"]
    assert {row[0] for row in rows} == set(WAYS[machine][2])
    assert {row[5] for row in rows} | {"Rung"} >= {row[0] for row in rows}


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
@pytest.mark.parametrize("method", ["INVITE", "INFO"])
def test_a_request_that_comes_again_when_all_is_over_is_a_new_one(method: str, transport: str) -> None:
    bench = bench_in("INVITE server" if method == "INVITE" else "server", transport, "Terminated")
    first = bench.transaction
    bench.do("again")
    assert bench.look() == ("", method)
    assert bench.transaction is not first

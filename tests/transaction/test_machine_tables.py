"""The four machines, every state against every event, as RFC 3261 §17 and RFC 6026 have them.

`WALK` says what each event does: the state that follows, then what goes on the wire (`>`) and what the transaction user
hears (`^`). An event that a state does not list changes nothing and is counted. Where the gateway chose differently
from the RFC's figures a comment says why.
"""

from random import Random
from typing import Any

import pytest

from sipgw.events import Flow, Hop, Listener, Send
from sipgw.message import Request, Response, parse_message
from sipgw.message.build import new_request, response_to
from sipgw.transaction import tables
from sipgw.transaction.client import ClientTransaction
from sipgw.transaction.layer import TransactionLayer
from sipgw.transaction.server import ServerTransaction
from sipgw.transaction.timers import TimerValues

LISTENER = Listener("UDP", "192.0.2.1", 5060, "192.0.2.1:5060")
NETWORK_EVENTS = ("1xx", "2xx", "300-699", "retransmit", "timeout", "linger", "transport error")
SERVER_EVENTS = (
    "request",
    "ACK",
    "send 1xx",
    "send 2xx",
    "send 300-699",
    "retransmit",
    "timeout",
    "linger",
    "transport error",
)
Row = dict[str, tuple[str, ...]]
Walk = dict[str, Row]

INVITE_CLIENT: Walk = {
    "Calling": {
        "retransmit": ("Calling", "> INVITE"),
        "timeout": ("Terminated", "^ timeout"),
        "transport error": ("Terminated", "^ broken"),
        "1xx": ("Proceeding", "^ 180"),
        "2xx": ("Accepted", "^ 200"),
        "300-699": ("Completed", "> ACK", "^ 486"),
    },
    "Proceeding": {
        # The figure has no transport error here; a connection that breaks will carry no answer, so the TU hears of it.
        "transport error": ("Terminated", "^ broken"),
        # Nor a timer: this one runs only after a CANCEL (§9.1).
        "timeout": ("Terminated", "^ timeout"),
        "1xx": ("Proceeding", "^ 180"),
        "2xx": ("Accepted", "^ 200"),
        "300-699": ("Completed", "> ACK", "^ 486"),
    },
    "Completed": {
        "300-699": ("Completed", "> ACK"),
        # "Inform TU": the TU has its final response and could do nothing with the news that an ACK was lost.
        "transport error": ("Terminated",),
        "linger": ("Terminated",),
    },
    "Accepted": {
        "2xx": ("Accepted", "^ 200"),
        "transport error": ("Accepted",),
        "linger": ("Terminated",),
    },
    "Terminated": {"linger": ("Terminated",)},
}
CLIENT: Walk = {
    "Trying": {
        "retransmit": ("Trying", "> INFO"),
        "timeout": ("Terminated", "^ timeout"),
        "transport error": ("Terminated", "^ broken"),
        "1xx": ("Proceeding", "^ 180"),
        "2xx": ("Completed", "^ 200"),
        "300-699": ("Completed", "^ 486"),
    },
    "Proceeding": {
        "retransmit": ("Proceeding", "> INFO"),
        "timeout": ("Terminated", "^ timeout"),
        "transport error": ("Terminated", "^ broken"),
        "1xx": ("Proceeding", "^ 180"),
        "2xx": ("Completed", "^ 200"),
        "300-699": ("Completed", "^ 486"),
    },
    "Completed": {
        "1xx": ("Completed",),
        "2xx": ("Completed",),
        "300-699": ("Completed",),
        "transport error": ("Completed",),
        "linger": ("Terminated",),
    },
    "Terminated": {"linger": ("Terminated",)},
}
INVITE_SERVER: Walk = {
    "Proceeding": {
        "request": ("Proceeding", "> 100"),
        "send 1xx": ("Proceeding", "> 180"),
        "send 2xx": ("Accepted", "> 200"),
        "send 300-699": ("Completed", "> 486"),
        "transport error": ("Proceeding",),
    },
    "Completed": {
        "request": ("Completed", "> 486"),
        "retransmit": ("Completed", "> 486"),
        "ACK": ("Confirmed",),
        "timeout": ("Terminated",),
        "transport error": ("Completed",),
    },
    "Confirmed": {
        "request": ("Confirmed",),
        "ACK": ("Confirmed",),
        "linger": ("Terminated",),
    },
    "Accepted": {
        "request": ("Accepted",),
        "ACK": ("Accepted", "^ ACK"),
        "send 2xx": ("Accepted", "> 200"),
        "send 300-699": ("Accepted",),
        "transport error": ("Accepted",),
        "linger": ("Terminated",),
    },
    "Terminated": {"send 2xx": ("Terminated", "> 200"), "linger": ("Terminated",)},
}
SERVER: Walk = {
    "Trying": {
        "request": ("Trying",),
        "send 1xx": ("Proceeding", "> 180"),
        "send 2xx": ("Completed", "> 200"),
        "send 300-699": ("Completed", "> 486"),
        "transport error": ("Trying",),
    },
    "Proceeding": {
        "request": ("Proceeding", "> 180"),
        "send 1xx": ("Proceeding", "> 180"),
        "send 2xx": ("Completed", "> 200"),
        "send 300-699": ("Completed", "> 486"),
        "transport error": ("Proceeding",),
    },
    "Completed": {
        "request": ("Completed", "> 200"),
        "send 1xx": ("Completed",),
        "send 2xx": ("Completed",),
        "send 300-699": ("Completed",),
        "transport error": ("Completed",),
        "linger": ("Terminated",),
    },
    "Terminated": {"linger": ("Terminated",)},
}


def request(method: str, to_tag: str = "") -> Request:
    lines = [
        "Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKtest",
        "From: <sip:a@x.test>;tag=1",
        f"To: <sip:b@x.test>{to_tag and f';tag={to_tag}'}",
        "Call-ID: call",
        f"CSeq: 1 {method}",
    ]
    return new_request(method, "sip:b@x.test", lines)


class Bench:
    """A layer with one transaction, its user, and what happened since it was last asked."""

    def __init__(self, transport: str) -> None:
        self.layer = TransactionLayer(TimerValues(), Random(1))
        self.layer.user = self
        self.transport = transport
        self.events: list[str] = []
        self.now = 100.0
        self.transaction: Any = None

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        self.transaction = transaction
        self.original = transaction.request

    def on_ack(self, ack: Request, flow: Flow, now: float) -> None:
        self.events.append("^ ACK")

    def on_stray_response(self, response: Response, flow: Flow, now: float) -> None:
        self.events.append("^ stray")

    def on_response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        self.events.append(f"^ {response.status}")

    def on_failure(self, transaction: ClientTransaction, reason: str, now: float) -> None:
        self.events.append(f"^ {reason}")

    def flow(self) -> Flow:
        return Flow(self.transport, "198.51.100.7", 5060, LISTENER, 0 if self.transport == "UDP" else 9)

    def seen(self) -> list[str]:
        wire = []
        for output in self.layer.out:
            assert isinstance(output, Send)
            message = parse_message(output.data)
            wire.append(f"> {message.method if isinstance(message, Request) else message.status}")
        self.layer.out = []
        events, self.events = [*wire, *self.events], []
        return events

    def start_client(self, method: str) -> None:
        self.original = request(method)
        self.transaction = self.layer.send_request(
            self, self.original, "z9hG4bKtest", Hop(self.transport, "198.51.100.7", 5060), self.now
        )

    def start_server(self, method: str) -> None:
        self.layer.receive_request(request(method), self.flow(), self.now)
        if method == "INVITE":
            self.transaction.respond(response_to(self.original, 100), self.now)

    def do(self, event: str) -> None:
        statuses = {"1xx": 180, "2xx": 200, "300-699": 486}
        transaction, now = self.transaction, self.now
        if event in statuses:
            self.transaction.receive(response_to(self.original, statuses[event], to_tag="t"), now)
        elif event.startswith("send "):
            transaction.respond(response_to(self.original, statuses[event[5:]], to_tag="t"), now)
        elif event == "request":
            transaction.receive(self.original, now)
        elif event == "ACK":
            transaction.receive(request("ACK", "t"), now)
        elif event == "transport error":
            arguments = ("broken", now) if isinstance(transaction, ClientTransaction) else (now,)
            transaction.transport_failed(*arguments)
        else:
            for (kind, _), queue in self.layer.timers._queues.items():
                if kind == event:
                    queue.pop(transaction, None)  # as the queue itself does before it calls
            for lingering in self.layer.timers._lingering.values():
                if event == tables.LINGER and transaction in lingering.owners:
                    lingering.due.popleft()
                    lingering.owners.popleft()
            transaction.fire(event, now)


# machine: how it starts, its table, the walk, its events, and by which events each state is reached
MACHINES: dict[str, tuple[str, str, tables.Table, Walk, tuple[str, ...], dict[str, list[str]]]] = {
    "INVITE client": (
        "client",
        "INVITE",
        tables.INVITE_CLIENT,
        INVITE_CLIENT,
        NETWORK_EVENTS,
        {
            "Calling": [],
            "Proceeding": ["1xx"],
            "Completed": ["300-699"],
            "Accepted": ["2xx"],
            "Terminated": ["timeout"],
        },
    ),
    "client": (
        "client",
        "INFO",
        tables.CLIENT,
        CLIENT,
        NETWORK_EVENTS,
        {"Trying": [], "Proceeding": ["1xx"], "Completed": ["2xx"], "Terminated": ["timeout"]},
    ),
    "INVITE server": (
        "server",
        "INVITE",
        tables.INVITE_SERVER,
        INVITE_SERVER,
        SERVER_EVENTS,
        {
            "Proceeding": [],
            "Completed": ["send 300-699"],
            "Confirmed": ["send 300-699", "ACK"],
            "Accepted": ["send 2xx"],
            "Terminated": ["send 2xx", "linger"],
        },
    ),
    "server": (
        "server",
        "INFO",
        tables.SERVER,
        SERVER,
        SERVER_EVENTS,
        {"Trying": [], "Proceeding": ["send 1xx"], "Completed": ["send 2xx"], "Terminated": ["send 2xx", "linger"]},
    ),
}
CELLS = [(machine, state, event) for machine, row in MACHINES.items() for state in row[3] for event in row[4]]


def bench_in(machine: str, state: str, transport: str) -> Bench:
    side, method, _, _, _, ways = MACHINES[machine]
    bench = Bench(transport)
    bench.start_client(method) if side == "client" else bench.start_server(method)
    for event in ways[state]:
        bench.do(event)
    assert bench.transaction.state == state
    bench.seen()
    return bench


@pytest.mark.parametrize(("machine", "state", "event"), CELLS)
def test_every_state_against_every_event(machine: str, state: str, event: str) -> None:
    bench = bench_in(machine, state, "UDP")
    expected = MACHINES[machine][3][state].get(event)
    before = bench.layer.counters["unexpected"]
    bench.do(event)
    if expected is None:
        assert (bench.transaction.state, bench.seen()) == (state, [])
        assert bench.layer.counters["unexpected"] == before + 1
    else:
        assert (bench.transaction.state, bench.seen()) == (expected[0], list(expected[1:]))
    if bench.transaction.state == "Terminated":
        assert bench.layer.size == (0, 0)
        bench.layer.timers.run(bench.now + 1000.0)
        assert (bench.seen(), len(bench.layer.timers)) == ([], 0)


@pytest.mark.parametrize("machine", list(MACHINES))
def test_the_tables_hold_what_the_walk_says(machine: str) -> None:
    _, _, table, walk, _, _ = MACHINES[machine]
    written = {state: {event: target for event, (target, _) in row.items()} for state, row in table.items()}
    assert written == {state: {event: to[0] for event, to in row.items()} for state, row in walk.items() if row}


@pytest.mark.parametrize(
    ("machine", "state", "event", "effects"),
    [
        ("INVITE client", "Calling", "300-699", ["> ACK", "^ 486"]),
        ("INVITE client", "Proceeding", "300-699", ["> ACK", "^ 486"]),
        ("client", "Trying", "2xx", ["^ 200"]),
        ("client", "Proceeding", "300-699", ["^ 486"]),
        ("INVITE server", "Completed", "ACK", []),
        ("server", "Trying", "send 2xx", ["> 200"]),
        ("server", "Proceeding", "send 300-699", ["> 486"]),
    ],
)
def test_on_connections_nothing_lingers(machine: str, state: str, event: str, effects: list[str]) -> None:
    """Timers D, I, J and K are zero where nothing can be repeated or lost."""
    bench = bench_in(machine, state, "TCP")
    bench.do(event)
    assert (bench.transaction.state, bench.seen()) == ("Terminated", effects)
    assert bench.layer.size == (0, 0)
    assert len(bench.layer.timers) == 0


@pytest.mark.parametrize(("machine", "event"), [("INVITE client", "2xx"), ("INVITE server", "send 2xx")])
def test_accepted_lingers_on_connections_too(machine: str, event: str) -> None:
    """RFC 6026 §8.4, §8.5: L and M are 64*T1 whatever the transport: a 2xx can be repeated end to end."""
    start = MACHINES[machine][2]
    bench = bench_in(machine, next(iter(start)), "TCP")
    bench.do(event)
    assert bench.transaction.state == "Accepted"
    assert len(bench.layer.timers) == 1

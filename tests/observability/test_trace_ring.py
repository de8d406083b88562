"""The trace ring: whole calls, bounded, the oldest goes first, and what happens when there is too much."""

import itertools
from collections.abc import Iterable

import pytest

from sipgw.events import Flow, Hop, Listener, Log, Output, Persist, Resolve, Send
from sipgw.locating import Question
from sipgw.observability.trace_ring import (
    AT_ONCE,
    BACKGROUND,
    BURST,
    FIRST,
    LAST,
    OVERHEAD,
    SENT_AT_ONCE,
    TraceRing,
    TraceSettings,
    Turn,
    call_id_of,
)

LISTENER = Listener("UDP", "192.0.2.1", 5060, "192.0.2.1:5060")
ALICE = Flow("UDP", "198.51.100.7", 5060, LISTENER)
POOL = Hop("UDP", "192.0.2.50", 5041)


def request(call_id: str, method: str = "INVITE", more: str = "") -> bytes:
    return f"{method} sip:a@c SIP/2.0\r\nVia: x\r\nCall-ID: {call_id}\r\nCSeq: 1 {method}\r\n\r\n{more}".encode()


def send(call_id: str, method: str = "INVITE") -> Send:
    return Send(request(call_id, method), POOL)


def settled(ring: TraceRing, now: float = 0.0) -> TraceRing:
    while ring.behind:
        ring.settle(now)
    return ring


def kept(ring: TraceRing) -> list[str]:
    return [call_id.decode() for call_id in ring.calls]


def fill(ring: TraceRing, call_ids: Iterable[str], outputs: list[Output] | None = None) -> TraceRing:
    for call_id in call_ids:
        ring(1.0, request(call_id), ALICE, outputs or [])
        settled(ring)
    return ring


@pytest.mark.parametrize(
    ("data", "call_id"),
    [
        (request("x@y"), b"x@y"),
        (b"INVITE a SIP/2.0\r\ni:  short \r\n\r\n", b"short"),
        (b"INVITE a SIP/2.0\r\ncall-id\t: odd\r\n\r\n", b"odd"),
        (b"INVITE a SIP/2.0\nCALL-ID: lf\n\n", b"lf"),
        (b"INVITE a SIP/2.0\r\nTo: x\r\n\r\n", b""),
        (b"INVITE a SIP/2.0\r\nCall-ID: cut", b"cu"),
        (b"\xff\x00", b""),
    ],
)
def test_which_call(data: bytes, call_id: bytes) -> None:
    found = call_id_of(data)
    assert found == call_id or (data.endswith(b"cut") and call_id.startswith(found))


def test_a_call_is_kept_with_what_came_of_it() -> None:
    ring = TraceRing(TraceSettings())
    outputs: list[Output] = [Log("info", "forwarded", {"call_id": "one"}), send("one")]
    ring(5.0, request("one"), ALICE, outputs)
    ring(6.0, request("one", "ACK"), ALICE, [send("one", "ACK")])
    settled(ring)
    (call,) = ring.calls.values()
    assert [turn.now for turn in call.turns] == [5.0, 6.0] and list(call.numbers) == [1, 2]
    assert next(call.turns).outputs == outputs
    assert (call.serial, ring.serial, call.touched, call.incomplete) == (2, 2, 6.0, False)


def test_what_is_no_message_and_no_log_line_is_not_kept() -> None:
    ring = TraceRing(TraceSettings())
    ring(1.0, request("one"), ALICE, [Persist(1), send("one"), Resolve(Question("pc.contoso.com", "A"))])
    (call,) = settled(ring).calls.values()
    assert [type(output) for output in next(call.turns).outputs] == [Send]


def test_what_a_message_causes_in_another_call_is_filed_there() -> None:
    """A REGISTER displaces an endpoint, which is told by a NOTIFY with a Call-ID of its own."""
    ring = TraceRing(TraceSettings())
    ring(1.0, request("one", "REGISTER"), ALICE, [send("one"), send("two", "NOTIFY")])
    first, second = settled(ring).calls.values()
    assert [turn.data for turn in first.turns] == [request("one", "REGISTER")]
    assert list(second.turns) == [Turn(1.0, b"", None, second.first[0][3])]
    assert [len(turn.outputs) for turn in (*first.turns, *second.turns)] == [1, 1]


def test_what_timers_cause_is_filed_by_its_call() -> None:
    """A line that names no call belongs to the message after it, or to the last one."""
    ring = TraceRing(TraceSettings())
    failed = [Log("warning", "next hop failed", {"hop": number}) for number in (1, 2, 3)]
    named = Log("warning", "request failed", {"call_id": "three"})
    ring(1.0, b"", None, [failed[0], send("one"), failed[1], send("two"), named, failed[2]])
    ring(1.0, b"", None, [Log("warning", "of no call", {})])
    found = {call_id: next(call.turns).outputs for call_id, call in settled(ring).calls.items()}
    assert [found[key][0] for key in (b"one", b"two", b"three")] == [failed[0], failed[1], named]
    assert found[b"two"][-1] is failed[2] and len(found) == 3


# bounds


def test_the_oldest_call_goes_first() -> None:
    ring = fill(TraceRing(TraceSettings(calls=3)), ["one", "two", "three"])
    fill(ring, ["one"])
    fill(ring, ["four"])
    assert kept(ring) == ["three", "one", "four"], "one was heard of again, so two was the oldest"
    assert (ring.evicted, ring.missed) == (1, 0)


def test_bytes_are_bounded() -> None:
    ring = TraceRing(TraceSettings(size=100_000))
    for number in range(100):
        ring(1.0, request(str(number), more="x" * 5_000), ALICE, [])
        assert settled(ring).size <= 100_000
    assert kept(ring) == [str(number) for number in range(100 - len(ring.calls), 100)] and len(ring.calls) > 10
    assert ring.evicted == 100 - len(ring.calls)
    assert ring.size == sum(call.size for call in ring.calls.values())


def test_one_call_alone_is_bounded_too() -> None:
    ring = TraceRing(TraceSettings(size=100_000))
    for _number in range(2 * (FIRST + LAST)):
        ring(1.0, request("one", more="x" * 400), ALICE, [])
        assert settled(ring).size <= 100_000
    ring = TraceRing(TraceSettings(size=100_000))
    ring(1.0, request("big", more="x" * 200_000), ALICE, [])
    assert kept(settled(ring)) == [] and (ring.size, ring.evicted) == (0, 1)


def test_of_a_long_call_the_beginning_and_the_end_stay() -> None:
    ring = TraceRing(TraceSettings())
    total = FIRST + LAST + 50
    for number in range(total):
        ring(float(number), request("one", more=str(number)), ALICE, [])
    (call,) = settled(ring).calls.values()
    assert [turn.now for turn in call.turns] == [*range(FIRST), *range(total - LAST, total)]
    assert list(call.numbers) == [*range(1, FIRST + 1), *range(total - LAST + 1, total + 1)]
    assert call.left_out == 50
    assert call.size == ring.size == OVERHEAD + 3 + sum(OVERHEAD + len(turn.data) for turn in call.turns)


def test_probes_do_not_drive_calls_out() -> None:
    ring = fill(TraceRing(TraceSettings(calls=5)), ["call"])
    for number in range(3 * BACKGROUND):
        ring(1.0, b"", None, [send(f"probe{number}", "OPTIONS")])
        ring(1.0, b"SIP/2.0 200 OK\r\nCall-ID: probe%d\r\n\r\n" % number, ALICE, [])
    settled(ring)
    assert kept(ring) == ["call"] and len(ring.background) == BACKGROUND and ring.evicted == 0
    assert ring.size == sum(call.size for call in (*ring.calls.values(), *ring.background.values()))


def test_probes_are_bounded_in_bytes_as_calls_are() -> None:
    ring = TraceRing(TraceSettings(size=100_000))
    for number in range(BACKGROUND):
        ring(1.0, request(f"probe{number}", "OPTIONS", "x" * 10_000), ALICE, [])
        assert settled(ring).size <= 100_000
    fill(ring, ["call"])
    assert kept(ring) == ["call"]


def test_smaller_bounds_take_effect_at_once() -> None:
    ring = fill(TraceRing(TraceSettings()), map(str, range(20)))
    ring.reconfigure(TraceSettings(calls=2))
    assert kept(ring) == ["18", "19"] and ring.evicted == 18


# when there is too much


def test_a_burst_is_taken_whole_and_sorted_bit_by_bit() -> None:
    ring = TraceRing(TraceSettings(calls=BURST, size=1 << 30))
    for number in range(BURST):
        ring(1.0, request(str(number)), ALICE, [])
    assert (ring.behind, ring.missed) == (BURST, 0)
    ring.settle(1.0)
    assert ring.behind == BURST - AT_ONCE
    assert len(settled(ring).calls) == BURST


def test_a_load_that_lasts_is_taken_in_stretches() -> None:
    """Four times the rate: a quarter is taken, in stretches long enough to hold whole calls."""
    ring = TraceRing(TraceSettings(calls=1_000_000, size=1 << 40, rate=1000))
    taken, now = [], 0.0
    for step in range(60_000):
        before = ring.missed
        ring(now, request(str(step)), ALICE, [])
        taken.append(ring.missed == before)
        now += 1 / 4000
        if step % 40 == 0:
            ring.settle(now)
    late = taken[2 * BURST :]
    assert 0.2 < sum(late) / len(late) < 0.3
    changes = sum(1 for one, other in itertools.pairwise(late) if one != other)
    assert changes < len(late) / 1000, "not one here and one there"
    assert ring.missed == taken.count(False)
    assert any(call.incomplete for call in settled(ring).calls.values())


def test_failures_are_taken_when_nothing_else_is() -> None:
    ring = TraceRing(TraceSettings(calls=1_000_000, size=1 << 40))
    for number in range(BURST + 10):
        ring(1.0, request(str(number)), ALICE, [])
    ring(1.0, request("failed"), ALICE, [Log("warning", "request failed", {"call_id": "failed"}), send("failed")])
    assert ring.missed == 10
    settled(ring)
    assert ring.calls[b"failed"].incomplete and b"4100" not in ring.calls
    for _ in range(3 * BURST):
        ring(1.0, request("flood"), ALICE, [Log("warning", "request failed", {})])
    assert ring.behind <= 2 * BURST and ring.missed > 10, "but not without end"


def test_what_waits_is_bounded_however_high_the_rate() -> None:
    """It is sorted at its own speed, and what comes faster is not taken."""
    ring, now = TraceRing(TraceSettings(calls=1_000_000, size=1 << 40, rate=1_000_000)), 0.0
    for step in range(40):
        for number in range(1000):
            ring(now, request(f"{step}-{number}"), ALICE, [])
        now += 0.1
        ring.settle(now)
        assert ring.behind <= BURST
    assert ring.missed + ring.behind + len(ring.calls) == 40_000


def test_what_is_sent_on_is_sorted_in_smaller_parts() -> None:
    ring = TraceRing(TraceSettings())
    ring.sink = list[Turn]().append
    for number in range(AT_ONCE):
        ring(1.0, request(str(number)), ALICE, [])
    ring.settle(1.0)
    assert ring.behind == AT_ONCE - SENT_AT_ONCE


def test_afterwards_all_is_taken_again() -> None:
    ring = TraceRing(TraceSettings(rate=1000))
    for number in range(2 * BURST):
        ring(1.0, request(str(number)), ALICE, [])
    settled(ring, 1.0)
    settled(ring, 100.0)
    ring.settle(100.0)
    before = ring.missed
    ring(100.0, request("calm"), ALICE, [])
    settled(ring, 100.1)
    assert ring.missed == before
    fill(ring, ["calmer"])
    assert not ring.calls[b"calmer"].incomplete


def test_the_sink_gets_everything_that_is_taken() -> None:
    ring, seen = TraceRing(TraceSettings(calls=1)), list[Turn]()
    ring.sink = seen.append
    fill(ring, ["one", "two"])
    assert [turn.data for turn in seen] == [request("one"), request("two")]


def test_rings_of_several_processes_number_by_the_time_of_what_happened() -> None:
    """Whenever each of them comes to sort it."""
    rings = [TraceRing(TraceSettings()) for _ in range(2)]
    for number, ring in enumerate(rings):
        ring.numbered = number
    rings[0](2.0, request("late"), ALICE, [])
    rings[1](1.0, request("early"), ALICE, [])
    late, early = (next(iter(settled(ring).calls.values())) for ring in rings)
    assert early.serial < late.serial < rings[0].newest(3.0)


def test_whoever_has_seen_the_newest_has_not_seen_what_is_not_sorted() -> None:
    ring = TraceRing(TraceSettings())
    ring.numbered = 5
    assert ring.newest(9.0) == 0
    ring(1.0, request("one"), ALICE, [])
    settled(ring)
    ring(2.0, request("two"), ALICE, [])
    newest = ring.newest(3.0)
    assert ring.calls[b"one"].serial <= newest
    assert settled(ring).calls[b"two"].serial > newest

"""What senders and operators are told of messages beyond the bounds and of broken ones, and what that costs us."""

from random import Random

import pytest

from sipgw.events import Flow, Log, Send
from sipgw.message import MalformedMessage, Request, parse_message
from sipgw.transaction.layer import TransactionLayer
from sipgw.transaction.stack import LOG_EVERY, Stack
from sipgw.transaction.timers import TimerValues
from sipgw.transport.framing import StreamFramer
from tests.harness import CONTACT_OBJECT, Party, World, reply

VIA = "Via: SIP/2.0/UDP proxy.example.test;branch=z9hG4bKx"


def options(party: Party, *lines: str, uri: str = CONTACT_OBJECT) -> Request:
    return party.request("OPTIONS", uri, *lines)


TOO_MUCH = [
    (["X: " + "x" * 17_000], 513, "header line longer than 16384 bytes"),
    (["X: 1"] * 300, 400, "more than 256 header lines"),
    ([VIA] * 70, 483, "more than 70 Via values"),
    (["Route: " + ", ".join(["<sip:192.0.2.1:5060;lr>"] * 101)], 400, "more than 100 values of Route"),
    (["Contact: <sip:x@y>"] * 101, 400, "more than 100 values of Contact"),
    (["Via: SIP/2.0/UDP p" + ";a" * 65], 400, "more than 64 parameters"),
    (["Route: <sip:192.0.2.1;lr" + ";a" * 65 + ">"], 400, "more than 64 parameters in a URI"),
    (["Subject: a\x00b"], 400, "control character"),
    (["Subject: a\nRoute: <sip:evil.example.test>"], 400, "lone line end"),
]


@pytest.mark.parametrize(("lines", "status", "why"), TOO_MUCH, ids=[why for _, _, why in TOO_MUCH])
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_who_sends_too_much_is_told_what(world: World, transport: str, lines: list[str], status: int, why: str) -> None:
    alice, pool = world.phone("alice", transport), world.server()
    before = world.engine.counters[f"answered_{status}"]
    alice >> options(alice, *lines)
    answer = alice << status
    assert why in (answer.first("warning") or "")
    assert world.engine.counters[f"answered_{status}"] == before + 1
    alice.nothing()
    pool.nothing()


def test_a_request_uri_that_is_too_long_leaves_no_state(world: World) -> None:
    alice = world.phone("alice", "UDP")
    alice >> options(alice, uri=f"sip:{'x' * 5000}@example.test")
    assert "longer than 4096" in ((alice << 414).first("warning") or "")
    assert world.engine.sizes().server_transactions == 0


@pytest.mark.parametrize("count", [69, 70])
def test_vias_are_counted_with_the_senders_own(world: World, count: int) -> None:
    alice, pool = world.phone("alice", "UDP"), world.server()
    alice >> options(alice, *[VIA] * count)
    if count < 70:
        pool >> reply(pool << "OPTIONS", 200)
    alice << (200 if count < 70 else 483)


def test_a_datagram_with_too_large_a_body() -> None:
    stack = Stack(TransactionLayer(TimerValues(), Random(1)), max_body=10)
    alice = World().phone("alice", "UDP")
    assert alice.flow is not None
    (send, _) = by_kind(stack, alice.request("MESSAGE", CONTACT_OBJECT, body=b"x" * 11).encode(), alice.flow)
    answer = parse_message(send.data)
    assert answer.start == "SIP/2.0 413 Request Entity Too Large"
    assert "body longer than 10 bytes" in (answer.first("warning") or "")


def by_kind(stack: Stack, data: bytes, flow: Flow, now: float = 0.0) -> tuple[Send, list[Log]]:
    outputs = stack.receive(data, flow, now)
    (send,) = [output for output in outputs if isinstance(output, Send)]
    return send, [output for output in outputs if isinstance(output, Log)]


# streams


def broken(world: World, party: Party, data: bytes, *, head: int = 2000, body: int = 1000) -> None:
    """Bytes that no framer can follow, as a connection treats them."""
    with pytest.raises(MalformedMessage) as caught:
        StreamFramer(head, body).feed(data)
    assert party.flow is not None
    world.perform(world.engine.receive_broken(caught.value, party.flow, world.now))


def test_a_head_that_is_too_long_for_the_stream_is_answered(world: World) -> None:
    """From what came of it before the bound."""
    alice = world.phone("alice")
    broken(world, alice, options(alice, *["X: " + "x" * 100] * 30).encode()[:2100])
    answer = alice << 513
    assert answer.reason == "Message Too Large"
    assert "header longer than 2000 bytes" in (answer.first("warning") or "")


def test_a_head_that_shows_no_request_is_not(world: World) -> None:
    alice = world.phone("alice")
    broken(world, alice, b"x" * 3000)
    broken(world, alice, b"SIP/2.0 200 OK\r\n" + b"X: x\r\n" * 500)
    alice.nothing()
    assert world.engine.counters["unanswerable"] == 2


@pytest.mark.parametrize(
    ("old", "new", "status", "why"),
    [
        (b"Content-Length: 0", b"Content-Length: 5000", 413, "body longer than 1000"),
        (b"Content-Length: 0", b"Content-Length: -1", 400, "not a number"),
        (b"Content-Length: 0", b"Content-Length: 0\r\nl: 1", 400, "twice"),
        (b"Content-Length: 0", b"Content-Type: text/plain", 400, "without Content-Length"),
    ],
)
def test_why_a_stream_is_given_up(world: World, old: bytes, new: bytes, status: int, why: str) -> None:
    alice = world.phone("alice")
    broken(world, alice, options(alice).encode().replace(old, new))
    answer = alice << status
    assert why in (answer.first("warning") or "")


# responses


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"CSeq: 1 INVITE", b"CSeq: 99999999999 INVITE"),
        (b"CSeq: 1 INVITE", b"CSeq: INVITE"),
        (b"CSeq: 1 INVITE", b"CSeq: 1 INVITE\r\nCSeq: 1 INVITE"),
        (b"SIP/2.0 486 ", b"SIP/2.0 4860 "),
        (b"Call-ID: ", b"X-Call-ID: "),
        (b"To: ", b"To\n: "),
        (b"branch=", b"branch=;;"),
    ],
)
def test_a_broken_response_changes_nothing(world: World, old: bytes, new: bytes) -> None:
    """It is dropped and counted; the transaction waits for a better one."""
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    busy = reply(pool << "INVITE", 486)
    pool >> busy.encode().replace(old, new, 1)
    alice.nothing()
    pool.nothing()
    assert world.engine.counters["unanswerable"] == world.engine.counters["malformed"] == 1
    pool >> busy
    pool << "ACK"
    assert alice.fail_call(486)


# what is wrong and none of our business


HARMLESS = ["Date: Fri, 01 Jan 2010 16:00:00 EST", "Expires: soon", "Expires: 99999999999999999999", "Timestamp: x"]


@pytest.mark.parametrize("line", [*HARMLESS, "Content-Type: ;;", "Contact: ???", "Allow:", "Subject: (((", "X: \xfc"])
def test_a_proxy_passes_on_what_it_does_not_look_at(world: World, line: str) -> None:
    alice, pool = world.phone("alice"), world.server()
    alice >> options(alice, line)
    at_pool = pool << "OPTIONS"
    assert line in at_pool.lines
    pool >> reply(at_pool, 200)
    alice << 200


@pytest.mark.parametrize("line", HARMLESS)
def test_nor_does_it_keep_anybody_from_registering(world: World, line: str) -> None:
    """RFC 4475 §3.1.2.4: an expiry that cannot be read is as none."""
    alice = world.phone("alice")
    alice >> alice.request("REGISTER", "sip:example.test", f"Contact: <{alice.contact}>", line, to=alice.uri)
    assert 0 < int((alice << 200).first("expires")) <= 900


# what operators see


def test_one_line_a_second(world: World) -> None:
    alice = world.phone("alice", "UDP")
    for _ in range(50):
        alice >> b"junk\r\n\r\n"
    world.advance(LOG_EVERY)
    alice >> options(alice, *["X: 1"] * 300)
    alice << 400
    lines = [(log.event, log.fields) for log in world.logs if log.event.startswith("malformed")]
    assert [event for event, _ in lines] == ["malformed message, unanswerable", "malformed message, answered 400"]
    assert [fields["malformed"] for _, fields in lines] == [1, 51]
    assert lines[1][1]["reason"] == "more than 256 header lines"
    assert lines[1][1]["source"] == "udp:198.51.100.7:40000"


def test_an_answer_that_repeats_what_was_wrong_is_a_message() -> None:
    """What is echoed of a Via and of control characters can be read by the sender's own parser."""
    world = World()
    alice = world.phone("alice", "UDP")
    data = options(alice).encode()
    for old, new in ((b";branch=", b";;branch="), (b"To: <", b'To: "\x00\x1b" <'), (b"Call-ID: ", b"Call-ID: a\nb")):
        alice >> data.replace(old, new)
        answer = alice << 400
        assert answer.via.branch == "z9hG4bK-alice-1"

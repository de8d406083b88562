"""Messages out of a byte stream: the same ones however the bytes are split, keep-alives, bounds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipgw.message import MalformedMessage, parse_message
from sipgw.transport import framing
from sipgw.transport.framing import PING, StreamFramer, content_length
from tests.torture.messages import MESSAGES


def message(body: bytes = b"", *lines: bytes) -> bytes:
    head = [b"INFO sip:x SIP/2.0", *lines, b"Content-Length: %d" % len(body), b"", b""]
    return b"\r\n".join(head) + body


Result = tuple[list[bytes], int]  # frames, and the status of the error that ended the stream, 0 for none


def run(pieces: list[bytes], max_head: int = 500, max_body: int = 500) -> Result:
    framer = StreamFramer(max_head, max_body)
    frames: list[bytes] = []
    for piece in pieces:
        try:
            while cut := framer.feed(piece):
                frames += cut
                piece = b""
        except MalformedMessage as error:
            return frames, error.status
    return frames, 0


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


STREAMS = [
    message(),
    message(b"hello"),
    message(b"\r\n\r\n\r\n"),
    message() + message(b"x"),
    b"\r\n" + message(),
    PING + message(b"a") + PING + PING + message(),
    b"\r\n\r\n\r\n" + message(),
    message(b"abc") + b"\r\n" + message(),
    b"INFO sip:x SIP/2.0\r\nl: 3\r\n\r\nabc" + message(),
    b"INFO sip:x SIP/2.0\r\nCONTENT-LENGTH\t:  3 \r\n\r\nabc" + message(),
    b"INFO sip:x SIP/2.0\r\n\r\n" + message(),
    message(b"a" * 500),
]


@pytest.mark.parametrize("data", STREAMS)
def test_splits_make_no_difference(data: bytes) -> None:
    whole, error = run([data])
    assert error == 0
    assert whole
    assert all(frame in data for frame in whole)
    assert run(bytewise(data)) == (whole, 0)
    for at in range(len(data)):
        assert run([data[:at], data[at:]]) == (whole, 0)


def test_frames() -> None:
    first, second = message(b"one"), message()
    assert run([b"\r\n" + PING + first + b"\r\n" + second]) == ([PING, first, second], 0)


PIECES = st.lists(
    st.sampled_from([message(), message(b"body"), message(b"\r\n\r\n"), PING, b"\r\n", b"INFO x\r\n"]), max_size=6
)


@settings(max_examples=200, deadline=None)
@given(PIECES, st.lists(st.integers(1, 60), max_size=30))
def test_any_stream_any_split(pieces: list[bytes], sizes: list[int]) -> None:
    data = b"".join(pieces)
    split, rest = [], data
    for size in sizes:
        split.append(rest[:size])
        rest = rest[size:]
    assert run([*split, rest]) == run([data])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_framed_or_malformed(data: bytes) -> None:
    frames, error = run(bytewise(data), 60, 60)
    assert error in (0, 400, 413, 513)
    assert sum(len(frame) for frame in frames) <= len(data)


def test_pings() -> None:
    """RFC 5626 §4.4.1: a double CRLF between messages asks for a pong; a single one is a pong, or nothing (§7.5)."""
    framer = StreamFramer(500, 500)
    assert framer.feed(PING) == [PING]
    assert framer.feed(b"\r\n") == []
    assert framer.feed(b"\r\n") == [PING]
    assert framer.feed(b"\r") == []
    assert framer.feed(b"\n\r\n") == [PING]
    assert framer.pending == 0


def test_pending_tells_of_an_unfinished_message() -> None:
    framer = StreamFramer(500, 500)
    assert framer.pending == 0
    framer.feed(b"INFO")
    assert framer.pending == 4
    framer = StreamFramer(500, 500)
    framer.feed(message(b"abc")[:-1])
    assert framer.pending == len(message(b"abc")) - 1
    framer.feed(b"c")
    assert framer.pending == 0


def test_a_pong_is_not_an_unfinished_message() -> None:
    framer = StreamFramer(500, 500)
    framer.feed(b"\r\n")
    assert framer.pending == 0


@pytest.mark.parametrize("data", [b"\rINFO", b"\r\r", b"\r\n\rI", b"\rx"])
def test_a_lone_carriage_return_ends_the_stream(data: bytes) -> None:
    assert run([data]) == ([], 400)
    assert run(bytewise(data)) == ([], 400)


# bounds


def head_of(size: int) -> bytes:
    """A head of `size` bytes without its blank line."""
    start = b"INFO sip:x SIP/2.0\r\nX: "
    return start + b"x" * (size - len(start))


@pytest.mark.parametrize("size", [100, 96])
def test_the_longest_head(size: int) -> None:
    data = head_of(size) + b"\r\n\r\n"
    assert run([data], 100) == ([data], 0)


def test_a_head_that_is_too_long() -> None:
    data = head_of(101) + b"\r\n\r\n"
    assert run([data], 100) == ([], 513)
    assert run(bytewise(data), 100) == ([], 513)


def test_a_head_that_is_too_long_is_handed_over_as_far_as_it_may_go() -> None:
    """Enough to tell the sender."""
    framer = StreamFramer(100, 100)
    with pytest.raises(MalformedMessage) as caught:
        framer.feed(head_of(5000))
    assert caught.value.message == head_of(100)


def test_a_head_without_end_is_cut_off_at_the_bound() -> None:
    framer = StreamFramer(100, 100)
    with pytest.raises(MalformedMessage):
        [framer.feed(b"x") for _ in range(200)]
    assert framer.pending <= 105


def test_the_longest_head_byte_by_byte() -> None:
    data = head_of(100) + b"\r\n\r\n"
    assert run(bytewise(data), 100) == ([data], 0)


def test_a_body_that_is_too_long_is_refused_by_its_length() -> None:
    """Before it is read; the head is handed over so that the sender can be told."""
    framer = StreamFramer(500, 10)
    with pytest.raises(MalformedMessage) as caught:
        framer.feed(b"INFO sip:x SIP/2.0\r\nContent-Length: 11\r\n\r\n")
    assert caught.value.status == 413
    assert caught.value.message == b"INFO sip:x SIP/2.0\r\nContent-Length: 11\r\n\r\n"


@pytest.mark.parametrize("value", [b"x", b"-1", b"", b"1.5", b"1 2", b"99999999999", b"\xb2"])
def test_a_length_that_cannot_be_read(value: bytes) -> None:
    framer = StreamFramer(500, 500)
    with pytest.raises(MalformedMessage) as caught:
        framer.feed(b"INFO sip:x SIP/2.0\r\nContent-Length: " + value + b"\r\n\r\nabc")
    assert caught.value.status == 400
    assert isinstance(caught.value.message, bytes)


def test_content_length() -> None:
    assert content_length(b"INFO x\r\nA: 1") == 0
    assert content_length(b"INFO x\r\nl: 1\r\nContent-Length: 1 ") == 1
    assert content_length(b"INFO x\r\nX-Content-Length: 1") == 0


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (b"l: 1\r\nContent-Length: 2", "differs"),
        (b"Content-Length: 13\r\nMax-Forwards: 60\r\nContent-Length: 5", "differs"),
        (b"Content-Type: application/sdp", "without Content-Length"),
        (b"c : application/sdp", "without Content-Length"),
    ],
)
def test_a_message_whose_end_is_uncertain_ends_the_stream(lines: bytes, why: str) -> None:
    """What follows may be its body, and must not be taken for messages of their own."""
    data = b"INFO sip:x SIP/2.0\r\n" + lines + b"\r\n\r\nBYE sip:x SIP/2.0\r\n\r\n"
    framer = StreamFramer(500, 500)
    with pytest.raises(MalformedMessage, match=why) as caught:
        framer.feed(data)
    assert caught.value.status == 400
    assert caught.value.message == data[: data.index(b"\r\n\r\n") + 4]
    assert run(bytewise(data)) == ([], 400)


def test_what_came_before_the_damage_is_delivered() -> None:
    whole, broken = message(b"ok"), b"INFO sip:x SIP/2.0\r\nContent-Length: x\r\n\r\n"
    assert run([whole, broken]) == ([whole], 400)
    assert run([whole + broken]) == ([whole], 400)


def test_a_folded_line_is_no_content_length() -> None:
    data = b"INFO sip:x SIP/2.0\r\nSubject: a\r\n Content-Length: 4\r\nContent-Length: 0\r\n\r\n"
    frames, _ = run([data + b"INFO"])
    assert frames == [data]
    assert parse_message(frames[0]).first("content-length") == "0"


def test_a_content_length_may_be_folded() -> None:
    data = b"INFO sip:x SIP/2.0\r\nContent-Length:\r\n 3\r\n\r\nabc"
    assert parse_message(data).body == b"abc"
    assert run([data]) == ([data], 0)


# slow peers


def test_a_slow_head_is_searched_once() -> None:
    """Where the search goes on is remembered."""
    framer = StreamFramer(100_000, 100)
    for _ in range(1000):
        framer.feed(b"x" * 50)
        assert framer._scanned == framer.pending


def test_the_head_of_a_slow_body_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []

    def counted(head: bytes) -> int:
        reads.append(head)
        return content_length(head)

    monkeypatch.setattr(framing, "content_length", counted)
    assert run(bytewise(message(b"x" * 400)))[1] == 0
    assert len(reads) < 5


# any stream, any split, and how it ends

TORTURE = [data for data in MESSAGES.values() if len(data) < 900]
END = b"INFO sip:x SIP/2.0\r\n"
FAULTS = [
    b"INFO sip:x SIP/2.0\r\nContent-Length: -1\r\n\r\n",
    b"INFO sip:x SIP/2.0\r\nl: 1\r\nl: 2\r\n\r\n",
    b"INFO sip:x SIP/2.0\r\nc: text/plain\r\n\r\nabc",
    b"INFO sip:x SIP/2.0\r\nl: 99999\r\n\r\n",
    b"\rINFO",
    b"x" * 1100,
]
STREAM = st.lists(st.sampled_from([*TORTURE, *FAULTS, PING, b"\r\n", b"\r", END, message(b"a\r\n\r\nb")]), max_size=5)


def outcome(pieces: list[bytes]) -> tuple[list[bytes], tuple[str, int, object], int]:
    """Frames, the fault in full, and how much is left waiting."""
    framer = StreamFramer(1000, 1000)
    frames: list[bytes] = []
    for piece in pieces:
        try:
            while cut := framer.feed(piece):
                frames += cut
                piece = b""
        except MalformedMessage as error:
            return frames, (error.reason, error.status, error.message), -1
    return frames, ("", 0, None), framer.pending


@settings(max_examples=400, deadline=None)
@given(STREAM, st.lists(st.integers(1, 200), max_size=40))
def test_a_stream_ends_in_the_same_way_however_it_is_split(parts: list[bytes], sizes: list[int]) -> None:
    data = b"".join(parts)
    split, rest = [], data
    for size in sizes:
        split.append(rest[:size])
        rest = rest[size:]
    whole = outcome([data])
    assert outcome([*split, rest]) == whole
    assert outcome(bytewise(data)) == whole

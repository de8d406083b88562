"""Whatever comes in, the engine answers or drops it: no exception, nothing malformed out, nothing left behind."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sipgw.message import MalformedMessage, parse_message
from tests.harness import CONTACT_OBJECT, SIPE, World, reply

SEEDS = [path.read_bytes() for path in sorted(SIPE.glob("*.sip"))]
SCRAPS = [
    b"",
    b"\r\n",
    b" ",
    b",",
    b";",
    b'"',
    b"<",
    b">",
    b"@",
    b"%",
    b"%zz",
    b":",
    b"0",
    b"\xff",
    b"\x00",
    b"sip:",
    b"\r\n x",
]
HEADERS = [
    b"Route: <sip:x@192.0.2.1:5060;lr>",
    b"Route: <sip:192.0.2.1:5060;lr>, <sip:other.test>",
    b"Route:",
    b"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK.0",
    b"Via:",
    b"Contact: *",
    b"Expires: 0",
    b"Expires: -1",
    b"Max-Forwards: 0",
    b"Proxy-Require: x",
    b"Require: x",
    b"Event: presence",
    b"Content-Length: 5",
    b"To: <tel:1>",
    b"Supported",
]
CHANGE = st.tuples(st.integers(0, 2000), st.integers(0, 12), st.sampled_from(SCRAPS))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = draw(st.sampled_from(SEEDS))
    for line in draw(st.lists(st.sampled_from(HEADERS), max_size=3)):
        at = data.index(b"\r\n") + 2
        data = data[:at] + line + b"\r\n" + data[at:]
    for at, length, scrap in draw(st.lists(CHANGE, max_size=4)):
        data = data[:at] + scrap + data[at + length :]
    return data


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(damaged(), st.booleans(), st.floats(0, 40)), min_size=1, max_size=4))
def test_damaged_messages(steps: list[tuple[bytes, bool, float]]) -> None:
    world = World()
    alice, bob, pool = world.phone("alice"), world.phone("bob", "UDP"), world.server()
    for data, by_datagram, pause in steps:
        (bob if by_datagram else alice) >> data
        world.advance(pause)
    for party in (alice, bob, pool):
        for message in party.inbox:
            again = parse_message(message.encode())
            assert again.via
    world.finish()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    world = World()
    alice = world.phone("alice", "UDP")
    alice >> data
    world.finish()


REPLACEMENTS = st.sampled_from(
    [b"Via", b"CSeq: 1", b"INVITE", b"z9hG4bK", b"SIP/2.0", b"200", b"From", b"tag=", b"\r\n"]
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(REPLACEMENTS, st.sampled_from(SCRAPS)), min_size=1, max_size=3),
    st.sampled_from([180, 200, 404, 503, 600]),
)
def test_damaged_responses(changes: list[tuple[bytes, bytes]], status: int) -> None:
    world = World()
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    data = reply(pool << "INVITE", status).encode()
    for old, new in changes:
        data = data.replace(old, new, 1)
    pool >> data
    world.finish()


def test_an_answer_that_has_lost_its_way_back_is_no_answer() -> None:
    """A response whose only Via is ours would come back to nobody; the caller must not wait for ever."""
    world = World()
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    alice.nothing()
    request = pool << "MESSAGE"
    lines = [line for line in request.lines[1:] if line.startswith(("From", "To", "Call-ID", "CSeq"))]
    pool >> "\r\n".join(["SIP/2.0 200 OK", request.lines[0], *lines, "Content-Length: 0", "", ""]).encode("latin-1")
    alice << 502
    alice.nothing()
    pool.nothing()
    assert world.engine.counters["misdirected"] == 1


def test_seeds_are_whole() -> None:
    assert len(SEEDS) > 10
    for data in SEEDS:
        try:
            assert parse_message(data).encode() == data
        except MalformedMessage as error:  # pragma: no cover
            raise AssertionError(error.reason) from None

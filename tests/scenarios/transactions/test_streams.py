"""Many messages on one stream, keep-alives between them, cut anywhere (§7.5, §18.3, RFC 5626 §4.4.1)."""

import pytest

from sipgw.message.errors import MalformedMessage
from sipgw.transport.framing import PING, StreamFramer
from tests.harness import CONTACT_OBJECT, DOMAIN, MakeWorld, Party, World, reply


class Wire:
    """One client's connection as the gateway reads it: bytes in, whole messages to the engine, pongs counted."""

    def __init__(self, party: Party) -> None:
        self.party = party
        self.framer = StreamFramer(8192, 1 << 16)
        self.pongs = 0

    def feed(self, data: bytes) -> None:
        while frames := self.framer.feed(data):
            for frame in frames:
                if frame == PING:
                    self.pongs += 1
                else:
                    self.party >> frame
            data = b""

    def broken(self, data: bytes) -> None:
        """Feed what breaks the stream; the engine answers what it can."""
        with pytest.raises(MalformedMessage) as caught:
            self.feed(data)
        world = self.party.world
        assert self.party.flow is not None
        world.perform(world.engine.receive_broken(caught.value, self.party.flow, world.now))


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world()


@pytest.fixture
def alice(world: World) -> Party:
    return world.phone("alice", "TCP")


@pytest.fixture
def pool(world: World) -> Party:
    return world.server()


def messages(alice: Party, count: int) -> list[bytes]:
    return [alice.request("MESSAGE", CONTACT_OBJECT, body=b"x" * number).encode() for number in range(count)]


def all_answered(alice: Party, pool: Party, count: int) -> None:
    for number in range(count):
        at_pool = pool << "MESSAGE"
        assert at_pool.body == b"x" * number
        pool >> reply(at_pool, 200)
        alice << 200
    pool.nothing()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 511, 100_000], ids=lambda size: f"pieces-of-{size}")
def test_five_requests_in_one_go_are_five_requests(alice: Party, pool: Party, size: int) -> None:
    wire, stream = Wire(alice), b"".join(messages(alice, 5))
    for at in range(0, len(stream), size):
        wire.feed(stream[at : at + size])
    all_answered(alice, pool, 5)


@pytest.mark.parametrize("between", [b"\r\n", b"\r\n\r\n", b"\r\n\r\n\r\n", b"\r\n" * 7], ids=[1, 2, 3, 7])
@pytest.mark.parametrize("size", [1, 3, 100_000], ids=lambda size: f"pieces-of-{size}")
def test_keep_alives_between_requests_are_answered_and_disturb_none(
    alice: Party, pool: Party, between: bytes, size: int
) -> None:
    """Two line breaks are a ping; one alone is nothing."""
    wire, stream = Wire(alice), between.join([b"", *messages(alice, 3), b""])
    for at in range(0, len(stream), size):
        wire.feed(stream[at : at + size])
    all_answered(alice, pool, 3)
    assert wire.pongs == 4 * (len(between) // 4)


def test_a_whole_call_in_one_segment(alice: Party, pool: Party) -> None:
    """INVITE and CANCEL read at once: the CANCEL waits until the pool has shown that it has the INVITE (§9.1)."""
    invite = alice.request("INVITE", CONTACT_OBJECT)
    Wire(alice).feed(invite.encode() + alice.cancel(invite).encode())
    alice << 100
    assert (alice << 200).cseq.method == "CANCEL"
    alice.sent[invite.call_id] = invite
    at_pool = pool << "INVITE"
    pool.nothing()
    pool >> reply(at_pool, 100)
    pool >> reply(pool << "CANCEL", 200)
    pool >> reply(at_pool, 487)
    pool << "ACK"
    alice.fail_call(487)


def test_a_bad_request_between_good_ones_costs_only_itself(alice: Party, pool: Party) -> None:
    """As long as it can be framed: the stream is not lost for the sake of one message (§16.3)."""
    first, second = messages(alice, 2)
    bad = alice.request("MESSAGE", CONTACT_OBJECT).encode().replace(b"CSeq: 1", b"CSeq: one")
    Wire(alice).feed(first + bad + b"NOT SIP AT ALL\r\nX: 1\r\n\r\n" + second)
    assert (alice << 400).first("warning")
    all_answered(alice, pool, 2)


@pytest.mark.parametrize(
    ("length", "status"),
    [(b"70000", 413), (b"x", 400), (b"-1", 400), (b"99999999999", 400)],
    ids=str,
)
def test_what_cannot_be_framed_is_answered_and_ends_the_stream(
    alice: Party, pool: Party, length: bytes, status: int
) -> None:
    good, _ = messages(alice, 2)
    wire = Wire(alice)
    wire.feed(good)
    broken = alice.request("MESSAGE", CONTACT_OBJECT).encode()
    wire.broken(broken.replace(b"Content-Length: 0", b"Content-Length: " + length))
    alice << status
    all_answered(alice, pool, 1)


def test_a_request_without_content_length_on_a_stream_has_no_body(alice: Party, pool: Party) -> None:
    """§18.3 demands the header on streams. With nothing that announces a body, what follows is the next message."""
    first, second = messages(alice, 2)
    Wire(alice).feed(first.replace(b"Content-Length: 0\r\n", b"") + second)
    all_answered(alice, pool, 2)


def test_a_body_without_content_length_ends_the_stream(alice: Party, pool: Party) -> None:
    """Nobody can tell where it ends, and what is inside must not be taken for a request (§18.3)."""
    (inner,) = messages(alice, 1)
    outer = alice.request("MESSAGE", CONTACT_OBJECT, "Content-Type: text/plain", body=inner).encode()
    head, _, body = outer.partition(b"\r\n\r\n")
    Wire(alice).broken(head.rpartition(b"\r\nContent-Length")[0] + b"\r\n\r\n" + body)
    alice << 400
    pool.nothing()


def test_answers_and_requests_share_a_stream(world: World, alice: Party, pool: Party) -> None:
    """The gateway's requests to a client come down its connection, and its answers go up among its own requests."""
    alice.sign_in()
    bob = world.phone("bob", "UDP", "198.51.100.8")
    bob >> bob.request("OPTIONS", alice.uri)
    at_alice = alice << "OPTIONS"
    (message,) = messages(alice, 1)
    Wire(alice).feed(reply(at_alice, 200).encode() + b"\r\n\r\n" + message)
    bob << 200
    all_answered(alice, pool, 1)


def test_a_stream_that_breaks_off_in_a_request_leaves_nothing(world: World, alice: Party, pool: Party) -> None:
    (message,) = messages(alice, 1)
    Wire(alice).feed(message[:-20])
    alice.break_connection()
    pool.nothing()
    assert world.engine.sizes().server_transactions == 0


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 40, b"\r"])
def test_another_protocol_gets_no_answer(world: World, alice: Party, data: bytes) -> None:
    """A browser, a TLS hello on the wrong port, a port scan."""
    try:
        Wire(alice).feed(data)
    except MalformedMessage as error:
        assert alice.flow is not None
        world.perform(world.engine.receive_broken(error, alice.flow, world.now))
    alice.nothing()
    assert world.engine.sizes().server_transactions == 0


def test_an_unknown_user_is_told_in_the_same_breath(alice: Party) -> None:
    stream = b"".join(alice.request("MESSAGE", f"sip:nobody{n}@{DOMAIN}").encode() for n in range(4))
    Wire(alice).feed(stream)
    for _ in range(4):
        alice << 404

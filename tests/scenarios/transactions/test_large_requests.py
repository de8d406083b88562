"""A request too large for a datagram goes by TCP where the other side takes it, else as a datagram (§18.1.1)."""

import pytest

from sipgw.events import Flow
from sipgw.message import Request
from sipgw.registry import Server
from tests.harness import CONTACT_OBJECT, REFUSING, SILENT, MakeWorld, Party, World, default_pool, reply

HOST, PORT = "192.0.2.51", 5060
LARGE = b"x" * 1300
REMEMBERED = 300.0  # seconds for which a server that takes no TCP is not asked again


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world([default_pool(Server("UDP", HOST, PORT))])


@pytest.fixture
def alice(world: World) -> Party:
    return world.phone("alice", "UDP")


@pytest.fixture
def datagrams(world: World) -> Party:
    """The pool's server as datagrams reach it."""
    return world.server("UDP", HOST, PORT)


@pytest.fixture
def streams(world: World) -> Party:
    """The same server as connections reach it."""
    return world.server("TCP", HOST, PORT)


def asks(alice: Party, body: bytes = LARGE, method: str = "MESSAGE") -> Request:
    request = alice.request(method, CONTACT_OBJECT, body=body)
    alice >> request
    return request


def answered(alice: Party, server: Party, method: str = "MESSAGE") -> Request:
    at_server: Request = server << method
    assert at_server.via.transport == server.transport  # what Via says is how it went
    server >> reply(at_server, 200)
    alice << 200
    return at_server


def test_the_limit_is_1300_bytes_on_the_wire(alice: Party, datagrams: Party, streams: Party) -> None:
    """What the path takes is not known, so it is 1300, our Via included. (A branch of ours may be a digit shorter.)"""
    sizes: dict[str, list[int]] = {"UDP": [], "TCP": []}
    for length in range(800, 1100):
        asks(alice, b"x" * length)
        arrived = answered(alice, streams if streams.inbox else datagrams)
        sizes[arrived.via.transport].append(len(arrived.encode()))
    assert 1298 <= max(sizes["UDP"]) <= 1300
    assert 1299 <= min(sizes["TCP"]) <= 1303


def test_it_goes_whole_and_unchanged(alice: Party, datagrams: Party, streams: Party) -> None:
    asks(alice, LARGE * 10)
    assert answered(alice, streams).body == LARGE * 10
    datagrams.nothing()


def test_a_large_call_is_recorded_as_it_went(alice: Party, datagrams: Party, streams: Party) -> None:
    """Record-Route has to name how each side reaches us: datagrams for alice, TCP for the server (RFC 5658)."""
    asks(alice, method="INVITE")
    alice << 100
    invite = streams << "INVITE"
    first, second = invite.values("record-route")
    assert "transport=tcp" in first
    assert "transport=" not in second
    ok = reply(invite, 200, contact=f"sip:ocschat@{HOST}:{PORT};transport=tcp")
    streams >> ok
    mine, theirs = alice.calling(alice << 200), streams.called(invite, ok)
    alice >> mine.request("ACK")
    streams << "ACK"
    streams >> theirs.request("BYE")
    alice >> reply(alice << "BYE", 200)
    streams << 200


@pytest.mark.parametrize("state", [REFUSING, "absent"])
def test_a_server_that_takes_no_connection_gets_it_as_a_datagram(
    world: World, alice: Party, datagrams: Party, state: str
) -> None:
    """The specification wants the attempt, and the datagram when it fails (an RST, or ICMP)."""
    if state == REFUSING:
        world.server("TCP", HOST, PORT).state = REFUSING
    asks(alice)
    assert answered(alice, datagrams).body == LARGE
    assert world.failures() == []


def test_what_takes_no_connection_is_remembered_for_a_while(world: World, alice: Party, datagrams: Party) -> None:
    streams = world.server("TCP", HOST, PORT)
    streams.state = REFUSING
    asks(alice)
    answered(alice, datagrams)
    streams.state = "up"
    for wait in (0.0, REMEMBERED - 1):
        world.advance(wait)
        asks(alice)
        answered(alice, datagrams)
    world.advance(2.0)
    asks(alice)
    answered(alice, streams)


def test_a_connection_that_goes_nowhere_is_given_up_for_a_datagram(
    world: World, alice: Party, datagrams: Party
) -> None:
    """Nobody refuses and nobody answers: the next way is tried when the first answer of a pool server is overdue."""
    world.server("TCP", HOST, PORT).state = SILENT
    asks(alice)
    world.advance(4.1)
    datagrams >> reply(datagrams << "MESSAGE", 200)
    alice.inbox = [message for message in alice.inbox if message.start != "SIP/2.0 100 Trying"]
    alice << 200


def test_a_small_request_goes_as_a_datagram_although_a_connection_is_open(
    alice: Party, datagrams: Party, streams: Party
) -> None:
    asks(alice)
    answered(alice, streams)
    asks(alice, b"small")
    answered(alice, datagrams)


def test_a_large_answer_goes_where_its_request_came_from(world: World, alice: Party, datagrams: Party) -> None:
    """§18.2.2: a response has no choice of transport, whatever its size."""
    asks(alice, b"small")
    at_server = datagrams << "MESSAGE"
    datagrams >> reply(at_server, 200, body=LARGE * 3)
    assert (alice << 200).body == LARGE * 3


def test_a_large_request_to_a_client_behind_its_datagrams_stays_a_datagram(world: World) -> None:
    """To a flow (RFC 5626 §5.3) there is no other way than the one that it has."""
    alice, bob = world.phone("alice", "UDP"), world.phone("bob", "UDP", "198.51.100.8", 61000)
    assert isinstance(bob.flow, Flow)
    bob >> bob.register(
        "Supported: outbound",
        contact="sip:bob@10.0.0.9:5060;ob",
    ).encode().replace(b";ob>", b';ob>;reg-id=1;+sip.instance="<urn:uuid:b>"')
    bob << 200
    alice >> alice.request("MESSAGE", bob.uri, body=LARGE)
    at_bob = bob << "MESSAGE"
    assert at_bob.via.transport == "UDP"
    bob >> reply(at_bob, 200)
    alice << 200

"""Responses that are not for us, not whole, or that nobody can be sent (RFC 3261 §16.9, §17.2.4, §18.1.2, §18.3)."""

import pytest

from sipgw.events import Flow, Send
from sipgw.message import Request
from sipgw.registry import Server
from tests.harness import CONTACT_OBJECT, MakeWorld, Party, World, default_pool, reply


@pytest.fixture
def datagrams(make_world: MakeWorld) -> World:
    return make_world([default_pool(Server("UDP", "192.0.2.51", 5060))])


def asked(world: World) -> tuple[Party, Party, Request]:
    alice, pool = world.phone("alice"), world.server("UDP", port=5060)
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    return alice, pool, pool << "MESSAGE"


@pytest.mark.parametrize("sent_by", ["203.0.113.9:5060", "192.0.2.1:5061", "192.0.2.1", "sipgw.example.test:5060"])
def test_a_response_that_names_another_sender_is_dropped(datagrams: World, sent_by: str) -> None:
    """§18.1.2: the topmost Via has to be the one that we wrote, its sent-by included."""
    alice, pool, request = asked(datagrams)
    wrong = reply(request, 200)
    wrong.lines[0] = wrong.lines[0].replace("192.0.2.1:5060", sent_by)
    assert sent_by in wrong.lines[0]
    pool >> wrong
    alice.nothing()
    pool >> reply(request, 200)
    alice << 200
    assert datagrams.engine.counters["misaddressed"] == 1


def test_a_response_shorter_than_it_says_is_dropped(datagrams: World) -> None:
    """§18.3: a response by datagram that ends too soon; a request is answered 400 instead."""
    alice, pool, request = asked(datagrams)
    pool >> reply(request, 200, body=b"hello").encode()[:-1]
    alice.nothing()
    pool.nothing()
    pool >> reply(request, 200, body=b"hello")
    assert (alice << 200).body == b"hello"


def test_what_follows_a_response_in_its_datagram_is_cut_off(datagrams: World) -> None:
    alice, pool, request = asked(datagrams)
    pool >> reply(request, 200, body=b"hello").encode() + b" and more"
    assert (alice << 200).body == b"hello"


@pytest.mark.parametrize("listener", [0, 3], ids=["IPv4", "IPv6"])
def test_a_response_leaves_by_the_socket_that_the_request_came_in_by(world: World, listener: int) -> None:
    """RFC 3581 §4: a NAT lets nothing else through."""
    ears = world.listeners[listener]
    host = "2001:db8::7" if listener else "198.51.100.7"
    flow = Flow("UDP", host, 40000, ears)
    request = world.phone("alice", "UDP", host=host, port=40000).request("OPTIONS", "sip:example.test")
    (sent,) = [one for one in world.engine.receive(request.encode(), flow, world.now) if isinstance(one, Send)]
    assert isinstance(sent.to, Flow)
    assert sent.to.listener is ears
    assert (sent.to.host, sent.to.port) == (host, 40000)


def test_a_response_that_cannot_be_delivered_stops_no_branch(world: World) -> None:
    """§16.9: the caller is gone; the called is not sent a CANCEL because of that."""
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    at_pool = pool << "INVITE"
    alice.break_connection()
    pool >> reply(at_pool, 180)
    pool.nothing()
    assert world.engine.counters["responses_lost"] == 1
    assert world.engine.sizes().server_transactions == 1  # RFC 6026 §8.8
    pool >> reply(at_pool, 486)
    pool << "ACK"


@pytest.mark.parametrize("status", [180, 486])
def test_a_response_that_was_lost_leaves_its_transaction_where_it_is(world: World, status: int) -> None:
    """RFC 6026 §8.8 (§17.2.4): a copy of the request is no new request. Each response is offered to the port in Via
    once, and a failure that nobody acknowledges ends with Timer H."""
    alice, pool = world.phone("alice"), world.server()
    invite = alice.request("INVITE", CONTACT_OBJECT)
    alice >> invite
    alice << 100
    at_pool = pool << "INVITE"
    alice.break_connection()
    pool >> reply(at_pool, status)
    if status == 486:
        pool << "ACK"
    assert world.engine.counters["responses_lost"] == 1
    alice.connect(port=47777)
    alice >> invite
    pool.nothing()
    if status == 486:
        world.advance(31.9)
        assert world.engine.sizes().server_transactions == 1
        world.advance(0.2)
        assert world.engine.counters["unacknowledged"] == 1
    else:
        pool >> reply(at_pool, 486)
        pool << "ACK"
    alice.nothing()


def test_a_response_that_was_lost_ends_no_other_transaction(world: World) -> None:
    alice, bob, pool = world.phone("alice"), world.phone("bob"), world.server()
    for caller in (alice, bob):
        caller >> caller.request("MESSAGE", CONTACT_OBJECT)
    first, second = pool << "MESSAGE", pool << "MESSAGE"
    alice.break_connection()
    pool >> reply(first, 200)
    assert world.engine.sizes().server_transactions == 1
    pool >> reply(second, 200)
    bob << 200


def test_the_port_of_a_lost_connection_is_the_one_that_via_names(world: World) -> None:
    """§18.2.2: the address it came from, the port of sent-by, 5060 when that says none."""
    alice, pool = world.phone("alice", port=5060), world.server()
    request = alice.request("MESSAGE", CONTACT_OBJECT)
    request.lines[0] = f"Via: SIP/2.0/TCP {alice.host};branch=z9hG4bKnone"
    alice >> request
    at_pool = pool << "MESSAGE"
    alice.break_connection()
    alice.listens = True
    pool >> reply(at_pool, 200)
    alice << 200


def test_a_response_may_come_by_another_connection(world: World) -> None:
    """§18.1.1: a server that lost the one of the request opens one to the port that our Via names."""
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    at_pool = pool << "MESSAGE"
    assert at_pool.via.sent_by == "192.0.2.1:5060"
    pool.connect(port=51000)
    pool >> reply(at_pool, 200)
    alice << 200

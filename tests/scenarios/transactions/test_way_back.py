"""Where responses go: by the connection, by received and rport, or elsewhere when the connection is gone (§18.2)."""

from collections.abc import Callable

import pytest

from sipgw.events import Flow
from sipgw.message import Request, Response
from sipgw.message.values import bracketed
from tests.harness import CONTACT_OBJECT, DOMAIN, REFUSING, MakeWorld, Party, World, reply
from tests.scenarios.proxy.ladder import desks, ends_with, refuses

HOST, HOST6 = "198.51.100.7", "2001:db8::7"


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world()


def with_via(request: Request, via: str) -> Request:
    request.lines[request.index["via"]] = f"Via: {via}"
    request.reindex()
    return request


def via_of(response: Response) -> str:
    (via,) = response.values("via")
    return via


# what the client wrote into Via, the port that it sent from, the port that the answer goes to, what we noted in Via
DATAGRAMS = [
    ("198.51.100.7:5060", 5060, 5060, ""),
    ("198.51.100.7", 5060, 5060, ""),
    ("198.51.100.7:5070", 5070, 5070, ""),
    ("198.51.100.7:5070", 40000, 5070, ""),  # sends from another port than it listens on
    ("198.51.100.7", 40000, 5060, ""),
    ("198.51.100.7:5070;rport", 40000, 40000, ";rport=40000;received=198.51.100.7"),
    ("198.51.100.7;rport", 40000, 40000, ";rport=40000;received=198.51.100.7"),
    ("10.0.0.9:5070", 40000, 5070, ";received=198.51.100.7"),  # behind a NAT, and nobody told it
    ("10.0.0.9:5070;rport", 40000, 40000, ";rport=40000;received=198.51.100.7"),
    ("phone.test:5070", 5070, 5070, ";received=198.51.100.7"),
    ("phone.test", 5060, 5060, ";received=198.51.100.7"),
    ("phone.test;rport", 61000, 61000, ";rport=61000;received=198.51.100.7"),
    ("203.0.113.9:5070;received=203.0.113.9", 5070, 5070, ";received=198.51.100.7"),
    ("203.0.113.9:5070;rport=99", 40000, 40000, ";rport=40000;received=198.51.100.7"),
    ("203.0.113.9:5070;maddr=203.0.113.9", 5070, 5070, ";maddr=203.0.113.9;received=198.51.100.7"),
    ("198.51.100.7:5070;RPORT", 40000, 40000, ";rport=40000;received=198.51.100.7"),
]


@pytest.mark.parametrize(("sent_by", "source", "back", "noted"), DATAGRAMS)
@pytest.mark.parametrize(("uri", "status"), [(CONTACT_OBJECT, 504), (f"sip:nobody@{DOMAIN}", 404)], ids=["504", "404"])
def test_the_answer_to_a_datagram_goes_to_its_source(
    world: World, sent_by: str, source: int, back: int, noted: str, uri: str, status: int
) -> None:
    """§18.2.1, §18.2.2, RFC 3581 §4: the address is always where it came from, the port as Via says or as it asks."""
    alice = world.phone("alice", "UDP", HOST, back)
    alice.flow = Flow("UDP", HOST, source, world.listener("UDP", HOST))
    victim = world.server("UDP", "203.0.113.9", 5070)
    host, _, params = sent_by.partition(";")
    branch = ";branch=z9hG4bK-way"
    alice >> with_via(alice.request("MESSAGE", uri), f"SIP/2.0/UDP {host}{branch}{params and ';' + params}")
    assert via_of(alice << status) == f"SIP/2.0/UDP {host}{branch}{noted}"
    alice.nothing()
    victim.nothing()


@pytest.mark.parametrize(
    ("sent_by", "source", "back"),
    [("[2001:db8::7]:5070", 5070, 5070), ("[2001:db8::7]", 40000, 5060), ("[2001:db8::7]:5070;rport", 40000, 40000)],
)
def test_the_same_over_ipv6(world: World, sent_by: str, source: int, back: int) -> None:
    alice = world.phone("alice", "UDP", HOST6, back)
    alice.flow = Flow("UDP", HOST6, source, world.listener("UDP", HOST6))
    host, _, params = sent_by.partition(";")
    alice >> with_via(
        alice.request("OPTIONS", f"sip:{DOMAIN}"), f"SIP/2.0/UDP {host};branch=z9hG4bK6{params and ';' + params}"
    )
    noted = f";rport={source};received={HOST6}" if params else ""
    assert via_of(alice << 200) == f"SIP/2.0/UDP {host};branch=z9hG4bK6{noted}"


@pytest.mark.parametrize("host", [HOST, HOST6])
@pytest.mark.parametrize("transport", ["TCP", "TLS"])
@pytest.mark.parametrize("sent_by", ["", "10.0.0.9:5070", "phone.test", "203.0.113.9;rport", "203.0.113.9:5070"])
def test_the_answer_to_a_stream_goes_back_on_its_connection(
    world: World, transport: str, host: str, sent_by: str
) -> None:
    """Whatever the Via says: §18.2.2 first rule."""
    alice, other = world.phone("alice", transport, host), world.phone("other", transport, host)
    written = sent_by or f"{bracketed(host)}:{alice.port}"
    name, _, params = written.partition(";")
    via = f"SIP/2.0/{transport} {name};branch=z9hG4bKs{params and ';' + params}"
    alice >> with_via(alice.request("MESSAGE", f"sip:nobody@{DOMAIN}"), via)
    noted = via_of(alice << 404)
    assert noted.startswith(f"SIP/2.0/{transport} {name};branch=z9hG4bKs")
    assert (f";received={host}" in noted) == (bool(sent_by))
    assert (f";rport={alice.port}" in noted) == ("rport" in sent_by)
    other.nothing()


def test_vias_below_the_first_come_back_untouched(world: World) -> None:
    alice = world.phone("alice", "UDP")
    below = "SIP/2.0/UDP\t10.0.0.1 : 5080 ;received=10.9.9.9;rport=1;branch=z9hG4bKx, SIP / 2.0 / TCP deep.test"
    alice >> alice.request("MESSAGE", f"sip:nobody@{DOMAIN}", f"v: {below}")
    answer = alice << 404
    assert answer.lines_of("via")[1] == below


SPELLINGS: dict[str, Callable[[str, str], list[str]]] = {
    "one-line": lambda first, second: [f"Via: {first}, {second}"],
    "one-line-without-a-blank": lambda first, second: [f"Via:{first},{second}"],
    "compact": lambda first, second: [f"v: {first}", f"v: {second}"],
    "capitals": lambda first, second: [f"VIA: {first}", f"vIA: {second}"],
    "folded": lambda first, second: [f"Via: {first},\r\n\t{second}"],
    "blanks": lambda first, second: [f"Via  :   {first}   ", f"Via\t:\t{second}"],
    "apart": lambda first, second: [f"Via: {first}", "X-Between: yes", f"Via: {second}"],
}


@pytest.mark.parametrize("status", [180, 200, 486])
@pytest.mark.parametrize("spelling", list(SPELLINGS))
def test_our_via_is_found_and_taken_off_in_any_spelling(world: World, spelling: str, status: int) -> None:
    """A phone may write the Vias of its answer in a way of its own (§7.3.1, §16.7 item 3)."""
    alice, bob = world.phone("alice", "UDP"), desks(world, "UDP", 1.0)[0]
    alice >> alice.request("INVITE", bob.uri)
    alice << 100
    invite = bob << "INVITE"
    answer = reply(invite, status, contact=bob.contact)
    first, second = invite.values("via")
    rest = [line for line in answer.lines if not line.startswith("Via")]
    bob >> "\r\n".join([answer.start, *SPELLINGS[spelling](first, second), *rest, "", ""]).encode()
    heard = alice << status
    assert heard.values("via") == [second]
    if status == 486:
        bob << "ACK"
        alice >> alice.ack_failure(heard)
    elif status == 180:
        refuses(bob, invite, 486)
        ends_with(alice, 486)


# the connection is gone


GONE = [
    pytest.param("MESSAGE", 200, id="answer"),
    pytest.param("MESSAGE", 404, id="failure"),
    pytest.param("INVITE", 180, id="ringing"),
    pytest.param("INVITE", 200, id="answered-call"),
    pytest.param("INVITE", 486, id="refused-call"),
]


def listening(world: World, transport: str, port: int = 40777) -> Party:
    """Alice, connected from some port, listening on the one that her Via names."""
    alice = world.phone("alice", transport, HOST, port)
    alice.listens = True
    return alice


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
@pytest.mark.parametrize(("method", "status"), GONE)
def test_when_the_connection_is_gone_a_new_one_is_opened_to_where_via_says(
    world: World, transport: str, method: str, status: int
) -> None:
    """§18.2.2: to the address it came from and the port of sent-by."""
    alice, bob = listening(world, transport), desks(world, transport, 1.0)[0]
    invite = alice.request(method, bob.uri)
    alice >> invite
    at_bob = bob << method
    if method == "INVITE":
        alice << 100
    alice.break_connection()
    if status >= 300 and method == "INVITE":
        refuses(bob, at_bob, status)
        ends_with(alice, status)
        return
    bob >> reply(at_bob, status, contact=bob.contact)
    answer = alice << status
    if method == "MESSAGE":
        return
    if status == 180:
        refuses(bob, at_bob, 486)
        ends_with(alice, 486)
        return
    alice >> alice.calling(answer).request("ACK")
    bob << "ACK"


@pytest.mark.parametrize(("method", "status"), GONE)
def test_when_nobody_listens_there_the_answer_is_lost_and_nothing_stays(world: World, method: str, status: int) -> None:
    alice, bob = world.phone("alice", "TCP"), desks(world, "TCP", 1.0)[0]
    alice >> alice.request(method, bob.uri)
    at_bob = bob << method
    if method == "INVITE":
        alice << 100
    alice.break_connection()
    bob >> reply(at_bob, status, contact=bob.contact)
    alice.nothing()
    if method == "INVITE":
        assert world.engine.counters["responses_lost"] == 1
    if status == 486:
        bob << "ACK"
    if status == 180:
        bob >> reply(at_bob, 486)
        bob << "ACK"
    world.advance(70)
    assert world.engine.sizes().server_transactions == 0


def test_a_client_that_refuses_to_be_called_back_is_tried_once(world: World) -> None:
    alice, bob = listening(world, "TCP"), desks(world, "TCP", 1.0)[0]
    alice.state = REFUSING
    alice >> alice.request("MESSAGE", bob.uri)
    at_bob = bob << "MESSAGE"
    alice.break_connection()
    bob >> reply(at_bob, 200)
    alice.state = "up"
    world.advance(70)
    alice.nothing()


def test_a_via_that_names_a_third_party_opens_no_connection_there(world: World) -> None:
    """The address is the one that the request came from; only the port is taken from Via."""
    alice, bob = world.phone("alice", "TCP"), desks(world, "TCP", 1.0)[0]
    victim = world.server("TCP", "203.0.113.9", 5070)
    alice >> with_via(alice.request("MESSAGE", bob.uri), "SIP/2.0/TCP 203.0.113.9:5070;branch=z9hG4bKv")
    at_bob = bob << "MESSAGE"
    alice.break_connection()
    bob >> reply(at_bob, 200)
    victim.nothing()

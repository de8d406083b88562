"""The door says what the long way would say, byte for byte, and remembers nothing of whom it turned away."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipgw.core.door import Door
from sipgw.engine import Engine
from sipgw.events import Flow, Log, Output, Send
from sipgw.message import parse_message
from sipgw.message.build import ack_for
from sipgw.message.message import Request, Response
from tests.core.test_engine_fuzz import SEEDS, damaged
from tests.harness import CONTACT_OBJECT, World, reply
from tests.torture.messages import MESSAGES

NEW = (
    "{method} sip:ocschat@example.test SIP/2.0\r\nVia: SIP/2.0/{transport} {host};branch=z9hG4bKnew{more}\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:alice@example.test>;tag=a\r\nTo: <sip:ocschat@example.test>\r\nCall-ID: new\r\n"
    "CSeq: 7 {method}\r\nContent-Length: 0\r\n\r\n"
)
TURNED_AWAY = ["INVITE", "SUBSCRIBE", "REGISTER", "MESSAGE", "OPTIONS", "SERVICE"]
CHANGES: dict[str, Callable[[str], str]] = {
    "compact names": lambda text: text.replace("Via:", "v:").replace("Call-ID:", "i :").replace("From:", "f:"),
    "capitals": lambda text: text.replace("CSeq:", "CSEQ:").replace("To:", "TO:"),
    "white space": lambda text: text.replace("To: ", "To:\t ").replace(";tag=a", ";tag=a  "),
    "a parameter of To": lambda text: text.replace("example.test>\r\nCall", "example.test>;x=y\r\nCall"),
    "two proxies": lambda text: text.replace("Max-", "Via: SIP/2.0/UDP h;branch=z9hG4bKold, SIP/2.0/UDP i\r\nMax-"),
    "a header of no standard": lambda text: text.replace("Max-", "X-Any-Thing: 1\r\nMax-"),
    "no Content-Length": lambda text: text.replace("Content-Length: 0\r\n", ""),
    "a body": lambda text: text.replace("Length: 0", "Length: 5") + "12345",
}  # fmt: skip
LEFT_TO_THE_PARSER: dict[str, Callable[[str], str]] = {
    "in a dialog": lambda text: text.replace("example.test>\r\nCall", "example.test>;tag=b\r\nCall"),
    "a folded line": lambda text: text.replace("To: <", "To:\r\n <"),
    "a lone line feed": lambda text: text.replace("70\r\n", "70\n\r\n"),
    "a control character": lambda text: text.replace("70", "\x1b70"),
    "no blank line": lambda text: text[:-2],
    "no From": lambda text: text.replace("From: <sip:alice@example.test>;tag=a\r\n", ""),
    "two To": lambda text: text.replace("To: ", "To: <sip:x@example.test>\r\nTo: "),
    "two Max-Forwards": lambda text: text.replace("Max-", "Max-Forwards: 70\r\nMax-"),
    "another method in CSeq": lambda text: text.replace("CSeq: 7 ", "CSeq: 7 X"),
    "no number in CSeq": lambda text: text.replace("CSeq: 7 ", "CSeq: x "),
    "a version of the future": lambda text: text.replace("test SIP/2.0", "test SIP/3.0"),
    "an address that is none": lambda text: text.replace("<sip:alice@", "<alice@"),
    "a Via that is none": lambda text: text.replace("SIP/2.0/UDP ", "SIP/2.0/"),
    "no magic cookie": lambda text: text.replace("z9hG4bKnew", "new"),
    "a body too short": lambda text: text.replace("Length: 0", "Length: 5"),
    "too many proxies": lambda text: text.replace("Max-", "v:SIP/2.0/UDP h\r\n" * 70 + "Max-"),
}


def new(method: str = "INVITE", transport: str = "UDP", host: str = "203.0.113.7:5060", more: str = "") -> str:
    return NEW.format(method=method, transport=transport, host=host, more=more)


def shut() -> tuple[World, Flow, Flow]:
    """An overloaded gateway, and a datagram's and a connection's way to it."""
    world = World()
    flows = [
        world.open(world.phone(name, kind), kind, 5060, inbound=True) for name, kind in (("a", "UDP"), ("b", "TCP"))
    ]
    world.engine.set_overloaded(True, world.now)
    world.engine.outputs()
    return world, flows[0], flows[1]


def seen(outputs: list[Output]) -> list[Any]:
    return [
        (one.data, str(one.to)) if isinstance(one, Send) else (one.event, one.fields) if isinstance(one, Log) else one
        for one in outputs
    ]


def take_the_long_way(engine: Engine) -> None:
    engine.layer.seal = lambda message, to: None


def door_of(world: World) -> Door:
    return Door(world.engine.layer, world.engine.admission, 256, 65_536)


def compare(data: bytes, by_datagram: bool) -> None:
    (short, *flows), (long, *others) = shut(), shut()
    take_the_long_way(long.engine)
    for _ in range(2):  # what is sent again is answered in the same way
        one = short.engine.receive(data, flows[not by_datagram], short.now)
        other = long.engine.receive(data, others[not by_datagram], long.now)
        assert seen(one) == seen(other)
        assert (short.engine.counters, short.engine.sizes()) == (long.engine.counters, long.engine.sizes())
        assert short.engine.layer.responses == long.engine.layer.responses


@pytest.mark.parametrize("by_datagram", [True, False])
@pytest.mark.parametrize("name", MESSAGES)
def test_torture_messages(name: str, by_datagram: bool) -> None:
    compare(MESSAGES[name], by_datagram)


@pytest.mark.parametrize("by_datagram", [True, False])
@pytest.mark.parametrize("data", SEEDS)
def test_what_the_real_client_sends(data: bytes, by_datagram: bool) -> None:
    compare(data, by_datagram)


@settings(max_examples=300)
@given(damaged(), st.booleans())
def test_damaged_messages(data: bytes, by_datagram: bool) -> None:
    compare(data, by_datagram)


@pytest.mark.parametrize("more", ["", ";rport", ";received=10.0.0.1;rport=9", ";ms-received-cid=5"])
@pytest.mark.parametrize("host", ["203.0.113.7:5060", "203.0.113.7", "elsewhere.test:5099", "[2001:db8::1]"])
def test_where_the_answer_goes(host: str, more: str) -> None:
    for by_datagram in (True, False):
        compare(new(host=host, more=more, transport="UDP" if by_datagram else "TCP").encode(), by_datagram)


@pytest.mark.parametrize("method", TURNED_AWAY)
def test_what_is_new_is_turned_away_at_the_door(method: str) -> None:
    world, flow, _ = shut()
    assert door_of(world).deals_with(new(method).encode(), flow)
    (sent,) = world.engine.outputs()
    assert isinstance(sent, Send)
    answer = parse_message(sent.data)
    assert isinstance(answer, Response) and answer.status == 503 and answer.first("retry-after") == "30"
    compare(new(method).encode(), by_datagram=True)


@pytest.mark.parametrize("change", CHANGES)
def test_ways_to_write_it(change: str) -> None:
    world, flow, _ = shut()
    data = CHANGES[change](new()).encode()
    assert door_of(world).deals_with(data, flow)
    compare(data, by_datagram=True)


@pytest.mark.parametrize("change", LEFT_TO_THE_PARSER)
def test_what_has_to_be_read(change: str) -> None:
    world, flow, _ = shut()
    data = LEFT_TO_THE_PARSER[change](new()).encode("latin-1")
    assert data != new().encode()
    assert not door_of(world).deals_with(data, flow)
    assert world.engine.outputs() == []
    compare(data, by_datagram=True)


@pytest.mark.parametrize("method", ["BYE", "CANCEL"])
def test_what_ends_calls_goes_in(method: str) -> None:
    world, flow, _ = shut()
    assert not door_of(world).deals_with(new(method).encode(), flow)


def test_an_acknowledgement_of_the_refusal_is_dropped_and_no_other() -> None:
    world, flow, _ = shut()
    invite = parse_message(new().encode())
    (sent,) = world.engine.receive(new().encode(), flow, world.now)
    assert isinstance(sent, Send) and isinstance(invite, Request)
    refusal = parse_message(sent.data)
    assert isinstance(refusal, Response)
    ack = ack_for(invite, refusal).encode()
    assert door_of(world).deals_with(ack, flow)
    assert world.engine.counters["ack_dropped"] == 1
    for other in (
        ack.replace(b"tag=a", b"tag=b"),
        ack.replace(b"CSeq: 7", b"CSeq: 8"),
        ack.replace(b"bKnew", b"bKold"),
    ):
        assert not door_of(world).deals_with(other, flow)


def test_a_call_that_was_taken_before_is_answered_from_its_transaction() -> None:
    world = World()
    alice, pool = world.phone("alice", "UDP"), world.server()
    invite = alice.request("INVITE", CONTACT_OBJECT)
    alice >> invite
    alice << 100
    world.engine.set_overloaded(True, world.now)
    alice >> invite
    alice << 100
    pool >> reply(pool << "INVITE", 200)
    alice << 200


def test_a_gateway_that_closes_turns_away_in_the_same_way() -> None:
    world, flow, _ = shut()
    world.engine.admission.overloaded, world.engine.admission.closing = False, True
    (sent,) = world.engine.receive(new().encode(), flow, world.now)
    assert isinstance(sent, Send) and sent.data.startswith(b"SIP/2.0 503 ")
    assert world.engine.counters["refused_closing"] == 1
    assert world.engine.sizes().server_transactions == 0

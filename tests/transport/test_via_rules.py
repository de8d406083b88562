"""Stamping the top Via and choosing where a response goes (RFC 3261 §18.2, RFC 3581)."""

import pytest

from sipgw.events import Flow, Listener
from sipgw.message import MalformedMessage, Request
from sipgw.message.build import new_request
from sipgw.transport.via import reply_flow, stamp

UDP = Listener("UDP", "192.0.2.1", 5060, "192.0.2.1:5060")
TCP = Listener("TCP", "192.0.2.1", 5060, "192.0.2.1:5060")


def stamped(via: str, flow: Flow) -> str:
    request = new_request("OPTIONS", "sip:x", [f"Via: {via}"])
    stamp(request, flow)
    return str(request.first("via"))


def datagram(host: str = "198.51.100.7", port: int = 5060) -> Flow:
    return Flow("UDP", host, port, UDP)


@pytest.mark.parametrize(
    ("via", "result"),
    [
        ("SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK1", "SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK1"),
        ("SIP/2.0/UDP phone.test;branch=b", "SIP/2.0/UDP phone.test;branch=b;received=198.51.100.7"),
        ("SIP/2.0/UDP 10.0.0.1;branch=b", "SIP/2.0/UDP 10.0.0.1;branch=b;received=198.51.100.7"),
        (
            "SIP/2.0/UDP 198.51.100.7;rport;branch=b",
            "SIP/2.0/UDP 198.51.100.7;branch=b;rport=5060;received=198.51.100.7",
        ),
        (
            "SIP/2.0/UDP 198.51.100.7;branch=b;RPORT=1",
            "SIP/2.0/UDP 198.51.100.7;branch=b;rport=5060;received=198.51.100.7",
        ),
        ("SIP/2.0/UDP 198.51.100.7;received=1.2.3.4;branch=b", "SIP/2.0/UDP 198.51.100.7;branch=b"),
        ("SIP/2.0/UDP 198.51.100.7;ms-received-cid=1;branch=b;ms-received-port=2", "SIP/2.0/UDP 198.51.100.7;branch=b"),
        ("SIP/2.0/UDP 198.51.100.7", "SIP/2.0/UDP 198.51.100.7"),
    ],
)
def test_datagrams(via: str, result: str) -> None:
    assert stamped(via, datagram()) == result


def test_ipv6() -> None:
    flow = Flow("UDP", "2001:db8::7", 5060, UDP)
    assert stamped("SIP/2.0/UDP [2001:db8::7];branch=b", flow) == "SIP/2.0/UDP [2001:db8::7];branch=b"
    assert stamped("SIP/2.0/UDP h;rport", flow).endswith(";rport=5060;received=2001:db8::7")


def test_connections_get_what_a_front_end_adds() -> None:
    flow = Flow("TCP", "127.0.0.1", 42002, TCP, 0x100)
    via = "SIP/2.0/tcp 127.0.0.1:42002"
    assert stamped(via, flow) == f"{via};ms-received-port=42002;ms-received-cid=100"
    forged = f"{via};ms-received-port=1;ms-received-cid=FF"
    assert stamped(forged, flow) == f"{via};ms-received-port=42002;ms-received-cid=100"


def test_only_the_topmost_is_touched() -> None:
    request = new_request("OPTIONS", "sip:x", ["v: SIP/2.0/UDP a, SIP/2.0/UDP b", "Via: SIP/2.0/UDP c"])
    stamp(request, datagram())
    assert request.values("via") == ["SIP/2.0/UDP a;received=198.51.100.7", "SIP/2.0/UDP b", "SIP/2.0/UDP c"]


def test_no_via() -> None:
    with pytest.raises(MalformedMessage):
        stamp(Request("OPTIONS", "sip:x", [], [], b""), datagram())


def reply_to(via: str, flow: Flow) -> Flow:
    return reply_flow(new_request("OPTIONS", "sip:x", [f"Via: {via}"]).via, flow)


def test_a_response_goes_down_the_connection() -> None:
    flow = Flow("TCP", "198.51.100.7", 42002, TCP, 7)
    assert reply_to("SIP/2.0/TCP 10.0.0.1:5060", flow) is flow


@pytest.mark.parametrize(
    ("via", "port"),
    [
        ("SIP/2.0/UDP 198.51.100.7:5070", 5070),
        ("SIP/2.0/UDP 198.51.100.7", 5060),
        ("SIP/2.0/UDP 198.51.100.7:5070;rport", 40000),
        ("SIP/2.0/UDP 198.51.100.7:5070;maddr=203.0.113.9", 5070),
        ("SIP/2.0/UDP other.test:5070", 5070),
    ],
)
def test_a_response_by_datagram(via: str, port: int) -> None:
    to = reply_to(via, datagram(port=40000))
    assert (to.transport, to.host, to.port, to.listener) == ("UDP", "198.51.100.7", port, UDP)

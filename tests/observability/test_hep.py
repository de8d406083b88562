"""HEP version 3, byte by byte and as sngrep reads it."""

import socket
from pathlib import Path

import pytest

from sipgw.observability.addresses import ends_of
from sipgw.observability.hep import MAX_SIZE, encode
from tests.observability.capture import dissected
from tests.observability.sngrep import Sngrep

ENDS = ends_of("udp:192.0.2.1:5060", "udp:198.51.100.7:40001")


def options(call_id: str) -> bytes:
    return (
        "OPTIONS sip:contoso.com SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@c>;tag=1\r\n"
        f"To: <sip:b@c>\r\nCall-ID: {call_id}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def test_every_chunk() -> None:
    assert encode(b"OPTIONS", ENDS, True, 1_795_385_270.000123, 2001, b"id").hex(" ", -1) == " ".join(
        [
            "48 45 50 33 00 72",  # HEP3, 114 bytes
            "00 00 00 01 00 07 02",  # IPv4
            "00 00 00 02 00 07 11",  # UDP
            "00 00 00 03 00 0a c6 33 64 07",  # from
            "00 00 00 04 00 0a c0 00 02 01",  # to
            "00 00 00 07 00 08 9c 41",
            "00 00 00 08 00 08 13 c4",
            "00 00 00 09 00 0a 6b 03 67 b6",  # seconds
            "00 00 00 0a 00 0a 00 00 00 7b",  # microseconds
            "00 00 00 0b 00 07 01",  # SIP
            "00 00 00 0c 00 0a 00 00 07 d1",
            "00 00 00 11 00 08 69 64",  # which call
            "00 00 00 0f 00 0d 4f 50 54 49 4f 4e 53",
        ]
    )


def test_ipv6_and_tls_that_goes_out() -> None:
    ends = ends_of("tls:[2001:db8::1]:5061", "tls:[2001:db8::7]:40001")
    packet = encode(b"OPTIONS", ends, False, 0.0, 1)
    assert packet[6:20].hex(" ", -1) == "00 00 00 01 00 07 0a 00 00 00 02 00 07 06"
    own, peer = "20 01 0d b8" + " 00" * 11 + " 01", "20 01 0d b8" + " 00" * 11 + " 07"
    assert packet[20:64].hex(" ", -1) == f"00 00 00 05 00 16 {own} 00 00 00 06 00 16 {peer}"


def test_a_message_that_is_too_long_is_cut() -> None:
    packet = encode(b"x" * 100_000, ENDS, True, 1.0, 1, b"c" * 1000)
    assert len(packet) == MAX_SIZE and packet[:6] == b"HEP3" + MAX_SIZE.to_bytes(2, "big")


@pytest.mark.peer("sngrep", "sngrep")
@pytest.mark.peer("tshark", "tshark")
def test_what_sngrep_reads(tmp_path: Path) -> None:
    """It writes what it has understood to a file, which tshark reads."""
    collector = Sngrep(tmp_path / "seen.pcap")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for number, transport in enumerate(("udp", "tcp", "tls")):
                ends = ends_of(f"{transport}:192.0.2.1:5060", f"{transport}:198.51.100.7:4000{number}")
                packet = encode(options(f"call{number}"), ends, number != 1, 1_795_385_270.000123, 2001, b"x")
                sock.sendto(packet, ("127.0.0.1", collector.port))
        collector.has(3)
    finally:
        file = collector.stop()
    found = dissected(file)
    assert [one["sip"]["sip.msg_hdr_tree"]["sip.Call-ID"] for one in found] == ["call0", "call1", "call2"]
    assert [(one["ip"]["ip.src"], one["ip"]["ip.dst"]) for one in found] == [
        ("198.51.100.7", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7"),
        ("198.51.100.7", "192.0.2.1"),
    ]
    assert found[0]["udp"]["udp.srcport"] == "40000" and found[0]["udp"]["udp.dstport"] == "5060"
    assert found[0]["frame"]["frame.time_epoch"] == "1795385270.000123000"

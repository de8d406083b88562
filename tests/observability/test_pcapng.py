"""Files for Wireshark, as tshark reads them."""

from pathlib import Path

import pytest

from sipgw.observability.addresses import Ends, ends_of
from sipgw.observability.pcapng import Packet, encode
from tests.observability.capture import dissected, text_of

pytestmark = pytest.mark.peer("tshark", "tshark")
AT = 1_795_385_270.123456


def request(body: str = "", branch: str = "1") -> bytes:
    lines = [
        "INFO sip:alice@contoso.com SIP/2.0",
        f"Via: SIP/2.0/TCP 192.0.2.50;branch=z9hG4bK{branch}",
        "From: <sip:alice@contoso.com>;tag=1",
        "To: <sip:ocschat@contoso.com>;tag=2",
        "Call-ID: call@contoso.com",
        "CSeq: 2 INFO",
        "Content-Type: text/plain",
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def written(folder: Path, *packets: Packet) -> Path:
    path = folder / "calls.pcapng"
    path.write_bytes(b"".join(encode(packets, "sipgw test")))
    return path


def packet(ends: Ends, incoming: bool = True, data: bytes | None = None, *comments: str, at: float = AT) -> Packet:
    return Packet(at, data if data is not None else request(), ends, incoming, list(comments))


@pytest.mark.parametrize(
    ("transport", "address", "peer", "layer"),
    [
        ("udp", "192.0.2.1", "198.51.100.7", "ip"),
        ("tcp", "192.0.2.1", "198.51.100.7", "ip"),
        ("tls", "192.0.2.1", "198.51.100.7", "ip"),
        ("udp", "[2001:db8::1]", "[2001:db8::7]", "ipv6"),
        ("tcp", "[2001:db8::1]", "[2001:db8::7]", "ipv6"),
        ("tls", "[2001:db8::1]", "[2001:db8::7]", "ipv6"),
    ],
)
@pytest.mark.parametrize("incoming", [True, False])
def test_addresses_ports_and_times(
    tmp_path: Path, transport: str, address: str, peer: str, layer: str, incoming: bool
) -> None:
    ends = ends_of(f"{transport}:{address}:5061", f"{transport}:{peer}:40001")
    (found,) = dissected(written(tmp_path, packet(ends, incoming)))
    carrier = "udp" if transport == "udp" else "tcp"
    source, target = (peer, address) if incoming else (address, peer)
    own = "5060" if transport == "tls" else "5061"
    ports = ("40001", own) if incoming else (own, "40001")
    assert (found[layer][f"{layer}.src"], found[layer][f"{layer}.dst"]) == (source.strip("[]"), target.strip("[]"))
    assert (found[carrier][f"{carrier}.srcport"], found[carrier][f"{carrier}.dstport"]) == ports
    assert found[carrier][f"{carrier}.checksum.status"] == "1"
    assert layer == "ipv6" or found["ip"]["ip.checksum.status"] == "1"
    assert found["frame"]["frame.time_epoch"] == "1795385270.123456000"
    assert found["sip"]["sip.msg_hdr_tree"]["sip.Call-ID"] == "call@contoso.com"


def test_comments(tmp_path: Path) -> None:
    """The decisions, what the file is, and that TLS was taken off."""
    ends = ends_of("tls:192.0.2.1:5061", "tls:198.51.100.7:40001")
    path = written(tmp_path, packet(ends, True, None, "matched endpoint sip:ocschat@contoso.com", "Ålice"))
    text = text_of(path)
    for comment in ("matched endpoint sip:ocschat@contoso.com", "Ålice", "came by TLS; shown decrypted, as if by TCP"):
        assert comment in text
    assert b"Credentials are hidden" in path.read_bytes() and b"sipgw test" in path.read_bytes()


def test_a_connection_is_one_stream_without_gaps(tmp_path: Path) -> None:
    """A connection that we opened, of which the port on our side is not known."""
    ends = ends_of("", "tcp:192.0.2.50:5041")
    packets = [packet(ends, bool(number % 2), request(branch=str(number)), at=AT + number) for number in range(6)]
    path = written(tmp_path, *packets)
    found = dissected(path)
    assert {one["tcp"]["tcp.stream"] for one in found} == {"0"} and len(found) == 6
    assert [one["tcp"]["tcp.dstport"] for one in found] == ["5041", "54193"] * 3
    assert "tcp.analysis" not in str([one["tcp"].get("tcp.analysis", {}).get("tcp.analysis.flags") for one in found])
    assert all("sip" in one for one in found)


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_message_that_is_longer_than_a_packet_can_be(tmp_path: Path, transport: str) -> None:
    body = "x" * 200_000
    ends = ends_of(f"{transport}:127.0.0.1:5060", f"{transport}:127.0.0.1:40001")
    found = dissected(written(tmp_path, packet(ends, True, request(body)), packet(ends, False, at=AT + 1)))
    assert len(found) == 5 and [("sip" in one) for one in found[3:]] == [True, True]
    assert found[3]["sip"]["sip.msg_hdr_tree"]["sip.Content-Length"] == "200000"


def test_what_is_no_sip_is_there_too(tmp_path: Path) -> None:
    ends = ends_of("udp:127.0.0.1:5060", "udp:127.0.0.1:40001")
    assert len(dissected(written(tmp_path, packet(ends, True, b"\0\xff"), packet(ends, True, b"")))) == 2


def test_no_call_is_a_file_too(tmp_path: Path) -> None:
    assert dissected(written(tmp_path)) == []


def test_a_wildcard_and_a_name(tmp_path: Path) -> None:
    """An address stands in for what has none in an IP header."""
    here = ends_of("udp:0.0.0.0:5060", "udp:198.51.100.7:5060")
    there = ends_of("", "tcp:pc1.contoso.com:5041")
    assert (str(here.local.host), str(there.peer.host), here.known, there.known) == ("192.0.2.1",) * 2 + (False, False)
    assert str(ends_of("udp:[::]:5060", "udp:[::1]:5060").local.host) == "::1"
    assert str(ends_of("udp:[::]:5060", "udp:[fe80::1%eth0]:5060").peer.host) == "fe80::1"
    assert len(dissected(written(tmp_path, packet(here), packet(there)))) == 2

"""A source that floods, from the outside: what it gets, and where an operator sees it."""

import re
import socket
import time
from contextlib import suppress
from pathlib import Path

from tests.e2e.admin_gateway import Gateway, running

FLOODER, OTHER = "127.0.0.2", "127.0.0.3"
BAN = 600
LIMITS = f"[limits]\nmax_requests_per_source = 5\nban = {BAN}.0\n"


def request(number: int, source: str) -> bytes:
    lines = [
        "OPTIONS sip:contoso.com SIP/2.0",
        f"Via: SIP/2.0/TCP {source};branch=z9hG4bKflood{number}",
        "Max-Forwards: 5",
        "From: <sip:mallory@contoso.com>;tag=1",
        "To: <sip:contoso.com>",
        f"Call-ID: {number}@{source}",
        "CSeq: 1 OPTIONS",
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def port_of(gateway: Gateway) -> int:
    found = re.search(r"tcp:127\.0\.0\.1:(\d+)", gateway.said("listening"))
    assert found is not None
    return int(found[1])


def sends(gateway: Gateway, source: str, times: int) -> bytes:
    """What a new connection from there gets for so many requests, until nothing more comes of it."""
    with socket.create_connection(("127.0.0.1", port_of(gateway)), 30, (source, 0)) as client:
        got = b""
        with suppress(OSError):  # reset while it still sends, or reads
            client.sendall(b"".join(request(number, source) for number in range(times)))
            client.shutdown(socket.SHUT_WR)
            while data := client.recv(65536):
                got += data
    return got


def test_a_flooding_address_is_told_and_shown_and_its_connections_are_not_taken(tmp_path: Path) -> None:
    with running(tmp_path, extra=LIMITS) as gateway:
        assert gateway.ask("GET", "/api/v1/bans").body == {"bans": [], "total": 0}
        flood = sends(gateway, FLOODER, 200)
        assert 0 < flood.count(b"SIP/2.0 503") < 195, "then it was cut off"
        told = gateway.said("source banned")
        assert FLOODER in told and "5 requests a second" in told and str(BAN) in told
        for _ in range(3):
            assert sends(gateway, FLOODER, 1) == b""
        assert b"SIP/2.0 200" in sends(gateway, OTHER, 1)
        found = gateway.ask("GET", "/api/v1/bans").body
        assert found["total"] == 1
        (ban,) = found["bans"]
        assert (ban["source"], ban["by"]) == (FLOODER, "connections")
        assert BAN - 60 < ban["until"] - time.time() <= BAN + 1
        metrics = gateway.ask("GET", "/metrics").body
        assert "sipgw_banned_sources 1.0" in metrics
        assert 'sipgw_core_events_total{event="connections_refused_banned"} 3.0' in metrics
        assert gateway.log.read_text("utf-8").count("source banned") == 1

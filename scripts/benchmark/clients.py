"""Clients that sign in over TCP and then say nothing, for `scripts/bench memory`.

python -m benchmark.clients PORT FIRST COUNT says "ready" when all have been answered 200, and holds their connections
until its standard input ends.
"""

import socket
import sys

GROUP = 100  # that sign in at once
PER_ADDRESS = 20_000  # ports of one address of 127.0.0.0/8 that are used


def register(number: int, port: int) -> bytes:
    """A REGISTER as a legacy client sends it."""
    user = f"sip:user{number}@contoso.com"
    lines = [
        "REGISTER sip:contoso.com SIP/2.0",
        f"Via: SIP/2.0/TCP 127.0.0.1:{port};branch=z9hG4bKr{number}",
        "Max-Forwards: 70",
        f"From: <{user}>;tag=f{number};epid={number:010x}",
        f"To: <{user}>",
        f"Call-ID: r{number}@bench.contoso.com",
        "CSeq: 1 REGISTER",
        f"Contact: <sip:127.0.0.1:{port};transport=tcp;ms-opaque={number:010x}>"
        f';+sip.instance="<urn:uuid:00000000-0000-4000-8000-{number:012x}>"',
        "User-Agent: bench/1 (legacy client)",
        "Supported: gruu-10, adhoclist, msrtc-event-categories, ms-forking",
        "Expires: 900",
        "Content-Length: 0",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def connect(number: int, port: int) -> socket.socket:
    connection = socket.socket()
    connection.bind((f"127.0.{1 + number // PER_ADDRESS}.1", 0))
    connection.connect(("127.0.0.1", port))
    connection.settimeout(30)
    return connection


def main(port: int, first: int, count: int) -> None:
    held: list[socket.socket] = []
    for start in range(first, first + count, GROUP):
        group = [(number, connect(number, port)) for number in range(start, min(start + GROUP, first + count))]
        for number, connection in group:
            connection.sendall(register(number, connection.getsockname()[1]))
        for number, connection in group:
            answer = connection.recv(4096)
            if not answer.startswith(b"SIP/2.0 200 "):
                sys.exit(f"user{number} was answered {answer.splitlines()[:1]}")
            held.append(connection)
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))

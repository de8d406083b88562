"""A gateway in a process of its own, with its admin API at a known address."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
START = 30.0  # seconds that a gateway may take to answer
TOKEN = "0123456789abcdef0123456789abcdef"
POOL = "pcpool.contoso.com"


@dataclass
class Reply:
    """An answer of the API. `body` is what the JSON says, or the text."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Gateway:
    """`config` is its file, `port` where the API is; what it has written is in `log`."""

    config: Path
    log: Path
    token: str = ""
    port: int = 0
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when it listens."""
        command = [sys.executable, "-m", "sipgw", "serve", "--config", str(self.config)]
        self.log.write_text("")
        with self.log.open("ab") as output:
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        self.said("listening")
        found = re.search(r"url=http://127.0.0.1:(\d+)", self.log.read_text("utf-8"))
        self.port = int(found[1]) if found else 0

    def said(self, *words: str) -> str:
        """The first line of the log with all of these words, once it is there."""
        end = time.monotonic() + START
        while time.monotonic() < end:
            for line in self.log.read_text("utf-8").splitlines():
                if all(word in line for word in words):
                    return line
            assert self.process.poll() is None, self.log.read_text("utf-8")
            time.sleep(0.02)
        raise AssertionError(f"{words} not in the log: {self.log.read_text('utf-8')}")

    def udp_port(self) -> int:
        found = re.search(r"udp:127.0.0.1:(\d+)", self.said("listening"))
        assert found is not None
        return int(found[1])

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(START)

    def ask(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Reply:
        """One request, with the token where there is one."""
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        sent |= {"Content-Type": "application/json"} if body is not None else {}
        data = body if isinstance(body, bytes) or body is None else json.dumps(body)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START)
        try:
            connection.request(method, path, data, {**sent, **(headers or {})})
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        is_json = "json" in response.headers.get_content_type()
        return Reply(response.status, dict(response.headers), json.loads(text) if is_json and text else text)

    def audit(self) -> list[dict[str, Any]]:
        """What is on record of changes that were made."""
        file = self.config.with_name("gateway.db-audit.jsonl")
        lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        return [line for line in lines if line["state"] == "done"]


def write(folder: Path, *, token: bool = False, extra: str = "", pool: str = "tcp:127.0.0.1:9") -> Path:
    """A configuration of one pool and one endpoint."""
    lines = [
        "[gateway]",
        'fqdn = "127.0.0.1"',
        'listen = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]',
        "[store]",
        'url = "sqlite:gateway.db"',
        "[admin]",
        'listen = "127.0.0.1:0"',
        *(['token_file = "tokens"'] if token else []),
        "[[pool]]",
        f'fqdn = "{POOL}"',
        f'servers = ["{pool}"]',
        "[[endpoint]]",
        'sip_address = "sip:ocschat@contoso.com"',
        f'pool_fqdn = "{POOL}"',
        extra,
    ]
    path = folder / "sipgw.toml"
    path.write_text("\n".join(lines) + "\n")
    (folder / "tokens").write_text(f"ops {TOKEN}\n")
    return path


@contextmanager
def running(folder: Path, *, token: bool = False, extra: str = "", pool: str = "tcp:127.0.0.1:9") -> Iterator[Gateway]:
    """A gateway that runs, and is ended."""
    gateway = Gateway(write(folder, token=token, extra=extra, pool=pool), folder / "log", TOKEN if token else "")
    gateway.start()
    try:
        yield gateway
    finally:
        if gateway.process.poll() is None:
            gateway.stop()


class Phone:
    """Sends single SIP requests over UDP and takes final responses."""

    def __init__(self, port: int) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.settimeout(START)
        self._sock.connect(("127.0.0.1", port))
        self._host, self.port = self._sock.getsockname()
        self._turn = 0

    def __enter__(self) -> "Phone":
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def ask(self, method: str, uri: str, user: str = "alice@contoso.com", *more: str) -> tuple[int, str]:
        """Status and whole text of the final response."""
        self._turn += 1
        at = f"{self._host}:{self.port}"
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {at};branch=z9hG4bKphone{self.port}n{self._turn};rport",
            "Max-Forwards: 70",
            f"From: <sip:{user}>;tag=t{self._turn}",
            f"To: <{f'sip:{user}' if method == 'REGISTER' else uri}>",
            f"Call-ID: {method}{self._turn}@{at}",
            f"CSeq: 1 {method}",
            f"Contact: <sip:{user.partition('@')[0]}@{at}>",
            *more,
            "Content-Length: 0",
        ]
        self._sock.send(("\r\n".join(lines) + "\r\n\r\n").encode())
        while True:
            text = self._sock.recv(65_535).decode()
            if f"CSeq: 1 {method}" in text and text.startswith("SIP/2.0 ") and not text.startswith("SIP/2.0 1"):
                if method == "INVITE":
                    self._acknowledge(lines, text)
                return int(text.split()[1]), text

    def _acknowledge(self, lines: list[str], text: str) -> None:
        to = next(line for line in text.split("\r\n") if line.lower().startswith("to:"))
        kept = [line for line in lines[1:] if not line.startswith(("To:", "Contact:", "CSeq:"))]
        ack = [lines[0].replace("INVITE ", "ACK "), *kept[:-1], to, "CSeq: 1 ACK", kept[-1]]
        self._sock.send(("\r\n".join(ack) + "\r\n\r\n").encode())

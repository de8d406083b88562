"""The two proxies as processes of their own, with the same users' pools behind them."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.ports import free_port

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
STARTING = 15.0  # seconds that a proxy may take to answer


@dataclass(frozen=True)
class Pace:
    """Seconds: `t1`, and how long a transaction waits for a first answer of a user and of a pool's server.

    sipgw derives the second from t1 (RFC 3261 §17: 64*T1), Kamailio has a setting for it.
    """

    t1: float
    server_silence: float

    @property
    def silence(self) -> float:
        return 64 * self.t1


CALM = Pace(30.0, 600.0)  # no timer of either side runs out while a case is played
HASTY = Pace(0.02, 0.8)  # for the cases about silence


@dataclass(frozen=True)
class Behind:
    """Addresses of the pools' servers, host:port."""

    udp: str
    spare: str
    tcp: str


def _sipgw(folder: Path, port: int, behind: Behind, pace: Pace) -> list[str]:
    pools = {
        "ocschat": f'"udp:{behind.udp}"',
        "tcpchat": f'"tcp:{behind.tcp}"',
        "twochat": f'"udp:{behind.udp}", "udp:{behind.spare}"',
        "sparechat": f'"udp:{behind.spare}"',
    }
    lines = [
        "[gateway]", 'fqdn = "127.0.0.1"', f'listen = ["udp:127.0.0.1:{port}", "tcp:127.0.0.1:{port}"]',
        'trusted_peers = ["127.0.0.2"]',
        "[store]", 'url = "sqlite:gateway.db"',
        "[log]", 'level = "error"',
        "[limits]", "max_requests_per_source = 0", "max_requests_per_user = 0", "ban = 0.0", "max_delay = 10.0",
        "[health]", "interval = 0.0",  # a case that brings a server down brings it up again (Stage.tidy)
        "[timers]", f"t1 = {pace.t1}", f"t2 = {pace.t1 * 2}", f"first_response = {pace.server_silence}",
    ]  # fmt: skip
    for name, servers in pools.items():
        lines += ["[[pool]]", f'fqdn = "{name}.contoso.com"', f"servers = [{servers}]"]
    for name in pools:
        lines += ["[[endpoint]]", f'sip_address = "sip:{name}@contoso.com"', f'pool_fqdn = "{name}.contoso.com"']
    config = folder / "sipgw.toml"
    config.write_text("\n".join(lines) + "\n")
    return [sys.executable, "-m", "sipgw", "serve", "--config", str(config)]


def _kamailio(folder: Path, port: int, behind: Behind, pace: Pace) -> list[str]:
    defines = [
        f"PROXY=127.0.0.1:{port}",
        f'UDP_POOL="sip:{behind.udp}"',
        f'SPARE_POOL="sip:{behind.spare}"',
        f'TCP_POOL="sip:{behind.tcp};transport=tcp"',
        f"T1={max(100, round(pace.t1 * 1000))}",
        f"SILENCE={round(min(pace.silence, 600) * 1000)}",
    ]
    command = ["kamailio", "-f", str(HERE / "kamailio.cfg"), "-DD", "-E", "-m", "64", "-M", "8", "-Y", str(folder)]
    return [*command, *[word for define in defines for word in ("-A", define)]]


PROXIES = {"sipgw": _sipgw, "kamailio": _kamailio}


@contextmanager
def proxy(name: str, folder: Path, behind: Behind, pace: Pace) -> Iterator[int]:
    """A running proxy that answers; gives its port, the same for UDP and TCP."""
    port = free_port()
    folder.mkdir()
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            PROXIES[name](folder, port, behind, pace), cwd=folder, stdout=output, stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True,
        )  # fmt: skip
        try:
            _await_answer(process, port, log)
            yield port
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await_answer(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + STARTING
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.connect(("127.0.0.1", port))
        probe.settimeout(0.1)
        host, own = probe.getsockname()
        ping = "\r\n".join([
            f"OPTIONS sip:127.0.0.1:{port} SIP/2.0", f"Via: SIP/2.0/UDP {host}:{own};branch=z9hG4bK-start",
            "Max-Forwards: 70", "From: <sip:start@contoso.com>;tag=tag-s", "To: <sip:start@contoso.com>",
            "Call-ID: start", "CSeq: 1 OPTIONS", "Content-Length: 0", "", "",
        ])  # fmt: skip
        while time.monotonic() < end:
            assert process.poll() is None, "ended: " + log.read_text()
            try:
                probe.send(ping.encode())
                if probe.recv(4096).startswith(b"SIP/2.0 200"):
                    return
            except ConnectionRefusedError:
                time.sleep(0.05)  # nothing listens yet
            except TimeoutError:
                continue
    raise AssertionError("does not answer: " + log.read_text())

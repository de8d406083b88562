"""The proxies of the bench: sipgw as people run it, compiled and not, and Kamailio at its best."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import randrange
from typing import Any

from benchmark import builds
from benchmark.rig import HERE, TRANSPORTS, BenchError, Transport, need, process

STARTING = 120.0  # seconds that a proxy may take, with a million registrations to load


@dataclass(frozen=True)
class Place:
    """Where a proxy runs: `folder` for its files, the pool's port, the cores it has. `touched` is whether Kamailio
    touches its memory beforehand, `max_delay` the gateway's limit of that name."""

    folder: Path
    pool_port: int
    cores: frozenset[int]
    transport: Transport = field(default_factory=lambda: TRANSPORTS["udp"])
    workers: int = 1
    touched: bool = True
    max_delay: float = 0.1


Started = tuple[int, int]  # process id, and the port that callers send to
Proxy = Callable[[Place], AbstractContextManager[Started]]

CONFIG = """[gateway]
fqdn = "127.0.0.1"
listen = {listen}
workers = {workers}
{tls}[store]
url = "sqlite:bench.db"
[admin]
listen = "127.0.0.1:0"
[limits]
max_connections = 100000
max_connections_per_peer = 0
max_requests_per_source = 0
max_requests_per_user = 0
max_delay = {max_delay}
[log]
level = "warning"
[[pool]]
fqdn = "pcpool.contoso.com"
servers = ["{pool}"]
[[endpoint]]
sip_address = "sip:ocschat@contoso.com"
pool_fqdn = "pcpool.contoso.com"
"""
TLS = '[tls]\ncertificate = "{0}.pem"\nprivate_key = "{0}.key"\n'


def free_port(transport: str) -> int:
    """Below those that the system gives out of its own accord, so that nobody else gets it meanwhile."""
    for _ in range(100):
        port = randrange(20_000, 32_000)
        if not is_taken(transport, port):
            return port
    raise BenchError("no port is free on 127.0.0.1")


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1: what it gives is the name of two files without .pem and .key."""
    stem = folder / "bench"
    if not stem.with_suffix(".pem").exists():
        command = [
            need("openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "365", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", f"{stem}.key", "-out", f"{stem}.pem",
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
    return stem


def listening(place: Place) -> tuple[list[str], int]:
    """The addresses to listen at, one for each of the transports, and the callers' port."""
    transports = dict.fromkeys((place.transport.callers, place.transport.pool))
    ports = {transport: free_port(transport) for transport in transports}
    return [f"{transport}:127.0.0.1:{port}" for transport, port in ports.items()], ports[place.transport.callers]


@contextmanager
def sipgw(build: str, place: Place) -> Iterator[Started]:
    """The gateway as people run it."""
    addresses, port = listening(place)
    secured = place.transport.callers == "tls"
    config = place.folder / "bench.toml"
    pool = f"{place.transport.pool}:127.0.0.1:{place.pool_port}"
    tls = TLS.format(certificate(place.folder)) if secured else ""
    listen = str(addresses).replace("'", '"')
    values = {"tls": tls, "pool": pool, "workers": place.workers, "max_delay": place.max_delay}
    config.write_text(CONFIG.format(listen=listen, **values))
    command = [sys.executable, "-m", "sipgw", "serve", "--config", str(config)]
    environment = os.environ | {"PYTHONPATH": str(builds.path(build))}
    with logged(place, "sipgw", port, command, cwd=place.folder, env=environment) as running:
        yield running.pid, port


@contextmanager
def kamailio(place: Place) -> Iterator[Started]:
    """Kamailio at its best: one worker, tlsf, and the memory it is given touched beforehand."""
    addresses, port = listening(place)
    transport = f";transport={place.transport.pool}" if place.transport.pool != "udp" else ""
    defines = {
        "PROXY_LISTEN": addresses[0],
        "POOL_URI": f'"sip:127.0.0.1:{place.pool_port}{transport}"',
        "CONTROL": f'"unix:{place.folder}/kamailio_ctl"',
    }
    flags = ["TOUCHED"] if place.touched else []
    if place.transport.streams:
        flags.append("WITH_TCP")
    if place.transport.callers == "tls":
        stem = certificate(place.folder)
        flags.append("WITH_TLS")
        defines |= {"POOL_LISTEN": addresses[1], "CERTIFICATE": f'"{stem}.pem"', "KEY": f'"{stem}.key"'}
    given = [f"{name}={value}" for name, value in defines.items()] + flags
    command = [
        need("kamailio", "kamailio"), "-f", str(HERE / "kamailio.cfg"), "-DD", "-E", "-x", "tlsf", "-X", "tlsf",
        "-m", "2048", "-M", "64", "-Y", str(place.folder), *[word for value in given for word in ("-A", value)],
    ]  # fmt: skip
    with logged(place, "kamailio", port, command) as running:
        yield running.pid, port


@contextmanager
def logged(place: Place, name: str, port: int, command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A proxy that listens already; what it says goes to a file."""
    log = place.folder / f"{name}.log"
    with log.open("w") as said, process(command, place.cores, stdout=said, stderr=said, **options) as running:
        wait_for(place, port, running, log)
        yield running


def wait_for(place: Place, port: int, running: subprocess.Popen[str], log: Path) -> None:
    """Until something listens at the port."""
    end = time.monotonic() + STARTING
    while time.monotonic() < end and running.poll() is None:
        if is_taken(place.transport.callers, port):
            time.sleep(0.5)
            return
        time.sleep(0.05)
    raise BenchError(" | ".join(["the proxy does not start", *log.read_text().strip().splitlines()[-3:]]))


def is_taken(transport: str, port: int) -> bool:
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind == socket.SOCK_STREAM)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


PROXIES: dict[str, Proxy] = {
    "compiled": partial(sipgw, "compiled"),
    "interpreted": partial(sipgw, "interpreted"),
    "kamailio": kamailio,
}
OURS, THEIRS = ("compiled", "interpreted"), "kamailio"

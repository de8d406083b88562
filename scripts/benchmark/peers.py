"""The proxies that are measured: their configuration for this job, their command line, and when they are ready."""

import os
import re
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from scripts.benchmark.plan import KAMAILIO, ROOT, SIPGW, BenchError, Plan, kamailio_memory
from scripts.benchmark.process import Memory, Process, find_program

READY = 60.0  # seconds; touching several gigabytes takes some
_KERNEL_BUFFER = 8 << 20  # bytes that Kamailio may ask the kernel for, so that a burst does not cost it datagrams
_PING = (
    "OPTIONS sip:ping@127.0.0.1 SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKready{port}\r\n"
    "From: <sip:ready@contoso.com>;tag=ready\r\nTo: <sip:ping@127.0.0.1>\r\nCall-ID: ready@127.0.0.1\r\n"
    "CSeq: 1 OPTIONS\r\nMax-Forwards: 0\r\nContent-Length: 0\r\n\r\n"
)


@dataclass(frozen=True)
class Peer:
    """A proxy that can be started: `unused` gives the megabytes of memory that it holds and does not need."""

    name: str
    command: tuple[str, ...]
    port: int
    folder: Path
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    unused: Callable[[], float] = lambda: 0.0


def sipgw_config(transport: str, port: int, pool_port: int, store: Path) -> str:
    """One pool, one endpoint, a log that is silent while nothing is wrong; the rest is as installed."""
    return f"""\
[gateway]
fqdn = "sipgw.contoso.com"
domains = ["contoso.com"]
listen = ["{transport}:127.0.0.1:{port}"]

[store]
url = "sqlite:{store}"

[[pool]]
fqdn = "pcpool.contoso.com"
servers = ["{transport}:127.0.0.1:{pool_port}"]

[[endpoint]]
sip_address = "sip:ocschat@contoso.com"
pool_fqdn = "pcpool.contoso.com"

[log]
level = "warning"
"""


def sipgw_peer(plan: Plan, folder: Path, pool_port: int) -> Peer:
    port, config = free_port(), folder / "sipgw.toml"
    config.write_text(sipgw_config(plan.transport, port, pool_port, folder / "sipgw.db"), "utf-8")
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    command = (*plan.sipgw_command, "serve", "--config", str(config))
    return Peer(SIPGW, command, port, folder, os.environ | {"PYTHONPATH": path})


def kamailio_arguments(transport: str, port: int, pool_port: int, memory: int, folder: Path) -> list[str]:
    """Its fastest allocator for both kinds of memory; `memory` megabytes of the shared one."""
    return [
        *("-f", str(Path(__file__).with_name("kamailio.cfg"))),
        *("-A", f"PROXY_LISTEN={transport}:127.0.0.1:{port}"),
        *("-A", f'POOL_URI="sip:127.0.0.1:{pool_port};transport={transport}"'),
        *("-A", f'CONTROL="unix:{folder / "control"}"'),
        *("-x", "tlsf", "-X", "tlsf", "-m", str(memory), "-M", "16", "-b", str(_KERNEL_BUFFER)),
        *("-DD", "-E", "-w", str(folder), "-Y", str(folder)),
    ]


def kamailio_peer(plan: Plan, folder: Path, pool_port: int) -> Peer:
    """Raises BenchError when Kamailio is not there or was built without the allocator that is its best."""
    program, port = find_program("kamailio", "kamailio"), free_port()
    if "TLSF_MALLOC" not in _output([program, "-I"]):
        raise BenchError(f"{program} has no tlsf allocator, so it would not be at its best")
    arguments = kamailio_arguments(plan.transport, port, pool_port, kamailio_memory(plan, _available()), folder)
    control = [find_program("kamcmd", "kamailio"), "-s", f"unix:{folder / 'control'}", "core.shmmem"]
    return Peer(KAMAILIO, (program, *arguments), port, folder, unused=lambda: unused_memory(_output(control)))


def unused_memory(shmmem: str) -> float:
    """Megabytes of shared memory that were touched and never held anything, of kamcmd's core.shmmem."""
    values = dict(re.findall(r"^\s*(total|max_used): (\d+)$", shmmem, re.MULTILINE))
    return (int(values["total"]) - int(values["max_used"])) / (1 << 20)


class Proxy:
    """A peer that runs, and can be started anew."""

    def __init__(self, peer: Peer, core: int) -> None:
        self.peer = peer
        self._core = core
        self.process = self._start()

    def _start(self) -> Process:
        peer = self.peer
        process = Process(peer.command, self._core, peer.folder / f"{peer.name}.log", peer.environment)
        try:
            wait_ready(process, peer.port)
        except BaseException:
            process.end()
            raise
        return process

    def restart(self) -> None:
        self.process.end()
        self.process = self._start()

    def memory(self) -> tuple[Memory, float]:
        """Of its processes, and the megabytes of it (PSS) that it needs."""
        memory = self.process.memory()
        return memory, memory.pss - self.peer.unused()

    def end(self) -> None:
        self.process.end()


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def wait_ready(process: Process, port: int) -> None:
    """Until it answers a request, whatever it answers. Raises BenchError."""
    end = time.monotonic() + READY
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.1)
        ping = _PING.format(port=sock.getsockname()[1]).encode()
        while time.monotonic() < end:
            process.check()
            sock.sendto(ping, ("127.0.0.1", port))
            try:
                sock.recv(65535)
                return
            except TimeoutError:
                continue
    raise BenchError(f"{process.log.stem} does not answer on port {port} after {READY:.0f} seconds")


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return done.stdout


def _available() -> int:
    """Megabytes of memory that programs may take."""
    found = re.search(r"^MemAvailable: +(\d+) kB$", Path("/proc/meminfo").read_text("ascii"), re.MULTILINE)
    return int(found[1]) // 1024 if found else 2048

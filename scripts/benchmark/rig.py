"""Processes of the bench: the load generator on one core, a proxy on another, CPU and memory from /proc."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmark.figures import Offered, Round, is_clean, offered

HERE = Path(__file__).parent
TICK = os.sysconf("SC_CLK_TCK")
STARTING = 10.0  # seconds that a proxy may take
TIMEOUT = 2  # seconds that the generator waits for an answer


class BenchError(Exception):
    """The bench cannot run; the text says what is missing."""


def need(program: str, package: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise BenchError(f"{program} is not installed; Debian package: {package}")
    return path


def build_generator(folder: Path) -> Path:
    """Compile the load generator. Raises BenchError."""
    program = folder / "load"
    sources = sorted(str(path) for path in (HERE / "load").glob("*.c"))
    command = [need("cc", "gcc"), "-O2", "-D_GNU_SOURCE", "-Wall", "-o", str(program), *sources, "-lm"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        raise BenchError(f"the load generator does not compile: {built.stderr.splitlines()[0]}")
    return program


def pinned(core: int) -> Any:
    """For Popen's preexec_fn: stay on one core, where there are several."""
    return lambda: os.sched_setaffinity(0, {core}) if (os.cpu_count() or 1) > 1 else None


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(command: list[str], core: int, **options: Any) -> Iterator[subprocess.Popen[str]]:
    running = subprocess.Popen(command, preexec_fn=pinned(core), text=True, start_new_session=True, **options)
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(15)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def family(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *[int(child) for child in children]]


def cpu_seconds(pids: list[int]) -> float:
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def memory_mib(pids: list[int]) -> float:
    """Proportional set size: shared memory counts once."""
    total = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


class Generator:
    """The running load generator; `pool_port` is where its UAS waits."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        self._running = running
        self.pool_port = int(self._line().split()[1])

    def _line(self) -> str:
        assert self._running.stdout is not None
        line = self._running.stdout.readline()
        if not line:
            raise BenchError("the load generator ended")
        return line.strip()

    def run(self, proxy: str, pid: int, port: int, rate: int, seconds: int) -> Round:
        """One round through the proxy at `port`, its CPU time taken over the window that is measured."""
        assert self._running.stdin is not None
        self._running.stdin.write(f"run {port} {rate} 2 {seconds} {TIMEOUT}\n")
        self._running.stdin.flush()
        assert self._line() == "measuring"
        before = cpu_seconds(family(pid))
        assert self._line() == "measured"
        used = cpu_seconds(family(pid)) - before
        load = json.loads(self._line())
        finished = max(1, load["finished_in_window"])
        memory = memory_mib(family(pid))
        return Round(proxy, rate, used * 1000 / finished, load["p50_ms"], load["p99_ms"], memory, is_clean(load))

    def offer(self, port: int, rate: float, seconds: int) -> Offered:
        """What became of calls that were begun at a rate, whether the proxy could take them or not."""
        assert self._running.stdin is not None
        self._running.stdin.write(f"run {port} {max(1, round(rate))} 1 {seconds} {TIMEOUT}\n")
        self._running.stdin.flush()
        assert self._line() == "measuring"
        assert self._line() == "measured"
        return offered(json.loads(self._line()), seconds)


@contextmanager
def generator(program: Path, core: int) -> Iterator[Generator]:
    with process([str(program)], core, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        yield Generator(running)


CONFIG = """[gateway]
fqdn = "127.0.0.1"
listen = ["udp:127.0.0.1:{port}"]
[store]
url = "sqlite:bench.db"
[limits]
max_requests_per_source = 0
max_requests_per_user = 0
[log]
level = "warning"
[[pool]]
fqdn = "pcpool.contoso.com"
servers = ["udp:127.0.0.1:{pool}"]
[[endpoint]]
sip_address = "sip:ocschat@contoso.com"
pool_fqdn = "pcpool.contoso.com"
"""


@contextmanager
def sipgw(folder: Path, pool_port: int, core: int) -> Iterator[tuple[int, int]]:
    """The gateway as people run it. Gives pid and port."""
    port = free_port()
    config = folder / "bench.toml"
    config.write_text(CONFIG.format(port=port, pool=pool_port))
    command = [sys.executable, "-m", "sipgw", "serve", "--config", str(config)]
    with process(command, core) as running:
        wait_for(port)
        yield running.pid, port


@contextmanager
def kamailio(folder: Path, pool_port: int, core: int) -> Iterator[tuple[int, int]]:
    """Kamailio at its best: one worker, tlsf, shared memory touched beforehand."""
    port = free_port()
    command = [
        need("kamailio", "kamailio"), "-f", str(HERE / "kamailio.cfg"), "-DD", "-E", "-x", "tlsf", "-X", "tlsf",
        "-m", "2048", "-M", "64", "-Y", str(folder),
        "-A", f"PROXY_LISTEN=udp:127.0.0.1:{port}", "-A", f'POOL_URI="sip:127.0.0.1:{pool_port}"',
        "-A", f'CONTROL="unix:{folder}/kamailio_ctl"',
    ]  # fmt: skip
    with process(command, core, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        wait_for(port)
        yield running.pid, port


def wait_for(port: int) -> None:
    """Until something has the UDP port."""
    end = time.monotonic() + STARTING
    while time.monotonic() < end:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                time.sleep(0.5)
                return
        time.sleep(0.05)
    raise BenchError("the proxy does not start")


PROXIES = {"sipgw": sipgw, "kamailio": kamailio}

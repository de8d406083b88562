"""Processes of the bench: the load generator on one core, a proxy on another, CPU and memory from /proc."""

import json
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.figures import Offered, Round, is_clean, offered

HERE = Path(__file__).parent
TICK = os.sysconf("SC_CLK_TCK")
TIMEOUT = 2  # seconds that the generator waits for an answer
WARM_UP = 2  # seconds before the window that is measured


class BenchError(Exception):
    """The bench cannot run; the text says what is missing."""


@dataclass(frozen=True)
class Transport:
    """What callers and pool speak, "udp", "tcp" or "tls", and how many sockets the callers have between them."""

    callers: str
    pool: str
    sockets: int

    @property
    def streams(self) -> bool:
        return "udp" not in (self.callers, self.pool)


TRANSPORTS = {
    "udp": Transport("udp", "udp", 1),
    "tcp": Transport("tcp", "tcp", 100),
    "tls": Transport("tls", "tcp", 100),
    "workers": Transport("udp", "udp", 128),  # the kernel deals datagrams out by where they come from
}


def need(program: str, package: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise BenchError(f"{program} is not installed; Debian package: {package}")
    return path


def build_generator(folder: Path) -> Path:
    """Compile the load generator. Raises BenchError."""
    program = folder / "load"
    sources = sorted(str(path) for path in (HERE / "load").glob("*.c"))
    libraries = ["-lssl", "-lcrypto", "-lm"]
    command = [need("cc", "gcc"), "-O2", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-o", str(program), *sources, *libraries]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        said = next((line for line in built.stderr.splitlines() if "error" in line), built.stderr[:200])
        raise BenchError(f"the load generator does not compile (Debian packages: gcc libc6-dev libssl-dev): {said}")
    return program


def _settle(cores: frozenset[int]) -> None:
    """In a new process: stay on these cores, and have as many connections as may be."""
    usable = cores & os.sched_getaffinity(0)
    if usable and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, usable)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def process(command: list[str], cores: frozenset[int], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A program on some cores; ended at the end."""
    running = subprocess.Popen(command, preexec_fn=lambda: _settle(cores), text=True, start_new_session=True, **options)
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(15)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        for stream in (running.stdin, running.stdout):
            if stream is not None:
                stream.close()


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
        self._last = float("-inf")
        self.pool_port = int(self._line().split()[1])

    def _line(self) -> str:
        assert self._running.stdout is not None
        line = self._running.stdout.readline()
        if not line:
            raise BenchError("the load generator ended")
        return line.strip()

    def _begin(self, port: int, rate: int, warm_up: int, seconds: int, timeout: int) -> None:
        assert self._running.stdin is not None
        self._running.stdin.write(f"run {port} {rate} {warm_up} {seconds} {timeout}\n")
        self._running.stdin.flush()
        assert self._line() == "measuring"

    def _end(self) -> dict[str, Any]:
        load: dict[str, Any] = json.loads(self._line())
        faults = {name: count for name, count in load["faults"].items() if count and name != "no_ack"}
        if faults:  # an ACK alone may have been lost, which `is_clean` counts
            raise BenchError(f"the proxy does another job: {faults}")
        return load

    def run(self, proxy: str, pid: int, port: int, rate: int, seconds: int, timeout: int = TIMEOUT) -> Round:
        """One round through the proxy at `port`, its CPU time taken over the window that is measured."""
        self._begin(port, rate, WARM_UP, seconds, timeout)
        before = cpu_seconds(family(pid))
        assert self._line() == "measured"
        used = cpu_seconds(family(pid)) - before
        load = self._end()
        finished = max(1, load["finished_in_window"])
        memory = memory_mib(family(pid))
        return Round(
            proxy, rate, used * 1000 / finished, load["p50_ms"], load["p99_ms"], memory, is_clean(load),
            load["generator_cpu"] * 1000 / finished,
        )  # fmt: skip

    def offer(self, port: int, rate: float, seconds: int, warm_up: int = 1) -> Offered:
        """What became of calls that were begun at a rate, whether the proxy could take them or not."""
        self._begin(port, max(1, round(rate)), warm_up, seconds, TIMEOUT)
        assert self._line() == "measured"
        self._last = time.monotonic()
        return offered(self._end(), seconds)

    @property
    def since_last(self) -> float:
        """Seconds since the last call of an `offer` was begun."""
        return time.monotonic() - self._last


@contextmanager
def generator(program: Path, transport: Transport, core: int) -> Iterator[Generator]:
    command = [str(program), transport.callers, transport.pool, str(transport.sockets)]
    with process(command, frozenset({core}), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        yield Generator(running)

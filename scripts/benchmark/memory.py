"""What the gateway keeps in memory: `scripts/bench memory`. Shared memory counts once; the kernel's is not counted."""

import math
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmark import builds, rig
from benchmark.forwarding import LOAD_CORE, stage
from benchmark.proxies import PROXIES, THEIRS, Place
from benchmark.report import Goal, Section, at_most

RATE = 1000  # calls a second
SPARE = 500  # file descriptors of a process that are not clients' connections
BATCH = 5_000  # clients of one process of the load


@dataclass(frozen=True)
class Scale:
    """How much of it: seconds at RATE, idle clients, stored registrations."""

    seconds: int
    clients: tuple[int, ...]
    stored: tuple[int, ...]


def section(build: str, scale: Scale, command: str) -> Section:
    rows: list[list[str]] = []
    goals: list[Goal] = []
    data: dict[str, Any] = {}
    _under_load(build, scale.seconds, rows, goals, data)
    for clients in scale.clients:
        _idle(build, clients, rows, goals, data)
    for count in scale.stored:
        _stored(build, count, rows, goals, data)
    return Section("memory", "Memory", command, ["of what", "found"], rows, goals, data)


def _under_load(build: str, seconds: int, rows: list[list[str]], goals: list[Goal], data: dict[str, Any]) -> None:
    used: dict[str, float] = {}
    with stage("udp") as on:
        place = replace(on.place, touched=False)
        for name in (build, THEIRS):
            with PROXIES[name](place) as (pid, port):
                used[name] = on.load.run(name, pid, port, RATE, seconds).memory
            print(f"{name:11} {used[name]:.0f} MiB after {seconds} s at {RATE} calls/s", file=sys.stderr)
            rows.append([f"{name}, after {seconds} s at {RATE} calls/s", f"{used[name]:.0f} MiB"])
    share = used[build] / used[THEIRS]
    rows.append([f"ratio, {build} by {THEIRS}", f"{share:.2f}"])
    goals.append(
        at_most(f"Memory after {seconds} s at {RATE} calls/s, by Kamailio's, not touched beforehand", share, 0.2)
    )
    data["under_load"] = used


def _idle(build: str, clients: int, rows: list[list[str]], goals: list[Goal], data: dict[str, Any]) -> None:
    """Clients that have signed in over TCP and say nothing."""
    room = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - SPARE
    workers = math.ceil(clients / room) if room > 0 else 1
    with tempfile.TemporaryDirectory(prefix="sipgw-bench-") as name:
        place = Place(Path(name), 9, frozenset({0, 1}), rig.TRANSPORTS["tcp"], workers)  # nobody asks the pool anything
        with PROXIES[build](place) as (pid, port), ExitStack() as running:
            before = rig.memory_mib(rig.family(pid))
            for first in range(0, clients, BATCH):
                running.enter_context(signed_in(port, first, min(BATCH, clients - first)))
            used = rig.memory_mib(rig.family(pid)) - before
    each = used * 1024 / clients
    processes = "" if workers == 1 else f", {workers} workers, for a process may have {room + SPARE} files open"
    rows.append([f"{clients:,} idle clients, signed in over TCP{processes}", f"{each:.1f} KiB each"])
    goals.append(at_most(f"Each of {clients:,} idle TCP clients", each, 20.0, " KiB"))
    data[f"idle_{clients}"] = {"kib_each": each, "workers": workers}
    print(rows[-1], file=sys.stderr)


@contextmanager
def signed_in(port: int, first: int, count: int) -> Iterator[None]:
    """A process that holds the connections of so many clients, once all of them have been answered."""
    command = [sys.executable, "-P", "-m", "benchmark.clients", str(port), str(first), str(count)]
    environment = builds.environment("interpreted")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with rig.process(command, frozenset({LOAD_CORE}), env=environment, **pipes) as running:
        assert running.stdout is not None
        if running.stdout.readline().strip() != "ready":
            raise rig.BenchError("the clients could not all sign in")
        yield


def _stored(build: str, count: int, rows: list[list[str]], goals: list[Goal], data: dict[str, Any]) -> None:
    """Registrations that a gateway finds in its store when it starts."""
    with tempfile.TemporaryDirectory(prefix="sipgw-bench-") as name:
        found = builds.run(build, "stored", Path(name) / "bench.db", count)
    each, seconds = found["kib"] / count, found["seconds"]
    rows.append([f"{count:,} stored registrations", f"{each:.2f} KiB each, loaded in {seconds:.1f} s"])
    goals.append(at_most(f"Each of {count:,} stored registrations", each, 1.0, " KiB"))
    goals.append(at_most(f"Loading {count:,} stored registrations", seconds, 20.0 * max(1.0, count / 1e6), " s"))
    data[f"stored_{count}"] = found
    print(rows[-1], file=sys.stderr)

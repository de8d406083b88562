"""The load generator: compiled when its source is new, driven by lines."""

import hashlib
import json
import os
import select
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from scripts.benchmark.plan import ROOT, BenchError, Plan
from scripts.benchmark.process import Process, find_program

SOURCES = Path(__file__).with_name("load")
BUILD = ROOT / "build"
_FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror")
_SPARE = 20.0  # seconds beyond the length of a run


def compile_load(build: Path = BUILD) -> Path:
    """The generator's program. Raises BenchError when it cannot be compiled."""
    sources = sorted(SOURCES.glob("*.[ch]"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources) + repr(_FLAGS).encode()).hexdigest()
    program = build / f"bench-load-{digest[:12]}"
    if program.exists():
        return program
    compiler = find_program("cc", "gcc")
    build.mkdir(parents=True, exist_ok=True)
    unfinished = program.with_suffix(f".{os.getpid()}")
    command = [compiler, *_FLAGS, "-o", str(unfinished), *(str(path) for path in sources if path.suffix == ".c")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise BenchError(f"cannot compile the load generator: {(done.stderr.strip().splitlines() or ['?'])[0]}")
    unfinished.replace(program)
    return program


class Generator:
    """Caller and pool server in one process; `pool_port` is the pool's. Use as a context manager."""

    def __init__(self, program: Path, core: int, log: Path) -> None:
        self._process = Process([str(program)], core, log, piped=True)
        self._read = b""
        try:
            word, _, port = self._line(time.monotonic() + _SPARE).partition(" ")
        except BaseException:
            self._process.end()
            raise
        assert word == "port"
        self.pool_port = int(port)

    def run(self, port: int, rate: int, plan: Plan, window: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Load the proxy on `port` (0: none between the two) and return the counts; load/load.c says which.

        `window` is called when the measured time begins and again when it ends.
        """
        self._process.input.write(f"run {port} {rate} {plan.warm_up} {plan.seconds} {plan.timeout}\n".encode())
        self._process.input.flush()
        end = time.monotonic() + plan.warm_up + plan.seconds + plan.timeout + _SPARE
        for word in ("measuring", "measured"):
            line = self._line(end)
            assert line == word, line
            window()
        counts: dict[str, Any] = json.loads(self._line(end))
        return counts

    def _line(self, end: float) -> str:
        """Its next line of output. Raises BenchError when it ends, or says nothing until `end`."""
        output = self._process.output.fileno()
        while b"\n" not in self._read:
            if not select.select([output], [], [], max(0.0, end - time.monotonic()))[0]:
                raise BenchError("the load generator hangs")
            data = os.read(output, 65536)
            if not data:
                time.sleep(0.1)  # until its exit status is known
                self._process.check()
                raise BenchError("the load generator closed its output")
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        return line.decode("ascii")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.end()

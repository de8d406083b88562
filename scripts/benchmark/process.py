"""Processes of the bench: started on one core, measured through /proc, always ended, by pid."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from scripts.benchmark.plan import BenchError

PROC = Path("/proc")
END = 10.0  # seconds to end in; sipgw drains for up to five
_TICKS = os.sysconf("SC_CLK_TCK")
_SYSTEM_PATHS = "/usr/sbin:/sbin"  # where Debian has servers, and a plain user's PATH does not lead


def find_program(name: str, package: str) -> str:
    """Full path of a program. Raises BenchError that names the Debian package."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_PATHS}")
    if found is None:
        raise BenchError(f"{name} is not installed; Debian package: {package}")
    return found


def pinned(command: Sequence[str], core: int) -> list[str]:
    """The command on one core, ended by the kernel if the bench should be killed. The pid stays the same."""
    setpriv, taskset = find_program("setpriv", "util-linux"), find_program("taskset", "util-linux")
    return [setpriv, "--pdeathsig", "TERM", taskset, "--cpu-list", str(core), *command]


@dataclass(frozen=True)
class Memory:
    """Megabytes of all processes together. What they share counts once for each in `rss`, once in all in `pss`."""

    rss: float
    pss: float


def parse_ticks(stat: str) -> int:
    """Clock ticks in user and kernel mode of one /proc/PID/stat, all threads together."""
    fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    return int(fields[11]) + int(fields[12])


def parse_memory(rollup: str) -> Memory:
    """One /proc/PID/smaps_rollup."""
    kilobytes = {name: int(value) for name, value in re.findall(r"^(Rss|Pss): +(\d+) kB$", rollup, re.MULTILINE)}
    return Memory(kilobytes["Rss"] / 1024, kilobytes["Pss"] / 1024)


class Process:
    """A program on one core, with all that it forked; its output is in `log`. Use as a context manager."""

    def __init__(
        self,
        command: Sequence[str],
        core: int,
        log: Path,
        environment: Mapping[str, str] | None = None,
        *,
        piped: bool = False,
    ) -> None:
        self.log = log
        pipe = subprocess.PIPE if piped else None
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                pinned(command, core),
                stdin=pipe or subprocess.DEVNULL,
                stdout=pipe or output,
                stderr=output,
                env=dict(environment) if environment is not None else None,
                start_new_session=True,  # Ctrl-C is for the bench, which ends them in order
            )

    @property
    def input(self) -> IO[bytes]:
        assert self._popen.stdin is not None
        return self._popen.stdin

    @property
    def output(self) -> IO[bytes]:
        assert self._popen.stdout is not None
        return self._popen.stdout

    def pids(self) -> list[int]:
        """This process and all below it."""
        found = [self._popen.pid]
        for pid in found:  # grows while it is read
            for task in _tasks(pid):
                found.extend(map(int, _read(task / "children").split()))
        return found

    def cpu_seconds(self) -> float:
        """User and kernel time of all processes since they started. Raises BenchError when one is gone."""
        self.check()
        return sum(parse_ticks(_read(PROC / str(pid) / "stat")) for pid in self.pids()) / _TICKS

    def memory(self) -> Memory:
        each = [parse_memory(_read(PROC / str(pid) / "smaps_rollup")) for pid in self.pids()]
        return Memory(sum(one.rss for one in each), sum(one.pss for one in each))

    def check(self) -> None:
        """Raises BenchError, with the last line that it wrote, when it has ended."""
        if self._popen.poll() is not None:
            lines = self.log.read_text("utf-8", "replace").strip().splitlines() or ["it wrote nothing"]
            raise BenchError(f"{self.log.stem} ended with status {self._popen.returncode}: {lines[-1].strip()}")

    def end(self) -> None:
        """SIGTERM, then SIGKILL to whatever is left of it."""
        pids = self.pids() if self._popen.poll() is None else []
        for stream in (self._popen.stdin, self._popen.stdout):
            if stream is not None:
                stream.close()
        self._popen.terminate()
        try:
            self._popen.wait(END)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        _kill_left_over(pids)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


def _tasks(pid: int) -> list[Path]:
    try:
        return list((PROC / str(pid) / "task").iterdir())
    except OSError:
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError as error:
        raise BenchError(f"a process ended while it was measured ({path})") from error


def _kill_left_over(pids: list[int]) -> None:
    """Children that outlived their parent, after a moment in which they may end by themselves."""
    end = time.monotonic() + 1
    while (left := [pid for pid in pids if (PROC / str(pid)).exists()]) and time.monotonic() < end:
        time.sleep(0.02)
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue

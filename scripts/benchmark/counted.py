"""What valgrind counts the instructions of, by `scripts/bench instructions`: python -m benchmark.counted STEPS.

Everything is loaded once; then each portion of work is done by a process of its own that begins as a copy of this one.
The difference between two portions has neither the start of the interpreter in it nor the first call's. One line of
JSON says which process did what, and what runs.
"""

import gc
import json
import os
import pickle
import platform
import sys
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

from benchmark import job
from sipgw.build import kind

LINES = [f"Header-{number}: <sip:user{number}@example.com;lr>;tag={number:08x}" for number in range(32)]


class Noted:
    """Something with slots, as most of what Python programs make."""

    __slots__ = ("name", "value")

    def __init__(self, name: str, value: str) -> None:
        self.name, self.value = name, value

    def text(self) -> str:
        return f"{self.name}: {self.value}"


def reference(rounds: int) -> None:
    """Plain Python of the same kind as the engine's. It is never changed: it tells one interpreter from another."""
    found: dict[str, list[Noted]] = {}
    queue: list[tuple[int, str]] = []
    for number in range(rounds):
        for line in LINES:
            name, _, value = line.partition(": ")
            noted = Noted(name.lower(), value.strip())
            found.setdefault(noted.name, []).append(noted)
            if value.startswith("<") and ";lr" in value:
                heappush(queue, (number + len(value), noted.text()))
        joined = "\r\n".join(notes.pop().text() for notes in found.values()).encode("latin-1")
        parts = joined.decode("latin-1").split("\r\n")
        assert len(parts) == len(LINES)
        while queue:
            heappop(queue)


def calls(steps: list[job.Step], count: int) -> None:
    place = job.site("UDP")
    engine = job.engine_of(place, [job.CONTACT_OBJECT])
    ends = [at for at, step in enumerate(steps) if step.data is None]
    sent = job.replay(place, engine, steps[: ends[count - 1] + 1])
    assert sent == count * job.MESSAGES, f"{sent} messages in {count} calls: the engine does not do what it did before"


def in_a_copy(work: Callable[[], None]) -> int:
    """The id of the process that has done the work. Raises SystemExit when it failed."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except Exception as error:
            print(error, file=sys.stderr)
        os._exit(status)
    if os.waitpid(pid, 0)[1]:
        sys.exit(1)
    return pid


def main(file: Path, portions: list[tuple[str, int]]) -> None:
    steps = pickle.loads(file.read_bytes())
    work: dict[str, Callable[[int], None]] = {"calls": partial(calls, steps), "reference": reference}
    gc.disable()  # its runs would fall into one portion or another
    done: list[Any] = [(name, count, in_a_copy(partial(work[name], count))) for name, count in portions]
    running = f"{platform.python_implementation()} {platform.python_version()} {kind()}"
    print(json.dumps({"running": running, "portions": done}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))

"""A guard on instructions, which are the same on a busy machine and on a quiet one: `scripts/bench instructions`.

Valgrind counts what the engine needs for a call, and what a piece of plain Python needs that never changes. Where the
second is what it was when the baseline was recorded, the interpreter is the same, and the first may be LEEWAY higher at
most. With another interpreter it is the quotient of the two that is compared, less strictly.
"""

import json
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmark import builds, job
from benchmark.report import Goal, Section
from benchmark.rig import BenchError, need

BASELINE = Path(__file__).with_name("baseline.json")
LEEWAY = 0.05  # on the same interpreter
FAR_LEEWAY = 0.15  # on another one
ALIKE = 0.01  # difference of the reference up to which the interpreter is the same
WARM_UP, CALLS = 70, 100  # calls a second apart: all that is kept of a call for a while is taken down as well
FIRST_ROUNDS, ROUNDS = 20, 80  # of the reference
PORTIONS = [
    ("calls", WARM_UP),
    ("calls", WARM_UP + CALLS),
    ("reference", FIRST_ROUNDS),
    ("reference", FIRST_ROUNDS + ROUNDS),
]
RECORD = "record anew, if that is meant, with: scripts/bench instructions --record"


@dataclass(frozen=True)
class Count:
    """Instructions of a call in the engine, and of a round of the reference."""

    call: float
    reference: float


@dataclass(frozen=True)
class Verdict:
    """Whether the count is within bounds, and a line that says why."""

    met: bool
    reason: str


def record_steps(count: int) -> list[job.Step]:
    """What happens to the engine in so many calls."""
    place = job.site("UDP")
    caller = job.Caller(place, job.engine_of(place, [job.CONTACT_OBJECT]), interval=1.0)
    for _ in range(count):
        caller.call()
    return caller.steps


def count(environment: dict[str, str]) -> tuple[str, Count]:
    """What runs in an environment, as "CPython 3.11.7 compiled", and its count. Raises BenchError."""
    with tempfile.TemporaryDirectory(prefix="sipgw-bench-") as name:
        folder = Path(name)
        steps = folder / "steps"
        steps.write_bytes(pickle.dumps(record_steps(WARM_UP + CALLS)))
        command = [
            need("valgrind", "valgrind"), "--tool=cachegrind", "--cache-sim=no",
            f"--cachegrind-out-file={folder}/%p", sys.executable, "-P", "-m", "benchmark.counted", str(steps),
            json.dumps(PORTIONS),
        ]  # fmt: skip
        fixed = environment | {"PYTHONHASHSEED": "0"}
        ran = subprocess.run(command, env=fixed, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise BenchError(f"the counted program failed: {ran.stderr.strip().splitlines()[-1]}")
        told = json.loads(ran.stdout)
        totals = [_total(folder / str(pid)) for _, _, pid in told["portions"]]
    call, reference = (totals[1] - totals[0]) / CALLS, (totals[3] - totals[2]) / ROUNDS
    return told["running"], Count(round(call), round(reference))


def _total(file: Path) -> int:
    """The last line of what cachegrind leaves of a process: "summary: N"."""
    return int(file.read_text().rstrip().rpartition(":")[2])


def read_baseline(file: Path = BASELINE) -> dict[str, Count]:
    return {running: Count(**count) for running, count in json.loads(file.read_text()).items()}


def record(running: str, found: Count, file: Path = BASELINE) -> None:
    known = read_baseline(file) if file.exists() else {}
    known[running] = found
    file.write_text(json.dumps({name: asdict(known[name]) for name in sorted(known)}, indent=1) + "\n")


def judge(running: str, found: Count, baseline: dict[str, Count]) -> Verdict:
    """Compare with what is recorded for this interpreter and build, else with the nearest of the same kind of build."""
    build = running.split()[-1]
    others = {name: known for name, known in baseline.items() if name.split()[-1] == build}
    if not others:
        return Verdict(False, f"nothing is recorded for modules that are {build}; {RECORD}")
    name = running if running in others else min(others, key=lambda one: _distance(others[one], found))
    known = others[name]
    same = name == running and _distance(known, found) < ALIKE
    allowed = LEEWAY if same else FAR_LEEWAY
    growth = found.call / known.call / (1 if same else found.reference / known.reference) - 1
    than = f"recorded with {name}" + ("" if same else ", by the reference, for this is another interpreter")
    reason = f"{found.call:,.0f} instructions a call, {growth:+.1%} of {known.call:,.0f} {than}; allowed {allowed:+.0%}"
    return Verdict(growth <= allowed, reason if growth <= allowed else f"{reason}; {RECORD}")


def _distance(known: Count, found: Count) -> float:
    return abs(found.reference / known.reference - 1)


def section(kinds: Sequence[str], recording: bool, command: str) -> Section:
    """Every build beside the baseline, which is made of what is found where `recording`."""
    rows, goals = [], []
    for build in kinds:
        running, found = count(builds.environment(build))
        if recording:
            record(running, found)
        verdict = judge(running, found, read_baseline())
        rows.append([running, f"{found.call:,.0f}", f"{found.reference:,.0f}", verdict.reason])
        wanted = f"at most {LEEWAY:.0%} more than recorded"
        goals.append(Goal(f"Instructions of a call, {build}", wanted, f"{found.call:,.0f}", verdict.met))
    columns = ["what runs", "instructions a call", "a round of the reference", "verdict"]
    return Section("instructions", "Instructions (engine alone)", command, columns, rows, goals)

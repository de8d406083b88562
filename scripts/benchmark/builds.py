"""Where the gateway's modules are: the checkout itself, and a compiled copy of it under build/."""

import hashlib
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.rig import BenchError

ROOT = Path(__file__).parents[2]
COMPILED = ROOT / "build" / "bench" / "compiled"


@cache
def path(build: str) -> Path:
    """The folder to look for the package sipgw in: "interpreted" or "compiled", made when it is not of these sources.
    Raises BenchError."""
    if build == "interpreted":
        return ROOT
    stamp, wanted = COMPILED.parent / "stamp", _checksum()
    if not stamp.exists() or stamp.read_text() != wanted:
        stamp.unlink(missing_ok=True)
        _compile()
        stamp.write_text(wanted)
    return COMPILED


def _checksum() -> str:
    found = hashlib.sha256(sys.version.encode())
    for file in sorted([ROOT / "setup.py", ROOT / "pyproject.toml", *(ROOT / "sipgw").rglob("*.py")]):
        found.update(file.read_bytes())
    return found.hexdigest()


def _compile() -> None:
    """As people install it, where there is a C compiler."""
    print("compiling the gateway (once, a minute or two)", file=sys.stderr)
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--upgrade",
    ]
    command += ["--target", str(COMPILED), str(ROOT)]
    ran = subprocess.run(command, env=os.environ | {"SIPGW_COMPILE": "1"}, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise BenchError(f"the gateway does not compile: {ran.stderr.strip().splitlines()[-1]}")


def environment(build: str) -> dict[str, str]:
    """For a program of the bench's own that loads the gateway's modules."""
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(path(build)), str(ROOT / "scripts")])}


def run(build: str, module: str, *arguments: object) -> Any:
    """Run a module of the bench in a process of its own, on a build; what it tells, as JSON. Raises BenchError."""
    command = [sys.executable, "-P", "-m", f"benchmark.{module}", *map(str, arguments)]
    ran = subprocess.run(command, env=environment(build), stdout=subprocess.PIPE, text=True, check=False)
    if ran.returncode:
        raise BenchError(f"{module} ended with {ran.returncode}")
    return json.loads(ran.stdout)

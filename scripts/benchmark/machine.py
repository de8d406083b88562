"""What the figures were taken on."""

import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def describe() -> str:
    """One sentence: cores, processor, whether it is virtual, memory, system, and the versions of what ran."""
    parts = [
        f"{os.cpu_count()} cores of {_processor()}{' (virtual)' if _is_virtual() else ''}",
        f"{_memory()} GiB",
        f"Linux {platform.release().partition('-')[0]}",
        f"{platform.python_implementation()} {platform.python_version()}{_uvloop()}",
        _kamailio(),
    ]
    return ", ".join(part for part in parts if part) + "."


def _cpuinfo() -> str:
    return Path("/proc/cpuinfo").read_text()


def _processor() -> str:
    named = [line.partition(":")[2].strip() for line in _cpuinfo().splitlines() if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _is_virtual() -> bool:
    return " hypervisor" in _cpuinfo()


def _memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _uvloop() -> str:
    try:
        return f" with uvloop {version('uvloop')}"
    except PackageNotFoundError:
        return ""


def _kamailio() -> str:
    program = shutil.which("kamailio")
    if program is None:
        return ""
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"kamailio (\S+)", said)
    return f"Kamailio {found.group(1)}" if found else ""

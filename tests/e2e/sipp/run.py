"""Runs SIPp, and reads what it counted."""

import asyncio
import csv
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

SCENARIOS = Path(__file__).parent


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def sipp(folder: Path, scenario: str | Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`sipp` with a scenario, by path or by name beside this file; its files go to a folder. Ended with the block."""
    process = await asyncio.create_subprocess_exec(
        "sipp", "-sf", str(SCENARIOS / scenario), "-i", "127.0.0.1", "-nostdin", *arguments,
        cwd=folder, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def listening(port: int, transport: str) -> None:
    """Wait until something has the port."""
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    async with asyncio.timeout(10):
        while True:
            with socket.socket(socket.AF_INET, kind) as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    return
            await asyncio.sleep(0.05)


def last_row(path: Path) -> dict[str, str]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))[-1]

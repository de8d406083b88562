"""Runs SIPp, and reads what it counted."""

import asyncio
import csv
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

SCENARIOS = Path(__file__).parent


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
    """Wait until something takes what comes to the port; ended connections may hold it before that."""
    table, state = ("udp", "07") if transport == "udp" else ("tcp", "0A")
    async with asyncio.timeout(10):
        while True:
            if any(local == f"0100007F:{port:04X}" and now == state for local, now in _sockets(table)):
                return
            await asyncio.sleep(0.02)


def _sockets(table: str) -> list[tuple[str, str]]:
    """Local address and state of each IPv4 socket, as proc(5) has them."""
    rows = [line.split() for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    return [(row[1], row[3]) for row in rows]


def last_row(path: Path) -> dict[str, str]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))[-1]

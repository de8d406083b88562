"""SIPp, an independent user agent at both ends: 200 calls a second for ten seconds, none lost, none sent twice."""

import asyncio
import csv
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.programs import sipgw, write_config

RATE, CALLS = 200, 2000
SCENARIOS = Path(__file__).parent / "sipp"
pytestmark = pytest.mark.peer("sipp", "sip-tester")


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def sipp(folder: Path, scenario: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
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


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_two_hundred_calls_a_second_are_clean(tmp_path: Path, transport: str) -> None:
    mode = {"udp": "u1", "tcp": "t1"}[transport]
    pool_port, client_port = free_port(), free_port()
    config = write_config(tmp_path, f"{transport}:127.0.0.1:{pool_port}")
    async with (
        sipp(tmp_path, "pool.xml", "-t", mode, "-p", str(pool_port)),
        sipgw("serve", "--config", config) as gateway,
    ):
        await listening(pool_port, transport)
        port = (await gateway.ports())[transport]
        statistics = tmp_path / "client.csv"
        async with sipp(
            tmp_path, "client.xml", "-t", mode, "-p", str(client_port), "-r", str(RATE), "-m", str(CALLS),
            "-trace_stat", "-stf", str(statistics), "-timeout", "40s", f"127.0.0.1:{port}",
        ) as client:  # fmt: skip
            status = await client.wait()
        totals = last_row(statistics)
        assert status == 0
        assert totals["SuccessfulCall(C)"] == str(CALLS)
        assert totals["FailedCall(C)"] == "0"
        assert totals["Retransmissions(C)"] == "0"
        assert await gateway.stop() == 0

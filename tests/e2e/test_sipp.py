"""SIPp, an independent user agent at both ends: 200 calls a second for ten seconds, none lost, none sent twice."""

from pathlib import Path

import pytest

from tests.e2e.programs import sipgw, write_config
from tests.e2e.sipp.run import last_row, listening, sipp
from tests.ports import free_port

RATE, CALLS = 200, 2000
pytestmark = [pytest.mark.peer("sipp", "sip-tester"), pytest.mark.alone]


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

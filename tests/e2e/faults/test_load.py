"""Pool servers and the gateway itself stopped and started under 200 calls a second. SIPp counts what that cost."""

import asyncio
import csv
import signal
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.faults.scripted import scripted, takes_calls
from tests.e2e.faults.site import FIRST_RESPONSE, PAIR, change, note, pool, reload, until, write
from tests.e2e.programs import Program, sipgw
from tests.e2e.raw_client import RawClient
from tests.e2e.sipp.run import last_row, listening, sipp
from tests.ports import free_port

RATE = 200  # calls per second
SETUP = 0.05  # seconds that setting up a call takes at most, and
CALL = 0.25  # the whole of one; some milliseconds where nothing else runs
MODE = {"udp": "u1", "tcp": "t1"}
pytestmark = [pytest.mark.peer("sipp", "sip-tester"), pytest.mark.alone]


class Load:
    """SIPp's calls through a gateway. `finish` waits for their end and gives the totals."""

    def __init__(self, process: Process, folder: Path) -> None:
        self._began = time.monotonic()
        self.seconds = 0.0
        self.process = process
        self._folder = folder

    async def finish(self) -> dict[str, int]:
        async with asyncio.timeout(30):
            await self.process.wait()
        self.seconds = time.monotonic() - self._began
        row = last_row(self._folder / "client.csv")
        return {key.removesuffix("(C)"): int(row[key]) for key in ("SuccessfulCall(C)", "FailedCall(C)")}

    def counts(self) -> dict[str, int]:
        """SIPp's count of each message of the scenario, as `3_200_Recv`."""
        (path,) = self._folder.glob(f"*_{self.process.pid}_counts.csv")
        with path.open(newline="") as file:
            row = list(csv.DictReader(file, delimiter=";"))[-1]
        return {key: int(value) for key, value in row.items() if key and "_" in key and value.isdecimal()}


async def gateway_for(
    stack: AsyncExitStack, folder: Path, transport: str, ports: Sequence[int]
) -> tuple[Program, Path, int]:
    """A gateway before a pool with servers at these ports; its configuration and its own port."""
    servers = [f"{transport}:127.0.0.1:{port}" for port in ports]
    config = write(folder, pool("pcpool.contoso.com", servers, PAIR), listen=f"'{transport}:127.0.0.1:{free_port()}'")
    change(config, f"first_response = {FIRST_RESPONSE}", "first_response = 2.0")  # a good server may be slow
    gateway = await stack.enter_async_context(sipgw("serve", "--config", config))
    return gateway, config, (await gateway.ports())[transport]


async def server(stack: AsyncExitStack, folder: Path, transport: str, port: int, scenario: str = "pool.xml") -> Process:
    process = await stack.enter_async_context(sipp(folder, scenario, "-t", MODE[transport], "-p", str(port)))
    await listening(port, transport)
    return process


async def load(
    stack: AsyncExitStack, folder: Path, transport: str, port: int, calls: int, scenario: str = "client.xml", *more: str
) -> Load:
    process = await stack.enter_async_context(
        sipp(
            folder, scenario, "-t", MODE[transport], "-p", str(free_port()), "-r", str(RATE), "-m", str(calls),
            "-trace_stat", "-stf", str(folder / "client.csv"), "-trace_counts", "-fd", "1", "-timeout", "25s", *more,
            "-trace_err", f"127.0.0.1:{port}",
        )
    )  # fmt: skip
    return Load(process, folder)


def calls_to(gateway: Program, port: int) -> int:
    """Calls that the gateway has meant for this server in the first place."""
    return sum("forwarded" in line and f":{port}" in line for line in gateway.log)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_a_server_killed_under_load_costs_only_the_calls_that_it_had(tmp_path: Path, transport: str) -> None:
    calls = 800
    async with AsyncExitStack() as stack:
        ports = free_port(), free_port()
        first, _ = [await server(stack, tmp_path, transport, port) for port in ports]
        gateway, _, port = await gateway_for(stack, tmp_path, transport, ports)
        running = await load(stack, tmp_path, transport, port, calls)
        await until(lambda: calls_to(gateway, ports[0]) > 300)
        first.kill()
        totals, counts = await running.finish(), running.counts()
        note(f"killed under load, {transport}", f"{calls} calls at {RATE}/s", running.seconds, str(totals))
        assert totals["SuccessfulCall"] + totals["FailedCall"] == calls
        assert (counts["2_200_Recv"], counts["2_200_Unexp"]) == (calls, 0), (
            "every call was answered, by one or the other"
        )
        assert totals["FailedCall"] < RATE * CALL, "those that it had answered when it was killed"
        failures = [line for line in gateway.log if "failed" in line]
        assert all(f":{ports[0]}" in line for line in failures)
        assert f":{ports[0]}" in await gateway.line("server down")
        await gateway.stop(signal.SIGKILL)  # it would wait for answers of the dead server


async def test_a_server_that_rolls_under_load_costs_nothing(tmp_path: Path) -> None:
    """Drained, stopped, started, used again, while calls come for as long as that takes."""
    calls = 4000
    async with AsyncExitStack() as stack:
        ports = free_port(), free_port()
        first, _ = [await server(stack, tmp_path, "tcp", port) for port in ports]
        gateway, config, port = await gateway_for(stack, tmp_path, "tcp", ports)
        running = await load(stack, tmp_path, "tcp", port, calls)
        await until(lambda: calls_to(gateway, ports[0]) > 200)
        drained = f'drained = ["tcp:127.0.0.1:{ports[0]}"]\n'
        change(config, "servers = ", f"{drained}servers = ")
        await reload(gateway)
        meant = calls_to(gateway, ports[0])
        await until(lambda: calls_to(gateway, ports[1]) > RATE * CALL)
        first.send_signal(signal.SIGUSR1)  # it ends when the calls of before have
        await first.wait()
        await server(stack, tmp_path, "tcp", ports[0])
        assert calls_to(gateway, ports[0]) == meant, "drained: nothing new"
        change(config, drained, "")
        await reload(gateway)
        await until(lambda: calls_to(gateway, ports[0]) > meant + 100)
        running.process.send_signal(signal.SIGUSR1)  # no further calls; those that there are go on to their end
        totals = await running.finish()
        note("rolls under load", f"calls at {RATE}/s", running.seconds, str(totals))
        assert totals["FailedCall"] == 0
        assert totals["SuccessfulCall"] == sum(calls_to(gateway, each) for each in ports) < calls
        assert not [line for line in gateway.log if "failed" in line or "server down" in line]
        assert await gateway.stop() == 0


@asynccontextmanager
async def restarted(gateway: Program, config: Path) -> AsyncIterator[Program]:
    """Kill a gateway and start it again where it was."""
    await gateway.stop(signal.SIGKILL)
    async with sipgw("serve", "--config", config) as after:
        await after.ports()
        yield after
        await after.stop(signal.SIGKILL)  # it would wait for answers to the calls that were lost


async def test_calls_over_udp_outlive_a_gateway_that_is_killed(tmp_path: Path) -> None:
    """Half of them are there when it happens, some are being set up, the others come while there is no gateway."""
    calls = 400
    async with AsyncExitStack() as stack:
        pool_port = free_port()
        await server(stack, tmp_path, "udp", pool_port, "pool_hold.xml")
        gateway, config, port = await gateway_for(stack, tmp_path, "udp", (pool_port,))
        running = await load(stack, tmp_path, "udp", port, calls, "client_hold.xml", "-recv_timeout", "4000")
        await until(lambda: calls_to(gateway, pool_port) >= calls // 2)
        async with restarted(gateway, config):
            totals, counts = await running.finish(), running.counts()
        note("gateway killed under load, udp", f"{calls} calls at {RATE}/s", running.seconds, str(totals))
        assert totals["SuccessfulCall"] + totals["FailedCall"] == calls
        assert counts["0_INVITE_Retrans"] > RATE / 20, "it was gone, and what is sent again finds it back"
        assert totals["FailedCall"] <= RATE * SETUP, "SIPp forgives no 200 and no ACK that went down with the gateway"


async def test_calls_over_tcp_outlive_a_gateway_that_is_killed(tmp_path: Path) -> None:
    """Each client has a connection of its own, finds it broken, comes back and goes on; SIPp can do that for none."""
    async with AsyncExitStack() as stack:
        pool_server = await stack.enter_async_context(scripted(takes_calls))
        gateway, config, port = await gateway_for(stack, tmp_path, "tcp", (pool_server.port,))
        callers: list[RawClient] = []
        setting_up = asyncio.create_task(call_on(port, callers))
        await until(lambda: len(callers) >= 100)
        setting_up.cancel()
        began = time.monotonic()
        async with restarted(gateway, config):
            await asyncio.gather(setting_up, return_exceptions=True)
            ended = await asyncio.gather(*[continues(caller, port) for caller in callers])
        note(
            "gateway killed under load, tcp",
            f"{len(callers)} calls set up at {RATE}/s",
            time.monotonic() - began,
            f"{sum(ended)} go on",
        )
        assert len(callers) >= 100
        assert all(ended)


async def call_on(port: int, callers: list[RawClient]) -> None:
    """Set up a call every few milliseconds, until cancelled; who has one is added to the callers."""
    async with asyncio.TaskGroup() as group:
        for number in range(10_000):
            group.create_task(set_up(RawClient(f"user{number}@contoso.com"), port, callers))
            await asyncio.sleep(1 / RATE)


async def set_up(caller: RawClient, port: int, callers: list[RawClient]) -> None:
    try:
        await caller.connect(port)
    except ConnectionError:
        return
    try:
        assert (await caller.register())[0] == 200
        await caller.invite(PAIR)
        callers.append(caller)
    except (asyncio.CancelledError, TimeoutError):
        await caller.close()
        raise


async def continues(caller: RawClient, port: int) -> bool:
    await caller.lost()
    await caller.connect(port)
    try:
        status, headers = await caller.register(query=True)
        known = status == 200 and "urn:uuid" in headers["contact"]  # it was signed in before, and still is
        return known and await caller.info(b"<x/>") == 200 and await caller.bye() == 200
    finally:
        await caller.close()

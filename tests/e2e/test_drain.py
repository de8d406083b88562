"""SIGTERM: nothing new is taken, what waits for an answer gets it, and the end comes within a bound."""

import asyncio
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from sipgw.server.app import DRAIN
from tests.e2e.faults.scripted import Exchange, is_silent, scripted
from tests.e2e.faults.site import PAIR, SLACK, caller, change, pool, until, write
from tests.e2e.programs import Program, sipgw

PATIENT = ("first_response = 0.5", "first_response = 60.0")


class Late:
    """A server that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[Exchange] = asyncio.Queue()

    def __call__(self, exchange: Exchange) -> None:
        if exchange.method == "INVITE":
            self.asked.put_nowait(exchange)


async def told_to_end(gateway: Program, port: int) -> None:
    """SIGTERM, and wait until nobody is let in any more."""
    async with caller(port) as dora:
        gateway.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            while (await dora.register())[0] != 503:
                pass


async def ended(gateway: Program) -> float:
    """Seconds until it has."""
    began = time.monotonic()
    assert await asyncio.wait_for(gateway.process.wait(), 15) == 0
    return time.monotonic() - began


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_call_gets_its_answer_and_then_all_ends(tmp_path: Path, workers: int) -> None:
    async with AsyncExitStack() as stack:
        late = Late()
        server = await stack.enter_async_context(scripted(late))
        config = write(tmp_path, pool("pcpool.contoso.com", [server.address], PAIR))
        change(config, *PATIENT)
        change(config, "[store]", f"workers = {workers}\n[store]")
        gateway = await stack.enter_async_context(sipgw("serve", "--config", config))
        port = (await gateway.ports())["tcp"]
        alice = await stack.enter_async_context(caller(port))
        call = asyncio.create_task(alice.invite(PAIR))
        exchange = await asyncio.wait_for(late.asked.get(), 10)
        await told_to_end(gateway, port)
        exchange.answer(200)
        await call
        assert await ended(gateway) < DRAIN


async def test_what_gets_no_answer_holds_nobody_up_for_longer_than_the_bound(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        silent = await stack.enter_async_context(scripted(is_silent))
        config = write(tmp_path, pool("pcpool.contoso.com", [silent.address], PAIR))
        change(config, *PATIENT)
        gateway = await stack.enter_async_context(sipgw("serve", "--config", config))
        port = (await gateway.ports())["tcp"]
        alice = await stack.enter_async_context(caller(port))
        call = asyncio.create_task(alice.invite(PAIR))
        await until(lambda: "INVITE" in silent.heard)
        gateway.process.send_signal(signal.SIGTERM)
        assert await ended(gateway) < DRAIN + 2 * SLACK
        call.cancel()


async def test_options_of_our_own_hold_nobody_up(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        silent = await stack.enter_async_context(scripted(is_silent))
        config = write(tmp_path, pool("pcpool.contoso.com", [silent.address], PAIR), health="interval = 1.0")
        change(config, *PATIENT)
        gateway = await stack.enter_async_context(sipgw("serve", "--config", config))
        await gateway.ports()
        await until(lambda: "OPTIONS" in silent.heard)
        gateway.process.send_signal(signal.SIGTERM)
        assert await ended(gateway) < DRAIN - SLACK

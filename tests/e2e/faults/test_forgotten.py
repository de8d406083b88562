"""Connections to a server that are dead while new ones work, and a server whose machine vanishes and comes back."""

import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.e2e.faults.scripted import Scripted, scripted, takes_calls, unreachable
from tests.e2e.faults.site import (
    CONNECT,
    FIRST_RESPONSE,
    GONE,
    PAIR,
    SLACK,
    caller,
    emulated_pool,
    note,
    pool,
    visit,
    write,
)
from tests.e2e.programs import Program, sipgw
from tests.e2e.raw_client import RawClient

EVERY = 0.3
PROBED = f"interval = {EVERY}\nrise = 1\nfall = 2"
ROUND = EVERY * 1.15 + FIRST_RESPONSE  # at most from one OPTIONS without an answer to the next


async def gateway_before(
    stack: AsyncExitStack, folder: Path, servers: list[str], health: str = "interval = 0"
) -> tuple[Program, int]:
    config = write(folder, pool("pcpool.contoso.com", servers, PAIR), health=health)
    gateway = await stack.enter_async_context(sipgw("serve", "--config", config))
    return gateway, (await gateway.ports())["tcp"]


async def in_a_call(stack: AsyncExitStack, port: int) -> RawClient:
    alice = await stack.enter_async_context(caller(port))
    await alice.invite(PAIR)
    return alice


@pytest.mark.parametrize("inside", [False, True], ids=["new call", "inside a dialog"])
async def test_a_connection_that_breaks_with_its_first_use_is_replaced(tmp_path: Path, inside: bool) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(scripted(takes_calls))
        gateway, port = await gateway_before(stack, tmp_path, [server.address])
        alice = await in_a_call(stack, port)
        server.forget(lost=False)
        began = time.monotonic()
        if inside:  # it may have been there: a second time would be wrong
            assert await alice.info(b"<x/>") == GONE
            assert await alice.info(b"<x/>") == 200
        else:
            await in_a_call(stack, port)
            assert not [line for line in gateway.log if "next hop failed" in line]
        seconds = time.monotonic() - began
        note("forgotten connection, reset", "INFO" if inside else "next client", seconds, "a new connection")
        assert seconds < SLACK
        assert not [line for line in gateway.log if "server down" in line]


async def test_a_connection_that_is_silent_is_replaced_before_anybody_calls(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(scripted(takes_calls))
        gateway, port = await gateway_before(stack, tmp_path, [server.address], PROBED)
        alice = await in_a_call(stack, port)
        server.forget(lost=True)
        began = time.monotonic()
        before = len(server.heard)
        while "OPTIONS" not in server.heard[before:]:
            await alice.register()  # something to wait for; the gateway answers it itself
            assert time.monotonic() - began < 2 * ROUND + SLACK
        note("forgotten connection, silent", "the gateway", time.monotonic() - began, "has another one, by OPTIONS")
        assert await alice.info(b"<x/>") == 200, "the call goes on over the new one"
        await in_a_call(stack, port)
        assert not [line for line in gateway.log if "server down" in line]


async def test_without_options_one_call_finds_it_out(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(scripted(takes_calls))
        good = await stack.enter_async_context(emulated_pool())
        gateway, port = await gateway_before(stack, tmp_path, [server.address, good])
        await in_a_call(stack, port)
        server.forget(lost=True)
        began = time.monotonic()
        await in_a_call(stack, port)
        note("forgotten connection, silent, no OPTIONS", "next client", time.monotonic() - began, "at another server")
        assert FIRST_RESPONSE <= time.monotonic() - began < FIRST_RESPONSE + SLACK
        before = len(server.heard)
        await in_a_call(stack, port)
        assert "INVITE" in server.heard[before:]
        assert not [line for line in gateway.log if "server down" in line]


async def vanished(stack: AsyncExitStack, folder: Path) -> tuple[Scripted, RawClient, Program, int]:
    """A call at a server whose machine is then switched off, and a server that works."""
    server = await stack.enter_async_context(scripted(takes_calls))
    good = await stack.enter_async_context(emulated_pool())
    gateway, port = await gateway_before(stack, folder, [server.address, good], PROBED)
    alice = await in_a_call(stack, port)
    server.vanish()
    return server, alice, gateway, port


async def test_a_machine_that_vanishes_and_comes_back(tmp_path: Path) -> None:
    """Its connections stay half open all the time, and nobody answers on them any more."""
    async with AsyncExitStack() as stack:
        server, alice, gateway, port = await vanished(stack, tmp_path)
        async with unreachable(server.port):
            began = time.monotonic()
            reason = await gateway.line("server down")
            note("machine vanishes", "the gateway notices", time.monotonic() - began, "server down")
            assert "timeout" in reason or "no connection" in reason
            assert time.monotonic() - began < 2 * ROUND + SLACK
            began = time.monotonic()
            assert await alice.info(b"<x/>") == GONE
            note("machine vanishes", "INFO of a call at that server", time.monotonic() - began, str(GONE))
            assert time.monotonic() - began < CONNECT + SLACK
            between = await visit(port)
            assert between.failure == "" and between.seconds < SLACK
        began = time.monotonic()
        back = await stack.enter_async_context(scripted(takes_calls, server.port))
        await gateway.line("server up", server.address)
        note("machine comes back", "the gateway notices", time.monotonic() - began, "server up")
        assert time.monotonic() - began < ROUND + CONNECT + SLACK
        await in_a_call(stack, port)
        assert "INVITE" in back.heard

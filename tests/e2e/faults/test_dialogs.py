"""A pool server that goes while calls are with it, and comes back: what those calls get, and the next ones."""

import asyncio
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path

from tests.e2e.faults.scripted import Scripted, scripted, takes_calls
from tests.e2e.faults.site import (
    FIRST_RESPONSE,
    GONE,
    PAIR,
    SLACK,
    caller,
    emulated_pool,
    note,
    pool,
    until,
    visit,
    write,
)
from tests.e2e.programs import Program, sipgw
from tests.e2e.raw_client import RawClient
from tests.ports import free_port
from tests.sipe.client import StartClient
from tests.sipe.conftest import sipe_driver, start_client

__all__ = ["sipe_driver", "start_client"]

PROBED = "interval = 0.3\nrise = 1\nfall = 2"
NOTICED = 2 * (0.3 * 1.15 + FIRST_RESPONSE)  # seconds until two OPTIONS have not been answered


async def two_processes(stack: AsyncExitStack, folder: Path, health: str) -> tuple[list[Program], Program, int]:
    """Two emulated pools, the gateway before them, and its port."""
    listen = ("--listen", "tcp:127.0.0.1:0", "--room", "Lobby")
    pools = [await stack.enter_async_context(sipgw("pool", *listen)) for _ in range(2)]
    servers = [f"tcp:127.0.0.1:{(await one.ports())['tcp']}" for one in pools]
    config = write(folder, pool("pcpool.contoso.com", servers, PAIR), health=health)
    gateway = await stack.enter_async_context(sipgw("serve", "--config", config))
    return pools, gateway, (await gateway.ports())["tcp"]


async def test_a_server_that_dies_takes_its_calls_with_it_and_no_others(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        pools, gateway, port = await two_processes(stack, tmp_path, "interval = 0")
        alice = await stack.enter_async_context(caller(port))
        await alice.invite(PAIR)
        assert await alice.info(b"<x/>") == 200
        await pools[0].stop(signal.SIGKILL)
        began = time.monotonic()
        assert await alice.info(b"<x/>") == GONE
        note("dies in mid-call", "INFO of that call", time.monotonic() - began, str(GONE))
        assert time.monotonic() - began < SLACK
        assert await alice.bye() == GONE
        after = await visit(port)
        note("dies in mid-call", "next client", after.seconds, after.failure or "chats")
        assert after.failure == ""
        assert after.seconds < SLACK
        line = await gateway.line("request failed", "method=INFO")
        # which of the two depends on whether the end of the connection or the INFO was read first
        reasons = ("Connection refused", "closed by the other side")
        assert "the other side of the dialog" in line and any(reason in line for reason in reasons)


async def test_the_client_starts_again_by_itself_at_the_other_server(tmp_path: Path, start_client: StartClient) -> None:
    async with AsyncExitStack() as stack:
        pools, _, port = await two_processes(stack, tmp_path, "interval = 0")
        alice = await start_client("alice@contoso.com", f"127.0.0.1:{port}", transport="tcp")
        await alice.chat_ready()
        uris = {event["name"]: event["uri"] for event in await alice.rooms()}
        lobby = await alice.join(uris["Lobby"])
        await lobby.say("hello")
        await lobby.hears("hello", own=True)
        await pools[0].stop(signal.SIGKILL)
        began, mark = time.monotonic(), alice.mark()
        await lobby.say("anybody there?")
        told = await alice.wait_for("conversation_write", since=mark)
        assert "This message was not delivered" in told["text"]
        await alice.wait_for("group_chat_ready", since=mark)
        note("dies in mid-call", "pidgin-sipe", time.monotonic() - began, "not delivered; then chats again")
        await lobby.say("I am back")
        await lobby.hears("I am back", own=True)


async def half_open(
    stack: AsyncExitStack, folder: Path, health: str, timers: str = ""
) -> tuple[Scripted, RawClient, Program, int]:
    """A call at a server that then neither reads nor says anything, while its connection stays; and one that works."""
    vanishing = await stack.enter_async_context(scripted(takes_calls))
    good = await stack.enter_async_context(emulated_pool())
    config = write(folder, pool("pcpool.contoso.com", [vanishing.address, good], PAIR), health=health, timers=timers)
    gateway = await stack.enter_async_context(sipgw("serve", "--config", config))
    port = (await gateway.ports())["tcp"]
    alice = await stack.enter_async_context(caller(port))
    await alice.invite(PAIR)
    assert await alice.info(b"<x/>") == 200
    vanishing.deaf = True
    return vanishing, alice, gateway, port


async def test_the_calls_after_a_server_has_vanished_cost_their_patience_and_then_nothing(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        _, _, gateway, port = await half_open(stack, tmp_path, "interval = 0")
        first, second = await visit(port), await visit(port)
        note("half-open TCP, no OPTIONS", "first client", first.seconds, "chats")
        assert (first.failure, second.failure) == ("", "")
        assert 2 * FIRST_RESPONSE <= first.seconds < 2 * FIRST_RESPONSE + SLACK
        assert second.seconds < SLACK
        assert "timeout" in await gateway.line("server down")


async def test_a_server_that_has_vanished_is_found_out_before_anybody_calls(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        _, _, gateway, port = await half_open(stack, tmp_path, PROBED)
        began = time.monotonic()
        assert "timeout" in await gateway.line("server down")
        note("half-open TCP", "the gateway notices", time.monotonic() - began, "by OPTIONS every 0.3 s")
        assert time.monotonic() - began < NOTICED + SLACK
        first = await visit(port)
        note("half-open TCP", "first client", first.seconds, "chats")
        assert first.failure == ""
        assert first.seconds < SLACK


async def test_a_call_with_a_server_that_has_vanished_is_told(tmp_path: Path) -> None:
    """A client of this kind waits for ever: what is known has to be said, and in time (RFC 4320 §4.2)."""
    timers = "t1 = 0.05\nt2 = 0.4"  # shorter, as is the patience with what is no INVITE that follows from them
    async with AsyncExitStack() as stack:
        _, alice, gateway, _ = await half_open(stack, tmp_path, PROBED, timers)
        await gateway.line("server down")
        began = time.monotonic()
        assert await alice.info(b"<x/>") == GONE
        note("half-open TCP", "INFO of a call at that server", time.monotonic() - began, str(GONE))
        assert time.monotonic() - began < FIRST_RESPONSE + SLACK


async def test_a_server_that_comes_back_is_used_again_without_anybody_trying_it(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        good = await stack.enter_async_context(emulated_pool())
        port_of_first = free_port()
        async with emulated_pool(port_of_first) as first:
            config = write(tmp_path, pool("pcpool.contoso.com", [first, good], PAIR), health=PROBED)
            gateway = await stack.enter_async_context(sipgw("serve", "--config", config))
            port = (await gateway.ports())["tcp"]
            assert (await visit(port)).failure == ""
        await gateway.line("server down", first)
        between = await visit(port)
        assert between.failure == "" and between.seconds < SLACK
        began = time.monotonic()
        async with emulated_pool(port_of_first):
            await gateway.line("server up", first)
            note("comes back", "the gateway notices", time.monotonic() - began, "server up")
            assert time.monotonic() - began < 0.3 * 1.15 + SLACK
            seen = len(gateway.log)
            assert (await visit(port)).failure == ""
            await until(lambda: any("forwarded" in line and first in line for line in gateway.log[seen:]))
        assert not [line for line in gateway.log if "next hop failed" in line], "no call had to find out"


async def test_where_all_are_down_the_first_one_back_takes_the_next_call(tmp_path: Path) -> None:
    """Without OPTIONS: nobody else would notice."""
    async with AsyncExitStack() as stack:
        ports = free_port(), free_port()
        first, second = (f"tcp:127.0.0.1:{port}" for port in ports)
        config = write(tmp_path, pool("pcpool.contoso.com", [first, second], PAIR))
        gateway = await stack.enter_async_context(sipgw("serve", "--config", config))
        port = (await gateway.ports())["tcp"]
        told = await visit(port)
        assert f"{first} Connection refused, {second} Connection refused" in told.failure
        await stack.enter_async_context(emulated_pool(ports[1]))
        back = await visit(port)
        note("all down, one comes back", "next client", back.seconds, back.failure or "chats")
        assert back.failure == "" and back.seconds < SLACK
        await asyncio.wait_for(gateway.line("server up", second), 5)

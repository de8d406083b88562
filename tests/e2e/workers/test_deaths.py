"""Workers die, are told to end, are told of another configuration; the others go on."""

import asyncio
import os
import signal
from pathlib import Path

from sipgw.groupchat import xccos
from tests.e2e.raw_client import RawClient
from tests.e2e.workers.site import Site, site


async def test_a_worker_that_is_killed_under_load_takes_nothing_of_the_others_along(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        others = [await here.client(f"user{number}", 0) for number in range(4)]
        bob = await here.client("bob", 1)
        for client in (*others, bob):
            await client.invite("sip:ocschat@contoso.com")
        before, over = here.pids(), asyncio.Event()
        talking = [asyncio.create_task(talk(client, over)) for client in others]
        os.kill(before[1], signal.SIGKILL)
        await bob.lost()
        assert "worker=1" in await here.gateway.line("worker ended", "SIGKILL")
        await here.gateway.line("worker started")
        over.set()
        assert all(said > 10 for said in await asyncio.gather(*talking))
        assert here.pids()[0] == before[0] and here.pids()[1] != before[1]
        await back(here, bob)
        assert await here.metric("sipgw_worker_restarts_total") == 1
        for client in others:
            assert await client.bye() == 200
            await client.close()
    assert not here.lines("Traceback")


async def talk(client: RawClient, over: asyncio.Event) -> int:
    """Ask the pool again and again. How often it has answered."""
    said = 0
    while not over.is_set():
        assert await client.info(xccos.command("77", "requri")) == 200
        await asyncio.wait_for(client.next_info(), 10)
        said += 1
    return said


async def back(here: Site, bob: RawClient) -> None:
    """Who comes back finds his registration and, by his new connection, his call, whichever worker he comes to."""
    await bob.connect(here.tcp)
    status, headers = await bob.register(query=True)
    assert status == 200 and "urn:uuid" in headers["contact"]
    assert await bob.info(xccos.command("77", "requri")) == 200
    await asyncio.wait_for(bob.next_info(), 10)
    assert await bob.bye() == 200
    await bob.close()


async def test_the_first_worker_is_killed_and_administration_comes_back(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        alice, bob = await here.client("alice", 0), await here.client("bob", 1)
        os.kill(here.pids()[0], signal.SIGKILL)
        await alice.lost()
        assert await here.metric("sipgw_registrations") == 2  # the answer has waited for the next one
        assert await bob.message("sip:bob@contoso.com", b"hello") == 200
        again = await here.client("carol", 0)
        assert await again.message("sip:bob@contoso.com", b"hello") == 200, "it knows the connections of the other"
        assert await bob.message("sip:carol@contoso.com", b"hello") == 200
        for client in (bob, again):
            await client.close()


async def test_reload_and_end(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        clients = [await here.client("alice", 0), await here.client("bob", 1)]
        here.gateway.process.send_signal(signal.SIGHUP)
        await here.gateway.line("reloaded")
        text = here.config.read_text()
        another = 'sip_address = "sip:second@contoso.com"\npool_fqdn = "pcpool.contoso.com"'
        here.config.write_text(text.replace("[limits]", "[limits]\nmax_headers = 5"))
        here.gateway.process.send_signal(signal.SIGHUP)
        assert "max_headers" in await here.gateway.line("not reloaded")
        here.config.write_text(f"{text}[[endpoint]]\n{another}\n")
        for client in clients:
            assert await client.message("sip:second@contoso.com", b"hello") == 404
        reloads = len(here.lines("reloaded"))
        here.gateway.process.send_signal(signal.SIGHUP)
        while len(here.lines("reloaded")) == reloads:
            await here.gateway.more()
        for client in clients:
            assert await client.message("sip:second@contoso.com", b"hello") != 404
        assert await here.gateway.stop() == 0
        for client in clients:
            await client.lost()
    assert not here.lines("worker ended") and not here.lines("Traceback")

"""The gateway stops in the middle of a call over TCP and comes back: registrations and the call survive."""

import asyncio
import signal
from pathlib import Path

import pytest

from sipgw.groupchat import xccos
from tests.e2e.programs import Program, sipgw, write_config
from tests.e2e.raw_client import RawClient
from tests.ports import free_port


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_the_next_request_after_reconnecting_succeeds(tmp_path: Path, number: int) -> None:
    async with sipgw("pool", "--listen", "tcp:127.0.0.1:0", "--room", "Lobby") as pool:
        server = f"tcp:127.0.0.1:{(await pool.ports())['tcp']}"
        config = write_config(tmp_path, server, listen=(f"tcp:127.0.0.1:{free_port()}",))
        async with sipgw("serve", "--config", config) as gateway:
            port = (await gateway.ports())["tcp"]
            alice = RawClient("alice@contoso.com")
            await alice.connect(port)
            assert (await alice.register())[0] == 200
            await alice.invite("sip:ocschat@contoso.com")
            assert await gateway.stop(number) == (0 if number == signal.SIGTERM else -signal.SIGKILL)
        async with sipgw("serve", "--config", config) as gateway:
            try:
                await restarted(alice, gateway, port)
            finally:
                await alice.close()


async def restarted(alice: RawClient, gateway: Program, port: int) -> None:
    await alice.lost()
    assert (await gateway.ports())["tcp"] == port
    await alice.connect(port)
    status, headers = await alice.register(query=True)
    assert status == 200
    assert "urn:uuid" in headers["contact"], "the binding of before the restart is still there"
    assert await alice.info(xccos.command("77", "requri")) == 200
    reply = xccos.parse(await asyncio.wait_for(alice.next_info(), 10))
    assert xccos.channel_uri(reply) == "sip:GC-1-PersistentChatService-1@contoso.com"
    assert await alice.bye() == 200

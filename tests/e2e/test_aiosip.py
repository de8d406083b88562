"""aiosip over UDP: it registers, asks for the options, calls the contact object and hangs up."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDict

from tests.e2e import aiosip_shim
from tests.e2e.programs import sipgw, write_config
from tests.ports import free_port

aiosip = aiosip_shim.load()


@asynccontextmanager
async def dialog(app: Any, port: int, to: str, local_port: int) -> AsyncIterator[Any]:
    made = await app.start_dialog(
        f"sip:alice@contoso.com:{local_port}",
        to,
        contact_uri=f"sip:alice@127.0.0.1:{local_port}",
        local_addr=("127.0.0.1", local_port),
        remote_addr=("127.0.0.1", port),
    )
    yield made
    made.callbacks.clear()


def routed(headers: Any) -> dict[str, str]:
    """aiosip knows no Record-Route: give it the route set that a UAC makes of it (RFC 3261 §12.1.2)."""
    return {"Route": headers["Record-Route"]}  # one proxy, one value


@pytest.fixture
def local_port() -> int:
    """aiosip puts the port that it is told into its Contact, so 0 will not do."""
    return free_port()


async def test_aiosip_registers_and_calls(tmp_path: Path, local_port: int) -> None:
    async with sipgw("pool", "--listen", "udp:127.0.0.1:0", "--room", "Lobby") as pool:
        config = write_config(tmp_path, f"udp:127.0.0.1:{(await pool.ports())['udp']}")
        async with sipgw("serve", "--config", config) as gateway:
            port = (await gateway.ports())["udp"]
            app = aiosip.Application(loop=asyncio.get_running_loop())
            try:
                await _register(app, port, local_port)
                await _call(app, port, local_port)
            finally:
                for transport in app._transports.values():
                    transport.close()


async def _register(app: Any, port: int, local_port: int) -> None:
    async with dialog(app, port, "sip:alice@contoso.com", local_port) as alice:
        answer = await asyncio.wait_for(alice.register(), 10)
        assert answer.status_code == 200
        assert re.search(r"sip:alice@127\.0\.0\.1", answer.headers["Contact"])
    async with dialog(app, port, "sip:contoso.com", local_port) as server:
        options = await asyncio.wait_for(server.send_message("OPTIONS"), 10)
        assert options.status_code == 200
        assert "REGISTER" in options.headers["Allow"]


async def _call(app: Any, port: int, local_port: int) -> None:
    async with dialog(app, port, "sip:ocschat@contoso.com", local_port) as call:
        answer = await asyncio.wait_for(call.send_message("INVITE", payload="v=0\r\n"), 10)
        assert answer.status_code == 200
        headers = {"To": answer.headers["To"], **routed(answer.headers)}
        call.cseqs["ACK"], call.cseqs["BYE"] = 0, 1
        call.send_message("ACK", headers=CIMultiDict(headers))
        bye = await asyncio.wait_for(call.send_message("BYE", headers=CIMultiDict(headers)), 10)
        assert bye.status_code == 200

"""`sipgw explain` and `sipgw check` beside a gateway that runs, as processes."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

from sipgw.server.running import Running, read_running
from tests.e2e.programs import Program, sipgw, write_config
from tests.e2e.raw_client import RawClient

OCSCHAT = "sip:ocschat@contoso.com"


async def output_of(*arguments: str | Path) -> tuple[int, list[str]]:
    """A command that ends by itself: its exit status and what it has written."""
    async with sipgw(*arguments) as program, asyncio.timeout(30):
        status = await program.process.wait()
        await program.ended()
        return status, program.log


async def until(store: Path, wanted: Callable[[Running], bool]) -> Running:
    """What the gateway on a store tells of itself, once it is what is wanted."""
    async with asyncio.timeout(15):
        while True:
            found = read_running(store)
            if found is not None and wanted(found):
                return found
            await asyncio.sleep(0.02)


async def test_it_knows_what_the_gateway_knows(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        server = f"tcp:127.0.0.1:{closed.getsockname()[1]}"
    config, store = write_config(tmp_path, server), tmp_path / "gateway.db"
    async with sipgw("serve", "--config", config) as gateway:
        port = (await gateway.ports())["tcp"]
        alice = RawClient("alice@contoso.com")
        await alice.connect(port)
        assert (await alice.register())[0] == 200
        running = await until(store, lambda found: bool(found.servers))
        assert running.pid == gateway.process.pid
        await the_pool_is_down(config, server, gateway)
        status, said = await output_of("explain", "MESSAGE", "sip:alice@contoso.com", "--config", config)
        assert status == 0
        assert any("the user's own connection" in line for line in said)
        await alice.close()
        assert await gateway.stop() == 0
    assert not store.with_name("gateway.db-running").exists()
    status, said = await output_of("explain", "INVITE", OCSCHAT, "--config", config)
    assert (status, said[2]) == (0, "gateway   none runs on this store: health and connections are not known")


async def the_pool_is_down(config: Path, server: str, gateway: Program) -> None:
    status, said = await output_of("explain", "INVITE", OCSCHAT, "--config", config)
    assert status == 0
    assert said[2].startswith(f"gateway   pid {gateway.process.pid}, runs on this store since ")
    (tried,) = [line for line in said if line.startswith("tried ")]
    assert tried.startswith(f"tried     1. {server}, active, down since ")
    assert tried.endswith(": Connection refused")


async def test_check_takes_the_ports_of_a_gateway_that_runs_for_its_own(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = write_config(tmp_path, "udp:127.0.0.1:9", listen=[f"tcp:127.0.0.1:{port}"])
    async with sipgw("serve", "--config", config) as gateway:
        await gateway.ports()
        await until(tmp_path / "gateway.db", lambda found: True)
        status, said = await output_of("check", "--config", config)
        text = f"in use by the gateway that runs on this store (pid {gateway.process.pid})"
        assert f"note gateway.listen: tcp:127.0.0.1:{port}: {text}" in said
        assert status == 0

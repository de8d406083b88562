"""`sipgw explain` and `sipgw check` beside a gateway that runs, as processes."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from sipgw.server.running import Running, read_running
from tests.e2e.admin_gateway import Phone, running
from tests.e2e.programs import Program, sipgw, write_config
from tests.e2e.raw_client import RawClient
from tests.ports import free_port

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
    server = f"tcp:127.0.0.1:{free_port()}"
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
        assert any("the user's own connection, if it still stands" in line for line in said), "no API, no word"
        assert any(line.startswith("unless    that connection is gone, ") for line in said)
        await alice.close()
        assert await gateway.stop() == 0
    assert not store.with_name("gateway.db-running").exists()
    status, said = await output_of("explain", "INVITE", OCSCHAT, "--config", config)
    assert (status, said[2]) == (0, "gateway   none runs on this store: health and connections are not known")


async def test_a_connection_is_asked_of_the_gateway(tmp_path: Path) -> None:
    """Which stands, and which is gone: then the address of the contact is dialled, and that is told."""
    config = write_config(tmp_path, "udp:127.0.0.1:9")
    config.write_text(
        config.read_text().replace('[admin]\nlisten = "127.0.0.1:0"', f'[admin]\nlisten = "127.0.0.1:{free_port()}"')
    )
    asked = "explain", "MESSAGE", "sip:alice@contoso.com", "--config", config
    async with sipgw("serve", "--config", config) as gateway:
        alice = RawClient("alice@contoso.com")
        await alice.connect((await gateway.ports())["tcp"])
        assert (await alice.register())[0] == 200
        status, said = await output_of(*asked)
        assert status == 0 and any("the user's own connection, which stands" in line for line in said), said
        assert not any(line.startswith("unless ") for line in said)
        await alice.close()
        async with asyncio.timeout(120):
            while any("which stands" in line for line in said):
                _, said = await output_of(*asked)
        assert any(
            line.startswith("unless    nobody takes a connection at the address of the contact") for line in said
        )


async def the_pool_is_down(config: Path, server: str, gateway: Program) -> None:
    status, said = await output_of("explain", "INVITE", OCSCHAT, "--config", config)
    assert status == 1
    assert said[2].startswith(f"gateway   pid {gateway.process.pid}, runs on this store since ")
    (tried,) = [line for line in said if line.startswith("tried ")]
    assert tried.startswith(f"tried     1. {server}, active, down since ")
    assert tried.endswith(": Connection refused")


BOB = ("INVITE", "sip:bob@contoso.com")


async def test_a_user_who_has_signed_out(tmp_path: Path) -> None:
    """What the caller gets, what the gateway says of it, and what the command does, with and without its help."""
    with running(tmp_path) as gateway, Phone(gateway.udp_port()) as phone:
        for expires in (600, 0):
            assert phone.ask("REGISTER", "sip:contoso.com", "bob@contoso.com", f"Expires: {expires}")[0] == 200
        status, text = phone.ask(*BOB)
        assert status == 480 and "ms-diagnostics: 1007;" in text
        for uri, answer in ((BOB[1], (480, 1007)), ("sip:nobody@contoso.com", (404, 1003))):
            decision = gateway.ask("POST", "/api/v1/explain", {"method": "INVITE", "uri": uri}).body["decision"]
            assert (decision["status"], decision["diagnostics"], decision["unless"]) == (*answer, "")
        status, said = await output_of("explain", *BOB, "--config", gateway.config)
        assert status == 1
        assert "          ms-diagnostics 1003 User does not exist" in said
        assert any(line.startswith("unless    the user has signed out since") for line in said)
        address = gateway.url.removeprefix("http://")  # which the command finds the gateway by from now on
        text = gateway.config.read_text().replace('[admin]\nlisten = "127.0.0.1:0"', f'[admin]\nlisten = "{address}"')
        gateway.config.write_text(text)
        status, said = await output_of("explain", *BOB, "--config", gateway.config)
        assert status == 1
        assert any("ms-diagnostics 1007 " in line for line in said), said
        assert not any(line.startswith("unless") for line in said)


async def test_a_user_who_has_never_signed_in(tmp_path: Path) -> None:
    users = tmp_path / "users.toml"
    users.write_text('[[user]]\nuri = "sip:bob@contoso.com"\npassword = "secret"\n')
    users.chmod(0o600)
    with running(tmp_path, extra='[auth]\nschemes = ["digest"]\n') as gateway:
        decision = gateway.ask("POST", "/api/v1/explain", {"method": "INVITE", "uri": BOB[1]}).body["decision"]
        assert (decision["status"], decision["diagnostics"]) == (480, 1007)
        _, said = await output_of("explain", *BOB, "--config", gateway.config)
        assert any("ms-diagnostics 1007 " in line for line in said), said


async def test_check_takes_the_ports_of_a_gateway_that_runs_for_its_own(tmp_path: Path) -> None:
    port = free_port()
    config = write_config(tmp_path, "udp:127.0.0.1:9", listen=[f"tcp:127.0.0.1:{port}", "udp:127.0.0.1:0"])
    async with sipgw("serve", "--config", config) as gateway:
        await gateway.ports()
        await until(tmp_path / "gateway.db", lambda found: True)
        status, said = await output_of("check", "--config", config)
        text = f"in use by the gateway that runs on this store (pid {gateway.process.pid})"
        assert f"note gateway.listen: tcp:127.0.0.1:{port}: {text}" in said
        assert status == 1, "for the pool's sake, where nobody is"
        assert [line.split(":")[0] for line in said if line.startswith("FAIL")] == ["FAIL pool pcpool.contoso.com"]

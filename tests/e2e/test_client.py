"""`sipgw client` through `sipgw serve` to `sipgw pool`, as somebody would run them in three terminals."""

import time
from pathlib import Path

import pytest

from sipgw.server.store import contents
from tests.e2e.programs import Program, sipgw, write_config

ALICE, BOB = "sip:alice@contoso.com", "sip:bob@contoso.com"


async def finished(program: Program) -> tuple[int, str]:
    status = await program.process.wait()
    await program.stop()
    return status, "\n".join(program.log)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_two_clients_hear_each_other_and_find_the_history(tmp_path: Path, transport: str) -> None:
    data = tmp_path / "rooms.db"
    async with sipgw("pool", "--listen", f"{transport}:127.0.0.1:0", "--room", "Lobby", "--data", data) as pool:
        pool_port = (await pool.ports())[transport]
        config = write_config(tmp_path, f"{transport}:127.0.0.1:{pool_port}")
        async with sipgw("serve", "--config", config) as gateway:
            server = ("--server", f"{transport}:127.0.0.1:{(await gateway.ports())[transport]}")
            async with sipgw("client", "--user", BOB, *server, "--join", "Lobby", "--expect", "grüße") as bob:
                await bob.line("joined Lobby")
                said = ("--join", "Lobby", "--say", "grüße aus Köln <b>")
                async with sipgw("client", "--user", ALICE, *server, *said) as alice:
                    assert (await finished(alice))[0] == 0
                assert (await finished(bob))[0] == 0
            async with sipgw("client", "--user", ALICE, *server, "--rooms", "--join", "Lobby", "--history") as again:
                status, output = await finished(again)
            assert status == 0
            assert "Lobby\tma-chan://contoso.com/" in output
            assert "alice: grüße aus Köln <b>" in output


async def test_what_nobody_says_is_not_waited_for_in_silence(tmp_path: Path) -> None:
    async with sipgw("pool", "--listen", "tcp:127.0.0.1:0", "--room", "Lobby") as pool:
        config = write_config(tmp_path, f"tcp:127.0.0.1:{(await pool.ports())['tcp']}")
        async with sipgw("serve", "--config", config) as gateway:
            server = ("--server", f"tcp:127.0.0.1:{(await gateway.ports())['tcp']}", "--timeout", "3")
            async with sipgw("client", "--user", BOB, *server, "--join", "Lobby", "--expect", "hello") as bob:
                status, output = await finished(bob)
    assert (status, output.splitlines()[-1]) == (1, "sipgw client: not done within 3 s")


async def test_a_missing_endpoint_is_told_to_the_user_and_logged(tmp_path: Path) -> None:
    config = write_config(tmp_path, "tcp:127.0.0.1:9", endpoint=False)
    async with sipgw("serve", "--config", config) as gateway:
        server = f"tcp:127.0.0.1:{(await gateway.ports())['tcp']}"
        async with sipgw("client", "--user", ALICE, "--server", server, "--rooms") as alice:
            status, output = await finished(alice)
        assert status == 1
        assert "404" in output and "1003" in output and "User does not exist" in output
        assert contents(tmp_path / "gateway.db", time.time()).bindings == [], "signed out all the same"
        line = await gateway.line("request failed")
        assert "404" in line and "ocschat@contoso.com" in line


async def test_a_pool_that_is_down_is_told_to_the_user_and_logged(tmp_path: Path) -> None:
    config = write_config(tmp_path, "tcp:127.0.0.1:9")
    async with sipgw("serve", "--config", config) as gateway:
        server = f"tcp:127.0.0.1:{(await gateway.ports())['tcp']}"
        async with sipgw("client", "--user", ALICE, "--server", server, "--rooms") as alice:
            status, output = await finished(alice)
        assert status == 1
        assert "504" in output and "1011" in output and "tcp:127.0.0.1:9" in output
        line = await gateway.line("request failed")
        assert "504" in line and "endpoint sip:ocschat@contoso.com" in line and "tcp:127.0.0.1:9" in line


async def test_an_endpoint_made_while_the_gateway_runs_is_found(tmp_path: Path) -> None:
    async with sipgw("pool", "--listen", "tcp:127.0.0.1:0", "--room", "Lobby") as pool:
        config = write_config(tmp_path, f"tcp:127.0.0.1:{(await pool.ports())['tcp']}")
        async with sipgw("serve", "--config", config) as gateway:
            server = ("--server", f"tcp:127.0.0.1:{(await gateway.ports())['tcp']}")
            address = ("--sip-address", "sip:chat@contoso.com", "--pool-fqdn", "pcpool.contoso.com")
            async with sipgw("endpoint", "new", *address, "--config", config) as made:
                assert (await finished(made))[0] == 0
            await gateway.line("endpoints changed")
            other = ("--contact-object", "sip:chat@contoso.com", "--rooms")
            async with sipgw("client", "--user", ALICE, *server, *other) as alice:
                status, output = await finished(alice)
            assert status == 0 and "Lobby" in output

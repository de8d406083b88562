"""SIGHUP: the configuration changes under a running gateway, and calls under way do not notice."""

import asyncio
import signal
import socket
from contextlib import closing
from pathlib import Path

import pytest

from sipgw.registry import Endpoint
from sipgw.server.running import read_running
from sipgw.server.store import Store
from tests.e2e.faults.site import until
from tests.e2e.programs import Program, sipgw, write_config
from tests.e2e.raw_client import RawClient
from tests.ports import free_port

OCSCHAT = "sip:ocschat@contoso.com"
SECOND = '[[endpoint]]\nsip_address = "sip:second@contoso.com"\npool_fqdn = "pcpool.contoso.com"\n'


def change(config: Path, old: str, new: str) -> None:
    text = config.read_text("utf-8")
    assert old in text
    config.write_text(text.replace(old, new), "utf-8")


async def hang_up(gateway: Program, word: str) -> str:
    """SIGHUP, and the line with the outcome."""
    seen = len(gateway.log)
    gateway.process.send_signal(signal.SIGHUP)
    async with asyncio.timeout(10):
        while True:
            for line in gateway.log[seen:]:
                if word in line:
                    return line
            await asyncio.sleep(0.02)


async def test_an_endpoint_comes_and_goes_while_a_call_goes_on(tmp_path: Path) -> None:
    async with sipgw("pool", "--listen", "tcp:127.0.0.1:0", "--room", "Lobby") as pool:
        config = write_config(tmp_path, f"tcp:127.0.0.1:{(await pool.ports())['tcp']}")
        async with sipgw("serve", "--config", config) as gateway:
            port = (await gateway.ports())["tcp"]
            alice, bob = RawClient("alice@contoso.com"), RawClient("bob@contoso.com")
            for client in (alice, bob):
                await client.connect(port)
                assert (await client.register())[0] == 200
            try:
                await alice.invite(OCSCHAT)
                text = config.read_text("utf-8")
                config.write_text(text.replace(OCSCHAT, "sip:renamed@contoso.com") + SECOND, "utf-8")
                await hang_up(gateway, "reloaded")
                with pytest.raises(AssertionError):
                    await bob.invite(OCSCHAT)
                await bob.invite("sip:second@contoso.com")
                assert await alice.info(b"<x/>") in (200, 400)
                assert await alice.bye() == 200
                assert await bob.bye() == 200
            finally:
                await alice.close()
                await bob.close()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param('level = "info"', 'level = "loud"', "log.level", id="a value that is none"),
        pytest.param("[log]", "[log", "not TOML", id="a file that is no TOML"),
        pytest.param(
            'fqdn = "127.0.0.1"', 'fqdn = "other.test"', "gateway.fqdn: changes only with a restart", id="fqdn"
        ),
        pytest.param("gateway.db", "other.db", "store.url: changes only with a restart", id="store"),
    ],
)
async def test_a_file_that_cannot_be_used_changes_nothing_and_is_reported(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    config = write_config(tmp_path, "tcp:127.0.0.1:9")
    async with sipgw("serve", "--config", config) as gateway:
        port = (await gateway.ports())["tcp"]
        change(config, old, new)
        config.write_text(config.read_text("utf-8").replace(OCSCHAT, "sip:renamed@contoso.com"), "utf-8")
        line = await hang_up(gateway, "not reloaded")
        assert said in line
        assert str(config) in line
        alice = RawClient("alice@contoso.com")
        await alice.connect(port)
        try:
            assert (await alice.register())[0] == 200
        finally:
            await alice.close()


async def test_an_endpoint_whose_pool_leaves_the_file_is_warned_of(tmp_path: Path) -> None:
    """At the reload, and at the next start."""
    config = write_config(tmp_path, "tcp:127.0.0.1:9", endpoint=False)
    with closing(Store.open(tmp_path / "gateway.db")) as store:
        store.add_endpoint(Endpoint("sip:chat@contoso.com", "pcpool.contoso.com"), 0)
    wanted = (
        "pcpool.contoso.com is not a configured pool (pools: other.contoso.com); put the [[pool]] pcpool.contoso.com"
    )
    async with sipgw("serve", "--config", config) as gateway:
        await gateway.ports()
        assert not any("endpoint not usable" in line for line in gateway.log)
        change(config, "pcpool.contoso.com", "other.contoso.com")
        assert wanted in await hang_up(gateway, "endpoint not usable")
    async with sipgw("serve", "--config", config) as gateway:
        assert wanted in await gateway.line("endpoint not usable", "reason")


async def test_an_address_that_is_taken_changes_nothing(tmp_path: Path) -> None:
    config = write_config(tmp_path, "tcp:127.0.0.1:9", listen=("tcp:127.0.0.1:0",))
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        async with sipgw("serve", "--config", config) as gateway:
            await gateway.ports()
            change(config, "'tcp:127.0.0.1:0'", f"'tcp:127.0.0.1:0', 'tcp:127.0.0.1:{taken}'")
            assert f"tcp:127.0.0.1:{taken}" in await hang_up(gateway, "not reloaded")


async def test_listeners_come_and_go_and_connections_stay(tmp_path: Path) -> None:
    config = write_config(tmp_path, "tcp:127.0.0.1:9", listen=("tcp:127.0.0.1:0",))
    async with sipgw("serve", "--config", config) as gateway:
        before = (await gateway.ports())["tcp"]
        alice, bob = RawClient("alice@contoso.com"), RawClient("bob@contoso.com")
        await alice.connect(before)
        after = free_port()
        change(config, "'tcp:127.0.0.1:0'", f"'tcp:127.0.0.1:{after}'")
        assert f"tcp:127.0.0.1:{after}" in await hang_up(gateway, "reloaded")
        with pytest.raises(ConnectionRefusedError):
            await bob.connect(before)
        await bob.connect(after)
        for client in (alice, bob):
            assert (await client.register())[0] == 200
            await client.close()


async def test_without_a_file_there_is_nothing_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with sipgw("serve") as gateway:
        line = await gateway.line("listening", "addresses") if gateway.process.returncode is None else ""
        assert line
        assert "there is no file" in await hang_up(gateway, "not reloaded")


async def test_a_second_gateway(tmp_path: Path) -> None:
    """Of the same file it is told who is there; of another store only that somebody is."""
    port = free_port()
    config = write_config(tmp_path, "tcp:127.0.0.1:9", listen=(f"tcp:127.0.0.1:{port}",))
    async with sipgw("serve", "--config", config) as gateway:
        await gateway.ports()
        pid = gateway.process.pid
        await until(lambda: read_running(tmp_path / "gateway.db") is not None)
        async with sipgw("serve", "--config", config) as second:
            line = await second.line("cannot start")
            assert (
                f"tcp:127.0.0.1:{port}: Address already in use: another gateway (pid {pid}) runs on this store" in line
            )
            assert await second.process.wait() == 1
        change(config, "gateway.db", "other.db")
        async with sipgw("serve", "--config", config) as third:
            line = await third.line("cannot start")
            assert "in use: by another program, or by a gateway that has another store; free it, or change" in line
            assert await third.process.wait() == 1

"""pidgin-sipe, unmodified, through `sipgw serve` to `sipgw pool`: what a person at the client would see."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from tests.e2e.programs import Program, sipgw, write_config
from tests.sipe.client import SipeClient, StartClient
from tests.sipe.conftest import sipe_driver, start_client

__all__ = ["sipe_driver", "start_client"]

ALICE, BOB = "alice@contoso.com", "bob@contoso.com"


@dataclass
class Site:
    """A gateway and a pool with two rooms."""

    gateway: Program
    port: int
    ca_dir: Path | None = None

    async def sign_on(self, start: StartClient, user: str, **settings: str) -> SipeClient:
        transport = "tls" if self.ca_dir else "tcp"
        server = f"127.0.0.1:{self.port}"
        return await start(user, server, transport=transport, ca_dir=self.ca_dir, settings=settings or None)


def certificates(folder: Path) -> tuple[dict[str, Path], Path]:
    """A test CA with a certificate for 127.0.0.1: the [tls] table, and the folder of trusted authorities."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    trusted = folder / "trusted"
    trusted.mkdir()
    tls = {key: folder / f"{key}.pem" for key in ("certificate", "private_key", "ca")}
    tls["certificate"].write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    tls["private_key"].write_bytes(issued.private_key_pem.bytes())
    for path in (tls["ca"], trusted / "ca.pem"):
        path.write_bytes(authority.cert_pem.bytes())
    return tls, trusted


@asynccontextmanager
async def site(
    folder: Path, transport: str = "tcp", *, endpoint: bool = True, pool: bool = True
) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        server = "tcp:127.0.0.1:9"
        if pool:
            rooms = ("--room", "Lobby", "--room", "R&D <x>")
            running = await stack.enter_async_context(sipgw("pool", "--listen", "tcp:127.0.0.1:0", *rooms))
            server = f"tcp:127.0.0.1:{(await running.ports())['tcp']}"
        tls, trusted = certificates(folder) if transport == "tls" else (None, None)
        config = write_config(folder, server, listen=(f"{transport}:127.0.0.1:0",), endpoint=endpoint, tls=tls)
        gateway = await stack.enter_async_context(sipgw("serve", "--config", config))
        yield Site(gateway, (await gateway.ports())[transport], trusted)


@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_two_clients_chat_and_find_the_history(tmp_path: Path, start_client: StartClient, transport: str) -> None:
    async with site(tmp_path, transport) as here:
        alice, bob = [await here.sign_on(start_client, user) for user in (ALICE, BOB)]
        await alice.chat_ready()
        await bob.chat_ready()
        uris = {event["name"]: event["uri"] for event in await alice.rooms()}
        assert set(uris) == {"Lobby", "R&D <x>"}

        lobby = await alice.join(uris["Lobby"])
        with_bob = await bob.join(uris["Lobby"])
        await lobby.say("<b>bold</b> &amp; gr\u00fc\u00dfe, \u5143\u6c17?<br>second line")
        said = "bold & gr\u00fc\u00dfe, \u5143\u6c17?\nsecond line"
        await lobby.hears(said, own=True)
        await with_bob.hears(said, sender=alice.uri)
        await with_bob.say("good morning")
        await lobby.hears("good morning", sender=bob.uri)

        await lobby.leave()
        await alice.disconnect()
        await alice.connect()
        await alice.chat_ready()
        again = await alice.join(uris["Lobby"])
        await again.hears("good morning", sender=bob.uri, history=True)
        assert [message["text"] for message in again.messages(history=True)] == [said, "good morning"]

        line = await here.gateway.line("forwarded", "endpoint sip:ocschat@contoso.com")
        assert "pool pcpool.contoso.com" in line, "the client asked for the contact object, unconfigured"


async def test_a_missing_endpoint_is_told_where_the_user_named_it(tmp_path: Path, start_client: StartClient) -> None:
    async with site(tmp_path, endpoint=False) as here:
        alice = await here.sign_on(start_client, ALICE, groupchat_user="ocschat@contoso.com")
        await alice.wait_for("signed_on")
        await alice.wait_for("notify", lambda event: "Group Chat" in str(event), kind="error")
        line = await here.gateway.line("request failed", "404")
        assert "1003" in line and "ocschat@contoso.com" in line
        told = [message for message in alice.sip_messages() if "404 Not Found" in str(message)]
        assert told and "ms-diagnostics: 1003" in str(told[0])


async def test_a_pool_that_is_down_is_logged_with_its_servers(tmp_path: Path, start_client: StartClient) -> None:
    async with site(tmp_path, pool=False) as here:
        alice = await here.sign_on(start_client, ALICE)
        await alice.wait_for("signed_on")
        line = await here.gateway.line("request failed", "504")
        assert "1011" in line and "endpoint sip:ocschat@contoso.com" in line and "tcp:127.0.0.1:9" in line


async def test_an_endpoint_that_the_user_named_leads_to_the_pool(tmp_path: Path, start_client: StartClient) -> None:
    async with site(tmp_path) as here:
        address = ("--sip-address", "sip:chat@contoso.com", "--pool-fqdn", "pcpool.contoso.com")
        async with sipgw("endpoint", "new", *address, "--config", tmp_path / "sipgw.toml") as made:
            assert await made.process.wait() == 0
        await here.gateway.line("endpoints changed", "chat@contoso.com")
        alice = await here.sign_on(start_client, ALICE, groupchat_user="chat@contoso.com")
        await alice.chat_ready()
        assert len(await alice.rooms()) == 2
        await asyncio.wait_for(here.gateway.line("forwarded", "endpoint sip:chat@contoso.com"), 5)

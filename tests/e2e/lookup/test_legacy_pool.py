"""A legacy pool of three servers behind the gateway: real clients look it up, chat, and lose it and find it again."""

import re
import signal
from pathlib import Path

import pytest

from tests.e2e.lookup.legacy import OCSCHAT, UP, gateway_config, legacy_site
from tests.e2e.programs import sipgw
from tests.e2e.test_real_client import certificates
from tests.sipe.client import StartClient
from tests.sipe.conftest import sipe_driver, start_client

__all__ = ["sipe_driver", "start_client"]

ALICE, BOB, CAROL = "alice@contoso.com", "bob@contoso.com", "carol@contoso.com"
TAG = re.compile(r"(?m)^To: .*;tag=(\S+)")


async def test_clients_at_different_channel_services_chat(tmp_path: Path, start_client: StartClient) -> None:
    async with legacy_site(tmp_path) as site:
        clients = [await site.sign_on(start_client, user) for user in (ALICE, BOB, CAROL)]
        lines = [await site.pool.line("sent to a Channel service", user) for user in (ALICE, BOB, CAROL)]
        assert [line.partition("to=")[2].split()[0] for line in lines] == [
            f"sip:ocschat-channel-{number}@contoso.com" for number in (1, 2, 3)
        ]
        uris = {event["name"]: event["uri"] for event in await clients[0].rooms()}
        rooms = [await client.join(uris["Lobby"]) for client in clients]
        assert set(await rooms[2].users()) == {f"sip:{user}" for user in (ALICE, BOB, CAROL)}
        for said, speaker in zip(("eins", "zwei", "drei"), rooms, strict=True):
            await speaker.say(said)
            for hearer in rooms:
                await hearer.hears(said, own=hearer is speaker)


async def test_the_call_goes_to_all_lookup_services_and_the_client_ends_one(
    tmp_path: Path, start_client: StartClient
) -> None:
    """What pidgin-sipe makes of three 200s to one INVITE: it takes the first and never answers the others. Each is sent
    again for 64*T1, then ended with a BYE, which the client answers; nobody sees anything of it."""
    async with legacy_site(tmp_path) as site:
        alice = await site.sign_on(start_client, ALICE)
        line = await site.gateway.line("forwarded", f"matched='user {OCSCHAT.removeprefix('sip:')}'")
        assert line.count("user ocschat@contoso.com at ") == 3
        for number in (1, 2, 3):
            await site.pool.line("session opened", f"pool=lookup-{number}")
        assert len([line for line in site.pool.log if "sent to a Channel service" in line]) == 1

        uris = {event["name"]: event["uri"] for event in await alice.rooms()}
        lobby = await alice.join(uris["Lobby"])
        messages = alice.sip_messages()
        lookup = next(one.text for one in messages if one.sent and one.text.startswith(f"INVITE {OCSCHAT} "))
        call = next(line for line in lookup.splitlines() if line.startswith("Call-ID:"))
        of_the_call = [one for one in messages if call in one.text]
        taken = {
            TAG.findall(one.text)[-1]
            for one in of_the_call
            if not one.sent and one.text.startswith("SIP/2.0 200") and "1 INVITE" in one.text
        }
        assert len(taken) == 3
        requests = [one.text.split(" ")[0] for one in of_the_call if one.sent and not one.text.startswith("SIP/2.0")]
        assert (requests.count("ACK"), requests.count("INFO"), requests.count("BYE")) == (1, 1, 1)
        await lobby.say("still here")
        await lobby.hears("still here", own=True)


async def test_the_services_come_back_after_a_restart_of_the_gateway(tmp_path: Path, start_client: StartClient) -> None:
    async with legacy_site(tmp_path, 2) as site:
        alice = await site.sign_on(start_client, ALICE)
        uris = {event["name"]: event["uri"] for event in await alice.rooms()}
        lobby = await alice.join(uris["Lobby"])
        await lobby.say("before")
        await lobby.hears("before", own=True)
        await site.gateway.stop(signal.SIGKILL)
        await site.pool.line("connection to the gateway lost")
        before = len(site.pool.log)
        async with sipgw("serve", "--config", site.config) as gateway:
            await gateway.ports()
            while not any(UP in line for line in site.pool.log[before:]):
                await site.pool.more()
            again = await site.sign_on(start_client, BOB)
            room = await again.join(uris["Lobby"])
            await room.hears("before", history=True)


async def test_too_few_endpoints_for_the_services_is_told(tmp_path: Path) -> None:
    """The well-known trap: a user may have fewer endpoints than the pool has Lookup services."""
    async with legacy_site(tmp_path, 3, limits="max_bindings_per_user = 2", up=False) as site:
        line = await site.pool.line("signed out by the gateway", "unregistered")
        assert "max_bindings_per_user" in line


async def test_it_signs_out_and_leaves_nobody_behind(tmp_path: Path, start_client: StartClient) -> None:
    async with legacy_site(tmp_path) as site:
        assert await site.pool.stop() == 0
        for number in (1, 2, 3):
            await site.pool.line("signed out", f"service=lookup-{number}")
        await site.gateway.line("signed out", "user=ocschat@contoso.com")
        alice = await start_client(ALICE, site.server, transport="tcp")
        await alice.wait_for("signed_on")
        line = await site.gateway.line("request failed", "ocschat@contoso.com")
        assert "480" in line or "404" in line


async def test_an_address_that_is_an_endpoint_is_refused_with_advice(tmp_path: Path) -> None:
    """Whoever starts the old services again after the cut-over."""
    config = gateway_config(tmp_path, pools={"pcpool.contoso.com": "tcp:127.0.0.1:9"})
    address = ("--sip-address", OCSCHAT, "--pool-fqdn", "pcpool.contoso.com")
    async with sipgw("endpoint", "new", *address, "--config", config) as made:
        assert await made.process.wait() == 0
    async with sipgw("serve", "--config", config) as gateway:
        via = f"127.0.0.1:{(await gateway.ports())['tcp']}"
        async with sipgw("lookup", "--register", OCSCHAT, "--via", via) as pool:
            line = await pool.line("not signed in", "service=lookup-1")
            assert "status=403" in line and "endpoint" in line


@pytest.mark.parametrize("transport", ["udp", "tls"])
async def test_other_transports(tmp_path: Path, transport: str) -> None:
    tls = certificates(tmp_path)[0] if transport == "tls" else None
    config = gateway_config(tmp_path, f"{transport}:127.0.0.1:0")
    if tls:
        table = "".join(f'{key} = "{path}"\n' for key, path in tls.items())
        config.write_text(f"{config.read_text('utf-8')}[tls]\n{table}", "utf-8")
    async with sipgw("serve", "--config", config) as gateway:
        via = f"{transport}:127.0.0.1:{(await gateway.ports())[transport]}"
        more = ("--ca", tls["ca"]) if tls else ()
        command = ("--register", OCSCHAT, "--via", via, "--services", "2", "--room", "Lobby")
        async with sipgw("lookup", *command, *more) as pool:
            await pool.line(UP)
            said = ("--join", "Lobby", "--say", "hello")
            async with sipgw("client", "--user", f"sip:{ALICE}", "--server", via, *said, *more) as alice:
                assert await alice.process.wait() == 0, alice.log


@pytest.mark.parametrize(("scheme", "login"), [("ntlm", "CORP\\ocschat"), ("digest", "ocschat")])
async def test_services_sign_in_where_the_gateway_asks_for_it(tmp_path: Path, scheme: str, login: str) -> None:
    """Each as its own user, with its own account."""
    accounts = ("ocschat", "ocschat-channel-1", "ocschat-channel-2")
    (tmp_path / "users.toml").write_text("".join(map(_account, (*accounts, "alice"))), "utf-8")
    config = gateway_config(tmp_path)
    config.write_text(f'{config.read_text("utf-8")}[auth]\nschemes = ["{scheme}"]\nusers = "users.toml"\n', "utf-8")
    (tmp_path / "password").write_text("secret\n", "utf-8")
    password = ("--password-file", tmp_path / "password")
    async with sipgw("serve", "--config", config) as gateway:
        via = f"127.0.0.1:{(await gateway.ports())['tcp']}"
        lookup = ("lookup", "--register", OCSCHAT, "--via", via, "--services", "2", "--room", "Lobby")
        async with sipgw(*lookup, "--login", login, *password) as pool:
            await pool.line(UP)
            alice = ("client", "--user", f"sip:{ALICE}", "--server", f"tcp:{via}", "--login", "alice", *password)
            for words in (("--say", "one"), ("--history",)):  # and so another Channel service
                async with sipgw(*alice, "--join", "Lobby", *words) as client:
                    assert await client.process.wait() == 0, client.log
            assert any("alice: one" in line for line in client.log)
        (tmp_path / "password").write_text("wrong\n", "utf-8")
        async with sipgw(*lookup, "--login", login, *password) as pool:
            line = await pool.line("not signed in", "service=lookup-1")
            assert "status=401" in line and "the name, the password or the ticket is wrong" in line


def _account(name: str) -> str:
    return f'[[user]]\nuri = "sip:{name}@contoso.com"\nnames = ["{name}", \'CORP\\{name}\']\npassword = "secret"\n'

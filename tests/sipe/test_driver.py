"""The driver and its wrapper, against a scripted server: what they tell about the client can be relied upon."""

import asyncio
import os
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.sipe.client import SipeClient, SipeError, StartClient, build_driver, missing_packages
from tests.sipe.scripted_server import (
    DOMAIN,
    HISTORY_LINE,
    HISTORY_UNIX_TIME,
    NO_ROOM,
    ROOM,
    ROOM_NAME,
    UNDELIVERABLE,
    ScriptedServer,
)

ALICE, BOB = f"alice@{DOMAIN}", f"bob@{DOMAIN}"


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_from_sign_on_to_leaving(start_client: StartClient) -> None:
    async with ScriptedServer() as server:
        alice = await start_client(ALICE, server.address)
        assert (await alice.wait_for("signed_on"))["user"] == ALICE
        await alice.chat_ready()

        (listed,) = await alice.rooms()
        assert (listed["name"], listed["uri"], listed["users"]) == (ROOM_NAME, ROOM, 0)
        assert listed["description"] == "about it"

        lobby = await alice.join(ROOM)
        assert lobby.name == ROOM_NAME
        await alice.wait_for("topic", id=lobby.number, topic="its topic")
        old = await lobby.hears(HISTORY_LINE, sender=f"sip:{BOB}")
        assert (old["history"], old["own"], old["sent_at"]) == (True, False, HISTORY_UNIX_TIME)

        await lobby.say("<b>grün</b> &amp; &lt;b&gt;<br>☃")
        said = await lobby.hears("grün & <b>\n☃")
        assert (said["sender"], said["history"], said["own"]) == (alice.uri, False, True)

        assert await lobby.users() == {alice.uri: False}
        await lobby.leave()
        await alice.wait_for("chat_left", conv=ROOM_NAME)


async def test_two_clients_at_once(start_client: StartClient) -> None:
    async with ScriptedServer() as server:
        alice, bob = await asyncio.gather(start_client(ALICE, server.address), start_client(BOB, server.address))
        await asyncio.gather(alice.chat_ready(), bob.chat_ready())
        at_alice = await alice.join(ROOM)
        at_bob = await bob.join(ROOM)
        await alice.wait_for("user_joined", id=at_alice.number, user=bob.uri)
        assert set(await at_bob.users()) == set(await at_alice.users()) == {alice.uri, bob.uri}

        await at_alice.say("to everybody")
        await at_bob.hears("to everybody", sender=alice.uri, own=False)
        await at_alice.hears("to everybody", own=True)

        await at_bob.leave()
        await alice.wait_for("user_left", id=at_alice.number, user=bob.uri)
        assert set(await at_alice.users()) == {alice.uri}


async def test_reconnecting(start_client: StartClient) -> None:
    async with ScriptedServer() as server:
        alice = await start_client(ALICE, server.address)
        await alice.chat_ready()
        before = await alice.join(ROOM)
        await before.hears(HISTORY_LINE)
        await alice.disconnect()
        with pytest.raises(SipeError, match="rooms: not signed on"):
            await alice.rooms()

        await alice.connect()
        again = await before.rejoined()
        await again.hears(HISTORY_LINE, history=True)
        assert len(again.messages()) == 1
        await again.say("back")
        await again.hears("back", history=False)
        await again.leave()
        await alice.join(ROOM)


async def test_all_sip_messages_are_in_the_log(start_client: StartClient) -> None:
    async with ScriptedServer() as server:
        alice = await start_client(ALICE, server.address)
        await alice.chat_ready()
        await alice.rooms()
        received = [request.method for request in server.requests]
        messages = alice.sip_messages()
        sent = [found.text.split()[0] for found in messages if found.sent and not found.text.startswith("SIP/2.0")]
        assert [method for method in sent if method != "ACK"][: len(received)] == received
        assert any("rpl:chansrch" in found.text for found in messages if not found.sent)


async def test_a_refused_sign_on_is_told_with_its_reason(start_client: StartClient) -> None:
    async with ScriptedServer(refusal=("403 Forbidden", 'Warning: 310 lcs.example "not allowed here"')) as server:
        alice = await start_client(ALICE, server.address)
        refused = await alice.wait_for("connection_error")
        assert refused["reason"] == "invalid_settings"
        assert "not allowed here" in refused["text"]
        with pytest.raises(SipeError, match="connection_error"):
            await alice.chat_ready()


async def test_a_room_that_does_not_open_makes_a_popup(start_client: StartClient) -> None:
    async with ScriptedServer() as server:
        alice = await start_client(ALICE, server.address)
        await alice.chat_ready()
        with pytest.raises(SipeError, match=r"'notify'.*No such room"):
            await alice.join(NO_ROOM)


async def test_what_is_not_delivered_is_told_in_the_room(start_client: StartClient) -> None:
    async with ScriptedServer() as server:
        alice = await start_client(ALICE, server.address)
        await alice.chat_ready()
        lobby = await alice.join(ROOM)
        await lobby.say(UNDELIVERABLE)
        told = await alice.wait_for("conversation_write", id=lobby.number, kind="error")
        assert "not delivered" in told["text"]
        assert lobby.messages(own=True) == []


async def test_account_settings_reach_the_client(start_client: StartClient) -> None:
    async with ScriptedServer() as server:
        alice = await start_client(ALICE, server.address, settings={"groupchat_user": f"legacy@{DOMAIN}"})
        await alice.chat_ready()
        invite = next(request for request in server.requests if request.method == "INVITE")
        assert invite.start == f"INVITE sip:legacy@{DOMAIN} SIP/2.0"


async def test_an_unknown_setting_is_refused(start_client: StartClient) -> None:
    alice = await start_client(ALICE, "127.0.0.1:9", settings={"colour": "red"})
    with pytest.raises(SipeError, match="colour: no setting of pidgin-sipe"):
        await alice.wait_for("signed_on")


# --- TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_dir(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("ca")
    authority.cert_pem.write_to_path(directory / "ca.pem")
    return directory


def server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_tls_with_a_trusted_authority(start_client: StartClient, authority: trustme.CA, ca_dir: Path) -> None:
    async with ScriptedServer(tls=server_context(authority, "127.0.0.1")) as server:
        alice = await start_client(ALICE, server.address, transport="tls", ca_dir=ca_dir)
        await alice.chat_ready()
        assert alice.seen("request") == []


@pytest.mark.parametrize(
    ("name", "trusted"), [("127.0.0.1", False), ("other.example.test", True)], ids=["unknown authority", "other name"]
)
async def test_tls_that_cannot_be_trusted(
    name: str, trusted: bool, start_client: StartClient, authority: trustme.CA, ca_dir: Path
) -> None:
    issuer = authority if trusted else trustme.CA()
    async with ScriptedServer(tls=server_context(issuer, name)) as server:
        alice = await start_client(ALICE, server.address, transport="tls", ca_dir=ca_dir)
        asked = await alice.wait_for("request")
        assert "Reject" in asked["answer"]
        assert "invalid certificate" in (await alice.wait_for("connection_error"))["text"]
        assert server.requests == []


# --- the wrapper itself


async def test_waits_see_what_came_after_the_mark_only(start_client: StartClient) -> None:
    async with ScriptedServer() as server:
        alice = await start_client(ALICE, server.address)
        await alice.chat_ready()
        mark = alice.mark()
        assert await alice.wait_for("signed_on") is await alice.wait_for("signed_on")
        with pytest.raises(SipeError, match=r"waited 0\.05 s for signed_on(.|\n)*sip\.log(.|\n)*group_chat_ready"):
            await alice.wait_for("signed_on", since=mark, within=0.05)
        with pytest.raises(SipeError, match=r"signed_on \{'user': 'bob'\}"):
            await alice.wait_for("signed_on", user="bob", within=0.05)
        with pytest.raises(SipeError):
            await alice.wait_for("signed_on", lambda event: False, within=0.05)


async def test_bad_commands(start_client: StartClient) -> None:
    async with ScriptedServer() as server:
        alice = await start_client(ALICE, server.address)
        await alice.chat_ready()
        for command, error in {
            "dance": "no such command",
            "say 9 hello": "no such chat",
            "join": "no such command",
            "": "no command",
            "connect": "connected already",
        }.items():
            with pytest.raises(SipeError, match=error):
                await alice.send(command)
        with pytest.raises(ValueError, match="one line"):
            await alice.send("say 1 two\nlines")


async def test_rooms_before_there_is_a_chat_service(start_client: StartClient) -> None:
    async with ScriptedServer(chat_service=False) as server:
        alice = await start_client(ALICE, server.address)
        await alice.wait_for("signed_on")
        with pytest.raises(SipeError, match="rooms: no chat service"):
            await alice.rooms()


async def test_closing_signs_off_and_ends_the_process(start_client: StartClient) -> None:
    async with ScriptedServer() as server:
        alice = await start_client(ALICE, server.address)
        await alice.chat_ready()
        pid = alice.process.pid
        await alice.close()
        await alice.close()
        assert not is_alive(pid)
        assert alice.seen("signed_off")
        with pytest.raises(SipeError, match="has ended without chat_joined"):
            await alice.wait_for("chat_joined")


async def test_a_stuck_client_is_killed(start_client: StartClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.sipe.client.GRACE", 0.1)
    async with ScriptedServer() as server:
        alice = await start_client(ALICE, server.address)
        await alice.chat_ready()
        pid = alice.process.pid
        os.kill(pid, signal.SIGSTOP)
        await alice.close()
        assert not is_alive(pid)


async def test_a_client_gone_wild_is_ended(start_client: StartClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.sipe.client.MAX_EVENTS", 2)
    async with ScriptedServer() as server:
        alice = await start_client(ALICE, server.address)
        with pytest.raises(SipeError, match="has ended without"):
            await alice.wait_for("chat_joined")
        assert alice.process.returncode == -signal.SIGKILL


async def test_the_driver_ends_with_its_input(sipe_driver: Path, tmp_path: Path) -> None:
    """Also when whoever started it has died."""
    async with ScriptedServer() as server, SipeClient(sipe_driver, tmp_path, ALICE, server.address) as alice:
        await alice.chat_ready()
        stdin = alice.process.stdin
        assert stdin is not None
        stdin.close()
        async with asyncio.timeout(10):
            assert await alice.process.wait() == 0


# --- building


@pytest.fixture
def no_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("tests.sipe.client.PLUGIN_DIRECTORIES", (tmp_path,))
    yield


def test_building_again_gives_the_same_program(sipe_driver: Path) -> None:
    built_at = sipe_driver.stat().st_mtime_ns
    assert build_driver(sipe_driver.parent) == sipe_driver
    assert sipe_driver.stat().st_mtime_ns == built_at


@pytest.mark.usefixtures("no_programs")
def test_missing_packages_are_named(tmp_path: Path) -> None:
    names = ["gcc", "pkg-config", "libpurple-dev", "libglib2.0-dev", "libxml2-dev", "pidgin-sipe"]
    assert missing_packages() == names
    with pytest.raises(SipeError, match=f"Debian packages to install: {' '.join(names)}"):
        build_driver(tmp_path)

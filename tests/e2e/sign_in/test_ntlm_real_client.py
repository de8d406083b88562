"""pidgin-sipe, unmodified, signs in with NTLM: it verifies every message and breaks off over a bad signature, and the
gateway verifies every one of its messages."""

import re
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.e2e.faults.site import until
from tests.e2e.programs import sipgw
from tests.e2e.sign_in.site import PASSWORD, Site, site
from tests.sipe.client import SipeClient, SipeError, StartClient
from tests.sipe.conftest import sipe_driver, start_client

__all__ = ["sipe_driver", "start_client"]

ALICE, BOB = "alice@contoso.com", "bob@contoso.com"
LOBBY = "Lobby"


async def sign_on(
    here: Site, start: StartClient, user: str = ALICE, login: str | None = None, password: str = PASSWORD
) -> SipeClient:
    return await start(user, here.server, login=login, password=password, transport=here.transport, ca_dir=here.ca_dir)


async def chat(client: SipeClient, text: str) -> None:
    """Find the room, join it, say something and hear it."""
    await client.chat_ready()
    (uri,) = [event["uri"] for event in await client.rooms() if event["name"] == LOBBY]
    room = await client.join(uri)
    await room.say(text)
    await room.hears(text, own=True)


def all_signed(client: SipeClient) -> int:
    """How many messages the client has sent and got since it had signed in, each with its signature; but those of 100,
    401 and what answers its first words on a connection."""
    count, keys = 0, False
    for message in client.sip_messages():
        start, head = message.text.partition("\n")[0], message.text.partition("\n\n")[0]
        register = re.search(r"(?m)^CSeq: *\d+ REGISTER", head) is not None
        if message.sent and register and "uthorization: NTLM" not in head:
            keys = False  # it begins anew
        elif not message.sent and register and start.startswith("SIP/2.0 200"):
            keys = True
        if keys and start.split()[1] not in ("100", "401"):
            assert (' response="' if message.sent else 'rspauth="') in head, message.text
            count += 1
    return count


def refused_signatures(here: Site) -> list[str]:
    """What the metrics say of signatures that were bad, missing, old, or could not be made."""
    (url,) = {found[1] for line in here.gateway.log if (found := re.search(r"url=(http://\S+)", line))}
    with urlopen(f"{url}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    assert any('event="sipae_signed_in"' in line for line in lines)
    return [line for line in lines if re.search(r'event="sipae_(bad|uns|repl|not)', line) and not line.endswith(" 0.0")]


@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_two_clients_chat(tmp_path: Path, start_client: StartClient, transport: str) -> None:
    async with site(tmp_path, "ntlm", transport=transport) as here:
        alice = await sign_on(here, start_client)
        bob = await sign_on(here, start_client, BOB, password="bob's secret")
        await alice.chat_ready()
        await bob.chat_ready()
        (uri,) = [event["uri"] for event in await alice.rooms()]
        lobby, with_bob = await alice.join(uri), await bob.join(uri)
        await lobby.say("gr\u00fc\u00dfe")
        await with_bob.hears("gr\u00fc\u00dfe", sender=alice.uri)
        await with_bob.say("good morning")
        await lobby.hears("good morning", sender=bob.uri)
        await lobby.leave()
        await alice.disconnect()
        await alice.connect()
        again = await alice.join(uri)
        await again.hears("good morning", sender=bob.uri, history=True)
        assert all_signed(alice) > 40 and all_signed(bob) > 20
        assert refused_signatures(here) == []
        assert not here.lines("sign-in failed")


@pytest.mark.parametrize("login", ["CORP\\alice", "corp\\ALICE", "alice@corp.contoso.com", "alice", None])
async def test_each_spelling_of_a_name(tmp_path: Path, start_client: StartClient, login: str | None) -> None:
    async with site(tmp_path, "ntlm") as here:
        alice = await sign_on(here, start_client, login=login)
        await chat(alice, "hello")
        assert not here.lines("sign-in failed")


@pytest.mark.parametrize(
    ("login", "password"), [("CORP\\alice", "wrong"), ("CORP\\nobody", PASSWORD)], ids=["password", "user"]
)
async def test_a_wrong_password_and_an_unknown_user_look_the_same(
    tmp_path: Path, start_client: StartClient, login: str, password: str
) -> None:
    async with site(tmp_path, "ntlm") as here:
        alice = await sign_on(here, start_client, login=login, password=password)
        error = await alice.wait_for("connection_error")
        assert "Authentication failed" in str(error["text"]) or "sign-ins" in str(error["text"])
        told = await here.gateway.line("sign-in failed")
        assert login.partition("\\")[2] in told
        assert len(alice.sip_messages()) < 40, "no storm"


async def test_a_disabled_user_is_told(tmp_path: Path, start_client: StartClient) -> None:
    async with site(tmp_path, "ntlm") as here:
        carol = await sign_on(here, start_client, "carol@contoso.com")
        error = await carol.wait_for("connection_error")
        assert "disabled" in str(error["text"])


async def test_alice_with_the_account_of_bob_is_refused(tmp_path: Path, start_client: StartClient) -> None:
    async with site(tmp_path, "ntlm") as here:
        alice = await sign_on(here, start_client, login="CORP\\bob", password="bob's secret")
        await alice.wait_for("connection_error")
        refused = [message.text for message in alice.sip_messages() if "SIP/2.0 403" in message.text]
        assert refused and "ms-diagnostics: 4004" in refused[0]


@pytest.mark.alone  # what is said while the association ends again is lost, and it ends every three seconds
async def test_an_association_that_ends_in_mid_call(tmp_path: Path, start_client: StartClient) -> None:
    """The client refreshes its registration every few seconds here; the first time after the association's end it is
    challenged, signs in anew and goes on in its room."""
    refresh = "[registrar]\nmin_expires = 31\ndefault_expires = 32\nmax_expires = 40"
    async with site(tmp_path, "ntlm", auth="association_lifetime = 3", more=refresh) as here:
        alice = await sign_on(here, start_client)
        await alice.chat_ready()
        (uri,) = [event["uri"] for event in await alice.rooms()]
        room = await alice.join(uri)
        await room.say("still here")
        await room.hears("still here", own=True)
        mark = len(alice.sip_messages())

        def signed_in_anew() -> bool:
            """What is said before, while it does that, makes the client give up by itself."""
            said = [message.text for message in alice.sip_messages()[mark:] if "REGISTER" in message.text]
            challenged = next((at for at, text in enumerate(said) if text.startswith("SIP/2.0 401")), len(said))
            return any(text.startswith("SIP/2.0 200") for text in said[challenged:])

        await until(signed_in_anew, 20.0)
        for number in range(3):
            await room.say(f"after that {number}")
            await room.hears(f"after that {number}", own=True)
        assert not alice.seen("connection_error")


async def test_an_association_that_is_displaced(tmp_path: Path, start_client: StartClient) -> None:
    """There is room for one: bob's sign-in ends that of alice, whose next message finds it gone."""
    async with site(tmp_path, "ntlm", auth="max_associations = 1") as here:
        alice = await sign_on(here, start_client)
        await alice.chat_ready()
        (uri,) = [event["uri"] for event in await alice.rooms()]
        room = await alice.join(uri)
        bob = await sign_on(here, start_client, BOB, password="bob's secret")
        await bob.chat_ready()
        await room.say("anybody there?")
        await alice.wait_for("connection_error", within=20)
        await alice.wait_for("signed_off")
        assert len(alice.sip_messages()) < 200, "no storm"
        await alice.connect()
        await (await room.rejoined()).say("back again")


async def test_the_gateway_restarts_in_mid_call(tmp_path: Path, start_client: StartClient) -> None:
    async with site(tmp_path, "ntlm") as here:
        alice = await sign_on(here, start_client)
        await alice.chat_ready()
        (uri,) = [event["uri"] for event in await alice.rooms()]
        room = await alice.join(uri)
        await here.gateway.stop()
        async with sipgw("serve", "--config", here.config) as gateway:
            await gateway.ports()
            await alice.wait_for("connection_error")
            await alice.wait_for("signed_off")
            await alice.connect()
            again = await room.rejoined()
            await again.say("back again")
            await again.hears("back again", own=True)


async def test_digest_beside_ntlm_does_not_disturb_it(tmp_path: Path, start_client: StartClient) -> None:
    async with site(tmp_path, "ntlm", "digest") as here:
        await chat(await sign_on(here, start_client), "hello")


async def test_without_ntlm_it_says_what_it_misses(tmp_path: Path, start_client: StartClient) -> None:
    async with site(tmp_path, "digest") as here:
        alice = await sign_on(here, start_client)
        with pytest.raises(SipeError):
            await alice.chat_ready(within=5)
        assert alice.seen("connection_error")

"""The whole migration with the real client, which is never touched: Friday, the weekend, Monday, and months later.

docs/rehearsal.md tells the same for people.
"""

from pathlib import Path

import pytest

from tests.e2e.programs import sipgw
from tests.e2e.rehearsal.weekend import ADMIN, MONITORS, OCSCHAT, POOL, SECOND, USERS, Site, site
from tests.sipe.client import SipeClient, StartClient
from tests.sipe.conftest import sipe_driver, start_client

__all__ = ["sipe_driver", "start_client"]

SECOND_URI = ("--service-uri", "sip:GC-1-PersistentChatService-2@contoso.com")  # the second pool of the gateway
ALICE, BOB, CAROL = "alice@contoso.com", "bob@contoso.com", "carol@fabrikam.com"


async def rooms_of(client: SipeClient) -> dict[str, str]:
    return {event["name"]: event["uri"] for event in await client.rooms()}


async def weekend(here: Site) -> None:
    """The runbook, as its lines stand there: [TechNet] Migration from Group Chat to Persistent Chat."""
    archive, legacy, new = (here.folder / name for name in ("rooms.zip", "legacy.db", f"{POOL}.db"))
    await here.done("pool", "export", archive, "--data", legacy)
    assert "what would be done" in await here.done("pool", "import", archive, "--data", new, "--what-if")
    assert not new.exists()
    await here.done("pool", "import", archive, "--data", new, "--report", here.folder / "report.json")
    assert "has all of" in await here.done("pool", "compare", legacy, new)
    refused = f"New-CsPersistentChatEndpoint -SipAddress {OCSCHAT} -PersistentChatPoolFqdn {POOL}"
    status, told = await here.run("cmdlet", refused, "--config", here.config)
    assert status == 1 and "is held by the user ocschat" in told
    await here.cmdlet(f"Disable-CsUser -Identity {OCSCHAT}")
    await here.cmdlet(f"New-CsPersistentChatEndpoint -SipAddress {OCSCHAT} -PersistentChatPoolFqdn {POOL}")
    await here.gateway.line("endpoints changed", OCSCHAT)
    await here.pool(POOL)
    sender, receiver = "sip:monitor1@contoso.com", "sip:monitor2@contoso.com"
    test = f"Test-CsPersistentChatMessage -SenderSipAddress {sender} -ReceiverSipAddress {receiver} -ChatRoomUri Lobby"
    assert "Success" in await here.cmdlet(test)


async def test_the_same_client_before_and_after(tmp_path: Path, start_client: StartClient) -> None:
    async with site(tmp_path) as here:
        legacy = await here.legacy()
        alice, bob = [await here.sign_on(start_client, user) for user in (ALICE, BOB)]
        friday = await rooms_of(alice)
        assert set(friday) == {"Lobby", "Board"}
        lobby, board = await alice.join(friday["Lobby"]), await alice.join(friday["Board"])
        at_bobs = await bob.join(friday["Lobby"])
        await lobby.say("see you on <b>Monday</b>")
        await at_bobs.hears("see you on Monday", sender=alice.uri)
        await at_bobs.say("nice weekend, \u00c4lice")
        await lobby.hears("nice weekend, \u00c4lice", sender=bob.uri)
        await board.say("for the board")
        await board.hears("for the board", own=True)
        told = await here.done("pool", "export", tmp_path / "friday.zip", "--data", tmp_path / "legacy.db")
        assert "3 messages" in told, "while the legacy pool runs"
        await bob.disconnect()  # and alice's computer stays on

        assert await legacy.stop() == 0
        await weekend(here)

        await bob.connect()
        assert await rooms_of(bob) == friday
        again = await bob.join(friday["Board"])
        await again.hears("for the board", sender=alice.uri, history=True)
        lobby_again = await at_bobs.rejoined()
        await lobby_again.hears("nice weekend, \u00c4lice", history=True)
        line = await here.gateway.line("forwarded", f"endpoint {OCSCHAT}")
        assert f"pool {POOL}" in line

        since = alice.mark()  # the pool that she was connected to is gone: 481, and the client begins at the start
        await lobby.say("anybody there?")
        await alice.chat_ready(since=since)
        await alice.wait_for("conversation_write", lambda event: "not delivered" in event["text"], since=since)
        await lobby.say("good morning")
        await lobby_again.hears("good morning", sender=alice.uri)
        await lobby_again.say("good morning, alice")
        await lobby.hears("good morning, alice", sender=bob.uri)

        await decommission(here)
        await second_pool(here, start_client)
        assert await rooms_of(bob) == friday
        await lobby_again.say("what's new at fabrikam?")
        await lobby.hears("what's new at fabrikam?", sender=bob.uri)


@pytest.mark.parametrize("admin", [ADMIN, "127.0.0.1:0"], ids=["API", "store"])
async def test_the_cut_over_walks_the_runbook(tmp_path: Path, start_client: StartClient, admin: str) -> None:
    """The same weekend with one command, given again whenever it says what stands in the way; and taken back."""
    async with site(tmp_path, admin=admin) as here:
        legacy = await here.legacy()
        alice = await here.sign_on(start_client, ALICE)
        friday = await rooms_of(alice)
        lobby = await alice.join(friday["Lobby"])
        await lobby.say("see you on Monday")
        await lobby.hears("see you on Monday", own=True)
        data = ("--legacy-data", tmp_path / "legacy.db", "--pool-data", tmp_path / f"{POOL}.db")
        line = ("cutover", "--sip-address", OCSCHAT, "--pool-fqdn", POOL, "--config", here.config)
        (tmp_path / f"{POOL}.db").touch()

        status, told = await here.run(*line, "--dry-run", "--assume-data-moved")
        assert status == 1 and "Nothing was changed" in told
        assert "3 services are still signed in as sip:ocschat@contoso.com" in told
        assert "which would be disabled" in told and "Connection refused" in told
        await refused(here, line, "stop Group Chat on these servers")
        assert await legacy.stop() == 0
        await refused(here, line, "give --disable-user")
        await refused(here, (*line, "--disable-user"), "it is not known whether the data was moved")
        await here.done("pool", "export", tmp_path / "x.zip", "--data", tmp_path / "legacy.db")
        await here.done("pool", "import", tmp_path / "x.zip", "--data", tmp_path / f"{POOL}.db")
        await refused(here, (*line, *data), "start Persistent Chat")
        await here.pool(POOL)
        told = await here.done(*line, *data, "--room", "Lobby")
        assert "2 rooms and 1 messages" in told and "two clients heard each other" in told
        assert "Done: clients that ask for sip:ocschat@contoso.com" in told
        assert bool([line for line in here.gateway.log if "endpoint made" in line]) is (admin == ADMIN)
        await alice.disconnect()
        await alice.connect()
        again = await lobby.rejoined()
        await again.hears("see you on Monday", history=True)
        told = await here.done(*line, *data, "--room", "Lobby")
        assert "leads to pcpool.contoso.com already" in told

        told = await here.done(*line, "--rollback")
        assert "is free for Group Chat again" in told
        await here.gateway.line("endpoints changed", "added=-", OCSCHAT)
        await here.legacy()
        await alice.disconnect()
        await alice.connect()
        await here.gateway.line("forwarded", "user ocschat@contoso.com at", "alice")


async def refused(here: Site, line: tuple[str | Path, ...], remedy: str) -> None:
    status, told = await here.run(*line)
    assert status == 1, told
    assert remedy in told and "Not finished" in told


async def decommission(here: Site) -> None:
    """Nothing of the legacy pool is needed any more; and whoever starts it again by mistake does no harm."""
    await here.done("user", "remove", OCSCHAT, "--config", here.config)
    async with sipgw("lookup", "--register", OCSCHAT, "--via", here.server, "--data", here.folder / "legacy.db") as old:
        assert "status=403" in await old.line("not signed in", "service=lookup-1", "an endpoint of the gateway")
    (here.folder / "legacy.db").unlink()
    endpoints = await here.cmdlet("Get-CsPersistentChatEndpoint | Format-Table SipAddress, PersistentChatPoolFqdn")
    assert OCSCHAT in endpoints and POOL in endpoints


async def second_pool(here: Site, start_client: StartClient) -> None:
    """Months later: a pool for the users of another SIP domain, with an endpoint of its own."""
    await here.pool(SECOND, "--domain", "fabrikam.com", "--room", "Fabrik", *SECOND_URI)
    await here.configure(POOL, SECOND)
    other = OCSCHAT.replace("contoso", "fabrikam")
    await here.cmdlet(f"New-CsPersistentChatEndpoint -SipAddress {other} -PersistentChatPoolFqdn {SECOND}")
    await here.gateway.line("endpoints changed", other)
    carol, dora = [await here.sign_on(start_client, user) for user in (CAROL, "dora@contoso.com")]
    assert set(await rooms_of(carol)) == {"Fabrik"}
    assert set(await rooms_of(dora)) == {"Lobby", "Board"}
    await here.pools[SECOND].line("session opened", CAROL)
    await here.pools[POOL].line("session opened", "dora@contoso.com")
    assert not [line for line in here.pools[POOL].log if CAROL in line]


SIGN_IN = 'schemes = ["ntlm", "digest"]'


async def test_the_cut_over_where_everybody_signs_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The synthetic transaction with accounts; what is wrong with them is told, and put right."""
    async with site(tmp_path, more=SIGN_IN, users=USERS + MONITORS) as here:
        await here.pool(POOL, "--room", "Lobby")
        line = ("cutover", "--sip-address", OCSCHAT, "--pool-fqdn", POOL, "--assume-data-moved", "--disable-user")
        accounts = ("--sender-account", "monitor1", "--receiver-account", "CORP\\monitor2", "--config", here.config)
        status, told = await here.run(*line, "--config", here.config)
        assert status == 1 and "[6/6] FAIL" in told and "a login is needed" in told
        assert "True" in await here.cmdlet(f"(Get-CsUser {OCSCHAT}).Enabled"), "nothing was changed"
        monkeypatch.setenv("SIPGW_SENDER_PASSWORD", "wrong")
        monkeypatch.setenv("SIPGW_RECEIVER_PASSWORD", "secret")
        status, told = await here.run(*line, *accounts)
        assert status == 1 and "the name, the password or the ticket is wrong" in told
        assert "[5/6] done" in told, "the user was disabled and the endpoint made in one go"
        monkeypatch.setenv("SIPGW_SENDER_PASSWORD", "secret")
        assert "two clients heard each other" in await here.done(*line, *accounts)
        assert "wrong" not in here.config.parent.joinpath("gateway.db-cutover.json").read_text("utf-8")


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_runbook_in_one_go_where_everybody_signs_in(tmp_path: Path, workers: int) -> None:
    """The gateway looks at users twice a second; the script does not wait for that."""
    script = tmp_path / "run.ps1"
    made = (
        f"New-CsPersistentChatEndpoint -SipAddress {OCSCHAT} -PersistentChatPoolFqdn {POOL} -PassThru | fl SipAddress"
    )
    script.write_text(f"Disable-CsUser {OCSCHAT}\n{made}\n", "utf-8")
    async with site(tmp_path, more=SIGN_IN, workers=workers) as here:
        for _ in range(2):
            assert f"SipAddress : {OCSCHAT}" in await here.done("cmdlet", "--file", script, "--config", here.config)
            await here.cmdlet(f"Remove-CsPersistentChatEndpoint {OCSCHAT}; Enable-CsUser {OCSCHAT}")
        assert len([line for line in here.gateway.log if "endpoint made" in line]) == 2

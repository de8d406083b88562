"""The whole migration with the real client, which is never touched: Friday, the weekend, Monday, and months later.

docs/rehearsal.md tells the same for people.
"""

from pathlib import Path

from tests.e2e.rehearsal.weekend import OCSCHAT, POOL, SECOND, Site, site
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
        await lobby.say("good morning")
        await lobby_again.hears("good morning", sender=alice.uri)
        await lobby_again.say("good morning, alice")
        await lobby.hears("good morning, alice", sender=bob.uri)

        await second_pool(here, start_client)
        assert await rooms_of(bob) == friday
        await lobby_again.say("what's new at fabrikam?")
        await lobby.hears("what's new at fabrikam?", sender=bob.uri)


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

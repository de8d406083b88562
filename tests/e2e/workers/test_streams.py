"""Clients over TCP at different workers reach each other and the pool."""

import asyncio
import json
from pathlib import Path

from sipgw.groupchat import xccos
from tests.e2e.raw_client import RawClient
from tests.e2e.workers.site import site


async def message(sender: RawClient, user: str) -> int:
    """Send one outside of dialogs. What the user has answered."""
    return await sender.message(f"sip:{user}@contoso.com", b"hello")


async def test_users_of_different_workers_reach_each_other(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        alice, bob = await here.client("alice", 0), await here.client("bob", 1)
        assert await message(alice, "bob") == 200
        assert await message(bob, "alice") == 200
        assert await message(alice, "alice") == 200
        await bob.close()
        await until_gone(alice, "bob")
        await alice.close()


async def until_gone(sender: RawClient, user: str) -> None:
    """That a connection is gone is known to the other worker as well, after a moment."""
    async with asyncio.timeout(10):
        while await message(sender, user) != 480:
            pass


async def test_the_pool_reaches_a_client_whichever_worker_it_asks(tmp_path: Path) -> None:
    """Its INFO comes back by the connection that the call went by; both clients share one to the pool or have two."""
    async with site(tmp_path) as here:
        clients = [await here.client("alice", 0), await here.client("bob", 1)]
        for client in clients:
            await client.invite("sip:ocschat@contoso.com")
        for client in clients:
            assert await client.info(xccos.command("77", "requri")) == 200
            reply = xccos.parse(await asyncio.wait_for(client.next_info(), 10))
            assert xccos.channel_uri(reply) == "sip:GC-1-PersistentChatService-1@contoso.com"
        for client in clients:
            assert await client.bye() == 200
            await client.close()


async def test_a_call_of_two_workers_is_one_in_the_trace(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        alice, bob = await here.client("alice", 0), await here.client("bob", 1)
        for sender, receiver in ((alice, bob), (bob, alice)):
            call_id = f"from-{sender.user}"
            assert await sender.message(f"sip:{receiver.user}", b"hello", call_id) == 200
            found = json.loads(await here.api(f"/api/v1/calls?call_id={call_id}&steps=true"))
            (call,) = found["calls"]
            assert (call["status"], call["messages"], found["next"]) == (200, 4, None)
            messages = [(step["kind"], step["label"]) for step in call["steps"] if step["kind"] != "decision"]
            assert [kind for kind, _ in messages] == ["in", "out", "in", "out"]
            assert [label.split()[0] for _, label in messages] == ["MESSAGE", "MESSAGE", "200", "200"]
        pages: list[str] = []
        before = ""
        while len(pages) < 2:
            page = json.loads(await here.api(f"/api/v1/calls?user=alice@contoso.com&limit=1{before}"))
            pages += [call["call_id"] for call in page["calls"]]
            before = f"&before={page['next']}"
        assert pages == ["from-bob@contoso.com", "from-alice@contoso.com"]
        newest = page["newest"]
        assert await bob.message("sip:bob@contoso.com", b"hello", "after") == 200
        later = json.loads(await here.api(f"/api/v1/calls?after={newest}&user=bob@contoso.com"))
        assert "after" in [call["call_id"] for call in later["calls"]]
        for client in (alice, bob):
            await client.close()


async def test_everybody_knows_who_is_signed_in(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        clients = [await here.client(f"user{number}", number % 2) for number in range(6)]
        assert await here.metric("sipgw_registrations") == 6
        assert await here.metric("sipgw_workers") == 2
        await here.until("sipgw_connections", 6 + 2)  # each worker has one to the pool
        assert await here.metric("sipgw_worker_connections") == 6 + 2
        assert await here.metric("sipgw_responses_total") >= 6
        listed = await here.api("/api/v1/registrations")
        assert listed.count('"connected":true') == 6
        for client in clients:
            await client.close()

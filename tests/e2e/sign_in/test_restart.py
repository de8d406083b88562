"""The gateway is killed while two people chat: both sign in again by themselves, and the pool finds them."""

import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from sipgw.options import ClientOptions
from sipgw.registry import Server
from sipgw.server.chat_client import GroupChatClient
from tests.e2e.programs import sipgw
from tests.e2e.sign_in.site import PASSWORD, site
from tests.e2e.test_client_auth import Wire

CONTACT_OBJECT = "sip:ocschat@contoso.com"


@pytest.mark.parametrize("scheme", ["ntlm", "digest"])
async def test_what_one_says_reaches_the_other_afterwards(tmp_path: Path, scheme: str) -> None:
    """The pool has to dial the gateway for that, and is known by the dialog."""
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(site(tmp_path, scheme))
        people: list[tuple[GroupChatClient, Wire]] = []
        for name, password in (("alice", PASSWORD), ("bob", "bob's secret")):
            wire = Wire()
            user, server = f"sip:{name}@contoso.com", Server("TCP", "127.0.0.1", here.port)
            who = ClientOptions(user, server, CONTACT_OBJECT, login=name, password=password)
            client = GroupChatClient(who, trace=wire)
            stack.push_async_callback(client.close)
            await client.start()
            await client.join("Lobby")
            client.refresh()
            await wire.another(1)
            people.append((client, wire))
        await here.gateway.stop(signal.SIGKILL)
        await stack.enter_async_context(sipgw("serve", "--config", here.config))
        for _, wire in people:
            await wire.another(2)
        (alice, _), (bob, _) = people
        await alice.say("Lobby", "after")
        await bob.expect("after")

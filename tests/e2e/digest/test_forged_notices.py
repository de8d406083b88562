"""What a Front End tells a client, told by another user: the real client sees no difference, the gateway does."""

import asyncio
from pathlib import Path
from random import Random

from sipgw.auth.digest_client import DigestClient
from sipgw.message import Response, parse_message
from tests.e2e.sign_in.site import PASSWORD, Site, site
from tests.sipe.client import SipeClient, StartClient
from tests.sipe.conftest import sipe_driver, start_client

__all__ = ["sipe_driver", "start_client"]

BOB = "bob@contoso.com"
BODY = "deregistered;event=rejected"
NOTICE = f"""NOTIFY sip:{BOB} SIP/2.0
Via: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKforged%d
Max-Forwards: 70
From: <sip:alice@contoso.com>;tag=a
To: <sip:{BOB}>
Call-ID: forged
CSeq: %d NOTIFY
%sEvent: registration-notify
subscription-state: terminated;expires=0
ms-diagnostics-public: 4141;reason="User disabled"
Content-Type: text/registration-event
Content-Length: {len(BODY)}

"""


async def forges(here: Site) -> int:
    """Alice's NOTIFY, with her password if she is asked for it; what it is answered with."""
    status, digest = 0, DigestClient("alice", PASSWORD, Random(1))
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    try:
        for number in (1, 2):
            credentials = "".join(f"{line}\n" for line in digest.credentials("NOTIFY", f"sip:{BOB}"))
            writer.write((NOTICE % (number, number, credentials)).replace("\n", "\r\n").encode() + BODY.encode())
            async with asyncio.timeout(20):
                answer = parse_message(await reader.readuntil(b"\r\n\r\n"))
            assert isinstance(answer, Response)
            status = answer.status
            if status not in (401, 407) or not digest.challenged(answer):
                break
        return status
    finally:
        writer.close()
        await writer.wait_closed()


async def bob_chats(here: Site, start: StartClient) -> SipeClient:
    password = "bob's secret"
    bob = await start(BOB, here.server, password=password, transport=here.transport, ca_dir=here.ca_dir)
    await bob.chat_ready()
    return bob


async def test_where_nobody_has_to_sign_in_he_is_signed_out(tmp_path: Path, start_client: StartClient) -> None:
    """This is why: the client goes by the words alone."""
    async with site(tmp_path) as here:
        bob = await bob_chats(here, start_client)
        assert await forges(here) != 403
        await bob.wait_for("signed_off")


async def test_where_one_has_to_sign_in_he_never_hears_of_it(tmp_path: Path, start_client: StartClient) -> None:
    async with site(tmp_path, "ntlm", "digest") as here:
        bob = await bob_chats(here, start_client)
        assert await forges(here) == 403
        (uri,) = [event["uri"] for event in await bob.rooms()]
        room = await bob.join(uri)
        await room.say("still here")
        await room.hears("still here", own=True)
        assert not bob.seen("signed_off")
        assert not any("registration-notify" in message.text for message in bob.sip_messages() if not message.sent)

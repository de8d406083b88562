"""pidgin-sipe, signed in with NTLM, is written to by another user who means to throw it off. It takes the first header
that could hold a signature for ours, and breaks off where that is not there: so none may stand beside ours."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sipgw.auth.digest_client import DigestClient
from sipgw.message import Message, Request, Response
from sipgw.message.build import new_request
from sipgw.message.parser import parse_message
from tests.e2e.sign_in.site import Site, site
from tests.harness import reply
from tests.sipe.client import StartClient
from tests.sipe.conftest import sipe_driver, start_client

__all__ = ["sipe_driver", "start_client"]

ALICE, BOB, DOMAIN = "sip:alice@contoso.com", "sip:bob@contoso.com", "sip:contoso.com"
LINES = [
    'Proxy-Authorization: Digest realm="other", rand="1", num="7"',
    'Authentication-Info: Digest x="1"',
    'Proxy-Authentication-Info: Foo rand="1"',
    'Authentication-Info: NTLM\trspauth="00"',
]
BESIDE = pytest.mark.parametrize("line", LINES, ids=["authorization", "info", "proxy-info", "a-tab"])


class Bob:
    """He signs in with Digest and writes what he likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._digest = DigestClient("bob", "bob's secret", Random(3))
        self._number = 0
        self.contact = f"sip:bob@127.0.0.1:{writer.get_extra_info('sockname')[1]};transport=tcp"

    def write(self, message: Message) -> None:
        self._writer.write(message.encode())

    async def next(self) -> Message:
        """The next message that is not 100."""
        while True:
            async with asyncio.timeout(10):
                head = await self._reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                message = parse_message(head + await self._reader.readexactly(int(length[1]) if length else 0))
            if not isinstance(message, Response) or message.status != 100:
                return message

    async def ask(self, method: str, uri: str, *lines: str, to: str = "") -> int:
        """The status of what it comes to, after a challenge."""
        status = 0
        for _ in range(2):
            self._number += 1
            top = f"Via: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKbob{self._number}", "Max-Forwards: 70"
            who = f"From: <{BOB}>;tag=b1", f"To: <{to or uri}>", "Call-ID: of-bob", f"CSeq: {self._number} {method}"
            self.write(new_request(method, uri, [*top, *who, *lines, *self._digest.credentials(method, uri)]))
            answer = await self.next()
            assert isinstance(answer, Response)
            status = answer.status
            if status not in (401, 407) or not self._digest.challenged(answer):
                break
        return status


@asynccontextmanager
async def bob_of(here: Site) -> AsyncIterator[Bob]:
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    try:
        yield Bob(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


@BESIDE
async def test_a_request(tmp_path: Path, start_client: StartClient, line: str) -> None:
    async with site(tmp_path, "ntlm", "digest") as here, bob_of(here) as bob:
        alice = await start_client("alice@contoso.com", here.server)
        await alice.chat_ready()
        assert await bob.ask("MESSAGE", ALICE, "Content-Type: text/plain", line) == 200, "alice has taken it"
        (uri,) = [event["uri"] for event in await alice.rooms()]
        room = await alice.join(uri)
        await room.say("still here")
        await room.hears("still here", own=True)
        assert not alice.seen("connection_error")


@BESIDE
async def test_a_response(tmp_path: Path, start_client: StartClient, line: str) -> None:
    """Bob is who she calls for her rooms."""
    async with site(tmp_path, "ntlm", "digest") as here, bob_of(here) as bob:
        assert await bob.ask("REGISTER", DOMAIN, "Expires: 600", f"Contact: <{bob.contact}>", to=BOB) == 200
        settings: dict[str, Any] = {"groupchat_user": "bob@contoso.com"}
        alice = await start_client("alice@contoso.com", here.server, settings=settings)
        invite = await bob.next()
        assert isinstance(invite, Request) and invite.method == "INVITE"
        bob.write(reply(invite, 200, line, contact=bob.contact))
        ack, info = await bob.next(), await bob.next()
        assert isinstance(ack, Request) and isinstance(info, Request), "alice has taken it, and goes on"
        assert (ack.method, info.method) == ("ACK", "INFO")
        assert not alice.seen("connection_error")

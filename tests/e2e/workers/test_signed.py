"""Clients that have signed in by NTLM, who get nothing but what is signed, by the one worker that has their keys."""

import signal
from pathlib import Path

import pytest

from sipgw.events import Flow, Hop
from sipgw.options import ClientOptions
from sipgw.registry import Server
from sipgw.server.chat_client import ClientError, GroupChatClient
from tests.e2e.sign_in.site import USERS, write_users
from tests.e2e.workers.peer import Peer, worker_in
from tests.e2e.workers.site import TRIES, Site, came_to, site

TRUSTED = "127.0.0.2"
SIGN_IN = '[auth]\nschemes = ["ntlm"]\n'
PASSWORDS = {"alice": "secret", "bob": "bob's secret"}


class Chatter:
    """A client, the worker that it has come to (-1 by datagram, where that cannot be seen), and of each MESSAGE which
    worker has forwarded it, and whether it was signed."""

    def __init__(self, here: Site, transport: str, user: str, password: str = "") -> None:
        port = here.tcp if transport == "TCP" else here.udp
        options = ClientOptions(
            f"sip:{user}@contoso.com",
            Server(transport, "127.0.0.1", port),
            "sip:ocschat@contoso.com",
            login=user,
            password=password or PASSWORDS[user],
        )
        self.worker = -1
        self.messages: list[tuple[int, bool]] = []
        self.client = GroupChatClient(options, trace=self._see)

    def _see(self, direction: str, data: bytes, peer: Flow | Hop) -> None:
        if direction == "in" and b"ms-received-cid" in data and data.startswith(b"SIP/2.0"):
            self.worker = came_to({"via": data.decode()})
        elif direction == "in" and data.startswith(b"MESSAGE"):
            self.messages.append((worker_in(data.decode()), b"uthentication-Info: NTLM" in data))


async def chatter(here: Site, transport: str, user: str, worker: int) -> Chatter:
    """Signed in, at this worker; -1 for any."""
    for _ in range(TRIES):
        one = Chatter(here, transport, user)
        await one.client.start()
        if one.worker == worker:
            return one
        await one.client.close()
    raise AssertionError(f"{user} has never come to worker {worker}")


async def test_two_people_at_different_workers_hear_each_other(tmp_path: Path) -> None:
    write_users(tmp_path, USERS)
    async with site(tmp_path, more=SIGN_IN) as here:
        both = [await chatter(here, "TCP", "alice", 0), await chatter(here, "TCP", "bob", 1)]
        for one in both:
            await one.client.join("Lobby")
        for speaker, listener in (both, reversed(both)):
            await speaker.client.say("Lobby", f"at worker {speaker.worker}")
            await listener.client.expect(f"at worker {speaker.worker}")
        for one in both:
            await one.client.sign_out()
            await one.client.close()
        assert not here.lines("sign-in failed") and not here.lines("Traceback")


@pytest.mark.parametrize("transport", ["TCP", "UDP"])
async def test_what_comes_from_another_worker_is_signed(tmp_path: Path, transport: str) -> None:
    """Servers ask both workers: for one of the two the client is the other's."""
    write_users(tmp_path, USERS)
    servers: list[Peer] = []
    async with site(tmp_path, more=SIGN_IN) as here:
        here.config.write_text(here.config.read_text().replace("[store]", f'trusted_peers = ["{TRUSTED}"]\n[store]'))
        here.gateway.process.send_signal(signal.SIGHUP)
        await here.gateway.line("reloaded")
        bob = await chatter(here, transport, "bob", 1 if transport == "TCP" else -1)
        while {worker for worker, _ in bob.messages} != {0, 1}:
            assert len(servers) < TRIES
            server = await Peer.open(lambda text: None, TRUSTED)
            servers.append(server)
            server.send(message(server), here.udp)
            await server.next("SIP/2.0")
        assert all(signed for _, signed in bob.messages)
        await bob.client.close()
        assert not here.lines("sign-in failed") and not here.lines("Traceback")
    for server in servers:
        server.close()


def message(server: Peer) -> str:
    serial = f"m{server.port}"
    return "\r\n".join(
        [
            "MESSAGE sip:bob@contoso.com SIP/2.0",
            f"Via: SIP/2.0/UDP {TRUSTED}:{server.port};branch=z9hG4bK{serial}",
            "Max-Forwards: 70",
            f"From: <sip:server@contoso.com>;tag={serial}",
            "To: <sip:bob@contoso.com>",
            f"Call-ID: {serial}",
            "CSeq: 1 MESSAGE",
            "Content-Length: 0",
            "",
            "",
        ]
    )


async def test_failures_at_one_worker_count_at_the_other(tmp_path: Path) -> None:
    """An account is locked after ten, wherever they were tried."""
    write_users(tmp_path, USERS)
    async with site(tmp_path, more=SIGN_IN) as here:
        seen: set[int] = set()
        refused: set[int] = set()
        for _ in range(TRIES):
            one = Chatter(here, "TCP", "alice", password="mistaken")
            with pytest.raises(ClientError, match="could not sign in") as raised:
                await one.client.start()
            await one.client.close()
            seen.add(one.worker)
            if "403" in str(raised.value):
                refused.add(one.worker)
            if len(refused) == 2:
                break
        assert refused == seen == {0, 1}
        assert await here.metric("sipgw_sign_in_failures_total") < 8, "four at each would be free"

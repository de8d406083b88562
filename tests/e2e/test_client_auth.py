"""`sipgw client` with a login, against `sipgw serve` that asks for one: the whole chat, and every way to be refused."""

import asyncio
import signal
from pathlib import Path

import pytest

from sipgw.events import Flow, Hop
from sipgw.options import ClientOptions
from sipgw.registry import Server
from sipgw.server.chat_client import ClientError, GroupChatClient
from tests.e2e.programs import START, sipgw
from tests.e2e.sign_in.site import PASSWORD, USERS, Site, site, write_users

ALICE, BOB, CAROL = "sip:alice@contoso.com", "sip:bob@contoso.com", "sip:carol@contoso.com"
BOTH = pytest.mark.parametrize("scheme", ["ntlm", "digest"])


async def client(
    here: Site, folder: Path, *arguments: str, user: str = ALICE, login: str = "alice", password: str = PASSWORD
) -> tuple[int, str]:
    """Run one to its end. Returns the exit status and all that it has written."""
    secret = folder / f"{login.replace(chr(92), '-')}.password"
    secret.write_text(f"{password}\n", "utf-8")
    given = ["--server", f"{here.transport}:{here.server}", "--login", login, "--password-file", str(secret)]
    if here.transport == "tls":
        given += ["--ca", str(folder / "ca.pem")]
    async with sipgw("client", "--user", user, *given, *arguments) as program:
        status = await program.process.wait()
        await program.ended()
    return status, "\n".join(program.log)


@pytest.mark.parametrize(
    ("scheme", "transport", "login"),
    [
        ("ntlm", "tcp", "CORP\\alice"),
        ("ntlm", "tls", "alice@corp.contoso.com"),
        ("ntlm", "udp", "alice"),
        ("digest", "tcp", "alice"),
        ("digest", "tls", "alice"),
        ("digest", "udp", "alice"),
    ],
)
async def test_the_whole_chat(tmp_path: Path, scheme: str, transport: str, login: str) -> None:
    async with site(tmp_path, scheme, transport=transport) as here:
        status, output = await client(
            here, tmp_path, "--rooms", "--join", "Lobby", "--say", "grüße", "--history", login=login
        )
        assert status == 0, output
        assert "Lobby\tma-chan://contoso.com/" in output and "alice: grüße" in output
        await here.gateway.line("signed out", "alice@contoso.com")
        assert not here.lines("sign-in failed") and not here.lines("request failed")
        assert PASSWORD not in "\n".join(here.gateway.log)


async def test_two_people_hear_each_other(tmp_path: Path) -> None:
    """One by each scheme."""
    async with site(tmp_path, "ntlm", "digest") as here:
        heard = asyncio.create_task(client(here, tmp_path, "--join", "Lobby", "--expect", "hello bob"))
        await here.gateway.line("signed in", "alice@contoso.com")
        said = ("--join", "Lobby", "--auth", "digest", "--say", "hello bob")
        status, output = await client(here, tmp_path, *said, user=BOB, login="bob", password="bob's secret")
        assert status == 0, output
        status, output = await heard
        assert status == 0, output


@BOTH
@pytest.mark.parametrize(("login", "password"), [("alice", "mistaken"), ("nobody", PASSWORD)])
async def test_a_wrong_name_or_password(tmp_path: Path, scheme: str, login: str, password: str) -> None:
    async with site(tmp_path, scheme) as here:
        status, output = await client(here, tmp_path, "--rooms", login=login, password=password)
        assert status == 1
        for part in ("could not sign in: 401", f"as {login}: refused", "Final handshake failed"):
            assert part in output
        assert output.count("\n") == 0 and password not in output
        assert len(here.lines("sign-in failed")) == 1


@BOTH
async def test_an_account_that_is_disabled(tmp_path: Path, scheme: str) -> None:
    async with site(tmp_path, scheme) as here:
        status, output = await client(here, tmp_path, "--rooms", user=CAROL, login="carol")
        assert status == 1
        assert "could not sign in: 403" in output and "the account is disabled" in output


@BOTH
async def test_the_uri_of_somebody_else(tmp_path: Path, scheme: str) -> None:
    async with site(tmp_path, scheme) as here:
        status, output = await client(here, tmp_path, "--rooms", login="bob", password="bob's secret")
        assert status == 1
        assert "could not sign in: 403" in output and "4004" in output and "signed in as sip:bob@contoso.com" in output


async def test_a_scheme_that_the_gateway_does_not_offer(tmp_path: Path) -> None:
    async with site(tmp_path, "digest") as here:
        status, output = await client(here, tmp_path, "--rooms", "--auth", "ntlm")
        assert (status, "the server offers Digest, not NTLM" in output) == (1, True)


class Wire:
    """Sees what a client is sent."""

    def __init__(self) -> None:
        self.registered = 0
        self._more = asyncio.Event()

    def __call__(self, direction: str, data: bytes, peer: Flow | Hop) -> None:
        if direction == "in" and data.startswith(b"SIP/2.0 200 ") and b" REGISTER\r\n" in data:
            self.registered += 1
            self._more.set()

    async def another(self, than: int) -> None:
        """Wait until a further REGISTER has been accepted."""
        async with asyncio.timeout(START * 2):
            while self.registered <= than:
                self._more.clear()
                await self._more.wait()


@BOTH
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_the_gateway_restarts_in_mid_call(tmp_path: Path, scheme: str, number: int) -> None:
    """The client comes back by itself, signs in anew, and its session in the pool goes on."""
    async with site(tmp_path, scheme) as here:
        server = Server("TCP", "127.0.0.1", here.port)
        options = ClientOptions(ALICE, server, "sip:ocschat@contoso.com", login="alice", password=PASSWORD)
        wire = Wire()
        alice = GroupChatClient(options, trace=wire)
        try:
            await alice.start()
            await alice.join("Lobby")
            await alice.say("Lobby", "before")
            alice.refresh()  # when this is answered, so is the INFO of before, without which the pool would hang up
            await wire.another(1)
            before = wire.registered
            await here.gateway.stop(number)
            async with sipgw("serve", "--config", here.config):
                await wire.another(before)
                await alice.say("Lobby", "after")
                assert [line.text for line in await alice.history("Lobby")] == ["before", "after"]
                await alice.sign_out()
        finally:
            await alice.close()


async def test_what_is_said_while_the_gateway_is_away_is_told_at_once(tmp_path: Path) -> None:
    async with site(tmp_path, "ntlm") as here:
        server = Server("TCP", "127.0.0.1", here.port)
        options = ClientOptions(ALICE, server, "sip:ocschat@contoso.com", login="alice", password=PASSWORD)
        alice = GroupChatClient(options)
        try:
            await alice.start()
            await alice.join("Lobby")
            await here.gateway.stop(signal.SIGKILL)
            with pytest.raises(ClientError, match="could not send: "):
                await alice.say("Lobby", "anybody there?")
            with pytest.raises(ClientError, match="could not send: "):
                await alice.find_rooms()
        finally:
            await alice.close()


async def test_an_account_that_is_disabled_while_it_is_signed_in(tmp_path: Path) -> None:
    async with site(tmp_path, "ntlm") as here:
        server = Server("TCP", "127.0.0.1", here.port)
        options = ClientOptions(ALICE, server, "sip:ocschat@contoso.com", login="alice", password=PASSWORD)
        told: asyncio.Queue[str] = asyncio.Queue()
        alice = GroupChatClient(options, complain=told.put_nowait)
        try:
            await alice.start()
            read = len(here.lines("users read"))
            write_users(tmp_path, USERS.replace('password = "secret"', 'password = "secret"\nenabled = false', 1))
            while len(here.lines("users read")) == read:
                await here.gateway.more()
            alice.refresh()
            async with asyncio.timeout(START):
                text = await told.get()
            assert text.startswith("no longer signed in: 403 Forbidden") and "the account is disabled" in text
        finally:
            await alice.close()

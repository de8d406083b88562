"""Sign-in with Kerberos against a real KDC: whole chats, and what people are told when it goes wrong."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.e2e.kerberos.kdc import FQDN, PASSWORD, REALM, Realm, clock_off, realm
from tests.e2e.kerberos.site import MARKS, client, enter, set_up, site
from tests.e2e.programs import Program, sipgw
from tests.sipe.client import SipeClient, StartClient
from tests.sipe.conftest import sipe_driver, start_client

__all__ = ["sipe_driver", "start_client"]

pytestmark = MARKS
CHAT = ("--join", "Lobby", "--say", "hello", "--expect", "hello")


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    with realm(tmp_path_factory.mktemp("realm")) as here:
        yield here


@pytest.fixture
def here(centre: Realm, monkeypatch: pytest.MonkeyPatch) -> Realm:
    """The realm, with nobody's tickets."""
    enter(monkeypatch, centre.environment)
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{centre.folder}/none")
    return centre


async def test_the_whole_chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: Realm) -> None:
    enter(monkeypatch, here.ticket("alice"))
    async with site(tmp_path, here) as (gateway, port):
        status, said = await client(port, "alice", *CHAT)
        assert status == 0, said
        await gateway.line("signed in", "alice@contoso.com")
        assert not any("sign-in failed" in line for line in gateway.log)


async def test_the_ticket_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: Realm) -> None:
    enter(monkeypatch, here.ticket("bob"))
    async with site(tmp_path, here) as (gateway, port):
        status, said = await client(port, "alice", "--rooms")
        assert status == 1 and "4004" in said
        await gateway.line("From is sip:alice@contoso.com, signed in as sip:bob@contoso.com")


async def test_no_ticket(tmp_path: Path, here: Realm) -> None:
    async with site(tmp_path, here) as (gateway, port):
        status, said = await client(port, "alice", "--rooms")
        assert status == 1 and "no Kerberos ticket: No Kerberos credentials available" in said
        assert "Traceback" not in said
        assert not any("signed in" in line for line in gateway.log)


async def test_a_gateway_whose_clock_is_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: Realm) -> None:
    """By less than the 15 minutes of NTLM, and more than the 5 minutes of Kerberos."""
    enter(monkeypatch, here.ticket("alice"))
    async with AsyncExitStack() as stack:
        with monkeypatch.context() as off:
            for name, value in clock_off("+10m").items():
                off.setenv(name, value)
            gateway, port = await stack.enter_async_context(site(tmp_path, here))
        status, said = await client(port, "alice", "--rooms")
        assert status == 1 and "403" in said, said
        assert await gateway.line("sign-in failed", "Clock skew too great")


async def ended(program: Program) -> list[str]:
    """What a program has to say that ends by itself with 1."""
    assert await program.process.wait() == 1
    await program.ended()
    return program.log


@pytest.mark.parametrize(
    ("fqdn", "keytab", "told"),
    [
        ("other.contoso.com", "gateway.keytab", f"has keys of sip/{FQDN}@{REALM} HTTP/{FQDN}@{REALM}; it has to hold "),
        (FQDN, "krb5.conf", "is no keytab; it has to hold "),
        (FQDN, "missing.keytab", "missing.keytab"),
    ],
)
async def test_a_keytab_that_is_of_no_use(tmp_path: Path, here: Realm, fqdn: str, keytab: str, told: str) -> None:
    config = set_up(tmp_path, here.folder / keytab)
    config.write_text(config.read_text().replace(f'fqdn = "{FQDN}"', f'fqdn = "{fqdn}"'))
    async with sipgw("serve", "--config", config) as gateway, sipgw("check", "--config", config) as check:
        (line,) = await ended(gateway)
        assert "auth.keytab" in line and told in line
        assert any("auth.keytab" in line and told in line for line in await ended(check)), check.log


async def test_check_finds_the_key(tmp_path: Path, here: Realm) -> None:
    async with sipgw("check", "--config", set_up(tmp_path, here.keytab)) as check:
        assert f"has the key of sip/{FQDN}" in await check.line("auth.keytab")


async def start_sipe(start_client: StartClient, here: Realm, port: int, user: str) -> SipeClient:
    """pidgin-sipe as alice, with the password of `user`."""
    return await start_client(
        "alice@contoso.com",
        f"127.0.0.1:{port}",
        login=f"{user}@{REALM}",
        password=PASSWORD,
        authentication="krb5",
        environment={"KRB5_CONFIG": here.environment["KRB5_CONFIG"]},
    )


@pytest.mark.parametrize("schemes", ['"kerberos"', '"kerberos", "ntlm", "digest"'])
async def test_pidgin_sipe(tmp_path: Path, start_client: StartClient, here: Realm, schemes: str) -> None:
    async with site(tmp_path, here, schemes) as (gateway, port):
        alice = await start_sipe(start_client, here, port, "alice")
        await alice.chat_ready()
        (uri,) = [event["uri"] for event in await alice.rooms()]
        room = await alice.join(uri)
        await room.say("hello")
        await room.hears("hello", own=True)
        assert not any("sign-in failed" in line for line in gateway.log)


async def test_pidgin_sipe_with_the_password_of_another(tmp_path: Path, start_client: StartClient, here: Realm) -> None:
    async with site(tmp_path, here) as (gateway, port):
        alice = await start_sipe(start_client, here, port, "bob")
        await alice.wait_for("connection_error")
        await gateway.line("From is sip:alice@contoso.com, signed in as sip:bob@contoso.com")

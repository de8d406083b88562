"""Sign-in with Kerberos against a real KDC: tickets, signatures, and what is told when it goes wrong."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from random import Random

import pytest

from sipgw.auth.kerberos_mechanism import Refusal
from sipgw.config import load_config
from sipgw.server.kerberos import AcceptedContext, gateway_credentials
from sipgw.server.kerberos_client import begin
from tests.e2e.kerberos.kdc import FQDN, PASSWORD, REALM, Realm, realm
from tests.e2e.programs import Program, sipgw, write_config
from tests.sipe.client import StartClient
from tests.sipe.conftest import sipe_driver, start_client

__all__ = ["sipe_driver", "start_client"]

pytestmark = [
    pytest.mark.peer("krb5kdc", "krb5-kdc"),
    pytest.mark.peer("kadmin.local", "krb5-admin-server"),
    pytest.mark.peer("kinit", "krb5-user"),
    pytest.mark.skipif(find_spec("gssapi") is None, reason="gssapi is not built; Debian package: libkrb5-dev"),
]
USERS = f"""
[[user]]
uri = "sip:alice@contoso.com"
names = ["alice", "alice@{REALM.lower()}"]
[[user]]
uri = "sip:bob@contoso.com"
names = ["bob", "bob@{REALM.lower()}"]
"""


def set_up(folder: Path, here: Realm, server: str = "tcp:127.0.0.1:9", schemes: str = '"kerberos"') -> Path:
    config = write_config(folder, server, listen=("tcp:127.0.0.1:0",))
    text = config.read_text().replace('fqdn = "127.0.0.1"', f'fqdn = "{FQDN}"\ntrusted_peers = []')
    config.write_text(f'{text}[auth]\nschemes = [{schemes}]\nkeytab = "{here.keytab}"\n')
    users = folder / "users.toml"
    users.write_text(USERS)
    users.chmod(0o600)
    return config


@asynccontextmanager
async def site(
    folder: Path, monkeypatch: pytest.MonkeyPatch, schemes: str = '"kerberos"'
) -> AsyncIterator[tuple[Realm, Program, int]]:
    """The realm, a gateway that is one of its services, and its port."""
    (folder / "realm").mkdir()
    async with realm(folder / "realm") as here, sipgw("pool", "--listen", "tcp:127.0.0.1:0", "--room", "Lobby") as pool:
        enter(monkeypatch, here.environment)
        config = set_up(folder, here, f"tcp:127.0.0.1:{(await pool.ports())['tcp']}", schemes)
        async with sipgw("serve", "--config", config) as gateway:
            yield here, gateway, (await gateway.ports())["tcp"]


def enter(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
    """Have programs that are started from now on find this realm and these tickets."""
    for name in ("KRB5_CONFIG", "KRB5CCNAME", "KRB5RCACHENAME"):
        if name in environment:
            monkeypatch.setenv(name, environment[name])


async def client(port: int, user: str, *more: str) -> tuple[int, str]:
    options = ("--user", f"sip:{user}@contoso.com", "--server", f"tcp:127.0.0.1:{port}", "--login", user)
    async with sipgw("client", *options, "--timeout", "20", *more) as program:
        status = await program.process.wait()
        await program.ended()
    return status, "\n".join(program.log)


async def test_the_whole_chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with site(tmp_path, monkeypatch) as (here, gateway, port):
        enter(monkeypatch, await here.ticket("alice"))
        monkeypatch.setenv("SIPGW_PASSWORD", "not needed")
        chat = ("--join", "Lobby", "--say", "hello", "--expect", "hello")
        status, said = await client(port, "alice", "--auth", "kerberos", *chat)
        assert status == 0, said
        await gateway.line("signed in", "alice@contoso.com")
        assert not any("sign-in failed" in line for line in gateway.log)


async def test_the_ticket_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with site(tmp_path, monkeypatch) as (here, gateway, port):
        enter(monkeypatch, await here.ticket("bob"))
        monkeypatch.setenv("SIPGW_PASSWORD", "not needed")
        status, said = await client(port, "alice", "--auth", "kerberos", "--rooms")
        assert status == 1 and "4004" in said
        await gateway.line("From is sip:alice@contoso.com, signed in as sip:bob@contoso.com")


async def test_no_ticket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with site(tmp_path, monkeypatch) as (_, gateway, port):
        monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path}/none")
        monkeypatch.setenv("SIPGW_PASSWORD", "not needed")
        status, said = await client(port, "alice", "--auth", "kerberos", "--rooms")
        assert status == 1 and "ticket" in said and "Traceback" not in said
        assert not any("signed in" in line for line in gateway.log)


async def test_a_keytab_without_the_gateways_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "realm").mkdir()
    async with realm(tmp_path / "realm") as here:
        enter(monkeypatch, here.environment)
        config = set_up(tmp_path, here)
        config.write_text(config.read_text().replace(f'fqdn = "{FQDN}"', 'fqdn = "other.contoso.com"'))
        async with sipgw("serve", "--config", config) as gateway:
            assert await gateway.process.wait() == 1
            await gateway.ended()
        (told,) = gateway.log
        assert "auth.keytab" in told and "it has to hold the key of sip/other.contoso.com" in told
        async with sipgw("check", "--config", config) as checked:
            assert await checked.process.wait() == 1
            await checked.ended()
        assert any(line.startswith("FAIL auth.keytab") for line in checked.log), checked.log


async def test_tickets_that_are_altered_prove_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a stranger makes of one: a refusal, and no error that goes further."""
    (tmp_path / "realm").mkdir()
    async with realm(tmp_path / "realm") as here:
        enter(monkeypatch, await here.ticket("alice"))
        credentials = gateway_credentials(load_config(set_up(tmp_path, here)))
        good = begin(f"sip/{FQDN}").step(b"", 0.0)
        assert AcceptedContext(credentials).accept(good)[0] == f"alice@{REALM}"
        random = Random(1)
        for at in range(0, len(good), 7):
            bad = bytearray(begin(f"sip/{FQDN}").step(b"", 0.0))
            bad[at % len(bad)] ^= random.randrange(1, 256)
            with suppress(Refusal):  # a byte that means nothing may be another one
                assert AcceptedContext(credentials).accept(bytes(bad))[0] == f"alice@{REALM}"
        with pytest.raises(Refusal):
            AcceptedContext(credentials).accept(good[:-20] + bytes(20))
        with pytest.raises(Refusal):
            AcceptedContext(credentials).accept(b"no ticket")


async def test_pidgin_sipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start_client: StartClient) -> None:
    async with site(tmp_path, monkeypatch) as (here, _, port):
        tickets = await here.ticket("alice")
        alice = await start_client(
            "alice@contoso.com",
            f"127.0.0.1:{port}",
            login=f"alice@{REALM}",
            password=PASSWORD,
            authentication="krb5",
            environment={name: tickets[name] for name in ("KRB5_CONFIG", "KRB5CCNAME")},
        )
        await alice.chat_ready()
        (uri,) = [event["uri"] for event in await alice.rooms()]
        room = await alice.join(uri)
        await room.say("hello")
        await room.hears("hello", own=True)

"""A gateway that is a service of a realm, and who signs in there."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.e2e.kerberos.kdc import FQDN, REALM, Realm
from tests.e2e.programs import Program, sipgw, write_config

MARKS = [
    pytest.mark.peer("krb5kdc", "krb5-kdc"),
    pytest.mark.peer("kadmin.local", "krb5-admin-server"),
    pytest.mark.peer("kinit", "krb5-user"),
    pytest.mark.peer("faketime", "faketime"),
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


def set_up(
    folder: Path,
    keytab: Path,
    server: str = "tcp:127.0.0.1:9",
    schemes: str = '"kerberos"',
    users: str = "users.toml",
    more: str = "",
) -> Path:
    """The configuration of a gateway that is `FQDN`; `more` are further tables."""
    config = write_config(folder, server, listen=("tcp:127.0.0.1:0",))
    text = config.read_text().replace('fqdn = "127.0.0.1"', f'fqdn = "{FQDN}"\ntrusted_peers = []')
    config.write_text(f'{text}[auth]\nschemes = [{schemes}]\nkeytab = "{keytab}"\nusers = "{users}"\n{more}')
    file = folder / "users.toml"
    file.write_text(USERS)
    file.chmod(0o600)
    return config


@asynccontextmanager
async def site(
    folder: Path, here: Realm, schemes: str = '"kerberos"', users: str = "users.toml", more: str = ""
) -> AsyncIterator[tuple[Program, int]]:
    """A gateway before a pool, and its port."""
    async with sipgw("pool", "--listen", "tcp:127.0.0.1:0", "--room", "Lobby") as pool:
        config = set_up(folder, here.keytab, f"tcp:127.0.0.1:{(await pool.ports())['tcp']}", schemes, users, more)
        async with sipgw("serve", "--config", config) as gateway:
            yield gateway, (await gateway.ports())["tcp"]


def enter(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
    """Have this program, and those that are started from now on, find this realm and these tickets."""
    for name in ("KRB5_CONFIG", "KRB5CCNAME"):
        if name in environment:
            monkeypatch.setenv(name, environment[name])


async def client(port: int, user: str, *more: str) -> tuple[int, str]:
    """The status and the words of the emulated client that signs in with a ticket."""
    who = ("--user", f"sip:{user}@contoso.com", "--login", user, "--auth", "kerberos")
    async with sipgw("client", *who, "--server", f"tcp:127.0.0.1:{port}", "--timeout", "20", *more) as program:
        status = await program.process.wait()
        await program.ended()
    return status, "\n".join(program.log)

"""A real key distribution centre on loopback, in a folder of its own: the realm CORP.CONTOSO.COM."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

REALM, FQDN = "CORP.CONTOSO.COM", "sipgw.contoso.com"
PASSWORD = "secret"
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_KRB5 = """
[libdefaults]
default_realm = {realm}
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
rdns = false
udp_preference_limit = 1
[realms]
{realm} = {{
  kdc = 127.0.0.1:{port}
}}
[domain_realm]
.contoso.com = {realm}
"""
_KDC = """
[kdcdefaults]
kdc_listen = ""
kdc_tcp_listen = 127.0.0.1:{port}
[realms]
{realm} = {{
  database_name = {folder}/principal
  key_stash_file = {folder}/stash
  acl_file = {folder}/acl
  max_life = 1h
}}
"""


@dataclass
class Realm:
    """What a program needs to take part is in `environment`; `keytab` has the gateway's key."""

    folder: Path
    environment: dict[str, str]

    @property
    def keytab(self) -> Path:
        return self.folder / "gateway.keytab"

    async def run(self, *command: str, text: str = "") -> None:
        process = await asyncio.create_subprocess_exec(
            *command, env={**self.environment, "PATH": _PATH}, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate(text.encode())
        assert process.returncode == 0, said.decode()

    async def ticket(self, user: str) -> dict[str, str]:
        """A user's own environment, with a ticket."""
        mine = {**self.environment, "KRB5CCNAME": f"FILE:{self.folder / user}.tickets"}
        await Realm(self.folder, mine).run("kinit", f"{user}@{REALM}", text=f"{PASSWORD}\n")
        return mine


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def realm(folder: Path) -> AsyncIterator[Realm]:
    """alice, bob and the gateway are its principals."""
    port = _free_port()
    (folder / "krb5.conf").write_text(_KRB5.format(realm=REALM, port=port))
    (folder / "kdc.conf").write_text(_KDC.format(realm=REALM, port=port, folder=folder))
    (folder / "acl").touch()
    files = {"KRB5_CONFIG": str(folder / "krb5.conf"), "KRB5_KDC_PROFILE": str(folder / "kdc.conf")}
    here = Realm(folder, {**os.environ, **files, "KRB5RCACHENAME": f"dfl:{folder}", "TMPDIR": str(folder)})
    await here.run("kdb5_util", "create", "-s", "-r", REALM, "-P", "master")
    for user in ("alice", "bob"):
        await here.run("kadmin.local", "-r", REALM, "addprinc", "-pw", PASSWORD, user)
    await here.run("kadmin.local", "-r", REALM, "addprinc", "-randkey", f"sip/{FQDN}")
    await here.run("kadmin.local", "-r", REALM, "ktadd", "-k", str(here.keytab), f"sip/{FQDN}")
    process = await asyncio.create_subprocess_exec(
        "krb5kdc", "-n", "-r", REALM, env={**here.environment, "PATH": _PATH},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await _listening(port)
        yield here
    finally:
        process.terminate()
        await process.wait()


async def _listening(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                await writer.wait_closed()
                return

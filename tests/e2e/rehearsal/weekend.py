"""What a rehearsal needs: a gateway, a legacy pool, the new pools, and commands as an administrator types them."""

import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.programs import Program, sipgw
from tests.sipe.client import SipeClient, StartClient

OCSCHAT = "sip:ocschat@contoso.com"
POOL, SECOND = "pcpool.contoso.com", "pcpool.fabrikam.com"
# Addresses that nobody else has: pools are configured before they run, so their ports have to be free then
_HOST = f"127.{100 + os.getpid() // 200 % 100}.{os.getpid() % 200}"
ADMIN = f"{_HOST}.3:8080"  # where commands look for the API; at a port of its own choice they cannot
SERVERS = {POOL: f"tcp:{_HOST}.1:5041", SECOND: f"tcp:{_HOST}.2:5041"}

ROOMS = """
[[room]]
name = "Lobby"
topic = "Everybody"

[[room]]
name = "Board"
members = ["sip:alice@contoso.com", "sip:bob@contoso.com"]
managers = ["sip:bob@contoso.com"]
"""
USERS = """
[[user]]
uri = "sip:ocschat@contoso.com"
names = ["ocschat"]
password = "secret"

[[user]]
uri = "sip:alice@contoso.com"
names = ["alice"]
password = "secret"
"""

MONITORS = """
[[user]]
uri = "sip:monitor1@contoso.com"
names = ["monitor1"]
password = "secret"

[[user]]
uri = "sip:monitor2@contoso.com"
names = ["monitor2", 'CORP\\monitor2']
password = "secret"
"""


@dataclass
class Site:
    """A gateway in a folder of its own; `server` is where clients find it."""

    folder: Path
    stack: AsyncExitStack
    gateway: Program
    server: str
    pools: dict[str, Program] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.folder / "sipgw.toml"

    async def run(self, *arguments: str | Path) -> tuple[int, str]:
        """A command to its end: exit status and what it has written."""
        async with sipgw(*arguments) as program:
            status = await program.process.wait()
            await program.ended()
        return status, "\n".join(program.log)

    async def done(self, *arguments: str | Path) -> str:
        """A command that has to succeed."""
        status, output = await self.run(*arguments)
        assert status == 0, output
        return output

    async def cmdlet(self, line: str) -> str:
        return await self.done("cmdlet", line, "--config", self.config)

    async def legacy(self, services: int = 3) -> Program:
        """The legacy pool, with its rooms in legacy.db."""
        rooms = self.folder / "rooms.toml"
        rooms.write_text(ROOMS, "utf-8")
        command = ("--via", self.server, "--services", str(services), "--data", self.folder / "legacy.db")
        pool = await self.stack.enter_async_context(sipgw("lookup", "--register", OCSCHAT, *command, "--rooms", rooms))
        await pool.line("legacy pool is up")
        return pool

    async def pool(self, fqdn: str, *more: str | Path) -> Program:
        """A Persistent Chat pool, with its rooms in a file of its name."""
        data = ("--data", self.folder / f"{fqdn}.db")
        program = await self.stack.enter_async_context(sipgw("pool", "--listen", SERVERS[fqdn], *data, *more))
        await program.ports()
        self.pools[fqdn] = program
        return program

    async def sign_on(self, start: StartClient, user: str) -> SipeClient:
        client = await start(user, self.server, transport="tcp")
        await client.chat_ready()
        return client

    async def configure(self, *pools: str) -> None:
        """Other pools, taken over by the gateway that runs."""
        write_config(self.folder, pools)
        self.gateway.process.send_signal(signal.SIGHUP)
        await self.gateway.line(" reloaded ")


def write_config(folder: Path, pools: Sequence[str], more: str = "", admin: str = ADMIN, workers: int = 1) -> Path:
    lines = [
        "[gateway]",
        f"workers = {workers}",
        'fqdn = "127.0.0.1"',
        'listen = ["tcp:127.0.0.1:0"]',
        'domains = ["contoso.com", "fabrikam.com"]',
    ]
    lines += [
        "[admin]",
        f'listen = "{admin}"',
        "[store]",
        'url = "sqlite:gateway.db"',
        "[limits]",
        "max_delay = 5.0",
        "[auth]",
        'users = "users.toml"',
    ]
    lines += [more]
    for fqdn in pools:
        lines += ["[[pool]]", f'fqdn = "{fqdn}"', f'servers = ["{SERVERS[fqdn]}"]']
    path = folder / "sipgw.toml"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@asynccontextmanager
async def site(
    folder: Path, more: str = "", users: str = USERS, admin: str = ADMIN, workers: int = 1
) -> AsyncIterator[Site]:
    """The gateway as it is on Friday: the new pool is configured, nothing leads to it yet. `more` is for [auth]. With
    `admin` at port 0 commands go by way of the store."""
    path = folder / "users.toml"
    path.write_text(users, "utf-8")
    path.chmod(0o600)
    async with AsyncExitStack() as stack:
        config = write_config(folder, [POOL], more, admin, workers)
        gateway = await stack.enter_async_context(sipgw("serve", "--config", config))
        server = f"127.0.0.1:{(await gateway.ports())['tcp']}"
        yield Site(folder, stack, gateway, server)

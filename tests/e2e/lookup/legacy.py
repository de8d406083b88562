"""A gateway with a legacy pool signed in at it, for tests with real clients."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.programs import Program, sipgw
from tests.ports import free_port
from tests.sipe.client import SipeClient, StartClient

OCSCHAT = "sip:ocschat@contoso.com"
UP = "legacy pool is up"


@dataclass
class LegacySite:
    """A gateway without endpoints, and a legacy pool of some Lookup services."""

    gateway: Program
    pool: Program
    config: Path
    server: str

    async def sign_on(self, start: StartClient, user: str, **settings: str) -> SipeClient:
        client = await start(user, self.server, transport="tcp", settings=settings or None)
        await client.chat_ready()
        return client


def gateway_config(
    folder: Path, listen: str = "tcp:127.0.0.1:0", *, limits: str = "", pools: Mapping[str, str] | None = None
) -> Path:
    """A gateway without endpoints; `pools` are servers by the FQDN of their pool. Clients are provisioned with the
    first pool, so that one with a legacy pool only has none."""
    lines = ["[gateway]", 'fqdn = "127.0.0.1"', f'listen = ["{listen}"]', 'domains = ["contoso.com", "fabrikam.com"]']
    lines += [
        "[admin]",
        'listen = "127.0.0.1:0"',
        "[store]",
        'url = "sqlite:gateway.db"',
        "[limits]",
        "max_delay = 5.0",
        limits,
    ]
    for fqdn, server in (pools or {}).items():
        lines += ["[[pool]]", f'fqdn = "{fqdn}"', f'servers = ["{server}"]']
    path = folder / "sipgw.toml"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@asynccontextmanager
async def legacy_site(
    folder: Path, services: int = 3, *arguments: str | Path, limits: str = "", up: bool = True
) -> AsyncIterator[LegacySite]:
    config = gateway_config(folder, f"tcp:127.0.0.1:{free_port()}", limits=limits)  # it may come back
    async with sipgw("serve", "--config", config) as gateway:
        address = f"127.0.0.1:{(await gateway.ports())['tcp']}"
        rooms = arguments or ("--room", "Lobby")
        command = ("lookup", "--register", OCSCHAT, "--via", address, "--services", str(services))
        async with sipgw(*command, *rooms) as pool:
            if up:
                await pool.line(UP)
            yield LegacySite(gateway, pool, config, address)

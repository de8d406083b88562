"""A gateway that asks for sign-in, its users, and an emulated pool."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.programs import Program, sipgw, write_config
from tests.e2e.test_real_client import certificates
from tests.ports import free_port

PASSWORD = "secret"
USERS = """
[[user]]
uri = "sip:alice@contoso.com"
names = ["alice", 'CORP\\alice', "alice@corp.contoso.com"]
password = "secret"
[[user]]
uri = "sip:bob@contoso.com"
names = ["bob", 'CORP\\bob']
password = "bob's secret"
[[user]]
uri = "sip:carol@contoso.com"
password = "secret"
enabled = false
"""


@dataclass
class Site:
    """A gateway with sign-in by `schemes`, and a pool with the room Lobby."""

    gateway: Program
    config: Path
    transport: str
    port: int
    ca_dir: Path | None = None

    @property
    def server(self) -> str:
        return f"127.0.0.1:{self.port}"

    def lines(self, *words: str) -> list[str]:
        """What the gateway has logged so far with all of these words."""
        return [line for line in self.gateway.log if all(word in line for word in words)]


def write_users(folder: Path, text: str = USERS) -> Path:
    path = folder / "users.toml"
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    return path


@asynccontextmanager
async def site(
    folder: Path,
    *schemes: str,
    transport: str = "tcp",
    auth: str = "",
    more: str = "",
    by: Mapping[str, str] | None = None,
) -> AsyncIterator[Site]:
    """`auth` are further lines of [auth], `more` further tables, `by` variables of the gateway's own. A gateway that is
    started again is where it was."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(sipgw("pool", "--listen", "tcp:127.0.0.1:0", "--room", "Lobby"))
        server = f"tcp:127.0.0.1:{(await pool.ports())['tcp']}"
        tls, trusted = certificates(folder) if transport == "tls" else (None, None)
        config = write_config(folder, server, listen=(f"{transport}:127.0.0.1:{free_port()}",), tls=tls)
        write_users(folder)
        listed = ", ".join(f'"{scheme}"' for scheme in schemes)
        config.write_text(f"{config.read_text()}[auth]\nschemes = [{listed}]\n{auth}\n{more}\n")
        gateway = await stack.enter_async_context(sipgw("serve", "--config", config, by=by))
        yield Site(gateway, config, transport, (await gateway.ports())[transport], trusted)

"""A gateway of several workers, a pool, and clients of which it is known to which worker they have come."""

import asyncio
import re
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sipgw.core.ownership import worker_of
from tests.e2e.programs import Program, sipgw, write_config
from tests.e2e.raw_client import RawClient

TRIES = 60  # connections until one has come to the wanted worker: of two, each takes half of them


@dataclass
class Site:
    """A gateway, its file, and where it listens by TCP and UDP."""

    gateway: Program
    config: Path
    tcp: int
    udp: int

    def lines(self, *words: str) -> list[str]:
        """What the gateway has logged so far with all of these words."""
        return [line for line in self.gateway.log if all(word in line for word in words)]

    async def api(self, path: str) -> str:
        """What the admin API answers."""
        url = (await self.gateway.line("admin API")).partition("url=")[2].strip()
        return await asyncio.to_thread(_read, f"{url}{path}")

    async def metric(self, name: str) -> float:
        """The sum of all samples of a metric, 0.0 where there is none."""
        found = re.findall(rf"(?m)^{name}(?:{{[^}}]*}})? (\S+)$", await self.api("/metrics"))
        return sum(map(float, found))

    async def until(self, name: str, value: float) -> None:
        """Wait until a metric has a value."""
        for _ in range(150):
            if await self.metric(name) == value:
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"{name} is {await self.metric(name)}")

    def pids(self) -> dict[int, int]:
        """Process ids of the workers that run now, by worker."""
        children = Path(f"/proc/{self.gateway.process.pid}/task/{self.gateway.process.pid}/children")
        found: dict[int, int] = {}
        for pid in map(int, children.read_text().split()):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"worker" in words:
                found[int(words[words.index(b"worker") + 1])] = pid
        return found

    async def client(self, user: str, worker: int) -> RawClient:
        """Signed in over a connection that this worker holds."""
        for _ in range(TRIES):
            client = RawClient(f"{user}@contoso.com")
            await client.connect(self.tcp)
            if came_to(await client.ask()) == worker:
                assert (await client.register())[0] == 200
                return client
            await client.close()
        raise AssertionError(f"none of {TRIES} connections has come to worker {worker}")


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=15) as answer:
        return str(answer.read().decode())


def came_to(headers: dict[str, str]) -> int:
    """Which worker has answered, by the id of the connection that stands in Via."""
    found = re.search(r"ms-received-cid=([0-9A-F]+)", headers["via"])
    assert found is not None
    return worker_of(int(found[1], 16))


@asynccontextmanager
async def site(folder: Path, pool: str = "", workers: int = 2, more: str = "") -> AsyncIterator[Site]:
    """With an emulated pool by TCP where none is named; `more` are further tables."""
    async with AsyncExitStack() as stack:
        if not pool:
            program = await stack.enter_async_context(sipgw("pool", "--listen", "tcp:127.0.0.1:0", "--room", "Lobby"))
            pool = f"tcp:127.0.0.1:{(await program.ports())['tcp']}"
        config = write_config(folder, pool)
        config.write_text(config.read_text().replace("[gateway]\n", f"[gateway]\nworkers = {workers}\n") + more)
        gateway = await stack.enter_async_context(sipgw("serve", "--config", config))
        ports = await gateway.ports()
        yield Site(gateway, config, ports["tcp"], ports["udp"])

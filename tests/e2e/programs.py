"""Starts the project's own programs as people do, on free ports, and ends them by their process ids."""

import asyncio
import os
import re
import signal
import sys
import urllib.request
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
START = 15.0  # seconds that a program may take to listen
_URL = re.compile(r"http://127\.0\.0\.1:\d+")
_GAUGE = re.compile(r"^(sipgw_transactions\{side=\"\w+\"\}|sipgw_timers) (\S+)$", re.MULTILINE)
_ADDRESS = re.compile(r"\b(udp|tcp|tls):([0-9.]+|\[[0-9a-f:]+\]):(\d+)")


class Program:
    """A running program; `log` is what it has written so far."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.log: list[str] = []
        self._reader = asyncio.create_task(self._read())
        self._more = asyncio.Event()

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.log.append(line.decode("utf-8", "replace").rstrip())
            self._more.set()
        self._more.set()

    async def line(self, *words: str) -> str:
        """The first line, past or to come, that contains all of the words."""
        async with asyncio.timeout(START):
            while True:
                for line in self.log:
                    if all(word in line for word in words):
                        return line
                assert not self._reader.done(), "ended: " + "\n".join(self.log)
                self._more.clear()
                await self._more.wait()

    async def more(self) -> None:
        """Wait for another line."""
        assert not self._reader.done(), "ended: " + "\n".join(self.log)
        self._more.clear()
        async with asyncio.timeout(START):
            await self._more.wait()

    async def ended(self) -> None:
        """Wait until all that it has written is in `log`."""
        await self._reader

    async def ports(self) -> dict[str, int]:
        """The bound port of each transport, from the line that says so."""
        line = await self.line("listening", "addresses")
        return {transport: int(port) for transport, _, port in _ADDRESS.findall(line)}

    async def gauges(self) -> dict[str, float]:
        """What the admin API says of sizes: transactions of both sides, timers."""
        url = _URL.search(await self.line("admin API", "url="))
        assert url is not None
        text = await asyncio.to_thread(_read, f"{url[0]}/metrics")
        return {name: float(number) for name, number in _GAUGE.findall(text)}

    async def quiet(self, within: float = 60.0) -> None:
        """Wait until no transaction and no timer is left: `within` has to be longer than the longest one lingers.

        To be asked of a gateway without probing before it is stopped: what its test leaves behind in another process
        no fixture of the suite sees.
        """
        found: dict[str, float] = {}
        try:
            async with asyncio.timeout(within):
                while any((found := await self.gauges()).values()):  # noqa: ASYNC110 - it is another process
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"left behind after {within:g} s: {found}") from None
        assert len(found) == 3, found

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal and wait. Returns the exit status."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(15):
            status = await self.process.wait()
            await self._reader
        return status


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=START) as answer:
        text: str = answer.read().decode()
    return text


@asynccontextmanager
async def sipgw(*arguments: str | Path, by: Mapping[str, str] | None = None) -> AsyncIterator[Program]:
    """`sipgw ARGUMENTS` in a process of its own, with variables of its own."""
    environment = {**os.environ, **(by or {}), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "COLUMNS": "120"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sipgw",
        *map(str, arguments),
        stdout=PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
    )
    program = Program(process)
    try:
        yield program
    finally:
        await program.stop()


def write_config(
    folder: Path,
    pool_server: str,
    *,
    listen: Sequence[str] = ("udp:127.0.0.1:0", "tcp:127.0.0.1:0"),
    endpoint: bool = True,
    tls: dict[str, Path] | None = None,
    level: str = "info",
) -> Path:
    """A gateway's configuration file in `folder`."""
    lines = [
        "[gateway]",
        'fqdn = "127.0.0.1"',
        f"listen = [{', '.join(repr(item) for item in listen)}]",
        "[store]",
        'url = "sqlite:gateway.db"',
        "[limits]",  # load of a test comes from one address, and SIPp's from one user
        "max_requests_per_source = 0",
        "max_requests_per_user = 0",
        "max_delay = 5.0",  # the machine may be busy with something else
        "[admin]",
        'listen = "127.0.0.1:0"',
        "[log]",
        f'level = "{level}"',
        "[[pool]]",
        'fqdn = "pcpool.contoso.com"',
        f'servers = ["{pool_server}"]',
    ]
    if endpoint:
        lines += ["[[endpoint]]", 'sip_address = "sip:ocschat@contoso.com"', 'pool_fqdn = "pcpool.contoso.com"']
    if tls:
        lines += ["[tls]", *[f'{key} = "{path}"' for key, path in tls.items()]]
    path = folder / "sipgw.toml"
    path.write_text("\n".join(lines) + "\n")
    return path

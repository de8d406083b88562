"""What systemd is for a service: a socket that it is told things on."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.e2e.programs import ROOT, START, Program


class Manager:
    """`told` is everything so far, a datagram each, as NAME to VALUE."""

    def __init__(self, path: str) -> None:
        self.told: list[dict[str, str]] = []
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(f"\0{path[1:]}" if path.startswith("@") else path)
        self._sock.setblocking(False)

    async def next(self, name: str) -> dict[str, str]:
        """The next that has this name in it."""
        async with asyncio.timeout(START):
            while True:
                data = await asyncio.get_running_loop().sock_recv(self._sock, 65_536)
                lines = dict(line.split("=", 1) for line in data.decode().split("\n"))
                self.told.append(lines)
                if name in lines:
                    return lines

    def close(self) -> None:
        self._sock.close()


@asynccontextmanager
async def serving(config: Path, socket_path: str, **more: str) -> AsyncIterator[tuple[Program, Manager]]:
    """A gateway as a service manager starts it."""
    manager = Manager(socket_path)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NOTIFY_SOCKET": socket_path, **more}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sipgw", "serve", "--config", str(config),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environment,
    )  # fmt: skip
    program = Program(process)
    try:
        yield program, manager
    finally:
        await program.stop()
        manager.close()

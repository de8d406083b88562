"""`python -m tests.e2e.named PORT ARGUMENTS`: sipgw, with the name server at this port of loopback as the system's."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sipgw.management.cli import main
from sipgw.server.resolver import Resolver
from tests.e2e.programs import ROOT, Program


@asynccontextmanager
async def named(port: int, *arguments: str | Path) -> AsyncIterator[Program]:
    """`sipgw ARGUMENTS` in a process of its own."""
    command = [sys.executable, "-m", "tests.e2e.named", str(port), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT, env=environment)
    program = Program(process)
    try:
        yield program
    finally:
        await program.stop()


async def said(port: int, *arguments: str | Path) -> tuple[int, list[str]]:
    """A command that ends by itself: its exit status and what it has written."""
    async with named(port, *arguments) as program, asyncio.timeout(60):
        status = await program.process.wait()
        await program.ended()
        return status, program.log


if __name__ == "__main__":
    Resolver.__init__.__defaults__ = ([("127.0.0.1", int(sys.argv[1]))],)
    sys.exit(main(sys.argv[2:]))

"""Worker processes: started anew from the program itself, not forked, and how long to wait before that."""

import asyncio
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from contextlib import suppress

from sipgw.server.workers.link import Link

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 30.0  # seconds before a worker that has ended is started again
LONG_ENOUGH = 10.0  # seconds after which it had started well


class Pause:
    """How long to wait before the next start: little at first, longer each time that it ends soon."""

    def __init__(self) -> None:
        self._next = FIRST_PAUSE

    def after(self, lived: float) -> float:
        """Seconds to wait, for one that has lived so long."""
        if lived >= LONG_ENOUGH:
            self._next = FIRST_PAUSE
        pause, self._next = self._next, min(2 * self._next, LONGEST_PAUSE)
        return pause


class Child:
    """A process, our end of its link, and of the socket by which it is handed others."""

    def __init__(self, process: Process, link: Link, fds: socket.socket) -> None:
        self.process = process
        self.link = link
        self.fds = fds

    @property
    def pid(self) -> int:
        return self.process.pid

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def ended(self) -> str:
        """Wait for its end. How it came about."""
        status = await self.process.wait()
        self.link.close()
        self.fds.close()
        return f"ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


async def spawn(number: int, link: Link) -> Child:
    """Start a worker; its number is for people who look at processes. Raises OSError."""
    near, far = socket.socketpair()
    near_fds, far_fds = socket.socketpair()
    try:
        near.setblocking(False)
        near_fds.setblocking(False)
        program = [sys.executable, "-m", "sipgw", "worker", str(number), str(far.fileno()), str(far_fds.fileno())]
        passed = (far.fileno(), far_fds.fileno())
        process = await asyncio.create_subprocess_exec(*program, stdin=DEVNULL, pass_fds=passed)
    except BaseException:
        near.close()
        near_fds.close()
        raise
    finally:
        far.close()
        far_fds.close()
    await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=near)
    return Child(process, link, near_fds)

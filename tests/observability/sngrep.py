"""sngrep as a HEP collector, without its screen. What it has understood it writes to a file."""

import os
import pty
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.ports import free_port

START = 15.0  # seconds that it may take for anything


class Sngrep:
    """Listens at `port`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.port = free_port()
        self._said = b""
        self._terminal, inside = pty.openpty()  # so that it does not keep to itself what it says
        command = ["sngrep", "-N", "-F", "-L", f"udp:127.0.0.1:{self.port}", "-O", str(file)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=inside, stderr=inside)
        os.close(inside)
        os.set_blocking(self._terminal, False)
        self._wait(self._listens)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError:
                return True
        return False

    def _dialogs(self) -> int:
        with suppress(OSError):
            self._said += os.read(self._terminal, 65_536)
        return int((re.findall(rb"Dialog count: (\d+)", self._said) or [0])[-1])

    def _wait(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + START
        while not condition():
            assert self._process.poll() is None, self._said
            assert time.monotonic() < end, self._said
            time.sleep(0.02)

    def has(self, dialogs: int) -> None:
        """Wait until it has seen so many calls."""
        self._wait(lambda: self._dialogs() >= dialogs)

    def stop(self) -> Path:
        """End it; the file has all that it has seen."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait(START)
        os.close(self._terminal)
        return self._file

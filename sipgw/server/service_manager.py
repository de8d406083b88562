"""What systemd wants to know of a service: that it is ready, reloading, stopping, alive (sd_notify(3)).

Datagrams of NAME=VALUE lines to the socket that it names in the environment; where it names none, nothing is said.
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

STATUS_EVERY = 10.0  # seconds between looks at how things are


class ServiceManager:
    """`watchdog` is how often it wants to hear that we live, in seconds; 0.0 for never."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self.watchdog = _watchdog(environment) if self._address else 0.0

    def ready(self, status: str) -> None:
        """It has started, or the reload is over."""
        self._tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str) -> None:
        self._tell("STOPPING=1", f"STATUS={status}")

    async def keep(self, status: Callable[[], str]) -> None:
        """Say for ever that the event loop still turns, and how things are."""
        if not self._address:
            return
        nap = min(STATUS_EVERY, self.watchdog / 3) if self.watchdog else STATUS_EVERY
        while True:
            self._tell(*(["WATCHDOG=1"] if self.watchdog else []), f"STATUS={status()}")
            await asyncio.sleep(nap)

    def _tell(self, *lines: str) -> None:
        if self._address:
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(lines).encode(), self._address)


def _address(name: str) -> str:
    """An absolute path, or a name in the abstract namespace."""
    return f"\0{name[1:]}" if name.startswith("@") else name if name.startswith("/") else ""


def _watchdog(environment: Mapping[str, str]) -> float:
    """Seconds. It may be meant for another process."""
    pid, microseconds = environment.get("WATCHDOG_PID", ""), environment.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdecimal() and pid in ("", str(os.getpid())) else 0.0

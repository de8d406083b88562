"""What a running gateway tells of itself in a file beside its store: where it listens, which pool servers are down.

For commands of the same machine that want to know without asking the gateway. The file is replaced as a whole, so that
nobody reads half of it, and the gateway holds a lock on it: when the gateway is gone, however it ended, so is the lock,
and what the file says counts no longer. Nothing is lost with it: the next gateway finds out for itself.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from sipgw.config import Config
from sipgw.core.health import Health
from sipgw.events import Hop, Listener
from sipgw.observability.log import get_logger

SUFFIX = "-running"
MAX_RECOVERED = 1000  # servers of which it is told that they were down once
MAX_SIZE = 4 << 20  # bytes that are read of it
TRIES = 10  # to read it while it is being replaced


class ServerState(NamedTuple):
    """Up again, or down, since when and why. `until` is when one that is down may be tried again all the same, 0.0 when
    it may not. Seconds of the loop's clock in the gateway, of the wall clock in the file."""

    up: bool
    since: float
    reason: str
    until: float


@dataclass(frozen=True)
class Running:
    """A gateway that runs: since when, which configuration and when it read that (wall clock), its listeners as the
    configuration writes them, and its pools' servers that are, or were, down. Against others nothing is known. `source`
    is "" for the embedded defaults."""

    pid: int
    since: float
    source: str = ""
    configured: float = 0.0
    listening: tuple[str, ...] = ()
    servers: Mapping[Hop, ServerState] = field(default_factory=dict)


class RunningFile:
    """Keeps the file in step with a gateway. `look` is called every second or so; `close` removes the file."""

    def __init__(self, store: Path, wall: Callable[[], float] = time.time) -> None:
        self._path = path_of(store)
        self._wall = wall
        self._since = wall()
        self._servers: dict[Hop, ServerState] = {}
        self._config: Config | None = None
        self._configured = 0.0
        self._told: tuple[Config, tuple[str, ...], dict[Hop, ServerState]] | None = None
        self._locked: BinaryIO | None = None
        self._failed = False

    def look(self, config: Config, listeners: Sequence[Listener], health: Health, now: float) -> None:
        """Write what has changed since the last look. A file that cannot be written is warned of, once."""
        self._servers = _states(self._servers, health, now)
        if config is not self._config:  # just read, the same or another
            self._config, self._configured = config, self._wall()
        telling = config, tuple(map(str, listeners)), self._servers
        if self._told is not None and telling[0] is self._told[0] and telling[1:] == self._told[1:]:
            return
        offset = self._wall() - now
        servers = {hop: _shifted(state, offset) for hop, state in self._servers.items()}
        source = str(config.source.absolute()) if config.source is not None else ""
        try:
            self._write(Running(os.getpid(), self._since, source, self._configured, telling[1], servers))
        except OSError as error:
            if not self._failed:
                get_logger().warning("cannot tell commands what runs", file=str(self._path), reason=error.strerror)
            self._failed = True
        else:
            self._told, self._failed = telling, False

    def _write(self, running: Running) -> None:
        """Another file under the same name, locked before it gets it."""
        new = self._path.with_name(f"{self._path.name}.new")
        file = os.fdopen(os.open(new, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.write(json.dumps(_as_json(running)).encode())
            file.flush()
            new.replace(self._path)
        except OSError:
            file.close()
            raise
        self._release()
        self._locked = file

    def _release(self) -> None:
        if self._locked is not None:
            self._locked.close()  # and with it goes the lock
            self._locked = None

    def close(self) -> None:
        """The gateway ends."""
        if self._locked is not None:
            with suppress(OSError):
                if os.path.samestat(self._path.stat(), os.fstat(self._locked.fileno())):
                    self._path.unlink()
        self._release()


def path_of(store: Path) -> Path:
    """The file that belongs to a store."""
    return store.with_name(store.name + SUFFIX)


def _states(before: Mapping[Hop, ServerState], health: Health, now: float) -> dict[Hop, ServerState]:
    """Those that are down, and those that were; of the latter the last ones."""
    down = {hop: known for hop, known in health.known().items() if not known.up}
    recovered = {
        hop: state if state.up else ServerState(True, now, "", 0.0) for hop, state in before.items() if hop not in down
    }
    for hop in list(recovered)[: max(0, len(recovered) - MAX_RECOVERED)]:
        del recovered[hop]
    return recovered | {hop: ServerState(False, one.since, one.reason, one.until) for hop, one in down.items()}


def _shifted(state: ServerState, seconds: float) -> ServerState:
    return state._replace(since=state.since + seconds, until=state.until and state.until + seconds)


def _as_json(running: Running) -> dict[str, Any]:
    servers = [
        {"transport": hop.transport, "host": hop.host, "port": hop.port, "name": hop.server_name, **state._asdict()}
        for hop, state in running.servers.items()
    ]
    return {**vars(running), "servers": servers}


def read_running(store: Path) -> Running | None:
    """What the gateway tells that runs on a store, None when none does."""
    path = path_of(store)
    for _ in range(TRIES):
        try:
            with path.open("rb") as file:
                if _is_locked(file):
                    return _read(file.read(MAX_SIZE))
                if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                    return None
        except OSError:
            return None
    return None  # it is being replaced faster than it can be read, which no gateway does


def _is_locked(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _read(data: bytes) -> Running | None:
    """None for what no gateway of this release has written."""
    try:
        told = json.loads(data)
        servers = {
            Hop(one["transport"], one["host"], int(one["port"]), one["name"]): ServerState(
                bool(one["up"]), float(one["since"]), str(one["reason"]), float(one["until"])
            )
            for one in told["servers"]
        }
        listening = tuple(map(str, told["listening"]))
        times = float(told["since"]), float(told["configured"])
        return Running(int(told["pid"]), times[0], str(told["source"]), times[1], listening, servers)
    except (ValueError, TypeError, KeyError):
        return None

"""`sipgw pool`: the emulated Persistent Chat pool on its own sockets, with its rooms in SQLite."""

import asyncio
import signal
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom

from sipgw.config import TlsFiles
from sipgw.core.user_agent import UserAgent
from sipgw.events import Listener, Notice
from sipgw.groupchat.channel import ChannelService, ChannelSettings
from sipgw.groupchat.pool import PoolAgent
from sipgw.groupchat.records import Record
from sipgw.groupchat.rooms import Room, RoomsError, duplicates, parse_rooms, room_named
from sipgw.observability.log import get_logger
from sipgw.options import PoolOptions
from sipgw.server.ears import bind
from sipgw.server.room_store import RoomStore, StoreError
from sipgw.server.shell import Shell
from sipgw.server.tls import TlsContexts, TlsSettings
from sipgw.transaction.timers import TimerValues


@dataclass
class PoolApp:
    """A running pool: `listeners` are bound when `start` returns; `close` ends it."""

    options: PoolOptions
    listeners: list[Listener] = field(default_factory=list)
    room_names: list[str] = field(default_factory=list)

    async def start(self) -> None:
        """Load rooms, open the store, listen. Raises RoomsError, StoreError or OSError with a text for people."""
        options = self.options
        declared = read_rooms(options.rooms_file, options.rooms, options.domain)
        tls = _tls(options) if any(item.transport == "TLS" for item in options.listen) else None
        self._store = RoomStore(options.data or ":memory:")
        try:
            self._store.apply(declared)
            state = self._store.load()
            ears = bind([(item.transport, item.host, item.port) for item in options.listen], "")
        except (OSError, StoreError):
            self._store.close()
            raise
        self.listeners = [ear.listener for ear in ears]
        uri = options.service_uri or f"sip:GC-1-PersistentChatService-1@{options.domain}"
        service = ChannelService(ChannelSettings(options.domain, (uri,)), state)
        agent = UserAgent(self.listeners, SystemRandom(), TimerValues())
        offset = time.time() - asyncio.get_running_loop().time()
        PoolAgent(agent, service, offset, str(self.listeners[0]))
        self.room_names = sorted(room.name for room in state.rooms)
        self._shell = Shell(agent, log=get_logger(), notify=self._record, tls=tls)
        await self._shell.start(ears)

    def _record(self, notice: Notice) -> None:
        if notice.kind == "record":
            keep(self._store, notice.fields["record"])

    async def close(self) -> None:
        await self._shell.close()
        self._store.close()


def keep(store: RoomStore, record: Record) -> None:
    """Keep it before anything else happens. An emulated pool goes on when it cannot: the chat matters more."""
    try:
        store.apply([record])
    except StoreError as error:
        get_logger().error("not stored", reason=str(error))


def _tls(options: PoolOptions) -> TlsContexts:
    files = TlsFiles(options.certificate, options.private_key, options.ca)
    clients = ssl.CERT_REQUIRED if options.ca is not None else ssl.CERT_NONE
    return TlsContexts(TlsSettings(files, clients=clients))


def read_rooms(file: Path | None, names: Sequence[str], domain: str) -> list[Room]:
    """The declared rooms: those of the TOML file, then those named. Raises RoomsError."""
    rooms: list[Room] = []
    if file is not None:
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text in UTF-8"
            raise RoomsError([f"{file}: {reason}; name a TOML file of rooms"]) from None
        rooms += parse_rooms(text, str(file), domain)
    rooms += [room_named(name, domain) for name in names]
    if found := duplicates(rooms):
        raise RoomsError(
            [f"the room {key} {value!r} is given twice; give each room its own" for _, key, value in found]
        )
    return rooms


async def run_pool(options: PoolOptions) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit status."""
    log = get_logger()
    app = PoolApp(options)
    try:
        await app.start()
    except (RoomsError, StoreError, OSError) as error:
        log.error("cannot start", reason=str(error))
        return 1
    addresses = " ".join(str(listener) for listener in app.listeners)
    log.info("pool listening", addresses=addresses, rooms=", ".join(app.room_names) or "none")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await app.close()
    return 0

"""`sipgw lookup`: an emulated OCS 2007 R2 or Lync 2010 Group Chat pool, signed in at a Front End.

Each service is a user agent of its own with a connection of its own, as if it stood on its own server; all of them
share rooms and history. When it ends, its dialogs are left as they are, as by servers that are switched off: a client
that next says something is told 481 by the gateway and looks for the contact object anew.
"""

import asyncio
import signal
import socket
import time
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from itertools import count
from random import SystemRandom

from sipgw.auth.login_client import Login, LoginClient
from sipgw.auth.sipae_endpoint import instance_of
from sipgw.config import TlsFiles
from sipgw.events import Hop, Listener, Notice
from sipgw.groupchat.channel import ChannelService, ChannelSettings
from sipgw.groupchat.client import Identity
from sipgw.groupchat.lookup import Channels, LookupService
from sipgw.groupchat.lookup_agent import LegacyService
from sipgw.groupchat.lookup_registration import Place
from sipgw.groupchat.pool import ChatService
from sipgw.groupchat.rooms import RoomsError
from sipgw.observability.log import get_logger
from sipgw.options import LookupOptions
from sipgw.registry import Server
from sipgw.server.ears import Ears, bind
from sipgw.server.pool_app import keep, read_rooms
from sipgw.server.room_store import RoomStore, StoreError
from sipgw.server.shell import Shell
from sipgw.server.tls import TlsContexts, TlsSettings

SIGN_OUT = 3.0  # seconds for the Front End to answer the last REGISTERs


@dataclass
class LookupApp:
    """A running legacy pool: its services are signing in when `start` returns; `close` signs them out."""

    options: LookupOptions
    room_names: list[str] = field(default_factory=list)

    async def start(self) -> None:
        """Load rooms, open the store, connect. Raises RoomsError, StoreError or OSError with a text for people."""
        options = self.options
        declared = read_rooms(options.rooms_file, options.rooms, options.domain)
        self._store = RoomStore(options.data or ":memory:")
        self._services: list[LegacyService] = []
        self._shells: dict[LegacyService, Shell] = {}
        try:
            self._store.apply(declared)
            state = self._store.load()
            self.room_names = sorted(room.name for room in state.rooms)
            self._channels = Channels(options.channel_uris)
            rooms = ChannelService(ChannelSettings(options.domain, options.channel_uris), state)
            await self._start_services(rooms)
        except BaseException:
            await self._close_shells()
            self._store.close()
            raise

    async def _start_services(self, rooms: ChannelService) -> None:
        options = self.options
        numbers = count(1)
        host = _own_address(options.via)
        tls = TlsContexts(TlsSettings(TlsFiles(ca=options.ca), system=True)) if options.via.transport == "TLS" else None
        offset = time.time() - asyncio.get_running_loop().time()

        async def start(uri: str, name: str, service: ChatService, is_lookup: bool) -> None:
            ears = _ears(options.via.transport, host)
            listeners = [ear.listener for ear in ears] or [Listener("TLS", host, 0, f"{name}.invalid")]
            place = Place(_identity(uri, name), _hop(options.via), name)
            agent = LegacyService(
                listeners, SystemRandom(), place, service, numbers, offset, is_lookup, self._registration_changed
            )
            if options.login:
                agent.sign_in_by(LoginClient(login_of(options, uri), SystemRandom(), offset))
            shell = Shell(agent, tls=tls, log=get_logger(), notify=partial(self._notified, agent))
            self._services.append(agent)
            self._shells[agent] = shell
            await shell.start(ears)
            shell.run(agent.registration.start, agent.outputs)

        for number, uri in enumerate(options.channel_uris, 1):
            await start(uri, f"channel-{number}", rooms, False)
        for number in range(1, options.services + 1):
            name = f"lookup-{number}"
            await start(options.register, name, LookupService(self._channels, partial(_tell_sent, name)), True)

    def _registration_changed(self, agent: LegacyService) -> None:
        uri = agent.place.identity.user
        if uri in self._channels.uris:
            (self._channels.up.add if agent.registration.up else self._channels.up.discard)(uri)
        up = sum(one.registration.up for one in self._services)
        if up == self.options.services + len(self._channels.uris):
            get_logger().info("legacy pool is up", lookups=self.options.services, channels=len(self._channels.uris))

    def _notified(self, agent: LegacyService, notice: Notice) -> None:
        if notice.kind == "record":
            keep(self._store, notice.fields["record"])
        elif notice.kind == "delivery":  # for a session of another service; not from within what this one does
            asyncio.get_running_loop().call_soon(self._deliver, agent, notice)

    def _deliver(self, source: LegacyService, notice: Notice) -> None:
        for agent in self._services:
            if agent is not source:
                self._shells[agent].run(partial(agent.pool.deliver, notice.fields["delivery"]), agent.outputs)

    async def close(self) -> None:
        """Sign out, Lookup services first: nobody is sent to a Channel service that has gone."""
        signed_out = [self._sign_out(agent) for agent in reversed(self._services)]
        try:
            async with asyncio.timeout(SIGN_OUT):
                await asyncio.gather(*signed_out)
        except TimeoutError:
            get_logger().warning("not signed out", reason="the gateway does not answer")
        await self._close_shells()
        self._store.close()

    async def _sign_out(self, agent: LegacyService) -> None:
        done = asyncio.Event()
        self._shells[agent].run(lambda now: agent.registration.stop(now, done.set), agent.outputs)
        await done.wait()

    async def _close_shells(self) -> None:
        for shell in self._shells.values():
            await shell.close()


def _tell_sent(service: str, user: str, channel: str) -> None:
    get_logger().info("sent to a Channel service", service=service, user=user, to=channel)


def _ears(transport: str, host: str) -> list[Ears]:
    """Where a service listens, so that the gateway can reach it again after a restart; by TLS it would need a
    certificate for that, and waits to be connected."""
    return bind([(transport, host, 0)], "") if transport != "TLS" else []


def _own_address(via: Server) -> str:
    """The address of ours that a server is reached from. Raises OSError."""
    try:
        found = socket.getaddrinfo(via.host, via.port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(found[0], socket.SOCK_DGRAM) as probe:
            probe.connect(found[4])  # sends nothing
            return str(probe.getsockname()[0])
    except OSError as error:
        raise OSError(f"--via {via}: {error.strerror}; name the gateway's address") from None


def _hop(via: Server) -> Hop:
    return Hop(via.transport, via.host, via.port, via.host if via.transport == "TLS" else "")


def _identity(uri: str, name: str) -> Identity:
    """The endpoint of a service: the same after every start, another for each service."""
    epid = sha256(f"sipgw-lookup:{uri.lower()}:{name}".encode()).hexdigest()[:12]
    return Identity(uri, epid, instance_of(epid))


def login_of(options: LookupOptions, uri: str) -> Login:
    """The account of a service. That of a Channel service is called like its user part, in the same domain and with the
    same password."""
    name = options.login
    if uri != options.register:
        domain, slash, account = name.rpartition("\\")
        _, at, suffix = account.partition("@")
        name = f"{domain}{slash}{uri.removeprefix('sip:').partition('@')[0]}{at}{suffix}"
    return Login(name, options.password, "" if options.auth == "auto" else options.auth)


async def run_lookup(options: LookupOptions) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit status."""
    log = get_logger()
    app = LookupApp(options)
    try:
        await app.start()
    except (RoomsError, StoreError, OSError) as error:
        log.error("cannot start", reason=str(error))
        return 1
    log.info(
        "legacy pool started",
        via=str(options.via),
        channels=" ".join(options.channel_uris),
        rooms=", ".join(app.room_names) or "none",
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await app.close()
    return 0

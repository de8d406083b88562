"""A gateway in one process: configuration to engine, store and shell, and a clean end."""

import asyncio
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from structlog.typing import FilteringBoundLogger

from sipgw.config import Config, ConfigError
from sipgw.engine import Engine, EngineSettings
from sipgw.events import Listener, Persist
from sipgw.observability.log import get_logger
from sipgw.registry import Registry
from sipgw.registry.pool_state import active_servers, inactive_servers
from sipgw.server.admin.config_changes import values_changed
from sipgw.server.admin.lag import LoopLag
from sipgw.server.audit import Actor, audited
from sipgw.server.certificates import CertificateWatch
from sipgw.server.chance import Chance
from sipgw.server.ears import Ears, bind
from sipgw.server.interfaces import Tracer
from sipgw.server.log_file import OUTPUT
from sipgw.server.reload import again, told, warn_of
from sipgw.server.running import RunningFile
from sipgw.server.settings import engine_settings, shell_limits, shifted
from sipgw.server.shell import Shell
from sipgw.server.sign_in import SignIn
from sipgw.server.store import Store
from sipgw.server.store_file import StoreError
from sipgw.server.tls import TlsContexts, TlsError, tls_settings
from sipgw.server.tracing import Tracing, each_message

if TYPE_CHECKING:
    from sipgw.observability.metrics import Readings
    from sipgw.server.admin.access import Access
    from sipgw.server.admin.call_models import CallPage, CallsQuery
    from sipgw.server.admin.explaining import Explain
    from sipgw.server.admin.server import AdminServer

BY_SIGNAL = Actor("signal", "SIGHUP")
DRAIN, DRAIN_STEP = 5.0, 0.05  # seconds that transactions get to finish after SIGTERM, and between looks
USERS_PATIENCE = 10.0  # seconds for a directory to be read again before an address is refused as that of a user
FILES_POLL = 0.5  # seconds between looks for endpoints changed by the command line, and for new certificates


class GatewayApp:
    """A running gateway: `listeners` are bound when `start` returns; `close` ends it.

    `explain` is what the admin API asks what would happen to a request. `changing` is held by whoever changes endpoints
    or the configuration. `since` and `reloaded`, when the configuration was last read, are times of the wall clock.
    """

    number = -1  # of a worker

    def __init__(self, config: Config, trace: Tracer | None = None, explain: "Explain | None" = None) -> None:
        self._config = config
        self._tracer = trace
        self._log = self._own_log()
        self._seen = 0
        self._poller: asyncio.Task[None] | None = None
        self._running = RunningFile(config.store.path)
        self.pid = os.getpid()
        self.registry: Registry = config.registry()
        self.listeners: list[Listener] = []
        self.engine: Engine
        self.shell: Shell
        self.store: Store
        self._tls: TlsContexts
        self._watch: CertificateWatch
        self._sign_in: SignIn | None = None
        self.explain = explain
        self.admin: AdminServer | None = None
        self.changing = asyncio.Lock()
        self.since = self.reloaded = time.time()
        self.reloaded_well = True
        self.lag: LoopLag
        self.tracing: Tracing

    @property
    def config(self) -> Config:
        """What it goes by at the moment."""
        return self._config

    def sign_in_sizes(self) -> dict[str, int]:
        """How much sign-in keeps in mind."""
        sign_in = self._sign_in
        if sign_in is None:
            return {}
        lockout = {f"lockout_{kind}": count for kind, count in sign_in.lockout.sizes().items()}
        return {**sign_in.gate.sizes(), **lockout}

    async def start(self) -> None:
        """Open the store, bind, listen. Raises OSError or StoreError with a text for the operator."""
        config = self._config
        self.store = self._open_store()
        ears: list[Ears] = []
        try:
            ears = self._bind()
            self.listeners = _listeners(ears)[: len(config.gateway.listen)]
            self._tls = TlsContexts(tls_settings(config))
            access = access_of(config)
            self.engine = self._build_engine()
            await self._use_sign_in(await self._read_users(config))
            self.shell = self._build_shell()
        except BaseException:
            for ear in ears:
                ear.sock.close()
            self.store.close()
            raise
        self.tracing = Tracing(config, self.shell.counters, self.number if self.number >= 0 else None)
        self._use_tracing()
        await self.shell.start(ears)
        self.shell.run(lambda now: self.shell.perform(self.engine.start_probing(now)), self.engine.outputs)
        self._watch = CertificateWatch(self._tls, self._log, self.shell.counters)
        self._poller = asyncio.get_running_loop().create_task(self._follow_files())
        self.lag = LoopLag()
        self._start_admin(access)

    # what a worker does in another way

    def _open_store(self) -> Store:
        return Store.open(self._config.store.path)

    def _bind(self) -> list[Ears]:
        """The addresses of the configuration, in their order. Raises OSError."""
        gateway = self._config.gateway
        return bind([(item.transport, item.host, item.port) for item in gateway.listen], gateway.fqdn)

    def _own_log(self) -> FilteringBoundLogger:
        """For what happens to the gateway and no message."""
        return get_logger()

    def _first_cid(self) -> int | None:
        """What ids of connections count up from; None for any."""
        return None

    def _engine_listeners(self, listeners: list[Listener]) -> list[Listener]:
        """Where the engine hears and is known by."""
        return listeners

    def _tell_running(self, now: float) -> None:
        """Keep what commands of this machine want to know in step."""
        self._running.look(self._config, self.listeners, self.engine.health, now)

    async def followed(self) -> None:
        """Take over what has been changed in the store just now; when it returns it is in effect."""
        self.follow_store()

    async def users_followed(self) -> None:
        """Take over what has been changed about users just now, in the file or the directory; when it returns it is in
        effect, unless the directory takes longer than that."""
        if self._sign_in is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(USERS_PATIENCE):
                    await self._sign_in.users.follow()

    async def all_readings(self, readings: "Readings") -> "Readings":
        """Those of this process, with what others have counted that share the work."""
        return readings

    async def all_calls(self, query: "CallsQuery") -> "CallPage":
        """A page of the calls that were traced, by all that share the work."""
        from sipgw.server.admin.calls import page_of

        return await page_of(self.tracing, query)

    # starting

    def _start_admin(self, access: "Access") -> None:
        self._serve_admin(access, None)

    def _serve_admin(self, access: "Access", sock: socket.socket | None) -> None:
        """Calls go before administration: where its address cannot be had, they are taken all the same."""
        from sipgw.server.admin.server import AdminServer

        try:
            self.admin = AdminServer(self, access, sock)
        except OSError as error:
            advice = "free it or change admin.listen; a reload tries again"
            self._log.error("no admin API", reason=f"{error.strerror}; {advice}")
        else:
            self._log.info("admin API", url=self.admin.url)

    def _build_engine(self) -> Engine:
        self._seen = self.store.data_version()  # before the endpoints are read, so that no change is missed
        self._take_stored(self.registry)
        offset = clock_offset()
        settings = engine_settings(self._config, self.store.secret(), offset)
        engine = Engine(settings, self.registry, self._engine_listeners(self.listeners), Chance())
        engine.load_bindings(shifted(row, -offset) for row in self.store.load_bindings(time.time()))
        return engine

    def _take_stored(self, registry: Registry) -> None:
        registry.replace_stored(self.store.load_endpoints())
        registry.replace_states(self.store.load_pool_states())

    async def _read_users(self, config: Config) -> SignIn | None:
        """Who may sign in by a configuration; None where the network is trusted. Raises ConfigError or OSError."""
        if not config.auth.schemes:
            return None
        lockout = self._sign_in.lockout if self._sign_in is not None else None
        sign_in = SignIn(config, self._log, self.engine.counters, clock_offset(), lockout)
        await sign_in.users.start()
        return sign_in

    async def _use_sign_in(self, sign_in: SignIn | None) -> None:
        before, self._sign_in = self._sign_in, sign_in
        self.engine.use_gate(sign_in.gate if sign_in is not None else None)
        if before is not None:
            await before.users.close()

    def _build_shell(self) -> Shell:
        config = self._config
        return Shell(
            self.engine,
            limits=shell_limits(config),
            tls=self._tls,
            log=get_logger(),
            persist=self._write,
            first_cid=self._first_cid(),
        )

    def _use_tracing(self) -> None:
        self.tracing.listeners = tuple(self.listeners)
        self.shell.trace = self.tracing.tap if self._tracer is None else each_message(self._tracer)

    def _write(self, persist: Persist, done: Callable[[str | None], None]) -> None:
        offset = clock_offset()
        rows = [shifted(row, offset) for row in persist.puts]

        def written(error: Exception | None) -> None:
            done(None if error is None else str(error))

        self.store.write_bindings(rows, persist.deletes, written)

    async def _follow_files(self) -> None:
        """Endpoints made or removed by the command line, and new certificates, take effect without a restart."""
        while True:
            now = asyncio.get_running_loop().time()
            self._watch.look(now)
            if self._sign_in is not None:
                self._sign_in.users.look()
            self._tell_running(now)
            await asyncio.sleep(FILES_POLL)
            self.follow_store()

    def follow_store(self) -> None:
        """Take over what has been changed in the store, if anything has."""
        version = self.store.data_version()
        if version != self._seen:
            self._seen = version
            self._take_changes()

    def _take_changes(self) -> None:
        before = {endpoint.sip_address for endpoint in self.registry.endpoints()}
        states = self.registry.states
        self._take_stored(self.registry)
        for fqdn in sorted({*states, *self.registry.states}):
            if states.get(fqdn) != self.registry.states.get(fqdn):
                self._log.info("pool changed", pool=fqdn, **_state(self.registry, fqdn))
        after = {endpoint.sip_address for endpoint in self.registry.endpoints()}
        if before != after:  # the store also changes with every registration
            added, removed = sorted(after - before), sorted(before - after)
            self._log.info("endpoints changed", added=" ".join(added) or "-", removed=" ".join(removed) or "-")

    async def reload(self, who: Actor = BY_SIGNAL) -> list[str]:
        """Read the configuration file again and go by it. What is wrong is returned, a line each; then nothing changes.

        Calls under way go on. Raises nothing that an operator could cause.
        """
        async with self.changing:
            before = self._config
            try:
                with audited(self.store.path, who, "reload", str(before.source or "")) as entry:
                    await self._reload()
                    entry.before, entry.after = values_changed(before, self._config)
            except ConfigError as error:
                self.reloaded_well = False
                return error.problems
            except StoreError as error:
                return [str(error)]
            self.reloaded, self.reloaded_well = time.time(), True
            warn_of(self.problems())
        return []

    async def _reload(self) -> None:
        """Raises ConfigError or StoreError; then nothing has changed."""
        config = again(self._config)

        def bound() -> list[Ears]:
            added = [item for item in config.gateway.listen if item not in self._config.gateway.listen]
            return bind([(item.transport, item.host, item.port) for item in added], config.gateway.fqdn)

        await self._go_by(config, bound)

    async def _go_by(self, config: Config, bound: Callable[[], list[Ears]]) -> None:
        """Another configuration; `bound` gives the addresses that are new in it. Raises as above: all that can go wrong
        comes first."""
        access = access_of(config)
        OUTPUT.check(config)
        seen, registry = self.store.data_version(), config.registry()
        self._take_stored(registry)
        settings = engine_settings(config, self.store.secret(), clock_offset())
        try:
            tls = TlsContexts(tls_settings(config))
            sign_in = await self._read_users(config)
        except (TlsError, OSError) as error:
            raise ConfigError(told(config, error)) from None
        try:
            ears = bound()
        except OSError as error:
            if sign_in is not None:
                await sign_in.users.close()
            raise ConfigError(told(config, error)) from None
        await self._take(config, ears, tls, sign_in, (settings, registry))
        self._seen = seen  # what has been changed in the store since then is in the registry that was
        if self.admin is not None:
            self.admin.access = access
        else:
            self._start_admin(access)

    async def _take(
        self,
        config: Config,
        ears: list[Ears],
        tls: TlsContexts,
        sign_in: SignIn | None,
        core: tuple[EngineSettings, Registry],
    ) -> None:
        """Go by another configuration, whatever happens."""
        settings, registry = core
        self._tls = tls
        self.shell.use_tls(tls)
        self._watch.follow(tls)
        known = dict(zip(self._config.gateway.listen, self.listeners, strict=True))
        gone = [listener for item, listener in known.items() if item not in config.gateway.listen]
        known.update(zip([item for item in config.gateway.listen if item not in known], _listeners(ears), strict=True))
        listeners = [known[item] for item in config.gateway.listen]
        await self.shell.listen(ears)
        self.shell.limits = shell_limits(config)
        now = asyncio.get_running_loop().time()
        self.shell.perform(self.engine.reconfigure(settings, registry, self._engine_listeners(listeners), now))
        await self._use_sign_in(sign_in)
        self.shell.batch_done()
        self.shell.unlisten(gone)
        self._config, self.registry, self.listeners = config, registry, listeners
        self.tracing.reconfigure(config)
        self._use_tracing()
        OUTPUT.set_up(config)
        self.shell.log = get_logger()
        self._log = self._watch.log = self._own_log()

    async def drain(self) -> None:
        """Take nothing new, let what waits for an answer finish, within a bound."""
        loop = asyncio.get_running_loop()
        self.engine.drain(loop.time())
        await self.shell.stop_accepting()
        end = loop.time() + DRAIN
        for _ in range(int(DRAIN / DRAIN_STEP)):
            if not self.engine.busy or loop.time() > end:
                return
            await asyncio.sleep(DRAIN_STEP)

    def reopen_log(self) -> None:
        """After the file was moved away."""
        OUTPUT.reopen()

    def problems(self) -> list[str]:
        """What is configured or stored and of no use, a line each."""
        return self.registry.problems()

    def status(self) -> str:
        """How things are, in a line."""
        sizes = self.engine.sizes()
        state = f"{sizes.connections} connections, {sizes.server_transactions} transactions"
        return f"{sizes.bindings} registrations, {state}"

    async def stop(self) -> None:
        """End well."""
        await self.drain()
        await self.close()

    async def close(self) -> None:
        if self.admin is not None:
            await self.admin.close()
        self.lag.close()
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.gather(self._poller, return_exceptions=True)
        await self.shell.close()
        await self.tracing.close()
        if self._sign_in is not None:
            await self._sign_in.users.close()
        self._running.close()
        self.store.close()


def access_of(config: Config) -> "Access":
    """Who may use the admin API. Raises ConfigError."""
    from sipgw.server.admin import access

    return access.access_of(config)


def _state(registry: Registry, fqdn: str) -> dict[str, str]:
    """What is true of a pool now, for the log."""
    pool = registry.pool(fqdn)
    if pool is None:
        return {}
    return {"active": " ".join(active_servers(pool)) or "-", "inactive": " ".join(inactive_servers(pool)) or "-"}


def _listeners(ears: list[Ears]) -> list[Listener]:
    return [ear.listener for ear in ears]


def clock_offset() -> float:
    """What to add to the loop's clock for the time of day."""
    return time.time() - asyncio.get_running_loop().time()

"""`sipgw serve`: configuration to engine, store and shell, and a clean end."""

import asyncio
import gc
import os
import signal
import time
from collections.abc import Callable
from random import SystemRandom
from typing import TYPE_CHECKING, Any

from sipgw.config import Config, ConfigError
from sipgw.core.admission import Rates
from sipgw.core.aliases import Shown
from sipgw.core.health import HealthSettings
from sipgw.core.location import ROW
from sipgw.core.registrar import RegistrarSettings
from sipgw.engine import Engine, EngineSettings
from sipgw.events import Listener, Persist
from sipgw.locating import Reach
from sipgw.observability.log import get_logger
from sipgw.registry import Registry
from sipgw.registry.pool_state import active_servers, inactive_servers
from sipgw.server.admin.config_changes import values_changed
from sipgw.server.admin.lag import LoopLag
from sipgw.server.audit import Actor, audited
from sipgw.server.certificates import CertificateWatch
from sipgw.server.log_file import OUTPUT
from sipgw.server.reload import again
from sipgw.server.running import RunningFile
from sipgw.server.service_manager import ServiceManager
from sipgw.server.shell import Ears, Shell, ShellLimits, Tracer, bind
from sipgw.server.sign_in import SignIn
from sipgw.server.store import Store
from sipgw.server.store_file import StoreError
from sipgw.server.tls import TlsContexts, TlsError, tls_settings
from sipgw.server.tracing import Tracing, each_message
from sipgw.transaction.timers import TimerValues

if TYPE_CHECKING:
    from sipgw.server.admin.access import Access
    from sipgw.server.admin.explaining import Explain
    from sipgw.server.admin.server import AdminServer

BY_SIGNAL = Actor("signal", "SIGHUP")
DRAIN, DRAIN_STEP = 5.0, 0.05  # seconds that transactions get to finish after SIGTERM, and between looks
FILES_POLL = 0.5  # seconds between looks for endpoints changed by the command line, and for new certificates
_EXPIRES_AT = ROW.index("expires_at")


class GatewayApp:
    """A running gateway: `listeners` are bound when `start` returns; `close` ends it.

    `explain` is what the admin API asks what would happen to a request. `changing` is held by whoever changes endpoints
    or the configuration. `since` and `reloaded`, when the configuration was last read, are times of the wall clock.
    """

    def __init__(self, config: Config, trace: Tracer | None = None, explain: "Explain | None" = None) -> None:
        self._config = config
        self._tracer = trace
        self._log = get_logger()
        self._seen = 0
        self._poller: asyncio.Task[None] | None = None
        self._running = RunningFile(config.store.path)
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
        self.store = Store.open(config.store.path)
        ears: list[Ears] = []
        try:
            addresses = [(item.transport, item.host, item.port) for item in config.gateway.listen]
            ears = bind(addresses, config.gateway.fqdn)
            self.listeners = _listeners(ears)
            self._tls = TlsContexts(tls_settings(config))
            access = _access(config)
            self.engine = self._build_engine()
            await self._use_sign_in(await self._read_users(config))
            self.shell = self._build_shell()
        except BaseException:
            for ear in ears:
                ear.sock.close()
            self.store.close()
            raise
        self.tracing = Tracing(config, self.shell.counters)
        self._use_tracing()
        await self.shell.start(ears)
        self.shell.run(lambda now: self.shell.perform(self.engine.start_probing(now)), self.engine.outputs)
        self._watch = CertificateWatch(self._tls, self._log, self.shell.counters)
        self._poller = asyncio.get_running_loop().create_task(self._follow_files())
        self.lag = LoopLag()
        self._start_admin(access)

    def _start_admin(self, access: "Access") -> None:
        """Calls go before administration: where its address cannot be had, they are taken all the same."""
        from sipgw.server.admin.server import AdminServer

        try:
            self.admin = AdminServer(self, access)
        except OSError as error:
            advice = "free it or change admin.listen; a reload tries again"
            self._log.error("no admin API", reason=f"{error.strerror}; {advice}")
        else:
            self._log.info("admin API", url=self.admin.url)

    def _build_engine(self) -> Engine:
        self._seen = self.store.data_version()  # before the endpoints are read, so that no change is missed
        self._take_stored(self.registry)
        offset = _clock_offset()
        settings = engine_settings(self._config, self.store.secret(), offset)
        engine = Engine(settings, self.registry, self.listeners, SystemRandom())
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
        sign_in = SignIn(config, self._log, self.engine.counters, _clock_offset(), lockout)
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
            log=self._log,
            persist=self._write,
        )

    def _use_tracing(self) -> None:
        self.tracing.listeners = tuple(self.listeners)
        self.shell.trace = self.tracing.tap if self._tracer is None else each_message(self._tracer)

    def _write(self, persist: Persist, done: Callable[[str | None], None]) -> None:
        offset = _clock_offset()
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
            self._running.look(self._config, self.listeners, self.engine.health, now)
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
        return []

    async def _reload(self) -> None:
        """Raises ConfigError; then nothing has changed."""
        config = again(self._config)
        access = _access(config)
        OUTPUT.check(config.log)
        try:
            tls = TlsContexts(tls_settings(config))
            sign_in = await self._read_users(config)
        except (TlsError, OSError) as error:
            raise ConfigError([f"{self._config.source}: {error}"]) from None
        try:
            added = [item for item in config.gateway.listen if item not in self._config.gateway.listen]
            ears = bind([(item.transport, item.host, item.port) for item in added], config.gateway.fqdn)
        except OSError as error:
            if sign_in is not None:
                await sign_in.users.close()
            raise ConfigError([f"{self._config.source}: gateway.listen: {error}"]) from None
        await self._take(config, ears, tls, sign_in)
        if self.admin is not None:
            self.admin.access = access
        else:
            self._start_admin(access)

    async def _take(self, config: Config, ears: list[Ears], tls: TlsContexts, sign_in: SignIn | None) -> None:
        self._tls = tls
        self.shell.use_tls(tls)
        self._watch.follow(tls)
        known = dict(zip(self._config.gateway.listen, self.listeners, strict=True))
        gone = [listener for item, listener in known.items() if item not in config.gateway.listen]
        known.update(zip([item for item in config.gateway.listen if item not in known], _listeners(ears), strict=True))
        listeners = [known[item] for item in config.gateway.listen]
        registry = config.registry()
        self._take_stored(registry)
        await self.shell.listen(ears)
        self.shell.limits = shell_limits(config)
        settings = engine_settings(config, self.store.secret(), _clock_offset())
        now = asyncio.get_running_loop().time()
        self.shell.perform(self.engine.reconfigure(settings, registry, listeners, now))
        await self._use_sign_in(sign_in)
        self.shell.batch_done()
        self.shell.unlisten(gone)
        self._config, self.registry, self.listeners = config, registry, listeners
        self.tracing.reconfigure(config)
        self._use_tracing()
        OUTPUT.set_up(config.log)
        self._log = self.shell.log = self._watch.log = get_logger()

    async def drain(self) -> None:
        """Take nothing new, let transactions that wait for an answer finish, within a bound."""
        self.engine.admission.closing = True
        await self.shell.stop_accepting()
        loop = asyncio.get_running_loop()
        end = loop.time() + DRAIN
        for _ in range(int(DRAIN / DRAIN_STEP)):
            if not self.engine.layer.waiting or loop.time() > end:
                return
            await asyncio.sleep(DRAIN_STEP)

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


def _access(config: Config) -> "Access":
    """Who may use the admin API. Raises ConfigError."""
    from sipgw.server.admin.access import access_of

    return access_of(config)


def _state(registry: Registry, fqdn: str) -> dict[str, str]:
    """What is true of a pool now, for the log."""
    pool = registry.pool(fqdn)
    if pool is None:
        return {}
    return {"active": " ".join(active_servers(pool)) or "-", "inactive": " ".join(inactive_servers(pool)) or "-"}


def _listeners(ears: list[Ears]) -> list[Listener]:
    return [ear.listener for ear in ears]


def shell_limits(config: Config) -> ShellLimits:
    """What the shell needs of a configuration."""
    return ShellLimits(
        max_head=config.limits.max_header_bytes,
        max_body=config.limits.max_body_bytes,
        max_connections=config.limits.max_connections,
        max_per_peer=config.limits.max_connections_per_peer,
        idle=config.timers.idle,
        connect_timeout=config.timers.connect,
        max_delay=config.limits.max_delay,
    )


def engine_settings(config: Config, secret: bytes, wall_offset: float | None = None) -> EngineSettings:
    """What the engine needs of a configuration."""
    timers = config.timers
    return EngineSettings(
        fqdn=config.gateway.fqdn,
        domains=frozenset(domain.lower() for domain in config.gateway.domains),
        secret=secret,
        trusted=config.gateway.trusted_networks,
        trusted_names=frozenset(config.gateway.trusted_names),
        shown=_shown(config),
        timers=TimerValues(timers.t1, timers.t2, timers.t4, timers.timer_c),
        registrar=RegistrarSettings(
            config.registrar.default_expires,
            config.registrar.min_expires,
            config.registrar.max_expires,
            config.limits.max_bindings_per_user,
            config.registrar.service_route,
        ),
        max_transactions=config.limits.max_transactions,
        max_headers=config.limits.max_headers,
        max_body=config.limits.max_body_bytes,
        max_bindings=config.limits.max_bindings,
        first_response=timers.first_response,
        rates=Rates(config.limits.max_requests_per_source, config.limits.max_requests_per_user, config.limits.ban),
        health=HealthSettings(config.health.interval, config.health.rise, config.health.fall),
        reach=_reach(config),
        recurse=config.gateway.recurse_redirects,
        verbose=config.log.level in ("debug", "info"),
        wall_offset=wall_offset,
        realm=config.gateway.domains[0],
    )


def _shown(config: Config) -> Shown:
    """To whom we show a certificate when they ask for one."""
    pools = frozenset(fqdn for fqdn, files in config.pool_tls.items() if files.certificate is not None)
    return Shown(config.tls.certificate is not None, pools)


def _reach(config: Config) -> Reach:
    """What a name may lead to: TLS where a CA can be held against it, UDP for families that we listen on."""
    transports = ("TLS", "TCP", "UDP") if tls_settings(config).authorities else ("TCP", "UDP")
    ipv6 = any(":" in item.host for item in config.gateway.listen)
    return Reach(transports, ("AAAA", "A") if ipv6 else ("A",))


def _clock_offset() -> float:
    """What to add to the loop's clock for the time of day."""
    return time.time() - asyncio.get_running_loop().time()


def shifted(row: tuple[Any, ...], seconds: float) -> tuple[Any, ...]:
    """A stored registration with its time by another clock."""
    values = list(row)
    values[_EXPIRES_AT] += seconds
    return tuple(values)


def _calm_collector() -> None:
    """Transactions are freed by their reference counts; looking through thousands of live ones for cycles that are not
    there costs a quarter of a call and pauses of tens of milliseconds. So it is done seldom, and not over the program.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 1_000, 1_000)


Wishes = asyncio.Queue[bool]  # True to reload, False to end


def _take_signals() -> Wishes:
    wishes: Wishes = asyncio.Queue()  # no longer than signals come, and the kernel merges those
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, wishes.put_nowait, number == signal.SIGHUP)
    loop.add_signal_handler(signal.SIGUSR1, OUTPUT.reopen)
    return wishes


async def _until_stopped(app: GatewayApp, wishes: Wishes, service: ServiceManager) -> None:
    """Wait for SIGTERM or SIGINT; SIGHUP reloads meanwhile, one after the other."""
    while await wishes.get():
        service.reloading()
        problems = await app.reload()
        for problem in problems:
            get_logger().error("not reloaded", reason=problem)
        if not problems:
            get_logger().info("reloaded", addresses=" ".join(str(listener) for listener in app.listeners))
        service.ready(_status(app) if not problems else f"not reloaded: {problems[0]}")


def _status(app: GatewayApp) -> str:
    """How things are, in a line."""
    sizes = app.engine.sizes()
    return f"{sizes.bindings} registrations, {sizes.connections} connections, {sizes.server_transactions} transactions"


async def serve(config: Config, explain: "Explain | None" = None) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit status."""
    app = GatewayApp(config, explain=explain)
    log = get_logger()
    wishes = _take_signals()  # before anybody can know that we run
    try:
        await app.start()
    except ConfigError as error:
        for problem in error.problems:
            log.error("cannot start", reason=problem)
        return 1
    except (OSError, StoreError) as error:  # ssl.SSLError is an OSError
        log.error("cannot start", reason=str(error))
        return 1
    _calm_collector()
    for problem in app.registry.problems():
        log.warning("endpoint not usable", reason=problem)
    log.info(
        "listening",
        addresses=" ".join(str(listener) for listener in app.listeners),
        fqdn=config.gateway.fqdn,
        pid=os.getpid(),
    )
    service = ServiceManager()
    service.ready(_status(app))
    telling = asyncio.get_running_loop().create_task(service.keep(lambda: _status(app)))
    await _until_stopped(app, wishes, service)
    telling.cancel()
    service.stopping("finishing calls under way")
    log = get_logger()
    log.info("draining")
    await app.drain()
    await app.close()
    log.info("stopped")
    return 0

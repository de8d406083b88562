"""The process that `sipgw serve` is when several workers share the work: it starts them, and never stops minding them.

It speaks no SIP. It holds the sockets, writes the store and passes messages on (`hub`), reads the configuration, and is
who signals and service manager deal with.
"""

import asyncio
import errno
import os
import signal
import socket
import time
from collections.abc import Coroutine
from typing import Any

from sipgw.config import Config, ConfigError
from sipgw.core.health import Health, HealthSettings
from sipgw.events import Listener
from sipgw.observability.log import get_logger, silent_logger
from sipgw.observability.shares import Share, counts_only, together
from sipgw.server.admin.config_changes import values_changed
from sipgw.server.admin.listening import bind_http
from sipgw.server.app import BY_SIGNAL, access_of
from sipgw.server.audit import Actor, audited
from sipgw.server.log_file import OUTPUT
from sipgw.server.reload import again, told, warn_of
from sipgw.server.running import RunningFile
from sipgw.server.sign_in import check_sign_in
from sipgw.server.store import Store
from sipgw.server.store_file import StoreError
from sipgw.server.tls import TlsContexts, TlsError, tls_settings
from sipgw.server.workers import wire
from sipgw.server.workers.handing import send_sockets
from sipgw.server.workers.hub import Hub
from sipgw.server.workers.sockets import Sockets
from sipgw.server.workers.spawn import Child, Pause, spawn

START = 120.0  # seconds that a worker may take to be ready: it reads all registrations
SILENT = 30.0  # seconds without a word after which a worker is ended
RELOADED = 30.0  # seconds that a worker may take to go by another configuration
STOPPED = 12.0  # seconds that workers may take to end
LOOK_EVERY = 0.5
LEAVING, LOOK_AGAIN = 2.0, 0.1  # seconds that others may take to leave our addresses, and between looks


class Supervisor:
    """A `serving.Gateway`: `start` returns when all workers take calls; `stop` ends them."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.since = self.reloaded = time.time()
        self.sockets: Sockets
        self._admin: socket.socket | None = None
        self._store: Store
        self.hub: Hub
        self._log = get_logger()
        self._running = RunningFile(config.store.path)
        self._children: dict[int, Child] = {}
        self._ready: dict[int, asyncio.Future[wire.Ready]] = {}
        self._status: dict[int, wire.Status] = {}
        self._heard: dict[int, float] = {}
        self._counted: dict[int, Share] = {}
        self._ended = Share()
        self._told: dict[tuple[int, int], asyncio.Future[list[str]]] = {}
        self._serial = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._changing = asyncio.Lock()
        self._stopping = False
        self.restarts = 0

    @property
    def listeners(self) -> list[Listener]:
        return [data.listener() for data in self.sockets.listeners(self.config.gateway.listen)]

    def problems(self) -> list[str]:
        """What is configured or stored and of no use, a line each."""
        registry = self.config.registry()
        registry.replace_stored(self._store.load_endpoints())
        registry.replace_states(self._store.load_pool_states())
        return registry.problems()

    def status(self) -> str:
        """How things are, in a line."""
        known = self._status.values()
        registrations = max((one.registrations for one in known), default=0)
        connections, transactions = sum(one.connections for one in known), sum(one.transactions for one in known)
        workers = f"{len(known)} of {self.config.gateway.workers} workers"
        return f"{registrations} registrations, {connections} connections, {transactions} transactions, {workers}"

    # starting

    async def start(self) -> None:
        """Raises ConfigError, OSError or StoreError with a text for the operator."""
        config = self.config
        await asyncio.to_thread(check_config, config)
        self._store = Store.open(config.store.path)
        try:
            self._store.prune(time.time())
            self.sockets = await _bound(config)
        except BaseException:
            self._store.close()
            raise
        self.hub = Hub(self._store, self._hear, self._end_stuck)
        self._bind_admin()
        starts = [self._keep_first(number) for number in range(config.gateway.workers)]
        problems = [problem for found in await asyncio.gather(*starts) for problem in found]
        if problems:
            await self.stop()
            raise ConfigError(list(dict.fromkeys(problems)))
        self._begin(self._look_after())
        self._begin(self.hub.keep_pruning())

    def _begin(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _bind_admin(self) -> bool:
        """Calls go before administration: where its address cannot be had, they are taken all the same."""
        if self._admin is None:
            try:
                self._admin = bind_http(*self.config.admin.listen)
            except OSError as error:
                advice = "free it or change admin.listen; a reload tries again"
                self._log.error("no admin API", reason=f"{error.strerror}; {advice}")
                return False
            return True
        return False

    async def _keep_first(self, number: int) -> list[str]:
        """Start a worker for the first time, and keep it. What stands in its way."""
        child = await self._start(number)
        problems = await self._readiness(number)
        if not problems:
            self._begin(self._keep(number, child))
        else:
            await child.ended()
        return problems

    async def _start(self, number: int) -> Child:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        link = self.hub.link(number, lambda: self.hub.left(number, link))
        child = self._children[number] = await spawn(number, link)
        self._ready[number] = loop.create_future()
        self._heard[number] = loop.time()
        listen, admin = self.config.gateway.listen, number == 0 and self._admin is not None
        socks = self.sockets.of_worker(number, listen)
        send_sockets(child.fds, [*socks, self._admin] if admin and self._admin is not None else socks)
        named, own = self.sockets.listeners(listen), self.sockets.own
        times = self.since, self.reloaded
        snapshot = self.hub.joined(number, link)
        assigned = wire.Assignment(number, self.config, named, own, admin, os.getpid(), *times, snapshot)
        self.hub.tell(number, assigned)
        return child

    async def _readiness(self, number: int) -> list[str]:
        """What stands in the way of a worker that has been started."""
        child = self._children[number]
        ended = asyncio.ensure_future(child.process.wait())
        ready = self._ready[number]
        await asyncio.wait((ready, ended), timeout=START, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if ready.done():
            return list(ready.result().problems)
        child.send_signal(signal.SIGKILL)
        return [f"worker {number} did not become ready"]

    async def _keep(self, number: int, child: Child) -> None:
        """Start a worker again whenever it has ended, until we stop."""
        pause, loop = Pause(), asyncio.get_running_loop()
        while True:
            began = loop.time()
            how = await child.ended()
            self._status.pop(number, None)
            self._ended = together([self._ended, counts_only(self._counted.pop(number, Share()))])
            for (worker, _), waiting in self._told.items():
                if worker == number and not waiting.done():
                    waiting.set_result([])  # the next one goes by what is configured by then
            if self._stopping:
                return
            wait = pause.after(loop.time() - began)
            self.restarts += 1
            tell = self._log.info if child.process.returncode == 0 else self._log.error
            tell("worker ended", worker=number, pid=child.pid, how=how, again_in=wait)
            await asyncio.sleep(wait)
            async with self._changing:
                if self._stopping:
                    return
                try:
                    child = await self._start(number)
                except OSError as error:
                    self._log.error("worker cannot start", worker=number, reason=str(error))
                    continue
            problems = await self._readiness(number)
            for problem in problems:
                self._log.error("worker cannot start", worker=number, reason=problem)
            if not problems:
                self._log.info("worker started", worker=number, pid=child.pid)

    # what workers say

    def _hear(self, worker: int, packet: Any) -> None:
        self._heard[worker] = asyncio.get_running_loop().time()
        if isinstance(packet, wire.Status):
            self._status[worker] = packet
        elif isinstance(packet, wire.Ready):
            if not self._ready[worker].done():
                self._ready[worker].set_result(packet)
        elif isinstance(packet, wire.Told):
            waiting = self._told.get((worker, packet.serial))
            if waiting is not None and not waiting.done():
                waiting.set_result(packet.value)
        elif isinstance(packet, wire.Counted):
            self._counted[worker] = packet.share
        elif isinstance(packet, wire.Ask):
            self._asked(packet)

    def _asked(self, packet: wire.Ask) -> None:
        if packet.what == "reload":
            self._begin(self._reload_for(packet))
        elif packet.what == "ended":
            told = self._ended, self.restarts, self._store.queued
            self.hub.tell(packet.origin, wire.Told(packet.serial, told))

    async def _reload_for(self, packet: wire.Ask) -> None:
        """An administrator has asked for it through the API."""
        problems = await self.reload(packet.value)
        self.hub.tell(packet.origin, wire.Told(packet.serial, problems))

    def _end_stuck(self, worker: int) -> None:
        self._log.error("worker does not listen", worker=worker)
        self._children[worker].send_signal(signal.SIGKILL)

    async def _look_after(self) -> None:
        """See that all workers live, and tell commands of this machine what runs."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_EVERY)
            now = loop.time()
            for worker in list(self.hub.links):
                if now - self._heard[worker] > max(SILENT, START if worker not in self._status else 0.0):
                    self._heard[worker] = now
                    self._end_stuck(worker)
            first = self._status.get(0)
            health = Health(HealthSettings())
            wire.learn_health(first.health if first is not None else [], health)
            self._running.look(self.config, self.listeners, health, now)

    # another configuration

    async def reload(self, who: Actor = BY_SIGNAL) -> list[str]:
        """Read the configuration file again and have all workers go by it: see `GatewayApp.reload`."""
        async with self._changing:
            before = self.config
            try:
                with audited(self._store.path, who, "reload", str(before.source or "")) as entry:
                    await self._reload()
                    entry.before, entry.after = values_changed(before, self.config)
            except ConfigError as error:
                return error.problems
            except StoreError as error:
                return [str(error)]
            self.reloaded = time.time()
            warn_of(self.problems())
        return []

    async def _reload(self) -> None:
        config, before = again(self.config), self.config
        await asyncio.to_thread(check_config, config)
        added = tuple(item for item in config.gateway.listen if item not in before.gateway.listen)
        try:
            self.sockets.add(config, added)
        except OSError as error:
            raise ConfigError(told(config, error)) from None
        self.config = config
        OUTPUT.set_up(config)
        self._log = get_logger()
        admin = self._bind_admin()
        self._serial += 1
        await asyncio.gather(*(self._hand_on(worker, config, added, admin) for worker in list(self.hub.links)))
        self.sockets.drop([item for item in before.gateway.listen if item not in config.gateway.listen])

    async def _hand_on(self, worker: int, config: Config, added: Any, admin: bool) -> None:
        """What all of us have found good a worker has to take; one that cannot is started anew with it."""
        child, with_admin = self._children[worker], admin and worker == 0 and self._admin is not None
        socks = self.sockets.of_worker(worker, added, own=False)
        send_sockets(child.fds, [*socks, self._admin] if with_admin and self._admin is not None else socks)
        waiting = self._told[worker, self._serial] = asyncio.get_running_loop().create_future()
        self.hub.tell(worker, wire.Reload(self._serial, config, self.sockets.listeners(added), with_admin))
        try:
            async with asyncio.timeout(RELOADED):
                problems = await waiting
        except TimeoutError:
            problems = ["no answer"]
        finally:
            del self._told[worker, self._serial]
        for problem in problems:
            self._log.error("worker did not reload", worker=worker, reason=problem)
        if problems:
            child.send_signal(signal.SIGKILL)

    def reopen_log(self) -> None:
        """After the file was moved away."""
        OUTPUT.reopen()
        for child in self._children.values():
            child.send_signal(signal.SIGUSR1)

    # ending

    async def stop(self) -> None:
        """Have the workers finish what waits for an answer, and end."""
        self._stopping = True
        for child in self._children.values():
            child.send_signal(signal.SIGTERM)
        ends = [asyncio.ensure_future(child.process.wait()) for child in self._children.values()]
        if ends:
            await asyncio.wait(ends, timeout=STOPPED)
        for child in self._children.values():
            if child.process.returncode is None:
                child.send_signal(signal.SIGKILL)
        await asyncio.gather(*ends)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for child in self._children.values():
            await child.ended()
        self.sockets.close()
        if self._admin is not None:
            self._admin.close()
        self._running.close()
        self._store.close()


async def _bound(config: Config) -> Sockets:
    """Raises OSError. Workers of a supervisor that was killed take a moment to end."""
    for _ in range(int(LEAVING / LOOK_AGAIN)):
        try:
            return Sockets(config)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        await asyncio.sleep(LOOK_AGAIN)
    return Sockets(config)


def check_config(config: Config) -> None:
    """All that a worker would find wrong. In a thread: reads files. Raises ConfigError."""
    access_of(config)
    OUTPUT.check(config)
    try:
        TlsContexts(tls_settings(config))
        check_sign_in(config, silent_logger())
    except (TlsError, OSError) as error:
        raise ConfigError(told(config, error)) from None

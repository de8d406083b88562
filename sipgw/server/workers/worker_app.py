"""A worker: the gateway as one of several, with sockets and a place among the others that the supervisor gives it."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from structlog.typing import FilteringBoundLogger

from sipgw.config import ConfigError
from sipgw.core.ownership import first_cid
from sipgw.events import Listener, Persist
from sipgw.observability.log import get_logger, silent_logger
from sipgw.observability.shares import Share, WorkerReading, counted, times_of, together, with_share
from sipgw.server.app import USERS_PATIENCE, GatewayApp, clock_offset
from sipgw.server.audit import Actor
from sipgw.server.ears import Ears
from sipgw.server.log_file import OUTPUT
from sipgw.server.serving import calm_collector
from sipgw.server.shell import Shell
from sipgw.server.sign_in import SignIn
from sipgw.server.store import Store
from sipgw.server.store_file import StoreError
from sipgw.server.workers import wire
from sipgw.server.workers.handing import received_sockets
from sipgw.server.workers.link import HUB
from sipgw.server.workers.membership import Membership, NoAnswer
from sipgw.server.workers.replica import Replica

if TYPE_CHECKING:
    from sipgw.observability.metrics import Readings
    from sipgw.server.admin.access import Access
    from sipgw.server.admin.call_models import CallPage, CallsQuery
    from sipgw.server.admin.explaining import Explain

COUNT_EVERY = 5.0  # seconds
RELOAD_PATIENCE = 60.0  # seconds that a reload may take


class WorkerApp(GatewayApp):
    """`socks` are those of the assignment, in its order. The first worker has the admin API."""

    def __init__(
        self,
        assignment: wire.Assignment,
        membership: Membership,
        socks: list[socket.socket],
        explain: "Explain | None" = None,
    ) -> None:
        self.number = assignment.number
        super().__init__(assignment.config, explain=explain)
        self.pid = assignment.pid
        self.since, self.reloaded = assignment.since, assignment.reloaded
        self._assignment = assignment
        self._membership = membership
        self._socks = socks
        self._own: list[Listener] = []
        self._own_of_others: list[Listener] = []
        self._admin_sock = socks.pop() if assignment.admin else None
        self.replica: Replica
        self._told_bans: set[str] = set()
        membership.told_by = {wire.Tried: self._learn}
        membership.answers = {"follow": lambda value: self.follow_store(), "share": self._told_share}
        membership.answers["users"] = lambda value: GatewayApp.users_followed(self)
        membership.answers |= {"calls": self._told_calls, "parts": self._told_parts}
        self._count_next = 0.0

    # another start

    def _open_store(self) -> Store:
        return Store.open(self.config.store.path, writes=False)

    def _bind(self) -> list[Ears]:
        assignment, number = self._assignment, self.number
        named = [*assignment.listeners, *assignment.own[number]]
        ears = [Ears(data.listener(), sock) for data, sock in zip(named, self._socks, strict=True)]
        self._own = [ear.listener for ear in ears[len(assignment.listeners) :]]
        others = [own for at, own in enumerate(assignment.own) if at != number]
        self._own_of_others = [data.listener() for own in others for data in own]
        return ears

    def _own_log(self) -> FilteringBoundLogger:
        """What happens to all of them the first worker tells."""
        return get_logger() if self.number == 0 else silent_logger()

    def _first_cid(self) -> int:
        return first_cid(self.number, int.from_bytes(os.urandom(4)))

    def _engine_listeners(self, listeners: list[Listener]) -> list[Listener]:
        """By its own addresses and those of the other workers a request shows that it has been here."""
        return [*listeners, *self._own, *self._own_of_others]

    def _build_shell(self) -> Shell:
        shell = super()._build_shell()
        self.replica = Replica(self.number, self.engine, shell, self._listeners_by_name, clock_offset)
        self.engine.share(self.replica.sharing, self._own)
        self.replica.load(self._assignment.snapshot)
        self._membership.join(self.replica, shell.counters)
        shell.peers = self._membership
        shell.notify = self._membership.notice
        shell.put_before(self._membership.put_before)
        return shell

    def _listeners_by_name(self) -> dict[str, Listener]:
        return {str(listener): listener for listener in [*self.listeners, *self._own, *self._own_of_others]}

    def _start_admin(self, access: "Access") -> None:
        if self._admin_sock is not None:
            sock, self._admin_sock = self._admin_sock, None
            self._serve_admin(access, sock)

    async def _use_sign_in(self, sign_in: SignIn | None) -> None:
        """What fails at one worker counts at all, and one that can sign tells the others for whom."""
        if sign_in is not None:
            sign_in.lockout.tell = self._tell_tried
            sign_in.gate.tell_flows(self._membership.signs)
        await super()._use_sign_in(sign_in)

    def _tell_tried(self, name: str, uri: str, source: str, succeeded: bool) -> None:
        self._membership.tell_all(wire.Tried(name, uri, source, succeeded))

    def _learn(self, tried: wire.Tried) -> None:
        if self._sign_in is not None:
            self._sign_in.lockout.learn(*tried, asyncio.get_running_loop().time())

    def _tell_bans(self, now: float) -> None:
        banned = self.engine.admission.banned
        for source in banned.keys() - self._told_bans:
            self._membership.tell_all(wire.Banned(source, banned[source] - now))
        self._told_bans = set(banned)

    def _write(self, persist: Persist, done: Callable[[str | None], None]) -> None:
        """The supervisor writes, and `Membership` has its answer."""
        self._membership.persist(persist, clock_offset())

    def _tell_running(self, now: float) -> None:
        """The supervisor does; it hears of the pools from the first worker."""
        self._tell_bans(now)
        sizes = self.engine.sizes()
        told = wire.health_data(self.engine.health.known().items()) if self.number == 0 else []
        connections = self.shell.connection_count
        self._membership.tell_supervisor(wire.Status(sizes.bindings, connections, sizes.server_transactions, told))
        if now >= self._count_next:
            self._count_next = now + COUNT_EVERY
            self._membership.tell_supervisor(wire.Counted(self.share()))

    # what all have counted

    def share(self) -> Share:
        """What this worker has counted."""
        engine, shell = self.engine, self.shell
        banned = len(engine.admission.bans(asyncio.get_running_loop().time()))
        sizes = {**asdict(engine.sizes()), "connections": shell.connection_count, "banned": banned}
        return counted(engine.meter, engine.layer.responses)._replace(
            core_events=dict(engine.counters),
            shell_events=dict(shell.counters),
            lag=times_of(self.lag.durations),
            sizes=sizes,
            queues={"register": sizes["parked"], "names": sizes["waiting"]},
            sign_in=self.sign_in_sizes(),
            overloaded=engine.admission.overloaded,
        )

    def _told_share(self, _: object) -> tuple[int, Share, WorkerReading]:
        """For the worker that is asked for metrics."""
        share = self.share()
        cpu, sizes = time.process_time(), share.sizes
        return self.number, share, WorkerReading(cpu, sizes["connections"], sizes["server_transactions"])

    async def all_readings(self, readings: "Readings") -> "Readings":
        """Those that have ended have told the supervisor."""
        found = [self._told_share(None), *await self._membership.ask_others("share")]
        ended, restarts, queued = await self._membership.ask(HUB, "ended")
        share = together([ended, *(share for _, share, _ in found)])
        share = share._replace(queues={**share.queues, "store": queued})
        return with_share(readings, share, {number: reading for number, _, reading in found}, restarts)

    # what all have seen

    async def _told_calls(self, asked: dict[str, Any]) -> str:
        """A page, for the worker that is asked for calls."""
        from sipgw.server.admin.call_models import CallsQuery

        return (await super().all_calls(CallsQuery(**asked))).model_dump_json()

    async def _told_parts(self, asked: tuple[list[str], dict[str, Any]]) -> list[str]:
        """What was seen here of calls, by their ids; whether that is what was asked for or not."""
        from sipgw.server.admin.call_models import CallsQuery
        from sipgw.server.admin.merged_calls import part

        call_ids, query = asked
        pages = []
        for one in call_ids:
            every = await super().all_calls(CallsQuery(call_id=one, steps=query["steps"], limit=1))
            matching = {**query, "call_id": one, "after": 0, "before": None, "limit": 1, "steps": False}
            pages.append(part(every, await super().all_calls(CallsQuery(**matching))).model_dump_json())
        return pages

    async def all_calls(self, query: "CallsQuery") -> "CallPage":
        """Which calls there are comes first; then all is asked for that anybody has seen of those on the page."""
        from sipgw.server.admin import merged_calls

        asked = query.model_dump()
        pages = merged_calls.read([await self._told_calls(asked), *await self._membership.ask_others("calls", asked)])
        call_ids, lowest = merged_calls.in_order(pages)
        wanted = call_ids[: query.limit + 1], asked
        told = [await self._told_parts(wanted), *await self._membership.ask_others("parts", wanted)]
        parts = merged_calls.read([text for one in told for text in one])
        return merged_calls.merged_page(pages, merged_calls.whole(parts, query.before), query.limit, lowest)

    # changes

    async def followed(self) -> None:
        self.follow_store()
        await self._membership.ask_others("follow")

    async def users_followed(self) -> None:
        others = self._membership.ask_others("users", patience=USERS_PATIENCE)
        await asyncio.gather(super().users_followed(), others)

    async def reload(self, who: Actor | None = None) -> list[str]:
        """The supervisor reads the file, and tells all workers."""
        try:
            problems: list[str] = await self._membership.ask(HUB, "reload", who, RELOAD_PATIENCE)
        except NoAnswer as error:
            return [str(error)]
        self.reloaded_well = not problems
        return problems

    async def go_by(self, order: wire.Reload, socks: list[socket.socket]) -> None:
        """Another configuration, which the supervisor has found good. Raises ConfigError all the same."""
        if order.admin:
            self._admin_sock = socks.pop()
        ears = [Ears(data.listener(), sock) for data, sock in zip(order.added, socks, strict=True)]
        async with self.changing:
            await self._go_by(order.config, lambda: ears)
            self.reloaded, self.reloaded_well = time.time(), True


class Orders:
    """What the supervisor tells this worker, one after the other. None when it is to end."""

    def __init__(self, fds: socket.socket) -> None:
        self.queue: asyncio.Queue[object] = asyncio.Queue()  # no longer than the supervisor gives orders
        self.membership = Membership(self.queue.put_nowait)
        self._fds = fds

    def sockets(self, count: int) -> list[socket.socket]:
        """Those that came with an order."""
        return received_sockets(self._fds, count)

    def take_signals(self) -> None:
        """SIGTERM ends this worker alone, which is started anew; the others are for the supervisor."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.queue.put_nowait, None)
        loop.add_signal_handler(signal.SIGUSR1, OUTPUT.reopen)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    async def next(self) -> object:
        """None as well when the supervisor is gone."""
        wanted = asyncio.ensure_future(self.queue.get())
        ended = asyncio.ensure_future(self.membership.ended.wait())
        await asyncio.wait((wanted, ended), return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if wanted.done():
            return wanted.result()
        wanted.cancel()
        return None


async def run_worker(link: int, sockets: int, explain: "Explain | None" = None) -> int:
    """Until the supervisor or SIGTERM ends it; the numbers are of open sockets. Returns the exit status."""
    orders = Orders(socket.socket(fileno=sockets))
    orders.take_signals()
    await asyncio.get_running_loop().create_unix_connection(
        lambda: orders.membership.link, sock=socket.socket(fileno=link)
    )
    assignment = await orders.next()
    if not isinstance(assignment, wire.Assignment):
        return 1
    count = len(assignment.listeners) + len(assignment.own[assignment.number]) + assignment.admin
    OUTPUT.set_up(assignment.config)
    app = WorkerApp(assignment, orders.membership, orders.sockets(count), explain)
    problems = await _started(app)
    orders.membership.tell_supervisor(wire.Ready(tuple(problems)))
    if not problems:
        calm_collector()
        await _obey(app, orders)
        if not orders.membership.ended.is_set():
            await app.drain()
        await app.close()
    orders.membership.link.close()
    return 1 if problems else 0


async def _started(app: WorkerApp) -> list[str]:
    """What stands in the way."""
    try:
        await app.start()
    except ConfigError as error:
        return error.problems
    except (OSError, StoreError) as error:
        return [str(error)]
    return []


async def _obey(app: WorkerApp, orders: Orders) -> None:
    while (order := await orders.next()) is not None:
        if isinstance(order, wire.Reload):
            problems: list[str] = []
            try:
                await app.go_by(order, orders.sockets(len(order.added) + order.admin))
            except ConfigError as error:
                problems = error.problems
            except StoreError as error:
                problems = [str(error)]
            orders.membership.tell_supervisor(wire.Told(order.serial, problems))
        else:
            get_logger().error("not understood", order=type(order).__name__)

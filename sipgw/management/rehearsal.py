"""The gateway made once more in memory, from configuration and store, to see what it would do. It sends nothing.

The engine is the one that serves. What it wants sent is looked at and dropped, what it wants stored counts as stored;
questions for the name service are asked. What only the running gateway knows is taken from the file that it keeps.
"""

import asyncio
import os
import time
from dataclasses import dataclass, replace
from random import SystemRandom

from sipgw.config import Config
from sipgw.core.admission import Rates
from sipgw.core.health import ServerHealth
from sipgw.core.route import Route
from sipgw.engine import Engine
from sipgw.events import Flow, Listener, Output, Persist, Resolve, Send
from sipgw.locating import Answer, Question
from sipgw.management.explain_users import Users, configured_users
from sipgw.management.locate import Asker, locate
from sipgw.message.message import Request, Response
from sipgw.message.parser import parse_message
from sipgw.message.values import host_port
from sipgw.server.running import Running, ServerState, read_running
from sipgw.server.settings import engine_settings, shifted
from sipgw.server.store import Contents, contents

STRANGERS = ("192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1")  # RFC 5737, RFC 3849: nobody is there


@dataclass(frozen=True)
class Doings:
    """What the engine does with a request: its final response, if any, and where it sends the request first."""

    response: Response | None
    forwarded: bool


class Rehearsal:
    """`now` is the engine's clock, `wall` the time of day at the same moment; time stands still here. `heard` are the
    answers of the name service, in the order of the questions. Making one raises StoreError."""

    standing: frozenset[tuple[object, ...]] | None = None  # of registrations, by their keys, where that is known

    def __init__(self, config: Config, asker: Asker) -> None:
        self.config = config
        self.now, self.wall = asyncio.get_running_loop().time(), time.time()
        self.running = read_running(config.store.path)
        self.registry = config.registry()
        self.heard: dict[Question, Answer] = {}
        self._asker = asker
        stored = self._stored()
        self.registry.replace_stored(stored.endpoints)
        self.registry.replace_states(stored.pool_states)
        self.engine = self._engine(stored)
        self.users = self._users()
        self.engine.router.accounts = self.users.accounts
        self._cids = iter(range(1, 1 << 62))
        if self.running is not None:
            self._learn(self.running)

    def _stored(self) -> Contents:
        path = self.config.store.path
        if not path.exists():
            return Contents([], [], os.urandom(32))
        return contents(path, self.wall)

    def _users(self) -> Users:
        return configured_users(self.config, self.running)

    def _engine(self, stored: Contents) -> Engine:
        gateway = self.config.gateway
        listeners = [
            Listener(one.transport, one.host, one.port, host_port(gateway.fqdn, one.port)) for one in gateway.listen
        ]
        offset = self.wall - self.now
        settings = replace(engine_settings(self.config, stored.secret, offset), rates=Rates())
        engine = Engine(settings, self.registry, listeners, SystemRandom())
        engine.load_bindings(shifted(row, -offset) for row in stored.bindings)
        return engine

    def _learn(self, running: Running) -> None:
        """What is down, and that the connections stand over which users have signed in, where nothing else is known."""
        for hop, state in running.servers.items():
            if not state.up:
                self.engine.health.learn(hop, self._health(state))
        for binding in self.engine.location:
            transport, host, port = binding.source
            if transport != "UDP" and not binding.path and (self.standing is None or binding.key in self.standing):
                listener = self.engine.router.own.listener_for(transport, ":" in host)
                binding.flow = Flow(transport, host, port, listener, next(self._cids))

    def _health(self, state: ServerState) -> ServerHealth:
        offset = self.now - self.wall
        until = state.until and state.until + offset
        return ServerHealth(False, state.since + offset, state.reason, until)

    def stranger(self) -> Flow:
        """A connection from an address that nothing is known of and that is not trusted, where there is such a one."""
        flows = (self._flow(host) for host in STRANGERS)
        return next((flow for flow in flows if not self.engine.router.trusts(flow)), self._flow(STRANGERS[0]))

    def trusted_peer(self) -> Flow | None:
        """A connection of a peer that may relay through us; None when there is no way to be one."""
        gateway = self.config.gateway
        for network in gateway.trusted_networks:
            return self._flow(str(network.network_address))
        if gateway.trusted_names:
            return self._flow(STRANGERS[0], (gateway.trusted_names[0],))
        return None

    def _flow(self, host: str, names: tuple[str, ...] = ()) -> Flow:
        listeners = self.engine.router.own.listeners
        listener = next((one for one in listeners if one.transport != "UDP"), listeners[0])
        cid = next(self._cids) if listener.transport != "UDP" else 0
        return Flow(listener.transport, host, 5060, listener, cid, names)

    async def route(self, data: bytes, flow: Flow) -> Route:
        """The decision on a request, all names looked up. Raises MalformedMessage."""
        while True:
            request = parse_message(data)
            assert isinstance(request, Request)
            route = self.engine.router.route(request, flow, self.now)
            if route.unresolved is None:
                return route
            await locate(self.engine.locator, self._asker, [route.unresolved], self.now, self._hear)

    def _hear(self, answer: Answer) -> None:
        self.heard[answer.question] = answer

    async def perform(self, data: bytes, flow: Flow) -> Doings:
        """What becomes of a request that comes in, up to a final response or to its being sent on."""
        forwarded = False
        waiting: list[Output] = []
        if flow.cid:
            self.engine.connected(flow)
        waiting += self.engine.receive(data, flow, self.now)
        while waiting:
            output = waiting.pop(0)
            if isinstance(output, Persist):
                waiting += self.engine.persisted(output.key, None, self.now)
            elif isinstance(output, Resolve):
                waiting += self.engine.resolved(await self._asker.ask(output.question), self.now)
            elif isinstance(output, Send):
                response = _response(output)
                if response is not None and response.status >= 200:
                    return Doings(response, forwarded)
                forwarded = forwarded or response is None
        return Doings(None, forwarded)


def _response(send: Send) -> Response | None:
    message = parse_message(send.data)
    return message if isinstance(message, Response) else None

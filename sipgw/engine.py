"""The gateway without its sockets: everything that comes in goes through here, and a list of outputs comes back.

Wiring only. Times are seconds of one monotonic clock that the caller reads; nothing below this line reads another.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from sipgw.auth.gate import Gate
from sipgw.core.admission import Admission, Rates
from sipgw.core.aliases import Aliases, Shown
from sipgw.core.door import Door
from sipgw.core.entrance import Entrance
from sipgw.core.failures import BUSY_RETRY_AFTER, OVERLOADED, diagnostics
from sipgw.core.flow_token import FlowTokens
from sipgw.core.health import Health, HealthSettings
from sipgw.core.location import Binding, LocationService
from sipgw.core.meter import Meter
from sipgw.core.ownership import Sharing
from sipgw.core.pool_servers import PoolServers
from sipgw.core.probing import Asking, Prober
from sipgw.core.proxy import Proxy
from sipgw.core.registrar import Registrar, RegistrarSettings
from sipgw.core.routing import Router, RoutingSettings
from sipgw.core.trust import Network
from sipgw.events import Close, Flow, Hop, Listener, Log, Notice, Output, Persist, Resolve
from sipgw.frontend.local import FrontEnd
from sipgw.frontend.registration import Registration
from sipgw.frontend.signin import Granting
from sipgw.locating import Answer, Locator, Reach
from sipgw.registry import Registry
from sipgw.transaction.layer import TransactionLayer
from sipgw.transaction.stack import Stack
from sipgw.transaction.timers import TimerValues

OVERLOAD_LOG = 10.0  # seconds between log lines about it


@dataclass(frozen=True)
class EngineSettings:
    """What the engine needs to know of the configuration. `domains` in lower case; `secret` at least 16 random bytes,
    the same after a restart; `realm` is Digest's; `first_response` in seconds; `wall_offset` added to the clock gives
    the time of day, None for no Date; `vouching` is another when other authorities prove names."""

    fqdn: str
    domains: frozenset[str]
    secret: bytes
    trusted: tuple[Network, ...] = ()
    trusted_names: frozenset[str] = frozenset()
    shown: Shown = field(default_factory=Shown)
    vouching: str = ""
    timers: TimerValues = field(default_factory=TimerValues)
    registrar: RegistrarSettings = field(default_factory=RegistrarSettings)
    max_transactions: int = 100_000
    max_bindings: int = 1_000_000
    max_headers: int = 256
    max_body: int = 262_144
    first_response: float = 3.0
    verbose: bool = True
    recurse: bool = False
    wall_offset: float | None = None
    realm: str = ""
    rates: Rates = field(default_factory=Rates)
    reach: Reach = field(default_factory=Reach)
    health: HealthSettings = field(default_factory=HealthSettings)


@dataclass(slots=True)
class Sizes:
    """How much state there is."""

    server_transactions: int
    client_transactions: int
    timers: int
    bindings: int
    connections: int
    parked: int
    waiting: int


class Engine(Stack):
    """`receive`, `handle_timers` and the reports of the shell each return the outputs to perform, in order.

    `gate` is what everybody has to pass who is no server; None where the network is trusted. `use_gate` sets it.
    `sharing` is set by `share` where there are other workers.
    """

    def __init__(
        self,
        settings: EngineSettings,
        registry: Registry,
        listeners: list[Listener],
        random: Random,
    ) -> None:
        overloaded = (diagnostics(OVERLOADED, settings.fqdn), f"Retry-After: {BUSY_RETRY_AFTER}")
        super().__init__(
            TransactionLayer(settings.timers, random, settings.max_transactions, overloaded),
            settings.max_headers,
            settings.max_body,
        )
        self.layer.redials = True
        self._random = random
        self._quiet_until = 0.0
        self._tokens = FlowTokens(settings.secret)
        self.location = LocationService(settings.max_bindings, settings.secret)
        self.locator = Locator(settings.reach)
        self.health = Health(settings.health)
        self.health.counters = self.counters
        self.aliases = Aliases()
        self.meter = Meter()
        self.gate: Gate | None = None
        self.sharing: Sharing | None = None
        self._lost: dict[int, str] = {}
        self._own_listeners: list[Listener] = []
        self._build(settings, registry, listeners)

    def _build(self, settings: EngineSettings, registry: Registry, listeners: list[Listener]) -> None:
        """All that follows from the configuration; what has gathered in the tables above is not touched."""
        servers = PoolServers(self.locator, self.health, self._random)
        routing = RoutingSettings(settings.fqdn, settings.domains, settings.trusted, settings.trusted_names)
        self.router = Router(
            routing, listeners, registry, self.location, self._tokens, self.locator, servers, self._random
        )
        self.router.flows, self.router.lost = self.layer.flows, self._lost
        self.proxy = Proxy(self.layer, self.router, self._tokens, self.health, settings.fqdn, settings.first_response)
        self.proxy.verbose = settings.verbose
        self.proxy.recurse = settings.recurse
        self.proxy.counters, self.proxy.meter = self.counters, self.meter
        self.proxy.aliases, self.proxy.shown = self.aliases, settings.shown
        self._registration = self._build_registration(settings, registry)
        self.proxy.local = FrontEnd(self.proxy, self._registration, registry)
        self.layer.user = self.proxy
        asking = Asking(settings.fqdn, self.proxy.sent_by, settings.first_response)
        self._prober = Prober(self.layer, registry, servers, self.health, asking, self._random)
        router = self.router
        self.admission = Admission(settings.rates, settings.trusted, self.counters, router.trusted_names, router)
        self.admission.tell = self._tell
        self.layer.admits, self.layer.inside = self.admission.admits, router.is_inside
        self._door = Door(self.layer, self.admission, self._max_headers, self._max_body)
        self._settings = settings
        self.use_gate(self.gate)
        self._share()

    def share(self, sharing: Sharing, own_listeners: list[Listener]) -> None:
        """Work beside others from now on. `own_listeners` are UDP addresses that are this worker's alone."""
        self.sharing, self._own_listeners = sharing, own_listeners
        self._share()

    def _share(self) -> None:
        if self.sharing is not None:
            self.proxy.own_listeners, self.proxy.pass_on = self._own_listeners, self.sharing.pass_request
            self._registration.shared = True

    def use_gate(self, gate: Gate | None) -> None:
        """Let in from now on whom this gate lets in. Who has signed in by the one before stays so."""
        if gate is not None and self.gate is not None and gate is not self.gate:
            gate.take_over(self.gate)
        self.gate = gate
        self.admission.proved = gate is not None
        settings = self._settings
        if gate is None:
            self.layer.seal = self.layer.hears = self.proxy.entrance = self.router.accounts = None
            return
        self.router.accounts = gate.accounts
        told = settings.realm, settings.fqdn, settings.wall_offset
        self.proxy.entrance = entrance = Entrance(self.proxy, gate, self.admission, *told)
        self.layer.seal, self.layer.hears = gate.seal, entrance.hears

    def _build_registration(self, settings: EngineSettings, registry: Registry) -> Registration:
        registrar = Registrar(self.location, settings.registrar)
        route = settings.registrar.service_route
        granting = Granting(self.location, self.layer.new_tag, route, settings.wall_offset)
        return Registration(self.proxy, registrar, self.location, registry, settings.domains, granting)

    def reconfigure(
        self,
        settings: EngineSettings,
        registry: Registry,
        listeners: list[Listener],
        now: float,
    ) -> list[Output]:
        """Go by another configuration from now on. Calls and registrations under way, and all state, go on as they are.

        `fqdn` and `secret` have to stay: both are in messages that come back.
        """
        proxy, registration, admission = self.proxy, self._registration, self.admission
        self._prober.stop()
        self.layer.reconfigure(settings.timers, settings.max_transactions)
        self._max_headers, self._max_body = settings.max_headers, settings.max_body
        self.location.max_bindings = settings.max_bindings
        self.locator.use(settings.reach)
        self.health.settings = settings.health
        if settings.vouching != self._settings.vouching:
            self.aliases.begin_anew(self.layer.flows)
        self._build(settings, registry, listeners)
        self.proxy.take_over(proxy)
        self._registration.take_over(registration)
        self.admission.take_over(admission)
        return self.start_probing(now)

    def receive(self, data: bytes, flow: Flow, now: float) -> list[Output]:
        """One datagram, or one message cut from a stream."""
        if self.admission.banned and self.admission.is_banned(flow, now):
            return [Close(flow.cid, "banned")] if flow.cid else []
        if self.admission.shut and self.layer.seal is None and self._door.deals_with(data, flow):
            return self.outputs()
        return super().receive(data, flow, now)

    def set_overloaded(self, overloaded: bool, now: float) -> None:
        """Take nothing new while what has come in waits too long to be looked at."""
        self.admission.overloaded = overloaded
        if overloaded and now >= self._quiet_until:  # it comes and goes many times a second
            self._quiet_until = now + OVERLOAD_LOG
            fields: dict[str, object] = {"refused_so_far": self.counters["refused_overloaded"]}
            self.layer.out.append(Log("warning", "overloaded: new requests are refused with 503", fields))

    def _tell(self, record: Log) -> None:
        self.layer.out.append(record)

    def welcomes(self, host: str, now: float) -> bool:
        """Whether a connection from a host may be taken."""
        return not self.admission.banned or self.admission.welcomes(host, now)

    def load_bindings(self, rows: Iterable[tuple[object, ...]]) -> None:
        """Take over stored bindings (rows as `location.ROW`, expiry on the engine's clock)."""
        for row in rows:
            self.location.add(Binding(row))

    def connection_lost(self, flow: Flow, hop: Hop | None, reason: str, now: float) -> list[Output]:
        """A connection is gone; `hop` is what it was opened for, if it was opened by us."""
        self.location.connection_lost(flow.cid)
        self.router.connection_lost(flow)
        self.aliases.lost(flow.cid)
        if self.gate is not None:
            self.gate.connection_lost(flow)
        return super().connection_lost(flow, hop, reason, now)

    def resolved(self, answer: Answer, now: float) -> list[Output]:
        """The answer to a Resolve."""
        for destination in self.locator.answered(answer, now):
            self.proxy.located(destination, now)
            self._prober.located(now)
        return self.outputs()

    def start_probing(self, now: float) -> list[Output]:
        """Look the pools' servers up, and ask them from now on whether they work."""
        self._prober.start(now)
        return self.outputs()

    def drain(self, now: float) -> None:
        """Take nothing new, and ask nothing of our own any more."""
        self.admission.closing = True
        self._prober.give_up(now)

    @property
    def busy(self) -> bool:
        """Whether somebody waits for an answer: of another server, of the name service or of the store."""
        return self.proxy.waiting > 0 or self._registration.parked > 0 or self.layer.waiting

    def outputs(self) -> list[Output]:
        """What has gathered since the last call."""
        if self.health.changes:
            self._report_health()
        if self.locator.questions:
            self.layer.out += [Resolve(question) for question in self.locator.take_questions()]
        return super().outputs()

    def _report_health(self) -> None:
        changes, self.health.changes = self.health.changes, []
        if self.sharing is not None:
            self.layer.out.append(Notice("health", {"servers": changes}))
        for hop, known in changes:
            if known.up:
                self.layer.out.append(Log("info", "server up", {"server": str(hop)}))
            else:
                self.layer.out.append(Log("warning", "server down", {"server": str(hop), "reason": known.reason}))

    def persisted(self, key: int, error: str | None, now: float) -> list[Output]:
        """The answer to a Persist."""
        self._registration.persisted(key, error, now)
        return self.outputs()

    def handle_timers(self, now: float) -> list[Output]:
        """Do what is due."""
        outputs = super().handle_timers(now)
        expired = self.location.expire(now)
        if expired:
            outputs.append(Persist(0, deletes=[binding.key for binding in expired]))
        return outputs

    def next_deadline(self) -> float | None:
        """When `handle_timers` has something to do next; None for never."""
        deadline, expiry = super().next_deadline(), self.location.next_expiry()
        if deadline is None or expiry is None:
            return deadline if expiry is None else expiry
        return min(deadline, expiry)

    def sizes(self) -> Sizes:
        servers, clients = self.layer.size
        timers = len(self.layer.timers)
        connections, parked = len(self.layer.flows), self._registration.parked
        return Sizes(servers, clients, timers, self.location.count, connections, parked, self.proxy.waiting)

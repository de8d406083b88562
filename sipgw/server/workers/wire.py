"""What supervisor and workers say to each other. Pickled: only processes of ours are at the ends."""

import pickle
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from sipgw.config import Config
from sipgw.core.health import Health, ServerHealth
from sipgw.core.location import Binding, Subscription
from sipgw.events import Flow, Hop, Listener, SendKey
from sipgw.observability.shares import Share
from sipgw.server.settings import shifted

Row = tuple[Any, ...]
Put = tuple[Row, int, Subscription | None]  # a row by the wall's clock, the connection it came over (0 for none)


class FlowData(NamedTuple):
    """A flow; its listener is named as the configuration writes it, "" for none."""

    transport: str
    host: str
    port: int
    listener: str
    cid: int
    names: tuple[str, ...]

    @classmethod
    def of(cls, flow: Flow) -> "FlowData":
        listener = str(flow.listener) if flow.listener is not None else ""
        return cls(flow.transport, flow.host, flow.port, listener, flow.cid, flow.names)

    def flow(self, listeners: dict[str, Listener]) -> Flow:
        return Flow(self.transport, self.host, self.port, listeners.get(self.listener), self.cid, self.names)


class ListenerData(NamedTuple):
    """A listener."""

    transport: str
    host: str
    port: int
    sent_by: str

    @classmethod
    def of(cls, listener: Listener) -> "ListenerData":
        return cls(listener.transport, listener.host, listener.port, listener.sent_by)

    def listener(self) -> Listener:
        return Listener(*self)


def put_of(binding: Binding, offset: float) -> Put:
    """A binding as the others are told of it; `offset` is what the wall's clock is ahead of the engine's."""
    cid = binding.flow.cid if binding.flow is not None else 0
    return shifted(binding.row(), offset), cid, binding.subscription


HealthData = list[tuple[tuple[str, str, int, str], tuple[Any, ...]]]
_HEALTH = [one.name for one in fields(ServerHealth)]


def health_data(known: Iterable[tuple[Hop, ServerHealth]]) -> HealthData:
    """What is known of servers, as plain values."""
    return [
        ((hop.transport, hop.host, hop.port, hop.server_name), tuple(getattr(one, name) for name in _HEALTH))
        for hop, one in known
    ]


def learn_health(data: HealthData, health: Health) -> None:
    """Take over what `health_data` was made of."""
    for values, known in data:
        hop, one = Hop(*values), ServerHealth(*known)
        if one.up:
            health.forget(hop)
        else:
            health.learn(hop, one)


# from the supervisor to one worker


@dataclass(frozen=True)
class Snapshot:
    """How things are when a worker comes: who is there, which connections the others hold, for which peers by datagram
    they sign, which connections stored registrations came over (by `location.KEY`), and how often each bucket has
    changed."""

    alive: tuple[int, ...]
    flows: tuple[FlowData, ...]
    signed: tuple[tuple[tuple[str, int], int], ...]
    homes: tuple[tuple[Row, int, Subscription | None], ...]
    versions: bytes


@dataclass(frozen=True)
class Assignment:
    """What a worker is to be. Its sockets have been sent already: those of `listeners`, of `own[number]`, and, where
    `admin` says so, that of the admin API. `pid` is the supervisor's, `since` and `reloaded` are its times."""

    number: int
    config: Config
    listeners: tuple[ListenerData, ...]
    own: tuple[tuple[ListenerData, ...], ...]
    admin: bool
    pid: int
    since: float
    reloaded: float
    snapshot: Snapshot


@dataclass(frozen=True)
class Reload:
    """Go by another configuration; the sockets of `added` have been sent, and that of the admin API if `admin`."""

    serial: int
    config: Config
    added: tuple[ListenerData, ...]
    admin: bool


class Answer(NamedTuple):
    """What became of a Change: `error` None, STALE, or a text."""

    key: int
    bucket: int
    error: str | None


class Changed(NamedTuple):
    """Registrations have changed at another worker."""

    bucket: int
    deletes: list[Row]
    puts: list[Put]


class Voided(NamedTuple):
    """A change that was begun could not be made: the bucket counts on all the same."""

    bucket: int


class Members(NamedTuple):
    """Who is there now."""

    alive: tuple[int, ...]


# from a worker to the supervisor, which tells the others


class Opened(NamedTuple):
    """A connection is up."""

    flow: FlowData


class Lost(NamedTuple):
    """A connection is gone."""

    cid: int
    reason: str


class Signed(NamedTuple):
    """Somebody has signed in by datagrams from this address and port, or nobody is left: what goes there is for the
    worker to sign that knows the keys. `worker` is -1 for none."""

    peer: tuple[str, int]
    worker: int


class Counted(NamedTuple):
    """What a worker has counted so far, told now and then, so that it is not lost when the worker ends."""

    share: Share


class Servers(NamedTuple):
    """What a worker has found out about servers of pools."""

    health: HealthData


class Tried(NamedTuple):
    """What came of an attempt to sign in: see `Lockout.learn`."""

    name: str
    uri: str
    source: str
    succeeded: bool


class Banned(NamedTuple):
    """A source that floods, and for how many more seconds nothing of it is heard."""

    source: str
    seconds: float


class Change(NamedTuple):
    """A change of registrations that was planned when the bucket had changed `seen` times."""

    key: int
    bucket: int
    seen: int
    deletes: list[Row]
    puts: list[Put]


class Ready(NamedTuple):
    """A worker takes calls; or it cannot, for these reasons, and ends."""

    problems: tuple[str, ...] = ()


class Status(NamedTuple):
    """How a worker is, said again and again."""

    registrations: int
    connections: int
    transactions: int
    health: HealthData


# from one to another


class Sip(NamedTuple):
    """A message for another worker: see `events.HandOver`."""

    data: bytes
    flow: FlowData
    passed: int


class SendOver(NamedTuple):
    """Send over a connection that the receiver holds; a failure is reported to `origin` where `key` is set."""

    origin: int
    cid: int
    data: bytes
    key: SendKey


class SendDatagram(NamedTuple):
    """Send a datagram that the receiver has to sign."""

    listener: str
    host: str
    port: int
    data: bytes


class SendFailed(NamedTuple):
    """A SendOver could not be carried out."""

    key: SendKey
    reason: str


class Ask(NamedTuple):
    """A question, answered by a Told with the same serial number."""

    origin: int
    serial: int
    what: str
    value: Any = None


class Told(NamedTuple):
    """The answer to an Ask; `failed` when there is none."""

    serial: int
    value: Any
    failed: bool = False


def packed(packet: object) -> bytes:
    return pickle.dumps(packet, pickle.HIGHEST_PROTOCOL)


def unpacked(payload: bytes) -> Any:
    return pickle.loads(payload)

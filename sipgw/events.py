"""The words between the engine and its shell: where messages come from and go to, and what the shell is asked to do.

Plain data. The engine returns a list of outputs for every input; only the shell performs them, in order.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from sipgw.locating import Question

SendKey = str | tuple[str, ...]  # names the transaction that a Send belongs to: a client's branch, a server's key
OURS: Final = "too much "  # how the reason of a failed send starts when a bound of our own was reached
AGED: Final = "with an older connection, "  # how it starts where that broke, which says nothing against the server
SLOW: Final = "slow to connect"  # the reason of a send that has given way, which says nothing against the server
UNTRUSTED: Final = "certificate not trusted"  # how that of a failed send starts when TLS verification refused the peer


def address_text(transport: str, host: str, port: int) -> str:
    """An address as the configuration writes it: `tcp:127.0.0.1:5060`, `udp:[::1]:5060`."""
    return f"{transport.lower()}:[{host}]:{port}" if ":" in host else f"{transport.lower()}:{host}:{port}"


class Listener:
    """An address that we listen on. `port` is the bound one; `sent_by` is how Via and Record-Route name it."""

    __slots__ = ("host", "port", "sent_by", "transport")

    def __init__(self, transport: str, host: str, port: int, sent_by: str) -> None:
        self.transport = transport
        self.host = host
        self.port = port
        self.sent_by = sent_by

    def __str__(self) -> str:
        return address_text(self.transport, self.host, self.port)


class Flow:
    """One way to reach a peer: a datagram address behind a listener, or one connection (`cid` > 0).

    `transport` is "UDP", "TCP" or "TLS"; `host` and `port` are the peer's; `listener` is None on a connection that we
    opened. A connection's id is never reused, across restarts included. `names` are what the peer's certificate has
    proved it to be, in lower case; () without TLS or without a certificate.
    """

    __slots__ = ("cid", "host", "listener", "names", "port", "transport")

    def __init__(
        self,
        transport: str,
        host: str,
        port: int,
        listener: Listener | None,
        cid: int = 0,
        names: tuple[str, ...] = (),
    ) -> None:
        self.transport = transport
        self.host = host
        self.port = port
        self.listener = listener
        self.cid = cid
        self.names = names

    @property
    def reliable(self) -> bool:
        return self.transport != "UDP"

    def __str__(self) -> str:
        return address_text(self.transport, self.host, self.port)


@dataclass(slots=True, unsafe_hash=True)
class Hop:
    """A next hop to be reached by address: the shell opens or reuses a connection, or sends a datagram.

    `server_name` is the name that a TLS peer must prove, "" where TLS is not used.
    """

    transport: str
    host: str
    port: int
    server_name: str = ""

    @property
    def reliable(self) -> bool:
        return self.transport != "UDP"

    def __str__(self) -> str:
        return address_text(self.transport, self.host, self.port)


class Send:
    """Put `data` on the wire towards `to`. A failure is reported to `engine.send_failed` when `key` is set."""

    __slots__ = ("data", "key", "to")

    def __init__(self, data: bytes, to: Flow | Hop, key: SendKey = "") -> None:
        self.data = data
        self.to = to
        self.key = key


@dataclass(slots=True)
class Resolve:
    """Ask the name service; answer with `engine.resolved(answer, now)`, in any case."""

    question: Question


@dataclass(slots=True)
class Persist:
    """Make rows of the location service durable; answer with `engine.persisted(key, error, now)`.

    `puts` are rows in the order of `sipgw.core.location.ROW` with times of the engine's clock, `added` the bindings
    that they are of; `deletes` are values of its `KEY`. Deletes go first. `aor` is the user whose REGISTER asks for it,
    "" for what has run out.
    """

    key: int
    puts: list[tuple[Any, ...]] = field(default_factory=list)
    deletes: list[tuple[Any, ...]] = field(default_factory=list)
    added: list[Any] = field(default_factory=list)
    aor: str = ""


@dataclass(slots=True)
class HandOver:
    """Give a message to another worker, by its number: it came by `flow`, and `passed` workers have looked at it."""

    worker: int
    data: bytes
    flow: Flow
    passed: int


@dataclass(slots=True)
class Close:
    """Close a connection whose peer broke the framing."""

    cid: int
    reason: str


@dataclass(slots=True)
class Redial:
    """Open another connection for what is sent to a hop next, unless something has come over the present one after
    `since`. That stays open for what is under way; `engine.superseded` is told of it."""

    hop: Hop
    since: float


@dataclass(slots=True)
class GiveWay:
    """If the Send with this key still waits for TCP to connect to `hop`, let it fail with SLOW. Connecting goes on."""

    hop: Hop
    key: str


@dataclass(slots=True)
class Log:
    """Something an operator would want to read. `level` is a name known to logging; `fields` are plain values."""

    level: str
    event: str
    fields: dict[str, Any]


@dataclass(slots=True)
class Notice:
    """What an engine tells the program that runs it: a user agent's application, or a worker."""

    kind: str
    fields: dict[str, Any]


Output = Send | Resolve | Persist | HandOver | Close | Redial | GiveWay | Log | Notice

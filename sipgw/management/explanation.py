"""What would happen to a request, and why, as plain data: `sipgw explain` shows it to people and to machines."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["active", "standby", "drained", "connection", "user", "server"]
Kind = Literal["forwarded", "expected", "answered", "refused", "dropped"]


@dataclass(frozen=True)
class Decision:
    """What the caller gets. "expected" is sent on as well, but to nobody who works, as far as is known: `status` is
    what that comes to. It is 0 where it is for others to say; `diagnostics` is the id of ms-diagnostics, 0 without one;
    `detail` says more, `todo` is what an operator can do about it. `unless` is what is not known here and would make it
    another, in words that go on after "unless", "" where nothing is in doubt."""

    kind: Kind
    status: int = 0
    reason: str = ""
    diagnostics: int = 0
    text: str = ""
    detail: str = ""
    todo: str = ""
    unless: str = ""


@dataclass(frozen=True)
class Place:
    """Where the zone has a server: SRV and, as `rank`, the choice of transport. All 0 for one found by its name."""

    host: str
    rank: int
    priority: int
    weight: int


@dataclass(frozen=True)
class Server:
    """A place to send to. `role` is that of a pool's server; "connection" stands for one that a user came by, "user"
    for an address that it can be dialled at; a connection that is "up" stands, as the
    gateway itself says. `proves` is the name that its certificate has to carry, "" without TLS.
    `since` is when it went down, or came up again, and `until` when one that is down is tried again all the same."""

    server: str
    role: Role
    proves: str = ""
    place: Place | None = None
    health: Literal["up", "down", "not known", ""] = ""
    since: float | None = None
    reason: str = ""
    until: float | None = None


@dataclass(frozen=True)
class Destination:
    """`turn` counts from 1; what has the same turn is sent to at once. `servers` are tried in order."""

    turn: int
    label: str
    request_uri: str
    path: str
    servers: list[Server]


@dataclass(frozen=True)
class Question:
    """A question to the name service and what it said: records as a zone has them, or why there are none."""

    question: str
    records: list[str]
    ttl: float
    failure: str


@dataclass(frozen=True)
class PoolPart:
    """`servers` are those of the configuration; without any the name service is asked. `remarks` are what it lacks."""

    fqdn: str
    servers: list[str]
    remarks: list[str]
    drained: list[Server]


@dataclass(frozen=True)
class EndpointPart:
    sip_address: str
    display_name: str
    declared: bool
    enabled: bool
    pool_fqdn: str


@dataclass(frozen=True)
class BindingPart:
    """A registration of a user. `expires_in` in seconds."""

    contact: str
    q: float
    expires_in: int
    source: str
    user_agent: str
    path: str


@dataclass(frozen=True)
class GatewayPart:
    """The gateway that runs on this store, since when, and by which configuration ("" for the built-in one). `behind`
    tells that this file was changed after the gateway read it."""

    pid: int
    since: float
    source: str
    behind: bool
    listening: list[str]


@dataclass(frozen=True)
class DomainPart:
    """The host of the URI: whether it is served here, and whether the URI names the gateway itself."""

    name: str
    served: bool
    own: bool


@dataclass(frozen=True)
class Explanation:
    """`trusted_sender` tells that everybody is a trusted peer; `trusted` is what such a peer would get, where that is
    something else. `endpoint` is None where none has the address, `domain` for a URI that is not a SIP one. Times are
    seconds since 1970; `at` is that of the asking."""

    method: str
    uri: str
    sender: str
    trusted_sender: bool
    at: float
    gateway: GatewayPart | None
    domain: DomainPart | None
    endpoint: EndpointPart | None
    pool: PoolPart | None
    questions: list[Question]
    bindings: list[BindingPart]
    destinations: list[Destination]
    decision: Decision
    trusted: Decision | None

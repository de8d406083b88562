"""The JSON shapes of the API. Times are seconds since 1970."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MAX_PAGE = 200  # registrations: to write out as many takes 2 ms, in which no message is looked at
Text = Annotated[str, StringConstraints(max_length=1000)]
Servers = Annotated[list[Annotated[str, StringConstraints(max_length=300)]], Field(max_length=32)]


class Shape(BaseModel):
    """Unknown keys are errors, and nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NoQuery(Shape):
    """No parameters."""


class Fault(Shape):
    """One thing that is wrong. `key` names the value; `file` and `line` say where it stands, "" and 0 elsewhere."""

    key: str = ""
    text: str
    file: str = ""
    line: int = 0


class ProblemBody(Shape):
    """RFC 9457. `detail` says what to do; `problems` lists every single fault where there may be several."""

    type: str
    title: str
    status: int
    detail: str
    problems: list[Fault]


class Alive(Shape):
    status: Literal["alive"] = "alive"


class Check(Shape):
    """`detail` says what is missing, for those who may know."""

    name: Literal["listening", "store", "pool"]
    ok: bool
    detail: str = ""


class Readiness(Shape):
    ready: bool
    checks: list[Check]


class GatewayBody(Shape):
    """Which gateway answers. `source` is its configuration file, "" for the built-in values; `store` its store."""

    version: str
    pid: int
    since: float
    fqdn: str
    source: str
    store: str
    listening: list[str]
    overloaded: bool
    draining: bool


class NewEndpoint(Shape):
    """An endpoint to make, as New-CsPersistentChatEndpoint has it. `sip_address` with or without `sip:`."""

    sip_address: Annotated[Text, Field(examples=["sip:ocschat@contoso.com"])]
    pool_fqdn: Annotated[Text, Field(examples=["pcpool.contoso.com"])]
    display_name: Text = ""


class EndpointBody(Shape):
    """`declared` tells that it stands in the configuration file, where alone it can be removed."""

    sip_address: str
    pool_fqdn: str
    display_name: str
    declared: bool
    enabled: bool


class EndpointsQuery(Shape):
    """`identity` is an address or a display name, as Get-CsPersistentChatEndpoint -Identity takes it."""

    identity: Text | None = None
    pool_fqdn: Text | None = None


class EndpointList(Shape):
    endpoints: list[EndpointBody]


class ServerBody(Shape):
    """One server of a pool. `since` is when it went down; `reason` why, or what failed last while it is up; `until` is
    when one that is down is tried again by calls."""

    server: str
    role: Literal["active", "standby", "drained"]
    health: Literal["up", "down"]
    since: float | None = None
    reason: str = ""
    until: float | None = None


class PoolBody(Shape):
    """`configured` are the servers of the configuration, none where the name service knows them; `servers` what they
    come to now, and `missing` why there are none."""

    fqdn: str
    service_uri: str
    state: Literal["Normal", "FailedOver"]
    configured: list[str]
    servers: list[ServerBody]
    missing: str = ""


class PoolList(Shape):
    pools: list[PoolBody]


class PoolChange(Shape):
    """One of: `state`, FailedOver has the standby servers take over and Normal is as configured; `active`, these and no
    others get new dialogs; `add` and `remove`. Servers as `sipgw pool-state` takes them: by host, or as they are shown.
    """

    state: Literal["Normal", "FailedOver"] | None = None
    active: Servers | None = None
    add: Servers = []
    remove: Servers = []


class RegistrationsQuery(Shape):
    """`after` is the `next` of the page before; `aor` is a user, `sip:` or not."""

    model_config = ConfigDict(extra="forbid", strict=False, frozen=True)

    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 100
    after: Text | None = None
    aor: Text | None = None


class RegistrationBody(Shape):
    """One contact of a user. `connected` tells that the connection stands that it signed in by; over UDP there is
    none. `expires_at` is when it runs out."""

    aor: str
    contact: str
    instance: str
    reg_id: int
    epid: str
    q: float
    expires_at: float
    received: str
    path: str
    user_agent: str
    connected: bool


class RegistrationPage(Shape):
    """In the order of their addresses. `next` is for the page after this one, None at the end; `total` counts all."""

    registrations: list[RegistrationBody]
    next: str | None
    total: int


class BanBody(Shape):
    """An address that is not heard `until` then: what comes over connections, or by datagrams, which are told apart as
    anybody can send these in its name."""

    source: str
    by: Literal["connections", "datagrams"]
    until: float


class BanList(Shape):
    """The latest 200; `total` counts all."""

    bans: list[BanBody]
    total: int


class ExplainBody(Shape):
    """A request to think through. `from` is who sends it, by default somebody of the first domain."""

    method: Annotated[Text, Field(examples=["INVITE"])]
    uri: Annotated[Text, Field(examples=["sip:ocschat@contoso.com"])]
    sender: Annotated[Text | None, Field(alias="from", examples=["sip:alice@contoso.com"])] = None


class Reloaded(Shape):
    """`changed` are the keys whose values are others now."""

    source: str
    listening: list[str]
    changed: list[str]


Explained = dict[str, Any]  # as `sipgw explain --json` writes it

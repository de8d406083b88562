"""The JSON shapes of /api/v1/calls."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from sipgw.server.admin.models import MAX_PAGE, Shape, Text

MAX_SERIAL = 1 << 62


class CallsQuery(Shape):
    """`user` is in From or To, `endpoint` is what was called, each `sip:` or not; `failed` keeps those in which
    something went wrong; without `probes` those are left out that are OPTIONS of the gateway to pools. `since` is a
    time. `after` is the `newest` of an answer before: calls that have changed since;
    `before` is the `next` of the page before. With `steps` comes all that happened in each call; a page then ends
    early after a megabyte."""

    model_config = ConfigDict(extra="forbid", strict=False, frozen=True)

    call_id: Text | None = None
    user: Text | None = None
    endpoint: Text | None = None
    failed: bool = False
    probes: bool = True
    since: Annotated[float, Field(ge=0, le=1e11)] = 0.0
    after: Annotated[int, Field(ge=0, le=MAX_SERIAL)] = 0
    before: Annotated[int | None, Field(ge=0, le=MAX_SERIAL)] = None
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 50
    steps: bool = False


class StepBody(Shape):
    """A message that came in or went out, or a decision. `label` is it in a few words. A message has `local` and
    `peer`, addresses as tcp:10.1.0.5:5060 (`local` "" where the system chose it), `connection` (0 for a datagram) and
    `text`, in which each character is a byte if `encoding` is latin-1. A decision has `level`, and `fields`. No secret
    is in any of it. What has the same `turn` was done in one go."""

    turn: int
    at: float
    kind: Literal["in", "out", "decision"]
    label: str
    local: str = ""
    peer: str = ""
    connection: int = 0
    text: str = ""
    encoding: Literal["utf-8", "latin-1"] = "utf-8"
    level: str = ""
    fields: Annotated[dict[str, str], Field(default_factory=dict)]


class CallBody(Shape):
    """All with one Call-ID. `method`, `uri`, `sender` and `receiver` are of its first request, `status` and `reason` of
    the final response to it, 0 where there is none yet. `failure` is what went wrong first, "" for nothing, and
    `diagnostics` the id of its ms-diagnostics. `matched` is the endpoint or user that it was for. `left_out` counts
    what was dropped from the middle of a long call; `incomplete` tells that messages may be missing, as there were too
    many at the time."""

    call_id: str
    serial: int
    began: float
    touched: float
    method: str
    uri: str
    sender: str
    receiver: str
    status: int
    reason: str
    failure: str
    diagnostics: int
    matched: str
    messages: int
    left_out: int
    incomplete: bool
    steps: list[StepBody] | None


class CallPage(Shape):
    """`next` is what the page after this one is `before`, None at the end; `newest` is for a later look. `evicted` are
    calls that had to go to make room, `missed` messages that were not taken as there were too many."""

    enabled: bool
    calls: list[CallBody]
    next: int | None
    newest: int
    kept: int
    evicted: int
    missed: int
    bytes: int

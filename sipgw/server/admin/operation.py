"""What an operation of the API is: where it is found, what it takes, what it answers with."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from starlette.responses import Response

from sipgw.server.admin.models import NoQuery
from sipgw.server.audit import Actor

if TYPE_CHECKING:
    from sipgw.server.app import GatewayApp


@dataclass(frozen=True)
class Call:
    """One request, checked: `path` has the parameters of the path; `query` and `body` are of the operation's shapes,
    `body` None where it takes none. `actor` is None for a probe that may not see details."""

    gateway: "GatewayApp"
    actor: Actor | None
    path: Mapping[str, str]
    query: Any
    body: Any


@dataclass(frozen=True)
class Answer:
    """`body` is of the shape that the operation promises for `status`."""

    body: BaseModel | dict[str, Any]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """`answers` are shapes by status; `problems` kinds of `problems.TITLES` that may come instead. `media_type` is set
    where the answer is a text and no JSON."""

    method: str
    path: str
    name: str
    summary: str
    perform: Callable[[Call], Awaitable[Answer | Response]]
    answers: Mapping[int, type[BaseModel] | None]
    problems: tuple[str, ...] = ()
    query: type[BaseModel] = NoQuery
    body: type[BaseModel] | None = None
    media_type: str = ""

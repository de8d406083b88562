"""Errors as `application/problem+json` (RFC 9457), with a text that an operator can act on."""

from collections.abc import Mapping

from starlette.responses import Response

from sipgw.registry import (
    AlreadyExists,
    Ambiguous,
    BadAddress,
    BadDisplayName,
    Declared,
    HeldByUser,
    NotFound,
    RegistryError,
    UnknownPool,
)
from sipgw.server.admin.models import Fault, ProblemBody
from sipgw.server.store_file import StoreError

TITLES = {
    "bad-request": (400, "The request cannot be read"),
    "unauthorized": (401, "A token is needed"),
    "cross-site": (403, "Web pages have no access"),
    "not-found": (404, "There is no such thing"),
    "method-not-allowed": (405, "There is no such method here"),
    "already-exists": (409, "The address is taken"),
    "held-by-user": (409, "A user holds the address"),
    "declared": (409, "Declared in the configuration file"),
    "ambiguous": (409, "Several are meant"),
    "too-large": (413, "The body is too large"),
    "media-type": (415, "The body is not JSON"),
    "wrong-host": (421, "Not the name of this gateway"),
    "bad-address": (422, "Not an address of an endpoint"),
    "bad-display-name": (422, "Not a display name"),
    "unknown-pool": (422, "There is no such pool"),
    "invalid": (422, "The values cannot be used"),
    "not-reloaded": (422, "The configuration cannot be used; nothing has changed"),
    "internal": (500, "A fault of the gateway"),
    "store": (503, "The store cannot be used"),
    "timeout": (503, "It took too long"),
}
_KINDS: tuple[tuple[type[Exception], str], ...] = (  # the first that fits
    (AlreadyExists, "already-exists"),
    (HeldByUser, "held-by-user"),
    (Declared, "declared"),
    (Ambiguous, "ambiguous"),
    (NotFound, "not-found"),
    (BadAddress, "bad-address"),
    (BadDisplayName, "bad-display-name"),
    (UnknownPool, "unknown-pool"),
    (RegistryError, "invalid"),
    (StoreError, "store"),
    (TimeoutError, "timeout"),
)


class Problem(Exception):
    """An answer that is an error. `kind` is a key of TITLES, `detail` says what to do."""

    def __init__(
        self, kind: str, detail: str, faults: list[Fault] | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.title = TITLES[kind]
        self.kind = kind
        self.detail = detail
        self.faults = faults or []
        self.headers = dict(headers or {})

    def response(self) -> Response:
        body = ProblemBody(
            type=f"urn:sipgw:problem:{self.kind}",
            title=self.title,
            status=self.status,
            detail=self.detail,
            problems=self.faults,
        )
        return Response(body.model_dump_json(), self.status, self.headers, "application/problem+json")


def problem_of(error: Exception) -> Problem | None:
    """The problem that an error of the registry or the store is; None for what nobody has foreseen."""
    if isinstance(error, Problem):
        return error
    kind = next((kind for kinds, kind in _KINDS if isinstance(error, kinds)), None)
    if kind is None:
        return None
    return Problem(kind, str(error) or "the gateway has much to do; try again")

"""The running gateway as commands see it: a client of its admin API, with the same errors as the store has.

gateway = running_gateway(config)       # None: none runs on this store, so the command acts on the store itself
made = gateway.new_endpoint("sip:ocschat@contoso.com", "pcpool.contoso.com")
"""

import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from pydantic import BaseModel, ValidationError

from sipgw.config import Config, ConfigError
from sipgw.message.values import host_port
from sipgw.registry import (
    AlreadyExists,
    Ambiguous,
    BadAddress,
    BadDisplayName,
    Declared,
    Endpoint,
    HeldByUser,
    NotFound,
    RegistryError,
    UnknownPool,
)
from sipgw.server.admin.call_models import CallPage
from sipgw.server.admin.models import (
    MAX_PAGE,
    EndpointBody,
    EndpointList,
    Fault,
    GatewayBody,
    PoolBody,
    PoolList,
    ProblemBody,
    Readiness,
    RegistrationBody,
    RegistrationPage,
    Reloaded,
)
from sipgw.server.running import read_running
from sipgw.server.store import StoreError

LOOK = 1.0  # seconds that a gateway has to show that it is there
PATIENCE = 40.0  # seconds for an answer; the gateway gives up before
MAX_ANSWER = 64 << 20  # bytes
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}
Shape = TypeVar("Shape", bound=BaseModel)


class ApiError(OSError):
    """The gateway cannot be asked, or says something that no gateway of this release says. One line for a person."""


class Unauthorized(ApiError):
    """It wants a token, or another one."""


_REFUSALS: Mapping[str, type[Exception]] = {
    "already-exists": AlreadyExists,
    "held-by-user": HeldByUser,
    "declared": Declared,
    "ambiguous": Ambiguous,
    "not-found": NotFound,
    "bad-address": BadAddress,
    "bad-display-name": BadDisplayName,
    "unknown-pool": UnknownPool,
    "invalid": RegistryError,
    "store": StoreError,
    "unauthorized": Unauthorized,
}


class GatewayClient:
    """One gateway. Each method is one call, or several for pages; each raises ApiError, and what the operation raises:
    RegistryError, StoreError or ConfigError."""

    def __init__(self, host: str, port: int, token: str = "", timeout: float = PATIENCE) -> None:
        self._host, self._port = _WILDCARDS.get(host, host), port
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout = timeout
        self.url = f"http://{host_port(self._host, port)}"

    def gateway(self) -> GatewayBody:
        return self._get(GatewayBody, "/api/v1/gateway")

    def readiness(self) -> Readiness:
        """Whether calls can be taken, and what is missing."""
        return self._shaped(Readiness, *self._ask("GET", "/readyz", refusals=False))

    def endpoints(self, identity: str | None = None, pool_fqdn: str | None = None) -> list[Endpoint]:
        """All, or those with an address or display name, or those of a pool."""
        wanted = {"identity": identity, "pool_fqdn": pool_fqdn}
        query = urlencode({name: value for name, value in wanted.items() if value is not None})
        return [_endpoint(one) for one in self._get(EndpointList, f"/api/v1/endpoints?{query}").endpoints]

    def new_endpoint(self, sip_address: str, pool_fqdn: str, display_name: str = "") -> Endpoint:
        """It is in effect when this returns."""
        wanted = {"sip_address": sip_address, "pool_fqdn": pool_fqdn, "display_name": display_name}
        return _endpoint(self._shaped(EndpointBody, *self._ask("POST", "/api/v1/endpoints", wanted)))

    def remove_endpoint(self, sip_address: str) -> Endpoint:
        """By its address; returns what it was."""
        path = f"/api/v1/endpoints/{quote(sip_address, safe=':@')}"
        return _endpoint(self._shaped(EndpointBody, *self._ask("DELETE", path)))

    def pools(self) -> list[PoolBody]:
        return self._get(PoolList, "/api/v1/pools").pools

    def registrations(self, aor: str | None = None) -> Iterator[RegistrationBody]:
        """All, or those of a user, page by page."""
        query: dict[str, str | int] = {"limit": MAX_PAGE, **({"aor": aor} if aor is not None else {})}
        while True:
            page = self._get(RegistrationPage, f"/api/v1/registrations?{urlencode(query)}")
            yield from page.registrations
            if page.next is None:
                return
            query["after"] = page.next

    def calls(self, **query: str | int | float | bool) -> CallPage:
        """A page of the calls that are kept for tracing; `query` as CallsQuery has it."""
        return self._get(CallPage, f"/api/v1/calls?{urlencode(query)}")

    def explain(self, method: str, uri: str, sender: str = "") -> dict[str, Any]:
        """What would happen to a request, as `sipgw explain --json` shows it."""
        wanted = {"method": method, "uri": uri, **({"from": sender} if sender else {})}
        _, answer = self._ask("POST", "/api/v1/explain", wanted)
        found: dict[str, Any] = json.loads(answer)
        return found

    def reload(self) -> Reloaded:
        """Raises ConfigError with what is wrong in the file; then nothing has changed."""
        return self._shaped(Reloaded, *self._ask("POST", "/api/v1/reload"))

    def _get(self, shape: type[Shape], path: str) -> Shape:
        return self._shaped(shape, *self._ask("GET", path))

    def _shaped(self, shape: type[Shape], status: int, answer: bytes) -> Shape:
        try:
            return shape.model_validate_json(answer)
        except ValidationError:
            raise ApiError(f"{self.url} answers {status} with what no gateway of this release says") from None

    def _ask(self, method: str, path: str, body: object = None, refusals: bool = True) -> tuple[int, bytes]:
        """Status and body. Raises ApiError, and with `refusals` what a problem stands for."""
        headers = dict(self._headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            with connection.getresponse() as response:
                status, answer = response.status, response.read(MAX_ANSWER)
                if response.length:
                    raise http.client.IncompleteRead(answer, response.length)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or "it broke the connection"
            raise ApiError(f"the gateway at {self.url} cannot be asked: {reason}") from error
        finally:
            connection.close()
        if refusals and status >= 300:
            raise _refusal(self.url, status, answer)
        return status, answer


def _refusal(url: str, status: int, answer: bytes) -> Exception:
    """What an error of the API stands for."""
    try:
        problem = ProblemBody.model_validate_json(answer)
    except ValidationError:
        return ApiError(f"{url} answers {status}, as no gateway of this release does")
    kind = problem.type.rpartition(":")[2]
    if kind == "not-reloaded":
        return ConfigError([_fault_line(fault) for fault in problem.problems] or [problem.detail])
    return _REFUSALS.get(kind, ApiError)(problem.detail)


def _fault_line(fault: Fault) -> str:
    where = f"{fault.file}:{fault.line}" if fault.line else fault.file
    return ": ".join(part for part in (where, fault.key, fault.text) if part)


def _endpoint(one: EndpointBody) -> Endpoint:
    return Endpoint(**one.model_dump())


def running_gateway(config: Config) -> GatewayClient | None:
    """The gateway that runs on the store of a configuration, where its API answers; None where none does, also when
    another gateway has the address. Raises ApiError when it turns us away, ConfigError for a file of tokens that cannot
    be used."""
    host, port = config.admin.listen
    token = _token(config)
    if not port:
        return None  # it took a free one, and which one only its log tells
    try:
        told = GatewayClient(host, port, token, LOOK).gateway()
    except Unauthorized:
        raise ApiError(_no_token(config)) from None
    except ApiError as error:
        if error.__cause__ is not None or "no gateway of this release" in str(error):
            return None
        raise
    except RegistryError:
        return None
    return GatewayClient(host, port, token) if told.store == str(config.store.path) else None


def _no_token(config: Config) -> str:
    """What is wrong with the token for a gateway that wants one, and where the right one is."""
    running = read_running(config.store.path)
    where = f"in {running.source}" if running is not None and running.source else "in its own configuration"
    said = f"{config.source or 'built-in values'}: admin.token_file: the gateway at {host_port(*config.admin.listen)}"
    file = config.admin.token_file
    wants = f"does not know the first token of {file}" if file is not None else "wants a token, and no file is named"
    return f"{said} {wants}; name the file that admin.token_file names {where}"


def _token(config: Config) -> str:
    if config.admin.token_file is None:
        return ""
    from sipgw.server.admin.access import read_tokens

    return read_tokens(config.admin.token_file)[0][1]

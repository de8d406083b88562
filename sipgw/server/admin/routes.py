"""All operations of the API, and the application that they make."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from sipgw.config.problems import describe
from sipgw.server.admin import (
    bans,
    call_models,
    calls,
    endpoints,
    explaining,
    models,
    pool_changes,
    pools,
    probes,
    registrations,
    reloading,
    scraping,
)
from sipgw.server.admin.access import Access
from sipgw.server.admin.guard import Guard
from sipgw.server.admin.openapi import document
from sipgw.server.admin.operation import Answer, Call, Operation
from sipgw.server.admin.problems import Problem

if TYPE_CHECKING:
    from sipgw.server.app import GatewayApp

_ONE = f"{endpoints.PATH}/{{sip_address}}"
DOCUMENT = "/api/v1/openapi.json"
OPERATIONS = (
    Operation("GET", "/healthz", "healthz", "Whether the process lives", probes.healthz, {200: models.Alive}),
    Operation(
        "GET",
        "/readyz",
        "readyz",
        "Whether it listens, the store is open and a server of a pool is up; details only with a token",
        probes.readyz,
        {200: models.Readiness, 503: models.Readiness},
    ),
    Operation(
        "GET", "/metrics", "metrics", "Metrics for Prometheus", scraping.metrics, {200: None}, media_type="text/plain"
    ),
    Operation("GET", "/api/v1/gateway", "gateway", "Which gateway this is", probes.gateway, {200: models.GatewayBody}),
    Operation(
        "GET",
        endpoints.PATH,
        "listEndpoints",
        "Endpoints, declared ones first, each in the order in which they were made",
        endpoints.list_endpoints,
        {200: models.EndpointList},
        query=models.EndpointsQuery,
    ),
    Operation(
        "POST",
        endpoints.PATH,
        "makeEndpoint",
        "Make an endpoint; it is in effect when the answer comes, and after a restart",
        endpoints.make_endpoint,
        {201: models.EndpointBody},
        ("already-exists", "held-by-user", "bad-address", "bad-display-name", "unknown-pool", "store"),
        body=models.NewEndpoint,
    ),
    Operation("GET", _ONE, "getEndpoint", "One endpoint", endpoints.get_endpoint, {200: models.EndpointBody}),
    Operation(
        "DELETE",
        _ONE,
        "removeEndpoint",
        "Remove an endpoint; one that is declared in the configuration file stays",
        endpoints.remove_endpoint,
        {200: models.EndpointBody},
        ("declared", "store"),
    ),
    Operation(
        "GET",
        "/api/v1/pools",
        "listPools",
        "Pools, their servers and what is known of them",
        pools.list_pools,
        {200: models.PoolList},
    ),
    Operation(
        "PATCH",
        "/api/v1/pools/{pool_fqdn}",
        "changePool",
        "Say which servers of a pool get new dialogs; calls under way go on",
        pool_changes.change_pool,
        {200: models.PoolBody},
        ("store",),
        body=models.PoolChange,
    ),
    Operation(
        "GET",
        "/api/v1/registrations",
        "listRegistrations",
        "Who is signed in, a page at a time",
        registrations.list_registrations,
        {200: models.RegistrationPage},
        ("store",),
        query=models.RegistrationsQuery,
    ),
    Operation(
        "GET",
        "/api/v1/bans",
        "listBans",
        "Addresses that are not heard for now, as they have sent far too much",
        bans.list_bans,
        {200: models.BanList},
    ),
    Operation(
        "GET",
        calls.PATH,
        "listCalls",
        "Calls that are kept for tracing, and what happened in them, a page at a time",
        calls.list_calls,
        {200: call_models.CallPage},
        query=call_models.CallsQuery,
    ),
    Operation(
        "POST",
        "/api/v1/explain",
        "explain",
        "What would happen to a request, and why; nothing is sent",
        explaining.explain,
        {200: None},
        ("not-found", "store"),
        body=models.ExplainBody,
    ),
    Operation(
        "POST",
        "/api/v1/reload",
        "reload",
        "Read the configuration file again, as SIGHUP does",
        reloading.reload,
        {200: models.Reloaded},
        ("not-reloaded", "store"),
    ),
)


def application(gateway: "GatewayApp", access: Callable[[], Access], counters: Counter[str], log: Any) -> ASGIApp:
    """The API of a gateway."""

    async def tell(request: Request) -> Response:
        _query(models.NoQuery, request)
        return JSONResponse(document(OPERATIONS, secured=bool(access().tokens)))

    routes = [_route(gateway, path, [one for one in OPERATIONS if one.path == path]) for path in _paths()]
    return Guard(Router([*routes, Route(DOCUMENT, tell)], redirect_slashes=False), access, counters, log)


def _paths() -> Iterable[str]:
    return dict.fromkeys(operation.path for operation in OPERATIONS)


def _route(gateway: "GatewayApp", path: str, operations: list[Operation]) -> Route:
    by_method = {operation.method: operation for operation in operations}

    async def handle(request: Request) -> Response:
        operation = by_method["GET" if request.method == "HEAD" else request.method]
        query, body = _query(operation.query, request), await _body(operation.body, request)
        call = Call(gateway, request.scope["actor"], request.path_params, query, body)
        return _response(await operation.perform(call))

    return Route(path.replace("}", ":path}"), handle, methods=list(by_method))


def _response(answer: Answer | Response) -> Response:
    if isinstance(answer, Response):
        return answer
    headers = {"Cache-Control": "no-store", **answer.headers}
    if isinstance(answer.body, BaseModel):
        return Response(answer.body.model_dump_json(), answer.status, headers, "application/json")
    return JSONResponse(answer.body, answer.status, headers)


def _query(shape: type[BaseModel], request: Request) -> BaseModel:
    pairs = request.query_params.multi_items()
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _invalid([models.Fault(key=name, text="is there twice; give it once") for name in twice])
    return _checked(shape, dict(pairs), "")


async def _body(shape: type[BaseModel] | None, request: Request) -> BaseModel | None:
    if shape is None:
        return None
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem("media-type", f'the body is "{media_type}"; send it with Content-Type: application/json')
    return _checked(shape, None, await request.body())


def _checked(shape: type[BaseModel], values: Any, text: str | bytes) -> BaseModel:
    try:
        return shape.model_validate(values) if values is not None else shape.model_validate_json(text)
    except ValidationError as error:
        faults = error.errors(include_url=False)
    if any(fault["type"] == "json_invalid" for fault in faults):
        raise Problem("bad-request", f"the body is no JSON: {faults[0]['msg']}")
    raise _invalid(
        [models.Fault(key=".".join(map(str, fault["loc"])), text=describe(fault, shape)) for fault in faults]
    )


def _invalid(faults: list[models.Fault]) -> Problem:
    detail = "; ".join(f"{fault.key}: {fault.text}" if fault.key else fault.text for fault in faults)
    return Problem("invalid", detail[:1000], faults)

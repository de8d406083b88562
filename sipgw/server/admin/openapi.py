"""The OpenAPI document, made from the operations themselves."""

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from sipgw import __version__
from sipgw.server.admin.guard import MAX_BODY, OPEN
from sipgw.server.admin.models import ProblemBody
from sipgw.server.admin.operation import Operation
from sipgw.server.admin.problems import TITLES

_TEMPLATE = "#/components/schemas/{model}"
_PATH_PARAMETER = re.compile(r"\{(\w+)\}")


def document(operations: Iterable[Operation], secured: bool = True) -> dict[str, Any]:
    """OpenAPI 3.1. `secured` tells that a token is needed."""
    operations = list(operations)
    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, secured)
    schemes = {"token": {"type": "http", "scheme": "bearer", "description": "From the file admin.token_file."}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "sipgw",
            "version": __version__,
            "description": "Administration of a gateway. Times are seconds since 1970.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {"schemas": _schemas(operations), **({"securitySchemes": schemes} if secured else {})},
    }


def _schemas(operations: list[Operation]) -> dict[str, Any]:
    shapes: dict[type[BaseModel], None] = {ProblemBody: None}
    for operation in operations:
        found = [*operation.answers.values(), operation.body]
        shapes |= dict.fromkeys(shape for shape in found if shape is not None)
    _, schema = models_json_schema([(shape, "validation") for shape in shapes], ref_template=_TEMPLATE)
    definitions: dict[str, Any] = schema["$defs"]
    return definitions


def _operation(operation: Operation, secured: bool) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [*_path_parameters(operation), *_query_parameters(operation)],
        "responses": _responses(operation, secured),
    }
    if operation.body is not None:
        content = {"application/json": {"schema": _reference(operation.body)}}
        described["requestBody"] = {"required": True, "content": content}
    if secured:
        described["security"] = [{"token": []}] if operation.path not in OPEN else [{}, {"token": []}]
    return described


def _reference(shape: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _TEMPLATE.format(model=shape.__name__)}


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PATH_PARAMETER.findall(operation.path)
    ]


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    properties = operation.query.model_json_schema().get("properties", {})
    return [
        {"name": name, "in": "query", "required": False, "schema": _without_null(schema)}
        for name, schema in properties.items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that is not there is left out; none can be null."""
    kept = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
    return kept[0] if kept else {key: value for key, value in schema.items() if key != "title"}


def _responses(operation: Operation, secured: bool) -> dict[str, Any]:
    responses = {str(status): _answer(operation, status, shape) for status, shape in operation.answers.items()}
    for status, titles in sorted(_titles(operation, secured).items()):
        content = {"application/problem+json": {"schema": _reference(ProblemBody)}}
        if str(status) not in responses:
            responses[str(status)] = {"description": "; ".join(titles), "content": content}
        else:
            responses[str(status)]["content"] |= content
    return responses


def _answer(operation: Operation, status: int, shape: type[BaseModel] | None) -> dict[str, Any]:
    media_type = operation.media_type or "application/json"
    schema = _reference(shape) if shape is not None else {"type": "string" if operation.media_type else "object"}
    described: dict[str, Any] = {
        "description": "Done" if status < 300 else "Not ready",
        "content": {media_type: {"schema": schema}},
    }
    if status == 201:
        described["headers"] = {"Location": {"schema": {"type": "string"}, "required": True}}
    return described


def _titles(operation: Operation, secured: bool) -> dict[int, list[str]]:
    """What may go wrong, by status: with this operation, with its values, with every request."""
    kinds = ["bad-request", "cross-site", "not-found", "wrong-host", "invalid", "internal", "timeout"]
    kinds += ["unauthorized"] if secured and operation.path not in OPEN else []
    kinds += ["too-large", "media-type"] if operation.body is not None else []
    found: dict[int, list[str]] = {}
    for kind in sorted({*kinds, *operation.problems}):
        status, title = TITLES[kind]
        found.setdefault(status, []).append(f"{title} (at most {MAX_BODY} bytes)" if kind == "too-large" else title)
    return found

"""The API against its own OpenAPI document: requests that it allows, and requests that it does not, made up by
schemathesis."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from sipgw.server.admin.openapi import document
from sipgw.server.admin.routes import OPERATIONS
from tests.e2e.admin_gateway import TOKEN, Gateway, running

schema = schemathesis.openapi.from_dict(document(OPERATIONS))
# What a schema allows may still be refused: an address of another domain, a pool that there is not.
NOT_PROMISED: list[Any] = [positive_data_acceptance]
OFTEN = settings(max_examples=40, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("gateway"), token=True) as found:
        yield found


@schema.parametrize()
@OFTEN
def test_every_operation_keeps_to_the_document(case: schemathesis.Case[Any], gateway: Gateway) -> None:
    assume(not any(value in ([], {}) for value in (case.query or {}).values()))  # it would not be there on the wire
    excluded = NOT_PROMISED + ([not_a_server_error] if case.path == "/readyz" else [])  # 503 is an answer there
    headers = {"Authorization": f"Bearer {TOKEN}"}
    case.call_and_validate(base_url=gateway.url, headers=headers, excluded_checks=excluded)

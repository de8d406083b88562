"""The OpenAPI document: complete, valid, and the one that is in docs/."""

import json
from pathlib import Path

import jsonschema_rs

from sipgw.server.admin.models import ProblemBody
from sipgw.server.admin.openapi import document
from sipgw.server.admin.problems import TITLES
from sipgw.server.admin.routes import OPERATIONS

DOCS = Path(__file__).parents[3] / "docs"


def test_docs_have_it_as_it_is() -> None:
    """python -m tests.server.admin.test_openapi writes it anew."""
    assert json.loads((DOCS / "openapi.json").read_text("utf-8")) == document(OPERATIONS)


def test_its_schemas_are_schemas_and_every_reference_leads_somewhere() -> None:
    found = document(OPERATIONS)
    schemas = found["components"]["schemas"]
    for schema in schemas.values():
        jsonschema_rs.meta.validate(schema)  # of the draft that OpenAPI 3.1 goes by
    text = json.dumps(found)
    assert {name.split('"')[0] for name in text.split("#/components/schemas/")[1:]} == set(schemas)


def test_the_page_names_every_operation_and_every_problem() -> None:
    page = (DOCS / "api.md").read_text("utf-8")
    assert [f"{one.method} {one.path}" for one in OPERATIONS if f"`{one.method} {one.path}`" not in page] == []
    assert [kind for kind in TITLES if f"`{kind}`" not in page] == []


def test_every_operation_has_a_name_of_its_own() -> None:
    assert len({one.name for one in OPERATIONS}) == len({(one.method, one.path) for one in OPERATIONS})


def test_without_a_token_none_is_spoken_of() -> None:
    assert "security" not in json.dumps(document(OPERATIONS, secured=False))


def test_a_problem_is_of_its_shape() -> None:
    schema = document(OPERATIONS)["components"]["schemas"]["ProblemBody"]
    assert set(schema["required"]) == set(ProblemBody.model_fields)


if __name__ == "__main__":
    (DOCS / "openapi.json").write_text(json.dumps(document(OPERATIONS), indent=2) + "\n", "utf-8")

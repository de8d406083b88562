"""`sipgw explain` of users who are not signed in: whom the gateway would know, and what cannot be told from outside."""

from pathlib import Path
from typing import Any

import pytest

from sipgw.config import ConfigError
from sipgw.management.api_client import ApiError
from tests.management.conftest import Run, edit
from tests.management.test_explain import OCSCHAT, Gateway, as_json, explained, gateway, health

__all__ = ["gateway", "health"]

BOB = ("INVITE", "sip:bob@contoso.com")
UNKNOWN = "ms-diagnostics 1003 User does not exist"
THEN = "then it is 480, ms-diagnostics 1007"


def with_users(gw: Path, users: str, schemes: str = '"digest"', source: str = "users.toml") -> None:
    edit(gw, ("[gateway]", f'[auth]\nschemes = [{schemes}]\nusers = "{source}"\n[gateway]'))
    path = gw.parent / "users.toml"
    path.write_text(users)
    path.chmod(0o600)


@pytest.mark.parametrize(
    ("users", "told"),
    [
        ('[[user]]\nuri = "sip:bob@contoso.com"\n', "ms-diagnostics 1007 "),
        ('[[user]]\nuri = "sip:bob@contoso.com"\nenabled = false\n', "ms-diagnostics 4005 "),
        ('[[user]]\nuri = "sip:alice@contoso.com"\n', UNKNOWN),
    ],
)
def test_a_user_with_an_account(sipgw: Run, gw: Path, users: str, told: str) -> None:
    """Whom the gateway tells from a user that there is none of, also before the first sign-in."""
    with_users(gw, users)
    found = explained(sipgw, *BOB, status=1)
    assert found["result"][1].startswith(told)
    assert "unless" not in found


def test_accounts_count_for_nothing_where_nobody_signs_in(sipgw: Run, gw: Path) -> None:
    with_users(gw, '[[user]]\nuri = "sip:bob@contoso.com"\n', schemes="")
    assert explained(sipgw, *BOB, status=1)["result"][1] == UNKNOWN


def test_a_directory_is_not_asked(sipgw: Run, gw: Path) -> None:
    with_users(gw, "", source="ldap://127.0.0.1:9")
    edit(gw, ("[gateway]", '[directory]\nbase = "dc=contoso"\n[gateway]'))
    found = explained(sipgw, *BOB, status=1)
    assert found["unless"] == [f"ldap://127.0.0.1:9, which is not asked here, has the user: {THEN}"]


def test_users_that_cannot_be_read(sipgw: Run, gw: Path) -> None:
    with_users(gw, "[[user]]\n")
    (unless,) = explained(sipgw, *BOB, status=1)["unless"]
    assert unless.startswith(f"the file of users has the user, which cannot be seen ({gw.parent / 'users.toml'}:")
    assert "unless" not in explained(sipgw, "INVITE", OCSCHAT), "no affair of others"


def test_who_has_signed_out_is_known_to_the_gateway_alone(sipgw: Run, gateway: Gateway) -> None:
    assert "unless" not in explained(sipgw, *BOB, status=1), "there is none that could know"
    gateway()
    found = explained(sipgw, *BOB, status=1)
    assert found["result"][1] == UNKNOWN
    assert found["unless"] == [f"the user has signed out since the gateway was started, which it alone knows: {THEN}"]
    assert as_json(sipgw, *BOB)["decision"]["unless"] == found["unless"][0]
    for uri in ("sip:x@fabrikam.com", "sip:contoso.com", "sip:x@contoso.com;gr=urn:uuid:1"):
        assert "unless" not in explained(sipgw, "INVITE", uri, status=1)


@pytest.mark.parametrize("told", [{}, {"decision": {"kind": "forwarded"}}, {"decision": {"diagnostics": 1005}}])
def test_a_gateway_that_goes_by_something_else(
    sipgw: Run, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, told: dict[str, Any]
) -> None:
    class Other:
        def explain(self, *_: str) -> dict[str, Any]:
            return told

    gateway()
    monkeypatch.setattr("sipgw.management.explain.running_gateway", lambda config: Other())
    found = explained(sipgw, *BOB, status=1)
    assert found["result"][1] == UNKNOWN and "unless" in found


@pytest.mark.parametrize("error", [ApiError("it turns us away"), ConfigError(["tokens: holds no token"])])
def test_a_gateway_that_cannot_be_asked(
    sipgw: Run, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def ask(config: object) -> None:
        raise error

    gateway()
    monkeypatch.setattr("sipgw.management.explain.running_gateway", ask)
    assert "unless" in explained(sipgw, *BOB, status=1)

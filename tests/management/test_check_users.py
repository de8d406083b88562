"""`sipgw check` on sign-in: who could, and what would keep them out."""

from pathlib import Path

import pytest

from sipgw.auth.accounts import Account
from sipgw.server.directory_entries import Found
from tests.management.conftest import Run, edit

NT, HA1 = f'nt_hash = "{"a" * 32}"', f'ha1 = {{ SHA-256 = "{"b" * 64}", SHA-512-256 = "{"c" * 64}" }}'


def user(name: str, *more: str) -> str:
    return "\n".join(["[[user]]", f'uri = "sip:{name}@contoso.com"', *more, ""])


def findings(sipgw: Run, gw: Path, schemes: str, users: str | None) -> list[str]:
    """The lines on users and schemes; `{file}` is the file of users. The place of the key at fault is left out."""
    edit(gw, ("[gateway]", f"[auth]\nschemes = [{schemes}]\n[gateway]"))
    path = gw.parent / "users.toml"
    if users is not None:
        path.write_text(f'realm = "contoso.com"\n{users}', "utf-8")
        path.chmod(0o600)
    lines = [" ".join(line.split()) for line in sipgw("check").out.splitlines()]
    return [line.replace(str(path), "{file}").removesuffix(f" ({gw}:2)") for line in lines if " auth" in line]


def test_all_can_sign_in(sipgw: Run, gw: Path) -> None:
    users = user("alice", NT, HA1) + user("bob", NT, HA1) + user("carol", "enabled = false")
    assert findings(sipgw, gw, '"ntlm", "digest"', users) == ["ok auth.users: {file}: 2 users, 1 disabled"]


@pytest.mark.parametrize(
    ("scheme", "has", "lacks"), [("ntlm", NT, "nt_hash"), ("digest", HA1, "ha1 for SHA-256, SHA-512-256")]
)
def test_some_or_all_have_nothing_to_check_against(sipgw: Run, gw: Path, scheme: str, has: str, lacks: str) -> None:
    some = findings(sipgw, gw, f'"{scheme}"', user("alice", has) + user("bob"))
    text = f"auth.users: {scheme}: 1 users have no {lacks} and cannot sign in by it:"
    assert some == ["ok auth.users: {file}: 2 users", f"note {text} sip:bob@contoso.com"]


def test_nobody_can_sign_in(sipgw: Run, gw: Path) -> None:
    users = "".join(user(f"u{number}") for number in range(7))
    found = findings(sipgw, gw, '"ntlm"', users)
    named = " ".join(f"sip:u{number}@contoso.com" for number in range(5))
    text = "FAIL auth.users: ntlm: 7 users have no nt_hash and cannot sign in by it:"
    assert found == ["ok auth.users: {file}: 7 users", f"{text} {named} ..."]


def test_a_password_in_clear_serves_every_scheme(sipgw: Run, gw: Path) -> None:
    found = findings(sipgw, gw, '"ntlm", "digest"', user("alice", 'password = "x"'))
    assert found == ["ok auth.users: {file}: 1 users"]


def test_no_file(sipgw: Run, gw: Path) -> None:
    text = "No such file or directory; make it with `sipgw user add`, or name another file at auth.users"
    assert findings(sipgw, gw, '"ntlm"', None) == ["FAIL auth.users: {file}: " + text]


def test_no_enabled_user(sipgw: Run, gw: Path) -> None:
    found = findings(sipgw, gw, '"ntlm"', user("alice", NT, "enabled = false"))
    assert found == ["FAIL auth.users: {file} has no enabled user, so nobody can sign in"]


def test_a_file_that_others_can_read(sipgw: Run, gw: Path) -> None:
    findings(sipgw, gw, '"ntlm"', user("alice", NT))
    (gw.parent / "users.toml").chmod(0o644)
    assert "can be read by others; whoever reads an NT hash can sign in with it: chmod 600" in sipgw("check").out


def test_mistakes_in_the_file(sipgw: Run, gw: Path) -> None:
    found = findings(sipgw, gw, '"ntlm"', user("alice", "nt_hash = 7") + user("bob", "x = 1"))
    assert [line.split(": ")[0] for line in found] == ["FAIL auth.users", "FAIL auth.users"]


def test_names_that_several_users_have(sipgw: Run, gw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts = [Account(f"sip:{name}@contoso.com", (name, "twice", "Thrice")) for name in ("alice", "bob")]
    monkeypatch.setattr("sipgw.management.user_probes.source_of", lambda config: None)
    monkeypatch.setattr("sipgw.management.user_probes.read_directory", lambda source: Found(accounts))
    edit(
        gw,
        (
            "[gateway]",
            '[auth]\nschemes = ["ntlm"]\nusers = "ldap://127.0.0.1:1"\n[directory]\nbase = "dc=x"\n[gateway]',
        ),
    )
    told = "2 names belong to several users, and nobody signs in by them: thrice twice"
    assert told in sipgw("check").out
    accounts.pop()
    assert "belong to several" not in sipgw("check").out


def test_a_directory_that_is_away(sipgw: Run, gw: Path) -> None:
    edit(
        gw,
        (
            "[gateway]",
            '[auth]\nschemes = ["ntlm"]\nusers = "ldap://127.0.0.1:1"\n[directory]\nbase = "dc=x"\n[gateway]',
        ),
    )
    (line,) = [line for line in sipgw("check").out.splitlines() if "auth.users" in line]
    assert line.startswith("FAIL") and "ldap://127.0.0.1:1" in line

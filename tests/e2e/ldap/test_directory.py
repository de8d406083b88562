"""Users in a real directory: read page by page, with a password, over TLS, and kept while it is away."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import trustme

from sipgw.auth.accounts import Account
from sipgw.auth.password import nt_hash
from sipgw.observability.log import get_logger
from sipgw.server.directory import Directory, Keeping
from sipgw.server.directory_entries import EntryRules
from sipgw.server.directory_search import DirectoryError, Source, read_directory
from tests.e2e.ldap.slapd import ADMIN, BASE, SECRET, person, slapd

pytestmark = [
    pytest.mark.peer("slapd", "slapd"),
    pytest.mark.skipif(find_spec("bonsai") is None, reason="bonsai is not built; Debian package: libldap-dev"),
]
RULES = EntryRules(("contoso.com",), "CORP", "sambaNTPassword")
FILTER = "(&(objectClass=person)(msRTCSIP-PrimaryUserAddress=sip:*))"


def user(logon: str, **more: str | list[str]) -> str:
    values: dict[str, str | list[str]] = {
        "msRTCSIP_PrimaryUserAddress": f"sip:{logon}@contoso.com",
        "msRTCSIP_UserEnabled": "TRUE",
        "userPrincipalName": f"{logon}@corp.contoso.com",
    }
    return person(logon, **values, **more)


ALICE = user(
    "Alice",
    proxyAddresses=["SMTP:alice@contoso.com", "sip:al@contoso.com"],
    sambaNTPassword=nt_hash("pw").hex().upper(),
)


def source(folder: Path, port: int) -> Source:
    secret = folder / "secret"
    secret.write_text(f"{SECRET}\n")
    return Source(f"ldap://127.0.0.1:{port}", BASE, FILTER, ADMIN, secret, None, 1000, RULES)


async def until(condition: Callable[[], object]) -> None:
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.05)
    pytest.fail("it does not come about")


def test_users_are_read(tmp_path: Path) -> None:
    nobody = person("nobody", mail="nobody@contoso.com")
    off = user("off").replace("TRUE", "FALSE")
    gone = user("gone", userAccountControl="514")
    foreign = user("foreign").replace("foreign@contoso.com", "foreign@elsewhere.com")
    with slapd(tmp_path / "ldap", ALICE + nobody + off + gone + foreign) as server:
        found = read_directory(source(tmp_path, server.port))
    assert found.passed_over == ["foreign"]
    assert {account.uri: account.enabled for account in found.accounts} == {
        "sip:alice@contoso.com": True,
        "sip:off@contoso.com": False,
        "sip:gone@contoso.com": False,
    }
    names = ("CORP\\Alice", "Alice@corp.contoso.com", "Alice@contoso.com", "sip:al@contoso.com")  # as dc=contoso,dc=com
    assert found.accounts[0] == Account("sip:alice@contoso.com", names, nt_hash("pw"), {}, True)


def test_a_comma_in_a_name_begins_no_domain(tmp_path: Path) -> None:
    mallory = user("mallory").replace("dn: cn=mallory", "dn: cn=x\\,dc=evil")
    with slapd(tmp_path / "ldap", mallory) as server:
        (found,) = read_directory(source(tmp_path, server.port)).accounts
    assert found.names == ("CORP\\mallory", "mallory@corp.contoso.com", "mallory@contoso.com")


def test_an_entry_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with slapd(tmp_path / "ldap", ALICE + user("c#")) as server:
        where = source(tmp_path, server.port)
        with pytest.raises(DirectoryError, match=r"entry cn=c#,dc=contoso,dc=com .*leave it out by directory\.filter"):
            read_directory(where)
        better = replace(where, filter=f"(&{FILTER}(!(cn=c#)))")
        assert [account.uri for account in read_directory(better).accounts] == ["sip:alice@contoso.com"]


def test_more_than_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server gives three at once and no more, however many there are."""
    monkeypatch.setattr("sipgw.server.directory_search.PAGE", 3)
    with slapd(tmp_path / "ldap", "".join(user(f"u{at}") for at in range(20))) as server:
        where = source(tmp_path, server.port)
        assert len(read_directory(where).accounts) == 20
        with pytest.raises(DirectoryError, match=r"more than directory.max_users = 19 users match the filter"):
            read_directory(replace(where, max_users=19))


def test_what_is_wrong_is_said_and_not_the_password(tmp_path: Path) -> None:
    with slapd(tmp_path / "ldap", ALICE) as server:
        where = source(tmp_path, server.port)
        wrong = tmp_path / "wrong"
        wrong.write_text("wrong secret")
        latin = tmp_path / "latin"
        latin.write_bytes(b"secret \xfc")
        for change, said in (
            ({"password_file": wrong}, "nvalid"),
            ({"password_file": tmp_path / "none"}, "No such file"),
            ({"password_file": latin}, "latin: not UTF-8"),
            ({"base": "dc=elsewhere"}, "o such"),
            ({"filter": "(("}, "filter"),
            ({"url": "ldap://127.0.0.1:1"}, "an't contact"),
        ):
            with pytest.raises(DirectoryError, match=said) as error:
                read_directory(replace(where, **change))
            assert "secret" not in str(error.value)


def certificates(folder: Path, name: str) -> dict[str, Path]:
    authority = trustme.CA()
    issued = authority.issue_cert(name)
    files = {key: folder / f"{key}.pem" for key in ("certificate", "private_key", "ca")}
    issued.cert_chain_pems[0].write_to_path(files["certificate"])
    issued.private_key_pem.write_to_path(files["private_key"])
    authority.cert_pem.write_to_path(files["ca"])
    return files


def test_over_tls(tmp_path: Path) -> None:
    files = certificates(tmp_path, "127.0.0.1")
    with slapd(tmp_path / "ldap", ALICE, files) as server:
        where = source(tmp_path, server.port)
        assert len(read_directory(replace(where, ca=files["ca"])).accounts) == 1
        other = tmp_path / "other.pem"
        trustme.CA().cert_pem.write_to_path(other)
        with pytest.raises(DirectoryError):
            read_directory(replace(where, ca=other))


async def test_kept_while_it_is_away(tmp_path: Path) -> None:
    counters = Counter[str]()
    with slapd(tmp_path / "ldap", ALICE) as server:
        where = source(tmp_path, server.port)
        directory = Directory(lambda: read_directory(where), Keeping(0.2, 3600.0), get_logger(), counters)
        await directory.start()
        try:
            assert directory.find("corp\\alice") is not None
            server.stop()
            await until(lambda: counters["directory_failed"] >= 2)
            assert directory.find("alice") is not None
            server.clear()
            server.add(user("bob"))
            server.start()
            await until(lambda: directory.find("bob"))
            assert directory.find("alice") is None
        finally:
            await directory.close()


async def test_away_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sipgw.server.directory.FIRST_RETRY", 0.1)
    with slapd(tmp_path / "ldap", ALICE) as server:
        server.stop()
        where = source(tmp_path, server.port)
        directory = Directory(lambda: read_directory(where), Keeping(300.0, 3600.0), get_logger(), Counter())
        await directory.start()
        try:
            assert directory.find("alice") is None
            server.start()
            await until(lambda: directory.find("alice"))
        finally:
            await directory.close()

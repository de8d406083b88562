"""Accounts: which name finds which, and what is kept of a password."""

import pytest

from sipgw.auth.accounts import Account, AccountTable, bare_name, key_of, split_name
from sipgw.auth.password import digest, ha1_of, nt_hash

ALICE = Account("sip:alice@contoso.com", ("CORP\\alice", "alice@corp.contoso.com"))
BOB = Account("sip:bob@contoso.com", ("bob",))


@pytest.mark.parametrize(
    "name",
    [
        "CORP\\alice",
        "corp\\ALICE",
        "alice@corp.contoso.com",
        "Alice@Corp.Contoso.com",
        "alice",
        "ALICE",
        "sip:alice@contoso.com",
        "SIP:Alice@contoso.com",
        "alice@contoso.com",
    ],
)
def test_found_by_every_name_in_any_case(name: str) -> None:
    assert AccountTable([ALICE, BOB]).find(name) is ALICE


@pytest.mark.parametrize(
    "name", ["", "carol", "OTHER\\alice", "alice@other.com", "corp", "sip:", "sip:alice", "\\", "@"]
)
def test_not_found_by_any_other(name: str) -> None:
    assert AccountTable([ALICE, BOB]).find(name) is None


def test_what_follows_from_two_accounts_finds_neither() -> None:
    other = Account("sip:alice2@contoso.com", ("LAB\\alice",))
    table = AccountTable([ALICE, other])
    assert table.find("alice") is None
    assert table.find("LAB\\alice") is other


def test_what_is_given_outright_goes_first() -> None:
    plain = Account("sip:a.l@contoso.com", ("alice", "alice@contoso.com"))
    for order in ([ALICE, plain], [plain, ALICE]):
        assert AccountTable(order).find("alice") is plain
        assert AccountTable(order).find("alice@contoso.com") is plain
        assert AccountTable(order).find("sip:alice@contoso.com") is ALICE


def test_names_in_two_spellings_are_one_account() -> None:
    table = AccountTable([ALICE, BOB])
    assert len(table) == 2


@pytest.mark.parametrize(
    ("name", "bare", "pair"),
    [
        ("alice", "alice", ("", "alice")),
        ("CORP\\alice", "alice", ("CORP", "alice")),
        ("alice@corp.com", "alice", ("", "alice@corp.com")),
    ],
)
def test_parts_of_a_name(name: str, bare: str, pair: tuple[str, str]) -> None:
    assert bare_name(name) == bare
    assert split_name(name) == pair


def test_nothing_secret_in_the_representation() -> None:
    account = Account("sip:a@b.com", ("a",), b"\xaa" * 16, {"MD5": "beef" * 8})
    assert "beef" not in repr(account) and "aa" not in repr(account).replace("a@b", "")


def test_nt_hash_of_the_published_vector() -> None:
    """[MS-NLMP] §4.2.2.1.2."""
    assert nt_hash("Password").hex() == "a4f49c406510bdcab6824ee7c30fd852"


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [  # FIPS 180-4 and RFC 1321, of "abc"
        ("MD5", "900150983cd24fb0d6963f7d28e17f72"),
        ("SHA-256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("SHA-512-256", "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"),
    ],
)
def test_digests(algorithm: str, expected: str) -> None:
    assert digest(algorithm, b"abc") == expected


def test_ha1_of_the_example() -> None:
    """RFC 7616 §3.9.1 has the parts; RFC 2617 §3.5 gives this one."""
    assert ha1_of("Mufasa", "testrealm@host.com", "Circle Of Life", ["MD5"]) == {
        "MD5": "939e7578ed9e3c518a452acee763bce9"
    }


def test_spellings_of_a_name_count_together_whether_somebody_has_it_or_not() -> None:
    """Else the lock-out would tell by a few tries which accounts there are."""
    spellings = ("Zed", "CORP\\zed", "zed@corp.contoso.com", "sip:zed@contoso.com", "SIP:ZED@x", "\\zed", "A\\zed@b")
    assert {key_of(name) for name in spellings} == {"zed"}

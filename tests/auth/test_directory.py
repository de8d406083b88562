"""Users in a directory, without one: entries to accounts, and what is kept for how long."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from sipgw.auth.accounts import Account, AccountTable
from sipgw.observability.log import get_logger
from sipgw.server import directory as module
from sipgw.server.directory import Directory, Keeping
from sipgw.server.directory_entries import Entry, EntryRules, Found, domain_of, read_entries, read_entry
from sipgw.server.directory_search import DirectoryError

RULES = EntryRules(("contoso.com",))
FULL: Entry = {
    "msRTCSIP-PrimaryUserAddress": ["SIP:Alice@Contoso.com"],
    "msRTCSIP-UserEnabled": [True],
    "sAMAccountName": ["alice"],
    "userPrincipalName": ["alice@corp.contoso.com"],
    "proxyAddresses": ["SMTP:alice@contoso.com", "SIP:alice@contoso.com", "sip:al@contoso.com"],
    "userAccountControl": [512],
}


def test_an_entry() -> None:
    names = ("alice", "alice@corp.contoso.com", "SIP:alice@contoso.com", "sip:al@contoso.com")
    assert read_entry(FULL, RULES) == Account("sip:alice@contoso.com", names)
    assert read_entry(FULL, EntryRules(("contoso.com",), "CORP")) == Account(
        "sip:alice@contoso.com", ("CORP\\alice", *names[1:])
    )


CORP = ["CN=Alice,OU=Sales,DC=corp,DC=contoso,DC=com"]
MADE = ("alice", "alice@contoso.com", "alice@corp.contoso.com")  # logon name, explicit and implicit principal name


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"distinguishedName": CORP}, MADE),
        ({"entryDN": CORP}, MADE),
        ({"distinguishedName": CORP, "userPrincipalName": []}, (MADE[0], MADE[2])),
        ({"distinguishedName": CORP, "userPrincipalName": [MADE[2]]}, (MADE[0], MADE[2])),
        ({"distinguishedName": CORP, "userPrincipalName": ["al"]}, ("alice", "al@corp.contoso.com", MADE[2])),
        ({"distinguishedName": CORP, "sAMAccountName": []}, (MADE[1],)),
        ({"distinguishedName": ["CN=Alice,O=Contoso"]}, MADE[:2]),
        ({}, MADE[:2]),
    ],
)
def test_principal_names(change: Entry, names: tuple[str, ...]) -> None:
    """A ticket is for the implicit one, also where the explicit one is the user's SIP address."""
    entry = {**FULL, "userPrincipalName": [MADE[1]], "proxyAddresses": [], **change}
    account = read_entry(entry, RULES)
    assert account is not None and account.names == names


@pytest.mark.parametrize(
    ("dn", "domain"),
    [
        ("CN=Alice,OU=Sales,DC=corp,DC=contoso,DC=com", "corp.contoso.com"),
        ("cn=alice,dc=Contoso,dc=com", "Contoso.com"),
        ("DC=contoso,DC=com", "contoso.com"),
        ("CN=a\\,DC=evil,DC=com", "com"),
        ("CN=a\\2CDC=evil,DC=com", "com"),
        ("CN=a\\5C2CDC=evil,DC=com", "com"),
        ("CN=a\\\\,DC=contoso,DC=com", "contoso.com"),
        ("DC=contoso,OU=x,DC=com", "com"),
        ("CN=a,DC=not a label,DC=com", ""),
        ("CN=a,DC=corp+CN=b,DC=com", ""),
        ("CN=a,DC=,DC=com", ""),
        ("CN=a,O=Contoso", ""),
        ("\\", ""),
        ("", ""),
    ],
)
def test_the_domain_of_an_entry(dn: str, domain: str) -> None:
    assert domain_of(dn) == domain


def owners(name: str, *entries: Entry) -> set[str]:
    """Whose a name is, in each order of the entries."""
    tables = [AccountTable(read_entries(order, RULES).accounts) for order in (entries, entries[::-1])]
    return {account.uri if account else "nobody" for account in (table.find(name) for table in tables)}


def entry_of(logon: str, principal: str, dn: str = "DC=corp,DC=contoso,DC=com") -> Entry:
    return {
        "msRTCSIP-PrimaryUserAddress": [f"sip:{logon}.sip@contoso.com"],
        "msRTCSIP-UserEnabled": ["TRUE"],
        "sAMAccountName": [logon],
        "userPrincipalName": [principal] if principal else [],
        "distinguishedName": [f"CN={logon},{dn}"],
    }


@pytest.mark.parametrize("claim", ["alice@corp.contoso.com", "ALICE@Corp.Contoso.com", "alice"])
def test_nobody_gets_the_principal_of_another(claim: str) -> None:
    """Who may write his own userPrincipalName gets tickets by it; they are then good for nobody."""
    alice, mallory = entry_of("alice", "alice@contoso.com"), entry_of("mallory", claim)
    assert owners("alice@CORP.CONTOSO.COM", alice) == {"sip:alice.sip@contoso.com"}
    assert owners("alice@CORP.CONTOSO.COM", alice, mallory) == {"nobody"}
    assert owners("alice@contoso.com", alice, mallory) == {"sip:alice.sip@contoso.com"}
    assert owners("mallory@CORP.CONTOSO.COM", alice, mallory) == {"sip:mallory.sip@contoso.com"}


def test_the_same_logon_name_in_two_domains() -> None:
    here = entry_of("alice", "")
    there = {**entry_of("alice", "", "DC=lab,DC=contoso,DC=com"), "msRTCSIP-PrimaryUserAddress": ["sip:l@contoso.com"]}
    assert owners("alice@corp.contoso.com", here, there) == {"sip:alice.sip@contoso.com"}
    assert owners("alice@lab.contoso.com", here, there) == {"sip:l@contoso.com"}
    assert owners("alice", here, there) == {"nobody"}


@pytest.mark.parametrize(
    ("change", "enabled"),
    [
        ({"msRTCSIP-UserEnabled": ["TRUE"]}, True),
        ({"msRTCSIP-UserEnabled": [b"TRUE"]}, True),
        ({"msRTCSIP-UserEnabled": [False]}, False),
        ({"msRTCSIP-UserEnabled": []}, False),
        ({"userAccountControl": ["514"]}, False),
        ({"userAccountControl": ["66048"]}, True),
        ({"userAccountControl": []}, True),
        ({"userAccountControl": ["?"]}, True),
    ],
)
def test_enabled(change: Entry, enabled: bool) -> None:
    account = read_entry({**FULL, **change}, RULES)
    assert account is not None and account.enabled is enabled


@pytest.mark.parametrize("value", [[], [""], ["alice"], ["tel:+1"], ["sip:alice@elsewhere.com"], ["sip:contoso.com"]])
def test_without_an_address_of_ours(value: list[str]) -> None:
    entry = {**FULL, "msRTCSIP-PrimaryUserAddress": value}
    assert read_entries([entry, FULL], RULES).passed_over == ["alice"]


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (["00112233445566778899AABBCCDDEEFF"], bytes.fromhex("00112233445566778899aabbccddeeff")),
        ([b"00112233445566778899AABBCCDDEEFF"], bytes.fromhex("00112233445566778899aabbccddeeff")),
        ([bytes(range(16))], bytes(range(16))),
        (["x" * 32], b""),
        ([], b""),
    ],
)
def test_nt_hashes(value: list[str | bytes], read: bytes) -> None:
    rules = EntryRules(("contoso.com",), "", "sambaNTPassword")
    entry = {**FULL, "sambaNTPassword": value}
    account, other = read_entry(entry, rules), read_entry(entry, RULES)
    assert account is not None and account.nt_hash == read
    assert other is not None and other.nt_hash == b""
    assert "sambaNTPassword" in rules.attributes and "sambaNTPassword" not in RULES.attributes


def test_aliases_are_bounded() -> None:
    entry = {**FULL, "proxyAddresses": [f"sip:a{at}@contoso.com" for at in range(100)]}
    account = read_entry(entry, RULES)
    assert account is not None and len(account.names) == 2 + 32


class Away:
    """A directory that can be away, and the time of day as tests say."""

    def __init__(self) -> None:
        self.there = True
        self.error: Exception = DirectoryError("ldap://x: away")
        self.entries: list[Entry] = [FULL]
        self.counters: Counter[str] = Counter()

    def read(self) -> Found:
        if not self.there:
            raise self.error
        return read_entries(self.entries, RULES)

    def directory(self, refresh: float = 300.0, keep: float = 3600.0) -> Directory:
        return Directory(self.read, Keeping(refresh, keep), get_logger(), self.counters)


async def test_kept_for_a_time_and_then_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    away = Away()
    directory = away.directory()
    clock = [1000.0]
    monkeypatch.setattr(module, "clock", lambda: clock[0])
    assert await directory.refresh()
    away.there = False
    with capture_logs() as logs:
        for now, known in ((2000.0, True), (4600.0, True), (4601.0, False), (9000.0, False)):
            clock[0] = now
            assert not await directory.refresh()
            assert (directory.find("alice") is not None) is known
    assert [line["event"] for line in logs] == [
        "directory away",
        "directory away for too long: its users are forgotten",
    ]
    away.there = True
    assert await directory.refresh()
    assert directory.find("alice") is not None
    assert away.counters == {"directory_read": 2, "directory_failed": 4}


async def test_a_reading_that_began_earlier_does_not_undo_a_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when it is read at once, before an endpoint is refused, while a reading is under way anyway."""
    away = Away()
    directory = away.directory()
    clock = [1000.0]
    monkeypatch.setattr(module, "clock", lambda: clock[0])
    held, going = threading.Event(), threading.Event()

    def read() -> Found:
        found = away.read()
        if not going.is_set():
            going.set()
            held.wait(30.0)
        return found

    monkeypatch.setattr(directory, "_read", read)
    early = asyncio.create_task(directory.refresh())
    await asyncio.to_thread(going.wait)
    clock[0], away.entries = 1001.0, []
    assert await directory.refresh()
    held.set()
    assert await early
    assert directory.find("alice") is None


async def test_what_is_not_usable_is_told_by_name() -> None:
    away = Away()
    other = {**FULL, "msRTCSIP-PrimaryUserAddress": ["sip:alice2@contoso.com"]}
    nobody = {**FULL, "msRTCSIP-PrimaryUserAddress": [], "sAMAccountName": ["nobody"]}
    away.entries = [FULL, other, nobody]
    directory = away.directory()
    with capture_logs() as logs:
        await directory.refresh()
    assert directory.find("alice@corp.contoso.com") is None  # which of them?
    assert directory.find("sip:alice@contoso.com") is not None
    assert [(line["reason"], line["names"]) for line in logs if line["log_level"] == "warning"] == [
        ("no SIP address here", "nobody"),
        ("of several users", "alice alice@corp.contoso.com sip:al@contoso.com"),
    ]


async def until(condition: Callable[[], object]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it does not come about")


@pytest.mark.parametrize(
    "error", [ValueError("the secret"), KeyError("secret"), UnicodeDecodeError("a", b"", 0, 1, "")]
)
async def test_nothing_that_goes_wrong_is_the_end_of_reading(error: Exception) -> None:
    away = Away()
    directory = away.directory(refresh=0.01)
    with capture_logs() as logs:
        await directory.start()
        away.there, away.error = False, error
        await until(lambda: away.counters["directory_failed"] > 1)
        away.entries, away.there = [], True
        await until(lambda: directory.find("alice") is None)
        await directory.close()
    (told,) = [line["reason"] for line in logs if line["event"] == "directory away"]
    assert told.startswith(f"{type(error).__name__} at test_directory.py:") and "secret" not in told


async def test_a_reading_that_never_ends_keeps_nobody_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    away = Away()
    directory, clock = away.directory(), [1000.0]
    monkeypatch.setattr(module, "clock", lambda: clock[0])
    assert await directory.refresh()
    clock[0] += 3600.0
    assert directory.find("alice") is not None and len(directory) == 1
    clock[0] += 1.0
    with capture_logs() as logs:
        assert len(directory) == 0 and directory.find("alice") is None
    assert [line["event"] for line in logs] == ["directory away for too long: its users are forgotten"]


async def test_read_again_and_again() -> None:
    away = Away()
    directory = away.directory(refresh=0.01)
    await directory.start()
    try:
        away.entries = []
        await until(lambda: directory.find("alice") is None)
        await until(lambda: away.counters["directory_read"] > 3)
    finally:
        await directory.close()

"""Accounts: who may sign in, under which names, as which SIP URI, and what proves it.

Names are compared without regard to case. An account has the names that its directory gives it, as Windows writes them:
`alice`, `CORP\\alice`, `alice@corp.contoso.com`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Account:
    """One account. `uri` is `sip:user@host` in lower case; `nt_hash` is 16 bytes, b"" when there is none.

    `ha1` has hexadecimal digests H(name:realm:password) by algorithm ("MD5", "SHA-256", "SHA-512-256"), where the name
    is the first of `names`: a digest covers one spelling, so that is the one to use with Digest.
    """

    uri: str
    names: tuple[str, ...]
    nt_hash: bytes = field(default=b"", repr=False)
    ha1: Mapping[str, str] = field(default_factory=dict, repr=False)
    enabled: bool = True


class Accounts(Protocol):
    """Where accounts are found. Never waits: what is found is what is known now."""

    def find(self, name: str) -> Account | None:
        """The account with a name (`alice`, `CORP\\alice`, `alice@corp.contoso.com`) or SIP URI, enabled or not."""
        ...


class AccountTable:
    """Accounts in memory.

    A name that a directory gives outright goes before one that only follows from it: `alice` follows from `CORP\\alice`
    and `alice@corp.contoso.com`, and `alice@contoso.com` from `sip:alice@contoso.com`. An account's own URI goes before
    a name. What belongs to two accounts finds neither, as nobody has said which.
    """

    def __init__(self, accounts: Iterable[Account] = ()) -> None:
        self._accounts = list(accounts)
        self._given: dict[str, Account | None] = {}
        self._following: dict[str, Account | None] = {}
        for account in self._accounts:
            for name in account.names:
                _enter(self._given, name, account)
            for name in (account.uri.partition(":")[2], *map(bare_name, account.names)):
                _enter(self._following, name, account)
        for uri, owners in self._by_uri().items():
            self._given[uri] = owners[0] if len(owners) == 1 else None

    def _by_uri(self) -> dict[str, list[Account]]:
        owners: dict[str, list[Account]] = {}
        for account in self._accounts:
            owners.setdefault(account.uri, []).append(account)
        return owners

    def find(self, name: str) -> Account | None:
        """The account with this name or SIP URI; None without one or with several."""
        key = name.lower()
        return self._given[key] if key in self._given else self._following.get(key)

    def ambiguous(self) -> list[str]:
        """Names and URIs that a directory gives to several accounts."""
        return sorted(name for name, account in self._given.items() if account is None)

    def __len__(self) -> int:
        return len(self._accounts)

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts)


def _enter(names: dict[str, Account | None], name: str, account: Account) -> None:
    key = name.lower()
    if names.setdefault(key, account) is not account:
        names[key] = None


def key_of(name: str) -> str:
    """What tries of a name are counted by. It follows from the name alone, never from whether somebody has it, or a few
    tries would tell which accounts there are."""
    return bare_name(name[4:] if name[:4].lower() == "sip:" else name).lower()


def bare_name(name: str) -> str:
    """`alice` of `CORP\\alice` and of `alice@corp.contoso.com`."""
    return name.rpartition("\\")[2].partition("@")[0]


def split_name(name: str) -> tuple[str, str]:
    """Domain and user as Windows writes them: `CORP\\alice` to ("CORP", "alice"); a UPN to ("", itself)."""
    domain, _, user = name.rpartition("\\")
    return domain, user

"""Accounts: who may sign in, under which names, as which SIP URI, and what proves it.

Names are compared without regard to case. An account has the names that its directory gives it, as Windows writes them:
`alice`, `CORP\\alice`, `alice@corp.contoso.com`.
"""

from collections.abc import Iterable, Mapping
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
    and `alice@corp.contoso.com`, and `alice@contoso.com` from `sip:alice@contoso.com`. What follows from two accounts
    finds neither, as nobody has said which.
    """

    def __init__(self, accounts: Iterable[Account] = ()) -> None:
        self._given: dict[str, Account] = {}
        self._following: dict[str, Account | None] = {}
        for account in accounts:
            self._add(account)

    def _add(self, account: Account) -> None:
        for name in (account.uri, *account.names):
            self._given.setdefault(name.lower(), account)
        for name in (account.uri.partition(":")[2], *map(bare_name, account.names)):
            known = self._following.setdefault(name.lower(), account)
            if known is not account:
                self._following[name.lower()] = None

    def find(self, name: str) -> Account | None:
        """The account with this name or SIP URI; None without one or with several."""
        key = name.lower()
        return self._given.get(key) or self._following.get(key)

    def __len__(self) -> int:
        return len({id(account) for account in self._given.values()})


def key_of(name: str, account: Account | None) -> str:
    """What an account is counted by, whichever of its names was given; the name itself where there is none."""
    return account.uri if account is not None else name.lower()


def bare_name(name: str) -> str:
    """`alice` of `CORP\\alice` and of `alice@corp.contoso.com`."""
    return name.rpartition("\\")[2].partition("@")[0]


def split_name(name: str) -> tuple[str, str]:
    """Domain and user as Windows writes them: `CORP\\alice` to ("CORP", "alice"); a UPN to ("", itself)."""
    domain, _, user = name.rpartition("\\")
    return domain, user

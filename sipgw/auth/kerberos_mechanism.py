"""The server's side of Kerberos for [MS-SIPAE]: one token proves a user; what reads it is brought by the shell.

No password is ever tried here, so nothing that fails counts as a guess.
"""

from collections.abc import Callable
from typing import Protocol

from sipgw.auth.accounts import Account, Accounts
from sipgw.auth.mechanism import Failed, Proven, Session


class Refusal(Exception):
    """A token that proves nobody; the text is for the log. `skewed` says that the clocks are too far apart."""

    def __init__(self, reason: str, skewed: bool = False) -> None:
        super().__init__(reason)
        self.skewed = skewed


class Context(Session, Protocol):
    """A security context that waits for its client's token; a Session from then on."""

    def accept(self, token: bytes) -> tuple[str, bytes, float]:
        """The client's principal (`alice@CORP.CONTOSO.COM`), the token that goes back, b"" for none, and the seconds
        that the ticket is still good for. Raises Refusal."""
        ...


class KerberosMechanism:
    """`fqdn` is the gateway's name; `context` makes what reads one client's token, with the gateway's key."""

    scheme = "Kerberos"

    def __init__(self, accounts: Accounts, fqdn: str, context: Callable[[], Context]) -> None:
        self.targetname = f"sip/{fqdn}"
        self.accounts = accounts
        self.context = context

    def begin(self) -> "KerberosHandshake":
        return KerberosHandshake(self)

    def holds(self, name: str, account: Account) -> bool:
        known = self.accounts.find(name)
        if known is account:
            return account.enabled
        return known is not None and known.uri == account.uri and known.enabled and _is_given(name, known)


class KerberosHandshake:
    """A ticket comes in one token: there is no second turn."""

    def __init__(self, mechanism: KerberosMechanism) -> None:
        self._mechanism = mechanism

    def step(self, token: bytes, now: float) -> Proven | Failed:
        """Take the client's token."""
        if not token:
            return Failed("a Kerberos sign-in without a ticket", guessed=False)
        context = self._mechanism.context()
        try:
            principal, reply, lasts = context.accept(token)
        except Refusal as refusal:
            return Failed(str(refusal), guessed=False, skewed=refusal.skewed)
        account = self._mechanism.accounts.find(principal)
        if account is None or not _is_given(principal, account):
            return Failed("no account has this principal among its names", principal, guessed=False)
        return Proven(principal, account, context, reply, lasts)


def _is_given(principal: str, account: Account) -> bool:
    """Whether a directory has said that this principal is the account's. A realm that ours trusts may be called like a
    SIP domain: `alice@CONTOSO.COM` is somebody else than sip:alice@contoso.com until then."""
    return any(_same(principal, name) for name in account.names if not name.lower().startswith("sip:"))


def _same(one: str, other: str) -> bool:
    """Both ways: the lower case of the Kelvin sign is a common k, and the user with the sign is another."""
    return one.lower() == other.lower() and one.upper() == other.upper()

"""What NTLM and Kerberos have in common as seen by [MS-SIPAE]: tokens go to and fro, and end in keys to sign with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from sipgw.auth.accounts import Account


class Session(Protocol):
    """The keys that a handshake has left on both sides. Neither method raises, or keeps state between calls."""

    def sign(self, data: bytes) -> bytes:
        """The signature of what we send."""
        ...

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Whether the peer has made this signature of this data."""
        ...


@dataclass(frozen=True)
class Continue:
    """The handshake goes on: `token` is for the peer."""

    token: bytes = field(repr=False)


@dataclass(frozen=True)
class Proven:
    """The peer is the user of this account, which may be disabled. `token` is for the peer, b"" for none; `lasts` is
    for how many seconds what it has proved itself with is good, None where that has no end."""

    name: str
    account: Account
    session: Session = field(repr=False)
    token: bytes = field(default=b"", repr=False)
    lasts: float | None = None


@dataclass(frozen=True)
class Failed:
    """No. `name` is who the peer said that it is, as far as that is known; `reason` is for the log; `guessed` says that
    a password may have been tried; `skewed` that the clocks are too far apart."""

    reason: str
    name: str = ""
    guessed: bool = True
    skewed: bool = False


@dataclass(frozen=True)
class Claim:
    """The peer says that it is `name`, which is a name of `uri`, "" where there is no account, and offers proof, which
    has not been looked at: `judge` does. So whoever guesses passwords can be turned away before."""

    name: str
    uri: str
    judge: Callable[[], Proven | Failed] = field(repr=False)


class Handshake(Protocol):
    """One sign-in under way."""

    def step(self, token: bytes, now: float) -> Continue | Claim | Proven | Failed:
        """Take the peer's next token; the first one may be b"". Never raises for what a peer has sent."""
        ...


class Mechanism(Protocol):
    """A way to sign in. `scheme` is "NTLM" or "Kerberos", `targetname` what its challenges name us by."""

    scheme: str
    targetname: str

    def begin(self) -> Handshake:
        """A new handshake."""
        ...

    def holds(self, name: str, account: Account) -> bool:
        """Whether what was once `Proven` would be today: the name is still of the account, which still has what it was
        proved against, and may sign in."""
        ...

"""The client's side of NTLM as [MS-SIPAE] has it: NTLMv2, datagram mode ([MS-NLMP] §3.1.5.2).

There is no NEGOTIATE: the first token is empty, and the flags of the server's CHALLENGE are taken as far as we know
them.
"""

from datetime import UTC, datetime
from random import Random
from struct import error as StructError

from spnego._ntlm_raw.crypto import compute_response_v2, ntowfv2, rc4k
from spnego._ntlm_raw.messages import (
    Authenticate,
    AvId,
    Challenge,
    FileTime,
    NegotiateFlags,
    TargetInfo,
    Version,
)

from sipgw.auth.accounts import split_name
from sipgw.auth.mechanism import Session
from sipgw.auth.ntlm_session import NtlmSession
from sipgw.auth.password import nt_hash
from sipgw.auth.sipae_client import SignInError

_NEEDED = NegotiateFlags.unicode | NegotiateFlags.extended_session_security | NegotiateFlags.sign
_WANTED = (
    _NEEDED
    | NegotiateFlags.request_target
    | NegotiateFlags.datagram
    | NegotiateFlags.ntlm
    | NegotiateFlags.always_sign
    | NegotiateFlags.identity
    | NegotiateFlags.target_info
    | NegotiateFlags.key_128
    | NegotiateFlags.key_exch
    | NegotiateFlags.key_56
)
_MAGIC = b"NTLMSSP\x00"
_UNREADABLE = (ValueError, KeyError, IndexError, OverflowError, StructError)  # what pyspnego raises for garbage
_VERSION = Version(major=6, minor=1, build=7600)  # nobody goes by it ([MS-NLMP] §2.2.2.10)


class NtlmInitiator:
    """One sign-in. `name` is as people write it: `CORP\\alice`, `alice@corp.contoso.com`, `alice`. `wall_offset` added
    to the clock gives the time of day, in seconds since 1970."""

    def __init__(self, name: str, password: str, random: Random, wall_offset: float) -> None:
        self.session: Session | None = None
        self._domain, self._user = split_name(name)
        self._hash = nt_hash(password)
        self._random = random
        self._wall_offset = wall_offset

    def step(self, token: bytes, now: float) -> bytes:
        """The next token for the server; `token` is its last, b"" at the start. Raises SignInError."""
        if not token:
            return b""
        if self.session is not None:
            raise SignInError("the server has gone on with NTLM when it was over")
        challenge, target = _read(token)
        missing = _NEEDED & ~challenge.flags
        if missing:
            raise SignInError(f"the server's NTLM challenge lacks what signing needs (flags {int(missing):#x})")
        return self._authenticate(challenge, target, now)

    def _authenticate(self, challenge: Challenge, target: TargetInfo, now: float) -> bytes:
        """§3.1.5.1.2, §3.3.2. Without a MIC, as there is no NEGOTIATE that somebody could have changed."""
        flags = challenge.flags & _WANTED
        told = target.get(AvId.timestamp)
        time = told or FileTime.from_datetime(datetime.fromtimestamp(now + self._wall_offset, UTC))
        key = ntowfv2(self._user, self._hash, self._domain)
        own = self._random.randbytes(8)
        nt_response, lm_response, key = compute_response_v2(key, challenge.server_challenge, own, time, target)
        sealed = b""
        if flags & NegotiateFlags.key_exch:
            exported = self._random.randbytes(16)
            sealed, key = rc4k(key, exported), exported
        self.session = NtlmSession(key, flags, client=True)
        return Authenticate(
            flags | NegotiateFlags.version,
            bytes(24) if told else lm_response,
            nt_response,
            self._domain,
            self._user,
            encrypted_session_key=sealed,
            version=_VERSION,
        ).pack()


def _read(token: bytes) -> tuple[Challenge, TargetInfo]:
    """Raises SignInError."""
    try:
        if not token.startswith(_MAGIC):
            raise ValueError("another token")
        challenge = Challenge.unpack(token)
        return challenge, challenge.target_info or TargetInfo()
    except _UNREADABLE:
        raise SignInError("the server's NTLM challenge cannot be read") from None

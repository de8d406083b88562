"""The server's side of NTLM ([MS-NLMP] §3.2.5.2), connectionless: NTLMv2 alone, against NT hashes of accounts.

Whether there is such a user shows neither in what comes back nor in the work done.
"""

import hmac
from dataclasses import dataclass, field
from functools import partial
from random import Random
from struct import error as StructError

from spnego._ntlm_raw.crypto import hmac_md5, ntowfv2, rc4k
from spnego._ntlm_raw.messages import (
    Authenticate,
    AvFlags,
    AvId,
    Challenge,
    FileTime,
    Negotiate,
    NegotiateFlags,
    TargetInfo,
    Version,
)

from sipgw.auth.accounts import Account, Accounts
from sipgw.auth.mechanism import Claim, Continue, Failed, Proven
from sipgw.auth.ntlm_session import NtlmSession

MAX_NAME = 512  # characters of user and domain together; a user principal name has 256 at most
_NEEDED = (
    NegotiateFlags.unicode | NegotiateFlags.sign | NegotiateFlags.extended_session_security | NegotiateFlags.key_128
)
_OFFERED = (  # what an empty first token stands for: connectionless NTLM has no NEGOTIATE (§3.2.5.2)
    _NEEDED
    | NegotiateFlags.ntlm
    | NegotiateFlags.request_target
    | NegotiateFlags.datagram
    | NegotiateFlags.always_sign
    | NegotiateFlags.identity
    | NegotiateFlags.target_info
    | NegotiateFlags.version
    | NegotiateFlags.key_exch
    | NegotiateFlags.key_56
)
_ALWAYS = NegotiateFlags.target_type_server | NegotiateFlags.target_info | NegotiateFlags.request_target
_MAGIC = b"NTLMSSP\x00"
_PROOF, _BLOB_HEAD = 16, 28  # bytes: NTProofStr, and what stands before the pairs in the client's blob (§2.2.2.7)
_NTLM_V1 = 24  # bytes of a response without a blob
_TICKS, _EPOCH = 10_000_000, 11_644_473_600  # of a FILETIME: a second's, and seconds from 1601 to 1970
_UNREADABLE = (ValueError, KeyError, IndexError, OverflowError, StructError)  # what pyspnego raises for garbage


class NtlmMechanism:
    """`targetname` is our host's name; `wall_offset` added to `now` gives the time of day; `clock_skew` is how many
    seconds a client's clock may be off."""

    scheme = "NTLM"

    def __init__(
        self, accounts: Accounts, targetname: str, random: Random, wall_offset: float, clock_skew: float = 900.0
    ) -> None:
        self.accounts = accounts
        self.targetname = targetname
        self.random = random
        self.wall_offset = wall_offset
        self.clock_skew = clock_skew
        self.decoy = random.randbytes(16)

    def begin(self) -> "NtlmHandshake":
        """A new handshake."""
        return NtlmHandshake(self)

    def holds(self, name: str, account: Account) -> bool:
        """Not with another password."""
        known = self.accounts.find(name)
        if known is account:
            return account.enabled
        same = known is not None and known.uri == account.uri and known.enabled
        return same and known is not None and hmac.compare_digest(known.nt_hash, account.nt_hash)


@dataclass(frozen=True)
class _Response:
    """What an AUTHENTICATE message has. `bare` is the message with its MIC zeroed, where it has one."""

    flags: int
    user: str
    domain: str
    proof: bytes = field(repr=False)
    blob: bytes = field(repr=False)
    key: bytes = field(repr=False)
    mic: bytes = field(repr=False)
    bare: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """As Windows writes it: `CORP\\alice`, `alice@corp.contoso.com` or `alice`."""
        return f"{self.domain}\\{self.user}" if self.domain else self.user

    @property
    def written(self) -> float:
        """The time in the client's blob, in seconds since 1970."""
        return int.from_bytes(self.blob[8:16], "little") / _TICKS - _EPOCH


class _Refused(Exception):
    """An AUTHENTICATE that is not looked at any further."""


class NtlmHandshake:
    """One sign-in under way: b"" or NEGOTIATE, answered with CHALLENGE, then AUTHENTICATE."""

    def __init__(self, mechanism: NtlmMechanism) -> None:
        self._mechanism = mechanism
        self._negotiate = b""
        self._challenge = b""
        self._nonce = b""

    def step(self, token: bytes, now: float) -> Continue | Claim | Failed:
        """Take the peer's next token. Never raises for what a peer has sent."""
        try:
            return self._claim(token, now) if self._challenge else self._begin(token, now)
        except _Refused as refused:
            return Failed(str(refused), guessed=False)
        except _UNREADABLE:
            return Failed("an NTLM message that cannot be read", guessed=False)

    def _begin(self, token: bytes, now: float) -> Continue:
        flags = int(_OFFERED)
        if token:
            flags &= Negotiate.unpack(_checked(token)).flags
            self._negotiate = token
        _check_strength(flags)
        self._nonce = self._mechanism.random.randbytes(8)
        self._challenge = self._make_challenge(flags | _ALWAYS, now)
        return Continue(self._challenge)

    def _make_challenge(self, flags: int, now: float) -> bytes:
        host, _, domain = self._mechanism.targetname.partition(".")
        info = TargetInfo()
        info[AvId.nb_domain_name] = _netbios(domain or host)
        info[AvId.nb_computer_name] = _netbios(host)
        info[AvId.dns_domain_name] = domain
        info[AvId.dns_computer_name] = self._mechanism.targetname
        wall = int((now + self._mechanism.wall_offset + _EPOCH) * _TICKS)
        info[AvId.timestamp] = FileTime.unpack(wall.to_bytes(8, "little"))
        return Challenge(flags, self._nonce, _netbios(host), info, Version(6, 1, 7601)).pack()

    def _claim(self, token: bytes, now: float) -> Claim | Failed:
        response = _read(token)
        name = response.name
        off = response.written - now - self._mechanism.wall_offset
        if abs(off) > self._mechanism.clock_skew:
            return Failed(f"the clock of the client is {off:+.0f} s off", name, guessed=False, skewed=True)
        account = self._mechanism.accounts.find(name)
        return Claim(name, account.uri if account is not None else "", partial(self._judge, response, account))

    def _judge(self, response: _Response, account: Account | None) -> Proven | Failed:
        known = account.nt_hash if account is not None else b""
        key = ntowfv2(response.user, known or self._mechanism.decoy, response.domain)
        proof = hmac_md5(key, self._nonce + response.blob)
        if not hmac.compare_digest(proof, response.proof) or account is None or not known:
            return Failed(_why(account), response.name)
        session_key = hmac_md5(key, proof)  # §3.3.2; it is the key exchange key too
        if response.flags & NegotiateFlags.key_exch:
            session_key = rc4k(session_key, response.key)
        if response.mic and not self._is_mic(response, key, session_key):
            return Failed("the MIC of the NTLM messages is wrong", response.name, guessed=False)
        return Proven(response.name, account, NtlmSession(session_key, response.flags, client=False))

    def _is_mic(self, response: _Response, response_key: bytes, session_key: bytes) -> bool:
        """§3.2.5.2.2 has two readings for connectionless NTLM; either proves that nobody has changed the messages."""
        exchanged = self._challenge + response.bare
        made = hmac_md5(session_key, self._negotiate + exchanged), hmac_md5(response_key, exchanged)
        return any(hmac.compare_digest(mic, response.mic) for mic in made)


def _checked(token: bytes) -> bytes:
    if not token.startswith(_MAGIC):
        raise _Refused("not an NTLM message")
    return token


def _check_strength(flags: int) -> None:
    if flags & _NEEDED != _NEEDED:
        raise _Refused("NTLM without extended session security, 128-bit keys, signatures or Unicode")


def _read(token: bytes) -> _Response:
    """Raises _Refused, or one of _UNREADABLE."""
    message = Authenticate.unpack(_checked(token))
    _check_strength(message.flags)
    user, domain = message.user_name or "", message.domain_name or ""
    answer = message.nt_challenge_response or b""
    if not user or message.flags & NegotiateFlags.anonymous:
        raise _Refused("anonymous NTLM")
    if len(user) + len(domain) > MAX_NAME:
        raise _Refused("a user name that is too long")
    if len(answer) <= _NTLM_V1:
        raise _Refused("LM or NTLMv1 in place of NTLMv2")
    proof, blob = answer[:_PROOF], answer[_PROOF:]
    if len(blob) < _BLOB_HEAD or blob[:2] != b"\x01\x01":
        raise _Refused("an NTLMv2 response that cannot be read")
    key = message.encrypted_random_session_key or b""
    if message.flags & NegotiateFlags.key_exch and len(key) != 16:
        raise _Refused("NTLM key exchange without a key")
    mic = _take_mic(message) if _has_mic(blob[_BLOB_HEAD:]) else b""
    return _Response(message.flags, user, domain, proof, blob, key, mic, message.pack())


def _take_mic(message: Authenticate) -> bytes:
    mic = message.mic
    if mic is None:
        raise _Refused("an NTLM message without the MIC that it says to have")
    message.mic = bytes(16)  # which is how it was when the MIC was made
    return mic


def _has_mic(pairs: bytes) -> bool:
    """Whether the client's AV pairs (§2.2.2.1) say so; what follows their end, or cannot be read, says nothing."""
    at = 0
    while at + 4 <= len(pairs):
        kind, length = int.from_bytes(pairs[at : at + 2], "little"), int.from_bytes(pairs[at + 2 : at + 4], "little")
        if kind == AvId.eol:
            break
        if kind == AvId.flags:
            return bool(int.from_bytes(pairs[at + 4 : at + 4 + length], "little") & AvFlags.mic)
        at += 4 + length
    return False


def _netbios(name: str) -> str:
    """What a name's first label is as a NetBIOS name."""
    return name.partition(".")[0].upper()[:15]


def _why(account: Account | None) -> str:
    """For the log. The password that was tried is not known here, which is as well."""
    if account is None:
        return "no such user"
    return "wrong password" if account.nt_hash else "the account has no NT hash"

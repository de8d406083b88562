"""Signatures with the keys that an NTLMv2 sign-in leaves ([MS-NLMP] §3.4.4.2), as [MS-SIPAE] uses them.

Datagram mode with extended session security: each message stands for itself. RC4 starts anew for it, with a key made
from the sealing key and the sequence number (§3.4). That number is always 100 here, so the eight bytes of key stream
that a signature takes are the same for all messages of one side.
"""

import hmac

from spnego._ntlm_raw.crypto import md5, rc4k, sealkey, signkey
from spnego._ntlm_raw.messages import NegotiateFlags

SIGNATURE_BYTES = 16
_VERSION = b"\x01\x00\x00\x00"
_SEQUENCE = b"\x64\x00\x00\x00"


class NtlmSession:
    """`session_key` is the exported one, 16 bytes; `flags` those of the AUTHENTICATE message, with extended session
    security; `client` says which side signs here."""

    __slots__ = ("_ours", "_theirs")

    def __init__(self, session_key: bytes, flags: int, client: bool) -> None:
        sides = ("initiate", "accept") if client else ("accept", "initiate")
        self._ours, self._theirs = (_Signer(session_key, flags, side) for side in sides)

    def sign(self, data: bytes) -> bytes:
        """The signature of what we send, 16 bytes."""
        return self._ours.sign(data)

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Whether the peer has made this signature of this data."""
        return hmac.compare_digest(self._theirs.sign(data), signature)


class _Signer:
    """One side's keys, made ready."""

    __slots__ = ("_mac", "_stream")

    def __init__(self, session_key: bytes, flags: int, side: str) -> None:
        self._mac = hmac.new(signkey(flags, session_key, side), _SEQUENCE, "md5")
        stream = rc4k(md5(sealkey(flags, session_key, side) + _SEQUENCE), bytes(8))
        self._stream = int.from_bytes(stream, "big") if flags & NegotiateFlags.key_exch else 0

    def sign(self, data: bytes) -> bytes:
        mac = self._mac.copy()
        mac.update(data)
        checksum = int.from_bytes(mac.digest()[:8], "big") ^ self._stream
        return _VERSION + checksum.to_bytes(8, "big") + _SEQUENCE

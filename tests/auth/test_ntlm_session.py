"""Signatures of NTLM sessions: against published keys, a captured session, and themselves."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spnego._ntlm_raw.crypto import rc4k
from spnego._ntlm_raw.messages import NegotiateFlags

from sipgw.auth.ntlm_session import SIGNATURE_BYTES, NtlmSession
from tests.auth.vectors import captured, nlmp

FLAGS = 0x62988255  # of the captured AUTHENTICATE


def rc4(key: bytes, data: bytes) -> bytes:
    """RC4 as its inventor has it, in a few lines of our own."""
    state, j, out = list(range(256)), 0, bytearray()
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    i = j = 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


def test_the_published_example_is_reproduced() -> None:
    """What is below is what the library's RC4 and our reading of §3.4.4.2 make of §4.2.4.4, in its stream mode."""
    assert hmac.digest(nlmp.SIGN_KEY, bytes(4) + nlmp.PLAINTEXT, "md5")[:8] == nlmp.CHECKSUM
    assert rc4(nlmp.SEAL_KEY, nlmp.PLAINTEXT) == rc4k(nlmp.SEAL_KEY, nlmp.PLAINTEXT) == nlmp.SEALED
    stream = rc4(nlmp.SEAL_KEY, nlmp.PLAINTEXT + nlmp.CHECKSUM)
    assert b"\x01\x00\x00\x00" + stream[len(nlmp.PLAINTEXT) :] + bytes(4) == nlmp.SIGNATURE


def test_signed_with_the_published_keys() -> None:
    """Datagram mode, by hand, from the published signing and sealing keys."""
    checksum = hmac.digest(nlmp.SIGN_KEY, b"d\0\0\0" + nlmp.PLAINTEXT, "md5")[:8]
    key = hashlib.md5(nlmp.SEAL_KEY + b"d\0\0\0").digest()
    session = NtlmSession(nlmp.SESSION_KEY, nlmp.FLAGS, client=True)
    assert session.sign(nlmp.PLAINTEXT) == b"\x01\0\0\0" + rc4(key, checksum) + b"d\0\0\0"


def test_without_key_exchange_the_checksum_is_bare() -> None:
    session = NtlmSession(nlmp.SESSION_KEY, nlmp.FLAGS & ~NegotiateFlags.key_exch, client=True)
    checksum = hmac.digest(nlmp.SIGN_KEY, b"d\0\0\0" + nlmp.PLAINTEXT, "md5")[:8]
    assert session.sign(nlmp.PLAINTEXT) == b"\x01\0\0\0" + checksum + b"d\0\0\0"


@pytest.mark.parametrize("message", captured.CLIENT, ids=lambda message: message.start[:30])
def test_what_the_real_client_signed(message: captured.Captured) -> None:
    signature = bytes.fromhex(message.lines[-1].rpartition('response="')[2].rstrip('"'))
    assert NtlmSession(captured.SESSION_KEY, FLAGS, client=False).verify(message.buffer.encode(), signature)
    assert NtlmSession(captured.SESSION_KEY, FLAGS, client=True).sign(message.buffer.encode()) == signature


def test_a_side_does_not_sign_for_the_other() -> None:
    client, server = (NtlmSession(nlmp.SESSION_KEY, FLAGS, client=client) for client in (True, False))
    assert server.verify(b"data", client.sign(b"data")) and client.verify(b"data", server.sign(b"data"))
    assert not client.verify(b"data", client.sign(b"data"))
    assert not server.verify(b"data", server.sign(b"data"))


@given(st.binary(max_size=300), st.data())
def test_nothing_altered_is_taken(data: bytes, draw: st.DataObject) -> None:
    client, server = (NtlmSession(nlmp.SESSION_KEY, FLAGS, client=client) for client in (True, False))
    signature = client.sign(data)
    assert len(signature) == SIGNATURE_BYTES and server.verify(data, signature)
    whole = bytearray(data + signature)
    whole[draw.draw(st.integers(0, len(whole) - 1))] ^= draw.draw(st.integers(1, 255))
    assert not server.verify(bytes(whole[: len(data)]), bytes(whole[len(data) :]))


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_garbage_is_no_signature(data: bytes, signature: bytes) -> None:
    assert not NtlmSession(nlmp.SESSION_KEY, FLAGS, client=False).verify(data, signature)

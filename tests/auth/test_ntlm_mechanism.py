"""Sign-in by NTLM: published and captured messages, a client of the library, names, refusals, garbage."""

import struct
from base64 import b64decode
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import spnego
from hypothesis import given
from hypothesis import strategies as st
from spnego._ntlm_raw.crypto import (
    compute_response_v1,
    compute_response_v2,
    hmac_md5,
    lmowfv1,
    ntowfv1,
    ntowfv2,
    rc4k,
)
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

from sipgw.auth import ntlm_mechanism
from sipgw.auth.accounts import Account, AccountTable
from sipgw.auth.mechanism import Claim, Continue, Failed, Proven
from sipgw.auth.ntlm_mechanism import MAX_NAME, NtlmHandshake, NtlmMechanism
from sipgw.auth.ntlm_session import NtlmSession
from tests.auth.vectors import captured, nlmp

PASSWORD = "pass wörd"
ALICE = Account("sip:alice@contoso.com", ("alice@corp.contoso.com", "CORP\\alice"), ntowfv1(PASSWORD))
GONE = Account("sip:gone@contoso.com", ("CORP\\gone",), ntowfv1(PASSWORD), enabled=False)
BARE = Account("sip:bare@contoso.com", ("CORP\\bare",))
NOW, WALL = 1000.0, 1_795_385_270.0
STRENGTH = "NTLM without extended session security, 128-bit keys, signatures or Unicode"


class Fixed(Random):
    """Gives out the challenge of an example."""

    def __init__(self, challenge: bytes) -> None:
        super().__init__(1)
        self._challenge = challenge

    def randbytes(self, n: int) -> bytes:
        return self._challenge if n == len(self._challenge) else super().randbytes(n)


def mechanism(skew: float = 900.0, random: Random | None = None) -> NtlmMechanism:
    return NtlmMechanism(
        AccountTable([ALICE, GONE, BARE]), "fe01.corp.contoso.com", random or Random(1), WALL - NOW, skew
    )


def begun(mechanism: NtlmMechanism) -> tuple[NtlmHandshake, Challenge]:
    handshake = mechanism.begin()
    step = handshake.step(b"", NOW)
    assert isinstance(step, Continue)
    return handshake, Challenge.unpack(step.token)


Change = Callable[[dict[str, Any]], None]


def answer(
    challenge: Challenge, user: str, domain: str = "", password: str = PASSWORD, change: Change | None = None
) -> bytes:
    """AUTHENTICATE as a client makes it; `change` alters its fields before they are packed."""
    info = challenge.target_info or TargetInfo()
    key = ntowfv2(user, ntowfv1(password), domain)
    nt, lm, base = compute_response_v2(key, challenge.server_challenge, b"clientch", info[AvId.timestamp], info)
    fields: dict[str, Any] = {
        "flags": challenge.flags,
        "lm_challenge_response": lm,
        "nt_challenge_response": nt,
        "domain_name": domain,
        "username": user,
        "encrypted_session_key": rc4k(base, nlmp.SESSION_KEY),
        "version": Version(6, 1, 7601),
    }
    if change:
        change(fields)
    return Authenticate(**fields).pack()


def judged(step: object) -> Proven | Failed:
    assert isinstance(step, Claim)
    return step.judge()


def sign_in(user: str, domain: str = "", password: str = PASSWORD) -> Proven | Failed:
    handshake, challenge = begun(mechanism())
    return judged(handshake.step(answer(challenge, user, domain, password), NOW))


# examples of others


def test_the_published_authenticate() -> None:
    account = Account("sip:u@d", ("Domain\\User",), ntowfv1(nlmp.PASSWORD))
    assert account.nt_hash == nlmp.NT_HASH
    assert ntowfv2(nlmp.USER, account.nt_hash, nlmp.DOMAIN) == nlmp.RESPONSE_KEY
    assert hmac_md5(nlmp.RESPONSE_KEY, nlmp.PROOF) == nlmp.SESSION_BASE_KEY
    in_1601 = -11_644_473_600.0  # its time is zero
    server = NtlmMechanism(AccountTable([account]), "Server", Fixed(nlmp.SERVER_CHALLENGE), in_1601)
    handshake = server.begin()
    assert isinstance(handshake.step(b"", 0.0), Continue)
    claim = handshake.step(nlmp.AUTHENTICATE, 0.0)
    assert isinstance(claim, Claim) and (claim.name, claim.uri) == ("Domain\\User", "sip:u@d")
    proven = claim.judge()
    assert isinstance(proven, Proven) and proven.account is account and proven.name == "Domain\\User"
    client = NtlmSession(nlmp.SESSION_KEY, nlmp.FLAGS, client=True)
    assert proven.session.verify(b"data", client.sign(b"data"))


def test_the_captured_authenticate() -> None:
    account = Account(captured.URI, (captured.NAME,), ntowfv1(captured.PASSWORD))
    random = Fixed(captured.SERVER_CHALLENGE)
    server = NtlmMechanism(AccountTable([account]), captured.TARGETNAME, random, captured.SIGNED_IN_AT)
    handshake = server.begin()
    assert isinstance(handshake.step(b"", 0.0), Continue)
    first = captured.CLIENT[0]
    token = first.lines[-1].partition('gssapi-data="')[2].partition('"')[0]
    proven = judged(handshake.step(b64decode(token), 0.4))
    assert isinstance(proven, Proven) and proven.account is account and proven.name == "CORP\\alice"
    signature = bytes.fromhex(first.lines[-1].rpartition('response="')[2].rstrip('"'))
    assert proven.session.verify(first.buffer.encode(), signature)


def test_the_client_of_the_library() -> None:
    """It has a NEGOTIATE to send, and makes a MIC of it, as the challenge has a time."""
    client = spnego.client("CORP\\alice", PASSWORD, protocol="ntlm")
    handshake = mechanism().begin()
    step = handshake.step(client.step() or b"", NOW)
    assert isinstance(step, Continue)
    token = client.step(step.token) or b""
    assert Authenticate.unpack(token).mic not in (None, bytes(16))
    proven = judged(handshake.step(token, NOW))
    assert isinstance(proven, Proven) and proven.account is ALICE
    ours = NtlmSession(client.session_key, Authenticate.unpack(token).flags, client=True)
    assert proven.session.verify(b"data", ours.sign(b"data")) and ours.verify(b"data", proven.session.sign(b"data"))


def test_what_the_client_of_the_library_sends_cannot_be_altered() -> None:
    client = spnego.client("CORP\\alice", PASSWORD, protocol="ntlm")
    handshake = mechanism().begin()
    negotiate = bytearray(client.step() or b"")
    negotiate[12] ^= NegotiateFlags.oem  # harmless, and seen by the MIC alone
    step = handshake.step(bytes(negotiate), NOW)
    assert isinstance(step, Continue)
    failed = judged(handshake.step(client.step(step.token) or b"", NOW))
    assert isinstance(failed, Failed) and "MIC" in failed.reason and not failed.guessed


# the challenge


def test_the_challenge() -> None:
    _, challenge = begun(mechanism())
    info = challenge.target_info
    assert info is not None and len(challenge.server_challenge) == 8
    assert info[AvId.dns_computer_name] == "fe01.corp.contoso.com" and info[AvId.nb_computer_name] == "FE01"
    assert info[AvId.dns_domain_name] == "corp.contoso.com" and info[AvId.nb_domain_name] == "CORP"
    assert info[AvId.timestamp] == FileTime(2026, 11, 22, 22, 7, 50)
    wanted = (
        NegotiateFlags.unicode
        | NegotiateFlags.request_target
        | NegotiateFlags.sign
        | NegotiateFlags.datagram
        | NegotiateFlags.ntlm
        | NegotiateFlags.always_sign
        | NegotiateFlags.extended_session_security
        | NegotiateFlags.identity
        | NegotiateFlags.target_info
        | NegotiateFlags.version
        | NegotiateFlags.key_128
        | NegotiateFlags.key_exch
        | NegotiateFlags.key_56
    )
    assert challenge.flags == wanted | NegotiateFlags.target_type_server


def test_challenges_differ() -> None:
    server = mechanism()
    assert len({begun(server)[1].server_challenge for _ in range(50)}) == 50


def test_a_challenge_is_for_its_own_handshake() -> None:
    server = mechanism()
    _, challenge = begun(server)
    other, _ = begun(server)
    assert isinstance(judged(other.step(answer(challenge, "alice", "CORP"), NOW)), Failed)


# names


@pytest.mark.parametrize(
    ("user", "domain"),
    [
        ("alice", "CORP"),
        ("ALICE", "corp"),
        ("alice@corp.contoso.com", ""),
        ("Alice@CORP.contoso.com", ""),
        ("alice", ""),
    ],
)
def test_names(user: str, domain: str) -> None:
    proven = sign_in(user, domain)
    assert isinstance(proven, Proven) and proven.account is ALICE
    assert proven.name == (f"{domain}\\{user}" if domain else user)


def test_names_of_one_account_are_claimed_as_one() -> None:
    handshake, challenge = begun(mechanism())
    steps = [handshake.step(answer(challenge, *name), NOW) for name in (("alice", "CORP"), ("Alice", ""))]
    assert [step.uri for step in steps if isinstance(step, Claim)] == [ALICE.uri] * 2
    unknown = handshake.step(answer(challenge, "Mallory", "CORP"), NOW)
    assert isinstance(unknown, Claim) and (unknown.name, unknown.uri) == ("CORP\\Mallory", "")


def test_a_disabled_account_is_proved_and_for_others_to_refuse() -> None:
    proven = sign_in("gone", "CORP")
    assert isinstance(proven, Proven) and not proven.account.enabled


# refused


@pytest.mark.parametrize(
    ("user", "domain", "password", "reason"),
    [
        ("alice", "CORP", "wrong", "wrong password"),
        ("alice", "OTHER", PASSWORD, "no such user"),
        ("mallory", "CORP", PASSWORD, "no such user"),
        ("bare", "CORP", PASSWORD, "the account has no NT hash"),
        ("bare", "CORP", "", "the account has no NT hash"),
    ],
)
def test_refused(user: str, domain: str, password: str, reason: str) -> None:
    failed = sign_in(user, domain, password)
    assert failed == Failed(reason, f"{domain}\\{user}", guessed=True)


def test_unknown_users_and_wrong_passwords_are_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def counted(name: str) -> Callable[..., Any]:
        function = getattr(ntlm_mechanism, name)

        def call(*arguments: Any) -> Any:
            done.append(name)
            return function(*arguments)

        return call

    for name in ("ntowfv2", "hmac_md5", "rc4k", "NtlmSession"):
        monkeypatch.setattr(ntlm_mechanism, name, counted(name))
    works = []
    for user, password in (("alice", "wrong"), ("mallory", PASSWORD), ("bare", PASSWORD)):
        done.clear()
        assert isinstance(sign_in(user, "CORP", password), Failed)
        works.append(tuple(done))
    assert set(works) == {("ntowfv2", "hmac_md5")}


def v1(fields: dict[str, Any]) -> None:
    challenge = bytes(8)
    keys = ntowfv1(PASSWORD), lmowfv1(PASSWORD)
    nt, lm, _ = compute_response_v1(fields["flags"], *keys, challenge, bytes(8))
    fields.update(nt_challenge_response=nt, lm_challenge_response=lm)


REFUSALS: dict[str, tuple[Change, str]] = {
    "NTLMv1": (v1, "LM or NTLMv1 in place of NTLMv2"),
    "LM": (lambda fields: fields.update(nt_challenge_response=b""), "LM or NTLMv1 in place of NTLMv2"),
    "short": (lambda fields: fields.update(nt_challenge_response=bytes(25)), "an NTLMv2 response that cannot be read"),
    "v3": (
        lambda fields: fields.update(nt_challenge_response=bytes(16) + b"\2\2" + bytes(40)),
        "an NTLMv2 response that cannot be read",
    ),
    "no user": (lambda fields: fields.update(username=""), "anonymous NTLM"),
    "anonymous": (lambda fields: fields.update(flags=fields["flags"] | NegotiateFlags.anonymous), "anonymous NTLM"),
    "a long name": (lambda fields: fields.update(username="a" * (MAX_NAME + 1)), "a user name that is too long"),
    "a short key": (
        lambda fields: fields.update(encrypted_session_key=b"short"),
        "NTLM key exchange without a key",
    ),
    **{
        flag.name or "": (
            lambda fields, flag=flag: fields.update(flags=fields["flags"] & ~flag),  # type: ignore[misc]
            STRENGTH,
        )
        for flag in (
            NegotiateFlags.unicode,
            NegotiateFlags.sign,
            NegotiateFlags.extended_session_security,
            NegotiateFlags.key_128,
        )
    },
}


@pytest.mark.parametrize("what", REFUSALS)
def test_not_looked_at(what: str) -> None:
    change, reason = REFUSALS[what]
    handshake, challenge = begun(mechanism())
    failed = handshake.step(answer(challenge, "alice", "CORP", change=change), NOW)
    assert failed == Failed(reason, guessed=False)


def test_a_weak_negotiate_is_refused() -> None:
    weak = Negotiate(NegotiateFlags.unicode | NegotiateFlags.ntlm | NegotiateFlags.sign).pack()
    assert mechanism().begin().step(weak, NOW) == Failed(STRENGTH, guessed=False)


def test_without_key_exchange_the_base_key_signs() -> None:
    handshake, challenge = begun(mechanism())

    def bare(fields: dict[str, Any]) -> None:
        fields.update(flags=fields["flags"] & ~NegotiateFlags.key_exch, encrypted_session_key=b"")

    token = answer(challenge, "alice", "CORP", change=bare)
    proven = judged(handshake.step(token, NOW))
    message = Authenticate.unpack(token)
    proof = (message.nt_challenge_response or b"")[:16]
    base = hmac_md5(ntowfv2("alice", ALICE.nt_hash, "CORP"), proof)
    assert isinstance(proven, Proven)
    assert proven.session.verify(b"data", NtlmSession(base, message.flags, client=True).sign(b"data"))


# clocks


def at(seconds: float) -> Change:
    """The client's own time in the response, and the proof that goes with it."""

    def change(fields: dict[str, Any]) -> None:
        response = bytearray(fields["nt_challenge_response"])
        response[24:32] = struct.pack("<Q", round((seconds + 11_644_473_600) * 10_000_000))
        fields["nt_challenge_response"] = bytes(response)

    return change


@pytest.mark.parametrize(("off", "skewed"), [(-901.0, True), (-899.0, False), (899.0, False), (901.0, True)])
def test_skew(off: float, skewed: bool) -> None:
    handshake, challenge = begun(mechanism())
    step = handshake.step(answer(challenge, "alice", "CORP", change=at(WALL + off)), NOW)
    if skewed:
        assert step == Failed(f"the clock of the client is {off:+.0f} s off", "CORP\\alice", guessed=False, skewed=True)
    else:
        assert isinstance(step, Claim)


def test_skew_is_a_setting() -> None:
    handshake, challenge = begun(mechanism(skew=5.0))
    step = handshake.step(answer(challenge, "alice", "CORP", change=at(WALL + 6)), NOW)
    assert isinstance(step, Failed) and step.skewed


def test_skew_says_nothing_of_the_password() -> None:
    handshake, challenge = begun(mechanism())
    steps = {
        user: handshake.step(answer(challenge, user, "CORP", password, at(WALL + 5000)), NOW)
        for user, password in (("alice", PASSWORD), ("bare", "x"), ("mallory", "x"))
    }
    assert len({getattr(step, "reason", "") for step in steps.values()}) == 1


# MIC


def with_mic(challenge: Challenge, raw: bytes, mic: Callable[[bytes, bytes], bytes]) -> bytes:
    """AUTHENTICATE of a connectionless client that makes a MIC: `mic` of the challenge and itself with a zero one."""
    info = challenge.target_info or TargetInfo()
    info[AvId.flags] = AvFlags.mic
    key = ntowfv2("alice", ALICE.nt_hash, "CORP")
    nt, _, base = compute_response_v2(key, challenge.server_challenge, b"clientch", info[AvId.timestamp], info)
    sealed = rc4k(base, nlmp.SESSION_KEY)
    message = Authenticate(challenge.flags, bytes(24), nt, "CORP", "alice", "", sealed, Version(6, 1, 7601))
    message.mic = mic(raw, message.pack())
    return message.pack()


def response_key(_: bytes) -> bytes:
    return ntowfv2("alice", ALICE.nt_hash, "CORP")


@pytest.mark.parametrize("key", [nlmp.SESSION_KEY, response_key(b"")], ids=["session key", "response key"])
def test_a_mic_is_checked(key: bytes) -> None:
    handshake = mechanism().begin()
    step = handshake.step(b"", NOW)
    assert isinstance(step, Continue)
    challenge = Challenge.unpack(step.token)
    good = with_mic(challenge, step.token, lambda raw, own: hmac_md5(key, raw + own))
    assert isinstance(judged(handshake.step(good, NOW)), Proven)
    for altered in (
        with_mic(challenge, step.token, lambda raw, own: hmac_md5(key, raw + own + b"x")),
        with_mic(challenge, step.token, lambda raw, own: bytes(16)),
        good.replace(struct.pack("<I", challenge.flags), struct.pack("<I", challenge.flags ^ NegotiateFlags.key_56)),
    ):
        failed = judged(handshake.step(altered, NOW))
        assert failed == Failed("the MIC of the NTLM messages is wrong", "CORP\\alice", guessed=False)


def test_a_mic_that_is_promised_has_to_be_there() -> None:
    handshake, challenge = begun(mechanism())
    token = with_mic(challenge, b"", lambda raw, own: bytes(16))
    head, payload = token[:64], token[88:]  # without version and MIC, as older clients have it
    fields = b"".join(
        head[at : at + 4] + struct.pack("<I", struct.unpack_from("<I", head, at + 4)[0] - 24) for at in range(12, 60, 8)
    )
    failed = handshake.step(head[:12] + fields + head[60:] + payload, NOW)
    assert failed == Failed("an NTLM message without the MIC that it says to have", guessed=False)


# garbage


@pytest.mark.parametrize(
    "token", [b"x", b"NTLMSSP\0", b"NTLMSSP\0\1\0\0\0", b"NTLMSSP\0\t\0\0\0" + bytes(80), bytes(100)]
)
def test_a_first_token_of_nothing(token: bytes) -> None:
    failed = mechanism().begin().step(token, NOW)
    assert isinstance(failed, Failed) and not failed.guessed


def test_messages_out_of_turn() -> None:
    handshake, challenge = begun(mechanism())
    authenticate = answer(challenge, "alice", "CORP")
    assert isinstance(mechanism().begin().step(authenticate, NOW), Failed)
    for token in (b"", challenge.pack(), Negotiate(NegotiateFlags.unicode).pack()):
        assert isinstance(handshake.step(token, NOW), Failed)


@given(st.binary(max_size=300), st.booleans())
def test_garbage_fails(tail: bytes, proper: bool) -> None:
    handshake, _ = begun(mechanism())
    token = (b"NTLMSSP\0\3\0\0\0" if proper else b"") + tail
    step = handshake.step(token, NOW)
    assert isinstance(step, Failed) or isinstance(judged(step), Failed)


def changes(size: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    return st.lists(st.tuples(st.integers(0, size - 1), st.integers(1, 255)), min_size=1, max_size=4)


@given(st.data())
def test_an_altered_authenticate_never_raises(data: st.DataObject) -> None:
    """Nor does it prove anybody else; where nothing that counts was altered, such as the workstation, it may pass."""
    handshake, challenge = begun(mechanism())
    token = bytearray(answer(challenge, "alice", "CORP"))
    for at, change in data.draw(changes(len(token))):
        token[at] ^= change
    step = handshake.step(bytes(token[: data.draw(st.integers(0, len(token)))]), NOW)
    outcome = judged(step) if isinstance(step, Claim) else step
    assert isinstance(outcome, Failed) or (isinstance(outcome, Proven) and outcome.account is ALICE)


def test_no_byte_of_the_response_can_be_altered() -> None:
    handshake, challenge = begun(mechanism(skew=1e15))
    whole = answer(challenge, "alice", "CORP")
    length, _, start = struct.unpack_from("<HHI", whole, 20)
    assert length > 100 and isinstance(judged(handshake.step(whole, NOW)), Proven)
    for at in range(start, start + length):
        token = bytearray(whole)
        token[at] ^= 0x40
        step = handshake.step(bytes(token), NOW)
        assert isinstance(judged(step) if isinstance(step, Claim) else step, Failed), at

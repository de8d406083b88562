"""The client's side of NTLM: what pidgin-sipe sent for the same challenge, the library's acceptor, ours, garbage."""

from base64 import b64decode
from datetime import UTC
from pathlib import Path
from random import Random

import pytest
import spnego
from hypothesis import given
from hypothesis import strategies as st
from spnego._ntlm_raw.messages import (
    Authenticate,
    AvId,
    Challenge,
    FileTime,
    Negotiate,
    NegotiateFlags,
    NTClientChallengeV2,
    TargetInfo,
)

from sipgw.auth.accounts import Account, AccountTable
from sipgw.auth.mechanism import Claim, Continue, Failed, Proven
from sipgw.auth.ntlm_client import NtlmInitiator
from sipgw.auth.ntlm_mechanism import NtlmMechanism
from sipgw.auth.ntlm_session import NtlmSession
from sipgw.auth.password import nt_hash
from sipgw.auth.sipae_client import SignInError
from tests.auth.vectors import captured

PASSWORD = "pass wörd"
NAMES = ("CORP\\alice", "alice@corp.contoso.com", "alice")
NOW, WALL = 1000.0, 1_795_385_270.0
FLAGS = (
    NegotiateFlags.unicode
    | NegotiateFlags.sign
    | NegotiateFlags.ntlm
    | NegotiateFlags.extended_session_security
    | NegotiateFlags.key_128
    | NegotiateFlags.key_exch
)


class Fixed(Random):
    """Gives out given bytes, in turn."""

    def __init__(self, *given: bytes) -> None:
        super().__init__(1)
        self._given = list(given)

    def randbytes(self, n: int) -> bytes:
        given = self._given.pop(0)
        assert len(given) == n
        return given


def initiator(name: str = "alice", password: str = PASSWORD) -> NtlmInitiator:
    return NtlmInitiator(name, password, Random(1), WALL)


def challenge(flags: int = FLAGS, info: TargetInfo | None = None) -> bytes:
    return Challenge(flags, b"12345678", "FE01", info).pack()


def captured_token(at: int, name: str) -> bytes:
    (line,) = [line for line in captured.MESSAGES[at].lines if line.lower().startswith(name)]
    return b64decode(line.partition('gssapi-data="')[2].partition('"')[0])


def test_the_first_token_is_empty() -> None:
    one = initiator()
    assert one.step(b"", NOW) == b""
    assert one.session is None


def test_it_answers_as_pidgin_sipe_did() -> None:
    """The same challenge and the same random bytes: the same NTLMv2 response, session key and signatures."""
    theirs = Authenticate.unpack(captured_token(2, "authorization"))
    assert theirs.nt_challenge_response is not None
    own = NTClientChallengeV2.unpack(theirs.nt_challenge_response[16:]).challenge_from_client
    one = NtlmInitiator(captured.NAME, captured.PASSWORD, Fixed(own, captured.SESSION_KEY), WALL)
    one.step(b"", NOW)
    ours = Authenticate.unpack(one.step(captured_token(1, "www-authenticate"), NOW))
    for value in ("nt_challenge_response", "encrypted_random_session_key", "domain_name", "user_name"):
        assert getattr(ours, value) == getattr(theirs, value)
    assert ours.flags & ~NegotiateFlags.key_56 == theirs.flags
    session = NtlmSession(captured.SESSION_KEY, theirs.flags, client=True)
    assert one.session is not None
    assert one.session.sign(b"<NTLM>") == session.sign(b"<NTLM>")


@pytest.mark.parametrize("name", NAMES)
def test_our_own_server_takes_it(name: str) -> None:
    account = Account("sip:alice@contoso.com", (name,), nt_hash(PASSWORD))
    handshake = NtlmMechanism(AccountTable([account]), "fe01.contoso.com", Random(2), WALL).begin()
    one = initiator(name)
    begun = handshake.step(one.step(b"", NOW), NOW)
    assert isinstance(begun, Continue)
    claim = handshake.step(one.step(begun.token, NOW), NOW)
    assert isinstance(claim, Claim)
    proven = claim.judge()
    assert isinstance(proven, Proven) and proven.name == name
    assert one.session is not None
    assert proven.session.verify(b"up", one.session.sign(b"up"))
    assert one.session.verify(b"down", proven.session.sign(b"down"))
    assert not one.session.verify(b"down", one.session.sign(b"down"))


def test_another_password_proves_nothing() -> None:
    account = Account("sip:alice@contoso.com", ("alice",), nt_hash("other"))
    handshake = NtlmMechanism(AccountTable([account]), "fe01.contoso.com", Random(2), WALL).begin()
    begun = handshake.step(b"", NOW)
    assert isinstance(begun, Continue)
    claim = handshake.step(initiator().step(begun.token, NOW), NOW)
    assert isinstance(claim, Claim)
    assert isinstance(claim.judge(), Failed)


@pytest.mark.parametrize("name", NAMES)
def test_the_acceptor_of_the_library_takes_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    domain, _, user = name.rpartition("\\")
    users = tmp_path / "users"
    users.write_text(f"{domain}:{user}:{PASSWORD}\n", "utf-8")
    monkeypatch.setenv("NTLM_USER_FILE", str(users))
    acceptor = spnego.server(protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)
    asked = FLAGS | NegotiateFlags.request_target | NegotiateFlags.always_sign | NegotiateFlags.target_info
    token = acceptor.step(Negotiate(asked).pack())
    assert token is not None
    one = initiator(name)
    acceptor.step(one.step(token, NOW))
    assert acceptor.complete
    assert acceptor.client_principal == (name if domain else user)
    assert one.session is not None
    flags = Challenge.unpack(token).flags
    assert NtlmSession(acceptor.session_key, flags, client=False).verify(b"x", one.session.sign(b"x"))


def test_without_a_time_in_the_challenge_it_tells_its_own() -> None:
    info = TargetInfo()
    info[AvId.nb_domain_name] = "CORP"
    for target in (None, info):
        sent = Authenticate.unpack(initiator().step(challenge(info=target), NOW)).nt_challenge_response
        assert sent is not None
        told = NTClientChallengeV2.unpack(sent[16:]).time_stamp.replace(tzinfo=UTC)
        assert told.timestamp() == pytest.approx(NOW + WALL, abs=1.0)


def test_with_a_time_in_the_challenge_it_tells_that_and_no_lm_response() -> None:
    """[MS-NLMP] §3.1.5.1.2."""
    info = TargetInfo()
    info[AvId.timestamp] = FileTime.unpack(bytes.fromhex("c66f03eacd7add01"))
    sent = Authenticate.unpack(initiator().step(challenge(info=info), NOW))
    assert sent.nt_challenge_response is not None
    assert sent.nt_challenge_response[24:32] == bytes.fromhex("c66f03eacd7add01")
    assert sent.lm_challenge_response == bytes(24)


def test_without_key_exchange_the_keys_are_those_of_the_password() -> None:
    one = initiator()
    sent = Authenticate.unpack(one.step(challenge(FLAGS & ~NegotiateFlags.key_exch), NOW))
    assert not sent.encrypted_random_session_key
    assert not sent.flags & NegotiateFlags.key_exch
    assert one.session is not None


@pytest.mark.parametrize(
    "flag", [NegotiateFlags.unicode, NegotiateFlags.sign, NegotiateFlags.extended_session_security]
)
def test_a_challenge_that_weakens_the_signatures_is_refused(flag: NegotiateFlags) -> None:
    one = initiator()
    with pytest.raises(SignInError, match="lacks what signing needs"):
        one.step(challenge(FLAGS & ~flag), NOW)
    assert one.session is None


def test_a_second_challenge_is_refused() -> None:
    one = initiator()
    one.step(challenge(), NOW)
    with pytest.raises(SignInError, match="when it was over"):
        one.step(challenge(), NOW)


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda tail: b"NTLMSSP\x00\x02\x00\x00\x00" + tail))
def test_garbage_ends_the_sign_in_and_nothing_else(token: bytes) -> None:
    one = initiator()
    try:
        one.step(token, NOW)
    except SignInError:
        assert one.session is None


def test_the_password_shows_nowhere() -> None:
    assert PASSWORD not in repr(vars(initiator()))

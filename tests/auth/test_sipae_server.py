"""Sign-in by NTLM over SIP: let in, refused, slowed, told why; by other mechanisms as far as they differ."""

from dataclasses import replace
from email.utils import formatdate
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipgw.auth.accounts import Account, AccountTable
from sipgw.auth.answer import Answer
from sipgw.auth.lockout import Limits, LockoutSettings
from sipgw.auth.mechanism import Claim, Continue, Failed, Proven
from sipgw.auth.ntlm_mechanism import NtlmMechanism
from sipgw.auth.sipae_handshakes import HandshakeLimits
from sipgw.auth.sipae_server import SipaeServer, SipaeSettings
from sipgw.auth.sipae_wire import read_params
from sipgw.message.build import response_to
from sipgw.message.message import Request
from tests.auth.vectors import captured
from tests.auth.vectors.peer import ALICE, BOB, GONE, TARGETNAME, WALL, Came, Peer, Site, flow, refused, signed_in

CHALLENGE = f'NTLM targetname="{TARGETNAME}", realm="SIP Communications Service", version=4'
INSTANCE = "085e0bd8-031c-5a0d-8d9a-f149aae6954a"


# signing in


def test_challenges() -> None:
    server = Site().server
    assert server.challenges(401, 0.0) == [f"WWW-Authenticate: {CHALLENGE}"]
    assert server.challenges(407, 0.0) == [f"Proxy-Authenticate: {CHALLENGE}"]


def test_nothing_to_judge() -> None:
    site = Site()
    peer = Peer(site)
    assert site.judge(peer.request("REGISTER"), peer.flow) is None
    assert site.judge(peer.request("REGISTER", 'Authorization: Digest realm="x"'), peer.flow) is None
    assert not site.counters


@pytest.mark.parametrize(("method", "status"), [("REGISTER", 401), ("INVITE", 407), ("SUBSCRIBE", 407)])
@pytest.mark.parametrize("header", ["Authorization", "Proxy-Authorization"])
@pytest.mark.parametrize("version", [2, 3, 4])
def test_signed_in(method: str, status: int, header: str, version: int) -> None:
    site = Site()
    peer = Peer(site, version=version)
    peer.header = header
    asked = site.judge(peer.handshake(b"", method), peer.flow)
    assert isinstance(asked, Answer) and asked.status == status and not asked.failed and not asked.reason
    name, _, value = asked.headers[0].partition(": ")
    assert name == ("WWW-Authenticate" if status == 401 else "Proxy-Authenticate") and value.startswith("NTLM opaque=")
    assert site.server.sizes() == {"associations": 0, "handshakes": 1}
    assert site.judge(peer.handshake(peer.answer(asked), method), peer.flow) is ALICE
    assert site.server.sizes() == {"associations": 1, "handshakes": 0}
    answer = response_to(peer.request(), 200)
    site.server.sign(answer, peer.flow)
    told = "authentication-info" if header == "Authorization" else "proxy-authentication-info"
    assert answer.names[-1] == told and peer.hears(answer)
    assert all(peer.send(each) is ALICE for each in ("SUBSCRIBE", "INVITE", "ACK", "INFO", "BYE", "REGISTER"))


@pytest.mark.parametrize("name", ["CORP\\alice", "alice@corp.contoso.com", "alice", "corp\\ALICE"])
def test_names(name: str) -> None:
    assert Peer(Site(), name).sign_in() is ALICE


def test_the_captured_session_is_let_in() -> None:
    """Everything that the real client signed, in its order, with the challenge of then."""
    account = Account(captured.URI, (captured.NAME,), bytes.fromhex("8cc19b6a8cfeac299c2871c86b38de28"))
    site = Site()

    class Then(Random):
        def randbytes(self, n: int) -> bytes:
            return captured.SERVER_CHALLENGE if n == 8 else super().randbytes(n)

        def getrandbits(self, k: int) -> int:
            return int(captured.OPAQUE, 16)

    random = Then(1)
    ntlm = NtlmMechanism(AccountTable([account]), captured.TARGETNAME, random, captured.SIGNED_IN_AT)
    settings = SipaeSettings(wall_offset=captured.SIGNED_IN_AT)
    server = SipaeServer([ntlm], settings, site.lockout, random, site.counters)
    over, came = flow(), []
    for each in captured.MESSAGES:
        message = each.message()
        if each.from_client and isinstance(message, Request):
            came.append(server.judge(message, over, 1.0))
        elif each.from_client:
            assert server.check_response(message, over, 1.0)  # type: ignore[arg-type]
        else:
            message.lines = [line for line in message.lines if not line.startswith("Authentication-Info")]
            message.names = [name for name in message.names if name != "authentication-info"]
            server.sign(message, over)
            assert message.lines[-1].startswith("Authentication-Info: NTLM rspauth=") == each.is_signed
    assert isinstance(came[0], Answer) and came[1:] == [account] * 19
    assert site.counters == {"sipae_signed_in": 1}


@pytest.mark.parametrize(
    ("name", "password"),
    [("CORP\\alice", "wrong"), ("CORP\\mallory", "secret"), ("CORP\\hashless", "secret"), ("OTHER\\alice", "secret")],
)
def test_unknown_users_and_wrong_passwords_look_the_same(name: str, password: str) -> None:
    site = Site()
    peer = Peer(site, name, password=password)
    came = peer.sign_in()
    assert isinstance(came, Answer)
    assert replace(came, reason="", name="") == Answer(401, failed=True) and came.name == name
    assert site.server.sizes() == {"associations": 0, "handshakes": 0}
    assert site.counters == {"sipae_failed": 1}


def test_a_disabled_account() -> None:
    site = Site()
    came = Peer(site, "CORP\\gone", GONE.uri).sign_in()
    assert came == Answer(403, (), "the account is disabled", GONE.uri)
    assert site.server.sizes()["associations"] == 0


def test_a_challenge_is_good_for_one_try() -> None:
    site = Site()
    peer = Peer(site, password="wrong")
    assert isinstance(peer.sign_in(), Answer)
    token = peer.handshake(b"NTLMSSP\0", "REGISTER")
    assert refused(site.judge(token, peer.flow), 401, "no such handshake")


def test_a_handshake_is_not_gone_on_with_by_others() -> None:
    site = Site()
    peer = Peer(site)
    asked = site.judge(peer.handshake(b""), peer.flow)
    assert isinstance(asked, Answer)
    last = peer.handshake(peer.answer(asked))
    assert refused(site.judge(last, flow(2)), 401, "no such handshake")
    assert site.judge(last, peer.flow) is ALICE


def test_opaques_are_not_given_out_twice() -> None:
    site = Site()
    drawn = iter([1, 1, 1, 2])

    class Few(Random):
        def getrandbits(self, k: int) -> int:
            return next(drawn)

    settings = SipaeSettings(wall_offset=WALL - site.now)
    ntlm = NtlmMechanism(site.accounts, TARGETNAME, site.random, settings.wall_offset)
    site.server = SipaeServer([ntlm], settings, site.lockout, Few(), site.counters)
    first, second = signed_in(site), Peer(site, over=flow(2))
    asked = site.judge(second.handshake(b""), second.flow)
    assert isinstance(asked, Answer) and read_params(asked.headers[0])["opaque"] == "00000002"
    assert first.opaque == "00000001" and first.send() is ALICE


def test_a_handshake_takes_its_time_and_no_more() -> None:
    site = Site(SipaeSettings(handshakes=HandshakeLimits(age=60.0)))
    peer = Peer(site)
    asked = site.judge(peer.handshake(b""), peer.flow)
    assert isinstance(asked, Answer)
    last = peer.handshake(peer.answer(asked))
    site.now += 60.0
    assert refused(site.judge(last, peer.flow), 401, "no such handshake")


def test_the_signature_of_the_last_step_counts_from_version_4_on() -> None:
    site = Site()
    peer = Peer(site)
    asked = site.judge(peer.handshake(b""), peer.flow)
    assert isinstance(asked, Answer)
    last = peer.handshake(peer.answer(asked))
    last.lines[1] = last.lines[1].replace(ALICE.uri, BOB.uri)
    reason = "a bad signature in a handshake"
    assert refused(site.judge(last, peer.flow), 401, reason, failed=True)
    assert site.server.sizes()["associations"] == 0 and site.counters["sipae_bad_signature"] == 1
    assert Peer(site).sign_in() is ALICE
    assert not site.lockout.wait("alice", peer.flow.host, site.now)


def test_the_last_step_cannot_be_signed_and_sent_again() -> None:
    site = Site()
    peer = Peer(site)
    asked = site.judge(peer.handshake(b""), peer.flow)
    assert isinstance(asked, Answer)
    last = peer.handshake(peer.answer(asked))
    assert site.judge(last, peer.flow) is ALICE
    assert refused(site.judge(last, peer.flow), 401, "no such handshake")
    at = last.names.index("authorization")
    head, _, rest = last.lines[at].partition('gssapi-data="')
    last.lines[at] = head + rest.partition('", ')[2]  # as a signed request
    assert refused(site.judge(last, peer.flow), 401, "a request that was sent before")


@pytest.mark.parametrize("version", [2, 3, 4])
def test_the_last_step_needs_its_signature_from_version_4_on(version: int) -> None:
    """Else whoever takes it off could alter the rest."""
    site = Site()
    peer = Peer(site, version=version)
    asked = site.judge(peer.handshake(b""), peer.flow)
    assert isinstance(asked, Answer)
    came = site.judge(peer.handshake(peer.answer(asked), signed=False), peer.flow)
    if version < 4:
        assert came is ALICE and peer.send() is ALICE
    else:
        assert refused(came, 401, "a bad signature in a handshake", failed=True)
        assert site.server.sizes() == {"associations": 0, "handshakes": 0}
        assert not site.lockout.wait("alice", peer.flow.host, site.now)


def test_signing_in_anew_takes_the_place_of_the_old() -> None:
    peer = signed_in()
    old = peer.signed()
    assert peer.sign_in() is ALICE
    assert peer.site.server.sizes()["associations"] == 1
    assert refused(peer.site.judge(old, peer.flow), 407, "no such security association")
    assert peer.send() is ALICE


@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
def test_no_handshake_in_what_cannot_be_sent_again(method: str) -> None:
    site = Site()
    peer = Peer(site)
    assert refused(site.judge(peer.handshake(b"", method), peer.flow), 407, f"a handshake in {method}")
    assert site.server.sizes()["handshakes"] == 0


@pytest.mark.parametrize(("instance", "good"), [(INSTANCE, True), (INSTANCE.replace("5a0d", "5a0e"), False)])
def test_instance_and_epid_have_to_agree(instance: str, good: bool) -> None:
    site = Site()
    peer = Peer(site)
    contact = f'Contact: <sip:1@h>;+sip.instance="<urn:uuid:{instance}>"'
    came = site.judge(peer.handshake(b"", "REGISTER", contact), peer.flow)
    assert isinstance(came, Answer)
    assert came.status == 401 if good else came == Answer(400, (), "+sip.instance is not made from epid")


@pytest.mark.parametrize(
    ("credentials", "reason"),
    [
        ('gssapi-data="="', "gssapi-data is not Base64"),
        ('gssapi-data="", version=1', "version of the authentication protocol is not a number from 2 on"),
        ('gssapi-data="", response="00"', "a signature without crand and cnum"),
        ('response="00"', "a signature without crand and cnum"),
        ('crand="a", cnum="1", response="xx"', "response is not hexadecimal"),
        ('realm="x"', "authentication parameters that are there twice or cannot be read"),
    ],
)
def test_malformed(credentials: str, reason: str) -> None:
    site = Site()
    peer = Peer(site)
    line = f'Authorization: NTLM realm="SIP Communications Service", targetname="{TARGETNAME}", {credentials}'
    assert site.judge(peer.request("REGISTER", line), peer.flow) == Answer(400, (), reason)


@pytest.mark.parametrize("what", ['realm="x"', 'targetname="x"'])
def test_credentials_for_somebody_else(what: str) -> None:
    peer = signed_in()
    signed = peer.signed()
    name = what.partition("=")[0]
    params = read_params(signed.lines[-1])
    signed.lines[-1] = signed.lines[-1].replace(f'{name}="{params[name]}"', what)
    came = peer.site.judge(signed, peer.flow)
    assert refused(came, 407, "credentials for another realm or targetname")


HEADER = st.characters(codec="latin-1", exclude_characters="\r\n\0")
PARAMS = ("opaque", "gssapi-data", "version", "crand", "cnum", "response", "qop")


@given(
    st.dictionaries(st.sampled_from(PARAMS), st.text(HEADER, max_size=20) | st.integers(0, 9999).map(str)),
    st.text(HEADER, max_size=40),
    st.sampled_from(["From", "Contact", "Date", "Expires", "P-Asserted-Identity", "X"]),
    st.text(HEADER, max_size=60),
    st.booleans(),
)
def test_nothing_on_the_wire_raises(params: dict[str, str], tail: str, name: str, value: str, known: bool) -> None:
    site = Site()
    peer = signed_in(site) if known else Peer(site)
    if known:
        params = {"opaque": peer.opaque, **params}
    told = ", ".join(f'{each}="{text}"' for each, text in params.items())
    ours = f'realm="SIP Communications Service", targetname="{TARGETNAME}"'
    request = peer.request("REGISTER", f"Authorization: NTLM {ours}, {told}{tail}")
    request.lines.insert(1, f"{name}: {value}")
    request.names.insert(1, name.lower())
    request.reindex()
    assert isinstance(site.judge(request, peer.flow), Answer)
    assert not known or peer.send() is ALICE


# lockout


def test_locked_out_before_the_password_is_looked_at() -> None:
    slow = LockoutSettings(Limits(free=0, most=1), Limits(free=50, most=100))
    site = Site(lockout=slow)
    assert isinstance(Peer(site, password="wrong").sign_in(), Answer)
    for name in ("CORP\\alice", "alice", "ALICE@corp.contoso.com"):
        assert Peer(site, name).sign_in() == Answer(403, ("Retry-After: 300",), "too many failed sign-ins", name)
    site.now += 301.0
    assert Peer(site).sign_in() is ALICE


def test_an_unknown_user_is_locked_out_as_any_other() -> None:
    site = Site(lockout=LockoutSettings(Limits(free=0, most=1), Limits(free=50, most=100)))
    assert isinstance(Peer(site, "CORP\\Mallory").sign_in(), Answer)
    came = Peer(site, "corp\\mallory").sign_in()
    assert came == Answer(403, ("Retry-After: 300",), "too many failed sign-ins", "corp\\mallory")


def test_a_source_that_has_signed_in_is_not_kept_out_by_others() -> None:
    site = Site(lockout=LockoutSettings(Limits(free=0, most=1), Limits(free=50, most=100)))
    signed_in(site)
    assert isinstance(Peer(site, password="wrong", over=flow(2, "192.0.2.66")).sign_in(), Answer)
    assert signed_in(site, over=flow(3)).send() is ALICE


def test_garbage_guesses_nothing() -> None:
    site = Site(lockout=LockoutSettings(Limits(free=0, most=1), Limits(free=0, most=1)))
    peer = Peer(site)
    asked = site.judge(peer.handshake(b""), peer.flow)
    assert isinstance(asked, Answer)
    peer.answer(asked)
    peer.session = None
    came = site.judge(peer.handshake(b"garbage"), peer.flow)
    assert refused(came, 401, "not an NTLM message", failed=True)
    assert Peer(site).sign_in() is ALICE


# clocks


def date(off: float) -> str:
    return f"Date: {formatdate(WALL + off, usegmt=True)}"


@pytest.mark.parametrize(("off", "skewed"), [(-901, True), (-899, False), (0, False), (899, False), (901, True)])
def test_date_may_not_be_far_off(off: float, skewed: bool) -> None:
    peer = signed_in()
    expected = Answer(403, (), "Date of the client is too far off", skewed=True) if skewed else ALICE
    assert peer.send("INFO", date(off)) == expected
    came = peer.site.judge(peer.handshake(b"", "REGISTER", date(off)), peer.flow)
    assert came == expected if skewed else isinstance(came, Answer)


@pytest.mark.parametrize("text", ["", "yesterday", "Sun, 99 Nov 2026 99:99:99 GMT", "Sun, 22 Nov 999999 22:07:50 GMT"])
def test_a_date_that_cannot_be_read_says_nothing(text: str) -> None:
    assert isinstance(signed_in().send("INFO", f"Date: {text}"), Account | Answer)


@pytest.mark.parametrize(("off", "skewed"), [(-901.0, True), (-899.0, False), (899.0, False), (901.0, True)])
def test_a_skewed_client_is_told_so(off: float, skewed: bool) -> None:
    site = Site()
    peer = Peer(site)
    peer.clock_off = off
    came = peer.sign_in()
    if skewed:
        reason = f"the clock of the client is {off:+.0f} s off"
        assert came == Answer(403, (), reason, "CORP\\alice", failed=True, skewed=True)
        assert not site.lockout.sizes()["account"]
    else:
        assert came is ALICE


# Kerberos, as far as it is not NTLM


class OneStep:
    """A mechanism that is done with one token of the peer and answers with one."""

    scheme, targetname = "Kerberos", "sip/" + TARGETNAME

    def __init__(self, outcome: Claim | Continue | Failed | Proven) -> None:
        self.outcome = outcome

    def begin(self) -> "OneStep":
        return self

    def holds(self, name: str, account: Account) -> bool:
        return True

    def step(self, token: bytes, now: float) -> Claim | Continue | Failed | Proven:
        return self.outcome


class Echo:
    def sign(self, data: bytes) -> bytes:
        return data[:4]

    def verify(self, data: bytes, signature: bytes) -> bool:
        return signature == data[:4]


def one_step(outcome: Claim | Continue | Failed | Proven) -> tuple[SipaeServer, Came, Site]:
    site = Site()
    server = SipaeServer([OneStep(outcome)], SipaeSettings(), site.lockout, Random(1), site.counters)
    line = (
        'Authorization: Kerberos qop="auth", realm="SIP Communications Service", '
        f'targetname="sip/{TARGETNAME}", gssapi-data="YQ==", version=4'
    )
    return server, server.judge(Peer(site).request("REGISTER", line), flow(), 5.0), site


def test_a_ticket_proves_at_once_and_is_answered_with_the_first_signature() -> None:
    server, came, site = one_step(Proven("alice@CORP", ALICE, Echo(), b"mutual"))
    assert came is ALICE and server.sizes()["associations"] == 1
    first, second = (response_to(Peer(site).request("REGISTER"), 200) for _ in range(2))
    server.sign(first, flow())
    server.sign(second, flow())
    told = read_params(first.lines[-1])
    assert first.lines[-1].startswith("Authentication-Info: Kerberos ") and told["targetname"] == f"sip/{TARGETNAME}"
    assert told["gssapi-data"] == "bXV0dWFs" and "gssapi-data" not in read_params(second.lines[-1])
    assert bytes.fromhex(told["rspauth"]) == b"<Ker" and len(told["opaque"]) == 8


def test_who_needs_our_token_first_signs_afterwards() -> None:
    server, came, _ = one_step(Proven("alice@CORP", ALICE, Echo()))
    assert refused(came, 401, "a bad signature in a handshake", failed=True) and not server.sizes()["associations"]


def test_a_ticket_that_is_refused() -> None:
    _, came, site = one_step(Failed("no such key", "alice@CORP", guessed=False))
    assert came == Answer(401, (), "no such key", "alice@CORP", failed=True)
    assert not site.lockout.sizes()["account"]
    _, came, site = one_step(Failed("a guess", "alice@CORP"))
    assert came == Answer(401, (), "a guess", "alice@CORP", failed=True) and site.lockout.sizes()["account"] == 1
    _, came, site = one_step(Failed("too far off", "alice@CORP", guessed=False, skewed=True))
    assert came == Answer(403, (), "too far off", "alice@CORP", failed=True, skewed=True)


def test_both_are_offered_in_order() -> None:
    site = Site()
    ntlm = NtlmMechanism(site.accounts, TARGETNAME, site.random, 0.0)
    kerberos = OneStep(Failed(""))
    server = SipaeServer([kerberos, ntlm], SipaeSettings(), site.lockout, site.random, site.counters)
    assert [line.split()[1] for line in server.challenges(401, 0.0)] == ["Kerberos", "NTLM"]

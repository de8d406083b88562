"""Tickets of a real KDC, from our client's side straight to our server's."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sipgw.auth.accounts import Account, AccountTable
from sipgw.auth.answer import Answer
from sipgw.auth.kerberos_mechanism import KerberosMechanism
from sipgw.auth.lockout import Lockout, LockoutSettings
from sipgw.auth.mechanism import Failed, Proven
from sipgw.auth.sipae_client import SignInError, SipaeClient
from sipgw.auth.sipae_server import SipaeServer, SipaeSettings
from sipgw.config import Config, load_config
from sipgw.events import Flow
from sipgw.message import Request, parse_message
from sipgw.message.build import new_request, response_to
from sipgw.server.kerberos import AcceptedContext, gateway_credentials
from sipgw.server.kerberos_client import begin
from tests.e2e.kerberos.kdc import FQDN, REALM, Realm, clock_off, realm, trust
from tests.e2e.kerberos.site import MARKS, enter, set_up
from tests.e2e.programs import ROOT

pytestmark = MARKS
SERVICE = f"sip/{FQDN}"
ALICE = Account("sip:alice@contoso.com", ("alice", f"alice@{REALM.lower()}"))
SPNEGO = "1.3.6.1.5.5.2"
# The first token of whoever runs it, in hexadecimal: in a program of its own, for a clock of its own.
TOKEN = """
import sys
from tests.e2e.kerberos.test_tickets import context, flags_of
print(context(flags=flags_of(sys.argv[1])).step().hex())
"""
# How much a client asks for. With "mutual" GSSAPI has something to send back when it refuses, and tells of it later.
ASKED = ("integrity", "integrity mutual_authentication")


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    with realm(tmp_path_factory.mktemp("realm")) as here:
        here.ticket("alice")
        yield here


@pytest.fixture
def here(centre: Realm, monkeypatch: pytest.MonkeyPatch) -> Realm:
    """The realm, with us as alice."""
    enter(monkeypatch, alice(centre))
    return centre


def alice(here: Realm) -> dict[str, str]:
    return {**here.environment, "KRB5CCNAME": f"FILE:{here.folder}/alice.tickets"}


@pytest.fixture
def config(tmp_path: Path, here: Realm) -> Config:
    return load_config(set_up(tmp_path, here.keytab))


def mechanism(config: Config) -> KerberosMechanism:
    """As the gateway sets it up."""
    key = gateway_credentials(config)
    return KerberosMechanism(AccountTable([ALICE]), config.gateway.fqdn, lambda: AcceptedContext(key))


def proven(config: Config, token: bytes) -> Proven:
    outcome = mechanism(config).begin().step(token, 0.0)
    assert isinstance(outcome, Proven), outcome
    return outcome


def failed(config: Config, token: bytes) -> Failed:
    outcome = mechanism(config).begin().step(token, 0.0)
    assert isinstance(outcome, Failed), outcome
    assert not outcome.guessed
    return outcome


def flags_of(asked: str) -> Any:
    import gssapi

    return [getattr(gssapi.RequirementFlag, name) for name in asked.split()]


def token_of(environment: Mapping[str, str], clock: str = "", asked: str = ASKED[0]) -> bytes:
    """A client's first token by another clock."""
    own = {**environment, "PYTHONPATH": str(ROOT), **(clock_off(clock) if clock else {})}
    done = subprocess.run([sys.executable, "-c", TOKEN, asked], env=own, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return bytes.fromhex(done.stdout)


def context(**options: Any) -> Any:
    """A client's context that is not as ours is."""
    import gssapi

    name = gssapi.Name(options.pop("service", SERVICE), gssapi.NameType.kerberos_principal)
    return gssapi.SecurityContext(name=name, usage="initiate", **options)


def test_a_ticket_signs_in_and_both_sides_sign(config: Config) -> None:
    client = begin(SERVICE)
    server = proven(config, client.step(b"", 0.0))
    assert (server.account, server.name, server.token) == (ALICE, f"alice@{REALM}", b"")
    assert client.session is not None
    for signer, verifier in ((client.session, server.session), (server.session, client.session)):
        signature = signer.sign(b"some text")
        assert verifier.verify(b"some text", signature)
        assert not verifier.verify(b"some texT", signature)
        assert not signer.verify(b"some text", signature), "reflected"
        for changed in [signature[:-1], signature + b"\0", b"", b"\xff" * len(signature), *flipped(signature)]:
            assert not verifier.verify(b"some text", changed)
        assert verifier.verify(b"some text", signature)


def flipped(signature: bytes) -> Iterator[bytes]:
    """With one bit changed in each byte."""
    for index, byte in enumerate(signature):
        yield signature[:index] + bytes([byte ^ 1]) + signature[index + 1 :]


def test_what_a_ticket_proves_ends_with_it(tmp_path: Path, centre: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    """And with what clocks may differ by."""
    centre.ticket("alice", "-l", "1h")
    enter(monkeypatch, alice(centre))
    try:
        lasts = proven(load_config(set_up(tmp_path, centre.keytab)), begin(SERVICE).step(b"", 0.0)).lasts
    finally:
        centre.ticket("alice")
    assert lasts is not None and 3000 < lasts <= 3600 + 300


OVER = Flow("TCP", "127.0.0.1", 6000, None, 1)
ALTERED = {
    "Call-ID": ("Call-ID: c", "Call-ID: d"),
    "CSeq": ("CSeq: 2 INFO", "CSeq: 3 INFO"),
    "method": ("INFO sip:", "BYE sip:"),
    "From URI": ("<sip:alice@contoso.com>;tag=1", "<sip:boss@contoso.com>;tag=1"),
    "From tag": (";tag=1", ";tag=3"),
    "To URI": ("<sip:pool@", "<sip:poll@"),
    "To tag": (";tag=2", ";tag=3"),
    "identity": ("Identity: <sip:alice@", "Identity: <sip:boss@"),
    "Expires": ("Expires: 600", "Expires: 0"),
    "crand": ('crand="', 'crand="0'),
    "cnum": ('cnum="2"', 'cnum="3"'),
    "response": ('response="04', 'response="05'),
    "a short response": ('response="04', 'response="'),
    "realm": ("Communications Service", "Communications service"),
    "targetname": (f'targetname="{SERVICE}"', f'targetname="{SERVICE.upper()}"'),
    "scheme": ("Authorization: Kerberos", "Authorization: NTLM"),
}


def whole(method: str, cseq: int, to: str = "<sip:pool@contoso.com>;tag=2") -> Request:
    lines = ["Via: SIP/2.0/TCP a;branch=z9hG4bKx", "From: <sip:alice@contoso.com>;tag=1", f"To: {to}", "Call-ID: c"]
    lines += [f"CSeq: {cseq} {method}", "P-Asserted-Identity: <sip:alice@contoso.com>", "Expires: 600"]
    return new_request(method, "sip:contoso.com", lines)


def test_whole_messages_and_none_that_was_altered(config: Config) -> None:
    """As tests/auth/test_sipae_tampered.py has it for NTLM, with the signatures that GSSAPI makes; both ways."""
    counters = Counter[str]()
    lockout = Lockout(LockoutSettings(), counters)
    server = SipaeServer([mechanism(config)], SipaeSettings(), lockout, Random(1), counters)
    client = SipaeClient({"kerberos": begin}, Random(2))
    carrier = whole("REGISTER", 1, "<sip:alice@contoso.com>")
    client.challenged(carrier, server.challenges(401, 0.0)[0].partition(": ")[2], 401, 0.0)
    client.seal(carrier)
    bare = parse_message(re.sub(rb', crand="[^\r]*', b"", carrier.encode()))
    assert isinstance(bare, Request) and isinstance(server.judge(bare, OVER, 0.0), Answer), (
        "the last step is signed too"
    )
    client = SipaeClient({"kerberos": begin}, Random(2))
    carrier = whole("REGISTER", 1, "<sip:alice@contoso.com>")  # a ticket's request is good once
    client.challenged(carrier, server.challenges(401, 0.0)[0].partition(": ")[2], 401, 0.0)
    client.seal(carrier)
    assert server.judge(carrier, OVER, 0.0) is ALICE
    told = response_to(carrier, 200)
    server.sign(told, OVER)
    assert "authentication-info" in told.index and not client.check(told, 0.0)
    client.settled(carrier)
    request = whole("INFO", 2)
    client.seal(request)
    text = request.encode().decode()
    for what, (old, new) in ALTERED.items():
        assert text.count(old) == 1, what
        altered = parse_message(text.replace(old, new).encode())
        assert isinstance(altered, Request)
        assert not isinstance(server.judge(altered, OVER, 0.0), Account), what
    assert server.judge(request, OVER, 0.0) is ALICE
    assert isinstance(server.judge(request, OVER, 0.0), Answer), "once"
    down = whole("INFO", 7, "<sip:alice@contoso.com>;tag=1")
    server.sign(down, OVER)
    assert not client.check(down, 0.0)
    bent = parse_message(down.encode().replace(b"Call-ID: c", b"Call-ID: d"))
    assert isinstance(bent, Request) and client.check(bent, 0.0) == "wrongly signed"


def test_signatures_are_good_in_any_order(config: Config) -> None:
    """Which of them are new is for cnum to say: a message that was lost on its way must not end it all."""
    import gssapi

    flag = gssapi.RequirementFlag
    client = context(flags=flag.integrity | flag.out_of_sequence_detection | flag.replay_detection)
    server = proven(config, client.step()).session
    texts = [b"%d" % number for number in range(5)]
    signed = [(text, client.get_signature(text)) for text in texts]
    for text, signature in (*signed[::-1], *signed):
        assert server.verify(text, signature)
        assert not server.verify(text + b"x", signature)


def test_a_client_that_wants_us_to_prove_ourselves(config: Config) -> None:
    client = context(flags=flags_of("integrity mutual_authentication"))
    server = proven(config, client.step())
    assert server.token and not client.complete
    client.step(server.token)
    assert server.session.verify(b"text", client.get_signature(b"text"))
    assert client.verify_signature(b"text", server.session.sign(b"text")) is not None


@pytest.mark.parametrize("asked", ASKED)
def test_a_ticket_is_good_once(config: Config, asked: str) -> None:
    """Before version 4 nothing else keeps whoever has overheard it from sending it again."""
    token = context(flags=flags_of(asked)).step()
    gateway = mechanism(config)
    assert isinstance(gateway.begin().step(token, 0.0), Proven)
    assert gateway.begin().step(token, 0.0) == Failed("Request is a replay", guessed=False)
    assert failed(config, token).reason == "Request is a replay", "as when the gateway was started again"
    assert Path(f"{config.store.path}.tickets").exists(), "not where a restart of the machine or of its unit empties it"


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize(
    ("centre_clock", "clock", "reason", "skewed"),
    [
        ("-2h", "-2h", "Ticket expired", False),
        ("+2h", "+2h", "Ticket not yet valid", True),
        ("", "+10m", "Clock skew too great", True),
    ],
)
def test_times(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    centre_clock: str,
    clock: str,
    reason: str,
    skewed: bool,
    asked: str,
) -> None:
    with realm(tmp_path / "realm", clock=centre_clock) as elsewhere:
        tickets = elsewhere.ticket("alice")
        elsewhere.run("kvno", SERVICE, environment=tickets)  # which the centre gives by its own clock alone
        enter(monkeypatch, tickets)
        outcome = failed(load_config(set_up(tmp_path, elsewhere.keytab)), token_of(tickets, clock, asked))
    assert (outcome.reason, outcome.skewed) == (reason, skewed)


def test_a_client_whose_ticket_has_expired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with realm(tmp_path / "realm", clock="-2h") as elsewhere:
        enter(monkeypatch, elsewhere.ticket("alice"))
        with pytest.raises(SignInError, match=r"^no Kerberos ticket: Ticket expired$"):
            begin(SERVICE).step(b"", 0.0)


def test_a_service_that_nobody_knows(here: Realm) -> None:
    with pytest.raises(SignInError, match=r"sip/other\.contoso\.com@.* not found in Kerberos database"):
        begin("sip/other.contoso.com").step(b"", 0.0)


def test_a_ticket_for_another_service_of_this_machine(config: Config) -> None:
    told = failed(config, begin(f"HTTP/{FQDN}").step(b"", 0.0)).reason
    assert told == f"the ticket is for HTTP/{FQDN}@{REALM}, not for {SERVICE}"


def test_nothing_but_kerberos(config: Config) -> None:
    """Other mechanisms of the machine's GSSAPI could name users by other means than tickets."""
    import gssapi

    told = failed(config, context(mech=gssapi.OID.from_int_seq(SPNEGO)).step())
    assert not told.name and "credentials" in told.reason


@pytest.mark.parametrize("token", [b"junk", b"NTLMSSP\0\1\0\0\0" + bytes(32), b"\x60", bytes(1000)])
def test_what_is_no_ticket(config: Config, token: bytes) -> None:
    assert "Unknown error" not in failed(config, token).reason


@pytest.mark.parametrize("asked", ASKED)
def test_half_a_ticket_and_altered_ones(config: Config, asked: str) -> None:
    """Whatever a stranger makes of one: a refusal, and no error that goes further. What stands outside of what is
    encrypted proves nothing, and changes nobody's name."""
    token = context(flags=flags_of(asked)).step()
    gateway = mechanism(config)
    for length in range(1, len(token), 37):
        assert isinstance(gateway.begin().step(token[:length], 0.0), Failed)
    for index in range(0, len(token), 3):
        altered = token[:index] + bytes([token[index] ^ 0x55]) + token[index + 1 :]
        outcome = gateway.begin().step(altered, 0.0)
        assert isinstance(outcome, Failed) or outcome.account is ALICE
    assert isinstance(gateway.begin().step(token[:-20] + bytes(20), 0.0), Failed)


def test_a_key_that_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tickets for the new key, and old ones, are good as soon as it is in the keytab."""
    with realm(tmp_path / "realm") as elsewhere:
        old = elsewhere.ticket("alice")
        before = token_of(old)
        enter(monkeypatch, old)
        gateway = mechanism(load_config(set_up(tmp_path, elsewhere.keytab)))
        elsewhere.admin("cpw", "-randkey", SERVICE)
        new = elsewhere.ticket("alice")
        outcome = gateway.begin().step(token_of(new), 0.0)
        assert isinstance(outcome, Failed) and "keytab is likely out of date" in outcome.reason
        elsewhere.add_key(SERVICE)
        for token in (before, token_of(elsewhere.ticket("alice"))):
            assert isinstance(gateway.begin().step(token, 0.0), Proven)


def test_a_host_name_as_windows_writes_it(tmp_path: Path, here: Realm) -> None:
    keytab = tmp_path / "upper.keytab"
    keytab.write_bytes(here.keytab.read_bytes().replace(FQDN.encode(), FQDN.upper().encode()))
    proven(load_config(set_up(tmp_path, keytab)), begin(SERVICE).step(b"", 0.0))


def test_somebody_of_a_realm_that_ours_trusts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        both = stack.enter_context(trust(tmp_path))
        tickets = both.foreign.ticket("alice")
        enter(monkeypatch, tickets)
        outcome = failed(load_config(set_up(tmp_path, both.local.keytab)), begin(f"{SERVICE}@{REALM}").step(b"", 0.0))
    assert outcome == Failed("no account has this principal among its names", "alice@EVIL.TEST", guessed=False)

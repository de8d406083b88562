"""Kerberos as the gate sees it: whoever reads tickets is the shell's affair, whose account it is ours."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from sipgw.auth.accounts import Account, AccountTable
from sipgw.auth.answer import Answer
from sipgw.auth.kerberos_mechanism import KerberosMechanism, Refusal
from sipgw.auth.lockout import Lockout, LockoutSettings
from sipgw.auth.mechanism import Failed, Proven
from sipgw.auth.sipae_server import SipaeServer, SipaeSettings
from sipgw.events import Flow, Listener
from sipgw.message.build import new_request

ALICE = Account("sip:alice@contoso.com", ("alice", "alice@CORP.CONTOSO.COM"))
LISTENER = Listener("TCP", "127.0.0.1", 5060, "127.0.0.1:5060")


class Reader:
    """Takes any token whose text is a principal for a ticket."""

    def accept(self, token: bytes) -> tuple[str, bytes, float]:
        if token.startswith(b"!"):
            raise Refusal(token[1:].decode(), skewed=b"skew" in token)
        return token.decode(), b"reply", 3600.0

    def sign(self, data: bytes) -> bytes:
        return b"signed"

    def verify(self, data: bytes, signature: bytes) -> bool:
        return signature == b"signed"


def mechanism() -> KerberosMechanism:
    return KerberosMechanism(AccountTable([ALICE]), "sipgw.contoso.com", Reader)


@pytest.mark.parametrize("principal", ["alice@CORP.CONTOSO.COM", "Alice@corp.contoso.com"])
def test_a_ticket_proves_who_has_the_principal_for_a_name(principal: str) -> None:
    proven = mechanism().begin().step(principal.encode(), 0.0)
    assert isinstance(proven, Proven)
    assert (proven.account, proven.name, proven.token, proven.lasts) == (ALICE, principal, b"reply", 3600.0)


CHANGED = {
    "nothing": ([ALICE], True),
    "a password": ([replace(ALICE, nt_hash=b"x" * 16)], True),
    "disabled": ([replace(ALICE, enabled=False)], False),
    "gone": ([], False),
    "another's name": ([replace(ALICE, names=("alice",)), Account("sip:x@contoso.com", (ALICE.names[1],))], False),
    "of a domain of that name": ([replace(ALICE, names=("alice", "sip:alice@corp.contoso.com"))], False),
    "of two": ([ALICE, Account("sip:x@contoso.com", (ALICE.names[1],))], False),
}


@pytest.mark.parametrize("change", CHANGED)
def test_what_was_proved_holds_as_long_as_it_would_be_today(change: str) -> None:
    accounts, good = CHANGED[change]
    there = KerberosMechanism(AccountTable(accounts), "sipgw.contoso.com", Reader)
    assert there.holds("alice@CORP.CONTOSO.COM", ALICE) is good


@pytest.mark.parametrize("principal", ["alice@EVIL.TEST", "bob@CORP.CONTOSO.COM", "alice/admin@CORP.CONTOSO.COM"])
def test_another_realm_or_instance_is_somebody_else(principal: str) -> None:
    failed = mechanism().begin().step(principal.encode(), 0.0)
    assert failed == Failed("no account has this principal among its names", principal, guessed=False)


@pytest.mark.parametrize("principal", ["alice@CONTOSO.COM", "sip:alice.w@CONTOSO.COM"])
def test_a_sip_address_is_no_principal(principal: str) -> None:
    """A realm that ours trusts may be called like the SIP domain, and have an alice of its own."""
    account = Account("sip:alice@contoso.com", (*ALICE.names, "sip:alice.w@contoso.com"))
    accounts = AccountTable([account])
    assert accounts.find(principal) is account, "which is right for other schemes"
    outcome = KerberosMechanism(accounts, "sipgw.contoso.com", Reader).begin().step(principal.encode(), 0.0)
    assert outcome == Failed("no account has this principal among its names", principal, guessed=False)


def test_a_letter_that_only_looks_the_same_is_another() -> None:
    ken = Account("sip:ken@contoso.com", ("ken@corp.contoso.com",))
    begin = KerberosMechanism(AccountTable([ken]), "sipgw.contoso.com", Reader).begin
    assert isinstance(begin().step(b"KEN@CORP.CONTOSO.COM", 0.0), Proven)
    assert isinstance(begin().step("\N{KELVIN SIGN}en@CORP.CONTOSO.COM".encode(), 0.0), Failed)


def test_what_is_refused_is_no_guess() -> None:
    begin = mechanism().begin
    assert begin().step(b"", 0.0) == Failed("a Kerberos sign-in without a ticket", guessed=False)
    assert begin().step(b"!Ticket expired", 0.0) == Failed("Ticket expired", guessed=False)
    assert begin().step(b"!Clock skew too great", 0.0) == Failed("Clock skew too great", guessed=False, skewed=True)


def server() -> SipaeServer:
    counters: Counter[str] = Counter()
    lockout = Lockout(LockoutSettings(), counters)
    return SipaeServer([mechanism()], SipaeSettings(), lockout, Random(1), counters)


def judge(token: str) -> Account | Answer | None:
    told = 'Kerberos qop="auth", realm="SIP Communications Service", targetname="sip/sipgw.contoso.com", version=4'
    lines = ["Via: SIP/2.0/TCP a;branch=z9hG4bKx", "From: <sip:alice@contoso.com>;tag=1", "To: <sip:alice@contoso.com>"]
    lines += ["Call-ID: c", "CSeq: 1 REGISTER", f'Authorization: {told}, gssapi-data="{token}"']
    request = new_request("REGISTER", "sip:contoso.com", lines)
    return server().judge(request, Flow("TCP", "127.0.0.1", 6000, LISTENER, 1), 0.0)


def test_its_challenge_names_the_service() -> None:
    (line,) = server().challenges(401, 0.0)
    assert line.startswith("WWW-Authenticate: Kerberos ") and 'targetname="sip/sipgw.contoso.com"' in line


def test_one_request_signs_in() -> None:
    assert judge("YWxpY2VAQ09SUC5DT05UT1NPLkNPTQ==") is ALICE


def test_a_clock_that_is_off_is_told() -> None:
    refused = judge("IUNsb2NrIHNrZXcgdG9vIGdyZWF0")
    assert isinstance(refused, Answer) and refused.status == 403 and refused.skewed

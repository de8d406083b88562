"""Requests at the gate: challenged, let in, slowed, told why."""

from collections import Counter
from random import Random

import pytest

from sipgw.auth.accounts import Account, AccountTable
from sipgw.auth.answer import Answer
from sipgw.auth.digest_client import DigestClient
from sipgw.auth.digest_gate import DigestGate
from sipgw.auth.digest_server import DigestServer, DigestSettings
from sipgw.auth.lockout import Lockout, LockoutSettings
from sipgw.auth.password import ha1_of
from sipgw.message.build import new_request, response_to
from sipgw.message.message import Request

REALM, PASSWORD, HERE = "contoso.com", "secret", "192.0.2.7"
ALICE = Account("sip:alice@contoso.com", ("alice", "CORP\\alice"), ha1=ha1_of("alice", REALM, PASSWORD))
GONE = Account("sip:gone@contoso.com", ("gone",), ha1=ha1_of("gone", REALM, PASSWORD), enabled=False)


class Site:
    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        server = DigestServer(DigestSettings(REALM), AccountTable([ALICE, GONE]), Random(1), self.counters)
        self.gate = DigestGate(server, Lockout(LockoutSettings(), self.counters))
        self.now = 50.0

    def send(self, client: DigestClient, method: str = "REGISTER", source: str = HERE) -> Account | Answer:
        return self.gate.judge(request(method, client.credentials(method, "sip:contoso.com")), source, self.now)

    def sign_in(self, client: DigestClient, method: str = "REGISTER", source: str = HERE) -> Account | Answer:
        """What comes of a request, sent again as long as the client can do something about the answer."""
        while True:
            came = self.send(client, method, source)
            if not isinstance(came, Answer) or came.status not in (401, 407):
                return came
            if not client.challenged(response_to(request(method), came.status, headers=came.headers)):
                return came


def request(method: str, headers: list[str] | None = None) -> Request:
    lines = ["Via: SIP/2.0/UDP a;branch=z9hG4bKx", "From: <sip:a@b>;tag=1", "To: <sip:a@b>", "Call-ID: c", "CSeq: 1 X"]
    return new_request(method, "sip:contoso.com", [*lines, *(headers or [])])


def client(name: str = "alice", password: str = PASSWORD) -> DigestClient:
    return DigestClient(name, password, Random(2))


@pytest.mark.parametrize(("method", "status"), [("REGISTER", 401), ("INVITE", 407), ("BYE", 407), ("INFO", 407)])
def test_asked_and_let_in(method: str, status: int) -> None:
    site, alice = Site(), client()
    asked = site.send(alice, method)
    assert isinstance(asked, Answer) and asked.status == status and not asked.failed
    assert [line.partition(":")[0] for line in asked.headers] == [
        "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    ] * 2
    assert site.sign_in(alice, method) is ALICE
    assert site.send(alice, method) is ALICE  # with the same nonce


def test_the_answer_tells_no_difference() -> None:
    def shape(name: str) -> list[tuple[int, int, bool]]:
        site, tries = Site(), []
        for _ in range(14):
            came = site.sign_in(client(name, "wrong"))
            assert isinstance(came, Answer)
            tries.append((came.status, len(came.headers), came.failed))
            site.now += 0.5
        return tries

    assert shape("alice") == shape("nobody") == shape("gone")
    assert shape("alice")[-1] == (403, 1, False)


def test_all_names_of_an_account_count_together() -> None:
    site = Site()
    for name in ("alice", "CORP\\alice", "sip:alice@contoso.com", "ALICE"):
        site.sign_in(client(name, "wrong"))
    came = site.sign_in(client("alice@contoso.com", "wrong"))
    assert isinstance(came, Answer)
    assert (came.status, came.headers, came.reason) == (403, ("Retry-After: 1",), "too many failed sign-ins")
    assert site.counters["refused_lockout"] == 1


def test_the_right_password_waits_as_well_and_then_does() -> None:
    site = Site()
    for _ in range(4):
        site.sign_in(client(password="wrong"))
    assert isinstance(site.sign_in(client()), Answer)
    site.now += 1.0
    assert site.sign_in(client()) is ALICE


def test_who_was_here_before_is_not_kept_out_by_others() -> None:
    site = Site()
    assert site.sign_in(client()) is ALICE
    for at in range(30):
        site.sign_in(client(password="wrong"), source=f"198.51.100.{at}")
    assert site.sign_in(client()) is ALICE
    assert isinstance(site.sign_in(client(), source="198.51.100.77"), Answer)


def test_a_disabled_account() -> None:
    came = Site().sign_in(client("gone"))
    assert came == Answer(403, (), "the account is disabled", "gone")


def test_malformed_credentials() -> None:
    came = Site().gate.judge(
        request("REGISTER", ['Authorization: Digest realm="contoso.com", algorithm=SHA-256']), HERE, 1
    )
    assert isinstance(came, Answer)
    assert (came.status, came.headers) == (400, ())
    assert "without username" in came.reason


def test_an_old_nonce_costs_a_round_trip_and_no_sign_in() -> None:
    site, alice = Site(), client()
    assert site.sign_in(alice) is ALICE
    site.now += 1000.0
    asked = site.send(alice)
    assert isinstance(asked, Answer) and not asked.failed
    assert all(line.endswith("stale=true") for line in asked.headers)
    assert alice.challenged(response_to(request("REGISTER"), 401, headers=asked.headers))
    assert site.send(alice) is ALICE

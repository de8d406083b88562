"""Which scheme a client takes, what it makes of Kerberos without a ticket, and what it says of what it cannot do."""

from random import Random

import pytest

from sipgw.auth.login_client import Login, LoginClient, digest_lines, offered
from sipgw.auth.mechanism import Session
from sipgw.auth.ntlm_session import NtlmSession
from sipgw.auth.sipae_client import SignInError, Verdict
from sipgw.events import Hop
from sipgw.message.build import new_request, response_to
from sipgw.message.message import Request, Response

SERVER = Hop("TCP", "192.0.2.1", 5060)
MS = 'targetname="{}fe01.x.test", realm="SIP Communications Service", version=4'
KERBEROS, NTLM = f"Kerberos {MS.format('sip/')}", f"NTLM {MS.format('')}"
DIGEST = 'Digest realm="x.test", nonce="n", qop="auth"'


class Ticket:
    """Kerberos with a ticket; keys are there after `steps`."""

    def __init__(self, targetname: str) -> None:
        self.session: Session | None = None
        self.targetname = targetname

    def step(self, token: bytes, now: float) -> bytes:
        if token:
            self.session = NtlmSession(b"k" * 16, 0x628A8215, client=True)
        return b"AP-REQ"


def no_ticket(targetname: str) -> Ticket:
    raise SignInError(f"there is no ticket for {targetname}")


def register(number: int = 1) -> Request:
    lines = ["Via: SIP/2.0/TCP 192.0.2.9;branch=z9hG4bK1", "From: <sip:a@x.test>;tag=1", "To: <sip:a@x.test>"]
    return new_request("REGISTER", "sip:x.test", [*lines, f"Call-ID: {number}", f"CSeq: {number} REGISTER"])


def asked(request: Request, *offers: str, status: int = 401) -> Response:
    name = {401: "WWW-Authenticate", 407: "Proxy-Authenticate"}[status]
    return response_to(request, status, to_tag="t", headers=[f"{name}: {offer}" for offer in offers])


def login(scheme: str = "", **more: object) -> LoginClient:
    return LoginClient(Login("CORP\\alice", "secret", scheme), Random(1), 0.0, **more)  # type: ignore[arg-type]


def scheme_of(client: LoginClient, request: Request) -> str:
    client.seal(request, SERVER)
    (line,) = request.lines_of("authorization")
    return line.partition(" ")[0]


def again(request: Request) -> Request:
    """What the user agent makes of it: without credentials."""
    pairs = zip(request.lines, request.names, strict=True)
    request.set_lines(request.uri, [pair for pair in pairs if pair[1] != "authorization"])
    return request


@pytest.mark.parametrize(
    ("offers", "taken"),
    [
        ((DIGEST, NTLM, KERBEROS), "Kerberos"),
        ((DIGEST, NTLM), "NTLM"),
        ((DIGEST,), "Digest"),
        (("TLS-DSK x=y", "Basic realm=x", NTLM), "NTLM"),
    ],
)
def test_the_order_of_preference_is_ours(offers: tuple[str, ...], taken: str) -> None:
    client, request = login(kerberos=Ticket), register()
    assert client.challenged(request, asked(request, *offers), 0.0) is Verdict.AGAIN
    assert scheme_of(client, request) == taken


def test_kerberos_is_for_those_who_have_it() -> None:
    client, request = login(), register()
    client.challenged(request, asked(request, KERBEROS, NTLM), 0.0)
    assert scheme_of(client, request) == "NTLM"


def test_without_a_ticket_the_password_is_taken() -> None:
    client, request = login(kerberos=no_ticket), register()
    assert client.challenged(request, asked(request, KERBEROS, NTLM), 0.0) is Verdict.AGAIN
    assert scheme_of(client, request) == "NTLM"


def test_after_a_ticket_that_is_refused_the_password_is_taken() -> None:
    client, request = login(kerberos=Ticket), register()
    client.challenged(request, asked(request, KERBEROS, NTLM), 0.0)
    assert client.challenged(again(request), asked(request, KERBEROS, NTLM), 0.0) is Verdict.AGAIN
    assert scheme_of(client, request) == "NTLM"
    assert client.challenged(again(request), asked(request, KERBEROS, NTLM), 0.0) is Verdict.REFUSED


def test_who_wants_kerberos_gets_that_or_nothing() -> None:
    client, request = login("kerberos", kerberos=no_ticket), register()
    assert client.challenged(request, asked(request, KERBEROS, NTLM), 0.0) is Verdict.REFUSED
    assert client.why == "Kerberos as CORP\\alice: there is no ticket for sip/fe01.x.test"


@pytest.mark.parametrize(
    ("offers", "why"),
    [
        ((KERBEROS, "TLS-DSK x=y"), "the server offers Kerberos and tls-dsk, not anything that this client speaks"),
        ((), "the server offers nothing, not anything that this client speaks"),
    ],
)
def test_nothing_that_could_be_answered(offers: tuple[str, ...], why: str) -> None:
    client, request = login(), register()
    assert client.challenged(request, asked(request, *offers), 0.0) is Verdict.REFUSED
    assert client.why == why


def test_kerberos_that_this_client_does_not_have() -> None:
    client, request = login("kerberos"), register()
    assert client.challenged(request, asked(request, KERBEROS, NTLM), 0.0) is Verdict.REFUSED
    assert client.why == "this client has no Kerberos"


def test_offers_are_named_for_people() -> None:
    assert offered(asked(register(), NTLM, DIGEST, status=407)) == "NTLM and Digest"


def test_digest_for_a_request_that_was_sent_too_early_is_no_wrong_password() -> None:
    client, first, other = login(), register(1), register(2)
    client.challenged(first, asked(first, DIGEST), 0.0)
    assert client.challenged(other, asked(other, DIGEST), 0.0) is Verdict.AGAIN
    client.seal(other, SERVER)
    assert client.challenged(other, asked(other, DIGEST), 0.0) is Verdict.REFUSED
    assert client.why.startswith("Digest as CORP\\alice: refused")


def test_neither_ack_nor_cancel_gets_digest_credentials_of_its_own() -> None:
    client, request = login(), register()
    client.challenged(request, asked(request, DIGEST), 0.0)
    for method in ("ACK", "CANCEL"):
        message = new_request(method, "sip:x.test", [])
        client.seal(message, SERVER)
        assert not digest_lines(message)
    client.seal(request, SERVER)
    assert digest_lines(request) == [f"Authorization: {request.first('authorization')}"]


def test_the_password_does_not_show() -> None:
    assert "secret" not in repr(Login("alice", "secret"))

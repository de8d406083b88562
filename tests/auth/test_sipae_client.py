"""The client's side of [MS-SIPAE]: pidgin-sipe's session once more, the verdicts on challenges, what is not heard."""

from base64 import b64decode
from collections.abc import Callable
from random import Random

import pytest

from sipgw.auth.mechanism import Session
from sipgw.auth.ntlm_client import NtlmInitiator
from sipgw.auth.ntlm_session import NtlmSession
from sipgw.auth.sipae_buffer import signing_buffer
from sipgw.auth.sipae_client import REFUSED, SignInError, SipaeClient, Verdict
from sipgw.auth.sipae_wire import read_params
from sipgw.message.build import new_request, response_to
from sipgw.message.message import Request, Response
from tests.auth.vectors import captured

NOW = 1000.0
REALM = "SIP Communications Service"
OFFER = f'Test targetname="fe01", realm="{REALM}", version=4'
STEP = OFFER + ', opaque="77", gssapi-data="Mg=="'
FLAGS = 0x628A8215


class Replayed(Random):
    """Gives out what the client of the capture drew."""

    def __init__(self, raw: list[bytes], words: list[str]) -> None:
        super().__init__(1)
        self._raw, self._words = raw, words

    def randbytes(self, n: int) -> bytes:
        return self._raw.pop(0)

    def getrandbits(self, k: int) -> int:
        return int(self._words.pop(0), 16)


class Steps:
    """An initiator with keys after so many steps, which fails at "bad"."""

    def __init__(self, needed: int = 2) -> None:
        self.session: Session | None = None
        self.taken: list[bytes] = []
        self._needed = needed

    def step(self, token: bytes, now: float) -> bytes:
        self.taken.append(token)
        if token == b"bad":
            raise SignInError("it went wrong")
        if len(self.taken) == self._needed:
            self.session = NtlmSession(b"k" * 16, FLAGS, client=True)
        return b"token %d" % len(self.taken)


SERVER = NtlmSession(b"k" * 16, FLAGS, client=False)


def client(begin: Callable[[], Steps] = Steps) -> SipaeClient:
    return SipaeClient({"test": lambda _: begin()}, Random(1))


def request(method: str = "REGISTER", number: int = 1) -> Request:
    lines = ["Via: SIP/2.0/TCP 192.0.2.9;branch=z9hG4bK1", "From: <sip:alice@x.test>;tag=1", "To: <sip:bob@x.test>"]
    return new_request(method, "sip:x.test", [*lines, f"Call-ID: {method}-{number}", f"CSeq: {number} {method}"])


def sealed(one: SipaeClient, message: Request | Response) -> str:
    """The credentials that a message is given."""
    one.seal(message)
    lines = message.lines_of("authorization") + message.lines_of("proxy-authorization")
    return lines[-1] if lines else ""


def signed_by_server(message: Request | Response, opaque: str = "77", token: str = "", **changed: str) -> None:
    """Sign as the server does, with what is `changed` afterwards."""
    data = signing_buffer(message, "Test", "aa", "1", REALM, "fe01", 4)
    assert data is not None
    told = {"rspauth": SERVER.sign(data).hex(), "srand": "aa", "snum": "1", "opaque": opaque, **changed}
    if token:
        told["gssapi-data"] = token
    message.lines.append("Authentication-Info: Test " + ", ".join(f'{name}="{value}"' for name, value in told.items()))
    message.names.append("authentication-info")
    message.reindex()


def signed_in(one: SipaeClient) -> None:
    """Through both steps, in a REGISTER that is answered."""
    carrier = request()
    assert one.challenged(carrier, OFFER, 401, NOW) is Verdict.AGAIN
    assert one.challenged(carrier, STEP, 401, NOW) is Verdict.AGAIN
    answer = response_to(carrier, 200)
    signed_by_server(answer)
    assert one.check(answer, NOW) == ""
    one.settled(carrier)


# the capture


def replayed() -> tuple[SipaeClient, list[str]]:
    """Signed in as the client of the capture was, and the parameters of each of its signatures."""
    theirs = [read_params(line) for each in captured.CLIENT for line in each.lines if line.startswith("Authorization")]
    token = next(iter(theirs))["gssapi-data"]
    own = b64decode(token)
    at = own.index(b"\x01\x01" + bytes(6))
    random = Replayed([own[at + 16 : at + 24], captured.SESSION_KEY], [each["crand"] for each in theirs])
    begin = {"ntlm": lambda _: NtlmInitiator(captured.NAME, captured.PASSWORD, random, 0.0)}
    return SipaeClient(begin, random), [each["response"] for each in theirs]


def test_it_signs_as_pidgin_sipe_did_and_takes_what_that_was_sent() -> None:
    """Each message of the client is signed alike, and each of the server's is heard, in their order."""
    one, wanted = replayed()
    carrier = captured.MESSAGES[0].message()
    assert isinstance(carrier, Request)
    offer = f'NTLM targetname="{captured.TARGETNAME}", realm="{REALM}", version=4'
    assert one.challenged(carrier, offer, 401, NOW) is Verdict.AGAIN
    made: list[str] = []
    heard = 0
    for each in captured.MESSAGES[1:]:
        message = each.message()
        if not each.from_client:
            heard += 1
            if isinstance(message, Response) and message.status == 401:
                (challenge,) = message.lines_of("www-authenticate")
                assert one.challenged(carrier, challenge, 401, NOW) is Verdict.AGAIN
            else:
                assert one.check(message, NOW) == ""
        elif each.is_signed:
            if not made:  # in it the handshake ends
                carrier.set_lines(carrier.uri, list(zip(message.lines, message.names, strict=True)))
                message = carrier
            made.append(read_params(sealed(one, message))["response"].upper())
            if message is carrier:
                one.settled(carrier)
    assert made == wanted and len(made) > 20
    assert heard > 20


def test_nothing_of_the_capture_is_heard_when_it_was_changed() -> None:
    one, _ = replayed()
    carrier = request()
    one.challenged(carrier, f'NTLM targetname="{captured.TARGETNAME}", realm="{REALM}", version=4', 401, NOW)
    (challenge,) = captured.MESSAGES[1].message().lines_of("www-authenticate")
    one.challenged(carrier, challenge, 401, NOW)
    for each in captured.SERVER:
        message = each.message()
        assert one.check(message, NOW) == ""
        at = message.names.index("call-id")
        message.lines[at] += "x"
        assert one.check(message, NOW) == "wrongly signed"


# the handshake


def test_the_first_step_says_who_it_is_for_and_is_not_signed() -> None:
    one, carrier = client(), request()
    assert sealed(one, carrier) == ""
    one.challenged(carrier, OFFER, 401, NOW)
    scheme, _, rest = sealed(one, carrier).partition(" ")
    told = {"qop": "auth", "realm": REALM, "targetname": "fe01", "gssapi-data": "dG9rZW4gMQ==", "version": "4"}
    assert (scheme, read_params(rest)) == ("Test", told)


@pytest.mark.parametrize(("version", "signs"), [("4", True), ("5", True), ("3", False), ("2", False)])
def test_the_last_step_is_signed_from_version_4_on(version: str, signs: bool) -> None:
    one, carrier = client(), request()
    one.challenged(carrier, OFFER.replace("=4", f"={version}"), 401, NOW)
    one.challenged(carrier, STEP, 401, NOW)
    told = read_params(sealed(one, carrier))
    assert told["opaque"] == "77"
    assert ("response" in told, told.get("cnum")) == (signs, "1" if signs else None)
    assert told.get("version") == (None if version == "2" else str(min(int(version), 4)))


def test_credentials_are_for_whoever_asked() -> None:
    one, carrier = client(), request("INFO")
    one.challenged(carrier, OFFER, 407, NOW)
    one.seal(carrier)
    assert "proxy-authorization" in carrier.index and "authorization" not in carrier.index


def test_messages_are_counted() -> None:
    one = client()
    signed_in(one)
    ack, answer = request("ACK"), response_to(request("INFO"), 200)
    assert [read_params(sealed(one, message))["cnum"] for message in (ack, answer)] == ["1", "2"]


def test_what_is_challenged_meanwhile_waits_and_then_is_signed() -> None:
    one, carrier, other = client(), request(), request("INFO")
    one.challenged(carrier, OFFER, 401, NOW)
    assert one.challenged(other, OFFER, 407, NOW) is Verdict.LATER
    one.challenged(carrier, STEP, 401, NOW)
    assert one.challenged(other, OFFER, 407, NOW) is Verdict.LATER
    one.settled(carrier)
    assert one.shaking == ""
    assert one.challenged(other, OFFER, 407, NOW) is Verdict.AGAIN
    assert "response" in read_params(sealed(one, other))


def test_a_challenge_to_what_was_signed_begins_anew() -> None:
    made: list[Steps] = []

    def begin() -> Steps:
        made.append(Steps())
        return made[-1]

    one = client(begin)
    signed_in(one)
    info = request("INFO")
    sealed(one, info)
    assert one.challenged(info, OFFER, 407, NOW) is Verdict.AGAIN
    assert len(made) == 2 and one.shaking == "test"


def test_a_second_challenge_instead_of_the_next_step_is_the_end() -> None:
    for steps in (1, 2):
        one, carrier = client(), request()
        for challenge in [OFFER, STEP][:steps]:
            one.challenged(carrier, challenge, 401, NOW)
        assert one.challenged(carrier, OFFER, 401, NOW) is Verdict.REFUSED
        assert one.why == REFUSED
        assert one.shaking == "" and sealed(one, request("INFO")) == ""


def test_after_a_lost_connection_nothing_is_signed() -> None:
    one = client()
    signed_in(one)
    one.connection_lost()
    assert sealed(one, request()) == ""
    assert one.challenged(request(), OFFER, 401, NOW) is Verdict.AGAIN


@pytest.mark.parametrize(
    ("offer", "why"),
    [
        (f'Test realm="{REALM}", version=4', "lacks realm, targetname"),
        ('Test targetname="fe01", version=4', "lacks realm, targetname"),
        (OFFER.replace("=4", "=1"), "lacks realm, targetname"),
        (OFFER.replace("=4", "=x"), "lacks realm, targetname"),
        (OFFER.replace("=4", f"={'9' * 5000}"), "lacks realm, targetname"),
        (OFFER + ', realm="again"', "there twice"),
    ],
)
def test_an_offer_that_cannot_be_taken(offer: str, why: str) -> None:
    one = client()
    assert one.challenged(request(), offer, 401, NOW) is Verdict.REFUSED
    assert why in one.why


@pytest.mark.parametrize(("token", "why"), [("%%", "not Base64"), ("YmFk", "it went wrong")])
def test_a_step_that_cannot_be_taken(token: str, why: str) -> None:
    one, carrier = client(), request()
    one.challenged(carrier, OFFER, 401, NOW)
    assert one.challenged(carrier, OFFER + f', gssapi-data="{token}"', 401, NOW) is Verdict.REFUSED
    assert why in one.why and one.shaking == ""


# what is heard


@pytest.mark.parametrize(
    ("method", "status", "wrong"),
    [
        ("INFO", 200, "not signed"),
        ("INFO", 481, "not signed"),
        ("INFO", 100, ""),
        ("INVITE", 180, ""),
        ("INFO", 401, ""),
        ("INFO", 407, ""),
        ("REGISTER", 200, ""),
        ("REGISTER", 403, ""),
    ],
)
def test_unsigned_responses_are_not_heard_but_for_some(method: str, status: int, wrong: str) -> None:
    one, response = client(), response_to(request(method), status)
    assert one.check(response, NOW) == ""  # nobody has signed in yet
    signed_in(one)
    assert one.check(response, NOW) == wrong
    one.connection_lost()
    assert one.check(response, NOW) == wrong


def test_unsigned_requests_are_not_heard() -> None:
    one = client()
    assert one.check(request("INFO"), NOW) == ""
    signed_in(one)
    assert one.check(request("INFO"), NOW) == "not signed"
    good = request("INFO")
    signed_by_server(good)
    assert one.check(good, NOW) == ""


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"rspauth": "00"}, "wrongly signed"),
        ({"rspauth": "no digits"}, "wrongly signed"),
        ({"rspauth": ""}, "wrongly signed"),
        ({"srand": "bb"}, "wrongly signed"),
        ({"snum": "2"}, "wrongly signed"),
        ({"opaque": "78"}, "not signed"),
    ],
)
def test_a_signature_is_by_this_association_and_right(changed: dict[str, str], wrong: str) -> None:
    one = client()
    signed_in(one)
    info = request("INFO")
    signed_by_server(info, **changed)
    assert one.check(info, NOW) == wrong
    answer = response_to(request("REGISTER"), 200)
    signed_by_server(answer, **changed)
    assert one.check(answer, NOW) == (wrong if wrong == "wrongly signed" else "")


def test_the_bad_end_of_a_handshake_is_heard() -> None:
    """The server has nothing to sign with then."""
    one, carrier = client(), request("INFO")
    one.challenged(carrier, OFFER, 407, NOW)
    one.challenged(carrier, STEP, 407, NOW)
    assert one.check(response_to(carrier, 403), NOW) == ""
    assert one.check(response_to(carrier, 200), NOW) == "not signed"
    assert one.check(response_to(request("INFO", 2), 403), NOW) == "not signed"


def test_keys_may_come_with_the_answer_as_in_kerberos() -> None:
    made: list[Steps] = []

    def begin() -> Steps:
        made.append(Steps())
        return made[-1]

    one, carrier = client(begin), request()
    one.challenged(carrier, OFFER, 401, NOW)
    answer = response_to(carrier, 200)
    signed_by_server(answer, token="bGFzdA==")
    assert one.check(answer, NOW) == ""
    one.settled(carrier)
    assert made[0].taken == [b"", b"last"]
    assert read_params(sealed(one, request("INFO")))["opaque"] == "77"


@pytest.mark.parametrize("token", ["YmFk", "%%", "ZWFybHk="])
def test_keys_that_do_not_come_leave_nothing_to_sign_with(token: str) -> None:
    one, carrier = client(lambda: Steps(3)), request()
    one.challenged(carrier, OFFER, 401, NOW)
    answer = response_to(carrier, 200)
    signed_by_server(answer, token=token)
    assert one.check(answer, NOW) == "wrongly signed"
    one.settled(carrier)
    assert sealed(one, request("INFO")) == ""


def test_only_the_answer_to_the_handshake_ends_it() -> None:
    one, carrier = client(), request()
    one.challenged(carrier, OFFER, 401, NOW)
    for stranger in (request("INFO"), response_to(request("INFO"), 200)):
        signed_by_server(stranger, token="bGFzdA==")
        one.check(stranger, NOW)
        assert sealed(one, request("MESSAGE")) == ""


def test_the_keys_of_before_serve_until_there_are_others() -> None:
    one = client()
    signed_in(one)
    refresh, down = request("REGISTER", 2), request("INFO")
    sealed(one, refresh)
    one.challenged(refresh, OFFER, 401, NOW)
    signed_by_server(down)
    assert one.check(down, NOW) == ""
    assert "response" in read_params(sealed(one, response_to(down, 200)))

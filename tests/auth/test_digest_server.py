"""The server's side of Digest against the client's: every outcome, every field tampered with."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from sipgw.auth.accounts import Account, AccountTable
from sipgw.auth.digest import CHALLENGE, CREDENTIALS
from sipgw.auth.digest_client import DigestClient
from sipgw.auth.digest_server import Checked, DigestServer, DigestSettings, Outcome
from sipgw.auth.password import ALGORITHMS, ha1_of
from sipgw.message.build import new_request, response_to
from sipgw.message.message import Request

REALM, PASSWORD, URI = "contoso.com", "s3cret \N{GREEK SMALL LETTER OMEGA}", "sip:contoso.com"
ALICE = Account("sip:alice@contoso.com", ("alice",), b"", ha1_of("alice", REALM, PASSWORD))
JOERG = Account("sip:joerg@contoso.com", ("J\xf6rg",), b"", ha1_of("J\xf6rg", REALM, PASSWORD))
GONE = Account("sip:gone@contoso.com", ("gone",), b"", ha1_of("gone", REALM, PASSWORD), enabled=False)
OLD = Account("sip:old@contoso.com", ("old",), b"", ha1_of("old", REALM, PASSWORD, ["MD5"]))
Change = Callable[[str], str]


class Site:
    """A server, and one client that signs in at it."""

    def __init__(self, name: str = "alice", password: str = PASSWORD, **settings: object) -> None:
        self.counters: Counter[str] = Counter()
        values = replace(DigestSettings(REALM, ALGORITHMS), **settings)  # type: ignore[arg-type]
        self.server = DigestServer(values, AccountTable([ALICE, JOERG, GONE, OLD]), Random(1), self.counters)
        self.client = DigestClient(name, password, Random(2))
        self.now = 100.0

    def challenge(self, status: int = 401, stale: bool = False, lines: list[str] | None = None) -> bool:
        """Whether the client tries again."""
        lines = self.server.challenges(status, self.now, stale) if lines is None else lines
        return self.client.challenged(response_to(make("REGISTER", URI), status, headers=lines))

    def check(self, method: str = "REGISTER", uri: str = URI, status: int = 401, change: Change = str) -> Checked:
        """What the server makes of the client's next request, with its credentials changed on the way."""
        lines = [change(line) for line in self.client.credentials(method, uri)]
        return self.server.check(make(method, uri, lines), status, self.now)


def make(method: str, uri: str, lines: list[str] | None = None) -> Request:
    headers = [
        "Via: SIP/2.0/UDP a;branch=z9hG4bKx",
        "From: <sip:a@b>;tag=1",
        "To: <sip:a@b>",
        "Call-ID: c",
        "CSeq: 1 X",
    ]
    return new_request(method, uri, [*headers, *(lines or [])])


@pytest.mark.parametrize("status", [401, 407])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("name", ["alice", "J\xf6rg"])
def test_right_credentials(status: int, algorithm: str, name: str) -> None:
    site = Site(name, algorithms=(algorithm,))
    assert site.challenge(status)
    for _ in range(3):  # with the same nonce, counted on
        checked = site.check(status=status)
        assert checked.outcome is Outcome.ACCEPTED
        assert checked.account is not None and checked.account.names == (name,)
        assert checked.name == name
    assert site.counters == {"digest_accepted": 3}


def test_challenges_come_in_the_order_of_preference() -> None:
    lines = Site().server.challenges(407, 100.0)
    assert [line.partition("algorithm=")[2].partition(",")[0] for line in lines] == ["SHA-256", "SHA-512-256", "MD5"]
    assert all(line.startswith('Proxy-Authenticate: Digest realm="contoso.com", nonce="') for line in lines)
    assert all('qop="auth"' in line and "opaque=" in line and "stale" not in line for line in lines)


def test_md5_is_a_setting() -> None:
    lines = DigestServer(DigestSettings(REALM), AccountTable(), Random(1), Counter()).challenges(401, 1.0)
    assert len(lines) == 2 and not any("MD5" in line for line in lines)


@pytest.mark.parametrize("known", [["MD5"], ["SHA-512-256", "MD5"], ["SHA-256"]])
def test_the_client_takes_the_topmost_that_it_knows(known: list[str]) -> None:
    site = Site()
    site.client = DigestClient("alice", PASSWORD, Random(2), known)
    assert site.challenge()
    assert f"algorithm={known[0]}," in site.client.credentials("REGISTER", URI)[0]
    assert site.check().outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(("name", "password"), [("alice", "wrong"), ("nobody", PASSWORD), ("alice", "")])
def test_wrong_password_and_unknown_user_look_the_same(name: str, password: str) -> None:
    site = Site(name, password)
    assert site.challenge()
    checked = site.check()
    assert checked.outcome is Outcome.REFUSED and checked.account is None and not checked.stale
    assert checked.name == name
    assert not site.challenge()  # §22.1: the client does not go on with the same password


def test_as_many_digests_for_an_unknown_user(monkeypatch: pytest.MonkeyPatch) -> None:
    from sipgw.auth import digest, digest_server, password

    def work(name: str) -> int:
        site, count = Site(name, "wrong"), Counter[str]()
        site.challenge()
        request = make("REGISTER", URI, site.client.credentials("REGISTER", URI))

        def counted(algorithm: str, data: bytes) -> str:
            count[algorithm] += 1
            return password.digest(algorithm, data)

        monkeypatch.setattr(digest, "digest", counted)
        monkeypatch.setattr(digest_server, "digest", counted)
        site.server.check(request, 401, site.now)
        monkeypatch.undo()
        return count.total()

    assert work("alice") == work("nobody") == work("gone") > 0


def test_a_disabled_account_with_the_right_password_only() -> None:
    for password, outcome in ((PASSWORD, Outcome.DISABLED), ("wrong", Outcome.REFUSED)):
        site = Site("gone", password)
        site.challenge()
        assert site.check().outcome is outcome


def test_an_account_without_this_ha1() -> None:
    site = Site("old")
    site.challenge()
    checked = site.check()
    assert checked.outcome is Outcome.REFUSED
    assert checked.reason == "the account has no ha1 for SHA-256"


def test_an_old_nonce_is_stale_and_a_new_one_helps() -> None:
    site = Site()
    site.challenge()
    site.now += 301.0
    checked = site.check()
    assert checked.outcome is Outcome.STALE and checked.stale
    assert site.challenge(stale=checked.stale)
    assert site.check().outcome is Outcome.ACCEPTED


def test_stale_says_nothing_to_who_does_not_know_the_password() -> None:
    """An old nonce is all that is told of, and it costs no sign-in: who sends it may not have been asked at all."""
    for password in (PASSWORD, "wrong"):
        site = Site(password=password)
        site.challenge()
        site.now += 301.0
        assert site.check().outcome is Outcome.STALE


def test_after_a_restart_the_nonce_is_stale() -> None:
    site, restarted = Site(), Site()
    restarted.server = DigestServer(DigestSettings(REALM, ALGORITHMS), AccountTable([ALICE]), Random(99), Counter())
    site.challenge()
    restarted.client = site.client
    assert restarted.check().outcome is Outcome.STALE


def test_replayed() -> None:
    site = Site()
    site.challenge()
    request = make("REGISTER", URI, site.client.credentials("REGISTER", URI))
    assert site.server.check(request, 401, site.now).outcome is Outcome.ACCEPTED
    again = site.server.check(request, 401, site.now)
    assert again.outcome is Outcome.REPLAYED and again.stale and again.account is None


def test_no_credentials_and_those_for_others() -> None:
    site = Site()
    others = [
        "Authorization: NTLM qop=auth",
        'Authorization: Digest realm="elsewhere", nonce="x"',
        'Authorization: Digest realm="contoso.com", algorithm=SHA-1, nonce="x"',
        'Proxy-Authorization: Digest realm="contoso.com", nonce="x"',
    ]
    for lines in ([], others):
        assert site.server.check(make("REGISTER", URI, lines), 401, site.now).outcome is Outcome.MISSING


def test_ours_is_found_among_others() -> None:
    site = Site()
    site.challenge()
    lines = ['Authorization: Digest realm="elsewhere", nonce="x"', *site.client.credentials("REGISTER", URI)]
    assert site.server.check(make("REGISTER", URI, lines), 401, site.now).outcome is Outcome.ACCEPTED


def replaced(old: str, new: str) -> Change:
    def change(line: str) -> str:
        assert old in line
        return line.replace(old, new)

    return change


def altered(name: str) -> Change:
    """The last character of a parameter's value is another one."""

    def change(line: str) -> str:
        at = line.index(f"{name}=") + len(name) + 1
        end = line.index('"', at + 1) - 1 if line[at] == '"' else line.find(",", at) - 1
        return line[:end] + ("8" if line[end] != "8" else "9") + line[end + 1 :]

    return change


@pytest.mark.parametrize("name", ["username", "nonce", "uri", "response", "nc", "cnonce"])
def test_nothing_that_is_covered_can_be_changed(name: str) -> None:
    site = Site()
    site.challenge()
    wanted = {"uri": Outcome.MALFORMED, "nonce": Outcome.STALE}.get(name, Outcome.REFUSED)
    assert site.check(change=altered(name)).outcome is wanted


def test_another_opaque_is_no_answer_to_our_challenge() -> None:
    site = Site()
    site.challenge()
    assert site.check(change=altered("opaque")).outcome is Outcome.STALE


def test_credentials_for_one_method_do_not_do_for_another() -> None:
    site = Site()
    site.challenge(407)
    lines = site.client.credentials("OPTIONS", "sip:bob@contoso.com")
    request = make("INVITE", "sip:bob@contoso.com", lines)
    assert site.server.check(request, 407, site.now).outcome is Outcome.REFUSED


def test_credentials_for_one_uri_do_not_do_for_another() -> None:
    site = Site()
    site.challenge(407)
    lines = site.client.credentials("INVITE", "sip:bob@contoso.com")
    request = make("INVITE", "sip:carol@contoso.com", lines)
    assert site.server.check(request, 407, site.now).outcome is Outcome.MALFORMED


def test_the_same_uri_may_be_written_otherwise() -> None:
    site = Site()
    site.challenge()
    lines = site.client.credentials("REGISTER", "sip:CONTOSO.com")
    assert site.server.check(make("REGISTER", URI, lines), 401, site.now).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (replaced("qop=auth", "qop=auth-int"), "qop=auth"),
        (replaced("qop=auth, ", ""), "qop=auth"),
        (replaced("nc=00000001", "nc=1"), "8 hexadecimal digits"),
        (replaced("nc=00000001", "nc=00000000"), "8 hexadecimal digits"),
        (replaced("cnonce=", "x="), "cnonce"),
        (replaced("response=", "x="), "response"),
        (replaced("username=", "username*="), "username"),
        (replaced("uri=", "x="), "uri"),
        (replaced("qop=auth", "qop=auth, userhash=true"), "userhash"),
        (replaced("qop=auth", "qop=auth, qop=auth"), "cannot be read"),
    ],
)
def test_malformed(change: Change, reason: str) -> None:
    site = Site()
    site.challenge()
    checked = site.check(change=change)
    assert checked.outcome is Outcome.MALFORMED
    assert reason in checked.reason
    assert site.counters == {"digest_malformed": 1}


def test_an_algorithm_that_was_not_offered_is_not_taken() -> None:
    site = Site(algorithms=("SHA-256",))
    offering = Site().server.challenges(401, 100.0)
    site.client = DigestClient("alice", PASSWORD, Random(2), ["MD5"])
    assert not site.challenge()
    assert site.challenge(lines=offering)
    assert site.check().outcome is Outcome.MISSING


def test_the_client_answers_several_realms() -> None:
    site = Site()
    site.challenge(407)
    site.challenge(407, lines=['Proxy-Authenticate: Digest realm="elsewhere", nonce="n", qop="auth,auth-int"'])
    lines = site.client.credentials("INVITE", URI)
    assert len(lines) == 2 and all(line.startswith(f"{CREDENTIALS[407]}: Digest ") for line in lines)
    assert site.server.check(make("INVITE", URI, lines), 407, site.now).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    "value",
    [
        'Basic realm="contoso.com"',
        'Digest realm="contoso.com", nonce="n", qop="auth-int"',
        'Digest realm="contoso.com", nonce="n"',
        'Digest realm="contoso.com", qop="auth"',
        'Digest realm="contoso.com", nonce="n", qop="auth", algorithm=MD5-sess',
        "Digest realm",
    ],
)
def test_challenges_that_the_client_cannot_answer(value: str) -> None:
    site = Site()
    assert not site.challenge(lines=[f"{CHALLENGE[401]}: {value}"])
    assert site.client.credentials("REGISTER", URI) == []


def test_the_password_is_nowhere_to_be_seen(caplog: pytest.LogCaptureFixture) -> None:
    site = Site(password="opensesame")
    site.challenge()
    with caplog.at_level(logging.DEBUG):
        checked = site.check()
    lines = site.client.credentials("REGISTER", URI)
    assert "opensesame" not in repr(checked) + "".join(lines) + caplog.text

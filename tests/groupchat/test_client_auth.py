"""The emulated client signs in by Digest and NTLM, and goes on when a sign-in ends in the middle of a call."""

import pytest

from sipgw.auth.accounts import AccountTable
from sipgw.auth.sipae_wire import read_params
from sipgw.core import user_agent
from sipgw.message import Message, Request, Response
from sipgw.message.build import response_to
from tests.groupchat.signing_in import LOBBY, PASSWORD, Client, Site, account
from tests.groupchat.talk import chanid
from tests.harness import DOMAIN

BOTH = pytest.mark.parametrize("scheme", ["ntlm", "digest"])


def signed_in(site: Site, login: str = "alice") -> Client:
    """A client in the room, and the wire's log empty."""
    client = Client(site, login=login)
    client.sign_in()
    client.command("join", chanid(LOBBY))
    assert client.told == ["signed in", "found", "ready", "envelope"]
    site.heard()
    site.sent.clear()
    return client


def credentials(message: Message) -> list[dict[str, str]]:
    lines = message.lines_of("authorization") + message.lines_of("proxy-authorization")
    return [{"scheme": line.partition(" ")[0], **read_params(line.partition(" ")[2])} for line in lines]


def says(client: Client, *texts: str) -> None:
    """Lines said in one go, and heard again."""

    def act(now: float) -> None:
        for text in texts:
            client.client.say(LOBBY.uri, text, "2026-11-23T00:00:00Z", now)

    client.do(act)
    heard = [notice.fields["envelope"] for notice in client.notices if notice.kind == "envelope"]
    lines = [item.text for envelope in heard for item in envelope.items if hasattr(item, "text")]
    assert [line for line in lines if line in texts] == list(texts)


def requests(site: Site, method: str) -> list[Request]:
    return [message for message in site.sent if isinstance(message, Request) and message.method == method]


# the whole of it


@pytest.mark.parametrize(
    ("scheme", "login"),
    [("ntlm", "CORP\\alice"), ("ntlm", f"alice@corp.{DOMAIN}"), ("ntlm", "alice"), ("digest", "alice")],
)
def test_the_whole_chat(scheme: str, login: str) -> None:
    site = Site(scheme)
    alice = Client(site, login=login)
    alice.sign_in()
    alice.command("join", chanid(LOBBY))
    says(alice, "hello")
    alice.do(alice.client.sign_out)
    assert [kind for kind in alice.told if kind != "envelope"] == ["signed in", "found", "ready", "signed out"]
    assert site.world.engine.location.count == 0
    assert alice.agent.dialogs == {}
    for message in site.sent:
        assert PASSWORD not in message.encode().decode("utf-8", "replace")


def test_with_ntlm_each_message_is_signed_once_there_are_keys() -> None:
    site = Site("ntlm")
    alice = Client(site, login="alice")
    alice.sign_in()
    says_nothing = [message for message in site.sent[:2] if "response" in str(credentials(message))]
    assert not says_nothing
    kinds, counts = set(), []
    for message in site.sent[2:]:
        (told,) = credentials(message)
        assert told["scheme"] == "NTLM" and told["response"]
        counts.append(int(told["cnum"]))
        kinds.add(message.method if isinstance(message, Request) else "response")
    assert counts == list(range(1, len(counts) + 1))
    assert kinds == {"REGISTER", "SUBSCRIBE", "INVITE", "ACK", "INFO", "BYE", "response"}


def test_with_digest_only_the_first_of_each_kind_is_challenged() -> None:
    """RFC 7616 §3.4: the nonce serves on, and is counted."""
    site = Site("digest")
    alice = Client(site, login="alice")
    alice.sign_in()
    log = site.heard()
    assert log[:4] == ["REGISTER", "401 REGISTER", "REGISTER", "200 REGISTER"]
    assert [entry for entry in log if entry.startswith("407")] == ["407 SUBSCRIBE"]
    counts = [
        (name, read_params(line)["nc"])
        for message in site.sent
        for name in ("authorization", "proxy-authorization")
        for line in message.lines_of(name)
        if not _is_ack(message)
    ]
    assert len(counts) == len(set(counts)) > 6


def _is_ack(message: Message) -> bool:
    return isinstance(message, Request) and message.method == "ACK"


def test_with_digest_an_ack_has_the_credentials_of_its_invite() -> None:
    """RFC 3261 §22.1."""
    site = Site("digest")
    alice = Client(site, login="alice")
    alice.sign_in()
    for invite, ack in zip(requests(site, "INVITE"), requests(site, "ACK"), strict=True):
        assert credentials(ack) == credentials(invite) != []


@BOTH
def test_what_is_sent_again_is_the_same_with_a_higher_cseq(scheme: str) -> None:
    """RFC 3261 §22.2."""
    site = Site(scheme)
    alice = Client(site, login="alice")
    alice.sign_in()
    tries = requests(site, "REGISTER")
    assert [one.cseq.number for one in tries] == list(range(1, len(tries) + 1))
    for name in ("call-id", "from", "to", "contact", "event", "expires"):
        assert len({one.first(name) for one in tries}) == 1
    assert len({one.via.branch for one in tries}) == len(tries)
    assert all(len(one.lines_of("authorization")) < 2 for one in tries)
    alice.do(alice.client.refresh)
    assert requests(site, "REGISTER")[-1].cseq.number == len(tries) + 1


def test_ntlm_is_preferred_and_digest_can_be_asked_for() -> None:
    for scheme, wanted in (("", "NTLM"), ("digest", "Digest"), ("ntlm", "NTLM")):
        site = Site("digest", "ntlm")
        Client(site, login="alice", scheme=scheme).sign_in()
        assert {told["scheme"] for message in site.sent for told in credentials(message)} == {wanted}


def test_the_strongest_algorithm_is_taken() -> None:
    site = Site("digest")
    Client(site, login="alice").sign_in()
    used = {told["algorithm"] for message in site.sent for told in credentials(message)}
    assert used == {"SHA-256"}


# refusals


@BOTH
@pytest.mark.parametrize(("login", "password"), [("alice", "wrong"), ("nobody", PASSWORD)])
def test_a_wrong_name_or_password_is_told_and_not_tried_again(scheme: str, login: str, password: str) -> None:
    site = Site(scheme)
    alice = Client(site, login=login, password=password)
    alice.sign_in()
    name = {"ntlm": "NTLM", "digest": "Digest"}[scheme]
    assert alice.told == ["failed"]
    for part in ("401", f"{name} as {login}", "refused", "1000", "Final handshake failed"):
        assert part in alice.reason()
    assert len(requests(site, "REGISTER")) == {"ntlm": 3, "digest": 2}[scheme]
    assert alice.login is not None and not alice.login.busy


@BOTH
def test_an_account_that_is_disabled(scheme: str) -> None:
    site = Site(scheme)
    carol = Client(site, "carol", "carol")
    carol.sign_in()
    assert carol.told == ["failed"]
    assert "403" in carol.reason() and "the account is disabled" in carol.reason()


@BOTH
def test_the_uri_of_somebody_else(scheme: str) -> None:
    site = Site(scheme)
    alice = Client(site, "alice", "bob", "bob's")
    alice.sign_in()
    assert alice.told == ["failed"]
    for part in ("403", "4004", f"signed in as sip:bob@{DOMAIN}"):
        assert part in alice.reason()


def test_without_a_login_the_schemes_are_told() -> None:
    site = Site("ntlm", "digest")
    alice = Client(site)
    alice.sign_in()
    assert alice.told == ["failed"]
    assert "a login is needed, by NTLM and Digest" in alice.reason()
    assert len(requests(site, "REGISTER")) == 1


@pytest.mark.parametrize(
    ("offered", "wanted", "why"), [("ntlm", "digest", "NTLM, not Digest"), ("digest", "ntlm", "Digest, not NTLM")]
)
def test_a_scheme_that_is_not_offered(offered: str, wanted: str, why: str) -> None:
    site = Site(offered)
    alice = Client(site, login="alice", scheme=wanted)
    alice.sign_in()
    assert why in alice.reason()


def test_a_server_that_is_never_content_is_asked_so_often_and_no_more() -> None:
    site = Site()
    site.world.engine.use_gate(None)
    alice = Client(site, login="alice")
    count = 0

    def alters(message: Message) -> Message:
        nonlocal count
        if not isinstance(message, Response):
            return message
        count += 1
        sent = site.sent[-1]
        assert isinstance(sent, Request)
        line = f'WWW-Authenticate: Digest realm="x", nonce="{count}", qop="auth", stale=true'
        return response_to(sent, 401, to_tag="t", headers=[line])

    site.alters = alters
    alice.sign_in()
    assert alice.told == ["failed"]
    assert len(requests(site, "REGISTER")) == user_agent.MAX_TRIES
    assert "challenged again and again" in alice.reason()


# in the middle of a call


def test_a_nonce_that_is_too_old_is_replaced_in_the_dialog() -> None:
    site = Site("digest", nonce_lifetime=60.0)
    alice = signed_in(site)
    site.advance(61.0)
    says(alice, "hello")
    assert site.heard()[:4] == ["INFO", "407 INFO", "INFO", "200 INFO"]
    first, again = requests(site, "INFO")[:2]
    assert again.cseq.number == first.cseq.number + 1
    assert (again.body, again.uri, again.to_tag) == (first.body, first.uri, first.to_tag)
    says(alice, "and again")
    assert not [entry for entry in site.heard() if entry.startswith("4")]


@BOTH
def test_a_server_that_has_forgotten_us_is_signed_in_to_anew_by_whatever_is_sent(scheme: str) -> None:
    site = Site(scheme)
    alice = signed_in(site)
    site.use_gate()
    says(alice, "still here")
    alice.do(alice.client.sign_out)
    assert alice.told[-1] == "signed out" and "failed" not in alice.told
    numbers = [one.cseq.number for one in (*requests(site, "INFO"), *requests(site, "BYE"))]
    assert numbers == sorted(set(numbers))


@BOTH
def test_of_many_requests_that_are_challenged_at_once_all_arrive(scheme: str) -> None:
    site = Site(scheme)
    alice = signed_in(site)
    site.use_gate()
    says(alice, *[f"line {number}" for number in range(5)])
    assert "failed" not in alice.told
    tokens = [told for message in site.sent for told in credentials(message) if "gssapi-data" in told]
    assert len(tokens) == (2 if scheme == "ntlm" else 0)


def test_a_password_that_has_changed_is_tried_once_for_all() -> None:
    site = Site("ntlm")
    alice = signed_in(site)
    site.use_gate(AccountTable([account("alice", "changed")]))
    alice.do(lambda now: [alice.client.say(LOBBY.uri, str(at), "2026-11-23T00:00:00Z", now) for at in range(4)])
    failed = [str(notice.fields["reason"]) for notice in alice.notices if notice.kind == "failed"]
    assert len(failed) == 4 and all("NTLM as alice" in reason for reason in failed)
    assert len([told for message in site.sent for told in credentials(message) if told.get("gssapi-data")]) == 1


def test_so_many_wait_for_a_handshake_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_agent, "MAX_HELD", 2)
    site = Site("ntlm")
    alice = signed_in(site)
    site.use_gate()
    alice.do(lambda now: [alice.client.say(LOBBY.uri, str(at), "2026-11-23T00:00:00Z", now) for at in range(5)])
    assert alice.told.count("failed") == alice.agent.counters["not_held"] == 2
    assert [kind for kind in alice.told if kind == "envelope"][1:] == ["envelope"] * 3


def test_when_the_association_comes_to_its_end_the_refresh_signs_in_anew() -> None:
    site = Site("ntlm", lifetime=600.0)
    alice = signed_in(site)
    for _ in range(4):
        site.advance(240.0)
        alice.do(alice.client.refresh)
    assert [kind for kind in alice.told if kind.endswith("refreshed")] == ["refreshed"] * 4
    assert site.heard().count("401 REGISTER") == 2
    says(alice, "on with it")


@BOTH
def test_after_a_lost_connection(scheme: str) -> None:
    site = Site(scheme)
    alice = signed_in(site)
    alice.disconnect()
    assert alice.told[-1] == "disconnected"
    alice.do(alice.client.refresh)
    assert alice.told[-1] == "refreshed"
    says(alice, "back again")


def test_a_connection_lost_in_the_middle_of_a_handshake() -> None:
    site = Site("ntlm")
    alice = signed_in(site)
    site.use_gate()
    site.alters = lambda message: None if isinstance(message, Response) and message.status == 407 else message
    alice.do(lambda now: alice.client.say(LOBBY.uri, "lost", "2026-11-23T00:00:00Z", now))
    site.alters = lambda message: message
    alice.disconnect()
    assert alice.told[-2:] == ["failed", "disconnected"]
    alice.do(alice.client.refresh)
    says(alice, "found")


# what is not heard


def test_what_is_not_signed_is_dropped_and_told() -> None:
    site = Site("ntlm")
    alice = signed_in(site)
    gate = site.world.engine.layer.seal
    site.world.engine.layer.seal = None
    alice.do(lambda now: alice.client.send_command("getinv", now))
    site.world.engine.layer.seal = gate
    dropped = [str(notice.fields["what"]) for notice in alice.notices if notice.kind == "dropped"]
    assert len(dropped) == 2
    assert dropped[0].startswith("SIP/2.0 200 OK") and dropped[0].endswith("INFO): not signed")
    assert dropped[1].startswith("INFO sip:") and dropped[1].endswith("not signed")
    assert alice.login is not None and alice.login.counters == {"not_signed": 2}
    site.advance(40.0)
    assert [notice.fields["reason"] for notice in alice.notices if notice.kind == "failed"] == ["timeout"]


def test_what_was_changed_on_its_way_is_dropped() -> None:
    site = Site("ntlm")
    alice = signed_in(site)

    def alters(message: Message) -> Message:
        if isinstance(message, Response) and message.status == 200 and "authentication-info" in message.index:
            at = message.index["cseq"]
            message.lines[at] = message.lines[at].replace("INFO", "INVITE")
        return message

    site.alters = alters
    alice.do(lambda now: alice.client.send_command("getinv", now))
    assert alice.login is not None and alice.login.counters["wrongly_signed"] == 1

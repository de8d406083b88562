"""Whoever has signed in speaks for himself: From, the claims of RFC 3325, ways to smuggle another name past them."""

from ipaddress import ip_network

import pytest

from sipgw.message import Request, parse_message
from sipgw.message.build import new_request
from tests.harness import CONTACT_OBJECT, DOMAIN, FQDN, Dialog, Party, reply
from tests.scenarios.sign_in.people import Person, with_headers
from tests.security.watching import Watched

ALICE, BOSS = f"<sip:alice@{DOMAIN}>", f"<sip:boss@{DOMAIN}>"
CLAIM = f"P-Asserted-Identity: {BOSS}"
POOL_CONTACT = "sip:ocschat@192.0.2.51:5041;transport=tcp"
CLAIMS = ("P-Asserted-Identity", "P-ASSERTED-IDENTITY", "p-asserted-identity ", "P-Preferred-Identity")
OLDER_CLAIMS = ("Remote-Party-ID", "P-Served-User", "REMOTE-PARTY-ID ")

# Each is refused: the next server might take it for somebody else than we did.
NOT_ALICE = {
    "another": f"From: {BOSS};tag=1",
    "two-lines": f"From: {ALICE};tag=1\r\nFrom: {BOSS};tag=1",
    "two-lines-turned": f"From: {BOSS};tag=1\r\nFrom: {ALICE};tag=1",
    "two-spellings": f"From: {ALICE};tag=1\r\nf: {BOSS};tag=1",
    "two-spacings": f"From : {ALICE};tag=1\r\nFrom: {BOSS};tag=1",
    "two-addresses": f"From: {ALICE} {BOSS};tag=1",
    "another-by-parameter": f"From: <sip:boss@{DOMAIN};x=>;y=<sip:alice@{DOMAIN}>;tag=1",
    "another-domain": "From: <sip:alice@victim.test>;tag=1",
    "another-domain-behind-ours": f"From: <sip:alice@{DOMAIN}@victim.test>;tag=1",
    "subdomain": f"From: <sip:alice@x.{DOMAIN}>;tag=1",
    "dot": f"From: <sip:alice@{DOMAIN}.>;tag=1",
    "escaped-at": f"From: <sip:alice%40{DOMAIN}@{DOMAIN}>;tag=1",
    "blank": f"From: <sip:alice%20@{DOMAIN}>;tag=1",
    "no-user": f"From: <sip:{DOMAIN}>;tag=1",
    "tel": "From: <tel:+1202>;tag=1",
    "anonymous": "From: <sip:anonymous@anonymous.invalid>;tag=1",
    "endpoint": f"From: <{CONTACT_OBJECT}>;tag=1",
}

# Each names alice, in a form that RFC 3261 §19.1.4 or the case of an account has as the same user.
ALICE_ALL_THE_SAME = {
    "plain": f"From: {ALICE};tag=1",
    "bare": f"From: sip:alice@{DOMAIN};tag=1",
    "display-name": f'From: "{BOSS}" {ALICE};tag=1',
    "quoted-quote": f'From: "\\" {BOSS};x=" {ALICE};tag=1',
    "escaped": f"From: <sip:%61lice@{DOMAIN}>;tag=1",
    "capitals": f"From: <sip:ALICE@{DOMAIN.upper()}>;tag=1",
    "secure": f"From: <sips:alice@{DOMAIN}>;tag=1",
    "parameter": f"From: {ALICE};tag=1;x={BOSS}",
}


def site() -> tuple[Party, Person]:
    """Before a gateway with sign-in: the pool's first server, and alice with her password."""
    world = Watched()
    return world.pool_servers()[0], Person(world.phone("alice"))


def says(alice: Person, line: str, method: str = "MESSAGE") -> None:
    """A request of hers with this for its From, and good credentials."""
    alice.ask("OPTIONS", f"sip:{DOMAIN}")  # so that there is a nonce
    assert (alice.party << 200).status == 200
    request = alice.party.request(method, CONTACT_OBJECT, cseq=9)
    lines = [each for each in request.lines if not each.startswith("From")]
    made = new_request(method, CONTACT_OBJECT, lines)
    text = with_headers(made, alice.digest.credentials(method, CONTACT_OBJECT)).encode()
    alice.party >> text.replace(b"\r\nTo:", f"\r\n{line}\r\nTo:".encode(), 1)


@pytest.mark.parametrize("line", list(NOT_ALICE.values()), ids=list(NOT_ALICE))
@pytest.mark.parametrize("method", ["MESSAGE", "INFO", "BENOTIFY"])
def test_who_says_to_be_another_is_refused(line: str, method: str) -> None:
    pool, alice = site()
    says(alice, line, method)
    (answer,) = alice.party.inbox
    assert answer.start.split()[1] in ("400", "403")
    pool.nothing()


@pytest.mark.parametrize("line", list(ALICE_ALL_THE_SAME.values()), ids=list(ALICE_ALL_THE_SAME))
def test_other_spellings_of_oneself_are_let_in_and_told_plainly(line: str) -> None:
    """The pool is told who it is by us, whatever way From is written in."""
    pool, alice = site()
    says(alice, line)
    message = pool << "MESSAGE"
    assert message.lines_of("p-asserted-identity") == [ALICE]
    pool >> reply(message, 200)
    alice.party << 200


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("callee", [CONTACT_OBJECT, f"sip:bob@{DOMAIN}"])
@pytest.mark.parametrize("method", ["MESSAGE", "REFER", "BENOTIFY"])
def test_no_claim_gets_by_in_a_request(claim: str, callee: str, method: str) -> None:
    """RFC 3325 §5. The pool gets ours instead, another user none."""
    pool, alice = site()
    bob = Person(pool.world.phone("bob", host="198.51.100.8"))
    bob.register()
    alice.ask(method, callee, f"{claim}: {BOSS}", f"{claim}: <tel:+1>")
    party = pool if callee == CONTACT_OBJECT else bob.party
    arrived = party << method
    told = arrived.lines_of("p-asserted-identity") + arrived.lines_of("p-preferred-identity")
    assert told == ([ALICE] if party is pool else [])


@pytest.mark.parametrize("claim", OLDER_CLAIMS)
def test_nor_any_older_claim(claim: str) -> None:
    """What a server behind might still go by, whichever way it comes."""
    pool, alice = site()
    alice.ask("MESSAGE", CONTACT_OBJECT, f"{claim}: {BOSS};party=calling;screen=yes")
    message = pool << "MESSAGE"
    assert b"oss@" not in message.encode() and message.lines_of("p-asserted-identity") == [ALICE]
    pool >> reply(message, 200, f"{claim}: {BOSS}")
    assert b"oss@" in (alice.party << 200).encode(), "the pool is on our side"
    alice.register()
    pool >> pool.request("MESSAGE", alice.party.uri, f"{claim}: {BOSS}")
    asked = alice.party << "MESSAGE"
    assert b"oss@" in asked.encode()
    alice.party >> reply(asked, 200, f"{claim}: {BOSS}")
    assert b"oss@" not in (pool << 200).encode()


def test_a_claim_in_the_fold_of_another_header_is_no_claim() -> None:
    pool, alice = site()
    alice.ask("MESSAGE", CONTACT_OBJECT, f"X: y\r\n {CLAIM}")
    assert (pool << "MESSAGE").lines_of("p-asserted-identity") == [ALICE]


@pytest.fixture
def call() -> tuple[Dialog, Dialog, Person, Party, Request]:
    """A call with the pool that waits for its ACK: alice's side, the pool's side, who they are, and the INVITE."""
    pool, alice = site()
    alice.ask("INVITE", CONTACT_OBJECT)
    alice.party << 100
    invite = pool << "INVITE"
    ok = reply(invite, 200, contact=POOL_CONTACT)
    pool >> ok
    return alice.party.calling(alice.party << 200), pool.called(invite, ok), alice, pool, invite


Call = tuple[Dialog, Dialog, Person, Party, Request]


@pytest.mark.parametrize("line", list(NOT_ALICE.values()), ids=list(NOT_ALICE))
def test_inside_a_dialog_it_is_no_different(call: Call, line: str) -> None:
    mine, _, alice, pool, _ = call
    alice.party >> mine.request("ACK")
    pool << "ACK"
    info = mine.request("INFO")
    lines = [each for each in info.lines if not each.startswith("From")]
    text = with_headers(new_request("INFO", mine.target, lines), alice.digest.credentials("INFO", mine.target)).encode()
    alice.party >> text.replace(b"\r\nTo:", f"\r\n{line.replace('tag=1', 'tag=alice-tag')}\r\nTo:".encode(), 1)
    (answer,) = alice.party.inbox
    assert answer.start.split()[1] in ("400", "403")
    pool.nothing()


@pytest.mark.parametrize("asking", ["the-pool", "alice"])
def test_no_claim_gets_by_in_an_answer(call: Call, asking: str) -> None:
    """RFC 3325 §5 says messages, which answers are. What the pool claims is the pool's affair."""
    mine, theirs, alice, pool, _ = call
    alice.party >> mine.request("ACK")
    pool << "ACK"
    if asking == "alice":
        alice.send(mine.request("INFO"))
        pool >> reply(pool << "INFO", 200, CLAIM)
        assert (alice.party << 200).lines_of("p-asserted-identity") == [BOSS]
    pool >> theirs.request("INFO")
    alice.party >> reply(alice.party << "INFO", 200, CLAIM, f"P-Preferred-Identity: {BOSS}")
    answer = pool << 200
    assert not answer.lines_of("p-asserted-identity") and not answer.lines_of("p-preferred-identity")


@pytest.mark.parametrize("claim", CLAIMS)
def test_no_claim_gets_by_in_an_ack(call: Call, claim: str) -> None:
    mine, _, alice, pool, _ = call
    alice.party >> mine.request("ACK", f"{claim}: {BOSS}")
    ack = pool << "ACK"
    assert not ack.lines_of("p-asserted-identity") and not ack.lines_of("p-preferred-identity")


@pytest.mark.parametrize(
    "line",
    [
        f"From: {ALICE};tag=1, {BOSS};tag=1",
        f"From: {ALICE}, {BOSS};tag=1",
        f"From: sip:alice@{DOMAIN}, {BOSS};tag=1",
    ],
)
def test_from_is_one_address(line: str) -> None:
    """Not a list (§25.1): which one the next server would take is not ours to guess."""
    pool, alice = site()
    says(alice, line)
    assert alice.party.inbox, "it went to the pool"
    assert (alice.party << 400).status == 400
    pool.nothing()


def test_a_callee_speaks_for_himself_too() -> None:
    """Requests of the one who was called have him for From, and have to be his."""
    world = Watched()
    alice, bob = Person(world.phone("alice")), Person(world.phone("bob", host="198.51.100.8"))
    bob.register()
    bob.ask("OPTIONS", f"sip:{DOMAIN}")  # so that he has a nonce for what is no REGISTER
    bob.party << 200
    alice.ask("INVITE", bob.party.uri)
    alice.party << 100
    invite = bob.party << "INVITE"
    ok = reply(invite, 200, contact=bob.party.contact)
    bob.party >> ok
    alice.party << 200
    theirs = bob.party.called(invite, ok)
    theirs.cseq = 10
    bob.send(theirs.request("INFO"))
    alice.party >> reply(alice.party << "INFO", 200)
    bob.party << 200
    theirs.local = theirs.local.replace("bob", "boss")
    bob.send(theirs.request("INFO"))
    assert "4004" in str((bob.party << 403).first("ms-diagnostics"))
    alice.party.nothing()


CHALLENGES = {
    "another-realm": 'Digest realm="victim", nonce="his", algorithm=MD5, qop="auth"',
    "our-realm": f'Digest realm="{DOMAIN}", nonce="his", algorithm=MD5',
    "ntlm-as-if-ours": f'NTLM realm="SIP Communications Service", targetname="{FQDN}", opaque="AA", gssapi-data="TlRM"',
    "kerberos": 'Kerberos realm="SIP Communications Service", targetname="sip/victim.test", version=4',
    "basic": 'Basic realm="victim"',
}


@pytest.mark.parametrize("status", [401, 407])
@pytest.mark.parametrize("challenge", list(CHALLENGES.values()), ids=list(CHALLENGES))
@pytest.mark.parametrize("method", ["MESSAGE", "INVITE"])
def test_no_user_asks_for_passwords(method: str, challenge: str, status: int) -> None:
    """A phone that has one password for every realm would answer, and he could try passwords on the answer at home."""
    world = Watched()
    alice, bob = Person(world.phone("alice")), Person(world.phone("bob", host="198.51.100.8"))
    bob.register()
    alice.ask(method, bob.party.uri)
    name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    bob.party >> reply(
        bob.party << method, status, f"{name}: {challenge}", "WWW-Authenticate: x", "Proxy-Authenticate: y"
    )
    if method == "INVITE":
        alice.party << 100
        bob.party << "ACK"
    answer = alice.party.fail_call(403) if method == "INVITE" else alice.party << 403
    assert not answer.lines_of("www-authenticate") and not answer.lines_of("proxy-authenticate")


def test_a_pool_may_ask() -> None:
    """It is on our side."""
    pool, alice = site()
    alice.ask("MESSAGE", CONTACT_OBJECT)
    pool >> reply(pool << "MESSAGE", 407, 'Proxy-Authenticate: Digest realm="pool", nonce="its"')
    assert (alice.party << 407).lines_of("proxy-authenticate") == ['Digest realm="pool", nonce="its"']


@pytest.mark.parametrize("status", [180, 200, 603])
@pytest.mark.parametrize(
    ("transport", "host"), [("UDP", "203.0.113.66"), ("TCP", "203.0.113.66"), ("TCP", "198.51.100.8")]
)
@pytest.mark.parametrize("callee", ["bob", "the-pool"])
def test_who_was_asked_answers(callee: str, transport: str, host: str, status: int) -> None:
    """Somebody who reads along knows our branch; his answer would be unsigned where the other's has to be signed."""
    world = Watched()
    pool, alice = world.pool_servers()[0], Person(world.phone("alice"))
    bob, spy = Person(world.phone("bob", host="198.51.100.8")), world.phone("spy", transport, host)
    bob.register()
    alice.ask("INVITE", bob.party.uri if callee == "bob" else CONTACT_OBJECT)
    alice.party << 100
    asked = bob.party if callee == "bob" else pool
    invite = asked << "INVITE"
    spy >> reply(invite, status, tag="spy", contact=spy.contact)
    alice.party.nothing()
    asked >> reply(invite, 486)
    asked << "ACK"
    alice.party.fail_call(486)


def test_a_server_may_be_asked() -> None:
    """A trusted peer that relays to a domain elsewhere: it has no password of a user's to give away."""
    world = Watched(trusted=(ip_network("192.0.2.0/24"),))
    server, far = world.server("UDP", "192.0.2.51", 5060), world.server("UDP", "203.0.113.9", 5060)
    server >> server.request("MESSAGE", "sip:x@203.0.113.9")
    far >> reply(far << "MESSAGE", 407, 'Proxy-Authenticate: Digest realm="far", nonce="its"')
    assert (server << 407).lines_of("proxy-authenticate") == ['Digest realm="far", nonce="its"']


def test_an_answer_comes_from_an_address_however_written() -> None:
    world = Watched(trusted=(ip_network("2001:db8::51/128"),))
    server, far = world.server("UDP", "2001:db8::51", 5060), world.server("UDP", "2001:db8::9", 5060)
    server >> server.request("MESSAGE", "sip:x@[2001:0DB8:0::9]:5060")
    send = world.sends[-1]
    request = parse_message(send.data)
    far >> reply(request, 200)
    assert (server << 200).cseq.method == "MESSAGE"


FRONT_END_EVENTS = [
    "Event: registration-notify",
    "Event: registration",
    "Event: vnd-microsoft-provisioning",
    "Event: vnd-microsoft-provisioning-v2",
    "o: VND-microsoft-Provisioning-v2;x=y",
    "Event: vnd-microsoft-roaming-contacts",
    "Event: vnd-microsoft-roaming-ACL",
    "Event: vnd-microsoft-roaming-self",
    "Event: presence.wpending",
    "Event:\r\n registration-notify",
    "Event : registration-notify",
    "Event: registration-notify\r\nEvent: message-summary",
    "Event: message-summary\r\nEvent: registration-notify",
    "Event: message-summary\r\no: registration-notify",
    "Event: message-summary, registration-notify",
    "Event: registration-notify , message-summary",
    "Event: registration-notify.message-summary",
]


@pytest.mark.parametrize("event", FRONT_END_EVENTS)
@pytest.mark.parametrize("method", ["NOTIFY", "BENOTIFY"])
def test_no_user_speaks_for_the_front_end(method: str, event: str) -> None:
    """Real clients go by the Event alone: by one such a user would sign another out, or name him another pool."""
    world = Watched()
    alice, bob = Person(world.phone("alice")), Person(world.phone("bob", host="198.51.100.8"))
    bob.register()
    lines = (event, "Subscription-State: terminated", "Content-Type: text/registration-event")
    alice.ask(method, bob.party.uri, *lines, body=b"deregistered;event=rejected")
    bob.party.nothing()
    alice.party.inbox.clear()
    alice.ask("INVITE", bob.party.uri)
    alice.party << 100
    ok = reply(bob.party << "INVITE", 200, contact=bob.party.contact)
    bob.party >> ok
    mine = alice.party.calling(alice.party << 200)
    mine.cseq = 50
    alice.party >> mine.request("ACK")
    bob.party << "ACK"
    alice.send(mine.request(method, *lines, body=b"deregistered;event=rejected"))
    bob.party.nothing()


@pytest.mark.parametrize("event", ["vnd-microsoft-provisioning-v2", "registration-notify"])
def test_nor_in_an_answer(event: str) -> None:
    """Real clients take the first notification out of the 200 to a SUBSCRIBE."""
    world = Watched()
    alice, bob = Person(world.phone("alice")), Person(world.phone("bob", host="198.51.100.8"))
    bob.register()
    alice.ask("SUBSCRIBE", bob.party.uri, "Event: presence", "Supported: ms-piggyback-first-notify")
    lines = (f"Event: {event}", "ms-piggyback-cseq: 1", "Content-Type: text/registration-event")
    bob.party >> reply(bob.party << "SUBSCRIBE", 200, *lines, body=b"deregistered;event=rejected")
    assert not any(event in value for answer in alice.party.inbox for value in answer.lines_of("event"))
    alice.party.inbox.clear()
    world.advance(40.0)


def test_other_events_are_between_users() -> None:
    world = Watched()
    alice, bob = Person(world.phone("alice")), Person(world.phone("bob", host="198.51.100.8"))
    bob.register()
    alice.ask("NOTIFY", bob.party.uri, "Event: message-summary", "Subscription-State: active")
    bob.party >> reply(bob.party << "NOTIFY", 200)
    alice.party << 200


def test_a_pool_may_speak_for_the_front_end() -> None:
    """It is on our side."""
    pool, alice = site()
    alice.register()
    alice.ask("MESSAGE", CONTACT_OBJECT)  # so that there is a connection
    pool >> reply(pool << "MESSAGE", 200)
    alice.party << 200
    pool >> pool.request("BENOTIFY", alice.party.uri, "Event: presence.wpending", "Subscription-State: active")
    alice.party << "BENOTIFY"

"""Whoever sends, whatever it says: what leaves the gateway goes to the sender, to a pool's server, or to a binding."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from sipgw.events import Send
from sipgw.message import Request
from tests.harness import CONTACT_OBJECT, DOMAIN, GATEWAY, POOL_SERVERS, Party, World
from tests.scenarios.sign_in.people import ACCOUNTS, Directory, Person, gate_for

ELSEWHERE, NAME = "203.0.113.9", "elsewhere.test"
HERE = f"sip:x@{DOMAIN}"
Sender = Callable[[World], tuple[Party, Callable[[Request], object]]]


class Attempt(NamedTuple):
    uri: str
    headers: tuple[str, ...] = ()


FOREIGN = [
    *(f"{scheme}:x@{host}" for scheme in ("sip", "sips") for host in (ELSEWHERE, NAME, "[2001:db8::9]")),
    *(f"sip:x@{spelling}" for spelling in ("3405803785", "0xcb007109", "0313.0.161.011", "203.0.113.9.", "127.1")),
    "sip:x@[::ffff:203.0.113.9]",
    f"sip:{ELSEWHERE}",
    f"sip:x:secret@{NAME}:5060;transport=tcp",
    f"sip:x@{NAME.upper()};user=phone",
    "sip:x@example.test.elsewhere.test",
    "sip:x@elsewhere.test%2eexample.test",
    f"sip:{DOMAIN}@{NAME}",
    f"sip:x%40{DOMAIN}@{NAME}",
    "tel:+4930123456",
    f"http://{DOMAIN}/",
    f"sip:x@{DOMAIN};maddr={ELSEWHERE}",
    f"sip:x@{DOMAIN}:9;maddr={NAME}",
    f"sip:ocschat@{DOMAIN};maddr={ELSEWHERE}",
    f"sip:ocschat@{DOMAIN}:9999;transport=tls",
    f"sip:{DOMAIN};maddr={ELSEWHERE};lr",
]
ROUTES = [
    f"<sip:{ELSEWHERE};lr>",
    f"<sip:{NAME}>",
    f"<sip:{GATEWAY}:5060;lr>, <sip:{ELSEWHERE};lr>",
    f"<sip:{GATEWAY}:5060;maddr={ELSEWHERE};lr>",
    f"<sip:x@{GATEWAY}:5060;lr>, <sip:{NAME}>",
    f"<sip:00.0.c1.c1@{GATEWAY}:5060;lr>",
    f"<sip:{DOMAIN};lr>, <sips:{NAME};lr>",
    f'"us" <sip:{GATEWAY}:9;lr>',
]
MORE = {
    "Path": f"Path: <sip:{ELSEWHERE};lr>",
    "Service-Route": f"Service-Route: <sip:{ELSEWHERE};lr>",
    "Record-Route": f"Record-Route: <sip:{ELSEWHERE};lr>",
    "Refer-To": f"Refer-To: <sip:x@{ELSEWHERE}>",
    "Reply-To": f"Reply-To: <sip:x@{ELSEWHERE}>",
    "P-Preferred-Registrar": f"P-Preferred-Registrar: <sip:{ELSEWHERE}>",
}


def attempts() -> Iterator[Attempt]:
    yield from (Attempt(uri) for uri in FOREIGN)
    for uri in (CONTACT_OBJECT, HERE, f"sip:{DOMAIN}", f"sip:x@{ELSEWHERE}"):
        yield from (Attempt(uri, (f"Route: {route}",)) for route in ROUTES)
        yield from (Attempt(uri, (line,)) for line in MORE.values())


def stranger(world: World) -> tuple[Party, Callable[[Request], object]]:
    """Somebody without credentials, before a gateway that asks for them."""
    world.engine.use_gate(gate_for(Directory(ACCOUNTS), world.engine.counters))
    party = world.phone("alice", "UDP")
    return party, lambda request: party >> request


def user(world: World) -> tuple[Party, Callable[[Request], object]]:
    """Somebody who has signed in."""
    world.engine.use_gate(gate_for(Directory(ACCOUNTS), world.engine.counters))
    person = Person(world.phone("alice", "UDP"))
    person.register()
    return person.party, person.send


def anybody(world: World) -> tuple[Party, Callable[[Request], object]]:
    """Before a gateway that trusts its network."""
    party = world.phone("alice", "UDP")
    return party, lambda request: party >> request


SENDERS = pytest.mark.parametrize("sender", [stranger, user, anybody])


def watched(world: World) -> list[Send]:
    """All that is sent from now on."""
    sent: list[Send] = []
    deliver = world._deliver

    def watch(send: Send) -> None:
        sent.append(send)
        deliver(send)

    world._deliver = watch  # type: ignore[method-assign]
    return sent


def strays(sent: list[Send], *parties: Party) -> list[str]:
    """What went to somebody else than these and the pool's servers."""
    known = {(party.host, party.port) for party in parties} | {(each.host, each.port) for each in POOL_SERVERS}
    return [str(send.to) for send in sent if (send.to.host, send.to.port) not in known]


@SENDERS
@pytest.mark.parametrize(
    "method", ["INVITE", "MESSAGE", "REGISTER", "BYE", "BENOTIFY", "NOTIFY", "REFER", "ACK", "FOO"]
)
def test_no_request_leads_elsewhere(sender: Sender, method: str) -> None:
    for attempt in attempts():
        world = World(realm=DOMAIN)
        world.names[NAME] = [ELSEWHERE]
        party, send = sender(world)
        sent = watched(world)
        send(party.request(method, attempt.uri, *attempt.headers))
        assert strays(sent, party) == [], attempt
        assert not [name for name in world.resolved if name.lower().rstrip(".") != f"pcpool.{DOMAIN}"], attempt


@SENDERS
@pytest.mark.parametrize(
    "via",
    [
        f"SIP/2.0/UDP {ELSEWHERE}:5060;branch=z9hG4bKa",
        f"SIP/2.0/UDP {ELSEWHERE};branch=z9hG4bKb;rport",
        f"SIP/2.0/UDP {NAME};branch=z9hG4bKc;received={ELSEWHERE};rport=5060",
        f"SIP/2.0/UDP 198.51.100.7:{{port}};branch=z9hG4bKd;maddr={ELSEWHERE};ttl=16",
        f"SIP/2.0/TCP {ELSEWHERE}:5060;branch=z9hG4bKe",
        f"SIP/2.0/UDP 198.51.100.7:{{port}};branch=z9hG4bKf;received={ELSEWHERE}",
        f"SIP/2.0/UDP 198.51.100.7:{{port}};branch=z9hG4bKg, SIP/2.0/UDP {ELSEWHERE}:5060;branch=z9hG4bKh",
        f"SIP/2.0/UDP {ELSEWHERE}:5060",
    ],
)
@pytest.mark.parametrize("uri", [f"sip:{DOMAIN}", f"sip:nobody@{DOMAIN}", f"sip:x@{ELSEWHERE}", "bad:uri"])
def test_no_answer_goes_elsewhere(sender: Sender, via: str, uri: str) -> None:
    """At most to another port of the sender's own host, as its Via wants it."""
    world = World(realm=DOMAIN)
    world.names[NAME] = [ELSEWHERE]
    party, send = sender(world)
    sent = watched(world)
    request = party.request("OPTIONS", uri)
    request.lines[request.index["via"]] = "Via: " + via.replace("{port}", str(party.port))
    send(request)
    assert {each.to.host for each in sent} <= {party.host}
    assert not world.resolved


@SENDERS
@pytest.mark.parametrize(
    "contact", [f"sip:v@{ELSEWHERE}", f"sip:v@{ELSEWHERE};transport=tcp", f"sip:v@{NAME}", "sip:v@[2001:db8::9]"]
)
def test_no_binding_aims_at_a_third_party(sender: Sender, contact: str) -> None:
    world = World(realm=DOMAIN)
    world.names[NAME] = [ELSEWHERE]
    party, send = sender(world)
    sent = watched(world)
    send(party.register(contact=contact, cseq=5))
    party.inbox.clear()
    caller = world.phone("bob", "UDP", "198.51.100.8")
    Person(caller).ask("MESSAGE", party.uri)
    assert {each.to.host for each in sent} <= {party.host, caller.host}


def test_a_redirection_leads_nowhere_outside(directory: Directory) -> None:
    for recurse in (False, True):
        world = World(realm=DOMAIN, recurse=recurse)
        world.engine.use_gate(gate_for(directory, world.engine.counters))
        alice, bob = Person(world.phone("alice", "UDP")), Person(world.phone("bob", "UDP", "198.51.100.8"))
        bob.register()
        sent = watched(world)
        alice.ask("INVITE", bob.party.uri)
        alice.party << 100
        invite = bob.party << "INVITE"
        copied = [f"{name}: {value}" for name in ("Via",) for value in invite.values("via")]
        lines = [
            *copied,
            f"From: {invite.first('from')}",
            f"To: {invite.first('to')};tag=b",
            f"Call-ID: {invite.call_id}",
        ]
        lines += [f"CSeq: {invite.first('cseq')}", f"Contact: <sip:x@{ELSEWHERE}>", "Content-Length: 0", "", ""]
        bob.party >> "\r\n".join(["SIP/2.0 302 Elsewhere", *lines]).encode()
        alice.party << 302
        assert strays(sent, alice.party, bob.party) == []


def test_a_stranger_gets_little_more_than_he_sends() -> None:
    """By datagrams whose source is forged, nobody can have a victim sent much more than he sends himself."""
    worst = 0.0
    for method in ("INVITE", "REGISTER", "OPTIONS", "MESSAGE"):
        world = World(realm=DOMAIN, wall_offset=1.8e9)
        party, send = stranger(world)
        sent = watched(world)
        request = party.request(method, CONTACT_OBJECT)
        send(request)
        worst = max(worst, sum(len(each.data) for each in sent) / len(request.encode()))
    assert 1.0 < worst < 4.0

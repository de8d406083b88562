"""Answers, and what is sent to users, go to where their own messages came from: Via and Contact aim at nobody else."""

import pytest

from sipgw.message import Request
from tests.harness import CONTACT_OBJECT, DOMAIN, GATEWAY, Party, reply
from tests.scenarios.sign_in.people import Person
from tests.security.watching import (
    NO_GATE,
    STANDINGS,
    USER,
    VICTIM,
    Attacker,
    Watched,
    answers,
    attacker,
    only_to,
)

everywhere = pytest.mark.parametrize("standing", STANDINGS)
inside = pytest.mark.parametrize("standing", [USER, NO_GATE])
both = pytest.mark.parametrize("transport", ["UDP", "TCP"])


def with_vias(request: Request, *vias: str) -> bytes:
    """The same request with other Vias."""
    lines = [line for line, name in zip(request.lines, request.names, strict=True) if name != "via"]
    return "\r\n".join([request.start, *[f"Via: {via}" for via in vias], *lines, "", ""]).encode()


VIAS = {
    "sent-by": ["SIP/2.0/{T} 203.0.113.9:40000;branch=z9hG4bKa"],
    "sent-by-name": ["SIP/2.0/{T} victim.test:40000;branch=z9hG4bKa"],
    "received": ["SIP/2.0/{T} 198.51.100.7:40000;branch=z9hG4bKa;received=203.0.113.9"],
    "received-twice": ["SIP/2.0/{T} 198.51.100.7:40000;received=203.0.113.9;branch=z9hG4bKa;received=203.0.113.9"],
    "rport": ["SIP/2.0/{T} 203.0.113.9:22;branch=z9hG4bKa;rport=5060;received=203.0.113.9"],
    "rport-empty": ["SIP/2.0/{T} 203.0.113.9:22;branch=z9hG4bKa;rport"],
    "maddr": ["SIP/2.0/{T} 198.51.100.7:40000;branch=z9hG4bKa;maddr=203.0.113.9;ttl=16"],
    "maddr-and-received": ["SIP/2.0/{T} 203.0.113.9:40000;maddr=203.0.113.9;received=203.0.113.9;branch=z9hG4bKa"],
    "multicast": ["SIP/2.0/{T} 198.51.100.7:40000;branch=z9hG4bKa;maddr=224.0.1.75"],
    "other-transport": ["SIP/2.0/TLS 203.0.113.9:40000;branch=z9hG4bKa"],
    "alias": ["SIP/2.0/{T} 203.0.113.9:40000;alias;branch=z9hG4bKa"],
    "connection": ["SIP/2.0/{T} 203.0.113.9:40000;branch=z9hG4bKa;ms-received-port=5060;ms-received-cid=101"],
    "no-branch": ["SIP/2.0/{T} 203.0.113.9:40000"],
    "in-one-line": ["SIP/2.0/{T} 198.51.100.7:40000;branch=z9hG4bKa, SIP/2.0/UDP 203.0.113.9;branch=z9hG4bKb"],
    "several": ["SIP/2.0/{T} 203.0.113.9:40000;branch=z9hG4bKa", "SIP/2.0/UDP 203.0.113.9:5060;branch=z9hG4bKb"],
    "ours-below": ["SIP/2.0/{T} 203.0.113.9:40000;branch=z9hG4bKa", f"SIP/2.0/UDP {GATEWAY}:5060;branch=z9hG4bKb"],
    "ours-on-top": [f"SIP/2.0/{{T}} {GATEWAY}:40000;branch=z9hG4bKa", "SIP/2.0/UDP 203.0.113.9;branch=z9hG4bKb"],
    "broken-below": ["SIP/2.0/{T} 203.0.113.9:40000;branch=z9hG4bKa", "203.0.113.9"],
    "six": ["SIP/2.0/{T} [2001:db8::66]:40000;branch=z9hG4bKa;received=2001:db8::66"],
}
BROKEN = ("SIP/2.0 X", "INVITE", "OPTIONS sip:x@example.test SIP/3.0", "OPTIONS sip:\x00 SIP/2.0", "NO-URI SIP/2.0")


def answered_at_home(alice: Attacker) -> None:
    """By UDP to the host that it came from, at the port that Via names; else over the connection."""
    assert alice.world.sends
    for send in alice.world.sends:
        assert (send.to.transport, send.to.host) == (alice.party.transport, alice.party.host)
        assert alice.party.transport == "UDP" or send.to is alice.party.flow


@pytest.mark.parametrize("vias", list(VIAS.values()), ids=list(VIAS))
@both
@everywhere
def test_an_answer_goes_to_where_the_request_came_from(standing: str, transport: str, vias: list[str]) -> None:
    """Whatever Via says: answers of our own, refusals without state, and what timers send again."""
    alice = attacker(standing, transport)
    vias = [via.replace("{T}", transport) for via in vias]
    for method in ("OPTIONS", "INVITE", "BENOTIFY", "CANCEL"):
        alice.party >> with_vias(alice.party.request(method, f"sip:{DOMAIN}"), *vias)
        alice.party >> with_vias(alice.party.request(method, f"sip:x@{VICTIM}", hops=None), *vias)
    alice.party >> with_vias(alice.party.request("OPTIONS", f"sip:{DOMAIN}", "Content-Length: x"), *vias)
    alice.world.advance(40.0)
    answered_at_home(alice)


@pytest.mark.parametrize("start", BROKEN)
@everywhere
def test_nor_does_one_to_what_cannot_be_read(standing: str, start: str) -> None:
    alice = attacker(standing)
    rest = f"Via: {VIAS['maddr-and-received'][0]}\r\nFrom: x\r\nTo: y\r\nCall-ID: z\r\nCSeq: 1 OPTIONS"
    before = len(alice.world.sends)
    for data in (f"{start}\r\n{rest}\r\n\r\n", f"{start}\r\n{rest}", start, rest):
        alice.party >> data.encode()
    assert all(send.to.host == alice.party.host for send in alice.world.sends[before:])


@pytest.mark.parametrize("vias", list(VIAS.values()), ids=list(VIAS))
@both
@inside
def test_a_relayed_answer_takes_the_same_way(standing: str, transport: str, vias: list[str]) -> None:
    """The pool's answer comes with our Via on top and the sender's below it, and what is there is what we put there."""
    alice = attacker(standing, transport)
    pool = alice.world.pool_servers()[0]
    request = alice.party.request("MESSAGE", CONTACT_OBJECT, cseq=77)
    if alice.person is not None:
        credentials = alice.person.digest.credentials("MESSAGE", CONTACT_OBJECT)
        request.set_lines(
            request.uri, [*zip(request.lines, request.names, strict=True), *[(c, "x") for c in credentials]]
        )
    alice.party >> with_vias(request, *[via.replace("{T}", transport) for via in vias])
    for message in list(pool.inbox):
        pool.inbox.remove(message)
        pool >> reply(message, 200)
    strayed = [send.to for send in alice.world.sends if send.to.host not in (alice.party.host, pool.host)]
    assert not strayed
    assert all(send.to.host != VICTIM for send in alice.world.sends)


# Contact of a REGISTER

CONTACTS = {
    "elsewhere": f"sip:alice@{VICTIM}:5060",
    "elsewhere-by-tcp": f"sip:alice@{VICTIM}:5060;transport=tcp",
    "elsewhere-by-tls": f"sips:alice@{VICTIM}:5061",
    "elsewhere-by-name": "sip:alice@victim.test",
    "maddr": f"sip:alice@198.51.100.7:40000;maddr={VICTIM}",
    "own-host-maddr": f"sip:alice@{VICTIM};maddr=198.51.100.7",
    "received": f"sip:alice@198.51.100.7:40000;received={VICTIM}",
    "route-in-it": f"sip:alice@198.51.100.7:40000?Route=%3Csip:{VICTIM};lr%3E",
    "decimal": "sip:alice@3405803785",
    "pool": "sip:x@192.0.2.51:5041;transport=tcp",
    "ourselves": f"sip:x@{GATEWAY}:5060",
    "loopback": "sip:x@127.0.0.1:8080;transport=tcp",
    "lr": f"sip:alice@{VICTIM};lr",
    "token": f"sip:00000000000000000000.00000000.0.Ucb00710913c4@{GATEWAY}:5060;lr",
}
EXTRAS = (
    "",
    ';reg-id=1;+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"',
    ';q=1.0;received="sip:203.0.113.9"',
)


def calls_alice(world: Watched) -> Party:
    """Bob has something for alice."""
    bob = Person(world.phone("bob", "TCP", "198.51.100.8"))
    bob.ask("MESSAGE", f"sip:alice@{DOMAIN}")
    bob.ask("INVITE", f"sip:alice@{DOMAIN}")
    return bob.party


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("contact", list(CONTACTS.values()), ids=list(CONTACTS))
@both
@inside
def test_a_binding_leads_to_who_made_it(standing: str, transport: str, contact: str, extra: str) -> None:
    """By UDP to the source of the REGISTER, by TCP down its connection, and when that is gone to its host alone."""
    alice = attacker(standing, transport)
    supported = "Supported: outbound, path"
    contact = f"Contact: <{contact}>{extra}"
    assert alice.tries("REGISTER", f"sip:{DOMAIN}", contact, supported, to=alice.party.uri) == 200
    assert {binding.source[1] for binding in alice.world.engine.location} == {alice.party.host}
    bob = calls_alice(alice.world)
    assert all(send.to.host in (alice.party.host, bob.host) for send in alice.world.sends)
    if transport == "TCP":
        alice.party.break_connection()
        again = Party(alice.world, "bob", "TCP", bob.host, bob.port, flow=bob.flow)
        again >> again.request("MESSAGE", f"sip:alice@{DOMAIN}")
    alice.world.advance(200.0)
    assert all(send.to.host in (alice.party.host, bob.host) for send in alice.world.sends)
    assert alice.world.resolved == []


@both
@everywhere
def test_somebody_elses_address_of_record(standing: str, transport: str) -> None:
    """Who has proved that he is alice is alice; a stranger is nobody. Where no proof is wanted bob is whoever says so,
    and what comes for him goes to who said so."""
    alice = attacker(standing, transport)
    bob = f"sip:bob@{DOMAIN}"
    status = alice.tries("REGISTER", f"sip:{DOMAIN}", f"Contact: <sip:x@{VICTIM}>", to=bob)
    assert status == {"a-stranger": 401, "a-user": 403, "no-gate": 200}[standing]
    assert alice.world.engine.location.count == (standing == NO_GATE)
    carol = alice.world.phone("carol")
    carol >> carol.request("MESSAGE", bob)
    only_to(alice.world, alice.party, carol)


@inside
def test_a_contact_is_removed_by_its_owner_alone(standing: str) -> None:
    alice = attacker(standing)
    bob = Person(alice.world.phone("bob", "TCP", "198.51.100.8"))
    bob.register()
    if standing == USER:
        assert alice.tries("REGISTER", f"sip:{DOMAIN}", "Contact: *", "Expires: 0", to=bob.party.uri) == 403
        assert alice.world.engine.location.count == 1


def test_a_registration_is_read_back_after_a_restart_with_its_source() -> None:
    """Connections are gone then; who is dialled is the host that the REGISTER came from."""
    alice = attacker(NO_GATE, "TCP")
    alice.tries("REGISTER", f"sip:{DOMAIN}", f"Contact: <sip:alice@{VICTIM}:5060>", to=alice.party.uri)
    after = Watched(gate=False)
    after.engine.load_bindings([row for persist in alice.world.persisted for row in persist.puts])
    bob = after.phone("bob", "TCP", "198.51.100.8")
    bob >> bob.request("MESSAGE", f"sip:alice@{DOMAIN}")
    assert {send.to.host for send in after.sends} == {alice.party.host, bob.host}


# Contact inside a dialog

TARGETS = (f"sip:x@{VICTIM}", f"sip:x@{VICTIM};transport=tcp", "sip:x@victim.test", f"sip:x@{DOMAIN};maddr={VICTIM}")


@pytest.mark.parametrize("target", TARGETS)
@inside
def test_a_target_of_a_dialog_is_no_destination(standing: str, target: str) -> None:
    """The caller's Contact, the callee's, and both again after a re-INVITE: what goes on inside goes by our tokens."""
    alice = attacker(standing)
    pool = alice.world.pool_servers()[0]
    alice.send("INVITE", CONTACT_OBJECT, f"Contact: <{target}>", contact=False)
    alice.party << 100
    invite = pool << "INVITE"
    ok = reply(invite, 200, contact=target)
    pool >> ok
    mine, theirs = alice.party.calling(alice.party << 200), pool.called(invite, ok)
    assert (mine.target, theirs.target) == (target, target)
    alice.again(mine.request("ACK"))
    pool << "ACK"
    for method in ("INFO", "UPDATE", "REFER"):
        alice.again(mine.request(method, f"Contact: <{target}>"))
        pool >> reply(pool << method, 200, contact=target)
        alice.party << 200
        pool >> theirs.request(method, f"Contact: <{target}>")
        alice.party >> reply(alice.party << method, 200, contact=target)
        pool << 200
    only_to(alice.world, alice.party, pool)


# forged source addresses


@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
def test_who_has_no_password_makes_nothing_of_a_forged_source(method: str) -> None:
    """No binding, no dialog: one challenge goes to the address, and nothing after it but its repetition."""
    world = Watched()
    forged = world.phone("alice", "UDP", VICTIM, 5060)
    forged >> forged.request(method, f"sip:{DOMAIN}", f"Contact: <{forged.contact}>", to=forged.uri)
    bob = calls_alice(world)
    assert set(answers(forged)) == {401 if method == "REGISTER" else 407}
    assert world.engine.location.count == 0
    only_to(world, forged, bob)


@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "MESSAGE"])
def test_a_nonce_is_good_where_it_was_given_out(method: str) -> None:
    """Else a user would have it given to himself and send his credentials from an address that is not his: all that is
    sent to him or in his dialogs then goes there. The port may change, as a NAT box may give him another."""
    world = Watched()
    pool = world.pool_servers()[0]
    alice, forged = world.phone("alice", "UDP"), world.phone("alice", "UDP", VICTIM, 5060)
    moved = world.phone("alice", "UDP", alice.host, 5099)
    uri, lines = (f"sip:{DOMAIN}", ["Expires: 60"]) if method == "REGISTER" else (CONTACT_OBJECT, [])
    person = Person(alice)
    person.ask(method, uri, *lines, to=alice.uri)
    alice.inbox.clear()
    reached = len(pool.inbox)
    person.send(person.party.request(method, uri, *lines, to=alice.uri, cseq=7))
    person.party = forged
    person.send(forged.request(method, uri, f"Contact: <{forged.contact}>", *lines, to=alice.uri, cseq=8))
    (asked,) = answers(forged)
    assert asked in (401, 407)
    assert {binding.source[1] for binding in world.engine.location} <= {alice.host}
    person.party = moved
    person.send(moved.request(method, uri, *lines, to=alice.uri, cseq=9))
    assert not {401, 407} & set(answers(moved))
    assert len(pool.inbox) - reached == (0 if method == "REGISTER" else 2)

"""Signed both ways, as the gateway does it and not the code for signatures alone: whatever goes to a client that has
signed in by NTLM has a good signature, whatever comes from it needs one, and none goes any further."""

import re
from collections.abc import Callable

import pytest

from sipgw.core.admission import Rates
from sipgw.core.registrar import RegistrarSettings
from sipgw.message import Request, Response, parse_message
from tests.harness import CONTACT_OBJECT, DOMAIN, FQDN, Dialog, Party, reply
from tests.scenarios.sign_in.people import Person, with_headers
from tests.scenarios.sign_in.signer import Signed, Signer, account

POOL_CONTACT = "sip:ocschat@192.0.2.51:5041;transport=tcp"
OUTSIDE = ("INVITE", "MESSAGE", "NOTIFY", "BENOTIFY", "OPTIONS", "SUBSCRIBE", "SERVICE", "INFO", "REFER", "FOO")
INSIDE = ("INFO", "BYE", "UPDATE", "MESSAGE", "NOTIFY", "BENOTIFY", "OPTIONS", "REFER", "INVITE", "FOO")
FAILURES = (300, 400, 403, 404, 408, 415, 480, 481, 486, 487, 488, 491, 500, 501, 600, 603)


@pytest.fixture
def world() -> Signed:
    return Signed()


@pytest.fixture
def pool(world: Signed) -> Party:
    return world.pool_servers()[0]


@pytest.fixture
def alice(world: Signed) -> Signer:
    return Signer(world)


def called(alice: Signer, pool: Party, *headers: str) -> Request:
    """Her INVITE to the pool, as it comes there."""
    alice.asks("INVITE", CONTACT_OBJECT, *headers)
    alice.party << 100
    invite: Request = pool << "INVITE"
    return invite


def call(alice: Signer, pool: Party) -> tuple[Dialog, Dialog]:
    """A call with the pool that waits for its ACK: her side, and the pool's."""
    invite = called(alice, pool)
    ok = reply(invite, 200, contact=POOL_CONTACT)
    pool >> ok
    return alice.party.calling(alice.takes(200)), pool.called(invite, ok)


def acked(alice: Signer, pool: Party) -> tuple[Dialog, Dialog]:
    mine, theirs = call(alice, pool)
    alice.send(mine.request("ACK"))
    pool << "ACK"
    mine.cseq = alice.cseq = 50
    return mine, theirs


# what goes to the client


@pytest.mark.parametrize("method", INSIDE)
def test_a_request_of_the_pool_inside_a_dialog(world: Signed, pool: Party, alice: Signer, method: str) -> None:
    _, theirs = acked(alice, pool)
    pool >> theirs.request(method, contact_of(method, pool))
    request = alice.takes(method)
    if method != "BENOTIFY":
        alice.answers(request, 200, contact=alice.party.contact)
        if method == "INVITE":
            pool << 100
        pool << 200
    if method == "INVITE":
        pool >> theirs.request("ACK")
        alice.takes("ACK")
    world.no_credentials()


def contact_of(method: str, party: Party) -> str:
    return f"Contact: <{party.contact}>" if method == "INVITE" else "X-Any: thing"


@pytest.mark.parametrize("method", OUTSIDE)
@pytest.mark.parametrize("sender", ["pool", "user", "signer"])
def test_a_request_outside_of_dialogs(world: Signed, pool: Party, alice: Signer, method: str, sender: str) -> None:
    if sender == "pool":
        acked(alice, pool)  # so that there is a connection
        pool >> pool.request(method, alice.party.uri)
    elif sender == "signer":
        Signer(world, "bob", "198.51.100.8").asks(method, alice.party.uri)
    else:
        world.engine.use_gate(Signed(digest=True).engine.gate)  # which knows nobody yet
        alice = Signer(world, "alice", "198.51.100.9")
        Person(world.phone("bob", host="198.51.100.8")).ask(method, alice.party.uri)
    alice.takes(method)
    world.no_credentials()


def test_the_ack_and_the_cancel_of_the_pool(world: Signed, pool: Party, alice: Signer) -> None:
    acked(alice, pool)
    invite = pool.request("INVITE", alice.party.uri)
    pool >> invite
    got = alice.takes("INVITE")
    alice.answers(got, 180)
    pool << 100
    pool << 180
    pool >> pool.cancel(invite)
    pool << 200
    alice.takes("CANCEL")
    alice.answers(got, 487)
    alice.takes("ACK")
    pool << 487
    second = pool.request("INVITE", alice.party.uri)
    pool >> second
    alice.answers(alice.takes("INVITE"), 200, contact=alice.party.contact)
    pool << 100
    pool >> pool.calling(pool << 200).request("ACK")
    alice.takes("ACK")
    world.no_credentials()


@pytest.mark.parametrize("status", [180, 183, 200, *FAILURES])
@pytest.mark.parametrize("callee", ["pool", "bob"])
def test_a_response_to_an_invite(world: Signed, pool: Party, alice: Signer, callee: str, status: int) -> None:
    bob = Signer(world, "bob", "198.51.100.8")
    alice.asks("INVITE", CONTACT_OBJECT if callee == "pool" else bob.party.uri)
    alice.party << 100
    if callee == "pool":
        pool >> reply(pool << "INVITE", status, contact=POOL_CONTACT)
    else:
        bob.answers(bob.takes("INVITE"), status, contact=bob.party.contact)
    answer = alice.takes(480 if status == 503 else status)
    if status >= 300 and callee == "bob":
        bob.takes("ACK")
    assert isinstance(answer, Response)
    world.no_credentials()


@pytest.mark.parametrize("status", [200, 202, *(status for status in FAILURES if status != 408)])  # RFC 4320 §4.1
@pytest.mark.parametrize("method", [method for method in OUTSIDE if method not in ("INVITE", "BENOTIFY")])
def test_a_response_of_the_pool(world: Signed, pool: Party, alice: Signer, method: str, status: int) -> None:
    alice.asks(method, CONTACT_OBJECT)
    pool >> reply(pool << method, status)
    alice.takes(status)
    world.no_credentials()


OURS: dict[int, Callable[[Signer, Party], object]] = {
    200: lambda alice, pool: alice.asks("OPTIONS", f"sip:{FQDN}"),
    400: lambda alice, pool: alice.asks("MESSAGE", CONTACT_OBJECT, "Route: <<"),
    404: lambda alice, pool: alice.asks("MESSAGE", f"sip:nobody@{DOMAIN}"),
    407: lambda alice, pool: alice.party >> alice.party.request("MESSAGE", CONTACT_OBJECT, cseq=90),
    416: lambda alice, pool: alice.asks("MESSAGE", "tel:+1"),
    480: lambda alice, pool: alice.asks("MESSAGE", f"sip:bob@{DOMAIN}"),
    481: lambda alice, pool: alice.send(alice.party.cancel(alice.party.request("INVITE", CONTACT_OBJECT))),
    483: lambda alice, pool: alice.asks("MESSAGE", CONTACT_OBJECT, hops=0),
}


@pytest.mark.parametrize("status", OURS)
def test_an_answer_of_ours(world: Signed, pool: Party, alice: Signer, status: int) -> None:
    OURS[status](alice, pool)
    alice.takes(status)
    pool.nothing()


def test_we_refuse_who_speaks_for_another_signed(world: Signed, pool: Party, alice: Signer) -> None:
    alice.send(another(alice.party.request("MESSAGE", CONTACT_OBJECT, cseq=9)))
    assert "4004" in str(alice.takes(403).first("ms-diagnostics"))
    pool.nothing()


def another(request: Request, who: str = "boss") -> Request:
    made = parse_message(request.encode().replace(b"\r\nFrom: <sip:alice@", f"\r\nFrom: <sip:{who}@".encode(), 1))
    assert isinstance(made, Request)
    return made


def test_pools_that_are_away_and_too_much_are_told_signed(pool: Party) -> None:
    world = Signed(rates=Rates(per_user=2))
    alice = Signer(world)
    alice.asks("MESSAGE", CONTACT_OBJECT)
    assert alice.takes(504).first("ms-diagnostics")
    for _ in range(30):
        alice.asks("OPTIONS", f"sip:{FQDN}")
    told = [message.status for message in alice.party.inbox if isinstance(message, Response)]
    assert 503 in told and all(alice.takes(status) for status in told)


def test_registrations_are_answered_signed(world: Signed, alice: Signer) -> None:
    for expires in (600, 0):
        alice.cseq += 1
        alice.send(alice.party.register(cseq=alice.cseq, expires=expires))
        alice.takes(200)


def test_who_cancels_is_answered_signed(world: Signed, pool: Party, alice: Signer) -> None:
    invite = called(alice, pool)
    pool >> reply(invite, 180)
    alice.takes(180)
    (sent,) = alice.party.sent.values()
    alice.send(alice.party.cancel(sent))
    alice.takes(200)
    pool << "CANCEL"
    pool >> reply(invite, 487)
    alice.takes(487)
    world.no_credentials()


@pytest.mark.parametrize(
    ("supported", "method"),
    [("gruu-10", "NOTIFY"), ("gruu-10, ms-benotify", "BENOTIFY")],
    ids=["answered", "best-effort"],
)
def test_who_is_displaced_is_told_signed(supported: str, method: str) -> None:
    world = Signed(registrar=RegistrarSettings(max_bindings_per_user=1))
    lines = "Event: registration", f"Supported: {supported}, msrtc-event-categories"
    alice = Signer(world, headers=lines, instance="00000000-0000-1000-8000-000000000001")
    world.advance(1)
    again = Signer(world, headers=lines, instance="00000000-0000-1000-8000-000000000002", port=41_000)
    notify = alice.takes(method)
    assert notify.first("event") == "registration-notify"
    again.party.nothing()


@pytest.mark.parametrize("status", [100, 401])
def test_what_is_not_signed(world: Signed, pool: Party, alice: Signer, status: int) -> None:
    """Of this hop alone, and to a client whose keys may not be ours any more."""
    if status == 100:
        alice.asks("INVITE", CONTACT_OBJECT)
    else:
        alice.party >> alice.party.register(cseq=90)
    assert "authentication-info" not in (alice.party << status).names


# what comes from the client


TAMPERED: dict[str, Callable[[bytes], bytes]] = {
    "a bad signature": lambda data: re.sub(rb'response="..', b'response="5a', data),
    "another number": lambda data: re.sub(rb'cnum="(\d+)"', rb'cnum="1\1"', data),
    "none": lambda data: re.sub(rb"\r\nAuthorization: [^\r]*", b"", data),
    "a truncated one": lambda data: re.sub(rb'(response="\w+)\w\w"', rb'\1"', data),
    "of another tag": lambda data: re.sub(rb"(\r\nFrom: [^\r]*;tag=)", rb"\1x", data),
}


def sealed(alice: Signer, message: Request | Response) -> bytes:
    alice.client.seal(message)
    return message.encode()


@pytest.mark.parametrize("how", TAMPERED)
def test_a_response_that_is_not_the_clients(world: Signed, pool: Party, alice: Signer, how: str) -> None:
    _, theirs = acked(alice, pool)
    pool >> theirs.request("INFO")
    alice.answers(alice.takes("INFO"), 200)  # from here on it is known that she signs her responses
    pool << 200
    pool >> theirs.request("INFO")
    answer = sealed(alice, reply(alice.takes("INFO"), 200))
    alice.party >> TAMPERED[how](answer)
    pool.nothing()
    alice.party >> answer
    pool << 200
    world.no_credentials()


def test_a_response_is_heard_once(world: Signed, pool: Party, alice: Signer) -> None:
    """Sent again it could be for another request with the same numbers."""
    acked(alice, pool)
    pool >> pool.request("INVITE", alice.party.uri)
    answer = sealed(alice, reply(alice.takes("INVITE"), 180))
    for _ in range(3):
        alice.party >> answer
    pool << 100
    pool << 180
    pool.nothing()


@pytest.mark.parametrize("digest", [False, True])
@pytest.mark.parametrize("how", TAMPERED)
def test_an_ack_that_is_not_the_clients(how: str, digest: bool) -> None:
    """Also where Digest is offered, which has ACKs without anything: she signs hers."""
    world = Signed(digest)
    pool, alice = world.pool_servers()[0], Signer(world)
    mine, _ = call(alice, pool)
    ack = sealed(alice, mine.request("ACK"))
    alice.party >> TAMPERED[how](ack)
    pool.nothing()
    alice.party >> ack
    pool << "ACK"
    alice.party >> ack
    pool.nothing()
    world.no_credentials()


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
@pytest.mark.parametrize("strict", [False, True])
def test_an_unsigned_ack_from_elsewhere(transport: str, strict: bool) -> None:
    """The token says whose the dialog is; who signs does so wherever Digest is offered."""
    world = Signed(digest=True)
    pool, alice = world.pool_servers()[0], Signer(world)
    mine, _ = call(alice, pool)
    spy = world.phone("alice", transport, "203.0.113.66")
    if strict:
        mine.routes, mine.target = [*mine.routes[1:], f"<{mine.target}>"], mine.routes[0].strip("<>")
    spy >> mine.request("ACK")
    pool.nothing()
    decoy = Dialog(spy, mine.call_id, mine.local, mine.remote, mine.target, ["<sip:192.0.2.1:5060;lr>", *mine.routes])
    spy >> decoy.request("ACK")
    pool.nothing()
    alice.send(mine.request("ACK"))
    pool << "ACK"


@pytest.mark.parametrize("how", TAMPERED)
def test_a_cancel_may_be_unsigned_but_not_badly_signed(world: Signed, pool: Party, alice: Signer, how: str) -> None:
    """It is never challenged ([MS-SIPAE] §3.3.5.2) and comes the way of its INVITE."""
    invite = called(alice, pool)
    pool >> reply(invite, 180)
    alice.takes(180)
    (sent,) = alice.party.sent.values()
    cancel = TAMPERED[how](sealed(alice, alice.party.cancel(sent)))
    alice.party >> cancel
    if how == "none":
        alice.takes(200)
        pool << "CANCEL"
    else:
        alice.takes(481)
    pool.nothing()


def test_a_cancel_is_of_who_sent_the_invite(world: Signed, pool: Party, alice: Signer) -> None:
    """Two users may come over one connection, as behind a proxy."""
    pool >> reply(called(alice, pool), 180)
    alice.takes(180)
    bob = Signer(world, "bob", over=alice.party)
    (sent,) = alice.party.sent.values()
    bob.send(alice.party.cancel(sent))
    alice.takes(481)
    pool.nothing()
    alice.send(alice.party.cancel(sent))
    pool << "CANCEL"


@pytest.mark.parametrize("digest", [False, True])
def test_an_ack_over_a_new_connection(digest: bool) -> None:
    """Of one who has had to connect anew: the dialog's token has a connection that is no more."""
    world = Signed(digest)
    pool, alice = world.pool_servers()[0], Signer(world)
    mine, _ = call(alice, pool)
    alice.party.break_connection()
    again = Signer(world, port=41_000)
    again.party >> mine.request("ACK")
    pool.nothing()
    again.send(mine.request("ACK"))
    pool << "ACK"
    world.phone("alice", host="203.0.113.66") >> mine.request("ACK")
    assert bool(pool.inbox) is digest, "without Digest nobody does without a signature (docs/security.md)"


def test_an_ack_of_a_phone_that_does_not_sign_still_passes() -> None:
    world = Signed(digest=True)
    pool, bob = world.pool_servers()[0], Person(world.phone("bob", host="198.51.100.8"))
    bob.ask("INVITE", CONTACT_OBJECT)
    bob.party << 100
    pool >> reply(pool << "INVITE", 200, contact=POOL_CONTACT)
    bob.party >> bob.party.calling(bob.party << 200).request("ACK")
    pool << "ACK"


@pytest.mark.parametrize("digest", [False, True])
def test_an_ack_speaks_for_its_sender(digest: bool) -> None:
    world = Signed(digest)
    pool, alice = world.pool_servers()[0], Signer(world)
    mine, _ = call(alice, pool)
    alice.send(another(mine.request("ACK")))
    pool.nothing()
    assert world.engine.proxy.counters["ack_dropped"] == 1


@pytest.mark.parametrize("now", ["disabled", "gone"])
def test_an_ack_of_who_is_disabled(world: Signed, pool: Party, alice: Signer, now: str) -> None:
    mine, _ = call(alice, pool)
    world.directory.now_has(*([account("alice", enabled=False)] if now == "disabled" else []))
    alice.send(mine.request("ACK"))
    pool.nothing()


NO_LONGER = {
    "disabled": [account("alice", enabled=False)],
    "gone": [account("bob")],
    "another password": [account("alice", password="another")],
    "another's address": [account("other-alice", uri=f"sip:alice@{DOMAIN}")],
}


@pytest.mark.parametrize("now", NO_LONGER)
def test_a_sign_in_does_not_outlive_what_it_was_by(world: Signed, pool: Party, alice: Signer, now: str) -> None:
    """She is left to connect anew, as the real client does by itself; and then has to sign in."""
    world.directory.now_has(*NO_LONGER[now])
    alice.asks("MESSAGE", CONTACT_OBJECT)
    alice.party << 407
    assert [closed.cid for closed in world.closed] == [alice.party.flow.cid if alice.party.flow else 0]
    assert alice.ask(alice.party.register(cseq=90)).status == 401
    pool.nothing()


@pytest.mark.parametrize("method", [method for method in OUTSIDE if method != "INVITE"])
@pytest.mark.parametrize("how", TAMPERED)
def test_a_request_that_is_not_the_clients(world: Signed, pool: Party, alice: Signer, method: str, how: str) -> None:
    request = sealed(alice, alice.party.request(method, CONTACT_OBJECT, cseq=7))
    alice.party >> TAMPERED[how](request)
    pool.nothing()
    alice.party.inbox.clear()
    alice.party >> request
    pool << method
    alice.party >> request.replace(b"branch=z9hG4bK", b"branch=z9hG4bKagain")
    pool.nothing()
    world.no_credentials()


def test_credentials_of_one_who_signs_and_has_a_phone_too() -> None:
    """What she has for Digest is dropped beside her signature."""
    world = Signed(digest=True)
    pool, alice = world.pool_servers()[0], Signer(world)
    request = alice.party.request("MESSAGE", CONTACT_OBJECT, cseq=7)
    phone = Person(world.phone("alice", host="198.51.100.9"))
    phone.ask("OPTIONS", f"sip:{DOMAIN}")
    alice.send(with_headers(request, phone.digest.credentials("MESSAGE", CONTACT_OBJECT)))
    pool << "MESSAGE"
    world.no_credentials()

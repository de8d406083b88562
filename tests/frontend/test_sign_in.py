"""The answer to REGISTER as a real client needs it, and what a Front End refuses."""

import re

import pytest

from sipgw.message import Request, Response, parse_message
from tests.harness import DOMAIN, MakeWorld, Party, World, diagnostics_of
from tests.harness import sipe_message as sipe

ALLOWED_EVENTS = (
    "vnd-microsoft-provisioning,vnd-microsoft-roaming-contacts,vnd-microsoft-roaming-ACL,presence,presence.wpending,"
    "vnd-microsoft-roaming-self,vnd-microsoft-provisioning-v2"
)


def lync(party: Party, *headers: str, epid: str = ";epid=b34afb6ebb23", event: str = "registration") -> Request:
    """A REGISTER as a Lync client forms it, from parts."""
    lines = [
        f"Via: {party.via(party.new_branch())}",
        f"From: <{party.uri}>;tag=1{epid}",
        f"To: <{party.uri}>",
        "Call-ID: r",
        "CSeq: 1 REGISTER",
        *([f"Event: {event}"] if event else []),
        *headers,
        "Content-Length: 0",
    ]
    data = "\r\n".join([f"REGISTER sip:{DOMAIN} SIP/2.0", *lines, "", ""])
    request = parse_message(data.encode())
    assert isinstance(request, Request)
    return request


def test_the_real_client_signs_in(alice: Party) -> None:
    alice >> sipe("01")
    answer: Response = alice << 200
    assert answer.start == "SIP/2.0 200 OK"
    assert answer.lines_of("expires") == ["600"]
    assert answer.lines_of("supported") == ["msrtc-event-categories", "adhoclist"]
    assert answer.lines_of("allow-events") == [ALLOWED_EVENTS]
    assert answer.first("server") == "RTC/4.0"
    assert answer.first("ms-keep-alive") == "UAS; tcp=no; hop-hop=yes; end-end=no; timeout=300"
    assert answer.first("presence-state") == 'register-action="added"'
    via = sipe("01").first("via")
    assert re.fullmatch(
        re.escape(str(via)) + r";ms-received-port=42002;ms-received-cid=[0-9A-F]+", str(answer.first("via"))
    )
    assert answer.first("from") == sipe("01").first("from")
    assert answer.call_id == sipe("01").call_id


def test_its_contact_comes_back_with_a_gruu(alice: Party) -> None:
    """The client looks for the Contact with its own instance and takes the gruu from it."""
    alice >> sipe("01")
    (contact,) = (alice << 200).lines_of("contact")
    assert contact.startswith("<sip:127.0.0.1:42002;transport=tcp;ms-opaque=d3470f2e1d>;expires=600;")
    assert '+sip.instance="<urn:uuid:085e0bd8-031c-5a0d-8d9a-f149aae6954a>"' in contact
    gruu = re.search(r'gruu="(sip:alice@example\.test;opaque=user:epid:[\w-]+;gruu)"', contact)
    assert gruu


def test_the_gruu_is_the_same_after_a_restart_and_for_nobody_else(make_world: MakeWorld) -> None:
    found = []
    for seed, change in ((1, b""), (2, b""), (3, b"changed")):
        world = make_world(seed=seed)
        party = world.phone("alice", "TCP", "127.0.0.1", 42002)
        data = sipe("01").encode()
        party >> (data.replace(b"085e0bd8", change) if change else data)
        found.append((party << 200).lines_of("contact")[0].partition('gruu="')[2])
    assert found[0] == found[1] != found[2]


def test_no_compact_names_and_no_space_before_colons(alice: Party) -> None:
    """pidgin-sipe cannot read either."""
    alice >> sipe("01")
    for line in (alice << 200).lines:
        name, colon, _ = line.partition(":")
        assert colon
        assert len(name) > 1
        assert not name.endswith(" ")


def test_a_refresh_does_not_tell_of_a_new_registration(world: World, alice: Party) -> None:
    """It would take its dialogs for dead ([MS-SIPREGE])."""
    alice >> sipe("01")
    alice << 200
    world.advance(570)
    again = sipe("01").encode().replace(b"CSeq: 1", b"CSeq: 2").replace(b"branch=z9hG4bK", b"branch=z9hG4bK2")
    alice >> again
    answer = alice << 200
    assert "presence-state" not in answer.index
    assert answer.first("expires") == "600"
    assert world.engine.sizes().bindings == 1


def test_the_real_client_signs_out(world: World, alice: Party) -> None:
    """It closes without waiting; the binding is gone before that."""
    alice >> sipe("01")
    alice << 200
    alice >> sipe("31")
    answer = alice << 200
    assert answer.first("expires") == "0"
    assert answer.lines_of("contact") == []
    assert world.engine.sizes().bindings == 0
    alice.break_connection()
    events = [(log.event, log.fields["user"]) for log in world.logs]
    assert events == [("signed in", "alice@example.test"), ("signed out", "alice@example.test")]


def test_it_signs_in_again_over_a_new_connection(world: World, alice: Party) -> None:
    """Same instance, another port: the old Contact is replaced, not joined."""
    alice >> sipe("01")
    alice << 200
    alice.break_connection()
    alice.connect(port=42003)
    again = sipe("01").encode().replace(b"42002", b"42003").replace(b"Call-ID: 34", b"Call-ID: 35")
    alice >> again
    (contact,) = (alice << 200).lines_of("contact")
    assert "127.0.0.1:42003" in contact
    assert world.engine.sizes().bindings == 1


def test_keep_alive_is_offered_to_those_who_ask(world: World) -> None:
    bob = world.phone("bob")
    bob >> bob.register()
    assert "ms-keep-alive" not in (bob << 200).index


def test_a_plain_phone_signs_in_too(world: World) -> None:
    """No Event, no epid, no instance: RFC 3261's own client."""
    bob = world.phone("bob", "UDP")
    bob >> bob.register()
    answer = bob << 200
    assert answer.lines_of("contact") == [f"<{bob.contact}>;expires=600"]


# what is refused


def failed(party: Party, request: Request, status: int) -> int:
    party >> request
    response = party << status
    assert party.world.engine.sizes().bindings == 0
    return diagnostics_of(response)[0]


def test_without_an_endpoint_id(world: World) -> None:
    bob = world.phone("bob")
    assert failed(bob, lync(bob, "Contact: <sip:1@h>", epid=""), 400) == 4010


@pytest.mark.parametrize(
    ("contact", "epid"),
    [
        ('Contact: <sip:1@h>;+sip.instance="<urn:uuid:1>"', ""),
        ('m: <sip:1@h>;+SIP.Instance="<urn:uuid:1>"', ""),
        ("Contact: <sip:1@h>", ";epid=1"),
    ],
)
def test_with_either_endpoint_id(world: World, contact: str, epid: str) -> None:
    bob = world.phone("bob")
    bob >> lync(bob, contact, epid=epid)
    bob << 200


@pytest.mark.parametrize("event", ["presence", "registrations", "x;registration"])
def test_with_a_wrong_event(world: World, event: str) -> None:
    bob = world.phone("bob")
    assert failed(bob, lync(bob, "Contact: <sip:1@h>", event=event), 489) == 4055


@pytest.mark.parametrize("event", ["Registration", "registration;x=1", " registration "])
def test_the_event_in_other_spellings(world: World, event: str) -> None:
    bob = world.phone("bob")
    bob >> lync(bob, "Contact: <sip:1@h>", event=event)
    bob << 200


def test_categories_without_gruu(world: World) -> None:
    bob = world.phone("bob")
    assert failed(bob, lync(bob, "Contact: <sip:1@h>", "Supported: msrtc-event-categories"), 421) == 2057
    bob >> lync(bob, "Contact: <sip:1@h>", "Supported: msrtc-event-categories", "k: Gruu-10")
    bob << 200

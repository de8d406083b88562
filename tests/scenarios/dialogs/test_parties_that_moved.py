"""The other party of a dialog is not where it was: its connection is gone, or it has another address (§12.2, §16.6).

The flow token names the parties, so a request still reaches one of the two: where it is registered now, or where a
trusted peer can be dialled again. Nobody else is reached, whatever target and Route say.
"""

from ipaddress import ip_network

import pytest

from sipgw.core.routing import MAX_LOST
from sipgw.events import Flow
from tests.harness import DOMAIN, Dialog, MakeWorld, Party, World, diagnostics_of, reply
from tests.scenarios.dialogs.steps import asks, called, ends, opens, reinvites, talk
from tests.scenarios.registration.steps import flow, param, registers

PEER, BESIDE = "203.0.113.5", "203.0.113.6"
TRUSTED = (ip_network("203.0.113.0/24"),)


def listening(world: World, name: str, host: str) -> Party:
    """A party that has connected from the port that it listens on, so that it can be dialled there again."""
    party = world.phone(name, "TCP", host=host, port=5060)
    party.listens = True
    return party


def gone(sender: Dialog, method: str = "INFO") -> None:
    sender.party >> sender.request(method)
    assert diagnostics_of(sender.party << 481)[0] == 1004


@pytest.fixture
def trusting(make_world: MakeWorld) -> World:
    return make_world(trusted=TRUSTED)


# a trusted peer closes its idle connection


@pytest.mark.parametrize("names", ["Route", "target"])
def test_a_trusted_peer_is_dialled_again(trusting: World, names: str) -> None:
    peer, bob = listening(trusting, "alice", PEER), trusting.phone("bob", host="198.51.100.61")
    bob.sign_in()
    more = [f"Record-Route: <sip:{PEER}:5060;transport=tcp;lr>"] if names == "Route" else []
    invite, ok = opens(peer, bob, *more)
    mine, theirs = peer.calling(ok), called(bob, invite)
    mine.routes = [route for route in mine.routes if PEER not in route]
    peer >> mine.request("ACK")
    bob << "ACK"
    peer.break_connection("idle")
    assert asks(theirs, peer).values("route") == [value.partition(": ")[2] for value in more]
    peer.break_connection("idle")
    peer.connect()
    ends(mine, bob)


def test_an_ack_dials_a_trusted_peer_again(trusting: World) -> None:
    bob, peer = trusting.phone("bob"), listening(trusting, "carol", PEER)
    peer.sign_in()
    _, ok = opens(bob, peer)
    peer.break_connection("idle")
    bob >> bob.calling(ok).request("ACK")
    peer << "ACK"


@pytest.mark.parametrize(
    "route",
    [
        f"<sip:{BESIDE}:5060;transport=tcp;lr>",
        f"<sip:{PEER}:5060;transport=tcp;maddr={BESIDE};lr>",
        "<sip:elsewhere.test;lr>",
        "<sip:198.51.100.9:5060;transport=tcp;lr>",
        f"<sips:{PEER};lr>",
    ],
)
@pytest.mark.parametrize("names", ["Route", "target"])
def test_nobody_else_is_dialled_in_its_place(trusting: World, names: str, route: str) -> None:
    """Neither another trusted peer nor a name that would have to be looked up: who is in a dialog is no relay."""
    for host in (BESIDE, "198.51.100.9"):
        trusting.server("TCP", host, 5060)
        trusting.server("UDP", host, 5060)
    peer, bob = listening(trusting, "alice", PEER), trusting.phone("bob", host="198.51.100.61")
    bob.sign_in()
    _, theirs = talk(peer, bob)
    peer.break_connection("idle")
    if names == "Route":
        theirs.routes.append(route)
    else:
        theirs.target = route.strip("<>")
    gone(theirs)
    assert not trusting.resolved


def test_a_caller_that_nobody_trusts_is_not_dialled(world: World) -> None:
    """What it writes into Contact and Record-Route is its own idea."""
    alice, bob = listening(world, "alice", "198.51.100.7"), world.phone("bob", host="198.51.100.61")
    bob.sign_in()
    _, theirs = talk(alice, bob)
    alice.break_connection("idle")
    gone(theirs)


def test_of_connections_that_are_gone_a_bounded_number_is_remembered(trusting: World) -> None:
    peer, bob = listening(trusting, "alice", PEER), trusting.phone("bob", host="198.51.100.61")
    bob.sign_in()
    _, theirs = talk(peer, bob)
    peer.break_connection("idle")
    others = [Flow("TCP", BESIDE, 5060, None, 0x10000 + number) for number in range(MAX_LOST)]
    for flow_of_another in others[:-1]:
        trusting.engine.connection_lost(flow_of_another, None, "idle", trusting.now)
    asks(theirs, peer)
    trusting.engine.connection_lost(others[-1], None, "idle", trusting.now)
    peer.break_connection("idle")
    gone(theirs)
    assert len(trusting.engine.router.lost) == MAX_LOST


# a phone that listens closes its idle connection


@pytest.mark.parametrize("side", ["caller", "called"])
def test_a_registered_phone_that_listens_is_dialled_again(world: World, side: str) -> None:
    """As a request outside the dialog would be: to where its live registration came from."""
    alice, bob = world.phone("alice"), listening(world, "bob", "198.51.100.70")
    bob.sign_in()
    alice.sign_in()
    theirs = talk(bob, alice)[1] if side == "caller" else talk(alice, bob)[0]
    bob.break_connection()
    ends(theirs, bob)


def test_a_phone_that_does_not_listen_is_gone(world: World) -> None:
    alice, bob = world.phone("alice"), world.phone("bob", host="198.51.100.70")
    bob.sign_in()
    mine, _ = talk(alice, bob)
    bob.break_connection()
    gone(mine)


@pytest.mark.parametrize("what", ["target", "To", "expired"])
def test_a_phone_is_known_by_its_contact_and_its_address_of_record(world: World, what: str) -> None:
    alice, bob = world.phone("alice"), listening(world, "bob", "198.51.100.70")
    bob.sign_in()
    mine, _ = talk(alice, bob)
    bob.break_connection()
    if what == "target":
        mine.target = mine.target.replace("bob", "bert")
    elif what == "To":
        mine.remote = mine.remote.replace("bob", "bert")
    else:
        world.advance(601)
    gone(mine)


def test_a_to_that_is_no_sip_uri_is_nobodys_address_of_record(world: World) -> None:
    alice, bob = world.phone("alice"), listening(world, "bob", "198.51.100.70")
    bob.sign_in()
    mine, _ = talk(alice, bob)
    bob.break_connection()
    mine.remote = mine.remote.replace(bob.uri, "tel:+1234")
    gone(mine)


# a phone that speaks UDP has another address


def moves(world: World, party: Party, dialog: Dialog, *, registered: bool) -> Party:
    """The phone goes on from another address and says so in a re-INVITE."""
    new = world.phone(party.name, "UDP", host="198.51.100.99", port=5070)
    if registered:
        new >> new.register(call_id="moved")
        new << 200
    dialog.party = new
    return new


def test_a_phone_that_has_moved_is_found_by_its_registration(world: World) -> None:
    """§12.2: the new Contact is the target; the token still says the old address."""
    alice, bob = world.phone("alice", "UDP", port=5060), world.phone("bob", "UDP", host="198.51.100.61", port=5060)
    bob.sign_in()
    mine, theirs = talk(alice, bob)
    new = moves(world, alice, mine, registered=True)
    reinvites(mine, bob)
    theirs.target = new.contact
    asks(theirs, new)
    ends(theirs, new)
    alice.nothing()


def test_a_called_phone_that_has_moved_is_found_by_its_registration(world: World) -> None:
    alice, bob = world.phone("alice", "UDP", port=5060), world.phone("bob", "UDP", host="198.51.100.61", port=5060)
    bob.sign_in()
    mine, theirs = talk(alice, bob)
    new = moves(world, bob, theirs, registered=True)
    reinvites(theirs, alice)
    mine.target = new.contact
    ends(mine, new)
    bob.nothing()


def test_a_phone_that_has_moved_and_is_registered_nowhere_is_sought_where_it_was(world: World) -> None:
    """A departure: a Contact alone aims nothing (P4)."""
    alice, bob = world.phone("alice", "UDP", port=5060), world.phone("bob", "UDP", host="198.51.100.61", port=5060)
    bob.sign_in()
    mine, theirs = talk(alice, bob)
    new = moves(world, alice, mine, registered=False)
    reinvites(mine, bob)
    theirs.target = new.contact
    bob >> theirs.request("INFO")
    alice >> reply(alice << "INFO", 481)
    bob << 481
    new.nothing()


def test_a_target_of_another_user_does_not_lead_to_him(world: World) -> None:
    """He is registered, but To says who is meant: the request goes to the other side, which refuses it."""
    alice, bob = world.phone("alice", "UDP", port=5060), world.phone("bob", "UDP", host="198.51.100.61", port=5060)
    carol = world.phone("carol", "UDP", host="198.51.100.62", port=5060)
    bob.sign_in()
    carol.sign_in()
    mine, _ = talk(alice, bob)
    mine.target = carol.contact
    asks(mine, bob, status=403)
    carol.nothing()


def test_a_phone_behind_a_nat_is_reached_where_it_registers_from_now(world: World) -> None:
    """Its Contact is an address of its own network; the NAT has given it another port in between."""
    alice, bob = world.phone("alice", "UDP", port=5060), world.phone("bob", "UDP", host="198.51.100.61", port=5060)
    inside = "sip:bob@10.0.0.5:5060"
    bob >> bob.register(contact=inside)
    bob << 200
    alice >> alice.request("INVITE", bob.uri)
    alice << 100
    invite = bob << "INVITE"
    bob >> reply(invite, 200, contact=inside)
    mine = alice.calling(alice << 200)
    alice >> mine.request("ACK")
    bob << "ACK"
    asks(mine, bob)
    moved = world.phone("bob", "UDP", host="198.51.100.61", port=61000)
    moved >> moved.register(contact=inside, cseq=2)
    moved << 200
    asks(mine, moved)
    ends(mine, moved)
    bob.nothing()


# GRUUs (RFC 5627 §6.1)


@pytest.mark.parametrize("kind", ["pub-gruu", "temp-gruu"])
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_inside_a_dialog_a_gruu_becomes_the_contact_too(world: World, transport: str, kind: str) -> None:
    alice, bob = world.phone("alice", transport), world.phone("bob", transport, host="198.51.100.61")
    answer = registers(bob, flow(1, uri=bob.contact), "Supported: gruu")
    alice >> alice.request("INVITE", bob.uri)
    alice << 100
    invite = bob << "INVITE"
    bob >> reply(invite, 200, contact=param(answer, kind))
    mine, theirs = alice.calling(alice << 200), called(bob, invite)
    alice >> mine.request("ACK")
    assert (bob << "ACK").uri == bob.contact
    assert asks(mine, bob).uri == bob.contact
    asks(theirs, alice)
    registers(bob, flow(1, uri=bob.contact), "Expires: 0")
    assert asks(mine, bob).uri == mine.target  # there is nothing that it would stand for any more


def test_a_gruu_of_somebody_else_is_not_told_to_the_other_side(world: World) -> None:
    """A temporary one hides an address: it is translated for nobody but its owner."""
    alice, bob = world.phone("alice"), world.phone("bob", host="198.51.100.61")
    carol = world.phone("carol", host="198.51.100.62")
    bob.sign_in()
    hidden = param(registers(carol, flow(1, uri=carol.contact), "Supported: gruu"), "temp-gruu")
    mine, _ = talk(alice, bob)
    mine.target = hidden
    assert asks(mine, bob, status=403).uri == hidden
    mine.target = f"sip:x@{DOMAIN};gr=nothing"
    assert asks(mine, bob, status=403).uri == mine.target

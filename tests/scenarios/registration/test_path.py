"""Registrations that came through an edge proxy (RFC 3327), and the route back that clients are told (RFC 3608)."""

from ipaddress import ip_network

import pytest

from sipgw.core.registrar import RegistrarSettings
from sipgw.message import Request, Response
from tests.harness import DOMAIN, MakeWorld, Party, World, diagnostics_of, reply
from tests.scenarios.registration.steps import BOB, contact, misses, reaches, refused, registers

EDGE = "203.0.113.80"
PATH = f"<sip:{EDGE}:5060;lr>"
TRUSTED = (ip_network("203.0.113.80/32"),)
CONTACT = "Contact: <sip:bob@10.0.0.5:5060>"


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(trusted=TRUSTED)


@pytest.fixture
def edge(world: World) -> Party:
    """A trusted proxy, through which bob registers."""
    return world.server("UDP", EDGE, 5060, name="bob")


def through(edge: Party, *lines: str, status: int = 200, path: str = PATH) -> Response:
    """A REGISTER with two Vias, of the edge and of the client."""
    lines = (f"Path: {path}", *lines) if path else lines
    request = edge.request("REGISTER", f"sip:{DOMAIN}", *lines, to=BOB, call_id="r", cseq=edge._serial + 1).encode()
    edge >> request.replace(b"Max-Forwards", b"Via: SIP/2.0/UDP 10.0.0.5;branch=z9hG4bKclient\r\nMax-Forwards", 1)
    answer: Response = edge << status
    return answer


def test_requests_go_along_the_path(world: World, alice: Party, edge: Party) -> None:
    through(edge, CONTACT)
    message = reaches(alice, BOB, edge)
    assert message.uri == "sip:bob@10.0.0.5:5060"
    assert message.values("route") == [PATH]


def test_the_first_value_is_the_next_hop_and_all_become_the_route(world: World, alice: Party) -> None:
    edge = world.server("UDP", EDGE, 5060, name="bob")
    core = world.server("UDP", "203.0.113.81", 5062)
    path = f"<sip:203.0.113.81:5062;lr>, {PATH}"
    through(edge, CONTACT, path=path)
    message = reaches(alice, BOB, core)
    assert message.values("route") == ["<sip:203.0.113.81:5062;lr>", PATH]
    edge.nothing()


def test_the_path_takes_the_place_of_a_route_that_ended_here(world: World, edge: Party) -> None:
    through(edge, CONTACT)
    message = reaches(edge, BOB, edge, "Route: <sip:192.0.2.1:5060;lr>")
    assert message.values("route") == [PATH]


def test_a_client_that_supports_path_is_shown_it(edge: Party) -> None:
    """§5.3: so that it sees when somebody put himself in the way."""
    answer = through(edge, CONTACT, "Supported: path, x")
    assert answer.values("path") == [PATH]


def test_a_client_that_does_not_is_registered_all_the_same(edge: Party) -> None:
    assert "path" not in through(edge, CONTACT).index


def test_path_lines_are_joined_in_order(world: World, edge: Party) -> None:
    answer = through(edge, "Path: <sip:203.0.113.90;lr>", CONTACT, "Supported: path")
    assert answer.values("path") == [PATH, "<sip:203.0.113.90;lr>"]


def test_the_path_of_the_last_refresh_counts(world: World, alice: Party, edge: Party) -> None:
    other = world.server("UDP", EDGE, 5090)
    through(edge, CONTACT)
    through(edge, CONTACT, path=f"<sip:{EDGE}:5090;lr>")
    reaches(alice, BOB, other)


def test_without_path_requests_go_to_where_the_register_came_from(alice: Party, edge: Party) -> None:
    through(edge, CONTACT, path="")
    assert "route" not in reaches(alice, BOB, edge).index


def test_a_path_over_tcp_is_dialled(world: World, alice: Party) -> None:
    edge = world.server("UDP", EDGE, 5060, name="bob")
    stream = world.server("TCP", EDGE, 5060)
    through(edge, CONTACT, path=f"<sip:{EDGE};transport=tcp;lr>")
    reaches(alice, BOB, stream)
    edge.nothing()


def test_an_edge_on_a_connection_is_still_reached_by_its_path(world: World, alice: Party) -> None:
    """Its connection is that of all its clients, and none of theirs."""
    edge = world.phone("bob", "TCP", host=EDGE, port=45000)
    listening = world.server("UDP", EDGE, 5060)
    through(edge, CONTACT)
    assert [binding.flow for binding in world.engine.location] == [None]
    reaches(alice, BOB, listening)
    edge.nothing()


def test_a_path_with_a_name_is_looked_up(world: World, alice: Party) -> None:
    edge = world.server("UDP", EDGE, 5060, name="bob")
    world.names["edge.example.test"] = [EDGE]
    through(edge, CONTACT, path="<sip:edge.example.test;lr>")
    reaches(alice, BOB, edge)


def test_a_path_with_a_name_that_nobody_knows(world: World, alice: Party, edge: Party) -> None:
    through(edge, CONTACT, path="<sip:nowhere.example.test;lr>")
    assert diagnostics_of(misses(alice, BOB, 480))[0] == 1007


def test_a_call_along_a_path_has_its_dialog_there(world: World, alice: Party, edge: Party) -> None:
    through(edge, CONTACT)
    alice >> alice.request("INVITE", BOB)
    alice << 100
    invite: Request = edge << "INVITE"
    assert len(invite.values("record-route")) in (1, 2)
    edge >> reply(invite, 200, contact="sip:bob@10.0.0.5:5060")
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK")
    edge << "ACK"
    alice >> dialog.request("BYE")
    edge >> reply(edge << "BYE", 200)
    alice << 200


def test_a_binding_with_a_path_is_removed_like_any_other(alice: Party, edge: Party) -> None:
    through(edge, CONTACT)
    through(edge, "Contact: *", "Expires: 0")
    misses(alice, BOB, 480)


# who may name one


def test_a_path_from_nobody_we_trust_is_refused(world: World, alice: Party, bob: Party) -> None:
    """It would send every request for bob to whatever it names."""
    victim = world.phone("victim", "UDP", host="203.0.113.99", port=5060)
    refused(bob, contact(), "Path: <sip:203.0.113.99;lr>", status=403, because="gateway.trusted_peers")
    misses(alice, BOB, 404)
    victim.nothing()


def test_a_path_is_no_longer_followed_when_its_sender_lost_our_trust(
    world: World, make_world: MakeWorld, edge: Party
) -> None:
    through(edge, CONTACT)
    after = make_world()
    after.engine.load_bindings([row for persist in world.persisted for row in persist.puts])
    after.server("UDP", EDGE, 5060)
    assert diagnostics_of(misses(after.phone("alice"), BOB, 480))[0] == 1007


def test_a_path_is_followed_after_a_restart(world: World, make_world: MakeWorld, edge: Party) -> None:
    through(edge, CONTACT)
    after = make_world(trusted=TRUSTED)
    after.engine.load_bindings([row for persist in world.persisted for row in persist.puts])
    again = after.server("UDP", EDGE, 5060)
    assert reaches(after.phone("alice"), BOB, again).values("route") == [PATH]


@pytest.mark.parametrize(
    "path",
    ["<sip:203.0.113.81>", "sip:203.0.113.81;lr", "<tel:1;lr>", "<nonsense>", "<sip:203.0.113.81;lr", "<sip:a b;lr>"],
)
def test_a_path_that_is_no_loose_router(edge: Party, path: str) -> None:
    through(edge, CONTACT, path=path, status=400)
    assert edge.world.engine.sizes().bindings == 0


def test_a_path_that_is_too_long(edge: Party) -> None:
    through(edge, CONTACT, path=", ".join(["<sip:203.0.113.81;lr>"] * 11), status=400)
    through(edge, CONTACT, path=f"<sip:{'x' * 2048}@203.0.113.81;lr>", status=400)
    through(edge, CONTACT, path=", ".join(["<sip:203.0.113.81;lr>"] * 10))


# Service-Route


def test_clients_are_told_a_service_route_when_there_is_one(make_world: MakeWorld) -> None:
    settings = RegistrarSettings(service_route=("sip:edge.example.test;lr", "sip:192.0.2.1;lr"))
    bob = make_world(registrar=settings).phone("bob")
    answer = registers(bob, contact())
    assert answer.values("service-route") == ["<sip:edge.example.test;lr>", "<sip:192.0.2.1;lr>"]
    assert "service-route" not in registers(bob, contact(1, "expires=1"), status=423).index


def test_a_service_route_that_is_followed_works(make_world: MakeWorld) -> None:
    world = make_world(registrar=RegistrarSettings(service_route=("sip:sipgw.example.test;lr",)))
    alice, bob = world.phone("alice"), world.phone("bob")
    (route,) = registers(bob, f"Contact: <{bob.contact}>").values("service-route")
    registers(alice, f"Contact: <{alice.contact}>")
    assert "route" not in reaches(alice, BOB, bob, f"Route: {route}").index


def test_there_is_none_unless_configured(bob: Party) -> None:
    assert "service-route" not in registers(bob, contact()).index

"""Routers before us and behind us, loose and strict, both ways (§16.4, §16.6 item 6, the walks of §16.12.1)."""

from typing import Any

import pytest

from sipgw.message.values import parse_name_addr
from sipgw.registry import Server
from tests.harness import CONTACT_OBJECT, Dialog, MakeWorld, Party, World, default_pool, reply
from tests.scenarios.dialogs.steps import asks, opens, talk

LOOSE, STRICT = "<sip:loose.test;lr>", "<sip:strict.test>"
FAR = "<sip:far.test;lr>"


def uri_of(route: str) -> str:
    return parse_name_addr(route).uri


@pytest.fixture(params=["caller", "called"])
def sides(request: pytest.FixtureRequest, alice: Party, bob: Party) -> tuple[Dialog, Party]:
    """A dialog seen from the side that asks, and the other party."""
    mine, theirs = talk(alice, bob)
    return (mine, bob) if request.param == "caller" else (theirs, alice)


Sides = tuple[Dialog, Party]


def test_with_nobody_else_the_request_goes_to_its_target(sides: Sides) -> None:
    dialog, other = sides
    arrived = asks(dialog, other)
    assert arrived.uri == other.contact
    assert "route" not in arrived.index


@pytest.mark.parametrize(
    "routes",
    [[LOOSE], [LOOSE, FAR], [f"{LOOSE}, {FAR}"], ['"Lo, ose" <sip:a%20b@loose.test;lr;x=y>;param=1']],
    ids=["one", "two", "a-list", "with-all-trimmings"],
)
def test_a_loose_router_behind_us_finds_its_route_on_top(sides: Sides, routes: list[str]) -> None:
    """§16.12.1.1: the Request-URI stays what the sender wrote."""
    dialog, other = sides
    dialog.routes += routes
    arrived = asks(dialog, other)
    assert arrived.uri == dialog.target
    assert arrived.lines_of("route") == routes


@pytest.mark.parametrize("more", [[], [LOOSE], [LOOSE, FAR]], ids=["last", "one-more", "two-more"])
def test_a_strict_router_behind_us_finds_itself_in_the_request_uri(sides: Sides, more: list[str]) -> None:
    """§16.6 item 6, §16.12.1.2: the target goes to the end of Route, the router's own value out of it."""
    dialog, other = sides
    dialog.routes += [STRICT, *more]
    arrived = asks(dialog, other)
    assert arrived.uri == uri_of(STRICT)
    assert arrived.values("route") == [*more, f"<{dialog.target}>"]


def as_strict(dialog: Dialog) -> None:
    """What a strict router before us makes of a request: the next route is the Request-URI, the target the last one."""
    first, *rest = dialog.routes
    dialog.routes = [*rest, f"<{dialog.target}>"]
    dialog.target = uri_of(first)


@pytest.mark.parametrize("more", [[], [LOOSE], [LOOSE, FAR]], ids=["alone", "one-more", "two-more"])
def test_a_strict_router_before_us_is_put_right(sides: Sides, more: list[str]) -> None:
    """§16.4: the Request-URI is a value that we have recorded, so the true one is at the end of Route."""
    dialog, other = sides
    target = dialog.target
    dialog.routes += more
    as_strict(dialog)
    arrived = asks(dialog, other)
    assert arrived.uri == target
    assert arrived.values("route") == more


@pytest.mark.parametrize("more", [[], [LOOSE]], ids=["last", "one-more"])
def test_a_strict_router_before_us_and_one_behind(sides: Sides, more: list[str]) -> None:
    dialog, other = sides
    target = dialog.target
    dialog.routes += [STRICT, *more]
    as_strict(dialog)
    arrived = asks(dialog, other)
    assert arrived.uri == uri_of(STRICT)
    assert arrived.values("route") == [*more, f"<{target}>"]


@pytest.mark.parametrize(("mine", "theirs"), [("UDP", "TCP"), ("TCP", "UDP"), ("TLS", "TCP")])
@pytest.mark.parametrize("side", ["caller", "called"])
def test_a_strict_router_before_both_values_of_ours(make_world: MakeWorld, mine: str, theirs: str, side: str) -> None:
    """We have recorded two: one stands in the Request-URI, the other still in Route."""
    world = make_world([default_pool(Server(theirs, "192.0.2.51", 5061))])
    alice, pool = world.phone("alice", mine), world.server(theirs, port=5061)
    caller, callee = talk(alice, pool, uri=CONTACT_OBJECT)
    dialog, other = (caller, pool) if side == "caller" else (callee, alice)
    target = dialog.target
    dialog.routes.append(LOOSE)
    as_strict(dialog)
    arrived = asks(dialog, other)
    assert (arrived.uri, arrived.values("route")) == (target, [LOOSE])


def test_the_ack_of_a_strict_caller_is_put_right_too(alice: Party, bob: Party) -> None:
    _, ok = opens(alice, bob)
    mine = alice.calling(ok)
    mine.routes.append(STRICT)
    target = mine.target
    as_strict(mine)
    alice >> mine.request("ACK")
    ack = bob << "ACK"
    assert (ack.uri, ack.values("route")) == (uri_of(STRICT), [f"<{target}>"])


def test_a_cancel_of_a_reinvite_takes_the_form_of_its_invite(alice: Party, bob: Party) -> None:
    """§9.1: same Request-URI and same Route, also where the next hop is a strict router."""
    mine, _ = talk(alice, bob)
    mine.routes.append(STRICT)
    invite = mine.request("INVITE")
    alice >> invite
    alice << 100
    arrived = bob << "INVITE"
    bob >> reply(arrived, 180)
    alice << 180
    alice >> alice.cancel(invite)
    alice << 200
    cancel = bob << "CANCEL"
    assert (cancel.uri, cancel.values("route")) == (arrived.uri, arrived.values("route"))
    bob >> reply(cancel, 200)
    bob >> reply(arrived, 487)
    ack = bob << "ACK"
    assert (ack.uri, ack.values("route")) == (arrived.uri, arrived.values("route"))
    alice.fail_call(487)


class Edge:
    """A proxy before us, over UDP, that has recorded itself: what the client sends comes from it, and goes to it."""

    def __init__(self, world: World, params: str = ";lr") -> None:
        self.party = world.server("UDP", "198.51.100.60", 5060, name="edge")
        self.route = f"<sip:198.51.100.60{params}>"

    def invites(self, uri: str) -> None:
        client = "Via: SIP/2.0/UDP 10.0.0.7:5060;branch=z9hG4bK-client"
        contact = "Contact: <sip:alice@10.0.0.7:5060>"
        self.party >> self.party.request(
            "INVITE", uri, client, f"Record-Route: {self.route}", contact, contact=False, call_id="through-edge"
        )
        self.party << 100


def through_edge(world: World, edge: Edge, bob: Party) -> tuple[Dialog, Dialog]:
    edge.invites(bob.uri)
    invite = bob << "INVITE"
    bob >> reply(invite, 200, contact=bob.contact)
    ok: Any = edge.party << 200
    assert ok.values("via")[1].endswith("z9hG4bK-client")
    caller = edge.party.calling(ok)
    assert caller.routes[0] == edge.route
    caller.routes = caller.routes[1:]  # the edge takes its own value out
    callee = bob.called(invite, reply(invite, 200, contact=bob.contact))
    assert callee.routes[-1] == edge.route
    edge.party >> caller.request("ACK")
    bob << "ACK"
    return caller, callee


def test_the_called_reaches_a_client_behind_a_loose_edge(world: World, bob: Party) -> None:
    edge = Edge(world)
    caller, callee = through_edge(world, edge, bob)
    arrived = asks(callee, edge.party)
    assert (arrived.uri, arrived.values("route")) == ("sip:alice@10.0.0.7:5060", [edge.route])
    asks(caller, bob)


def test_the_called_reaches_a_client_behind_a_strict_edge(world: World, bob: Party) -> None:
    edge = Edge(world, params="")
    caller, callee = through_edge(world, edge, bob)
    arrived = asks(callee, edge.party)
    assert (arrived.uri, arrived.values("route")) == ("sip:198.51.100.60", ["<sip:alice@10.0.0.7:5060>"])
    as_strict(caller)
    assert asks(caller, bob).uri == bob.contact


def test_a_route_that_names_us_without_a_token_is_only_taken_out(alice: Party, bob: Party) -> None:
    """A client configured with us as its outbound proxy preloads us, in any of the ways that we can be named."""
    for route in (
        "<sip:192.0.2.1;lr>",
        "<sip:192.0.2.1:5060;lr>",
        "<sip:sipgw.example.test;lr>",
        "<sip:192.0.2.1:5060>",
    ):
        alice >> alice.request("MESSAGE", bob.uri, f"Route: {route}")
        arrived = bob << "MESSAGE"
        assert "route" not in arrived.index
        bob >> reply(arrived, 200)
        alice << 200


def test_a_preloaded_route_before_the_one_of_the_dialog(alice: Party, bob: Party) -> None:
    """A client that puts its outbound proxy in front of the route set, which then names us twice or three times."""
    mine, theirs = talk(alice, bob)
    mine.routes.insert(0, "<sip:192.0.2.1:5060;lr>")
    theirs.routes.insert(0, "<sip:sipgw.example.test;lr>")
    assert "route" not in asks(mine, bob).index
    assert "route" not in asks(theirs, alice).index


def test_the_route_of_a_bare_address_has_no_brackets_to_be_found(alice: Party, bob: Party) -> None:
    """Route needs brackets (§20.34), but some write it without where the URI has no parameters to confuse."""
    alice >> alice.request("MESSAGE", bob.uri, "Route: sip:192.0.2.1:5060")
    arrived = bob << "MESSAGE"
    assert "route" not in arrived.index
    bob >> reply(arrived, 200)
    alice << 200

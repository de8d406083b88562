"""Connections used in both directions (RFC 5923): offered by alias, taken up where a certificate stands behind it."""

import pytest

from sipgw.core.aliases import MAX_OF_ONE, Aliases, Shown
from sipgw.events import Flow, Hop, Listener, Send
from sipgw.message import Request, parse_message
from sipgw.message.values import parse_via
from sipgw.registry import Server
from tests.harness import CONTACT_OBJECT, POOL_FQDN, MakeWorld, Party, World, default_pool, reply

TLS = Listener("TLS", "192.0.2.1", 5061, "sipgw.example.test:5061")
HOP = Hop("TLS", "192.0.2.51", 5061, POOL_FQDN)


def flow(cid: int = 7, names: tuple[str, ...] = (POOL_FQDN,), listener: Listener | None = TLS) -> Flow:
    return Flow("TLS", "192.0.2.51", 41000 + cid, listener, cid, names)


def learnt(via: str = f"SIP/2.0/TLS {POOL_FQDN}:5061;alias;branch=z9hG4bK1", of: Flow | None = None) -> Aliases:
    aliases = Aliases()
    aliases.learn(parse_via(via), of or flow())
    return aliases


# taking an offer up (§8.2, §9)


def test_an_offer_is_taken_up() -> None:
    found = learnt().find(HOP)
    assert found is not None
    assert found.cid == 7


@pytest.mark.parametrize(
    "hop",
    [
        Hop("TLS", "192.0.2.51", 5062, POOL_FQDN),
        Hop("TLS", "192.0.2.52", 5061, POOL_FQDN),
        Hop("TLS", "192.0.2.51", 5061, "another.example.test"),
        Hop("TCP", "192.0.2.51", 5061),
    ],
)
def test_it_is_found_by_address_port_transport_and_proved_name(hop: Hop) -> None:
    assert learnt().find(hop) is None


def test_without_alias_a_connection_is_not_used_the_other_way() -> None:
    assert len(learnt(f"SIP/2.0/TLS {POOL_FQDN}:5061;branch=z9hG4bK1")) == 0


def test_without_a_certificate_nobody_is_believed() -> None:
    """§9: only TLS proves who has opened a connection."""
    assert len(learnt(of=flow(names=()))) == 0


@pytest.mark.parametrize("host", ["another.example.test", "192.0.2.99"])
def test_what_via_names_has_to_be_what_was_proved(host: str) -> None:
    assert len(learnt(f"SIP/2.0/TLS {host}:5061;alias;branch=z9hG4bK1")) == 0


def test_via_without_a_port_means_5061() -> None:
    assert learnt(f"SIP/2.0/TLS {POOL_FQDN};alias").find(HOP) is not None


def test_an_offer_ends_with_its_connection() -> None:
    aliases = learnt()
    aliases.lost(7)
    assert (len(aliases), aliases.find(HOP)) == (0, None)


def test_a_newer_connection_takes_the_place_of_an_older_one() -> None:
    aliases = learnt()
    aliases.learn(parse_via(f"SIP/2.0/TLS {POOL_FQDN}:5061;alias"), flow(8))
    found = aliases.find(HOP)
    assert found is not None
    assert found.cid == 8
    aliases.lost(7)
    assert aliases.find(HOP) is found


def test_offers_of_one_connection_are_bounded() -> None:
    aliases = Aliases()
    for port in range(MAX_OF_ONE + 3):
        aliases.learn(parse_via(f"SIP/2.0/TLS {POOL_FQDN}:{6000 + port};alias"), flow())
    assert (len(aliases), aliases.refused) == (MAX_OF_ONE, 3)


# through the engine


@pytest.fixture
def secure(make_world: MakeWorld) -> World:
    return make_world([default_pool(Server("TLS", "192.0.2.51", 5061))])


def calls_in(world: World, via_tail: str, names: tuple[str, ...] = (POOL_FQDN,)) -> Party:
    """The pool connects to us, proves its name, and sends a request whose Via ends as told."""
    pool = world.phone("ocschat", "TLS", host="192.0.2.51", port=41000)
    assert pool.flow is not None
    pool.flow.names = names
    request = pool.request("OPTIONS", "sip:example.test")
    request.lines[0] = f"Via: SIP/2.0/TLS {POOL_FQDN}:5061;branch=z9hG4bKin{via_tail}"
    pool >> request
    pool << 200
    return pool


def test_a_request_goes_down_the_connection_that_was_offered(secure: World) -> None:
    pool = calls_in(secure, ";alias")
    alice = secure.phone("alice")
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    at_pool = pool << "MESSAGE"
    pool >> reply(at_pool, 200)
    alice << 200


@pytest.mark.parametrize(("tail", "names"), [("", (POOL_FQDN,)), (";alias", ()), (";alias", ("other.example.test",))])
def test_else_a_connection_of_our_own_is_made(secure: World, tail: str, names: tuple[str, ...]) -> None:
    pool = calls_in(secure, tail, names)
    listening = secure.server("TLS", "192.0.2.51", 5061)
    alice = secure.phone("alice")
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    listening >> reply(listening << "MESSAGE", 200)
    alice << 200
    pool.nothing()


def test_when_the_offered_connection_is_gone_another_is_made(secure: World) -> None:
    pool = calls_in(secure, ";alias")
    pool.break_connection()
    listening = secure.server("TLS", "192.0.2.51", 5061)
    alice = secure.phone("alice")
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    listening >> reply(listening << "MESSAGE", 200)
    alice << 200


def test_an_alias_in_a_response_means_nothing(secure: World) -> None:
    """It is for requests."""
    alice, pool = secure.phone("alice"), secure.server("TLS", "192.0.2.51", 5061)
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    at_pool = pool << "MESSAGE"
    assert pool.flow is not None
    pool.flow.names = (POOL_FQDN,)
    answer = reply(at_pool, 200)
    answer.lines[0] += ";alias"
    pool >> answer
    alice << 200
    assert len(secure.engine.proxy.aliases) == 0


def test_an_alias_over_tcp_means_nothing(make_world: MakeWorld) -> None:
    world = make_world()
    client, pool = world.phone("alice"), world.server()
    request = client.request("MESSAGE", CONTACT_OBJECT)
    request.lines[0] += ";alias"
    client >> request
    pool >> reply(pool << "MESSAGE", 200)
    client << 200
    assert len(world.engine.proxy.aliases) == 0


# offering (§8.1)


def via_of(world: World) -> str:
    """The Via of a request that goes to a pool that has not connected to us."""
    pool = world.server("TLS", "192.0.2.51", 5061)
    alice = world.phone("alice")
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    request = pool << "MESSAGE"
    pool >> reply(request, 200)
    alice << 200
    return str(request.values("via")[0])


@pytest.mark.parametrize(
    ("shown", "offered"), [(Shown(), False), (Shown(True), True), (Shown(False, frozenset({POOL_FQDN})), True)]
)
def test_alias_is_written_where_a_certificate_of_ours_is_shown(secure: World, shown: Shown, offered: bool) -> None:
    secure.engine.proxy.shown = shown
    via = via_of(secure)
    assert via.endswith(";alias") is offered
    assert "sipgw.example.test:5061" in via


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_and_over_tls_only(make_world: MakeWorld, transport: str) -> None:
    world = make_world([default_pool(Server(transport, "192.0.2.51", 5041))])
    world.engine.proxy.shown = Shown(True)
    pool, alice = world.server(transport), world.phone("alice")
    sent = world.engine.receive(alice.request("MESSAGE", CONTACT_OBJECT).encode(), _of(alice), world.now)
    (request,) = [parse_message(output.data) for output in sent if isinstance(output, Send)]
    assert isinstance(request, Request)
    assert request.via.param("alias") is None
    world.perform(sent)
    pool >> reply(pool << "MESSAGE", 200)
    alice << 200


def _of(party: Party) -> Flow:
    assert party.flow is not None
    return party.flow

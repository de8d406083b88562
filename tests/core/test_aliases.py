"""What a verified certificate is good for: connections used both ways (RFC 5923), and trust without an address."""

from collections import Counter

import pytest

from sipgw.core import aliases as aliases_module
from sipgw.core.admission import Admission, Rates
from sipgw.core.aliases import Aliases, Shown
from sipgw.engine import EngineSettings
from sipgw.events import Flow, Hop, Listener
from sipgw.message.values import parse_via
from sipgw.registry import Server
from tests.harness import (
    CONTACT_OBJECT,
    DOMAIN,
    FQDN,
    POOL_FQDN,
    SECRET,
    MakeWorld,
    Party,
    World,
    default_endpoint,
    default_pool,
    make_registry,
    reply,
)

SECURE = Server("TLS", "192.0.2.51", 5061)
LISTENER = Listener("TLS", "192.0.2.1", 5061, "sipgw.example.test:5061")


def accepted(cid: int, host: str = "192.0.2.51", names: tuple[str, ...] = (POOL_FQDN,)) -> Flow:
    return Flow("TLS", host, 40000 + cid, LISTENER, cid, names)


# the table


def test_a_full_table_takes_no_more_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aliases_module, "MAX_ALIASES", 2)
    table = Aliases()
    for cid in (1, 2, 3):
        host = f"192.0.2.{cid}"
        table.learn(parse_via(f"SIP/2.0/TLS {host};alias"), accepted(cid, host))
    assert (len(table), table.refused) == (2, 1)
    table.lost(1)
    table.learn(parse_via("SIP/2.0/TLS 192.0.2.3;alias"), accepted(3, "192.0.2.3"))
    assert table.find(Hop("TLS", "192.0.2.3", 5061, POOL_FQDN)) is not None


def test_a_full_table_still_follows_a_server_that_reconnects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aliases_module, "MAX_ALIASES", 1)
    table = Aliases()
    for cid in (1, 2):
        table.learn(parse_via("SIP/2.0/TLS 192.0.2.51;alias"), accepted(cid))
    found = table.find(Hop("TLS", "192.0.2.51", 5061, POOL_FQDN))
    assert found is not None
    assert (found.cid, table.refused) == (2, 0)


def test_the_same_offer_again_is_no_other_one() -> None:
    table = Aliases()
    for _ in range(9):
        table.learn(parse_via("SIP/2.0/TLS 192.0.2.51:5070;alias"), accepted(1))
    assert (len(table), table.refused) == (1, 0)


def test_two_ports_of_one_connection_end_with_it() -> None:
    table = Aliases()
    for port in (5070, 5071):
        table.learn(parse_via(f"SIP/2.0/TLS 192.0.2.51:{port};alias"), accepted(1))
    table.learn(parse_via("SIP/2.0/TLS 192.0.2.51:5070;alias"), accepted(2))
    table.lost(1)
    assert table.find(Hop("TLS", "192.0.2.51", 5071, POOL_FQDN)) is None
    assert table.find(Hop("TLS", "192.0.2.51", 5070, POOL_FQDN)) is not None
    table.lost(2)
    assert len(table) == 0


def test_a_connection_that_we_opened_is_reused_by_its_opener_only() -> None:
    table = Aliases()
    table.learn(parse_via("SIP/2.0/TLS 192.0.2.51;alias"), Flow("TLS", "192.0.2.51", 5061, None, 9, (POOL_FQDN,)))
    assert len(table) == 0


def test_a_numeric_sent_by_has_to_be_where_it_comes_from() -> None:
    table = Aliases()
    table.learn(parse_via("SIP/2.0/TLS 192.0.2.99:5061;alias"), accepted(1))
    assert len(table) == 0


def test_two_identities_behind_one_address_are_kept_apart() -> None:
    """The newer offer is the one that is known; it never serves requests for the other name."""
    table = Aliases()
    table.learn(parse_via("SIP/2.0/TLS 192.0.2.51;alias"), accepted(1, names=("a.example.test",)))
    table.learn(parse_via("SIP/2.0/TLS 192.0.2.51;alias"), accepted(2, names=("b.example.test",)))
    assert table.find(Hop("TLS", "192.0.2.51", 5061, "a.example.test")) is None
    assert table.find(Hop("TLS", "192.0.2.51", 5061, "b.example.test")) is not None


# a whole dialog


def test_a_dialog_goes_both_ways_over_the_connection_of_the_pool(make_world: MakeWorld) -> None:
    world = make_world([default_pool(SECURE)], shown=Shown(True))
    pool = world.phone("ocschat", "TLS", "192.0.2.51", 41000, names=(POOL_FQDN,))
    offer = pool.request("OPTIONS", "sip:example.test")
    offer.lines[0] = f"Via: SIP/2.0/TLS {POOL_FQDN}:5061;branch=z9hG4bKoffer;alias"
    pool >> offer
    pool << 200
    alice = world.phone("alice")
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    invite = pool << "INVITE"
    assert invite.via.param("alias") is None, "offered is only what we have opened"
    ok = reply(invite, 200, contact="sip:ocschat@192.0.2.51:5061;transport=tls")
    pool >> ok
    calling, called = alice.calling(alice << 200), pool.called(invite, ok)
    alice >> calling.request("ACK")
    pool << "ACK"
    alice >> calling.request("INFO")
    pool >> reply(pool << "INFO", 200)
    alice << 200
    pool >> called.request("BYE")
    alice >> reply(alice << "BYE", 200)
    pool << 200


def test_every_request_of_a_dialog_offers_our_connection(make_world: MakeWorld) -> None:
    """§8.1: the offer is made in the topmost Via, and the ACK and CANCEL of a request repeat it."""
    world = make_world([default_pool(SECURE)], shown=Shown(names=frozenset({POOL_FQDN})))
    pool, alice = world.server("TLS", "192.0.2.51", 5061), world.phone("alice")
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    invite = pool << "INVITE"
    pool >> reply(invite, 200, contact="sip:ocschat@192.0.2.51:5061;transport=tls")
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK")
    ack = pool << "ACK"
    alice >> dialog.request("BYE")
    bye = pool << "BYE"
    pool >> reply(bye, 200)
    alice << 200
    assert [request.via.param("alias") for request in (invite, ack, bye)] == ["", "", ""]
    assert all(request.via.host == "sipgw.example.test" for request in (invite, ack, bye))


def test_a_lost_connection_takes_its_requests_to_the_next_server(make_world: MakeWorld) -> None:
    world = make_world([default_pool(SECURE, Server("TLS", "192.0.2.52", 5061))])
    first = world.phone("ocschat", "TLS", "192.0.2.51", 41000, names=(POOL_FQDN,))
    offer = first.request("OPTIONS", "sip:example.test")
    offer.lines[0] = "Via: SIP/2.0/TLS 192.0.2.51;branch=z9hG4bKoffer;alias"
    first >> offer
    first << 200
    second, alice = world.server("TLS", "192.0.2.52", 5061), world.phone("alice")
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    first << "MESSAGE"
    first.break_connection()
    second >> reply(second << "MESSAGE", 200)
    alice << 200
    assert len(world.engine.aliases) == 0


def reconfigured(world: World, vouching: str) -> None:
    values = EngineSettings(FQDN, frozenset({DOMAIN}), SECRET, vouching=vouching)
    registry = make_registry([default_pool(SECURE)], [default_endpoint()])
    world.perform(world.engine.reconfigure(values, registry, world.listeners, world.now))


def offers(pool: Party) -> None:
    offer = pool.request("OPTIONS", "sip:example.test")
    offer.lines[0] = f"Via: SIP/2.0/TLS {POOL_FQDN}:5061;branch={pool.new_branch()};alias"
    pool >> offer
    pool << 200


def message_reaches(alice: Party, server: Party) -> None:
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    server >> reply(server << "MESSAGE", 200)
    alice << 200


def test_with_other_authorities_nothing_goes_over_what_was_proved_to_those_before(make_world: MakeWorld) -> None:
    """Whatever it goes on to offer: it has to prove its name to them, which takes another connection."""
    world = make_world([default_pool(SECURE)], vouching="one")
    old = world.phone("ocschat", "TLS", "192.0.2.51", 41000, names=(POOL_FQDN,))
    true, alice = world.server("TLS", "192.0.2.51", 5061), world.phone("alice")
    offers(old)
    message_reaches(alice, old)
    reconfigured(world, "another")
    message_reaches(alice, true)
    offers(old)
    message_reaches(alice, true)
    old.nothing()
    new = world.phone("ocschat", "TLS", "192.0.2.51", 41001, names=(POOL_FQDN,))
    offers(new)
    message_reaches(alice, new)
    old.break_connection()


def test_any_other_change_leaves_them_alone(make_world: MakeWorld) -> None:
    world = make_world([default_pool(SECURE)], vouching="one")
    pool, alice = world.phone("ocschat", "TLS", "192.0.2.51", 41000, names=(POOL_FQDN,)), world.phone("alice")
    offers(pool)
    reconfigured(world, "one")
    message_reaches(alice, pool)


# trust by name


def relayed(world: World, names: tuple[str, ...]) -> None:
    """Whether somebody with such a certificate may reach another domain through us."""
    edge = world.phone("edge", "TLS", names=names)
    elsewhere = world.server("TCP", "203.0.113.9", 5060)
    edge >> edge.request("MESSAGE", "sip:carol@203.0.113.9;transport=tcp")
    elsewhere >> reply(elsewhere << "MESSAGE", 200)
    edge << 200


@pytest.mark.parametrize("names", [("edge.example.test",), ("other.example.test", POOL_FQDN)])
def test_a_proved_name_is_trusted_as_an_address_is(make_world: MakeWorld, names: tuple[str, ...]) -> None:
    """Names in gateway.trusted_peers, and those of the pools."""
    relayed(make_world(trusted_names=frozenset({"edge.example.test"})), names)


@pytest.mark.parametrize("names", [(), ("other.example.test",), ("xedge.example.test",)])
def test_any_other_is_not(make_world: MakeWorld, names: tuple[str, ...]) -> None:
    world = make_world(trusted_names=frozenset({"edge.example.test"}))
    stranger = world.phone("edge", "TLS", names=names)
    stranger >> stranger.request("MESSAGE", "sip:carol@203.0.113.9;transport=tcp")
    stranger << 403


def test_a_path_of_a_proved_name_is_gone_along(make_world: MakeWorld) -> None:
    """RFC 3327: by what was proved with the REGISTER, whether or not that connection still lives."""
    world = make_world(trusted_names=frozenset({"edge.example.test"}))
    edge = world.phone("bob", "TLS", names=("edge.example.test",))
    behind, alice = world.server("TCP", "203.0.113.9", 5060), world.phone("alice")
    edge >> edge.register("Path: <sip:203.0.113.9;transport=tcp;lr>", "Supported: path", contact="sip:bob@10.0.0.7")
    edge << 200
    for _ in range(2):
        alice >> alice.request("MESSAGE", "sip:bob@example.test")
        behind >> reply(behind << "MESSAGE", 200)
        alice << 200
        if edge.flow is not None:
            edge.break_connection()


def test_a_path_of_anybody_else_is_refused(make_world: MakeWorld) -> None:
    world = make_world(trusted_names=frozenset({"edge.example.test"}))
    stranger = world.phone("bob", "TLS", names=("other.example.test",))
    stranger >> stranger.register("Path: <sip:203.0.113.9;transport=tcp;lr>", "Supported: path")
    stranger << 403


def test_a_proved_name_is_not_slowed(world: World) -> None:
    admission = Admission(Rates(per_source=1.0), (), Counter(), frozenset({POOL_FQDN}))
    alice = world.phone("alice", "TLS")
    request = alice.request("MESSAGE", CONTACT_OBJECT)
    request.reindex()
    stranger, pool = accepted(1, names=()), accepted(2)
    assert [admission.admits(request, stranger, 0.0) for _ in range(3)] == [True, False, False]
    assert [admission.admits(request, pool, 0.0) for _ in range(3)] == [True, True, True]

"""A connection to a pool's server that is dead while a new one would work: a firewall or a restarted machine has
forgotten it. Either it is silent, or it breaks with the first thing that is sent over it."""

from sipgw.core.health import HealthSettings
from sipgw.events import Flow
from sipgw.registry import Server
from tests.harness import SILENT, UP, Dialog, MakeWorld, Party, World, default_pool, reply
from tests.scenarios.proxy.ladder import calls, calls_pool, cancels, ends_with, gives_up, hangs_up, rings

FIRST_RESPONSE = 3.0
SERVER = Server("TCP", "192.0.2.51", 5041)


def only_server(make_world: MakeWorld) -> tuple[World, Party, Party]:
    world = make_world([default_pool(SERVER)])
    return world, world.phone("alice"), world.server()


def takes(alice: Party, server: Party) -> Dialog:
    server >> reply(server << "INVITE", 200, contact=server.contact)
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK")
    server << "ACK"
    return dialog


def call(alice: Party, server: Party) -> Dialog:
    calls_pool(alice)
    return takes(alice, server)


def told(world: World) -> list[str]:
    return [log.event for log in world.logs if log.event.startswith(("server ", "next hop"))]


def way_to(server: Party) -> Flow:
    assert server.flow is not None
    return server.flow


# it breaks


def test_a_call_that_finds_its_connection_forgotten_goes_over_a_new_one(make_world: MakeWorld) -> None:
    """It is the same request, for a server that has taken it already."""
    world, alice, server = only_server(make_world)
    hangs_up(call(alice, server), server)
    calls_pool(alice)
    lost = server << "INVITE"
    server.break_connection()
    assert server.inbox[0].encode() == lost.encode()
    hangs_up(takes(alice, server), server)
    assert told(world) == []
    assert world.engine.counters["redialled"] == 1


def test_only_once(make_world: MakeWorld) -> None:
    _, alice, server = only_server(make_world)
    hangs_up(call(alice, server), server)
    calls_pool(alice)
    for _ in range(2):
        server << "INVITE"
        server.break_connection()
    server.nothing()
    ends_with(alice, 504)


def test_a_connection_that_was_opened_for_the_call_says_enough(make_world: MakeWorld) -> None:
    _, alice, server = only_server(make_world)
    calls_pool(alice)
    server << "INVITE"
    server.break_connection()
    server.nothing()
    ends_with(alice, 504)


def test_a_call_that_its_server_has_shown_to_have_is_not_sent_again(make_world: MakeWorld) -> None:
    _, alice, server = only_server(make_world)
    hangs_up(call(alice, server), server)
    calls_pool(alice)
    rings(server, server << "INVITE")
    alice << 180
    server.break_connection()
    server.nothing()
    ends_with(alice, 504)


def test_inside_a_dialog_nothing_is_sent_twice_and_nothing_is_held_against_the_server(make_world: MakeWorld) -> None:
    """The server may have had it, and would have forgotten it with its answer (§17.2.2 Timer J)."""
    world, alice, server = only_server(make_world)
    dialog = call(alice, server)
    alice >> dialog.request("INFO")
    server << "INFO"
    server.break_connection()
    lost = alice << 481
    assert "1004" in lost.first("ms-diagnostics") and "with an older connection" in lost.first("ms-diagnostics")
    assert not server.inbox and not world.engine.health.known()
    hangs_up(dialog, server)
    assert [line for line in told(world) if "server down" in str(line)] == []


def test_options_find_it_out_without_holding_it_against_the_server() -> None:
    world = World([default_pool(SERVER)], health=HealthSettings(interval=10.0))
    server = world.server()
    world.perform(world.engine.start_probing(world.now))
    server >> reply(server << "OPTIONS", 200)
    while not server.inbox:
        world.advance(0.1)
    server << "OPTIONS"
    server.break_connection()
    server >> reply(server << "OPTIONS", 200)
    assert (told(world), dict(world.engine.health.known())) == ([], {})


def test_what_was_lost_with_a_phone_is_not_sent_elsewhere(world: World) -> None:
    """Its connection is the only way to it (RFC 5626)."""
    alice, bob = world.phone("alice"), world.phone("bob")
    bob.sign_in()
    calls(alice, bob.uri)
    bob << "INVITE"
    bob.break_connection()
    ends_with(alice, 480)


# it is silent


def test_the_next_call_goes_over_a_new_connection(make_world: MakeWorld) -> None:
    world, alice, server = only_server(make_world)
    hangs_up(call(alice, server), server)
    old = way_to(server)
    world.advance(60.0)
    server.state = SILENT
    calls_pool(alice)
    world.advance(FIRST_RESPONSE)
    ends_with(alice, 504)
    server.state = UP
    hangs_up(call(alice, server), server)
    assert way_to(server).cid != old.cid


def test_options_go_over_a_new_connection_and_bring_the_server_back() -> None:
    world = World([default_pool(SERVER)], health=HealthSettings(interval=10.0, rise=1))
    server = world.server()
    world.perform(world.engine.start_probing(world.now))
    server >> reply(server << "OPTIONS", 200)
    old, server.state = way_to(server), SILENT
    while told(world) != ["server down"]:
        world.advance(0.1)
    server.state = UP
    while not server.inbox:
        world.advance(0.1)
    server >> reply(server << "OPTIONS", 200)
    assert told(world) == ["server down", "server up"]
    assert way_to(server).cid != old.cid


def test_a_connection_that_has_said_something_meanwhile_is_kept(make_world: MakeWorld) -> None:
    """The server is slow with one call; that is not the connection's fault."""
    world, alice, server = only_server(make_world)
    dialog = call(alice, server)
    old = way_to(server)
    calls_pool(alice)
    world.advance(1.0)
    server << "INVITE"
    alice >> dialog.request("INFO")
    server >> reply(server << "INFO", 200)
    alice << 200
    world.advance(FIRST_RESPONSE)
    ends_with(alice, 504)
    hangs_up(dialog, server)
    assert way_to(server).cid == old.cid


def test_what_waits_for_an_answer_over_the_old_one_goes_on(make_world: MakeWorld) -> None:
    """The server may only have been busy. A loss of the new connection says nothing of the old one."""
    world, alice, server = only_server(make_world)
    dialog = call(alice, server)
    old = way_to(server)
    ringing = calls_pool(alice)
    rings(server, at_server := server << "INVITE")
    alice << 180
    alice >> dialog.request("INFO")
    info = server << "INFO"
    world.advance(1.0)
    dora = world.phone("dora")
    calls_pool(dora)
    server << "INVITE"
    world.advance(FIRST_RESPONSE)
    ends_with(dora, 504)
    hangs_up(call(dora, server), server)
    server.break_connection()
    server.flow = old
    server >> reply(info, 200)
    alice << 100  # RFC 4320 §4.1
    alice << 200
    cancels(alice, ringing)
    gives_up(server, at_server)
    ends_with(alice, 487)


def test_what_waits_for_an_answer_over_the_old_one_is_told_when_that_breaks(make_world: MakeWorld) -> None:
    world, alice, server = only_server(make_world)
    dialog = call(alice, server)
    old = way_to(server)
    world.advance(1.0)
    alice >> dialog.request("INFO")
    dora = world.phone("dora")
    calls_pool(dora)
    world.advance(FIRST_RESPONSE)
    ends_with(dora, 504)
    world.disconnect(old, "timed out")
    alice << 481
    server.inbox.clear()


# the server has opened it (RFC 5923)


def offers_its_connection(make_world: MakeWorld) -> tuple[World, Party, Party, Party]:
    """A server that listens, and a connection that it has opened, for which it stands itself."""
    pool = default_pool(Server("TLS", "192.0.2.51", 5061))
    world = make_world([pool])
    server = world.server("TLS", port=5061)
    opened = world.phone("ocschat", "TLS", host=server.host, names=(pool.fqdn,))
    options = opened.request("OPTIONS", "sip:example.test").encode()
    opened >> options.replace(f":{opened.port};branch".encode(), b":5061;alias;branch")
    opened << 200
    return world, world.phone("alice"), server, opened


def test_a_call_that_is_lost_with_it_has_the_server_dialled(make_world: MakeWorld) -> None:
    world, alice, server, opened = offers_its_connection(make_world)
    calls_pool(alice)
    opened << "INVITE"
    opened.break_connection()
    hangs_up(takes(alice, server), server)
    assert told(world) == []


def test_when_it_is_silent_the_next_call_has_the_server_dialled(make_world: MakeWorld) -> None:
    world, alice, server, opened = offers_its_connection(make_world)
    calls_pool(alice)
    opened << "INVITE"
    world.advance(FIRST_RESPONSE)
    ends_with(alice, 504)
    hangs_up(call(alice, server), server)

"""What a caller notices of a pool's servers: those that are known to be down cost no time, and calls stay at theirs.

The default pool has two servers over TCP; a name in a test is that server's party.
"""

from typing import Any

import pytest

from sipgw.core.health import HealthSettings
from sipgw.engine import EngineSettings
from sipgw.registry import Pool, Server
from tests.harness import (
    CONTACT_OBJECT,
    DOMAIN,
    FQDN,
    POOL_FQDN,
    POOL_SERVERS,
    REFUSING,
    SECRET,
    SILENT,
    UP,
    Dialog,
    MakeWorld,
    Party,
    World,
    default_endpoint,
    diagnostics_of,
    make_registry,
    reply,
)
from tests.scenarios.proxy.ladder import all_quiet, calls_pool, ends_with, hangs_up, refuses

FIRST_RESPONSE = 3.0
FIRST_SIGN = 4.0  # of a non-INVITE: a server may be silent on it for 3.5 s (RFC 4320 §4.1)
RETRY = HealthSettings().retry
GONE, GONE_ID = 481, 1004  # what a request inside a dialog gets when its server is not there
FIRST, SECOND = (server.host for server in POOL_SERVERS)


def pool(standby: str = "", drained: str = "") -> Pool:
    names = (frozenset(text.split()) for text in (standby, drained))
    return Pool(POOL_FQDN, POOL_SERVERS, f"sip:GC-1@{DOMAIN}", *names)


def setup(world: World) -> tuple[Party, Party, Party]:
    first, second = world.pool_servers()
    return world.phone("alice"), first, second


def takes(alice: Party, server: Party) -> Dialog:
    """A server that has just got a call answers it. Returns the caller's side."""
    at_server = server << "INVITE"
    server >> reply(at_server, 200, tag=server.host, contact=server.contact)
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK")
    server << "ACK"
    return dialog


def call(alice: Party, server: Party) -> Dialog:
    """A call that this server gets and answers, without any time passing."""
    calls_pool(alice)
    return takes(alice, server)


def short_call(alice: Party, server: Party) -> None:
    hangs_up(call(alice, server), server)


def told(world: World) -> list[tuple[str, str, dict[str, Any]]]:
    return [(log.level, log.event, log.fields) for log in world.logs if log.event.startswith("server ")]


def down(host: str, reason: str) -> tuple[str, str, dict[str, Any]]:
    return "warning", "server down", {"server": f"tcp:{host}:5041", "reason": reason}


def up(host: str) -> tuple[str, str, dict[str, Any]]:
    return "info", "server up", {"server": f"tcp:{host}:5041"}


def reconfigure(world: World, changed: Pool) -> None:
    values = EngineSettings(FQDN, frozenset({DOMAIN}), SECRET)
    registry = make_registry([changed], [default_endpoint()])
    world.perform(world.engine.reconfigure(values, registry, world.listeners, world.now))


# a server that fails


def test_a_server_that_refuses_costs_only_the_first_call_a_try(world: World) -> None:
    alice, first, second = setup(world)
    first.state = REFUSING
    short_call(alice, second)
    assert told(world) == [down(FIRST, "connection refused")]
    first.state = UP
    for _ in range(5):
        short_call(alice, second)
    first.nothing()
    assert [log.event for log in world.logs].count("next hop failed") == 1


def test_a_silent_server_costs_two_calls_their_patience(world: World) -> None:
    alice, first, second = setup(world)
    first.state = SILENT
    for _ in range(2):
        assert told(world) == []
        calls_pool(alice)
        second.nothing()
        world.advance(FIRST_RESPONSE)
        hangs_up(takes(alice, second), second)
    assert told(world) == [down(FIRST, "timeout")]
    for _ in range(5):
        short_call(alice, second)


def test_a_broken_connection_counts_once_however_many_calls_it_breaks(world: World) -> None:
    alice, first, second = setup(world)
    for _ in range(3):
        calls_pool(alice)
        first << "INVITE"
    first.state = REFUSING
    first.break_connection()
    for invite in [second << "INVITE" for _ in range(3)]:
        refuses(second, invite, 486)
        ends_with(alice, 486)
    assert told(world) == [down(FIRST, "connection reset")]


def test_what_is_no_failure_of_the_server_leaves_it_alone(world: World) -> None:
    alice, first, second = setup(world)
    for status in (302, 404, 408, 480, 486, 500, 504, 600):
        calls_pool(alice)
        refuses(first, first << "INVITE", status)
        ends_with(alice, status)
    assert told(world) == []
    second.nothing()


# 503


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("Retry-After: 20", 20.0),
        ("Retry-After: 20 (maintenance)", 20.0),
        ("Retry-After: 20;duration=5", 20.0),
        ("Retry-After: 90000", 3600.0),
    ],
)
def test_a_server_that_says_when_to_come_back_is_left_alone_until_then(
    world: World, header: str, seconds: float
) -> None:
    alice, first, second = setup(world)
    calls_pool(alice)
    refuses(first, first << "INVITE", 503, header)
    hangs_up(takes(alice, second), second)
    assert told(world) == [down(FIRST, "503")]
    world.advance(seconds - 0.1)
    short_call(alice, second)
    world.advance(0.1)
    short_call(alice, first)
    assert told(world) == [down(FIRST, "503"), up(FIRST)]
    second.nothing()


@pytest.mark.parametrize("headers", [(), ("Retry-After: 0",), ("Retry-After: tomorrow",)])
def test_one_503_that_does_not_is_forgiven(world: World, headers: tuple[str, ...]) -> None:
    alice, first, second = setup(world)
    for _ in range(2):
        assert told(world) == []
        calls_pool(alice)
        refuses(first, first << "INVITE", 503, *headers)
        hangs_up(takes(alice, second), second)
    assert told(world) == [down(FIRST, "503")]
    short_call(alice, second)


def test_answers_in_the_dialogs_that_it_has_do_not_bring_it_back_before(world: World) -> None:
    alice, first, second = setup(world)
    dialog = call(alice, first)
    calls_pool(alice)
    refuses(first, first << "INVITE", 503, "Retry-After: 60")
    hangs_up(takes(alice, second), second)
    alice >> dialog.request("INFO")
    first >> reply(first << "INFO", 200)
    alice << 200
    short_call(alice, second)
    hangs_up(dialog, first)
    assert told(world) == [down(FIRST, "503")]


def test_when_all_say_so_they_are_tried_all_the_same(world: World) -> None:
    alice, first, second = setup(world)
    for _ in range(2):
        calls_pool(alice)
        for server in (first, second):
            refuses(server, server << "INVITE", 503, "Retry-After: 60")
        response = ends_with(alice, 503)
        assert diagnostics_of(response)[0] == 20000
        assert response.first("retry-after") == "60"


# all down


def test_a_pool_that_is_down_says_what_it_came_to_at_each_server(world: World) -> None:
    alice, first, second = setup(world)
    first.state = second.state = REFUSING
    for _ in range(3):
        calls_pool(alice)
        number, text = diagnostics_of(ends_with(alice, 504))
        assert number == 1011
        assert f"tcp:{FIRST}:5041 connection refused, tcp:{SECOND}:5041 connection refused" in text
    both = [down(FIRST, "connection refused"), down(SECOND, "connection refused")]
    assert sorted(told(world), key=str) == both, "once each"


def test_the_first_call_after_that_brings_a_server_back(world: World) -> None:
    alice, first, second = setup(world)
    first.state = second.state = REFUSING
    calls_pool(alice)
    ends_with(alice, 504)
    second.state = UP
    short_call(alice, second)
    assert told(world)[2:] == [up(SECOND)]
    first.state = UP
    short_call(alice, second)
    first.nothing()


def test_without_options_a_server_is_tried_again_after_half_a_minute(world: World) -> None:
    alice, first, second = setup(world)
    first.state = REFUSING
    short_call(alice, second)
    first.state = UP
    world.advance(RETRY - 0.1)
    short_call(alice, second)
    world.advance(0.1)
    short_call(alice, first)
    assert told(world) == [down(FIRST, "connection refused"), up(FIRST)]


# with OPTIONS


def begin(world: World) -> None:
    world.perform(world.engine.start_probing(world.now))


def answer_options(*servers: Party) -> None:
    for server in servers:
        server >> reply(server << "OPTIONS", 200)


def next_round(world: World, *servers: Party) -> None:
    while not all(server.inbox for server in servers):
        world.advance(0.1)
    answer_options(*servers)


def test_no_call_has_to_find_out_that_a_server_is_down() -> None:
    world = World(health=HealthSettings(interval=10.0))
    alice, first, second = setup(world)
    first.state = REFUSING
    begin(world)
    answer_options(second)
    assert told(world) == [down(FIRST, "connection refused")]
    short_call(alice, second)
    assert [log for log in world.logs if log.event == "next hop failed"] == []


def test_nor_that_it_is_back() -> None:
    world = World(health=HealthSettings(interval=10.0))
    alice, first, second = setup(world)
    first.state = REFUSING
    begin(world)
    answer_options(second)
    first.state = UP
    next_round(world, first, second)
    short_call(alice, second)
    next_round(world, first, second)
    short_call(alice, first)
    assert told(world) == [down(FIRST, "connection refused"), up(FIRST)]
    all_quiet([first, second])


def test_a_server_over_udp_that_is_gone_is_found_out_between_calls() -> None:
    """Nothing refuses there: only silence tells."""
    servers = tuple(Server("UDP", host, 5041) for host in (FIRST, SECOND))
    changed = Pool(POOL_FQDN, servers, f"sip:GC-1@{DOMAIN}")
    world = World([changed], health=HealthSettings(interval=10.0))
    alice = world.phone("alice")
    second = world.server("UDP", SECOND)
    begin(world)
    answer_options(second)
    next_round(world, second)
    world.advance(FIRST_RESPONSE)
    assert told(world) == [("warning", "server down", {"server": f"udp:{FIRST}:5041", "reason": "timeout"})]
    short_call(alice, second)


def test_that_one_transport_works_says_nothing_of_the_other() -> None:
    servers = (Server("UDP", FIRST, 5041), Server("TCP", FIRST, 5041))
    world = World([Pool(POOL_FQDN, servers, f"sip:GC-1@{DOMAIN}")])
    alice, tcp = world.phone("alice"), world.server("TCP", FIRST)
    for _ in range(2):
        calls_pool(alice)
        world.advance(FIRST_RESPONSE)
        hangs_up(takes(alice, tcp), tcp)
    assert [fields["server"] for _, _, fields in told(world)] == [f"udp:{FIRST}:5041"]
    short_call(alice, tcp)


# standby


def test_a_standby_server_is_used_when_no_active_one_works(make_world: MakeWorld) -> None:
    world = make_world([pool(standby=FIRST)])
    alice, first, second = setup(world)
    short_call(alice, second)
    second.state = REFUSING
    second.break_connection()
    short_call(alice, first)
    short_call(alice, first)
    second.state = UP
    world.advance(RETRY)
    short_call(alice, second)
    all_quiet([first, second])


# drained


def test_a_drained_server_keeps_its_dialogs_and_gets_no_more(world: World) -> None:
    alice, first, second = setup(world)
    dialog = call(alice, first)
    reconfigure(world, pool(drained=FIRST))
    for _ in range(3):
        short_call(alice, second)
    alice >> dialog.request("INFO")
    first >> reply(first << "INFO", 200)
    alice << 200
    hangs_up(dialog, first)
    reconfigure(world, pool())
    short_call(alice, first)
    all_quiet([first, second])


def test_a_call_that_rings_at_a_server_when_it_is_drained_is_answered_there(world: World) -> None:
    alice, first, second = setup(world)
    calls_pool(alice)
    reconfigure(world, pool(drained=f"tcp:{FIRST}:5041"))
    hangs_up(takes(alice, first), first)
    second.nothing()


def test_a_drained_server_is_not_tried_when_the_others_fail(make_world: MakeWorld) -> None:
    world = make_world([pool(drained=FIRST)])
    alice, first, second = setup(world)
    second.state = REFUSING
    calls_pool(alice)
    _, text = diagnostics_of(ends_with(alice, 504))
    assert SECOND in text
    assert FIRST not in text
    first.nothing()


def test_when_all_are_drained_that_is_said(make_world: MakeWorld) -> None:
    world = make_world([pool(drained=f"{FIRST} {SECOND}")])
    alice, first, second = setup(world)
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    response = alice.fail_call(504)
    number, text = diagnostics_of(response)
    assert number == 1011
    assert f"every server of pool {POOL_FQDN} is drained" in text
    assert "drained" in world.failures()[-1]["detail"]
    all_quiet([alice, first, second])


# inside a dialog


@pytest.mark.parametrize("method", ["INFO", "BYE", "INVITE", "UPDATE"])
def test_when_its_server_is_gone_that_is_said_and_no_other_gets_it(world: World, method: str) -> None:
    """So that the client starts again at the contact object, rather than waiting for what cannot come."""
    alice, first, second = setup(world)
    dialog = call(alice, first)
    first.state = REFUSING
    first.break_connection()
    alice >> dialog.request(method)
    if method == "INVITE":
        alice << 100
    number, text = diagnostics_of(alice << GONE)
    assert number == GONE_ID
    assert f"tcp:{FIRST}:5041 connection refused" in text
    second.nothing()


def test_its_server_comes_back_and_the_dialog_goes_on(world: World) -> None:
    """Whether it still knows the dialog is for itself to say."""
    alice, first, second = setup(world)
    dialog = call(alice, first)
    first.state = REFUSING
    first.break_connection()
    alice >> dialog.request("INFO")
    alice << GONE
    first.state = UP
    alice >> dialog.request("INFO")
    first >> reply(first << "INFO", 481)
    alice << 481
    second.nothing()


def test_a_server_that_left_the_configuration_keeps_its_dialogs_too(world: World) -> None:
    alice, first, second = setup(world)
    dialog = call(alice, first)
    reconfigure(world, Pool(POOL_FQDN, POOL_SERVERS[1:], f"sip:GC-1@{DOMAIN}"))
    hangs_up(dialog, first)
    second.nothing()


def test_what_is_known_of_a_server_that_left_the_configuration_is_forgotten(world: World) -> None:
    alice, first, second = setup(world)
    first.state = REFUSING
    short_call(alice, second)
    reconfigure(world, Pool(POOL_FQDN, POOL_SERVERS[1:], f"sip:GC-1@{DOMAIN}"))
    assert world.engine.health.known() == {}
    first.state = UP
    reconfigure(world, pool())
    short_call(alice, first)


def test_a_reload_does_not_forget_who_is_down(world: World) -> None:
    alice, first, second = setup(world)
    first.state = REFUSING
    short_call(alice, second)
    first.state = UP
    reconfigure(world, pool())
    short_call(alice, second)
    first.nothing()


def test_a_failure_inside_a_dialog_tells_of_the_server_as_any_other(world: World) -> None:
    alice, first, second = setup(world)
    dialog = call(alice, first)
    first.state = REFUSING
    first.break_connection()
    alice >> dialog.request("INFO")
    alice << GONE
    assert told(world) == [down(FIRST, "connection refused")]
    first.state = UP
    short_call(alice, second)


def test_inside_a_dialog_a_server_that_is_known_to_be_silent_is_given_up_soon() -> None:
    """Its connection is half open: nothing refuses, and a client of this kind would wait for ever."""
    world = World(health=HealthSettings(interval=10.0))
    alice, first, second = setup(world)
    dialog = call(alice, first)
    first.state = SILENT
    begin(world)
    answer_options(second)
    next_round(world, second)
    world.advance(FIRST_RESPONSE)
    assert told(world) == [down(FIRST, "timeout")]
    alice >> dialog.request("INFO")
    world.advance(FIRST_SIGN - 0.1)
    alice << 100  # RFC 4320 §4.1
    alice.nothing()
    world.advance(0.2)
    number, text = diagnostics_of(alice << GONE)
    assert number == GONE_ID
    assert f"tcp:{FIRST}:5041 timeout" in text


@pytest.mark.parametrize("busy", [False, True])
def test_inside_a_dialog_a_server_that_is_slow_has_the_time_that_the_rfc_gives_it(world: World, busy: bool) -> None:
    """That it takes no more calls for a while does not say that it is gone."""
    alice, first, second = setup(world)
    dialog = call(alice, first)
    if busy:
        calls_pool(alice)
        refuses(first, first << "INVITE", 503, "Retry-After: 600")
        hangs_up(takes(alice, second), second)
    alice >> dialog.request("INFO")
    late = first << "INFO"
    world.advance(25.0)
    alice << 100
    first >> reply(late, 200)
    alice << 200

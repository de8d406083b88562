"""OPTIONS to pool servers: who is asked, when, what the answers come to."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from sipgw.core import probing
from sipgw.core.health import HealthSettings
from sipgw.core.probing import retry_after
from sipgw.engine import EngineSettings
from sipgw.events import OURS
from sipgw.message import Response, parse_message
from sipgw.registry import Pool, Server
from tests.harness import (
    DOMAIN,
    FQDN,
    GATEWAY,
    REFUSING,
    SECRET,
    SILENT,
    UP,
    Party,
    World,
    default_endpoint,
    default_pool,
    make_registry,
    reply,
)

INTERVAL = 10.0
LONGEST = INTERVAL * 1.15
PATIENCE = 3.0
FIRST, SECOND = "192.0.2.51", "192.0.2.52"
Probing = Callable[..., World]


@pytest.fixture
def probing_world() -> Iterator[Probing]:
    """Makes worlds in which probing has begun; each is checked for leftovers when it has ended."""
    made: list[World] = []

    def make(*servers: Server, health: HealthSettings | None = None, **settings: Any) -> World:
        settings["health"] = health or HealthSettings(INTERVAL)
        made.append(World([default_pool(*servers)], **settings))
        return made[-1]

    yield make
    for world in made:
        world.engine._prober.stop()
        world.finish()


def begin(world: World) -> None:
    world.perform(world.engine.start_probing(world.now))


def reconfigure(world: World, health: HealthSettings, *servers: Server) -> None:
    values = EngineSettings(FQDN, frozenset({DOMAIN}), SECRET, health=health)
    registry = make_registry([default_pool(*servers)], [default_endpoint()])
    world.perform(world.engine.reconfigure(values, registry, world.listeners, world.now))


def answers(server: Party, status: int = 200, *headers: str) -> None:
    """Answer every OPTIONS that has come."""
    assert server.inbox, f"{server.host} was not asked"
    while server.inbox:
        server >> reply(server << "OPTIONS", status, *headers)


def next_round(world: World, *servers: Party, status: int = 200) -> None:
    """Let time pass until the next round, which has to come in time, and answer as each of these servers."""
    end = world.now + LONGEST + 0.1
    while not all(server.inbox for server in servers):
        world.advance(0.05)
        assert world.now < end, "no round"
    for server in servers:
        answers(server, status)


def told(world: World) -> list[tuple[str, str]]:
    """The changes that were logged: what, and of which server's last octet."""
    lines = [log for log in world.logs if log.event in ("server down", "server up")]
    return [(log.event, log.fields["server"].split(":")[1].rpartition(".")[2]) for log in lines]


# the request


def test_a_round_asks_every_server_at_once(probing_world: Probing) -> None:
    world = probing_world()
    first, second = world.pool_servers()
    begin(world)
    for server in (first, second):
        options = server << "OPTIONS"
        assert options.uri == f"sip:{server.host}:5041;transport=tcp"
        assert options.via.sent_by == f"{GATEWAY}:5060"
        assert options.via.branch.startswith("z9hG4bK")
        assert options.first("max-forwards") == "70"
        assert options.first("from").startswith(f"<sip:{FQDN}>;tag=")
        assert options.to_tag == ""
        assert options.cseq.number == 1
        server >> reply(options, 200)
        server.nothing()


@pytest.mark.parametrize("transport", ["UDP", "TLS"])
def test_each_is_asked_by_its_own_transport(probing_world: Probing, transport: str) -> None:
    world = probing_world(Server(transport, FIRST, 5041))
    server = world.server(transport, FIRST)
    begin(world)
    options = server << "OPTIONS"
    assert options.lines[0].startswith(f"Via: SIP/2.0/{transport} ")
    assert f";transport={transport.lower()}" in options.uri
    server >> reply(options, 200)


def test_every_question_is_a_request_of_its_own(probing_world: Probing) -> None:
    world = probing_world(Server("TCP", FIRST, 5041))
    server = world.server()
    begin(world)
    asked = []
    for _ in range(3):
        asked.append(server << "OPTIONS")
        server >> reply(asked[-1], 200)
        world.advance(LONGEST)
    server.inbox.clear()
    for key in ("branch", "call_id", "from_tag"):
        values = {one.via.branch if key == "branch" else getattr(one, key) for one in asked}
        assert len(values) == 3


def test_over_udp_it_is_repeated_until_patience_ends(probing_world: Probing) -> None:
    world = probing_world(Server("UDP", FIRST, 5041))
    server = world.server("UDP", FIRST)
    begin(world)
    world.advance(PATIENCE + 0.1)
    assert len({(server << "OPTIONS").encode() for _ in range(3)}) == 1
    server.nothing()
    assert world.engine.health.of(next(iter(world.engine.health.known()))).reason == ""
    assert told(world) == [], "one silence is none yet"


# when


def rounds(world: World, server: Party, number: int) -> list[float]:
    """When the next rounds came, to a hundredth of a second."""
    times: list[float] = []
    while len(times) < number:
        world.advance(0.01)
        if server.inbox:
            times.append(world.now)
            answers(server)
    return times


def test_rounds_are_an_interval_apart_a_little_more_or_less(probing_world: Probing) -> None:
    world = probing_world()
    first, second = world.pool_servers()
    second.state = REFUSING
    begin(world)
    times = rounds(world, first, 30)
    gaps = [after - before for before, after in pairwise(times)]
    assert min(gaps) >= INTERVAL * 0.85 - 0.02
    assert max(gaps) <= INTERVAL * 1.15 + 0.02
    assert len({round(gap, 1) for gap in gaps}) >= 4
    assert sum(gaps) / len(gaps) == pytest.approx(INTERVAL, rel=0.1)


def test_two_gateways_do_not_ask_in_step(probing_world: Probing) -> None:
    times = []
    for seed in (1, 2):
        world = probing_world(seed=seed)
        first, _ = world.pool_servers()
        begin(world)
        times.append(rounds(world, first, 12))
    apart = [abs(one - other) for one, other in zip(*times, strict=True)]
    assert max(apart) > INTERVAL / 4


def test_a_server_that_has_not_answered_is_not_asked_again_meanwhile(probing_world: Probing) -> None:
    world = probing_world(Server("TCP", FIRST, 5041), health=HealthSettings(interval=1.0))
    server = world.server()
    begin(world)
    asked = server << "OPTIONS"
    world.advance(PATIENCE - 0.1)
    server.nothing()
    server >> reply(asked, 200)
    world.advance(1.2)
    answers(server)


def test_no_more_than_so_many_are_asked_at_once_and_all_in_turn(
    probing_world: Probing, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert probing.MAX_UNDER_WAY >= 64
    monkeypatch.setattr(probing, "MAX_UNDER_WAY", 2)
    hosts = [f"192.0.2.{last}" for last in (51, 52, 53)]
    world = probing_world(*[Server("TCP", host, 5041) for host in hosts])
    servers = [world.server(host=host) for host in hosts]
    begin(world)
    assert [len(server.inbox) for server in servers] == [1, 1, 0]
    answers(servers[0])
    answers(servers[1])
    next_round(world, servers[2], servers[0])
    servers[1].nothing()
    next_round(world, servers[1], servers[2])
    assert world.engine.counters["probes_put_off"] == 3


def test_without_an_interval_nobody_is_asked_but_names_are_looked_up() -> None:
    world = World([default_pool(Server("TCP", "pc.example.test", 5041))])
    world.names["pc.example.test"] = [FIRST]
    server = world.server()
    begin(world)
    assert world.resolved == ["pc.example.test"]
    server.nothing()
    world.finish()


# what answers come to


@pytest.mark.parametrize("status", [200, 302, 401, 404, 405, 408, 481, 486, 500, 501, 504, 603])
def test_any_final_answer_but_503_is_a_good_one(probing_world: Probing, status: int) -> None:
    world = probing_world(Server("TCP", FIRST, 5041))
    server = world.server()
    server.state = REFUSING
    begin(world)
    server.state = UP
    next_round(world, server, status=status)
    next_round(world, server, status=status)
    assert told(world) == [("server down", "51"), ("server up", "51")]


def test_503_is_not_healthy(probing_world: Probing) -> None:
    world = probing_world(Server("TCP", FIRST, 5041))
    server = world.server()
    begin(world)
    answers(server, 503)
    assert told(world) == []
    next_round(world, server, status=503)
    assert [log.fields for log in world.logs] == [{"server": f"tcp:{FIRST}:5041", "reason": "503 to OPTIONS"}]


def test_503_with_retry_after_counts_at_once(probing_world: Probing) -> None:
    world = probing_world(Server("TCP", FIRST, 5041))
    server = world.server()
    begin(world)
    answers(server, 503, "Retry-After: 25 (in a moment);duration=60")
    assert told(world) == [("server down", "51")]
    known = world.engine.health.known()
    assert [state.until - world.now for state in known.values()] == [25.0]


def test_a_server_that_refuses_is_down_at_once_and_up_after_rising(probing_world: Probing) -> None:
    world = probing_world(health=HealthSettings(INTERVAL, rise=3))
    first, second = world.pool_servers()
    first.state = REFUSING
    begin(world)
    assert world.logs[-1].level == "warning"
    assert world.logs[-1].fields == {"server": f"tcp:{FIRST}:5041", "reason": "connection refused"}
    first.state = UP
    answers(second)
    for _ in range(3):
        assert told(world) == [("server down", "51")]
        next_round(world, first, second)
    assert told(world) == [("server down", "51"), ("server up", "51")]
    assert world.logs[-1].level == "info"
    assert world.logs[-1].fields == {"server": f"tcp:{FIRST}:5041"}


def test_silence_has_to_last_and_is_noticed_after_two_rounds(probing_world: Probing) -> None:
    world = probing_world(Server("TCP", FIRST, 5041))
    server = world.server()
    server.state = SILENT
    begin(world)
    began = world.now
    while not told(world):
        world.advance(0.1)
    assert INTERVAL * 0.85 + PATIENCE - 0.1 <= world.now - began <= LONGEST + PATIENCE + 0.1
    assert world.logs[-1].fields["reason"] == "timeout"


def test_a_connection_that_breaks_while_asking_is_certain(probing_world: Probing) -> None:
    world = probing_world(Server("TCP", FIRST, 5041))
    server = world.server()
    begin(world)
    server << "OPTIONS"
    server.break_connection()
    assert world.logs[-1].fields == {"server": f"tcp:{FIRST}:5041", "reason": "connection reset"}


def test_a_connection_that_breaks_when_nothing_is_asked_says_nothing(probing_world: Probing) -> None:
    """A server may close what is idle."""
    world = probing_world(Server("TCP", FIRST, 5041))
    server = world.server()
    begin(world)
    answers(server)
    server.break_connection()
    next_round(world, server)
    assert told(world) == []


def test_a_bound_of_ours_says_nothing_of_the_server(probing_world: Probing) -> None:
    world = probing_world(Server("TCP", FIRST, 5041), health=HealthSettings(INTERVAL, fall=1))
    server = world.server()
    begin(world)
    asked = server << "OPTIONS"
    world.perform(world.engine.send_failed(asked.via.branch, f"{OURS}waits for the connection", world.now))
    assert told(world) == []
    next_round(world, server)


def test_a_late_answer_is_none(probing_world: Probing) -> None:
    world = probing_world(Server("TCP", FIRST, 5041))
    server = world.server()
    begin(world)
    late = server << "OPTIONS"
    world.advance(PATIENCE + 0.1)
    server >> reply(late, 200)
    world.advance(LONGEST)
    server << "OPTIONS"
    world.advance(PATIENCE + 0.1)
    assert told(world) == [("server down", "51")]


def test_a_provisional_answer_gives_time_and_is_none_itself(probing_world: Probing) -> None:
    world = probing_world(Server("TCP", FIRST, 5041), health=HealthSettings(INTERVAL, rise=1))
    server = world.server()
    server.state = REFUSING
    begin(world)
    server.state = UP
    world.advance(LONGEST)
    asked = server << "OPTIONS"
    server >> reply(asked, 100)
    world.advance(PATIENCE + 1.0)
    assert told(world) == [("server down", "51")]
    server >> reply(asked, 200)
    assert told(world) == [("server down", "51"), ("server up", "51")]


def test_one_transport_does_not_speak_for_another(probing_world: Probing) -> None:
    world = probing_world(Server("TCP", FIRST, 5041), Server("UDP", FIRST, 5041))
    tcp, udp = world.server("TCP", FIRST), world.server("UDP", FIRST)
    tcp.state = REFUSING
    begin(world)
    answers(udp)
    for _ in range(4):
        next_round(world, udp)
    assert [log.fields["server"] for log in world.logs if log.event == "server down"] == [f"tcp:{FIRST}:5041"]
    failed = [log.fields for log in world.logs if log.event == "probe failed"]
    assert {fields["reason"] for fields in failed} == {"connection refused"}, "each, for the trace"
    assert len({fields["call_id"] for fields in failed}) == len(failed) > 1


# which servers


def test_standby_and_drained_servers_are_asked_too() -> None:
    """Whether a server can be put to use again is to be known before it is."""
    hosts = [FIRST, SECOND]
    servers = tuple(Server("TCP", host, 5041) for host in hosts)
    pool = Pool("pc.example.test", servers, f"sip:x@{DOMAIN}", frozenset({FIRST}), frozenset({SECOND}))
    world = World([pool], [default_endpoint("pc.example.test")], health=HealthSettings(INTERVAL))
    parties = [world.server(host=host) for host in hosts]
    begin(world)
    for party in parties:
        answers(party)


def test_a_server_that_left_the_zone_is_asked_and_remembered_no_longer(probing_world: Probing) -> None:
    world = probing_world(Server("TCP", "pc.example.test", 5041))
    world.names["pc.example.test"] = [FIRST, SECOND]
    first, second = world.pool_servers()
    first.state = REFUSING
    begin(world)
    answers(second)
    assert told(world) == [("server down", "51")]
    world.names["pc.example.test"] = [SECOND]
    for _ in range(6):  # the answer's time, and a round in which it is asked for anew
        next_round(world, second)
    assert world.engine.health.known() == {}
    first.state = UP
    next_round(world, second)
    first.nothing()


def test_while_a_name_is_looked_up_nothing_is_forgotten(probing_world: Probing) -> None:
    world = probing_world(Server("TCP", FIRST, 5041))
    world.server().state = REFUSING
    begin(world)
    world.resolver = "holds"
    reconfigure(world, HealthSettings(INTERVAL), Server("TCP", FIRST, 5041), Server("TCP", "pc.example.test", 5041))
    assert len(world.engine.health.known()) == 1
    world.release()


def test_after_a_change_of_configuration_there_is_one_sequence_of_rounds(probing_world: Probing) -> None:
    world = probing_world(Server("TCP", FIRST, 5041))
    first, second = world.pool_servers()
    begin(world)
    answers(first)
    for _ in range(5):
        reconfigure(world, HealthSettings(100.0), Server("TCP", SECOND, 5041))
    answers(second)
    world.advance(80)
    first.nothing()
    second.nothing()
    world.advance(36)
    assert len(second.inbox) == 1
    answers(second)


def test_options_can_be_turned_off_and_on(probing_world: Probing) -> None:
    world = probing_world(Server("TCP", FIRST, 5041))
    server = world.server()
    server.state = REFUSING
    begin(world)
    server.state = UP
    reconfigure(world, HealthSettings(), Server("TCP", FIRST, 5041))
    world.advance(29)
    server.nothing()
    (hop,) = world.engine.health.known()
    assert not world.engine.health.usable(hop, world.now)
    world.advance(1)
    assert world.engine.health.usable(hop, world.now), "nobody else would ever find out"
    reconfigure(world, HealthSettings(INTERVAL), Server("TCP", FIRST, 5041))
    answers(server)


def test_an_answer_to_the_former_configuration_counts_for_servers_that_stay(probing_world: Probing) -> None:
    world = probing_world(Server("TCP", FIRST, 5041), health=HealthSettings(INTERVAL, rise=1))
    server = world.server()
    server.state = REFUSING
    begin(world)
    server.state = UP
    world.advance(LONGEST)
    asked = server << "OPTIONS"
    reconfigure(world, HealthSettings(INTERVAL, rise=1), Server("TCP", FIRST, 5041))
    server >> reply(asked, 200)
    assert told(world) == [("server down", "51"), ("server up", "51")]
    answers(server)


# Retry-After


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 120 ", 120.0),
        ("18000;duration=3600", 18000.0),
        ("120 (I'm in a meeting)", 120.0),
        ("120 (meeting; all day);duration=3600", 120.0),
        ("0", 0.0),
        ("", 0.0),
        ("-5", 0.0),
        ("1.5", 0.0),
        ("soon", 0.0),
        ("Fri, 26 Sep 1997 12:00 GMT", 0.0),
        ("99999999", 99999999.0),
        ("9" * 400, float("inf")),
    ],
)
def test_retry_after_in_its_forms(value: str, seconds: float) -> None:
    assert retry_after(answer_with(f"Retry-After: {value}")) == seconds


def test_without_retry_after() -> None:
    assert retry_after(answer_with("Server: x")) == 0.0


def answer_with(line: str) -> Response:
    head = "SIP/2.0 503 Busy\r\nVia: SIP/2.0/TCP h;branch=z9hG4bKx\r\n"
    response = parse_message(f"{head}{line}\r\nContent-Length: 0\r\n\r\n".encode())
    assert isinstance(response, Response)
    return response


def test_jitter_is_even() -> None:
    drawn = [Random(1).choice(probing.JITTER) for _ in range(3)]
    assert len(set(drawn)) == 1, "it comes from the generator alone"
    assert sum(probing.JITTER) / len(probing.JITTER) == pytest.approx(1.0)

"""Admission: rates per source and per user, bans, and what goes on when nothing new is taken."""

from collections import Counter
from dataclasses import replace
from ipaddress import ip_network

import pytest

from sipgw.core import admission
from sipgw.core.admission import PATIENCE, Admission, Rates
from sipgw.events import Flow, Hop, Log
from sipgw.message import Request, Response
from sipgw.message.build import new_request
from sipgw.registry import Server
from tests.harness import CONTACT_OBJECT, DOMAIN, Dialog, Party, World, default_pool, diagnostics_of, reply

HERE, THERE = Flow("UDP", "198.51.100.7", 5060, None), Flow("UDP", "198.51.100.8", 5060, None)


def request(method: str = "INVITE", user: str = "alice", to_tag: str = "") -> Request:
    to = "<sip:ocschat@example.test>" + (f";tag={to_tag}" if to_tag else "")
    lines = [f"From: <sip:{user}@example.test>;tag=a", f"To: {to}", "Call-ID: c", f"CSeq: 1 {method}"]
    lines += ["Route: <sip:token@192.0.2.1;lr>"] if to_tag else []
    return new_request(method, CONTACT_OBJECT, lines)


def admitted(gate: Admission, flow: Flow, times: int, now: float, **what: str) -> int:
    return sum(gate.admits(request(**what), flow, now) for _ in range(times))


def make(**rates: float) -> Admission:
    return Admission(Rates(**rates), (ip_network("10.0.0.0/8"),), Counter())


def test_without_limits_everybody_is_let_in() -> None:
    assert admitted(make(), HERE, 10_000, 0.0) == 10_000


def test_a_source_gets_its_rate_and_others_are_not_touched() -> None:
    gate = make(per_source=10)
    assert admitted(gate, HERE, 25, 0.0) == 10
    assert admitted(gate, THERE, 10, 0.0) == 10
    assert gate.counters["refused_source"] == 15


def test_a_source_that_slows_down_is_let_in_again() -> None:
    gate = make(per_source=10)
    admitted(gate, HERE, 20, 0.0)
    assert admitted(gate, HERE, 9, 0.5) == 5
    assert admitted(gate, HERE, 5, 1.0) == 5


def test_a_user_gets_its_rate_from_wherever_it_comes() -> None:
    gate = make(per_user=5)
    assert admitted(gate, HERE, 3, 0.0) + admitted(gate, THERE, 3, 0.0) == 5
    assert admitted(gate, HERE, 3, 0.0, user="bob") == 3
    assert gate.counters["refused_user"] == 1


def test_what_goes_on_in_dialogs_has_twice_the_rate() -> None:
    gate = make(per_source=10)
    assert admitted(gate, HERE, 30, 0.0, method="INFO", to_tag="b") == 20


@pytest.mark.parametrize(("times", "passes"), [(1.5, 1.5), (3.0, 2.0)])
def test_and_that_for_as_long_as_it_goes_on(times: float, passes: float) -> None:
    gate = make(per_source=100)
    arrivals = [number / (100 * times) for number in range(int(100 * times * 20))]  # 20 seconds of an even stream
    passed = [at for at in arrivals if admitted(gate, HERE, 1, at, method="INFO", to_tag="b")]
    assert sum(10.0 <= at < 20.0 for at in passed) == pytest.approx(10 * 100 * passes, abs=2)


def test_what_goes_on_in_dialogs_takes_nothing_from_what_is_new_nor_the_other_way_round() -> None:
    gate = make(per_source=10)
    assert admitted(gate, HERE, 20, 0.0, method="INFO", to_tag="b") == 20
    assert admitted(gate, HERE, 20, 0.0) == 10
    assert admitted(gate, HERE, 20, 1.0) == 10
    assert admitted(gate, HERE, 30, 1.0, method="INFO", to_tag="b") == 20


@pytest.mark.parametrize("method", ["ACK", "BYE", "CANCEL"])
def test_what_ends_calls_is_never_refused(method: str) -> None:
    gate = make(per_source=10, per_user=1)
    gate.overloaded = True
    assert admitted(gate, HERE, 90, 0.0, method=method) == 90


def test_a_flood_is_banned_for_a_time() -> None:
    gate = make(per_source=10, ban=60)
    admitted(gate, HERE, int(10 + 10 * PATIENCE), 0.0)
    assert gate.banned == {}
    admitted(gate, HERE, 1, 0.0)
    assert gate.is_banned(HERE, 59.9)
    assert not gate.is_banned(THERE, 0.0)
    assert not gate.is_banned(Flow("TCP", HERE.host, 5060, None, 1), 0.0), "a connection is somebody else's"
    assert not gate.is_banned(HERE, 60.0)
    assert gate.banned == {}
    assert (gate.counters["banned"], gate.counters["dropped_banned"]) == (1, 1)


def test_a_steady_excess_that_stays_within_patience_is_only_slowed() -> None:
    gate = make(per_source=10)
    for second in range(200):
        assert admitted(gate, HERE, 19, float(second)) == 10
    assert gate.banned == {}


def test_trusted_servers_are_not_weighed() -> None:
    assert admitted(make(per_source=1, per_user=1), Flow("TCP", "10.1.2.3", 5060, None, 7), 500, 0.0) == 500


def test_the_table_of_sources_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_TRACKED", 3)
    gate = make(per_source=1)
    for last in range(4):
        assert gate.admits(request(), Flow("UDP", f"198.51.100.{last}", 5060, None), 0.0)
    assert gate.admits(request(), Flow("UDP", "198.51.100.0", 5060, None), 0.0)  # forgotten: it starts afresh
    assert not gate.admits(request(), Flow("UDP", "198.51.100.3", 5060, None), 0.0)


def test_the_table_of_bans_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_BANNED", 1)
    gate = make(per_source=1)
    for flow in (HERE, THERE):
        admitted(gate, flow, 12, 0.0)
    assert list(gate.banned) == [f"udp {HERE.host}"]
    assert gate.counters["bans_not_kept"] == 1


def test_bans_that_are_over_take_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_BANNED", 1)
    gate = make(per_source=1)
    admitted(gate, HERE, 12, 0.0)
    admitted(gate, THERE, 12, 60.0)
    assert [source for source, _ in gate.bans(60.0)] == [f"udp {THERE.host}"]


def test_a_ban_is_told_once_and_listed_while_it_lasts() -> None:
    gate, told = make(per_source=10, ban=30), list[Log]()
    gate.tell = told.append
    for at in (0.0, 1.0, 2.0):
        admitted(gate, HERE, 120, at)
    assert [(one.level, one.event) for one in told] == [("warning", "source banned")]
    assert told[0].fields == {
        "source": f"udp {HERE.host}",
        "reason": "went on far beyond 10 requests a second",
        "seconds": 30,
    }
    assert gate.bans(10.0) == [(f"udp {HERE.host}", 20.0)]
    assert gate.bans(30.0) == []


# in the engine


def at_pool(dialog: Dialog, alice: Party, server: Party) -> Dialog:
    """The other side of a dialog that alice has opened."""
    return Dialog(
        server, dialog.call_id, dialog.remote, dialog.local, alice.contact, dialog.routes[::-1], dialog.invite_cseq, 0
    )


def infos(world: World, server: Party, dialog: Dialog, alice: Party, times: int) -> Counter[int]:
    """A busy room: the statuses that its server gets for so many INFOs to alice at once."""
    statuses: Counter[int] = Counter()
    for _ in range(times):
        server >> dialog.request("INFO", body=b"<x/>")
        for message in alice.inbox:
            if isinstance(message, Request) and message.method == "INFO":
                alice >> reply(message, 200)
        alice.inbox.clear()
        statuses.update(message.status for message in server.inbox if isinstance(message, Response))
        server.inbox.clear()
    return statuses


def chat(world: World, server: Party) -> tuple[Party, Dialog]:
    """Alice, and the server's side of her call."""
    alice = world.phone("alice")
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    server >> reply(server << "INVITE", 200, contact=server.contact)
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK")
    server << "ACK"
    return alice, at_pool(dialog, alice, server)


@pytest.mark.parametrize("transport", ["TCP", "UDP"])
def test_a_server_of_a_pool_is_not_weighed(transport: str) -> None:
    """A busy room says more in a second than any user may."""
    world = World([default_pool(Server(transport, "192.0.2.51", 5041))], rates=Rates(per_source=5, per_user=1, ban=60))
    server = world.server(transport)
    alice, dialog = chat(world, server)
    assert infos(world, server, dialog, alice, 300) == {200: 300}
    for _ in range(100):
        server >> server.request("OPTIONS", f"sip:{DOMAIN}")
    assert {message.status for message in server.inbox if isinstance(message, Response)} == {200}
    assert not world.closed
    assert world.engine.admission.banned == {}


def test_nor_is_one_that_had_to_dial_us_anew_within_its_calls() -> None:
    """After a restart of the gateway it comes from any port; the token in its route set proves the call."""
    world = World(rates=Rates(per_source=5, ban=60))
    server = world.server()
    alice, dialog = chat(world, server)
    server.connect(49152)
    assert infos(world, server, dialog, alice, 300) == {200: 300}
    stranger = world.phone("mallory", host=server.host)
    forged = replace(dialog, party=stranger, routes=[route.replace("sip:", "sip:0", 1) for route in dialog.routes])
    assert infos(world, stranger, forged, alice, 100)[503] >= 50, "a token that is none proves nothing"
    assert world.closed


def test_a_client_is_no_server_for_being_dialled() -> None:
    """Users name the addresses of their contacts as they like."""
    world = World(rates=Rates(per_source=5, ban=60))
    bob = world.server("TCP", "198.51.100.9", 5060, "bob")
    bob.flow = world.open(bob, "TCP", bob.port, inbound=False, hop=Hop("TCP", bob.host, bob.port))
    for _ in range(60):
        bob >> bob.request("OPTIONS", f"sip:{DOMAIN}")
    assert {close.reason for close in world.closed} == {"banned"}


def test_servers_are_heard_whoever_was_banned_at_their_address() -> None:
    world = World(rates=Rates(per_source=5, ban=60), trusted=(ip_network("192.0.2.99"),))
    server = world.server()
    alice, dialog = chat(world, server)
    for host in (server.host, "192.0.2.99", "198.51.100.66"):
        world.engine.admission.banned[host] = world.now + 60
    assert infos(world, server, dialog, alice, 3) == {200: 3}
    trusted = world.phone("edge", host="192.0.2.99")
    trusted >> trusted.request("OPTIONS", f"sip:{DOMAIN}")
    trusted << 200
    welcome = [world.engine.welcomes(host, world.now) for host in (server.host, "192.0.2.99", "198.51.100.66")]
    assert welcome == [True, True, False]
    assert world.engine.welcomes("198.51.100.66", world.now + 60)
    assert world.engine.counters["connections_refused_banned"] == 1


def test_an_overloaded_gateway_takes_nothing_new_and_lets_calls_go_on() -> None:
    world = World()
    alice, bob, pool = world.phone("alice"), world.phone("bob"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    at_pool = pool << "INVITE"
    world.engine.admission.overloaded = True
    pool >> reply(at_pool, 200, contact="sip:pool@192.0.2.51:5041")
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK")
    pool << "ACK"
    bob >> bob.request("INVITE", CONTACT_OBJECT)
    refused = bob << 503
    assert diagnostics_of(refused)[0] == 13011
    assert refused.first("retry-after") == "30"
    bob >> bob.ack_failure(refused)
    for method in ("INFO", "BYE"):
        alice >> dialog.request(method)
        pool >> reply(pool << method, 200)
        alice << 200
    world.engine.admission.overloaded = False
    bob >> bob.request("OPTIONS", "sip:example.test")
    bob << 200
    assert world.engine.counters["refused_overloaded"] == 1
    world.finish()


def test_a_gateway_that_ends_takes_nothing_new_and_lets_calls_end() -> None:
    world = World()
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    at_pool = pool << "INVITE"
    pool >> reply(at_pool, 200, contact="sip:pool@192.0.2.51:5041")
    dialog = alice.calling(alice << 200)
    world.engine.admission.closing = True
    alice >> dialog.request("ACK")
    pool << "ACK"
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    alice << 503
    alice >> dialog.request("BYE")
    pool >> reply(pool << "BYE", 200)
    alice << 200
    assert world.engine.counters["refused_closing"] == 1
    world.finish()


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_a_banned_source_is_not_heard_and_its_connection_closed(transport: str) -> None:
    world = World(rates=Rates(per_source=2, ban=60))
    alice = world.phone("alice", transport)
    for _ in range(23):
        alice >> alice.request("OPTIONS", "sip:example.test")
    answers = [answer.status for answer in alice.inbox]  # type: ignore[attr-defined]
    assert answers == [200] * 2 + [503] * 21
    alice.inbox.clear()
    alice >> alice.request("OPTIONS", "sip:example.test")
    alice.nothing()
    assert [close.reason for close in world.closed] == ([] if transport == "UDP" else ["banned"])

"""The next server of a pool is tried on a transport error, on 503 and after three seconds of silence."""

import pytest

from sipgw.registry import Server
from tests.harness import CONTACT_OBJECT, REFUSING, SILENT, MakeWorld, Party, World, default_pool, reply


def answered_by(server: Party, alice: Party) -> None:
    at_server = server << "INVITE"
    server >> reply(at_server, 200, contact=server.contact)
    ok = alice << 200
    alice >> alice.calling(ok).request("ACK")
    server << "ACK"
    alice.nothing()
    server.nothing()


def test_on_a_connection_error(world: World) -> None:
    alice, (first, second) = world.phone("alice"), world.pool_servers()
    first.state = REFUSING
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    answered_by(second, alice)
    assert [log.fields["hop"] for log in world.logs if log.event == "next hop failed"] == ["tcp:192.0.2.51:5041"]


def test_on_503(world: World) -> None:
    alice, (first, second) = world.phone("alice"), world.pool_servers()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    first >> reply(first << "INVITE", 503)
    first << "ACK"
    answered_by(second, alice)


def test_on_silence(world: World) -> None:
    alice, (first, second) = world.phone("alice"), world.pool_servers()
    first.state = SILENT
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    world.advance(2.9)
    second.nothing()
    world.advance(0.2)
    answered_by(second, alice)


def test_on_silence_over_udp(make_world: MakeWorld) -> None:
    """The request is repeated at 0.5 and 1.5 seconds; at three the next server gets it."""
    servers = (Server("UDP", "192.0.2.51", 5060), Server("UDP", "192.0.2.52", 5060))
    world = make_world([default_pool(*servers)])
    alice, first, second = world.phone("alice"), world.server("UDP", port=5060), world.server("UDP", "192.0.2.52", 5060)
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    world.advance(2.9)
    for _ in range(3):
        first << "INVITE"
    first.nothing()
    second.nothing()
    world.advance(0.2)
    answered_by(second, alice)


def test_a_server_that_has_answered_provisionally_keeps_the_call(world: World) -> None:
    alice, (first, second) = world.phone("alice"), world.pool_servers()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    at_first = first << "INVITE"
    first >> reply(at_first, 100)
    world.advance(60)
    second.nothing()
    first >> reply(at_first, 200, contact=first.contact)
    alice >> alice.calling(alice << 200).request("ACK")
    first << "ACK"


def test_when_the_connection_breaks_while_waiting(world: World) -> None:
    alice, (first, second) = world.phone("alice"), world.pool_servers()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    first << "INVITE"
    first.break_connection()
    answered_by(second, alice)


@pytest.mark.parametrize("status", [404, 480, 486, 500, 600])
def test_no_other_answer_moves_the_call(world: World, status: int) -> None:
    alice, (first, second) = world.phone("alice"), world.pool_servers()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    first >> reply(first << "INVITE", status, 'ms-diagnostics: 1003;source="pc1";reason="x"')
    first << "ACK"
    assert alice.fail_call(status).first("ms-diagnostics") == '1003;source="pc1";reason="x"'
    second.nothing()


def test_a_late_answer_of_the_server_given_up_on_is_dropped(world: World) -> None:
    alice, (first, second) = world.phone("alice"), world.pool_servers()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    late = first << "INVITE"
    world.advance(3.1)
    answered_by(second, alice)
    first >> reply(late, 200, contact=first.contact)
    alice.nothing()


def test_inside_the_dialog_the_server_that_answered_is_kept(world: World) -> None:
    alice, (first, second) = world.phone("alice"), world.pool_servers()
    first.state = REFUSING
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    at_second = second << "INVITE"
    second >> reply(at_second, 200, contact=second.contact)
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK")
    second << "ACK"
    first.state = "up"
    alice >> dialog.request("BYE")
    second >> reply(second << "BYE", 200)
    alice << 200
    first.nothing()


def test_names_of_pool_servers_are_looked_up_and_every_address_tried(make_world: MakeWorld) -> None:
    world = make_world([default_pool(Server("TCP", "pc.example.test", 5041))])
    world.names["pc.example.test"] = ["192.0.2.51", "192.0.2.52"]
    alice, (first, second) = world.phone("alice"), world.pool_servers()
    first.state = REFUSING
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    assert world.resolved == ["pc.example.test"]
    alice.inbox = [message for message in alice.inbox if getattr(message, "status", 0) != 100]
    answered_by(second, alice)


def test_calls_that_wait_for_one_name_ask_once(make_world: MakeWorld) -> None:
    world = make_world([default_pool(Server("TCP", "pc.example.test", 5041))])
    world.resolver = "holds"
    alice, bob, pool = world.phone("alice"), world.phone("bob"), world.server()
    for caller in (alice, bob):
        caller >> caller.request("INVITE", CONTACT_OBJECT)
        caller << 100
    assert world.resolved == ["pc.example.test"]
    world.names["pc.example.test"] = ["192.0.2.51"]
    world.release()
    for caller, at_pool in zip((alice, bob), [pool << "INVITE", pool << "INVITE"], strict=True):
        caller.inbox.clear()
        pool >> reply(at_pool, 486)
        caller.fail_call(486)
        pool << "ACK"


def test_cancel_while_the_name_is_looked_up(make_world: MakeWorld) -> None:
    world = make_world([default_pool(Server("TCP", "pc.example.test", 5041))])
    world.resolver = "holds"
    alice, pool = world.phone("alice"), world.server()
    invite = alice.request("INVITE", CONTACT_OBJECT)
    alice >> invite
    alice << 100
    alice >> alice.cancel(invite)
    alice << 200
    alice.fail_call(487)
    world.names["pc.example.test"] = ["192.0.2.51"]
    world.release()
    pool.nothing()


def test_a_failed_look_up_is_asked_again_later() -> None:
    world = World([default_pool(Server("TCP", "pc.example.test", 5041))])
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    alice.fail_call(504)
    world.names["pc.example.test"] = ["192.0.2.51"]
    world.advance(3600)
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    pool << "INVITE"


def test_addresses_of_a_name_are_asked_for_again_later() -> None:
    world = World([default_pool(Server("TCP", "pc.example.test", 5041))])
    world.names["pc.example.test"] = ["192.0.2.51"]
    alice, (_, second) = world.phone("alice"), world.pool_servers()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    world.advance(200)
    world.names["pc.example.test"] = ["192.0.2.52"]
    world.advance(3600)
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    second << "INVITE"


def test_a_call_that_waited_for_a_name_is_told_trying_once() -> None:
    world = World([default_pool(Server("TCP", "pc.example.test", 5041))])
    world.names["pc.example.test"] = ["192.0.2.51"]
    alice, _ = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    alice.nothing()

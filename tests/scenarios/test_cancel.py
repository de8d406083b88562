"""CANCEL (RFC 3261 §9, §16.10) and Timer C."""

import pytest

from sipgw.registry import Server
from tests.harness import CONTACT_OBJECT, SILENT, MakeWorld, World, default_pool, reply


def test_after_a_provisional(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    invite = alice.request("INVITE", CONTACT_OBJECT)
    alice >> invite
    alice << 100
    at_pool = pool << "INVITE"
    pool >> reply(at_pool, 180)
    alice << 180
    alice >> alice.cancel(invite)
    alice << 200
    cancel = pool << "CANCEL"
    assert cancel.via.branch == at_pool.via.branch
    assert cancel.uri == at_pool.uri
    assert cancel.cseq.number == at_pool.cseq.number
    pool >> reply(cancel, 200)
    pool >> reply(at_pool, 487)
    pool << "ACK"
    alice.fail_call(487)


def test_before_a_provisional_it_waits_for_one(world: World) -> None:
    """§9.1: a CANCEL that overtakes its INVITE would find nothing to cancel."""
    alice, pool = world.phone("alice"), world.server()
    invite = alice.request("INVITE", CONTACT_OBJECT)
    alice >> invite
    alice << 100
    at_pool = pool << "INVITE"
    alice >> alice.cancel(invite)
    alice << 200
    pool.nothing()
    pool >> reply(at_pool, 100)
    cancel = pool << "CANCEL"
    pool >> reply(cancel, 200)
    pool >> reply(at_pool, 487)
    pool << "ACK"
    alice.fail_call(487)


def test_no_other_server_is_tried_after_it(world: World) -> None:
    alice, (first, second) = world.phone("alice"), world.pool_servers()
    invite = alice.request("INVITE", CONTACT_OBJECT)
    alice >> invite
    alice << 100
    at_first = first << "INVITE"
    first >> reply(at_first, 100)
    alice >> alice.cancel(invite)
    alice << 200
    first >> reply(first << "CANCEL", 200)
    first >> reply(at_first, 503)
    first << "ACK"
    alice.fail_call(487)
    second.nothing()


def test_to_a_silent_server(world: World) -> None:
    alice, (first, second) = world.phone("alice"), world.pool_servers()
    first.state = SILENT
    invite = alice.request("INVITE", CONTACT_OBJECT)
    alice >> invite
    alice << 100
    alice >> alice.cancel(invite)
    alice << 200
    world.advance(40)
    (final,) = alice.inbox
    assert getattr(final, "status", 0) >= 400
    second.nothing()


def test_crossing_the_200(world: World) -> None:
    """The CANCEL came too late: it is answered, changes nothing, and the caller has a dialog to end."""
    alice, pool = world.phone("alice"), world.server()
    invite = alice.request("INVITE", CONTACT_OBJECT)
    alice >> invite
    alice << 100
    at_pool = pool << "INVITE"
    pool >> reply(at_pool, 200, contact=pool.contact)
    alice >> alice.cancel(invite)
    dialog = alice.calling(alice << 200)
    assert (alice << 200).cseq.method == "CANCEL"
    pool.nothing()
    alice >> dialog.request("ACK")
    pool << "ACK"
    alice >> dialog.request("BYE")
    pool >> reply(pool << "BYE", 200)
    alice << 200


def test_200_crossing_the_cancel(world: World) -> None:
    """The server answered before it saw the CANCEL: the 200 goes through (§16.7 item 5)."""
    alice, pool = world.phone("alice"), world.server()
    invite = alice.request("INVITE", CONTACT_OBJECT)
    alice >> invite
    alice << 100
    at_pool = pool << "INVITE"
    pool >> reply(at_pool, 180)
    alice << 180
    alice >> alice.cancel(invite)
    alice << 200
    pool >> reply(at_pool, 200, contact=pool.contact)
    alice >> alice.calling(alice << 200).request("ACK")
    pool >> reply(pool << "CANCEL", 481)
    pool << "ACK"
    alice.nothing()


def test_of_nothing(world: World) -> None:
    alice = world.phone("alice")
    alice >> alice.cancel(alice.request("INVITE", CONTACT_OBJECT))
    alice << 481


def test_repeated_over_udp_it_is_answered_again_and_passed_on_once(make_world: MakeWorld) -> None:
    world = make_world([default_pool(Server("UDP", "192.0.2.51", 5060))])
    alice, pool = world.phone("alice", "UDP"), world.server("UDP", port=5060)
    invite = alice.request("INVITE", CONTACT_OBJECT)
    alice >> invite
    alice << 100
    at_pool = pool << "INVITE"
    pool >> reply(at_pool, 100)
    for _ in range(2):
        alice >> alice.cancel(invite)
        alice << 200
    cancel = pool << "CANCEL"
    pool.nothing()
    pool >> reply(cancel, 200)
    pool >> reply(at_pool, 487)
    pool << "ACK"
    alice.fail_call(487)


def test_a_second_cancel_over_tcp_is_not_passed_on() -> None:
    """Over TCP the first CANCEL's transaction is gone at once (Timer J is 0), so that the layer cannot absorb it."""
    world = World()
    alice, pool = world.phone("alice"), world.server()
    invite = alice.request("INVITE", CONTACT_OBJECT)
    alice >> invite
    alice << 100
    at_pool = pool << "INVITE"
    pool >> reply(at_pool, 100)
    for _ in range(2):
        alice >> alice.cancel(invite)
        alice << 200
    cancel = pool << "CANCEL"
    pool >> reply(cancel, 200)
    pool >> reply(at_pool, 487)
    alice.fail_call(487)
    assert pool << "ACK"
    pool.nothing()


def test_a_server_that_does_not_end_a_cancelled_call(world: World) -> None:
    """§9.1: 64*T1 after the CANCEL the call counts as ended, whatever else it may have rung by then."""
    alice, pool = world.phone("alice"), world.server()
    invite = alice.request("INVITE", CONTACT_OBJECT)
    alice >> invite
    alice << 100
    at_pool = pool << "INVITE"
    pool >> reply(at_pool, 180)
    alice << 180
    alice >> alice.cancel(invite)
    alice << 200
    pool >> reply(pool << "CANCEL", 200)
    world.advance(33)
    (final,) = alice.inbox
    assert getattr(final, "status", 0) >= 400


def test_a_server_that_rings_on_after_the_cancel() -> None:
    world = World()
    alice, pool = world.phone("alice"), world.server()
    invite = alice.request("INVITE", CONTACT_OBJECT)
    alice >> invite
    alice << 100
    at_pool = pool << "INVITE"
    pool >> reply(at_pool, 180)
    alice << 180
    alice >> alice.cancel(invite)
    alice << 200
    pool >> reply(pool << "CANCEL", 200)
    pool >> reply(at_pool, 180)
    alice << 180
    world.advance(33)
    (final,) = alice.inbox
    assert getattr(final, "status", 0) >= 400


def test_timer_c_ends_a_call_that_rings_for_ever(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    at_pool = pool << "INVITE"
    pool >> reply(at_pool, 180)
    alice << 180
    world.advance(180.9)
    pool.nothing()
    world.advance(0.2)
    pool >> reply(pool << "CANCEL", 200)
    pool >> reply(at_pool, 487)
    pool << "ACK"
    alice.fail_call(487)


def test_timer_c_starts_again_with_each_provisional_but_100(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    at_pool = pool << "INVITE"
    pool >> reply(at_pool, 180)
    world.advance(100)
    pool >> reply(at_pool, 180)
    world.advance(100)
    pool >> reply(at_pool, 100)
    world.advance(80.9)
    pool.nothing()
    world.advance(0.2)
    pool >> reply(pool << "CANCEL", 200)
    pool >> reply(at_pool, 487)
    pool << "ACK"
    alice.inbox = alice.inbox[2:]
    alice.fail_call(487)


def test_after_timer_c_no_other_server_is_tried() -> None:
    world = World()
    alice, (first, second) = world.phone("alice"), world.pool_servers()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    first >> reply(first << "INVITE", 180)
    alice << 180
    world.advance(181 + 33)
    second.nothing()


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_a_client_without_branches_cancels(make_world: MakeWorld, transport: str) -> None:
    """pidgin-sipe sends no branch: the CANCEL is matched by the rules of RFC 2543 (§17.2.3)."""
    world = make_world()
    alice, pool = world.phone("alice", transport), world.server()
    invite = alice.request("INVITE", CONTACT_OBJECT)
    at = invite.index["via"]
    invite.lines[at] = invite.lines[at].partition(";")[0]
    alice >> invite
    alice << 100
    at_pool = pool << "INVITE"
    pool >> reply(at_pool, 180)
    alice << 180
    alice >> alice.cancel(invite)
    alice << 200
    pool >> reply(pool << "CANCEL", 200)
    pool >> reply(at_pool, 487)
    pool << "ACK"
    alice.fail_call(487)

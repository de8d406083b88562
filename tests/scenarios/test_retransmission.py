"""Over UDP: what is repeated is absorbed or answered, 2xx and its ACK pass through (RFC 3261 §17, RFC 6026)."""

from typing import Any

import pytest

from sipgw.registry import Server
from tests.harness import CONTACT_OBJECT, DOMAIN, MakeWorld, Party, World, default_pool, reply


@pytest.fixture
def udp(make_world: MakeWorld) -> World:
    return make_world([default_pool(Server("UDP", "192.0.2.51", 5060))])


def parties(world: World) -> tuple[Party, Party]:
    return world.phone("alice", "UDP"), world.server("UDP", port=5060)


def answered(alice: Party, pool: Party) -> tuple[Any, Any, Any]:
    invite = alice.request("INVITE", CONTACT_OBJECT)
    alice >> invite
    alice << 100
    at_pool = pool << "INVITE"
    ok = reply(at_pool, 200, contact=pool.contact)
    pool >> ok
    alice << 200
    return invite, at_pool, ok


def test_an_invite_repeated_before_an_answer_gets_100_again(udp: World) -> None:
    alice, pool = parties(udp)
    invite = alice.request("INVITE", CONTACT_OBJECT)
    for _ in range(3):
        alice >> invite
        alice << 100
    at_pool = pool << "INVITE"
    pool.nothing()
    pool >> reply(at_pool, 180)
    alice << 180
    alice >> invite
    alice << 180
    pool >> reply(at_pool, 486)
    pool << "ACK"
    alice << 486
    alice >> invite
    alice.fail_call(486)
    alice >> invite
    alice.nothing()


def test_a_request_repeated_before_its_answer_is_absorbed(udp: World) -> None:
    alice, pool = parties(udp)
    message = alice.request("MESSAGE", CONTACT_OBJECT)
    alice >> message
    at_pool = pool << "MESSAGE"
    alice >> message
    alice.nothing()
    pool.nothing()
    pool >> reply(at_pool, 200)
    alice << 200
    alice >> message
    alice << 200
    pool.nothing()


def test_the_gateway_repeats_an_unanswered_request(udp: World) -> None:
    alice, pool = parties(udp)
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    first = pool << "MESSAGE"
    udp.advance(0.5)
    assert (pool << "MESSAGE").encode() == first.encode()
    udp.advance(1.0)
    again = pool << "MESSAGE"
    assert again.encode() == first.encode()
    pool >> reply(again, 200)
    alice << 200
    pool >> reply(again, 200)
    alice.nothing()


def test_a_repeated_2xx_goes_through(udp: World) -> None:
    """RFC 6026 §7.1, §7.2: the UAS repeats its 2xx until the ACK reaches it, and no proxy absorbs it."""
    alice, pool = parties(udp)
    _, _, ok = answered(alice, pool)
    udp.advance(0.5)
    pool >> ok
    again = alice << 200
    udp.advance(30)
    pool >> ok
    assert (alice << 200).encode() == again.encode()
    alice >> alice.calling(again).request("ACK")
    pool << "ACK"


def test_a_repeated_2xx_after_timer_m_is_dropped(udp: World) -> None:
    alice, pool = parties(udp)
    _, _, ok = answered(alice, pool)
    udp.advance(32.1)
    pool >> ok
    alice.nothing()
    assert udp.engine.counters["stray_responses"] == 1


def test_an_invite_repeated_after_its_2xx_is_absorbed(udp: World) -> None:
    """RFC 6026: it is neither forwarded again nor answered; the UAS repeats the 2xx."""
    alice, pool = parties(udp)
    invite, _, _ = answered(alice, pool)
    alice >> invite
    alice.nothing()
    pool.nothing()
    udp.advance(31.9)
    alice >> invite
    pool.nothing()


@pytest.mark.parametrize("after", [0.0, 20.0, 3600.0])
def test_ack_goes_through_and_so_does_a_late_one(udp: World, after: float) -> None:
    alice, pool = parties(udp)
    _, at_pool, ok = answered(alice, pool)
    pool >> ok
    dialog = alice.calling(alice << 200)
    udp.advance(after)
    alice >> dialog.request("ACK")
    ack = pool << "ACK"
    assert ack.uri == pool.contact
    assert ack.via.branch != at_pool.via.branch
    alice >> dialog.request("ACK")
    pool << "ACK"


def test_an_ack_that_reuses_the_branch_of_its_invite_goes_through(udp: World) -> None:
    """RFC 3261 asks for a new branch; clients that reuse it hit the INVITE's own transaction."""
    alice, pool = parties(udp)
    invite, _, ok = answered(alice, pool)
    pool >> ok
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK", branch=invite.via.branch)
    pool << "ACK"


def test_a_failure_is_repeated_until_its_ack(udp: World) -> None:
    alice, _ = parties(udp)
    alice >> alice.request("INVITE", f"sip:nobody@{DOMAIN}")
    first = alice << 404
    for wait in (0.5, 1.0, 2.0, 4.0, 4.0):
        udp.advance(wait - 0.01)
        alice.nothing()
        udp.advance(0.01)
        assert (alice << 404).encode() == first.encode()
    alice >> alice.ack_failure(first)
    udp.advance(40)
    alice.nothing()


ORDERS = [
    ("Via", "From", "To", "Call-ID", "CSeq", "Content-Length"),
    ("Via", "To", "From", "Call-ID", "CSeq", "Content-Length"),
    ("Via", "From", "Call-ID", "CSeq", "Content-Length", "To"),
    ("To", "From", "Call-ID", "CSeq", "Content-Length", "Via"),
]


@pytest.mark.parametrize("order", ORDERS)
def test_a_relayed_failure_is_acknowledged_without_a_branch(order: tuple[str, ...]) -> None:
    """Without a branch the ACK is matched by the To tag of the response (§17.2.3), wherever To stands in it."""
    world = World([default_pool(Server("UDP", "192.0.2.51", 5060))])
    alice, pool = parties(world)
    invite = alice.request("INVITE", CONTACT_OBJECT)
    invite.lines[0] = invite.lines[0].partition(";")[0]
    alice >> invite
    alice << 100
    busy = reply(pool << "INVITE", 486)
    lines = sorted(busy.lines, key=lambda line: order.index(line.partition(":")[0]))
    pool >> "\r\n".join([busy.start, *lines, "", ""]).encode()
    pool << "ACK"
    alice.fail_call(486)
    world.advance(20)
    alice.nothing()
    pool.nothing()
    world.finish()


def test_a_failure_that_is_never_acknowledged_is_given_up(udp: World) -> None:
    """pidgin-sipe acknowledges no failure: the transaction must not stay."""
    alice, _ = parties(udp)
    alice >> alice.request("INVITE", f"sip:nobody@{DOMAIN}")
    udp.advance(40)
    assert len(alice.inbox) == 11
    assert udp.engine.counters["unacknowledged"] == 1
    assert udp.engine.sizes().server_transactions == 0


def test_a_failure_over_tcp_is_sent_once(world: World) -> None:
    alice = world.phone("alice")
    alice >> alice.request("INVITE", f"sip:nobody@{DOMAIN}")
    world.advance(40)
    alice << 404
    alice.nothing()


def test_a_repeated_failure_of_the_pool_is_acknowledged_again(udp: World) -> None:
    alice, pool = parties(udp)
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    busy = reply(pool << "INVITE", 486)
    pool >> busy
    ack = pool << "ACK"
    pool >> busy
    assert (pool << "ACK").encode() == ack.encode()
    alice.fail_call(486)


def test_a_repeated_register_is_answered_from_memory(udp: World) -> None:
    alice, _ = parties(udp)
    register = alice.register()
    alice >> register
    first = alice << 200
    udp.advance(1)
    alice >> register
    assert (alice << 200).encode() == first.encode()
    assert len(udp.persisted) == 1

"""At the bound of transactions: 503 with Retry-After for what is new, and room for what belongs to calls (§21.5.4)."""

import pytest

from sipgw.message import Response
from sipgw.registry import Server
from tests.harness import CONTACT_OBJECT, MakeWorld, Party, World, default_pool, diagnostics_of, reply
from tests.scenarios.proxy.ladder import calls_pool, ends_with, refuses
from tests.scenarios.transactions.steps import over_udp


@pytest.fixture
def world(make_world: MakeWorld, transport: str) -> World:
    """Room for two server transactions."""
    return make_world([default_pool(Server(transport, "192.0.2.51", 5041))], max_transactions=2)


@pytest.fixture
def waiting(world: World, transport: str, pool: Party) -> Party:
    """Another user, two of whose requests wait for the pool: there is no room."""
    carol = world.phone("carol", transport, "198.51.100.99")
    for _ in range(2):
        carol >> carol.request("MESSAGE", CONTACT_OBJECT)
        pool << "MESSAGE"
    return carol


def served(carol: Party, pool: Party) -> None:
    """The gateway ends what it has taken in its own way: nothing of it is lost or answered twice."""
    carol.world.advance(100)
    carol.inbox.clear()
    pool.inbox.clear()


def turned_away(party: Party) -> Response:
    response: Response = party << 503
    assert response.first("retry-after") == "30"
    assert diagnostics_of(response)[0] == 13011
    assert response.to_tag
    return response


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "OPTIONS", "SUBSCRIBE", "REGISTER", "INFO", "NOVELTY"])
def test_what_is_new_is_turned_away_with_a_time_to_come_back(
    world: World, alice: Party, pool: Party, waiting: Party, method: str
) -> None:
    alice >> alice.request(method, CONTACT_OBJECT)
    answer = turned_away(alice)
    assert len(answer.values("via")) == 1
    pool.nothing()
    assert world.engine.sizes().server_transactions == 2  # turning away costs no room
    assert world.engine.counters["refused"] == 1
    served(waiting, pool)


def test_each_copy_is_turned_away_anew(world: World, alice: Party, pool: Party, waiting: Party) -> None:
    """Without memory there is nothing to absorb it by; the same status again does no harm."""
    message = alice.request("MESSAGE", CONTACT_OBJECT)
    for _ in range(3):
        alice >> message
        turned_away(alice)
    assert world.engine.counters["refused"] == 3
    served(waiting, pool)


def test_the_ack_to_the_503_is_dropped(alice: Party, pool: Party, waiting: Party) -> None:
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice >> alice.ack_failure(turned_away(alice))
    pool.nothing()
    alice.nothing()
    served(waiting, pool)


def test_copies_of_what_was_taken_are_recognised(alice: Party, pool: Party) -> None:
    messages = [alice.request("MESSAGE", CONTACT_OBJECT) for _ in range(2)]
    for message in messages:
        alice >> message
    for message in messages:
        alice >> message
    alice.nothing()
    for at_pool in (pool << "MESSAGE", pool << "MESSAGE"):
        pool >> reply(at_pool, 200)
        alice << 200
    pool.nothing()


def test_a_call_that_waits_can_be_cancelled(world: World, alice: Party, pool: Party) -> None:
    """CANCEL makes room: it is never turned away."""
    invites = [calls_pool(alice), calls_pool(alice)]
    at_pool = [pool << "INVITE", pool << "INVITE"]
    for invite, arrived in zip(invites, at_pool, strict=True):
        pool >> reply(arrived, 180)
        alice << 180
        alice >> alice.cancel(invite)
        assert (alice << 200).cseq.method == "CANCEL"
        pool >> reply(pool << "CANCEL", 200)
        refuses(pool, arrived, 487)
        ends_with(alice, 487)
    assert world.engine.counters["refused"] == 0


@pytest.mark.parametrize("sender", ["caller", "callee"])
def test_a_call_that_stands_goes_on_to_its_end(world: World, alice: Party, pool: Party, sender: str) -> None:
    """While whatever is new is turned away."""
    calls_pool(alice)
    invite = pool << "INVITE"
    answer = reply(invite, 200, contact=pool.contact)
    pool >> answer
    dialog = alice.calling(alice << 200)
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    waits = pool << "MESSAGE"
    assert world.engine.sizes().server_transactions == 2
    alice >> dialog.request("ACK")
    pool << "ACK"
    here, there = (alice, pool) if sender == "caller" else (pool, alice)
    here >> (dialog if sender == "caller" else pool.called(invite, answer)).request("INFO")
    there >> reply(there << "INFO", 200)
    assert (here << 200).cseq.method == "INFO"
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    turned_away(alice)
    alice >> dialog.request("BYE")
    pool >> reply(pool << "BYE", 200)
    assert (alice << 200).cseq.method == "BYE"
    pool >> reply(waits, 200)
    assert (alice << 200).cseq.method == "MESSAGE"


def test_at_twice_as_many_it_has_to_wait_too(world: World, alice: Party, pool: Party) -> None:
    calls_pool(alice)
    pool >> reply(pool << "INVITE", 200, contact=pool.contact)
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK")
    pool << "ACK"
    infos = []
    while world.engine.sizes().server_transactions < 4:
        alice >> dialog.request("INFO")
        infos.append(pool << "INFO")
    alice >> dialog.request("INFO")
    turned_away(alice)
    pool.nothing()
    for info in infos:
        pool >> reply(info, 200)
        alice << 200


@pytest.mark.parametrize(
    "routes",
    [[], ["<sip:{there};lr>"], ["<sip:0123456789abcdef0123.00000000.T7f00000113b1.T7f00000113b1@{there};lr>"], ["<:>"]],
    ids=["no Route", "no token", "no token of ours", "rubbish"],
)
def test_what_only_looks_like_a_call_that_stands_is_turned_away(
    world: World, alice: Party, pool: Party, waiting: Party, routes: list[str]
) -> None:
    there = world.engine.router.own.listeners[0].sent_by
    lines = [f"Route: {route.format(there=there)}" for route in routes]
    alice >> alice.request("INFO", CONTACT_OBJECT, *lines, to=f"{CONTACT_OBJECT}>;tag=x;y=<")
    turned_away(alice)
    served(waiting, pool)


def test_answers_pass_while_there_is_no_room(alice: Party, pool: Party) -> None:
    calls_pool(alice)
    calls_pool(alice)
    for at_pool in (pool << "INVITE", pool << "INVITE"):
        pool >> reply(at_pool, 183)
        alice << 183
        refuses(pool, at_pool, 486)
        alice.fail_call(486)


def test_there_is_room_again_when_something_has_ended(world: World, alice: Party, pool: Party, waiting: Party) -> None:
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    turned_away(alice)
    served(waiting, pool)
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    pool >> reply(pool << "MESSAGE", 200)
    alice << 200


def test_a_cancel_of_nothing_is_told_so(alice: Party, pool: Party, waiting: Party) -> None:
    alice >> alice.cancel(alice.request("INVITE", CONTACT_OBJECT))
    assert (alice << 481).cseq.method == "CANCEL"
    pool.nothing()
    served(waiting, pool)


@over_udp
@pytest.mark.parametrize("method", ["BYE", "CANCEL"])
def test_a_flood_of_what_makes_room_finds_a_bound_too(
    world: World, alice: Party, pool: Party, waiting: Party, method: str
) -> None:
    """What is let in beyond the bound has a bound of its own: state that strangers can make is never unlimited."""
    for number in range(200):
        alice >> alice.request(method, f"sip:nobody{number}@example.test")
    assert len(alice.inbox) == 200  # each was answered somehow
    alice.inbox.clear()
    assert world.engine.sizes().server_transactions < 20
    served(waiting, pool)


def test_a_bye_that_ends_nothing_is_answered_and_forgotten(
    world: World, alice: Party, pool: Party, waiting: Party
) -> None:
    alice >> alice.request("BYE", "sip:nobody@example.test")
    alice << 404
    served(waiting, pool)
    assert world.engine.sizes().server_transactions == 0

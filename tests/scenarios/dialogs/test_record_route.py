"""Record-Route: on what opens a dialog and on nothing else, once or twice, in an order that both sides can use."""

from itertools import product

import pytest

from sipgw.message import Request
from sipgw.message.uri import parse_uri
from sipgw.message.values import parse_name_addr
from sipgw.registry import Server
from tests.harness import CONTACT_OBJECT, DOMAIN, GATEWAY, MakeWorld, Party, World, default_pool, reply
from tests.scenarios.dialogs.steps import asks, called, ends, opens, talk
from tests.scenarios.proxy.ladder import desks

FORMING = ["INVITE", "SUBSCRIBE", "REFER", "NOTIFY", "BENOTIFY"]
NOT_FORMING = ["MESSAGE", "OPTIONS", "INFO", "PUBLISH", "UPDATE", "PRACK", "SERVICE", "NOVELTY"]
PAIRS = list(product(("UDP", "TCP", "TLS"), repeat=2))


def uris(request: Request) -> list[str]:
    return [parse_name_addr(value).uri for value in request.values("record-route")]


@pytest.mark.parametrize("method", FORMING)
def test_a_request_that_may_open_a_dialog_is_recorded(alice: Party, pool: Party, method: str) -> None:
    alice >> alice.request(method, CONTACT_OBJECT, "Event: presence", "Refer-To: <sip:x@example.test>")
    if method == "INVITE":
        alice << 100
    arrived = pool << method
    (uri,) = map(parse_uri, uris(arrived))
    assert "lr" in uri.params  # §16.6 item 4: it MUST be a loose router
    assert uri.host == GATEWAY
    assert uri.user  # the flow token
    if method == "BENOTIFY":
        return  # nobody answers it
    if method == "BENOTIFY":  # it gets no answer
        return
    pool >> reply(arrived, 488)
    if method == "INVITE":
        pool << "ACK"
        alice.fail_call(488)
    else:
        alice << 488


@pytest.mark.parametrize("method", NOT_FORMING)
def test_a_request_that_opens_none_is_not_recorded(alice: Party, bob: Party, method: str) -> None:
    alice >> alice.request(method, bob.uri)
    arrived = bob << method
    assert "record-route" not in arrived.index
    bob >> reply(arrived, 200)
    alice << 200


@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "INFO", "REFER", "SUBSCRIBE", "MESSAGE", "BYE"])
def test_nothing_is_recorded_inside_a_dialog(alice: Party, bob: Party, method: str) -> None:
    """§16.6 item 4 would allow it; the route set is fixed by then (§12.2), and it would only cost. Notifications are
    another matter (test_subscriptions.py): they may be the first that a subscriber hears of a dialog."""
    mine, theirs = talk(alice, bob)
    for sender, other in ((mine, bob), (theirs, alice)):
        sender.party >> sender.request(method)
        if method == "INVITE":
            sender.party << 100
        arrived = other << method
        assert "record-route" not in arrived.index
        other >> reply(arrived, 481)
        if method == "INVITE":
            other << "ACK"
            sender.party.sent[arrived.call_id] = arrived
        sender.party << 481
    alice.world.advance(40)
    for party in (alice, bob):  # nobody has acknowledged the 481 to a re-INVITE in this scenario
        party.inbox.clear()


@pytest.mark.parametrize(("mine", "theirs"), PAIRS)
def test_each_side_finds_an_address_of_its_own_kind_first(make_world: MakeWorld, mine: str, theirs: str) -> None:
    """RFC 5658: two values where the sides differ. The called uses the topmost, the caller the last."""
    world = make_world()
    alice, bob = world.phone("alice", mine), desks(world, theirs, 1.0)[0]
    invite, ok = opens(alice, bob)
    found = [parse_uri(uri) for uri in uris(invite)]
    assert len(found) == (1 if mine == theirs else 2)
    assert (found[0].transport or "UDP", found[-1].transport or "UDP") == (theirs, mine)
    assert len({uri.user for uri in found}) == 1
    assert ok.values("record-route") == invite.values("record-route")  # §12.1.1: copied, and we leave it alone
    dialog, other = alice.calling(ok), called(bob, invite)
    alice >> dialog.request("ACK")
    bob << "ACK"
    for sender, receiver in ((dialog, bob), (other, alice), (dialog, bob)):
        arrived = asks(sender, receiver)
        assert "route" not in arrived.index
    ends(other, alice)


@pytest.mark.parametrize(("here", "there"), [("198.51.100.7", "2001:db8::8"), ("2001:db8::7", "198.51.100.8")])
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_ipv4_and_ipv6_meet(make_world: MakeWorld, transport: str, here: str, there: str) -> None:
    world = make_world()
    alice, bob = world.phone("alice", transport, here), world.phone("bob", transport, there)
    bob.sign_in()
    invite, ok = opens(alice, bob)
    assert len(uris(invite)) == 2
    dialog, other = alice.calling(ok), called(bob, invite)
    alice >> dialog.request("ACK")
    bob << "ACK"
    asks(dialog, bob)
    asks(other, alice)
    ends(dialog, bob)


def test_what_proxies_before_us_have_recorded_stays_below(alice: Party, bob: Party) -> None:
    """Order is the way: ours is put in front, and the called answers along all of them."""
    before = ['"Edge" <sip:edge1.test;lr>', "<sip:edge0.test;lr;x=1>"]
    invite, ok = opens(alice, bob, *[f"Record-Route: {value}" for value in before])
    recorded = invite.values("record-route")
    assert recorded[1:] == before
    mine, theirs = alice.calling(ok), called(bob, invite)
    mine.routes = mine.routes[2:]  # alice's proxies have taken theirs out by the time that it comes to us
    alice >> mine.request("ACK")
    bob << "ACK"
    asks(mine, bob)
    arrived = asks(theirs, alice)
    assert arrived.values("route") == before
    ends(mine, bob)


def test_what_proxies_behind_us_record_reaches_the_caller(alice: Party, pool: Party) -> None:
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    invite = pool << "INVITE"
    behind = "<sip:inner.test;lr>"
    pool >> reply(invite, 180, f"Record-Route: {behind}", *recorded_lines(invite), routes=False)
    assert (alice << 180).values("record-route")[0] == behind
    pool >> reply(invite, 200, f"Record-Route: {behind}", *recorded_lines(invite), contact=pool.contact, routes=False)
    ok = alice << 200
    mine = alice.calling(ok)
    assert mine.routes[-1] == behind
    alice >> mine.request("ACK")
    assert (pool << "ACK").values("route") == [behind]
    assert asks(mine, pool).values("route") == [behind]
    ends(mine, pool)


def recorded_lines(invite: Request) -> list[str]:
    return [f"Record-Route: {value}" for value in invite.values("record-route")]


def test_a_spiral_is_recorded_at_each_passage(make_world: MakeWorld) -> None:
    """The pool sends the call on through us to a user: both passages are in the route, each with its own token."""
    world = make_world([default_pool(Server("UDP", "192.0.2.51", 5041))])
    alice, pool, bob = world.phone("alice", "UDP"), world.server("UDP"), desks(world, "UDP", 1.0)[0]
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    once = pool << "INVITE"
    lines = [f"Via: {pool.via('z9hG4bK-again')}", *once.lines]
    once.set_lines(bob.uri, list(zip(lines, ["via", *once.names], strict=True)))
    pool >> once
    pool << 100
    twice = bob << "INVITE"
    assert len(uris(twice)) == 2
    assert len(set(uris(twice))) == 2
    bob >> reply(twice, 200, contact=bob.contact)
    ok = pool << 200
    ok.drop_first("via")
    pool >> ok
    mine = alice.calling(alice << 200)
    alice >> mine.request("ACK")
    bob << "ACK"  # both values are ours, one after the other; the pool did not ask to be passed
    theirs = bob.called(twice, reply(twice, 200, contact=bob.contact))
    asks(mine, bob)
    asks(theirs, alice)
    ends(theirs, alice)


@pytest.mark.parametrize("host", ["198.51.100.7", "2001:db8::7"])
def test_the_token_tells_nobody_where_the_other_side_is_reached_by_name(make_world: MakeWorld, host: str) -> None:
    """It is made of addresses and a checksum: no user, no name of ours goes into it, and it fits a user part."""
    world = make_world()
    alice, pool = world.phone("alice", "TCP", host), world.server()
    invite, ok = opens(alice, pool, uri=CONTACT_OBJECT)
    token = parse_uri(uris(invite)[0]).user or ""
    assert set(token) <= set("0123456789abcdefpTUScu.")
    mine = alice.calling(ok)
    alice >> mine.request("ACK")
    pool << "ACK"


def test_a_token_serves_every_transaction_of_its_dialog_and_no_other_dialog(
    world: World, alice: Party, bob: Party
) -> None:
    first, _ = talk(alice, bob)
    second, _ = talk(alice, bob)
    assert first.routes != second.routes
    first.routes, second.routes = second.routes, first.routes
    for dialog in (first, second):
        alice >> dialog.request("INFO")
        alice << 481
    bob.nothing()
    assert DOMAIN not in first.routes[0]

"""How calls end: BYE from either side, both at once, too early, to nobody, and when a side has died (§15)."""

import pytest

from sipgw.registry import Server
from tests.harness import (
    CONTACT_OBJECT,
    REFUSING,
    SILENT,
    Dialog,
    MakeWorld,
    Party,
    World,
    default_pool,
    diagnostics_of,
    make_engine,
    reply,
)
from tests.scenarios.dialogs.steps import asks, called, ends, opens, talk
from tests.scenarios.proxy.ladder import desks, refuses, tag_of
from tests.scenarios.transactions.steps import over_tcp, over_udp

Sides = tuple[Dialog, Dialog]


@pytest.fixture
def sides(alice: Party, bob: Party) -> Sides:
    return talk(alice, bob)


@pytest.fixture(params=["caller", "called"])
def ending(request: pytest.FixtureRequest, sides: Sides) -> Sides:
    """Both sides of a call, the one that ends it first."""
    return sides if request.param == "caller" else (sides[1], sides[0])


@pytest.mark.parametrize("status", [200, 481, 500, 603])
def test_either_side_ends_a_call(ending: Sides, status: int) -> None:
    """Whatever the answer to a BYE, it comes back, and the call is over for who sent it (§15.1.1)."""
    sender, other = ending
    bye = asks(sender, other.party, "BYE", "Reason: Q.850;cause=16", status=status)
    assert (bye.uri, bye.first("reason")) == (other.party.contact, "Q.850;cause=16")


def test_both_end_it_at_once(ending: Sides) -> None:
    sender, other = ending
    sender.party >> sender.request("BYE")
    first = other.party << "BYE"
    other.party >> other.request("BYE")
    second = sender.party << "BYE"
    sender.party >> reply(second, 200)
    assert (other.party << 200).cseq.method == "BYE"
    other.party >> reply(first, 200)
    assert (sender.party << 200).cseq.method == "BYE"


def test_both_end_it_at_once_and_both_have_forgotten(ending: Sides) -> None:
    sender, other = ending
    sender.party >> sender.request("BYE")
    first = other.party << "BYE"
    other.party >> other.request("BYE")
    second = sender.party << "BYE"
    sender.party >> reply(second, 481)
    other.party << 481
    other.party >> reply(first, 481)
    sender.party << 481


@over_udp
@pytest.mark.parametrize("lost", [1, 4])
def test_a_bye_whose_answer_is_lost_is_answered_from_memory(ending: Sides, lost: int) -> None:
    sender, other = ending
    bye = sender.request("BYE")
    sender.party >> bye
    other.party >> reply(other.party << "BYE", 200)
    first = sender.party << 200
    for _ in range(lost):
        sender.party >> bye
        assert (sender.party << 200).encode() == first.encode()
    other.party.nothing()


@over_udp
def test_a_bye_that_is_lost_is_repeated_until_it_arrives(world: World, ending: Sides) -> None:
    sender, other = ending
    other.party.state = SILENT
    sender.party >> sender.request("BYE")
    world.advance(7.0)  # sent at 0, 0.5, 1.5 and 3.5 so far
    other.party.state = "up"
    world.advance(0.5)
    other.party >> reply(other.party << "BYE", 200)
    sender.party << 100  # RFC 4320 §4.1: by now the sender would repeat it only rarely
    sender.party << 200


def test_a_bye_that_nobody_answers_leaves_nothing(world: World, ending: Sides) -> None:
    """RFC 4320 §4.2: a 408 would come when the sender has given up by itself, so none is sent."""
    sender, other = ending
    other.party.state = SILENT
    sender.party >> sender.request("BYE")
    world.advance(70)
    sender.party << 100
    sender.party.nothing()
    assert world.engine.sizes().client_transactions == 0


def test_the_caller_hangs_up_before_its_ack_has_arrived(alice: Party, bob: Party) -> None:
    """§15: the caller may, having had its 200; ACK and BYE may also swap on the way."""
    _, ok = opens(alice, bob)
    mine = alice.calling(ok)
    ack = mine.request("ACK")
    ends(mine, bob)
    alice >> ack
    bob << "ACK"


def test_the_called_hangs_up_although_the_ack_never_came(world: World, alice: Party, bob: Party) -> None:
    invite, _ = opens(alice, bob)
    world.advance(32)
    ends(called(bob, invite), alice)


def test_a_late_answer_to_a_cancelled_call_is_acknowledged_and_ended(alice: Party, bob: Party) -> None:
    """The 200 crossed the CANCEL (§9.1): the caller has a call that it does not want."""
    invite = alice.request("INVITE", bob.uri)
    alice >> invite
    alice << 100
    at_bob = bob << "INVITE"
    bob >> reply(at_bob, 180)
    alice << 180
    alice >> alice.cancel(invite)
    alice << 200
    cancel = bob << "CANCEL"
    bob >> reply(at_bob, 200, contact=bob.contact)
    mine = alice.calling(alice << 200)
    bob >> reply(cancel, 481)
    alice >> mine.request("ACK")
    bob << "ACK"
    ends(mine, bob)


@pytest.mark.parametrize("leaves", [0, 1, 2])
@pytest.mark.parametrize("hangs_up", ["guest", "focus"])
def test_one_leg_of_a_conference_ends_and_the_others_go_on(
    world: World, alice: Party, transport: str, leaves: int, hangs_up: str
) -> None:
    """A focus has a call with each guest (RFC 4353); to a proxy they have nothing in common but the focus."""
    guests = [
        world.phone(name, transport, host=f"198.51.100.{60 + at}") for at, name in enumerate(("bob", "carl", "dan"))
    ]
    legs = []
    for guest in guests:
        guest.sign_in()
        legs.append(talk(alice, guest))
    focus, theirs = legs.pop(leaves)
    if hangs_up == "guest":
        ends(theirs, alice)
    else:
        ends(focus, guests[leaves])
    for ours, others in legs:
        asks(ours, others.party)
        asks(others, alice)
    for ours, others in legs:
        ends(ours, others.party)


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_dialogs_of_one_call_each_has_its_own_end(
    world: World, alice: Party, transport: str, first: int
) -> None:
    """Both phones of a fork have answered: same Call-ID, another tag and another way (§13.2.2.4)."""
    phones = desks(world, transport, 1.0, 1.0, user="carol")
    alice >> alice.request("INVITE", phones[0].uri)
    alice << 100
    arrived = [phone << "INVITE" for phone in phones]
    dialogs = []
    for phone, invite in zip(phones, arrived, strict=True):
        phone >> reply(invite, 200, tag=tag_of(phone), contact=phone.contact)
        dialogs.append(alice.calling(alice << 200))
        alice >> dialogs[-1].request("ACK")
        phone << "ACK"
    ends(dialogs[first], phones[first])
    asks(dialogs[1 - first], phones[1 - first])
    ends(dialogs[1 - first], phones[1 - first])


def test_a_bye_to_a_call_that_was_refused_goes_to_its_target(alice: Party, bob: Party) -> None:
    """It has a To tag and no route: nothing of ours says that there is no such call; the phone says so."""
    alice >> alice.request("INVITE", bob.uri)
    alice << 100
    refuses(bob, bob << "INVITE", 486)
    failure = alice.fail_call(486)
    bye = alice.request("BYE", bob.uri, call_id=failure.call_id, cseq=2)
    alice >> bye.encode().replace(f"To: <{bob.uri}>".encode(), f"To: {failure.first('to')}".encode())
    bob >> reply(bob << "BYE", 481)
    alice << 481


@pytest.mark.parametrize("method", ["BYE", "INFO", "INVITE", "UPDATE", "SUBSCRIBE"])
def test_after_the_end_a_request_is_for_the_other_side_to_refuse(ending: Sides, method: str) -> None:
    """A proxy without dialog state cannot know; the way is still there and leads to nobody else."""
    sender, other = ending
    ends(sender, other.party)
    sender.party >> sender.request(method)
    if method == "INVITE":
        sender.party << 100
    arrived = other.party << method
    other.party >> reply(arrived, 481)
    if method == "INVITE":
        other.party << "ACK"
        sender.party.fail_call(481)
    else:
        sender.party << 481


# a side has died


def pool_of_two(make_world: MakeWorld, transport: str) -> tuple[World, Party, list[Party]]:
    servers = [Server(transport, f"192.0.2.{number}", 5041) for number in (51, 52)]
    world = make_world([default_pool(*servers)])
    return world, world.phone("alice"), [world.server(one.transport, one.host, one.port) for one in servers]


@pytest.mark.parametrize("method", ["INFO", "BYE", "INVITE"])
def test_a_request_in_a_dialog_stays_with_its_server(make_world: MakeWorld, method: str) -> None:
    """The second server of the pool knows nothing of the call: it is not asked, however dead the first is."""
    _, alice, (first, second) = pool_of_two(make_world, "TCP")
    mine, _ = talk(alice, first, uri=CONTACT_OBJECT)
    first.break_connection()
    first.state = REFUSING
    alice >> mine.request(method)
    if method == "INVITE":
        alice << 100
    failure = alice.fail_call(481) if method == "INVITE" else alice << 481
    number, text = diagnostics_of(failure)
    assert number == 1004
    assert "192.0.2.51" in text
    second.nothing()


def test_the_ack_to_a_server_that_has_died_is_lost_quietly(make_world: MakeWorld) -> None:
    _, alice, (first, second) = pool_of_two(make_world, "TCP")
    _, ok = opens(alice, first, uri=CONTACT_OBJECT)
    first.break_connection()
    first.state = REFUSING
    alice >> alice.calling(ok).request("ACK")
    alice.nothing()
    second.nothing()


def test_the_server_comes_back_and_the_call_goes_on(make_world: MakeWorld) -> None:
    _, alice, (first, second) = pool_of_two(make_world, "TCP")
    mine, theirs = talk(alice, first, uri=CONTACT_OBJECT)
    first.break_connection()
    asks(mine, first)
    assert first.flow is not None
    asks(theirs, alice)
    ends(mine, first)
    second.nothing()


def test_a_server_that_forgot_everything_answers_for_itself(make_world: MakeWorld) -> None:
    """It was restarted: 481 comes back to the client as it is, which then joins anew."""
    _, alice, (first, _) = pool_of_two(make_world, "TCP")
    mine, _ = talk(alice, first, uri=CONTACT_OBJECT)
    first.break_connection()
    asks(mine, first, status=481)
    talk(alice, first, uri=CONTACT_OBJECT)


@over_tcp
def test_the_gateway_is_restarted_and_calls_can_still_be_ended(world: World, alice: Party, pool: Party) -> None:
    """All state was lost; the token in the route is all that is needed, in both directions where there is a way."""
    mine, theirs = talk(alice, pool, uri=CONTACT_OBJECT)
    for party in (alice, pool):
        party.break_connection()
    world.engine = make_engine([default_pool(Server("TCP", "192.0.2.51", 5041))], seed=7)
    alice.connect(port=45000)
    asks(mine, pool)
    pool >> theirs.request("INFO")  # alice's old connection is gone and she had not signed in: no way to her
    assert diagnostics_of(pool << 481)[0] == 1004
    ends(mine, pool)


@pytest.mark.parametrize("method", ["INFO", "BYE", "NOTIFY"])
def test_the_client_has_gone_for_good(world: World, method: str) -> None:
    alice, pool = world.phone("alice", "TCP"), world.server("TCP", "192.0.2.51")
    pool.connect(port=51000)
    alice.sign_in()
    pool >> pool.request("INVITE", alice.uri)
    pool << 100
    at_alice = alice << "INVITE"
    ok = reply(at_alice, 200, contact=alice.contact)
    alice >> ok
    theirs = pool.calling(pool << 200)
    pool >> theirs.request("ACK")
    alice << "ACK"
    alice.break_connection()
    pool >> theirs.request(method)
    assert diagnostics_of(pool << 481)[0] == 1004

"""3xx answers: handed to the caller, or followed where the operator has said so (RFC 3261 §16.7 items 4 to 6)."""

import pytest

from tests.harness import CONTACT_OBJECT, DOMAIN, MakeWorld, Party, World, reply
from tests.scenarios.proxy.ladder import (
    FORGOTTEN,
    TIMER_B,
    accepts,
    acknowledges,
    all_quiet,
    answers,
    calls,
    cancelled,
    cancels,
    copies_until,
    desks,
    ends_with,
    gives_up,
    hangs_up,
    hears,
    refuses,
    repeats,
    rings,
    tag_of,
)

CAROL, DAVE = f"sip:carol@{DOMAIN}", f"sip:dave@{DOMAIN}"


@pytest.fixture
def alice(world: World, transport: str) -> Party:
    return world.phone("alice", transport)


@pytest.mark.parametrize("status", [300, 301, 302, 305, 380])
def test_a_redirect_is_the_callers_to_follow(world: World, transport: str, alice: Party, status: int) -> None:
    (bob,) = desks(world, transport, 1.0)
    carol = desks(world, transport, 1.0, user="carol")[0]
    calls(alice)
    fields = (f"Contact: <{CAROL}>;q=0.7, <{DAVE}>;q=0.3;expires=60", "Contact: <mailto:bob@example.test>")
    refuses(bob, bob << "INVITE", status, *fields)
    response = ends_with(alice, status)
    assert response.to_tag == tag_of(bob)
    assert [line for line in response.lines if line.startswith("Contact")] == list(fields)
    all_quiet([bob, carol])


def test_a_redirect_of_one_endpoint_waits_for_the_others(world: World, transport: str, alice: Party) -> None:
    one, two = desks(world, transport, 1.0, 1.0)
    calls(alice)
    at_one, at_two = one << "INVITE", two << "INVITE"
    refuses(one, at_one, 302, f"Contact: <{CAROL}>")
    rings(two, at_two)
    hears(alice, 180, two)
    answers(alice, two, at_two)
    one.nothing()


def test_a_redirect_of_a_higher_rank_does_not_end_the_search(world: World, transport: str, alice: Party) -> None:
    first, second = desks(world, transport, 1.0, 0.5)
    calls(alice)
    refuses(first, first << "INVITE", 302, f"Contact: <{CAROL}>")
    alice.nothing()
    answers(alice, second, second << "INVITE")


def test_the_redirect_of_a_message_is_handed_back_too(world: World, transport: str, alice: Party) -> None:
    (bob,) = desks(world, transport, 1.0)
    alice >> alice.request("MESSAGE", bob.uri)
    bob >> reply(bob << "MESSAGE", 302, f"Contact: <{CAROL}>")
    assert (alice << 302).values("contact") == [f"<{CAROL}>"]


# followed by the gateway


@pytest.fixture
def following(make_world: MakeWorld) -> World:
    return make_world(recurse=True)


def redirected(world: World, transport: str, *contacts: str, status: int = 302) -> tuple[Party, Party]:
    """Alice has called bob, and bob's phone has redirected the call."""
    alice, (bob,) = world.phone("alice", transport), desks(world, transport, 1.0)
    calls(alice)
    refuses(bob, bob << "INVITE", status, *[f"Contact: {contact}" for contact in contacts])
    return alice, bob


@pytest.mark.parametrize("status", [300, 301, 302])
def test_a_redirect_is_followed_and_the_caller_hears_nothing_of_it(
    following: World, transport: str, status: int
) -> None:
    (carol,) = desks(following, transport, 1.0, user="carol")
    alice, bob = redirected(following, transport, f"<{CAROL}>", status=status)
    alice.nothing()
    at_carol = carol << "INVITE"
    rings(carol, at_carol)
    hears(alice, 180, carol)
    hangs_up(answers(alice, carol, at_carol), carol)
    all_quiet([alice, bob, carol])


def test_contacts_of_one_rank_are_tried_together_and_others_in_turn(following: World, transport: str) -> None:
    (carol,) = desks(following, transport, 1.0, user="carol")
    (dave,) = desks(following, transport, 1.0, user="davie")
    (erin,) = desks(following, transport, 1.0, user="erinna")
    last, first = f"<{erin.uri}>;q=0.2", f"<{CAROL}>;q=0.9, <{dave.uri}>;q=0.9"
    alice, bob = redirected(following, transport, last, first)
    at_carol, at_dave = carol << "INVITE", dave << "INVITE"
    erin.nothing()
    refuses(carol, at_carol, 486)
    erin.nothing()
    refuses(dave, at_dave, 480)
    answers(alice, erin, erin << "INVITE")
    all_quiet([alice, bob, carol, dave, erin])


def test_the_failures_of_followed_contacts_are_the_callers_answer(following: World, transport: str) -> None:
    """§16.7 item 4: a redirect that was followed in whole is no candidate for the best response any more."""
    (carol,) = desks(following, transport, 1.0, user="carol")
    alice, _ = redirected(following, transport, f"<{CAROL}>")
    refuses(carol, carol << "INVITE", 486)
    ends_with(alice, 486)


def test_a_contact_elsewhere_is_left_to_the_caller(following: World, transport: str) -> None:
    alice, _ = redirected(following, transport, "<sip:bob@elsewhere.test>", "<mailto:bob@example.test>")
    assert ends_with(alice, 302).values("contact") == ["<sip:bob@elsewhere.test>", "<mailto:bob@example.test>"]


def test_of_a_mixture_the_caller_gets_what_was_not_tried(following: World, transport: str) -> None:
    """§16.7 item 4: the contacts that were followed are taken out of the response, the others may still help."""
    (carol,) = desks(following, transport, 1.0, user="carol")
    alice, _ = redirected(following, transport, f"<{CAROL}>", "<sip:bob@elsewhere.test>;q=0.5")
    alice.nothing()
    refuses(carol, carol << "INVITE", 486)
    assert ends_with(alice, 302).values("contact") == ["<sip:bob@elsewhere.test>;q=0.5"]


def test_a_chain_of_redirects_is_followed_to_its_end(following: World, transport: str) -> None:
    (carol,) = desks(following, transport, 1.0, user="carol")
    (dave,) = desks(following, transport, 1.0, user="davie")
    alice, bob = redirected(following, transport, f"<{CAROL}>")
    refuses(carol, carol << "INVITE", 302, f"Contact: <{dave.uri}>")
    answers(alice, dave, dave << "INVITE")
    all_quiet([alice, bob, carol, dave])


def test_two_endpoints_that_redirect_to_each_other_are_each_tried_once(following: World, transport: str) -> None:
    """§16.5: no URI is added to the target set twice, so that the chain has an end."""
    (carol,) = desks(following, transport, 1.0, user="carol")
    (dave,) = desks(following, transport, 1.0, user="davie")
    alice, bob = redirected(following, transport, f"<{CAROL}>")
    refuses(carol, carol << "INVITE", 302, f"Contact: <{dave.uri}>")
    refuses(dave, dave << "INVITE", 302, f"Contact: <{CAROL}>")
    (response,) = alice.inbox
    ends_with(alice, int(response.start.split()[1]))
    all_quiet([bob, carol, dave])


def test_an_endpoint_that_redirects_to_itself_is_not_asked_again(following: World, transport: str) -> None:
    alice, bob = redirected(following, transport, f"<{desk_contact(transport)}>")
    (response,) = alice.inbox
    ends_with(alice, int(response.start.split()[1]))
    bob.nothing()


def desk_contact(transport: str) -> str:
    """The contact of bob's first phone in a world of its own."""
    world = World()
    world.phone("alice", transport)
    return desks(world, transport, 1.0)[0].contact


def test_a_redirect_to_the_pool_reaches_the_pool(following: World, transport: str) -> None:
    pool = following.server()
    alice, _ = redirected(following, transport, f"<{CONTACT_OBJECT}>")
    at_pool = pool << "INVITE"
    assert at_pool.uri == CONTACT_OBJECT
    accepts(pool, at_pool)
    dialog = acknowledges(alice, hears(alice, 200, pool), pool)
    hangs_up(dialog, pool)


def test_a_redirect_is_followed_when_its_neighbours_have_failed(following: World, transport: str) -> None:
    """Its contacts join the target set; they are not tried beside the branches that are still ringing."""
    alice, (one, two) = following.phone("alice", transport), desks(following, transport, 1.0, 1.0)
    (carol,) = desks(following, transport, 1.0, user="carol")
    calls(alice)
    at_one, at_two = one << "INVITE", two << "INVITE"
    refuses(one, at_one, 302, f"Contact: <{CAROL}>")
    rings(two, at_two)
    hears(alice, 180, two)
    refuses(two, at_two, 480)
    answers(alice, carol, carol << "INVITE")
    all_quiet([alice, one, two, carol])


def test_a_redirect_is_not_followed_when_a_neighbour_took_the_call(following: World, transport: str) -> None:
    alice, (one, two) = following.phone("alice", transport), desks(following, transport, 1.0, 1.0)
    (carol,) = desks(following, transport, 1.0, user="carol")
    calls(alice)
    at_one, at_two = one << "INVITE", two << "INVITE"
    refuses(one, at_one, 302, f"Contact: <{CAROL}>")
    answers(alice, two, at_two)
    following.advance(FORGOTTEN)
    all_quiet([alice, one, two, carol])


@pytest.mark.parametrize("first", [302, 603])
def test_a_redirect_is_not_followed_when_a_neighbour_declined(following: World, transport: str, first: int) -> None:
    """§16.7 item 5: 6xx ends the search, whichever of the two came first."""
    alice, (one, two) = following.phone("alice", transport), desks(following, transport, 1.0, 1.0)
    carol, dave = (desks(following, transport, 1.0, user=user)[0] for user in ("carol", "davie"))
    calls(alice)
    at_one, at_two = one << "INVITE", two << "INVITE"
    for bob, at, status in [(one, at_one, 302), (two, at_two, 603)][:: 1 if first == 302 else -1]:
        refuses(bob, at, status, f"Contact: <{CAROL}>, <{dave.uri}>;q=0.5")
    ends_with(alice, 603)
    dave.nothing()
    carol.nothing()


@pytest.mark.parametrize("failing", ["503", "refused"])
def test_after_a_decline_no_further_server_of_a_pool_is_tried(following: World, failing: str) -> None:
    """§16.7 item 5: no new branch after 6xx, and the next server would be one."""
    first, second = following.pool_servers()
    (carol,) = desks(following, "TCP", 1.0, user="carol")
    alice, _ = redirected(following, "TCP", f"<{CONTACT_OBJECT}>, <{CAROL}>")
    at_first, at_carol = first << "INVITE", carol << "INVITE"
    refuses(carol, at_carol, 603)
    if failing == "503":
        refuses(first, at_first, 503)
    else:
        first.break_connection()
    ends_with(alice, 603)
    second.nothing()


def test_a_redirect_that_crosses_the_cancel_is_not_followed(following: World, transport: str) -> None:
    alice, (bob,) = following.phone("alice", transport), desks(following, transport, 1.0)
    (carol,) = desks(following, transport, 1.0, user="carol")
    invite = calls(alice)
    at_bob = bob << "INVITE"
    rings(bob, at_bob)
    hears(alice, 180, bob)
    cancels(alice, invite)
    cancel = cancelled(bob, at_bob)
    refuses(bob, at_bob, 302, f"Contact: <{CAROL}>")
    bob >> reply(cancel, 200)
    assert ends_with(alice, 302).values("contact") == [f"<{CAROL}>"]
    carol.nothing()


def test_a_call_that_was_redirected_can_be_cancelled(following: World, transport: str) -> None:
    alice, (bob,) = following.phone("alice", transport), desks(following, transport, 1.0)
    (carol,) = desks(following, transport, 1.0, user="carol")
    (later,) = desks(following, transport, 1.0, user="davie")
    invite = calls(alice)
    refuses(bob, bob << "INVITE", 302, f"Contact: <{CAROL}>;q=0.8", f"Contact: <{later.uri}>;q=0.4")
    at_carol = carol << "INVITE"
    rings(carol, at_carol)
    hears(alice, 180, carol)
    cancels(alice, invite)
    gives_up(carol, at_carol)
    ends_with(alice, 487)
    all_quiet([bob, later])


def test_a_redirect_to_a_user_with_ranks_tries_them_in_turn(following: World, transport: str) -> None:
    first, second = desks(following, transport, 1.0, 0.5, user="carol")
    alice, bob = redirected(following, transport, f"<{CAROL}>")
    at_first = first << "INVITE"
    second.nothing()
    refuses(first, at_first, 486)
    answers(alice, second, second << "INVITE")
    all_quiet([alice, bob, first, second])


def test_a_followed_contact_that_is_silent_counts_as_408(following: World, transport: str) -> None:
    (carol,) = desks(following, transport, 1.0, user="carol")
    alice, _ = redirected(following, transport, f"<{CAROL}>")
    following.advance(TIMER_B - 0.01)
    alice.nothing()
    following.advance(0.02)
    ends_with(alice, 408)
    repeats(carol, "INVITE", copies_until(transport, TIMER_B))


def test_a_redirect_does_not_widen_a_narrow_request(following: World, transport: str) -> None:
    """RFC 5393 §5.3.3: Max-Breadth bounds the branches at any time, redirects included."""
    alice, (bob,) = following.phone("alice", transport), desks(following, transport, 1.0)
    carol, dave = (desks(following, transport, 1.0, user=user)[0] for user in ("carol", "davie"))
    calls(alice, bob.uri, "Max-Breadth: 1")
    refuses(bob, bob << "INVITE", 302, f"Contact: <{carol.uri}>, <{dave.uri}>")
    asked = [one for one in (carol, dave) if one.inbox]
    assert len(asked) <= 1
    for one in asked:
        at_one = one << "INVITE"
        assert at_one.first("max-breadth") == "1"
        refuses(one, at_one, 486)
    for other in (carol, dave):
        if other.inbox:
            refuses(other, other << "INVITE", 486)
    (response,) = alice.inbox
    ends_with(alice, int(response.start.split()[1]))


def test_the_redirect_of_a_message_is_followed_too(following: World, transport: str) -> None:
    alice, (bob,) = following.phone("alice", transport), desks(following, transport, 1.0)
    (carol,) = desks(following, transport, 1.0, user="carol")
    alice >> alice.request("MESSAGE", bob.uri, body=b"hello")
    bob >> reply(bob << "MESSAGE", 302, f"Contact: <{CAROL}>")
    at_carol = carol << "MESSAGE"
    assert at_carol.body == b"hello"
    carol >> reply(at_carol, 200, tag=tag_of(carol))
    hears(alice, 200, carol)

"""Requests that come by again: loops, spirals, hops and breadth running out, merges (RFC 3261 §16.3, RFC 5393)."""

from ipaddress import ip_network

import pytest

from sipgw.message import Request, Response
from sipgw.message.build import new_request
from tests.harness import DOMAIN, MakeWorld, Party, World, reply
from tests.scenarios.proxy.ladder import (
    accepts,
    all_quiet,
    answers,
    calls,
    cancels,
    desks,
    ends_with,
    gives_up,
    hears,
    refuses,
    rings,
    tag_of,
    trying,
)

CAROL = f"sip:carol@{DOMAIN}"


@pytest.fixture
def alice(world: World, transport: str) -> Party:
    return world.phone("alice", transport)


def passes_on(proxy: Party, request: Request, uri: str) -> Request:
    """What an element that forwards sends: its own Via and Record-Route on top, one hop fewer, another target."""
    hops = int(request.first("max-forwards") or "70") - 1
    kept = [
        line
        for line, name in zip(request.lines, request.names, strict=True)
        if name not in ("max-forwards", "content-length")
    ]
    tail = "" if proxy.transport == "UDP" else f";transport={proxy.transport.lower()}"
    own = f"Record-Route: <sip:{proxy.host}:{proxy.port}{tail};lr>"
    lines = [f"Via: {proxy.via(proxy.new_branch())}", own, *kept, f"Max-Forwards: {hops}"]
    return new_request(request.method, uri, lines, request.body)


def passes_back(proxy: Party, response: Response) -> None:
    """Send on a response that came for a request passed on: without the own Via."""
    response.drop_first("via")
    proxy >> response


# loops


def test_a_call_that_comes_back_unchanged_is_a_loop(world: World, transport: str, alice: Party) -> None:
    """§16.3 item 4: the element that sent it back is told; its failure is a branch like any other."""
    (bob,) = desks(world, transport, 1.0)
    calls(alice)
    at_bob = bob << "INVITE"
    back = passes_on(bob, at_bob, "sip:bob@example.test")
    bob.sent[back.call_id] = back
    bob >> back
    loop = bob << 482
    bob >> bob.ack_failure(loop)
    refuses(bob, at_bob, 482)
    ends_with(alice, 482)


@pytest.mark.parametrize("method", ["MESSAGE", "OPTIONS", "SUBSCRIBE"])
def test_any_request_that_comes_back_unchanged_is_a_loop(
    world: World, transport: str, alice: Party, method: str
) -> None:
    (bob,) = desks(world, transport, 1.0)
    alice >> alice.request(method, bob.uri)
    at_bob = bob << method
    bob >> passes_on(bob, at_bob, bob.uri)
    bob << 482
    bob >> reply(at_bob, 482)
    alice << 482


def test_a_loop_in_one_branch_does_not_spoil_the_other(world: World, transport: str, alice: Party) -> None:
    one, two = desks(world, transport, 1.0, 1.0)
    calls(alice)
    at_one, at_two = one << "INVITE", two << "INVITE"
    back = passes_on(one, at_one, "sip:bob@example.test")
    one.sent[back.call_id] = back
    one >> back
    one >> one.ack_failure(one << 482)
    refuses(one, at_one, 482)
    answers(alice, two, at_two)
    all_quiet([alice, one, two])


def test_a_loop_that_grows_a_hop_longer_is_still_a_loop(world: World, transport: str, alice: Party) -> None:
    """RFC 5393 §4.2: what is compared is what routing sees, and neither Via nor Max-Forwards is part of it."""
    (bob,) = desks(world, transport, 1.0)
    far = world.phone("far", transport, host="203.0.113.9")
    alice >> alice.request("MESSAGE", bob.uri)
    at_bob = bob << "MESSAGE"
    between = passes_on(bob, at_bob, bob.uri)
    far >> passes_on(far, between, bob.uri)
    far << 482
    bob >> reply(at_bob, 482)
    alice << 482


def relayed(world: World, transport: str, *routes: str) -> tuple[Party, Party, Party, Request]:
    """A request of a trusted peer along a Route to another one: all three, and the request as the second has it."""
    caller = world.phone("caller", transport, host="203.0.113.9")
    one, two = (world.server(transport, f"203.0.113.{number}", 5060, name=f"p{number}") for number in (1, 2))
    caller >> caller.request("MESSAGE", "sip:x@elsewhere.test", *routes)
    return caller, one, two, one << "MESSAGE"


def along(number: int, transport: str) -> str:
    return f"Route: <sip:203.0.113.{number}:5060;transport={transport.lower()};lr>"


def sent_along(request: Request, route: str) -> Request:
    """The same request with another Route."""
    kept = [(line, name) for line, name in zip(request.lines, request.names, strict=True) if name != "route"]
    request.set_lines(request.uri, [*kept, (route, "route")])
    return request


def test_a_request_that_comes_back_with_another_route_is_no_loop(make_world: MakeWorld, transport: str) -> None:
    """RFC 5393 §4.2: Route is part of what routing sees. Everything else is the same as before."""
    world = make_world(trusted=(ip_network("203.0.113.0/24"),))
    caller, one, two, at_one = relayed(world, transport, along(1, transport))
    one >> sent_along(passes_on(one, at_one, at_one.uri), along(2, transport))
    two >> reply(two << "MESSAGE", 200)
    passes_back(one, one << 200)
    caller << 200


def test_a_request_that_comes_back_with_the_same_route_is_a_loop(make_world: MakeWorld, transport: str) -> None:
    world = make_world(trusted=(ip_network("203.0.113.0/24"),))
    caller, one, _, at_one = relayed(world, transport, along(1, transport))
    one >> sent_along(passes_on(one, at_one, at_one.uri), along(1, transport))
    one << 482
    one >> reply(at_one, 482)
    caller << 482


# spirals


def spiral(world: World, transport: str, alice: Party) -> tuple[Party, Request, Party, Request]:
    """Alice calls bob, whose server passes the call on to carol through the gateway. All have said 100."""
    (bob,) = desks(world, transport, 1.0)
    (carol,) = desks(world, transport, 1.0, user="carol")
    calls(alice)
    at_bob = bob << "INVITE"
    onward = passes_on(bob, at_bob, CAROL)
    bob.sent[onward.call_id] = onward
    bob >> onward
    bob << 100
    at_carol = carol << "INVITE"
    trying(bob, at_bob)
    assert len(at_carol.values("via")) == 4
    return bob, at_bob, carol, at_carol


def test_a_call_that_comes_back_for_somebody_else_goes_on(world: World, transport: str, alice: Party) -> None:
    """A spiral is legal (§6, §16.3 item 4); every response takes the whole way back."""
    bob, _, carol, at_carol = spiral(world, transport, alice)
    rings(carol, at_carol)
    passes_back(bob, bob << 180)
    hears(alice, 180, carol)
    accepts(carol, at_carol)
    alice.nothing()
    passes_back(bob, bob << 200)
    ok = hears(alice, 200, carol)
    assert len(ok.values("record-route")) == 3
    dialog = alice.calling(ok)
    alice >> dialog.request("ACK")
    ack = bob << "ACK"
    assert ack.values("route")[0].startswith(f"<sip:{bob.host}:{bob.port}")
    all_quiet([alice, bob, carol])


def test_a_spiral_is_cancelled_turn_by_turn(world: World, transport: str, alice: Party) -> None:
    bob, at_bob, carol, at_carol = spiral(world, transport, alice)
    onward = bob.sent[at_bob.call_id]
    rings(carol, at_carol)
    passes_back(bob, bob << 180)
    hears(alice, 180, carol)
    cancels(alice, _first_of(alice))
    bob >> reply(bob << "CANCEL", 200)
    carol.nothing()
    bob >> bob.cancel(onward)
    assert (bob << 200).cseq.method == "CANCEL"
    gives_up(carol, at_carol)
    terminated = bob << 487
    bob >> bob.ack_failure(terminated)
    refuses(bob, at_bob, 487)
    ends_with(alice, 487)


def _first_of(alice: Party) -> Request:
    (invite,) = alice.sent.values()
    return invite


def test_a_refusal_at_the_end_of_a_spiral_comes_back(world: World, transport: str, alice: Party) -> None:
    bob, at_bob, carol, at_carol = spiral(world, transport, alice)
    refuses(carol, at_carol, 486)
    bob >> bob.ack_failure(bob << 486)
    refuses(bob, at_bob, 486)
    ends_with(alice, 486)


def test_a_spiral_that_ends_in_a_fork_rings_everybody(world: World, transport: str, alice: Party) -> None:
    (bob,) = desks(world, transport, 1.0)
    carols = desks(world, transport, 1.0, 1.0, user="carol")
    calls(alice)
    at_bob = bob << "INVITE"
    onward = passes_on(bob, at_bob, CAROL)
    bob.sent[onward.call_id] = onward
    bob >> onward
    bob << 100
    trying(bob, at_bob)
    at_one, at_two = (carol << "INVITE" for carol in carols)
    for carol, at in zip(carols, (at_one, at_two), strict=True):
        rings(carol, at)
        passes_back(bob, bob << 180)
        hears(alice, 180, carol)
    accepts(carols[1], at_two)
    gives_up(carols[0], at_one)
    passes_back(bob, bob << 200)
    hears(alice, 200, carols[1])
    all_quiet([alice, bob, *carols])


def test_a_fork_in_which_one_branch_spirals_is_one_call(world: World, transport: str, alice: Party) -> None:
    bob, phone = desks(world, transport, 1.0, 1.0)
    (carol,) = desks(world, transport, 1.0, user="carol")
    calls(alice)
    at_bob, at_phone = bob << "INVITE", phone << "INVITE"
    onward = passes_on(bob, at_bob, CAROL)
    bob.sent[onward.call_id] = onward
    bob >> onward
    bob << 100
    trying(bob, at_bob)
    at_carol = carol << "INVITE"
    refuses(phone, at_phone, 486)
    rings(carol, at_carol)
    passes_back(bob, bob << 180)
    hears(alice, 180, carol)
    refuses(carol, at_carol, 480)
    bob >> bob.ack_failure(bob << 480)
    alice.nothing()
    refuses(bob, at_bob, 480)
    (response,) = alice.inbox
    assert int(response.start.split()[1]) in (480, 486)
    ends_with(alice, int(response.start.split()[1]))


def test_a_spiral_that_ends_in_ranks_tries_one_after_the_other(world: World, transport: str, alice: Party) -> None:
    (bob,) = desks(world, transport, 1.0)
    first, second = desks(world, transport, 1.0, 0.5, user="carol")
    calls(alice)
    at_bob = bob << "INVITE"
    onward = passes_on(bob, at_bob, CAROL)
    bob.sent[onward.call_id] = onward
    bob >> onward
    bob << 100
    trying(bob, at_bob)
    refuses(first, first << "INVITE", 486)
    bob.nothing()
    accepts(second, second << "INVITE")
    passes_back(bob, bob << 200)
    hears(alice, 200, second)
    all_quiet([alice, bob, first, second])


@pytest.mark.parametrize("order", ["spiral-first", "phone-first"])
@pytest.mark.parametrize("taken", [True, False], ids=["taken", "refused"])
def test_ranks_of_which_one_spirals_are_tried_in_turn(
    world: World, transport: str, alice: Party, order: str, taken: bool
) -> None:
    """The call comes by us twice, and one of its turns is only a part of a sequential fork."""
    spirals_first = order == "spiral-first"
    upper, lower = desks(world, transport, 1.0, 0.5)
    bob, phone = (upper, lower) if spirals_first else (lower, upper)
    (carol,) = desks(world, transport, 1.0, user="carol")
    calls(alice)
    if not spirals_first:
        refuses(phone, phone << "INVITE", 486)
    at_bob = bob << "INVITE"
    onward = passes_on(bob, at_bob, CAROL)
    bob.sent[onward.call_id] = onward
    bob >> onward
    bob << 100
    trying(bob, at_bob)
    at_carol = carol << "INVITE"
    rings(carol, at_carol)
    passes_back(bob, bob << 180)
    hears(alice, 180, carol)
    if taken and not spirals_first:
        accepts(carol, at_carol)
        passes_back(bob, bob << 200)
        hears(alice, 200, carol)
    else:
        refuses(carol, at_carol, 480)
        bob >> bob.ack_failure(bob << 480)
        refuses(bob, at_bob, 480)
        if spirals_first and taken:
            answers(alice, phone, phone << "INVITE")
        elif spirals_first:
            refuses(phone, phone << "INVITE", 486)
            ends_with(alice, 480)
        else:
            ends_with(alice, 486)
    all_quiet([alice, bob, phone, carol])


# Max-Forwards


@pytest.mark.parametrize(("sent", "seen"), [(70, "69"), (255, "254"), (1, "0"), (2, "1"), (None, "70")])
def test_each_forwarding_takes_one_hop(world: World, transport: str, alice: Party, sent: int | None, seen: str) -> None:
    """§16.6 item 3; a request that does not count gets 70."""
    one, two = desks(world, transport, 1.0, 1.0)
    invite = alice.request("INVITE", one.uri, hops=sent)
    alice >> invite
    alice << 100
    for bob in (one, two):
        at = bob << "INVITE"
        assert at.lines_of("max-forwards") == [seen]
        refuses(bob, at, 486)
    ends_with(alice, 486)


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "SUBSCRIBE", "NOVELTY"])
def test_a_request_out_of_hops_is_refused(world: World, transport: str, alice: Party, method: str) -> None:
    (bob,) = desks(world, transport, 1.0)
    request = alice.request(method, bob.uri, hops=0)
    alice >> request
    if method == "INVITE":
        ends_with(alice, 483)
    else:
        alice << 483
    bob.nothing()


def test_a_request_for_the_gateway_itself_needs_no_further_hop(world: World, alice: Party) -> None:
    """§16.3 item 3 is about forwarding; as the registrar this is the last hop."""
    alice >> alice.register(hops=0)
    alice << 200


@pytest.mark.parametrize("value", ["-1", "256", "many", "7 0", ""])
def test_an_unreadable_hop_count_is_refused(world: World, transport: str, alice: Party, value: str) -> None:
    (bob,) = desks(world, transport, 1.0)
    alice >> alice.request("MESSAGE", bob.uri, f"Max-Forwards: {value}", hops=None)
    alice << 400
    bob.nothing()


# Max-Breadth


@pytest.mark.parametrize(
    ("breadth", "branches", "total"),
    [(None, 1, 60), (None, 3, 60), (60, 2, 60), (5, 2, 5), (2, 2, 2), (3, 3, 3), (1, 1, 1), (100, 1, 60), (7, 4, 7)],
)
def test_the_branches_of_a_fork_share_its_breadth(
    world: World, transport: str, alice: Party, breadth: int | None, branches: int, total: int
) -> None:
    """RFC 5393 §5.3.3: each copy says how far it may spread; together no further than the request that came in."""
    bobs = desks(world, transport, *[1.0] * branches)
    calls(alice, bobs[0].uri, *([] if breadth is None else [f"Max-Breadth: {breadth}"]))
    shares = []
    for bob in bobs:
        at = bob << "INVITE"
        (share,) = at.lines_of("max-breadth")
        shares.append(int(share))
        refuses(bob, at, 486)
    assert min(shares) >= 1
    assert sum(shares) <= total
    ends_with(alice, 486)


@pytest.mark.parametrize(("breadth", "branches"), [(1, 2), (2, 3), (4, 5), (0, 1)])
def test_a_fork_broader_than_the_request_allows_is_refused(
    world: World, transport: str, alice: Party, breadth: int, branches: int
) -> None:
    bobs = desks(world, transport, *[1.0] * branches)
    alice >> alice.request("INVITE", bobs[0].uri, f"Max-Breadth: {breadth}")
    ends_with(alice, 440)
    all_quiet(bobs)


def test_ranks_tried_in_turn_have_the_breadth_to_themselves(world: World, transport: str, alice: Party) -> None:
    """RFC 5393 §5.3.3.1: what a finished branch had is free again."""
    bobs = desks(world, transport, 1.0, 0.5, 0.2)
    calls(alice, bobs[0].uri, "Max-Breadth: 1")
    for bob in bobs:
        at = bob << "INVITE"
        assert at.first("max-breadth") == "1"
        refuses(bob, at, 480)
    ends_with(alice, 480)


@pytest.mark.parametrize(
    ("ranks", "breadth", "shares"),
    [
        ((1.0, 1.0, 0.5), 60, (30, 30, 60)),
        ((1.0, 1.0, 0.5, 0.5), 60, (30, 30, 30, 30)),
        ((1.0, 1.0, 0.5, 0.5, 0.5), 60, (30, 30, 20, 20, 20)),
        ((1.0, 0.5, 0.5, 0.2), 3, (3, 1, 1, 3)),
        ((1.0, 1.0, 0.5, 0.5), 2, (1, 1, 1, 1)),
    ],
)
def test_a_rank_is_given_the_breadth_that_the_rank_before_had(
    world: World, transport: str, alice: Party, ranks: tuple[float, ...], breadth: int, shares: tuple[int, ...]
) -> None:
    """RFC 5393 §5.3.3.1, whatever the ranks' sizes; and all of a rank ring at once."""
    bobs = desks(world, transport, *ranks)
    calls(alice, bobs[0].uri, f"Max-Breadth: {breadth}")
    for rank in dict.fromkeys(ranks):
        ringing = [number for number, one in enumerate(ranks) if one == rank]
        arrived = [bobs[number] << "INVITE" for number in ringing]
        for number, at in zip(ringing, arrived, strict=True):
            assert at.first("max-breadth") == str(shares[number])
            refuses(bobs[number], at, 480)
    ends_with(alice, 480)


@pytest.mark.parametrize("value", ["-1", "wide", "1.5"])
def test_an_unreadable_breadth_is_refused(world: World, transport: str, alice: Party, value: str) -> None:
    (bob,) = desks(world, transport, 1.0)
    alice >> alice.request("MESSAGE", bob.uri, f"Max-Breadth: {value}")
    alice << 400
    bob.nothing()


# merged requests


def test_a_call_that_reaches_its_target_twice_is_for_the_target_to_merge(
    world: World, transport: str, alice: Party
) -> None:
    """§8.2.2.2 is a rule for the UAS. Two servers in the fork pass the call on to carol: both copies go to her."""
    servers = desks(world, transport, 1.0, 1.0)
    (carol,) = desks(world, transport, 1.0, user="carol")
    calls(alice)
    at_servers = [server << "INVITE" for server in servers]
    at_carol = []
    for server, at in zip(servers, at_servers, strict=True):
        onward = passes_on(server, at, CAROL)
        server.sent[onward.call_id] = onward
        server >> onward
        server << 100
        trying(server, at)
        at_carol.append(carol << "INVITE")
    one, two = servers
    refuses(carol, at_carol[1], 482)
    two >> two.ack_failure(two << 482)
    refuses(two, at_servers[1], 482)
    accepts(carol, at_carol[0])
    passes_back(one, one << 200)
    hears(alice, 200, carol)
    all_quiet([alice, one, two, carol])


def test_a_registration_that_arrives_twice_is_carried_out_once(world: World, transport: str) -> None:
    """Here the gateway is the UAS: the copy that came another way gets 482 while the first is being worked on."""
    bob, other = world.phone("bob", transport), world.phone("edge", transport, host="203.0.113.8")
    world.store = "holds"
    register = bob.register()
    bob >> register
    bob.nothing()
    copy = bob.register()
    copy.lines[0] = f"Via: {other.via(other.new_branch())}"
    other >> copy
    other << 482
    world.release()
    bob << 200
    all_quiet([bob, other])


def test_a_request_that_carries_the_gateways_own_via_with_another_mark_is_no_loop(
    world: World, transport: str, alice: Party
) -> None:
    """A Via that names us does not by itself make a loop: anybody can write one."""
    (bob,) = desks(world, transport, 1.0)
    strange = f"Via: SIP/2.0/{transport} 192.0.2.1:5060;branch=z9hG4bKanything"
    request = alice.request("MESSAGE", bob.uri)
    request.lines.insert(1, strange)
    alice >> request.encode()
    at_bob = bob << "MESSAGE"
    bob >> reply(at_bob, 200, tag=tag_of(bob))
    hears(alice, 200, bob)

"""A user with several endpoints (RFC 3261 §16.6, §16.7), and the Lookup services of a legacy pool."""

import pytest

from sipgw.message import Request
from tests.harness import MakeWorld, Party, World, reply

LOOKUP = "sip:lookup@example.test"


def desks(world: World, *q: str) -> list[Party]:
    """Bob's endpoints, one for each q."""
    found = []
    for number, value in enumerate(q):
        desk = world.phone("bob", host=f"198.51.100.{100 + number}", instance=f"i{number}")
        line = f'Contact: <{desk.contact}>;q={value};+sip.instance="<urn:uuid:i{number}>"'
        desk >> desk.request("REGISTER", "sip:example.test", line, to=desk.uri, call_id=f"desk-{number}")
        desk << 200
        found.append(desk)
    return found


def call(world: World) -> tuple[Party, Request]:
    alice = world.phone("alice")
    invite = alice.request("INVITE", "sip:bob@example.test")
    alice >> invite
    alice << 100
    return alice, invite


def cancelled(party: Party, invite: Request) -> None:
    party >> reply(party << "CANCEL", 200)
    party >> reply(invite, 487)
    party << "ACK"


def test_the_first_2xx_wins_and_the_others_are_cancelled(world: World) -> None:
    one, two = desks(world, "1.0", "1.0")
    alice, _ = call(world)
    at_one, at_two = one << "INVITE", two << "INVITE"
    assert at_one.uri == one.contact
    assert at_two.uri == two.contact
    assert at_one.via.branch != at_two.via.branch
    for desk, invite in ((one, at_one), (two, at_two)):
        desk >> reply(invite, 180, tag=desk.host)
        alice << 180
    two >> reply(at_two, 200, tag="two", contact=two.contact)
    dialog = alice.calling(alice << 200)
    cancelled(one, at_one)
    alice >> dialog.request("ACK")
    two << "ACK"
    alice.nothing()


def test_two_2xx_both_go_back(world: World) -> None:
    """§16.7 item 5: the caller decides what to do with a second dialog."""
    one, two = desks(world, "1.0", "1.0")
    alice, _ = call(world)
    at_one, at_two = one << "INVITE", two << "INVITE"
    one >> reply(at_one, 200, tag="one", contact=one.contact)
    two >> reply(at_two, 200, tag="two", contact=two.contact)
    first, second = alice << 200, alice << 200
    for ok, desk in ((first, one), (second, two)):
        dialog = alice.calling(ok)
        alice >> dialog.request("ACK")
        desk << "ACK"
        alice >> dialog.request("BYE")
        desk >> reply(desk << "BYE", 200)
        alice << 200


def test_6xx_ends_the_search(world: World) -> None:
    one, two, later = desks(world, "1.0", "1.0", "0.5")
    alice, _ = call(world)
    at_one, at_two = one << "INVITE", two << "INVITE"
    two >> reply(at_two, 180)
    alice << 180
    one >> reply(at_one, 603)
    one << "ACK"
    alice.nothing()
    cancelled(two, at_two)
    alice.fail_call(603)
    later.nothing()


def test_a_2xx_beats_a_6xx_that_came_first(world: World) -> None:
    one, two = desks(world, "1.0", "1.0")
    alice, _ = call(world)
    at_one, at_two = one << "INVITE", two << "INVITE"
    two >> reply(at_two, 180)
    alice << 180
    one >> reply(at_one, 603)
    one << "ACK"
    two >> reply(at_two, 200, contact=two.contact)
    two << "CANCEL"
    alice >> alice.calling(alice << 200).request("ACK")
    two << "ACK"


def test_lower_q_is_tried_when_the_higher_ones_have_failed(world: World) -> None:
    one, two, later = desks(world, "1.0", "1.0", "0.5")
    alice, _ = call(world)
    for desk, status in ((one, 486), (two, 480)):
        later.nothing()
        desk >> reply(desk << "INVITE", status)
        desk << "ACK"
    at_later = later << "INVITE"
    alice.nothing()
    later >> reply(at_later, 200, contact=later.contact)
    alice >> alice.calling(alice << 200).request("ACK")
    later << "ACK"


@pytest.mark.parametrize(
    ("statuses", "best"),
    [((486, 404), 486), ((404, 486), 404), ((500, 404), 404), ((404, 401), 401), ((302, 404), 302), ((503, 486), 486)],
)
def test_the_best_of_the_failures_goes_back(world: World, statuses: tuple[int, ...], best: int) -> None:
    """§16.7 item 6: the lowest class; in 4xx what helps the caller to try again; the first among equals."""
    both = desks(world, "1.0", "1.0")
    alice, _ = call(world)
    for desk, status in zip(both, statuses, strict=True):
        alice.nothing()
        desk >> reply(desk << "INVITE", status)
        desk << "ACK"
    alice.fail_call(best)


def test_an_endpoint_that_broke_off_does_not_spoil_the_others(world: World) -> None:
    one, two = desks(world, "1.0", "1.0")
    alice, _ = call(world)
    one << "INVITE"
    one.break_connection()
    alice.nothing()
    two >> reply(two << "INVITE", 486)
    two << "ACK"
    alice.fail_call(486)


def test_a_non_invite_is_forked_too_and_answered_once(world: World) -> None:
    one, two = desks(world, "1.0", "1.0")
    alice = world.phone("alice")
    alice >> alice.request("MESSAGE", "sip:bob@example.test")
    for desk in (one, two):
        desk >> reply(desk << "MESSAGE", 200)
    alice << 200
    alice.nothing()


def test_a_gruu_reaches_one_endpoint_only(world: World) -> None:
    one, two = desks(world, "1.0", "1.0")
    one >> one.request("REGISTER", "sip:example.test", to=one.uri)
    answer = one << 200
    (gruu,) = [
        value.partition('gruu="')[2].partition('"')[0] for value in answer.values("contact") if "urn:uuid:i0" in value
    ]
    alice = world.phone("alice")
    alice >> alice.request("MESSAGE", gruu)
    one >> reply(one << "MESSAGE", 200)
    alice << 200
    two.nothing()


def test_all_lookup_services_of_a_legacy_pool_get_the_call(make_world: MakeWorld) -> None:
    """Before the cut-over each Lookup service registers as the contact object itself."""
    world = make_world(endpoints=[])
    services = []
    for number in (1, 2):
        service = world.phone("ocschat", host=f"192.0.2.{60 + number}", port=5060)
        service >> service.register(contact=f"sip:ocschat@192.0.2.{60 + number};transport=tcp", call_id=f"r{number}")
        service << 200
        services.append(service)
    alice = world.phone("alice")
    alice >> alice.request("INVITE", "sip:ocschat@example.test")
    alice << 100
    first, second = services
    at_first, at_second = first << "INVITE", second << "INVITE"
    second >> reply(at_second, 100)
    first >> reply(at_first, 200, contact=first.contact)
    alice >> alice.calling(alice << 200).request("ACK")
    first << "ACK"
    cancelled(second, at_second)


def test_a_lone_503_of_a_user_goes_back_as_500() -> None:
    world = World()
    (desk,) = desks(world, "1.0")
    alice, _ = call(world)
    desk >> reply(desk << "INVITE", 503)
    desk << "ACK"
    alice.fail_call(500)


def test_challenges_of_all_branches_are_collected() -> None:
    world = World()
    both = desks(world, "1.0", "1.0")
    alice, _ = call(world)
    for desk, realm in zip(both, ("one", "two"), strict=True):
        desk >> reply(desk << "INVITE", 407, f'Proxy-Authenticate: Digest realm="{realm}", nonce="n"')
    assert len((alice << 407).lines_of("proxy-authenticate")) == 2

"""A route set in the hands of an attacker: it leads to the two parties of its dialog or to nobody (no open relay)."""

import re
from collections.abc import Callable

import pytest

from sipgw.message import Request
from tests.harness import CONTACT_OBJECT, Dialog, Party, World, diagnostics_of, reply
from tests.scenarios.dialogs.steps import asks, ends, talk

VICTIM = "203.0.113.9"
OURS = "192.0.2.1:5060"


@pytest.fixture
def victim(world: World) -> Party:
    """Somebody on the network who has nothing to do with any of it. The scenario's end holds it to have got nothing."""
    world.server("TCP", VICTIM, 5060)
    return world.server("UDP", VICTIM, 5060)


@pytest.fixture
def mine(alice: Party, bob: Party, victim: Party) -> Dialog:
    """Alice's side of a call with bob."""
    return talk(alice, bob)[0]


def token_of(dialog: Dialog) -> str:
    found = re.search(r"sip:([^@]+)@", dialog.routes[0])
    assert found is not None
    return found[1]


def with_token(dialog: Dialog, token: str) -> None:
    dialog.routes = [route.replace(token_of(dialog), token) for route in dialog.routes]


def stale(dialog: Dialog, method: str = "INFO") -> None:
    """A request that is refused for its route; an ACK would be dropped."""
    party = dialog.party
    party >> dialog.request(method)
    if method == "ACK":
        party.nothing()
    else:
        assert diagnostics_of(party << 481)[0] == 1004


FLIPS: dict[str, Callable[[str], str]] = {
    "MAC": lambda t: ("0" if t[0] != "0" else "1") + t[1:],
    "MAC-in-capitals": lambda t: t.split(".")[0].upper() + "A." + t.partition(".")[2],
    "no-MAC": lambda t: t.partition(".")[2],
    "empty-MAC": lambda t: "." + t.partition(".")[2],
    "mark": lambda t: t.replace(t.split(".")[1], "00000000"),
    "caller": lambda t: t.replace("." + t.split(".")[2], ".ucb00710913c4"),
    "called": lambda t: t.rpartition(".")[0] + ".Ucb00710913c4",
    "sides-swapped": lambda t: ".".join([*t.split(".")[:2], t.split(".")[3], t.split(".")[2]]),
    "a-connection": lambda t: t.rpartition(".")[0] + ".c101",
    "one-side-missing": lambda t: t.rpartition(".")[0],
    "one-side-more": lambda t: t + ".Ucb00710913c4",
    "blank": lambda t: "%20",
    "cut": lambda t: t[:-1],
    "longer": lambda t: t + "0",
    "escaped": lambda t: "%" + format(ord(t[0]), "02x") + t[1:],
    "with-password": lambda t: t + ":x",
}


@pytest.mark.parametrize("change", list(FLIPS.values()), ids=list(FLIPS))
@pytest.mark.parametrize("method", ["INFO", "ACK", "INVITE"])
def test_a_token_that_was_tampered_with_leads_nowhere(mine: Dialog, change: Callable[[str], str], method: str) -> None:
    with_token(mine, change(token_of(mine)))
    if method == "INVITE":
        mine.party >> mine.request("INVITE")
        mine.party.fail_call(481)
    else:
        stale(mine, method)


@pytest.mark.parametrize("method", ["INFO", "ACK", "BYE"])
@pytest.mark.parametrize("part", ["Call-ID", "From-tag", "other-dialog"])
def test_a_token_is_good_for_its_own_dialog_only(mine: Dialog, bob: Party, part: str, method: str) -> None:
    if part == "Call-ID":
        mine.call_id += "x"
    elif part == "From-tag":
        mine.local = mine.local.replace("alice-tag", "mallory")
    else:
        mine.routes = talk(mine.party, bob)[0].routes
    stale(mine, method)


def test_a_stranger_who_has_seen_the_route_cannot_use_it(world: World, mine: Dialog) -> None:
    mallory = world.phone("mallory", mine.party.transport, "203.0.113.66")
    for route in mine.routes:
        mallory >> mallory.request("MESSAGE", f"sip:x@{VICTIM}", f"Route: {route}")
        assert diagnostics_of(mallory << 481)[0] == 1004


def test_who_has_seen_everything_reaches_the_two_of_the_dialog_and_nobody_else(
    world: World, mine: Dialog, bob: Party
) -> None:
    """Against one who reads the traffic only TLS helps; even he aims nothing at third parties."""
    mallory = world.phone("mallory", mine.party.transport, "203.0.113.66")
    spy = Dialog(mallory, mine.call_id, mine.local, mine.remote, f"sip:x@{VICTIM}", mine.routes, cseq=50)
    mallory >> spy.request("BYE")
    bob >> reply(bob << "BYE", 403)
    mallory << 403


@pytest.mark.parametrize(
    "target",
    [f"sip:x@{VICTIM}", f"sip:{VICTIM}:5060;transport=tcp", f"sip:x@{VICTIM};maddr={VICTIM}", "sip:x@elsewhere.test"],
)
@pytest.mark.parametrize("method", ["INFO", "ACK"])
def test_a_target_elsewhere_still_goes_to_the_other_side(mine: Dialog, bob: Party, target: str, method: str) -> None:
    """Between us and bob's phone there may be another proxy that knows what to do with it; we go by the token."""
    true = mine.target
    mine.target = target
    mine.party >> mine.request(method)
    arrived = bob << method
    assert arrived.uri == target
    if method == "INFO":
        bob >> reply(arrived, 403)
        mine.party << 403
    mine.target = true
    ends(mine, bob)


@pytest.mark.parametrize("more", [f"<sip:{VICTIM};lr>", f"<sip:{VICTIM}:5060;transport=tcp;lr>", f"<sip:{VICTIM}>"])
def test_a_further_route_is_taken_along_to_the_other_side(mine: Dialog, bob: Party, more: str) -> None:
    mine.routes.append(more)
    arrived = asks(mine, bob)
    assert VICTIM in " ".join([arrived.uri, *arrived.values("route")])


@pytest.mark.parametrize("first", [f"<sip:{VICTIM};lr>", f"<sip:{VICTIM}:5060;transport=tcp;lr>", f"<sip:{VICTIM}>"])
@pytest.mark.parametrize("method", ["INFO", "ACK", "INVITE"])
def test_a_route_before_ours_is_refused(mine: Dialog, first: str, method: str) -> None:
    """A request that came to us and wants to go elsewhere first: for that one needs to be trusted."""
    mine.routes.insert(0, first)
    mine.party >> mine.request(method)
    if method == "ACK":
        mine.party.nothing()
    elif method == "INVITE":
        assert diagnostics_of(mine.party.fail_call(403))[0] == 1005
    else:
        assert diagnostics_of(mine.party << 403)[0] == 1005


def test_a_route_between_two_of_ours_is_no_detour(world: World, mine: Dialog, bob: Party) -> None:
    """Only what stands on top is taken out; the rest goes along to the other side of the first token."""
    second, _ = talk(mine.party, bob)
    mine.routes += [f"<sip:{VICTIM};lr>", *second.routes]
    arrived = asks(mine, bob)
    assert arrived.values("route")[0] == f"<sip:{VICTIM};lr>"


@pytest.mark.parametrize(
    "route",
    [
        f"<sip:TOKEN@{OURS};maddr={VICTIM};lr>",
        f"<sip:TOKEN@{VICTIM};lr>",
        f"<sip:{OURS}@{VICTIM};lr>",
        f"<sip:TOKEN@{OURS}@{VICTIM};lr>",
        f'"{OURS}" <sip:TOKEN@{VICTIM};lr>',
        f"<sip:TOKEN@{VICTIM};lr>;x=<sip:TOKEN@{OURS};lr>",
        f"<sip:TOKEN@{OURS}.elsewhere.test;lr>",
        f"<sip:TOKEN@{VICTIM}:5060;x={OURS};lr>",
        f"<sip:TOKEN%40{OURS}@{VICTIM};lr>",
        f"<tel:+1234;x={OURS}>",
        f"sip:TOKEN@{VICTIM};lr",
    ],
)
def test_a_route_that_only_looks_like_ours_leads_nowhere_else(mine: Dialog, bob: Party, route: str) -> None:
    """Whatever answer it gets, nobody but the two of the dialog hears of it."""
    mine.routes = [route.replace("TOKEN", token_of(mine))]
    mine.party >> mine.request("INFO")
    if bob.inbox:
        bob >> reply(bob << "INFO", 200)
    answer = mine.party.inbox.pop(0)
    assert not isinstance(answer, Request)


@pytest.mark.parametrize("rest", [[], [f"<sip:{VICTIM};lr>"], [f"<sip:x@{VICTIM}>", f"<sip:{VICTIM};lr>"]])
def test_the_repair_of_strict_routing_is_no_way_out(mine: Dialog, bob: Party, rest: list[str]) -> None:
    """§16.4 takes the last Route for the target: with a good token it still goes to the other side."""
    ours = mine.routes[0].strip("<>")
    mine.target, mine.routes = ours, rest
    mine.party >> mine.request("INFO")
    for arrived in list(bob.inbox):
        bob.inbox.remove(arrived)
        bob >> reply(arrived, 403)
    mine.party.inbox.clear()


def test_the_repair_of_strict_routing_with_a_forged_token(mine: Dialog) -> None:
    with_token(mine, FLIPS["called"](token_of(mine)))
    mine.target, mine.routes = mine.routes[0].strip("<>"), [f"<sip:{VICTIM};lr>"]
    stale(mine)


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "SUBSCRIBE"])
def test_a_token_does_not_open_a_second_dialog(mine: Dialog, bob: Party, method: str) -> None:
    """Outside the dialog, without the tags of it, the token of yesterday is worth nothing."""
    alice = mine.party
    alice >> alice.request(method, CONTACT_OBJECT, f"Route: {mine.routes[0]}", call_id="another")
    if method == "INVITE":
        alice.fail_call(481)
    else:
        alice << 481


def test_a_caller_that_writes_its_own_record_route_gains_nothing(world: World, alice: Party, bob: Party) -> None:
    """A value in the shape of ours, put into the INVITE: bob sends it back along with ours, and it is looked at."""
    world.server("UDP", VICTIM, 5060)
    forged = f"<sip:00000000000000000000.00000000.0.Ucb00710913c4@{OURS};lr>"
    _, theirs = talk(alice, bob, f"Record-Route: {forged}")
    bob >> theirs.request("INFO")
    answers = [message.start for message in bob.inbox]
    assert answers == ["SIP/2.0 481 Call/Transaction Does Not Exist"]
    bob.inbox.clear()


def test_a_hundred_of_our_routes_are_one_decision(mine: Dialog, bob: Party) -> None:
    mine.routes = mine.routes * 100
    asks(mine, bob)


def test_a_route_of_ours_with_two_tokens_goes_by_the_last(mine: Dialog, bob: Party) -> None:
    """A spiral records us twice; each token is checked against the dialog, so a foreign one at the end is refused."""
    other, _ = talk(mine.party, bob)
    mine.routes += other.routes
    stale(mine)

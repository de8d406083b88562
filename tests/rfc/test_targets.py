"""The target set (RFC 3261 §16.5), and what becomes of a contact that a redirection names (§16.6 item 2, §19.1.5)."""

import pytest

from sipgw.registry import Server
from tests.harness import (
    CONTACT_OBJECT,
    DOMAIN,
    POOL_FQDN,
    MakeWorld,
    Party,
    World,
    default_endpoint,
    default_pool,
    reply,
)

CAROL = f"sip:carol@{DOMAIN}"


@pytest.fixture
def following(make_world: MakeWorld) -> World:
    return make_world(recurse=True)


def redirected(world: World, contact: str) -> tuple[Party, Party]:
    """Alice, whose MESSAGE to bob was redirected by his phone; carol, who is signed in."""
    alice, bob, carol = world.phone("alice"), world.phone("bob"), world.phone("carol", host="198.51.100.9")
    bob.sign_in()
    carol.sign_in()
    alice >> alice.request("MESSAGE", bob.uri)
    bob >> reply(bob << "MESSAGE", 302, f"Contact: {contact}")
    return alice, carol


def test_one_uri_in_two_spellings_is_one_target(following: World) -> None:
    """Equality is that of §19.1.4."""
    alice, carol = redirected(following, f"<{CAROL}>;q=0.9, <sip:%63arol@EXAMPLE.TEST>;q=0.8, <{CAROL};x=1>;q=0.7")
    asked = 0
    while carol.inbox:
        asked += 1
        carol >> reply(carol << "MESSAGE", 480)
    assert asked == 1
    alice.inbox.clear()


def test_what_a_request_uri_may_not_have_is_taken_off_a_contact(following: World) -> None:
    """§16.6 item 2: method and headers; all else of the contact stays (§19.1.5)."""
    pool = following.server()
    alice, _ = redirected(following, f"<{CONTACT_OBJECT};method=INVITE;x=1?Subject=hello&Route=%3Csip:evil%3E>")
    got = pool << "MESSAGE"
    assert got.uri == f"{CONTACT_OBJECT};x=1"
    assert {"subject", "route"}.isdisjoint(got.index)
    pool >> reply(got, 200)
    alice << 200


def test_no_redirection_is_followed_for_what_is_not_ours(following: World) -> None:
    """§16.5: inside a dialog the Request-URI is the other side's own contact; its 3xx is for the caller."""
    alice, pool, carol = following.phone("alice"), following.server(), following.phone("carol")
    carol.sign_in()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    pool >> reply(pool << "INVITE", 200, contact=pool.contact)
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK")
    pool << "ACK"
    alice >> dialog.request("INFO")
    pool >> reply(pool << "INFO", 302, f"Contact: <{CAROL}>")
    carol.nothing()
    assert (alice << 302).values("contact") == [f"<{CAROL}>"]


def test_a_contact_that_came_after_the_call_began_is_not_rung(world: World) -> None:
    """A departure: the target set is fixed when the request comes in."""
    alice, bob, later = world.phone("alice"), world.phone("bob"), world.phone("bob", host="198.51.100.8")
    bob.sign_in()
    alice >> alice.request("INVITE", bob.uri)
    alice << 100
    at_bob = bob << "INVITE"
    later >> later.register(call_id="later")
    later << 200
    later.nothing()
    bob >> reply(at_bob, 486)
    bob << "ACK"
    alice.fail_call(486)


def recorded(scheme: str, transport: str) -> list[str]:
    """The Record-Route of an INVITE that came by a transport and left by TLS."""
    world = World([default_pool(Server("TLS", "192.0.2.51", 5041))], [default_endpoint(POOL_FQDN)])
    alice, pool = world.phone("alice", transport), world.server("TLS")
    alice >> alice.request("INVITE", f"{scheme}:ocschat@{DOMAIN}")
    alice << 100
    at_pool = pool << "INVITE"
    pool >> reply(at_pool, 486)
    pool << "ACK"
    alice.fail_call(486)
    world.finish()
    values: list[str] = at_pool.values("record-route")
    return values


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
@pytest.mark.parametrize("scheme", ["sips", "SIPS"])
def test_a_sips_request_is_recorded_with_a_sips_uri(scheme: str, transport: str) -> None:
    """§16.6 item 4, by TLS or not; a scheme is compared without case."""
    routes = recorded(scheme, transport)
    assert routes
    assert all(value.startswith("<sips:") for value in routes)


def test_a_sip_request_over_tls_is_recorded_with_a_sip_uri() -> None:
    """§16.6 item 4."""
    routes = recorded("sip", "TLS")
    assert routes
    assert all(value.startswith("<sip:") for value in routes)


def test_a_sips_request_is_not_redirected_to_a_sip_contact(following: World) -> None:
    """§16.7 item 4: what was to be secure stays secure; the contact is the caller's to use."""
    alice, bob, carol = following.phone("alice", "TLS"), following.phone("bob", "TLS"), following.phone("carol", "TLS")
    bob.sign_in()
    carol.sign_in()
    alice >> alice.request("MESSAGE", f"sips:bob@{DOMAIN}")
    bob >> reply(bob << "MESSAGE", 302, f"Contact: <{CAROL}>, <sips:carol@{DOMAIN}>;q=0.1")
    carol >> reply(carol << "MESSAGE", 480)
    carol.nothing()
    assert (alice << 302).values("contact") == [f"<{CAROL}>"]


@pytest.mark.parametrize("ending", ["answered", "declined", "cancelled"])
def test_a_non_invite_that_is_being_worked_on_is_never_cancelled(world: World, ending: str) -> None:
    """§9.1: not when another endpoint was faster, nor when one declined, nor when its sender asks."""
    alice, one, two = world.phone("alice"), world.phone("bob"), world.phone("bob", host="198.51.100.8")
    for number, desk in enumerate((one, two)):
        desk >> desk.register(call_id=f"desk{number}")
        desk << 200
    message = alice.request("MESSAGE", one.uri)
    alice >> message
    at_one, at_two = one << "MESSAGE", two << "MESSAGE"
    two >> reply(at_two, 100)
    if ending == "cancelled":
        alice >> alice.cancel(message)
        alice << 200
    else:
        one >> reply(at_one, 200 if ending == "answered" else 603)
    two.nothing()
    two >> reply(at_two, 200)
    assert (alice << 200).cseq.method == "MESSAGE"

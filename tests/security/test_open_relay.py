"""Nobody has the gateway send to a place of his choice: by Request-URI, by Route, by Record-Route, by redirection.

What lies inside dialogs is in tests/scenarios/dialogs/test_forged_routes.py; trusted peers, who may, are in
tests/scenarios/test_no_open_relay.py.
"""

from ipaddress import ip_network

import pytest

from sipgw.message import Message
from sipgw.registry import Server
from tests.harness import CONTACT_OBJECT, DOMAIN, FQDN, GATEWAY, Party, default_pool, reply
from tests.scenarios.sign_in.people import Person
from tests.security.foreign import FOREIGN, METHODS
from tests.security.watching import (
    NO_GATE,
    STANDINGS,
    STRANGER,
    USER,
    VICTIM,
    Attacker,
    Watched,
    attacker,
    only_to,
)

everywhere = pytest.mark.parametrize("standing", STANDINGS)
inside = pytest.mark.parametrize("standing", [USER, NO_GATE])
transports = pytest.mark.parametrize("transport", ["UDP", "TCP", "TLS"])


def victims(world: Watched) -> list[Party]:
    """Somebody who would take a call."""
    return [world.server(transport, VICTIM, 5060) for transport in ("UDP", "TCP", "TLS")]


def refused(alice: Attacker, method: str, uri: str, *headers: str) -> None:
    """Refused with a 4xx, and nobody but the sender hears of it, then or later."""
    victims(alice.world)
    status = alice.tries(method, uri, *headers)
    assert status in ((400, 401, 407, 416) if alice.standing == STRANGER else (400, 403, 416))
    alice.world.advance(40.0)
    only_to(alice.world, alice.party)


@pytest.mark.parametrize("uri", list(FOREIGN.values()), ids=list(FOREIGN))
@everywhere
def test_a_request_uri_elsewhere(standing: str, uri: str) -> None:
    alice = attacker(standing)
    for method in METHODS:
        refused(alice, method, uri)
    alice.world.finish()


@transports
@everywhere
def test_whatever_way_the_request_came(standing: str, transport: str) -> None:
    alice = attacker(standing, transport)
    for uri in (
        f"sip:x@{VICTIM}",
        f"sips:x@{VICTIM}",
        f"sip:x@{VICTIM};transport=udp",
        f"sip:x@{DOMAIN};maddr={VICTIM}",
    ):
        refused(alice, "MESSAGE", uri)


@inside
@pytest.mark.parametrize("tail", [";transport=udp", f";maddr={GATEWAY}", f";received={VICTIM}", ";ttl=1"])
def test_what_stands_behind_our_own_domain_moves_nothing(standing: str, tail: str) -> None:
    """A port, a transport: a user of ours is found by name."""
    alice = attacker(standing)
    bob = Person(alice.world.phone("bob", "UDP", "198.51.100.8"))
    bob.register()
    alice.send("MESSAGE", f"sip:bob@{DOMAIN}:9999{tail}")
    bob.party >> reply(bob.party << "MESSAGE", 200)
    assert alice.status() == 200
    only_to(alice.world, alice.party, bob.party)


@inside
@pytest.mark.parametrize("tail", [f";maddr={VICTIM}", ";transport=udp", ";transport=tls", f";received={VICTIM}"])
def test_a_pools_server_is_reached_as_it_is_configured(standing: str, tail: str) -> None:
    alice = attacker(standing)
    pool = alice.world.pool_servers()[0]
    alice.send("MESSAGE", f"sip:x@192.0.2.51:5041{tail}")
    pool >> reply(pool << "MESSAGE", 200)
    assert alice.status() == 200
    only_to(alice.world, alice.party, pool)


# Route

FOREIGN_ROUTES = {
    "loose": f"<sip:{VICTIM};lr>",
    "strict": f"<sip:{VICTIM}>",
    "bare": f"sip:{VICTIM};lr",
    "named": f'"{FQDN}" <sip:{VICTIM};lr>',
    "several": f"<sip:{VICTIM};lr>, <sip:victim.test;lr>",
    "then-ours": f"<sip:{VICTIM};lr>, <sip:{GATEWAY}:5060;lr>",
    "ours-first": f"<sip:{GATEWAY}:5060;lr>, <sip:{VICTIM};lr>",
    "ours-by-name-first": f"<sip:{FQDN};lr>, <sip:{VICTIM};lr>",
    "ours-twice-first": f"<sip:{FQDN};lr>,<sip:{DOMAIN};lr>,<sip:{VICTIM};lr>",
    "ours-strict-first": f"<sip:{GATEWAY}:5060>, <sip:{VICTIM}>",
    "our-name-other-port": f"<sip:{FQDN}:22;lr>",
    "our-address-other-port": f"<sip:{GATEWAY}:22;lr>",
    "pool": "<sip:192.0.2.51:5041;transport=tcp;lr>",
    "sips": f"<sips:{VICTIM};lr>",
    "tel": "<tel:+1202>",
    "broken": "<sip:>",
    "headers": f"<sip:{VICTIM};lr?Route=x>",
    "decimal": "<sip:3405803785;lr>",
    "mapped": f"<sip:[::ffff:{VICTIM}];lr>",
    "trailing-dot": f"<sip:{FQDN}.;lr>",
}


@pytest.mark.parametrize("route", list(FOREIGN_ROUTES.values()), ids=list(FOREIGN_ROUTES))
@everywhere
def test_a_route_elsewhere(standing: str, route: str) -> None:
    """Loose, strict, behind ours: with the contact object for a target, a user, ourselves, the victim."""
    alice = attacker(standing)
    for method in ("INVITE", "MESSAGE", "REGISTER", "BENOTIFY"):
        for uri in (CONTACT_OBJECT, f"sip:bob@{DOMAIN}", f"sip:{DOMAIN}", f"sip:x@{VICTIM}"):
            refused(alice, method, uri, f"Route: {route}")


@pytest.mark.parametrize("spelling", ["ROUTE", "route ", "Route"])
@everywhere
def test_several_lines_of_it(standing: str, spelling: str) -> None:
    alice = attacker(standing)
    refused(alice, "MESSAGE", CONTACT_OBJECT, f"{spelling}: <sip:{GATEWAY}:5060;lr>", f"Route: <sip:{VICTIM};lr>")


OUR_ROUTES_ADORNED = {
    "maddr": f"<sip:{GATEWAY}:5060;maddr={VICTIM};lr>",
    "maddr-by-name": f"<sip:{FQDN};lr;maddr={VICTIM}>",
    "transport": f"<sip:{GATEWAY}:5060;transport=sctp;lr>",
    "received": f"<sip:{FQDN};lr;received={VICTIM}>",
    "domain": f"<sip:{DOMAIN};maddr={VICTIM};lr>",
}


@pytest.mark.parametrize("route", list(OUR_ROUTES_ADORNED.values()), ids=list(OUR_ROUTES_ADORNED))
@inside
def test_a_route_that_names_us_with_something_more_is_only_ours(standing: str, route: str) -> None:
    alice = attacker(standing)
    pool = alice.world.pool_servers()[0]
    alice.send("MESSAGE", CONTACT_OBJECT, f"Route: {route}")
    for message in list(pool.inbox):
        pool.inbox.remove(message)
        pool >> reply(message, 200)
    assert alice.status() in (200, 403)
    only_to(alice.world, alice.party, pool)


@everywhere
@pytest.mark.parametrize("rest", ["", f"Route: <sip:{VICTIM};lr>", f"Route: <sip:x@{VICTIM}>, <sip:y@{VICTIM};lr>"])
def test_our_route_as_the_request_uri(standing: str, rest: str) -> None:
    """§16.4: who routes strictly puts the target last in Route. It is no way around the check of the target."""
    for ours in (f"sip:{GATEWAY}:5060;lr", f"sip:{FQDN};lr", f"sip:00.00.c1.c2@{GATEWAY}:5060;lr"):
        alice = attacker(standing)
        victims(alice.world)
        alice.tries("MESSAGE", ours, *[rest] * bool(rest))
        only_to(alice.world, alice.party)


# Record-Route, Path, Service-Route and the like say nothing to us

CLAIMS = (
    f"Record-Route: <sip:{VICTIM};lr>",
    f"Record-Route: <sip:00000000000000000000.00000000.0.Ucb00710913c4@{GATEWAY}:5060;lr>",
    f"Path: <sip:{VICTIM};lr>",
    f"Service-Route: <sip:{VICTIM};lr>",
    f"Contact: <sip:x@{VICTIM}>",
    f"Reply-To: <sip:x@{VICTIM}>",
    f"P-Preferred-Service: <sip:x@{VICTIM}>",
    f"P-Called-Party-ID: <sip:x@{VICTIM}>",
    f"Identity-Info: <http://{VICTIM}/>;alg=rsa-sha1",
    f"Alert-Info: <http://{VICTIM}/>",
    f"Call-Info: <http://{VICTIM}/>;purpose=icon",
    f"Error-Info: <sip:x@{VICTIM}>",
    f"Diversion: <sip:x@{VICTIM}>",
    f"History-Info: <sip:x@{VICTIM}>;index=1",
    f"Geolocation: <http://{VICTIM}/>",
    f"Refer-To: <sip:x@{VICTIM}>",
    f"Referred-By: <sip:x@{VICTIM}>",
    f"Target-Dialog: a;remote-tag=b;local-tag=c;x={VICTIM}",
    f"Ms-Redirect: <sip:x@{VICTIM}>",
)


@pytest.mark.parametrize("line", CLAIMS, ids=[line.partition(":")[0] for line in CLAIMS])
@inside
def test_headers_that_name_somebody_are_carried_and_not_followed(standing: str, line: str) -> None:
    """Refer-To is for who is referred: it leaves as it came, and so do all others."""
    alice = attacker(standing)
    victims(alice.world)
    bob = Person(alice.world.phone("bob", "TCP", "198.51.100.8"))
    bob.register()
    alice.send("REFER", f"sip:bob@{DOMAIN}", line)
    arrived = bob.party << "REFER"
    assert line in arrived.lines
    bob.party >> reply(arrived, 202)
    assert alice.status() == 202
    only_to(alice.world, alice.party, bob.party)


@pytest.mark.parametrize("line", CLAIMS, ids=[line.partition(":")[0] for line in CLAIMS])
@everywhere
def test_nor_at_the_registrar(standing: str, line: str) -> None:
    """A Path of somebody who is not trusted is refused; all others are passed over, and nothing is sent there."""
    alice = attacker(standing)
    victims(alice.world)
    alice.tries("REGISTER", f"sip:{DOMAIN}", line, "Expires: 600", to=f"sip:alice@{DOMAIN}")
    alice.tries("SUBSCRIBE", f"sip:alice@{DOMAIN}", "Event: vnd-microsoft-provisioning-v2", line)
    alice.world.advance(1000.0)
    only_to(alice.world, alice.party)


# redirection

REDIRECTIONS = (
    f"<sip:x@{VICTIM}>",
    f"<sip:x@{VICTIM};transport=tcp>;q=1.0",
    f"<sips:x@{VICTIM}>",
    "<sip:x@victim.test>",
    f"<sip:bob@{DOMAIN};maddr={VICTIM}>",
    f"<sip:x@{GATEWAY}:22>",
    f"<sip:x@{VICTIM}?Route=%3Csip:{VICTIM}%3E>",
    "<tel:+1202>",
    "<sip:x@3405803785>",
    f"<sip:x@[::ffff:{VICTIM}]>",
    f"<sip:00.00.c1.c2@{GATEWAY}:5060;lr>",
)


@pytest.mark.parametrize("recurse", [False, True])
@pytest.mark.parametrize("contact", REDIRECTIONS)
@inside
def test_a_redirection_elsewhere_is_left_to_the_caller(standing: str, contact: str, recurse: bool) -> None:
    """The accomplice has registered, or is the pool; who follows it, follows it himself."""
    alice = attacker(standing, recurse=recurse)
    victims(alice.world)
    bob = Person(alice.world.phone("bob", "TCP", "198.51.100.8"))
    bob.register()
    pool = alice.world.pool_servers()[0]
    for callee, party in ((f"sip:bob@{DOMAIN}", bob.party), (CONTACT_OBJECT, pool)):
        for method in ("INVITE", "MESSAGE"):
            alice.send(method, callee)
            arrived = party << method
            party >> reply(arrived, 302, f"Contact: {contact}")
            if method == "INVITE":
                party << "ACK"
            told = alice.party.inbox[-1]
            assert told.values("contact") == [contact]
            assert alice.status() == 302
    only_to(alice.world, alice.party, bob.party, pool)


# a pool's server

FOREIGN_FOR_A_POOL = (f"sip:x@{VICTIM}", f"sips:x@{VICTIM}", "sip:x@victim.test", f"sip:bob@{DOMAIN};maddr={VICTIM}")


@pytest.mark.parametrize("uri", FOREIGN_FOR_A_POOL)
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_a_pools_server_known_by_its_address_may_call_users_and_nobody_else(transport: str, uri: str) -> None:
    """It need not sign in. To relay it would have to be one of gateway.trusted_peers, or prove its name by TLS."""
    world = Watched([default_pool(Server(transport, "192.0.2.51", 5041))])
    pool = world.server(transport, "192.0.2.51", 5041)
    victims(world)
    alice = Person(world.phone("alice"))
    alice.ask("MESSAGE", CONTACT_OBJECT)  # so that there is a connection
    pool >> reply(pool << "MESSAGE", 200)
    alice.party << 200
    for method in ("MESSAGE", "OPTIONS", "BENOTIFY"):
        pool >> pool.request(method, uri)
        pool << 403
        pool >> pool.request(method, f"sip:alice@{DOMAIN}", f"Route: <sip:{VICTIM};lr>")
        pool << 403
    only_to(world, pool, alice.party)


# answers that nobody waits for


@everywhere
@pytest.mark.parametrize(
    "via",
    [
        [f"SIP/2.0/UDP {GATEWAY}:5060;branch=z9hG4bKforged", f"SIP/2.0/UDP {VICTIM}:5060;branch=z9hG4bKnext"],
        [
            f"SIP/2.0/TCP {GATEWAY}:5060;branch=z9hG4bKforged",
            f"SIP/2.0/TCP x;received={VICTIM};rport=5060;branch=z9hG4bK1",
        ],
        [f"SIP/2.0/UDP {VICTIM}:5060;branch=z9hG4bKonly"],
        [f"SIP/2.0/UDP {GATEWAY}:5060;branch=z9hG4bKa", f"SIP/2.0/UDP 198.51.100.8;maddr={VICTIM};branch=z9hG4bKb"],
    ],
)
def test_a_response_to_nothing_goes_nowhere(standing: str, via: list[str]) -> None:
    """A stateless proxy would send it on to the next Via (§16.11)."""
    alice = attacker(standing)
    victims(alice.world)
    sent = len(alice.world.sends)
    for status in (100, 180, 200, 302, 404, 503, 603):
        answer = reply(alice.party.request("INVITE", CONTACT_OBJECT), status)
        lines = [line for line, name in zip(answer.lines, answer.names, strict=True) if name != "via"]
        text = "\r\n".join([answer.start, *[f"Via: {value}" for value in via], *lines, "", ""])
        alice.party >> text.encode()
    assert len(alice.world.sends) == sent


@everywhere
@pytest.mark.parametrize(
    "uri", [f"sip:x@{VICTIM}", f"sip:{VICTIM};lr", CONTACT_OBJECT, f"sip:1.2.c1.c2@{GATEWAY}:5060;lr"]
)
def test_an_ack_to_nothing_goes_nowhere(standing: str, uri: str) -> None:
    """It cannot be challenged, and is not answered."""
    alice = attacker(standing)
    victims(alice.world)
    pool = alice.world.pool_servers()[0]
    sent = len(alice.world.sends)
    for route in ([], [f"Route: <sip:{VICTIM};lr>"], [f"Route: <sip:{GATEWAY}:5060;lr>, <sip:{VICTIM};lr>"]):
        alice.again(alice.party.request("ACK", uri, *route))
    pool.nothing()
    assert len(alice.world.sends) == sent


@everywhere
@pytest.mark.parametrize("uri", [f"sip:x@{VICTIM}", f"sip:x@{DOMAIN};maddr={VICTIM}", CONTACT_OBJECT])
def test_a_cancel_of_nothing_goes_nowhere(standing: str, uri: str) -> None:
    alice = attacker(standing)
    victims(alice.world)
    for route in ([], [f"Route: <sip:{VICTIM};lr>"]):
        alice.party >> alice.party.request("CANCEL", uri, *route)
        assert alice.status() == 481
    only_to(alice.world, alice.party)


def starts(messages: list[Message]) -> list[str]:
    return [message.start for message in messages]


@inside
def test_a_cancel_goes_the_way_of_its_invite_whatever_it_says(standing: str) -> None:
    alice = attacker(standing)
    victims(alice.world)
    pool = alice.world.pool_servers()[0]
    alice.send("INVITE", CONTACT_OBJECT)
    alice.party << 100
    invite = pool << "INVITE"
    pool >> reply(invite, 180)
    alice.party << 180
    mine = next(iter(alice.party.sent.values()))
    cancel = alice.party.cancel(mine)
    lines = [*cancel.lines, f"Route: <sip:{VICTIM};lr>"]
    cancel.set_lines(f"sip:x@{VICTIM}", list(zip(lines, [*cancel.names, "route"], strict=True)))
    alice.party >> cancel
    alice.party << 200
    assert starts(pool.inbox) == [f"CANCEL {invite.uri} SIP/2.0"]
    only_to(alice.world, alice.party, pool)


def test_the_check_sees_what_strays() -> None:
    """Who is trusted may relay: there the same check fails, or it would prove nothing above."""
    alice = attacker(NO_GATE, trusted=(ip_network("198.51.100.0/24"),))
    victims(alice.world)
    for uri in (f"sip:x@{VICTIM}", "sip:x@victim.test"):
        alice.world.sends.clear()
        alice.send("BENOTIFY", uri)
        with pytest.raises(AssertionError, match="strayed"):
            only_to(alice.world, alice.party)

"""What the gateway answers itself, as a UAS (RFC 3261 §8.2, §9.2, §10.3, §11.2), and what it passes over doing so."""

from ipaddress import ip_network

import pytest

from sipgw.message import Request, Response
from sipgw.registry import Server
from tests.harness import CONTACT_OBJECT, DOMAIN, MakeWorld, Party, World, default_pool, reply

SERVER = f"sip:{DOMAIN}"


def to_the_gateway(party: Party, method: str, *lines: str) -> Request:
    """A request that is answered here and not forwarded."""
    if method == "REGISTER":
        return party.register(*lines)
    if method in ("SUBSCRIBE", "SERVICE"):
        return party.request(method, party.uri, "Event: presence", *lines)
    return party.request(method, SERVER, *lines)


LOCAL = ["REGISTER", "SUBSCRIBE", "SERVICE", "OPTIONS"]


@pytest.mark.parametrize("method", LOCAL)
def test_an_extension_that_is_required_and_unknown_is_420(world: World, method: str) -> None:
    """§8.2.2.3, for whatever this server is the UAS of."""
    alice = world.phone("alice")
    alice >> to_the_gateway(alice, method, "Require: path, x-odd, y-odd")
    assert (alice << 420).first("unsupported") == "x-odd, y-odd"


@pytest.mark.parametrize("method", LOCAL)
@pytest.mark.parametrize("to_tag", [False, True])
def test_a_request_that_came_two_ways_is_taken_once(world: World, method: str, to_tag: bool) -> None:
    """§8.2.2.2: without a To tag; a request inside a dialog is the dialog's matter, whatever its number is."""
    alice = world.phone("alice", "UDP")
    first, again = to_the_gateway(alice, method), to_the_gateway(alice, method)
    for request in (first, again):
        for name, line in (("call-id", "Call-ID: one"), ("to", f"To: <{alice.uri}>{';tag=x' if to_tag else ''}")):
            request.lines[request.names.index(name)] = line
    alice >> first
    alice >> again
    answers = [message.start.split()[1] for message in alice.inbox if isinstance(message, Response)]
    assert answers[0] == "200"
    if method == "REGISTER" and to_tag:
        assert answers[1] != "482"  # its number is that of a change that was made
    else:
        assert answers[1] == ("200" if to_tag else "482")
    world.advance(40)
    alice.inbox.clear()


@pytest.mark.parametrize("method", LOCAL)
def test_fields_that_are_unknown_or_not_needed_are_passed_over(world: World, method: str) -> None:
    """§8.2.2: neither one that nobody has defined nor a broken one that does not matter."""
    alice = world.phone("alice")
    odd = ("X-Nobody: knows", "Date: yesterday", "Organization: \xff", "Call-Info: <", "Record-Route: nowhere")
    alice >> to_the_gateway(alice, method, *odd)
    response = alice << 200
    assert ("record-route" in response.index) == (method == "SUBSCRIBE")  # §12.1.1: it opens a dialog
    alice.nothing()  # a broken route is no way for a NOTIFY


@pytest.mark.parametrize("method", LOCAL)
def test_a_response_copies_what_tells_it_from_others(world: World, method: str) -> None:
    """§8.2.6.2: From, Call-ID, CSeq, all Vias in order, To with a tag added."""
    alice = world.phone("alice")
    request = to_the_gateway(alice, method, "Via: SIP/2.0/UDP b.test;branch=z9hG4bKb, SIP/2.0/UDP c.test")
    alice >> request
    response = alice << 200
    for name in ("from", "call-id", "cseq"):
        assert response.first(name) == request.first(name)
    vias = response.values("via")
    assert vias[0].startswith(str(request.values("via")[0]))
    assert vias[1:] == request.values("via")[1:]
    assert (response.first("to") or "").startswith(f"{request.first('to')};tag=")


@pytest.mark.parametrize("method", ["MESSAGE", "BYE", "INFO", "NOVELTY"])
def test_a_method_that_is_not_for_this_server_is_405_with_allow(world: World, method: str) -> None:
    alice = world.phone("alice")
    alice >> alice.request(method, SERVER)
    allowed = (alice << 405).tokens("allow")
    assert allowed == {"register", "subscribe", "service", "options"}


def test_the_method_is_looked_at_before_the_headers(world: World) -> None:
    """§8.2: in the order of the section."""
    alice = world.phone("alice")
    alice >> alice.request("MESSAGE", SERVER, "Require: x-odd")
    alice << 405


def test_options_is_answered_without_a_body(world: World) -> None:
    alice = world.phone("alice")
    alice >> alice.request("OPTIONS", SERVER)
    response = alice << 200
    assert response.body == b""
    assert "content-type" not in response.index
    assert response.first("accept")


def test_tags_of_answers_are_all_different(world: World) -> None:
    """§19.3: 32 bits at least; these are 48."""
    alice = world.phone("alice")
    tags = set()
    for _ in range(500):
        alice >> alice.request("OPTIONS", SERVER)
        tags.add((alice << 200).to_tag)
    assert len(tags) == 500
    assert {len(tag) for tag in tags} == {12}


# provisional responses


def test_100_carries_the_timestamp_and_no_tag(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT, "Timestamp: 54.2")
    trying = alice << 100
    assert trying.first("timestamp") == "54.2"  # sent at once: there is no delay to add
    assert trying.to_tag == ""
    pool >> reply(pool << "INVITE", 486)
    pool << "ACK"
    assert "timestamp" not in alice.fail_call(486).index


def test_an_invite_is_told_trying_at_once(world: World) -> None:
    """§17.2.1: well inside the 200 ms, whatever the next hop does."""
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    pool >> reply(pool << "INVITE", 486)
    pool << "ACK"
    alice.fail_call(486)


# CANCEL and ACK say nothing of extensions


def test_require_in_a_cancel_is_passed_over(world: World) -> None:
    """§8.2.2.3: it could not be sent again without."""
    alice, pool = world.phone("alice"), world.server()
    invite = alice.request("INVITE", CONTACT_OBJECT)
    alice >> invite
    alice << 100
    at_pool = pool << "INVITE"
    pool >> reply(at_pool, 180)
    alice << 180
    cancel = alice.cancel(invite)
    alice >> cancel.encode().replace(b"Max-Forwards", b"Require: x-odd\r\nProxy-Require: y-odd\r\nMax-Forwards")
    alice << 200
    pool >> reply(pool << "CANCEL", 200)
    pool >> reply(at_pool, 487)
    pool << "ACK"
    alice.fail_call(487)


def test_proxy_require_in_an_ack_is_passed_over(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    pool >> reply(pool << "INVITE", 200, contact=pool.contact)
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK", "Require: x-odd", "Proxy-Require: y-odd")
    assert (pool << "ACK").first("proxy-require") == "y-odd"
    alice.nothing()


# stateless answers (§8.2.7)


def refused_twice(world: World) -> tuple[Party, list[Response]]:
    """A gateway that is full answers an INVITE and its copy without a transaction."""
    alice, bob = world.phone("alice", "UDP"), world.phone("bob", "UDP")
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    invite = bob.request("INVITE", CONTACT_OBJECT)
    found = []
    for _ in range(2):
        bob >> invite
        found.append(bob << 503)
    return bob, found


def test_a_copy_of_a_request_that_was_refused_without_state_gets_the_same_answer() -> None:
    """To tag included: it is the same answer, only made anew."""
    bob, (first, again) = refused_twice(World(max_transactions=1))
    assert first.to_tag
    assert again.encode() == first.encode()
    bob.nothing()


def test_a_copy_of_a_request_that_cannot_be_read_gets_the_same_answer(world: World) -> None:
    alice = world.phone("alice", "UDP")
    broken = alice.request("OPTIONS", SERVER).encode().replace(b"CSeq: 1 OPTIONS", b"CSeq: 1 INVITE")
    tags = set()
    for _ in range(2):
        alice >> broken
        tags.add((alice << 400).to_tag)
    assert len(tags) == 1


def test_what_was_refused_without_state_is_not_repeated_and_its_ack_is_passed_over() -> None:
    world = World(max_transactions=1)
    bob, (first, _) = refused_twice(world)
    bob >> bob.ack_failure(first)
    world.advance(1)
    bob.nothing()


# the registrar


@pytest.mark.parametrize(
    "lines",
    [
        ("Contact: *",),
        ("Contact: <<",),
        ("Contact: <sip:a@h>;expires=1",),
        ("Contact: <sip:a@h>;q=7",),
        ("Require: x-odd",),
        ("Proxy-Require: x-odd",),
        ("Event: presence",),
        ("Path: <sip:a@h>",),
        ("Contact: <sip:a@h>" + ", <sip:b@h>" * 20,),
    ],
)
def test_a_registrar_says_nothing_of_the_whole_world(world: World, lines: tuple[str, ...]) -> None:
    """§10.3: no 6xx, and no Record-Route in any answer."""
    bob = world.phone("bob")
    bob >> bob.request("REGISTER", SERVER, *lines, "Record-Route: <sip:p.test;lr>", to=bob.uri)
    (response,) = bob.inbox
    assert isinstance(response, Response)
    assert 400 <= response.status < 600
    assert "record-route" not in response.index
    bob.inbox.clear()


def test_a_register_for_another_domain_is_forwarded_for_those_who_may(make_world: MakeWorld) -> None:
    """§10.3 step 1, §16: a trusted peer's is a request like any other."""
    world = make_world(trusted=(ip_network("192.0.2.0/24"),))
    edge, other = world.server("UDP", "192.0.2.51", 5060), world.server("UDP", "203.0.113.9", 5060)
    edge >> edge.request("REGISTER", "sip:203.0.113.9", "Contact: <sip:a@h>", to="sip:a@203.0.113.9")
    register = other << "REGISTER"
    assert "record-route" not in register.index
    other >> reply(register, 200)
    edge << 200
    assert world.engine.sizes().bindings == 0


def test_a_service_route_of_another_registrar_passes_untouched(make_world: MakeWorld) -> None:
    """RFC 3608 §6.2."""
    world = make_world(trusted=(ip_network("192.0.2.0/24"),))
    edge, other = world.server("UDP", "192.0.2.51", 5060), world.server("UDP", "203.0.113.9", 5060)
    edge >> edge.request("REGISTER", "sip:203.0.113.9", "Contact: <sip:a@h>", to="sip:a@203.0.113.9")
    line = "Service-Route: <sip:one.test;lr>, <sip:two.test;lr>"
    other >> reply(other << "REGISTER", 200, line, "Contact: <sip:a@h>;expires=60")
    assert line in (edge << 200).lines


# silence that lasts (RFC 4320 §4.1)


def test_a_register_that_waits_for_the_store_is_told_trying(make_world: MakeWorld) -> None:
    """As any non-INVITE that is not answered while its sender slows down to T2."""
    world = make_world()
    world.store = "holds"
    bob = world.phone("bob", "UDP")
    bob >> bob.register()
    world.advance(3.49)
    bob.nothing()
    world.advance(0.02)
    bob << 100
    world.release()
    bob << 200


def test_a_request_that_waits_for_a_name_is_told_trying(make_world: MakeWorld) -> None:
    world = make_world([default_pool(Server("TCP", "pc.example.test", 5041))])
    world.resolver = "holds"
    alice = world.phone("alice", "UDP")
    alice >> alice.request("MESSAGE", CONTACT_OBJECT)
    world.advance(3.6)
    alice << 100
    world.release()
    alice << 504

"""Flows of one client (RFC 5626): how they are registered, and how requests choose among them."""

from ipaddress import ip_network

import pytest

from sipgw.message import Response
from tests.harness import DOMAIN, MakeWorld, Party, World, diagnostics_of, reply
from tests.scenarios.registration.steps import BOB, flow, misses, reaches, refused, registers, uris

OUTBOUND = "Supported: path, outbound"
EDGE = "203.0.113.80"


def phone(world: World, transport: str = "TCP", number: int = 0) -> Party:
    return world.phone("bob", transport, host="198.51.100.30", port=41000 + number)


def two_flows(world: World, transport: str = "TCP") -> tuple[Party, Party]:
    """One client with two connections; the second is the one registered last, and so tried first."""
    first, second = phone(world, transport, 1), phone(world, transport, 2)
    registers(first, flow(1, 1), OUTBOUND, call_id="flow1")
    world.advance(1)
    registers(second, flow(1, 2), OUTBOUND, call_id="flow2")
    return first, second


# registering


def test_the_answer_says_that_outbound_is_in_use(bob: Party) -> None:
    answer = registers(bob, flow(1, 1), OUTBOUND)
    assert answer.tokens("require") == {"outbound"}
    assert ";reg-id=1" in answer.values("contact")[0]


@pytest.mark.parametrize("transport", ["TCP", "TLS"], indirect=True)
def test_a_flow_timer_is_told_on_connections(bob: Party) -> None:
    assert registers(bob, flow(1, 1), OUTBOUND).first("flow-timer") == "300"


def test_no_flow_timer_for_datagrams(world: World) -> None:
    """Their keep-alive is STUN, and has to be more frequent than anything that we would say (§4.4.2)."""
    answer = registers(phone(world, "UDP"), flow(1, 1), OUTBOUND)
    assert "flow-timer" not in answer.index
    assert answer.tokens("require") == {"outbound"}


@pytest.mark.parametrize(
    "lines",
    [
        (flow(1, 1),),  # the client does not ask for outbound
        (flow(1), OUTBOUND),
        ("Contact: <sip:bob@198.51.100.30>;reg-id=1", OUTBOUND),  # without an instance reg-id means nothing (§6)
    ],
)
def test_where_outbound_is_not_used_it_is_not_required(bob: Party, lines: tuple[str, ...]) -> None:
    answer = registers(bob, *lines)
    assert "require" not in answer.index
    assert "flow-timer" not in answer.index
    assert "reg-id" not in answer.values("contact")[0]


def test_require_outbound_is_understood(bob: Party) -> None:
    assert registers(bob, flow(1, 1), OUTBOUND, "Require: outbound").tokens("require") == {"outbound"}


def test_flows_with_one_contact_stand_side_by_side(world: World, bob: Party) -> None:
    """As most clients do it: one Contact, several connections."""
    registers(bob, flow(1, 1), OUTBOUND)
    registers(bob, flow(1, 2), OUTBOUND)
    assert uris(bob) == ["sip:bob@198.51.100.30"] * 2


def test_a_flow_is_replaced_by_its_own_number_only(bob: Party) -> None:
    registers(bob, flow(1, 1, "sip:a@h"), OUTBOUND)
    registers(bob, flow(1, 2, "sip:b@h"), OUTBOUND)
    registers(bob, flow(1, 1, "sip:c@h"), OUTBOUND)
    registers(bob, flow(2, 1, "sip:d@h"), OUTBOUND)
    assert sorted(uris(bob)) == ["sip:b@h", "sip:c@h", "sip:d@h"]


def test_a_classic_contact_and_a_flow_leave_each_other_alone(bob: Party) -> None:
    registers(bob, flow(1, 1, "sip:a@h"), OUTBOUND)
    registers(bob, flow(1, None, "sip:a@h"))
    assert uris(bob) == ["sip:a@h"] * 2
    registers(bob, flow(1, None, "sip:a@h"), "Expires: 0")
    (left,) = registers(bob).values("contact")
    assert "reg-id=1" in left


def test_a_flow_is_removed_by_its_number(bob: Party) -> None:
    registers(bob, flow(1, 1), OUTBOUND)
    registers(bob, flow(1, 2), OUTBOUND)
    answer = registers(bob, flow(1, 1), OUTBOUND, "Expires: 0")
    assert "require" not in answer.index
    assert ["reg-id=2" in value for value in answer.values("contact")] == [True]


def test_a_wildcard_removes_flows_too(bob: Party) -> None:
    registers(bob, flow(1, 1), OUTBOUND)
    registers(bob, flow(1, 2), OUTBOUND)
    registers(bob, "Contact: *", "Expires: 0")
    assert uris(bob) == []


@pytest.mark.parametrize("number", ["0", "-1", "x", "", "2147483648", "99999999999", "1.5"])
def test_a_number_that_is_none(bob: Party, number: str) -> None:
    refused(bob, flow(1, None, "sip:a@h", f"reg-id={number}"), OUTBOUND, status=400, because="reg-id")


def test_only_one_flow_can_be_registered_at_a_time(bob: Party) -> None:
    """§6: the others would not be flows of the connection that this request came by."""
    refused(bob, flow(1, 1), flow(1, 2), OUTBOUND, status=400, because="more than one Contact with reg-id")
    registers(bob, flow(1, 1), flow(1, 2, "sip:b@h", "expires=0"), OUTBOUND)


def through(world: World, *lines: str, status: int = 200) -> Response:
    edge = world.server("UDP", EDGE, 5060, name="bob")
    request = edge.request("REGISTER", f"sip:{DOMAIN}", *lines, to=BOB).encode()
    edge >> request.replace(b"Max-Forwards", b"Via: SIP/2.0/UDP 10.0.0.5;branch=z9hG4bKclient\r\nMax-Forwards", 1)
    answer: Response = edge << status
    return answer


def test_a_first_hop_that_added_no_path(world: World) -> None:
    answer = through(world, flow(1, 1), OUTBOUND, status=439)
    assert "no Path" in (answer.first("warning") or "")


def test_a_first_hop_that_writes_its_via_on_the_line_of_the_client(world: World) -> None:
    """§7.3.1: two values on one line are two hops as well."""
    edge = world.server("UDP", EDGE, 5060, name="bob")
    request = edge.request("REGISTER", f"sip:{DOMAIN}", flow(1, 1), OUTBOUND, to=BOB).encode()
    edge >> request.replace(b"\r\nMax-Forwards", b", SIP/2.0/UDP 10.0.0.5;branch=z9hG4bKclient\r\nMax-Forwards", 1)
    assert "no Path" in ((edge << 439).first("warning") or "")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"<sip:{EDGE};lr>", 439),
        (f"<sip:{EDGE};lr;ob>", 200),
        (f"<sip:token@{EDGE};ob;lr>", 200),
        (f"<sip:core.test;lr;ob>, <sip:{EDGE};lr>", 439),  # the first hop of the client stands last
        (f"<sip:core.test;lr>, <sip:{EDGE};lr;ob>", 200),
    ],
)
def test_whether_the_first_hop_keeps_flows(make_world: MakeWorld, path: str, status: int) -> None:
    world = make_world(trusted=(ip_network(f"{EDGE}/32"),))
    answer = through(world, flow(1, 1), OUTBOUND, f"Path: {path}", status=status)
    if status == 200:
        assert answer.tokens("require") == {"outbound"}
        assert "flow-timer" not in answer.index  # that is for the first hop to say
        assert answer.values("path") == path.split(", ")


def test_a_client_without_outbound_may_come_by_any_first_hop(world: World) -> None:
    through(world, flow(1))


# being called


def test_a_request_goes_down_one_flow_only(world: World, alice: Party) -> None:
    """§7: both lead to the same client, which would ring twice."""
    first, second = two_flows(world)
    reaches(alice, BOB, second)
    first.nothing()


def test_the_next_flow_is_taken_when_one_is_gone(world: World, alice: Party) -> None:
    first, second = two_flows(world)
    second.break_connection()
    reaches(alice, BOB, first)


@pytest.mark.parametrize("status", [430, 408])
def test_the_next_flow_is_taken_when_one_has_failed(world: World, alice: Party, status: int) -> None:
    """430 comes from an edge that has lost its connection to the client."""
    first, second = two_flows(world)
    alice >> alice.request("INVITE", BOB)
    alice << 100
    second >> reply(second << "INVITE", status)
    second << "ACK"
    first >> reply(first << "INVITE", 486)
    first << "ACK"
    alice.fail_call(486)


@pytest.mark.parametrize("status", [486, 404, 480, 500, 503, 603])
def test_the_next_flow_is_not_taken_when_the_client_has_answered(world: World, alice: Party, status: int) -> None:
    """RFC 5626 §7: after 408 and 430 alone. A 503 goes back as 500, as that of any client (§16.7 item 6)."""
    first, second = two_flows(world)
    alice >> alice.request("INVITE", BOB)
    alice << 100
    second >> reply(second << "INVITE", status)
    second << "ACK"
    alice.fail_call(500 if status == 503 else status)
    first.nothing()


@pytest.mark.parametrize("status", [408, 430, 487])
def test_the_next_flow_is_not_taken_after_timer_c(world: World, alice: Party, status: int) -> None:
    """The phone rang for three minutes, so it was reached: it is not to ring again over its other connection."""
    first, second = two_flows(world)
    alice >> alice.request("INVITE", BOB)
    alice << 100
    at_bob = second << "INVITE"
    second >> reply(at_bob, 180)
    alice << 180
    world.advance(182)
    second >> reply(second << "CANCEL", 200)
    second >> reply(at_bob, status)
    second << "ACK"
    first.nothing()
    alice.fail_call(480 if status == 430 else status)


def test_the_next_flow_is_taken_when_the_connection_breaks_under_way(world: World, alice: Party) -> None:
    first, second = two_flows(world)
    alice >> alice.request("INVITE", BOB)
    alice << 100
    second << "INVITE"
    second.break_connection()
    first >> reply(first << "INVITE", 200, contact="sip:bob@198.51.100.30")
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK")
    first << "ACK"


def test_all_flows_are_gone(world: World, alice: Party) -> None:
    for party in two_flows(world):
        party.break_connection()
    assert diagnostics_of(misses(alice, BOB, 480))[0] == 1007


def test_all_flows_fail(world: World, alice: Party) -> None:
    first, second = two_flows(world)
    alice >> alice.request("INVITE", BOB)
    alice << 100
    for party in (second, first):
        party >> reply(party << "INVITE", 430)
        party << "ACK"
    alice.fail_call(480)


def test_nobody_dials_a_flow(world: World, alice: Party) -> None:
    """§5.3: it is what the client has opened; a listening port with its address is somebody else's for all we know."""
    bob = phone(world)
    registers(bob, flow(1, 1, "sip:bob@198.51.100.30:5060;transport=tcp"), OUTBOUND)
    bob.break_connection()
    other = world.server("TCP", "198.51.100.30", 5060)
    misses(alice, BOB, 480)
    other.nothing()


def test_flows_of_two_clients_ring_together_each_once(world: World, alice: Party) -> None:
    first, second = two_flows(world)
    other = world.phone("bob", "TCP", host="198.51.100.31")
    registers(other, flow(2, 1), OUTBOUND, call_id="other")
    alice >> alice.request("INVITE", BOB)
    alice << 100
    for party in (second, other):
        party >> reply(party << "INVITE", 486)
        party << "ACK"
    alice.fail_call(486)
    first.nothing()


def test_a_flow_of_lower_q_is_no_second_chance(world: World, alice: Party) -> None:
    """It is still the same client."""
    first, second = phone(world, number=1), phone(world, number=2)
    registers(first, flow(1, 1, "sip:bob@h", "q=0.1"), OUTBOUND, call_id="flow1")
    registers(second, flow(1, 2, "sip:bob@h", "q=0.9"), OUTBOUND, call_id="flow2")
    alice >> alice.request("INVITE", BOB)
    alice << 100
    second >> reply(second << "INVITE", 486)
    second << "ACK"
    alice.fail_call(486)
    first.nothing()


def test_a_datagram_flow_is_where_the_register_came_from(world: World, alice: Party) -> None:
    """Whatever the Contact says: only there is the way through the NAT open."""
    bob = world.phone("bob", "UDP", host="203.0.113.9", port=33000)
    registers(bob, flow(1, 1, "sip:bob@203.0.113.9:5070"), OUTBOUND)
    reaches(alice, BOB, bob)


def test_a_silent_datagram_flow_gives_way_to_the_next(world: World) -> None:
    alice = world.phone("alice", "TCP")
    silent, second = phone(world, "UDP", 1), phone(world, "UDP", 2)
    registers(second, flow(1, 2), OUTBOUND, call_id="flow2")
    world.advance(1)
    registers(silent, flow(1, 1), OUTBOUND, call_id="flow1")
    alice >> alice.request("INVITE", BOB)
    alice << 100
    world.advance(32)
    silent.inbox.clear()
    second >> reply(second << "INVITE", 486)
    second << "ACK"
    alice.fail_call(486)


def test_a_client_that_registers_a_flow_anew_is_found_by_it(world: World, alice: Party) -> None:
    bob = phone(world)
    registers(bob, flow(1, 1), OUTBOUND)
    bob.break_connection()
    misses(alice, BOB, 480)
    bob.connect(port=41500)
    registers(bob, flow(1, 1), OUTBOUND, call_id="again")
    reaches(alice, BOB, bob)
    assert len(uris(bob)) == 1


def test_flows_come_back_after_a_restart_when_they_are_datagrams(make_world: MakeWorld, world: World) -> None:
    bob = phone(world, "UDP")
    registers(bob, flow(1, 1), OUTBOUND)
    stream = world.phone("carol", "TCP")
    registers(stream, flow(2, 1), OUTBOUND)
    after = make_world()
    after.engine.load_bindings([row for persist in world.persisted for row in persist.puts])
    again = phone(after, "UDP")
    reaches(after.phone("alice"), BOB, again)
    misses(after.phone("alice"), f"sip:carol@{DOMAIN}", 480)

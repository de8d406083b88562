"""Calls to users who are registered, are not, were, or just come and go."""

import pytest

from tests.harness import DOMAIN, MakeWorld, Party, World, diagnostics_of, reply
from tests.scenarios.registration.steps import BOB, INSTANCE, LYNC, flow, misses, reaches, registers, uris


def rings(caller: Party, desk: Party, uri: str = BOB) -> None:
    """A whole call: INVITE, 200, ACK, BYE."""
    caller >> caller.request("INVITE", uri)
    caller << 100
    invite = desk << "INVITE"
    answer = reply(invite, 200, contact=desk.contact)
    desk >> answer
    dialog = caller.calling(caller << 200)
    caller >> dialog.request("ACK")
    desk << "ACK"
    caller >> dialog.request("BYE")
    desk >> reply(desk << "BYE", 200)
    caller << 200


def test_nobody_has_heard_of_the_user(alice: Party) -> None:
    alice >> alice.request("INVITE", BOB)
    assert diagnostics_of(alice.fail_call(404))[0] == 1003


def test_called_after_registering(alice: Party, bob: Party) -> None:
    bob.sign_in()
    rings(alice, bob)


def test_called_before_and_after(alice: Party, bob: Party) -> None:
    misses(alice, BOB, 404)
    bob.sign_in()
    rings(alice, bob)


def test_called_while_the_store_is_slow(world: World, alice: Party, bob: Party) -> None:
    """The binding counts as soon as it is decided: a call that is in time to be taken is not turned away."""
    world.store = "holds"
    bob >> bob.register()
    rings(alice, bob)
    world.release()
    bob << 200


def test_called_after_the_store_failed(world: World, alice: Party, bob: Party) -> None:
    world.store = "disk full"
    bob >> bob.register()
    bob << 500
    assert diagnostics_of(misses(alice, BOB, 480))[0] == 1007


def test_called_after_signing_out(alice: Party, bob: Party) -> None:
    bob.sign_in()
    registers(bob, f"Contact: <{bob.contact}>;expires=0")
    assert diagnostics_of(misses(alice, BOB, 480))[0] == 1007


def test_signing_out_does_not_end_a_call_that_rings(alice: Party, bob: Party) -> None:
    bob.sign_in()
    alice >> alice.request("INVITE", BOB)
    alice << 100
    invite = bob << "INVITE"
    registers(bob, "Contact: *", "Expires: 0")
    answer = reply(invite, 200, contact=bob.contact)
    bob >> answer
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK")
    bob << "ACK"
    alice >> dialog.request("BYE")
    bob >> reply(bob << "BYE", 200)
    alice << 200


def test_running_out_does_not_end_a_dialog(world: World, alice: Party, bob: Party) -> None:
    bob.sign_in()
    alice >> alice.request("INVITE", BOB)
    alice << 100
    bob >> reply(bob << "INVITE", 200, contact=bob.contact)
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK")
    bob << "ACK"
    world.advance(3600)
    misses(alice, BOB, 480)
    alice >> dialog.request("INFO")
    bob >> reply(bob << "INFO", 200)
    alice << 200


def test_the_request_uri_becomes_the_contact(alice: Party, bob: Party) -> None:
    """§16.6 item 2; parameters of the address-of-record are left behind, those of the contact kept."""
    registers(bob, f"Contact: <{bob.contact};ms-opaque=abc>")
    assert reaches(alice, f"{BOB};user=phone", bob).uri == f"{bob.contact};ms-opaque=abc"


def test_a_user_may_call_himself(bob: Party) -> None:
    bob.sign_in()
    reaches(bob, BOB, bob)


def desks(world: World, transport: str, *q: str) -> list[Party]:
    found = []
    for number, value in enumerate(q):
        desk = world.phone("bob", transport, host=f"198.51.100.{40 + number}")
        registers(desk, f"Contact: <{desk.contact}>;q={value}", call_id=f"desk{number}")
        found.append(desk)
    return found


def test_the_preferred_desk_is_asked_first(world: World, transport: str, alice: Party) -> None:
    low, high = desks(world, transport, "0.3", "0.8")
    alice >> alice.request("INVITE", BOB)
    alice << 100
    high >> reply(high << "INVITE", 486)
    high << "ACK"
    invite = low << "INVITE"
    low >> reply(invite, 200, contact=low.contact)
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK")
    low << "ACK"


def test_desks_of_equal_q_are_asked_together(world: World, transport: str, alice: Party) -> None:
    first, second = desks(world, transport, "0.5", "0.500")
    alice >> alice.request("INVITE", BOB)
    alice << 100
    for desk in (first, second):
        desk >> reply(desk << "INVITE", 486)
        desk << "ACK"
    alice.fail_call(486)


def test_a_change_of_q_changes_the_order(world: World, transport: str, alice: Party) -> None:
    one, two = desks(world, transport, "0.3", "0.8")
    registers(one, f"Contact: <{one.contact}>;q=1", call_id="desk0")
    alice >> alice.request("MESSAGE", BOB)
    one >> reply(one << "MESSAGE", 200)
    alice << 200
    two.nothing()


def test_one_desk_signs_out_and_the_other_is_called(world: World, transport: str, alice: Party) -> None:
    one, two = desks(world, transport, "0.5", "0.5")
    registers(one, f"Contact: <{one.contact}>;expires=0", call_id="desk0")
    rings(alice, two)
    one.nothing()


def test_a_desk_whose_time_is_up_is_not_called(world: World, transport: str, alice: Party) -> None:
    one, two = desks(world, transport, "1", "0.5")
    registers(one, f"Contact: <{one.contact}>;expires=300", call_id="desk0")
    registers(two, f"Contact: <{two.contact}>;expires=900;q=0.5", call_id="desk1")
    world.advance(301)
    reaches(alice, BOB, two)
    one.nothing()


# where the client is


def test_a_datagram_client_behind_nat_is_reached_where_it_came_from(world: World, alice: Party) -> None:
    bob = world.phone("bob", "UDP", host="203.0.113.9", port=33000)
    registers(bob, "Contact: <sip:bob@10.0.0.5:5060>")
    assert reaches(alice, BOB, bob).uri == "sip:bob@10.0.0.5:5060"


def test_a_datagram_client_with_another_port_is_reached_there(world: World, alice: Party) -> None:
    bob = world.phone("bob", "UDP", host="203.0.113.9", port=33000)
    listens = world.phone("bob", "UDP", host="203.0.113.9", port=5070)
    registers(bob, "Contact: <sip:bob@203.0.113.9:5070>")
    reaches(alice, BOB, listens)
    bob.nothing()


def test_a_contact_at_a_third_party_does_not_send_anything_there(world: World, alice: Party) -> None:
    victim = world.phone("victim", "UDP", host="203.0.113.99", port=5060)
    mallory = world.phone("mallory", "UDP", host="203.0.113.66", port=5060)
    registers(mallory, "Contact: <sip:x@203.0.113.99:5060>")
    reaches(alice, f"sip:mallory@{DOMAIN}", mallory)
    victim.nothing()


@pytest.mark.parametrize("transport", ["TCP", "TLS"], indirect=True)
def test_a_client_on_a_connection_is_reached_on_it(alice: Party, bob: Party) -> None:
    registers(bob, "Contact: <sip:bob@10.0.0.5:12345;transport=tcp>")
    rings(alice, bob)


@pytest.mark.parametrize("transport", ["TCP", "TLS"], indirect=True)
def test_another_connection_replaces_the_first(alice: Party, bob: Party) -> None:
    """The same Contact by another connection: that is where calls go from now on."""
    registers(bob, "Contact: <sip:bob@10.0.0.5>")
    bob.connect(port=41001)
    registers(bob, "Contact: <sip:bob@10.0.0.5>")
    rings(alice, bob)
    assert uris(bob) == ["sip:bob@10.0.0.5"]


@pytest.mark.parametrize("transport", ["TCP", "TLS"], indirect=True)
def test_the_loss_of_the_first_connection_is_no_loss(world: World, alice: Party, bob: Party) -> None:
    registers(bob, "Contact: <sip:bob@10.0.0.5>")
    first = bob.flow
    assert first is not None
    bob.connect(port=41001)
    registers(bob, "Contact: <sip:bob@10.0.0.5>")
    world.disconnect(first, "reset")
    rings(alice, bob)


@pytest.mark.parametrize("transport", ["TCP", "TLS"], indirect=True)
def test_a_client_whose_connection_is_gone_cannot_be_called(alice: Party, bob: Party) -> None:
    bob.sign_in()
    bob.break_connection()
    assert diagnostics_of(misses(alice, BOB, 480))[0] == 1007
    bob.connect(port=41001)
    bob.sign_in()
    rings(alice, bob)


@pytest.mark.parametrize("transport", ["TCP", "TLS"], indirect=True)
def test_a_lync_client_that_came_back_is_called_once(alice: Party, bob: Party) -> None:
    """By another port, so under another Contact; its instance tells that it is the same."""
    for port in (41001, 41002):
        bob.connect(port=port)
        registers(bob, flow(1, uri=bob.contact), *LYNC, call_id=f"port-{port}")
    rings(alice, bob)
    bob.nothing()
    assert uris(bob) == [bob.contact]


def test_a_registration_over_another_transport_leads_there(world: World, alice: Party) -> None:
    udp, tcp = world.phone("bob", "UDP", host="198.51.100.41"), world.phone("bob", "TCP", host="198.51.100.42")
    registers(udp, "Contact: <sip:bob@198.51.100.41:7000>", call_id="one")
    registers(tcp, "Contact: <sip:bob@198.51.100.41:7000>", call_id="two")
    rings(alice, tcp)
    udp.nothing()


# a restart


def test_a_datagram_client_is_reached_after_a_restart(make_world: MakeWorld, world: World) -> None:
    bob = world.phone("bob", "UDP", host="198.51.100.30", port=5070)
    bob.sign_in()
    after = make_world()
    after.engine.load_bindings([row for persist in world.persisted for row in persist.puts])
    same_bob = after.phone("bob", "UDP", host="198.51.100.30", port=5070)
    reaches(after.phone("alice"), BOB, same_bob)
    assert uris(same_bob) == [bob.contact]


def test_a_refresh_after_a_restart_still_has_to_be_in_order(make_world: MakeWorld, world: World) -> None:
    bob = world.phone("bob", "UDP", host="198.51.100.30", port=5070)
    registers(bob, f"Contact: <{bob.contact}>", cseq=7)
    after = make_world()
    after.engine.load_bindings([row for persist in world.persisted for row in persist.puts])
    same_bob = after.phone("bob", "UDP", host="198.51.100.30", port=5070)
    registers(same_bob, f"Contact: <{bob.contact}>", cseq=6, status=500)
    answer = registers(same_bob, f"Contact: <{bob.contact}>", cseq=8)
    assert "presence-state" not in answer.index


def test_an_instance_is_only_a_name_among_classic_contacts(world: World, transport: str, alice: Party) -> None:
    """RFC 5626 §6: without reg-id the rules of RFC 3261 hold, so both are called."""
    one = world.phone("bob", transport, host="198.51.100.41")
    two = world.phone("bob", transport, host="198.51.100.42")
    for number, desk in enumerate((one, two)):
        registers(desk, f'Contact: <{desk.contact}>;+sip.instance="<{INSTANCE}1>"', call_id=str(number))
    alice >> alice.request("MESSAGE", BOB)
    one >> reply(one << "MESSAGE", 404)
    two >> reply(two << "MESSAGE", 200)
    alice << 200

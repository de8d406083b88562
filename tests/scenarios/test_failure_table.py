"""Every failure that the gateway explains: the status, the ms-diagnostics id, and a log line that says why."""

from typing import Any

import pytest

from sipgw.message import Response
from sipgw.registry import Server
from tests.harness import (
    CONTACT_OBJECT,
    DISTRUSTED,
    DOMAIN,
    REFUSING,
    SILENT,
    MakeWorld,
    Party,
    World,
    default_endpoint,
    default_pool,
    diagnostics_of,
    reply,
)


def fails(party: Party, status: int, diagnostics: int) -> Response:
    """The party's INVITE fails like this, and the log says so too."""
    response = party.fail_call(status)
    assert diagnostics_of(response)[0] == diagnostics
    entry: dict[str, Any] = party.world.failures()[-1]
    assert entry["status"] == status
    assert entry["reason"].startswith(str(diagnostics))
    party.nothing()
    return response


def test_nobody_has_this_address(world: World) -> None:
    alice = world.phone("alice")
    alice >> alice.request("INVITE", f"sip:nobody@{DOMAIN}")
    fails(alice, 404, 1003)


def test_a_user_part_on_the_gateway_itself(world: World) -> None:
    alice = world.phone("alice")
    alice >> alice.request("INVITE", "sip:ocschat@192.0.2.1:5060")
    fails(alice, 404, 1003)


def test_a_disabled_endpoint(make_world: MakeWorld) -> None:
    world = make_world(endpoints=[default_endpoint(enabled=False)])
    alice = world.phone("alice")
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    fails(alice, 404, 4005)


def test_a_user_who_has_signed_out(world: World) -> None:
    alice, bob = world.phone("alice"), world.phone("bob")
    bob.sign_in()
    bob >> bob.register(expires=0, cseq=2)
    bob << 200
    alice >> alice.request("INVITE", bob.uri)
    fails(alice, 480, 1007)


def test_a_user_whose_registration_has_run_out(world: World) -> None:
    alice, bob = world.phone("alice"), world.phone("bob")
    bob.sign_in()
    world.advance(601)
    alice >> alice.request("INVITE", bob.uri)
    fails(alice, 480, 1007)


def test_a_user_whose_connection_is_gone(world: World) -> None:
    """The binding is still there; nobody listens at the address that the connection came from."""
    alice, bob = world.phone("alice"), world.phone("bob")
    bob.sign_in()
    bob.break_connection()
    alice >> alice.request("INVITE", bob.uri)
    alice << 100
    fails(alice, 480, 1007)


def test_a_foreign_domain(world: World) -> None:
    alice = world.phone("alice")
    alice >> alice.request("INVITE", "sip:ocschat@elsewhere.test")
    fails(alice, 403, 1005)


def established(world: World) -> tuple[Party, Party, Any]:
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    at_pool = pool << "INVITE"
    pool >> reply(at_pool, 200, contact=pool.contact)
    dialog = alice.calling(alice << 200)
    alice >> dialog.request("ACK")
    pool << "ACK"
    return alice, pool, dialog


def test_a_forged_route(world: World) -> None:
    alice, pool, dialog = established(world)
    mac, _, body = dialog.routes[0].partition(".")
    dialog.routes = [f"<sip:{'0' * 20}.{body}"]
    assert mac != f"<sip:{'0' * 20}"
    alice >> dialog.request("INFO")
    assert diagnostics_of(alice << 481)[0] == 1004
    pool.nothing()


def test_the_route_of_another_dialog(world: World) -> None:
    alice, pool, dialog = established(world)
    dialog.call_id = "another"
    alice >> dialog.request("INFO")
    assert diagnostics_of(alice << 481)[0] == 1004
    pool.nothing()


def test_an_ack_with_a_forged_route_is_dropped(world: World) -> None:
    alice, pool, dialog = established(world)
    dialog.call_id = "another"
    alice >> dialog.request("ACK")
    alice.nothing()
    pool.nothing()
    assert world.engine.counters["ack_dropped"] == 1


def test_a_client_that_is_gone_and_did_not_return(world: World) -> None:
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    at_pool = pool << "INVITE"
    ok = reply(at_pool, 200, contact=pool.contact)
    pool >> ok
    alice.break_connection()
    pool >> pool.called(at_pool, ok).request("INFO")
    assert diagnostics_of(pool << 481)[0] == 1004


def test_a_pool_name_without_an_address(make_world: MakeWorld) -> None:
    world = make_world([default_pool(Server("TCP", "pc1.example.test", 5041))])
    alice = world.phone("alice")
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    response = alice.fail_call(504)
    number, text = diagnostics_of(response)
    assert number == 1014
    assert "pc1.example.test" in text


def test_every_pool_server_down(world: World) -> None:
    alice, servers = world.phone("alice"), world.pool_servers()
    for server in servers:
        server.state = REFUSING
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    _, text = diagnostics_of(fails(alice, 504, 1011))
    assert "tcp:192.0.2.51:5041 connection refused" in text
    assert "tcp:192.0.2.52:5041 connection refused" in text


def test_every_pool_server_silent(world: World) -> None:
    alice, servers = world.phone("alice"), world.pool_servers()
    for server in servers:
        server.state = SILENT
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    world.advance(5.9)
    alice.nothing()
    world.advance(0.2)
    _, text = diagnostics_of(fails(alice, 504, 1011))
    assert "tcp:192.0.2.51:5041 timeout" in text
    assert "tcp:192.0.2.52:5041 timeout" in text


def test_a_pool_certificate_that_is_not_trusted(make_world: MakeWorld) -> None:
    world = make_world([default_pool(Server("TLS", "192.0.2.51", 5061))])
    alice, pool = world.phone("alice"), world.server("TLS", port=5061)
    pool.state = DISTRUSTED
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    fails(alice, 504, 1010)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (["Retry-After: 40", "Retry-After: 5 (soon);duration=9"], "5"),
        (["Retry-After: 5", "Retry-After: 40"], "5"),
        (["Retry-After: 9999999", "Retry-After: 9999999"], "3600"),
        (["Retry-After: 5", "X: y"], "30"),
        (["X: y", "Retry-After: 5"], "30"),
        (["Retry-After: 0", "Retry-After: 5"], "30"),
        (["X: y", "X: y"], "30"),
    ],
)
def test_every_pool_server_answers_503(world: World, said: list[str], told: str) -> None:
    """The caller is told to come back when the first of them may take it, as far as all have said when (§21.5.4)."""
    alice, servers = world.phone("alice"), world.pool_servers()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    for server, line in zip(servers, said, strict=True):
        server >> reply(server << "INVITE", 503, line)
        server << "ACK"
    response = fails(alice, 503, 20000)
    assert response.lines_of("retry-after") == [told]


def test_one_is_gone_and_the_other_answers_503(world: World) -> None:
    """When the first will be back nobody knows."""
    alice, (first, second) = world.phone("alice"), world.pool_servers()
    first.state = REFUSING
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    second >> reply(second << "INVITE", 503, "Retry-After: 5")
    second << "ACK"
    assert fails(alice, 503, 20000).first("retry-after") == "30"


def test_an_overloaded_gateway(make_world: MakeWorld) -> None:
    world = make_world(max_transactions=1)
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    alice >> alice.request("OPTIONS", f"sip:{DOMAIN}")
    response = alice << 503
    assert diagnostics_of(response)[0] == 13011
    assert response.first("retry-after") == "30"
    assert world.engine.counters["refused"] == 1
    pool >> reply(pool << "INVITE", 486)
    alice.fail_call(486)
    pool << "ACK"
    world.advance(40)
    alice >> alice.request("OPTIONS", f"sip:{DOMAIN}")
    alice << 200


def refused_beside_a_call(world: World) -> tuple[Party, Party, Any]:
    """A gateway with room for one transaction, and a call in it."""
    alice, pool = world.phone("alice"), world.server()
    invite = alice.request("INVITE", CONTACT_OBJECT)
    alice >> invite
    alice << 100
    return alice, pool, invite


def test_the_ack_to_a_refusal_goes_nowhere() -> None:
    world = World(max_transactions=1)
    _, pool, _ = refused_beside_a_call(world)
    pool << "INVITE"
    bob = world.phone("bob")
    bob >> bob.request("INVITE", CONTACT_OBJECT)
    bob.fail_call(503)
    pool.nothing()


def test_the_ack_to_an_unreadable_invite_goes_nowhere() -> None:
    world = World()
    alice, pool = world.phone("alice"), world.server()
    invite = alice.request("INVITE", CONTACT_OBJECT)
    alice >> invite.encode().replace(b"Content-Length: 0", b"Content-Length: 7")
    alice.sent[invite.call_id] = invite
    alice.fail_call(400)
    pool.nothing()


def test_an_overloaded_gateway_lets_calls_be_cancelled() -> None:
    world = World(max_transactions=1)
    alice, pool, invite = refused_beside_a_call(world)
    pool >> reply(pool << "INVITE", 180)
    alice << 180
    alice >> alice.cancel(invite)
    alice << 200
    pool << "CANCEL"


def test_a_register_for_the_uri_of_an_endpoint(world: World) -> None:
    intruder = world.phone("ocschat")
    intruder >> intruder.register()
    number, text = diagnostics_of(intruder << 403)
    assert number == 4004
    assert "is the endpoint of pool pcpool.example.test" in text
    assert world.engine.sizes().bindings == 0


@pytest.mark.parametrize(
    "uri", ["sip:OCSCHAT@Example.TEST", "sip:%6fcschat@example.test", "sip:ocschat@example.test;x=y"]
)
def test_a_register_for_the_uri_of_an_endpoint_in_another_spelling(world: World, uri: str) -> None:
    intruder = world.phone("mallory")
    line = "Contact: <sip:mallory@198.51.100.7>"
    intruder >> intruder.request("REGISTER", f"sip:{DOMAIN}", line, to=uri)
    assert diagnostics_of(intruder << 403)[0] == 4004


def test_a_register_for_a_foreign_domain(world: World) -> None:
    alice = world.phone("alice")
    alice >> alice.request("REGISTER", "sip:elsewhere.test", f"Contact: <{alice.contact}>")
    assert diagnostics_of(alice << 403)[0] == 1005
    alice >> alice.request("REGISTER", f"sip:{DOMAIN}", f"Contact: <{alice.contact}>", to="sip:alice@elsewhere.test")
    assert diagnostics_of(alice << 404)[0] == 1003  # §10.3 step 5

"""What a request has to show before it is routed (issue: sign in for real, and nobody where they don't belong)."""

import pytest

from sipgw.message import Request
from sipgw.registry import Server
from tests.harness import CONTACT_OBJECT, DOMAIN, FQDN, POOL_FQDN, Party, World, default_pool, reply
from tests.scenarios.sign_in.people import ACCOUNTS, Directory, Person, account, gate_for, with_headers

POOL_CONTACT = "sip:ocschat@192.0.2.51:5041;transport=tcp"


def call(person: Person, pool: Party, *headers: str) -> Request:
    """An INVITE to the contact object that comes through; as the pool got it."""
    person.ask("INVITE", CONTACT_OBJECT, *headers)
    person.party << 100
    invite: Request = pool << "INVITE"
    return invite


@pytest.mark.parametrize("method", ["INVITE", "SUBSCRIBE", "MESSAGE", "OPTIONS", "INFO", "BYE", "FOO"])
def test_a_stranger_is_asked_whatever_the_request(world: World, method: str) -> None:
    pool = world.pool_servers()[0]
    mallory = world.phone("alice")
    mallory >> mallory.request(method, CONTACT_OBJECT)
    asked = mallory << 407
    assert [value.split()[0] for value in asked.lines_of("proxy-authenticate")] == ["Digest", "Digest"]
    assert asked.first("date") is not None
    pool.nothing()
    mallory.nothing()


def test_a_registrar_asks_with_401(world: World) -> None:
    mallory = world.phone("alice")
    mallory >> mallory.register()
    asked = mallory << 401
    assert f'realm="{DOMAIN}"' in asked.lines_of("www-authenticate")[0]
    assert world.engine.location.count == 0


def test_a_call_of_somebody_who_has_signed_in(world: World) -> None:
    pool = world.pool_servers()[0]
    alice = Person(world.phone("alice"))
    alice.register()
    invite = call(alice, pool)
    assert invite.lines_of("p-asserted-identity") == [f"<sip:alice@{DOMAIN}>"]
    assert not invite.lines_of("proxy-authorization") and not invite.lines_of("authorization")
    pool >> reply(invite, 200, contact=POOL_CONTACT)
    ok = alice.party << 200
    dialog = alice.party.calling(ok)
    alice.party >> dialog.request("ACK")
    pool << "ACK"
    alice.send(dialog.request("INFO", body=b"x"))
    info = pool << "INFO"
    assert info.lines_of("p-asserted-identity") == [f"<sip:alice@{DOMAIN}>"]
    pool >> reply(info, 200)
    alice.party << 200
    there = pool.called(invite, reply(invite, 200))
    pool >> there.request("INFO", body=b"y")
    down = alice.party << "INFO"
    assert not down.lines_of("p-asserted-identity"), "the pool is on our side and asserts what it likes"
    alice.party >> reply(down, 200)
    pool << 200


def test_an_info_without_credentials_is_asked_for_them(world: World) -> None:
    pool = world.pool_servers()[0]
    alice = Person(world.phone("alice"))
    invite = call(alice, pool)
    pool >> reply(invite, 200, contact=POOL_CONTACT)
    dialog = alice.party.calling(alice.party << 200)
    alice.party >> dialog.request("INFO", body=b"x")
    alice.party << 407
    pool.nothing()


@pytest.mark.parametrize("claim", ["P-Asserted-Identity", "P-Preferred-Identity"])
def test_what_a_client_says_that_it_is_counts_for_nothing(world: World, claim: str) -> None:
    pool = world.pool_servers()[0]
    invite = call(Person(world.phone("alice")), pool, f'{claim}: "The boss" <sip:boss@{DOMAIN}>')
    assert invite.lines_of(claim.lower()) == ([f"<sip:alice@{DOMAIN}>"] if claim.startswith("P-A") else [])


@pytest.mark.parametrize(
    "other",
    [
        'Digest username="a", realm="chat.example.test", nonce="n", uri="sip:x", response="r"',
        "Digest username=a, realm=chat.example.test, response=r",
        f'Digest username="a, realm={DOMAIN}", realm="x{DOMAIN}", response="r"',
        f'Digest x="\\"", realm="\\"{DOMAIN}", response="r"',
        f'Digest\tREALM = "{DOMAIN}." , response="r"',
        "Basic YTpi",
        f'Bearer realm="{DOMAIN}"',
    ],
)
def test_credentials_for_others_pass(world: World, other: str) -> None:
    pool = world.pool_servers()[0]
    invite = call(Person(world.phone("alice")), pool, f"Authorization: {other}", f"Proxy-Authorization: {other}")
    assert invite.lines_of("authorization") == [other]
    assert invite.lines_of("proxy-authorization") == [other]


OWN_SPELLINGS = {  # of credentials for our realm, which are good in each
    "plain": lambda line: line,
    "unquoted": lambda line: line.replace(f'realm="{DOMAIN}"', f"realm={DOMAIN}"),
    "quoted-pair": lambda line: line.replace(f'realm="{DOMAIN}"', f'realm="\\{DOMAIN}"'),
    "spaced": lambda line: line.replace(f'realm="{DOMAIN}"', f'realm = \t"{DOMAIN}" '),
    "capitals": lambda line: line.replace("realm=", "REALM=").replace("Digest ", "dIGEST "),
    "a-tab": lambda line: line.replace("Digest ", "Digest\t"),
    "a-fold": lambda line: line.replace("Digest ", "Digest\r\n "),
    "close": lambda line: line.replace(", realm", ",realm"),
    "another-before": lambda line: line.replace("Digest ", 'Digest x="a, realm=", '),
    "one-within-another": lambda line: line.replace("Digest ", 'Digest x="\\", realm=\\"b\\"", '),
    "first": lambda line: line.replace(f', realm="{DOMAIN}"', "").replace("Digest ", f'Digest realm="{DOMAIN}", '),
}


@pytest.mark.parametrize("spelling", OWN_SPELLINGS)
def test_credentials_for_us_go_no_further_however_they_are_written(world: World, spelling: str) -> None:
    pool, alice = world.pool_servers()[0], Person(world.phone("alice"))
    alice.ask("OPTIONS", f"sip:{DOMAIN}")  # so that there is a nonce
    alice.party << 200
    request = alice.party.request("MESSAGE", CONTACT_OBJECT, cseq=9)
    (line,) = alice.digest.credentials("MESSAGE", CONTACT_OBJECT)
    line = OWN_SPELLINGS[spelling](line)
    unread = (
        'Authorization: Digest realm="x", realm="y"',
        f"Authorization: Digest realm={DOMAIN}",
        "Authorization: ntlm",
    )
    alice.party >> with_headers(request, [line, *unread])
    message = pool << "MESSAGE"
    assert not message.lines_of("proxy-authorization") and not message.lines_of("authorization")
    pool >> reply(message, 200)
    alice.party << 200


@pytest.mark.parametrize("of", ["bob", "carol", "ocschat"])
def test_nobody_speaks_for_another(world: World, of: str) -> None:
    pool = world.pool_servers()[0]
    alice = Person(world.phone(of), "alice")
    alice.ask("INVITE", CONTACT_OBJECT)
    refused = alice.party.fail_call(403)
    assert str(refused.first("ms-diagnostics")).startswith(f'4004;source="{FQDN}"')
    assert f"sip:{of}@{DOMAIN}, signed in as sip:alice@{DOMAIN}" in str(refused.first("ms-diagnostics"))
    pool.nothing()


def test_nobody_registers_another(world: World) -> None:
    alice = Person(world.phone("alice"))
    alice.ask("REGISTER", f"sip:{DOMAIN}", f"Contact: <{alice.party.contact}>", to=f"sip:bob@{DOMAIN}")
    refused = alice.party << 403
    assert "4004" in str(refused.first("ms-diagnostics"))
    assert world.engine.location.count == 0


def test_the_case_of_an_address_is_no_difference(world: World) -> None:
    alice = Person(world.phone("Alice"), "alice")
    assert alice.register().status == 200


def test_a_disabled_account_is_told_so_when_the_password_is_right(world: World) -> None:
    carol = Person(world.phone("carol"))
    carol.ask("REGISTER", f"sip:{DOMAIN}", f"Contact: <{carol.party.contact}>", to=carol.party.uri)
    refused = carol.party << 403
    assert "the account is disabled" in str(refused.first("warning"))


def test_a_wrong_password_is_a_line_in_the_log(world: World) -> None:
    alice = Person(world.phone("alice"), password="wrong")
    alice.ask("REGISTER", f"sip:{DOMAIN}", f"Contact: <{alice.party.contact}>", to=alice.party.uri)
    (log,) = [log for log in world.logs if log.event == "sign-in failed"]
    assert log.fields == {
        "user": "alice", "from": f"sip:alice@{DOMAIN}", "method": "REGISTER", "source": str(alice.party.flow),
        "reason": "wrong password",
    }  # fmt: skip


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_a_challenge_is_sent_once_and_leaves_no_state(world: World, transport: str) -> None:
    """RFC 3261 §26.3.2.4: else a datagram with a forged source would have a victim sent eleven."""
    mallory = world.phone("alice", transport)
    mallory >> mallory.request("INVITE", CONTACT_OBJECT)
    first = mallory << 407
    assert world.engine.sizes().server_transactions == 0
    world.advance(40.0)
    mallory.nothing()
    mallory >> mallory.ack_failure(first)
    mallory.nothing()
    mallory >> mallory.sent[first.call_id]
    assert (mallory << 407).to_tag == first.to_tag, "the same for each copy"


def test_a_nonce_is_good_where_it_was_given_out(world: World) -> None:
    """A user could otherwise sign in, or call, in the name of an address that he cannot be reached at."""
    alice = Person(world.phone("alice", "UDP"))
    alice.register()
    alice.party = world.phone("alice", "UDP", "203.0.113.9")
    alice.send(alice.party.register(cseq=7))
    asked = alice.party << 401
    assert "stale=true" in asked.lines_of("www-authenticate")[0]
    assert alice.register().status == 200, "and there it can be answered"


def test_who_is_disabled_while_signed_in_is_out(world: World, directory: Directory) -> None:
    pool = world.pool_servers()[0]
    alice = Person(world.phone("alice"))
    alice.register()
    directory.now_has(account("alice", enabled=False))
    alice.ask("INVITE", CONTACT_OBJECT)
    assert "disabled" in str(alice.party.fail_call(403).first("warning"))
    directory.now_has(account("bob"))
    alice.send(alice.party.request("MESSAGE", CONTACT_OBJECT, cseq=9))
    alice.party << 407
    pool.nothing()


def test_servers_are_not_asked(world: World) -> None:
    pool = world.pool_servers()[0]
    alice = Person(world.phone("alice"))
    alice.register()
    invite = call(alice, pool)  # the gateway has dialled the pool now
    pool >> reply(invite, 200, contact=POOL_CONTACT)
    alice.party << 200
    pool >> pool.request("MESSAGE", alice.party.uri)
    message = alice.party << "MESSAGE"
    alice.party >> reply(message, 200)
    pool << 200


def test_a_pools_server_may_dial_back_within_its_dialogs(world: World) -> None:
    """As it has to when the gateway was restarted. From elsewhere, or outside of them, it is somebody who has to prove
    who it is."""
    pool = world.pool_servers()[0]
    alice = Person(world.phone("alice"))
    invite = call(alice, pool)
    ok = reply(invite, 200, contact=POOL_CONTACT)
    pool >> ok
    alice.party << 200
    again = world.phone("ocschat", host=pool.host, port=50001)
    there = again.called(invite, ok)
    again >> there.request("INFO", body=b"y")
    info = alice.party << "INFO"
    alice.party >> reply(info, 200)
    again << 200
    again >> again.request("MESSAGE", alice.party.uri)
    again << 407
    elsewhere = world.phone("ocschat", host="198.51.100.66")
    elsewhere >> elsewhere.called(invite, ok).request("INFO", body=b"z")
    elsewhere << 407
    alice.party.nothing()


def test_a_user_on_the_pools_host_is_not_the_pool(world: World) -> None:
    pool = world.pool_servers()[0]
    alice = Person(world.phone("alice", host=pool.host))
    invite = call(alice, pool)
    pool >> reply(invite, 200, contact=POOL_CONTACT)
    dialog = alice.party.calling(alice.party << 200)
    alice.party >> dialog.request("INFO", body=b"x")
    alice.party << 407
    pool.nothing()


def test_a_udp_server_of_a_pool_is_known_by_its_address() -> None:
    world = World([default_pool(Server("UDP", "192.0.2.51", 5041))], realm=DOMAIN)
    world.engine.use_gate(gate_for(Directory(ACCOUNTS), world.engine.counters))
    pool = world.server("UDP", "192.0.2.51", 5041)
    pool >> pool.request("OPTIONS", f"sip:{FQDN}")
    pool << 200
    beside = world.phone("ocschat", "UDP", "192.0.2.51", 5042)
    beside >> beside.request("OPTIONS", f"sip:{FQDN}")
    beside << 407


def test_who_was_dialled_for_a_contact_is_no_server(world: World) -> None:
    """A user names a port of his machine as a contact; what comes back over that connection has to prove who it is."""
    alice, caller = Person(world.phone("alice", "UDP", "198.51.100.66")), Person(world.phone("bob"))
    mallory = world.server("TCP", "198.51.100.66", 5060, name="bob")
    contact = f"Contact: <sip:alice@{mallory.host}:{mallory.port};transport=tcp>"
    alice.ask("REGISTER", f"sip:{DOMAIN}", contact, "Expires: 600", to=alice.party.uri)
    alice.party << 200
    caller.ask("MESSAGE", alice.party.uri)
    message = mallory << "MESSAGE"
    mallory >> reply(message, 200)
    caller.party << 200
    mallory >> mallory.request("INVITE", CONTACT_OBJECT)
    mallory << 407


def test_a_pool_is_known_by_its_certificate(world: World) -> None:
    pool = world.phone("ocschat", "TLS", "192.0.2.99", names=(POOL_FQDN,))
    pool >> pool.request("OPTIONS", f"sip:{FQDN}")
    pool << 200
    other = world.phone("ocschat", "TLS", "192.0.2.99", names=("mail.example.test",))
    other >> other.request("OPTIONS", f"sip:{FQDN}")
    other << 407


def test_cancel_comes_the_way_of_its_invite(world: World) -> None:
    pool = world.pool_servers()[0]
    alice = Person(world.phone("alice"))
    alice.ask("INVITE", CONTACT_OBJECT)
    alice.party << 100
    invite = pool << "INVITE"
    pool >> reply(invite, 180)
    alice.party << 180
    sent = alice.party.sent[invite.call_id]
    mallory = world.phone("mallory", host="198.51.100.66")
    mallory >> alice.party.cancel(sent)
    mallory << 481
    pool.nothing()
    alice.party >> alice.party.cancel(sent)
    alice.party << 200
    pool << "CANCEL"


def test_asking_ends_on_a_connection_that_gets_nowhere(world: World, directory: Directory) -> None:
    world.engine.use_gate(gate_for(directory, world.engine.counters, max_challenges=5))
    mallory = world.phone("alice")
    last = mallory.flow
    assert last is not None
    for number in range(5):
        mallory >> mallory.request("INVITE", CONTACT_OBJECT, cseq=number + 1)
        mallory.fail_call(407)
    mallory >> mallory.request("INVITE", CONTACT_OBJECT, cseq=6)
    refused = mallory << 403
    assert "5 challenges on one connection have led to no sign-in" in str(refused.first("warning"))
    assert [(closed.cid, closed.reason) for closed in world.closed] == [
        (last.cid, "5 challenges on one connection have led to no sign-in")
    ]
    assert world.engine.counters["challenges_exhausted"] == 1
    again = Person(world.phone("alice"))
    assert again.register().status == 200


def test_signing_in_clears_the_count(world: World, directory: Directory) -> None:
    world.engine.use_gate(gate_for(directory, world.engine.counters, max_challenges=2))
    alice = Person(world.phone("alice"))
    for _ in range(4):
        alice.register()
        alice.party >> alice.party.request("OPTIONS", f"sip:{FQDN}")
        alice.party << 407
    assert not world.closed


def test_nonces_stay_good_over_a_change_of_configuration(world: World, directory: Directory) -> None:
    alice = Person(world.phone("alice"))
    alice.register()
    world.engine.use_gate(gate_for(directory, world.engine.counters))
    alice.send(alice.party.request("REGISTER", f"sip:{DOMAIN}", to=alice.party.uri, cseq=9))
    alice.party << 200


def test_without_a_gate_nothing_is_asked_any_more(world: World) -> None:
    world.engine.use_gate(None)
    alice = world.phone("alice")
    alice.sign_in()


def test_credentials_for_us_go_no_further_from_a_lonely_ack(world: World) -> None:
    pool = world.pool_servers()[0]
    alice = Person(world.phone("alice"))
    invite = call(alice, pool)
    pool >> reply(invite, 200, contact=POOL_CONTACT)
    dialog = alice.party.calling(alice.party << 200)
    ack = dialog.request("ACK")
    alice.party >> with_headers(ack, alice.digest.credentials("INVITE", ack.uri))
    got = pool << "ACK"
    assert not got.lines_of("proxy-authorization")


@pytest.mark.parametrize(
    ("callee", "status", "diagnosis"), [("bob", 480, "1007"), ("carol", 404, "4005"), ("nobody", 404, "1003")]
)
def test_the_directory_knows_who_could_be_called(world: World, callee: str, status: int, diagnosis: str) -> None:
    alice = Person(world.phone("alice"))
    alice.ask("MESSAGE", f"sip:{callee}@{DOMAIN}")
    assert str((alice.party << status).first("ms-diagnostics")).startswith(f"{diagnosis};")


def test_who_is_disabled_is_not_called_any_more(world: World, directory: Directory) -> None:
    alice, bob = Person(world.phone("alice")), Person(world.phone("bob"))
    bob.register()
    directory.now_has(account("alice"), account("bob", enabled=False))
    alice.ask("MESSAGE", bob.party.uri)
    assert "4005" in str((alice.party << 404).first("ms-diagnostics"))
    bob.party.nothing()

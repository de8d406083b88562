"""The many forms that a REGISTER comes in: what is taken, what is refused, and with which words (RFC 3261 §10)."""

from random import Random

import pytest

from sipgw.engine import Engine, EngineSettings
from tests.harness import DOMAIN, FQDN, SECRET, MakeWorld, Party, World, diagnostics_of, make_registry
from tests.scenarios.registration.steps import BOB, contact, misses, reaches, refused, registers, uris


def test_a_first_registration_is_answered_with_what_was_bound(bob: Party) -> None:
    answer = registers(bob, contact(), "Expires: 700")
    assert answer.values("contact") == ["<sip:desk1@198.51.100.30>;expires=700"]
    assert answer.first("expires") == "700"
    assert answer.to_tag


def test_a_query_shows_bindings_and_changes_none(world: World, bob: Party) -> None:
    registers(bob, contact())
    stored = len(world.persisted)
    assert uris(bob) == uris(bob) == ["sip:desk1@198.51.100.30"]
    assert len(world.persisted) == stored


def test_a_query_for_somebody_who_never_registered(bob: Party) -> None:
    assert uris(bob) == []


def test_record_route_is_passed_over_and_not_returned(bob: Party) -> None:
    """§10.3: proxies that take REGISTER for any request may have put it there."""
    assert "record-route" not in registers(bob, contact(), "Record-Route: <sip:p.example.test;lr>").index


@pytest.mark.parametrize(
    "to",
    [
        "sip:bob@example.test;user=phone",
        "sip:bob@EXAMPLE.test",
        "sip:BOB@example.test",
        "sip:%62ob@example.test",
        "sip:bob@example.test:5060",
        "sip:bob@example.test;transport=tcp;x=y",
        "sip:bob:secret@example.test",
        "sips:bob@example.test",
    ],
)
def test_one_address_of_record_in_many_spellings(bob: Party, to: str) -> None:
    """§10.3 step 5: parameters are cut off and escapes undone before it is looked up."""
    registers(bob, contact(), to=to)
    assert uris(bob) == ["sip:desk1@198.51.100.30"]


def test_to_with_a_display_name_and_without_brackets(bob: Party) -> None:
    registers(bob, contact(1))
    request = bob.request("REGISTER", f"sip:{DOMAIN}", contact(2), call_id="named").encode()
    bob >> request.replace(f"To: <sip:{DOMAIN}>".encode(), b'To: "Bob, the <b>" <sip:bob@example.test>;x=1')
    bob << 200
    request = bob.request("REGISTER", f"sip:{DOMAIN}", contact(3), call_id="bare").encode()
    bob >> request.replace(f"To: <sip:{DOMAIN}>".encode(), b"To: sip:bob@example.test;x=1")
    bob << 200
    assert len(uris(bob)) == 3


@pytest.mark.parametrize("uri", [f"sip:{FQDN}", "sip:192.0.2.1:5060"])
def test_a_request_uri_that_names_this_server(bob: Party, uri: str) -> None:
    registers(bob, contact(), uri=uri)
    assert uris(bob) == ["sip:desk1@198.51.100.30"]


def test_a_request_uri_with_a_user_in_it(bob: Party) -> None:
    """§10.2 forbids it to clients and does not ask registrars to mind."""
    registers(bob, contact(), uri=BOB)
    assert uris(bob) == ["sip:desk1@198.51.100.30"]


@pytest.mark.parametrize("to", ["sip:bob@elsewhere.test", "sip:example.test", "sip:bob@192.0.2.1"])
def test_to_is_no_user_of_the_domain(bob: Party, to: str) -> None:
    assert diagnostics_of(refused(bob, contact(), to=to, status=404))[0] == 1003


def test_to_is_no_sip_uri(bob: Party) -> None:
    """RFC 4475 §3.3.4: nothing else can be an address of record."""
    refused(bob, contact(), to="tel:+4930123", status=400)


def test_each_domain_registers_its_own_users(world: World) -> None:
    """§10.3 step 5: the address-of-record has to be one of the domain in the Request-URI."""
    domains = frozenset({DOMAIN, "second.test"})
    world.engine = Engine(EngineSettings(FQDN, domains, SECRET), make_registry([], []), world.listeners, Random(1))
    bob = world.phone("bob", "UDP")
    refused(bob, contact(), uri=f"sip:{DOMAIN}", to="sip:bob@second.test", status=404)
    registers(bob, contact(), uri="sip:second.test", to="sip:bob@second.test")
    registers(bob, contact(), uri=f"sip:{FQDN}", to="sip:bob@second.test")
    assert uris(bob) == []


def test_to_cannot_be_read(bob: Party) -> None:
    refused(bob, contact(), to="sip:bob@exa mple.test", status=400)


def test_another_domain_is_no_business_of_ours(bob: Party) -> None:
    refused(bob, contact(), uri="sip:elsewhere.test", to="sip:bob@elsewhere.test", status=403)


def test_a_contact_object_cannot_be_registered(world: World, bob: Party) -> None:
    """An address is an endpoint or a user, never both, in any spelling."""
    for user in ("ocschat", "%6fcschat", "OCSCHAT"):
        refused(bob, contact(), to=f"sip:{user}@{DOMAIN}", status=403, because="is the endpoint of pool")


def test_somebody_registers_for_somebody_else(world: World, alice: Party, bob: Party) -> None:
    """§10.2: From may differ from To. As long as nobody proves who he is, there is nothing to hold against it."""
    registers(alice, f"Contact: <{bob.contact}>", to=BOB)
    assert uris(bob) == [bob.contact]


@pytest.mark.parametrize("tags", ["foo", "path, foo", "foo, bar"])
def test_an_extension_that_is_required_and_unknown(bob: Party, tags: str) -> None:
    unknown = tags.replace("path, ", "")
    assert refused(bob, contact(), f"Require: {tags}", status=420).first("unsupported") == unknown


def test_proxy_require_is_looked_at_too(bob: Party) -> None:
    assert refused(bob, contact(), "Proxy-Require: foo", status=420).first("unsupported") == "foo"


# Contact


@pytest.mark.parametrize(
    "value",
    [
        "sip:desk1@198.51.100.30",
        "<sip:desk1@198.51.100.30>",
        "Bob <sip:desk1@198.51.100.30>",
        '"Bob \\"B\\", of <x>" <sip:desk1@198.51.100.30>',
        "\t<sip:desk1@198.51.100.30>  ;x=y",
    ],
)
def test_a_contact_in_many_forms(bob: Party, value: str) -> None:
    registers(bob, f"Contact: {value}")
    assert uris(bob) == ["sip:desk1@198.51.100.30"]


def test_contacts_in_one_line_and_in_many(bob: Party) -> None:
    registers(bob, "Contact: <sip:1@h>, <sip:2@h>;q=0.2", "m: <sip:3@h>;q=0.3", "CONTACT: <sip:4@h>;q=0.4")
    assert uris(bob) == ["sip:1@h", "sip:4@h", "sip:3@h", "sip:2@h"]


@pytest.mark.parametrize(
    "value",
    [
        "",
        ",",
        "<sip:a@>",
        "<sip:>",
        "<>",
        "<nonsense>",
        "<sip:a@h",
        "<sip:a b@h>",
        "*x",
        "<1:2>",
        '<tel:"2>',
        "<sip:a@h>x",
    ],
)
def test_a_contact_that_cannot_be_read(bob: Party, value: str) -> None:
    refused(bob, f"Contact: {value}", status=400)


def test_a_contact_that_is_too_long(bob: Party) -> None:
    refused(bob, f"Contact: <sip:{'x' * 5000}@h>", status=400)
    refused(bob, f"Contact: <x:{'x' * 5000}>", status=400)


def test_an_instance_that_is_too_long(bob: Party) -> None:
    refused(bob, contact(1, f'+sip.instance="<{"x" * 300}>"'), status=400, because="longer than 256")


def test_as_many_contacts_as_are_allowed_and_one_more(make_world: MakeWorld) -> None:
    bob = make_world().phone("bob")
    refused(bob, "Contact: " + ", ".join(f"<sip:{n}@h>" for n in range(17)), status=400, because="more than 16")
    registers(bob, "Contact: " + ", ".join(f"<sip:{n}@h>;expires=0" for n in range(16)))


@pytest.mark.parametrize("uri", ["tel:+49301234", "mailto:bob@example.test", "https://example.test/bob?x=1"])
def test_contacts_of_other_schemes_are_kept_and_not_called(alice: Party, bob: Party, uri: str) -> None:
    """§10.2.1 allows any URI. They are there to be shown; this server has no way to them."""
    registers(bob, f"Contact: <{uri}>;q=1.0, <{bob.contact}>;q=0.5")
    assert uris(bob) == [uri, bob.contact]
    reaches(alice, BOB, bob)
    registers(bob, f"Contact: <{bob.contact}>;expires=0")
    assert diagnostics_of(misses(alice, BOB, 480))[0] == 1007
    registers(bob, f"Contact: <{uri}>;expires=0")
    assert uris(bob) == []


def test_what_a_request_uri_may_not_have_is_left_out(alice: Party, bob: Party) -> None:
    """§16.6 item 2: a Contact may carry header fields and a method."""
    registers(bob, f"Contact: <{bob.contact};method=INVITE;x=1?Subject=hello&Priority=urgent>")
    message = reaches(alice, BOB, bob)
    assert message.uri == f"{bob.contact};x=1"


@pytest.mark.parametrize("q", ["1.1", "-0.1", "high", "0.5555", ".5"])
def test_a_q_outside_its_grammar(bob: Party, q: str) -> None:
    refused(bob, contact(1, f"q={q}"), status=400, because="q=")


def test_a_contact_that_is_a_gruu_of_ours(bob: Party) -> None:
    """RFC 5627 §5.1: a request to it would come back here for ever."""
    for tail in (";gr=urn:uuid:1", ";gr", ";opaque=user:epid:x;gruu"):
        refused(bob, f"Contact: <{BOB}{tail}>", status=403, because="leads back here")
    registers(bob, "Contact: <sip:bob@elsewhere.test;gr=urn:uuid:1>")


def test_an_instance_cannot_have_its_own_address_for_a_contact(bob: Party) -> None:
    line = f'Contact: <{BOB}>;+sip.instance="<urn:uuid:1>"'
    refused(bob, line, "Supported: gruu", status=403, because="leads back here")


# characters that must not get out of where they belong


def test_escaped_line_ends_in_a_user_stay_escaped(world: World, bob: Party) -> None:
    """The address-of-record is kept with its escapes undone, and goes into GRUUs."""
    to = "sip:b%0d%0aEvil:%20x@example.test"
    answer = registers(bob, contact(1, '+sip.instance="<urn:uuid:1>"'), "Supported: gruu", to=to)
    assert not [line for line in answer.lines if line.lower().startswith("evil")]
    assert answer.values("contact")[0].count("%0D%0A".lower()) + answer.values("contact")[0].count("%0D%0A") == 2


def test_an_instance_with_quotes_in_it_stays_in_its_quotes(bob: Party) -> None:
    answer = registers(bob, contact(1, '+sip.instance="<urn:a\\";x=\\"b>"'), "Supported: gruu")
    (value,) = answer.values("contact")
    assert value.count('+sip.instance="<urn:a\\";x=\\"b>"') == 1
    assert 'pub-gruu="sip:bob@example.test;gr=urn:a%22%3Bx%3D%22b"' in value

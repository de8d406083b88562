"""URIs where a test of their parts says too little: IPv6, escapes, unknown parameters (§19.1, RFC 5954)."""

import pytest

from sipgw.message import MalformedUri, parse_uri
from sipgw.message.uri import equivalent
from sipgw.message.values import parse_via
from tests.harness import DOMAIN, MakeWorld, World, reply


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("sip:a@[2001:db8::1]", "sip:a@[2001:DB8::1]", True),
        ("sip:a@[2001:db8::1]", "sip:a@[2001:db8:0:0:0:0:0:1]", True),
        ("sip:a@[2001:db8::9:1]", "sip:a@[2001:db8::9:01]", True),
        ("sip:a@[::ffff:192.0.2.128]", "sip:a@[::ffff:c000:280]", True),
        ("sip:a@[2001:db8::1]", "sip:a@[2001:db8::2]", False),
        ("sip:a@[2001:db8::1]:5060", "sip:a@[2001:db8::1]", False),
        ("sip:a@[::ffff:192.0.2.128]", "sip:a@192.0.2.128", False),
    ],
)
def test_ipv6_addresses_are_compared_by_what_they_are(a: str, b: str, same: bool) -> None:
    """RFC 5954 §4.2: not by how they are written."""
    assert equivalent(parse_uri(a), parse_uri(b)) is same


@pytest.mark.parametrize("host", ["[2001:db8::1]", "[::1]", "[::ffff:192.0.2.1]", "[2001:db8:0:0:0:0:192.0.2.1]"])
def test_every_form_of_ipv6_address_is_read(host: str) -> None:
    assert parse_uri(f"sip:a@{host}:5060").host == host[1:-1]
    assert parse_via(f"SIP/2.0/UDP {host}:5060;branch=z9hG4bK1").host == host[1:-1]


@pytest.mark.parametrize("uri", ["sip:a@ex%61mple.test", "sip:a@example%2etest", "sip:a@%31.2.3.4"])
def test_a_host_has_no_escapes(uri: str) -> None:
    """§19.1.2: they are not undone, whatever they might mean."""
    with pytest.raises(MalformedUri):
        parse_uri(uri)


def test_a_parameter_that_nobody_knows_is_passed_over(world: World) -> None:
    """§19.1.1."""
    alice, bob = world.phone("alice"), world.phone("bob")
    bob.sign_in()
    alice >> alice.request("MESSAGE", f"{bob.uri};x-odd;y=1;user=phone")
    bob >> reply(bob << "MESSAGE", 200)
    alice << 200


def test_the_parameters_of_a_contact_stay_in_the_request_uri(make_world: MakeWorld) -> None:
    """§19.1.5: transport, user and unknown ones."""
    world = make_world()
    alice, bob = world.phone("alice"), world.phone("bob")
    contact = f"{bob.contact};user=phone;x-odd;y=1"
    bob >> bob.register(contact=contact)
    bob << 200
    alice >> alice.request("MESSAGE", bob.uri)
    got = bob << "MESSAGE"
    assert got.uri == contact
    bob >> reply(got, 200)
    alice << 200


@pytest.mark.parametrize("part", ["%20", "%7F", "%25"])
def test_escapes_in_a_user_stay_as_they_are_on_the_way(world: World, part: str) -> None:
    alice, bob = world.phone("alice"), world.phone("bob")
    contact = bob.contact.replace("bob@", f"b{part}b@")
    bob >> bob.register(contact=contact)
    assert f"<{contact}>" in ((bob << 200).first("contact") or "")
    alice >> alice.request("MESSAGE", bob.uri)
    got = bob << "MESSAGE"
    assert got.uri == contact
    bob >> reply(got, 200)
    alice << 200


@pytest.mark.parametrize("name", ["Contact", "From", "To"])
def test_what_follows_an_address_without_brackets_is_not_part_of_it(world: World, name: str) -> None:
    """§20.10: parameters of the header, not of the URI."""
    bob = world.phone("bob")
    value = f"sip:bob@{DOMAIN}" if name != "Contact" else "sip:bob@198.51.100.9"
    lines = {"From": f"From: <{bob.uri}>;tag=1", "To": f"To: <{bob.uri}>", "Contact": "Contact: <sip:b@h>"}
    lines[name] = f"{name}: {value};transport=tcp;tag=7"
    request = bob.register()
    kept = [line for line in request.lines if line.partition(":")[0] not in lines]
    bob >> "\r\n".join([request.start, *kept, *lines.values(), "", ""]).encode()
    answer = bob << 200
    (bound,) = answer.values("contact")
    assert bound.startswith("<sip:bob@198.51.100.9>;" if name == "Contact" else "<sip:b@h>;")

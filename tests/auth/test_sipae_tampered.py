"""Requests of a client that has signed in, tampered with: none is let in, and none harms the client."""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipgw.auth.answer import Answer
from sipgw.auth.replay import WINDOW
from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Request, Response
from sipgw.message.parser import parse_message
from tests.auth.vectors.peer import ALICE, BOB, Peer, Site, refused, signed_in

TO = '"The Pool" <sip:pool@contoso.com>;tag=t2'
LINES = ("P-Asserted-Identity: <sip:alice@contoso.com>, <tel:+4930>", "Expires: 600")


def signed(peer: Peer) -> Request:
    return peer.signed("SUBSCRIBE", *LINES, to=TO)


def replaced(request: Request, old: str, new: str) -> Request:
    """The same request with a text replaced, parsed again."""
    whole = request.encode().decode("latin-1")
    assert whole.count(old) == 1, old
    message = parse_message(whole.replace(old, new).encode("latin-1"))
    assert isinstance(message, Request)
    return message


def turned_away(peer: Peer, request: Request) -> bool:
    """It is not let in, and the client goes on as if nothing had been."""
    assert isinstance(peer.site.judge(request, peer.flow), Answer)
    return peer.send() is ALICE


ALTERED = {  # each value that is signed, in turn
    "crand": ('crand="', 'crand="0'),
    "cnum": ('cnum="2"', 'cnum="3"'),
    "cnum, written otherwise": ('cnum="2"', 'cnum="02"'),
    "realm": ('realm="SIP Communications Service"', 'realm="SIP Communications service"'),
    "targetname": ('targetname="fe01.contoso.com"', 'targetname="FE01.contoso.com"'),
    "Call-ID": ("Call-ID: call-3", "Call-ID: call-2"),
    "Call-ID in other case": ("Call-ID: call-3", "Call-ID: Call-3"),
    "CSeq number": ("CSeq: 3 SUBSCRIBE", "CSeq: 4 SUBSCRIBE"),
    "CSeq number, written otherwise": ("CSeq: 3 SUBSCRIBE", "CSeq: 03 SUBSCRIBE"),
    "CSeq method": ("CSeq: 3 SUBSCRIBE", "CSeq: 3 SERVICE"),
    "method": ("SUBSCRIBE sip:pool@contoso.com SIP/2.0", "MESSAGE sip:pool@contoso.com SIP/2.0"),
    "From URI": ("<sip:alice@contoso.com>;tag=t1", "<sip:bob@contoso.com>;tag=t1"),
    "From URI in other case": ("<sip:alice@contoso.com>;tag=t1", "<sip:Alice@contoso.com>;tag=t1"),
    "From URI with a parameter": ("<sip:alice@contoso.com>;tag=t1", "<sip:alice@contoso.com;x>;tag=t1"),
    "From tag": (";tag=t1", ";tag=t3"),
    "no From tag": (";tag=t1", ""),
    "To URI": ('"The Pool" <sip:pool@contoso.com>', '"The Pool" <sip:poll@contoso.com>'),
    "To tag": (";tag=t2", ";tag=t3"),
    "no To tag": (";tag=t2", ""),
    "SIP identity": ("Identity: <sip:alice@", "Identity: <sip:bob@"),
    "tel identity": ("<tel:+4930>", "<tel:+4931>"),
    "no tel identity": (", <tel:+4930>", ""),
    "no identity": ("P-Asserted-Identity", "X-Asserted-Identity"),
    "Expires": ("Expires: 600", "Expires: 0"),
    "no Expires": ("Expires: 600\r\n", ""),
    "response": ('response="01', 'response="02'),
    "opaque": ('opaque="', 'opaque="0'),
    "scheme": ("Authorization: NTLM", "Authorization: Kerberos"),
}
SWAPPED = {  # values in each other's places, and moved over the borders between them
    "tags": lambda text: text.replace("t1;", "tX;").replace("tag=t2", "tag=t1").replace("tX;", "t2;"),
    "From URI into To": lambda text: text.replace("sip:pool@contoso.com>;", "sip:alice@contoso.com>;"),
    "To URI into From": lambda text: text.replace("sip:alice@contoso.com>;", "sip:pool@contoso.com>;"),
    "From and To": lambda text: re.sub(r"(?m)^From: (.*)\r\nTo: (.*)\r$", "From: \\2\r\nTo: \\1\r", text),
    "identities": lambda text: text.replace("<sip:alice@contoso.com>, <tel:+4930>", "<sip:tel:+4930>"),
    "tag into URI": lambda text: text.replace("contoso.com>;tag=t2", "contoso.com><t2>"),
    "URI into tag": lambda text: text.replace("<sip:alice@contoso.com>;tag=t1", "sip:alice@contoso.com;tag=t1><sip:x"),
    "Call-ID into CSeq": lambda text: text.replace("call-3", "call-3><3").replace("CSeq: 3 ", "CSeq: "),
    "crand into cnum": lambda text: re.sub(r'crand="(\w+)", cnum="2"', r'crand="\1><2", cnum="2"', text),
    "Expires into status": lambda text: text.replace("Expires: 600", "Expires: 600><200"),
}  # fmt: skip


@pytest.mark.parametrize("what", ALTERED)
def test_altered(what: str) -> None:
    peer = signed_in()
    request = replaced(signed(peer), *ALTERED[what])
    if what == "scheme":
        assert peer.site.judge(request, peer.flow) is None and peer.send() is ALICE
    else:
        assert turned_away(peer, request)


@pytest.mark.parametrize("what", SWAPPED)
def test_swapped(what: str) -> None:
    peer = signed_in()
    swap: Callable[[str], str] = SWAPPED[what]
    whole = signed(peer).encode().decode("latin-1")
    other = swap(whole)
    assert other != whole
    message = parse_message(other.encode("latin-1"))
    assert isinstance(message, Request) and turned_away(peer, message)


def test_as_it_was_it_is_let_in() -> None:
    peer = signed_in()
    assert peer.site.judge(signed(peer), peer.flow) is ALICE


@pytest.mark.parametrize("version", [2, 3])
def test_older_clients_sign_what_their_version_has(version: int) -> None:
    peer = signed_in(version=version)
    assert turned_away(peer, replaced(signed(peer), ";tag=t1", ";tag=t3"))
    moved = replaced(signed(peer), '"The Pool" <sip:pool@contoso.com>', '"The Pool" <sip:poll@contoso.com>')
    came = peer.site.judge(moved, peer.flow)
    assert came is ALICE if version == 2 else isinstance(came, Answer)


def test_a_message_of_one_version_is_none_of_another() -> None:
    site = Site()
    peer = signed_in(site, version=3)
    peer.version = 2
    assert isinstance(peer.send(), Answer)


def test_without_a_signature() -> None:
    peer = signed_in()
    for rest in (r', crand="\w+"', r', cnum="\w+"'):
        request = signed(peer)
        request.lines[-1] = re.sub(rest, "", request.lines[-1])
        came = peer.site.judge(request, peer.flow)
        assert came == Answer(400, (), "a signature without crand and cnum")
    request = signed(peer)
    request.lines[-1] = re.sub(r', response="\w+"', "", request.lines[-1])
    assert refused(peer.site.judge(request, peer.flow), 407, "a bad signature", failed=True)
    assert peer.send() is ALICE


def test_truncated_signatures() -> None:
    peer = signed_in()
    for length in range(0, 32, 2):
        request = signed(peer)
        head, _, response = request.lines[-1].rpartition('response="')
        request.lines[-1] = f'{head}response="{response[:length]}"'
        assert turned_away(peer, request)


def test_replayed() -> None:
    peer = signed_in()
    requests = [signed(peer) for _ in range(10)]
    assert all(peer.site.judge(request, peer.flow) is ALICE for request in requests)
    for request in [*requests, *reversed(requests)]:
        assert refused(peer.site.judge(request, peer.flow), 407, "a request that was sent before")
    assert peer.site.counters["sipae_replayed"] == 20 and peer.send() is ALICE


def test_replayed_on_another_connection_or_after_signing_in_anew() -> None:
    site = Site()
    peer = signed_in(site)
    request = signed(peer)
    assert site.judge(request, peer.flow) is ALICE
    site.server.connection_lost(peer.flow)
    assert peer.sign_in() is ALICE
    assert turned_away(peer, request)
    as_new = replaced(request, re.findall(r'opaque="\w+"', request.lines[-1])[0], f'opaque="{peer.opaque}"')
    assert turned_away(peer, as_new)


def test_reordered_within_the_window() -> None:
    peer = signed_in()
    requests = [signed(peer) for _ in range(WINDOW + 1)]
    newest = requests.pop()
    assert peer.site.judge(newest, peer.flow) is ALICE
    oldest = requests.pop(0)
    for request in reversed(requests):
        assert peer.site.judge(request, peer.flow) is ALICE
    for request in (oldest, newest, *requests):
        assert refused(peer.site.judge(request, peer.flow), 407, "a request that was sent before")
    assert peer.send() is ALICE


def test_signatures_of_the_server_prove_nothing() -> None:
    """Sent back to it, as if the client had made them."""
    peer = signed_in()
    request = peer.request("INFO", to=f"<{ALICE.uri}>;tag=t1")
    peer.site.server.sign(request, peer.flow)
    line = request.lines[-1].replace("Authentication-Info", "Authorization")
    for old, new in (("rspauth", "response"), ("srand", "crand"), ("snum", "cnum")):
        line = line.replace(old, new)
    request.lines[-1], request.names[-1] = line, "authorization"
    request.reindex()
    assert turned_away(peer, request)


# the last step of a handshake, and responses


STEP = {name: pair for name, pair in ALTERED.items() if name not in ("opaque", "scheme", "cnum, written otherwise")}
STEP |= {
    "cnum": ('cnum="1"', 'cnum="2"'),
    "Call-ID": ("Call-ID: call-2", "Call-ID: call-1"),
    "Call-ID in other case": ("Call-ID: call-2", "Call-ID: Call-2"),
    "CSeq number": ("CSeq: 2 ", "CSeq: 3 "),
    "CSeq number, written otherwise": ("CSeq: 2 ", "CSeq: 02 "),
    "CSeq method": ("2 MESSAGE", "2 SERVICE"),
    "method": ("MESSAGE sip:pool@contoso.com SIP/2.0", "INVITE sip:pool@contoso.com SIP/2.0"),
    "To URI": (f"To: <{ALICE.uri}>", f"To: <{BOB.uri}>"),
    "a To tag": (f"To: <{ALICE.uri}>", f"To: <{ALICE.uri}>;tag=t2"),
    "token": ('gssapi-data="TlRMTVNTUAAD', 'gssapi-data="TlRMTVNTUAAE'),
    "no response": (', response="', ', responce="'),
    "version 3": ("version=4", "version=3"),
    "version 2": ("version=4", "version=2"),
}
for gone in ("To tag", "no To tag"):
    del STEP[gone]


def last_step(peer: Peer) -> Request:
    """By a request that says something, as whoever alters one would have it."""
    asked = peer.site.judge(peer.handshake(b"", "MESSAGE"), peer.flow)
    assert isinstance(asked, Answer)
    return peer.handshake(peer.answer(asked), "MESSAGE", *LINES)


@pytest.mark.parametrize("what", STEP)
def test_altered_last_step(what: str) -> None:
    """None leaves an association behind. The version is not signed: docs/security.md says what comes of that."""
    peer = Peer(Site())
    request = replaced(last_step(peer), *STEP[what])
    came = peer.site.judge(request, peer.flow)
    if what.startswith("version"):
        assert came is ALICE
        assert (peer.send() is ALICE) is (what == "version 3"), "2 covers less, so what the client signs is refused"
        return
    assert isinstance(came, Answer), came
    assert peer.site.server.sizes()["associations"] == 0
    assert peer.sign_in() is ALICE


def test_as_it_was_the_last_step_is_let_in() -> None:
    peer = Peer(Site())
    assert peer.site.judge(last_step(peer), peer.flow) is ALICE


@given(st.data())
def test_no_byte_of_the_last_token_can_be_altered_with_any_effect(data: st.DataObject) -> None:
    """A byte that counts fails; by one that does not, such as the workstation's name, nobody else gets in."""
    peer = Peer(Site())
    request = last_step(peer)
    head, _, rest = request.lines[-2].partition('gssapi-data="')
    token = bytearray(b64decode(rest.partition('"')[0]))
    at = data.draw(st.integers(0, len(token) - 1))
    token[at] ^= data.draw(st.integers(1, 255))
    request.lines[-2] = f'{head}gssapi-data="{b64encode(token).decode()}"{rest[rest.index(chr(34)) + 1 :]}'
    came = peer.site.judge(request, peer.flow)
    assert came is ALICE or isinstance(came, Answer)
    if came is ALICE:
        assert peer.send() is ALICE


IN_RESPONSES = {
    "status": ("SIP/2.0 200", "SIP/2.0 202"),
    "From URI": ("<sip:pool@contoso.com>", "<sip:poll@contoso.com>"),
    "To URI": (f"To: <{ALICE.uri}>", f"To: <{BOB.uri}>"),
    "From tag": ("tag=p1", "tag=p2"),
    "To tag": ("tag=t1", "tag=t2"),
    "CSeq method": ("7 INFO", "7 INVITE"),
    "SIP identity": ("Identity: <sip:alice@", "Identity: <sip:bob@"),
    "tel identity": ("<tel:+4930>", "<tel:+4931>"),
    "no identity": ("P-Asserted-Identity", "X-Asserted-Identity"),
    "another kind of identity": ("P-Asserted-Identity", "P-Preferred-Identity"),
    "Expires": ("Expires: 600", "Expires: 60"),
    "no Expires": ("Expires: 600\r\n", ""),
    "crand": ('crand="', 'crand="0'),
    "realm": ("Communications Service", "Communications service"),
}


def answered(peer: Peer) -> Response:
    response = peer.response()
    for line in LINES:
        response.add(line, line.partition(":")[0].lower())
    return peer.sign(response)


def heard(peer: Peer, text: str) -> bool:
    message = parse_message(text.encode("latin-1"))
    assert isinstance(message, Response)
    return peer.site.server.check_response(message, peer.flow, peer.site.now)


@pytest.mark.parametrize("what", IN_RESPONSES)
def test_altered_response(what: str) -> None:
    peer = signed_in()
    assert heard(peer, answered(peer).encode().decode("latin-1")), "as it was"
    text, (old, new) = answered(peer).encode().decode("latin-1"), IN_RESPONSES[what]
    assert text.count(old) == 1
    altered = heard(peer, text.replace(old, new))
    assert altered is (what == "another kind of identity"), "where the value is the same it is signed the same"
    assert peer.send() is ALICE


def test_truncated_responses() -> None:
    """Of its signature, and of its lines from the end on."""
    peer = signed_in()
    assert heard(peer, answered(peer).encode().decode("latin-1"))
    text = answered(peer).encode().decode("latin-1")
    for length in range(0, 32, 2):
        head, _, rest = text.partition(' response="')
        assert not heard(peer, f'{head} response="{rest[:length]}{rest[rest.index(chr(34)) :]}')
    lines = text.removesuffix("\r\n\r\n").split("\r\n")
    for kept in range(6, len(lines)):
        if not any("response=" in line for line in lines[:kept]):
            assert not heard(peer, "\r\n".join(lines[:kept]) + "\r\n\r\n")
    assert peer.send() is ALICE


COVERED = (  # where the values that are signed stand in the request
    r"Call-ID: (.*?)\r", r"CSeq: (.*?)\r", r'From: ".*?" <(.*?)>', r"From: .*;tag=(\w+);epid", r'To: ".*?" <(.*?)>',
    r"To: .*;tag=(\w+)\r", r"Identity: <(.*?)>", r"Identity: .*<(tel:.*?)>", r"Expires: (.*?)\r", r'realm="(.*?)"',
    r'targetname="(.*?)"', r'crand="(.*?)"', r'cnum="(.*?)"', r'response="(.*?)"', r'opaque="(.*?)"', r"^(\w+) sip:",
)  # fmt: skip


@given(st.sampled_from(COVERED), st.data())
def test_no_covered_byte_can_be_altered(pattern: str, data: st.DataObject) -> None:
    peer = signed_in()
    whole = bytearray(signed(peer).encode())
    found = re.search(pattern.encode(), whole)
    assert found is not None
    at = data.draw(st.integers(found.start(1), found.end(1) - 1))
    before = whole[at]
    whole[at] = data.draw(st.integers(0x20, 0xFF).filter(lambda byte: byte != before))
    hexadecimal = pattern.startswith("response") and bytes([before]).lower() == bytes([whole[at]]).lower()
    spaces = bytes([before, whole[at]]).isspace()
    try:
        message = parse_message(bytes(whole))
    except MalformedMessage:  # not a SIP message any more, which is as well
        return
    assert isinstance(message, Request)
    came = peer.site.judge(message, peer.flow)
    assert came is not ALICE or hexadecimal or spaces, (pattern, whole)
    if came is not ALICE:
        assert peer.send() is ALICE


def test_another_client_cannot_sign_for_one() -> None:
    site = Site()
    alice = signed_in(site)
    bob = signed_in(site, name="CORP\\bob", uri=BOB.uri)
    bob.uri, bob.opaque, bob.epid = alice.uri, alice.opaque, alice.epid
    assert turned_away(alice, bob.signed())

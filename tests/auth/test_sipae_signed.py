"""After a sign-in: how long it lasts, what an attacker cannot do to it, and what is signed both ways."""

from dataclasses import replace

import pytest

from sipgw.auth.accounts import Account, AccountTable
from sipgw.auth.answer import Answer
from sipgw.auth.sipae_handshakes import HandshakeLimits
from sipgw.auth.sipae_server import SipaeSettings
from sipgw.auth.sipae_wire import read_params
from sipgw.message.build import new_request, response_to
from sipgw.message.message import Request
from tests.auth.vectors.peer import ALICE, BOB, Peer, Site, flow, refused, signed_in

# ageing


def test_at_its_end_the_next_register_is_challenged_and_the_rest_goes_on() -> None:
    site = Site(SipaeSettings(lifetime=1000.0, grace=100.0, idle=5000.0))
    peer = signed_in(site)
    site.now += 999.9
    assert peer.send("REGISTER") is ALICE
    site.now += 0.1
    reason = "the security association has come to its end"
    assert refused(peer.send("REGISTER"), 401, reason)
    assert peer.send("INFO") is ALICE
    answer = response_to(peer.request(), 200)
    site.server.sign(answer, peer.flow)
    assert peer.hears(answer)
    assert peer.sign_in() is ALICE and peer.send("REGISTER") is ALICE
    site.now += 1100.0
    assert refused(peer.send("INFO"), 407, "no such security association")


CHANGED = {
    "nothing": ([ALICE, BOB], True),
    "names beside it": ([replace(ALICE, names=(*ALICE.names, "liz"))], True),
    "the password": ([replace(ALICE, nt_hash=b"x" * 16)], False),
    "disabled": ([replace(ALICE, enabled=False)], False),
    "gone": ([BOB], False),
    "the address is another's": ([Account(ALICE.uri, ("CORP\\other-alice",), ALICE.nt_hash)], False),
    "another address": ([replace(ALICE, uri="sip:liz@contoso.com")], False),
    "the name is another's": ([replace(ALICE, names=("liz",)), replace(BOB, names=("CORP\\alice",))], False),
}


@pytest.mark.parametrize("change", CHANGED)
def test_ended_when_what_was_proved_is_no_longer_so(change: str) -> None:
    """It is for who had the address then, by the password of then; who comes back signs in anew."""
    site, (accounts, good) = Site(), CHANGED[change]
    peer = signed_in(site)
    site.ntlm.accounts = AccountTable(accounts)
    came = peer.send()
    if good:
        assert came is not None and not isinstance(came, Answer)
        return
    assert isinstance(came, Answer) and came.close
    assert refused(came, 407, "no such security association")
    assert site.server.sizes()["associations"] == 0 and site.counters["sipae_ended"] == 1
    site.ntlm.accounts = AccountTable([ALICE])
    assert isinstance(peer.send(), Answer), "it does not begin again"
    assert peer.sign_in() is ALICE


def test_nor_are_its_responses_heard() -> None:
    site = Site()
    peer = signed_in(site)
    assert site.server.check_response(peer.sign(peer.response()), peer.flow, site.now)
    site.ntlm.accounts = AccountTable([])
    assert not site.server.check_response(peer.sign(peer.response()), peer.flow, site.now)


def test_gone_when_idle() -> None:
    site = Site(SipaeSettings(idle=100.0))
    peer = signed_in(site)
    for _ in range(5):
        site.now += 99.0
        assert peer.send() is ALICE
    site.now += 100.0
    assert refused(peer.send("REGISTER"), 401, "no such security association")
    assert site.server.sizes()["associations"] == 0


def test_responses_keep_it_alive() -> None:
    site = Site(SipaeSettings(idle=100.0))
    peer = signed_in(site)
    for _ in range(3):
        site.now += 99.0
        assert site.server.check_response(peer.sign(peer.response()), peer.flow, site.now)
    assert peer.send() is ALICE


def test_gone_with_the_connection() -> None:
    site = Site()
    peer, other = signed_in(site), signed_in(site, over=flow(2))
    site.server.connection_lost(peer.flow)
    assert refused(peer.send(), 407, "no such security association") and other.send() is ALICE
    message = response_to(peer.request(), 200)
    site.server.sign(message, peer.flow)
    assert "authentication-info" not in message.names


def test_bounded() -> None:
    site = Site(SipaeSettings(max_associations=2))
    first, second, third = (signed_in(site, over=flow(cid)) for cid in (1, 2, 3))
    assert refused(first.send(), 407, "no such security association")
    assert second.send() is ALICE and third.send() is ALICE
    assert site.server.sizes()["associations"] == 2 and site.counters["sipae_displaced"] == 1


def test_bounded_for_a_user() -> None:
    site = Site(SipaeSettings(max_per_user=1))
    bob = signed_in(site, name="CORP\\bob", uri=BOB.uri, over=flow(9))
    first, second = (signed_in(site, over=flow(cid)) for cid in (1, 2))
    assert isinstance(first.send(), Answer) and second.send() is ALICE and bob.send() is BOB


def test_handshakes_are_bounded() -> None:
    site = Site(SipaeSettings(handshakes=HandshakeLimits(most_per_source=3)))
    for cid in range(1, 11):
        peer = Peer(site, over=flow(cid))
        assert isinstance(site.judge(peer.handshake(b""), peer.flow), Answer)
    assert site.server.sizes()["handshakes"] == 3 and site.counters["sipae_handshakes_displaced"] == 7


def test_handshakes_of_one_ipv6_network_are_of_one_source() -> None:
    site = Site(SipaeSettings(handshakes=HandshakeLimits(most_per_source=3)))
    for cid in range(1, 11):
        peer = Peer(site, over=flow(cid, f"2001:db8::{cid:x}"))
        assert isinstance(site.judge(peer.handshake(b""), peer.flow), Answer)
    assert site.server.sizes()["handshakes"] == 3
    other = Peer(site, over=flow(99, "2001:db8:0:1::1"))
    assert isinstance(site.judge(other.handshake(b""), other.flow), Answer)
    assert site.server.sizes()["handshakes"] == 4


def test_taken_over_by_other_settings() -> None:
    site = Site()
    peer, waiting = signed_in(site), Peer(site, over=flow(2))
    asked = site.judge(waiting.handshake(b""), waiting.flow)
    old, site.server = site.server, site.make(SipaeSettings(max_associations=7))
    assert refused(peer.send(), 407, "no such security association")
    site.server.take_over(old)
    assert peer.send() is ALICE and isinstance(asked, Answer)
    assert site.judge(waiting.handshake(waiting.answer(asked)), waiting.flow) is ALICE


def test_a_client_whose_keys_are_gone_is_left_to_connect_anew() -> None:
    """With a REGISTER it signs in by itself; one that still has keys is only asked."""
    site = Site()
    peer = signed_in(site)
    stale, other = peer.signed(), peer.signed("REGISTER")
    peer.opaque, opaque = "00000000", peer.opaque
    came = peer.send()
    assert isinstance(came, Answer) and not came.close
    peer.opaque = opaque
    site.server.connection_lost(peer.flow)
    for request, close in ((stale, True), (other, False)):
        came = site.judge(request, peer.flow)
        assert isinstance(came, Answer) and came.close is close and came.reason == "no such security association"


# attackers


def test_nobody_can_end_an_association_by_a_bad_signature() -> None:
    peer = signed_in()
    for number in range(200):
        bad = peer.signed("REGISTER")
        bad.lines[-1] = bad.lines[-1].replace('response="01', 'response="02').replace("cnum=", f'x="{number}", cnum=')
        assert refused(peer.site.judge(bad, peer.flow), 401, "a bad signature", failed=True)
    assert peer.site.counters["sipae_bad_signature"] == 200
    assert peer.send() is ALICE and not peer.site.lockout.wait("alice", peer.flow.host, peer.site.now)


def test_nobody_can_move_the_window_without_the_keys() -> None:
    peer = signed_in()
    bad = peer.signed()
    bad.lines[-1] = bad.lines[-1].replace('cnum="2"', 'cnum="4000000000"')
    assert isinstance(peer.site.judge(bad, peer.flow), Answer)
    assert peer.send() is ALICE


def test_an_association_is_for_its_connection() -> None:
    peer = signed_in()
    stolen = peer.signed()
    for other in (flow(2), flow(0), flow(0, port=50001)):
        assert refused(peer.site.judge(stolen, other), 407, "no such security association")
    assert peer.site.judge(stolen, peer.flow) is ALICE


def test_an_association_is_for_its_endpoint() -> None:
    peer = signed_in()
    peer.epid = "0123456789ab"
    assert refused(peer.send(), 407, "no such security association")
    peer.epid = ""
    assert peer.send() is ALICE  # in a dialog it may be left out


def test_an_opaque_of_another_user_is_of_no_use() -> None:
    site = Site()
    alice, bob = signed_in(site), signed_in(site, name="CORP\\bob", uri=BOB.uri)
    bob.opaque, alice.opaque = alice.opaque, bob.opaque
    alice.epid = bob.epid = ""
    assert refused(bob.send(), 407, "a bad signature", failed=True)
    assert refused(alice.send(), 407, "a bad signature", failed=True)


def test_a_request_of_another_is_proved_to_be_ones_own() -> None:
    """Who lets it in compares From with the account."""
    peer = signed_in()
    peer.uri = BOB.uri
    assert peer.send() is ALICE


def test_responses_are_no_requests() -> None:
    peer = signed_in()
    response = peer.sign(peer.response())
    credentials = response.lines[-1]
    lines = [line for line in response.lines if not line.startswith(("Authorization", "Content-Length"))]
    for more in ((), ("Expires: ><200",), ("Expires: 200",)):
        request = new_request("INFO", "sip:x", [*lines, *more, credentials])
        assert refused(peer.site.judge(request, peer.flow), 407, "a bad signature", failed=True)


# what is signed for the client


def test_what_goes_to_the_client_is_signed() -> None:
    peer = signed_in()
    server, seen = peer.site.server, []
    for message in (
        response_to(peer.request("REGISTER", to=f"<{ALICE.uri}>"), 200, headers=["Expires: 600"]),
        response_to(peer.request("INVITE"), 180, headers=["P-Asserted-Identity: <sip:pool@contoso.com>,<tel:+1>"]),
        response_to(peer.request("INVITE"), 407),
        peer.request("INFO", to=f"<{ALICE.uri}>;tag=t1"),
        peer.request("BYE", to=f"<{ALICE.uri}>;tag=t1"),
        peer.request("CANCEL", to=f"<{ALICE.uri}>"),
    ):
        server.sign(message, peer.flow)
        assert peer.hears(message) and len(message.lines) == len(message.names)
        assert message.first("authentication-info") == message.lines[-1].partition(": ")[2]
        seen.append(read_params(message.lines[-1])["snum"])
    assert seen == ["1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize("status", [100, 401])
def test_what_is_not_signed(status: int) -> None:
    peer = signed_in()
    message = response_to(peer.request("INVITE"), status)
    lines = list(message.lines)
    peer.site.server.sign(message, peer.flow)
    assert message.lines == lines


def test_who_has_not_signed_in_gets_no_signature() -> None:
    peer = signed_in()
    for other in (flow(2), flow(0)):
        message = response_to(peer.request("INVITE"), 200)
        peer.site.server.sign(message, other)
        assert "authentication-info" not in message.names


def test_a_message_without_an_index_is_signed_all_the_same() -> None:
    peer = signed_in()
    made = peer.request("INFO", to=f"<{ALICE.uri}>;tag=t1")
    message = Request("INFO", made.uri, made.lines, made.names, b"")
    peer.site.server.sign(message, peer.flow)
    assert peer.hears(message)


def test_signed_once_more_for_another() -> None:
    site = Site()
    alice, bob = signed_in(site), signed_in(site, name="CORP\\bob", uri=BOB.uri, over=flow(2))
    forged = 'Authentication-Info: NTLM rspauth="00", srand="1", snum="1", opaque="{}", qop="auth"'
    message = alice.request("INFO", forged.format(alice.opaque))
    site.server.sign(message, alice.flow)
    assert alice.hears(message)
    site.server.sign(message, bob.flow)
    assert bob.hears(message) and not alice.hears(message)
    assert [name for name in message.names if "info" in name] == ["authentication-info"]


TAKEN_FOR_OURS = ("Authorization", "Proxy-Authorization", "Authentication-Info", "Proxy-Authentication-Info")


@pytest.mark.parametrize("value", ['Digest rand="1", num="7"', "NTLM\trspauth=00", "NTLM", "Foo", "", "nextnonce=a"])
@pytest.mark.parametrize("header", TAKEN_FOR_OURS)
def test_nothing_stands_beside_our_signature(header: str, value: str) -> None:
    """The real client looks for ours in the first of these, whatever its scheme, and breaks off where it is not."""
    peer, line = signed_in(), f"{header}: {value}"
    for message in (
        peer.request("MESSAGE", line, f"{header.upper()} : x", to=f"<{ALICE.uri}>"),
        response_to(peer.request("INVITE"), 200, headers=[line]),
    ):
        peer.site.server.sign(message, peer.flow)
        assert peer.hears(message)
        assert [name.title() for name in message.names if name.title() in TAKEN_FOR_OURS] == ["Authentication-Info"]


def test_nor_in_its_place() -> None:
    """Where we do not sign nobody else seems to."""
    peer = signed_in()
    refusal = response_to(peer.request("INVITE"), 401, headers=["Authentication-Info: NTLM rspauth=00"])
    peer.site.server.sign(refusal, peer.flow)
    assert "authentication-info" not in refusal.index


def test_several_users_on_one_flow() -> None:
    """As behind a proxy: by From of what they have sent, by To of what is sent to them, and by epid."""
    site = Site()
    first, second = signed_in(site, epid="aa"), signed_in(site, epid="bb")
    bob = signed_in(site, name="CORP\\bob", uri=BOB.uri)
    peers = (first, second, bob)
    for peer in peers:
        answer = response_to(peer.request(), 200)
        request = bob.request(to=f'"A, <B>" <{peer.uri.upper().replace("SIP:", "sip:")};x=y>;tag=1;epid={peer.epid}')
        for message in (answer, request):
            site.server.sign(message, peer.flow)
            assert [each for each in peers if each.hears(message)] == [peer]
    unnamed = bob.request(to=f"<{ALICE.uri}>")
    site.server.sign(unnamed, bob.flow)
    assert second.hears(unnamed)
    for to in ("<sip:carol@contoso.com>", "<tel:+1>", '"'):
        stranger = bob.request(to=to)
        site.server.sign(stranger, bob.flow)
        assert "authentication-info" not in stranger.names


def test_one_user_on_a_flow_gets_whatever_goes_there() -> None:
    peer = signed_in()
    message = peer.request(to="<sip:alias-of-alice@contoso.com>")
    peer.site.server.sign(message, peer.flow)
    assert peer.hears(message)


@pytest.mark.parametrize("line", ["Call-ID: a><b", "From: no body"])
def test_what_cannot_be_signed_goes_as_it_is(line: str) -> None:
    peer = signed_in()
    name = line.partition(":")[0]
    message = peer.request()
    message.lines = [line if each.startswith(name) else each for each in message.lines]
    peer.site.server.sign(message, peer.flow)
    assert "authentication-info" not in message.names and peer.site.counters["sipae_not_signable"] == 1


# responses of the client


def test_signed_responses() -> None:
    peer = signed_in()
    check = peer.site.server.check_response
    assert check(peer.response(), peer.flow, peer.site.now)  # it has not signed one before
    assert check(peer.sign(peer.response()), peer.flow, peer.site.now)
    assert not check(peer.response(), peer.flow, peer.site.now)
    assert check(peer.response(), flow(2), peer.site.now)  # nobody has signed in there
    assert peer.send() is ALICE and peer.site.counters["sipae_unsigned"] == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("CSeq: 7", "CSeq: 8"),
        ("tag=p1", "tag=p2"),
        ("tag=t1", "tag=t2"),
        ("of-the-pool", "of-a-pool"),
        ('response="01', 'response="02'),
        ('response="', 'response="0'),
        ('cnum="', 'cnum="1'),
    ],
)
def test_altered_responses(old: str, new: str) -> None:
    peer = signed_in()
    response = peer.sign(peer.response())
    response.lines = [line.replace(old, new, 1) for line in response.lines]
    assert not peer.site.server.check_response(response, peer.flow, peer.site.now)
    assert peer.site.counters["sipae_bad_signature"] == 1


def test_the_status_of_a_response_counts() -> None:
    peer = signed_in()
    response = peer.sign(peer.response(486))
    response.status = 200
    assert not peer.site.server.check_response(response, peer.flow, peer.site.now)


def test_a_response_is_heard_once_where_nothing_is_repeated() -> None:
    for over, again in ((flow(1), False), (flow(0), True)):
        peer = signed_in(over=over)
        response = peer.sign(peer.response())
        assert peer.site.server.check_response(response, over, peer.site.now)
        assert peer.site.server.check_response(response, over, peer.site.now) is again


def test_an_unknown_signature_is_as_good_as_none() -> None:
    site = Site()
    peer, other = signed_in(site), signed_in(site, over=flow(2))
    check = site.server.check_response
    foreign = other.sign(peer.response())
    assert check(foreign, peer.flow, site.now)
    assert check(peer.sign(peer.response()), peer.flow, site.now)
    assert not check(foreign, peer.flow, site.now)
    assert other.send() is ALICE

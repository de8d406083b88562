"""The flow token in our Record-Route, in every hand but the right one (how it is used: docs/architecture.md).

tests/scenarios/dialogs/test_forged_routes.py has forgeries made by hand; here they are made by the thousand.
"""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipgw.core.flow_token import FlowTokens, checksum, write_side
from sipgw.events import Flow, Hop
from sipgw.registry import Server
from tests.harness import CONTACT_OBJECT, DOMAIN, GATEWAY, SECRET, Dialog, Party, default_pool, diagnostics_of, reply
from tests.scenarios.sign_in.people import Person
from tests.security.watching import NO_GATE, USER, VICTIM, Attacker, attacker, only_to

VICTIM_SIDE = "Ucb00710913c4"  # 203.0.113.9:5060 by UDP, as a token writes it
inside = pytest.mark.parametrize("standing", [USER, NO_GATE])


def call(alice: Attacker, pool: Party | None = None) -> tuple[Dialog, Dialog, Party]:
    """A call of alice with the pool: her side, its side, and the server."""
    pool = pool or alice.world.pool_servers()[0]
    alice.send("INVITE", CONTACT_OBJECT)
    alice.party << 100
    invite = pool << "INVITE"
    ok = reply(invite, 200, contact=pool.contact)
    pool >> ok
    mine = alice.party.calling(alice.party << 200)
    alice.again(mine.request("ACK"))
    pool << "ACK"
    return mine, pool.called(invite, ok), pool


def token_of(dialog: Dialog) -> str:
    found = re.search(r"sip:([^@]+)@", dialog.routes[-1])
    assert found is not None
    return found[1]


def leads_nowhere(alice: Attacker, dialog: Dialog, token: str, pool: Party) -> None:
    """A request with this token in the place of the true one is refused; an ACK with it is dropped."""
    before = len(alice.world.sends)
    routes = [f"Route: <sip:{token}@{GATEWAY}:5060;lr>"]
    for method in ("INFO", "ACK"):
        request = Dialog(
            dialog.party, dialog.call_id, dialog.local, dialog.remote, f"sip:x@{VICTIM}", [], cseq=dialog.cseq
        ).request(method, *routes)
        alice.again(request)
        dialog.cseq += 1
    assert alice.status() in (400, 403, 407, 481)
    assert len(alice.world.sends) - before == 1
    pool.nothing()


@inside
def test_no_bit_of_a_token_can_be_flipped(standing: str) -> None:
    """Every bit of every character: those that give no character of a URI's user are refused all the sooner."""
    alice = attacker(standing)
    mine, _, pool = call(alice)
    token = token_of(mine)
    for at in range(len(token)):
        for bit in range(7):
            changed = chr(ord(token[at]) ^ 1 << bit)
            if changed.isprintable() and changed not in ' "<>@,\x7f':
                leads_nowhere(alice, mine, token[:at] + changed + token[at + 1 :], pool)
    only_to(alice.world, alice.party, pool)


@inside
def test_no_token_can_be_cut_or_go_on(standing: str) -> None:
    alice = attacker(standing)
    mine, _, pool = call(alice)
    token = token_of(mine)
    cut = [token[:length] for length in range(1, len(token))] + [token[start:] for start in range(1, len(token))]
    longer = [token + tail for tail in ("0", ".", ".0", f".{VICTIM_SIDE}", "p1", ":x", ";x", "%00", "%2e0")]
    for forged in [*cut, *longer, *(head + token for head in ("0", ".", "x."))]:
        leads_nowhere(alice, mine, forged, pool)
    only_to(alice.world, alice.party, pool)


tokens = st.lists(
    st.sampled_from([*"0123456789abcdefcuUTSp.", VICTIM_SIDE, "c101", "00000000"]), min_size=1, max_size=60
)
edits = st.lists(
    st.tuples(st.integers(0, 80), st.sampled_from(["", *"0123456789abcdefcuUTSp."])), min_size=1, max_size=4
)


@settings(max_examples=150)
@given(data=st.data())
@inside
def test_no_token_can_be_made_up(standing: str, data: st.DataObject) -> None:
    alice = attacker(standing)
    mine, _, pool = call(alice)
    token = token_of(mine)
    if data.draw(st.booleans()):
        forged = "".join(data.draw(tokens))
    else:
        forged = token
        for at, text in data.draw(edits):
            forged = forged[:at] + text + forged[at + 1 :]
    if forged in (token, ""):
        return
    leads_nowhere(alice, mine, forged, pool)
    only_to(alice.world, alice.party, pool)


@given(
    call_id=st.text("abc/@.", min_size=1, max_size=8),
    tag=st.text("abc/", min_size=1, max_size=8),
    other=st.tuples(st.text("abc/@.", min_size=1, max_size=8), st.text("abc/", min_size=1, max_size=8)),
)
def test_a_token_of_another_key_or_dialog_says_nothing(call_id: str, tag: str, other: tuple[str, str]) -> None:
    caller, callee = write_side(Flow("UDP", VICTIM, 5060, None)), write_side(Hop("TCP", "192.0.2.51", 5041), "pool")
    ours = FlowTokens(SECRET)
    token = FlowTokens(b"another key of 32 bytes, or more").make(call_id, tag, caller, callee)
    with pytest.raises(ValueError):
        ours.towards(token, call_id, tag, "")
    token = ours.make(call_id, tag, caller, callee)
    assert ours.towards(token, call_id, tag, "").pool == checksum("pool")
    if other != (call_id, tag):
        with pytest.raises(ValueError):
            ours.towards(token, *other, "")


@inside
@pytest.mark.parametrize("part", ["Call-ID", "From tag", "both tags", "another's token"])
def test_a_token_of_one_dialog_in_another(standing: str, part: str) -> None:
    alice = attacker(standing)
    mine, _, pool = call(alice)
    if part == "another's token":
        mine.routes = call(alice, pool)[0].routes
    elif part == "Call-ID":
        mine.call_id += "x"
    elif part == "From tag":
        mine.local = mine.local.replace("alice-tag", "other")
    else:
        mine.local, mine.remote = mine.local.replace("alice-tag", "a"), re.sub("tag=.*", "tag=b", mine.remote)
    alice.party.inbox.clear()
    for method in ("INFO", "BYE", "ACK", "UPDATE"):
        alice.again(mine.request(method))
        pool.nothing()
    only_to(alice.world, alice.party, pool)


@inside
def test_a_third_party_with_all_that_a_dialog_shows(standing: str) -> None:
    """He has read the traffic. Where proofs are wanted he gets nowhere with it; where none are, no further than the two
    of the dialog. That an ACK without proof passes is said in docs/security.md."""
    alice = attacker(standing)
    mine, theirs, pool = call(alice)
    mallory = alice.world.phone("bob", "UDP", "198.51.100.66")
    spies = [
        Dialog(mallory, one.call_id, one.local, one.remote, f"sip:x@{VICTIM}", one.routes, cseq=90)
        for one in (mine, theirs)
    ]
    before = len(alice.world.sends)
    for spy in spies:
        for method in ("INFO", "BYE", "REFER"):
            mallory >> spy.request(method, f"Contact: <sip:x@{VICTIM}>")
    reached = [send for send in alice.world.sends[before:] if send.to.host != mallory.host]
    assert bool(reached) == (standing == NO_GATE)
    for spy in spies:
        mallory >> spy.request("ACK")
    only_to(alice.world, alice.party, pool, mallory)


def test_a_signed_in_third_party_has_to_be_whom_he_says_that_he_is() -> None:
    """Bob has a password of his own, and alice's dialog in full: From is hers, so it is refused."""
    alice = attacker(USER)
    mine, theirs, pool = call(alice)
    bob = Person(alice.world.phone("bob", "TCP", "198.51.100.66"))
    bob.ask("OPTIONS", f"sip:{DOMAIN}")
    bob.party << 200
    for dialog in (mine, theirs):
        bob.send(dialog.request("INFO"))
        assert diagnostics_of(bob.party << 403)[0] == 4004
    only_to(alice.world, alice.party, pool, bob.party)


@inside
def test_the_strict_form_is_checked_as_the_loose_one(standing: str) -> None:
    """The token in the Request-URI, the target in Route: with a forged one it is refused, with the true one it leads to
    the other side alone."""
    alice = attacker(standing)
    mine, _, pool = call(alice)
    true = mine.routes[0].strip("<>")
    for ours, good in ((true.replace(".", ".0", 1), False), (true, True)):
        mine.target, mine.routes = ours, [f"<sip:x@{VICTIM}>", f"<sip:y@{VICTIM};lr>"]
        alice.again(mine.request("INFO"))
        assert bool(pool.inbox) == good
        for message in list(pool.inbox):
            pool.inbox.remove(message)
            pool >> reply(message, 403)
        alice.party.inbox.clear()
    only_to(alice.world, alice.party, pool)


# bug: E2-8
@pytest.mark.parametrize("method", ["INFO", "BYE", "REFER"])
def test_a_datagram_in_the_name_of_a_pools_server_is_not_its_word(method: str) -> None:
    """A server that dials us anew inside its dialog is let in by its address, which a connection proves. Who has seen
    the route on the client's side and forges the server's address by UDP would else have us pass on his words to a
    client, and sign them."""
    alice = attacker(USER, "TCP")
    _, theirs, pool = call(alice)
    forged = alice.world.phone("ocschat", "UDP", pool.host, 5060)
    spy = Dialog(forged, theirs.call_id, theirs.local, theirs.remote, theirs.target, theirs.routes, cseq=50)
    forged >> spy.request(method, body=b"not the pool's")
    forged << 407
    alice.party.nothing()


# bug: E2-8
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_a_pool_that_proves_its_name_has_to_do_it_in_its_dialogs_too(transport: str) -> None:
    servers = [Server("TLS", "192.0.2.51", 5061)]
    alice = attacker(USER, "TCP", pools=[default_pool(*servers)])
    pool = alice.world.server("TLS", "192.0.2.51", 5061)
    _, theirs, _ = call(alice, pool)
    other = alice.world.phone("ocschat", transport, pool.host, 5099)
    spy = Dialog(other, theirs.call_id, theirs.local, theirs.remote, theirs.target, theirs.routes, cseq=50)
    other >> spy.request("INFO", body=b"not the pool's")
    other << 407
    alice.party.nothing()

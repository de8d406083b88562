"""Extensions that work between the two ends: early dialogs, PRACK, REFER, INFO bursts, what nobody has heard of."""

from typing import Any

import pytest

from sipgw.message import Request, Response
from tests.harness import CONTACT_OBJECT, Dialog, Party, World, reply
from tests.scenarios.dialogs.steps import asks, called, ends, talk
from tests.scenarios.proxy.ladder import SDP, desks, tag_of

RELIABLE = ("Require: 100rel", "Supported: 100rel")


def rings_reliably(alice: Party, bob: Party, number: int = 1) -> tuple[Request, Response]:
    """A call whose ringing wants to be acknowledged (RFC 3262). Returns the INVITE at bob, the 180 at alice."""
    alice >> alice.request("INVITE", bob.uri, "Supported: 100rel")
    alice << 100
    invite = bob << "INVITE"
    bob >> reply(invite, 180, "Require: 100rel", f"RSeq: {number}", tag=tag_of(bob), contact=bob.contact)
    return invite, alice << 180


def early(alice: Party, ringing: Response) -> Dialog:
    """The caller's side of the dialog that a provisional response has opened (§12.1)."""
    return alice.calling(ringing)


def answered(alice: Party, bob: Party, invite: Request, mine: Dialog) -> None:
    bob >> reply(invite, 200, tag=tag_of(bob), contact=bob.contact)
    alice << 200
    alice >> mine.request("ACK")
    bob << "ACK"
    ends(mine, bob)


# early dialogs


@pytest.mark.parametrize("sdp", [b"", SDP], ids=["alone", "with-an-answer"])
def test_a_reliable_ringing_is_acknowledged_end_to_end(alice: Party, bob: Party, sdp: bytes) -> None:
    invite, ringing = rings_reliably(alice, bob)
    assert (ringing.first("rseq"), ringing.first("require")) == ("1", "100rel")
    assert ringing.values("record-route") == invite.values("record-route")
    mine = early(alice, ringing)
    prack = asks(mine, bob, "PRACK", "RAck: 1 1 INVITE", body=sdp)
    assert (prack.uri, prack.first("rack"), prack.body) == (bob.contact, "1 1 INVITE", sdp)
    mine.invite_cseq = 1
    answered(alice, bob, invite, mine)


def test_a_reliable_ringing_is_repeated_by_its_sender_and_passed_on_each_time(alice: Party, bob: Party) -> None:
    """The gateway takes no part in RFC 3262: no copy is absorbed, none is added."""
    invite, ringing = rings_reliably(alice, bob)
    again = reply(invite, 180, "Require: 100rel", "RSeq: 1", tag=tag_of(bob), contact=bob.contact)
    for _ in range(5):
        bob >> again
        assert (alice << 180).encode() == ringing.encode()
    mine = early(alice, ringing)
    asks(mine, bob, "PRACK", "RAck: 1 1 INVITE")
    mine.invite_cseq = 1
    answered(alice, bob, invite, mine)


def test_a_prack_for_nothing_is_refused_by_its_target(alice: Party, bob: Party) -> None:
    invite, ringing = rings_reliably(alice, bob)
    mine = early(alice, ringing)
    asks(mine, bob, "PRACK", "RAck: 99 1 INVITE", status=481)
    mine.invite_cseq = 1
    answered(alice, bob, invite, mine)


def test_offers_cross_in_the_early_dialog(alice: Party, bob: Party) -> None:
    """UPDATE from both sides while it rings (RFC 3311 §5)."""
    invite, ringing = rings_reliably(alice, bob)
    mine, theirs = early(alice, ringing), called(bob, invite)
    asks(mine, bob, "PRACK", "RAck: 1 1 INVITE")
    assert asks(mine, bob, "UPDATE", f"Contact: <{alice.contact}>", body=SDP).body == SDP
    assert asks(theirs, alice, "UPDATE", f"Contact: <{bob.contact}>", body=SDP * 2).body == SDP * 2
    asks(theirs, alice, "UPDATE", status=491)
    mine.invite_cseq = 1
    answered(alice, bob, invite, mine)


@pytest.mark.parametrize("method", ["INFO", "MESSAGE", "NOTIFY", "UPDATE"])
def test_either_side_may_speak_before_the_answer(alice: Party, bob: Party, method: str) -> None:
    invite, ringing = rings_reliably(alice, bob)
    mine, theirs = early(alice, ringing), called(bob, invite)
    asks(mine, bob, method)
    asks(theirs, alice, method)
    mine.invite_cseq = 1
    answered(alice, bob, invite, mine)


def test_the_caller_ends_an_early_dialog_with_bye(alice: Party, bob: Party) -> None:
    """§15: allowed to a caller, for one phone of a fork; the INVITE then ends with 487."""
    invite, ringing = rings_reliably(alice, bob)
    asks(early(alice, ringing), bob, "BYE")
    bob >> reply(invite, 487, tag=tag_of(bob))
    bob << "ACK"
    alice.fail_call(487)


def test_each_phone_of_a_fork_has_an_early_dialog_of_its_own(world: World, transport: str) -> None:
    """Two ring; PRACKs with their tags reach the right one, and the one that loses hears of it by CANCEL."""
    alice, (one, two) = world.phone("alice", transport), desks(world, transport, 1.0, 1.0)
    alice >> alice.request("INVITE", one.uri, "Supported: 100rel")
    alice << 100
    at: dict[str, Any] = {}
    sides = {}
    for number, phone in enumerate((one, two)):
        at[phone.host] = phone << "INVITE"
        contact = f"{phone.contact}"
        phone >> reply(at[phone.host], 183, *RELIABLE, f"RSeq: {number}", tag=tag_of(phone), contact=contact)
        sides[phone.host] = early(alice, alice << 183)
    for phone in (two, one, two):
        assert asks(sides[phone.host], phone, "PRACK", "RAck: 1 1 INVITE").to_tag == tag_of(phone)
    two >> reply(at[two.host], 200, tag=tag_of(two), contact=two.contact)
    alice << 200
    one >> reply(one << "CANCEL", 200)
    one >> reply(at[one.host], 487, tag=tag_of(one))
    one << "ACK"
    sides[two.host].invite_cseq = 1
    alice >> sides[two.host].request("ACK")
    two << "ACK"
    ends(sides[two.host], two)


# transfers


def referred(sender: Dialog, other: Party, target: str, *headers: str) -> None:
    """REFER, accepted, and the first NOTIFY about it (RFC 3515 §2.4.4)."""
    refer = asks(sender, other, "REFER", f"Refer-To: <{target}>", *headers, status=202)
    assert refer.first("refer-to") == f"<{target}>"


def reports(sender: Dialog, other: Party, text: bytes, state: str) -> None:
    notice = asks(
        sender,
        other,
        "NOTIFY",
        "Event: refer",
        f"Subscription-State: {state}",
        "Content-Type: message/sipfrag",
        body=text,
    )
    assert notice.body == text


@pytest.mark.parametrize("side", ["caller", "called"])
def test_a_call_is_handed_over_unseen(world: World, alice: Party, bob: Party, side: str) -> None:
    """REFER inside the dialog, NOTIFYs with the progress, BYE of the old call (RFC 5589 §6)."""
    carol = desks(world, bob.transport, 1.0, user="carol")[0]
    mine, theirs = talk(alice, bob)
    transferor, transferee = (mine, theirs) if side == "caller" else (theirs, mine)
    referred(transferor, transferee.party, carol.uri, f"Referred-By: <{transferor.party.uri}>")
    reports(transferee, transferor.party, b"SIP/2.0 100 Trying\r\n", "active;expires=60")
    new, _ = talk(transferee.party, carol, f"Referred-By: <{transferor.party.uri}>", uri=carol.uri)
    reports(transferee, transferor.party, b"SIP/2.0 200 OK\r\n", "terminated;reason=noresource")
    ends(transferor, transferee.party)
    ends(new, carol)


def test_a_call_is_handed_over_after_asking(world: World, alice: Party, bob: Party) -> None:
    """Alice talks to both; Refer-To carries Replaces with the dialog that carol already has (RFC 3891)."""
    carol = desks(world, bob.transport, 1.0, user="carol")[0]
    with_bob, bobs = talk(alice, bob)
    with_carol, _ = talk(alice, carol, uri=carol.uri)
    replaces = f"{with_carol.call_id}%3Bto-tag%3D{tag_of(carol)}%3Bfrom-tag%3Dalice-tag"
    referred(with_bob, bob, f"{carol.contact}?Replaces={replaces}")
    line = f"Replaces: {with_carol.call_id};to-tag={tag_of(carol)};from-tag=alice-tag"
    new, _ = talk(bob, carol, line, "Require: replaces", uri=carol.uri)
    reports(bobs, alice, b"SIP/2.0 200 OK\r\n", "terminated;reason=noresource")
    ends(with_bob, bob)
    ends(with_carol, carol)
    ends(new, carol)


@pytest.mark.parametrize("status", [202, 403, 603])
def test_a_refer_outside_a_dialog_goes_to_its_target(alice: Party, bob: Party, status: int) -> None:
    alice >> alice.request("REFER", bob.uri, "Refer-To: <sip:carol@example.test>", f"Contact: <{alice.contact}>")
    refer = bob << "REFER"
    bob >> reply(refer, status, tag=tag_of(bob), contact=bob.contact)
    assert (alice << status).to_tag == tag_of(bob)
    if status == 202:
        theirs = called(bob, refer)
        reports(theirs, alice, b"SIP/2.0 100 Trying\r\n", "active;expires=60")


# chat


@pytest.mark.parametrize("count", [1, 50])
def test_infos_come_in_bursts_both_ways_and_in_order(alice: Party, pool: Party, count: int) -> None:
    """What a Group Chat client does all day: nobody waits for the answer to the last one."""
    mine, theirs = talk(alice, pool, uri=CONTACT_OBJECT)
    for number in range(count):
        alice >> mine.request("INFO", "Content-Type: text/plain", body=b"a%d" % number)
        pool >> theirs.request("INFO", "Content-Type: text/plain", body=b"p%d" % number)
    for party, letter in ((pool, b"a"), (alice, b"p")):
        arrived = [party << "INFO" for _ in range(count)]
        assert [info.body for info in arrived] == [letter + b"%d" % number for number in range(count)]
        for info in arrived:
            party >> reply(info, 200)
    for party in (alice, pool):
        assert [(party << 200).cseq.number for _ in range(count)] == list(
            range(party_first(party), party_first(party) + count)
        )
    ends(mine, pool)


def party_first(party: Party) -> int:
    """The CSeq of a side's first request inside the dialog: the caller has used 1 for its INVITE."""
    return 2 if party.name == "alice" else 1


@pytest.mark.parametrize(
    "method", ["INFO", "MESSAGE", "UPDATE", "REFER", "NOTIFY", "OPTIONS", "PUBLISH", "NOVELTY", "x-own"]
)
@pytest.mark.parametrize("status", [200, 405, 481, 501])
def test_any_method_passes_inside_a_dialog_both_ways(alice: Party, bob: Party, method: str, status: int) -> None:
    mine, theirs = talk(alice, bob)
    asks(mine, bob, method, "X-Extension: yes", status=status)
    asks(theirs, alice, method, status=status)
    ends(mine, bob)


def test_what_a_dialog_requires_is_for_its_ends(alice: Party, bob: Party) -> None:
    """Require concerns the other end, Proxy-Require us (§20.29, §20.32)."""
    mine, _ = talk(alice, bob)
    asks(mine, bob, "INFO", "Require: x-between-us", status=420)
    alice >> mine.request("INFO", "Proxy-Require: x-between-us")
    assert (alice << 420).first("unsupported") == "x-between-us"
    bob.nothing()

"""A connection breaks, at every step of a call and on either side: who learns what, what still works (§17.1.4, §18.4).

Clients have signed in with an instance, so that a GRUU of theirs finds them again over the next connection.
"""

from typing import Any

import pytest

from sipgw.message import Request
from tests.harness import REFUSING, SILENT, Dialog, MakeWorld, Party, World, diagnostics_of, reply
from tests.scenarios.proxy.ladder import calls, cancels, ends_with, refuses, rings, tag_of


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world()


def signed_in(world: World, name: str, transport: str, number: int) -> tuple[Party, str]:
    """A client and its GRUU."""
    party = world.phone(name, transport, f"198.51.100.{number}", instance=f"{name}-1")
    (contact,) = party.sign_in().values("contact")
    return party, str(contact.partition('gruu="')[2].partition('"')[0])


class Call:
    """Alice and bob, each by a connection of its own."""

    def __init__(self, world: World, transport: str) -> None:
        self.world = world
        self.alice, self.alice_gruu = signed_in(world, "alice", transport, 7)
        self.bob, self.bob_gruu = signed_in(world, "bob", transport, 8)
        self.at_bob: Any = None
        self.answer: Any = None

    def invite(self) -> Request:
        contact = f"Contact: <{self.alice_gruu}>"
        invite = self.alice.request("INVITE", self.bob.uri, contact, contact=False)
        self.alice >> invite
        self.alice << 100
        self.at_bob = self.bob << "INVITE"
        return invite

    def ring(self) -> None:
        rings(self.bob, self.at_bob)
        self.alice << 180

    def accept(self) -> None:
        self.answer = reply(self.at_bob, 200, tag=tag_of(self.bob), contact=self.bob_gruu)
        self.bob >> self.answer

    def established(self) -> tuple[Dialog, Dialog]:
        self.invite()
        self.accept()
        mine = self.alice.calling(self.alice << 200)
        self.alice >> mine.request("ACK")
        self.bob << "ACK"
        return mine, self.bob.called(self.at_bob, self.answer)

    def comes_back(self, party: Party) -> None:
        party.connect(port=party.port + 5000)
        party.sign_in()


@pytest.fixture(params=["TCP", "TLS"])
def call(request: pytest.FixtureRequest, world: World) -> Call:
    return Call(world, request.param)


def exchanged(sender: Dialog, other: Party, method: str = "INFO") -> None:
    sender.party >> sender.request(method)
    other >> reply(other << method, 200)
    assert (sender.party << 200).cseq.method == method


# the called


@pytest.mark.parametrize("rang", [False, True], ids=["before-ringing", "while-ringing"])
def test_the_called_is_lost_before_the_answer(call: Call, rang: bool) -> None:
    call.invite()
    if rang:
        call.ring()
    call.bob.break_connection()
    failure = ends_with(call.alice, 480)  # §16.9: as if it had answered 503, which is told in our words
    assert diagnostics_of(failure)[0] == 1007


def test_the_called_is_lost_while_the_call_is_being_cancelled(call: Call) -> None:
    invite = call.invite()
    call.ring()
    cancels(call.alice, invite)
    call.bob << "CANCEL"
    call.bob.break_connection()
    ends_with(call.alice, 487)


def test_the_called_is_lost_after_its_refusal(call: Call) -> None:
    call.invite()
    refuses(call.bob, call.at_bob, 486)
    call.bob.break_connection()
    ends_with(call.alice, 486)


def test_the_called_is_lost_after_its_answer_and_the_ack_finds_it_again(call: Call) -> None:
    call.invite()
    call.accept()
    mine = call.alice.calling(call.alice << 200)
    call.bob.break_connection()
    call.alice >> mine.request("ACK")  # nobody is there, and nobody can be told
    call.alice.nothing()
    call.comes_back(call.bob)
    call.bob >> call.answer
    again = call.alice << 200
    call.alice >> call.alice.calling(again).request("ACK")
    call.bob << "ACK"
    exchanged(mine, call.bob, "BYE")


def test_the_called_answers_over_its_new_connection(call: Call) -> None:
    """The transaction ended with the connection (§17.1.4); what comes after it is late and goes nowhere."""
    call.invite()
    call.ring()
    call.bob.break_connection()
    ends_with(call.alice, 480)
    call.comes_back(call.bob)
    call.accept()
    call.alice.nothing()


def test_the_called_is_lost_during_the_call(call: Call) -> None:
    mine, theirs = call.established()
    call.bob.break_connection()
    call.alice >> mine.request("INFO")
    assert diagnostics_of(call.alice << 481)[0] == 1004
    call.comes_back(call.bob)
    exchanged(mine, call.bob)
    exchanged(theirs, call.alice)


def test_the_called_is_lost_with_a_request_unanswered(call: Call) -> None:
    mine, _ = call.established()
    call.alice >> mine.request("INFO")
    call.bob << "INFO"
    call.bob.break_connection()
    assert diagnostics_of(call.alice << 481)[0] == 1004


def test_the_called_is_lost_with_the_bye_unanswered(call: Call) -> None:
    mine, _ = call.established()
    call.alice >> mine.request("BYE")
    call.bob << "BYE"
    call.bob.break_connection()
    assert (call.alice << 481).cseq.method == "BYE"  # for the caller the call is over all the same (§15.1.1)


def test_the_called_hangs_up_over_its_new_connection(call: Call) -> None:
    _, theirs = call.established()
    call.bob.break_connection()
    call.bob.connect(port=48888)
    exchanged(theirs, call.alice, "BYE")


def test_the_called_answers_a_request_over_its_new_connection(call: Call) -> None:
    """A response belongs to its transaction whatever way it comes, but this one has ended with the connection."""
    mine, _ = call.established()
    call.alice >> mine.request("INFO")
    info = call.bob << "INFO"
    call.bob.break_connection()
    call.alice << 481
    call.bob.connect(port=48888)
    call.bob >> reply(info, 200)
    call.alice.nothing()


# the caller


@pytest.mark.parametrize("rang", [False, True], ids=["before-ringing", "while-ringing"])
def test_the_caller_is_lost_before_the_answer_and_the_called_learns_it_when_it_hangs_up(call: Call, rang: bool) -> None:
    """A proxy does not end calls; the phone repeats its 200, gives up and says BYE (§13.3.1.4)."""
    call.invite()
    if rang:
        call.ring()
    call.alice.break_connection()
    call.accept()
    call.alice.nothing()
    call.bob >> call.bob.called(call.at_bob, call.answer).request("BYE")
    assert diagnostics_of(call.bob << 481)[0] == 1004


def test_the_caller_comes_back_and_the_repeated_answer_still_cannot_reach_it(call: Call) -> None:
    """A response has one place to go besides its connection: the port in Via, where this client does not listen. The
    BYE of the phone, which is a request, does find it."""
    call.invite()
    call.alice.break_connection()
    call.comes_back(call.alice)
    call.accept()
    call.bob >> call.answer
    call.alice.nothing()
    call.bob >> call.bob.called(call.at_bob, call.answer).request("BYE")
    call.alice >> reply(call.alice << "BYE", 481)
    call.bob << 481


def test_the_caller_is_lost_after_the_answer_and_acknowledges_over_its_new_connection(call: Call) -> None:
    call.invite()
    call.accept()
    mine = call.alice.calling(call.alice << 200)
    call.alice.break_connection()
    call.alice.connect(port=47777)
    call.alice >> mine.request("ACK")
    call.bob << "ACK"
    exchanged(mine, call.bob)
    exchanged(mine, call.bob, "BYE")


def test_the_caller_is_lost_before_it_has_acknowledged_a_refusal(call: Call) -> None:
    call.invite()
    refuses(call.bob, call.at_bob, 486)
    failure = call.alice << 486
    ack = call.alice.ack_failure(failure)
    call.alice.break_connection()
    call.alice.connect(port=47777)
    call.alice >> ack
    call.bob.nothing()
    call.alice.nothing()


def test_the_caller_is_lost_during_the_call(call: Call) -> None:
    mine, theirs = call.established()
    call.alice.break_connection()
    call.bob >> theirs.request("INFO")
    assert diagnostics_of(call.bob << 481)[0] == 1004
    call.comes_back(call.alice)
    exchanged(theirs, call.alice)
    exchanged(mine, call.bob)


def test_the_caller_is_lost_with_a_request_unanswered(call: Call) -> None:
    """The INFO was delivered; its 200 has no way back, and the client asks again over the new connection."""
    mine, _ = call.established()
    call.alice >> mine.request("INFO")
    info = call.bob << "INFO"
    call.alice.break_connection()
    call.bob >> reply(info, 200)
    call.alice.connect(port=47777)
    call.alice.nothing()
    exchanged(mine, call.bob)


def test_the_caller_is_lost_with_its_cancel_unanswered(call: Call) -> None:
    invite = call.invite()
    call.ring()
    cancel = call.alice.cancel(invite)
    call.alice.break_connection()
    call.alice.connect(port=47777)
    call.alice >> cancel
    assert (call.alice << 200).cseq.method == "CANCEL"
    call.bob >> reply(call.bob << "CANCEL", 200)
    refuses(call.bob, call.at_bob, 487)
    call.alice.nothing()


def test_the_caller_is_lost_while_it_rings_and_hangs_up_over_its_new_connection(call: Call) -> None:
    """RFC 6026 §8.8: that a 180 could not be told to the caller is no reason to forget the call, which rings on."""
    invite = call.invite()
    call.alice.break_connection()
    rings(call.bob, call.at_bob)
    call.alice.connect(port=47777)
    cancels(call.alice, invite)
    call.bob >> reply(call.bob << "CANCEL", 200)
    refuses(call.bob, call.at_bob, 487)
    call.alice.nothing()


def test_the_caller_is_lost_while_it_rings_and_sends_its_invite_again(call: Call) -> None:
    """It is the same call: the phone, which rings already, is not called once more."""
    invite = call.invite()
    call.alice.break_connection()
    rings(call.bob, call.at_bob)
    call.alice.connect(port=47777)
    call.alice >> invite
    call.alice.nothing()
    call.bob.nothing()
    refuses(call.bob, call.at_bob, 486)


def test_a_caller_that_listens_is_told_how_its_call_goes_on(call: Call) -> None:
    """§18.2.2: at the address that it came from and the port that its Via names, over one new connection."""
    call.invite()
    call.alice.break_connection()
    rings(call.bob, call.at_bob)
    call.alice.nothing()
    if call.alice.transport == "TCP":  # towards a TLS client there would have to be a name to prove
        call.alice.listens = True
        rings(call.bob, call.at_bob)
        call.alice << 180
    refuses(call.bob, call.at_bob, 486)
    if call.alice.listens:
        ends_with(call.alice, 486)


def test_both_are_lost_and_both_come_back(call: Call) -> None:
    mine, theirs = call.established()
    for party in (call.alice, call.bob):
        party.break_connection()
    for party in (call.alice, call.bob):
        call.comes_back(party)
    exchanged(mine, call.bob)
    exchanged(theirs, call.alice)
    exchanged(mine, call.bob, "BYE")


# many at once


def test_answers_find_their_requests_in_any_order_on_one_connection(world: World, call: Call) -> None:
    messages = [call.alice.request("MESSAGE", call.bob.uri, body=str(number).encode()) for number in range(30)]
    for message in messages:
        call.alice >> message
    arrived = [call.bob << "MESSAGE" for _ in messages]
    for message in arrived[::-1]:
        call.bob >> reply(message, 200 + int(message.body))
    for number in range(29, -1, -1):
        answer = call.alice << 200 + number
        assert answer.via.branch == messages[number].via.branch


def test_all_that_waits_on_a_connection_fails_once_when_it_breaks(world: World, call: Call) -> None:
    carol = world.phone("carol", "TCP", "198.51.100.9")
    for number in range(20):
        sender = (call.alice, carol)[number % 2]
        sender >> sender.request("MESSAGE", call.bob.uri)
        call.bob << "MESSAGE"
    call.bob.break_connection()
    for sender in (call.alice, carol):
        for _ in range(10):
            sender << 480
        sender.nothing()


def test_what_others_send_is_not_touched_by_a_break(world: World, call: Call) -> None:
    carol, _ = signed_in(world, "carol", "TCP", 9)
    call.alice >> call.alice.request("MESSAGE", call.bob.uri)
    call.alice >> call.alice.request("MESSAGE", carol.uri)
    at_bob, at_carol = call.bob << "MESSAGE", carol << "MESSAGE"
    carol.break_connection()
    call.alice << 480
    call.bob >> reply(at_bob, 200)
    call.alice << 200
    assert at_carol.body == b""


# half open


def test_a_phone_that_vanished_without_a_sign_is_given_up_after_timer_b(call: Call) -> None:
    """The connection looks alive and nothing comes: no answer within 64*T1 is no answer (§17.1.1.2)."""
    call.bob.state = SILENT
    calls(call.alice, call.bob.uri)
    call.world.advance(31.999)
    call.alice.nothing()
    call.world.advance(0.001)
    ends_with(call.alice, 408)


def test_a_phone_that_vanished_and_came_back_can_answer_on_its_new_connection(call: Call) -> None:
    """The old connection was never closed, so nobody knows that it is dead; the call is not held up by it."""
    call.bob.state = SILENT
    again = call.world.phone("bob", call.bob.transport, "198.51.100.8", instance="bob-1")
    again.sign_in()
    calls(call.alice, again.uri)
    ok = reply(again << "INVITE", 200, contact=again.contact)
    again >> ok
    mine = call.alice.calling(call.alice << 200)
    call.alice >> mine.request("ACK")
    again << "ACK"
    exchanged(mine, again, "BYE")


@pytest.mark.parametrize("state", [SILENT, REFUSING])
def test_a_pool_server_that_died_is_told_to_the_caller(world: World, state: str) -> None:
    alice, pool = world.phone("alice"), world.server()
    alice >> alice.request("INVITE", "sip:ocschat@example.test")
    alice << 100
    at_pool = pool << "INVITE"
    pool >> reply(at_pool, 200, contact=pool.contact)
    mine = alice.calling(alice << 200)
    alice >> mine.request("ACK")
    pool << "ACK"
    pool.state = state
    if state == REFUSING:
        pool.break_connection()
    alice >> mine.request("INVITE")
    alice << 100
    world.advance(32)
    alice.fail_call(408 if state == SILENT else 481)
    alice >> mine.request("INFO")
    world.advance(32)
    if state == REFUSING:
        assert diagnostics_of(alice << 481)[0] == 1004
    else:
        assert [message.start for message in alice.inbox] == ["SIP/2.0 100 Trying"]  # RFC 4320 §4.2: no late 408
        alice.inbox.clear()

"""Calls between two user agents over a wire that loses things: what the emulated pool and client stand on (§12-15)."""

import pytest

from sipgw.message import Request, parse_message
from tests.core.user_agents import CALLED, CALLER, Wire, name_of

AGAIN = [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]  # a 2xx without its ACK (§13.3.1.4)


@pytest.fixture(params=["UDP", "TCP"])
def wire(request: pytest.FixtureRequest) -> Wire:
    return Wire(request.param)


def forget_nothing(wire: Wire) -> None:
    """After all timers neither end holds a transaction."""
    wire.advance(200)
    for end in (wire.caller, wire.called):
        assert end.agent.layer.size == (0, 0)
        assert end.agent.next_deadline() is None


def test_a_call_is_three_messages_and_its_end_two(wire: Wire) -> None:
    wire.caller.invite()
    assert wire.take() == ["INVITE", "200 INVITE", "ACK"]
    wire.caller.ask("INFO")
    wire.called.ask("INFO")
    assert wire.take() == ["INFO", "200 INFO"] * 2
    wire.called.hang_up()
    assert wire.take() == ["BYE", "200 BYE"]
    assert wire.caller.agent.dialogs == wire.called.agent.dialogs == {}
    assert wire.caller.answers == [(200, ""), (200, "")]
    forget_nothing(wire)


@pytest.mark.parametrize("lost", [1, 2, 4])
@pytest.mark.parametrize("name", ["INVITE", "200 INVITE"])
def test_a_call_comes_about_although_messages_are_lost(name: str, lost: int) -> None:
    wire = Wire("UDP")
    wire.loses = lambda what, number: what == name and number <= lost
    wire.caller.invite()
    wire.advance(20)
    assert wire.called.heard == ["INVITE"]
    assert wire.caller.answers == [(200, "")]
    assert wire.take().count("ACK") == 1
    wire.loses = lambda what, number: False
    wire.caller.ask("INFO")
    assert wire.caller.answers == [(200, ""), (200, "")]
    wire.called.hang_up()
    forget_nothing(wire)


@pytest.mark.parametrize("lost", [1, 3, 9])
def test_an_answer_that_comes_again_is_acknowledged_again_and_opens_nothing_new(wire: Wire, lost: int) -> None:
    """§13.2.2.4: an ACK for each 2xx. The application hears of its call once, and its numbers go on."""
    wire.loses = lambda what, number: what == "ACK" and number <= lost
    wire.caller.invite()
    dialog = wire.caller.dialog
    wire.caller.ask("INFO")
    wire.advance(33)
    assert wire.take().count("ACK") == lost + 1
    assert wire.called.lost == []
    assert wire.caller.answers == [(200, ""), (200, "")]
    assert wire.caller.dialog is dialog
    assert len(wire.caller.agent.dialogs) == 1
    wire.caller.ask("INFO")
    assert wire.caller.answers[-1] == (200, "")
    wire.called.hang_up()
    forget_nothing(wire)


def test_a_second_phone_that_answers_is_acknowledged_and_hung_up(wire: Wire) -> None:
    """§13.2.2.4: a 2xx with another To tag opens another dialog, which nobody here has a use for."""
    wire.caller.invite()
    ok = next(message for message in wire.seen if name_of(message) == "200 INVITE")
    first = wire.caller.dialog
    other = ok.encode().replace(first.remote_tag.encode(), b"another-phone")
    sent = wire.put(wire.caller, other)
    assert [name_of(message) for message in sent] == ["ACK", "BYE"]
    assert {message.to_tag for message in sent} == {"another-phone"}
    assert wire.caller.answers == [(200, "")]
    assert wire.caller.dialog is first
    wire.called.hang_up()


def test_an_answer_is_repeated_at_t1_doubling_to_t2_whatever_the_transport(wire: Wire) -> None:
    """§13.3.1.4: over connections too, for what loses it may be behind the next hop."""
    wire.loses = lambda what, number: what in ("ACK", "BYE") or (what == "200 INVITE" and number > 1)
    wire.caller.invite()
    seen = []
    begin = wire.now
    wire.take()
    for second in AGAIN:
        wire.advance(begin + second - 0.001 - wire.now)
        assert wire.take().count("200 INVITE") == 0
        wire.advance(0.001)
        seen.append(wire.take().count("200 INVITE"))
    assert seen == [1] * len(AGAIN)
    wire.advance(0.499)
    assert "BYE" not in wire.take()
    wire.advance(0.001)
    assert wire.take() == ["BYE"]
    assert len(wire.called.lost) == 1
    wire.advance(100)
    assert "200 INVITE" not in wire.take()  # and that was the last of it
    forget_nothing(wire)


def test_the_ack_stops_the_repetition(wire: Wire) -> None:
    wire.loses = lambda what, number: what == "ACK"
    wire.caller.invite()
    wire.loses = lambda what, number: False
    ack = wire.caller.dialog.request("ACK", f"SIP/2.0/UDP {CALLER}:5060;branch=z9hG4bKlate", [], cseq=1)
    wire.advance(2)
    wire.take()
    wire.put(wire.called, ack)
    wire.advance(60)
    assert wire.take() == []


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"Call-ID: ", b"Call-ID: x"), (b";tag=", b";tag=0"), (b"From: ", b"X-From: ")],
    ids=["Call-ID", "tags", "From"],
)
def test_an_ack_to_another_call_does_not_stop_it(wire: Wire, old: bytes, new: bytes) -> None:
    wire.loses = lambda what, number: what == "ACK"
    wire.caller.invite()
    ack = wire.caller.dialog.request("ACK", f"SIP/2.0/UDP {CALLER}:5060;branch=z9hG4bKlate", [], cseq=1)
    assert wire.put(wire.called, ack.encode().replace(old, new)) == []
    wire.loses = lambda what, number: what in ("ACK", "200 INVITE")
    wire.take()
    wire.advance(0.5)
    assert wire.take() == ["200 INVITE"]
    wire.called.agent.forget(wire.called.dialog)


def test_the_caller_hangs_up_before_its_ack_has_come(wire: Wire) -> None:
    """§15: a BYE is good in the dialog, ACK or not; nothing is repeated after it."""
    wire.loses = lambda what, number: what == "ACK"
    wire.caller.invite()
    wire.caller.hang_up()
    wire.take()
    wire.advance(60)
    assert wire.take() == []
    assert wire.called.agent.dialogs == {}
    assert wire.called.lost == []
    forget_nothing(wire)


def test_both_hang_up_at_once(wire: Wire) -> None:
    """Each has forgotten the dialog when the other's BYE arrives; 481 is as good as 200 (§15.1.1)."""
    wire.caller.invite()
    wire.loses = lambda what, number: what == "BYE" and number == 1
    wire.caller.hang_up()
    wire.called.hang_up()
    assert (481, "") in wire.called.answers
    if wire.caller.transport == "UDP":
        wire.advance(1)
        assert wire.caller.answers[-1] == (481, "")
    wire.advance(40)
    forget_nothing(wire)


# re-INVITE


def test_the_answer_to_a_reinvite_is_repeated_until_its_ack(wire: Wire) -> None:
    """§14.2, §13.3.1.4: an INVITE is an INVITE: its 2xx goes out again at T1, doubling, until the ACK."""
    wire.caller.invite()
    wire.loses = lambda what, number: what == "200 INVITE"
    wire.take()
    wire.caller.ask("INVITE", wire.caller.contact)
    wire.advance(3.5)
    assert wire.take().count("200 INVITE") == 4
    wire.caller.agent.forget(wire.caller.dialog)
    ack = wire.caller.dialog.request("ACK", f"SIP/2.0/UDP {CALLER}:5060;branch=z9hG4bKack", [], cseq=2)
    wire.put(wire.called, ack)
    wire.take()
    wire.advance(20)
    assert "200 INVITE" not in wire.take()


def test_the_route_of_a_dialog_is_not_changed_by_a_reinvite(wire: Wire) -> None:
    """§12.2: a target refresh changes the target and nothing else."""
    wire.caller.invite()
    wire.caller.ask("INVITE", f"Contact: <sip:moved@{CALLER}:5060>", "Record-Route: <sip:evil.test;lr>")
    assert wire.called.dialog.target == f"sip:moved@{CALLER}:5060"
    assert wire.called.dialog.routes == []
    wire.called.agent.forget(wire.called.dialog)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_new_contact_is_where_requests_go_from_then_on(wire: Wire, method: str) -> None:
    wire.caller.invite()
    wire.caller.ask(method, f"Contact: <sip:moved@{CALLER}:5060;x=1>")
    assert wire.called.dialog.target == f"sip:moved@{CALLER}:5060;x=1"
    wire.called.agent.forget(wire.called.dialog)


@pytest.mark.parametrize("method", ["INFO", "MESSAGE", "OPTIONS", "BYE"])
def test_a_contact_in_other_requests_moves_nothing(wire: Wire, method: str) -> None:
    wire.caller.invite()
    before = wire.called.dialog.target
    wire.caller.ask(method, f"Contact: <sip:moved@{CALLER}:5060>")
    assert wire.called.dialog.target == before


# the numbers of requests


@pytest.mark.parametrize(
    ("numbers", "statuses"),
    [
        ([2, 3, 4], [200, 200, 200]),
        ([2, 9, 10], [200, 200, 200]),
        ([5, 4, 6], [200, 500, 200]),
        ([5, 2, 3, 4, 6], [200, 500, 500, 500, 200]),
        ([2**31 - 1, 3], [200, 500]),
    ],
)
def test_requests_that_were_overtaken_are_refused(wire: Wire, numbers: list[int], statuses: list[int]) -> None:
    """§12.2.2: 500 for a number lower than the last; gaps are allowed."""
    wire.caller.invite()
    answers = []
    for number in numbers:
        wire.caller.dialog.local_seq = number - 1
        via = f"SIP/2.0/UDP {CALLER}:5060;branch=z9hG4bK-{number}"
        (answer,) = wire.put(wire.called, wire.caller.dialog.request("INFO", via, []))
        answers.append(int(answer.start.split()[1]))
    assert answers == statuses


def test_each_direction_counts_for_itself(wire: Wire) -> None:
    wire.caller.invite()
    for _ in range(3):
        wire.called.ask("INFO")
    wire.caller.ask("INFO")
    assert {status for status, _ in wire.called.answers + wire.caller.answers} == {200}


# outside any dialog


@pytest.mark.parametrize("method", ["BYE", "INFO", "INVITE", "UPDATE", "MESSAGE", "NOVELTY"])
def test_a_request_for_a_dialog_that_is_not_there_is_told_so(wire: Wire, method: str) -> None:
    """§12.2.2: a To tag that we have not given."""
    request = stranger(method, "nobody-knows")
    (answer,) = wire.put(wire.called, request)
    assert answer.start.split()[1] == "481"
    assert wire.called.heard == []


@pytest.mark.parametrize("tag", ["", "unknown"])
def test_an_ack_out_of_nowhere_gets_no_answer(wire: Wire, tag: str) -> None:
    assert wire.put(wire.called, stranger("ACK", tag)) == []


@pytest.mark.parametrize("method", ["BYE", "INFO"])
def test_a_dialog_is_told_by_all_three_of_its_parts(wire: Wire, method: str) -> None:
    """§12: Call-ID, local tag, remote tag. What fits in two of them belongs to nothing."""
    wire.caller.invite()
    via = f"SIP/2.0/UDP {CALLER}:5060;branch=z9hG4bK-x"
    data = wire.caller.dialog.request(method, via, []).encode()
    mine, theirs = wire.caller.dialog.local_tag, wire.caller.dialog.remote_tag
    changes = [(mine, "other1"), (theirs, "other2"), (wire.caller.dialog.call_id, "other3")]
    for number, (old, new) in enumerate(changes):
        changed = data.replace(old.encode(), new.encode()).replace(b"z9hG4bK-x", b"z9hG4bK-%d" % number)
        (answer,) = wire.put(wire.called, changed)
        assert answer.start.split()[1] == "481"
    assert len(wire.called.agent.dialogs) == 1


def stranger(method: str, to_tag: str) -> Request:
    tag = f";tag={to_tag}" if to_tag else ""
    head = f"{method} sip:agent@{CALLED} SIP/2.0\r\nVia: SIP/2.0/UDP {CALLER}:5060;branch=z9hG4bK-s\r\n"
    rest = f"From: <sip:x@y.test>;tag=1\r\nTo: <sip:agent@{CALLED}>{tag}\r\nCall-ID: c\r\nCSeq: 7 {method}\r\n"
    message = parse_message(
        f"{head}{rest}Max-Forwards: 70\r\nContact: <sip:x@{CALLER}>\r\nContent-Length: 0\r\n\r\n".encode()
    )
    assert isinstance(message, Request)
    return message


# merged, cancelled


def test_one_request_by_two_ways_rings_once(wire: Wire) -> None:
    """§8.2.2.2: a proxy before us has forked and both branches lead here."""
    first = stranger("INVITE", "").encode()
    wire.called.auto = False
    assert wire.put(wire.called, first) == []
    (merged,) = wire.put(wire.called, first.replace(b"z9hG4bK-s", b"z9hG4bK-t"))
    assert merged.start.split()[1] == "482"
    assert wire.called.heard == ["INVITE"]
    assert len(wire.called.waiting) == 1
    wire.called.agent.answer(wire.called.waiting[0], 486, wire.now)


@pytest.mark.parametrize("method", ["INVITE", "INFO", "OPTIONS"])
def test_a_repeated_request_is_handed_to_the_application_once(method: str) -> None:
    wire = Wire("UDP")
    request = stranger(method, "")
    answers = [wire.put(wire.called, request) for _ in range(3)]
    assert wire.called.heard == [method]
    if method == "INVITE":
        assert answers[1:] == [[], []]  # RFC 6026: the 200 is repeated by its own clock, not for copies
    else:
        assert [found[0].encode() for found in answers] == [answers[0][0].encode()] * 3

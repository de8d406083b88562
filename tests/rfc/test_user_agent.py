"""The user agent under the emulated pool and client: requests, responses, dialogs (RFC 3261 §8, §12, §13, §15)."""

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from sipgw.core.dialog import Dialog
from sipgw.core.user_agent import UserAgent
from sipgw.events import Flow, Listener, Output, Send
from sipgw.message import Message, Request, Response, parse_message
from sipgw.message.build import new_request, response_to
from sipgw.message.values import parse_name_addr
from sipgw.transaction.server import ServerTransaction
from sipgw.transaction.timers import TimerValues

LISTENER = Listener("UDP", "192.0.2.51", 5060, "pc.example.test:5060")
PEER = Flow("UDP", "192.0.2.1", 5060, LISTENER)
ROUTES = ["<sip:t1@192.0.2.1:5060;lr;x=1>", "<sip:t2@192.0.2.2;lr>"]


class Bench:
    """An agent, its application, and what it has put on the wire."""

    def __init__(self) -> None:
        self.agent = UserAgent([LISTENER], Random(1), TimerValues())
        self.agent.application = self
        self.now = 100.0
        self.wire: list[Message] = []
        self.heard: list[tuple[str, Dialog | None]] = []
        self.slow: list[ServerTransaction] = []
        self.lost: list[str] = []
        self.done: list[tuple[int, str]] = []
        self.serial = 0

    # the application

    def on_request(self, transaction: ServerTransaction, dialog: Dialog | None, now: float) -> None:
        self.heard.append((transaction.method, dialog))
        if transaction.method == "INVITE" and dialog is None:
            self.agent.accept(transaction, ["Contact: <sip:pool@192.0.2.51:5060>"], b"", "", now)
        elif transaction.method == "SLOW":
            self.slow.append(transaction)
        else:
            self.agent.answer(transaction, 200, now)

    def on_dialog_lost(self, dialog: Dialog, reason: str, now: float) -> None:
        self.lost.append(reason)

    # the wire

    def take(self, outputs: list[Output]) -> None:
        self.wire += [parse_message(output.data) for output in outputs if isinstance(output, Send)]

    def receive(self, message: Message) -> None:
        self.take(self.agent.receive(message.encode(), PEER, self.now))

    def sent(self) -> Any:
        """The one message that it has sent since it was last asked."""
        (message,) = self.wire
        self.wire = []
        return message

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while (deadline := self.agent.next_deadline()) is not None and deadline <= end:
            self.now = deadline
            self.take(self.agent.handle_timers(deadline))
        self.now = end

    # requests of the peer

    def request(self, method: str, cseq: int, *lines: str, to: str = "", tag: str = "their-tag") -> Request:
        self.serial += 1
        head = [f"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{self.serial}", f"CSeq: {cseq} {method}"]
        head += [f"From: <sip:alice@example.test>{tag and f';tag={tag}'}", f"To: {to or '<sip:pool@example.test>'}"]
        return new_request(method, "sip:pool@192.0.2.51", [*head, "Call-ID: call", *lines])

    def dialled(self, tag: str = "their-tag") -> tuple[Response, Dialog]:
        """A dialog that the peer has opened: the 200, and the agent's side of it."""
        lines = ["Contact: <sip:alice@198.51.100.7>", *[f"Record-Route: {route}" for route in ROUTES]]
        self.receive(self.request("INVITE", 7, *lines, tag=tag))
        ok = self.sent()
        (dialog,) = self.agent.dialogs.values()
        return ok, dialog

    def up(self) -> tuple[str, Dialog]:
        """The same, acknowledged: To of requests inside it, and the dialog."""
        ok, dialog = self.dialled()
        to = str(ok.first("to"))
        self.receive(self.request("ACK", 7, to=to))
        assert self.wire == []
        self.heard.clear()
        return to, dialog

    def ask(self, dialog: Dialog, method: str = "INFO") -> Request:
        """A request of the agent's, as it left."""

        def done(response: Response | None, reason: str, now: float) -> None:
            self.done.append((response.status if response else 0, reason))

        self.agent.send(dialog, method, self.now, done, [])
        self.take(self.agent.outputs())
        request: Request = self.sent()
        return request

    def outside(self) -> Request:
        def done(response: Response | None, reason: str, now: float) -> None:
            self.done.append((response.status if response else 0, reason))

        lines = ["From: <sip:a@x.test>;tag=1", "To: <sip:b@x.test>", "Call-ID: out", "CSeq: 1 MESSAGE"]
        self.agent.send_outside("MESSAGE", "sip:b@x.test", PEER, lines, self.now, done)
        self.take(self.agent.outputs())
        request: Request = self.sent()
        return request


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.advance(200)
    assert made.agent.layer.size == (0, 0)


# requests (§8.1.1, §12.2.1.1)


def test_a_request_has_all_that_it_must(bench: Bench) -> None:
    request = bench.outside()
    assert {"to", "from", "cseq", "call-id", "max-forwards", "via"} <= request.index.keys()
    assert request.first("max-forwards") == "70"
    assert (request.via.transport, request.via.sent_by) == ("UDP", "pc.example.test:5060")
    assert request.via.branch.startswith("z9hG4bK")
    assert request.to_tag == ""


def test_every_request_has_a_branch_of_its_own(bench: Bench) -> None:
    assert len({bench.outside().via.branch for _ in range(100)}) == 100


def test_a_request_in_a_dialog_follows_its_state(bench: Bench) -> None:
    to, dialog = bench.up()
    first, second = bench.ask(dialog), bench.ask(dialog)
    assert first.uri == "sip:alice@198.51.100.7"
    assert first.values("route") == ROUTES
    assert (first.first("from"), first.first("to")) == (to, "<sip:alice@example.test>;tag=their-tag")
    assert first.call_id == "call"
    assert (second.cseq.number - first.cseq.number, second.cseq.method) == (1, "INFO")


def test_without_record_route_there_is_no_route(bench: Bench) -> None:
    bench.receive(bench.request("INVITE", 1, "Contact: <sip:alice@198.51.100.7>"))
    ok = bench.sent()
    bench.receive(bench.request("ACK", 1, to=str(ok.first("to"))))
    request = bench.ask(next(iter(bench.agent.dialogs.values())))
    assert "route" not in request.index
    assert request.uri == "sip:alice@198.51.100.7"


def test_a_strict_router_first_in_the_route_set(bench: Bench) -> None:
    """Its own URI becomes the Request-URI, the remote target the last Route."""
    _, dialog = bench.up()
    dialog.routes = ["<sip:strict.test;x=1>", "<sip:second.test;lr>"]
    request = bench.ask(dialog)
    assert request.uri == "sip:strict.test;x=1"
    assert request.values("route") == ["<sip:second.test;lr>", "<sip:alice@198.51.100.7>"]


def test_a_peer_of_the_older_kind_has_no_tag(bench: Bench) -> None:
    """§12.1.1: null, and left out of what is sent."""
    bench.dialled(tag="")
    (dialog,) = bench.agent.dialogs.values()
    assert dialog.remote_tag == ""
    assert bench.ask(dialog).first("to") == "<sip:alice@example.test>"


# responses (§8.1.3)


@pytest.mark.parametrize("status", [200, 299, 399, 431, 499, 599, 699])
def test_any_final_response_ends_a_request(bench: Bench, status: int) -> None:
    """One that is not known counts as x00 of its class."""
    bench.receive(response_to(bench.outside(), status, to_tag="t"))
    assert bench.done == [(status, "")]


@pytest.mark.parametrize("status", [100, 183, 199])
def test_no_provisional_response_does(bench: Bench, status: int) -> None:
    request = bench.outside()
    bench.receive(response_to(request, status, to_tag="t"))
    assert bench.done == []
    bench.receive(response_to(request, 200, to_tag="t"))
    assert bench.done == [(200, "")]


def test_silence_and_transport_errors_are_told(bench: Bench) -> None:
    bench.outside()
    bench.advance(33)
    bench.wire.clear()
    branch = bench.outside().via.branch
    bench.take(bench.agent.send_failed(branch, "connection refused", bench.now))
    assert bench.done == [(0, "timeout"), (0, "connection refused")]


def test_a_response_with_a_second_via_is_dropped(bench: Bench) -> None:
    """§8.1.3.3: it went astray."""
    request = bench.outside()
    astray = response_to(request, 200, to_tag="t")
    astray.lines.insert(1, "Via: SIP/2.0/UDP 203.0.113.9;branch=z9hG4bKx")
    bench.receive(astray)
    assert bench.done == []
    bench.receive(response_to(request, 200, to_tag="t"))
    assert bench.done == [(200, "")]


# requests of others (§8.2, §12.2.2)


def test_the_200_that_opens_a_dialog(bench: Bench) -> None:
    ok, dialog = bench.dialled()
    assert ok.values("record-route") == ROUTES
    assert len(ok.values("contact")) == 1
    assert ok.to_tag == dialog.local_tag
    assert (dialog.remote_tag, dialog.remote_seq, dialog.call_id) == ("their-tag", 7, "call")
    assert dialog.target == "sip:alice@198.51.100.7"
    assert (dialog.local_seq, dialog.routes) == (0, ROUTES)
    bench.receive(bench.request("ACK", 7, to=str(ok.first("to"))))


def test_a_dialog_from_the_callers_side() -> None:
    """§12.1.2: the route set is the Record-Route turned round; tags and target come from the response."""
    lines = ["From: <sip:a@x.test>;tag=mine", "To: <sip:b@x.test>", "Call-ID: c", "CSeq: 9 INVITE"]
    invite = new_request("INVITE", "sip:b@x.test", ["Via: SIP/2.0/UDP h;branch=z9hG4bK1", *lines])
    headers = [*[f"Record-Route: {route}" for route in ROUTES], "Contact: <sip:b@192.0.2.9;x=1>"]
    dialog = Dialog.from_response(invite, response_to(invite, 200, to_tag="theirs", headers=headers), PEER)
    assert dialog.routes == ROUTES[::-1]
    assert dialog.target == "sip:b@192.0.2.9;x=1"
    assert (dialog.local_tag, dialog.remote_tag, dialog.local_seq, dialog.remote_seq) == ("mine", "theirs", 9, 0)
    assert parse_name_addr(dialog.local).uri == "sip:a@x.test"
    assert parse_name_addr(dialog.remote).uri == "sip:b@x.test"


def test_a_dialog_from_the_callers_side_without_tag_and_route() -> None:
    lines = ["From: <sip:a@x.test>;tag=mine", "To: <sip:b@x.test>", "Call-ID: c", "CSeq: 9 INVITE"]
    invite = new_request("INVITE", "sip:b@x.test", ["Via: SIP/2.0/UDP h;branch=z9hG4bK1", *lines])
    dialog = Dialog.from_response(invite, response_to(invite, 200), PEER)
    assert (dialog.remote_tag, dialog.routes) == ("", [])


def test_a_request_for_a_dialog_that_is_not_there_is_481(bench: Bench) -> None:
    bench.receive(bench.request("INFO", 8, to="<sip:pool@example.test>;tag=other"))
    assert bench.sent().status == 481
    assert bench.heard == []


def test_a_request_that_was_overtaken_is_500(bench: Bench) -> None:
    to, dialog = bench.up()
    bench.receive(bench.request("INFO", 20, to=to))
    assert bench.sent().status == 200
    bench.receive(bench.request("INFO", 19, to=to))
    assert bench.sent().status == 500
    assert (len(bench.heard), dialog.remote_seq) == (1, 20)


@pytest.mark.parametrize("number", [8, 9, 5000, 2**31 - 1])
def test_numbers_may_be_left_out(bench: Bench, number: int) -> None:
    to, dialog = bench.up()
    bench.receive(bench.request("INFO", number, to=to))
    assert bench.sent().status == 200
    assert dialog.remote_seq == number


def test_a_target_refresh_moves_the_target(bench: Bench) -> None:
    """§12.2.2: a re-INVITE or UPDATE with a Contact; other requests do not."""
    to, dialog = bench.up()
    bench.receive(bench.request("INFO", 8, "Contact: <sip:no@198.51.100.9>", to=to))
    bench.sent()
    assert dialog.target == "sip:alice@198.51.100.7"
    bench.receive(bench.request("UPDATE", 9, "Contact: <sip:new@198.51.100.8>", to=to))
    bench.sent()
    assert dialog.target == "sip:new@198.51.100.8"


def test_an_extension_that_is_required_and_unknown_is_420(bench: Bench) -> None:
    bench.receive(bench.request("OPTIONS", 1, "Require: x-odd"))
    response = bench.sent()
    assert (response.status, response.first("unsupported")) == (420, "x-odd")
    assert bench.heard == []


def test_the_same_request_by_another_way_is_482(bench: Bench) -> None:
    """§8.2.2.2: without a To tag, alike in From tag, Call-ID and CSeq, and another branch."""
    bench.receive(bench.request("SLOW", 3))
    assert bench.wire == []
    bench.receive(bench.request("SLOW", 3))
    assert bench.sent().status == 482
    bench.receive(bench.request("SLOW", 4))
    assert [method for method, _ in bench.heard] == ["SLOW", "SLOW"]
    for transaction in bench.slow:
        bench.agent.answer(transaction, 200, bench.now)
    bench.take(bench.agent.outputs())
    assert [message.start for message in bench.wire] == ["SIP/2.0 200 OK"] * 2


def test_a_cancel_of_what_is_answered_has_no_effect(bench: Bench) -> None:
    """§9.2: 200 while its INVITE's transaction is there, 481 when there is none."""
    lines = ("Contact: <sip:alice@198.51.100.7>",)
    invite = bench.request("INVITE", 7, *lines)
    bench.receive(invite)
    ok = bench.sent()
    cancel = new_request("CANCEL", invite.uri, [line.replace("7 INVITE", "7 CANCEL") for line in invite.lines[:5]])
    bench.receive(cancel)
    assert bench.sent().status == 200
    assert len(bench.agent.dialogs) == 1
    cancel.lines[0] += "other"
    cancel.reindex()
    bench.receive(cancel)
    assert bench.sent().status == 481
    bench.receive(bench.request("ACK", 7, to=str(ok.first("to"))))


# 2xx until ACK, BYE (§13.3.1.4, §15)


def test_a_2xx_is_repeated_until_its_ack(bench: Bench) -> None:
    ok, _ = bench.dialled()
    bench.advance(3.6)  # 0.5, 1.5, 3.5
    assert [message.encode() for message in bench.wire] == [ok.encode()] * 3
    bench.wire.clear()
    bench.receive(bench.request("ACK", 7, to=str(ok.first("to"))))
    bench.advance(60)
    assert bench.wire == []


def test_a_call_whose_ack_never_comes_is_ended_after_64_t1(bench: Bench) -> None:
    """And no BYE leaves before."""
    bench.dialled()
    bench.advance(31.9)
    assert all(isinstance(message, Response) for message in bench.wire)
    bench.wire.clear()
    bench.advance(0.2)
    assert [message.method for message in bench.wire if isinstance(message, Request)] == ["BYE"]
    assert len(bench.lost) == 1
    assert bench.agent.dialogs == {}
    bench.wire.clear()


def test_the_ack_to_a_2xx_is_a_request_of_its_own(bench: Bench) -> None:
    """§13.2.2.4: the number of its INVITE, the route set, a branch of its own; sent again for each 2xx."""
    lines = ["From: <sip:a@x.test>;tag=mine", "To: <sip:b@x.test>", "Call-ID: c", "CSeq: 9 INVITE"]
    invite = new_request("INVITE", "sip:b@x.test", ["Via: SIP/2.0/UDP h;branch=z9hG4bK1", *lines])
    headers = [f"Record-Route: {ROUTES[0]}", "Contact: <sip:b@192.0.2.9>"]
    bench.agent.establish(invite, response_to(invite, 200, to_tag="t", headers=headers), PEER, bench.now)
    bench.take(bench.agent.outputs())
    ack = bench.sent()
    assert (ack.method, ack.uri, ack.cseq) == ("ACK", "sip:b@192.0.2.9", (9, "ACK"))
    assert ack.values("route") == ROUTES[:1]
    assert ack.via.branch not in ("", "z9hG4bK1")


def test_after_bye_the_dialog_is_gone(bench: Bench) -> None:
    to, dialog = bench.up()
    bench.agent.bye(dialog, bench.now)
    bench.take(bench.agent.outputs())
    bye = bench.sent()
    bench.receive(response_to(bye, 481))
    bench.receive(bench.request("INFO", 20, to=to))
    assert bench.sent().status == 481

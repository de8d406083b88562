"""How a service of a legacy pool stays signed in, over a clock that is stepped; the Front End's side is the test's."""

from collections.abc import Callable, Iterator
from itertools import count
from random import Random
from typing import Any

import pytest

from sipgw.events import Flow, Hop, Listener, Log, Notice, Output, Send
from sipgw.groupchat import xccos
from sipgw.groupchat.channel import ChannelService, ChannelSettings
from sipgw.groupchat.client import SDP, Identity
from sipgw.groupchat.lookup import Channels, LookupService
from sipgw.groupchat.lookup_agent import LegacyService
from sipgw.groupchat.lookup_registration import Place
from sipgw.groupchat.records import Deliver, State
from sipgw.message import Message, Request, Response, parse_message
from sipgw.message.build import new_request, response_to
from sipgw.message.values import parse_name_addr
from tests.groupchat.talk import DOMAIN, LOBBY, chanid

URI, CHANNEL = f"sip:ocschat@{DOMAIN}", f"sip:channel@{DOMAIN}"
GRUU = f"sip:ocschat@{DOMAIN};opaque=user:epid:abc;gruu"
FRONT_END = Hop("TCP", "192.0.2.1", 5060)
LISTENER = Listener("TCP", "192.0.2.51", 5070, "192.0.2.51:5070")


class Bench:
    """One service and what it sends. `expires` is what the Front End grants."""

    def __init__(self, *, is_lookup: bool = True, expires: int = 600) -> None:
        self.channels = Channels((CHANNEL,))
        self.channels.up.add(CHANNEL)
        self.rooms = ChannelService(ChannelSettings(DOMAIN, (CHANNEL,)), State(rooms=[LOBBY]))
        service = LookupService(self.channels, lambda user, uri: None) if is_lookup else self.rooms
        identity = Identity(URI, "0123456789ab", "urn:uuid:00000000-0000-1000-8000-000000000001")
        place = Place(identity, FRONT_END, "lookup-1")
        self.changes: list[bool] = []
        self.agent = LegacyService(
            [LISTENER], Random(1), place, service, count(1), 0.0, is_lookup, lambda agent: self._changed()
        )
        self.expires = expires
        self.now = 100.0
        self.sent: list[Message] = []
        self.logs: list[Log] = []
        self.notices: list[Notice] = []
        self.flow = Flow("TCP", "192.0.2.1", 5060, None, 7)
        self.agent.connected(self.flow)
        self.agent.registration.start(self.now)
        self.take(self.agent.outputs())

    def _changed(self) -> None:
        self.changes.append(self.agent.registration.up)

    def take(self, outputs: list[Output]) -> None:
        self.sent += [parse_message(output.data) for output in outputs if isinstance(output, Send)]
        self.logs += [output for output in outputs if isinstance(output, Log)]
        self.notices += [output for output in outputs if isinstance(output, Notice)]

    def receive(self, message: Message) -> None:
        self.take(self.agent.receive(message.encode(), self.flow, self.now))

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while (deadline := self.agent.next_deadline()) is not None and deadline <= end:
            self.now = deadline
            self.take(self.agent.handle_timers(deadline))
        self.now = end

    def request(self, method: str = "REGISTER") -> Request:
        """The next message, which has to be a request of this method."""
        message = self.sent.pop(0)
        assert isinstance(message, Request) and message.method == method
        return message

    def answer(self, register: Request, status: int, *headers: str) -> None:
        self.receive(response_to(register, status, to_tag="fe", headers=headers))

    def accept(self) -> Request:
        """Take the REGISTER that has come and grant it."""
        register = self.request()
        (contact,) = register.values("contact")
        granted = f'Contact: {contact};expires={self.expires};gruu="{GRUU}"'
        self.answer(register, 200, granted, f"Expires: {self.expires}")
        return register

    def notify(self, event: str, method: str = "NOTIFY") -> None:
        lines = [
            "Via: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bKn",
            f"From: <{URI}>;tag=fe",
            f"To: <{URI}>;tag=ours;epid=0123456789ab",
            "Call-ID: of-the-register",
            f"CSeq: 1 {method}",
            "Event: registration-notify",
            "subscription-state: terminated;expires=0",
            'ms-diagnostics-public: 4140;reason="too many"',
            "Content-Type: text/registration-event",
        ]
        self.receive(new_request(method, "sip:ocschat@192.0.2.51", lines, f"deregistered;event={event}".encode()))

    def log(self, event: str) -> Log:
        return next(log for log in self.logs if log.event == event)

    def invite(self, user: str = "alice", tag: str = "a") -> Response:
        """A call; the 200 to it."""
        lines = [
            f"Via: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bKi{tag}",
            f"From: <sip:{user}@{DOMAIN}>;tag={tag}",
            f"To: <{URI}>",
            f"Call-ID: {tag}",
            "CSeq: 1 INVITE",
            f"Contact: <sip:{user}@192.0.2.9>",
            "Content-Type: application/sdp",
        ]
        self.receive(new_request("INVITE", URI, lines, SDP))
        ok = next(message for message in self.sent if isinstance(message, Response) and message.status == 200)
        self.sent.remove(ok)
        return ok

    def in_dialog(self, ok: Response, method: str, cseq: int, body: bytes = b"") -> None:
        lines = [
            f"Via: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK{method}{cseq}{ok.call_id}",
            f"From: {ok.first('from')}",
            f"To: {ok.first('to')}",
            f"Call-ID: {ok.call_id}",
            f"CSeq: {cseq} {method}",
        ]
        self.receive(new_request(method, URI, lines, body))


MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench() -> Iterator[MakeBench]:
    """Each service is stopped in the end, or it would register for ever."""
    made: list[Bench] = []

    def make(**options: Any) -> Bench:
        made.append(Bench(**options))
        return made[-1]

    yield make
    for bench in made:
        bench.agent.registration.stop(bench.now, lambda: None)
        bench.take(bench.agent.outputs())
        bench.advance(200)


def test_it_registers_as_an_endpoint_of_its_own(make_bench: MakeBench) -> None:
    bench = make_bench()
    register = bench.accept()
    assert register.uri == f"sip:{DOMAIN}"
    sender = parse_name_addr(register.first("from") or "")
    assert (sender.uri, sender.params["epid"]) == (URI, "0123456789ab")
    contact = parse_name_addr(register.values("contact")[0])
    assert contact.uri == "sip:ocschat@192.0.2.51:5070;transport=tcp"
    assert contact.params["+sip.instance"] == '"<urn:uuid:00000000-0000-1000-8000-000000000001>"'
    assert register.first("event") == "registration"
    assert bench.changes == [True]
    assert bench.log("signed in").fields["expires"] == 600


def test_dialogs_name_the_gruu(make_bench: MakeBench) -> None:
    """So that the gateway finds the connection that the service has then, whatever it was when the call began."""
    bench = make_bench()
    bench.accept()
    (contact,) = bench.invite().values("contact")
    assert parse_name_addr(contact).uri == GRUU


@pytest.mark.parametrize(("granted", "refreshed"), [(600, 570), (300, 270), (40, 20), (7200, 7170)])
def test_it_refreshes_before_the_end(granted: int, refreshed: int, make_bench: MakeBench) -> None:
    bench = make_bench(expires=granted)
    first = bench.accept()
    bench.advance(refreshed - 0.1)
    assert bench.sent == []
    bench.advance(0.2)
    second = bench.accept()
    assert second.call_id == first.call_id
    assert second.cseq.number == first.cseq.number + 1
    bench.advance(refreshed + 0.1)
    bench.accept()
    assert bench.changes == [True]


def test_a_front_end_that_is_away_is_tried_ever_less_often(make_bench: MakeBench) -> None:
    bench = make_bench()
    pauses = []
    for _ in range(9):
        register = bench.request()
        branch = register.via.branch
        bench.take(bench.agent.send_failed(branch, "connection refused", bench.now))
        before = bench.now
        while not bench.sent:
            bench.advance(0.5)
        pauses.append(bench.now - before)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert bench.changes == []
    bench.accept()
    assert bench.changes == [True]


@pytest.mark.parametrize(
    ("status", "advice"), [(403, "endpoint of the gateway"), (404, "does not serve"), (401, "--login"), (489, "")]
)
def test_a_refusal_is_told_with_advice_and_tried_again_later(status: int, advice: str, make_bench: MakeBench) -> None:
    bench = make_bench()
    bench.answer(bench.request(), status, 'ms-diagnostics: 4711;reason="because"')
    told = bench.log("not signed in").fields
    assert told["status"] == status
    assert "because" in str(told["reason"])
    assert advice in str(told.get("advice", ""))
    bench.advance(59.9)
    assert bench.sent == []
    bench.advance(0.2)
    bench.accept()


def test_an_interval_too_brief_is_corrected(make_bench: MakeBench) -> None:
    bench = make_bench(expires=3600)
    bench.answer(bench.request(), 423, "Min-Expires: 3600")
    register = bench.accept()
    assert register.first("expires") == "3600"
    assert bench.changes == [True]


@pytest.mark.parametrize(
    ("event", "meaning"),
    [
        ("unregistered", "max_bindings_per_user"),
        ("rejected", "disabled"),
        ("deactivated", "moved"),
        ("preferred-registrar-change", "preferred registrar"),
        ("something-new", "too many"),
        ("", "too many"),
    ],
)
def test_the_notify_that_ends_a_registration_is_understood(event: str, meaning: str, make_bench: MakeBench) -> None:
    bench = make_bench()
    bench.accept()
    bench.notify(event)
    (answer,) = bench.sent
    assert isinstance(answer, Response) and answer.status == 200
    bench.sent.clear()
    told = bench.log("signed out by the gateway")
    assert told.level == "warning"
    assert meaning in str(told.fields["reason"])
    assert bench.changes == [True, False]
    bench.advance(59.9)
    assert bench.sent == []
    bench.advance(0.2)  # as the Lookup services did whose user had too few endpoints: they threw each other out
    bench.accept()
    assert bench.changes == [True, False, True]


def test_a_benotify_gets_no_answer(make_bench: MakeBench) -> None:
    bench = make_bench()
    bench.accept()
    bench.notify("unregistered", "BENOTIFY")
    assert bench.sent == []
    assert bench.changes == [True, False]


def test_another_notify_is_not_about_the_registration(make_bench: MakeBench) -> None:
    bench = make_bench()
    bench.accept()
    lines = ["Via: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bKn", f"From: <{URI}>;tag=fe", f"To: <{URI}>"]
    lines += ["Call-ID: c", "CSeq: 1 NOTIFY", "Event: presence"]
    bench.receive(new_request("NOTIFY", URI, lines))
    (answer,) = bench.sent
    assert isinstance(answer, Response) and answer.status == 405
    assert bench.changes == [True]


def test_a_lost_connection_is_a_lost_registration(make_bench: MakeBench) -> None:
    """The gateway has restarted: whatever its store still knows, requests come down the new connection."""
    bench = make_bench()
    bench.accept()
    bench.take(bench.agent.connection_lost(bench.flow, FRONT_END, "closed by the peer", bench.now))
    assert bench.changes == [True, False]
    bench.advance(1.1)
    bench.accept()
    assert bench.changes == [True, False, True]
    bench.advance(560)
    assert bench.sent == [], "the refresh of before does not come as well"


def test_another_connection_may_go(make_bench: MakeBench) -> None:
    bench = make_bench()
    bench.accept()
    bench.take(bench.agent.connection_lost(Flow("TCP", "192.0.2.1", 99, LISTENER, 8), None, "closed", bench.now))
    assert bench.changes == [True]


def test_it_signs_out_this_endpoint_only(make_bench: MakeBench) -> None:
    bench = make_bench()
    bench.accept()
    ended: list[str] = []
    bench.agent.registration.stop(bench.now, lambda: ended.append("done"))
    bench.take(bench.agent.outputs())
    register = bench.request()
    assert register.first("expires") == "0"
    assert "instance" in register.values("contact")[0]
    assert ended == []
    bench.answer(register, 200)
    assert ended == ["done"]
    bench.advance(4000)
    assert bench.sent == []


def test_one_that_never_came_up_signs_out_at_once(make_bench: MakeBench) -> None:
    bench = make_bench()
    register = bench.request()
    ended: list[str] = []
    bench.agent.registration.stop(bench.now, lambda: ended.append("done"))
    assert ended == ["done"]
    bench.answer(register, 403)
    bench.advance(4000)
    assert bench.sent == []


def test_a_call_that_another_service_took_is_no_loss(make_bench: MakeBench) -> None:
    """Nobody has acknowledged the 200, as pidgin-sipe does not: §13.3.1.4."""
    bench = make_bench()
    bench.accept()
    bench.invite()
    bench.advance(32.1)
    methods = [message.method for message in bench.sent if isinstance(message, Request)]
    assert "BYE" in methods
    told = bench.log("call not taken: another Lookup service was faster")
    assert told.level == "info"
    assert not [log for log in bench.logs if log.event == "session lost"]


def test_a_lookup_that_breaks_off_is_told(make_bench: MakeBench) -> None:
    bench = make_bench()
    bench.accept()
    ok = bench.invite()
    bench.in_dialog(ok, "INFO", 2, xccos.command("1", "requri"))  # the ACK was lost
    bench.advance(40)
    assert bench.log("session lost").level == "warning"


def test_a_lookup_from_call_to_bye(make_bench: MakeBench) -> None:
    bench = make_bench()
    bench.accept()
    ok = bench.invite()
    bench.in_dialog(ok, "ACK", 1)
    bench.in_dialog(ok, "INFO", 2, xccos.command("1", "requri"))
    info = next(message for message in bench.sent if isinstance(message, Request))
    assert xccos.channel_uri(xccos.parse(info.body)) == CHANNEL
    bench.answer(info, 200)
    bench.in_dialog(ok, "BYE", 3)
    bench.sent.clear()
    bench.advance(400)
    assert bench.sent == []
    assert not bench.agent.dialogs
    assert {log.event for log in bench.logs} == {"signed in", "session opened"}


def test_a_message_for_a_session_of_another_service_goes_out_as_a_notice(make_bench: MakeBench) -> None:
    bench = make_bench(is_lookup=False)
    bench.accept()
    bench.rooms.open(50, f"sip:bob@{DOMAIN}", "", 0.0)  # at another service of the pool
    bench.rooms.handle(50, xccos.command("1", "join", chanid(LOBBY)), 0.0)
    ok = bench.invite()
    bench.in_dialog(ok, "ACK", 1)
    chat = xccos.chat("2", LOBBY.uri, f"sip:alice@{DOMAIN}", "2023-11-14T22:13:20Z", "hello bob")
    bench.in_dialog(ok, "INFO", 2, chat)
    elsewhere = [notice.fields["delivery"] for notice in bench.notices if notice.kind == "delivery"]
    assert {delivery.session for delivery in elsewhere} == {50}
    assert b"hello bob" in elsewhere[-1].body
    assert [notice.kind for notice in bench.notices].count("record") == 2  # joined, message

    bench.sent.clear()
    bench.agent.pool.deliver(Deliver(1, b"<xccos/>"), bench.now)
    bench.agent.pool.deliver(Deliver(50, b"not ours"), bench.now)
    bench.take(bench.agent.outputs())
    assert all(b"not ours" not in message.encode() for message in bench.sent)

"""The emulated client as a UAC: what its requests say (RFC 3261 §8.1.1, §10.2, §12.1.2)."""

from random import Random
from typing import Any

import pytest

from sipgw.core.user_agent import UserAgent
from sipgw.events import Flow, Hop, Notice, Send
from sipgw.groupchat.client import ClientAgent, Identity
from sipgw.message import Request, Response, parse_message
from sipgw.message.build import response_to
from sipgw.message.values import parse_name_addr
from sipgw.server.chat_client import REFRESH
from sipgw.transaction.timers import TimerValues
from tests.harness import CONTACT_OBJECT, DOMAIN

SERVER = Hop("TCP", "192.0.2.1", 5060)
FLOW = Flow("TCP", "192.0.2.1", 5060, None, 7)
ALICE = Identity(f"sip:alice@{DOMAIN}", "0123456789ab", "urn:uuid:1")


class Bench:
    def __init__(self, seed: int = 1) -> None:
        self.agent = UserAgent([], Random(seed), TimerValues())
        self.client = ClientAgent(self.agent, ALICE, SERVER, CONTACT_OBJECT)
        self.wire: list[Request] = []
        self.hops: list[Hop | Flow] = []
        self.notices: list[str] = []
        self.now = 50.0

    def take(self, outputs: list[Any]) -> None:
        for output in outputs:
            if isinstance(output, Send):
                message = parse_message(output.data)
                assert isinstance(message, Request)
                self.wire.append(message)
                self.hops.append(output.to)
            elif isinstance(output, Notice):
                self.notices.append(output.kind)

    def sign_in(self) -> Request:
        self.client.sign_in(self.now)
        self.take(self.agent.outputs())
        return self.wire.pop()

    def answer(self, request: Request, status: int = 200, *headers: str) -> Request:
        """Answer a request; the next one that follows."""
        response = response_to(request, status, to_tag="t", headers=headers)
        self.hear(response)
        return self.wire.pop()

    def hear(self, response: Response) -> None:
        self.take(self.agent.receive(response.encode(), FLOW, self.now))

    def to_invite(self) -> Request:
        subscribe = self.answer(self.sign_in())
        assert subscribe.method == "SUBSCRIBE"
        return self.answer(subscribe)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_request_uri_of_an_invite_is_that_of_to(bench: Bench) -> None:
    invite = bench.to_invite()
    assert invite.method == "INVITE"
    assert invite.uri == parse_name_addr(str(invite.first("to"))).uri == CONTACT_OBJECT
    assert invite.to_tag == ""
    assert len(invite.values("contact")) == 1


def test_call_ids_and_tags_are_new_for_each_request_outside_a_dialog() -> None:
    seen: list[tuple[str, str]] = []
    for seed in range(20):
        bench = Bench(seed)
        register = bench.sign_in()
        subscribe = bench.answer(register)
        invite = bench.answer(subscribe)
        seen += [(request.call_id, request.from_tag) for request in (register, subscribe, invite)]
    assert len({call_id for call_id, _ in seen}) == len({tag for _, tag in seen}) == 60
    assert min(len(tag) * 4 for _, tag in seen) >= 32  # §19.3: bits of randomness, as hex digits


def test_cseq_fits_the_request(bench: Bench) -> None:
    for request in (bench.sign_in(), bench.to_invite()):
        assert request.cseq.method == request.method
        assert request.cseq.number < 2**31


def test_a_register_names_the_domain_and_no_user(bench: Bench) -> None:
    register = bench.sign_in()
    assert register.uri == f"sip:{DOMAIN}"
    assert parse_name_addr(str(register.first("to"))).uri == ALICE.user
    assert parse_name_addr(str(register.first("from"))).uri == ALICE.user
    assert {"via", "max-forwards", "call-id", "cseq", "contact", "expires"} <= register.index.keys()


def test_all_registers_share_a_call_id_and_count_on(bench: Bench) -> None:
    first = bench.sign_in()
    bench.client.refresh(bench.now)
    bench.take(bench.agent.outputs())
    second = bench.wire.pop()
    bench.client.sign_out(bench.now)
    bench.take(bench.agent.outputs())
    third = bench.wire.pop()
    assert first.call_id == second.call_id == third.call_id
    assert [request.cseq.number for request in (first, second, third)] == [1, 2, 3]
    assert third.first("expires") == "0"
    assert first.values("contact") == second.values("contact") == third.values("contact")
    assert len(first.values("contact")) == 1
    assert ";action" not in first.values("contact")[0]
    assert bench.hops == [SERVER] * 3


def test_after_bye_a_dialog_is_there_until_that_is_answered(bench: Bench) -> None:
    """§15.1.1 ends the session; what the pool has sent before it heard of that is answered well."""
    invite = bench.to_invite()
    headers = ["Contact: <sip:pool@192.0.2.1>", "Content-Type: text/plain"]
    bench.hear(response_to(invite, 200, to_tag="pool", headers=headers))
    assert len(bench.agent.dialogs) == 1
    bench.client.hang_up(bench.now)
    bench.take(bench.agent.outputs())
    bye = bench.wire.pop()
    assert bye.method == "BYE" and "hung up" not in bench.notices
    lines = [
        f"INFO {ALICE.user} SIP/2.0",
        "Via: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKpart",
        "Max-Forwards: 70",
        f"From: <{CONTACT_OBJECT}>;tag=pool",
        f"To: <{ALICE.user}>;tag={invite.from_tag}",
        f"Call-ID: {invite.call_id}",
        "CSeq: 1 INFO",
        "Content-Length: 0",
    ]
    outputs = bench.agent.receive(("\r\n".join([*lines, "", ""])).encode(), FLOW, bench.now)
    assert [output.data[:11] for output in outputs if isinstance(output, Send)] == [b"SIP/2.0 200"]
    bench.hear(response_to(bye, 200))
    assert bench.notices[-1] == "hung up"
    assert not bench.agent.dialogs
    bench.client.hang_up(bench.now)
    bench.take(bench.agent.outputs())
    assert bench.notices[-1] == "hung up", "nothing is left to wait for"


def test_it_registers_again_only_when_the_last_time_must_be_over() -> None:
    """§10.2: answered, or timed out after Timer F."""
    assert TimerValues().long < REFRESH


def test_a_register_without_an_answer_is_not_sent_again_at_once(bench: Bench) -> None:
    """§10.2.7: the program says so and ends."""
    bench.sign_in()
    bench.now += 33
    bench.take(bench.agent.handle_timers(bench.now))
    assert (bench.wire, bench.notices) == ([], ["failed"])


def test_its_own_contact_is_found_in_the_answer(bench: Bench) -> None:
    other = 'Contact: <sip:x@h>;expires=600;+sip.instance="<urn:uuid:2>";gruu="sip:other"'
    own = 'Contact: <sip:y@h>;expires=600;+sip.instance="<urn:uuid:1>";gruu="sip:mine"'
    subscribe = bench.answer(bench.sign_in(), 200, other, own)
    assert subscribe.values("contact") == ["<sip:mine>"]


def test_a_failure_ends_the_attempt_and_is_told(bench: Bench) -> None:
    invite = bench.to_invite()
    ack = bench.answer(invite, 404)
    assert (ack.method, ack.via.branch) == ("ACK", invite.via.branch)
    assert bench.notices[-1] == "failed"


def test_a_call_has_the_dialog_that_its_200_says(bench: Bench) -> None:
    invite = bench.to_invite()
    ok = response_to(
        invite, 200, to_tag="t", headers=["Record-Route: <sip:p;lr>", "Contact: <sip:pool@192.0.2.51:5041>"]
    )
    bench.hear(ok)
    ack, info = bench.wire
    assert [request.method for request in (ack, info)] == ["ACK", "INFO"]
    assert ack.uri == info.uri == "sip:pool@192.0.2.51:5041"
    assert ack.values("route") == info.values("route") == ["<sip:p;lr>"]
    assert (ack.cseq.number, info.cseq.number) == (invite.cseq.number, invite.cseq.number + 1)
    assert info.call_id == invite.call_id

"""Which transaction a message belongs to (RFC 3261 §17.1.3, §17.2.3), with and without branches."""

from random import Random

import pytest

from sipgw.events import Flow
from sipgw.message import Request
from sipgw.message.build import ack_for, response_to
from sipgw.message.values import MAGIC_COOKIE
from sipgw.transaction.layer import TransactionLayer, server_key
from sipgw.transaction.timers import TimerValues
from sipgw.transport.via import stamp
from tests.harness import sipe_message
from tests.transaction.test_machine_tables import LISTENER, Bench, request


def sipe(number: str, cid: int = 0x100) -> Request:
    """A message of the real client as the layer sees it."""
    message = sipe_message(number)
    stamp(message, Flow("TCP", "127.0.0.1", 42002, LISTENER, cid))
    return message


def with_via(via: str, method: str = "INVITE", to_tag: str = "") -> Request:
    made = request(method, to_tag)
    made.lines[0] = f"Via: {via}"
    return made


def test_branch_sent_by_and_method() -> None:
    same = server_key(with_via("SIP/2.0/UDP h.test:5060;branch=z9hG4bKx"))
    assert server_key(with_via("SIP/2.0/UDP H.Test:5060;branch=z9hG4bKx;rport")) == same
    assert server_key(with_via("SIP/2.0/UDP h.test:5061;branch=z9hG4bKx")) != same
    assert server_key(with_via("SIP/2.0/UDP h.test:5060;branch=z9hG4bKy")) != same
    assert server_key(with_via("SIP/2.0/UDP h.test:5060;branch=z9hG4bKx", "CANCEL")) != same
    assert server_key(with_via("SIP/2.0/UDP h.test:5060;branch=z9hG4bKx", "ACK", "t")) == same
    assert server_key(with_via("SIP/2.0/UDP h.test:5060;branch=z9hG4bKx", "CANCEL"), "INVITE") == same


@pytest.mark.parametrize("branch", ["", ";branch=", ";branch=1", ";branch=Z9HG4BKx", ";branch=z9hG4bK"])
def test_without_the_cookie_the_older_rule_holds(branch: str) -> None:
    via = f"SIP/2.0/UDP h.test{branch}"
    invite = server_key(with_via(via))
    assert len(invite) > 3
    assert server_key(with_via(via, "ACK", "t"), any_tag=True) == invite
    assert server_key(with_via(via, "CANCEL"), "INVITE") == invite
    assert server_key(with_via("SIP/2.0/UDP other.test" + branch)) != invite


@pytest.mark.parametrize(("old", "new"), [("tag=1", "tag=2"), ("call", "other"), ("CSeq: 1", "CSeq: 2")])
def test_the_older_rule_looks_at_the_whole_request(old: str, new: str) -> None:
    invite = with_via("SIP/2.0/UDP h.test")
    other = with_via("SIP/2.0/UDP h.test")
    other.lines = [line.replace(old, new) for line in other.lines]
    assert server_key(other) != server_key(invite)
    other = with_via("SIP/2.0/UDP h.test")
    other.uri = "sip:other@x.test"
    assert server_key(other) != server_key(invite)


def test_the_real_client_sends_no_branch_inside_dialogs() -> None:
    for name in ("06", "09", "10", "12", "13"):
        assert sipe(name).via.branch == ""
    for name in ("01", "05"):
        assert sipe(name).via.branch.startswith("z9hG4bK")


def test_requests_of_the_real_client_are_told_apart() -> None:
    names = ["01", "02", "03", "04", "05", "06", "07", "08", "10", "12", "13", "15", "29", "31"]
    assert len({server_key(sipe(name)) for name in names}) == len(names)


def test_the_same_request_on_another_connection_is_another() -> None:
    """Two clients of one user on one host say the same of themselves; the stamp of the connection tells them apart."""
    assert server_key(sipe("06", 1)) != server_key(sipe("06", 2))


def test_a_repetition_is_absorbed() -> None:
    bench = Bench("TCP")
    bench.layer.receive_request(sipe("06"), bench.flow(), bench.now)
    first = bench.transaction
    bench.layer.receive_request(sipe("06"), bench.flow(), bench.now)
    assert bench.transaction is first
    assert bench.layer.size == (1, 0)


def test_the_ack_to_a_2xx_of_the_real_client_passes() -> None:
    """Its Request-URI is the Contact of the 200, so it is not the INVITE's."""
    bench = Bench("TCP")
    bench.layer.receive_request(sipe("06"), bench.flow(), bench.now)
    bench.transaction.respond(response_to(bench.original, 200, to_tag="BCC5A3C2F30541E8"), bench.now)
    bench.seen()
    bench.layer.receive_request(sipe("09"), bench.flow(), bench.now)
    assert bench.seen() == ["^ ACK"]


def failed(transport: str, tag: str = "t") -> Bench:
    bench = Bench(transport)
    bench.layer.receive_request(sipe("06"), bench.flow(), bench.now)
    bench.transaction.respond(response_to(bench.original, 404, to_tag=tag), bench.now)
    bench.seen()
    return bench


def test_the_ack_to_a_failure_without_a_branch() -> None:
    bench = failed("UDP")
    ack = ack_for(sipe("06"), response_to(sipe("06"), 404, to_tag="t"))
    bench.layer.receive_request(ack, bench.flow(), bench.now)
    assert bench.transaction.state == "Confirmed"
    assert bench.seen() == []


def test_an_ack_for_another_response_does_not_confirm() -> None:
    """§17.2.3: without a branch the To tag must be that of the response."""
    bench = failed("UDP")
    ack = ack_for(sipe("06"), response_to(sipe("06"), 404, to_tag="other"))
    bench.layer.receive_request(ack, bench.flow(), bench.now)
    assert bench.transaction.state == "Completed"
    assert bench.seen() == ["^ ACK"]


def test_an_ack_to_nothing_makes_no_transaction() -> None:
    bench = Bench("TCP")
    bench.layer.receive_request(sipe("09"), bench.flow(), bench.now)
    assert bench.seen() == ["^ ACK"]
    assert bench.layer.size == (0, 0)


def test_a_cancel_finds_its_invite() -> None:
    for via in ("SIP/2.0/UDP h.test;branch=z9hG4bKx", "SIP/2.0/UDP h.test"):
        bench = Bench("UDP")
        bench.layer.receive_request(with_via(via), bench.flow(), bench.now)
        invite = bench.transaction
        assert bench.layer.find_cancelled(with_via(via, "CANCEL")) is invite
        assert bench.layer.find_cancelled(with_via(via + "x", "CANCEL")) is None


def test_responses_are_matched_by_branch_and_method() -> None:
    bench = Bench("UDP")
    bench.start_client("INVITE")
    bench.seen()
    flow = bench.flow()
    ok = response_to(request("INVITE"), 180)
    bench.layer.receive_response(ok, flow, bench.now)
    assert bench.seen() == ["^ 180"]
    bench.layer.receive_response(response_to(request("INFO"), 200), flow, bench.now)
    other = response_to(request("INVITE"), 200)
    other.lines[0] = other.lines[0].replace("z9hG4bKtest", "z9hG4bKother")
    bench.layer.receive_response(other, flow, bench.now)
    assert bench.seen() == ["^ stray", "^ stray"]
    assert bench.layer.counters["stray"] == 2


def test_the_answer_to_a_cancel_goes_to_the_cancel() -> None:
    bench = Bench("UDP")
    bench.start_client("INVITE")
    bench.do("1xx")
    bench.transaction.cancel(bench.now)
    assert bench.layer.size == (0, 2)
    bench.seen()
    bench.layer.receive_response(response_to(request("CANCEL"), 200), bench.flow(), bench.now)
    assert bench.seen() == []
    assert bench.transaction.state == "Proceeding"


def test_the_bound_on_transactions() -> None:
    bench = Bench("UDP")
    bench.layer._max = 1
    bench.layer.overload_headers = ("Retry-After: 30",)
    bench.layer.receive_request(with_via("SIP/2.0/UDP h;branch=z9hG4bK1"), bench.flow(), bench.now)
    bench.layer.receive_request(with_via("SIP/2.0/UDP h;branch=z9hG4bK2"), bench.flow(), bench.now)
    assert bench.seen() == ["> 503"]
    bench.layer.receive_request(with_via("SIP/2.0/UDP h;branch=z9hG4bK3", "ACK"), bench.flow(), bench.now)
    assert bench.seen() == ["^ ACK"]
    assert bench.layer.size == (1, 0)
    assert bench.layer.counters["refused"] == 1


# transport errors


def test_a_failed_send_ends_its_transaction_only() -> None:
    bench = Bench("TCP")
    bench.start_client("INFO")
    bench.seen()
    bench.layer.send_failed("z9hG4bKunknown", "broken", bench.now)
    assert bench.seen() == []
    bench.layer.send_failed("z9hG4bKtest", "broken", bench.now)
    assert bench.seen() == ["^ broken"]
    bench.layer.send_failed("z9hG4bKtest", "broken", bench.now)
    assert bench.seen() == []


def test_a_lost_connection_ends_what_waits_on_it() -> None:
    bench = Bench("TCP")
    bench.start_client("INFO")
    hop = bench.transaction.to
    bench.seen()
    bench.layer.peer_lost(type(hop)("TCP", "203.0.113.1", 5060), "broken", bench.now)
    assert bench.seen() == []
    bench.layer.peer_lost(type(hop)("TCP", "198.51.100.7", 5060), "broken", bench.now)
    assert bench.seen() == ["^ broken"]
    assert bench.layer._by_peer == {}


@pytest.mark.parametrize("event", ["2xx", "300-699"])
@pytest.mark.parametrize("method", ["INVITE", "INFO"])
def test_an_answered_request_does_not_mind_a_lost_connection(method: str, event: str) -> None:
    bench = Bench("TCP")
    bench.start_client(method)
    hop = bench.transaction.to
    bench.do(event)
    bench.seen()
    bench.layer.peer_lost(hop, "broken", bench.now)
    assert bench.seen() == []
    assert bench.layer._by_peer == {}


def test_branches_and_tags_are_never_the_same_and_as_long_as_ever() -> None:
    layer = TransactionLayer(TimerValues(), Random(1))
    branches = [layer.new_branch() for _ in range(2000)]
    tags = [layer.new_tag() for _ in range(2000)]
    assert len(set(branches)) == len(set(tags)) == 2000
    assert {len(branch) for branch in branches} == {len(MAGIC_COOKIE) + 18} and {len(tag) for tag in tags} == {12}
    assert not set(tags) & {branch[-12:] for branch in branches}, "digits are used once"

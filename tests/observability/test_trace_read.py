"""A traced call as a reader gets it: steps, decisions, what it was about, what failed."""

import pytest

from sipgw.events import Flow, Hop, Listener, Log, Output, Send
from sipgw.observability.trace_read import (
    Lens,
    Step,
    has_failed,
    is_call,
    is_of_endpoint,
    is_of_user,
    steps_of,
    summary_of,
)
from sipgw.observability.trace_ring import TracedCall, TraceRing, TraceSettings

UDP = Listener("UDP", "192.0.2.1", 5060, "192.0.2.1:5060")
UDP6 = Listener("UDP", "2001:db8::1", 5060, "[2001:db8::1]:5060")
ALICE = Flow("UDP", "198.51.100.7", 5060, UDP)
PHONE = Flow("TCP", "198.51.100.7", 40_000, Listener("TCP", "192.0.2.1", 5060, ""), cid=7)
POOL = Hop("TCP", "192.0.2.50", 5041)
LENS = Lens(1000.0, bodies=False, listeners=(UDP, UDP6))


def message(start: str, *lines: str, body: str = "", cseq: str = "") -> bytes:
    method = cseq or f"1 {start.split(' ')[0]}"
    head = [start, "Via: SIP/2.0/UDP a;branch=z9hG4bK1", "From: <sip:Alice@contoso.com>;tag=1", f"CSeq: {method}"]
    to = [] if any(line.startswith("To:") for line in lines) else ["To: <sip:ocschat@contoso.com>"]
    return "\r\n".join([*head, *to, "Call-ID: c", *lines, f"Content-Length: {len(body)}", "", body]).encode()


CALLERS = "Via: SIP/2.0/UDP b;branch=z9hG4bK2"  # below ours: the response goes on
INVITE = message("INVITE sip:ocschat@contoso.com SIP/2.0")
IN_DIALOG = "To: <sip:ocschat@contoso.com>;tag=2"


def answer(status: int, reason: str, *lines: str, cseq: str = "1 INVITE") -> Send:
    return Send(message(f"SIP/2.0 {status} {reason}", *lines, cseq=cseq), ALICE)


def call(*turns: tuple[bytes, list[Output]], flow: Flow = ALICE) -> TracedCall:
    ring = TraceRing(TraceSettings())
    for at, (data, outputs) in enumerate(turns):
        ring(float(at), data, flow if data else None, outputs)
    ring.settle(0.0)
    (found,) = [*ring.calls.values(), *ring.background.values()]
    return found


def steps(*turns: tuple[bytes, list[Output]], flow: Flow = ALICE) -> list[Step]:
    return list(steps_of(call(*turns, flow=flow), LENS))


def decisions(*turns: tuple[bytes, list[Output]]) -> list[tuple[str, str]]:
    return [(step.level, step.label) for step in steps(*turns) if step.kind == "decision"]


def test_steps() -> None:
    who = {"method": "INVITE", "uri": "sip:ocschat@contoso.com", "from": "<sip:alice@contoso.com>", "call_id": "c"}
    log = Log("info", "forwarded", {**who, "matched": "endpoint sip:ocschat@contoso.com", "to": "pool at tcp:x"})
    found = steps((INVITE, [answer(100, "Trying"), log, Send(INVITE, POOL)]), (INVITE, []))
    assert [(step.turn, step.at, step.kind, step.label) for step in found] == [
        (1, 1000.0, "in", "INVITE ocschat"),
        (1, 1000.0, "out", "100 Trying (INVITE)"),
        (1, 1000.0, "decision", "matched endpoint sip:ocschat@contoso.com; sent on to pool at tcp:x"),
        (1, 1000.0, "out", "INVITE ocschat"),
        (2, 1001.0, "in", "INVITE ocschat"),
        (2, 1001.0, "decision", "nothing is sent for now: a copy of what has been seen, or it waits for a name or for"
         " the store"),
    ]  # fmt: skip
    first, _, decided, forwarded = found[:4]
    assert (first.local, first.peer, first.connection) == ("udp:192.0.2.1:5060", "udp:198.51.100.7:5060", 0)
    assert (forwarded.local, forwarded.peer) == ("", "tcp:192.0.2.50:5041")
    assert first.data == INVITE and decided.fields["method"] == "INVITE"


@pytest.mark.parametrize(
    ("peer", "local"),
    [
        (PHONE, "tcp:192.0.2.1:5060"),
        (Hop("UDP", "192.0.2.50", 5041), "udp:192.0.2.1:5060"),
        (Hop("UDP", "2001:db8::50", 5041), "udp:[2001:db8::1]:5060"),
        (Flow("TLS", "192.0.2.50", 5061, None, cid=8), ""),
    ],
)
def test_our_end(peer: Flow | Hop, local: str) -> None:
    assert LENS.local(peer) == local


def test_decisions_that_the_log_does_not_tell() -> None:
    info = message("INFO sip:pool@x SIP/2.0", IN_DIALOG, cseq="2 INFO")
    options = message("OPTIONS sip:contoso.com SIP/2.0")
    cancel = message("CANCEL sip:ocschat@contoso.com SIP/2.0")
    assert decisions(
        (INVITE, [answer(100, "Trying"), Send(INVITE, POOL)]),
        (info, [Send(info, POOL)]),
        (options, [answer(200, "OK", cseq="1 OPTIONS")]),
        (cancel, [answer(200, "OK", cseq="1 CANCEL")]),
        (answer(503, "Busy", CALLERS).data, []),
        (answer(180, "Ringing").data, []),
        (answer(200, "OK").data, [answer(200, "OK")]),
    ) == [
        ("info", "sent on: to tcp:192.0.2.50:5041"),
        ("info", "inside its dialog, by its route set: to tcp:192.0.2.50:5041"),
        ("info", "answered here: 200 OK"),
        ("info", "answered here, and carried to whatever the request was sent to"),
        ("info", "kept: other targets may have a better answer, or it is a copy"),
    ]


def test_answers_to_requests_of_our_own() -> None:
    """They go to nobody, and nothing is kept of them for anybody."""
    cancelled = answer(200, "OK", cseq="1 CANCEL").data
    notified = answer(200, "OK", cseq="7 NOTIFY").data
    assert decisions((cancelled, []), (notified, [])) == [
        ("info", "taken: the CANCEL that the gateway has sent itself is answered"),
        ("info", "taken: the NOTIFY that the gateway has sent itself is answered"),
    ]


OPTIONS = message("OPTIONS sip:192.0.2.50:5041 SIP/2.0")


def probe(*turns: tuple[bytes, list[Output]]) -> TracedCall:
    return call((b"", [Send(OPTIONS, POOL)]), *turns)


@pytest.mark.parametrize(
    ("status", "reason", "decided", "failure"),
    [
        (200, "OK", "probe answered: the server works", ""),
        (404, "Not Found", "probe answered: the server works", ""),
        (503, "Busy", "probe answered: the server takes no calls now", "probe failed: 503 Busy"),
    ],
)
def test_a_probe_that_is_answered(status: int, reason: str, decided: str, failure: str) -> None:
    """With its result, and not under way for ever; that a server turns OPTIONS down is no failure."""
    found = probe((answer(status, reason, cseq="1 OPTIONS").data, []))
    summary = summary_of(found, LENS)
    assert (summary.method, summary.status, summary.reason) == ("OPTIONS", status, reason)
    assert [step.label for step in steps_of(found, LENS) if step.kind == "decision"] == [decided]
    assert (summary.failure, has_failed(found)) == (failure, bool(failure))
    assert not is_call(found)


def test_a_probe_that_nobody_answers() -> None:
    log = Log("debug", "probe failed", {"server": str(POOL), "reason": "Connection refused", "call_id": "c"})
    found = probe((b"", [log]))
    assert summary_of(found, LENS).failure == "probe failed: Connection refused" and has_failed(found)


def test_options_of_a_client_are_no_probe() -> None:
    """They are answered here, or go on and are answered by the pool."""
    assert is_call(call((OPTIONS, [answer(200, "OK", cseq="1 OPTIONS")])))
    forwarded = call((OPTIONS, [Send(OPTIONS, POOL)]), (answer(404, "x", CALLERS, cseq="1 OPTIONS").data, []))
    assert is_call(forwarded) and not has_failed(forwarded) and summary_of(forwarded, LENS).status == 0


def test_a_call_that_is_cancelled_has_its_own_result() -> None:
    """Not that of the CANCEL, which is answered before."""
    cancel = message("CANCEL sip:ocschat@contoso.com SIP/2.0")
    ended = [answer(200, "OK", cseq="1 CANCEL"), answer(487, "Request Terminated")]
    assert summary_of(call((INVITE, [answer(100, "Trying")]), (cancel, [*ended])), LENS).status == 487


def test_acks() -> None:
    """The one to a refusal ends here and is no failure, Route or not."""
    to_refusal = message("ACK sip:ocschat@contoso.com SIP/2.0", IN_DIALOG, "Route: <sip:gw;lr>", cseq="1 ACK")
    stale = message("ACK sip:pool@x SIP/2.0", IN_DIALOG, "Route: <sip:token@gw;lr>", cseq="2 ACK")
    refused = call((INVITE, [answer(486, "Busy Here")]), (to_refusal, []))
    assert summary_of(refused, LENS).failure == "486 Busy Here"
    labels = [step.label for step in steps_of(refused, LENS) if step.kind == "decision"]
    assert labels == ["answered here: 486 Busy Here", "taken: the refusal has arrived"]
    dropped = call((INVITE, [answer(200, "OK")]), (stale, []))
    text = "dropped: an ACK gets no answer, and its route set is not, or no longer, valid"
    assert summary_of(dropped, LENS).failure == text and has_failed(dropped)
    assert [step.level for step in steps_of(dropped, LENS) if step.label == text] == ["warning"]


REFUSAL = Log(
    "warning",
    "request failed",
    {"method": "INVITE", "uri": "sip:o@c", "from": "a", "call_id": "c", "source": "udp:x", "status": 504,
     "reason": "1011 none", "detail": "tcp:x refused", "matched": "endpoint sip:o@c"},
)  # fmt: skip


def test_a_failure_that_the_log_tells() -> None:
    found = summary_of(call((INVITE, [REFUSAL, answer(504, "Server Time-out")])), LENS)
    assert (found.failure, found.diagnostics) == ("504 1011 none (detail tcp:x refused)", 1011)
    assert (found.status, found.reason, found.matched) == (504, "Server Time-out", "endpoint sip:o@c")
    assert (found.method, found.uri, found.messages) == ("INVITE", "sip:ocschat@contoso.com", 2)
    assert (found.sender, found.receiver, found.call_id) == ("alice@contoso.com", "ocschat@contoso.com", "c")
    (decided,) = decisions((INVITE, [REFUSAL]))
    assert decided == ("warning", "matched endpoint sip:o@c; refused: 504 1011 none (detail tcp:x refused)")


def test_a_failure_that_only_the_message_tells() -> None:
    """An overloaded gateway writes no line for each."""
    line = 'ms-diagnostics: 13011;source="gw";reason="Failed to dispatch request"'
    found = summary_of(call((INVITE, [answer(503, "Service Unavailable", line)])), LENS)
    assert found.failure == '503 Service Unavailable: 13011;source="gw";reason="Failed to dispatch request"'
    assert found.diagnostics == 13011
    warned = summary_of(call((INVITE, [answer(483, "Too Many Hops", 'Warning: 399 gw "Max-Forwards is 0"')])), LENS)
    assert (warned.failure, warned.diagnostics) == ('483 Too Many Hops: 399 gw "Max-Forwards is 0"', 0)


def test_a_failed_sign_in() -> None:
    fields = {
        "user": "alice",
        "from": "sip:alice@c",
        "method": "REGISTER",
        "source": "tcp:x",
        "reason": "wrong password",
    }
    register = message("REGISTER sip:c SIP/2.0")
    found = call((register, [Log("warning", "sign-in failed", fields), answer(401, "Unauthorized", cseq="1 REGISTER")]))
    assert summary_of(found, LENS).failure == (
        "sign-in failed: user alice, from sip:alice@c, method REGISTER, source tcp:x, reason wrong password"
    )


@pytest.mark.parametrize("status", [200, 302, 401, 407, 423, 487])
def test_what_is_no_failure(status: int) -> None:
    assert not has_failed(call((INVITE, [answer(100, "Trying"), answer(status, "x")])))


def test_the_result_is_the_answer_to_the_try_with_credentials() -> None:
    """And the BYE that follows is something else."""
    again = answer(200, "OK", cseq="2 INVITE")
    found = call((INVITE, [answer(401, "Unauthorized")]), (INVITE, [again]), (b"", [answer(481, "x", cseq="3 BYE")]))
    assert (summary_of(found, LENS).status, summary_of(found, LENS).failure) == (200, "481 x")


def test_secrets_are_hidden_and_what_people_say() -> None:
    said = message(
        "INFO sip:x SIP/2.0", IN_DIALOG, 'Authorization: NTLM response="hunter2"', cseq="2 INFO",
        body="<xccos><grpchat id='1'><chat>1234</chat></grpchat></xccos>",
    )  # fmt: skip
    log = Log("warning", "odd", {"password": "hunter2", "text": 'Authorization: NTLM response="hunter2"'})
    turn: tuple[bytes, list[Output]] = (said, [log, Send(said, POOL)])
    assert "hunter2" not in str(steps(turn)) and "1234" not in str(steps(turn))
    assert steps(turn)[0].label == "INFO grpchat"
    shown = list(steps_of(call(turn), Lens(0.0, bodies=True)))
    assert "hunter2" not in str(shown) and "<chat>1234</chat>" in str(shown)
    assert shown[0].label == "INFO “1234”"


def test_filters() -> None:
    found = call((INVITE, []))
    assert all(
        is_of_user(text)(found) for text in ("alice@contoso.com", "sip:ALICE@contoso.com", "ocschat@contoso.com")
    )
    assert not is_of_user("bob@contoso.com")(found)
    assert is_of_endpoint("OCSCHAT@contoso.com")(found) and not is_of_endpoint("sip:alice@contoso.com")(found)
    other = Log("info", "forwarded", {"call_id": "c", "matched": "endpoint sip:other@contoso.com"})
    assert is_of_endpoint("sip:other@contoso.com")(call((INVITE, [other])))


@pytest.mark.parametrize("data", [b"\xff\xfe", b"INVITE", b"INVITE sip:a SIP/2.0\r\n\r\n", b"SIP/2.0 xyz\r\n\r\n"])
def test_what_can_hardly_be_read(data: bytes) -> None:
    found = call((data, []))
    assert summary_of(found, LENS).failure == "" and not is_of_user("a@b")(found) and not is_of_endpoint("a@b")(found)
    assert next(step.kind for step in steps_of(found, LENS)) == "in"

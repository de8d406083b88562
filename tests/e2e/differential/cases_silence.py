"""Silence, with short timers on both sides: 408, CANCEL into the void, the next server of a pool."""

from tests.e2e.differential.book import Waits, silent
from tests.e2e.differential.stage import CHAT, TWO_CHAT, Party, Stage, reply_later


def _silent_phone(s: Stage, name: str = "a", q: str = "1.0") -> Party:
    phone = s.phone(name, q)
    reply_later(phone, "INVITE", "MESSAGE")
    return phone


def _call(s: Stage) -> None:
    s.caller.send(s.request("INVITE", f"sip:{s.user}@contoso.com", branch="invite"))


def _ended(s: Stage) -> bool:
    return any(message.status >= 200 and message.cseq_method == "INVITE" for message in s.caller.heard)


@silent
def silent_phone(s: Stage) -> Waits:
    """Timer B: 408 (RFC 3261 §16.8)."""
    _silent_phone(s)
    _call(s)
    yield lambda: _ended(s)


@silent
def silent_phone_and_message(s: Stage) -> Waits:
    """Timer F; an INVITE behind it tells when it must have run out."""
    _silent_phone(s)
    s.caller.send(s.request("MESSAGE", f"sip:{s.user}@contoso.com", call="message"))
    _call(s)
    yield lambda: _ended(s)


@silent
def silent_phone_answers_too_late(s: Stage) -> Waits:
    phone = _silent_phone(s)
    _call(s)
    yield lambda: _ended(s)
    phone.answer(phone.requests("INVITE")[0], 200)


@silent
def silent_phone_of_two(s: Stage) -> Waits:
    _silent_phone(s)
    other = _silent_phone(s, "b")
    _call(s)
    yield lambda: bool(other.requests("INVITE"))
    other.answer(other.requests("INVITE")[0], 486)
    yield lambda: _ended(s)


@silent
def silent_phone_then_the_next(s: Stage) -> Waits:
    """In order of q."""
    _silent_phone(s, "a", "0.9")
    s.phone("b", "0.5")
    _call(s)
    yield lambda: _ended(s)


@silent
def cancelled_phone_stays_silent(s: Stage) -> Waits:
    """§9.1: 64*T1 after the CANCEL the proxy gives up. A call of somebody else's, made then, tells when that is."""
    phone, other = _silent_phone(s), s.client("other")
    phone.plays["INVITE"] = [180]
    _call(s)
    yield lambda: bool(s.caller.responses(180))
    s.caller.send(s.request("CANCEL", f"sip:{s.user}@contoso.com", branch="invite"))
    s.settle()
    phone.plays["INVITE"] = []
    other.send(s.request("INVITE", f"sip:{s.user}@contoso.com", call="2", sender=other))
    yield lambda: bool(other.responses(408))


@silent
def unacknowledged_failure(s: Stage) -> Waits:
    """Timer H; the silent phone of another call tells when it must have run out."""
    s.caller.send(s.request("INVITE", "sip:nobody@contoso.com", call="2"))
    _silent_phone(s)
    _call(s)
    yield lambda: bool(s.caller.responses(408))


@silent
def silent_server_then_the_next(s: Stage) -> Waits:
    """RFC 3263 §4.3."""
    s.caller.send(s.request("INVITE", TWO_CHAT))
    yield lambda: _ended(s)


@silent
def silent_server(s: Stage) -> Waits:
    s.caller.send(s.request("INVITE", CHAT))
    yield lambda: _ended(s)

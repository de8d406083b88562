"""CANCEL, and answers that are late, odd or nobody's."""

from tests.e2e.differential.book import BOTH, UDP, add, case
from tests.e2e.differential.stage import Answer, Stage, reply_later


def ringing(s: Stage, *provisional: int) -> None:
    """A call that is not answered yet."""
    s.pool.plays["INVITE"] = [*provisional]
    s.caller.send(s.request("INVITE", branch="invite"))
    s.settle()


def hang_up(s: Stage, **change: str) -> None:
    lines = {name.replace("_", "-"): value for name, value in change.items()}
    s.caller.send(s.request("CANCEL", change=lines, branch="invite"))
    s.settle()


# CANCEL (RFC 3261 §9, §16.10)


@case(BOTH)
def cancel_while_ringing(s: Stage) -> None:
    ringing(s, 100, 180)
    hang_up(s)
    s.pool.answer(s.pool.heard[0], 487)
    s.settle()


@case()
def cancel_after_trying(s: Stage) -> None:
    ringing(s, 100)
    hang_up(s)


@case()
def cancel_before_any_answer(s: Stage) -> None:
    """§9.1: it waits for a provisional."""
    ringing(s)
    hang_up(s)
    s.pool.answer(s.pool.heard[0], 180)
    s.settle()
    s.pool.answer(s.pool.heard[0], 487)
    s.settle()


@case()
def cancel_before_any_answer_and_200_comes(s: Stage) -> None:
    ringing(s)
    hang_up(s)
    s.pool.answer(s.pool.heard[0], 200)
    s.settle()


@case()
def cancel_before_any_answer_and_486_comes(s: Stage) -> None:
    ringing(s)
    hang_up(s)
    s.pool.answer(s.pool.heard[0], 486)
    s.settle()


@case()
def cancel_crosses_200(s: Stage) -> None:
    ringing(s, 180)
    hang_up(s)
    s.pool.answer(s.pool.heard[0], 200)
    s.settle()


@case()
def cancel_and_480_comes(s: Stage) -> None:
    ringing(s, 180)
    hang_up(s)
    s.pool.answer(s.pool.heard[0], 480)
    s.settle()


@case()
def cancel_after_200(s: Stage) -> None:
    ringing(s, 200)
    hang_up(s)


@case()
def cancel_after_486(s: Stage) -> None:
    ringing(s, 486)
    hang_up(s)


@case()
def cancel_twice(s: Stage) -> None:
    ringing(s, 180)
    hang_up(s)
    hang_up(s)


@case()
def cancel_without_invite(s: Stage) -> None:
    hang_up(s)


@case()
def cancel_without_invite_to_nobody(s: Stage) -> None:
    s.caller.send(s.request("CANCEL", "sip:nobody@contoso.com", branch="invite"))
    s.settle()


@case()
def cancel_of_options(s: Stage) -> None:
    """§9.1: a request other than INVITE is not to be cancelled."""
    reply_later(s.pool, "OPTIONS")
    s.caller.send(s.request(branch="invite"))
    s.settle()
    hang_up(s)
    s.pool.answer(s.pool.heard[0], 200)
    s.settle()


@case()
def cancel_with_another_branch(s: Stage) -> None:
    ringing(s, 180)
    s.caller.send(s.request("CANCEL", branch="other"))
    s.settle()


@case()
def cancel_with_another_call_id(s: Stage) -> None:
    """Branch and sent-by make the match (§9.2, §17.2.3)."""
    ringing(s, 180)
    hang_up(s, Call_ID=f"Call-ID: {s.case}.other")


@case()
def cancel_with_a_reason(s: Stage) -> None:
    """RFC 3326."""
    ringing(s, 180)
    hang_up(s, more='Reason: Q.850;cause=16;text="gone"')


@case()
def cancel_with_proxy_require(s: Stage) -> None:
    """§8.2.2.3: to be ignored in a CANCEL."""
    ringing(s, 180)
    hang_up(s, more="Proxy-Require: nothing-we-know")


@case()
def cancel_with_max_forwards_0(s: Stage) -> None:
    """It is answered here and goes no hop as such."""
    ringing(s, 180)
    hang_up(s, Max_Forwards="Max-Forwards: 0")


@case()
def cancel_then_provisional(s: Stage) -> None:
    ringing(s, 180)
    hang_up(s)
    s.pool.answer(s.pool.heard[0], 183)
    s.settle()


# answers (§16.7)

ODD = {
    "199": Answer(199), "299": Answer(299), "499": Answer(499), "699": Answer(699), "100": Answer(100),
    "700": Answer(700), "without_reason": Answer(486, reason=" "), "with_a_body": Answer(488, body=b"\x00\xff why"),
    "with_utf_8": Answer(486, reason="besch\u00c3\u00a4ftigt"),
    "with_contacts": Answer(300, ("Contact: <sip:a@b>, <sip:c@d>",)),
    "with_headers": Answer(403, ("Server: theirs", "Warning: 399 x \"y\"", "X-Odd : z", "s: short",
    "ms-diagnostics: 1")),
}  # fmt: skip
for label, odd in ODD.items():

    def _odd(s: Stage, odd: Answer = odd) -> None:
        s.pool.plays["OPTIONS"] = [odd]
        s.caller.send(s.request())
        s.settle()

    add(f"answer_{label}", _odd)


def _mangled(s: Stage, old: str, new: str) -> None:
    """The pool's answer with a piece of it replaced."""
    reply_later(s.pool, "OPTIONS")
    s.caller.send(s.request())
    s.settle()
    came = s.pool.heard[0]
    answer = s.pool.response(came, 200).decode("latin-1")
    values = {"{via}": answer.partition("\r\n")[2].partition("\r\n")[0], "{case}": s.case}
    for name, value in values.items():
        old, new = old.replace(name, value), new.replace(name, value)
    assert old in answer
    came.channel.send(answer.replace(old, new).encode("latin-1"))
    s.settle()


MANGLED = {
    "no_to_tag": (";tag=tag-pool", ""), "other_call_id": ("Call-ID: {case}.1", "Call-ID: {case}.2"),
    "other_cseq_number": ("CSeq: 1 OPTIONS", "CSeq: 2 OPTIONS"), "other_cseq_method": ("1 OPTIONS", "1 INVITE"),
    "no_cseq": ("CSeq: 1 OPTIONS\r\n", ""), "no_from": ("From:", "X-From:"), "no_call_id": ("Call-ID:", "X-Call-ID:"),
    "other_from_tag": ("tag-caller", "tag-forged"), "only_our_via": ("Via: SIP/2.0/UDP {caller}", "X-Via: "),
    "only_the_callers_via": ("{via}\r\n", ""), "no_via": ("Via:", "X-Via:"), "other_branch": ("z9hG4bK", "z9hG4bKx"),
    "extra_via": ("{via}", "Via: SIP/2.0/UDP 127.0.1.9;branch=z9hG4bKq\r\n{via}"),
    "version_3": ("SIP/2.0 200", "SIP/3.0 200"),
    "status_of_two_digits": ("SIP/2.0 200", "SIP/2.0 20"), "status_999": ("SIP/2.0 200", "SIP/2.0 999"),
    "too_long": ("Content-Length: 0", "Content-Length: 5"), "line_without_colon": ("X-Said:", "X-Said"),
    "two_to": ("To:", "To: <sip:x@y>;tag=tag-x\r\nTo:"), "no_reason_at_all": ("200 Said", "200"),
    "compact_names": ("Call-ID:", "i:"), "from_spelt_otherwise": ("From: <sip", 'From: "Me" <sip'),
}  # fmt: skip
for label, (old, new) in MANGLED.items():

    def _answer_with(s: Stage, old: str = old, new: str = new) -> None:
        _mangled(s, old.replace("{caller}", s.caller.address), new)

    add(f"answer_{label}", _answer_with, UDP)


@case()
def answer_to_nothing(s: Stage) -> None:
    """RFC 6026 §8: no transaction, no forwarding. A third party's Via stands below the proxy's."""
    via = f"Via: SIP/2.0/UDP {s.side.proxy[0]}:{s.side.proxy[1]};branch=z9hG4bKnone"
    third = s.client("third")
    lines = ["SIP/2.0 200 OK", via, f"Via: SIP/2.0/UDP {third.address};branch={s.branch()}",
    "From: <sip:a@b>;tag=tag-a",
             "To: <sip:c@d>;tag=tag-c", f"Call-ID: {s.case}.1", "CSeq: 1 INVITE", "Content-Length: 0", "",
             ""]  # fmt: skip
    s.caller.send("\r\n".join(lines).encode())
    s.settle()

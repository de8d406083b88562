"""Dialogs, retransmissions, ACK, CANCEL, answers that are late, odd or nobody's."""

from tests.e2e.differential.book import BOTH, case
from tests.e2e.differential.stage import CHAT, TCP_CHAT, Answer, Stage, reply_later


def answered(s: Stage, uri: str = CHAT) -> None:
    """A call that is up."""
    s.uses_tcp_pool = uri == TCP_CHAT
    (s.tcp_pool if s.uses_tcp_pool else s.pool).plays["INVITE"] = [180, 200]
    s.caller.send(s.request("INVITE", uri, branch="invite"))
    s.settle()
    s.caller.send(s.inside("ACK", 1))
    s.settle()


def ringing(s: Stage) -> None:
    """A call that rings and is not answered."""
    s.pool.plays["INVITE"] = [100, 180]
    s.caller.send(s.request("INVITE", branch="invite"))
    s.settle()


# dialogs (§12, §16.12)


@case(BOTH)
def call(s: Stage) -> None:
    answered(s)
    s.caller.send(s.inside("INFO", 2, body=b"hello"))
    s.settle()
    s.caller.send(s.inside("INVITE", 3, extra=["Supported: timer"]))
    s.settle()
    s.caller.send(s.inside("BYE", 4))
    s.settle()


@case(BOTH)
def call_to_a_tcp_pool(s: Stage) -> None:
    answered(s, TCP_CHAT)
    s.caller.send(s.inside("INFO", 2, body=b"x" * 2000), s.inside("BYE", 3))
    s.settle()


@case(BOTH)
def call_ended_by_the_callee(s: Stage) -> None:
    answered(s)
    s.back(s.pool, "INFO", 1, body=b"hello")
    s.settle()
    s.back(s.pool, "BYE", 2)
    s.settle()


@case()
def tcp_pool_calls_back(s: Stage) -> None:
    answered(s, TCP_CHAT)
    s.back(s.tcp_pool, "NOTIFY", 7)
    s.settle()


@case()
def prack_and_update(s: Stage) -> None:
    s.pool.plays["INVITE"] = [Answer(183, ("Require: 100rel", "RSeq: 1"), b"v=0\r\n")]
    s.caller.send(s.request("INVITE", extra=["Supported: 100rel"]))
    s.settle()
    s.caller.send(s.inside("PRACK", 2, extra=["RAck: 1 1 INVITE"]), s.inside("UPDATE", 3))
    s.settle()
    s.pool.answer(s.pool.requests("INVITE")[0], 200)
    s.settle()


@case()
def subscription(s: Stage) -> None:
    s.caller.send(s.request("SUBSCRIBE", extra=["Event: conference", "Expires: 60"]))
    s.settle()
    s.back(s.pool, "NOTIFY", 1)
    s.settle()
    s.caller.send(s.inside("SUBSCRIBE", 2))
    s.settle()


@case()
def inside_cseq_too_low(s: Stage) -> None:
    """Order within a dialog is the user agents' affair."""
    answered(s)
    s.caller.send(s.inside("INFO", 9), s.inside("INFO", 5))
    s.settle()


@case()
def inside_without_route(s: Stage) -> None:
    answered(s)
    via = f"Via: SIP/2.0/UDP {s.caller.address};branch={s.branch()}"
    s.caller.send(s.inside("INFO", 2, {"Via": via}))
    s.settle()


@case()
def inside_with_another_call_id(s: Stage) -> None:
    answered(s)
    s.caller.send(s.inside("INFO", 2, {"Call-ID": f"Call-ID: {s.case}.other"}))
    s.settle()


@case()
def inside_with_another_to_tag(s: Stage) -> None:
    answered(s)
    s.caller.send(s.inside("INFO", 2, {"To": f"To: <{CHAT}>;tag=tag-forged"}))
    s.settle()


@case()
def inside_from_a_third_party(s: Stage) -> None:
    """A stranger who knows the Route but not the dialog."""
    answered(s)
    stranger = s.client("stranger")
    line = f"From: <sip:stranger@contoso.com>;tag=tag-stranger\r\nX-Via: {stranger.address}"
    stranger.send(s.inside("INFO", 2, {"From": line}))
    s.settle()


@case()
def inside_from_a_strict_router(s: Stage) -> None:
    """§16.4: our Record-Route URI in the Request-URI, the remote target last in Route."""
    answered(s)
    ours = s.caller.responses(200)[0].first("record-route").strip("<>")
    via = f"Via: SIP/2.0/UDP {s.caller.address};branch={s.branch()}\r\nRoute: <sip:pool@{s.pool.address}>"
    s.caller.send(s.inside("INFO", 2, {"Via": via, "start": f"INFO {ours} SIP/2.0"}))
    s.settle()


@case()
def inside_with_max_forwards_0(s: Stage) -> None:
    answered(s)
    s.caller.send(s.inside("INFO", 2, {"Max-Forwards": "Max-Forwards: 0"}))
    s.settle()


@case()
def inside_to_a_foreign_target(s: Stage) -> None:
    """The remote target is what it is: the Route set decides."""
    answered(s)
    s.caller.send(s.inside("INFO", 2, {"start": "INFO sip:gone@127.0.0.9:9 SIP/2.0"}))
    s.settle()


# retransmissions (§17.2)


@case()
def invite_again_before_an_answer(s: Stage) -> None:
    reply_later(s.pool, "INVITE")
    invite = s.request("INVITE")
    s.caller.send(invite, invite)
    s.settle()


@case()
def invite_again_while_ringing(s: Stage) -> None:
    s.pool.plays["INVITE"] = [180]
    invite = s.request("INVITE")
    s.caller.send(invite)
    s.settle()
    s.caller.send(invite)
    s.settle()


@case()
def invite_again_after_200(s: Stage) -> None:
    invite = s.request("INVITE")
    s.caller.send(invite)
    s.settle()
    s.caller.send(invite)
    s.settle()


@case()
def invite_again_after_486(s: Stage) -> None:
    s.pool.plays["INVITE"] = [486]
    invite = s.request("INVITE")
    s.caller.send(invite)
    s.settle()
    s.caller.send(invite)
    s.settle()


@case()
def options_again_before_an_answer(s: Stage) -> None:
    reply_later(s.pool, "OPTIONS")
    options = s.request()
    s.caller.send(options, options)
    s.settle()


@case()
def options_again_after_an_answer(s: Stage) -> None:
    options = s.request()
    s.caller.send(options)
    s.settle()
    s.caller.send(options)
    s.settle()


@case()
def invite_without_branch_again(s: Stage) -> None:
    """§17.2.3, the older matching."""
    s.pool.plays["INVITE"] = [180]
    invite = s.request("INVITE", change={"Via": "Via: SIP/2.0/UDP {caller};x={case}."})
    s.caller.send(invite)
    s.settle()
    s.caller.send(invite)
    s.settle()


@case()
def same_branch_other_method(s: Stage) -> None:
    s.caller.send(s.request("OPTIONS", branch="x"), s.request("MESSAGE", branch="x", seq=2))
    s.settle()


@case()
def same_branch_other_sent_by(s: Stage) -> None:
    other = s.client("other")
    s.caller.send(s.request("OPTIONS", branch="x"))
    other.send(s.request("OPTIONS", branch="x", sender=other))
    s.settle()


@case()
def success_again(s: Stage) -> None:
    """§13.3.1.4: the callee repeats its 200 until it has the ACK; each goes back."""
    s.pool.plays["INVITE"] = [200, 200]
    s.caller.send(s.request("INVITE"))
    s.settle()
    s.pool.answer(s.pool.heard[0], 200)
    s.settle()


@case()
def failure_again(s: Stage) -> None:
    """§17.1.1.2: each is acknowledged, one goes back."""
    s.pool.plays["INVITE"] = [486, 486]
    s.caller.send(s.request("INVITE"))
    s.settle()


@case()
def final_of_options_again(s: Stage) -> None:
    s.pool.plays["OPTIONS"] = [200, 200, 404]
    s.caller.send(s.request())
    s.settle()


@case()
def provisional_after_final(s: Stage) -> None:
    s.pool.plays["INVITE"] = [180, 486, 183]
    s.caller.send(s.request("INVITE"))
    s.settle()


@case()
def success_after_failure(s: Stage) -> None:
    s.pool.plays["INVITE"] = [486, 200]
    s.caller.send(s.request("INVITE"))
    s.settle()


@case()
def failure_after_success(s: Stage) -> None:
    s.pool.plays["INVITE"] = [200, 486]
    s.caller.send(s.request("INVITE"))
    s.settle()


@case()
def two_successes_of_one_branch(s: Stage) -> None:
    """A fork further down: two dialogs, both go back (§16.7 item 5)."""
    s.pool.plays["INVITE"] = [Answer(200, tag="tag-one"), Answer(200, tag="tag-two")]
    s.caller.send(s.request("INVITE"))
    s.settle()


# ACK (§17.1.1.3, §17.2.1, §13.2.2.4)


@case(BOTH)
def ack_to_a_failure(s: Stage) -> None:
    s.pool.plays["INVITE"] = [404]
    s.caller.send(s.request("INVITE", branch="invite"))
    s.settle()
    to = f"To: {s.caller.responses(404)[0].first('to')}"
    s.caller.send(s.request("ACK", change={"To": to}, branch="invite"))
    s.settle()


@case()
def ack_to_our_own_failure(s: Stage) -> None:
    s.caller.send(s.request("INVITE", "sip:nobody@contoso.com", branch="invite"))
    s.settle()
    to = f"To: {s.caller.responses(404)[0].first('to')}"
    s.caller.send(s.request("ACK", "sip:nobody@contoso.com", {"To": to}, branch="invite"))
    s.settle()


@case()
def ack_to_nothing(s: Stage) -> None:
    s.caller.send(s.request("ACK"))
    s.settle()


@case()
def ack_to_success_with_the_branch_of_the_invite(s: Stage) -> None:
    s.caller.send(s.request("INVITE", branch="invite"))
    s.settle()
    s.caller.send(s.inside("ACK", 1, branch="invite"))
    s.settle()


@case()
def ack_to_success_twice(s: Stage) -> None:
    answered(s)
    s.caller.send(s.inside("ACK", 1))
    s.settle()


@case()
def ack_to_success_without_route(s: Stage) -> None:
    s.caller.send(s.request("INVITE"))
    s.settle()
    via = f"Via: SIP/2.0/UDP {s.caller.address};branch={s.branch()}"
    s.caller.send(s.inside("ACK", 1, {"Via": via}))
    s.settle()


@case()
def ack_inside_with_max_forwards_0(s: Stage) -> None:
    s.caller.send(s.request("INVITE"))
    s.settle()
    s.caller.send(s.inside("ACK", 1, {"Max-Forwards": "Max-Forwards: 0"}))
    s.settle()

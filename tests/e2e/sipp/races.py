"""Races and losses as scenarios for SIPp: what either side does, and what its counters have to say afterwards."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.e2e.sipp.script import Called, Caller, linger, pause, receive

CALLS = 10
Count = Callable[[str], int]  # of a counter, such as INVITE_Retrans, over all steps of a scenario
Check = Callable[[Count, Count], bool]  # caller's and called party's


@dataclass(frozen=True)
class Race:
    """Every call has to end as its scenario says, on both sides, and `holds` of the counters."""

    name: str
    transport: str
    caller: list[str]
    called: list[str]
    holds: Check
    deaf_in_pauses: bool = False  # the called party loses what comes in a pause

    @property
    def endpoint(self) -> str:
        return self.name.replace("_", "-")


def races(transport: str, t1: float) -> list[Race]:
    """All of them, for a gateway with this T1. Over connections SIPp takes nothing for a retransmission."""
    made = [invite_twice, acknowledged_late, refusal_acknowledged_late, cancel_crosses_200, cancel_before_180, late_200]
    made += [refusal_again, bye_answered_late, bye_twice] if transport == "udp" else []
    return [race(transport, round(1000 * t1)) for race in made]


def _parties(name: str) -> tuple[Caller, Called]:
    return Caller(name.replace("_", "-")), Called(name.replace("_", "-"))


def invite_twice(transport: str, t1: int) -> Race:
    """A copy of the INVITE while the call rings does not reach the pool."""
    name = "invite_twice"
    caller, called = _parties(name)
    trying = [receive(100, optional=True), receive(180, optional=True)]
    calling = [caller.invite(), receive(100), caller.invite(), *trying, receive(200, routes=True), caller.ack()]
    answering = [receive("INVITE", keep=True), pause(2 * t1), called.answer_kept(180), pause(2 * t1)]
    answering += [called.answer_kept(200), receive("ACK")]
    return Race(
        name,
        transport,
        [*calling, caller.ask("BYE", 2), receive(200)],
        [*answering, receive("BYE"), called.answer(200, inside=True)],
        lambda near, far: near("INVITE_Sent") == 2 * far("INVITE_Recv") == 2 * CALLS,
    )


def acknowledged_late(transport: str, t1: int) -> Race:
    """The pool says 200 again because no ACK came; each reaches the caller, and then the ACK the pool."""
    name = "acknowledged_late"
    caller, called = _parties(name)
    again = pause(400) if transport == "udp" else receive(200)
    calling = [caller.invite(), receive(100), receive(200, routes=True), again, caller.ack()]
    answering = [receive("INVITE", keep=True), called.answer_kept(200), pause(150), called.answer_kept(200)]
    return Race(
        name,
        transport,
        [*calling, caller.ask("BYE", 2), receive(200)],
        [*answering, receive("ACK"), receive("BYE"), called.answer(200, inside=True)],
        lambda near, far: near("200_Retrans") == (CALLS if transport == "udp" else 0) and far("ACK_Recv") == CALLS,
    )


def refusal_acknowledged_late(transport: str, t1: int) -> Race:
    """Timer G repeats a refusal until the ACK, over datagrams; the pool has had our own ACK at once."""
    name = "refusal_acknowledged_late"
    caller, called = _parties(name)
    copies = (CALLS, 3 * CALLS) if transport == "udp" else (0, 0)  # two, and five were it not for the ACK
    return Race(
        name,
        transport,
        [caller.invite(), receive(100), receive(486), pause(5 * t1), caller.ack_failure(), linger(20 * t1)],
        [receive("INVITE"), called.answer(486), receive("ACK"), linger(t1)],
        lambda near, far: (
            copies[0] <= near("486_Retrans") <= copies[1] and far("ACK_Recv") == CALLS and far("ACK_Retrans") == 0
        ),
    )


def refusal_again(transport: str, t1: int) -> Race:
    """A refusal whose ACK was lost on the way to the pool is acknowledged again; the caller hears nothing of it."""
    name = "refusal_again"
    caller, called = _parties(name)
    return Race(
        name,
        transport,
        [caller.invite(), receive(100), receive(486), caller.ack_failure(), linger(4 * t1)],
        [receive("INVITE"), called.answer(486), pause(t1), called.answer(486), receive("ACK")],
        lambda near, far: far("ACK_Recv") == CALLS and near("486_Retrans") == 0,
        deaf_in_pauses=True,
    )


def cancel_crosses_200(transport: str, t1: int) -> Race:
    """The pool has answered when the CANCEL comes, and its 200 is overtaken: the caller has a call, and ends it."""
    name = "cancel_crosses_200"
    caller, called = _parties(name)
    calling = [caller.invite(), receive(100), receive(180), caller.cancel(), receive(200), receive(200, routes=True)]
    answering = [receive("INVITE", keep=True), called.answer(180), receive("CANCEL")]
    answering += [called.answer(200, inside=True), called.answer_kept(200)]
    answering += [receive("ACK"), receive("BYE"), called.answer(200, inside=True)]
    return Race(
        name,
        transport,
        [*calling, caller.ack(), caller.ask("BYE", 2), receive(200)],
        answering,
        lambda near, far: far("CANCEL_Recv") == far("ACK_Recv") == far("BYE_Recv") == CALLS,
    )


def cancel_before_180(transport: str, t1: int) -> Race:
    """A CANCEL waits with us until the pool has shown a sign of life."""
    name = "cancel_before_180"
    caller, called = _parties(name)
    calling = [caller.invite(), receive(100), caller.cancel(), receive(200), receive(180, optional=True), receive(487)]
    answering = [receive("INVITE", keep=True), pause(3 * t1), called.answer_kept(180), receive("CANCEL")]
    return Race(
        name,
        transport,
        [*calling, caller.ack_failure()],
        [*answering, called.answer(200, inside=True), called.answer_kept(487), receive("ACK")],
        lambda near, far: far("CANCEL_Recv") == near("487_Recv") == far("ACK_Recv") == CALLS,
    )


def late_200(transport: str, t1: int) -> Race:
    """The pool answers the CANCEL and not the INVITE: after 64*T1 the caller is told 487; a 200 after that ends here.

    The pool, which gets no ACK, then ends what it takes for a call; of that the caller knows nothing.
    """
    name = "late_200"
    caller, called = _parties(name)
    calling = [caller.invite(), receive(100), receive(180), caller.cancel(), receive(200), receive(487)]
    answering = [receive("INVITE", routes=True, keep=True), called.answer(180), receive("CANCEL")]
    answering += [called.answer(200, inside=True), pause(66 * t1), called.answer_kept(200), pause(t1), called.bye()]
    return Race(
        name,
        transport,
        [*calling, caller.ack_failure(), receive("BYE"), caller.answer(481)],
        [*answering, receive(481)],
        lambda near, far: near("487_Recv") == near("BYE_Recv") == CALLS and far("200_Sent") == 2 * CALLS,
    )


def bye_answered_late(transport: str, t1: int) -> Race:
    """The 200 to a BYE is lost, so we send the BYE again, until there is one."""
    name = "bye_answered_late"
    caller, called = _parties(name)
    calling = [caller.invite(), receive(100), receive(200, routes=True), caller.ack(), caller.ask("BYE", 2)]
    answering = [receive("INVITE"), called.answer(200), receive("ACK"), receive("BYE"), pause(5 * t1)]
    return Race(
        name,
        transport,
        [*calling, receive(200)],
        [*answering, called.answer(200, inside=True), linger(2 * t1)],
        lambda near, far: far("BYE_Recv") == CALLS <= far("BYE_Retrans"),
    )


def bye_twice(transport: str, t1: int) -> Race:
    """A copy of an answered BYE does not reach the pool."""
    name = "bye_twice"
    caller, called = _parties(name)
    calling = [caller.invite(), receive(100), receive(200, routes=True), caller.ack(), caller.ask("BYE", 2)]
    answering = [receive("INVITE"), called.answer(200), receive("ACK"), receive("BYE")]
    return Race(
        name,
        transport,
        [*calling, receive(200), caller.ask("BYE", 2)],
        [*answering, called.answer(200, inside=True), linger(3 * t1)],
        lambda near, far: near("BYE_Sent") == 2 * far("BYE_Recv") == 2 * CALLS and far("BYE_Retrans") == 0,
    )

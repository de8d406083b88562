"""Traced calls as text: a ladder with the decisions at each step, or a line."""

import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime

from sipgw.management.trace_advice import remedy
from sipgw.observability.ladder import Note, Step, render
from sipgw.server.admin.call_models import CallBody, StepBody

GATEWAY = "sipgw"
MAX_PARTIES = 6  # columns; further peers share the last
OTHERS = "others"


def line_of(call: CallBody) -> str:
    """A call in one line."""
    result = (
        f"FAILED {call.failure}" if call.failure else f"{call.status} {call.reason}" if call.status else "under way"
    )
    return printable(f"{clock(call.began)}  {what(call):42} {call.sender:28} {result}  [{call.call_id}]")


def what(call: CallBody) -> str:
    return f"{call.method or '?'} {call.uri.partition(';')[0]}"


def heading(call: CallBody) -> Iterator[str]:
    """What a call was about, and what went wrong."""
    yield printable(f"{clock(call.began)}  {what(call)} from {call.sender or 'nobody known'}  [{call.call_id}]")
    if call.failure:
        yield printable(f"  FAILED  {call.failure}")
        advice = remedy(call.failure, call.diagnostics)
        if advice:
            yield f"  to do   {advice}"
    elif call.status:
        yield printable(f"  {call.status} {call.reason}")
    if call.incomplete:
        yield "  there was too much at the time: messages may be missing"


def ladder(call: CallBody, width: int, behind: int = 0) -> str:
    """The ladder of all turns behind one with a number, with a gap where some were left out."""
    steps = call.steps or []
    parties = columns(steps)
    drawn: list[Step | Note] = []
    previous = behind
    for step in steps:
        if step.turn <= behind:
            continue
        at = step.at - call.began
        if step.turn > previous + 1:
            drawn.append(Note(at, GATEWAY, f"{step.turn - previous - 1} turns of a long call are not kept"))
        previous = max(previous, step.turn)
        drawn.append(_drawn(step, at, parties))
    return render(list(dict.fromkeys(parties.values())), drawn, width)


def _drawn(step: StepBody, at: float, parties: dict[str, str]) -> Step | Note:
    if step.kind == "decision":
        mark = "! " if step.level in ("warning", "error") else ""
        return Note(at, GATEWAY, printable(mark + step.label))
    ends = (parties[step.peer], GATEWAY) if step.kind == "in" else (GATEWAY, parties[step.peer])
    return Step(at, *ends, printable(step.label))


def columns(steps: Sequence[StepBody]) -> dict[str, str]:
    """The column of each peer, from left to right: who began it, the gateway, everybody else."""
    peers = list(dict.fromkeys(step.peer for step in steps if step.peer))
    first = next((step for step in steps if step.peer), None)
    left = [first.peer] if first is not None and first.kind == "in" else []
    right = [peer for peer in peers if peer not in left]
    room = MAX_PARTIES - 1 - len(left)
    named = {peer: peer if number < room or len(right) == room else OTHERS for number, peer in enumerate(right, 1)}
    return {**{peer: peer for peer in left}, GATEWAY: GATEWAY, **named}


def messages(call: CallBody, behind: int = 0) -> Iterator[str]:
    """Every message as it was, but for its secrets."""
    for step in call.steps or ():
        if step.kind == "decision" or step.turn <= behind:
            continue
        way = f"from {step.peer}" if step.kind == "in" else f"to {step.peer}"
        yield f"---- {clock(step.at)} {way}{f', connection {step.connection}' if step.connection else ''}"
        yield "\n".join(map(printable, step.text.replace("\r\n", "\n").rstrip("\n").split("\n")))
        yield ""


def clock(at: float) -> str:
    """Local time with milliseconds."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def printable(text: str) -> str:
    """What a peer has sent must not move the cursor, nor take two columns where one is reckoned with."""
    return "".join(char if char.isprintable() and not unicodedata.combining(char) else "?" for char in text)

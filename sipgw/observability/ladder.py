"""A call as a ladder in the terminal: a column for each party, an arrow for each message."""

import re
from dataclasses import dataclass

from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Request
from sipgw.message.parser import parse_message
from sipgw.message.values import line_method

WIDTH = 100
_MARGIN = 9  # for the time in milliseconds
_XCCOS = re.compile(rb'<(?:cmd|rpl|ntc)\s[^>]*?id="([^"]{1,40})"|<(grpchat)\b')
_CHAT = re.compile(rb"<chat>([^<]{0,40})")


@dataclass(frozen=True)
class Step:
    """One message: when (seconds from the start), between which parties, what it says."""

    at: float
    source: str
    target: str
    label: str


def label(data: bytes) -> str:
    """A message in a few words: method and whom for, or status and of what; for XCCOS the command."""
    try:
        message = parse_message(data)
    except MalformedMessage:
        return "(not SIP)"
    if not isinstance(message, Request):
        return f"{message.status} {message.reason} ({line_method(message.first('cseq'))})"
    body = _body_label(message.body)
    if body:
        return f"{message.method} {body}"
    if message.method == "SUBSCRIBE":
        return f"SUBSCRIBE {(message.first('event') or '').removeprefix('vnd-microsoft-')}"
    if message.method in ("ACK", "BYE", "CANCEL"):
        return message.method
    return f"{message.method} {message.uri.removeprefix('sip:').partition(';')[0].partition('@')[0]}"


def _body_label(body: bytes) -> str:
    found = _XCCOS.search(body)
    if found is None:
        return ""
    if found[2] is None:
        return found[1].decode("latin-1")
    chat = _CHAT.search(body)
    return "grpchat" if chat is None else f"“{chat[1].decode('utf-8', 'replace')}”"


def render(parties: list[str], steps: list[Step], width: int = WIDTH) -> str:
    """The ladder as text, no line longer than `width`. A step between parties that are not listed is left out."""
    gap = (width - _MARGIN - 2) // max(1, len(parties) - 1)
    columns = {party: _MARGIN + index * gap for index, party in enumerate(parties)}
    lines = [_heading(columns, width), _rails(columns, " " * _MARGIN)]
    shown = [step for step in steps if {step.source, step.target} <= columns.keys() and step.source != step.target]
    lines += [_arrow(columns, step) for step in shown]
    lines.append(_rails(columns, " " * _MARGIN))
    return "\n".join(line.rstrip()[:width] for line in lines)


def _heading(columns: dict[str, int], width: int) -> str:
    line = list(f"{'ms':>{_MARGIN - 2}}".ljust(width))
    for party, column in columns.items():
        start = max(_MARGIN - 1, min(column - len(party) // 2, width - len(party)))
        line[start : start + len(party)] = party
    return "".join(line)


def _rails(columns: dict[str, int], prefix: str) -> str:
    line = list(prefix.ljust(max(columns.values()) + 1))
    for column in columns.values():
        line[column] = "│"
    return "".join(line)


def _arrow(columns: dict[str, int], step: Step) -> str:
    line = list(_rails(columns, f"{step.at * 1000:>{_MARGIN - 2}.1f}"))
    left, right = sorted((columns[step.source], columns[step.target]))
    for at in range(left + 1, right):
        line[at] = "┼" if line[at] == "│" else "─"
    forward = columns[step.source] == left
    line[right - 1 if forward else left + 1] = "►" if forward else "◄"
    text = f" {step.label} "
    room = right - left - 5
    if len(text) > room:
        text = text[: room - 2] + "… "
    start = left + 3
    line[start : start + len(text)] = text
    return "".join(line)

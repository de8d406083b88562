"""A call as a ladder in the terminal: a column for each party, an arrow for each message."""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Request
from sipgw.message.parser import parse_message
from sipgw.message.values import line_method

WIDTH = 100
_MARGIN = 9  # for the time in milliseconds
_NOTE = 30  # characters that a note wants at least
_XCCOS = re.compile(rb'<(?:cmd|rpl|ntc)\s[^>]*?id="([^"]{1,40})"|<(grpchat)\b')
_CHAT = re.compile(rb"<chat>([^<]{0,40})")


@dataclass(frozen=True)
class Step:
    """One message: when (seconds from the start), between which parties, what it says."""

    at: float
    source: str
    target: str
    label: str


@dataclass(frozen=True)
class Note:
    """What a party thought at a moment."""

    at: float
    party: str
    text: str


def label(data: bytes, speech: bool = True) -> str:
    """A message in a few words: method and whom for, or status and of what; for XCCOS the command, and with `speech`
    what somebody says."""
    try:
        message = parse_message(data)
    except MalformedMessage:
        return "(not SIP)"
    if not isinstance(message, Request):
        return f"{message.status} {message.reason} ({line_method(message.first('cseq'))})"
    body = _body_label(message.body, speech)
    if body:
        return f"{message.method} {body}"
    if message.method == "SUBSCRIBE":
        return f"SUBSCRIBE {(message.first('event') or '').removeprefix('vnd-microsoft-')}"
    if message.method in ("ACK", "BYE", "CANCEL"):
        return message.method
    return f"{message.method} {message.uri.removeprefix('sip:').partition(';')[0].partition('@')[0]}"


def _body_label(body: bytes, speech: bool) -> str:
    found = _XCCOS.search(body)
    if found is None:
        return ""
    if found[2] is None:
        return found[1].decode("latin-1")
    chat = _CHAT.search(body)
    return "grpchat" if chat is None or not speech else f"“{chat[1].decode('utf-8', 'replace')}”"


def render(parties: list[str], steps: Sequence[Step | Note], width: int = WIDTH) -> str:
    """The ladder as text, no line longer than `width`. A step between parties that are not listed is left out."""
    gap = (width - _MARGIN - 2) // max(1, len(parties) - 1)
    columns = {party: _MARGIN + index * gap for index, party in enumerate(parties)}
    lines = [_heading(columns, width), _rails(columns, " " * _MARGIN)]
    for step in steps:
        if isinstance(step, Note):
            lines += _note(columns, step, width)
        elif {step.source, step.target} <= columns.keys() and step.source != step.target:
            lines.append(_arrow(columns, step))
    lines.append(_rails(columns, " " * _MARGIN))
    return "\n".join(line.rstrip()[:width] for line in lines)


def _heading(columns: dict[str, int], width: int) -> str:
    line = list(f"{'ms':>{_MARGIN - 2}}".ljust(width))
    for party, column in columns.items():
        start = max(_MARGIN - 1, min(column - len(party) // 2, width - len(party)))
        line[start : start + len(party)] = party
    return "".join(line)


def _rails(columns: dict[str, int], prefix: str) -> str:
    line = list(prefix.ljust(max(columns.values(), default=0) + 1))
    for column in columns.values():
        line[column] = "│"
    return "".join(line)


def _note(columns: dict[str, int], note: Note, width: int) -> list[str]:
    """Beside the rail of its party, over the rails to the right of it."""
    column = columns.get(note.party, _MARGIN)
    if width - column < _NOTE:
        column = min(columns.values())
    rails = _rails({name: at for name, at in columns.items() if at < column}, " " * column) if column else ""
    lines = textwrap.wrap(note.text, max(_NOTE, width - column) - 3, break_on_hyphens=False) or [""]
    return [f"{rails[:column]:{column}}{'├' if number == 0 else '│'} {line}" for number, line in enumerate(lines)]


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

"""As much of a request as it takes to turn it down: a fraction of reading it whole.

Whatever is out of the ordinary is left to the parser. So is what the parser would find fault with: a glance that has
come to something says the same as reading, only sooner, and remembers nothing.
"""

from typing import Final

from sipgw.message.checks import MAX_VIAS, is_plain_address
from sipgw.message.errors import MalformedMessage
from sipgw.message.heads import SINGLE
from sipgw.message.names import SPELLINGS, fold
from sipgw.message.parser import KNOWN_METHODS, ROOMY
from sipgw.message.values import Via, parse_via

_spelling: Final = SPELLINGS.get
_COPIED: Final = frozenset({"via", "from", "to", "call-id", "cseq"})  # §8.2.6.2: what a response has of its request


class Glance:
    """Header values as they came. `lines` are those that a response repeats, in order; `via` is read from the first of
    them that is one, at `via_at`; `to_at` is where To stands."""

    __slots__ = ("call_id", "lines", "method", "number", "sender", "to", "to_at", "via", "via_at")

    def __init__(self, method: str, lines: list[str], at: dict[str, int], values: dict[str, str], via: Via) -> None:
        self.method = method
        self.lines = lines
        self.via = via
        self.via_at = at["via"]
        self.to_at = at["to"]
        self.to = values["to"]
        self.sender = values["from"]
        self.call_id = values["call-id"]
        self.number = values["cseq"].partition(" ")[0]


def glance(data: bytes, max_headers: int, max_body: int) -> Glance | None:
    """The request in a datagram, or cut from a stream; None for what has to be read to be answered. The bounds are the
    parser's."""
    end = data.find(b"\r\n\r\n")
    if not 0 < end < ROOMY:
        return None
    head = data[:end].decode("latin-1")
    lines = head.split("\r\n")
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1 or "\0" in head or "\x1b" in head:
        return None
    method = _method(lines[0])
    if not method:
        return None
    at: dict[str, int] = {}
    values: dict[str, str] = {}
    kept: list[str] = []
    for line in lines[1:]:
        spelt, colon, value = line.partition(":")
        name = _spelling(spelt) or fold(spelt)
        if name is None or not colon or (name in values and name in SINGLE):
            return None
        if name in _COPIED:
            at.setdefault(name, len(kept))
            kept.append(line)
        values.setdefault(name, value.strip(" \t"))
    if len(lines) > max_headers or len(at) < len(_COPIED) or len(kept) > MAX_VIAS:
        return None
    if not _is_sound(method, values, len(data) - end - 4, max_body):
        return None
    try:
        return Glance(method, kept, at, values, parse_via(values["via"]))
    except MalformedMessage:
        return None


def _method(start: str) -> str:
    """That of an ordinary request line, "" for any other."""
    words = start.split(" ")
    if len(words) != 3 or words[2] != "SIP/2.0" or "?" in words[1]:
        return ""
    return KNOWN_METHODS.get(words[0], "")


def _is_sound(method: str, values: dict[str, str], length: int, max_body: int) -> bool:
    """Whether all is as the parser and its checks want it, the plain way."""
    number, _, named = values["cseq"].partition(" ")
    if named != method or not number.isdecimal() or len(number) > 9:
        return False
    if not values["call-id"] or " " in values["call-id"] or "," in values["via"]:
        return False
    if values.get("content-length", str(length)) != str(length) or length > max_body:
        return False
    return is_plain_address(values["from"]) and is_plain_address(values["to"])

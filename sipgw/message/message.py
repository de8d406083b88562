"""Received and built messages: a start line, raw header lines with an index of their names, and a body.

No value is looked at until a rule asks for it. A line is kept as it came (a folded one with its line breaks), so an
untouched message encodes to the bytes it was parsed from, and forwarding replaces, adds or drops single lines.
"""

from collections.abc import Iterable
from typing import Final

from sipgw.message.errors import MalformedMessage
from sipgw.message.heads import NO_SHAPE, Shape, known_values, line_value, shape_of
from sipgw.message.names import SPELLINGS, fold
from sipgw.message.values import CSeq, Via, parse_cseq, parse_via, split_list, tag_of

_spelling: Final = SPELLINGS.get


class Message:
    """Common part of requests and responses. `lines` and `names` run in parallel; `index` gives a name's first line and
    is not to be changed; `shape` is where it comes from.

    A message made by its constructor has no index: whoever looks values up calls `reindex` first. One that is only
    made to be sent can do without.
    """

    __slots__ = ("_via", "body", "index", "lines", "names", "shape", "start")

    start: str  # the subclasses set all of these themselves: a call of super would cost a tenth of the parsing
    lines: list[str]
    names: list[str]
    index: dict[str, int]
    shape: Shape
    body: bytes
    _via: Via | None

    def reindex(self) -> None:
        """Make `index` and the topmost Via agree with `lines` and `names` again."""
        self.shape = shape = shape_of(self.names)
        self.index = shape.index
        self._via = None

    def add(self, line: str, name: str) -> None:
        """Append a header line with its canonical name."""
        self.lines.append(line)
        self.names.append(name)
        self.shape = shape = shape_of(self.names)
        self.index = shape.index

    def first(self, name: str) -> str | None:
        """The value of the first header line called `name` (canonical form), unfolded and stripped; None if absent."""
        at = self.index.get(name)
        if at is None:
            return None
        line = self.lines[at]
        value = known_values.get(line)
        return line_value(line) if value is None else value

    def lines_of(self, name: str) -> list[str]:
        """The value of every header line called `name`, each unfolded and stripped."""
        at = self.index.get(name)
        if at is None:
            return []
        if self.names.count(name) == 1:
            return [line_value(self.lines[at])]
        return [line_value(line) for line, have in zip(self.lines, self.names, strict=True) if have == name]

    def values(self, name: str) -> list[str]:
        """Every value of a header whose grammar is a comma list (§7.3.1), in order."""
        return [value for line in self.lines_of(name) for value in split_list(line)]

    def tokens(self, name: str) -> set[str]:
        """The option tags or other tokens of a comma list, in lower case."""
        return {value.lower() for value in self.values(name)}

    @property
    def via(self) -> Via:
        """The topmost Via. Raises MalformedMessage when there is none or it cannot be read."""
        if self._via is None:
            self._via = parse_via(self._topmost_via())
        return self._via

    def _topmost_via(self) -> str:
        at = self.index.get("via")
        if at is None:
            raise MalformedMessage("no Via header")
        line = self.lines[at]
        return line[5:] if line[:5] == "Via: " and "\r" not in line else line_value(line)

    def set_via(self, via: Via) -> None:
        """Replace the topmost Via value, leaving further values of the same line as they are."""
        at = self.index["via"]
        line = self.lines[at]
        if "," in line:
            rest = split_list(line_value(line))[1:]
            self.lines[at] = "Via: " + ", ".join([via.encode(), *rest])
        else:
            self.lines[at] = "Via: " + via.encode()
        self._via = via

    def drop_first(self, name: str) -> None:
        """Remove the first value of a comma-list header (a topmost Via or Route), with its line when that was all."""
        at = self.index[name]
        line = self.lines[at]
        self._via = None
        if "," in line:
            rest = split_list(line_value(line))[1:]
            if rest:
                self.lines[at] = f"{line.partition(':')[0]}: {', '.join(rest)}"
                return
        self.lines.pop(at)
        self.names.pop(at)
        self.shape = shape = self.shape.without(at, self.names)
        self.index = shape.index

    @property
    def call_id(self) -> str:
        return self.first("call-id") or ""

    @property
    def cseq(self) -> CSeq:
        """(number, method). Raises MalformedMessage."""
        return parse_cseq(self.first("cseq"))

    @property
    def from_tag(self) -> str:
        return tag_of(self.first("from") or "")

    @property
    def to_tag(self) -> str:
        return tag_of(self.first("to") or "")

    def encode(self) -> bytes:
        """The message as it goes on the wire."""
        head = "\r\n".join([self.start, *self.lines, "\r\n"])
        return head.encode("latin-1", "replace") + self.body


class Request(Message):
    """A request: `method`, `uri` (the Request-URI's text) and what every message has."""

    __slots__ = ("method", "uri")

    def __init__(self, method: str, uri: str, lines: list[str], names: list[str], body: bytes, start: str = "") -> None:
        self.start = start or f"{method} {uri} SIP/2.0"
        self.method = method
        self.uri = uri
        self.lines = lines
        self.names = names
        self.shape = NO_SHAPE
        self.index = NO_SHAPE.index
        self.body = body
        self._via = None

    def set_lines(self, uri: str, lines: list[tuple[str, str]]) -> None:
        """Give the request another Request-URI and other header lines, as (line, canonical name) pairs."""
        self.uri = uri
        self.start = f"{self.method} {uri} SIP/2.0"
        self.lines = [line for line, _ in lines]
        self.names = [name for _, name in lines]
        self.reindex()


class Response(Message):
    """A response: `status`, `reason` and what every message has."""

    __slots__ = ("reason", "status")

    def __init__(
        self, status: int, reason: str, lines: list[str], names: list[str], body: bytes, start: str = ""
    ) -> None:
        self.start = start or f"SIP/2.0 {status} {reason}"
        self.status = status
        self.reason = reason
        self.lines = lines
        self.names = names
        self.shape = NO_SHAPE
        self.index = NO_SHAPE.index
        self.body = body
        self._via = None


def names_of(lines: Iterable[str]) -> list[str]:
    """Canonical names of header lines that we wrote ourselves."""
    return [_spelling(line.partition(":")[0]) or fold(line.partition(":")[0]) or "" for line in lines]

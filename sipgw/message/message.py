"""Received and built messages: a start line, raw header lines with an index of their names, and a body.

Parsing splits the head into lines and folds the names; no value is looked at until a rule asks for it. A line is kept
as it came (a folded one with its line breaks), so an untouched message encodes to the bytes it was parsed from, and
forwarding replaces, adds or drops single lines.
"""

import re
from collections.abc import Iterable

from sipgw.message.errors import MalformedMessage
from sipgw.message.names import SPELLINGS, TOKEN, fold
from sipgw.message.values import CSeq, Via, parse_cseq, parse_via, split_list, tag_of

_FOLD = re.compile(r"[ \t]*\r\n[ \t]+")
_spelling = SPELLINGS.get

MAX_HEADERS = 256  # enough for 70 hops of Via and Record-Route; a longer list is an attack or a loop


class Message:
    """Common part of requests and responses. `lines` and `names` run in parallel; `index` gives a name's first line.

    A message made by its constructor has no index: whoever looks values up calls `reindex` first. One that is only
    made to be sent can do without.
    """

    __slots__ = ("_via", "body", "index", "lines", "names", "start")

    def __init__(self, start: str, lines: list[str], names: list[str], body: bytes) -> None:
        self.start = start
        self.lines = lines
        self.names = names
        self.index: dict[str, int] = {}
        self.body = body
        self._via: Via | None = None

    def reindex(self) -> None:
        """Make `index` and the topmost Via agree with `lines` and `names` again."""
        names = self.names
        self.index = dict(zip(names[::-1], range(len(names) - 1, -1, -1)))  # noqa: B905 (half the cost of strict)
        self._via = None

    def first(self, name: str) -> str | None:
        """The value of the first header line called `name` (canonical form), unfolded and stripped; None if absent."""
        at = self.index.get(name)
        if at is None:
            return None
        value = self.lines[at].partition(":")[2].strip(" \t")
        return _unfold(value) if "\r" in value else value

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
        value = self.first("via")
        if value is None:
            raise MalformedMessage("no Via header")
        return value

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

    def drop_first(self, name: str, last_look: bool = False) -> None:
        """Remove the first value of a comma-list header (a topmost Via or Route), with its line when that was all.

        `last_look` saves the new index where no value will be looked up any more.
        """
        at = self.index[name]
        rest = split_list(line_value(self.lines[at]))[1:] if "," in self.lines[at] else []
        if rest:
            self.lines[at] = f"{self.lines[at].partition(':')[0]}: {', '.join(rest)}"
            self._via = None
        else:
            del self.lines[at], self.names[at]
            if not last_look:
                self.reindex()

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
        head = "\r\n".join((self.start, *self.lines, "", ""))
        return head.encode("latin-1", "replace") + self.body


class Request(Message):
    """A request: `method`, `uri` (the Request-URI's text) and what every message has."""

    __slots__ = ("method", "uri")

    def __init__(self, method: str, uri: str, lines: list[str], names: list[str], body: bytes, start: str = "") -> None:
        super().__init__(start or f"{method} {uri} SIP/2.0", lines, names, body)
        self.method = method
        self.uri = uri

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
        super().__init__(start or f"SIP/2.0 {status} {reason}", lines, names, body)
        self.status = status
        self.reason = reason


def line_value(line: str) -> str:
    """The value of one raw header line: after the colon, unfolded, stripped."""
    value = line.partition(":")[2].strip(" \t")
    return _unfold(value) if "\r" in value else value


def _unfold(value: str) -> str:
    return _FOLD.sub(" ", value).strip()


def names_of(lines: Iterable[str]) -> list[str]:
    """Canonical names of header lines that we wrote ourselves."""
    return [_spelling(line.partition(":")[0]) or fold(line.partition(":")[0]) or "" for line in lines]


def parse_message(data: bytes, max_headers: int = MAX_HEADERS) -> Request | Response:
    """Read one whole message: head, blank line, and as body all that follows, cut to Content-Length where one is given.

    `max_headers` bounds the header lines. Raises MalformedMessage; its `message` is set where a request was readable
    enough to be answered.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        raise MalformedMessage("the header does not end in a blank line")
    lines = data[:end].decode("latin-1").split("\r\n")
    start = lines.pop(0)
    names: list[str | None] = [_spelling(line.partition(":")[0]) for line in lines]
    broken: str | None = None
    if None in names or not SPELLINGS.keys().isdisjoint(lines):  # a line that is a known name has no colon
        lines, broken = _index_slowly(lines, names)
    message = _with_start_line(start, lines, names, data[end + 4 :])  # type: ignore[arg-type]
    if broken is not None:
        raise MalformedMessage(broken, 400, message)
    if len(lines) > max_headers:
        raise MalformedMessage(f"more than {max_headers} header lines", 400, message)
    _check_length(message)
    return message


def _index_slowly(lines: list[str], names: list[str | None]) -> tuple[list[str], str | None]:
    """Unite folded lines and learn new names; fills `names` anew. Returns the lines and the first fault found."""
    united: list[str] = []
    broken: str | None = None
    names.clear()
    for line in lines:
        if line[:1] in (" ", "\t") and united:
            united[-1] += "\r\n" + line
            continue
        name, colon, _ = line.partition(":")
        canonical = _spelling(name) or fold(name)
        if canonical is None or not colon:
            broken = broken or f"not a header line: {line[:40]!r}"
            canonical = ""
        united.append(line)
        names.append(canonical)
    return united, broken


def _with_start_line(start: str, lines: list[str], names: list[str], body: bytes) -> Request | Response:
    parts = start.split(" ", 2)
    if len(parts) == 3 and parts[0][:4].upper() == "SIP/":
        return _response(start, parts, lines, names, body)
    if len(parts) != 3:
        raise MalformedMessage(f"not a start line: {start[:60]!r}")
    method, uri, version = parts
    request = Request(method, uri, lines, names, body, start)
    request.reindex()
    if version != "SIP/2.0" and version.upper() != "SIP/2.0":
        raise _bad_request_line(start, version, request)
    if not method or not TOKEN.issuperset(method):
        raise MalformedMessage(f"the method is not a token: {method[:40]!r}", 400, request)
    return request


def _bad_request_line(start: str, version: str, request: Request) -> MalformedMessage:
    if re.fullmatch(r"(?i)SIP/\d+\.\d+", version):
        return MalformedMessage(f"SIP version not supported: {version[:20]!r}", 505, request)
    return MalformedMessage(f"not a request line (RFC 3261 §7.1): {start[:60]!r}", 400, request)


def _response(start: str, parts: list[str], lines: list[str], names: list[str], body: bytes) -> Response:
    version, status, reason = parts
    if version.upper() != "SIP/2.0" or len(status) != 3 or not status.isdecimal() or not "100" <= status <= "699":
        raise MalformedMessage(f"not a status line: {start[:60]!r}")
    response = Response(int(status), reason, lines, names, body, start)
    response.reindex()
    return response


def _check_length(message: Message) -> None:
    """§18.3: a body longer than Content-Length is cut, a shorter one is an error."""
    given = message.first("content-length")
    if given is None:
        return
    if not given.isdecimal() or len(given) > 10:
        raise MalformedMessage(f"Content-Length is not a number: {given[:20]!r}", 400, message)
    length = int(given)
    if length > len(message.body):
        raise MalformedMessage("the body is shorter than Content-Length", 400, message)
    if length < len(message.body):
        message.body = message.body[:length]

"""Bytes to messages (RFC 3261 §7): what is not one, and what of it can still be answered.

Nothing here recurses and every step is linear in the size of the message, whatever it holds.
"""

import re
from typing import Final

from sipgw.message.errors import MalformedMessage
from sipgw.message.heads import known_name, learn_name
from sipgw.message.message import Message, Request, Response
from sipgw.message.names import SPELLINGS, TOKEN, fold, titled
from sipgw.message.uri import MAX_URI
from sipgw.message.values import split_list

MAX_HEADERS: Final = 256  # enough for 70 hops of Via and Record-Route; a longer list is an attack or a loop
MAX_BODY: Final = 262_144  # bytes; only a datagram needs the check, a stream is bounded where it is framed
MAX_LINE: Final = 16_384  # bytes of one header line with its folds; a Kerberos ticket has 12,000
MAX_VALUES: Final = 100  # of one comma list that a proxy takes apart

_LISTS: Final = ("route", "record-route", "contact", "path", "require", "proxy-require", "supported")
_BARE: Final = re.compile(r"[\x00\n\r\x1b]")
_PAIR: Final = re.compile(r"\\[^\r\n\x80-\xff]")  # §25.1 quoted-pair: a control may stand behind a backslash
_FOLD: Final = re.compile(r"\r\n(?=[ \t])")
_LINE_END: Final = re.compile(r"\r\n(?![ \t])")
ROOMY: Final = 2048  # bytes; in a shorter head no list is long enough to cost much
_STATUSES: Final = {str(code): code for code in range(100, 700)}  # §7.2, §21
_LENGTHS: Final = {str(length): length for length in range(2048)}  # of nearly all bodies
_METHODS: Final = (  # known to be tokens
    *("INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "INFO"),
    *("MESSAGE", "OPTIONS", "SUBSCRIBE", "NOTIFY", "SERVICE"),
)
KNOWN_METHODS: Final = dict(zip(_METHODS, _METHODS, strict=True))  # one text of each for all transactions
_spelling: Final = SPELLINGS.get


def parse_message(data: bytes, max_headers: int = MAX_HEADERS, max_body: int = MAX_BODY) -> Request | Response:
    """Read one whole message: head, blank line, and as body all that follows, cut to Content-Length where one is given.

    `max_headers` bounds the header lines, `max_body` the bytes of the body. Raises MalformedMessage; its `message` is
    set where a request was readable enough to be answered.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        raise MalformedMessage("the header does not end in a blank line", 400, salvage(data))
    head = data[:end]
    lines = head.decode("latin-1").split("\r\n")
    text = "".join(lines)
    bare = "\n" in text or "\r" in text or "\0" in text or "\x1b" in text  # the controls that could do harm further on
    start = lines.pop(0)
    names: list[str | None] = list(map(known_name, lines))
    broken = ""
    if None in names and _are_new(lines, names):
        start, lines, broken = _index_slowly(head, names)
    if bare:
        start, broken = _purge(start, lines) or (start, broken)
    message = _with_start_line(start, lines, names, data[end + 4 :])  # type: ignore[arg-type]
    if len(lines) > max_headers:
        broken = f"more than {max_headers} header lines"
    if broken:
        raise MalformedMessage(broken, 400, message)
    if end > MAX_URI or (end > ROOMY and head.count(b",") + len(lines) > MAX_VALUES):
        _check_bounds(message)
    _check_length(message, max_body)
    return message


def salvage(data: bytes) -> Request | None:
    """What can be read of a request whose head breaks off, so that its sender can be told; None for nothing."""
    whole = data[: data.rfind(b"\r\n") + 2] + b"\r\n"
    if not whole.endswith(b"\r\n\r\n"):
        return None
    try:
        message: object = parse_message(whole)
    except MalformedMessage as fault:
        message = fault.message
    return message if isinstance(message, Request) else None


def _are_new(lines: list[str], names: list[str | None]) -> bool:
    """Find the names that are missing, line by line; True when there are some that nobody has used before."""
    at, missing = -1, False
    for name in names:
        at += 1
        if name is None:
            names[at] = found = learn_name(lines[at])
            missing = missing or found is None
    return missing


def _index_slowly(head: bytes, names: list[str | None]) -> tuple[str, list[str], str]:
    """Unite folded lines and learn new names; fills `names` anew. Returns start line, lines and the first fault."""
    broken = ""
    names.clear()
    start, *lines = _LINE_END.split(head.decode("latin-1"))
    for line in lines:
        name, colon, _ = line.partition(":")
        canonical = _spelling(name) or fold(name)
        if canonical is None or not colon:
            broken = broken or f"not a header line: {line[:40]!r}"
            canonical = ""
        names.append(canonical)
    return start, lines, broken


def _with_start_line(start: str, lines: list[str], names: list[str], body: bytes) -> Request | Response:
    parts = start.split(" ", 2)
    if len(parts) != 3:
        raise MalformedMessage(f"not a start line: {start[:60]!r}")
    method, uri, version = parts
    known = KNOWN_METHODS.get(method)
    if known is None and (method == "SIP/2.0" or method[:4].upper() == "SIP/"):
        return _response(start, parts, lines, names, body)
    request = Request(known or method, uri, lines, names, body, start)
    request.reindex()
    if known is None or version != "SIP/2.0":
        _check_request_line(request, version)
    return request


def _check_request_line(request: Request, version: str) -> None:
    if version.upper() != "SIP/2.0":
        if re.fullmatch(r"(?i)SIP/\d+\.\d+", version):
            raise MalformedMessage(f"SIP version not supported: {version[:20]!r}", 505, request)
        raise MalformedMessage(f"not a request line (RFC 3261 §7.1): {request.start[:60]!r}", 400, request)
    if not request.method or not TOKEN.issuperset(request.method):
        raise MalformedMessage(f"the method is not a token: {request.method[:40]!r}", 400, request)


def _response(start: str, parts: list[str], lines: list[str], names: list[str], body: bytes) -> Response:
    version, status, reason = parts
    code = _STATUSES.get(status)
    if code is None or (version != "SIP/2.0" and version.upper() != "SIP/2.0"):
        raise MalformedMessage(f"not a status line: {start[:60]!r}")
    response = Response(code, reason, lines, names, body, start)
    response.reindex()
    return response


def _purge(start: str, lines: list[str]) -> tuple[str, str] | None:
    """Replace control characters where none may be, in place: what echoes a line must not carry them on.

    Returns the start line and what is wrong; None when all of them stand in folds and quoted pairs.
    """
    found = ""
    for at, line in enumerate(lines):
        if _has_control(line):
            found = found or line
            lines[at] = _BARE.sub("?", line)
    if _has_control(start):
        found, start = start, _BARE.sub("?", start)
    return (start, f"a control character or a lone line end in {found[:40]!r}") if found else None


def _has_control(line: str) -> bool:
    return _BARE.search(_PAIR.sub("", _FOLD.sub("", line))) is not None


def _check_bounds(message: Request | Response) -> None:
    """What a short head cannot exceed. Raises MalformedMessage: 414 for the Request-URI, 513 for a line, else 400."""
    if isinstance(message, Request) and len(message.uri) > MAX_URI:
        raise MalformedMessage(f"the Request-URI is longer than {MAX_URI} characters", 414, message)
    if max(map(len, message.lines), default=0) > MAX_LINE:
        raise MalformedMessage(f"a header line longer than {MAX_LINE} bytes", 513, message)
    for name in _LISTS:
        if name in message.index:
            _check_list(message, name)


def _check_list(message: Message, name: str) -> None:
    lines = message.lines_of(name)
    if len(lines) + sum(line.count(",") for line in lines) <= MAX_VALUES:
        return
    if len(lines) > MAX_VALUES or sum(len(split_list(line)) for line in lines) > MAX_VALUES:
        raise MalformedMessage(f"more than {MAX_VALUES} values of {titled(name)}", 400, message)


def _check_length(message: Message, max_body: int) -> None:
    """§18.3: a body longer than Content-Length is cut, a shorter one is an error."""
    given = message.first("content-length")
    if given is not None:
        length = _LENGTHS.get(given, -1)
        if length < 0:
            if not given.isdecimal() or len(given) > 10:
                raise MalformedMessage(f"Content-Length is not a number: {given[:20]!r}", 400, message)
            length = int(given)
        if length > len(message.body):
            raise MalformedMessage("the body is shorter than Content-Length", 400, message)
        if length < len(message.body):
            message.body = message.body[:length]
    if len(message.body) > max_body:
        raise MalformedMessage(f"a body longer than {max_body} bytes", 413, message)

"""Header values: Via, name-addr with parameters, CSeq, comma lists (RFC 3261 §20, §25.1)."""

import re
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final, NamedTuple

from sipgw.message.errors import MalformedMessage
from sipgw.message.heads import MAX_LINE_KEPT, MAX_LINES
from sipgw.message.names import TOKEN

_tags: Final[dict[str, str]] = {}  # of From and To values; bounded and emptied as the tables of heads are
MAX_VIA_HEADS: Final = 4096  # beginnings of Vias, one for each address that peers send from
_via_heads: Final[dict[str, tuple[str, str, str, int, str]]] = {}
_methods: Final[dict[str, str]] = {}  # of CSeq values of the plain form; likewise

MAGIC_COOKIE: Final = "z9hG4bK"  # §8.1.1.7
MAX_PARAMS: Final = 64  # of one value; the longest that clients send have a dozen

_VIA: Final = re.compile(r"\s*[^\s/;,]+\s*/\s*[^\s/;,]+\s*/\s*([^\s/;,]+)\s+([^\s;,]+)")  # of whatever protocol
_THREE_COLONS: Final = re.compile(r":::(?=[0-9]+\.)")
_ESCAPED: Final = re.compile(r"(?s)\\(.)")
_MARKS: Final = {separator: re.compile(rf'["\\<>{separator}]') for separator in ",;"}
_SAFE: Final = TOKEN | frozenset("[]:")
_AMBIGUOUS: Final = frozenset(',;"<>\\')  # in a display name without quotes they leave open where the value ends


class CSeq(NamedTuple):
    number: int
    method: str


class Via:
    """One Via value. `sent_by` is host[:port] as written; `host` is without brackets; `port` 0 when none is given;
    `branch` "" likewise. `place` is sent-by to be compared: in lower case."""

    __slots__ = ("branch", "host", "params", "place", "port", "sent_by", "transport")

    def __init__(
        self,
        transport: str,
        sent_by: str,
        host: str,
        port: int,
        params: list[tuple[str, str | None]],
        place: str = "",
    ) -> None:
        self.transport = transport
        self.sent_by = sent_by
        self.host = host
        self.port = port
        self.params = params
        self.branch = self.param("branch") or ""
        self.place = place or sent_by.lower()

    def param(self, name: str) -> str | None:
        """The value of a parameter; "" when it stands without one; None when absent."""
        for key, value in self.params:
            if key == name or key.lower() == name:
                return value or ""
        return None

    def encode(self) -> str:
        tail = "".join([f";{key}" if value is None else f";{key}={value}" for key, value in self.params])
        return f"SIP/2.0/{self.transport} {self.sent_by}{tail}"


class NameAddr:
    """A From, To, Contact, Route or Record-Route value: display name, URI text, header parameters.

    `display` is unquoted Latin-1 text; `params` keys are in lower case, values as written (quotes kept) or None.
    """

    __slots__ = ("display", "params", "uri")

    def __init__(self, display: str, uri: str, params: dict[str, str | None]) -> None:
        self.display = display
        self.uri = uri
        self.params = params

    @property
    def tag(self) -> str:
        return self.params.get("tag") or ""


def split_list(text: str, separator: str = ",") -> list[str]:
    """Split at separators outside quoted strings and angle brackets; parts are stripped, empty ones dropped."""
    if separator not in text:
        return [text] if text else []
    if '"' not in text and "<" not in text:
        return [part for part in (piece.strip() for piece in text.split(separator)) if part]
    parts, start = [], 0
    for at in _separators(text, separator):
        parts.append(text[start:at].strip())
        start = at + 1
    parts.append(text[start:].strip())
    return [part for part in parts if part]


def _separators(text: str, separator: str) -> list[int]:
    found: list[int] = []
    quoted = bracketed = False
    escaped = -1  # where the character stands that a backslash takes the meaning from
    for mark in _MARKS[separator].finditer(text):
        at, char = mark.start(), mark[0]
        if at == escaped:
            continue
        if quoted:
            if char == "\\":
                escaped = at + 1
            quoted = char != '"'
        elif char == '"':
            quoted = True
        elif char in "<>":
            bracketed = char == "<"
        elif char == separator and not bracketed:
            found.append(at)
    return found


def parse_params(text: str) -> list[tuple[str, str | None]]:
    """`;a=1;b` to [("a", "1"), ("b", None)]; order, case and quotes as written.

    Raises MalformedMessage when there are too many.
    """
    params: list[tuple[str, str | None]] = []
    if ";" not in text and '"' not in text and " " not in text:  # one parameter, as in most Vias
        key, equals, value = text.partition("=")
        return [(key, value if equals else None)] if key else []
    pieces = split_list(text, ";") if '"' in text else text.split(";")
    if len(pieces) > MAX_PARAMS:
        raise MalformedMessage(f"more than {MAX_PARAMS} parameters: {text[:60]!r}")
    for piece in pieces:
        key, equals, value = piece.partition("=")
        key = key.strip()
        if key:
            params.append((key, value.strip() if equals else None))
    return params


def parse_via(text: str) -> Via:
    """The first Via value of a header line. Raises MalformedMessage."""
    if "," in text:
        text = (split_list(text) or [""])[0]
    main, semicolon, tail = text.partition(";")
    read = _via_heads.get(main)
    if read is None:
        read = _learn_via_head(main)
    protocol, sent_by, host, port, place = read
    if tail[:7] == "branch=" and not (";" in tail or '"' in tail or " " in tail or "\t" in tail):
        return Via(protocol, sent_by, host, port, [("branch", tail[7:])], place)
    return Via(protocol, sent_by, host, port, _via_params(tail) if semicolon else [], place)


def _via_head(main: str) -> tuple[str, str, str, int, str]:
    """Transport, sent-by, host, port and place of a Via: before its parameters all that a peer sends is the same."""
    words = main.split()
    if len(words) != 2:
        words = _rejoin_protocol(main)
    protocol, sent_by = words
    if protocol[:8].upper() != "SIP/2.0/" or len(protocol) == 8:
        raise MalformedMessage(f"Via is not SIP/2.0: {protocol[:30]!r}")
    host, port = split_host_port(sent_by)
    return protocol[8:], sent_by, host, port, sent_by.lower()


def _learn_via_head(main: str) -> tuple[str, str, str, int, str]:
    read = _via_head(main)
    if len(main) <= MAX_LINE_KEPT:
        if len(_via_heads) >= MAX_VIA_HEADS:
            _via_heads.clear()
        _via_heads[main] = read
    return read


def _via_params(text: str) -> list[tuple[str, str | None]]:
    """Stricter than for an address, whose parameters are not ours: what a Via says decides where answers go."""
    params = parse_params(text)
    if len(params) <= text.count(";") or " " in text or '"' in text:  # one is empty, or not all is plain
        _check_params(text)
    return params


def _check_params(text: str) -> None:
    for piece in _outside_quotes(text).split(";"):
        key, _, value = piece.partition("=")
        if len(key.split()) != 1 or len(value.split()) > 1:
            raise MalformedMessage(f"not the parameters of a Via: {text[:60]!r}")


def _outside_quotes(text: str) -> str:
    """The text with every quoted string emptied. Raises MalformedMessage for one that does not end."""
    parts, start = [], 0
    while (opening := text.find('"', start)) >= 0:
        closing = _closing_quote(text, opening)
        if closing < 0:
            raise MalformedMessage(f"unbalanced quotes: {text[:60]!r}")
        parts.append(text[start:opening])
        start = closing + 1
    return "".join([*parts, text[start:]])


def salvage_via(text: str) -> Via:
    """As much of a Via as an answer to a request that is refused for it needs. Raises MalformedMessage."""
    found = _VIA.match(text)
    if found is None:
        raise MalformedMessage(f"not a Via: {text[:60]!r}")
    transport, sent_by = found.groups()
    host, port = split_host_port(sent_by)
    tail = text[found.end() :].partition(",")[0].strip(" ;\t")
    params = [(key, value) for key, value in parse_params(tail) if _SAFE.issuperset(key + (value or ""))]
    return Via(transport, sent_by, host, port, params)


def _rejoin_protocol(main: str) -> list[str]:
    """White space around the slashes and the colon is legal (§25.1 SLASH, COLON): `SIP / 2.0 / UDP host : 5060`."""
    words = main.replace("/", " / ").replace(":", " : ").split()
    text = "".join(words[:5])
    rest = "".join(words[5:])
    if len(words) not in (6, 8) or words[1] != "/" or words[3] != "/" or "[" in rest or words[6:7] not in ([], [":"]):
        raise MalformedMessage(f"not a Via: {main[:60]!r}")
    return [text, rest]


def split_host_port(text: str) -> tuple[str, int]:
    """`host`, `host:port`, `[v6]`, `[v6]:port` to (host without brackets, port or 0). Raises MalformedMessage."""
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        port_text = rest[1:] if rest.startswith(":") else rest
        bad = not closed or (rest != "" and not rest.startswith(":"))
    else:
        host, _, port_text = text.partition(":")
        bad = False
    if bad or not host or (port_text and not _is_port(port_text)):
        raise MalformedMessage(f"not host[:port]: {text[:60]!r}")
    if text[0] == "[":
        host = read_ipv6(host)
    return host, int(port_text) if port_text else 0


@lru_cache(maxsize=1024)
def read_ipv6(text: str) -> str:
    """An IPv6 address without brackets, case kept. Raises MalformedMessage.

    The grammar of RFC 3261 allows a third colon before an embedded IPv4 address; it means nothing (RFC 5118 §4.10).
    """
    address = _THREE_COLONS.sub("::", text)
    try:
        IPv6Address(address)
    except ValueError:
        raise MalformedMessage(f"not an IPv6 address: {text[:60]!r}") from None
    return address


def _is_port(text: str) -> bool:
    return text.isdecimal() and text.isascii() and len(text) <= 5 and 0 < int(text) <= 65535


def bracketed(host: str) -> str:
    """A host as it stands in a URI or Via: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


def host_port(host: str, port: int) -> str:
    return f"{bracketed(host)}:{port}" if port else bracketed(host)


def parse_name_addr(text: str) -> NameAddr:
    """A name-addr or addr-spec with header parameters (§20.10: without brackets, all parameters are the header's).

    Raises MalformedMessage.
    """
    opening = _opening_bracket(text)
    if opening < 0:
        uri, _, tail = text.partition(";")
        uri = uri.strip()
        if not uri or any(char in uri for char in ' ?,"'):
            raise MalformedMessage(f"not an address: {text[:60]!r}")
        return NameAddr("", uri, _param_dict(tail))
    closing = text.find(">", opening)
    if closing < 0:
        raise MalformedMessage(f"no closing > in an address: {text[:60]!r}")
    tail = text[closing + 1 :].strip()
    if tail and not tail.startswith(";"):
        raise MalformedMessage(f"text after > in an address: {text[:60]!r}")
    uri = text[opening + 1 : closing]
    if " " in uri or "\t" in uri:
        raise MalformedMessage(f"white space between < and >: {text[:60]!r}")
    return NameAddr(_display(text[:opening].strip()), uri, _param_dict(tail[1:]))


def _opening_bracket(text: str) -> int:
    """Where the URI's `<` stands, skipping a quoted display name, which may hold one too."""
    if not text.lstrip().startswith('"'):
        return text.find("<")
    closing = _closing_quote(text, text.index('"'))
    opening = text.find("<", closing)
    if closing < 0 or opening < 0:
        raise MalformedMessage(f"unbalanced quotes in an address: {text[:60]!r}")
    return opening


def _closing_quote(text: str, opening: int) -> int:
    at = opening + 1
    while at < len(text):
        if text[at] == "\\":
            at += 2
            continue
        if text[at] == '"':
            return at
        at += 1
    return -1


def _display(text: str) -> str:
    """The display name of an address. Raises MalformedMessage."""
    if text.startswith('"'):
        if _closing_quote(text, 0) != len(text) - 1:
            raise MalformedMessage(f"text between a quoted display name and <: {text[:60]!r}")
        return _unescape(text[1:-1])
    if not _AMBIGUOUS.isdisjoint(text):
        raise MalformedMessage(f"a display name that has to be quoted: {text[:60]!r}")
    return text


def _unescape(inner: str) -> str:
    """The content of a quoted-string without the backslashes of its quoted pairs."""
    return _ESCAPED.sub(r"\1", inner) if "\\" in inner else inner


def _param_dict(tail: str) -> dict[str, str | None]:
    return {key.lower(): value for key, value in parse_params(tail)} if tail else {}


def unquote(value: str) -> str:
    """A quoted-string parameter's content; a token as it is."""
    return _unescape(value[1:-1]) if value.startswith('"') and value.endswith('"') and len(value) > 1 else value


_NO_CONTROLS: Final = dict.fromkeys((*range(0x20), 0x7F), " ")  # no quoted-string has any (§25.1), escapes of URIs may


def quote(text: str) -> str:
    """Text as a quoted-string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').translate(_NO_CONTROLS) + '"'


def tag_of(text: str) -> str:
    """The tag of a From or To value, "" without one or when the value cannot be read."""
    tag = _tags.get(text)
    if tag is None:
        tag = _read_tag(text)
        if len(text) <= MAX_LINE_KEPT:
            if len(_tags) >= MAX_LINES:
                _tags.clear()
            _tags[text] = tag
    return tag


def _read_tag(text: str) -> str:
    closing = text.rfind(">")
    at = text.find(";tag=", closing if closing > 0 else 0)
    if at >= 0 and '"' not in text[at:]:
        end = text.find(";", at + 5)
        return (text[at + 5 :] if end < 0 else text[at + 5 : end]).strip()
    try:
        return parse_name_addr(text).tag
    except MalformedMessage:
        return ""


def plain_method(cseq: str) -> str:
    """The method of a CSeq value of the plain form, `1 INVITE`; "" for any other, which may be one all the same."""
    method = _methods.get(cseq)
    if method is None:
        method = _read_plain_method(cseq)
    return method


def _read_plain_method(cseq: str) -> str:
    number, _, method = cseq.partition(" ")
    if len(number) > 9 or not number.isdecimal() or not number.isascii() or not TOKEN.issuperset(method):
        return ""
    if method and len(cseq) <= MAX_LINE_KEPT:
        if len(_methods) >= MAX_LINES:
            _methods.clear()
        _methods[cseq] = method
    return method


def parse_cseq(text: str | None) -> CSeq:
    """`1 INVITE` to (1, "INVITE"); the number is below 2**31 (§8.1.1.5). Raises MalformedMessage."""
    number, _, method = (text or "").replace("\t", " ").partition(" ")
    if not number.isdecimal() or not number.isascii() or len(number) > 10 or int(number) >= 2**31:
        raise MalformedMessage(f"CSeq has no number below 2**31: {(text or '')[:40]!r}")
    method = method.strip()
    if not method:
        raise MalformedMessage(f"CSeq has no method: {(text or '')[:40]!r}")
    return CSeq(int(number), method)


def line_method(cseq: str | None) -> str:
    """The method of a CSeq value without checking the number, "" when there is none."""
    method = _methods.get(cseq or "")
    if method is not None:
        return method
    return (cseq or "").replace("\t", " ").rpartition(" ")[2]

"""What every message must have before anybody looks at it (RFC 3261 §8.1.1, §16.3 item 1, §20)."""

from typing import Final

from sipgw.message.errors import MalformedMessage
from sipgw.message.heads import MAX_LINE_KEPT, MAX_LINES
from sipgw.message.message import Message, Request, Response
from sipgw.message.values import parse_cseq, parse_name_addr, plain_method, split_list

_addresses: Final[set[str]] = set()  # that were found to be ones; bounded and emptied as the tables of heads are

MAX_VIAS: Final = 70  # §8.1.1.6 gives a request 70 hops; one that has made more passed a proxy that does not count


def check_mandatory(message: Message) -> None:
    """The headers that every message has, once each. Raises MalformedMessage."""
    if message.shape.fault:
        raise MalformedMessage(message.shape.fault, 400, message)


def check_request(request: Request) -> None:
    """CSeq fits the request line (§8.1.1.5), Call-ID, From and To can be read, the Request-URI has no headers
    (§19.1.1), and no more than MAX_VIAS proxies were passed. Raises MalformedMessage."""
    try:
        if plain_method(request.first("cseq") or "") != request.method:
            _check_cseq(request)
        call_id = request.first("call-id")
        if not call_id or " " in call_id:
            raise MalformedMessage(f"not a Call-ID: {call_id!r:.40}")
        sender, receiver = request.first("from") or "", request.first("to") or ""
        if sender not in _addresses:
            _check_address(sender)
        if receiver not in _addresses:
            _check_address(receiver)
        if "?" in request.uri:
            _check_uri(request.uri)
        if len(request.names) > len(request.index) or "," in request.lines[request.index["via"]]:
            _check_vias(request)
    except MalformedMessage as error:
        raise MalformedMessage(error.reason, error.status, request) from None


def check_response(response: Response) -> None:
    """CSeq can be read; who sent the request looks at nothing else before it is matched. Raises MalformedMessage."""
    value = response.first("cseq") or ""
    if not plain_method(value):
        parse_cseq(value)


def _check_cseq(request: Request) -> None:
    method = request.cseq.method
    if method != request.method:
        raise MalformedMessage(f"CSeq says {method[:20]!r}, the request line {request.method[:20]!r}")


def _check_address(value: str) -> None:
    """A From or To, which the whole call has in common. Raises MalformedMessage."""
    if not is_plain_address(value):
        _check_odd_address(value)
    if len(value) <= MAX_LINE_KEPT:
        if len(_addresses) >= MAX_LINES:
            _addresses.clear()
        _addresses.add(value)


def is_plain_address(value: str) -> bool:
    """Whether a From or To is in brackets, without display name, and beyond doubt."""
    head, closed, tail = value.partition(">")
    if '"' in value or head[:5] != "<sip:" or " " in head or not closed:
        return False
    return tail[:1] in ("", ";") and "," not in tail


def _check_odd_address(value: str) -> None:
    """Most of those that are not plain have a display name of one word."""
    if "," in value and len(split_list(value)) > 1:  # whoever reads it next might take the other one
        raise MalformedMessage(f"more than one address: {value[:60]!r}")
    display, _, rest = value.partition("<")
    uri, closed, tail = rest.partition(">")
    plain = uri[:4] == "sip:" and closed and '"' not in value and " " not in uri and tail[:1] in ("", ";")
    if plain and display.rstrip().isalnum():
        return
    if ":" not in parse_name_addr(value).uri:
        raise MalformedMessage(f"an address without a scheme: {value[:60]!r}")


def _check_uri(text: str) -> None:
    """A question mark in the user part is legal, behind it begin headers, which only a Contact or a page may give."""
    if "?" in text.rpartition("@")[2]:
        raise MalformedMessage(f"headers in the Request-URI: {text[:60]!r}")


def _check_vias(request: Request) -> None:
    lines = request.lines_of("via")
    if len(lines) + sum([line.count(",") for line in lines]) > MAX_VIAS:
        raise MalformedMessage(f"more than {MAX_VIAS} Via values: it has passed too many proxies", 483)

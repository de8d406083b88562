"""What every message must have before anybody looks at it (RFC 3261 §8.1.1, §16.3 item 1, §20)."""

from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Message, Request
from sipgw.message.values import parse_name_addr

_MANDATORY = ("to", "from", "call-id", "cseq")
_SINGLE = (*_MANDATORY, "max-forwards", "content-length")


def check_mandatory(message: Message) -> None:
    """The headers that every message has, once each. Raises MalformedMessage."""
    index = message.index
    for name in _MANDATORY:
        if name not in index:
            raise MalformedMessage(f"no {name.title()} header", 400, message)
    if len(index) < len(message.names):
        for name in _SINGLE:
            if message.names.count(name) > 1:
                raise MalformedMessage(f"more than one {name.title()} header", 400, message)


def check_request(request: Request) -> None:
    """CSeq fits the request line (§8.1.1.5), From and To can be read. Raises MalformedMessage."""
    try:
        number, _, method = (request.first("cseq") or "").partition(" ")
        if len(number) > 9 or method != request.method or not number.isdecimal():  # else it is of the plain form
            method = request.cseq.method
        if method != request.method:
            raise MalformedMessage(f"CSeq says {method[:20]!r}, the request line {request.method[:20]!r}")
        for name in ("from", "to"):
            value = request.first(name) or ""
            _, closed, tail = value.partition(">")
            if '"' in value or value[:5] != "<sip:" or not closed or tail[:1] not in ("", ";"):  # else it is plain
                parse_name_addr(value)
    except MalformedMessage as error:
        raise MalformedMessage(error.reason, error.status, request) from None

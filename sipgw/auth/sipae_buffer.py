"""What a signature of [MS-SIPAE] covers (§3.2.5.2): some values of a message, each in angle brackets, as they stand in
it. The Request-URI, Via, Route, Contact and the body are not among them, so that proxies can do their work.
"""

from sipgw.message.errors import MalformedMessage
from sipgw.message.heads import line_value
from sipgw.message.message import Request, Response
from sipgw.message.values import parse_name_addr, split_list, tag_of


def signing_buffer(
    message: Request | Response, scheme: str, rand: str, num: str, realm: str, targetname: str, version: int
) -> bytes | None:
    """`rand` and `num` are crand and cnum of a client or srand and snum of a server; `version` is 2, 3 or 4. Needs no
    index of the message.

    None for a message that cannot be signed: without an address that can be read, with a method that its CSeq does not
    have, or with an angle bracket in a value, which could make two messages look alike.
    """
    first = dict(zip(message.names[::-1], message.lines[::-1], strict=True))  # backwards: the first line of a name
    number, _, method = _value(first, "cseq").replace("\t", " ").partition(" ")
    method = method.strip()
    if isinstance(message, Request) and message.method != method:
        return None
    try:
        from_uri, from_tag = _address(_value(first, "from"))
        to_uri, to_tag = _address(_value(first, "to"))
        asserted = _asserted(first) if version > 2 else ()
    except MalformedMessage:
        return None
    values = [scheme, rand, num, realm, targetname, _value(first, "call-id"), number, method, from_uri, from_tag]
    if version > 2:
        values += (to_uri, to_tag, *asserted)
    else:
        values.append(to_tag)
    values.append(_value(first, "expires"))
    if isinstance(message, Response):
        values.append(str(message.status))
    text = f"<{'><'.join(values)}>"
    if text.count("<") != len(values) or text.count(">") != len(values):
        return None
    return text.encode("latin-1", "replace")


def _value(first: dict[str, str], name: str) -> str:
    line = first.get(name)
    return line_value(line) if line is not None else ""


def _address(value: str) -> tuple[str, str]:
    """URI and tag. Raises MalformedMessage."""
    if value.startswith("<"):
        uri, closed, _ = value[1:].partition(">")
        if closed:
            return uri, tag_of(value)
    return parse_name_addr(value).uri, tag_of(value)


def _asserted(first: dict[str, str]) -> tuple[str, str]:
    """The first SIP and the first tel URI of P-Asserted-Identity, else of P-Preferred-Identity; "" without one."""
    name = "p-asserted-identity" if "p-asserted-identity" in first else "p-preferred-identity"
    if name not in first:
        return "", ""
    found: dict[str, str] = {}
    for value in split_list(_value(first, name)):
        uri = parse_name_addr(value).uri
        found.setdefault(uri[:4].lower(), uri)
    return found.get("sip:", ""), found.get("tel:", "")

"""What a Contact of a REGISTER asks for (RFC 3261 §10.2.1, §20.10; RFC 5626 §4.2)."""

import re
from dataclasses import dataclass

from sipgw.core.validation import Refused
from sipgw.message.errors import MalformedMessage, MalformedUri
from sipgw.message.message import Request
from sipgw.message.uri import MAX_URI, SipUri, equivalent, parse_uri, sip_uri
from sipgw.message.values import parse_name_addr, unquote

MALFORMED_EXPIRES = 3600  # §10.2: what an interval that cannot be read counts as
MAX_INSTANCE = 256  # characters; a URN of RFC 5626 §4.1 has about 45
_LONGEST = 2**32 - 1
_QVALUE = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")
_ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[^\x00-\x20<>\"\x7f]+")
_REG_ID = re.compile(r"0{0,9}[1-9][0-9]{0,9}")


@dataclass(slots=True)
class Wish:
    """One Contact: `expires` in seconds, None when the Contact says nothing; `reg_id` 0 when there is none to heed."""

    uri: str
    instance: str
    reg_id: int
    q: float
    expires: int | None


def read_contact(text: str, outbound: bool) -> Wish:
    """Read a Contact value; its reg-id only where `outbound` is asked for. Raises MalformedMessage or Refused."""
    contact = parse_name_addr(text)
    params = contact.params
    check_uri(contact.uri)
    instance = unquote(params.get("+sip.instance") or "").removeprefix("<").removesuffix(">")
    if len(instance) > MAX_INSTANCE:
        raise Refused(400, f"+sip.instance is longer than {MAX_INSTANCE} characters")
    reg_id = _reg_id(params.get("reg-id")) if outbound and instance and "reg-id" in params else 0
    expires = seconds(params["expires"]) if "expires" in params else None
    return Wish(contact.uri, instance, reg_id, qvalue(params), expires)


def check_uri(text: str) -> None:
    """A contact may be any URI (§10.2.1), though only sip and sips ones are forwarded to. Raises MalformedUri."""
    try:
        parse_uri(text)
    except MalformedUri as error:
        if error.status != 416 or len(text) > MAX_URI or not _ABSOLUTE_URI.fullmatch(text):
            raise MalformedUri(f"not a URI in Contact: {text[:60]!r}") from None


def seconds(text: str | None) -> int:
    """delta-seconds; one beyond 2**32 counts as 2**32-1, what is none as an hour (§10.2)."""
    if text is None or not (text.isascii() and text.isdecimal()):
        return MALFORMED_EXPIRES
    return min(int(text), _LONGEST) if len(text) < 12 else _LONGEST


def default_interval(request: Request) -> int | None:
    """What the Expires header asks for every Contact that says nothing itself."""
    text = request.first("expires")
    return None if text is None else seconds(text)


def qvalue(params: dict[str, str | None]) -> float:
    """qvalue (§25.1), 1.0 when absent.

    One outside the grammar is refused: taken for any other, it would ring the wrong phone first and nobody knew why.
    """
    if "q" not in params:
        return 1.0
    text = params["q"] or ""
    if not _QVALUE.fullmatch(text):
        raise Refused(400, f"q={text[:20]} in Contact is no number from 0 to 1 with up to three decimals")
    return float(text)


def _reg_id(text: str | None) -> int:
    if not _REG_ID.fullmatch(text or "") or int(text or "") >= 2**31:
        raise Refused(400, f"reg-id={(text or '')[:20]} in Contact is no number from 1 to 2**31-1")
    return int(text or "")


def same_uri(a: str, b: str) -> bool:
    """URI equality: §19.1.4 for sip and sips, else the text (§10.3 step 7)."""
    try:
        return equivalent(parse_uri(a), parse_uri(b))
    except MalformedMessage:
        return a == b


def request_uri(contact: str) -> SipUri | None:
    """A contact as a Request-URI: without what one may not have (§16.6 item 2); None for what is no sip URI."""
    try:
        uri = parse_uri(contact)
    except MalformedMessage:
        return None
    if not uri.headers and "method" not in uri.params:
        return uri
    kept = [(key, value) for key, value in uri.params.items() if key != "method"]
    params = "".join(f";{key}" if value is None else f";{key}={value}" for key, value in kept)
    return parse_uri(sip_uri(uri.user, uri.host, uri.port, scheme=uri.scheme, params=params))

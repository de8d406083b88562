"""Addresses of endpoints: how administrators write them and how they are compared."""

import re
from urllib.parse import unquote as unescape

from sipgw.message.errors import MalformedMessage
from sipgw.message.uri import parse_uri
from sipgw.registry.errors import BadAddress, BadDisplayName

# RFC 3261 §25.1 user without escapes: an endpoint that has two spellings would be two keys in the store.
_USER = re.compile(r"[A-Za-z0-9\-_.!~*'()&=+$,;?/]+")

MAX_DISPLAY_NAME = 256  # the directory's limit for a display name


def address_key(user: str, host: str) -> str:
    """What addresses are compared by: `user@host`, escapes undone, case folded; the same as `SipUri.aor`."""
    if "%" in user:
        user = unescape(user, "latin-1")
    return f"{user}@{host}".lower()


def parse_address(text: str) -> str:
    """The key of an address as an administrator writes it, with or without `sip:`. Raises BadAddress.

    Both spellings occur in Microsoft's own documentation of -SipAddress.
    """
    written = text if re.match(r"(?i)sips?:", text) else f"sip:{text}"
    try:
        uri = parse_uri(written)
    except MalformedMessage:
        raise BadAddress(f'"{text}" is not a SIP address; write sip:user@domain') from None
    if uri.scheme != "sip" or not uri.user or uri.password is not None:
        raise BadAddress(f'"{text}" is not of the form sip:user@domain')
    if uri.port or uri.params or uri.headers:
        raise BadAddress(f'"{text}" has more than user and domain; write sip:{uri.user}@{uri.host}')
    if not _USER.fullmatch(uri.user):
        raise BadAddress(f'"{text}" has characters in its user part that an endpoint cannot have')
    return address_key(uri.user, uri.host)


def check_display_name(text: str) -> str:
    """A display name without the white space around it. Raises BadDisplayName."""
    name = text.strip()
    if len(name) > MAX_DISPLAY_NAME or not name.isprintable():
        raise BadDisplayName(f"a display name is one line of at most {MAX_DISPLAY_NAME} printable characters")
    return name

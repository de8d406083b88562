"""Header field names: case, white space and compact forms (RFC 3261 §7.3.1, §7.3.3) folded to one spelling."""

from typing import Final

COMPACT: Final = {  # §20 and the RFCs that register them
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
}

_SEEDED: Final = (
    "Via v From f To t Call-ID i CSeq Max-Forwards Contact m Content-Length l Content-Type c Route Record-Route "
    "Expires Event o Supported k User-Agent Server Allow Allow-Events u Accept Require Proxy-Require Date Subject s "
    "Authorization Proxy-Authorization WWW-Authenticate Proxy-Authenticate Warning Timestamp Min-Expires Path "
    "Session-Expires x ms-keep-alive ms-diagnostics"
)
_MAX_SPELLINGS: Final = 2048  # a peer that invents names must not grow the table; beyond it names are folded each time

TOKEN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~")  # §25.1 token


def fold(name: str) -> str | None:
    """The canonical (lower case, long) form of a header name as spelt on the wire; None when it is not a token."""
    bare = name.rstrip(" \t")  # HCOLON allows white space before the colon, not before the name
    if not bare or not TOKEN.issuperset(bare):
        return None
    lower = bare.lower()
    canonical = COMPACT.get(lower, lower)
    if len(SPELLINGS) < _MAX_SPELLINGS:
        SPELLINGS[name] = canonical
    return canonical


SPELLINGS: Final[dict[str, str]] = {}
for _name in _SEEDED.split():
    for _spelling in (_name, _name.lower(), _name.upper()):
        fold(_spelling)


def titled(name: str) -> str:
    """A canonical name as people write it."""
    return {"call-id": "Call-ID", "cseq": "CSeq"}.get(name) or name.title()

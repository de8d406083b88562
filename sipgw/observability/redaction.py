"""Messages without their secrets, for everybody who reads one: API, command line, HEP, pcap, log.

Of credentials and challenges only what is known to be harmless stays: a parameter that nobody has thought of is hidden.
"""

import re

MASK = "[hidden]"
SECRET_HEADERS = (
    "authorization",
    "proxy-authorization",
    "www-authenticate",
    "proxy-authenticate",
    "authentication-info",
    "proxy-authentication-info",
    "cookie",
    "set-cookie",
)
_SPOKEN = (b"INFO", b"MESSAGE")  # methods whose bodies are what people say to each other
_MASK = MASK.encode()
# A header line with the lines that continue it (RFC 3261 §7.3.1); a lone CR or LF ends one where a peer is sloppy.
_SECRET_LINE = re.compile(
    rb"(?im)^(" + b"|".join(name.encode() for name in SECRET_HEADERS) + rb")([ \t]*:)([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)"
)
_SCHEME = re.compile(rb"[ \t]*(?:[A-Za-z][\w.+-]*(?=[ \t\r\n]+[\w-]+[ \t]*=))?[ \t\r\n]*")
_PARAMETER = re.compile(rb'[\s,]*([\w-]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^\s,"]*)', re.DOTALL)
_HARMLESS = frozenset(
    b"realm targetname version qop algorithm username uri stale crand cnum srand snum nc charset".split()
)
_KNOWN = frozenset(b"gssapi-data response nonce cnonce nextnonce opaque rspauth".split())
_PASSWORD_IN_URI = re.compile(rb"(?i)(\bsips?:[^\s:@;<>,\"]+):[^\s:@;<>,\"]+@")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_CSEQ_METHOD = re.compile(rb"(?im)^CSeq[ \t]*:[ \t]*\d+[ \t]+(\S+)")


def redacted(data: bytes, bodies: bool = True) -> bytes:
    """A message without credentials; without `bodies` also without what people say, each byte of it a "*", so that
    Content-Length stays right."""
    end = _END_OF_HEAD.search(data)
    at = end.end() if end is not None else len(data)
    head, body = _PASSWORD_IN_URI.sub(rb"\1:" + _MASK + b"@", data[:at]), data[at:]
    head = _SECRET_LINE.sub(_without_secrets, head)
    if body and not bodies and is_spoken(data):
        return head + b"*" * len(body)
    return head + _SECRET_LINE.sub(_blotted, body)  # as a message within the message has them


def is_spoken(data: bytes) -> bool:
    """Whether the body of a message, request or response, is what somebody says."""
    if not data.startswith(b"SIP/"):
        return data.partition(b" ")[0] in _SPOKEN
    found = _CSEQ_METHOD.search(data)
    return found is not None and found[1] in _SPOKEN


def _without_secrets(line: "re.Match[bytes]") -> bytes:
    """A header line with its scheme and its harmless parameters; whole in one mask where it has another form."""
    name, colon, value = line.groups()
    scheme = _SCHEME.match(value)
    at = scheme.end() if scheme is not None else 0
    kept = []
    while at < len(value):
        found = _PARAMETER.match(value, at)
        if found is None:
            break
        kept.append(_parameter(found[1], found[2]))
        at = found.end()
    if not kept or value[at:].strip(b" \t\r\n,"):
        return bytes(name + colon + b" " + _MASK)
    return bytes(name + colon + value[: scheme.end() if scheme is not None else 0] + b", ".join(kept))


def _blotted(line: "re.Match[bytes]") -> bytes:
    return bytes(line[1] + line[2] + b"*" * len(line[3]))


def _parameter(name: bytes, value: bytes) -> bytes:
    if name.lower() not in _HARMLESS | _KNOWN:
        return _MASK  # it may be a token that looks like a name
    harmless = name.lower() in _HARMLESS or value in (b"", b'""')
    return name + b"=" + (value if harmless else b'"' + _MASK + b'"')

"""Credentials that are for this server: nobody beyond it has to see them (RFC 3261 §22.3, §26.1)."""

import re

from sipgw.message.heads import line_value
from sipgw.message.message import Request, Response

_CARRIERS = ("authorization", "proxy-authorization")
_SIGNING = ("ntlm", "kerberos")  # [MS-SIPAE]: between a client and its first hop only
_REALM = re.compile(r'[\s,]realm\s*=\s*"((?:[^"\\]|\\.)*)"', re.IGNORECASE)


def drop_credentials(message: Request | Response, realm: str = "") -> None:
    """Remove signatures and NTLM or Kerberos tokens, and Digest for our `realm`."""
    if not any(name in message.index for name in _CARRIERS):
        return
    kept = [
        (line, name)
        for line, name in zip(message.lines, message.names, strict=True)
        if name not in _CARRIERS or not _is_ours(line_value(line), realm)
    ]
    message.lines = [line for line, _ in kept]
    message.names = [name for _, name in kept]
    message.reindex()


def _is_ours(value: str, realm: str) -> bool:
    scheme = value.split(maxsplit=1)[0].lower() if value else ""
    if scheme in _SIGNING:
        return True
    named = _REALM.search(value)
    return scheme == "digest" and named is not None and named[1] == realm

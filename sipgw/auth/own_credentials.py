"""Credentials that are for this server: nobody beyond it has to see them (RFC 3261 §22.3, §26.1)."""

from sipgw.auth.digest import read_auth, scheme_of
from sipgw.message.errors import MalformedMessage
from sipgw.message.heads import line_value
from sipgw.message.message import Request, Response

_CARRIERS = ("authorization", "proxy-authorization")
_SIGNING = ("ntlm", "kerberos")  # [MS-SIPAE]: between a client and its first hop only


def drop_credentials(message: Request | Response, realm: str = "") -> None:
    """Remove signatures and NTLM or Kerberos tokens, and Digest for our `realm`, or for none that can be read: what is
    ours is read as where it is checked, so that nothing is taken there and passed on here."""
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
    scheme = scheme_of(value)[0]
    if scheme != "digest":
        return scheme in _SIGNING
    try:
        return read_auth(value)[1].get("realm", realm) == realm
    except MalformedMessage:
        return True

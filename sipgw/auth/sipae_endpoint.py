"""The two names of a client's endpoint: epid in From, and +sip.instance in Contact, which is made from it ([MS-SIPRE]
§3.3.3.1, §4.2)."""

from hashlib import sha1
from uuid import UUID

from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Request
from sipgw.message.values import parse_name_addr, unquote

_NAMESPACE = bytes.fromhex("03fbacfc738aef4691b1e5ebeeaba4fe")


def instance_of(epid: str) -> str:
    """The URN that belongs to an epid, `urn:uuid:` and a name-based UUID.

    The digest is read with the byte order of a Windows GUID before its version is set, unlike RFC 4122 §4.3 has it.
    """
    digest = sha1(_NAMESPACE + epid.encode("latin-1", "replace"), usedforsecurity=False).digest()
    plain = UUID(bytes_le=digest[:16])
    return UUID(int=plain.int, version=5).urn


def epid_of(value: str) -> str:
    """The epid of a From or To value, "" without one or when the value cannot be read."""
    try:
        return parse_name_addr(value).params.get("epid") or ""
    except MalformedMessage:
        return ""


def endpoint_agrees(request: Request) -> bool:
    """Whether each +sip.instance of a request is made from its epid, where it has both ([MS-SIPAE] §3.3.5.2)."""
    epid = epid_of(request.first("from") or "")
    if not epid:
        return True
    named = {instance for value in request.values("contact") if (instance := _instance(value))}
    return named <= {instance_of(epid)}


def _instance(contact: str) -> str:
    try:
        text = parse_name_addr(contact).params.get("+sip.instance") or ""
    except MalformedMessage:
        return ""
    return unquote(text).removeprefix("<").removesuffix(">").lower()

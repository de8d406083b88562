"""GRUUs, URIs that lead to one endpoint of a user: public and temporary ones (RFC 5627) and Microsoft's older form.

None is stored. A public one is the address-of-record with the instance in it, Microsoft's a checksum of both. A
temporary one carries the *handle* of its registration, scrambled with a number used once, so that two of them cannot be
told to be the same user's, and authenticated, so that none can be made up.
"""

import hmac
from base64 import urlsafe_b64encode
from hashlib import blake2b, sha1
from urllib.parse import quote
from urllib.parse import unquote as unescape

from sipgw.message.uri import SipUri

_PREFIX = "tgruu."
_NONCE, _HANDLE, _MAC = 6, 10, 10  # bytes
_USER_SAFE = "-_.!~*'()&=+$,;?/"  # RFC 3261 §25.1 unreserved and user-unreserved
_PARAM_SAFE = "-_.!~*'()[]/:&+$"  # unreserved and param-unreserved


def microsoft_gruu(aor: str, identity: str) -> str:
    """An endpoint's GRUU as [MS-SIPRE] §2.2.3 has it: always the same for the same AOR and identity."""
    digest = urlsafe_b64encode(sha1(f"{aor}\n{identity}".encode("latin-1", "replace")).digest()).decode().rstrip("=")
    return f"{aor_uri(aor)};opaque=user:epid:{digest};gruu"


def public_gruu(aor: str, instance: str) -> str:
    """RFC 5627 §3.1.1: lasts as long as the user and the instance do."""
    return f"{aor_uri(aor)};gr={quote(instance, _PARAM_SAFE, 'latin-1', 'replace')}"


def aor_uri(aor: str) -> str:
    """The sip: URI of an AOR's key, whose escapes were undone."""
    user, _, host = aor.rpartition("@")
    return f"sip:{quote(user, _USER_SAFE, 'latin-1', 'replace')}@{host}"


def is_gruu(uri: SipUri) -> bool:
    """Whether a URI of ours has the form of any GRUU, handed out or not."""
    return "gr" in uri.params or ("gruu" in uri.params and bool(uri.params.get("opaque")))


def is_temporary(uri: SipUri) -> bool:
    return "gr" in uri.params and not uri.params["gr"]


def names(uri: SipUri, aor: str, instance: str, identity: str) -> bool:
    """Whether a public or Microsoft's GRUU is that of this endpoint."""
    wanted = uri.params.get("gr")
    if wanted:
        return bool(instance) and unescape(wanted, "latin-1").lower() == instance.lower()
    return bool(identity) and f";opaque={uri.params.get('opaque')};" in microsoft_gruu(aor, identity)


class TemporaryGruus:
    """Makes and reads temporary GRUUs with one secret key, which restarts share."""

    def __init__(self, key: bytes) -> None:
        self._handles = blake2b(digest_size=_HANDLE, key=key[:64], person=b"gruu-handle")
        self._pads = blake2b(digest_size=_HANDLE, key=key[:64], person=b"gruu-pad")
        self._macs = blake2b(digest_size=_MAC, key=key[:64], person=b"gruu-mac")

    def handle(self, aor: str, instance: str, call_id: str, since: int) -> bytes:
        """What all temporary GRUUs of one registration have in common: they die together (RFC 5627 §5.3).

        `since` is the CSeq with which the registration under this Call-ID began.
        """
        return _keyed(self._handles, f"{aor}\n{instance}\n{since}\n{call_id}".encode("latin-1", "replace"))

    def make(self, handle: bytes, nonce: str, host: str) -> str:
        """A new temporary GRUU; `nonce` is 12 hex digits that were not used before."""
        seed = bytes.fromhex(nonce)
        body = seed + _xor(handle, _keyed(self._pads, seed))
        return f"sip:{_PREFIX}{(body + _keyed(self._macs, body)).hex()}@{host};gr"

    def read(self, uri: SipUri) -> bytes | None:
        """The handle in a temporary GRUU, None when it is none that was made here."""
        user = (uri.user or "").lower()
        try:
            token = bytes.fromhex(user.removeprefix(_PREFIX))
        except ValueError:
            return None
        body, mac = token[:-_MAC], token[-_MAC:]
        if len(token) != _NONCE + _HANDLE + _MAC or not hmac.compare_digest(mac, _keyed(self._macs, body)):
            return None
        return _xor(body[_NONCE:], _keyed(self._pads, body[:_NONCE]))


def _keyed(template: blake2b, data: bytes) -> bytes:
    digest = template.copy()
    digest.update(data)
    return digest.digest()


def _xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))

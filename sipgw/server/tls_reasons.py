"""What went wrong with TLS, so that an operator knows which file or setting to look at."""

import os
import socket
import ssl

from sipgw.events import UNTRUSTED

_NO_AUTHORITY = "no authority in ca vouches for it"
_VERIFIED = {  # by OpenSSL's X509_V_ERR
    9: "it is not valid yet",
    10: "it has expired",
    18: f"it is self-signed, and {_NO_AUTHORITY}",
    19: _NO_AUTHORITY,
    20: _NO_AUTHORITY,
    21: _NO_AUTHORITY,
    26: "it is not made for this use: a client's needs the extended key usage clientAuth, a server's serverAuth",
    62: "it is for another name",
    64: "it is for another address",
}
_ALERTS = {  # by the end of OpenSSL's reason, which begins with the version that defined it
    "ALERT_CERTIFICATE_REQUIRED": "the other side wants a certificate of ours; name certificate and private_key",
    "ALERT_UNKNOWN_CA": "the other side does not know the authority of our certificate",
    "ALERT_BAD_CERTIFICATE": "the other side does not accept our certificate",
    "ALERT_UNSUPPORTED_CERTIFICATE": "the other side does not accept our certificate for this use",
    "ALERT_CERTIFICATE_UNKNOWN": "the other side does not accept our certificate",
    "ALERT_CERTIFICATE_EXPIRED": "our certificate has expired, says the other side",
    "ALERT_CERTIFICATE_REVOKED": "our certificate was revoked, says the other side",
    "ALERT_ACCESS_DENIED": "the other side does not accept our certificate",
    "ALERT_HANDSHAKE_FAILURE": "the other side broke off the handshake; it may want a certificate of ours",
}
_NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG")
_TOO_OLD = ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE")


def reason_of(error: BaseException) -> str:
    """One line about a failed connection. Where certificates are to blame it starts with UNTRUSTED."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{UNTRUSTED}: {_verified(error)}"
    if isinstance(error, ssl.SSLError):
        return _tls_reason(error)
    if isinstance(error, ConnectionResetError):
        return "closed by the other side"
    if isinstance(error, OSError) and error.errno and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno)  # asyncio's own text repeats the address
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return str(error) or type(error).__name__


def _verified(error: ssl.SSLCertVerificationError) -> str:
    words = error.verify_message.rstrip(".")
    said = _VERIFIED.get(error.verify_code)
    return f"{said} ({words})" if said else words


def _tls_reason(error: ssl.SSLError) -> str:
    reason = getattr(error, "reason", None) or ""  # OpenSSL's own have one
    for end, text in _ALERTS.items():
        if reason.endswith(end):
            return f"{UNTRUSTED}: {text}"
    if reason in _NOT_TLS:
        return "the other side does not speak TLS"
    if reason in _TOO_OLD:
        return "no common version of TLS; 1.2 is the least that is spoken here"
    return f"TLS: {reason.replace('_', ' ').lower()}" if reason else str(error)

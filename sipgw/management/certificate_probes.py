"""What `sipgw check` says about certificates: readable, matching, valid for the gateway's name, and for how long."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from sipgw.config import Config, TlsFiles
from sipgw.management.probes import Verdict
from sipgw.server.certificates import Expiry, expiries
from sipgw.server.tls import TlsError, load_authorities, load_pair

_UNUSABLE = (9, 10, 62, 64)  # X509_V_ERR: not yet valid, expired, another host name, another address


def certificates(config: Config) -> Iterator[Verdict]:
    """Whether the files can be read and belong together, and whether the certificate proves the gateway's name."""
    own = config.tls.files
    yield from _files("tls", own, config.gateway.fqdn)
    for fqdn, files in config.pool_tls.items():
        certificate, private_key, ca = files
        if certificate == own.certificate:
            certificate = private_key = None  # the gateway's, which has its verdict
        yield from _files(f"pool {fqdn}", TlsFiles(certificate, private_key, None if ca == own.ca else ca), "")


def _files(owner: str, files: TlsFiles, fqdn: str) -> Iterator[Verdict]:
    if files.ca is not None:
        yield _authorities(f"{owner}.ca", files.ca)
        yield from _expiry(f"{owner}.ca", TlsFiles(ca=files.ca))
    if files.certificate is None or files.private_key is None:
        return
    subject = f"{owner}.certificate"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        load_pair(context, files.certificate, files.private_key)
    except TlsError as error:
        yield Verdict("FAIL", subject, str(error))
        return
    yield Verdict("ok", subject, f"{files.certificate} and {files.private_key} belong together")
    if files.ca is not None and fqdn:
        yield from _name(subject, context, files.ca, fqdn)
    yield from _expiry(subject, TlsFiles(files.certificate))


def _authorities(subject: str, ca: Path) -> Verdict:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        load_authorities(context, ca)
    except TlsError as error:
        return Verdict("FAIL", subject, str(error))
    return Verdict("ok", subject, f"{ca}: authorities: {len(context.get_ca_certs())}")


def _name(subject: str, server: ssl.SSLContext, ca: Path, fqdn: str) -> Iterator[Verdict]:
    """What a client that trusts `ca` would say to our certificate."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.hostname_checks_common_name = False
    try:
        load_authorities(client, ca)
        _handshake(server, client, fqdn)
    except TlsError:
        return  # the authorities have their verdict
    except ssl.SSLCertVerificationError as error:
        grade: Literal["note", "FAIL"] = "FAIL" if error.verify_code in _UNUSABLE else "note"
        yield Verdict(grade, subject, f"for {fqdn} and tls.ca: {error.verify_message.rstrip('.')}")
        return
    yield Verdict("ok", subject, f"is valid for {fqdn} to whoever trusts tls.ca")


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, fqdn: str) -> None:
    """A TLS handshake in memory. Raises SSLCertVerificationError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    waiting = [
        client.wrap_bio(to_client, to_server, server_hostname=fqdn),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    while waiting:
        side = waiting.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(side)


def _expiry(subject: str, files: TlsFiles) -> Iterator[Verdict]:
    now = datetime.now(UTC)
    for one in expiries([files], now):
        if one.soon(now):
            yield expiry_verdict(subject, one, now)


def expiry_verdict(subject: str, one: Expiry, now: datetime) -> Verdict:
    """About a certificate that ends soon, or has ended."""
    if one.at <= now:
        return Verdict("FAIL", subject, f"{one.file} ({one.name}) has expired on {one.at:%Y-%m-%d}; replace it")
    text = f"{one.file} ({one.name}) expires on {one.at:%Y-%m-%d}, days left: {one.days(now)}; replace it"
    return Verdict("note", subject, text)

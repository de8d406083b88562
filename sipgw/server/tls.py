"""TLS contexts made from PEM files: who we are to whom, whom we believe, and whether a certificate proves a name."""

import ssl
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from sipgw.config import Config, TlsFiles


class TlsError(OSError):
    """Files that cannot be used; the text names them and says what is wrong."""


@dataclass(frozen=True)
class TlsSettings:
    """`own` is used where `pools` (by fqdn) has nothing else. `clients` is what is wanted of whoever connects; None:
    nobody does. `system` trusts the system's authorities where there is no `ca`, otherwise nobody is trusted there."""

    own: TlsFiles = field(default_factory=TlsFiles)
    pools: Mapping[str, TlsFiles] = field(default_factory=dict)
    clients: ssl.VerifyMode | None = None
    system: bool = False

    @property
    def everything(self) -> list[TlsFiles]:
        return list(dict.fromkeys([self.own, *self.pools.values()]))

    @property
    def authorities(self) -> list[Path]:
        return list(dict.fromkeys(files.ca for files in self.everything if files.ca is not None))


def tls_settings(config: Config) -> TlsSettings:
    """What a configuration says."""
    listens = any(item.transport == "TLS" for item in config.gateway.listen)
    asks = config.tls.ask_clients and config.tls.ca is not None
    clients = (ssl.CERT_OPTIONAL if asks else ssl.CERT_NONE) if listens else None
    return TlsSettings(config.tls.files, config.pool_tls, clients)


class TlsContexts:
    """The contexts of one set of files. Making them raises TlsError; `reload` makes them anew or leaves them alone."""

    def __init__(self, settings: TlsSettings) -> None:
        self.settings = settings
        self._built = _Built(settings)

    def reload(self) -> None:
        """Read the files again. New connections go by what is in them now. Raises TlsError; then nothing changes."""
        self._built = _Built(self.settings)

    @property
    def server(self) -> ssl.SSLContext:
        """For whoever connects."""
        assert self._built.server is not None, "a TLS listener without TlsSettings.clients"
        return self._built.server

    def identity(self, server_name: str) -> TlsFiles:
        """Who we are to a server, and whom we believe that it is: connections of different identity are not mixed."""
        return self.settings.pools.get(server_name, self.settings.own)

    def client(self, identity: TlsFiles) -> ssl.SSLContext:
        """For connecting with an identity."""
        return self._built.clients[identity]

    def accepted_names(self, connection: ssl.SSLObject) -> tuple[str, ...]:
        """What the certificate of a client proves, () without one."""
        names = certified_names(connection)
        authorities = self.settings.authorities
        if not names or len(authorities) < 2:
            return names
        above = frozenset(_chain(connection))
        proving = {ca for ca in authorities if not self._built.anchors[ca].isdisjoint(above)}
        return tuple(name for name in names if self.identity(name).ca in proving)

    def dialled_names(self, connection: ssl.SSLObject, identity: TlsFiles) -> tuple[str, ...]:
        """What the certificate of a server proves to which we have connected with `identity`."""
        return tuple(name for name in certified_names(connection) if self.identity(name).ca == identity.ca)


class _Built:
    """Contexts as the files were at one time."""

    def __init__(self, settings: TlsSettings) -> None:
        self.clients = {files: _client_context(files, settings.system) for files in settings.everything}
        self.server = None if settings.clients is None else _server_context(settings)
        self.anchors = {ca: _certificates(ca) for ca in settings.authorities}


def _client_context(files: TlsFiles, system: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False  # RFC 5922 §7.1: subjectAltName says who somebody is
    if files.ca is not None:
        load_authorities(context, files.ca)
    elif system:
        context.load_default_certs()
    _load_own(context, files)
    return context


def _server_context(settings: TlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_own(context, settings.own)
    if settings.clients:
        context.verify_mode = settings.clients
        for authority in settings.authorities:
            load_authorities(context, authority)
    return context


def _load_own(context: ssl.SSLContext, files: TlsFiles) -> None:
    if files.certificate is not None and files.private_key is not None:
        load_pair(context, files.certificate, files.private_key)


_WANTED = "name readable, unencrypted PEM files in certificate and private_key"


def load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Show this certificate. Raises TlsError."""
    try:
        context.load_cert_chain(certificate, key, password="")  # no prompt for an encrypted key
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            text = f"{key} is not the key of {certificate}; name the files that were made together"
        else:
            text = f"{certificate} and {key}: {_words(error)}; {_WANTED}"
        raise TlsError(text) from None
    except OSError as error:
        reason = error.strerror or error
        raise TlsError(f"{certificate} and {key}: {reason}; {_WANTED}") from None


def load_authorities(context: ssl.SSLContext, ca: Path) -> None:
    """Trust these. Raises TlsError."""
    try:
        context.load_verify_locations(ca)
    except OSError as error:
        reason = _words(error) if isinstance(error, ssl.SSLError) else error.strerror or error
        raise TlsError(f"{ca}: {reason}; name a readable file of PEM certificates in ca") from None


def _words(error: ssl.SSLError) -> str:
    """OpenSSL's own words are its reason codes."""
    return (error.reason or "not in PEM form").replace("_", " ").lower()


def _certificates(ca: Path) -> frozenset[bytes]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    load_authorities(context, ca)
    return frozenset(context.get_ca_certs(binary_form=True))


def certified_names(connection: ssl.SSLObject) -> tuple[str, ...]:
    """The DNS names of a verified certificate. Wildcards are none: SIP does not match them (RFC 5922 §7.2)."""
    certificate = connection.getpeercert() or {}
    alternatives: Iterable[tuple[str, str]] = certificate.get("subjectAltName", ())  # type: ignore[assignment]
    names = [value.lower().rstrip(".") for kind, value in alternatives if kind == "DNS" and "*" not in value]
    return tuple(dict.fromkeys(names))


def _chain(connection: ssl.SSLObject) -> list[bytes]:
    """The certificates by which the peer's was verified, up to an authority of ours, in DER."""
    if sys.version_info >= (3, 13):
        return list(connection.get_verified_chain())
    import _ssl  # before 3.13 the same has no public name

    chain = connection._sslobj.get_verified_chain()  # type: ignore[attr-defined]
    return [certificate.public_bytes(_ssl.ENCODING_DER) for certificate in chain]


def proves(names: tuple[str, ...], server_name: str) -> bool:
    """Whether a verified certificate is the one that was wanted. OpenSSL has compared the name, but it lets wildcards
    pass, which SIP does not know (RFC 5922 §7.2). What is no name it has compared in full."""
    try:
        ip_address(server_name)
    except ValueError:
        return server_name in names
    return True

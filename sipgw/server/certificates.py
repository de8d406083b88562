"""Certificates over time: the files are read again when they change, and nobody is surprised when one ends."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipgw.config import TlsFiles
from sipgw.server.tls import TlsContexts, TlsError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

WARN_AHEAD = timedelta(days=30)
WARN_EVERY = 86_400.0  # seconds
_Signature = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True)
class Expiry:
    """When a file's certificates end: the first of a chain; of authorities the last, when nobody is trusted any more,
    and each one that is about to end. `name` says whose certificate it is."""

    file: Path
    name: str
    at: datetime

    def days(self, now: datetime) -> int:
        """Whole days that are left, negative when it has ended."""
        return (self.at - now) // timedelta(days=1)

    def soon(self, now: datetime) -> bool:
        return self.at - now < WARN_AHEAD


def expiries(everything: Iterable[TlsFiles], now: datetime) -> list[Expiry]:
    """Of every file once, the first to end first. Files that cannot be read have none: others tell of them."""
    own = {files.certificate for files in everything if files.certificate is not None}
    authorities = {files.ca for files in everything if files.ca is not None}
    found = [min(read, key=lambda one: one.at) for path in own if (read := list(_read(path)))]
    for path in authorities:
        ordered = sorted(_read(path), key=lambda one: one.at)
        ahead = [one for one in ordered if one.at > now and one.soon(now)]
        found += ahead or ordered[-1:]
    return sorted(found, key=lambda one: one.at)


def _read(path: Path) -> Iterator[Expiry]:
    from cryptography import x509  # here: without TLS nobody waits for it

    try:
        certificates = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return
    for certificate in certificates:
        yield Expiry(path, _name(certificate), certificate.not_valid_after_utc)


def _name(certificate: "Certificate") -> str:
    from cryptography import x509

    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = alternatives.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, ValueError):
        names = []
    return ", ".join(names) or certificate.subject.rfc4514_string()


class CertificateWatch:
    """To be called every second or so. `counters["certificate_days_left"]` is what the first to end has left.

    A file counts as changed when it has stopped changing: a certificate and its key are not written at once.
    """

    def __init__(
        self,
        tls: TlsContexts,
        log: Any,
        counters: Counter[str],
        today: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.log = log
        self._tls = tls
        self._counters = counters
        self._today = today
        self._next_warning = float("-inf")
        self._read = self._seen = self._signature()

    def follow(self, tls: TlsContexts) -> None:
        """The configuration has changed: these are the contexts in use now, just made."""
        self._tls = tls
        self._read = self._seen = self._signature()
        self._next_warning = float("-inf")

    def look(self, now: float) -> None:
        """Reload what has changed; warn once a day. `now` in seconds of any clock that only goes forward."""
        found = self._signature()
        if found != self._read and found == self._seen:
            self._reload(found)
        self._seen = found
        if now >= self._next_warning:
            self._next_warning = now + WARN_EVERY
            self._warn()

    def _signature(self) -> _Signature:
        paths = [path for files in self._tls.settings.everything for path in files if path is not None]
        return tuple(_state(path) for path in paths)

    def _reload(self, found: _Signature) -> None:
        self._read = found  # also when it fails: once is enough to say it
        try:
            self._tls.reload()
        except TlsError as error:
            self._counters["certificate_reloads_failed"] += 1
            self.log.error("certificates not reloaded, the old ones stay", reason=str(error))
            return
        self._counters["certificate_reloads"] += 1
        self._next_warning = float("-inf")
        self.log.info("certificates reloaded")

    def _warn(self) -> None:
        now = self._today()
        found = expiries(self._tls.settings.everything, now)
        if found:
            self._counters["certificate_days_left"] = found[0].days(now)
        for one in found:
            fields = {"file": str(one.file), "name": one.name, "at": f"{one.at:%Y-%m-%d %H:%M} UTC"}
            if one.at <= now:
                self.log.error("certificate has expired", **fields)
            elif one.soon(now):
                self.log.warning("certificate expires soon", days=one.days(now), **fields)


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino

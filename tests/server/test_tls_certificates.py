"""Certificate files over time: read again when they change, warned of before they end."""

import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from sipgw.config import TlsFiles
from sipgw.server.certificates import WARN_EVERY, CertificateWatch, expiries
from sipgw.server.tls import TlsContexts, TlsSettings
from tests.server.certificates import issue

GATEWAY = "sipgw.contoso.com"


class Watched:
    """A watch over one certificate, its log, and a calendar that the test turns."""

    def __init__(self, folder: Path, days: float) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.files = issue(self.authority, folder, GATEWAY, days=days)
        self.tls = TlsContexts(TlsSettings(self.files))
        self.counters: Counter[str] = Counter()
        self.lines: list[str] = []
        self.today = datetime.now(UTC)
        self.now = 0.0
        self.watch = CertificateWatch(self.tls, self, self.counters, lambda: self.today)

    def __getattr__(self, level: str) -> object:
        if level not in ("info", "warning", "error"):
            raise AttributeError(level)
        return lambda event, **fields: self.lines.append(f"{level}: {event} {fields}")

    def looks(self, times: int = 1, seconds: float = 1.0) -> list[str]:
        """Let it look, and take the lines."""
        for _ in range(times):
            self.now += seconds
            self.watch.look(self.now)
        lines, self.lines = self.lines, []
        return lines

    def write(self, which: str, data: bytes) -> None:
        path: Path = getattr(self.files, which)
        state = path.stat() if path.exists() else None
        path.write_bytes(data)
        if state is not None:  # however coarse the file system's clock is
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1_000_000))


@pytest.mark.parametrize(
    ("days", "said", "left"),
    [
        (45.5, [], 45),
        (12.5, ["warning: certificate expires soon"], 12),
        (0.5, ["warning: certificate expires soon"], 0),
        (-2.5, ["error: certificate has expired"], -3),
    ],
)
def test_expiry_is_told_at_the_start_and_once_a_day(tmp_path: Path, days: float, said: list[str], left: int) -> None:
    watched = Watched(tmp_path, days)
    lines = watched.looks()
    assert [line.partition(" {")[0] for line in lines] == said
    assert all(GATEWAY in line and str(watched.files.certificate) in line for line in lines)
    assert watched.counters["certificate_days_left"] == left
    assert watched.looks(100) == []
    assert len(watched.looks(1, WARN_EVERY)) == len(said)


def test_a_certificate_comes_within_a_month(tmp_path: Path) -> None:
    watched = Watched(tmp_path, 45.5)
    assert watched.looks() == []
    watched.today += timedelta(days=16)
    (line,) = watched.looks(1, WARN_EVERY)
    assert line.startswith("warning: certificate expires soon") and "'days': 29" in line


def test_new_files_are_read_when_they_have_settled(tmp_path: Path) -> None:
    """Certificate and key are two files: what is found between the two writes would not fit."""
    watched = Watched(tmp_path, 10.5)
    watched.looks()
    made = watched.authority.issue_cert(GATEWAY)
    watched.write("certificate", made.cert_chain_pems[0].bytes())
    assert watched.looks() == []
    watched.write("private_key", made.private_key_pem.bytes())
    assert watched.looks() == []
    assert watched.looks() == ["info: certificates reloaded {}"]
    assert watched.counters["certificate_reloads"] == 1
    assert watched.counters["certificate_days_left"] > 300_000
    assert watched.looks(1, WARN_EVERY) == []


def test_bad_files_are_told_once_and_change_nothing(tmp_path: Path) -> None:
    watched = Watched(tmp_path, 100)
    watched.looks()
    before = watched.tls.client(watched.files)
    watched.write("certificate", b"nothing of the kind")
    (line,) = watched.looks(9)
    assert line.startswith("error: certificates not reloaded, the old ones stay")
    assert str(watched.files.certificate) in line and "name readable, unencrypted PEM files" in line
    assert watched.counters["certificate_reloads_failed"] == 1
    assert watched.tls.client(watched.files) is before


def test_a_file_that_is_gone_and_comes_back(tmp_path: Path) -> None:
    watched = Watched(tmp_path, 100)
    watched.looks()
    assert watched.files.ca is not None
    content = watched.files.ca.read_bytes()
    watched.files.ca.unlink()
    (line,) = watched.looks(3)
    assert "No such file or directory" in line
    watched.write("ca", content)
    assert watched.looks(3) == ["info: certificates reloaded {}"]


def test_another_configuration_is_followed_from_its_start(tmp_path: Path) -> None:
    watched = Watched(tmp_path, 10.5)
    watched.looks()
    other = issue(watched.authority, tmp_path, "other.contoso.com", days=5.5)
    watched.watch.follow(TlsContexts(TlsSettings(other)))
    (line,) = watched.looks(3)
    assert "other.contoso.com" in line and "'days': 5" in line


def test_nothing_to_watch(tmp_path: Path) -> None:
    watched = Watched(tmp_path, 10.5)
    watched.watch.follow(TlsContexts(TlsSettings()))
    assert watched.looks(3) == []
    assert watched.counters["certificate_days_left"] == 0


# which dates count


def self_signed(name: str, days: float) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    made = builder.not_valid_before(now - timedelta(days=400)).not_valid_after(now + timedelta(days=days))
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    ("days", "names"),
    [
        ([100, 10.5, 200], ["CN=10.5"]),  # the one that is about to end
        ([-5, 100, 200], ["CN=200"]),  # one that has ended long ago is no news while there are others
        ([-5, -3], ["CN=-3"]),  # nobody is trusted any more
        ([20, 10], ["CN=10", "CN=20"]),
    ],
)
def test_authorities(tmp_path: Path, days: list[float], names: list[str]) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(b"".join(self_signed(f"{number:g}", number) for number in days))
    found = expiries([TlsFiles(ca=ca)], datetime.now(UTC))
    assert [one.name for one in found] == names


def test_a_chain_ends_with_its_first(tmp_path: Path) -> None:
    certificate = tmp_path / "gw.pem"
    certificate.write_bytes(self_signed("leaf", 90) + self_signed("intermediate", 20.5))
    (one,) = expiries([TlsFiles(certificate, certificate)], datetime.now(UTC))
    assert (one.name, one.days(datetime.now(UTC))) == ("CN=intermediate", 20)


def test_a_file_is_read_once_and_the_first_to_end_comes_first(tmp_path: Path) -> None:
    authority = trustme.CA()
    late, soon = (issue(authority, tmp_path, f"{days}.contoso.com", days=days, ca=False) for days in (90, 5))
    found = expiries([late, soon, late], datetime.now(UTC))
    assert [one.name for one in found] == ["5.contoso.com", "90.contoso.com"]


def test_files_that_cannot_be_read_have_no_dates(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("nothing")
    files = TlsFiles(tmp_path / "bad.pem", None, tmp_path / "missing.pem")
    assert expiries([files], datetime.now(UTC)) == []

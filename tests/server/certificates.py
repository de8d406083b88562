"""Certificates for tests, in files."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from sipgw.config import TlsFiles


def issue(
    authority: trustme.CA, folder: Path, *names: str, days: float | None = None, as_: str = "", ca: bool = True
) -> TlsFiles:
    """A certificate for these names that is valid for `days` more (forever by default, not at all when negative), with
    its key and its authority. `as_` names the files, the first name does by default."""
    stem = as_ or names[0].replace("*", "any")
    now = datetime.now(UTC)
    made = authority.issue_cert(
        *names,
        not_before=now - timedelta(days=400),
        not_after=now + timedelta(days=days) if days is not None else None,
    )
    files = TlsFiles(folder / f"{stem}.pem", folder / f"{stem}.key", folder / f"{stem}.ca.pem" if ca else None)
    assert files.certificate is not None and files.private_key is not None
    files.certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    files.private_key.write_bytes(made.private_key_pem.bytes())
    if files.ca is not None:
        files.ca.write_bytes(authority.cert_pem.bytes())
    return files

"""What a keytab has keys of: the system's Kerberos tells only that the one which it looks for is not there.

The format is that of MIT's "keytab file format", version 2, in which ktpass, msktutil, Samba and ktutil write them.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

_VERSION = b"\x05\x02"
_MAX_SIZE = 1 << 20  # bytes; an entry has some 100


class KeytabError(Exception):
    """A file that is no keytab, or cannot be read; the text says why."""


def read_principals(path: Path) -> list[str]:
    """The principals (`sip/fqdn@REALM`) that a keytab has keys of, each once. Raises KeytabError."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_SIZE)
    except OSError as error:
        raise KeytabError(error.strerror or str(error)) from None
    if data[:2] != _VERSION:
        raise KeytabError("is no keytab")
    try:
        return list(dict.fromkeys(_principals(data)))
    except (struct.error, UnicodeDecodeError):
        raise KeytabError("is no keytab, or breaks off") from None


def _principals(data: bytes) -> Iterator[str]:
    """Each entry begins with its size, which is negative where an entry was removed."""
    position = len(_VERSION)
    while position < len(data):
        (size,) = struct.unpack_from(">i", data, position)
        position += 4
        if size == 0:
            return
        if size > 0:
            (entry,) = struct.unpack_from(f"{size}s", data, position)
            yield _principal(entry)
        position += abs(size)


def _principal(entry: bytes) -> str:
    """How many components there are; the realm; the components."""
    (count,) = struct.unpack_from(">H", entry)
    texts, position = [], 2
    for _ in range(count + 1):
        (length,) = struct.unpack_from(">H", entry, position)
        (text,) = struct.unpack_from(f"{length}s", entry, position + 2)
        texts.append(text.decode())
        position += 2 + length
    realm, *components = texts
    return f"{'/'.join(components)}@{realm}"

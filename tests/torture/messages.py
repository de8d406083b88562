"""The messages of RFC 4475 and RFC 5118 as bytes, made from the readable files in tests/data."""

import os
import re
from hashlib import sha256
from pathlib import Path

DATA = Path(__file__).parents[1] / "data"
RFCS = ("rfc4475", "rfc5118")
_HEX = re.compile("«hex ([0-9A-F ]+)»")
_REPEAT = re.compile("«([0-9]+) x ([^»]+)»")


def encode(text: str) -> bytes:
    """The bytes that a file stands for; data/rfc4475/README.md tells the notation."""
    text = text.replace("«join»\n", "").replace("\n", "\r\n").replace("«end»\r\n", "")
    text = _REPEAT.sub(lambda found: found[2] * int(found[1]), text)
    parts = _HEX.split(text)  # text and hexadecimal digits in turn
    assert not any("«" in part for part in parts[::2]), "a mark that is not of the notation"
    return b"".join(bytes.fromhex(part) if at % 2 else part.encode() for at, part in enumerate(parts))


def _read(rfc: str) -> dict[str, bytes]:
    return {path.stem: encode(path.read_text("utf-8")) for path in sorted((DATA / rfc).glob("*.txt"))}


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def read_sums(path: Path) -> dict[str, str]:
    """`sha256sum`'s own format: digest, two spaces, name; to name without folder and extension -> digest."""
    pairs = (line.split() for line in path.read_text("ascii").splitlines())
    return {f"{Path(name).parent.name}/{Path(name).stem}": value for value, name in pairs}


def find_vectors() -> Path | None:
    """A folder of independent copies: $SIPGW_VECTORS, else shared/vectors beside the checkout; None without one."""
    told = os.environ.get("SIPGW_VECTORS")
    folder = Path(told) if told else DATA.parents[2] / "shared" / "vectors"
    return folder if (folder / "SHA256SUMS").is_file() else None


MESSAGES = {name: data for rfc in RFCS for name, data in _read(rfc).items()}
RFC_OF = {path.stem: rfc for rfc in RFCS for path in (DATA / rfc).glob("*.txt")}

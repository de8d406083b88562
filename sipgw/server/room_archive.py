"""Archives of rooms as zip files: written from a store, also while a pool runs on it, and read back with distrust.

Nothing of an archive is unpacked to a disk, so a path in it leads nowhere; a part is read line by line, never further
than its manifest says, and never a line longer than any could be.
"""

import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO

from sipgw.groupchat.archive import (
    MANIFEST,
    MAX_LINE,
    MAX_MANIFEST,
    Defect,
    Level,
    Manifest,
    Part,
    key_of,
    names_of,
    read_manifest,
    read_record,
    write_manifest,
    write_record,
)
from sipgw.groupchat.records import Record
from sipgw.server.room_store import StoreError, joined_in, messages_in, preferences_in, reading, rooms_in

__all__ = ["Archive", "ArchiveError", "export", "opened"]

MAX_ARCHIVE = 1 << 30  # bytes of the file
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_UNREADABLE = (  # OSError: a seek to where a damaged directory says that something is
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError),
)


class ArchiveError(StoreError):
    """What is wrong with an archive: one line that names the file, the part and the line."""


def export(data: Path, target: Path, now_wall: float, level: Level = "All", since: float | None = None) -> Manifest:
    """Write what is in a room store to an archive: whole or not at all, one state of the store, for its owner's eyes.

    `since`, in wall-clock seconds, leaves older messages out. An archive of that name is replaced. Raises StoreError or
    OSError.
    """
    with reading(data) as db:
        records: dict[str, Iterable[Record]] = {
            "rooms.jsonl": rooms_in(db),
            "joined.jsonl": joined_in(db),
            "preferences.jsonl": preferences_in(db),
            "messages.jsonl": messages_in(db, since=float("-inf") if since is None else since),
        }
        with _new_file(target) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            parts = tuple(_write_part(packed, name, records[name]) for name in names_of(level))
            manifest = Manifest(now_wall, level, since, parts)
            packed.writestr(MANIFEST, write_manifest(manifest))
    return manifest


def _write_part(packed: zipfile.ZipFile, name: str, records: Iterable[Record]) -> Part:
    counted = size = 0
    digest = sha256()
    with packed.open(name, "w", force_zip64=True) as part:
        for record in records:
            line = write_record(record)
            part.write(line)
            digest.update(line)
            counted += 1
            size += len(line)
    return Part(name, counted, size, digest.hexdigest())


@contextmanager
def _new_file(target: Path) -> Iterator[IO[bytes]]:
    """A file that gets its name when it is on the disk; what an earlier run has left half done is replaced."""
    new = target.with_name(f".{target.name}.new")
    with suppress(FileNotFoundError):
        new.unlink()
    try:
        with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600), "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        new.replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            new.unlink()
        raise


@dataclass
class Archive:
    """An archive that is open; its manifest has been checked, its parts are when they are read."""

    path: Path
    manifest: Manifest
    packed: zipfile.ZipFile
    line: int = field(default=0, init=False)

    def records(self, part: Part) -> Iterator[Record]:
        """The records of a part. Raises ArchiveError, at the latest after the last one: nothing that was read counts
        before the end has been."""
        self.line = 0
        before: tuple[str | int, ...] = ()
        with self._readable(part.name), self.packed.open(part.name) as file:
            for line in self._lines(file, part):
                try:
                    record = read_record(part.name, line)
                except Defect as defect:
                    raise self.error(part.name, str(defect)) from None
                if key_of(record) <= before:
                    again = "is there twice" if key_of(record) == before else "is out of order"
                    raise self.error(part.name, f"{' '.join(map(str, key_of(record)))} {again}")
                before = key_of(record)
                yield record

    def _lines(self, file: IO[bytes], part: Part) -> Iterator[bytes]:
        size, digest = 0, sha256()
        while line := file.readline(MAX_LINE + 1):
            self.line += 1
            size += len(line)
            if len(line) > MAX_LINE:
                raise self.error(part.name, f"is longer than {MAX_LINE} bytes")
            if self.line > part.records or size > part.bytes:
                self.line = 0
                raise self.error(part.name, f"has more in it than the {part.records} records of the manifest")
            digest.update(line)
            yield line
        missing = f"{self.line} records, {size} bytes; the manifest says {part.records}, {part.bytes}"
        counted, self.line = self.line, 0
        if (counted, size) != (part.records, part.bytes):
            raise self.error(part.name, f"has {missing}; it is cut short")
        if digest.hexdigest() != part.sha256:
            raise self.error(part.name, "is not what was exported: its SHA-256 is another than the manifest's")

    @contextmanager
    def _readable(self, part: str) -> Iterator[None]:
        try:
            yield
        except _UNREADABLE as error:
            raise self.error(part, f"cannot be unpacked ({error}); export it again") from None

    def error(self, part: str, text: str) -> ArchiveError:
        """What to raise for something that is wrong where the archive is being read."""
        place = f"{part}: line {self.line}" if self.line else part
        return ArchiveError(_one_line(f"{self.path}: {place}: {text}"))


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """An archive to read. Raises ArchiveError or OSError."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > MAX_ARCHIVE:
            raise ArchiveError(f"{path}: is larger than the {MAX_ARCHIVE} bytes that an archive may have")
        try:
            packed = zipfile.ZipFile(file)
        except _UNREADABLE as error:
            raise ArchiveError(_one_line(f"{path}: is no whole zip file ({error}); export it again")) from None
        with packed:
            yield Archive(path, _manifest(path, packed), packed)


def _manifest(path: Path, packed: zipfile.ZipFile) -> Manifest:
    """The manifest, and that it speaks of what there is: no more, no less, nothing by another method."""
    infos = {info.filename: info for info in packed.infolist()}
    if len(infos) < len(packed.infolist()):
        raise ArchiveError(f"{path}: has two parts of one name")
    other = next((info.filename for info in infos.values() if info.compress_type not in _METHODS), None)
    if other is not None:
        raise ArchiveError(
            _one_line(f"{path}: {other[:80]}: is packed by a method that `sipgw pool export` never uses")
        )
    about = infos.pop(MANIFEST, None)
    if about is None:
        raise ArchiveError(f"{path}: has no {MANIFEST}; name a file that `sipgw pool export` has written")
    manifest = _read_manifest(path, packed, about)
    for part in manifest.parts:
        _check_size(path, part, infos.pop(part.name, None))
    if infos:
        shown = sorted(infos)[0][:80]
        raise ArchiveError(_one_line(f"{path}: has a part {shown!r} in it that no archive of rooms has"))
    return manifest


def _read_manifest(path: Path, packed: zipfile.ZipFile, about: zipfile.ZipInfo) -> Manifest:
    if about.file_size > MAX_MANIFEST:
        raise ArchiveError(f"{path}: {MANIFEST}: is larger than the {MAX_MANIFEST} bytes that it may have")
    try:
        with packed.open(about) as file:
            return read_manifest(file.read(MAX_MANIFEST + 1)[:MAX_MANIFEST])
    except Defect as defect:
        raise ArchiveError(_one_line(f"{path}: {MANIFEST}: {defect}")) from None
    except _UNREADABLE as error:
        raise ArchiveError(_one_line(f"{path}: {MANIFEST}: cannot be unpacked ({error}); export it again")) from None


def _check_size(path: Path, part: Part, info: zipfile.ZipInfo | None) -> None:
    if info is None:
        raise ArchiveError(f"{path}: {part.name}: is missing")
    if info.file_size != part.bytes:
        raise ArchiveError(f"{path}: {part.name}: has {info.file_size} bytes, the manifest says {part.bytes}")

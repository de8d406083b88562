"""Archives on real files: whole or not at all, one state of a store that is in use, and every kind of damage."""

import json
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from sipgw.groupchat.archive import MANIFEST, PARTS, Level, write_record
from sipgw.groupchat.records import Joined, Message, Preference, Record
from sipgw.groupchat.rooms import Room
from sipgw.server import room_archive
from sipgw.server.room_archive import ArchiveError, export, opened
from sipgw.server.room_store import RoomStore, StoreError
from tests.groupchat.talk import BOARD, LOBBY, START

NOW = START + 100


def said(number: int, room: Room = LOBBY) -> Message:
    return Message(room.uri, number, "sip:alice@example.test", "Alice Ä", START + number, f"line {number}")


RECORDS: list[Record] = [
    LOBBY,
    BOARD,
    Joined(LOBBY.uri, "alice@example.test", START),
    Joined(LOBBY.uri, "bob@example.test", START),
    Preference("alice@example.test", "label", "1", "eA=="),
    *[said(number) for number in range(1, 6)],
    said(1, BOARD),
]
LOBBY_URI = LOBBY.uri.encode()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "legacy.db"
    with RoomStore(path) as made:
        made.apply(RECORDS)
    return path


@pytest.fixture
def packed(tmp_path: Path, store: Path) -> Path:
    path = tmp_path / "rooms.zip"
    export(store, path, NOW)
    return path


def content(path: Path) -> list[Record]:
    with opened(path) as archive:
        return [record for part in archive.manifest.parts for record in archive.records(part)]


def in_order(records: list[Record]) -> list[Record]:
    kinds = [Room, Joined, Preference, Message]
    return sorted(records, key=lambda record: (kinds.index(type(record)), write_record(record)))


def test_all_of_a_store(packed: Path) -> None:
    assert in_order(content(packed)) == in_order(RECORDS)
    assert stat.S_IMODE(packed.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("level", "kinds"),
    [("RoomDirectory", {Room}), ("User", {Joined, Preference}), ("Content", {Message})],
)
def test_levels(tmp_path: Path, store: Path, level: Level, kinds: set[type]) -> None:
    path = tmp_path / "part.zip"
    manifest = export(store, path, NOW, level)
    assert {type(record) for record in content(path)} == kinds
    assert manifest.level == level


def test_only_messages_that_are_younger(tmp_path: Path, store: Path) -> None:
    export(store, tmp_path / "x.zip", NOW, since=START + 4)
    messages = [record for record in content(tmp_path / "x.zip") if isinstance(record, Message)]
    assert messages == [said(4), said(5)]


def test_the_store_may_be_in_use_and_is_seen_in_one_state(tmp_path: Path, store: Path) -> None:
    path = tmp_path / "x.zip"
    with RoomStore(store) as pool:
        pool.apply([said(6)])

        def meanwhile(record: Record) -> bytes:
            if isinstance(record, Room) and record.uri == LOBBY.uri:
                pool.apply([Joined(LOBBY.uri, "late@example.test", NOW), said(7)])
            return write_record(record)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(room_archive, "write_record", meanwhile)
            export(store, path, NOW)
        assert said(7) in pool.load().messages
    records = content(path)
    assert said(6) in records
    assert said(7) not in records
    assert Joined(LOBBY.uri, "late@example.test", NOW) not in records


def test_an_export_that_fails_leaves_what_was_there(packed: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = packed.read_bytes()

    def broken(record: Record) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(room_archive, "write_record", broken)
    with pytest.raises(OSError, match="No space"):
        export(store, packed, NOW)
    assert packed.read_bytes() == before
    assert [path.name for path in packed.parent.iterdir() if path.name.startswith(".")] == []


def test_what_a_killed_export_left_is_replaced(packed: Path, store: Path) -> None:
    half = packed.with_name(f".{packed.name}.new")
    half.write_bytes(b"half")
    export(store, packed, NOW + 1)
    assert not half.exists()
    assert len(content(packed)) == len(RECORDS)


@pytest.mark.parametrize("made", [None, b"", b"SQLite? No."])
def test_no_store_to_export(tmp_path: Path, made: bytes | None) -> None:
    path = tmp_path / "x.db"
    if made is not None:
        path.write_bytes(made)
    with pytest.raises(StoreError, match=f"^room store {path}: ") as caught:
        export(path, tmp_path / "x.zip", NOW)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "x.zip").exists()
    assert path.exists() == (made is not None)


# damage


def refusal(path: Path) -> str:
    with pytest.raises(ArchiveError) as caught:
        content(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and text.isprintable()
    return text.removeprefix(f"{path}: ")


class Forged:
    """The archive's parts, to be changed and packed again; the manifest follows unless it is told not to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with zipfile.ZipFile(path) as packed:
            self.parts = {name: packed.read(name) for name in packed.namelist()}
        self.manifest: dict[str, Any] = json.loads(self.parts.pop(MANIFEST))

    def lines(self, part: str) -> list[bytes]:
        return self.parts[part].splitlines(keepends=True)

    def put(self, part: str, lines: list[bytes]) -> None:
        self.parts[part] = b"".join(lines)

    def true_manifest(self) -> None:
        """Of an archive whose author has taken care."""
        self.manifest["parts"] = [
            {"name": name, "records": data.count(b"\n"), "bytes": len(data), "sha256": sha256(data).hexdigest()}
            for name, data in self.parts.items()
            if name in PARTS
        ]

    def pack(self, compression: int = zipfile.ZIP_DEFLATED) -> None:
        with zipfile.ZipFile(self.path, "w", compression) as packed:
            for name, data in self.parts.items():
                packed.writestr(name, data)
            packed.writestr(MANIFEST, json.dumps(self.manifest))


@pytest.fixture
def forged(packed: Path) -> Iterator[Forged]:
    yield Forged(packed)


def test_cut_short_anywhere(packed: Path) -> None:
    whole = packed.read_bytes()
    for size in range(0, len(whole), 37):
        packed.write_bytes(whole[:size])
        assert refusal(packed).startswith("is no whole zip file")


def test_a_byte_changed_anywhere_is_seen_or_changes_nothing(packed: Path) -> None:
    whole, before = packed.read_bytes(), in_order(content(packed))
    for at in range(0, len(whole), 5):
        packed.write_bytes(whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1 :])
        try:
            assert in_order(content(packed)) == before
        except ArchiveError as error:
            assert str(error).startswith(f"{packed}: ") and str(error).isprintable()


def test_not_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("holiday.jpg", b"x")
    assert refusal(path).startswith("has no manifest.json; name a file that `sipgw pool export` has written")


def line_twice(forged: Forged) -> None:
    lines = forged.lines("joined.jsonl")
    forged.put("joined.jsonl", [lines[0], *lines])
    forged.true_manifest()


def out_of_order(forged: Forged) -> None:
    forged.put("messages.jsonl", forged.lines("messages.jsonl")[::-1])
    forged.true_manifest()


def bad_line(forged: Forged) -> None:
    lines = forged.lines("rooms.jsonl")
    forged.put("rooms.jsonl", [lines[0], lines[1].replace(b"ma-chan", b"http")])
    forged.true_manifest()


def no_json(forged: Forged) -> None:
    forged.put("messages.jsonl", [*forged.lines("messages.jsonl")[:3], b"hello\n"])
    forged.true_manifest()


def other_content(forged: Forged) -> None:
    forged.parts["messages.jsonl"] = forged.parts["messages.jsonl"].replace(b"line 4", b"line 9")


def fewer_records(forged: Forged) -> None:
    forged.manifest["parts"][3]["records"] += 1


def more_records(forged: Forged) -> None:
    forged.manifest["parts"][3]["records"] -= 1


def more_bytes(forged: Forged) -> None:
    forged.parts["rooms.jsonl"] += b"\n"


def no_such_part(forged: Forged) -> None:
    del forged.parts["joined.jsonl"]


def another_part(forged: Forged) -> None:
    forged.parts["../../etc/cron.d/x"] = b"* * * * * root x"


def absolute_part(forged: Forged) -> None:
    forged.parts["/etc/passwd"] = b"x"


def newer(forged: Forged) -> None:
    forged.manifest["version"] = 2


def endless_line(forged: Forged) -> None:
    forged.parts["rooms.jsonl"] = b" " * (3 << 20)
    forged.true_manifest()
    forged.manifest["parts"][0]["records"] = 2


def empty_lines(forged: Forged) -> None:
    forged.parts["messages.jsonl"] = b"\n" * (4 << 20)
    forged.true_manifest()


@pytest.mark.parametrize(
    ("forge", "told"),
    [
        (line_twice, f"joined.jsonl: line 2: {LOBBY.uri} alice@example.test is there twice"),
        (out_of_order, "messages.jsonl: line 2: "),
        (bad_line, "rooms.jsonl: line 2: uri: is no room URI"),
        (no_json, "messages.jsonl: line 4: invalid JSON"),
        (other_content, "messages.jsonl: is not what was exported: its SHA-256"),
        (fewer_records, "messages.jsonl: has 6 records"),
        (more_records, "messages.jsonl: has more in it than the 5 records"),
        (more_bytes, "rooms.jsonl: has "),
        (no_such_part, "joined.jsonl: is missing"),
        (another_part, "has a part '../../etc/cron.d/x' in it"),
        (absolute_part, "has a part '/etc/passwd' in it"),
        (newer, "manifest.json: is of version 2"),
        (endless_line, "rooms.jsonl: line 1: is longer than"),
        (empty_lines, "messages.jsonl: line 1: invalid JSON"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_damage_is_named(forged: Forged, forge: Callable[[Forged], None], told: str) -> None:
    forge(forged)
    forged.pack()
    assert refusal(forged.path).startswith(told)


def test_two_parts_of_one_name(forged: Forged) -> None:
    forged.pack()
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(forged.path, "a") as packed:
        packed.writestr("rooms.jsonl", b"")
    assert refusal(forged.path) == "has two parts of one name"


def test_a_manifest_too_large(forged: Forged) -> None:
    forged.manifest["created_text"] = "x" * 70_000
    forged.pack()
    assert refusal(forged.path).startswith("manifest.json: is larger than the 65536 bytes")


def test_a_bomb_goes_no_further_than_its_manifest(forged: Forged) -> None:
    """A part that says of itself in the zip that it is small, and is not."""
    data = forged.parts["rooms.jsonl"]
    forged.parts["rooms.jsonl"] = data + b"\n" * (64 << 20)
    forged.pack()
    raw = forged.path.read_bytes()
    size = len(forged.parts["rooms.jsonl"]).to_bytes(4, "little")
    assert raw.count(size) == 2  # in the local and in the central header
    forged.path.write_bytes(raw.replace(size, len(data).to_bytes(4, "little")))
    told = refusal(forged.path)
    assert told.startswith("rooms.jsonl: ")


def test_other_ways_of_packing(forged: Forged) -> None:
    forged.pack(zipfile.ZIP_STORED)
    assert len(content(forged.path)) == len(RECORDS)
    forged.pack(zipfile.ZIP_BZIP2)
    assert refusal(forged.path).endswith("is packed by a method that `sipgw pool export` never uses")


def test_an_encrypted_part(packed: Path) -> None:
    raw = bytearray(packed.read_bytes())
    at = raw.index(b"PK\x01\x02")  # the central header of the first part
    raw[at + 8] |= 1
    packed.write_bytes(bytes(raw))
    assert refusal(packed).startswith("rooms.jsonl: ")


def test_a_file_too_large(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with path.open("wb") as file:
        os.truncate(file.fileno(), room_archive.MAX_ARCHIVE + 1)
    assert refusal(path).startswith("is larger than the 1073741824 bytes")

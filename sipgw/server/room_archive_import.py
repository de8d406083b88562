"""An archive of rooms into a room store: all of it in one transaction, or nothing.

What is there already stays and is not there twice, so an import that was interrupted is run again. Rooms keep their
URIs, by which clients know them. No pool may run on the store meanwhile: it has its rooms and histories in memory,
would not see what comes, and would go on numbering messages from where it was. Trying it out is possible all the same.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from sqlite3 import Connection
from typing import Literal

from sipgw.groupchat.archive import Manifest, Part
from sipgw.groupchat.records import Joined, Message, Preference, Record
from sipgw.groupchat.rooms import Room, duplicates
from sipgw.groupchat.settings import MAX_ROOMS
from sipgw.server.room_archive import Archive, opened
from sipgw.server.room_archive_merge import merge
from sipgw.server.room_store import RoomStore, joined_in, messages_in, preferences_in, reading, rooms_in, write

Existing = Literal["refuse", "keep", "replace"]
MAX_MESSAGES = 100_000  # of one room in an archive; a pool keeps a hundredth of that


@dataclass
class Tally:
    """Records of one kind: in the archive; new in the store; there already; there, but others, and what became of them.
    `beyond` are messages that are older than what a pool keeps of a room."""

    given: int = 0
    new: int = 0
    there: int = 0
    replaced: int = 0
    kept: int = 0
    beyond: int = 0


@dataclass
class Report:
    """What an import did, or would do."""

    manifest: Manifest
    what_if: bool
    tallies: dict[str, Tally] = field(default_factory=dict)
    new_rooms: list[str] = field(default_factory=list)
    renumbered: list[str] = field(default_factory=list)

    @property
    def changes(self) -> bool:
        return any(tally.new or tally.replaced for tally in self.tallies.values())


def import_archive(path: Path, data: Path, existing: Existing = "refuse", what_if: bool = False) -> Report:
    """Import; with `what_if` into a copy in memory. `existing` says what becomes of a room that is there and differs.

    Raises ArchiveError, StoreError or OSError; then nothing has changed.
    """
    with opened(path) as archive, _target(data, what_if) as store, store.changing() as db:
        report = Report(archive.manifest, what_if)
        importing = _Import(archive, db, existing, store.history_per_room, report)
        for part in archive.manifest.parts:
            importing.take(part)
    return report


@contextmanager
def _target(data: Path, what_if: bool) -> Iterator[RoomStore]:
    if not what_if:
        with RoomStore(data) as store:
            yield store
        return
    with RoomStore(":memory:") as store:
        if data.exists() and data.stat().st_size:
            with reading(data) as db:
                store.copy_from(db)
        yield store


class _Import:
    """One run. `rooms` are those that there are by now, by URI."""

    def __init__(self, archive: Archive, db: Connection, existing: Existing, history: int, report: Report) -> None:
        self._archive = archive
        self._db = db
        self._existing = existing
        self._history = history
        self._report = report
        self._rooms = {room.uri: room for room in rooms_in(db)}

    def take(self, part: Part) -> None:
        kind = part.name.partition(".")[0]
        tally = self._report.tallies[kind] = Tally()
        records = self._counted(part, tally)
        match kind:
            case "rooms":
                self._take_rooms(records, part, tally)
            case "joined":
                self._take_joined(records, tally)
            case "preferences":
                self._take_preferences(records, tally)
            case "messages":
                self._take_messages(records, part, tally)

    def _counted(self, part: Part, tally: Tally) -> Iterator[Record]:
        for record in self._archive.records(part):
            tally.given += 1
            if isinstance(record, Joined | Message) and record.room_uri not in self._rooms:
                text = f"the room {record.room_uri} is neither in the archive nor in the store; import the rooms first"
                raise self._archive.error(part.name, text)
            yield record

    def _take_rooms(self, records: Iterator[Record], part: Part, tally: Tally) -> None:
        names = {room.name.casefold(): room.uri for room in self._rooms.values()}
        for room in records:
            assert isinstance(room, Room)
            held = self._rooms.get(room.uri)
            taken = names.setdefault(room.name.casefold(), room.uri)
            if taken != room.uri:
                text = f"the name {room.name!r} is that of the room {taken} already; rename one of them"
                raise self._archive.error(part.name, text)
            if held == room:
                tally.there += 1
            elif held is not None and self._existing == "keep":
                tally.kept += 1
            else:
                self._put_room(room, held, part, tally)
        self._check_rooms(part)

    def _put_room(self, room: Room, held: Room | None, part: Part, tally: Tally) -> None:
        if held is not None and self._existing == "refuse":
            fields = [name for name in Room.__slots__ if getattr(room, name) != getattr(held, name)]
            text = f"the room {room.name!r} is in the store with another {', '.join(fields)}"
            raise self._archive.error(part.name, f"{text}; give --existing keep, or --existing replace")
        write(self._db, room)
        self._rooms[room.uri] = room
        if held is None:
            tally.new += 1
            self._report.new_rooms.append(room.name)
        else:
            tally.replaced += 1

    def _check_rooms(self, part: Part) -> None:
        """What a pool that starts on the store would refuse. Names were looked at already."""
        if len(self._rooms) > MAX_ROOMS:
            raise self._archive.error(part.name, f"{len(self._rooms)} rooms are more than the {MAX_ROOMS} of a pool")
        for _, key, value in duplicates(self._rooms.values()):
            raise self._archive.error(part.name, f"the {key} {value} would belong to two rooms")

    def _take_joined(self, records: Iterator[Record], tally: Tally) -> None:
        held = {(one.room_uri, one.aor) for one in joined_in(self._db)}
        for one in records:
            assert isinstance(one, Joined)
            if (one.room_uri, one.aor) in held:
                tally.there += 1
            else:
                write(self._db, one)
                tally.new += 1

    def _take_preferences(self, records: Iterator[Record], tally: Tally) -> None:
        """One that its user's client has changed since is newer than the archive's, and stays."""
        held = {(one.aor, one.label): one for one in preferences_in(self._db)}
        for one in records:
            assert isinstance(one, Preference)
            known = held.get((one.aor, one.label))
            if known is None or (known != one and self._existing == "replace"):
                write(self._db, one)
                tally.new += known is None
                tally.replaced += known is not None
            else:
                tally.there += known == one
                tally.kept += known != one

    def _take_messages(self, records: Iterator[Record], part: Part, tally: Tally) -> None:
        messages = (record for record in records if isinstance(record, Message))
        for room_uri, group in groupby(messages, lambda message: message.room_uri):
            given = self._of_a_room(group, part)
            merged = merge(list(messages_in(self._db, room_uri)), given, self._history)
            tally.there += merged.there
            tally.new += merged.new
            tally.beyond += merged.beyond
            if merged.messages is None:
                continue
            self._db.execute("DELETE FROM messages WHERE room_uri = ?", (room_uri,))
            for message in merged.messages:
                write(self._db, message)
            if merged.renumbered:
                self._report.renumbered.append(self._rooms[room_uri].name)

    def _of_a_room(self, group: Iterator[Message], part: Part) -> list[Message]:
        given = []
        for message in group:
            given.append(message)
            if len(given) > MAX_MESSAGES:
                raise self._archive.error(part.name, f"a room has more than {MAX_MESSAGES} messages")
        return given

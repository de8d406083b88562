"""The room store: rooms, their people, preferences and history in one SQLite file.

One process at a time: two pools that wrote one history would both number its messages. Calls may come from any thread,
but not two at once.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sipgw.groupchat.records import Joined, Message, Preference, Record, State
from sipgw.groupchat.rooms import Room
from sipgw.server.store_file import StoreError

__all__ = ["RoomStore", "StoreError"]

SCHEMA = 1
APPLICATION = 0x73697072  # "sipr", so that another database, the gateway's own included, is not taken for ours
MEMORY = ":memory:"  # SQLite's name for no file at all
BUSY_TIMEOUT = 1.0  # seconds to wait for another process to let go

_TABLES = (
    """CREATE TABLE rooms (
        uri TEXT PRIMARY KEY, name TEXT NOT NULL, name_key TEXT NOT NULL UNIQUE, topic TEXT NOT NULL,
        description TEXT NOT NULL, open INTEGER NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE people (
        room_uri TEXT NOT NULL REFERENCES rooms, role TEXT NOT NULL CHECK (role IN ('member', 'manager')),
        aor TEXT NOT NULL, PRIMARY KEY (room_uri, role, aor)
    ) WITHOUT ROWID""",
    """CREATE TABLE joined (
        room_uri TEXT NOT NULL REFERENCES rooms, aor TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (room_uri, aor)
    ) WITHOUT ROWID""",
    """CREATE TABLE preferences (
        aor TEXT NOT NULL, label TEXT NOT NULL, seqid TEXT NOT NULL, content TEXT NOT NULL, PRIMARY KEY (aor, label)
    ) WITHOUT ROWID""",
    """CREATE TABLE messages (
        room_uri TEXT NOT NULL REFERENCES rooms, chat_id INTEGER NOT NULL, author TEXT NOT NULL, display TEXT NOT NULL,
        ts REAL NOT NULL, text TEXT NOT NULL, story TEXT NOT NULL, alert INTEGER NOT NULL,
        PRIMARY KEY (room_uri, chat_id)
    ) WITHOUT ROWID""",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {SCHEMA}",
)


class RoomStore:
    """The file at `path`, made when it is not there, and held until `close`; ":memory:" keeps nothing beyond that.

    `history_per_room` is how many messages of a room are kept; the oldest go. Raises StoreError, whose text is one line
    that names the file, when it cannot be opened, is another program's, or is newer than this program.
    """

    def __init__(self, path: Path | str, history_per_room: int = 1_000) -> None:
        self._path = Path(path)
        if str(path) != MEMORY:
            _create_private(self._path)
        self._history = history_per_room
        with self._clear_errors():
            self._db = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
        try:
            with self._clear_errors():
                self._prepare()
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> "RoomStore":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def load(self) -> State:
        """All that is stored. Raises StoreError."""
        with self._clear_errors():
            query = self._db.execute
            people: dict[tuple[str, str], set[str]] = {}
            for room_uri, role, aor in query("SELECT room_uri, role, aor FROM people"):
                people.setdefault((room_uri, role), set()).add(aor)
            return State(
                [_room(row, people) for row in query("SELECT uri, name, topic, description, open FROM rooms")],
                [Joined(*row) for row in query("SELECT room_uri, aor, at FROM joined")],
                [Preference(*row) for row in query("SELECT aor, label, seqid, content FROM preferences")],
                [_message(row) for row in query("SELECT * FROM messages ORDER BY room_uri, chat_id")],
            )

    def apply(self, records: Iterable[Record]) -> None:
        """Store the records, all or none of them, for good when it returns.

        A room replaces the one of its URI, people and all; what refers to a room comes after it. Raises StoreError,
        also for a room with the name of another one.
        """
        with self._clear_errors(), self._transaction():
            rooms = set()
            for record in records:
                _WRITERS[type(record)](self._db, record)
                if isinstance(record, Message):
                    rooms.add(record.room_uri)
            for room_uri in rooms:
                self._trim(room_uri)

    def _trim(self, room_uri: str) -> None:
        oldest = "(SELECT max(chat_id) FROM messages WHERE room_uri = ?1) - ?2"
        self._db.execute(f"DELETE FROM messages WHERE room_uri = ?1 AND chat_id <= {oldest}", (room_uri, self._history))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"room store {self._path}: {_said(error)}") from error

    def _prepare(self) -> None:
        query = self._db.execute
        query("PRAGMA locking_mode = EXCLUSIVE")
        query("PRAGMA foreign_keys = ON")
        query("PRAGMA synchronous = FULL")
        application, version = (query(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
        empty = query("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0 and version == 0
        if not empty and application != APPLICATION:
            raise StoreError(f"room store {self._path}: the database of another program; name another file")
        if version > SCHEMA:
            newer = f"written by a newer sipgw (schema {version}, this one knows {SCHEMA}); upgrade"
            raise StoreError(f"room store {self._path}: {newer}")
        query("PRAGMA journal_mode = WAL")
        with self._transaction():  # which takes the lock also where there is nothing to make
            for statement in _TABLES if empty else ():
                query(statement)


def _create_private(path: Path) -> None:
    """What people say in a room is theirs: only the file's owner may read it, unless somebody decides otherwise."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except FileNotFoundError:
        advice = "make it, or name another file"
        raise StoreError(f"room store {path}: there is no folder {path.parent}; {advice}") from None
    except OSError as error:
        raise StoreError(f"room store {path}: {error.strerror}; change that, or name another file") from None


def _said(error: sqlite3.Error) -> str:
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:  # the low byte of an extended code is the primary one
        case sqlite3.SQLITE_BUSY:
            return "another process has it open; stop that, or name another file"
        case sqlite3.SQLITE_NOTADB:
            return "not a database; name another file"
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY:
            return f"{error}; make the file and its folder writable for this user"
        case sqlite3.SQLITE_CORRUPT:
            return f"{error}; restore it from a copy, or remove it and start anew"
    return str(error)


def _room(row: tuple[Any, ...], people: dict[tuple[str, str], set[str]]) -> Room:
    uri, name, topic, description, is_open = row
    members = None if is_open else frozenset(people.get((uri, "member"), ()))
    return Room(uri, name, topic, description, members, frozenset(people.get((uri, "manager"), ())))


def _message(row: tuple[Any, ...]) -> Message:
    message = Message(*row)
    return replace(message, alert=bool(message.alert))  # SQLite has no truth values


def _write_room(db: sqlite3.Connection, room: Room) -> None:
    key = room.name.casefold()
    holder = db.execute("SELECT uri FROM rooms WHERE name_key = ? AND uri <> ?", (key, room.uri)).fetchone()
    if holder is not None:
        raise sqlite3.IntegrityError(f"the room name {room.name!r} is taken by {holder[0]}; choose another")
    db.execute(
        "INSERT INTO rooms VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (uri) DO UPDATE"
        " SET name = ?2, name_key = ?3, topic = ?4, description = ?5, open = ?6",
        (room.uri, room.name, key, room.topic, room.description, room.members is None),
    )
    db.execute("DELETE FROM people WHERE room_uri = ?", (room.uri,))
    people = [(room.uri, "member", aor) for aor in room.members or ()]
    people += [(room.uri, "manager", aor) for aor in room.managers]
    db.executemany("INSERT INTO people VALUES (?, ?, ?)", people)


def _write_joined(db: sqlite3.Connection, joined: Joined) -> None:
    db.execute("INSERT OR IGNORE INTO joined VALUES (?, ?, ?)", (joined.room_uri, joined.aor, joined.at))


def _write_preference(db: sqlite3.Connection, kept: Preference) -> None:
    row = (kept.aor, kept.label, kept.seqid, kept.content)
    db.execute("INSERT OR REPLACE INTO preferences VALUES (?, ?, ?, ?)", row)


def _write_message(db: sqlite3.Connection, message: Message) -> None:
    row = (
        message.room_uri,
        message.chat_id,
        message.author,
        message.display,
        message.ts,
        message.text,
        message.story,
        message.alert,
    )
    db.execute("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)


_WRITERS: dict[type, Callable[[sqlite3.Connection, Any], None]] = {
    Room: _write_room,
    Joined: _write_joined,
    Preference: _write_preference,
    Message: _write_message,
}

"""The room store: rooms, their people, preferences and history in one SQLite file.

One process at a time writes to it: two pools that wrote one history would both number its messages. That one holds a
lock on a file beside it; whoever only reads sees one state of it all the while (`reading`). Calls may come from any
thread, but not two at once.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
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
LOCK = "-lock"  # what the name of the lock's file ends with
_HELD = "another process has it open; stop that, or name another file"

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
        self.history_per_room = history_per_room
        self._lock = _locked(self._path) if str(path) != MEMORY else None
        try:
            if str(path) != MEMORY:
                _create_private(self._path)
            with clear_errors(self._path):
                self._db = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
            self._prepare_or_close()
        except BaseException:
            self._unlock()
            raise

    def close(self) -> None:
        self._db.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _prepare_or_close(self) -> None:
        try:
            with clear_errors(self._path):
                self._prepare()
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> "RoomStore":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def copy_from(self, other: sqlite3.Connection) -> None:
        """Have what another store has, and nothing else. Raises StoreError."""
        with clear_errors(self._path):
            other.backup(self._db)

    def load(self) -> State:
        """All that is stored. Raises StoreError."""
        with clear_errors(self._path):
            db = self._db
            return State(rooms_in(db), list(joined_in(db)), list(preferences_in(db)), list(messages_in(db)))

    def apply(self, records: Iterable[Record]) -> None:
        """Store the records, all or none of them, for good when it returns.

        A room replaces the one of its URI, people and all; what refers to a room comes after it. Raises StoreError,
        also for a room with the name of another one.
        """
        with self.changing() as db:
            rooms = set()
            for record in records:
                write(db, record)
                if isinstance(record, Message):
                    rooms.add(record.room_uri)
            for room_uri in rooms:
                trim(db, room_uri, self.history_per_room)

    @contextmanager
    def changing(self, keep: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction: all that is done in it is there for good at the end, or nothing; nothing, too, without `keep`.

        Raises StoreError.
        """
        with clear_errors(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT" if keep else "ROLLBACK")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _prepare(self) -> None:
        query = self._db.execute
        query("PRAGMA foreign_keys = ON")
        query("PRAGMA synchronous = FULL")
        empty = _check(self._path, self._db)
        query("PRAGMA journal_mode = WAL")
        with self.changing():  # which shows that it can be written also where there is nothing to make
            for statement in _TABLES if empty else ():
                query(statement)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that changes nothing and sees one state of the file throughout, also while a pool runs on it.

    Raises StoreError, also where there is no such file.
    """
    if not path.exists():
        raise StoreError(f"room store {path}: there is no such file; name the --data of a pool")
    with clear_errors(path), closing(_open_to_read(path)) as db:
        db.execute("BEGIN")
        if _check(path, db):
            raise StoreError(f"room store {path}: is empty; name the --data of a pool")
        yield db


def _open_to_read(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, timeout=BUSY_TIMEOUT, isolation_level=None, uri=True)


def _check(path: Path, db: sqlite3.Connection) -> bool:
    """Whether there is nothing in it yet. Raises StoreError for what is not a room store that we know."""
    application, version = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    empty = bool(db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0 and version == 0)
    if not empty and application != APPLICATION:
        raise StoreError(f"room store {path}: the database of another program; name another file")
    if version > SCHEMA:
        newer = f"written by a newer sipgw (schema {version}, this one knows {SCHEMA}); upgrade"
        raise StoreError(f"room store {path}: {newer}")
    return empty


@contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into StoreError."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"room store {path}: {_said(error)}") from error


def _locked(path: Path) -> int:
    """The descriptor of a file beside the store, locked while it is open, and so until this process ends, however it
    does. Not the store's own file: SQLite's locks on that end when any descriptor of it is closed."""
    beside = path.with_name(path.name + LOCK)
    try:
        lock = os.open(beside, os.O_CREAT | os.O_RDWR, 0o600)
    except FileNotFoundError:
        raise StoreError(_no_folder(path)) from None
    except OSError as error:
        raise StoreError(f"room store {path}: {beside}: {error.strerror}; change that, or name another file") from None
    with suppress(OSError):  # root may import; the pool that runs as somebody else takes the same lock later
        owner = path.stat()
        os.fchown(lock, owner.st_uid, owner.st_gid)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise StoreError(f"room store {path}: {_HELD}") from None
    return lock


def _no_folder(path: Path) -> str:
    return f"room store {path}: there is no folder {path.parent}; make it, or name another file"


def _create_private(path: Path) -> None:
    """What people say in a room is theirs: only the file's owner may read it, unless somebody decides otherwise."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreError(f"room store {path}: {error.strerror}; change that, or name another file") from None


def _said(error: sqlite3.Error) -> str:
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:  # the low byte of an extended code is the primary one
        case sqlite3.SQLITE_BUSY:
            return _HELD
        case sqlite3.SQLITE_NOTADB:
            return "not a database; name another file"
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY:
            return f"{error}; make the file and its folder writable for this user"
        case sqlite3.SQLITE_CORRUPT:
            return f"{error}; restore it from a copy, or remove it and start anew"
    return str(error)


def rooms_in(db: sqlite3.Connection) -> list[Room]:
    """The rooms, by URI."""
    people: dict[tuple[str, str], set[str]] = {}
    for room_uri, role, aor in db.execute("SELECT room_uri, role, aor FROM people"):
        people.setdefault((room_uri, role), set()).add(aor)
    query = "SELECT uri, name, topic, description, open FROM rooms ORDER BY uri"
    return [_room(row, people) for row in db.execute(query)]


def joined_in(db: sqlite3.Connection) -> Iterator[Joined]:
    return (Joined(*row) for row in db.execute("SELECT room_uri, aor, at FROM joined ORDER BY room_uri, aor"))


def preferences_in(db: sqlite3.Connection) -> Iterator[Preference]:
    query = "SELECT aor, label, seqid, content FROM preferences ORDER BY aor, label"
    return (Preference(*row) for row in db.execute(query))


def messages_in(db: sqlite3.Connection, room_uri: str = "", since: float = float("-inf")) -> Iterator[Message]:
    """The messages, of one room when that is named, in the order of rooms and numbers."""
    chosen = "ts >= ?1 AND room_uri = ?2" if room_uri else "ts >= ?1"
    query = f"SELECT * FROM messages WHERE {chosen} ORDER BY room_uri, chat_id"
    return (_message(row) for row in db.execute(query, (since, room_uri) if room_uri else (since,)))


def trim(db: sqlite3.Connection, room_uri: str, history: int) -> None:
    """Let the oldest messages of a room go, all but `history`."""
    oldest = "(SELECT max(chat_id) FROM messages WHERE room_uri = ?1) - ?2"
    db.execute(f"DELETE FROM messages WHERE room_uri = ?1 AND chat_id <= {oldest}", (room_uri, history))


def write(db: sqlite3.Connection, record: Record) -> None:
    """Within a transaction; see RoomStore.apply."""
    _WRITERS[type(record)](db, record)


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

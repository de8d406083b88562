"""The store's SQLite file: its schema, how it is opened, and what is said when it cannot be."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sipgw.core.location import KEY, ROW

SCHEMA = 2
APPLICATION = 0x73697067  # "sipg", so that another program's database is not taken for ours
BUSY_TIMEOUT = 5.0  # seconds to wait for another process's transaction; ours take milliseconds
COLUMNS = ", ".join(ROW)

_BINDINGS = f"""CREATE TABLE bindings (
        aor TEXT NOT NULL, contact TEXT NOT NULL, instance TEXT NOT NULL, reg_id INTEGER NOT NULL, epid TEXT NOT NULL,
        q REAL NOT NULL, expires_at REAL NOT NULL, call_id TEXT NOT NULL, cseq INTEGER NOT NULL, path TEXT NOT NULL,
        received TEXT NOT NULL, user_agent TEXT NOT NULL, since INTEGER NOT NULL, PRIMARY KEY ({", ".join(KEY)})
    ) WITHOUT ROWID"""
_BINDING_OF_ENDPOINT = """CREATE TRIGGER binding_of_endpoint BEFORE INSERT ON bindings
        WHEN EXISTS (SELECT 1 FROM endpoints WHERE sip_address = 'sip:' || NEW.aor)
        BEGIN SELECT RAISE(ABORT, 'the address has become an endpoint'); END"""
_SCHEMA = (
    """CREATE TABLE endpoints (
        sip_address TEXT PRIMARY KEY, pool_fqdn TEXT NOT NULL, display_name TEXT NOT NULL, created REAL NOT NULL
    )""",
    _BINDINGS,
    "CREATE TABLE state (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
    _BINDING_OF_ENDPOINT,
    """CREATE TRIGGER endpoint_added AFTER INSERT ON endpoints
        BEGIN UPDATE state SET value = value + 1 WHERE name = 'endpoints_version'; END""",
    """CREATE TRIGGER endpoint_removed AFTER DELETE ON endpoints
        BEGIN UPDATE state SET value = value + 1 WHERE name = 'endpoints_version'; END""",
)
_TO_SCHEMA_2 = (  # flows of one client may share a Contact (RFC 5626); `since` is for temporary GRUUs (RFC 5627)
    "DROP TRIGGER binding_of_endpoint",
    "ALTER TABLE bindings RENAME TO bindings_1",
    _BINDINGS,
    "INSERT INTO bindings SELECT *, cseq FROM bindings_1",
    "DROP TABLE bindings_1",
    _BINDING_OF_ENDPOINT,
)
_ADVICE = {  # by SQLite's primary result code
    sqlite3.SQLITE_BUSY: "another process holds it; try again",
    sqlite3.SQLITE_FULL: "free some disk space",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable for this user",
    sqlite3.SQLITE_CANTOPEN: "make the file and its folder readable and writable for this user",
    sqlite3.SQLITE_NOTADB: "name another file in store.url",
    sqlite3.SQLITE_CORRUPT: "restore it from a copy, or remove it and start anew",
}


class StoreError(Exception):
    """The store cannot be opened, read or written. The text is one line that names the file and what to do."""


@contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors, and Python's about values that SQLite cannot hold, into StoreError."""
    try:
        yield
    except (sqlite3.Error, ValueError, OverflowError) as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte of an extended code is the primary one
        advice = _ADVICE.get(code)
        raise StoreError(f"store {path}: {error}" + (f"; {advice}" if advice else "")) from error


def connect(path: Path, one_thread: bool = True) -> sqlite3.Connection:
    """A connection that commits to the disk before it says so. Raises StoreError."""
    with clear_errors(path):
        connection = sqlite3.connect(path, BUSY_TIMEOUT, isolation_level=None, check_same_thread=one_thread)
        try:
            connection.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error:
            connection.close()
            raise
    return connection


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that changes nothing and sees one state of the file throughout, beside whoever writes to it.

    Raises StoreError, also for a file that has to be made or converted first.
    """
    with clear_errors(path), closing(connect(path)) as connection:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        version = version_of(path, connection)
        if version != SCHEMA:
            raise StoreError(f"store {path}: has schema {version}, not {SCHEMA}; start the gateway, which converts it")
        yield connection


@contextmanager
def transaction(path: Path) -> Iterator[sqlite3.Connection]:
    """A writing transaction on a connection of its own: committed at the end, rolled back on any error.

    Raises StoreError.
    """
    with clear_errors(path), closing(connect(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")  # closing without it rolls back


def create(path: Path) -> None:
    """Make the file unless it is there, and check that it is a store of ours. Raises StoreError."""
    _create_private(path)
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            _prepare(path)
            return
        except StoreError as error:
            if not _is_busy(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.01)  # another process is making it; SQLite does not wait for the switch to the write-ahead log


def _create_private(path: Path) -> None:
    """The file holds a secret: only its owner may read it, unless somebody decides otherwise later.

    One that is there is not opened: closing it again would give up the locks that this process has on it.
    """
    if path.exists():
        return
    if not path.parent.is_dir():
        raise StoreError(f"store {path}: there is no folder {path.parent}; make it or change store.url")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        pass  # made by another process just now
    except OSError as error:
        raise StoreError(f"store {path}: {error.strerror}; change that or store.url") from None


def _is_busy(error: StoreError) -> bool:
    return getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def _prepare(path: Path) -> None:
    with clear_errors(path), closing(connect(path)) as connection:
        if version_of(path, connection) == SCHEMA:
            return
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise StoreError(f"store {path}: no write-ahead log is possible there; put it on a local disk")
        connection.execute("BEGIN IMMEDIATE")
        version = version_of(path, connection)  # asked again: two processes may make or convert a file at once
        if version == 0:
            _create_schema(connection)
        elif version == 1:
            _convert(connection)
        connection.execute("COMMIT")


def version_of(path: Path, connection: sqlite3.Connection) -> int:
    """The schema's number, 0 in an empty file. Raises StoreError for what is not ours."""
    # In this order: another process may make the schema meanwhile, and then what is read later is ours.
    empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    application = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    if application != APPLICATION and not empty:
        raise StoreError(f"store {path}: the database of another program; name another file in store.url")
    if version > SCHEMA:
        raise StoreError(f"store {path}: written by a newer sipgw (schema {version}, this one knows {SCHEMA}); upgrade")
    return version


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _create_schema(connection: sqlite3.Connection) -> None:
    for statement in _SCHEMA:
        connection.execute(statement)
    connection.execute("INSERT INTO state VALUES ('endpoints_version', 0), ('secret', ?)", (os.urandom(32),))
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {SCHEMA}")


def _convert(connection: sqlite3.Connection) -> None:
    """From the schema of the first release. A gateway of that release that still has the file open fails to write."""
    for statement in _TO_SCHEMA_2:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA}")

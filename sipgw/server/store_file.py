"""The store's SQLite file: how it is opened, and what is said when it cannot be."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sipgw.server.store_schema import COLUMNS, SCHEMA, StoreError, bring_up_to_date, version_of

__all__ = ["COLUMNS", "StoreError", "clear_errors", "connect", "create", "reading", "transaction"]

BUSY_TIMEOUT = 5.0  # seconds to wait for another process's transaction; ours take milliseconds
_ADVICE = {  # by SQLite's primary result code
    sqlite3.SQLITE_BUSY: "another process holds it; try again",
    sqlite3.SQLITE_FULL: "free some disk space",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable for this user",
    sqlite3.SQLITE_CANTOPEN: "make the file and its folder readable and writable for this user, or change store.url",
    sqlite3.SQLITE_NOTADB: "name another file in store.url",
    sqlite3.SQLITE_CORRUPT: "restore it from a copy, or remove it and start anew",
}


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
        if version != SCHEMA:
            bring_up_to_date(connection, version)
        connection.execute("COMMIT")

"""Copies of the store, and their way back, also beside a gateway that runs on it."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from sipgw.registry import HeldByUser
from sipgw.server.store_file import StoreError, clear_errors, connect, create
from sipgw.server.store_schema import COLUMNS, version_of

KEPT = "-before-restore"
_COPIED = ("endpoints", "pool_states")  # what a running gateway takes over
_TAKEN = """SELECT e.sip_address, b.contact FROM other.endpoints e JOIN bindings b ON e.sip_address = 'sip:' || b.aor
    WHERE b.expires_at > ? LIMIT 1"""


class Restored(NamedTuple):
    """What was put back, and where the store as it was is kept: None where there was none."""

    text: str
    kept: Path | None


def back_up(store: Path, target: Path, replace: bool = False) -> str:
    """Copy a store. Returns what is in the copy. Raises StoreError or OSError."""
    if not store.exists():
        raise StoreError(f"store {store}: there is none yet; the gateway makes it, and so does `sipgw endpoint new`")
    if not replace and target.exists():
        raise StoreError(f"{target} is there already; name another file, or give --replace")
    _check(store)
    with _new_file(target) as new:
        _copy(store, new)
        text = _counted(new)
    return text


def put_back(source: Path, store: Path, running: bool) -> Restored:
    """Replace what is in a store by a copy's content; with a gateway running on it, all but its registrations.

    Raises StoreError, HeldByUser or OSError; then the store is as it was.
    """
    staged = store.with_name(f"{store.name}.restoring")
    with _new_file(staged, keep=False) as new:
        _check_copy(source)
        _copy(source, new)
        with clear_errors(source), closing(connect(new)) as connection:
            if connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise StoreError(f"store {source}: is damaged; restore another copy")
        create(new)  # brings an older schema up to date
        if not store.exists():
            _move(new, store)
            return Restored(_counted(store), None)
        kept = _keep(store, running)
        if kept.damaged:
            _move(new, store)
        else:
            _fill(store, new, running)
        return Restored(_counted(store), kept.path)


class _Kept(NamedTuple):
    path: Path
    damaged: bool


def _check(source: Path) -> None:
    with clear_errors(source), closing(_read_only(source)) as connection:
        if version_of(source, connection) == 0:
            raise StoreError(f"store {source}: is empty; name a file that `sipgw backup` has written")


def _check_copy(source: Path) -> None:
    """Of what is no copy it is the name on the command line that is wrong, and not the configuration."""
    try:
        _check(source)
    except StoreError as error:
        text = str(error).replace("name another file in store.url", "name a file that `sipgw backup` has written")
        raise StoreError(text.replace(", or name a file of its own in store.url", "")) from error


def _keep(store: Path, running: bool) -> _Kept:
    """A copy of the store as it is; of a damaged one, the file itself."""
    path = store.with_name(store.name + KEPT)
    try:
        with _new_file(path) as new:
            _copy(store, new)
        create(store)
    except StoreError:
        if running:
            raise
        store.replace(path)
        return _Kept(path, True)
    return _Kept(path, False)


def _move(new: Path, store: Path) -> None:
    with clear_errors(new), closing(connect(new)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    for suffix in ("-wal", "-shm"):  # of a file that is no more
        store.with_name(store.name + suffix).unlink(missing_ok=True)
    new.replace(store)


def _fill(store: Path, source: Path, running: bool) -> None:
    """In one transaction, so that a gateway sees all of it or nothing; the triggers count the change."""
    with clear_errors(store), closing(connect(store)) as connection:
        connection.execute("ATTACH ? AS other", (str(source),))
        connection.execute("BEGIN IMMEDIATE")
        taken = connection.execute(_TAKEN, (time.time(),)).fetchone() if running else None
        if taken is not None:
            raise HeldByUser(f"{taken[0]} is an endpoint in the copy, and a user is signed in there now ({taken[1]})")
        for table in _COPIED:
            connection.execute(f"DELETE FROM {table}")
        if not running:
            connection.execute("DELETE FROM bindings")
            connection.execute(f"INSERT INTO bindings ({COLUMNS}) SELECT {COLUMNS} FROM other.bindings")
            connection.execute("DELETE FROM state WHERE name = 'secret'")
            connection.execute("INSERT INTO state SELECT * FROM other.state WHERE name = 'secret'")
        for table in _COPIED:
            connection.execute(f"INSERT INTO {table} SELECT * FROM other.{table}")
        connection.execute("COMMIT")


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)


def _copy(source: Path, target: Path) -> None:
    """Whatever is written to the source meanwhile, the copy is one state of it, in one file."""
    with clear_errors(source), closing(_read_only(source)) as opened, closing(sqlite3.connect(target)) as new:
        opened.backup(new)
        new.execute("PRAGMA journal_mode = DELETE")


@contextmanager
def _new_file(target: Path, keep: bool = True) -> Iterator[Path]:
    """A file for its owner's eyes only, which gets its name when it is complete, and is on the disk by then."""
    new = target.with_name(f".{target.name}.new") if keep else target
    _remove(new)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        yield new
        if keep:
            with new.open("rb") as file:
                os.fsync(file.fileno())
            new.replace(target)
    finally:
        _remove(new)


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()


def _counted(path: Path) -> str:
    """What is in a store, for people."""
    with clear_errors(path), closing(_read_only(path)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        counts = {
            name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] if name in tables else 0
            for name in ("endpoints", "pool_states", "bindings")
        }
    return "{endpoints} endpoints, {pool_states} states of pools, {bindings} registrations".format(**counts)

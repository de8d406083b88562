"""The store's schema, and how files of earlier releases come to it. The number is SQLite's `user_version`."""

import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from sipgw.core.location import KEY, ROW

SCHEMA = 3
APPLICATION = 0x73697067  # "sipg", so that another program's database is not taken for ours
COLUMNS = ", ".join(ROW)

_ENDPOINTS = """CREATE TABLE endpoints (
        sip_address TEXT PRIMARY KEY, pool_fqdn TEXT NOT NULL, display_name TEXT NOT NULL, created REAL NOT NULL
    )"""
_BINDINGS = f"""CREATE TABLE bindings (
        aor TEXT NOT NULL, contact TEXT NOT NULL, instance TEXT NOT NULL, reg_id INTEGER NOT NULL, epid TEXT NOT NULL,
        q REAL NOT NULL, expires_at REAL NOT NULL, call_id TEXT NOT NULL, cseq INTEGER NOT NULL, path TEXT NOT NULL,
        received TEXT NOT NULL, user_agent TEXT NOT NULL, since INTEGER NOT NULL, PRIMARY KEY ({", ".join(KEY)})
    ) WITHOUT ROWID"""
_BINDING_OF_ENDPOINT = """CREATE TRIGGER binding_of_endpoint BEFORE INSERT ON bindings
        WHEN EXISTS (SELECT 1 FROM endpoints WHERE sip_address = 'sip:' || NEW.aor)
        BEGIN SELECT RAISE(ABORT, 'the address has become an endpoint'); END"""
_POOL_STATES = """CREATE TABLE pool_states (
        pool_fqdn TEXT PRIMARY KEY, failed_over INTEGER NOT NULL, active TEXT NOT NULL, inactive TEXT NOT NULL
    ) WITHOUT ROWID"""


def _counted(name: str, when: str) -> str:
    """A change that a running gateway is to see."""
    return f"""CREATE TRIGGER {name} AFTER {when}
        BEGIN UPDATE state SET value = value + 1 WHERE name = 'endpoints_version'; END"""


_COUNTED_STATES = (
    _counted("pool_state_added", "INSERT ON pool_states"),
    _counted("pool_state_removed", "DELETE ON pool_states"),
)
_SCHEMA = (
    _ENDPOINTS,
    _BINDINGS,
    "CREATE TABLE state (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
    _BINDING_OF_ENDPOINT,
    _counted("endpoint_added", "INSERT ON endpoints"),
    _counted("endpoint_removed", "DELETE ON endpoints"),
    _POOL_STATES,
    *_COUNTED_STATES,
)
_MIGRATIONS: Mapping[int, Sequence[str]] = {  # from each schema to the next
    1: (  # flows of one client may share a Contact (RFC 5626); `since` is for temporary GRUUs (RFC 5627)
        "DROP TRIGGER binding_of_endpoint",
        "ALTER TABLE bindings RENAME TO bindings_1",
        _BINDINGS,
        "INSERT INTO bindings SELECT *, cseq FROM bindings_1",
        "DROP TABLE bindings_1",
        _BINDING_OF_ENDPOINT,
    ),
    2: (_POOL_STATES, *_COUNTED_STATES),
}


class StoreError(Exception):
    """The store cannot be opened, read or written. The text is one line that names the file and what to do."""


def version_of(path: Path, connection: sqlite3.Connection) -> int:
    """The schema's number, 0 in an empty file. Raises StoreError for what is not ours, and what is newer than this."""
    # In this order: another process may make the schema meanwhile, and then what is read later is ours.
    empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    application = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    if application != APPLICATION and not empty:
        raise StoreError(f"store {path}: the database of another program; name another file in store.url")
    if version > SCHEMA:
        raise StoreError(
            f"store {path}: written by a newer sipgw (schema {version}, this one knows {SCHEMA}); "
            "upgrade this one, or name a file of its own in store.url"
        )
    return version


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def bring_up_to_date(connection: sqlite3.Connection, version: int) -> None:
    """Make the schema in an empty file (version 0), or convert an older one; in a transaction of the caller's.

    A gateway of an older release that still has the file open fails to write.
    """
    if version == 0:
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.execute("INSERT INTO state VALUES ('endpoints_version', 0), ('secret', ?)", (os.urandom(32),))
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
    else:
        for older in range(version, SCHEMA):
            for statement in _MIGRATIONS[older]:
                connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA}")

"""The store: endpoints and registrations in one SQLite file, which the gateway and the command line share.

Registrations are written by one thread, many in one transaction, and reported as done only when they are on the disk.
Endpoints are few and changed at once, in a transaction of their own that keeps the rule that an address-of-record is an
endpoint or a user and never both, whichever process changes what. Times are seconds of the wall clock.
"""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sipgw.core.location import ROW
from sipgw.registry import AlreadyExists, Endpoint, HeldByUser, NotFound, already_exists
from sipgw.server.store_file import COLUMNS, StoreError, clear_errors, connect, create, reading, transaction
from sipgw.server.store_writer import StoreBusy, Writer

__all__ = ["ROW", "Contents", "Done", "Row", "Store", "StoreBusy", "StoreError", "contents"]

Row = tuple[Any, ...]  # in the order of `location.ROW`; what is deleted, in that of `location.KEY`
Done = Callable[[Exception | None], None]

_ENDPOINTS = "SELECT sip_address, pool_fqdn, display_name FROM endpoints ORDER BY created, rowid"
_VALUE = "SELECT value FROM state WHERE name = ?"


class Store:
    """One open store. Reading belongs to the thread that opened it; changes may come from any thread."""

    def __init__(self, path: Path, connection: sqlite3.Connection, writer: Writer) -> None:
        self.path = path
        self._connection = connection
        self._writer = writer

    @classmethod
    def open(cls, path: Path) -> "Store":
        """Open the file, making it when there is none. Raises StoreError."""
        create(path)
        return cls(path, connect(path), Writer(path))

    def load_bindings(self, now_wall: float) -> Iterator[Row]:
        """Every stored registration that has not run out; those that have are removed. Raises StoreError."""
        with transaction(self.path) as connection:
            connection.execute("DELETE FROM bindings WHERE expires_at <= ?", (now_wall,))
        return self._read(f"SELECT {COLUMNS} FROM bindings")

    def load_endpoints(self) -> list[Endpoint]:
        """The stored endpoints in the order in which they were made. Raises StoreError."""
        return [Endpoint(*row) for row in self._read(_ENDPOINTS)]

    def data_version(self) -> int:
        """A number that changes whenever any process changes the endpoints. Cheap, waits for nobody."""
        return int(self._value("endpoints_version"))

    def secret(self) -> bytes:
        """32 random bytes, made with the file and the same ever since: what flow tokens are authenticated with."""
        return bytes(self._value("secret"))

    def _value(self, name: str) -> Any:
        return next(self._read(_VALUE, name))[0]

    def _read(self, statement: str, *values: object) -> Iterator[Row]:
        with clear_errors(self.path):
            yield from self._connection.execute(statement, values)

    def write_bindings(self, puts: list[Row], deletes: list[Row], done: Done) -> None:
        """Queue one change: the deletes, then the puts, all or none. Never waits and never raises.

        `done` is called with None once the change is durable, else with the error: from the writer's thread, or from
        this call at once with StoreBusy when too many changes wait, or StoreError after `close`.
        """
        self._writer.submit(puts, deletes, done)

    def add_endpoint(self, endpoint: Endpoint, now_wall: float) -> None:
        """Store an endpoint. Raises AlreadyExists, HeldByUser or StoreError."""
        row = (endpoint.sip_address, endpoint.pool_fqdn, endpoint.display_name, now_wall)
        with transaction(self.path) as connection:
            _refuse_taken(connection, endpoint, now_wall)
            connection.execute("INSERT INTO endpoints VALUES (?, ?, ?, ?)", row)

    def remove_endpoint(self, sip_address: str) -> None:
        """Remove a stored endpoint by its normal address. Raises NotFound or StoreError."""
        with transaction(self.path) as connection:
            removed = connection.execute("DELETE FROM endpoints WHERE sip_address = ?", (sip_address,)).rowcount
        if not removed:
            raise NotFound(f"no endpoint {sip_address} is stored; it may just have been removed")

    def check_writable(self) -> None:
        """Raises StoreError when no change could be made now."""
        with transaction(self.path):
            pass

    def close(self) -> None:
        """Write what is queued, then close. Further writes are refused."""
        self._writer.close()
        self._connection.close()


class Contents(NamedTuple):
    """What is in a store: endpoints, live registrations, and the key of flow tokens."""

    endpoints: list[Endpoint]
    bindings: list[Row]
    secret: bytes


def contents(path: Path, now_wall: float) -> Contents:
    """Read a store that is there, changing nothing, also while a gateway runs on it. Raises StoreError."""
    with reading(path) as connection:
        endpoints = [Endpoint(*row) for row in connection.execute(_ENDPOINTS)]
        live = connection.execute(f"SELECT {COLUMNS} FROM bindings WHERE expires_at > ?", (now_wall,)).fetchall()
        (secret,) = connection.execute(_VALUE, ("secret",)).fetchone()
    return Contents(endpoints, live, bytes(secret))


def _refuse_taken(connection: sqlite3.Connection, endpoint: Endpoint, now_wall: float) -> None:
    held = connection.execute(
        "SELECT sip_address, pool_fqdn, display_name FROM endpoints WHERE sip_address = ?", (endpoint.sip_address,)
    ).fetchone()
    if held is not None:
        raise AlreadyExists(already_exists(Endpoint(*held)))
    binding = connection.execute(
        "SELECT contact, expires_at FROM bindings WHERE aor = ? AND expires_at > ? ORDER BY expires_at DESC",
        (endpoint.key, now_wall),
    ).fetchone()
    if binding is not None:
        contact, expires_at = binding
        raise HeldByUser(
            f"{endpoint.sip_address} is held by a user who is signed in ({contact}, for another "
            f"{expires_at - now_wall:.0f} s); sign that user out first"
        )

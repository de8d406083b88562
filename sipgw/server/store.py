"""The store: endpoints, states of pools and registrations in one SQLite file.

The gateway and the command line share it. Registrations are written by one thread, many in one transaction, and
reported as done only when they are on the disk. Endpoints are few and changed at once, in a transaction of their own
that keeps the rule that an address-of-record is an endpoint or a user and never both, whichever process changes what;
states of pools likewise. Times are seconds of the wall clock.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sipgw.core.location import ROW
from sipgw.registry import AlreadyExists, Endpoint, HeldByUser, NotFound, PoolState, already_exists
from sipgw.registry.pool_state import Change
from sipgw.server.store_file import COLUMNS, StoreError, clear_errors, connect, create, reading, transaction
from sipgw.server.store_writer import StoreBusy, Writer

__all__ = ["ROW", "Contents", "Done", "Row", "Store", "StoreBusy", "StoreError", "contents"]

Row = tuple[Any, ...]  # in the order of `location.ROW`; what is deleted, in that of `location.KEY`
Done = Callable[[Exception | None], None]

_ENDPOINTS = "SELECT sip_address, pool_fqdn, display_name FROM endpoints ORDER BY created, rowid"
_STATES = "SELECT pool_fqdn, failed_over, active, inactive FROM pool_states"
_VALUE = "SELECT value FROM state WHERE name = ?"


class Store:
    """One open store. Reading belongs to the thread that opened it; changes may come from any thread."""

    def __init__(self, path: Path, connection: sqlite3.Connection, writer: Writer | None) -> None:
        self.path = path
        self._connection = connection
        self._writer = writer

    @classmethod
    def open(cls, path: Path, writes: bool = True) -> "Store":
        """Open the file, making it when there is none. Of all that have it open one process `writes` registrations.
        Raises StoreError."""
        create(path)
        return cls(path, connect(path), Writer(path) if writes else None)

    def load_bindings(self, now_wall: float) -> Iterator[Row]:
        """Every stored registration that has not run out. Those that have are removed first, where we write. Raises
        StoreError."""
        if self._writer is not None:
            self.prune(now_wall)
        return self._read(f"SELECT {COLUMNS} FROM bindings WHERE expires_at > ?", now_wall)

    def prune(self, now_wall: float) -> None:
        """Remove registrations that have run out. Raises StoreError."""
        with transaction(self.path) as connection:
            connection.execute("DELETE FROM bindings WHERE expires_at <= ?", (now_wall,))

    def load_endpoints(self) -> list[Endpoint]:
        """The stored endpoints in the order in which they were made. Raises StoreError."""
        return [Endpoint(*row) for row in self._read(_ENDPOINTS)]

    def load_pool_states(self) -> list[PoolState]:
        """What is set for pools, over their configuration. Raises StoreError."""
        return [_state(row) for row in self._read(_STATES)]

    def data_version(self) -> int:
        """A number that changes whenever any process changes endpoints or states of pools. Cheap, waits for nobody."""
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
        if self._writer is None:
            done(StoreError(f"store {self.path}: registrations are written by another process"))
        else:
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

    def change_pool_state(self, pool_fqdn: str, change: Change) -> tuple[PoolState, PoolState]:
        """Change what is set for a pool; nobody else's change comes in between. Returns it as it was and as it is.

        Raises StoreError, and what `change` raises.
        """
        fqdn = pool_fqdn.lower()
        with transaction(self.path) as connection:
            row = connection.execute(f"{_STATES} WHERE pool_fqdn = ?", (fqdn,)).fetchone()
            before = _state(row) if row is not None else PoolState(fqdn)
            after = change(before)
            if after != before:
                connection.execute("DELETE FROM pool_states WHERE pool_fqdn = ?", (fqdn,))
                if not after.is_as_configured:
                    connection.execute("INSERT INTO pool_states VALUES (?, ?, ?, ?)", _state_row(after))
        return before, after

    @property
    def queued(self) -> int:
        """How many changes of registrations wait for the disk."""
        return self._writer.queued if self._writer is not None else 0

    def check_writable(self) -> None:
        """Raises StoreError when no change could be made now."""
        with transaction(self.path):
            pass

    def close(self) -> None:
        """Write what is queued, then close. Further writes are refused."""
        if self._writer is not None:
            self._writer.close()
        self._connection.close()


class Contents(NamedTuple):
    """What is in a store: endpoints, live registrations, the key of flow tokens, and the states of pools."""

    endpoints: list[Endpoint]
    bindings: list[Row]
    secret: bytes
    pool_states: Sequence[PoolState] = ()


def contents(path: Path, now_wall: float) -> Contents:
    """Read a store that is there, changing nothing, also while a gateway runs on it. Raises StoreError."""
    with reading(path) as connection:
        endpoints = [Endpoint(*row) for row in connection.execute(_ENDPOINTS)]
        live = connection.execute(f"SELECT {COLUMNS} FROM bindings WHERE expires_at > ?", (now_wall,)).fetchall()
        states = [_state(row) for row in connection.execute(_STATES)]
        (secret,) = connection.execute(_VALUE, ("secret",)).fetchone()
    return Contents(endpoints, live, bytes(secret), states)


def _state(row: Row) -> PoolState:
    fqdn, failed_over, active, inactive = row
    return PoolState(fqdn, bool(failed_over), frozenset(json.loads(active)), frozenset(json.loads(inactive)))


def _state_row(state: PoolState) -> Row:
    active, inactive = (json.dumps(sorted(names)) for names in (state.active, state.inactive))
    return state.pool_fqdn, state.failed_over, active, inactive


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

"""The thread that makes registrations durable."""

import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from sipgw.core.location import KEY, ROW
from sipgw.server.store_file import COLUMNS, StoreError, clear_errors, connect

MAX_QUEUED = 20_000  # changes waiting for the disk; one more is refused: its sender repeats it, memory does not grow
MAX_BATCH = 1_000  # changes in one transaction: the cost of one fsync is shared, the answer still comes soon

_PUT = f"INSERT OR REPLACE INTO bindings ({COLUMNS}) VALUES ({', '.join('?' * len(ROW))})"
_DELETE = f"DELETE FROM bindings WHERE {' AND '.join(f'{column} = ?' for column in KEY)}"

# What the content of one change causes, where the disk and the file would let others pass.
_FAULTS_OF_ONE = (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError, ValueError, OverflowError)


class StoreBusy(StoreError):
    """More changes wait than the queue holds."""


class _Change(NamedTuple):
    puts: list[tuple[Any, ...]]
    deletes: list[tuple[Any, ...]]
    done: Callable[[Exception | None], None]


class Writer:
    """Takes changes and commits what has gathered, in order, as one transaction. Raises StoreError when made."""

    def __init__(self, path: Path, max_queued: int = MAX_QUEUED) -> None:
        self._path = path
        self._queue: queue.Queue[_Change | None] = queue.Queue(max_queued)
        self._gate = threading.Lock()  # nothing enters the queue behind the end mark
        self._closed = False
        self._connection = connect(path, one_thread=False)  # used by the thread alone
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(
        self,
        puts: list[tuple[Any, ...]],
        deletes: list[tuple[Any, ...]],
        done: Callable[[Exception | None], None],
    ) -> None:
        """See `Store.write_bindings`."""
        refusal: StoreError | None = None
        with self._gate:
            if self._closed:
                refusal = StoreError(f"store {self._path}: closed")
            else:
                try:
                    self._queue.put_nowait(_Change(puts, deletes, done))
                except queue.Full:
                    refusal = StoreBusy(f"store {self._path}: {self._queue.maxsize} changes wait for the disk already")
        if refusal is not None:
            done(refusal)

    @property
    def queued(self) -> int:
        """How many changes wait."""
        return self._queue.qsize()

    def close(self) -> None:
        """Write what is queued and end the thread."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        with closing(self._connection):
            ended = False
            while not ended:
                taken = self._gather()
                ended = taken[-1] is None
                self._perform([change for change in taken if change is not None])

    def _gather(self) -> list[_Change | None]:
        """What waits, at least one; the end mark comes last."""
        taken = [self._queue.get()]
        while taken[-1] is not None and len(taken) < MAX_BATCH:
            try:
                taken.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return taken

    def _perform(self, batch: list[_Change]) -> None:
        try:
            self._commit(batch)
        except StoreError as error:
            if len(batch) > 1 and isinstance(error.__cause__, _FAULTS_OF_ONE):
                for change in batch:  # one of them cannot be stored: that one fails, alone
                    self._perform([change])
            else:
                _report(batch, error)
        else:
            _report(batch, None)

    def _commit(self, batch: list[_Change]) -> None:
        connection = self._connection
        with clear_errors(self._path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                for change in batch:
                    connection.executemany(_DELETE, change.deletes)
                    connection.executemany(_PUT, change.puts)
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")


def _report(batch: list[_Change], error: StoreError | None) -> None:
    for change in batch:
        with suppress(RuntimeError):  # the event loop that asked may be closed by now
            change.done(error)

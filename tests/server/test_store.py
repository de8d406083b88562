"""The store: what survives, who may hold an address, and what is said when the file is not what it should be."""

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from sipgw.core.location import ROW, Binding
from sipgw.registry import AlreadyExists, Endpoint, HeldByUser, NotFound
from sipgw.server.store import Contents, Store, StoreBusy, StoreError, contents
from sipgw.server.store_writer import Writer

NOW = 1_700_000_000.0
CHAT = Endpoint("sip:ocschat@contoso.com", "pc.contoso.com", "Old chat")
Answers = Queue[Exception | None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gw.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = Store.open(path)
    yield opened
    opened.close()


def row(user: str, contact: str = "sip:10.0.0.1", expires_at: float = NOW + 600, cseq: int = 1) -> tuple[Any, ...]:
    values = (
        "urn:uuid:1",
        1,
        "epid1",
        0.5,
        expires_at,
        "call-1",
        cseq,
        "<sip:p;lr>",
        "tcp:10.0.0.1:40000",
        "Agent/1",
        1,
    )
    return (f"{user}@contoso.com", contact, *values)


def write(store: Store, puts: list[tuple[Any, ...]], deletes: list[tuple[Any, ...]] | None = None) -> Exception | None:
    """One change, waited for."""
    answers: Answers = Queue()
    store.write_bindings(puts, deletes or [], answers.put)
    return answers.get(timeout=10)


def bindings(store: Store, now: float = NOW) -> list[tuple[Any, ...]]:
    return list(store.load_bindings(now))


def test_bindings_come_back_as_they_were(store: Store, path: Path) -> None:
    rows = [row("alice"), row("alice", "sip:10.0.0.2;transport=tcp"), row("bob", expires_at=NOW + 0.5)]
    assert write(store, rows) is None
    again = Store.open(path)
    assert sorted(bindings(again)) == sorted(rows)
    assert Binding(bindings(again)[0]).row() == rows[0], "the columns are those of the location service"
    assert len(ROW) == len(rows[0])
    again.close()


def test_a_binding_is_replaced_by_its_successor(store: Store) -> None:
    write(store, [row("alice")])
    write(store, [row("alice", cseq=2)])
    assert bindings(store) == [row("alice", cseq=2)]


def test_deletes_go_before_puts(store: Store) -> None:
    write(store, [row("alice"), row("bob")])
    deletes = [Binding(row(user)).key for user in ("alice", "bob")]
    assert write(store, [row("alice", cseq=2)], deletes) is None
    assert bindings(store) == [row("alice", cseq=2)]


def test_flows_with_one_contact_are_told_apart(store: Store) -> None:
    """A client of RFC 5626 may register one Contact over two connections."""
    first = row("alice")
    second = (*first[:3], 2, *first[4:])
    write(store, [first, second])
    assert sorted(bindings(store)) == [first, second]
    write(store, [], [Binding(first).key])
    assert bindings(store) == [second]


OLD_SCHEMA = (
    """CREATE TABLE endpoints (
        sip_address TEXT PRIMARY KEY, pool_fqdn TEXT NOT NULL, display_name TEXT NOT NULL, created REAL NOT NULL
    )""",
    """CREATE TABLE bindings (
        aor TEXT NOT NULL, contact TEXT NOT NULL, instance TEXT NOT NULL, reg_id INTEGER NOT NULL, epid TEXT NOT NULL,
        q REAL NOT NULL, expires_at REAL NOT NULL, call_id TEXT NOT NULL, cseq INTEGER NOT NULL, path TEXT NOT NULL,
        received TEXT NOT NULL, user_agent TEXT NOT NULL, PRIMARY KEY (aor, contact)
    ) WITHOUT ROWID""",
    "CREATE TABLE state (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
    """CREATE TRIGGER binding_of_endpoint BEFORE INSERT ON bindings
        WHEN EXISTS (SELECT 1 FROM endpoints WHERE sip_address = 'sip:' || NEW.aor)
        BEGIN SELECT RAISE(ABORT, 'the address has become an endpoint'); END""",
    """CREATE TRIGGER endpoint_added AFTER INSERT ON endpoints
        BEGIN UPDATE state SET value = value + 1 WHERE name = 'endpoints_version'; END""",
    """CREATE TRIGGER endpoint_removed AFTER DELETE ON endpoints
        BEGIN UPDATE state SET value = value + 1 WHERE name = 'endpoints_version'; END""",
    "INSERT INTO state VALUES ('endpoints_version', 0), ('secret', x'00112233')",
    "PRAGMA application_id = 1936289895",
    "PRAGMA user_version = 1",
)


@pytest.fixture
def old(path: Path) -> Path:
    """A file of the first release, with a binding in it and an endpoint."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    for statement in OLD_SCHEMA:
        connection.execute(statement)
    connection.execute("INSERT INTO endpoints VALUES (?, ?, ?, ?)", (CHAT.sip_address, CHAT.pool_fqdn, "Old chat", NOW))
    connection.execute(f"INSERT INTO bindings VALUES ({', '.join('?' * 12)})", row("alice", cseq=7)[:-1])
    connection.close()
    return path


def test_a_file_of_the_first_release_is_converted(old: Path) -> None:
    store = Store.open(old)
    assert bindings(store) == [(*row("alice", cseq=7)[:-1], 7)]
    assert store.load_endpoints() == [CHAT]
    assert store.secret() == bytes.fromhex("00112233")
    refusal = write(store, [row("ocschat")])
    assert str(refusal) == f"store {old}: the address has become an endpoint"
    first = row("alice", cseq=8)
    assert write(store, [(*first[:3], 2, *first[4:])], []) is None
    assert len(bindings(store)) == 2
    store.close()
    again = Store.open(old)
    assert len(bindings(again)) == 2
    again.close()


def test_a_file_is_converted_once_when_many_open_it(old: Path) -> None:
    failures: Queue[StoreError | None] = Queue()

    def open_it() -> None:
        try:
            Store.open(old).close()
            failures.put(None)
        except StoreError as error:
            failures.put(error)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [failures.get() for _ in threads] == [None] * 8
    store = Store.open(old)
    assert len(bindings(store)) == 1
    store.close()


def test_what_has_run_out_is_dropped_for_good(store: Store) -> None:
    write(store, [row("alice", expires_at=NOW), row("bob", expires_at=NOW + 1)])
    assert [found[0] for found in bindings(store)] == ["bob@contoso.com"]
    assert [found[0] for found in bindings(store, now=0)] == ["bob@contoso.com"]


def test_writes_are_answered_in_order_from_another_thread(store: Store) -> None:
    answers: Queue[tuple[int, str, Exception | None]] = Queue()

    def done(number: int) -> Callable[[Exception | None], None]:
        return lambda error: answers.put((number, threading.current_thread().name, error))

    for number in range(200):
        store.write_bindings([row(f"user{number}")], [], done(number))
    assert [answers.get(timeout=10) for _ in range(200)] == [(number, "store-writer", None) for number in range(200)]
    assert len(bindings(store)) == 200


def test_what_was_confirmed_survives_a_kill(path: Path) -> None:
    """A process that is told that its write is durable and dies at that moment, without any goodbye."""
    program = f"""
import os, signal
from pathlib import Path
from sipgw.server.store import Store
store = Store.open(Path({str(path)!r}))
store.write_bindings([{row("alice")!r}], [], lambda error: os.kill(os.getpid(), signal.SIGKILL))
signal.pause()
"""
    child = subprocess.run([sys.executable, "-c", program], timeout=60, check=False, cwd=Path.cwd())
    assert child.returncode == -9
    store = Store.open(path)
    assert bindings(store) == [row("alice")]
    store.close()


def test_close_writes_what_is_queued_and_refuses_more(path: Path) -> None:
    store = Store.open(path)
    answers: Answers = Queue()
    for number in range(50):
        store.write_bindings([row(f"user{number}")], [], answers.put)
    store.close()
    assert [answers.get_nowait() for _ in range(50)] == [None] * 50
    refusal = write(store, [row("late")])
    assert isinstance(refusal, StoreError)
    assert str(refusal) == f"store {path}: closed"
    store.close()


@pytest.fixture
def blocked(store: Store, path: Path) -> Iterator[sqlite3.Connection]:
    """Another process's transaction, which holds up all writing."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


def occupy(writer: Writer, answers: Answers) -> None:
    """Let the thread take one change, so that it waits for the other process and the next changes gather."""
    writer.submit([row("first")], [], answers.put)
    deadline = time.monotonic() + 10
    while not writer._queue.empty():
        assert time.monotonic() < deadline


def test_a_full_queue_refuses_at_once(store: Store, blocked: sqlite3.Connection) -> None:
    writer = Writer(store.path, max_queued=3)
    taken: Answers = Queue()
    refused: Answers = Queue()
    occupy(writer, taken)
    for number in range(3):
        writer.submit([row(f"user{number}")], [], taken.put)
    writer.submit([row("one too many")], [], refused.put)
    assert isinstance(refused.get_nowait(), StoreBusy)
    blocked.execute("ROLLBACK")
    assert [taken.get(timeout=10) for _ in range(4)] == [None] * 4
    writer.close()
    assert len(bindings(store)) == 4


def _writer(store: Store) -> Writer:
    assert store._writer is not None
    return store._writer


def test_a_failing_disk_is_reported_and_the_next_write_tries_again(store: Store, blocked: sqlite3.Connection) -> None:
    _writer(store)._connection.execute("PRAGMA busy_timeout = 10")
    answers: Answers = Queue()
    for user in ("alice", "bob"):
        store.write_bindings([row(user)], [], answers.put)
    texts = {str(answers.get(timeout=10)) for _ in range(2)}
    assert texts == {f"store {store.path}: database is locked; another process holds it; try again"}
    blocked.execute("ROLLBACK")
    assert write(store, [row("carol")]) is None
    assert [found[0] for found in bindings(store)] == ["carol@contoso.com"]


@pytest.mark.parametrize("bad", [row("ocschat"), row("eve", "\ud800"), row("eve", cseq=1 << 70), row("eve")[:-1]])
def test_one_change_that_cannot_be_stored_fails_alone(store: Store, path: Path, bad: tuple[Any, ...]) -> None:
    store.add_endpoint(CHAT, NOW)
    answers: Answers = Queue()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    occupy(_writer(store), answers)
    for puts in [row("alice")], [row("mallory"), bad], [row("bob")]:  # one batch
        store.write_bindings(puts, [], answers.put)
    other.execute("ROLLBACK")
    other.close()
    found = [answers.get(timeout=10) for _ in range(4)]
    assert [isinstance(one, StoreError) for one in found] == [False, False, True, False]
    assert sorted(one[0] for one in bindings(store)) == ["alice@contoso.com", "bob@contoso.com", "first@contoso.com"]


def test_a_closed_event_loop_does_not_end_the_writer(store: Store) -> None:
    def closed(error: Exception | None) -> None:
        raise RuntimeError("Event loop is closed")

    store.write_bindings([row("alice")], [], closed)
    assert write(store, [row("bob")]) is None


def test_endpoints_come_back_in_order(store: Store, path: Path) -> None:
    other = Endpoint("sip:a@contoso.com", "pc.contoso.com")
    store.add_endpoint(CHAT, NOW)
    store.add_endpoint(other, NOW + 1)
    again = Store.open(path)
    assert again.load_endpoints() == [CHAT, other]
    again.remove_endpoint(CHAT.sip_address)
    assert store.load_endpoints() == [other]
    again.close()


def test_an_endpoint_is_there_once(store: Store) -> None:
    store.add_endpoint(CHAT, NOW)
    with pytest.raises(AlreadyExists, match=r"sip:ocschat@contoso.com exists already, in the store"):
        store.add_endpoint(CHAT, NOW)
    store.remove_endpoint(CHAT.sip_address)
    with pytest.raises(NotFound, match=r"no endpoint sip:ocschat@contoso.com is stored"):
        store.remove_endpoint(CHAT.sip_address)


def test_a_user_who_is_signed_in_holds_the_address(store: Store) -> None:
    write(store, [row("ocschat", expires_at=NOW + 60)])
    with pytest.raises(HeldByUser) as caught:
        store.add_endpoint(CHAT, NOW)
    held = "is held by a user who is signed in (sip:10.0.0.1, for another 60 s); sign that user out first"
    assert str(caught.value) == f"sip:ocschat@contoso.com {held}"
    assert store.load_endpoints() == []
    store.add_endpoint(CHAT, NOW + 60)


def test_an_endpoint_holds_the_address_against_users(store: Store) -> None:
    store.add_endpoint(CHAT, NOW)
    refusal = write(store, [row("ocschat")])
    assert str(refusal) == f"store {store.path}: the address has become an endpoint"
    assert bindings(store) == []


def test_two_processes_cannot_both_take_an_address(store: Store, path: Path) -> None:
    other = Store.open(path)
    outcomes: Queue[str] = Queue()

    def add(to: Store) -> None:
        try:
            to.add_endpoint(CHAT, NOW)
            outcomes.put("made")
        except AlreadyExists:
            outcomes.put("refused")

    threads = [threading.Thread(target=add, args=(one,)) for one in (store, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted([outcomes.get(), outcomes.get()]) == ["made", "refused"]
    other.close()


def test_data_version_follows_endpoints_whoever_changes_them_and_nothing_else(store: Store, path: Path) -> None:
    seen = store.data_version()
    write(store, [row("alice")])
    assert store.data_version() == seen
    other = Store.open(path)
    other.add_endpoint(CHAT, NOW)
    made = store.data_version()
    assert made != seen
    other.remove_endpoint(CHAT.sip_address)
    assert store.data_version() not in (seen, made)
    other.close()


def test_secret_is_the_files_own_and_lasts(store: Store, path: Path, tmp_path: Path) -> None:
    again, other = Store.open(path), Store.open(tmp_path / "other.db")
    assert len(store.secret()) == 32
    assert again.secret() == store.secret() != other.secret()
    again.close()
    other.close()


def test_only_the_owner_may_read_it(store: Store) -> None:
    assert store.path.stat().st_mode & 0o777 == 0o600


def test_a_file_is_opened_by_many_at_once(path: Path) -> None:
    """Also a new one: the first makes it, the others wait, and all see the same."""
    seen: Queue[bytes | Exception] = Queue()

    def open_it() -> None:
        try:
            store = Store.open(path)
            seen.put(store.secret())
            store.close()
        except StoreError as error:
            seen.put(error)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    secrets = {seen.get() for _ in threads}
    assert len(secrets) == 1
    assert all(isinstance(secret, bytes) for secret in secrets)


def other_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()


def newer(path: Path) -> None:
    Store.open(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


NEWER = (
    "written by a newer sipgw (schema 99, this one knows 3); upgrade this one, or name a file of its own in store.url"
)


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda path: path.write_bytes(b"?" * 999), "file is not a database; name another file in store.url"),
        (other_program, "the database of another program; name another file in store.url"),
        (newer, NEWER),
        (
            Path.mkdir,
            "unable to open database file; make the file and its folder readable and writable for this user, or "
            "change store.url",
        ),
    ],
)
def test_files_that_are_no_store(path: Path, spoil: Callable[[Path], object], text: str) -> None:
    spoil(path)
    with pytest.raises(StoreError) as caught:
        Store.open(path)
    assert str(caught.value) == f"store {path}: {text}"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "var/gw.db"
    with pytest.raises(StoreError) as caught:
        Store.open(path)
    assert str(caught.value) == f"store {path}: there is no folder {path.parent}; make it or change store.url"


def test_writable_or_not(store: Store) -> None:
    store.check_writable()
    store.path.unlink()
    store.path.mkdir()
    with pytest.raises(StoreError, match="make the file and its folder readable and writable"):
        store.check_writable()


def test_reading_beside_a_gateway(store: Store, path: Path) -> None:
    """Endpoints, live registrations and the key, and nothing is changed: not even what has run out is removed."""
    store.add_endpoint(CHAT, NOW)
    write(store, [row("alice"), row("bob", expires_at=NOW)])
    assert contents(path, NOW) == Contents([CHAT], [row("alice")], store.secret(), [])
    assert len(bindings(store, now=0)) == 2


def test_reading_what_is_no_store_of_this_release(old: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="has schema 1, not 3; start the gateway, which converts it"):
        contents(old, NOW)
    (tmp_path / "other").write_bytes(b"?" * 999)
    with pytest.raises(StoreError, match="file is not a database"):
        contents(tmp_path / "other", NOW)

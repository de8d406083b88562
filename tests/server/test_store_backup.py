"""Copies of the store and their way back; states of pools and schemas of earlier releases."""

import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue

import pytest

from sipgw.registry import Endpoint, HeldByUser, PoolState
from sipgw.server.store import Store, StoreError
from sipgw.server.store_backup import back_up, put_back
from sipgw.server.store_schema import SCHEMA

CHAT = Endpoint("sip:ocschat@contoso.com", "pc.contoso.com", "Old chat")
OTHER = Endpoint("sip:other@contoso.com", "pc.contoso.com", "")
STATE = PoolState("pc.contoso.com", True, frozenset({"tcp:b:1"}), frozenset({"tcp:a:1"}))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gw.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = Store.open(path)
    yield opened
    opened.close()


@pytest.fixture
def copy(store: Store, tmp_path: Path) -> Path:
    """Of a store with an endpoint, the state of a pool and a registration."""
    store.add_endpoint(CHAT, time.time())
    store.change_pool_state(STATE.pool_fqdn, lambda known: STATE)
    sign_in(store, "alice")
    assert back_up(store.path, tmp_path / "copy") == "1 endpoints, 1 states of pools, 1 registrations"
    return tmp_path / "copy"


def sign_in(store: Store, user: str) -> None:
    answers: Queue[Exception | None] = Queue()
    now = time.time()
    row = (f"{user}@contoso.com", "sip:10.0.0.1", "", 0, "", 1.0, now + 600, "c", 1, "", "tcp:10.0.0.1:1", "", 0)
    store.write_bindings([row], [], answers.put)
    assert answers.get(timeout=10) is None


def users(store: Store) -> list[str]:
    return [row[0].partition("@")[0] for row in store.load_bindings(time.time())]


def test_states_of_pools(store: Store) -> None:
    seen = store.data_version()
    assert store.change_pool_state("PC.contoso.com", lambda known: STATE) == (PoolState("pc.contoso.com"), STATE)
    assert store.load_pool_states() == [STATE]
    changed = store.data_version()
    assert changed != seen
    store.change_pool_state("pc.contoso.com", lambda known: known)
    assert store.data_version() == changed, "nothing has changed"
    store.change_pool_state("pc.contoso.com", lambda known: PoolState(known.pool_fqdn))
    assert store.load_pool_states() == [] and store.data_version() != changed


def test_a_change_that_fails_changes_nothing(store: Store) -> None:
    def fail(known: PoolState) -> PoolState:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.change_pool_state("pc.contoso.com", fail)
    assert store.load_pool_states() == []
    store.check_writable()


def test_a_copy_is_one_private_file(copy: Path) -> None:
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert sorted(one.name for one in copy.parent.iterdir() if "copy" in one.name) == ["copy"]
    with pytest.raises(StoreError, match="is there already; name another file, or give --replace"):
        back_up(copy.parent / "gw.db", copy)
    assert back_up(copy.parent / "gw.db", copy, replace=True).startswith("1 endpoints")


def test_back_without_a_gateway(store: Store, copy: Path) -> None:
    store.remove_endpoint(CHAT.sip_address)
    store.add_endpoint(OTHER, time.time())
    store.change_pool_state("pc.contoso.com", lambda known: PoolState(known.pool_fqdn))
    sign_in(store, "bob")
    restored = put_back(copy, store.path, running=False)
    assert restored.text == "1 endpoints, 1 states of pools, 1 registrations"
    assert store.load_endpoints() == [CHAT] and store.load_pool_states() == [STATE] and users(store) == ["alice"]
    assert restored.kept is not None
    before = Store.open(restored.kept)
    assert before.load_endpoints() == [OTHER] and sorted(users(before)) == ["alice", "bob"]
    before.close()


def test_back_beside_a_gateway(store: Store, copy: Path) -> None:
    """Who is signed in stays signed in, the key stays, and the gateway sees that something has changed."""
    store.remove_endpoint(CHAT.sip_address)
    sign_in(store, "bob")
    seen, secret = store.data_version(), store.secret()
    put_back(copy, store.path, running=True)
    assert store.load_endpoints() == [CHAT] and store.load_pool_states() == [STATE]
    assert sorted(users(store)) == ["alice", "bob"]
    assert store.data_version() != seen and store.secret() == secret


def test_the_key_comes_back_with_a_new_file(store: Store, copy: Path, tmp_path: Path) -> None:
    restored = put_back(copy, tmp_path / "new.db", running=False)
    assert restored.kept is None
    new = Store.open(tmp_path / "new.db")
    assert new.secret() == store.secret() and new.load_endpoints() == [CHAT]
    sign_in(new, "bob")
    new.close()


def test_an_endpoint_does_not_take_the_address_of_who_is_signed_in(store: Store, copy: Path) -> None:
    store.remove_endpoint(CHAT.sip_address)
    sign_in(store, "ocschat")
    with pytest.raises(
        HeldByUser, match=r"sip:ocschat@contoso\.com is an endpoint in the copy, and a user is signed in"
    ):
        put_back(copy, store.path, running=True)
    assert store.load_endpoints() == [] and store.load_pool_states() == [STATE]


def test_a_damaged_store_makes_room(store: Store, copy: Path) -> None:
    store.close()
    store.path.write_bytes(b"?" * 5000)
    with pytest.raises(StoreError, match="file is not a database"):
        put_back(copy, store.path, running=True)
    restored = put_back(copy, store.path, running=False)
    assert restored.kept is not None and restored.kept.read_bytes() == b"?" * 5000
    again = Store.open(store.path)
    assert again.load_endpoints() == [CHAT]
    again.close()


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()


def newer(path: Path) -> None:
    Store.open(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def cut_off(path: Path) -> None:
    opened = Store.open(path)
    for number in range(200):
        opened.add_endpoint(Endpoint(f"sip:{number}@contoso.com", "pc.contoso.com"), 0.0)
    opened.close()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda path: path.write_bytes(b"?" * 999), "bad: file is not a database; name a file that `sipgw backup` has"),
        (lambda path: path.write_bytes(b""), "is empty; name a file that `sipgw backup` has written"),
        (foreign, "the database of another program; name a file that `sipgw backup` has written"),
        (newer, "written by a newer sipgw .* upgrade this one$"),
        (cut_off, "malformed|damaged"),
    ],
)
def test_what_is_no_copy_is_refused(store: Store, tmp_path: Path, spoil: Callable[[Path], object], text: str) -> None:
    store.add_endpoint(CHAT, time.time())
    spoil(tmp_path / "bad")
    for running in (True, False):
        with pytest.raises(StoreError, match=text):
            put_back(tmp_path / "bad", store.path, running)
    assert store.load_endpoints() == [CHAT]
    assert not [one.name for one in tmp_path.iterdir() if "restor" in one.name or one.name.startswith(".")]


def test_there_is_nothing_to_copy(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is none yet"):
        back_up(path, tmp_path / "copy")


def older(path: Path) -> None:
    """A file of schema 2: without states of pools."""
    Store.open(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE pool_states")
        connection.execute("PRAGMA user_version = 2")
    connection.close()


def test_a_store_of_schema_2_is_converted(path: Path, tmp_path: Path) -> None:
    older(path)
    assert back_up(path, tmp_path / "copy", replace=False).startswith("0 endpoints")
    opened = Store.open(path)
    seen = opened.data_version()
    opened.change_pool_state("pc.contoso.com", lambda known: STATE)
    assert opened.load_pool_states() == [STATE] and opened.data_version() != seen
    opened.close()
    put_back(tmp_path / "copy", path, running=False)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
        assert connection.execute("SELECT count(*) FROM pool_states").fetchone() == (0,)
    connection.close()

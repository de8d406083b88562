"""The room store on real files: what it keeps, and what it says of files that it cannot use."""

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sipgw.groupchat.records import Joined, Message, Preference, Record, State
from sipgw.groupchat.rooms import Room, room_named
from sipgw.server.room_store import SCHEMA, RoomStore, StoreError
from tests.groupchat.talk import BOARD, DOMAIN, LOBBY, START, Talk, chanib, last

MESSAGE = Message(LOBBY.uri, 1, "sip:alice@example.test", "Alice Ä", START, "line\r\n<2>", "story", True)
RECORDS: list[Record] = [
    LOBBY,
    BOARD,
    Joined(LOBBY.uri, "alice@example.test", START),
    Preference("alice@example.test", "label", "1", "eA=="),
    MESSAGE,
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pool.db"


def stored(path: Path) -> State:
    with RoomStore(path) as store:
        return store.load()


def refusal(path: Path) -> str:
    with pytest.raises(StoreError) as caught:
        RoomStore(path)
    text = str(caught.value)
    assert text.startswith(f"room store {path}: ")
    assert "\n" not in text
    return text.removeprefix(f"room store {path}: ")


def test_all_comes_back(path: Path) -> None:
    with RoomStore(path) as store:
        assert store.load() == State()
        store.apply(RECORDS)
        now = store.load()
    assert stored(path) == now == State([LOBBY, BOARD], [RECORDS[2]], [RECORDS[3]], [MESSAGE])  # type: ignore[list-item]
    assert type(now.messages[0].alert) is bool


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(st.dictionaries(st.integers(1, 2**60), st.tuples(TEXTS, TEXTS, TEXTS, TEXTS, st.floats(0, 1e11), st.booleans())))
def test_any_messages_come_back(path: Path, rows: dict[int, tuple[str, str, str, str, float, bool]]) -> None:
    path.unlink(missing_ok=True)
    messages = [
        Message(LOBBY.uri, chat_id, author, display, ts, text, story, alert)
        for chat_id, (author, display, text, story, ts, alert) in sorted(rows.items())
    ]
    with RoomStore(path, history_per_room=2**62) as store:
        store.apply([LOBBY, *messages])
    assert stored(path).messages == messages


def test_a_conversation_goes_on_after_a_restart(path: Path) -> None:
    talk = Talk()
    alice = talk.open("alice")
    alice.join(LOBBY)
    alice.say("before")
    with RoomStore(path) as store:
        store.apply([LOBBY, BOARD])
        store.apply(talk.records)
    talk = Talk(stored(path))
    alice = talk.open("alice")
    alice.say("after")
    assert alice.chat().chat_id == "2"
    data = alice.ask("bccontext", chanib(LOBBY), last(5))
    assert [entry.get("chatId") for entry in data.children[0].children] == ["1", "2"]
    assert [type(record) for record in talk.records] == [Message]  # alice is known to have joined
    with RoomStore(path) as store:
        store.apply(talk.records)
    assert [message.text for message in stored(path).messages] == ["before", "after"]


def test_a_room_is_replaced_and_keeps_its_history(path: Path) -> None:
    changed = Room(LOBBY.uri, "Foyer", "new", "", frozenset({"bob@example.test"}), frozenset({"mary@example.test"}))
    with RoomStore(path) as store:
        store.apply(RECORDS)
        store.apply([changed, Room(BOARD.uri, "Lobby")])
        state = store.load()
    assert sorted(state.rooms, key=lambda room: room.uri) == [changed, Room(BOARD.uri, "Lobby")]
    assert state.messages == [MESSAGE]


def test_records_replace_or_repeat(path: Path) -> None:
    with RoomStore(path) as store:
        store.apply(RECORDS)
        store.apply(
            [
                Joined(LOBBY.uri, "alice@example.test", START + 9),
                Preference("alice@example.test", "label", "2", "new"),
                Preference("bob@example.test", "label", "1", "his"),
            ]
        )
        state = store.load()
    assert state.joined == [Joined(LOBBY.uri, "alice@example.test", START)]
    assert {(kept.aor, kept.content) for kept in state.preferences} == {
        ("alice@example.test", "new"),
        ("bob@example.test", "his"),
    }


def test_the_oldest_messages_go(path: Path) -> None:
    messages = [Message(LOBBY.uri, at, "a", "b", START, str(at)) for at in range(1, 9)]
    with RoomStore(path, history_per_room=3) as store:
        store.apply([LOBBY, BOARD, Message(BOARD.uri, 1, "a", "b", START, "stays")])
        for message in messages:
            store.apply([message])
        assert [message.text for message in store.load().messages] == ["6", "7", "8", "stays"]
        store.apply([Message(LOBBY.uri, at, "a", "b", START, str(at)) for at in range(9, 20)])
        assert [message.text for message in store.load().messages] == ["17", "18", "19", "stays"]


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([Room(BOARD.uri, "x"), room_named("LOBBY", DOMAIN)], f"the room name 'LOBBY' is taken by {LOBBY.uri}"),
        ([Room(BOARD.uri, "x"), MESSAGE], "UNIQUE"),
        ([Room(BOARD.uri, "x"), Joined("ma-chan://example.test/none", "a@b", START)], "FOREIGN KEY"),
    ],
)
def test_all_records_or_none(path: Path, records: list[Record], reason: str) -> None:
    with RoomStore(path) as store:
        store.apply(RECORDS)
        before = store.load()
        with pytest.raises(StoreError, match=reason) as caught:
            store.apply(records)
        assert str(path) in str(caught.value)
        assert store.load() == before
        store.apply([Room(BOARD.uri, "y")])  # the failure has left nothing open
    assert {room.name for room in stored(path).rooms} == {"Lobby", "y"}


def test_what_is_applied_survives_a_crash(path: Path) -> None:
    """The log alone holds it: the file is copied as a crash would leave it, while the store is open."""
    with RoomStore(path) as store:
        store.apply(RECORDS)
        copy = path.with_name("copy.db")
        for suffix in ("", "-wal"):
            copy.with_name(copy.name + suffix).write_bytes(path.with_name(path.name + suffix).read_bytes())
    assert stored(copy).messages == [MESSAGE]


def test_one_process_at_a_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sipgw.server.room_store.BUSY_TIMEOUT", 0.0)
    with RoomStore(path):
        assert refusal(path) == "another process has it open; stop that, or name another file"
    stored(path)


def test_only_its_owner_reads_it(path: Path) -> None:
    with RoomStore(path) as store:
        store.apply(RECORDS)
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_bytes(b"Dear diary, " * 100)
    assert refusal(path) == "not a database; name another file"
    assert path.read_bytes() == b"Dear diary, " * 100


def test_another_programs_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE rooms (uri TEXT)")
    before = path.read_bytes()
    assert refusal(path) == "the database of another program; name another file"
    assert path.read_bytes() == before


def test_the_gateways_own_store(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA application_id = {0x73697067}")
        db.execute("PRAGMA user_version = 1")
        db.execute("CREATE TABLE endpoints (sip_address TEXT)")
    assert refusal(path) == "the database of another program; name another file"


def test_a_newer_schema(path: Path) -> None:
    RoomStore(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    assert refusal(path) == f"written by a newer sipgw (schema {SCHEMA + 1}, this one knows {SCHEMA}); upgrade"


def test_an_empty_file_is_a_new_store(path: Path) -> None:
    path.touch()
    assert stored(path) == State()


def test_no_folder_and_a_folder_in_its_place(tmp_path: Path) -> None:
    missing = tmp_path / "none" / "pool.db"
    assert refusal(missing) == f"there is no folder {missing.parent}; make it, or name another file"
    assert refusal(tmp_path) == "Is a directory; change that, or name another file"


def test_a_disk_that_takes_nothing(path: Path) -> None:
    with RoomStore(path) as store:
        store._db.execute("PRAGMA query_only = ON")  # what a disk mounted read-only is to SQLite
        with pytest.raises(StoreError, match=f"^room store {path}: .*; make the file and its folder writable"):
            store.apply(RECORDS)


def test_no_file_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with RoomStore(":memory:") as store:
        store.apply(RECORDS)
        assert store.load().messages == [MESSAGE]
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(path: Path) -> None:
    with RoomStore(path) as store:
        store.apply(RECORDS)
        store._db.execute("PRAGMA max_page_count = 20")  # what a full disk is to SQLite
        big = [Preference("alice@example.test", str(at), "1", "x" * 20_000) for at in range(20)]
        with pytest.raises(StoreError, match=r": database or disk is full$"):
            store.apply(big)
        store.apply([Room(BOARD.uri, "still works")])
    state = stored(path)
    assert len(state.preferences) == 1
    assert "still works" in {room.name for room in state.rooms}


def test_a_damaged_file(path: Path) -> None:
    with RoomStore(path) as store:
        store.apply(RECORDS)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with pytest.raises(StoreError, match=str(path)):
        stored(path)

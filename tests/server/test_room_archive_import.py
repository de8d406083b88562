"""Imports: all or nothing, whatever interrupts them; again without harm; and what they say about it."""

import os
import signal
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipgw.groupchat.archive import Level, write_record
from sipgw.groupchat.records import Message, Preference, Record, State
from sipgw.groupchat.rooms import Room, room_named
from sipgw.server import room_archive_import, room_store
from sipgw.server.room_archive import ArchiveError, export
from sipgw.server.room_archive_import import Report, Tally, import_archive
from sipgw.server.room_archive_merge import merge
from sipgw.server.room_compare import compare
from sipgw.server.room_store import RoomStore, StoreError
from tests.groupchat.talk import BOARD, DOMAIN, LOBBY, START
from tests.server.test_room_archive import NOW, RECORDS, Forged, said

OTHER = room_named("Other", DOMAIN)


def made(path: Path, records: Iterable[Record]) -> Path:
    with RoomStore(path) as store:
        store.apply(records)
    return path


def state(path: Path) -> State:
    with RoomStore(path) as store:
        return store.load()


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    export(made(tmp_path / "legacy.db", RECORDS), tmp_path / "rooms.zip", NOW)
    return tmp_path / "rooms.zip"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "new.db"


def counts(report: Report) -> dict[str, Tally]:
    return report.tallies


def test_into_an_empty_pool(packed: Path, target: Path, tmp_path: Path) -> None:
    report = import_archive(packed, target)
    assert state(target) == state(tmp_path / "legacy.db")
    assert report.tallies == {
        "rooms": Tally(given=2, new=2),
        "joined": Tally(given=2, new=2),
        "preferences": Tally(given=1, new=1),
        "messages": Tally(given=6, new=6),
    }
    assert sorted(report.new_rooms) == sorted([LOBBY.name, BOARD.name])
    assert report.changes
    assert compare(tmp_path / "legacy.db", target).is_complete


def test_a_second_time_changes_nothing(packed: Path, target: Path) -> None:
    import_archive(packed, target)
    before = state(target)
    report = import_archive(packed, target)
    assert not report.changes
    assert all(tally == Tally(given=tally.given, there=tally.given) for tally in report.tallies.values())
    assert state(target) == before


@pytest.mark.parametrize("there", [[], [LOBBY, said(1)]])
def test_what_if_changes_nothing(packed: Path, target: Path, there: list[Record]) -> None:
    if there:
        made(target, there)
    before = target.read_bytes() if there else None
    report = import_archive(packed, target, what_if=True)
    assert report.tallies["messages"] == Tally(given=6, new=6 - len(there) // 2, there=len(there) // 2)
    assert report.what_if and report.changes
    assert (target.read_bytes() if target.exists() else None) == before
    assert import_archive(packed, target).tallies == report.tallies


def test_what_if_while_the_pool_runs(packed: Path, target: Path) -> None:
    with RoomStore(target) as pool:
        pool.apply([LOBBY, said(1)])
        assert import_archive(packed, target, what_if=True).tallies["rooms"] == Tally(given=2, new=1, there=1)
        assert len(pool.load().rooms) == 1


def test_not_while_the_pool_runs(packed: Path, target: Path) -> None:
    with RoomStore(target) as pool:
        with pytest.raises(StoreError, match="another process has it open; stop that"):
            import_archive(packed, target)
        assert pool.load() == State()


def test_rooms_and_history_of_the_pool_stay(packed: Path, target: Path) -> None:
    own = Message(OTHER.uri, 1, "sip:bob@example.test", "Bob", START, "ours")
    made(target, [OTHER, own, Preference("bob@example.test", "x", "1", "y")])
    import_archive(packed, target)
    after = state(target)
    assert {room.name for room in after.rooms} == {"Other", LOBBY.name, BOARD.name}
    assert own in after.messages
    assert len(after.preferences) == 2


# rooms that are there already, and other


CHANGED = replace(LOBBY, topic="changed", members=frozenset({"zoe@example.test"}))


def test_another_room_of_that_address_is_refused(packed: Path, target: Path) -> None:
    made(target, [CHANGED])
    with pytest.raises(ArchiveError) as caught:
        import_archive(packed, target)
    assert "rooms.jsonl: line 1: " in str(caught.value)
    assert "in the store with another topic, members; give --existing keep" in str(caught.value)
    assert state(target) == State([CHANGED])


def test_keep_and_replace(packed: Path, target: Path) -> None:
    made(target, [CHANGED])
    report = import_archive(packed, target, "keep")
    assert report.tallies["rooms"] == Tally(given=2, new=1, kept=1)
    assert CHANGED in state(target).rooms
    report = import_archive(packed, target, "replace")
    assert report.tallies["rooms"] == Tally(given=2, there=1, replaced=1)
    assert LOBBY in state(target).rooms
    assert len([message for message in state(target).messages if message.room_uri == LOBBY.uri]) == 5


def test_a_name_that_is_taken(packed: Path, target: Path) -> None:
    namesake = replace(OTHER, name=LOBBY.name.upper())
    made(target, [namesake])
    for existing in ("refuse", "keep", "replace"):
        with pytest.raises(ArchiveError, match=f"line 1: the name .* is that of the room {OTHER.uri} already"):
            import_archive(packed, target, existing)
    assert state(target) == State([namesake])


def test_a_guid_that_is_taken(packed: Path, target: Path) -> None:
    made(target, [Room(f"ma-chan://elsewhere.test/{LOBBY.guid}", "Elsewhere")])
    with pytest.raises(ArchiveError, match=f"the guid {LOBBY.guid} would belong to two rooms"):
        import_archive(packed, target)


def test_more_rooms_than_a_pool_takes(packed: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_archive_import, "MAX_ROOMS", 1)
    with pytest.raises(ArchiveError, match="2 rooms are more than the 1 of a pool"):
        import_archive(packed, target)
    assert state(target) == State()


@pytest.mark.parametrize("level", ["User", "Content"])
def test_what_belongs_to_an_unknown_room(tmp_path: Path, packed: Path, target: Path, level: Level) -> None:
    export(tmp_path / "legacy.db", tmp_path / "part.zip", NOW, level)
    with pytest.raises(ArchiveError, match=r"line 1: the room .* is neither in the archive nor in the store"):
        import_archive(tmp_path / "part.zip", target)
    export(tmp_path / "legacy.db", tmp_path / "rooms-only.zip", NOW, "RoomDirectory")
    import_archive(tmp_path / "rooms-only.zip", target)
    assert import_archive(tmp_path / "part.zip", target).changes


def test_a_preference_that_was_changed_since_stays(packed: Path, target: Path) -> None:
    newer = Preference("alice@example.test", "label", "2", "bmV3")
    made(target, [newer])
    assert import_archive(packed, target).tallies["preferences"] == Tally(given=1, kept=1)
    assert state(target).preferences == [newer]
    assert import_archive(packed, target, "replace").tallies["preferences"] == Tally(given=1, replaced=1)


# histories


def line(number: int, ts: float, text: str = "") -> Message:
    return Message(LOBBY.uri, number, "sip:alice@example.test", "Alice", ts, text or f"at {ts}")


def texts(messages: list[Message] | None) -> list[tuple[int, str]]:
    return [(message.chat_id, message.text) for message in messages or []]


def test_histories_that_follow_each_other_keep_their_numbers() -> None:
    merged = merge([line(4, 4.0), line(5, 5.0)], [line(2, 2.0), line(3, 3.0)], 100)
    assert texts(merged.messages) == [(2, "at 2.0"), (3, "at 3.0"), (4, "at 4.0"), (5, "at 5.0")]
    assert (merged.new, merged.there, merged.renumbered) == (2, 0, False)


def test_histories_with_the_same_numbers_are_numbered_anew() -> None:
    merged = merge([line(1, 2.0), line(2, 4.0)], [line(1, 1.0), line(2, 3.0)], 100)
    assert texts(merged.messages) == [(1, "at 1.0"), (2, "at 2.0"), (3, "at 3.0"), (4, "at 4.0")]
    assert merged.renumbered
    again = merge(merged.messages or [], [line(1, 1.0), line(2, 3.0)], 100)
    assert (again.messages, again.new, again.there) == (None, 0, 2)


def test_a_gap_that_the_pool_would_take_for_age_is_closed() -> None:
    merged = merge([line(1, 1.0)], [line(5000, 2.0)], 100)
    assert texts(merged.messages) == [(1, "at 1.0"), (2, "at 2.0")]


def test_the_same_words_twice_are_two_messages() -> None:
    twice = [line(1, 1.0, "x"), line(2, 1.0, "x")]
    assert merge([], twice, 100).new == 2
    assert merge(twice[:1], twice, 100).new == 1
    assert merge(twice, twice, 100).messages is None


def test_what_is_too_old_is_told() -> None:
    held = [line(number, 100.0 + number) for number in range(1, 4)]
    merged = merge(held, [line(1, 1.0), line(2, 2.0)], 4)
    assert texts(merged.messages)[0][1] == "at 2.0"
    assert (merged.new, merged.beyond) == (1, 1)
    assert merge(held, [line(1, 1.0)], 3).messages is None


def test_a_clock_that_went_back_does_not_change_the_order() -> None:
    given = [line(1, 10.0), line(2, 5.0), line(3, 11.0)]
    assert texts(merge([], given, 100).messages) == texts(given)


HISTORY = st.lists(st.integers(0, 50), max_size=8).map(
    lambda times: [line(number, float(ts)) for number, ts in enumerate(sorted(times), 1)]
)


@given(HISTORY, HISTORY, st.integers(1, 10))
def test_merging_loses_nothing_that_has_room(held: list[Message], given_: list[Message], history: int) -> None:
    held = held[-history:]
    merged = merge(held, given_, history)
    assert merged.new + merged.there + merged.beyond == len(given_)
    if merged.messages is not None:
        numbers = [message.chat_id for message in merged.messages]
        assert numbers == sorted(set(numbers)) and len(numbers) <= history
        assert numbers[-1] - numbers[0] < history
        if len(held) + merged.new + merged.beyond <= history:
            assert {message.text for message in [*held, *given_]} == {message.text for message in merged.messages}
        assert merge(merged.messages, given_, history).messages is None


def test_a_pool_goes_on_after_an_import(packed: Path, target: Path) -> None:
    mine = Message(LOBBY.uri, 1, "sip:bob@example.test", "Bob", START + 50, "said here")
    made(target, [LOBBY, mine])
    report = import_archive(packed, target)
    assert report.renumbered == [LOBBY.name]
    with RoomStore(target) as pool:
        history = [message for message in pool.load().messages if message.room_uri == LOBBY.uri]
        assert [message.text for message in history][-1] == "said here"
        pool.apply([replace(mine, chat_id=history[-1].chat_id + 1, text="and again")])
    assert len(state(target).messages) == 8


def test_too_many_messages_in_a_room(packed: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_archive_import, "MAX_MESSAGES", 4)
    with pytest.raises(ArchiveError, match=r"messages.jsonl: line 5: a room has more than 4 messages"):
        import_archive(packed, target)
    assert state(target) == State()


# interruptions


def killed(at: int, packed: Path, target: Path, hook: Callable[[Callable[[], None]], None]) -> bool:
    """Import in a process that kills itself at the `at`-th call of what `hook` is given. Whether it came to that."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    try:
        left = iter(range(at))

        def step() -> None:
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        hook(step)
        import_archive(packed, target)
    finally:
        os._exit(0)


def each_write(step: Callable[[], None]) -> None:
    original = room_store.write

    def write(db: sqlite3.Connection, record: Record) -> None:
        step()
        original(db, record)

    room_archive_import.write = write  # type: ignore[attr-defined]


def each_statement(step: Callable[[], None]) -> None:
    original = sqlite3.connect

    def connect(*arguments: object, **options: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = original(*arguments, **options)  # type: ignore[call-overload]
        connection.set_trace_callback(lambda statement: step())
        return connection

    sqlite3.connect = connect  # type: ignore[assignment]


@pytest.mark.parametrize("hook", [each_write, each_statement])
@pytest.mark.parametrize("there", [[], [LOBBY, said(2), Message(LOBBY.uri, 9, "x", "x", START, "own")]])
def test_killed_at_any_step_nothing_is_half_there(
    packed: Path, tmp_path: Path, hook: Callable[[Callable[[], None]], None], there: list[Record]
) -> None:
    wanted = state(_imported(packed, tmp_path / "wanted.db", there))
    at = 0
    while True:
        target = made(tmp_path / f"{at}.db", there)
        before = state(target)
        was_killed = killed(at, packed, target, hook)
        after = state(target)
        assert after in (before, wanted), f"killed at step {at}"
        import_archive(packed, target)
        assert state(target) == wanted
        if not was_killed:
            break
        at += 1
    assert at >= len(RECORDS) - len(there)


def _imported(packed: Path, target: Path, there: list[Record]) -> Path:
    made(target, there)
    import_archive(packed, target)
    return target


def test_an_archive_that_is_bad_at_its_end_changes_nothing(packed: Path, target: Path) -> None:
    forged = Forged(packed)
    forged.put("messages.jsonl", [*forged.lines("messages.jsonl")[:-1], write_record(said(999, OTHER))])
    forged.true_manifest()
    forged.pack()
    with pytest.raises(ArchiveError):
        import_archive(packed, target)
    assert state(target) == State()


def test_a_full_disk_changes_nothing(packed: Path, target: Path) -> None:
    made(target, [OTHER])
    with pytest.MonkeyPatch.context() as patched:

        def full(db: sqlite3.Connection, record: Record) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        patched.setattr(room_archive_import, "write", full)
        with pytest.raises(StoreError, match=f"^room store {target}: database or disk is full"):
            import_archive(packed, target)
    assert state(target) == State([OTHER])


# comparing


def test_what_is_missing_is_named(tmp_path: Path, packed: Path, target: Path) -> None:
    made(target, [replace(LOBBY, topic="other"), OTHER, *[said(number) for number in range(1, 4)]])
    comparison = compare(tmp_path / "legacy.db", target)
    assert not comparison.is_complete
    assert comparison.only_there == ["Other"]
    lobby, board = sorted(comparison.rooms, key=lambda room: room.name)
    assert (lobby.messages, lobby.messages_there, lobby.missing, lobby.differences) == (5, 3, 2, ("topic",))
    assert (board.messages, board.messages_there, board.missing, board.differences) == (1, 0, 1, ("room",))
    assert comparison.messages == 6


def test_a_pool_may_run_on_either(tmp_path: Path, packed: Path, target: Path) -> None:
    import_archive(packed, target)
    with RoomStore(target) as pool, RoomStore(tmp_path / "legacy.db"):
        pool.apply([said(6)])
        comparison = compare(tmp_path / "legacy.db", target)
    assert comparison.is_complete
    assert asdict(comparison)["rooms"]

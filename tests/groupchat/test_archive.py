"""The lines and the manifest of an archive: what is written is read again, and whatever else is there is told."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipgw.groupchat import archive
from sipgw.groupchat.archive import Defect, Manifest, Part, key_of, read_manifest, read_record, write_record
from sipgw.groupchat.records import Joined, Message, Preference, Record
from sipgw.groupchat.rooms import Room
from tests.groupchat.talk import BOARD, LOBBY, START

RECORDS: dict[str, Record] = {
    "rooms.jsonl": Room(
        LOBBY.uri, "R&D <Ä>", "t\u2028", "d", frozenset({"b@x.test", "a@x.test"}), frozenset({"c@x.test"})
    ),
    "joined.jsonl": Joined(LOBBY.uri, "alice@example.test", START),
    "preferences.jsonl": Preference("alice@example.test", "kedzie.GroupChannels", "1", "eA=="),
    "messages.jsonl": Message(LOBBY.uri, 7, "sip:alice@example.test", "Alice Ä", START, "a\r\nb\x00", "s\n", True),
}
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
MANIFEST = Manifest(START, "Content", START - 9, (Part("messages.jsonl", 2, 300, EMPTY),))


@pytest.mark.parametrize("part", RECORDS)
def test_a_record_comes_back_from_its_line(part: str) -> None:
    line = write_record(RECORDS[part])
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert read_record(part, line) == RECORDS[part]


def test_open_and_closed_rooms_are_told_apart() -> None:
    for room in (LOBBY, BOARD, Room(LOBBY.uri, "empty", members=frozenset())):
        assert read_record("rooms.jsonl", write_record(room)) == room


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.integers(1, 2**62), TEXTS.filter(bool), TEXTS, st.floats(0, archive.LAST_SECOND), TEXTS, TEXTS, st.booleans())
def test_any_message_comes_back(
    number: int, author: str, display: str, ts: float, text: str, story: str, alert: bool
) -> None:
    message = Message(LOBBY.uri, number, author, display, ts, text, story, alert)
    assert read_record("messages.jsonl", write_record(message)) == message


@given(st.sampled_from(sorted(RECORDS)), st.binary(max_size=60))
def test_anything_else_is_a_defect(part: str, line: bytes) -> None:
    with pytest.raises(Defect):
        read_record(part, line)


def changed(part: str, **fields: Any) -> bytes:
    """The part's record with other values; a value of ... takes the key away."""
    told = {**json.loads(write_record(RECORDS[part])), **fields}
    return json.dumps({key: value for key, value in told.items() if value is not ...}).encode()


@pytest.mark.parametrize(
    ("part", "line", "told"),
    [
        ("rooms.jsonl", changed("rooms.jsonl", uri="ma-chan://X.test/1"), "uri: is no room URI"),
        ("rooms.jsonl", changed("rooms.jsonl", uri="../../etc/passwd"), "uri: is no room URI"),
        ("rooms.jsonl", changed("rooms.jsonl", uri="ma-chan://x.test/" + "1" * 600), "uri: is no room URI"),
        ("rooms.jsonl", changed("rooms.jsonl", name=" x"), "name: is"),
        ("rooms.jsonl", changed("rooms.jsonl", name="x" * 257), "name: is"),
        ("rooms.jsonl", changed("rooms.jsonl", name=...), "name: field required"),
        ("rooms.jsonl", changed("rooms.jsonl", more=1), "more: extra inputs"),
        ("rooms.jsonl", changed("rooms.jsonl", topic="a\nb"), "topic: is"),
        ("rooms.jsonl", changed("rooms.jsonl", members=["alice"]), "members[0]: is"),
        ("rooms.jsonl", changed("rooms.jsonl", members=["Alice@x.test"]), "members[0]: is"),
        ("rooms.jsonl", changed("rooms.jsonl", managers=None), "managers: input should be a valid"),
        (
            "rooms.jsonl",
            changed("rooms.jsonl", members=[f"u{n}@x.test" for n in range(10_001)]),
            "members: list should",
        ),
        ("joined.jsonl", changed("joined.jsonl", at="now"), "at: input should be a valid number"),
        ("joined.jsonl", changed("joined.jsonl", at=-1), "at: input should be greater"),
        ("joined.jsonl", changed("joined.jsonl", user=7), "user: is no address"),
        ("preferences.jsonl", changed("preferences.jsonl", label=""), "label: string should have at least"),
        (
            "preferences.jsonl",
            changed("preferences.jsonl", content="x" * 70_000),
            "content: string should have at most",
        ),
        ("messages.jsonl", changed("messages.jsonl", id=0), "id: input should be greater"),
        ("messages.jsonl", changed("messages.jsonl", id=1.5), "id: input should be a valid integer"),
        ("messages.jsonl", changed("messages.jsonl", id=2**70), "id: "),
        ("messages.jsonl", changed("messages.jsonl", ts=1e15), "ts: input should be less"),
        ("messages.jsonl", changed("messages.jsonl", alert="yes"), "alert: input should be a valid boolean"),
        ("messages.jsonl", b'{"ts": NaN', "JSON"),
        ("messages.jsonl", b'"\\ud800"', "JSON"),
        ("messages.jsonl", b"[" * 100_000, "JSON"),
        ("messages.jsonl", b"\n", "JSON"),
        ("messages.jsonl", b"[]\n", "input should be an object"),
    ],
)
def test_what_is_wrong_with_a_line_is_named(part: str, line: bytes, told: str) -> None:
    with pytest.raises(Defect) as caught:
        read_record(part, line)
    assert told in str(caught.value)
    assert len(str(caught.value)) <= 300


def test_a_number_that_is_none() -> None:
    line = changed("messages.jsonl").replace(str(START).encode(), b"NaN")
    with pytest.raises(Defect, match="ts: input should be a finite number"):
        read_record("messages.jsonl", line)


def test_the_order_of_records() -> None:
    assert [key_of(record) for record in RECORDS.values()] == [
        (LOBBY.uri,),
        (LOBBY.uri, "alice@example.test"),
        ("alice@example.test", "kedzie.GroupChannels"),
        (LOBBY.uri, 7),
    ]


def test_the_manifest_comes_back() -> None:
    assert read_manifest(archive.write_manifest(MANIFEST)) == MANIFEST


def manifest(**fields: Any) -> bytes:
    told = {**json.loads(archive.write_manifest(MANIFEST)), **fields}
    return json.dumps({key: value for key, value in told.items() if value is not ...}).encode()


PART = {"name": "messages.jsonl", "records": 1, "bytes": 1, "sha256": EMPTY}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "JSON"),
        (b"[" * 60_000, "JSON"),
        (b"[]", "input should be an object"),
        (manifest(version=2), "is of version 2, this sipgw knows 1"),
        (manifest(version=2, format="other", more=1), "is of version 2"),
        (manifest(version=0), "version: input should be 1"),
        (manifest(version="1"), "version: input should be 1"),
        (manifest(format="other"), "format: input should be 'sipgw-rooms'"),
        (manifest(format=...), "format: field required"),
        (manifest(level="Category"), "level: input should be"),
        (manifest(level="All"), "parts: an archive of level All has rooms.jsonl, joined.jsonl"),
        (manifest(parts=[]), "parts: an archive of level Content has messages.jsonl"),
        (manifest(parts=[PART, PART]), "parts: an archive of level Content"),
        (manifest(parts=[PART] * 9), "parts: list should have at most 4"),
        (manifest(parts=[{**PART, "name": "../x"}]), "parts[0].name: input should be"),
        (manifest(parts=[{**PART, "records": -1}]), "parts[0].records: input should be greater"),
        (manifest(parts=[{**PART, "bytes": 2**50}]), "parts[0].bytes: input should be less"),
        (manifest(parts=[{**PART, "sha256": "0" * 63}]), "parts[0].sha256: string should match"),
        (manifest(created=1e300), "created: input should be less"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_named(data: bytes, told: str) -> None:
    with pytest.raises(Defect) as caught:
        read_manifest(data)
    assert told in str(caught.value)

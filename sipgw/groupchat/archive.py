"""The archive that carries rooms from one emulated pool to another: what stands in its manifest and in its lines.

A zip file with `manifest.json` and a part for each kind of record, one JSON object to a line, in the order of the keys.
The order shows a record that is there twice without holding the others. Everything that is read is checked: whoever
moves the file is not always whoever wrote it. Reading and writing the zip itself is `sipgw.server.room_archive`'s.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError

from sipgw.config.problems import place
from sipgw.groupchat.records import Joined, Message, Preference, Record
from sipgw.groupchat.rooms import MAX_MEMBERS, Room, parse_aor, parse_line, parse_room_name
from sipgw.groupchat.xccos import MAX_ID

FORMAT = "sipgw-rooms"
VERSION = 1
MANIFEST = "manifest.json"
MAX_MANIFEST = 65_536  # bytes
MAX_LINE = 2 << 20  # bytes: a room with as many members as it may have
MAX_PART = 4 << 30  # bytes, unpacked
MAX_TEXT = 65_536  # characters of a message, a story, a preference
MAX_URI = 512  # characters
_IN_URI = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-_:[]")
LAST_SECOND = 253_402_300_799  # of the year 9999, the last one that a date can name

Level = Literal["All", "RoomDirectory", "User", "Content"]
PARTS: dict[str, Level] = {  # in the order in which they are imported: what refers to a room comes after it
    "rooms.jsonl": "RoomDirectory",
    "joined.jsonl": "User",
    "preferences.jsonl": "User",
    "messages.jsonl": "Content",
}


Model = TypeVar("Model", bound=BaseModel)


class Defect(ValueError):
    """What is wrong with a manifest or a line, in words for people."""


class Part(NamedTuple):
    """How many records a part has, how many bytes unpacked, and their SHA-256 in hexadecimal digits."""

    name: str
    records: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """`since` is the wall-clock second that messages were taken from, None for all."""

    created: float
    level: Level
    since: float | None
    parts: tuple[Part, ...]


def names_of(level: Level) -> list[str]:
    """The parts of an archive of that level."""
    return [name for name, of in PARTS.items() if level in ("All", of)]


# the manifest


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _PartTable(_Strict):
    name: Literal["rooms.jsonl", "joined.jsonl", "preferences.jsonl", "messages.jsonl"]
    records: Annotated[int, Field(ge=0, le=MAX_PART)]
    bytes: Annotated[int, Field(ge=0, le=MAX_PART)]
    sha256: Annotated[str, Field(pattern=r"\A[0-9a-f]{64}\z")]


_Second = Annotated[float, Field(ge=0, le=LAST_SECOND)]


class _ManifestTable(_Strict):
    format: Literal["sipgw-rooms"]
    version: Literal[1]
    created: _Second
    created_text: str = ""  # for whoever opens the file
    level: Level
    since: _Second | None
    parts: Annotated[list[_PartTable], Field(max_length=len(PARTS))]


def write_manifest(manifest: Manifest) -> bytes:
    """What `read_manifest` reads."""
    told = {
        "format": FORMAT,
        "version": VERSION,
        "created": manifest.created,
        "created_text": datetime.fromtimestamp(manifest.created, UTC).isoformat(timespec="seconds"),
        "level": manifest.level,
        "since": manifest.since,
        "parts": [part._asdict() for part in manifest.parts],
    }
    return json.dumps(told, indent=2).encode() + b"\n"


def read_manifest(data: bytes) -> Manifest:
    """Raises Defect, for another version before anything else."""
    try:
        version = json.loads(data).get("version", VERSION)
    except (ValueError, AttributeError, RecursionError):
        version = VERSION  # and the rest is told below
    if isinstance(version, int) and version > VERSION:
        raise Defect(f"is of version {version}, this sipgw knows {VERSION}; import it with a newer one")
    table = _checked(_ManifestTable, data)
    parts = tuple(Part(one.name, one.records, one.bytes, one.sha256) for one in table.parts)
    if [part.name for part in parts] != names_of(table.level):
        wanted = ", ".join(names_of(table.level))
        raise Defect(f"parts: an archive of level {table.level} has {wanted}, in that order")
    return Manifest(table.created, table.level, table.since, parts)


# the lines


def _uri(value: object) -> str:
    """A room URI, as it stands in a store."""
    scheme, _, rest = str(value).partition("://")
    domain, _, value_part = rest.partition("/")
    named = scheme == "ma-chan" and domain and value_part and len(rest) <= MAX_URI
    if not isinstance(value, str) or not named or not set(domain + value_part) <= _IN_URI:
        raise ValueError("is no room URI such as ma-chan://contoso.com/00000000-0000-0000-0000-000000000001")
    return value


def _key(value: object) -> str:
    """An address of record, `user@host`."""
    if not isinstance(value, str) or parse_aor(f"sip:{value}") != value:
        raise ValueError("is no address such as alice@contoso.com")
    return value


_Uri = Annotated[str, PlainValidator(_uri)]
_Key = Annotated[str, PlainValidator(_key)]
_Line = Annotated[str, PlainValidator(parse_line)]
_Keys = Annotated[list[_Key], Field(max_length=MAX_MEMBERS)]
_Text = Annotated[str, Field(max_length=MAX_TEXT)]
_Short = Annotated[str, Field(max_length=512)]


class _RoomLine(_Strict):
    uri: _Uri
    name: Annotated[str, PlainValidator(parse_room_name)]
    topic: _Line
    description: _Line
    members: _Keys | None
    managers: _Keys


class _JoinedLine(_Strict):
    room: _Uri
    user: _Key
    at: _Second


class _PreferenceLine(_Strict):
    user: _Key
    label: Annotated[str, Field(min_length=1, max_length=128)]
    seqid: Annotated[str, Field(max_length=MAX_ID)]
    content: _Text


class _MessageLine(_Strict):
    room: _Uri
    id: Annotated[int, Field(ge=1, le=2**62)]
    author: Annotated[str, Field(min_length=1, max_length=512)]
    display: _Short
    ts: _Second
    text: _Text
    story: _Text
    alert: bool


def write_record(record: Record) -> bytes:
    """One line, its end included."""
    return json.dumps(_as_json(record), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _as_json(record: Record) -> dict[str, Any]:
    match record:
        case Room(uri, name, topic, description, members, managers):
            listed = None if members is None else sorted(members)
            people = {"members": listed, "managers": sorted(managers)}
            return {"uri": uri, "name": name, "topic": topic, "description": description, **people}
        case Joined(room, user, at):
            return {"room": room, "user": user, "at": at}
        case Preference(user, label, seqid, content):
            return {"user": user, "label": label, "seqid": seqid, "content": content}
        case Message(room, number, author, display, ts, text, story, alert):
            said = {"author": author, "display": display, "ts": ts, "text": text, "story": story, "alert": alert}
            return {"room": room, "id": number, **said}


def read_record(part: str, line: bytes) -> Record:
    """The record that a line of a part holds. Raises Defect."""
    return _READERS[part](line)


def key_of(record: Record) -> tuple[str | int, ...]:
    """What tells a record from the others of its part; lines are in this order."""
    match record:
        case Room(uri):
            return (uri,)
        case Joined(room, user) | Preference(room, user):
            return room, user
        case Message(room, number):
            return room, number


def _room(line: bytes) -> Room:
    told = _checked(_RoomLine, line)
    members = None if told.members is None else frozenset(told.members)
    return Room(told.uri, told.name, told.topic, told.description, members, frozenset(told.managers))


def _joined(line: bytes) -> Joined:
    told = _checked(_JoinedLine, line)
    return Joined(told.room, told.user, told.at)


def _preference(line: bytes) -> Preference:
    told = _checked(_PreferenceLine, line)
    return Preference(told.user, told.label, told.seqid, told.content)


def _message(line: bytes) -> Message:
    told = _checked(_MessageLine, line)
    return Message(told.room, told.id, told.author, told.display, told.ts, told.text, told.story, told.alert)


_READERS: dict[str, Callable[[bytes], Record]] = {
    "rooms.jsonl": _room,
    "joined.jsonl": _joined,
    "preferences.jsonl": _preference,
    "messages.jsonl": _message,
}


def _checked(model: type[Model], data: bytes) -> Model:
    """Raises Defect with the first thing that is wrong."""
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
    where = place(fault["loc"])
    what = str(fault.get("ctx", {}).get("error", "")) if fault["type"] == "value_error" else fault["msg"]
    text = what[:1].lower() + what[1:]
    raise Defect((f"{where}: {text}" if where else text)[:300])

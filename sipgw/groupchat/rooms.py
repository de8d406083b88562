"""Chat rooms, and where they are declared: names on a command line or a small TOML file (`config/rooms.toml`)."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import NAMESPACE_DNS, UUID, uuid5

from pydantic import Field, PlainValidator, ValidationError

from sipgw.config.problems import Location, describe, place, shown, unknown
from sipgw.config.tables import AsArray, Table
from sipgw.message.errors import MalformedUri
from sipgw.message.uri import parse_uri

MAX_NAME = 256  # characters; Persistent Chat's own bound
MAX_MEMBERS = 10_000  # of one room

_LINE = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]*")


@dataclass(frozen=True, slots=True)
class Room:
    """A chat room. `uri` is `ma-chan://domain/guid` in lower case; `members` and `managers` are AORs (`user@host`).

    With `members` None the room is open: anyone may join. Managers may always join.
    """

    uri: str
    name: str
    topic: str = ""
    description: str = ""
    members: frozenset[str] | None = None
    managers: frozenset[str] = frozenset()

    @property
    def domain(self) -> str:
        return self.uri.removeprefix("ma-chan://").partition("/")[0]

    @property
    def guid(self) -> str:
        return self.uri.rpartition("/")[2]

    def admits(self, aor: str) -> bool:
        return self.members is None or aor in self.members or aor in self.managers


class RoomsError(ValueError):
    """Rooms that cannot be. `problems` are lines that say where, what is wrong and what would be right."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def room_uri(domain: str, guid: str) -> str:
    return f"ma-chan://{domain}/{guid}".lower()


def room_guid(domain: str, name: str) -> str:
    """Always the same for a name in a domain, case aside, so that a room is found again after a restart."""
    return str(uuid5(uuid5(NAMESPACE_DNS, domain.lower()), name.casefold()))


def room_named(name: str, domain: str) -> Room:
    """An open room for `--room NAME`. Raises RoomsError."""
    try:
        name = parse_room_name(name)
    except ValueError as error:
        raise RoomsError([f"room name {error}"]) from None
    return Room(room_uri(domain, room_guid(domain, name)), name)


def parse_rooms(text: str, file: str, domain: str) -> list[Room]:
    """The rooms that a TOML file declares; `file` is its name for error texts. Raises RoomsError with every error."""
    try:
        data = tomllib.loads(text)
    except ValueError as error:  # a TOMLDecodeError, or a number with more digits than Python reads
        raise RoomsError([f"{file}: not TOML: {error}"]) from None
    reader = _Reader(domain)
    rooms = reader.rooms(data)
    if reader.problems:
        raise RoomsError([f"{file}: {place(location)}: {what}" for location, what in reader.problems])
    return rooms


def duplicates(rooms: Iterable[Room]) -> list[tuple[int, str, str]]:
    """Rooms that an earlier one leaves no place for: (position, "name" or "guid", what it shares)."""
    found: list[tuple[int, str, str]] = []
    seen: set[tuple[str, str]] = set()
    for at, room in enumerate(rooms):
        for key, value in (("name", room.name), ("guid", room.guid)):
            mark = (key, value.casefold())
            if mark in seen:
                found.append((at, key, value))
                break  # with the same name comes the same guid: one line will do
            seen.add(mark)
    return found


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"is {shown(value)}; write a text in quotes")
    return value


def parse_line(value: object) -> str:
    """A topic, a description, part of a name. Raises ValueError, as the others do."""
    line = _string(value)
    if len(line) > MAX_NAME or not _LINE.fullmatch(line):
        raise ValueError(f"is {shown(line)}; write one line of at most {MAX_NAME} characters")
    return line


def parse_room_name(value: object) -> str:
    name = parse_line(value)
    if not name or name != name.strip():
        raise ValueError(f"is {shown(name)}; write at least one character, and no space around it")
    return name


def _guid(value: object) -> str:
    guid = _string(value)
    try:
        return str(UUID(hex=guid))
    except ValueError:
        raise ValueError(f"is {shown(guid)}; write a GUID such as {UUID(int=1)}, or leave the key out") from None


def parse_aor(value: object) -> str:
    """`sip:user@host` to its key, `user@host`."""
    address = _string(value)
    try:
        uri = parse_uri(address)
    except MalformedUri:
        uri = None
    if uri is None or uri.user is None or uri.text.partition("@")[2].lower() != uri.host:
        raise ValueError(f"is {shown(address)}; write a SIP address such as sip:alice@contoso.com")
    return uri.aor


_Aors = Annotated[tuple[Annotated[str, PlainValidator(parse_aor)], ...], AsArray, Field(max_length=MAX_MEMBERS)]


class _RoomTable(Table):
    name: Annotated[str, PlainValidator(parse_room_name), Field(examples=["Lobby"])]
    guid: Annotated[str | None, PlainValidator(_guid)] = None
    topic: Annotated[str, PlainValidator(parse_line)] = ""
    description: Annotated[str, PlainValidator(parse_line)] = ""
    members: _Aors | None = None
    managers: _Aors = ()


class _Reader:
    """Checks room after room and collects what is wrong with each."""

    def __init__(self, domain: str) -> None:
        self._domain = domain
        self.problems: list[tuple[Location, str]] = []

    def rooms(self, data: dict[str, Any]) -> list[Room]:
        self.problems += [((key,), unknown(key, ["room"])) for key in data if key != "room"]
        tables = data.get("room", [])
        if not isinstance(tables, list):
            self.problems.append((("room",), f"is {shown(tables)}; write [[room]]"))
            return []
        read = [(at, room) for at, table in enumerate(tables) if (room := self._room(at, table)) is not None]
        for index, key, value in duplicates([room for _, room in read]):
            at = read[index][0]
            self.problems.append((("room", at, key), f"is {shown(value)}, as an earlier room's; give each its own"))
        return [room for _, room in read]

    def _room(self, at: int, data: Any) -> Room | None:
        try:
            table = _RoomTable.model_validate(data)
        except ValidationError as error:
            for fault in error.errors(include_url=False):
                self.problems.append((("room", at, *fault["loc"]), describe(fault, _RoomTable)))
            return None
        guid = table.guid or room_guid(self._domain, table.name)
        members = None if table.members is None else frozenset(table.members)
        uri = room_uri(self._domain, guid)
        return Room(uri, table.name, table.topic, table.description, members, frozenset(table.managers))

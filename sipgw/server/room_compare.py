"""Whether one room store has all that another has: the question after the data was moved."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from sqlite3 import Connection

from sipgw.groupchat.records import Message
from sipgw.groupchat.rooms import Room
from sipgw.server.room_store import messages_in, reading, rooms_in


@dataclass(frozen=True)
class RoomCompared:
    """A room of the first store, with its messages in each; `missing` are those of the first that the second has not.
    `differences` are words for what else is not the same."""

    name: str
    uri: str
    messages: int
    messages_there: int
    missing: int
    differences: tuple[str, ...] = ()

    @property
    def is_there(self) -> bool:
        return not self.missing and not self.differences


@dataclass(frozen=True)
class Comparison:
    """`rooms` are those of the first store, `only_there` the names of rooms that only the second has."""

    rooms: list[RoomCompared] = field(default_factory=list)
    only_there: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether the second has everything that the first has."""
        return all(room.is_there for room in self.rooms)

    @property
    def messages(self) -> int:
        return sum(room.messages for room in self.rooms)


def compare(first: Path, second: Path) -> Comparison:
    """Also while pools run on them. Raises StoreError."""
    with reading(first) as one, reading(second) as other:
        there = {room.uri: room for room in rooms_in(other)}
        rooms = [_compared(room, there.pop(room.uri, None), one, other) for room in rooms_in(one)]
    rooms.sort(key=lambda room: room.name.casefold())
    return Comparison(rooms, sorted(room.name for room in there.values()))


def _compared(room: Room, held: Room | None, one: Connection, other: Connection) -> RoomCompared:
    said, heard = _messages(one, room.uri), _messages(other, room.uri)
    if held is None:
        return RoomCompared(room.name, room.uri, said.total(), 0, said.total(), ("room",))
    others = tuple(name for name in Room.__slots__ if getattr(room, name) != getattr(held, name))
    return RoomCompared(room.name, room.uri, said.total(), heard.total(), (said - heard).total(), others)


def _messages(db: Connection, room_uri: str) -> Counter[tuple[float, str, str, str]]:
    """By what was said, not by number: an import may have to number anew."""
    return Counter(map(_said, messages_in(db, room_uri)))


def _said(message: Message) -> tuple[float, str, str, str]:
    return message.ts, message.author, message.text, message.story

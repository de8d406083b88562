"""Who is in which room. A user with several sessions in a room is there once."""

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Session:
    """One channel dialog. `uri` and `aor` are its user's: `sip:user@host` as signed in, and its key.

    `display` is never empty; `rooms` are the URIs of the rooms that it has joined, in that order.
    """

    number: int
    uri: str
    aor: str
    display: str
    rooms: dict[str, None] = field(default_factory=dict)


class Presence:
    """Sessions by room and user."""

    def __init__(self) -> None:
        self._rooms: dict[str, dict[str, list[Session]]] = {}

    def enter(self, room_uri: str, session: Session) -> bool:
        """Put the session into a room that it is not in; True when its user was not there before."""
        session.rooms[room_uri] = None
        users = self._rooms.setdefault(room_uri, {})
        users.setdefault(session.aor, []).append(session)
        return len(users[session.aor]) == 1

    def leave(self, room_uri: str, session: Session) -> bool:
        """Take the session out of a room that it is in; True when its user is there no longer."""
        del session.rooms[room_uri]
        users = self._rooms[room_uri]
        users[session.aor].remove(session)
        if users[session.aor]:
            return False
        del users[session.aor]
        if not users:
            del self._rooms[room_uri]
        return True

    def has(self, room_uri: str, aor: str) -> bool:
        """Whether the user is there."""
        return aor in self._rooms.get(room_uri, ())

    def count(self, room_uri: str) -> int:
        """How many users are there."""
        return len(self._rooms.get(room_uri, ()))

    def users(self, room_uri: str) -> Iterator[Session]:
        """One session of every user there, in the order in which they came."""
        return (sessions[0] for sessions in self._rooms.get(room_uri, {}).values())

    def sessions(self, room_uri: str) -> Iterator[Session]:
        """Every session there."""
        return (session for sessions in self._rooms.get(room_uri, {}).values() for session in sessions)

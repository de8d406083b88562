"""The rooms there are, and whose they are."""

from collections.abc import Iterable

from sipgw.groupchat.records import Joined
from sipgw.groupchat.refusals import NO_SUCH_ROOM, NOT_A_MEMBER, Refused
from sipgw.groupchat.rooms import Room, RoomsError, duplicates


class RoomDirectory:
    """Rooms by URI, with the users who joined an open one. Raises RoomsError for rooms that cannot be held together."""

    def __init__(self, rooms: Iterable[Room], joined: Iterable[Joined], max_rooms: int, max_joined: int) -> None:
        rooms = list(rooms)
        shared = duplicates(rooms)
        problems = [f"the {key} {value!r} belongs to two rooms; give each its own" for _, key, value in shared]
        if len(rooms) > max_rooms:
            problems.append(f"{len(rooms)} rooms are more than the {max_rooms} that this pool takes")
        if problems:
            raise RoomsError(problems)
        self._rooms = {room.uri: room for room in rooms}
        self._sorted = sorted(rooms, key=lambda room: room.name.casefold())
        self._max_joined = max_joined
        self._joined = {(record.aor, record.room_uri) for record in joined if record.room_uri in self._rooms}

    def at(self, uri: str) -> Room:
        """The room of that URI. Raises Refused."""
        room = self._rooms.get(uri.lower())
        if room is None:
            raise Refused(NO_SUCH_ROOM)
        return room

    def find(self, uri: str, aor: str) -> Room:
        """The room, for a user who may enter it. Raises Refused."""
        room = self.at(uri)
        if not room.admits(aor):
            raise Refused(NOT_A_MEMBER, room.name)
        return room

    def search(self, criteria: str) -> list[Room]:
        """Rooms whose name contains the text, case aside, by name. Rooms with a member list are found by everybody."""
        wanted = criteria.casefold()
        return [room for room in self._sorted if wanted in room.name.casefold()]

    def managed_by(self, aor: str) -> list[Room]:
        return [room for room in self._sorted if aor in room.managers]

    def memberships(self, aor: str) -> list[Room]:
        """Rooms that list the user as a member, and open ones that they have joined at some time."""
        return [room for room in self._sorted if self._is_member(aor, room)]

    def _is_member(self, aor: str, room: Room) -> bool:
        return (aor, room.uri) in self._joined if room.members is None else aor in room.members

    def associated(self, aor: str, room: Room) -> bool:
        """Whether there is nothing to note when the user joins: no open room, or joined before."""
        return room.members is not None or (aor, room.uri) in self._joined

    def note_joined(self, aor: str, room: Room, now: float) -> Joined | None:
        """Remember that the user joined an open room; None when no more can be remembered."""
        if len(self._joined) >= self._max_joined:
            return None
        self._joined.add((aor, room.uri))
        return Joined(room.uri, aor, now)

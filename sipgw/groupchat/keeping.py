"""What the service keeps for its users: the latest messages of each room, and their clients' preferences."""

from collections import deque
from collections.abc import Iterable

from sipgw.groupchat.records import Message, Preference
from sipgw.groupchat.refusals import BAD_REQUEST, LIMIT_REACHED, TOO_LARGE, Refused

MAX_LABEL = 128  # characters


class History:
    """The last `per_room` messages of each room."""

    def __init__(self, messages: Iterable[Message], per_room: int) -> None:
        self._per_room = per_room
        self._rooms: dict[str, deque[Message]] = {}
        for message in messages:
            self.add(message)

    def next_id(self, room_uri: str) -> int:
        """The chat_id of the room's next message."""
        held = self._rooms.get(room_uri)
        return held[-1].chat_id + 1 if held else 1

    def add(self, message: Message) -> bool:
        """Keep it; True when the oldest had to go for it."""
        held = self._rooms.setdefault(message.room_uri, deque(maxlen=self._per_room))
        full = len(held) == self._per_room
        held.append(message)
        return full

    def last(self, room_uri: str, count: int) -> list[Message]:
        """The newest `count` messages, oldest first."""
        held = self._rooms.get(room_uri, ())
        return list(held)[max(0, len(held) - count) :]


class Preferences:
    """Texts by user and label, each at most `max_size` characters, at most `max_count` in all."""

    def __init__(self, held: Iterable[Preference], max_size: int, max_count: int) -> None:
        self._held = {(preference.aor, preference.label): preference for preference in held}
        self._max_size = max_size
        self._max_count = max_count

    def get(self, aor: str, label: str) -> Preference:
        """What is kept, an empty one when nothing is."""
        return self._held.get((aor, label)) or Preference(aor, label, "0", "")

    def set(self, preference: Preference) -> None:
        """Keep it. Raises Refused."""
        key = (preference.aor, preference.label)
        if not 0 < len(preference.label) <= MAX_LABEL:
            raise Refused(BAD_REQUEST, f"a label has 1 to {MAX_LABEL} characters")
        if len(preference.content) > self._max_size:
            raise Refused(TOO_LARGE, f"a preference has at most {self._max_size} characters", "preference_size")
        if key not in self._held and len(self._held) >= self._max_count:
            raise Refused(LIMIT_REACHED, "no more preferences can be kept", "preferences")
        self._held[key] = preference

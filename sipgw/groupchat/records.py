"""What the channel service hands out: bodies to deliver, and records for the store, which returns them at a start."""

from dataclasses import dataclass, field

from sipgw.groupchat.rooms import Room


@dataclass(frozen=True, slots=True)
class Deliver:
    """Send `body` (an envelope) as an INFO in the dialog of `session`."""

    session: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Joined:
    """A user has joined an open room for the first time and counts as a member of it from now on. `at`: wall clock."""

    room_uri: str
    aor: str
    at: float


@dataclass(frozen=True, slots=True)
class Preference:
    """What a user's client keeps with the server under a label, opaque to it; replaces an earlier one."""

    aor: str
    label: str
    seqid: str
    content: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a room's history. `chat_id` counts up from 1 in each room; `ts` is wall-clock seconds."""

    room_uri: str
    chat_id: int
    author: str
    display: str
    ts: float
    text: str
    story: str = ""
    alert: bool = False


Record = Room | Joined | Preference | Message
Output = Deliver | Joined | Preference | Message


@dataclass(slots=True)
class State:
    """All that survives a restart. `messages` of one room are in the order of their chat_id."""

    rooms: list[Room] = field(default_factory=list)
    joined: list[Joined] = field(default_factory=list)
    preferences: list[Preference] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)

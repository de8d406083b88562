"""The elements of the channel service's answers and notices, and how much of them fits into one envelope."""

from collections.abc import Iterable
from datetime import UTC, datetime

from sipgw.groupchat.element import Element, written_size
from sipgw.groupchat.presence import Session
from sipgw.groupchat.records import Message, Preference
from sipgw.groupchat.rooms import MAX_NAME, Room
from sipgw.groupchat.xccos import MAX_ID, GroupChat

USER = "3984"  # keys of aib: whoever is in the room, and
MANAGER = "12276"  # who of them manages it
_INFO = "urn:parlano:ma:info:"
_PROPERTY = "urn:parlano:ma:prop:"
_LISTS = len('<aib key="12276" value=""/>') * 2 + len("</chanib>")  # of a room, without the numbers in them


class Budget:
    """Bytes left in an envelope."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, size: int) -> bool:
        """Whether that much was left; it is gone then."""
        if size > self._left:
            return False
        self._left -= size
        return True


def timestamp(seconds: float) -> str:
    """Wall-clock seconds as the server writes them: UTC, in ticks of 100 ns."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "0Z")


def room_address(room: Room) -> Element:
    return Element("chanib", {"uri": room.uri})


def room_info(room: Room, users: int) -> Element:
    """A room as search results and joins show it; `users` are in it now."""
    visibility = "SCOPED" if room.members is None else "PRIVATE"
    attributes = {
        "name": room.name,
        "description": room.description,
        "uri": room.uri,
        "behavior": "NORMAL",
        "topic": room.topic,
        "keywords": "",
        "filerepository": "",
    }
    details = [
        Element("info", {"id": f"{_INFO}ucnt"}, text=str(users)),
        Element("info", {"id": f"{_INFO}visibility"}, text=visibility),
        Element("info", {"id": f"{_INFO}visibilty"}, text=visibility),  # pidgin-sipe looks for it spelt like this
        Element("prop", {"id": f"{_PROPERTY}logged"}, text="True"),
        Element("prop", {"id": f"{_PROPERTY}invite"}, text="False"),
        Element("prop", {"id": f"{_PROPERTY}filepost"}, text="False"),
    ]
    return Element("chanib", attributes, details)


def user_info(session: Session, number: str = "0") -> Element:
    """A user; `number` is what the rooms of the same answer refer to."""
    user = session.uri.removeprefix("sip:").partition("@")[0]
    return Element("uib", {"uri": session.uri, "uname": user, "disname": session.display, "id": number, "type": "1"})


def server_address(uri: str) -> Element:
    return Element("uib", {"uri": uri, "uname": "", "disname": "", "id": "-1", "type": "5"})


def join_notice(session: Session, room: Room) -> Element:
    """The data of `ntc:join` and `ntc:bjoin`."""
    user = user_info(session)
    keys = [USER, MANAGER] if session.aor in room.managers else [USER]
    user.children = [Element("aib", {"key": key, "domain": room.domain, "value": room.guid}) for key in keys]
    return Element("data", children=[user])


def part_notice(session: Session, room: Room) -> Element:
    """The data of `ntc:part`."""
    address = room_address(room)
    address.children = [user_info(session)]
    return Element("data", children=[address])


def history_entry(message: Message) -> Element:
    return group_chat(message).element("msg")


def group_chat(message: Message) -> GroupChat:
    return GroupChat(
        message.room_uri,
        message.author,
        timestamp(message.ts),
        message.text,
        message.display,
        message.alert,
        str(message.chat_id),
        message.story,
    )


def preference(kept: Preference) -> Element:
    attributes = {"label": kept.label, "seqid": kept.seqid, "createdefault": "false", "content": kept.content}
    return Element("pref", attributes)


class JoinAnswer:
    """The data of `rpl:join` and `rpl:bjoin`, of at most `size` bytes: users, and rooms that refer to them by number.

    Users who do not fit are left out of the lists, the first ones being listed; the count in the room is of all.
    """

    def __init__(self, size: int) -> None:
        self._budget = Budget(size)
        self._users: list[Element] = []
        self._numbers: dict[str, str] = {}
        self._rooms: list[Element] = []
        self.users_omitted = 0

    def add_failure(self, domain: str, guid: str) -> None:
        """A room that was not joined, in place of its chanib; no more of what the client sent than names a room."""
        attributes = {"key": "OPERATION_FAILED", "value": guid[:MAX_ID], "domain": domain[:MAX_NAME]}
        element = Element("fib", attributes)
        if self._budget.take(written_size(element)):
            self._rooms.append(element)

    def add_room(self, room: Room, count: int, users: Iterable[Session]) -> bool:
        """Add the room and the `count` users who are in it, each given at least once.

        False, and nothing is added, when the room does not fit.
        """
        element = room_info(room, count)
        if not self._budget.take(written_size(element) + _LISTS):
            return False
        self._rooms.append(element)
        numbers = self._list(users)
        self.users_omitted += count - len(numbers)
        managers = [number for aor, number in numbers.items() if aor in room.managers]
        element.children.append(Element("aib", {"key": USER, "value": ",".join(numbers.values())}))
        if managers:
            element.children.append(Element("aib", {"key": MANAGER, "value": ",".join(managers)}))
        return True

    def _list(self, users: Iterable[Session]) -> dict[str, str]:
        """The numbers of the first users that fit, by AOR."""
        numbers: dict[str, str] = {}
        for session in users:
            number = self._number(session)
            if number is None:
                break
            numbers[session.aor] = number
        return numbers

    def _number(self, session: Session) -> str | None:
        known = self._numbers.get(session.aor)
        number = known or str(len(self._users))
        size = 2 * (len(number) + 1)  # in the list of users and in that of managers
        if known is not None:
            return known if self._budget.take(size) else None
        element = user_info(session, number)
        if not self._budget.take(size + written_size(element)):
            return None
        self._users.append(element)
        self._numbers[session.aor] = number
        return number

    def elements(self) -> list[Element]:
        return [*self._users, *self._rooms]

"""A channel service and parties that talk to it. Each envelope is read as a client would and has to be small enough."""

from collections import deque
from collections.abc import Iterable

from sipgw.groupchat import xccos
from sipgw.groupchat.channel import ChannelService, ChannelSettings, Output, State
from sipgw.groupchat.element import MAX_BYTES, Element
from sipgw.groupchat.records import Deliver, Joined, Message, Preference
from sipgw.groupchat.rooms import Room, room_uri
from sipgw.groupchat.xccos import Envelope, GroupChat, Item, Notice, Reply, XccosError
from tests.groupchat.captured import CHANNEL, LOBBY_GUID

DOMAIN = "example.test"
START = 1_700_000_000.25  # 2023-11-14T22:13:20.25Z
LOBBY = Room(room_uri(DOMAIN, LOBBY_GUID), "Lobby", "topic of Lobby", "desc of Lobby")
BOARD = Room(
    room_uri(DOMAIN, "22222222-2222-2222-2222-222222222222"),
    "R&D <board>",
    members=frozenset({"alice@example.test"}),
    managers=frozenset({"mary@example.test"}),
)


class Talk:
    """The service, a clock that goes on by a second with each envelope, and what the store would have been given."""

    def __init__(self, state: State | None = None, **settings: int) -> None:
        self.settings = ChannelSettings(DOMAIN, (CHANNEL,), **settings)
        self.service = ChannelService(self.settings, state or State(rooms=[LOBBY, BOARD]))
        self.now = START
        self.records: list[Joined | Preference | Message] = []
        self.inboxes: dict[int, deque[bytes]] = {}

    def open(self, user: str, display: str = "") -> "Party":
        number = len(self.inboxes) + 1
        self.perform(self.service.open(number, f"sip:{user}@{DOMAIN}", display, self.now))
        self.inboxes[number] = deque()
        return Party(self, number, user)

    def perform(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            if isinstance(output, Deliver):
                assert len(output.body) <= MAX_BYTES
                self.inboxes[output.session].append(output.body)
            else:
                self.records.append(output)

    def count(self, name: str) -> int:
        return self.service.counters[name]


class Party:
    """One session. `last` is the envid of what it sent last."""

    def __init__(self, talk: Talk, number: int, user: str) -> None:
        self.talk = talk
        self.number = number
        self.uri = f"sip:{user}@{DOMAIN}"
        self.last = ""

    def send(self, body: bytes) -> None:
        try:
            self.last = xccos.parse(body).envid
        except XccosError as error:
            self.last = error.envid
        self.talk.now += 1
        self.talk.perform(self.talk.service.handle(self.number, body, self.talk.now))

    def command(self, name: str, *data: Element) -> None:
        self.send(xccos.command(f"{self.number}00{self.talk.now:.0f}", name, *data))

    def ask(self, name: str, *data: Element) -> Element:
        """Send a command and take its reply."""
        self.command(name, *data)
        return self.reply(name)

    def refused(self, name: str, *data: Element) -> tuple[int, str]:
        """Send a command and take its refusal: code and text."""
        self.command(name, *data)
        return self.refusal(name)

    def say(self, text: str, room: Room = LOBBY) -> None:
        self.send(xccos.chat(f"{self.number}99{self.talk.now:.0f}", room.uri, self.uri, "2023-11-14T22:13:20Z", text))

    def close(self) -> None:
        self.talk.perform(self.talk.service.close(self.number, self.talk.now))

    # what has come

    def take(self) -> Item:
        """The next envelope's only item."""
        assert self.talk.inboxes[self.number], "nothing has come"
        (item,) = xccos.parse(self.talk.inboxes[self.number].popleft()).items
        return item

    def raw(self) -> bytes:
        return self.talk.inboxes[self.number].popleft()

    def _answer(self, name: str) -> Reply:
        item = self.take()
        assert isinstance(item, Reply)
        assert (item.name, item.command_envid) == (name, self.last)
        return item

    def reply(self, name: str) -> Element:
        """The data of a reply that says that it was done."""
        item = self._answer(name)
        assert (item.code, item.text) == (200, "SUCCESS_OK")
        return item.data

    def refusal(self, name: str) -> tuple[int, str]:
        item = self._answer(name)
        assert item.data == Element("data")
        return item.code, item.text

    def notice(self, name: str) -> Element:
        item = self.take()
        assert isinstance(item, Notice)
        assert item.name == name
        return item.data

    def chat(self) -> GroupChat:
        item = self.take()
        assert isinstance(item, GroupChat)
        return item

    def silence(self) -> None:
        assert not self.talk.inboxes[self.number]

    def join(self, *rooms: Room) -> Element:
        if len(rooms) == 1:
            return self.ask("join", chanid(rooms[0]))
        return self.ask("bjoin", *(chanid(room, str(at)) for at, room in enumerate(rooms)))


def chanid(room: Room, key: str = "0") -> Element:
    return Element("chanid", {"key": key, "domain": room.domain, "value": room.guid})


def chanib(room: Room) -> Element:
    return Element("chanib", {"uri": room.uri})


def last(count: object) -> Element:
    return Element("bcq", children=[Element("last", {"cnt": str(count)})])


def users(data: Element, key: str = "3984") -> list[list[str]]:
    """For each room of a join's reply the URIs of those whom the aib of that key lists."""
    uris = {user.get("id"): user.get("uri") for user in data.all("uib")}
    lists = [[aib.get("value") for aib in room.all("aib") if aib.get("key") == key] for room in data.all("chanib")]
    return [[uris[number] for value in values for number in value.split(",")] for values in lists]


def envelope(*items: Item, envid: str = "5") -> bytes:
    return xccos.write(Envelope(envid, list(items)))

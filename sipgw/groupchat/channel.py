"""The channel service of the emulated Persistent Chat pool: what it answers, and whom it tells, for each envelope.

No I/O and no clock: `now` is wall-clock seconds, given with every call, and all that is to be done comes back as plain
data. Shapes follow what pidgin-sipe is seen to send and to accept. Three things no source at hand shows; we chose them:

- `cmd:getassociations`: any child of its data with `type` "member" or "manager"; "member" when there is none.
- What makes a message a story: a `story` element beside `chat`, which then is its title.
- Error codes: see `refusals`. An answer to what could not be read at all is `rpl:error`.

The service is the lookup service too: `cmd:requri` is answered in every session, as old clients ask even a 2013 pool.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain

from sipgw.groupchat import payload, xccos
from sipgw.groupchat.directory import RoomDirectory
from sipgw.groupchat.element import Element, XccosError, printable
from sipgw.groupchat.keeping import History, Preferences
from sipgw.groupchat.presence import Presence, Session
from sipgw.groupchat.queries import Queries, child
from sipgw.groupchat.records import Deliver, Message, Output, Preference, State
from sipgw.groupchat.refusals import BAD_REQUEST, LIMIT_REACHED, NOT_SUPPORTED, SUCCESS, TOO_LARGE, Refused
from sipgw.groupchat.rooms import Room, room_uri
from sipgw.groupchat.settings import ChannelSettings
from sipgw.groupchat.xccos import Command, Envelope, GroupChat, Item, Notice, Reply
from sipgw.message.uri import parse_uri, sip_uri

__all__ = ["ChannelService", "ChannelSettings", "Deliver", "Output", "SessionsFull", "State"]

MAX_DISPLAY = 256  # characters of a display name; the rest is cut off

Answer = tuple[list[Element], list[Output]]  # children of the reply's data; what else is to be done, after it


class SessionsFull(Exception):
    """No further session is taken; the INVITE is owed a 503."""


class ChannelService:
    """Sessions are numbers that the caller chooses: one for each channel (or lookup) dialog, and not used again.

    `counters`: envelopes, commands, messages, delivered, malformed, ignored (items that only a server sends),
    implicit_joins, foreign_authors, refused_CODE, and bound_NAME for the bounds in ChannelSettings. Raises RoomsError
    for rooms that share a name, or are too many.
    """

    def __init__(self, settings: ChannelSettings, state: State) -> None:
        self._settings = settings
        self._directory = RoomDirectory(state.rooms, state.joined, settings.max_rooms, settings.max_joined)
        self._history = History(state.messages, settings.history_per_room)
        self._preferences = Preferences(state.preferences, settings.preference_size, settings.max_preferences)
        self._presence = Presence()
        self._sessions: dict[int, Session] = {}
        self._envid = 0
        self.counters: Counter[str] = Counter()
        self._queries = Queries(
            settings, self._directory, self._presence, self._history, self._preferences, self.counters
        )

    # sessions

    @property
    def session_count(self) -> int:
        return len(self._sessions)

    def open(self, session: int, user_uri: str, display_name: str, now: float) -> list[Output]:
        """A dialog is up. `user_uri` is the SIP URI in its From, of which user and host count.

        Raises MalformedUri, and SessionsFull.
        """
        assert session not in self._sessions, "session numbers are not used twice"
        uri = parse_uri(user_uri)
        if len(self._sessions) >= self._settings.max_sessions:
            self.counters["bound_sessions"] += 1
            raise SessionsFull
        display = printable(display_name[:MAX_DISPLAY]) or uri.user or uri.host
        self._sessions[session] = Session(session, sip_uri(uri.user, uri.host), uri.aor, display)
        return []

    def close(self, session: int, now: float) -> list[Output]:
        """The dialog is over: its user leaves the rooms, unless another session of theirs is there."""
        leaver = self._sessions.pop(session)
        return [output for uri in list(leaver.rooms) for output in self._leave(leaver, self._directory.at(uri))]

    def handle(self, session: int, body: bytes, now: float) -> list[Output]:
        """An INFO has brought this body in the session's dialog; it is to be answered with 200 whatever comes of it.

        Never raises for what is in the body: a reply tells what is wrong (a SIP error makes pidgin-sipe send a storm of
        UPDATEs).
        """
        sender = self._sessions[session]
        self.counters["envelopes"] += 1
        try:
            envelope = xccos.parse(body, self._settings.max_request)
        except XccosError as error:
            self.counters["malformed"] += 1
            return self._refuse(sender, "error", Refused(BAD_REQUEST, error.reason), error.envid)
        return [output for item in envelope.items for output in self._item(sender, item, envelope.envid, now)]

    def _item(self, sender: Session, item: Item, envid: str, now: float) -> list[Output]:
        match item:
            case Command():
                return self._command(sender, item, envid, now)
            case GroupChat():
                return self._chat(sender, item, envid, now)
        self.counters["ignored"] += 1
        return []

    # answers

    def _command(self, sender: Session, command: Command, envid: str, now: float) -> list[Output]:
        self.counters["commands"] += 1
        try:
            data, outputs = self._answer(sender, command, now)
        except Refused as refused:
            return self._refuse(sender, command.name, refused, envid, command.seqid)
        reply = Reply(command.name, *SUCCESS, Element("data", children=data), envid, command.seqid)
        return [*self._send(reply, [sender]), *outputs]

    def _answer(self, sender: Session, command: Command, now: float) -> Answer:
        query, action = _QUERIES.get(command.name), _ACTIONS.get(command.name)
        if query is not None:
            return query(self._queries, sender, command.data, now), []
        if action is not None:
            return action(self, sender, command.data, now)
        raise Refused(NOT_SUPPORTED, f"cmd:{command.name}")

    def _refuse(self, sender: Session, name: str, refused: Refused, envid: str, seqid: str = "1") -> list[Output]:
        self._count(refused)
        reply = Reply(name, refused.code, str(refused), command_envid=envid, command_seqid=seqid)
        return self._send(reply, [sender])

    def _count(self, refused: Refused) -> None:
        self.counters[f"refused_{refused.code}"] += 1
        if refused.bound:
            self.counters[f"bound_{refused.bound}"] += 1

    def _send(self, item: Item, to: Iterable[Session]) -> list[Output]:
        """The same envelope for each, of one item: pidgin-sipe reads only the first message of an envelope."""
        self._envid += 1
        body = xccos.write(Envelope(str(self._envid), [item]))
        deliveries: list[Output] = [Deliver(session.number, body) for session in to]
        self.counters["delivered"] += len(deliveries)
        return deliveries

    def _tell(self, notice: Notice, room: Room, about: Session) -> list[Output]:
        others = [session for session in self._presence.sessions(room.uri) if session is not about]
        return self._send(notice, others) if others else []

    # joining and leaving

    def _join(self, sender: Session, data: Element, now: float) -> Answer:
        channels = data.all("chanid")
        if len(channels) != 1:
            raise Refused(BAD_REQUEST, "a join names one room")
        answer = payload.JoinAnswer(self._settings.max_answer)
        outputs = self._join_one(sender, channels[0], "join", answer, now)
        self.counters["bound_participants"] += answer.users_omitted
        return answer.elements(), outputs

    def _bjoin(self, sender: Session, data: Element, now: float) -> Answer:
        """Rooms that cannot be joined are told as failures among the others."""
        channels = {_address(channel): channel for channel in data.all("chanid")}.values()
        if len(channels) > self._settings.max_rooms_per_session:
            raise self._rooms_full()
        answer = payload.JoinAnswer(self._settings.max_answer)
        outputs: list[Output] = []
        for channel in channels:
            try:
                outputs += self._join_one(sender, channel, "bjoin", answer, now)
            except Refused as refused:
                self._count(refused)
                answer.add_failure(channel.get("domain"), channel.get("value"))
        self.counters["bound_participants"] += answer.users_omitted
        return answer.elements(), outputs

    def _join_one(
        self, sender: Session, channel: Element, kind: str, answer: payload.JoinAnswer, now: float
    ) -> list[Output]:
        room = self._directory.find(_address(channel), sender.aor)
        self._check_place(sender, room)
        count = self._presence.count(room.uri) + (not self._presence.has(room.uri, sender.aor))
        if not answer.add_room(room, count, chain([sender], self._presence.users(room.uri))):
            raise Refused(LIMIT_REACHED, "too many rooms at once", "answer")
        return self._enter(sender, room, kind, now)

    def _check_place(self, sender: Session, room: Room) -> None:
        if room.uri not in sender.rooms and len(sender.rooms) >= self._settings.max_rooms_per_session:
            raise self._rooms_full()

    def _rooms_full(self) -> Refused:
        limit = f"at most {self._settings.max_rooms_per_session} rooms at a time"
        return Refused(LIMIT_REACHED, limit, "rooms_per_session")

    def _enter(self, sender: Session, room: Room, kind: str, now: float) -> list[Output]:
        """Into a room that has a place; the others there are told when the user was not there in another session."""
        if room.uri in sender.rooms:
            return []
        outputs: list[Output] = []
        if self._presence.enter(room.uri, sender):
            outputs += self._tell(Notice(kind, payload.join_notice(sender, room)), room, sender)
        if not self._directory.associated(sender.aor, room):
            record = self._directory.note_joined(sender.aor, room, now)
            self.counters["bound_joined"] += record is None
            outputs += [] if record is None else [record]
        return outputs

    def _part(self, sender: Session, data: Element, now: float) -> Answer:
        """Leaving a room that one is not in succeeds: after a lost dialog a client may not know."""
        channels = data.all("chanib")
        if not channels:
            raise Refused(BAD_REQUEST, "chanib is missing")
        rooms = {room.uri: room for room in [self._directory.at(channel.get("uri")) for channel in channels]}
        outputs = [output for room in rooms.values() for output in self._leave(sender, room)]
        return [payload.room_address(room) for room in rooms.values()], outputs

    def _leave(self, sender: Session, room: Room) -> list[Output]:
        if room.uri not in sender.rooms or not self._presence.leave(room.uri, sender):
            return []
        return self._tell(Notice("part", payload.part_notice(sender, room)), room, sender)

    # messages and preferences

    def _chat(self, sender: Session, chat: GroupChat, envid: str, now: float) -> list[Output]:
        """Into the history and to everybody in the room, the sender included, who is shown it only then.

        A sender who is not in the room but may be joins by this: pidgin-sipe does not join again after a 481.
        """
        try:
            room = self._directory.find(chat.chan_uri, sender.aor)
            self._check_size(chat)
            self._check_place(sender, room)
        except Refused as refused:
            return self._refuse(sender, "grpchat", refused, envid, chat.seqid)
        self.counters["implicit_joins"] += room.uri not in sender.rooms
        outputs = self._enter(sender, room, "join", now)
        message = self._keep(sender, chat, room, now)
        return [*outputs, message, *self._send(payload.group_chat(message), self._presence.sessions(room.uri))]

    def _check_size(self, chat: GroupChat) -> None:
        settings = self._settings
        if not chat.text and not chat.story:
            raise Refused(BAD_REQUEST, "the message is empty")
        if len(chat.text) > settings.message_size:
            limit = f"a message has at most {settings.message_size} characters"
            raise Refused(TOO_LARGE, limit, "message_size")
        if len(chat.story) > settings.story_size:
            raise Refused(TOO_LARGE, f"a story has at most {settings.story_size} characters", "story_size")

    def _keep(self, sender: Session, chat: GroupChat, room: Room, now: float) -> Message:
        """The author is whoever the session belongs to, whatever the message says."""
        self.counters["messages"] += 1
        self.counters["foreign_authors"] += chat.author.lower() != sender.uri.lower()
        number = self._history.next_id(room.uri)
        message = Message(room.uri, number, sender.uri, sender.display, now, chat.text, chat.story, chat.alert)
        self.counters["bound_history"] += self._history.add(message)
        return message

    def _setpref(self, sender: Session, data: Element, now: float) -> Answer:
        given = child(data, "pref")
        if len(given.get("seqid")) > xccos.MAX_ID:
            raise Refused(BAD_REQUEST, "the seqid of the preference is too long")
        preference = Preference(sender.aor, given.get("label"), given.get("seqid", "0"), given.get("content"))
        self._preferences.set(preference)
        return [payload.preference(preference)], [preference]


def _address(channel: Element) -> str:
    """The room URI that a `chanid` names."""
    return room_uri(channel.get("domain"), channel.get("value"))


_QUERIES: dict[str, Callable[[Queries, Session, Element, float], list[Element]]] = {
    "requri": Queries.requri,
    "getserverinfo": Queries.getserverinfo,
    "chansrch": Queries.chansrch,
    "getassociations": Queries.getassociations,
    "nodespermcreatechild": Queries.nothing,
    "getinv": Queries.nothing,
    "bccontext": Queries.bccontext,
    "getpref": Queries.getpref,
}
_ACTIONS: dict[str, Callable[[ChannelService, Session, Element, float], Answer]] = {
    "join": ChannelService._join,
    "bjoin": ChannelService._bjoin,
    "part": ChannelService._part,
    "setpref": ChannelService._setpref,
}

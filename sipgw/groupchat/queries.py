"""The commands that only ask: each takes the session and the command's data and returns the children of the reply's."""

from collections import Counter
from uuid import NAMESPACE_DNS, uuid5

from sipgw.groupchat import payload
from sipgw.groupchat.directory import RoomDirectory
from sipgw.groupchat.element import Element, written_size
from sipgw.groupchat.keeping import History, Preferences
from sipgw.groupchat.presence import Presence, Session
from sipgw.groupchat.refusals import BAD_REQUEST, NOT_SUPPORTED, Refused
from sipgw.groupchat.rooms import Room
from sipgw.groupchat.settings import ChannelSettings
from sipgw.groupchat.xccos import read_number


class Queries:
    """What is known of rooms, messages and preferences, as a user may see it. All but `counters` is only read."""

    def __init__(
        self,
        settings: ChannelSettings,
        directory: RoomDirectory,
        presence: Presence,
        history: History,
        preferences: Preferences,
        counters: Counter[str],
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._presence = presence
        self._history = history
        self._preferences = preferences
        self._counters = counters
        self._lookups = 0

    def requri(self, sender: Session, data: Element, now: float) -> list[Element]:
        """The channel URIs in turn."""
        uris = self._settings.channel_uris
        uri = uris[self._lookups % len(uris)]
        self._lookups += 1
        return [payload.server_address(uri)]

    def getserverinfo(self, sender: Session, data: Element, now: float) -> list[Element]:
        settings = self._settings
        root = uuid5(NAMESPACE_DNS, settings.domain)
        attributes = {
            "serverTime": payload.timestamp(now),
            "searchLimit": str(settings.search_limit),
            "messageSizeLimit": str(settings.message_size),
            "storySizeLimit": str(settings.story_size),
            "rootUri": f"ma-cat://{settings.domain}/{root}",
            "dbVersion": str(uuid5(root, "database")),
        }
        return [Element("sib", attributes)]

    def nothing(self, sender: Session, data: Element, now: float) -> list[Element]:
        """For getinv (nobody invites here) and nodespermcreatechild (rooms are not made by users)."""
        return []

    def chansrch(self, sender: Session, data: Element, now: float) -> list[Element]:
        query = child(data, "qib")
        if query.get("qtype").upper() != "BYNAME":
            raise Refused(NOT_SUPPORTED, "rooms are searched BYNAME")
        return self._listing(self._directory.search(query.get("criteria")))

    def getassociations(self, sender: Session, data: Element, now: float) -> list[Element]:
        kinds = {element.get("type").lower() for element in data.children} - {""}
        if not kinds <= {"member", "manager"} or len(kinds) > 1:
            raise Refused(BAD_REQUEST, "associations are of type member or manager")
        if kinds == {"manager"}:
            return self._listing(self._directory.managed_by(sender.aor))
        return self._listing(self._directory.memberships(sender.aor))

    def _listing(self, rooms: list[Room]) -> list[Element]:
        budget = payload.Budget(self._settings.max_answer)
        listing: list[Element] = []
        for room in rooms:
            element = payload.room_info(room, self._presence.count(room.uri))
            if len(listing) >= self._settings.search_limit or not budget.take(written_size(element)):
                self._counters["bound_search"] += 1
                break
            listing.append(element)
        return listing

    def bccontext(self, sender: Session, data: Element, now: float) -> list[Element]:
        """The last messages of a room, oldest first."""
        room = self._directory.find(child(data, "chanib").get("uri"), sender.aor)
        last = child(data, "bcq").find("last")
        if last is None:
            raise Refused(NOT_SUPPORTED, "history is given by the number of its last messages")
        wanted = read_number(last.get("cnt"))
        if wanted is None:
            raise Refused(BAD_REQUEST, "cnt has to be a number")
        self._counters["bound_context"] += wanted > self._settings.search_limit
        channel = payload.room_address(room)
        channel.children = self._context(room, min(wanted, self._settings.search_limit))
        return [channel, Element("bcq", children=[Element("last", {"cnt": last.get("cnt")})])]

    def _context(self, room: Room, count: int) -> list[Element]:
        budget = payload.Budget(self._settings.max_answer)
        entries: list[Element] = []
        for message in reversed(self._history.last(room.uri, count)):
            entry = payload.history_entry(message)
            if not budget.take(written_size(entry)):
                self._counters["bound_context"] += 1
                break
            entries.append(entry)
        return entries[::-1]

    def getpref(self, sender: Session, data: Element, now: float) -> list[Element]:
        """What is kept under the label; an empty content when nothing is."""
        label = child(data, "pref").get("label")
        return [payload.preference(self._preferences.get(sender.aor, label))]


def child(data: Element, name: str) -> Element:
    """The first child of that name. Raises Refused when there is none."""
    found = data.find(name)
    if found is None:
        raise Refused(BAD_REQUEST, f"{name} is missing")
    return found

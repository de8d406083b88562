"""The XCCOS envelope of an INFO body: one `xccos` element with any number of commands, replies, notices and messages.

Both ends use this: `parse` and `write`, and `command`, `chat` and `channel_uri` for what a client does. `envid` is
text: servers count in 64 bits where clients count in 32.
"""

from dataclasses import dataclass, field

from sipgw.groupchat.element import MAX_BYTES, NAMESPACE, Element, XccosError, parse_xml, write_xml

__all__ = [
    "CONTENT_TYPE",
    "Command",
    "Element",
    "Envelope",
    "GroupChat",
    "Item",
    "Notice",
    "Reply",
    "Unknown",
    "XccosError",
    "channel_uri",
    "chat",
    "command",
    "parse",
    "read_number",
    "write",
]

CONTENT_TYPE = "text/plain"  # of the INFO that carries an envelope
MAX_ITEMS = 32  # each may be answered, so this bounds what one INFO can set off; a client sends one
MAX_ID = 64  # characters of envid, seqid, or of what follows "cmd:"
MAX_DIGITS = 18


@dataclass(slots=True)
class Command:
    """`<cmd id="cmd:NAME">`, from the client."""

    name: str
    data: Element = field(default_factory=lambda: Element("data"))
    seqid: str = "1"


@dataclass(slots=True)
class Reply:
    """`<rpl id="rpl:NAME">`, from the server: `code` 200 or what went wrong, `text` a word or a sentence on it.

    `command_envid` and `command_seqid` name the command that it answers; the envid is "" when that could not be read.
    """

    name: str
    code: int
    text: str
    data: Element = field(default_factory=lambda: Element("data"))
    command_envid: str = ""
    command_seqid: str = "1"
    seqid: str = "1"


@dataclass(slots=True)
class Notice:
    """`<ntc id="ntc:NAME">`, from the server, answering nothing."""

    name: str
    data: Element = field(default_factory=lambda: Element("data"))
    seqid: str = "1"


@dataclass(slots=True)
class GroupChat:
    """A message in a room: `<grpchat>` on its own, `<msg>` in history. `text` has bare line feeds.

    `author` is a SIP URI, `ts` an ISO 8601 time; `display`, `alert` and `chat_id` are set by servers. `story` is the
    long part of a story whose title is `text`; see `channel` for how sure that is.
    """

    chan_uri: str
    author: str
    ts: str
    text: str
    display: str = ""
    alert: bool = False
    chat_id: str = ""
    story: str = ""
    seqid: str = "1"

    @classmethod
    def from_element(cls, element: Element) -> "GroupChat":
        get, chat, story = element.get, element.find("chat"), element.find("story")
        return cls(
            chan_uri=get("chanUri"),
            author=get("author"),
            ts=get("ts"),
            text="" if chat is None else chat.text,
            display=get("authdisp"),
            alert=get("alert").lower() == "true",
            chat_id=get("chatId"),
            story="" if story is None else story.text,
            seqid=get("seqid", "1"),
        )

    def element(self, name: str = "grpchat") -> Element:
        """`name` is "msg" for history, where messages carry no seqid."""
        attributes = {"id": "grpchat", "chanUri": self.chan_uri, "author": self.author}
        if name == "grpchat":
            attributes = {"id": "grpchat", "seqid": self.seqid, "chanUri": self.chan_uri, "author": self.author}
        if self.display:
            attributes["authdisp"] = self.display
        if self.alert or self.chat_id:
            attributes["alert"] = str(self.alert).lower()
        if self.chat_id:
            attributes["chatId"] = self.chat_id
        attributes["ts"] = self.ts
        texts = [Element("chat", text=self.text)]
        if self.story:
            texts.append(Element("story", text=self.story))
        return Element(name, attributes, texts)


@dataclass(slots=True)
class Unknown:
    """Another child of the envelope, kept as it came."""

    element: Element


Item = Command | Reply | Notice | GroupChat | Unknown


@dataclass(slots=True)
class Envelope:
    envid: str
    items: list[Item]


def parse(body: bytes, max_bytes: int = MAX_BYTES) -> Envelope:
    """Read an INFO body. Raises XccosError and nothing else; a missing namespace is tolerated."""
    root = parse_xml(body, max_bytes)
    if root.name != "xccos":
        raise XccosError(f"the root element is {root.name[:80]!r}, not 'xccos'")
    envid = root.get("envid")
    if not 0 < len(envid) <= MAX_ID:
        raise XccosError(f"the envid is missing or longer than {MAX_ID} characters")
    try:
        return Envelope(envid, _items(root))
    except XccosError as error:
        error.envid = envid
        raise


def _items(root: Element) -> list[Item]:
    if len(root.children) > MAX_ITEMS:
        raise XccosError(f"{len(root.children)} items are more than the {MAX_ITEMS} allowed")
    return [_item(child) for child in root.children]


def _item(element: Element) -> Item:
    if len(element.get("seqid")) > MAX_ID:
        raise XccosError(f"a seqid is longer than {MAX_ID} characters")
    seqid, data = element.get("seqid", "1"), element.find("data") or Element("data")
    match element.name:
        case "cmd":
            return Command(_name(element), data, seqid)
        case "rpl":
            return _reply(element, data, seqid)
        case "ntc":
            return Notice(_name(element), data, seqid)
        case "grpchat":
            return GroupChat.from_element(element)
    return Unknown(element)


def _name(element: Element) -> str:
    """`requri` out of `id="cmd:requri"`."""
    kind, _, name = element.get("id").partition(":")
    if kind != element.name or not 0 < len(name) <= MAX_ID:
        form = f"'{element.name}:' and a name of at most {MAX_ID} characters"
        raise XccosError(f"the id of a {element.name} has to be {form}")
    return name


def _reply(element: Element, data: Element, seqid: str) -> Reply:
    response = element.find("resp")
    code = None if response is None else read_number(response.get("code"))
    if response is None or code is None:
        raise XccosError("a rpl has no resp with a numeric code")
    command = element.find("commandid") or Element("commandid")
    return Reply(_name(element), code, response.text, data, command.get("envid"), command.get("seqid", "1"), seqid)


def read_number(text: str) -> int | None:
    """A decimal number of plain digits, None for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS else None


def write(envelope: Envelope) -> bytes:
    """The INFO body. What `parse` reads from it is the same envelope."""
    attributes = {"ver": "1", "envid": envelope.envid, "xmlns": NAMESPACE}
    return write_xml(Element("xccos", attributes, [_element(item) for item in envelope.items])).encode()


def _element(item: Item) -> Element:
    match item:
        case Command():
            return Element("cmd", {"id": f"cmd:{item.name}", "seqid": item.seqid}, [item.data])
        case Reply():
            return _reply_element(item)
        case Notice():
            return Element("ntc", {"id": f"ntc:{item.name}", "seqid": item.seqid}, [item.data])
        case GroupChat():
            return item.element()
    return item.element


def _reply_element(reply: Reply) -> Element:
    parts = [Element("resp", {"code": str(reply.code)}, text=reply.text), reply.data]
    if reply.command_envid:
        parts.insert(0, Element("commandid", {"seqid": reply.command_seqid, "envid": reply.command_envid}))
    return Element("rpl", {"id": f"rpl:{reply.name}", "seqid": reply.seqid}, parts)


def command(envid: str, name: str, *data: Element) -> bytes:
    """The body of `cmd:name` with `data` as the children of its data."""
    return write(Envelope(envid, [Command(name, Element("data", children=list(data)))]))


def chat(envid: str, chan_uri: str, author: str, ts: str, text: str) -> bytes:
    """The body of a message to a room; `author` is the sender's SIP URI, `ts` an ISO 8601 time."""
    return write(Envelope(envid, [GroupChat(chan_uri, author, ts, text)]))


def channel_uri(envelope: Envelope) -> str | None:
    """The SIP URI of the channel service that a `rpl:requri` names, None when it names none."""
    for item in envelope.items:
        if isinstance(item, Reply) and item.name == "requri" and item.code == 200:
            address = item.data.find("uib")
            return address.get("uri") or None if address is not None else None
    return None

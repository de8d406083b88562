"""The least that makes pidgin-sipe sign on and chat: no SIP server, but the answers that this one client waits for.

One room with one line of history. The order of a sign-in: REGISTER, SUBSCRIBE, SERVICE,
INVITE and INFO to look the chat service up, BYE, INVITE and INFO to use it.
"""

import asyncio
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self
from xml.sax.saxutils import escape, quoteattr

DOMAIN = "example.test"
ROOM_ID = "11111111-1111-1111-1111-111111111111"
ROOM = f"ma-chan://{DOMAIN}/{ROOM_ID}"
NO_ROOM = f"ma-chan://{DOMAIN}/22222222-2222-2222-2222-222222222222"
UNDELIVERABLE = "refuse this"
ROOM_NAME = "R&D <Lobby>"
HISTORY_LINE = "old line <1>"
HISTORY_UNIX_TIME = 1257197052  # 2009-11-02T21:24:12Z
SERVICE = f"sip:GC-1-PersistentChatService-1@{DOMAIN}"

_REGISTERED = (
    "Expires: 600",
    "Allow-Events: vnd-microsoft-roaming-contacts,vnd-microsoft-provisioning-v2,vnd-microsoft-roaming-self",
    "Supported: msrtc-event-categories",  # alone on its line, or the client takes the server for an older one
)
_PROVISIONED = '<provisionGroupList xmlns="http://schemas.microsoft.com/2006/09/sip/provisiongrouplist-notification"/>'
_SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=message 5060 sip null\r\n"


@dataclass
class Message:
    start: str
    headers: list[tuple[str, str]]
    body: str

    @property
    def method(self) -> str:
        return self.start.split()[0]

    def get(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


async def read_message(reader: asyncio.StreamReader) -> Message:
    """Raises IncompleteReadError at the end of the connection."""
    head = ""
    while not head:  # empty lines between messages keep the connection alive
        head = (await reader.readuntil(b"\r\n")).decode().strip()
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines if line)]
    message = Message(head, headers, "")
    message.body = (await reader.readexactly(int(message.get("Content-Length") or 0))).decode()
    return message


@dataclass
class Dialog:
    """The chat dialog of a client, seen from the server; replies to its commands are requests of our own."""

    invite: Message
    tag: str
    cseq: int = 0

    def info(self, xccos: str) -> str:
        self.cseq += 1
        target = re.sub(r".*<|>.*", "", self.invite.get("Contact"))
        head = (
            f"INFO {target} SIP/2.0",
            f"Via: SIP/2.0/TCP 127.0.0.1:5060;branch=z9hG4bK{self.tag}{self.cseq}",
            "Max-Forwards: 70",
            f"From: {self.invite.get('To')};tag={self.tag}",
            f"To: {self.invite.get('From')}",
            f"Call-ID: {self.invite.get('Call-ID')}",
            f"CSeq: {self.cseq} INFO",
            "Content-Type: text/plain",
        )
        return with_body(head, f'<xccos ver="1" envid="{self.cseq}" xmlns="urn:parlano:xml:ns:xccos">{xccos}</xccos>')


def with_body(head: tuple[str, ...], body: str) -> str:
    return "\r\n".join([*head, f"Content-Length: {len(body.encode())}", "", body])


@dataclass
class Client:
    writer: asyncio.StreamWriter
    user: str = ""
    dialog: Dialog | None = None
    joined: bool = False

    def send(self, text: str) -> None:
        self.writer.write(text.encode())

    def command(self, xccos: str) -> None:
        assert self.dialog is not None
        self.send(self.dialog.info(xccos))


@dataclass
class ScriptedServer:
    """`async with ScriptedServer() as server` listens on a port of its own at 127.0.0.1."""

    tls: ssl.SSLContext | None = None
    refusal: tuple[str, ...] = ()  # of the REGISTER: status, headers
    chat_service: bool = True
    address: str = ""
    clients: list[Client] = field(default_factory=list)
    requests: list[Message] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self.tls)
        self.address = "{}:{}".format(*self._server.sockets[0].getsockname())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for client in self.clients:
            client.writer.close()
        await asyncio.gather(*self._tasks)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, Client(writer)))
        self._tasks.add(task)

    async def _serve(self, reader: asyncio.StreamReader, client: Client) -> None:
        self.clients.append(client)
        try:
            while True:
                self._handle(client, await read_message(reader))
        except (asyncio.IncompleteReadError, OSError):  # ssl.SSLError is one
            pass
        finally:
            self.clients.remove(client)
            client.writer.close()

    def _handle(self, client: Client, message: Message) -> None:
        if message.start.startswith("SIP/") or message.method == "ACK":
            return
        self.requests.append(message)
        handlers: dict[str, Callable[[Client, Message], None]] = {
            "REGISTER": self._on_register,
            "SUBSCRIBE": self._on_subscribe,
            "INVITE": self._on_invite,
            "INFO": self._on_info,
        }
        handlers.get(message.method, self._answer)(client, message)

    def _answer(self, client: Client, request: Message, *headers: str, status: str = "200 OK", body: str = "") -> None:
        echoed = [f"{name}: {value}" for name, value in request.headers if name in ("Via", "From", "Call-ID", "CSeq")]
        to = request.get("To")
        tagged = to if ";tag=" in to else f"{to};tag={len(self.requests)}"
        client.send(with_body((f"SIP/2.0 {status}", *echoed, f"To: {tagged}", *headers), body))

    def _on_register(self, client: Client, request: Message) -> None:
        client.user = re.sub(r".*<|>.*", "", request.get("From"))
        status, *headers = self.refusal or ("200 OK", *_REGISTERED)
        self._answer(client, request, *headers, status=status)

    def _on_subscribe(self, client: Client, request: Message) -> None:
        event = request.get("Event")
        headers = [f"Event: {event}", "Expires: 7200", "subscription-state: active"]
        if event == "vnd-microsoft-provisioning-v2":
            headers += ["Content-Type: application/vnd-microsoft-roaming-provisioning-v2+xml", "ms-piggyback-cseq: 1"]
            self._answer(client, request, *headers, body=_PROVISIONED)
        else:
            self._answer(client, request, *headers)

    def _on_invite(self, client: Client, request: Message) -> None:
        if not self.chat_service:
            return self._answer(client, request, status="404 Not Found")
        client.dialog = Dialog(request, tag=str(len(self.requests)))
        headers = (f"Contact: <{SERVICE}>", "Session-Expires: 600", "Content-Type: application/sdp")
        self._answer(client, request, *headers, body=_SDP)

    def _on_info(self, client: Client, request: Message) -> None:
        found = re.search(r'<(?:cmd|grpchat) id="(?:cmd:)?(\w+)"', request.body)
        assert found is not None, request.body
        if UNDELIVERABLE in request.body:
            return self._answer(client, request, status="480 Temporarily Unavailable")
        self._answer(client, request)
        if found[1] == "grpchat":
            self._spread(request.body)
        elif "join" in found[1] and ROOM_ID not in request.body:
            client.command(f'<rpl id="rpl:{found[1]}" seqid="1"><resp code="404">No such room</resp><data/></rpl>')
        else:
            self._notify(client, found[1])
            data = self._data(found[1])
            client.command(f'<rpl id="rpl:{found[1]}" seqid="1"><resp code="200">OK</resp><data>{data}</data></rpl>')

    def _in_room(self) -> list[Client]:
        return [client for client in self.clients if client.joined]

    def _spread(self, xccos: str) -> None:
        """A message goes to everybody, the sender included: the client shows none that does not come back."""
        found = re.search(r"<grpchat.*</grpchat>", xccos, re.DOTALL)
        assert found is not None, xccos
        for client in self._in_room():
            client.command(found[0])

    def _notify(self, client: Client, command: str) -> None:
        """Tell the others who comes and goes."""
        client.joined = client.joined if command not in ("join", "bjoin", "part") else command != "part"
        user = f'<uib uri="{client.user}"/>'
        data = {
            "join": f'<uib uri="{client.user}"><aib key="3984" domain="{DOMAIN}" value="{ROOM_ID}"/></uib>',
            "part": f'<chanib uri="{ROOM}">{user}</chanib>',
        }.get(command.removeprefix("b"))
        for other in self._in_room():
            if data is not None and other is not client:
                other.command(f'<ntc id="ntc:{command.removeprefix("b")}" seqid="1"><data>{data}</data></ntc>')

    def _data(self, command: str) -> str:
        """What the reply to a command carries."""
        room = f'<chanib name={quoteattr(ROOM_NAME)} uri="{ROOM}" description="about it" topic="its topic"'
        here = self._in_room()
        users = "".join(f'<uib id="{n}" uri="{client.user}"/>' for n, client in enumerate(here))
        present = ",".join(str(n) for n in range(len(here)))
        joined = f'{users}{room}><aib key="3984" value="{present}"/></chanib>'  # 3984: who of them is in the room
        old = (
            f'<msg id="grpchat" chanUri="{ROOM}" author="sip:bob@{DOMAIN}" ts="2009-11-02T21:24:12.0000000Z">'
            f"<chat>{escape(HISTORY_LINE)}</chat></msg>"
        )
        return {
            "requri": f'<uib uri="{SERVICE}"/>',
            "chansrch": f'{room}><info id="urn:parlano:ma:info:ucnt">{len(here)}</info></chanib>',
            "join": joined,
            "bjoin": joined,
            "bccontext": f'<chanib uri="{ROOM}">{old}</chanib>',
            "part": f'<chanib uri="{ROOM}"/>',
        }.get(command, "")

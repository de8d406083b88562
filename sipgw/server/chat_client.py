"""The emulated legacy client with its sockets: sign in, rooms, join, say, history, each waiting for its answer."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from random import SystemRandom
from typing import Any

from sipgw.auth.login_client import Login, LoginClient
from sipgw.auth.sipae_endpoint import instance_of
from sipgw.config import TlsFiles
from sipgw.core.user_agent import UserAgent
from sipgw.events import Hop, Notice
from sipgw.groupchat import xccos
from sipgw.groupchat.client import ClientAgent, Identity
from sipgw.groupchat.element import Element
from sipgw.groupchat.payload import timestamp
from sipgw.options import ClientOptions
from sipgw.server import kerberos_client as kerberos
from sipgw.server.ears import bind
from sipgw.server.interfaces import Tracer
from sipgw.server.shell import Shell
from sipgw.server.tls import TlsContexts, TlsSettings
from sipgw.server.tracing import each_message
from sipgw.transaction.timers import TimerValues

FAREWELL = 3.0  # seconds that the answer to BYE, and that to the last REGISTER, is waited for
REFRESH = 240.0  # seconds between REGISTERs; the gateway grants at least 300
SOONEST, LATEST = 0.25, 30.0  # seconds until the REGISTER after a lost connection; each failure doubles them


class ClientError(Exception):
    """What the client was asked to do did not come about; the text says why, for people."""


class GroupChatClient:
    """A signed-in client for programs and tests. Every method waits for its answer and raises ClientError."""

    def __init__(
        self,
        options: ClientOptions,
        heard: Callable[[xccos.GroupChat], None] | None = None,
        trace: Tracer | None = None,
        complain: Callable[[str], None] | None = None,
    ) -> None:
        """`heard` is called for every line, `complain` for what goes wrong without anybody waiting for it."""
        self._options = options
        self._trace = trace
        self._heard = heard
        self._complain = complain
        self._dropped: Counter[str] = Counter()
        self._notices: asyncio.Queue[Notice] = asyncio.Queue(maxsize=1000)
        self.messages: list[xccos.GroupChat] = []
        self._arrived = asyncio.Event()
        self._replies: dict[str, asyncio.Future[xccos.Reply]] = {}
        self._shell: Shell
        self._agent: UserAgent
        self._client: ClientAgent
        self._unsaid: dict[str, str] = {}
        self._refresher: asyncio.TimerHandle | None = None
        self._soon = SOONEST
        self._closing = self._started = False
        self._hung_up = asyncio.Event()
        self.rooms: dict[str, str] = {}

    async def start(self) -> None:
        """Sign in and open the channel."""
        options = self._options
        transport, host, port = options.server.transport, options.server.host, options.server.port
        ears = bind([("UDP", "127.0.0.1" if ":" not in host else "::1", 0)], "") if transport == "UDP" else []
        self._agent = UserAgent([ear.listener for ear in ears], SystemRandom(), TimerValues())
        hop = Hop(transport, host, port, host if transport == "TLS" else "")
        login = self._login()
        self._client = ClientAgent(self._agent, identity_of(options.user), hop, options.contact_object, login)
        tls = TlsContexts(TlsSettings(TlsFiles(ca=options.ca), system=True)) if transport == "TLS" else None
        self._shell = Shell(self._agent, tls=tls, notify=self._notice, trace=each_message(self._trace))
        await self._shell.start(ears)
        self._started = True
        self._act(self._client.sign_in)
        await self._until("ready")
        self._schedule_refresh()

    def _login(self) -> LoginClient | None:
        options = self._options
        if not options.login:
            return None
        login = Login(options.login, options.password, "" if options.auth == "auto" else options.auth)
        offset = time.time() - asyncio.get_running_loop().time()
        return LoginClient(login, SystemRandom(), offset, kerberos.begin)

    def _schedule_refresh(self, seconds: float = REFRESH) -> None:
        if self._refresher is not None:
            self._refresher.cancel()
        if not self._closing:
            self._refresher = asyncio.get_running_loop().call_later(seconds, self.refresh)

    def refresh(self) -> None:
        """REGISTER again, now."""
        self._schedule_refresh()
        self._act(self._client.refresh)

    def _refresh_soon(self) -> None:
        self._schedule_refresh(self._soon)
        self._soon = min(self._soon * 2, LATEST)

    def _act(self, action: Callable[[float], Any]) -> None:
        self._shell.run(action, self._agent.outputs)

    def _notice(self, notice: Notice) -> None:
        kind, fields = notice.kind, notice.fields
        if kind == "envelope":
            for item in fields["envelope"].items:
                self._take(item)
        elif kind == "dropped":
            self._drop(fields["what"])
        elif kind == "hung up":
            self._hung_up.set()
        elif kind == "refreshed":
            self._soon = SOONEST
        elif kind == "disconnected" or (kind == "not refreshed" and not fields["refused"]):
            self._refresh_soon()
        elif kind == "not refreshed":  # at the next regular time again: more would get the account locked
            self._tell(f"no longer signed in: {fields['reason']}")
        else:
            if "envid" in fields:
                self._not_sent(fields["envid"], fields["reason"])
            if not self._notices.full():  # nobody waits for more than the latest few
                self._notices.put_nowait(notice)

    def _tell(self, text: str) -> None:
        if self._complain is not None:
            self._complain(text)

    def _drop(self, what: str) -> None:
        """Told once for each reason: whoever sends one such message can send many."""
        reason = what.rpartition(": ")[2]
        if not self._dropped[reason]:
            self._tell(f"a message of the server's was dropped: {what}")
        self._dropped[reason] += 1

    def _but(self) -> str:
        """What else may have to do with an answer that has not come."""
        dropped = ", ".join(f"{count} {reason}" for reason, count in self._dropped.items())
        return f"; messages of the server's were dropped: {dropped}" if dropped else ""

    def _not_sent(self, envid: str, reason: str) -> None:
        future = self._replies.pop(envid, None)
        if future is not None and not future.done():
            future.set_exception(ClientError(f"could not send: {reason}"))
        if envid in self._unsaid:
            self._unsaid[envid] = reason
            self._arrived.set()

    def _take(self, item: xccos.Item) -> None:
        if isinstance(item, xccos.Reply):
            future = self._replies.pop(item.command_envid, None)
            if future is not None and not future.done():
                future.set_result(item)
        elif isinstance(item, xccos.GroupChat):
            self.messages.append(item)
            del self.messages[:-1000]
            self._arrived.set()
            if self._heard is not None:
                self._heard(item)

    async def _until(self, kind: str) -> Notice:
        """The next notice of a kind; a failure or a lost channel on the way raises ClientError."""
        try:
            async with asyncio.timeout(self._options.timeout):
                while True:
                    notice = await self._notices.get()
                    if notice.kind == kind:
                        return notice
                    if notice.kind == "failed":
                        raise ClientError(f"could not {notice.fields['step']}: {notice.fields['reason']}")
                    if notice.kind == "lost":
                        raise ClientError(f"the channel was lost: {notice.fields['reason']}")
        except TimeoutError:
            raise ClientError(
                f"no answer within {self._options.timeout:g} s (waiting for: {kind}){self._but()}"
            ) from None

    async def command(self, name: str, *data: Element) -> xccos.Reply:
        """Send a command and wait for its reply. Raises ClientError for a reply that is not 200."""
        envids: list[str] = []
        future: asyncio.Future[xccos.Reply] = asyncio.get_running_loop().create_future()

        def send(now: float) -> None:
            envids.append(self._client.send_command(name, now, *data))
            self._replies[envids[0]] = future

        self._act(send)
        try:
            async with asyncio.timeout(self._options.timeout):
                reply = await future
        except TimeoutError:
            raise ClientError(f"no answer to cmd:{name} within {self._options.timeout:g} s{self._but()}") from None
        finally:
            self._replies.pop(envids[0], None)
        if reply.code != 200:
            raise ClientError(f"cmd:{name} was refused: {reply.code} {reply.text}")
        return reply

    async def find_rooms(self, criteria: str = "") -> dict[str, str]:
        """Rooms by name, with their URIs."""
        query = Element("qib", {"qtype": "BYNAME", "criteria": criteria, "extended": "false"})
        reply = await self.command("chansrch", query)
        self.rooms = {room.get("name"): room.get("uri") for room in reply.data.all("chanib")}
        return self.rooms

    async def join(self, room: str) -> list[str]:
        """Join a room by name or URI. Returns who is there, as SIP URIs."""
        uri = await self.room_uri(room)
        domain, _, value = uri.removeprefix("ma-chan://").partition("/")
        reply = await self.command("join", Element("chanid", {"key": "0", "domain": domain, "value": value}))
        return [user.get("uri") for user in reply.data.all("uib")]

    async def part(self, room: str) -> None:
        await self.command("part", Element("chanib", {"uri": await self.room_uri(room)}))

    async def history(self, room: str, count: int = 25) -> list[xccos.GroupChat]:
        """The last messages of a room, oldest first."""
        last = Element("bcq", {}, [Element("last", {"cnt": str(count)})])
        reply = await self.command("bccontext", Element("chanib", {"uri": await self.room_uri(room)}), last)
        return [
            xccos.GroupChat.from_element(message) for room_ in reply.data.all("chanib") for message in room_.all("msg")
        ]

    async def room_uri(self, room: str) -> str:
        """The URI of a room given by name, whatever its case, or by URI. Raises ClientError."""
        if room.startswith("ma-chan://"):
            return room
        if room not in self.rooms:
            await self.find_rooms()
        for name, uri in self.rooms.items():
            if name.casefold() == room.casefold():
                return uri
        raise ClientError(f"there is no room {room!r}; there are: {', '.join(self.rooms) or 'none'}")

    async def say(self, room: str, text: str) -> None:
        """Say a line in a room and wait until it has come back from the pool."""
        uri = await self.room_uri(room)
        envids: list[str] = []

        def send(now: float) -> None:
            envids.append(self._client.say(uri, text, timestamp(time.time()), now))
            self._unsaid[envids[0]] = ""

        self._act(send)
        try:
            await self.expect(text, self._options.user, envids[0])
        finally:
            self._unsaid.pop(envids[0], None)

    async def expect(self, text: str, author: str = "", envid: str = "") -> xccos.GroupChat:
        """Wait for a line that contains `text`, from `author` when one is named; lines already heard count. With
        `envid`, that of a line of ours, no longer than until it could not be sent."""
        try:
            async with asyncio.timeout(self._options.timeout):
                while True:
                    for message in self.messages:
                        if text in message.text and (not author or message.author.lower() == author.lower()):
                            return message
                    if self._unsaid.get(envid):
                        raise ClientError(f"could not send: {self._unsaid[envid]}")
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            raise ClientError(f"{text!r} was not heard within {self._options.timeout:g} s{self._but()}") from None

    async def sign_out(self) -> None:
        """BYE, and when that is answered de-register."""
        self._act(self._client.hang_up)
        with suppress(TimeoutError):  # the pool may be gone
            async with asyncio.timeout(min(FAREWELL, self._options.timeout)):
                await self._hung_up.wait()
        while not self._notices.empty():  # failures of before have been told to whom they concerned
            self._notices.get_nowait()
        self._act(self._client.sign_out)
        await self._until("signed out")

    async def leave(self) -> None:
        """Sign out if that is not done yet, and close: at the end, whatever has become of the rest."""
        if not self._started:
            return
        if self._client.is_signed_in:
            with suppress(ClientError, TimeoutError):
                async with asyncio.timeout(2 * FAREWELL):
                    await self.sign_out()
        await self.close()

    async def close(self) -> None:
        self._closing = True
        if self._refresher is not None:
            self._refresher.cancel()
        await self._shell.close()


def identity_of(user: str) -> Identity:
    """The endpoint that this program is for a user: always the same, as a real client is on one machine."""
    epid = sha256(f"sipgw-client:{user.lower()}".encode()).hexdigest()[:12]
    return Identity(user, epid, instance_of(epid))

"""The unmodified pidgin-sipe, driven without a screen: builds the driver and runs one client in a process of its own.

    driver = build_driver(directory)
    async with SipeClient(driver, tmp_path / "alice", "alice@example.test", "127.0.0.1:5060") as alice:
        await alice.chat_ready()
        lobby = await alice.join("ma-chan://example.test/...")
        await lobby.say("<b>grün</b> &amp; more")
        await lobby.hears("grün & more", own=True)

Whatever the client's user would see is an event: a dict with the keys "event" (its name), "at" (time.monotonic()) and
what belongs to that event, see `SipeClient`. All events are kept, so a wait is never too late.
"""

import asyncio
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

Event = dict[str, Any]
StartClient = Callable[..., Awaitable["SipeClient"]]  # the fixture start_client

HERE = Path(__file__).parent
LIBRARIES = {"purple": "libpurple-dev", "glib-2.0": "libglib2.0-dev", "libxml-2.0": "libxml2-dev"}
PLUGIN = "libsipe.so"
PLUGIN_DIRECTORIES = (Path("/usr/lib/purple-2"), *sorted(Path("/usr/lib").glob("*/purple-2")))

TIMEOUT = 10.0  # seconds for one step; a step takes milliseconds, but the machine may be busy
GRACE = 3.0  # seconds to sign off and end
MAX_EVENTS = 100_000  # a client gone wild; a long ladder makes some hundreds
MAX_LINE = 1 << 20  # octets of one event


class SipeError(Exception):
    """The driver cannot be built, a command went wrong, or what was waited for did not come."""


def _plugin_directory() -> Path | None:
    return next((directory for directory in PLUGIN_DIRECTORIES if (directory / PLUGIN).exists()), None)


def _has_library(name: str) -> bool:
    tool = shutil.which("pkg-config")
    return tool is not None and subprocess.run([tool, "--exists", name], check=False).returncode == 0


def missing_packages() -> list[str]:
    """The Debian packages that are needed and not installed; without pkg-config no library can be found."""
    programs = [name for name in ("gcc", "pkg-config") if shutil.which(name) is None]
    libraries = [package for name, package in LIBRARIES.items() if not _has_library(name)]
    plugin = [] if _plugin_directory() else ["pidgin-sipe"]
    return programs + libraries + plugin


def _compiler_command() -> list[str]:
    """Without the output. -rdynamic: the plugin must find our xmlSAXUserParseMemory()."""
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", *LIBRARIES], check=True, capture_output=True, text=True)
    options = ["-O1", "-g", "-Wall", "-Wextra", "-rdynamic", f'-DPLUGIN_DIR="{_plugin_directory()}"']
    sources = sorted(str(path) for path in HERE.glob("*.c"))
    return ["gcc", *options, *sources, *flags.stdout.split()]


def build_driver(directory: Path) -> Path:
    """The driver's program in `directory`, built unless these very sources were.

    SipeError: packages are missing, or what the compiler says.
    """
    if missing := missing_packages():
        raise SipeError(f"the pidgin-sipe driver cannot be built; Debian packages to install: {' '.join(missing)}")
    command = _compiler_command()
    content = b"".join(path.read_bytes() for path in sorted(HERE.glob("*.[ch]")))
    digest = hashlib.sha256(content + repr(command).encode()).hexdigest()[:16]
    program = directory / f"sipe-driver-{digest}"
    if not program.exists():
        directory.mkdir(parents=True, exist_ok=True)
        unfinished = directory / f"{program.name}.{os.getpid()}"
        built = subprocess.run([*command, "-o", str(unfinished)], check=False, capture_output=True, text=True)
        if built.returncode != 0:
            raise SipeError(f"gcc failed on the pidgin-sipe driver:\n{built.stderr}")
        unfinished.rename(program)  # at once: several test runs may share the directory
    return program


@dataclass(frozen=True)
class SipMessage:
    """As the client logged it: lines end with LF."""

    sent: bool
    text: str


@dataclass(frozen=True)
class Room:
    """A room that the client has joined; what was said before, in an earlier stay too, does not count."""

    client: "SipeClient"
    number: int
    name: str
    since: int

    async def say(self, html: str) -> None:
        """`html` as an input field gives it: `<br>` for a new line. What comes back is a chat_message of its own."""
        await self.client.send(f"say {self.number} {html}")

    async def hears(self, text: str, *, within: float = TIMEOUT, **fields: Any) -> Event:
        """Wait for the chat_message with this plain text; more can be asked: sender, own, history."""
        return await self.client.wait_for(
            "chat_message", since=self.since, within=within, id=self.number, text=text, **fields
        )

    def messages(self, **fields: Any) -> list[Event]:
        """The chat_messages so far."""
        return self.client.seen("chat_message", since=self.since, id=self.number, **fields)

    async def users(self) -> dict[str, bool]:
        """Who is here, by SIP URI, and whether they are operators."""
        mark = self.client.mark()
        await self.client.send(f"users {self.number}")
        users: dict[str, bool] = self.client.seen("users", since=mark, id=self.number)[-1]["users"]
        return users

    async def rejoined(self, *, within: float = TIMEOUT) -> "Room":
        """This room after SipeClient.connect(): the client itself goes back to rooms that it has not left."""
        return await self.client.next_room(self.client.connected_at, within, conv=self.name)

    async def leave(self) -> None:
        """Leave, and wait for the server's word: until then the client would not join again."""
        mark = self.client.mark()
        await self.client.send(f"leave {self.number}")
        await self.client.wait_for("part_confirmed", since=mark)


class SipeClient:
    """One client: its process, its own files in `directory`, and its events so far.

    signed_on user | signed_off | connection_error reason, text | group_chat_ready
    room name, uri, users, description, invite, private, logged | roomlist_progress in_progress
    part_confirmed | chat_joined, chat_left, topic topic, who: each of a room with conv (its name) and id
    user_joined user, operator, new | user_left user, reason | users users: likewise
    chat_message sender, text, html, history, own, sent_at, flags: likewise
    conversation_write kind (system or error), text, html: likewise; what the client itself says in a room's window
    notify kind, title, primary, secondary: a popup | request title, primary, secondary, answer: a question, refused
    done command, error | log_full

    `login` is who authenticates where that is not `user`. TLS trusts the authorities in `ca_dir` (*.pem), those of the
    system, and nothing else: an unknown certificate is refused. `settings` are any others of pidgin-sipe, such as
    groupchat_user; `environment` are further variables.
    """

    def __init__(
        self,
        driver: Path,
        directory: Path,
        user: str,
        server: str,
        *,
        password: str = "secret",
        login: str | None = None,
        transport: str = "tcp",
        authentication: str = "ntlm",
        ca_dir: Path | None = None,
        settings: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._more = dict(environment or {})
        self.user = user
        self.uri = f"sip:{user}"
        self.directory = directory
        self.sip_log = directory / "sip.log"
        self.stderr = directory / "stderr.txt"
        self.events: list[Event] = []
        self.connected_at = 0  # a mark
        self._command = [
            *(str(driver), f"--user={user}", f"--password={password}", f"--server={server}"),
            *(f"--transport={transport}", f"--authentication={authentication}"),
            *(f"--confdir={directory / 'purple'}", f"--sip-log={self.sip_log}"),
            *([f"--login={login}"] if login else []),
            *([f"--ca-dir={ca_dir}"] if ca_dir else []),
            *(f"--set={key}={value}" for key, value in (settings or {}).items()),
        ]
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "not started"
        return self._process

    async def start(self) -> Self:
        """Start the program, which begins to sign on; wait for signed_on, chat_ready() or connection_error next."""
        assert self._process is None, "started already"
        self.directory.mkdir(parents=True, exist_ok=True)
        pipe = asyncio.subprocess.PIPE
        with self.stderr.open("wb") as stderr:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=pipe, stdout=pipe, stderr=stderr, env=self._environment(), limit=MAX_LINE
            )
        self._reading = asyncio.create_task(self._read(self._process))
        return self

    def _environment(self) -> dict[str, str]:
        """Nothing of the user's desktop: no files, no D-Bus, no proxy, no search for media plugins; English texts."""
        return {
            "PATH": os.defpath,
            "HOME": str(self.directory),
            "LC_ALL": "C",
            "DBUS_SESSION_BUS_ADDRESS": "disabled:",
            "GST_PLUGIN_SYSTEM_PATH": "",
            "GST_REGISTRY_FORK": "no",
            **self._more,
        }

    async def close(self) -> None:
        """Sign off and end; the process is gone when this returns, with force if need be. Closing twice is fine."""
        if self._process is None or self._reading is None:
            return
        try:
            async with asyncio.timeout(GRACE):
                with suppress(ConnectionError):
                    await self._write("quit")
                await self._process.wait()
        except TimeoutError:
            pass
        finally:  # of a cancelled test as well
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
            await self._reading

    def mark(self) -> int:
        """This moment, for the `since` of waits."""
        return len(self.events)

    def seen(self, name: str, *, since: int = 0, **fields: Any) -> list[Event]:
        """The events of this name so far whose values are these."""
        return [event for event in self.events[since:] if _matches(event, name, fields)]

    async def wait_for(
        self,
        name: str,
        predicate: Callable[[Event], bool] = lambda event: True,
        *,
        since: int = 0,
        within: float = TIMEOUT,
        **fields: Any,
    ) -> Event:
        """The first event of this name since the mark with these values, already there or yet to come.

        SipeError: it did not come in `within` seconds, or the client has ended and it never will.
        """

        def wanted(event: Event) -> bool:
            return _matches(event, name, fields) and predicate(event)

        return await self._first(wanted, since, within, f"{name} {fields or ''}".strip())

    async def _first(self, wanted: Callable[[Event], bool], since: int, within: float, what: str) -> Event:
        position = since
        try:
            async with asyncio.timeout(within):
                while True:
                    for event in self.events[position:]:
                        if wanted(event):
                            return event
                    position = len(self.events)
                    if self._reading is None or self._reading.done():
                        raise SipeError(f"{self.user} has ended without {what}{self._story()}")
                    await self._news.wait()
        except TimeoutError:
            raise SipeError(f"{self.user} waited {within:g} s for {what}{self._story()}") from None

    async def send(self, command: str, *, within: float = TIMEOUT) -> None:
        """Run a command of the driver (see driver.c) and wait until it is taken up. SipeError: it was refused."""
        if "\n" in command:
            raise ValueError(f"a command is one line; in HTML a new line is <br>: {command!r}")
        mark = self.mark()
        await self._write(command)
        done = await self.wait_for("done", since=mark, within=within, command=command)
        if done["error"] is not None:
            raise SipeError(f"{self.user}: {command}: {done['error']}")

    async def chat_ready(self, *, since: int = 0, within: float = TIMEOUT) -> None:
        """Wait for the way to the chat service. SipeError: it failed in a way that the client tells."""
        await self._or_failure("group_chat_ready", since, within)

    async def rooms(self, *, within: float = TIMEOUT) -> list[Event]:
        """Ask for the rooms; their `room` events."""
        mark = self.mark()
        await self.send("rooms")
        await self.wait_for("roomlist_progress", since=mark, within=within, in_progress=False)
        return self.seen("room", since=mark)

    async def join(self, uri: str, *, within: float = TIMEOUT) -> Room:
        """Join a room (one at a time); history and users follow as events.

        SipeError: the server refused, with the text of the popup.
        """
        mark = self.mark()
        await self.send(f"join {uri}")
        return await self.next_room(mark, within)

    async def next_room(self, since: int, within: float = TIMEOUT, **fields: Any) -> Room:
        """Wait for a chat_joined. SipeError: a popup or a lost connection came first."""
        joined = await self._or_failure("chat_joined", since, within, **fields)
        return Room(self, joined["id"], joined["conv"], since)

    async def disconnect(self) -> None:
        """Sign off, without leaving the rooms."""
        mark = self.mark()
        await self.send("disconnect")
        await self.wait_for("signed_off", since=mark)

    async def connect(self, *, within: float = TIMEOUT) -> None:
        """Sign on again, up to the chat service; see Room.rejoined() for the rooms."""
        self.connected_at = self.mark()
        await self.send("connect")
        await self.chat_ready(since=self.connected_at, within=within)

    def sip_messages(self) -> list[SipMessage]:
        """All SIP messages so far, in order."""
        log = self.sip_log.read_text("utf-8", "replace")
        pattern = r"MESSAGE START (>|<)+ SIP\S* - \S+\n(.*?)MESSAGE END "
        return [SipMessage(found[1] == ">", found[2]) for found in re.finditer(pattern, log, re.DOTALL)]

    async def _or_failure(self, name: str, since: int, within: float, **fields: Any) -> Event:
        """An event of this name, unless the client tells of a failure before."""

        def wanted(event: Event) -> bool:
            return event["event"] in ("connection_error", "notify") or _matches(event, name, fields)

        event = await self._first(wanted, since, within, name)
        if event["event"] != name:
            raise SipeError(f"{self.user}: {event} instead of {name}")
        return event

    async def _write(self, command: str) -> None:
        stdin = self.process.stdin
        assert stdin is not None
        stdin.write(f"{command}\n".encode())
        await stdin.drain()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        try:
            while line := await process.stdout.readline():
                self.events.append(json.loads(line))
                if len(self.events) == MAX_EVENTS:
                    process.kill()
                self._tell()
            await process.wait()
        finally:
            asyncio.get_running_loop().call_soon(self._tell)  # when this task counts as done

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _story(self) -> str:
        """What helps with a failed wait."""
        lines = [f"  {event}" for event in self.events[-15:]] or ["  none"]
        complaints = self.stderr.read_text("utf-8", "replace").splitlines()[-5:] if self.stderr.exists() else []
        return "\n".join(["; SIP log: " + str(self.sip_log), "last events:", *lines, *complaints])


def _matches(event: Event, name: str, fields: Mapping[str, object]) -> bool:
    return event["event"] == name and all(event.get(key) == value for key, value in fields.items())

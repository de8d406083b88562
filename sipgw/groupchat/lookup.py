"""The Lookup service of a legacy Group Chat pool: it tells where a Channel service is, and nothing else.

In OCS 2007 R2 and Lync 2010 every server of a pool runs one, all under one SIP address, and Channel services that have
addresses of their own ([MS-OCSPROT] §2.5.21 has the calls). With Lync 2013 it has gone; `channel` answers its command.
"""

from collections import Counter
from collections.abc import Callable

from sipgw.groupchat import payload, xccos
from sipgw.groupchat.channel import SessionsFull
from sipgw.groupchat.element import Element, XccosError
from sipgw.groupchat.records import Deliver, Output
from sipgw.groupchat.refusals import BAD_REQUEST, LIMIT_REACHED, NOT_SUPPORTED, SUCCESS, Refused
from sipgw.groupchat.xccos import Command, Envelope, Reply

MAX_REQUEST = 65_536  # bytes of an envelope, as the channel service has it
MAX_SESSIONS = 10_000  # at once; a further INVITE gets a 503


class Channels:
    """The Channel services of a pool, handed out in turn. Lookup services that share this share the turns.

    `up` are those that can be reached, in no order; one that is not is passed over.
    """

    def __init__(self, uris: tuple[str, ...]) -> None:
        assert uris, "a pool has a Channel service"
        self.uris = uris
        self.up: set[str] = set()
        self.handed_out: Counter[str] = Counter()
        self._turn = 0

    def next(self) -> str | None:
        """The next one that is up, None when none is."""
        for _ in self.uris:
            uri = self.uris[self._turn % len(self.uris)]
            self._turn += 1
            if uri in self.up:
                self.handed_out[uri] += 1
                return uri
        return None


class LookupService:
    """Answers `cmd:requri` in its sessions; `told` hears who is sent to which Channel service. Counters: lookups,
    malformed, ignored, refused_CODE, bound_sessions."""

    def __init__(self, channels: Channels, told: Callable[[str, str], None]) -> None:
        self._channels = channels
        self._told = told
        self._users: dict[int, str] = {}
        self._envid = 0
        self.counters: Counter[str] = Counter()

    def open(self, session: int, user_uri: str, display_name: str, now: float) -> list[Output]:
        """A dialog is up. `user_uri` is the SIP URI in its From. Raises SessionsFull."""
        if len(self._users) >= MAX_SESSIONS:
            self.counters["bound_sessions"] += 1
            raise SessionsFull
        self._users[session] = user_uri
        return []

    def close(self, session: int, now: float) -> list[Output]:
        del self._users[session]
        return []

    def handle(self, session: int, body: bytes, now: float) -> list[Output]:
        """An INFO has brought this body. Never raises for what is in it: a reply tells what is wrong."""
        try:
            envelope = xccos.parse(body, MAX_REQUEST)
        except XccosError as error:
            self.counters["malformed"] += 1
            return [self._refuse(session, "error", Refused(BAD_REQUEST, error.reason), error.envid)]
        commands = [item for item in envelope.items if isinstance(item, Command)]
        self.counters["ignored"] += len(envelope.items) - len(commands)
        return [self._answer(session, command, envelope.envid) for command in commands]

    def _answer(self, session: int, command: Command, envid: str) -> Output:
        if command.name != "requri":
            reason = f"cmd:{command.name}; this is a Lookup service"
            return self._refuse(session, command.name, Refused(NOT_SUPPORTED, reason), envid, command.seqid)
        uri = self._channels.next()
        if uri is None:
            reason = "no Channel service is running"
            return self._refuse(session, command.name, Refused(LIMIT_REACHED, reason), envid, command.seqid)
        self.counters["lookups"] += 1
        self._told(self._users[session], uri)
        data = Element("data", children=[payload.server_address(uri)])
        return self._deliver(session, Reply(command.name, *SUCCESS, data, envid, command.seqid))

    def _refuse(self, session: int, name: str, refused: Refused, envid: str, seqid: str = "1") -> Output:
        self.counters[f"refused_{refused.code}"] += 1
        reply = Reply(name, refused.code, str(refused), command_envid=envid, command_seqid=seqid)
        return self._deliver(session, reply)

    def _deliver(self, session: int, reply: Reply) -> Output:
        self._envid += 1
        return Deliver(session, xccos.write(Envelope(str(self._envid), [reply])))

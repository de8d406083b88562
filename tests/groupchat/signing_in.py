"""A gateway that asks who it is, an emulated pool behind it and emulated clients in front, on one virtual clock."""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from sipgw.auth.accounts import Account, AccountTable
from sipgw.auth.digest_gate import DigestGate
from sipgw.auth.digest_server import DigestServer, DigestSettings
from sipgw.auth.gate import Gate
from sipgw.auth.lockout import Lockout, LockoutSettings
from sipgw.auth.login_client import Login, LoginClient
from sipgw.auth.ntlm_mechanism import NtlmMechanism
from sipgw.auth.password import ha1_of, nt_hash
from sipgw.auth.sipae_endpoint import instance_of
from sipgw.auth.sipae_server import SipaeServer, SipaeSettings
from sipgw.core.user_agent import UserAgent
from sipgw.events import Flow, Hop, Listener, Notice, Output, Send
from sipgw.groupchat.channel import ChannelService, ChannelSettings, State
from sipgw.groupchat.client import ClientAgent, Identity
from sipgw.groupchat.pool import PoolAgent
from sipgw.groupchat.rooms import Room, room_uri
from sipgw.message import Message, Request, Response, parse_message
from sipgw.transaction.timers import TimerValues
from tests.harness import CONTACT_OBJECT, DOMAIN, FQDN, GATEWAY, SERVICE_URI, Party, World

PASSWORD = "pass wörd"
WALL = 1_795_000_000.0
LOBBY = Room(room_uri(DOMAIN, "11111111-1111-1111-1111-111111111111"), "Lobby")


def account(name: str, password: str = PASSWORD, enabled: bool = True) -> Account:
    names = (name, f"CORP\\{name}", f"{name}@corp.{DOMAIN}")
    return Account(f"sip:{name}@{DOMAIN}", names, nt_hash(password), ha1_of(name, DOMAIN, password), enabled)


ACCOUNTS = AccountTable([account("alice"), account("bob", "bob's"), account("carol", enabled=False)])


def gate_for(accounts: AccountTable, *schemes: str, lifetime: float = 28_800.0, nonce_lifetime: float = 300.0) -> Gate:
    counters: Counter[str] = Counter()
    lockout = Lockout(LockoutSettings(), counters)
    sipae = digest = None
    if "ntlm" in schemes:
        settings = SipaeSettings(lifetime=lifetime, wall_offset=WALL)
        mechanism = NtlmMechanism(accounts, FQDN, Random(3), WALL)
        sipae = SipaeServer([mechanism], settings, lockout, Random(4), counters)
    if "digest" in schemes:
        offered = DigestSettings(DOMAIN, nonce_lifetime=nonce_lifetime)
        digest = DigestGate(DigestServer(offered, accounts, Random(5), counters), lockout)
    return Gate(accounts, sipae, digest, counters)


def kind_of(message: Message) -> str:
    """`INVITE`, or `200 INVITE`."""
    if isinstance(message, Request):
        return message.method
    assert isinstance(message, Response)
    return f"{message.status} {message.cseq.method}"


class Site:
    """The gateway, the pool, and whoever is connected. `log` is what went over the clients' wire."""

    def __init__(self, *schemes: str, **settings: Any) -> None:
        self.world = World(realm=DOMAIN, wall_offset=WALL)
        self.schemes, self.settings = schemes, settings
        self.use_gate()
        self.clients: list[Client] = []
        self.log: list[str] = []
        self.sent: list[Message] = []
        self.alters: Callable[[Message], Message | None] = lambda message: message
        self._party = self.world.pool_servers()[0]
        listener = Listener("TCP", self._party.host, self._party.port, f"{self._party.host}:{self._party.port}")
        self._pool = UserAgent([listener], Random(6), TimerValues())
        self._flow = Flow("TCP", GATEWAY, 5060, listener, 9)
        self._pool.connected(self._flow)
        service = ChannelService(ChannelSettings(DOMAIN, (SERVICE_URI,)), State(rooms=[LOBBY]))
        PoolAgent(self._pool, service, WALL, "pool")

    def use_gate(self, accounts: AccountTable = ACCOUNTS) -> None:
        """A new one, which remembers nobody."""
        engine = self.world.engine
        engine.gate = None
        engine.use_gate(gate_for(accounts, *self.schemes, **self.settings))

    def settle(self) -> None:
        """Carry messages until there are none."""
        moved = True
        while moved:
            moved = self._to_pool()
            for client in self.clients:
                moved = client.take_mail() or moved

    def _to_pool(self) -> bool:
        mail, self._party.inbox = self._party.inbox, []
        for message in mail:
            self.from_pool(self._pool.receive(message.encode(), self._flow, self.world.now))
        return bool(mail)

    def from_pool(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Send):
                self._party >> output.data

    def advance(self, seconds: float) -> None:
        """Let time pass for everybody."""
        end = self.world.now + seconds
        machines: list[Any] = [self.world.engine, self._pool, *[client.agent for client in self.clients]]
        while due := [at for each in machines if (at := each.next_deadline()) is not None and at <= end]:
            self.world.now = max(self.world.now, min(due))
            self.world.perform(self.world.engine.handle_timers(self.world.now))
            self.from_pool(self._pool.handle_timers(self.world.now))
            for client in self.clients:
                client.perform(client.agent.handle_timers(self.world.now))
            self.settle()
        self.world.now = end

    def heard(self) -> list[str]:
        """What went over the wire since the last time."""
        log, self.log = self.log, []
        return log


class Client:
    """One emulated client on its connection."""

    def __init__(
        self, site: Site, user: str = "alice", login: str = "", password: str = PASSWORD, scheme: str = ""
    ) -> None:
        self.site = site
        self.party: Party = site.world.phone(user)
        self.agent = UserAgent([], Random(7 + len(site.clients)), TimerValues())
        self.login = LoginClient(Login(login, password, scheme), Random(8), WALL) if login else None
        epid = f"{len(site.clients):012x}"
        identity = Identity(f"sip:{user}@{DOMAIN}", epid, instance_of(epid))
        self.client = ClientAgent(self.agent, identity, Hop("TCP", GATEWAY, 5060), CONTACT_OBJECT, self.login)
        self.notices: list[Notice] = []
        self._cid = 0
        site.clients.append(self)
        self.connect()

    def connect(self) -> None:
        self._cid += 1
        self._flow = Flow("TCP", GATEWAY, 5060, None, self._cid)
        if self.party.flow is None:
            self.party.connect()
        self.agent.connected(self._flow)

    def disconnect(self) -> None:
        """The connection breaks; there is another at once."""
        self.party.break_connection()
        outputs = self.agent.connection_lost(self._flow, Hop("TCP", GATEWAY, 5060), "reset", self.site.world.now)
        self.connect()
        self.perform(outputs)
        self.site.settle()

    def do(self, act: Callable[[float], Any]) -> None:
        """Act, and let everybody answer."""
        act(self.site.world.now)
        self.perform(self.agent.outputs())
        self.site.settle()

    def perform(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Notice):
                self.notices.append(output)
            elif isinstance(output, Send):
                self._send(parse_message(output.data))

    def _send(self, message: Message) -> None:
        self.site.log.append(kind_of(message))
        self.site.sent.append(message)
        altered = self.site.alters(message)
        if altered is not None:
            self.party >> altered

    def take_mail(self) -> bool:
        mail, self.party.inbox = self.party.inbox, []
        for message in mail:
            self.site.log.append(kind_of(message))
            altered = self.site.alters(message)
            if altered is not None:
                self.perform(self.agent.receive(altered.encode(), self._flow, self.site.world.now))
        return bool(mail)

    # what it does

    def sign_in(self) -> None:
        self.do(self.client.sign_in)

    def command(self, name: str, *data: Any) -> None:
        self.do(lambda now: self.client.send_command(name, now, *data))

    # what it was told

    @property
    def told(self) -> list[str]:
        return [notice.kind for notice in self.notices]

    def reason(self) -> str:
        """Why the last thing went wrong."""
        return str(self.notices[-1].fields["reason"])

    def replies(self) -> list[str]:
        """Names and codes of replies in envelopes."""
        envelopes = [notice.fields["envelope"] for notice in self.notices if notice.kind == "envelope"]
        return [f"{item.name} {item.code}" for envelope in envelopes for item in envelope.items]

"""A gateway that asks for NTLM, and users who sign what they send and look at each signature that they get."""

from random import Random
from typing import Any

from sipgw.auth.accounts import Account
from sipgw.auth.digest_gate import DigestGate
from sipgw.auth.digest_server import DigestServer, DigestSettings
from sipgw.auth.gate import Gate
from sipgw.auth.lockout import Lockout, LockoutSettings
from sipgw.auth.ntlm_client import NtlmInitiator
from sipgw.auth.ntlm_mechanism import NtlmMechanism
from sipgw.auth.password import ha1_of, nt_hash
from sipgw.auth.sipae_client import SipaeClient
from sipgw.auth.sipae_server import SipaeServer, SipaeSettings
from sipgw.message import Request, Response
from tests.harness import DOMAIN, FQDN, Party, World, reply
from tests.scenarios.sign_in.people import PASSWORD, Directory
from tests.security.watching import Watched

WALL = 1_795_000_000.0
PLACES = ("proxy-authorization", "proxy-authentication-info", "authentication-info", "authorization")


def account(name: str, enabled: bool = True, password: str = PASSWORD, uri: str = "") -> Account:
    return Account(uri or f"sip:{name}@{DOMAIN}", (name,), nt_hash(password), ha1_of(name, DOMAIN, password), enabled)


ACCOUNTS = tuple(map(account, ("alice", "bob", "boss")))


class Signed(Watched):
    """It keeps all that it was asked to send. Digest is offered too where `digest` says so."""

    def __init__(self, digest: bool = False, lifetime: float = 28_800.0, **settings: Any) -> None:
        super().__init__(gate=False, **settings)
        self.directory = Directory(ACCOUNTS)
        counters, random = self.engine.counters, Random(1)
        lockout = Lockout(LockoutSettings(), counters)
        ntlm = NtlmMechanism(self.directory, FQDN, random, WALL)
        self.sipae = SipaeServer([ntlm], SipaeSettings(lifetime, wall_offset=WALL), lockout, random, counters)
        spoken = DigestServer(DigestSettings(DOMAIN), self.directory, random, counters)
        offered = DigestGate(spoken, lockout) if digest else None
        self.engine.use_gate(Gate(self.directory, self.sipae, offered, counters))

    def no_credentials(self) -> None:
        """Nothing that a client has proved itself by has gone anywhere."""
        for send in self.sends:
            assert b"uthorization:" not in send.data.partition(b"\r\n\r\n")[0], send.data


class Signer:
    """A user who has signed in with NTLM; `over` is whose connection he shares, as behind a proxy."""

    def __init__(
        self,
        world: World,
        name: str = "alice",
        host: str = "198.51.100.7",
        headers: tuple[str, ...] = (),
        over: Party | None = None,
        **party: Any,
    ) -> None:
        self.headers = headers  # of each REGISTER
        self.party: Party = world.phone(name, host=host, **party)
        if over is not None:
            self.party.flow, self.party.inbox = over.flow, over.inbox
        self.client = SipaeClient({"ntlm": lambda _: NtlmInitiator(name, PASSWORD, Random(2), WALL)}, Random(3))
        self.cseq = 0
        assert self.register().status == 200

    def register(self, expires: int = 600) -> Response:
        """The last answer of a registration, through the whole handshake where there is one."""
        self.cseq += 1
        carrier = self.party.register(*self.headers, cseq=self.cseq, expires=expires)
        for _ in range(3):
            answer = self.ask(carrier)
            if answer.status != 401:
                break
            self.client.challenged(carrier, answer.lines_of("www-authenticate")[0], 401, self.party.world.now)
            self.cseq += 1
            again = self.party.register(
                *self.headers, cseq=self.cseq, expires=expires
            )  # with a step more, branch and CSeq anew
            carrier.set_lines(again.uri, list(zip(again.lines, again.names, strict=True)))
        self.client.settled(carrier)
        return answer

    def ask(self, request: Request) -> Response:
        """The answer to a request; its signature is not looked at."""
        self.send(request)
        answer = self.party.inbox.pop(0)
        assert isinstance(answer, Response)
        return answer

    def send(self, message: Request | Response) -> Request | Response:
        """Signed; what was sent."""
        self.client.seal(message)
        self.party >> message
        return message

    def asks(self, method: str, uri: str, *headers: str, **more: Any) -> Request:
        self.cseq += 1
        request = self.party.request(method, uri, *headers, cseq=self.cseq, **more)
        self.send(request)
        return request

    def takes(self, expected: str | int) -> Any:
        """The next message, which has to be ours to hear: signed, and nothing beside the signature."""
        message: Request | Response = self.party << expected
        assert [name for name in message.names if name in PLACES] == ["authentication-info"], message.lines
        assert not self.client.check(message, self.party.world.now)
        return message

    def answers(self, request: Request, status: int, *headers: str, **more: Any) -> None:
        self.send(reply(request, status, *headers, **more))

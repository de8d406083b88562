"""A client whose clock differs by more than auth.clock_skew is told that it is the clock ([MS-SIPAE] §3.3.5.2)."""

from email.utils import formatdate
from random import Random

import pytest
from spnego._ntlm_raw.messages import AvId, Challenge

from sipgw.auth.accounts import Account
from sipgw.auth.gate import Gate
from sipgw.auth.lockout import Lockout, LockoutSettings
from sipgw.auth.ntlm_client import NtlmInitiator
from sipgw.auth.ntlm_mechanism import NtlmMechanism
from sipgw.auth.password import nt_hash
from sipgw.auth.sipae_client import SipaeClient
from sipgw.auth.sipae_server import SipaeServer, SipaeSettings
from sipgw.message import Request, Response
from tests.harness import CONTACT_OBJECT, DOMAIN, FQDN, MakeWorld, Party, World, diagnostics_of, reply
from tests.scenarios.sign_in.people import PASSWORD, Directory

WALL, SKEW = 1_795_000_000.0, 300.0  # seconds; the usual setting is 900
TOO_FAR = pytest.mark.parametrize("off", [-SKEW - 1, SKEW + 1])
NEAR = pytest.mark.parametrize("off", [-SKEW + 1, 0.0, SKEW - 1])


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """A gateway that asks for NTLM."""
    world = make_world(wall_offset=WALL)
    counters, random = world.engine.counters, Random(1)
    directory = Directory([Account(f"sip:alice@{DOMAIN}", ("alice",), nt_hash(PASSWORD))])
    ntlm = NtlmMechanism(directory, FQDN, random, WALL, SKEW)
    settings = SipaeSettings(clock_skew=SKEW, wall_offset=WALL)
    sipae = SipaeServer([ntlm], settings, Lockout(LockoutSettings(), counters), random, counters)
    world.engine.use_gate(Gate(directory, sipae, None, counters))
    return world


class OwnClock(NtlmInitiator):
    """Goes by its own clock, as clients do that are not told the server's."""

    def step(self, token: bytes, now: float) -> bytes:
        if token:
            challenge = Challenge.unpack(token)
            info = challenge.target_info
            assert info is not None and info.pop(AvId.timestamp)
            nonce, name = challenge.server_challenge, challenge.target_name
            token = Challenge(challenge.flags, nonce, name, info, challenge.version).pack()
        return super().step(token, now)


class Client:
    """alice, whose clock is `off` by so many seconds. She dates her requests where `dates`, else her NTLM messages."""

    def __init__(self, party: Party, off: float, dates: bool = True) -> None:
        self.party, self.off, self.dates = party, off, dates
        make = NtlmInitiator if dates else OwnClock
        self.client = SipaeClient({"ntlm": lambda _: make("alice", PASSWORD, Random(2), WALL + off)}, Random(3))

    def send(self, request: Request) -> Request:
        if self.dates:
            request.add(f"Date: {formatdate(self.party.world.now + WALL + self.off, usegmt=True)}", "date")
        self.client.seal(request)
        self.party >> request
        return request

    def answer(self) -> Response:
        (response,) = self.party.inbox
        assert isinstance(response, Response)
        self.party.inbox.clear()
        return response

    def register(self) -> Response:
        """The last answer of a registration, through the whole handshake."""
        carrier = self.send(self.party.register())
        response = self.answer()
        for cseq in (2, 3):
            if response.status != 401:
                break
            self.client.challenged(carrier, response.lines_of("www-authenticate")[0], 401, self.party.world.now)
            again = self.party.register(cseq=cseq)  # the same one with a step more, branch and CSeq anew
            carrier.set_lines(again.uri, list(zip(again.lines, again.names, strict=True)))
            self.send(carrier)
            response = self.answer()
        self.client.settled(carrier)
        return response


def refused(response: Response) -> None:
    """The documented answer (docs/operations.md)."""
    assert response.status == 403
    number, value = diagnostics_of(response)
    assert number == 1013 and "time skew" in value
    assert not response.lines_of("www-authenticate"), "another try by the same clock is in vain"


def no_guess(world: World, reason: str) -> None:
    """It is told of, and counts as nobody's failure."""
    told = world.logs[-1]
    assert (told.level, told.event) == ("warning", "sign-in failed") and reason in told.fields["reason"]
    assert world.engine.location.count == 0


@TOO_FAR
def test_a_date_that_is_too_far_off(world: World, off: float) -> None:
    refused(Client(world.phone("alice"), off).register())
    no_guess(world, "Date of the client is too far off")


@TOO_FAR
def test_ntlm_messages_that_are(world: World, off: float) -> None:
    refused(Client(world.phone("alice"), off, dates=False).register())
    no_guess(world, f"the clock of the client is {off:+.0f} s off")


@pytest.mark.parametrize("dates", [True, False])
@NEAR
def test_within_the_setting(world: World, off: float, dates: bool) -> None:
    assert Client(world.phone("alice"), off, dates).register().status == 200
    assert world.engine.location.count == 1


@TOO_FAR
def test_a_clock_that_is_changed_afterwards(world: World, off: float) -> None:
    """Each message is looked at, not the first alone; nothing of it reaches the pool, and the sign-in goes on."""
    pool = world.pool_servers()[0]
    alice = Client(world.phone("alice"), 0.0)
    assert alice.register().status == 200
    alice.off = off
    alice.send(alice.party.request("INVITE", CONTACT_OBJECT))
    refused(alice.answer())
    pool.nothing()
    alice.off = 0.0
    alice.send(alice.party.request("INVITE", CONTACT_OBJECT))
    alice.party << 100
    pool >> reply(pool << "INVITE", 486)
    pool << "ACK"
    alice.party << 486


def test_as_often_as_he_likes(world: World) -> None:
    """A wrong clock locks nobody out."""
    for _ in range(30):
        refused(Client(world.phone("alice"), SKEW + 1, dates=False).register())
    assert Client(world.phone("alice"), 0.0).register().status == 200

"""A world that keeps what it was asked to send, and somebody in it who tries to have things sent elsewhere.

Such a one stands in one of three places: a stranger before a gateway that wants proofs, a user who has proved himself
there, and anybody where no proof is wanted.
"""

from dataclasses import dataclass
from typing import Any

from sipgw.events import Flow, Hop, Send
from sipgw.message import Request, Response
from tests.harness import DOMAIN, Party, World
from tests.scenarios.sign_in.people import ACCOUNTS, Directory, Person, gate_for

STRANGER, USER, NO_GATE = "a-stranger", "a-user", "no-gate"
STANDINGS = (STRANGER, USER, NO_GATE)
VICTIM = "203.0.113.9"  # has nothing to do with any of it

Place = tuple[str, str, int]


def place(to: Flow | Hop | Party) -> Place:
    return to.transport, to.host, to.port


class Watched(World):
    """A world with somebody to aim at, who listens on every port that is tried."""

    def __init__(self, *args: Any, gate: bool = True, **settings: Any) -> None:
        super().__init__(*args, realm=DOMAIN, wall_offset=1_795_000_000.0, **settings)
        self.sends: list[Send] = []
        self.directory = Directory(ACCOUNTS)
        if gate:
            self.engine.use_gate(gate_for(self.directory, self.engine.counters))
        for name in ("elsewhere.test", "victim.test"):
            self.names[name] = [VICTIM]

    def _deliver(self, send: Send) -> None:
        self.sends.append(send)
        super()._deliver(send)


def only_to(world: Watched, *allowed: Party) -> None:
    """Whatever the gateway has sent went to one of these, over whatever way; and it asked no name service."""
    places = {place(party) for party in allowed}
    strayed = [(str(send.to), send.data[:60]) for send in world.sends if place(send.to) not in places]
    assert not strayed, f"strayed: {strayed}"
    assert not world.resolved, f"asked for {world.resolved}"


@dataclass
class Attacker:
    """`party` sends; `person` has the password, None where there is none to have."""

    world: Watched
    standing: str
    party: Party
    person: Person | None

    def send(self, method: str, uri: str, *headers: str, **more: Any) -> None:
        """A request, with credentials where there are any."""
        if self.person is not None:
            self.person.ask(method, uri, *headers, **more)
        else:
            self.party >> self.party.request(method, uri, *headers, **more)

    def again(self, request: Request) -> None:
        """A request that is made already."""
        if self.person is not None:
            self.person.send(request)
        else:
            self.party >> request

    def status(self) -> int:
        """What the last request came to: its final answer, acknowledged if need be; 0 for none."""
        status = 0
        for message in list(self.party.inbox):
            self.party.inbox.remove(message)
            if isinstance(message, Request):
                assert message.method == "NOTIFY", message.start  # of its subscription to itself
                continue
            assert isinstance(message, Response)
            status = message.status
            if status >= 300 and message.cseq.method == "INVITE":
                self.party >> self.party.ack_failure(message)
        return status

    def tries(self, method: str, uri: str, *headers: str, **more: Any) -> int:
        self.send(method, uri, *headers, **more)
        return self.status()


def attacker(standing: str, transport: str = "UDP", **settings: Any) -> Attacker:
    """Alice, who means harm, in a world of her own."""
    world = Watched(gate=standing != NO_GATE, **settings)
    party = world.phone("alice", transport)
    if standing != USER:
        return Attacker(world, standing, party, None)
    person = Person(party)
    person.ask("OPTIONS", f"sip:{DOMAIN}")
    assert (party << 200).status == 200
    return Attacker(world, standing, party, person)


def answers(party: Party) -> list[int]:
    """The statuses that somebody has got; nothing else may have come."""
    found = []
    for message in party.inbox:
        assert isinstance(message, Response), message.start
        found.append(message.status)
    party.inbox.clear()
    return found

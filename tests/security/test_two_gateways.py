"""Two gateways that somebody has set up to send to each other: what goes round ends, and never grows beyond a bound."""

import pytest

from sipgw.events import Listener
from sipgw.message import Response
from sipgw.registry import Server
from tests.harness import CONTACT_OBJECT, DOMAIN, Party, World, default_pool

HERE, THERE = "192.0.2.1", "192.0.2.2"
MOST = 500  # messages until it has to be over; without an end there is none


def gateway(host: str, other: str) -> tuple[World, Party]:
    """A gateway at `host` whose pool is the other one, and its view of that."""
    world = World([default_pool(Server("UDP", other, 5060))])
    listeners = [Listener(transport, host, 5060, f"{host}:5060") for transport in ("UDP", "TCP")]
    world.engine.router.set_listeners(listeners)
    world.listeners = listeners
    return world, world.server("UDP", other, 5060)


class Ring:
    """Both, with what one sends to the other carried there. `carried` are the start lines of it, in order."""

    def __init__(self) -> None:
        self.here, self.to_there = gateway(HERE, THERE)
        self.there, self.to_here = gateway(THERE, HERE)
        self.carried: list[str] = []

    def turn(self) -> None:
        """Until nothing is on its way any more."""
        ways = ((self.to_there, self.to_here), (self.to_here, self.to_there))
        while any(party.inbox for party, _ in ways):
            for out, back in ways:
                while out.inbox:
                    message = out.inbox.pop(0)
                    self.carried.append(message.start)
                    assert len(self.carried) <= MOST, "it does not end"
                    back >> message.encode()

    def finish(self) -> None:
        """Timers at both, in step."""
        for _ in range(80):
            for world in (self.here, self.there):
                world.advance(10.0)
            self.turn()

    @property
    def requests(self) -> list[str]:
        return [start for start in self.carried if not start.startswith(("SIP/2.0", "ACK"))]


@pytest.fixture
def ring() -> Ring:
    return Ring()


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "SUBSCRIBE", "OPTIONS"])
def test_each_is_the_others_pool(ring: Ring, method: str) -> None:
    alice = ring.here.phone("alice", "UDP")
    alice >> alice.request(method, CONTACT_OBJECT)
    ring.turn()
    assert len(ring.requests) == 2, "to the other one, and back: there it is known again"
    finals = [message for message in alice.inbox if isinstance(message, Response) and message.status >= 200]
    assert [message.status for message in finals] == [482]
    if method == "INVITE":
        alice >> alice.ack_failure(finals[0])
    ring.finish()
    assert len(ring.requests) == 2


def test_nobody_waits_for_a_benotify(ring: Ring) -> None:
    alice = ring.here.phone("alice", "UDP")
    alice >> alice.request("BENOTIFY", CONTACT_OBJECT)
    ring.turn()
    ring.finish()
    assert len(ring.requests) == 2


@pytest.mark.parametrize("hops", [0, 1, 2, 5])
def test_hops_end_before_that_where_there_are_few(ring: Ring, hops: int) -> None:
    alice = ring.here.phone("alice", "UDP")
    alice >> alice.request("MESSAGE", CONTACT_OBJECT, hops=hops)
    ring.turn()
    assert len(ring.requests) == min(hops, 2)
    assert alice.inbox[-1].start.split()[1] == ("483" if hops < 2 else "482")


def registers_the_other(world: World, party: Party, aor: str, number: int) -> None:
    """Only with forged datagrams can a binding lead to a gateway: its source is where requests go."""
    contact = f"Contact: <sip:{aor}@{DOMAIN};copy={number}>"
    request = party.request(
        "REGISTER", f"sip:{DOMAIN}", contact, "Expires: 600", to=f"sip:{aor}@{DOMAIN}", call_id=f"{aor}{number}"
    )
    party >> request
    party << 200


@pytest.mark.parametrize("breadth", ["", "Max-Breadth: 60", "Max-Breadth: 1000000000"])
@pytest.mark.parametrize("copies", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("method", ["MESSAGE", "INVITE"])
def test_forks_that_lead_to_each_other_stay_within_the_breadth(
    ring: Ring, copies: int, method: str, breadth: str
) -> None:
    """RFC 5393 §3: a user here has bindings there and the other way round, each with a Request-URI of its own, so that
    what comes back looks like a spiral. Without Max-Breadth `copies` to the power of the turns would go round."""
    for number in range(copies):
        registers_the_other(ring.here, ring.to_there, "bob", number)
        registers_the_other(ring.there, ring.to_here, "bob", number)
    alice = ring.here.phone("alice", "UDP")
    alice >> alice.request(method, f"sip:bob@{DOMAIN}", *[breadth] * bool(breadth))
    ring.turn()
    assert copies <= len(ring.requests) <= 60
    (final,) = [message for message in alice.inbox if isinstance(message, Response) and message.status >= 200]
    assert final.status in (440, 482)
    if method == "INVITE":
        alice >> alice.ack_failure(final)
    requests = len(ring.requests)
    ring.finish()
    assert len(ring.requests) == requests

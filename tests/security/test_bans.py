"""A datagram's source can be forged: what somebody sends in another's name must not cost that one his connection."""

import pytest

from sipgw.core.admission import Rates
from sipgw.registry import Server
from tests.harness import CONTACT_OBJECT, DOMAIN, Party, default_pool, reply
from tests.scenarios.sign_in.people import Person
from tests.security.watching import Watched


def flood(world: Watched, host: str, port: int = 5060) -> Party:
    """Enough for a ban, by UDP, as if from this host."""
    forged = world.phone("mallory", "UDP", host, port)
    for _ in range(40):
        forged >> forged.request("OPTIONS", f"sip:{DOMAIN}")
    return forged


@pytest.fixture
def world() -> Watched:
    return Watched(rates=Rates(per_source=2, ban=60))


def test_a_flood_by_datagrams_is_not_heard_any_more(world: Watched) -> None:
    forged = flood(world, "198.51.100.66")
    forged.inbox.clear()
    forged >> forged.request("OPTIONS", f"sip:{DOMAIN}")
    forged.nothing()
    assert world.engine.counters["banned"] == 1


# bug: E2-6
def test_it_takes_no_pool_away(world: Watched) -> None:
    """Its answers are heard, its connection stays."""
    pool = world.pool_servers()[0]
    alice = Person(world.phone("alice"))
    alice.ask("INVITE", CONTACT_OBJECT)
    alice.party << 100
    invite = pool << "INVITE"
    flood(world, pool.host)
    pool >> reply(invite, 200, contact=pool.contact)
    alice.party << 200
    assert not world.closed


@pytest.mark.parametrize("port", [5041, 5060], ids=["its port", "another port"])
def test_nor_one_that_is_reached_by_datagrams(port: int) -> None:
    """Whatever is sent in its name: its rate is not used up and it is not banned."""
    world = Watched([default_pool(Server("UDP", "192.0.2.51", 5041))], rates=Rates(per_source=2, ban=60))
    pool = world.server("UDP")
    alice = Person(world.phone("alice"))
    alice.ask("INVITE", CONTACT_OBJECT)
    alice.party << 100
    invite = pool << "INVITE"
    flood(world, pool.host, port)
    pool.inbox.clear()
    ok = reply(invite, 200, contact=pool.contact)
    pool >> ok
    alice.party << 200
    pool >> pool.called(invite, ok).request("INFO")
    alice.party << "INFO"


# bug: E2-6
@pytest.mark.parametrize("transport", ["TCP", "TLS"])
def test_it_takes_no_connected_user_away(world: Watched, transport: str) -> None:
    """A connection proves its address; he has his own rate, too."""
    alice = Person(world.phone("alice", transport))
    alice.register()
    assert alice.party.flow is not None
    flood(world, alice.party.host)
    world.advance(5.0)
    alice.ask("OPTIONS", f"sip:{DOMAIN}")
    alice.party << 200
    assert not world.closed


def forged_guesses(world: Watched, host: str, names: list[str]) -> None:
    """Wrong Digest credentials as if from this host, whose challenges go to the host itself."""
    forged = world.phone("mallory", "UDP", host, 5060)
    nonce = "0" * 62
    for number, name in enumerate(names):
        credentials = (
            f'Proxy-Authorization: Digest username="{name}", realm="{DOMAIN}", nonce="{nonce}", uri="sip:{DOMAIN}", '
            f'response="{number:064x}", algorithm=SHA-256, qop=auth, nc=00000001, cnonce="x"'
        )
        forged >> forged.request("OPTIONS", f"sip:{DOMAIN}", credentials)


# bug: E2-7
@pytest.mark.parametrize("names", [["alice"] * 12, [f"user{number}" for number in range(120)]], ids=["one", "all"])
def test_forged_guesses_lock_nobody_out(names: list[str]) -> None:
    """Neither the owner of the account where she has always signed in, nor all who share her address: who forges a
    source does not get the nonces that are sent there, and what comes without one of ours is no guess."""
    world = Watched()
    alice = Person(world.phone("alice"))
    alice.register()
    forged_guesses(world, alice.party.host, names)
    bob = Person(world.phone("bob"))
    bob.register()
    Person(alice.party).register(call_id="anew")

"""How much somebody who has signed in may send, whatever he makes of his requests."""

import pytest

from sipgw.core.admission import Rates
from sipgw.message.build import new_request
from tests.harness import CONTACT_OBJECT, DOMAIN, GATEWAY, Party, World, reply
from tests.scenarios.sign_in.people import ACCOUNTS, Directory, Person, gate_for


def site(rates: Rates) -> tuple[World, Party, Person]:
    world = World(realm=DOMAIN, rates=rates)
    world.engine.use_gate(gate_for(Directory(ACCOUNTS), world.engine.counters))
    alice = Person(world.phone("alice"))
    alice.ask("MESSAGE", f"sip:nobody@{DOMAIN}")  # so that there is a nonce
    alice.party << 404
    return world, world.pool_servers()[0], alice


def sends(alice: Person, number: int, to_tag: str = "", *headers: str) -> None:
    request = alice.party.request("MESSAGE", CONTACT_OBJECT, *headers, cseq=number)
    to = f"To: <{CONTACT_OBJECT}>"
    lines = [f"{to};tag={to_tag}" if line == to and to_tag else line for line in request.lines]
    alice.send(new_request("MESSAGE", CONTACT_OBJECT, lines))


OURS = f"sip:{GATEWAY}:5060;lr"
SHAPES = {
    "plain": (),
    "to-tag": ("made-up",),
    "to-tag-and-route": ("made-up", f"Route: <{OURS}>"),
    "to-tag-and-route-of-a-user": ("made-up", f"Route: <sip:x@{GATEWAY}:5060;lr>"),
    "to-tag-and-adorned-route": ("made-up", f"Route: <{OURS}>;x=a@b"),
    "to-tag-and-named-route": ("made-up", f'Route: "a@b" <{OURS}>'),
}


@pytest.mark.parametrize("more", list(SHAPES.values()), ids=list(SHAPES))
def test_a_user_gets_his_rate_and_no_more(more: tuple[str, ...]) -> None:
    _, pool, alice = site(Rates(per_user=3))
    for number in range(20):
        sends(alice, 100 + number, *more)
    assert len(pool.inbox) <= 3 and (more or pool.inbox)


@pytest.mark.parametrize("more", [(), ("made-up",)], ids=["plain", "to-tag"])
def test_what_is_new_waits_until_there_is_less_to_do(more: tuple[str, ...]) -> None:
    world, pool, alice = site(Rates())
    world.engine.set_overloaded(True, world.now)
    sends(alice, 100, *more)
    alice.party << 503
    pool.nothing()


def test_what_goes_on_in_a_dialog_is_not_weighed_by_user() -> None:
    world, pool, alice = site(Rates(per_user=2))
    alice.ask("INVITE", CONTACT_OBJECT)
    alice.party << 100
    invite = pool << "INVITE"
    pool >> reply(invite, 200, contact=pool.contact)
    dialog = alice.party.calling(alice.party << 200)
    alice.party >> dialog.request("ACK")
    pool << "ACK"
    world.engine.set_overloaded(True, world.now)
    for _ in range(10):
        alice.send(dialog.request("INFO"))
        pool >> reply(pool << "INFO", 200)
        alice.party << 200

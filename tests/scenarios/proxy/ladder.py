"""The steps that the ladders in this folder are made of. Each takes the messages that it names and no other.

A step that a party takes is a function of that party: `rings(desk, invite)`. What the caller sees of it is taken by the
scenario itself, since that is what most scenarios are about.
"""

from collections.abc import Iterable
from typing import Any

from sipgw.message import Request, Response
from sipgw.registry import Server
from tests.harness import CONTACT_OBJECT, DOMAIN, Dialog, MakeWorld, Party, World, default_pool, reply

BOB = f"sip:bob@{DOMAIN}"
SDP = b"v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n"
T1 = 0.5
TIMER_B = 64 * T1  # also Timers D (at least), F, H, J, L and M
TIMER_C = 181.0
FORGOTTEN = 2 * TIMER_B + 1  # after this no transaction that has been answered is left


def desks(world: World, transport: str, *q: float, user: str = "bob") -> list[Party]:
    """Endpoints of a user, one signed in for each q, each at a host of its own; tags of theirs are their names."""
    found = []
    for number, value in enumerate(q):
        desk = world.phone(user, transport, host=f"198.51.100.{100 + number + 10 * len(user)}", instance=f"i{number}")
        line = f'Contact: <{desk.contact}>;q={value};+sip.instance="<urn:uuid:i{number}>"'
        desk >> desk.request("REGISTER", f"sip:{DOMAIN}", line, "Expires: 900", to=desk.uri, call_id=f"{user}-{number}")
        desk << 200
        found.append(desk)
    return found


def pool_of(make_world: MakeWorld, transport: str, servers: int = 2) -> tuple[World, Party, list[Party]]:
    """A world with a caller and a pool, both speaking one transport."""
    addresses = [Server(transport, f"192.0.2.{51 + number}", 5041) for number in range(servers)]
    world = make_world([default_pool(*addresses)])
    return (
        world,
        world.phone("alice", transport),
        [world.server(one.transport, one.host, one.port) for one in addresses],
    )


def tag_of(party: Party) -> str:
    return f"{party.name}-{party.host.rpartition('.')[2]}"


# the caller


def calls(alice: Party, uri: str = BOB, *headers: str) -> Request:
    """Send an INVITE; the gateway says at once that it is trying."""
    invite = alice.request("INVITE", uri, *headers)
    alice >> invite
    alice << 100
    return invite


def calls_pool(alice: Party) -> Request:
    return calls(alice, CONTACT_OBJECT)


def cancels(alice: Party, invite: Request) -> None:
    """Send a CANCEL; the gateway answers it itself (§16.10)."""
    alice >> alice.cancel(invite)
    answer = alice << 200
    assert answer.cseq.method == "CANCEL"


def hears(alice: Party, status: int, desk: Party) -> Response:
    """Take a response that comes from a certain desk: the gateway keeps the To tag (§16.7 items 6 and 9)."""
    response: Response = alice << status
    assert response.to_tag == tag_of(desk)
    return response


def ends_with(alice: Party, status: int) -> Response:
    """Take the failure of a call, acknowledge it, and see nothing else."""
    response = alice.fail_call(status)
    alice.nothing()
    return response


def acknowledges(alice: Party, ok: Response, desk: Party) -> Dialog:
    """Send the ACK to a 2xx; it reaches the desk that answered, and nobody else has to look at it."""
    dialog = alice.calling(ok)
    alice >> dialog.request("ACK")
    desk << "ACK"
    return dialog


def hangs_up(dialog: Dialog, other: Party) -> None:
    """BYE from the party of the dialog, answered by the other."""
    dialog.party >> dialog.request("BYE")
    other >> reply(other << "BYE", 200)
    assert (dialog.party << 200).cseq.method == "BYE"


# the called


def rings(desk: Party, invite: Request, status: int = 180, *headers: str, body: bytes = b"") -> Response:
    response = reply(invite, status, *headers, tag=tag_of(desk), body=body)
    desk >> response
    return response


def trying(desk: Party, invite: Request) -> None:
    desk >> reply(invite, 100)


def refuses(desk: Party, invite: Request, status: int, *headers: str) -> Response:
    """Send a failure; the gateway acknowledges it itself (§17.1.1.3), on the branch of the INVITE."""
    response = reply(invite, status, *headers, tag=tag_of(desk))
    desk >> response
    ack = desk << "ACK"
    assert ack.via.branch == invite.via.branch
    assert ack.to_tag == response.to_tag
    return response


def accepts(desk: Party, invite: Request, *headers: str) -> Response:
    ok = reply(invite, 200, *headers, tag=tag_of(desk), contact=desk.contact)
    desk >> ok
    return ok


def cancelled(desk: Party, invite: Request) -> Request:
    """Take the CANCEL of an INVITE (§9.1: same branch, Request-URI and number) and leave it unanswered."""
    cancel: Request = desk << "CANCEL"
    assert cancel.via.branch == invite.via.branch
    assert cancel.uri == invite.uri
    assert (cancel.cseq.number, cancel.cseq.method) == (invite.cseq.number, "CANCEL")
    assert len(cancel.values("via")) == 1
    return cancel


def gives_up(desk: Party, invite: Request) -> None:
    """Obey a CANCEL: 200 to it, 487 to the INVITE."""
    desk >> reply(cancelled(desk, invite), 200)
    refuses(desk, invite, 487)


def answers(alice: Party, desk: Party, invite: Request) -> Dialog:
    """A whole answer: 200, ACK. Returns the caller's side."""
    accepts(desk, invite)
    return acknowledges(alice, hears(alice, 200, desk), desk)


def all_quiet(parties: Iterable[Party]) -> None:
    for party in parties:
        party.nothing()


def repeats(party: Party, method: str, times: int) -> Any:
    """Take a request as often as it was sent; each is the same to the byte (§17.1.1.2). Returns it."""
    first = party << method
    for _ in range(times - 1):
        assert (party << method).encode() == first.encode()
    party.nothing()
    return first


def copies_until(transport: str, seconds: float, *, invite: bool = True) -> int:
    """How often a request without any answer is on the wire after so many seconds (Timers A and E)."""
    if transport != "UDP":
        return 1
    count, at, interval = 1, T1, T1
    while at <= seconds and at < TIMER_B:
        count += 1
        interval = interval * 2 if invite else min(interval * 2, 4.0)
        at += interval
    return count

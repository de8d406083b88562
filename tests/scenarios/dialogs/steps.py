"""The steps that dialog scenarios are made of. Each takes the messages that it names and no other."""

from typing import Any

from sipgw.message import Request, Response
from tests.harness import Dialog, Party, reply
from tests.scenarios.proxy.ladder import tag_of


def opens(alice: Party, bob: Party, *headers: str, uri: str = "") -> tuple[Request, Response]:
    """INVITE and 200, not yet acknowledged: the INVITE as bob got it, the 200 as alice got it."""
    alice >> alice.request("INVITE", uri or bob.uri, *headers)
    alice << 100
    invite = bob << "INVITE"
    bob >> reply(invite, 200, tag=tag_of(bob), contact=bob.contact)
    return invite, alice << 200


def talk(alice: Party, bob: Party, *headers: str, uri: str = "") -> tuple[Dialog, Dialog]:
    """A call that stands, seen from both sides."""
    invite, ok = opens(alice, bob, *headers, uri=uri)
    mine = alice.calling(ok)
    alice >> mine.request("ACK")
    bob << "ACK"
    return mine, called(bob, invite)


def called(bob: Party, invite: Request) -> Dialog:
    """Bob's side of the dialog that his 200 to this INVITE has opened."""
    return bob.called(invite, reply(invite, 200, tag=tag_of(bob), contact=bob.contact))


def asks(
    sender: Dialog, other: Party, method: str = "INFO", *headers: str, status: int = 200, body: bytes = b""
) -> Any:
    """A request inside a dialog and its answer. Returns the request as it arrived."""
    sender.party >> sender.request(method, *headers, body=body)
    arrived = other << method
    other >> reply(arrived, status)
    assert (sender.party << status).cseq.method == method
    return arrived


def reinvites(sender: Dialog, other: Party, *headers: str, contact: str = "", body: bytes = b"") -> Any:
    """A re-INVITE that is accepted and acknowledged. Returns it as it arrived."""
    line = f"Contact: <{contact or sender.party.contact}>"
    sender.party >> sender.request("INVITE", line, *headers, body=body)
    sender.party << 100
    arrived = other << "INVITE"
    other >> reply(arrived, 200, contact=other.contact)
    sender.party << 200
    sender.invite_cseq = sender.cseq
    sender.party >> sender.request("ACK")
    other << "ACK"
    return arrived


def ends(sender: Dialog, other: Party) -> None:
    """BYE, answered."""
    asks(sender, other, "BYE")

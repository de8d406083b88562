"""The Lookup service of a legacy pool: Channel services in turn, and what it says to anything else."""

import pytest

from sipgw.groupchat import lookup, xccos
from sipgw.groupchat.channel import SessionsFull
from sipgw.groupchat.lookup import Channels, LookupService
from sipgw.groupchat.records import Deliver
from sipgw.groupchat.xccos import Command, Envelope, Item, Reply

URIS = ("sip:one@example.test", "sip:two@example.test", "sip:three@example.test")
ALICE = "sip:alice@example.test"


class Desk:
    """Lookup services over one set of Channel services, a session at each, and who was sent where."""

    def __init__(self, services: int = 1, up: tuple[str, ...] = URIS) -> None:
        self.channels = Channels(URIS)
        self.channels.up.update(up)
        self.sent: list[tuple[str, str]] = []
        self.services = [LookupService(self.channels, self._told) for _ in range(services)]
        for service in self.services:
            assert service.open(1, ALICE, "", 0.0) == []

    def _told(self, user: str, uri: str) -> None:
        self.sent.append((user, uri))

    def send(self, body: bytes, at: int = 0) -> list[Item]:
        """What comes back in the session, each in an envelope of its own."""
        outputs = self.services[at].handle(1, body, 0.0)
        items = []
        for output in outputs:
            assert isinstance(output, Deliver) and output.session == 1
            items += xccos.parse(output.body).items
        return items

    def reply(self, body: bytes, at: int = 0) -> Reply:
        (reply,) = self.send(body, at)
        assert isinstance(reply, Reply)
        return reply

    def ask(self, at: int = 0) -> str | None:
        (output,) = self.services[at].handle(1, xccos.command("7", "requri"), 0.0)
        assert isinstance(output, Deliver)
        return xccos.channel_uri(xccos.parse(output.body))


def test_channel_services_in_turn() -> None:
    desk = Desk()
    assert [desk.ask() for _ in range(6)] == [*URIS, *URIS]
    assert desk.sent == [(ALICE, uri) for uri in (*URIS, *URIS)]
    assert desk.channels.handed_out == dict.fromkeys(URIS, 2)


def test_lookup_services_share_the_turns() -> None:
    desk = Desk(services=3)
    assert [desk.ask(at) for at in (0, 1, 2, 0)] == [*URIS, URIS[0]]


def test_one_that_is_not_signed_in_is_passed_over() -> None:
    desk = Desk(up=(URIS[0], URIS[2]))
    assert [desk.ask() for _ in range(4)] == [URIS[0], URIS[2], URIS[0], URIS[2]]
    desk.channels.up.discard(URIS[0])
    assert desk.ask() == desk.ask() == URIS[2]


def test_no_channel_service() -> None:
    desk = Desk(up=())
    reply = desk.reply(xccos.command("7", "requri"))
    assert (reply.name, reply.code, reply.command_envid) == ("requri", 503, "7")
    assert "no Channel service is running" in reply.text
    assert desk.sent == []


def test_the_reply_names_the_command() -> None:
    reply = Desk().reply(xccos.command("4711", "requri"))
    assert (reply.code, reply.text, reply.command_envid, reply.command_seqid) == (200, "SUCCESS_OK", "4711", "1")


@pytest.mark.parametrize("name", ["join", "getserverinfo", "nonsense"])
def test_rooms_are_elsewhere(name: str) -> None:
    desk = Desk()
    reply = desk.reply(xccos.command("7", name))
    assert (reply.name, reply.code) == (name, 501)
    assert "Lookup service" in reply.text
    assert desk.services[0].counters["refused_501"] == 1


@pytest.mark.parametrize("body", [b"", b"<xccos", b"<xccos/>", b"\xff" * 20, b"<a>" + b"x" * lookup.MAX_REQUEST])
def test_what_cannot_be_read(body: bytes) -> None:
    desk = Desk()
    reply = desk.reply(body)
    assert (reply.name, reply.code) == ("error", 400)
    assert desk.services[0].counters["malformed"] == 1


def test_each_command_of_an_envelope_is_answered_and_chat_ignored() -> None:
    desk = Desk()
    chat = xccos.GroupChat("ma-chan://example.test/x", ALICE, "2023-11-14T22:13:20Z", "hello")
    items: list[Item] = [Command("requri"), chat, Command("join"), Command("requri", seqid="2")]
    replies = desk.send(xccos.write(Envelope("1", items)))
    assert [(reply.name, reply.code) for reply in replies if isinstance(reply, Reply)] == [
        ("requri", 200),
        ("join", 501),
        ("requri", 200),
    ]
    assert desk.services[0].counters["ignored"] == 1


def test_no_more_sessions_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "MAX_SESSIONS", 1)
    desk = Desk()
    with pytest.raises(SessionsFull):
        desk.services[0].open(2, ALICE, "", 0.0)
    desk.services[0].close(1, 0.0)
    desk.services[0].open(2, ALICE, "", 0.0)

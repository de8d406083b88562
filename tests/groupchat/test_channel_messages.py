"""Messages: who gets them, what is kept, and what is refused."""

import pytest

from sipgw.groupchat.element import Element
from sipgw.groupchat.records import Joined, Message
from sipgw.groupchat.rooms import room_named
from sipgw.groupchat.xccos import GroupChat
from tests.groupchat import captured
from tests.groupchat.talk import BOARD, DOMAIN, LOBBY, START, Talk, chanib, envelope, last


def story(text: str, title: str = "title", room: str = LOBBY.uri) -> bytes:
    return envelope(GroupChat(room, "sip:alice@example.test", "", title, story=text))


def texts(data: Element) -> list[str]:
    return [GroupChat.from_element(entry).text for entry in data.children[0].children]


def test_everybody_in_the_room_gets_it_the_sender_too() -> None:
    talk = Talk()
    alice, phone, bob, carol = talk.open("alice", "Alice A"), talk.open("alice"), talk.open("bob"), talk.open("carol")
    for party in (alice, phone, bob):
        party.join(LOBBY)
    alice.notice("join")
    phone.notice("join")
    alice.say("hello <b> & wörld\nline2")
    expected = GroupChat(
        LOBBY.uri, alice.uri, "2023-11-14T22:13:24.2500000Z", "hello <b> & wörld\nline2", "Alice A", False, "1"
    )
    for party in (alice, phone, bob):
        assert party.chat() == expected
        party.silence()
    carol.silence()
    assert talk.records[-1] == Message(LOBBY.uri, 1, alice.uri, "Alice A", START + 4, expected.text)


def test_the_bytes_of_a_message() -> None:
    talk = Talk()
    alice = talk.open("alice", "Someone")
    alice.send(captured.GRPCHAT)
    body = captured.GRPCHAT_BACK.replace(b"819035014", b"1").replace(b'chatId="11"', b'chatId="1"')
    assert alice.raw() == body.replace(b"2026-11-22T21:42:20.0000000Z", b"2023-11-14T22:13:21.2500000Z")


def test_two_messages_are_two_envelopes() -> None:
    talk = Talk()
    alice = talk.open("alice")
    alice.send(envelope(*(GroupChat(LOBBY.uri, alice.uri, "", text) for text in ("one", "two"))))
    assert [alice.chat().text, alice.chat().text] == ["one", "two"]


def test_the_author_is_whose_session_it_is() -> None:
    talk = Talk()
    alice = talk.open("alice", "Alice A")
    alice.send(envelope(GroupChat(LOBBY.uri, "sip:bob@example.test", "1999", "hi", "Bob B", chat_id="99")))
    message = alice.chat()
    assert (message.author, message.display, message.chat_id) == (alice.uri, "Alice A", "1")
    assert talk.count("foreign_authors") == 1
    alice.say("hi")
    assert talk.count("foreign_authors") == 1


def test_an_alert_stays_one() -> None:
    alice = Talk().open("alice")
    alice.send(envelope(GroupChat(LOBBY.uri, alice.uri, "", "fire", alert=True)))
    assert alice.chat().alert


def test_a_sender_who_is_not_in_the_room_joins_by_it() -> None:
    talk = Talk()
    bob, alice = talk.open("bob"), talk.open("alice")
    bob.join(LOBBY)
    alice.say("hello")
    assert alice.chat().text == "hello"
    alice.silence()
    assert bob.notice("join").children[0].get("uri") == alice.uri
    assert bob.chat().text == "hello"
    assert [type(record) for record in talk.records[1:]] == [Joined, Message]
    alice.say("again")
    bob.chat()
    bob.silence()
    assert talk.count("implicit_joins") == 1


def test_a_room_with_members_takes_nothing_from_others() -> None:
    talk = Talk()
    alice, bob = talk.open("alice"), talk.open("bob")
    alice.join(BOARD)
    bob.say("let me in", BOARD)
    assert bob.refusal("grpchat") == (403, "You are not a member of this chat room: R&D <board>")
    alice.silence()
    assert talk.records == []
    assert bob.refused("bccontext", chanib(BOARD), last(5))[0] == 403


def test_a_room_that_is_not_there() -> None:
    alice = Talk().open("alice")
    alice.say("hello", room_named("Nowhere", DOMAIN))
    assert alice.refusal("grpchat") == (404, "There is no such chat room")
    alice.send(envelope(GroupChat("", alice.uri, "", "hello")))
    assert alice.refusal("grpchat")[0] == 404


def test_sizes_of_messages() -> None:
    talk = Talk()
    alice, bob = talk.open("alice"), talk.open("bob")
    bob.join(LOBBY)
    alice.say("ö" * 513)
    assert alice.refusal("grpchat") == (413, "This is too long: a message has at most 512 characters")
    bob.silence()
    assert talk.count("bound_message_size") == talk.count("refused_413") == 1
    assert [type(record) for record in talk.records] == [Joined]
    alice.say("ö" * 512)
    assert len(alice.chat().text) == 512


def test_sizes_of_stories() -> None:
    talk = Talk()
    alice = talk.open("alice")
    alice.send(story("x" * 4097))
    assert alice.refusal("grpchat") == (413, "This is too long: a story has at most 4096 characters")
    assert talk.count("bound_story_size") == 1
    alice.send(story("x", title="y" * 513))
    assert alice.refusal("grpchat")[0] == 413
    alice.send(story("x" * 4096))
    message = alice.chat()
    assert (message.text, message.story) == ("title", "x" * 4096)
    (history, _) = alice.ask("bccontext", chanib(LOBBY), last(1)).children
    assert GroupChat.from_element(history.children[0]).story == "x" * 4096


@pytest.mark.parametrize("content", ["", "<chat/>", "<rtf>x</rtf>"])
def test_an_empty_message(content: str) -> None:
    alice = Talk().open("alice")
    body = f'<xccos envid="6"><grpchat chanUri="{LOBBY.uri}" seqid="3">{content}</grpchat></xccos>'
    alice.send(body.encode())
    assert alice.refusal("grpchat") == (400, "The request could not be understood: the message is empty")


def test_history_is_the_last_messages_oldest_first() -> None:
    talk = Talk()
    alice, bob = talk.open("alice"), talk.open("bob")
    for text in ("one", "two", "three"):
        alice.say(text)
    data = bob.ask("bccontext", chanib(LOBBY), last(2))
    assert texts(data) == ["two", "three"]
    assert data.children[1] == last(2)
    assert texts(bob.ask("bccontext", chanib(LOBBY), last(25))) == ["one", "two", "three"]
    assert texts(bob.ask("bccontext", chanib(LOBBY), last(0))) == []


def test_the_form_of_history() -> None:
    talk = Talk()
    alice = talk.open("alice", "Alice A")
    alice.say("old line <1>")
    alice.chat()
    alice.command("bccontext", chanib(LOBBY), last(25))
    expected = (
        f'<data><chanib uri="{LOBBY.uri}"><msg id="grpchat" chanUri="{LOBBY.uri}" author="{alice.uri}"'
        ' authdisp="Alice A" alert="false" chatId="1" ts="2023-11-14T22:13:21.2500000Z">'
        '<chat>old line &lt;1&gt;</chat></msg></chanib><bcq><last cnt="25"/></bcq></data>'
    )
    assert expected.encode() in alice.raw()


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ((), 400),
        ((chanib(LOBBY),), 400),
        ((chanib(LOBBY), Element("bcq")), 501),
        ((chanib(LOBBY), last("many")), 400),
        ((chanib(LOBBY), last(-1)), 400),
        ((Element("chanib"), last(1)), 404),
    ],
)
def test_history_that_cannot_be_given(parts: tuple[Element, ...], code: int) -> None:
    assert Talk().open("alice").refused("bccontext", *parts)[0] == code


def test_messages_are_numbered_in_each_room() -> None:
    talk = Talk()
    alice = talk.open("alice")
    for room in (LOBBY, BOARD, LOBBY):
        alice.say("hello", room)
    assert [alice.chat().chat_id for _ in range(3)] == ["1", "1", "2"]

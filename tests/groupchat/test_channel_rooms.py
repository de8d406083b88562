"""Joining, leaving, and who is told."""

import pytest

from sipgw.groupchat.element import Element
from sipgw.groupchat.records import Joined, State
from sipgw.groupchat.rooms import Room, room_named
from tests.groupchat.talk import BOARD, DOMAIN, LOBBY, Talk, chanib, chanid, users

OTHER = room_named("Other", DOMAIN)


def test_a_join_lists_who_is_there() -> None:
    talk = Talk()
    bob, alice = talk.open("bob", "Bob B"), talk.open("alice", "Alice A")
    bob.join(LOBBY)
    data = alice.join(LOBBY)
    assert users(data) == [["sip:alice@example.test", "sip:bob@example.test"]]
    assert data.all("uib") == [
        Element("uib", {"uri": alice.uri, "uname": "alice", "disname": "Alice A", "id": "0", "type": "1"}),
        Element("uib", {"uri": bob.uri, "uname": "bob", "disname": "Bob B", "id": "1", "type": "1"}),
    ]
    assert [item.name for item in data.children] == ["uib", "uib", "chanib"]


def test_the_others_are_told_and_the_one_who_joins_is_not() -> None:
    talk = Talk()
    bob, carol, alice = talk.open("bob"), talk.open("carol"), talk.open("alice", "Alice A")
    bob.join(LOBBY)
    alice.join(LOBBY)
    (user,) = bob.notice("join").children
    assert user.attributes == {"uri": alice.uri, "uname": "alice", "disname": "Alice A", "id": "0", "type": "1"}
    assert user.children == [Element("aib", {"key": "3984", "domain": DOMAIN, "value": LOBBY.guid})]
    alice.silence()
    carol.silence()


def test_managers_are_marked() -> None:
    talk = Talk()
    alice, mary = talk.open("alice"), talk.open("mary")
    assert users(alice.join(BOARD), "12276") == [[]]
    data = mary.join(BOARD)
    assert users(data) == [[mary.uri, alice.uri]]
    assert users(data, "12276") == [[mary.uri]]
    (user,) = alice.notice("join").children
    assert [aib.get("key") for aib in user.children] == ["3984", "12276"]


def test_a_second_endpoint_counts_once() -> None:
    talk = Talk()
    bob, phone, alice = talk.open("bob"), talk.open("BOB"), talk.open("alice")
    alice.join(LOBBY)
    bob.join(LOBBY)
    alice.notice("join")
    (room,) = phone.join(LOBBY).all("chanib")
    assert room.children[0].text == "2"
    alice.silence()
    bob.silence()
    phone.ask("part", chanib(LOBBY))
    alice.silence()
    bob.ask("part", chanib(LOBBY))
    assert alice.notice("part").children[0].children[0].get("uri") == bob.uri
    assert users(alice.join(LOBBY)) == [[alice.uri]]


def test_only_the_first_join_of_an_open_room_makes_a_member() -> None:
    talk = Talk()
    alice = talk.open("alice")
    alice.join(LOBBY)
    alice.ask("part", chanib(LOBBY))
    alice.join(LOBBY)
    alice.join(BOARD)
    assert talk.records == [Joined(LOBBY.uri, "alice@example.test", talk.now - 3)]


def test_joining_again_is_answered_the_same_and_nobody_is_told() -> None:
    talk = Talk()
    bob, alice = talk.open("bob"), talk.open("alice")
    bob.join(LOBBY)
    first = alice.join(LOBBY)
    bob.notice("join")
    assert alice.join(LOBBY) == first
    bob.silence()


@pytest.mark.parametrize("value", [LOBBY.guid.upper(), LOBBY.guid])
def test_an_address_in_any_case(value: str) -> None:
    alice = Talk().open("alice")
    data = alice.ask("join", Element("chanid", {"key": "0", "domain": DOMAIN.upper(), "value": value}))
    assert data.all("chanib")[0].get("uri") == LOBBY.uri
    loud = Element("chanib", {"uri": LOBBY.uri.upper()})
    assert alice.ask("part", loud).children == [chanib(LOBBY)]


def test_joins_that_fail_say_why() -> None:
    talk = Talk()
    bob = talk.open("bob")
    assert bob.refused("join", chanid(OTHER)) == (404, "There is no such chat room")
    assert bob.refused("join", chanid(BOARD)) == (403, "You are not a member of this chat room: R&D <board>")
    assert bob.refused("join") == (400, "The request could not be understood: a join names one room")
    assert bob.refused("join", chanid(LOBBY), chanid(LOBBY))[0] == 400
    assert [talk.count(f"refused_{code}") for code in (400, 403, 404)] == [2, 1, 1]
    assert talk.records == []


def test_several_rooms_at_once() -> None:
    talk = Talk()
    alice, mary = talk.open("alice"), talk.open("mary")
    mary.join(LOBBY)
    mary.join(BOARD)
    data = alice.join(LOBBY, OTHER, BOARD)
    assert [item.name for item in data.children] == ["uib", "uib", "chanib", "fib", "chanib"]
    assert users(data) == [[alice.uri, mary.uri]] * 2
    assert users(data, "12276") == [[], [mary.uri]]
    failed = {"key": "OPERATION_FAILED", "value": OTHER.guid, "domain": DOMAIN}
    assert data.all("fib") == [Element("fib", failed)]
    for room in (LOBBY, BOARD):
        (user,) = mary.notice("bjoin").children
        assert user.children == [Element("aib", {"key": "3984", "domain": DOMAIN, "value": room.guid})]
    mary.silence()


def test_the_same_room_twice_at_once_and_none() -> None:
    talk = Talk()
    alice = talk.open("alice")
    assert len(alice.ask("bjoin", chanid(LOBBY), chanid(LOBBY, "1")).all("chanib")) == 1
    assert alice.ask("bjoin") == Element("data")


def test_a_failure_repeats_no_more_than_names_a_room() -> None:
    long = Element("chanid", {"domain": "d" * 1_000, "value": "v" * 1_000})
    (failed,) = Talk().open("alice").ask("bjoin", long).children
    assert (len(failed.get("domain")), len(failed.get("value"))) == (256, 64)


def test_leaving() -> None:
    talk = Talk()
    alice, bob = talk.open("alice", "Alice A"), talk.open("bob")
    alice.join(LOBBY)
    bob.join(LOBBY)
    alice.notice("join")
    assert alice.ask("part", chanib(LOBBY)).children == [chanib(LOBBY)]
    (room,) = bob.notice("part").children
    assert room.attributes == {"uri": LOBBY.uri}
    assert [user.get("uri") for user in room.children] == [alice.uri]
    bob.say("anyone?")
    assert bob.chat().text == "anyone?"
    alice.silence()


def test_leaving_a_room_that_one_is_not_in_and_one_that_is_not_there() -> None:
    talk = Talk()
    alice, bob = talk.open("alice"), talk.open("bob")
    bob.join(LOBBY)
    alice.ask("part", chanib(LOBBY))
    bob.silence()
    bob.command("part", chanib(LOBBY), chanib(OTHER))
    assert bob.refusal("part")[0] == 404
    assert users(bob.join(LOBBY)) == [[bob.uri]]
    assert bob.refused("part")[0] == 400


def test_the_end_of_a_session_is_leaving_all_its_rooms() -> None:
    talk = Talk(State(rooms=[LOBBY, BOARD, OTHER]))
    alice, phone, bob = talk.open("alice"), talk.open("alice"), talk.open("bob")
    bob.join(LOBBY, OTHER)
    alice.join(LOBBY, OTHER)
    phone.join(LOBBY)
    bob.notice("bjoin")
    bob.notice("bjoin")
    alice.close()
    assert bob.notice("part").children[0].get("uri") == OTHER.uri
    bob.silence()
    phone.close()
    assert bob.notice("part").children[0].get("uri") == LOBBY.uri
    bob.close()
    assert talk.service.session_count == 0
    assert users(talk.open("carol").join(LOBBY)) == [["sip:carol@example.test"]]


def test_rooms_are_apart() -> None:
    rooms = [Room(f"ma-chan://{DOMAIN}/{at}", f"Room {at}") for at in range(3)]
    talk = Talk(State(rooms=rooms))
    parties = [talk.open(f"user{at}") for at in range(3)]
    for party, room in zip(parties, rooms, strict=True):
        party.join(room)
    parties[0].say("here", rooms[0])
    assert parties[0].chat().text == "here"
    for party in parties:
        party.silence()

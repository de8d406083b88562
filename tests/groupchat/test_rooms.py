"""Rooms, by name and from a file."""

from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipgw.groupchat.directory import RoomDirectory
from sipgw.groupchat.rooms import MAX_MEMBERS, MAX_NAME, Room, RoomsError, parse_rooms, room_named, room_uri

EXAMPLE = Path(__file__).parents[2] / "config" / "rooms.toml"
GUID = "6F1C2F7E-3C52-4A51-9D7E-0C1F6A6F2B10"


def problems(text: str) -> list[str]:
    with pytest.raises(RoomsError) as caught:
        parse_rooms(text, "rooms.toml", "example.test")
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def test_a_named_room_is_open_and_always_at_the_same_address() -> None:
    room = room_named("Lobby", "Example.test")
    assert room == Room("ma-chan://example.test/bf95b66f-a5fb-5e89-923e-c2cb0fbf2a63", "Lobby")
    assert room_named("lobby", "example.test").uri == room.uri
    assert room_named("Lobby", "example.org").guid != room.guid
    assert UUID(room.guid).version == 5
    assert room.domain == "example.test"
    assert room.admits("anybody@example.org")


@pytest.mark.parametrize("name", ["", " x", "x\n", "\ud800", "x" * (MAX_NAME + 1)])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(RoomsError, match=r"^room name is "):
        room_named(name, "example.test")


def test_the_documented_example() -> None:
    lobby, operations = parse_rooms(EXAMPLE.read_text("utf-8"), "rooms.toml", "contoso.com")
    assert lobby.uri == room_named("Lobby", "contoso.com").uri
    assert lobby.members is None
    assert operations.members == frozenset({"alice@contoso.com", "bob@contoso.com"})
    assert operations.managers == {"alice@contoso.com"}
    assert operations.guid == GUID.lower()


def test_the_example_shows_every_key() -> None:
    shown = EXAMPLE.read_text("utf-8")
    keys = ["name", "guid", "topic", "description", "members", "managers"]
    assert [key for key in keys if f"\n{key} = " not in shown] == []


def test_every_key() -> None:
    text = f'[[room]]\nname="A"\nguid="{{{GUID}}}"\ntopic="t"\ndescription="d"\nmembers=["sip:B%6Fb@Example.test"]\n'
    (room,) = parse_rooms(text + 'managers=["sips:mary@example.test"]', "rooms.toml", "EXAMPLE.test")
    assert room == Room(
        f"ma-chan://example.test/{GUID.lower()}",
        "A",
        "t",
        "d",
        frozenset({"bob@example.test"}),
        frozenset({"mary@example.test"}),
    )
    assert [room.admits(f"{user}@example.test") for user in ("bob", "mary", "alice")] == [True, True, False]


def test_no_rooms_and_a_room_for_nobody() -> None:
    assert parse_rooms("", "rooms.toml", "example.test") == []
    (room,) = parse_rooms('[[room]]\nname="A"\nmembers=[]', "rooms.toml", "example.test")
    assert not room.admits("alice@example.test")


def test_every_error_at_once() -> None:
    text = """
        colour = 1
        [[room]]
        name = 3
        topik = "x"
        [[room]]
        guid = "z"
        members = ["bob", "sip:b@example.test", 4, "sip:c@example.test;x=y", "sip:example.test", "tel:+1"]
        [[room]]
        name = "A"
        topic = "two\\nlines"
        managers = "sip:b@example.test"
        description = ["x"]
    """
    address = "write a SIP address such as sip:alice@contoso.com"
    guid = "write a GUID such as 00000000-0000-0000-0000-000000000001, or leave the key out"
    assert problems(text) == [
        "rooms.toml: colour: there is no such key; the keys here are room",
        "rooms.toml: room[0].name: is 3; write a text in quotes",
        'rooms.toml: room[0].topik: there is no such key; did you mean "topic"?',
        'rooms.toml: room[1].name: is missing; write name = "Lobby"',
        f'rooms.toml: room[1].guid: is "z"; {guid}',
        f'rooms.toml: room[1].members[0]: is "bob"; {address}',
        "rooms.toml: room[1].members[2]: is 4; write a text in quotes",
        f'rooms.toml: room[1].members[3]: is "sip:c@example.test;x=y"; {address}',
        f'rooms.toml: room[1].members[4]: is "sip:example.test"; {address}',
        f'rooms.toml: room[1].members[5]: is "tel:+1"; {address}',
        'rooms.toml: room[2].topic: is "two\\nlines"; write one line of at most 256 characters',
        'rooms.toml: room[2].description: is ["x"]; write a text in quotes',
        'rooms.toml: room[2].managers: is "sip:b@example.test"; write an array in [ ]',
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("room = 3", "rooms.toml: room: is 3; write [[room]]"),
        ('[room]\nname = "A"', 'rooms.toml: room: is {"name": "A"}; write [[room]]'),
        ("room = [4]", "rooms.toml: room[0]: is 4; write a table"),
        ("nonsense", "rooms.toml: not TOML: "),
        (f"a = {'9' * 5000}", "rooms.toml: not TOML: "),
    ],
)
def test_other_files(text: str, problem: str) -> None:
    (line,) = problems(text)
    assert line.startswith(problem)


def test_names_and_guids_are_not_shared() -> None:
    text = f'[[room]]\nname="A"\n[[room]]\nname=1\n[[room]]\nname="a"\n[[room]]\nname="B"\nguid="{GUID}"\n'
    assert problems(text + f'[[room]]\nname="C"\nguid="{GUID}"') == [
        "rooms.toml: room[1].name: is 1; write a text in quotes",
        'rooms.toml: room[2].name: is "a", as an earlier room\'s; give each its own',
        f'rooms.toml: room[4].guid: is "{GUID.lower()}", as an earlier room\'s; give each its own',
    ]


def test_too_many_members() -> None:
    members = ",".join(f'"sip:u{at}@example.test"' for at in range(MAX_MEMBERS + 1))
    (problem,) = problems(f'[[room]]\nname="A"\nmembers=[{members}]')
    assert "at most 10000 items" in problem
    assert len(problem) < 200


@given(st.text(max_size=60) | st.text("[]ro\nm=\"a'1, {}.", max_size=60))
def test_any_text_gives_rooms_or_the_one_error(text: str) -> None:
    try:
        parse_rooms(text, "rooms.toml", "example.test")
    except RoomsError as error:
        assert all(problem.startswith("rooms.toml: ") for problem in error.problems)


def test_rooms_that_cannot_be_held_together() -> None:
    one, other = Room(room_uri("d", "1"), "A"), Room(room_uri("d", "2"), "a")
    with pytest.raises(RoomsError) as caught:
        RoomDirectory([one, other], [], max_rooms=1, max_joined=9)
    assert caught.value.problems == [
        "the name 'a' belongs to two rooms; give each its own",
        "2 rooms are more than the 1 that this pool takes",
    ]

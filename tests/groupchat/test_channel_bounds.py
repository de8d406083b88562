"""What happens at each bound, that it is counted, and that no client can make the service write more than it may."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipgw.groupchat import xccos
from sipgw.groupchat.channel import ChannelService, ChannelSettings, SessionsFull, State
from sipgw.groupchat.element import Element
from sipgw.groupchat.records import Joined
from sipgw.groupchat.rooms import Room, RoomsError, room_named
from sipgw.groupchat.xccos import Command, Envelope, GroupChat, Unknown
from tests.groupchat import captured
from tests.groupchat.captured import CHANNEL
from tests.groupchat.talk import BOARD, DOMAIN, LOBBY, START, Talk, chanib, chanid, last, users

ROOMS = [room_named(f"Room {at:03}", DOMAIN) for at in range(120)]
SEARCH = Element("qib", {"qtype": "BYNAME", "criteria": ""})


def test_sessions() -> None:
    talk = Talk(max_sessions=2)
    alice = talk.open("alice")
    talk.open("bob")
    with pytest.raises(SessionsFull):
        talk.open("carol")
    assert (talk.count("bound_sessions"), talk.service.session_count) == (1, 2)
    alice.close()
    talk.perform(talk.service.open(9, "sip:carol@example.test", "", START))


def test_rooms() -> None:
    settings = ChannelSettings(DOMAIN, (CHANNEL,), max_rooms=2)
    ChannelService(settings, State(rooms=ROOMS[:2]))
    with pytest.raises(RoomsError, match="3 rooms are more than the 2"):
        ChannelService(settings, State(rooms=ROOMS[:3]))


def test_rooms_of_a_session() -> None:
    talk = Talk(State(rooms=ROOMS[:4]), max_rooms_per_session=2)
    alice = talk.open("alice")
    alice.join(*ROOMS[:2])
    limit = (503, "A limit of this server has been reached: at most 2 rooms at a time")
    assert alice.refused("join", chanid(ROOMS[2])) == limit
    alice.say("hello", ROOMS[2])
    assert alice.refusal("grpchat") == limit
    alice.join(ROOMS[1])  # where alice is already
    assert talk.count("bound_rooms_per_session") == 2
    alice.ask("part", chanib(ROOMS[0]))
    data = alice.join(ROOMS[2], ROOMS[3])
    assert [item.name for item in data.children] == ["uib", "chanib", "fib"]
    assert talk.count("bound_rooms_per_session") == 3
    assert alice.refused("bjoin", *(chanid(room) for room in ROOMS[:3])) == limit


def test_history() -> None:
    talk = Talk(history_per_room=3)
    alice = talk.open("alice")
    for text in "abcde":
        alice.say(text)
        assert alice.chat().text == text
    (history, _) = alice.ask("bccontext", chanib(LOBBY), last(25)).children
    assert [GroupChat.from_element(entry).text for entry in history.children] == ["c", "d", "e"]
    assert talk.count("bound_history") == 2


def test_more_history_than_the_search_limit() -> None:
    talk = Talk(search_limit=2)
    alice = talk.open("alice")
    for text in "abc":
        alice.say(text)
        alice.chat()
    (history, _) = alice.ask("bccontext", chanib(LOBBY), last(3)).children
    assert [GroupChat.from_element(entry).text for entry in history.children] == ["b", "c"]
    assert talk.count("bound_context") == 1


def test_history_that_does_not_fit() -> None:
    talk = Talk(max_answer=2_000)
    alice = talk.open("alice")
    for at in range(20):
        alice.say(f"{at} " + "<" * 100)
        alice.chat()
    alice.command("bccontext", chanib(LOBBY), last(20))
    assert len(talk.inboxes[alice.number][0]) < 2_500
    (history, _) = alice.reply("bccontext").children
    shown = [GroupChat.from_element(entry).text.split()[0] for entry in history.children]
    assert shown == ["17", "18", "19"]
    assert talk.count("bound_context") == 1


def test_search_results() -> None:
    talk = Talk(State(rooms=ROOMS), search_limit=7)
    found = talk.open("alice").ask("chansrch", SEARCH).children
    assert [room.get("name") for room in found] == [room.name for room in ROOMS[:7]]
    assert talk.count("bound_search") == 1
    talk = Talk(State(rooms=ROOMS[:7]), search_limit=7)
    assert len(talk.open("alice").ask("chansrch", SEARCH).children) == 7
    assert talk.count("bound_search") == 0


def test_search_results_that_do_not_fit() -> None:
    talk = Talk(State(rooms=ROOMS), max_answer=3_000)
    alice = talk.open("alice")
    alice.command("chansrch", SEARCH)
    assert 2_000 < len(talk.inboxes[alice.number][0]) < 3_500
    assert 3 <= len(alice.reply("chansrch").children) <= 6
    assert talk.count("bound_search") == 1


def test_participants_that_do_not_fit() -> None:
    talk = Talk(max_answer=2_000)
    parties = [talk.open(f"user{at}") for at in range(30)]
    for party in parties:
        talk.inboxes[party.number].clear()
        party.command("join", chanid(LOBBY))
    assert len(talk.inboxes[parties[-1].number][0]) < 2_500
    data = parties[-1].reply("join")
    (listed,) = users(data)
    assert 5 <= len(listed) < 30
    assert listed[0] == parties[-1].uri
    assert data.all("chanib")[0].children[0].text == "30"
    assert talk.count("bound_participants") > 0
    parties[0].say("hello")
    assert all(b"hello" in talk.inboxes[party.number][-1] for party in parties)


def test_rooms_of_a_batch_that_do_not_fit_are_not_joined() -> None:
    talk = Talk(State(rooms=ROOMS[:20]), max_answer=4_000)
    alice = talk.open("alice")
    alice.command("bjoin", *(chanid(room) for room in ROOMS[:20]))
    assert len(talk.inboxes[alice.number][0]) < 4_500
    data = alice.reply("bjoin")
    joined, failed = data.all("chanib"), data.all("fib")
    assert 3 <= len(joined) < 20
    assert failed
    assert talk.count("bound_answer") == 20 - len(joined)
    assert [record.room_uri for record in talk.records if isinstance(record, Joined)] == [
        room.get("uri") for room in joined
    ]


def test_members_of_open_rooms() -> None:
    talk = Talk(State(rooms=ROOMS[:3]), max_joined=2)
    alice = talk.open("alice")
    alice.join(*ROOMS[:3])
    assert len(talk.records) == 2
    assert talk.count("bound_joined") == 1
    alice.say("in all the same", ROOMS[2])
    assert alice.chat().text == "in all the same"


def test_preferences() -> None:
    talk = Talk(preference_size=4, max_preferences=2)
    alice, bob = talk.open("alice"), talk.open("bob")

    def preference(label: str, content: str) -> Element:
        return Element("pref", {"label": label, "seqid": "1", "content": content})

    assert alice.refused("setpref", preference("a", "xxxxx"))[0] == 413
    assert talk.count("bound_preference_size") == 1
    alice.ask("setpref", preference("a", "xxxx"))
    bob.ask("setpref", preference("a", "yyyy"))
    assert bob.refused("setpref", preference("b", "z"))[0] == 503
    assert talk.count("bound_preferences") == 1
    bob.ask("setpref", preference("a", "z"))
    assert len(talk.records) == 3


def test_the_size_of_a_request() -> None:
    talk = Talk(max_request=len(captured.JOIN))
    alice = talk.open("alice")
    alice.send(captured.JOIN)
    alice.reply("join")
    alice.send(captured.BCCONTEXT)
    alice.last = ""  # it has not been read
    assert alice.refusal("error")[0] == 400
    assert talk.count("malformed") == 1


LONG = '"' * 256
WIDE = [
    Room(f"ma-chan://{DOMAIN}/{at}", f"{at}{LONG[:250]}", LONG, LONG, managers=frozenset({"alice@example.test"}))
    for at in range(300)
]
FAT_CHANIDS = "".join(f"<chanid domain='{LONG[:100]}' value='{at}{LONG[:100]}'/>" for at in range(200))
GREEDY: dict[str, str] = {
    "search": '<cmd id="cmd:chansrch"><data><qib qtype="BYNAME"/></data></cmd>',
    "rooms not there": f'<cmd id="cmd:bjoin"><data>{FAT_CHANIDS}</data></cmd>',
    "rooms": '<cmd id="cmd:bjoin"><data>'
    + "".join(f'<chanid domain="{DOMAIN}" value="{at}"/>' for at in range(200))
    + "</data></cmd>",
    "preference": f"<cmd id='cmd:setpref'><data><pref label='{LONG[:128]}' content='{'&#34;' * 12_000}'/></data></cmd>",
    "root": "<x/>" * 33,
    "long names": f'<cmd id="cmd:{"&#34;" * 64}" seqid="{"&#34;" * 64}"/>',
}


@pytest.mark.parametrize("content", GREEDY.values(), ids=GREEDY.keys())
def test_no_answer_is_larger_than_a_connection_takes(content: str) -> None:
    """`Talk.perform` checks the size of each: a body too large would end the connection of every client behind it."""
    talk = Talk(State(rooms=WIDE))
    for at in range(200):
        talk.open(f"u{at}{'%22' * 300}", LONG).send(xccos.command("1", "join", chanid(WIDE[0])))
    alice = talk.open("alice", LONG)
    alice.send(f'<xccos envid="5">{content}</xccos>'.encode())
    assert len(talk.inboxes[alice.number]) == 1


def test_one_envelope_sets_off_a_bounded_number_of_answers() -> None:
    talk = Talk(State(rooms=ROOMS))
    alice = talk.open("alice")
    search = Command("chansrch", Element("data", children=[SEARCH]))
    alice.send(xccos.write(Envelope("5", [search] * xccos.MAX_ITEMS)))
    assert len(talk.inboxes[alice.number]) == xccos.MAX_ITEMS
    alice.send(xccos.write(Envelope("5", [search] * (xccos.MAX_ITEMS + 1))))
    assert len(talk.inboxes[alice.number]) == xccos.MAX_ITEMS + 1


ANY_TEXT = st.text(max_size=8) | st.sampled_from(
    ["", "0", "25", "BYNAME", DOMAIN, LOBBY.guid, BOARD.guid, LOBBY.uri, "x"]
)
ANY_PART = st.recursive(
    st.builds(
        Element,
        st.sampled_from(["chanid", "chanib", "qib", "bcq", "last", "pref", "association", "sib", "uib"]),
        st.dictionaries(
            st.sampled_from(["key", "domain", "value", "uri", "qtype", "criteria", "cnt", "label", "content", "type"]),
            ANY_TEXT,
        ),
    ),
    lambda inner: st.builds(Element, st.sampled_from(["bcq", "chanib"]), st.just({}), st.lists(inner, max_size=2)),
    max_leaves=4,
)
NAMES: Any = st.sampled_from(
    ["requri", "getserverinfo", "chansrch", "join", "bjoin", "part", "getinv", "bccontext", "getpref", "setpref", "x"]
)
ANY_ITEM = st.one_of(
    st.builds(Command, NAMES, st.lists(ANY_PART, max_size=3).map(lambda parts: Element("data", children=parts))),
    st.builds(GroupChat, ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT, story=ANY_TEXT),
    st.builds(Unknown, ANY_PART),
)
STEP = st.tuples(st.integers(0, 2), st.lists(ANY_ITEM, min_size=1, max_size=2))


@given(st.lists(STEP, max_size=8))
def test_any_conversation_is_survived_and_each_command_answered(steps: list[tuple[int, list[xccos.Item]]]) -> None:
    talk = Talk(max_rooms_per_session=1, history_per_room=2, max_preferences=1)
    parties = [talk.open("alice"), talk.open("bob"), talk.open("alice")]
    for who, items in steps:
        talk.inboxes[parties[who].number].clear()
        parties[who].send(xccos.write(Envelope("5", items)))
        answers = len(talk.inboxes[parties[who].number])
        assert answers == sum(not isinstance(item, Unknown) for item in items)
    for party in parties:
        party.close()
    assert talk.service.session_count == 0


@given(st.binary(max_size=80))
def test_any_bytes_are_answered(body: bytes) -> None:
    talk = Talk()
    alice = talk.open("alice")
    alice.send(body)
    assert len(talk.inboxes[alice.number]) == 1

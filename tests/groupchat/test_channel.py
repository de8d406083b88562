"""What the channel service answers to commands that ask, and to what it cannot read."""

import pytest

from sipgw.groupchat import xccos
from sipgw.groupchat.channel import ChannelService, ChannelSettings, State
from sipgw.groupchat.element import NAMESPACE, Element
from sipgw.groupchat.records import Joined, Message, Preference
from sipgw.groupchat.rooms import room_named
from sipgw.groupchat.xccos import GroupChat, Notice, Reply, Unknown
from sipgw.message.errors import MalformedUri
from tests.groupchat import captured
from tests.groupchat.talk import BOARD, DOMAIN, LOBBY, START, Talk, chanib, chanid, envelope, last


def names(data: Element) -> list[str]:
    return [room.get("name") for room in data.all("chanib")]


def test_a_captured_session_from_end_to_end() -> None:
    talk = Talk()
    alice = talk.open("alice", "Alice A")
    alice.send(captured.REQURI)
    assert alice.reply("requri") == _data(captured.RPL_REQURI)
    alice.send(captured.GETINV)
    assert alice.reply("getinv") == Element("data")
    alice.send(captured.CHANSRCH)
    assert names(alice.reply("chansrch")) == ["Lobby", "R&D <board>"]
    alice.send(captured.JOIN)
    assert names(alice.reply("join")) == ["Lobby"]
    alice.send(captured.BCCONTEXT)
    assert alice.reply("bccontext") == Element("data", children=[chanib(LOBBY), last(25)])
    alice.send(captured.GRPCHAT)
    assert alice.chat().text == "hello <b> & wörld bold\nline2"
    alice.send(captured.PART)
    assert alice.reply("part") == _data(captured.RPL_PART)
    alice.silence()
    assert talk.count("envelopes") == 7


def _data(body: bytes) -> Element:
    reply = xccos.parse(body).items[0]
    assert isinstance(reply, Reply)
    return reply.data


def test_the_bytes_of_an_answer() -> None:
    talk = Talk()
    alice = talk.open("alice")
    alice.send(captured.REQURI)
    envid = xccos.parse(captured.RPL_REQURI).envid.encode()
    assert alice.raw() == captured.RPL_REQURI.replace(envid, b"1", 1)


def test_a_room_in_the_form_that_the_client_reads() -> None:
    (room,) = Talk().open("bob").join(LOBBY).all("chanib")
    expected = _data(captured.RPL_JOIN).find("chanib")
    assert expected is not None
    assert list(room.attributes) == list(expected.attributes)
    assert {**room.attributes, "filerepository": "https://x/"} == expected.attributes
    assert [child.attributes for child in room.all("prop")] == [child.attributes for child in expected.all("prop")]
    info = {child.get("id"): child.text for child in room.all("info")}
    assert info == {
        "urn:parlano:ma:info:ucnt": "1",
        "urn:parlano:ma:info:visibility": "SCOPED",
        "urn:parlano:ma:info:visibilty": "SCOPED",
    }


def test_channel_uris_are_handed_out_in_turn() -> None:
    settings = ChannelSettings(DOMAIN, ("sip:one@example.test", "sip:two@example.test"))
    talk = Talk()
    talk.service = ChannelService(settings, State())
    alice, bob = talk.open("alice"), talk.open("bob")
    uris = [party.ask("requri").children[0].get("uri") for party in (alice, bob, alice)]
    assert uris == ["sip:one@example.test", "sip:two@example.test", "sip:one@example.test"]


def test_server_information() -> None:
    sib = Element("sib", {"domain": DOMAIN, "infoType": "123"})
    (info,) = Talk(search_limit=5).open("alice").ask("getserverinfo", sib).children
    assert list(info.attributes.items())[:4] == [
        ("serverTime", "2023-11-14T22:13:21.2500000Z"),
        ("searchLimit", "5"),
        ("messageSizeLimit", "512"),
        ("storySizeLimit", "4096"),
    ]
    assert info.get("rootUri").startswith(f"ma-cat://{DOMAIN}/")
    assert info.get("dbVersion")
    again = Talk().open("bob").ask("getserverinfo", sib).children[0]
    assert (again.get("rootUri"), again.get("dbVersion")) == (info.get("rootUri"), info.get("dbVersion"))


@pytest.mark.parametrize(
    ("criteria", "found"),
    [("", ["Lobby", "R&D <board>"]), ("LOB", ["Lobby"]), ("b", ["Lobby", "R&D <board>"]), ("&d <", ["R&D <board>"])],
)
def test_searching_by_name(criteria: str, found: list[str]) -> None:
    query = Element("qib", {"qtype": "BYNAME", "criteria": criteria, "extended": "false"})
    assert names(Talk().open("bob").ask("chansrch", query)) == found


def test_a_search_shows_how_many_are_there_and_which_rooms_have_members() -> None:
    talk = Talk()
    bob = talk.open("bob")
    bob.join(LOBBY)
    rooms = bob.ask("chansrch", Element("qib", {"qtype": "byname"})).children
    info = [[item.text for item in room.all("info")] for room in rooms]
    assert info == [["1", "SCOPED", "SCOPED"], ["0", "PRIVATE", "PRIVATE"]]


def test_searches_of_other_kinds() -> None:
    bob = Talk().open("bob")
    assert bob.refused("chansrch", Element("qib", {"qtype": "BYTOPIC"}))[0] == 501
    assert bob.refused("chansrch") == (400, "The request could not be understood: qib is missing")


def test_associations() -> None:
    talk = Talk()
    alice, mary, bob = talk.open("alice"), talk.open("mary"), talk.open("bob")
    member, manager = Element("association", {"type": "MEMBER"}), Element("association", {"type": "manager"})
    assert names(alice.ask("getassociations", member)) == ["R&D <board>"]
    assert names(alice.ask("getassociations", manager)) == []
    assert names(mary.ask("getassociations", manager)) == ["R&D <board>"]
    assert names(mary.ask("getassociations")) == []
    bob.join(LOBBY)
    bob.ask("part", chanib(LOBBY))
    assert names(bob.ask("getassociations", member)) == ["Lobby"]
    assert bob.refused("getassociations", Element("association", {"type": "owner"}))[0] == 400
    assert bob.refused("getassociations", member, manager)[0] == 400


def test_who_joined_an_open_room_is_no_member_once_it_has_a_list() -> None:
    talk = Talk(State(rooms=[LOBBY, BOARD], joined=[Joined(BOARD.uri, "bob@example.test", START)]))
    assert names(talk.open("bob").ask("getassociations")) == []


def test_nothing_to_create_and_no_invitations() -> None:
    alice = Talk().open("alice")
    assert alice.ask("nodespermcreatechild") == Element("data")
    assert alice.ask("getinv", Element("inv", {"inviteId": "1", "domain": DOMAIN})) == Element("data")


def test_preferences_are_the_users_own_and_replaced() -> None:
    talk = Talk()
    alice, elsewhere, bob = talk.open("alice"), talk.open("alice"), talk.open("bob")

    def preference(seqid: str, content: str) -> Element:
        attributes = {"label": "kedzie.GroupChannels", "seqid": seqid, "createdefault": "false", "content": content}
        return Element("pref", attributes)

    wanted = Element("pref", {"label": "kedzie.GroupChannels", "seqid": "71", "createdefault": "true"})
    assert alice.ask("getpref", wanted).children == [preference("0", "")]
    for seqid, content in (("1", "b25l"), ("2", "dHdv")):
        assert alice.ask("setpref", preference(seqid, content)).children == [preference(seqid, content)]
    assert elsewhere.ask("getpref", wanted).children == [preference("2", "dHdv")]
    assert bob.ask("getpref", wanted).children == [preference("0", "")]
    assert talk.records[-1] == Preference("alice@example.test", "kedzie.GroupChannels", "2", "dHdv")
    assert alice.refused("getpref")[0] == alice.refused("setpref")[0] == 400


@pytest.mark.parametrize("attributes", [{}, {"label": "x" * 129}, {"label": "x", "seqid": "1" * 65}])
def test_preferences_that_cannot_be_kept(attributes: dict[str, str]) -> None:
    talk = Talk()
    assert talk.open("alice").refused("setpref", Element("pref", attributes))[0] == 400
    assert talk.records == []


def test_an_unknown_command() -> None:
    talk = Talk()
    assert talk.open("alice").refused("getfutok") == (501, "This is not supported here: cmd:getfutok")
    assert talk.count("refused_501") == 1


@pytest.mark.parametrize(
    "body", [b"", b"junk", b"<xccos", b'<!DOCTYPE xccos [<!ENTITY a "b">]><xccos envid="1"/>', b"<cmd/>"]
)
def test_what_cannot_be_read_at_all(body: bytes) -> None:
    talk = Talk()
    alice = talk.open("alice")
    alice.send(body)
    assert b"commandid" not in talk.inboxes[alice.number][0]
    code, text = alice.refusal("error")
    assert code == 400
    assert text.startswith("The request could not be understood: ")
    alice.silence()
    assert (talk.count("malformed"), talk.count("refused_400")) == (1, 1)


def test_what_can_be_read_as_far_as_its_envid() -> None:
    alice = Talk().open("alice")
    alice.send(f'<xccos envid="77" xmlns="{NAMESPACE}"><cmd id="nonsense"/></xccos>'.encode())
    assert alice.last == "77"
    assert alice.refusal("error")[0] == 400


def test_several_items_are_done_in_order() -> None:
    talk = Talk()
    alice = talk.open("alice")
    chat = GroupChat(LOBBY.uri, alice.uri, "", "hello")
    join = xccos.Command("join", Element("data", children=[chanid(LOBBY)]), seqid="4")
    alice.send(envelope(join, chat, xccos.Command("nonsense", seqid="6")))
    first = alice.take()
    assert isinstance(first, Reply)
    assert (first.name, first.command_seqid) == ("join", "4")
    assert alice.chat().text == "hello"
    third = alice.take()
    assert isinstance(third, Reply)
    assert (third.code, third.command_seqid) == (501, "6")


def test_what_only_a_server_sends_is_ignored() -> None:
    talk = Talk()
    alice = talk.open("alice")
    alice.send(envelope(Notice("join"), Reply("join", 200, ""), Unknown(Element("err"))))
    alice.silence()
    assert talk.count("ignored") == 3


def test_a_users_address_without_what_belongs_to_the_endpoint() -> None:
    talk = Talk()
    talk.perform(talk.service.open(1, "sip:Alice@EXAMPLE.test:5060;transport=tcp", "", START))
    assert talk.service.session_count == 1
    (delivery,) = talk.service.handle(1, captured.JOIN, START)[:1]
    assert b'uri="sip:Alice@example.test" uname="Alice" disname="Alice"' in getattr(delivery, "body", b"")
    with pytest.raises(MalformedUri):
        talk.service.open(2, "tel:+1", "", START)


def test_a_display_name_of_any_characters() -> None:
    talk = Talk()
    alice = talk.open("alice", "A\x00\ud800" + "x" * 400)
    (user,) = alice.join(LOBBY).all("uib")
    assert user.get("disname") == "A\ufffd\ufffd" + "x" * 253


def test_state_from_before_a_restart() -> None:
    room = room_named("Old", DOMAIN)
    message = Message(room.uri, 41, "sip:bob@example.test", "Bob", START, "before")
    kept = Preference("alice@example.test", "x", "3", "eA==")
    joined = Joined(room.uri, "alice@example.test", START)
    talk = Talk(State([room], [joined], [kept], [message]))
    alice = talk.open("alice")
    assert names(alice.ask("getassociations")) == ["Old"]
    assert alice.ask("getpref", Element("pref", {"label": "x"})).children[0].get("content") == "eA=="
    alice.join(room)
    alice.say("after", room)
    assert alice.chat().chat_id == "42"
    assert [type(record) for record in talk.records] == [Message]  # joined is known already
    (history, _) = alice.ask("bccontext", chanib(room), last(10)).children
    assert [GroupChat.from_element(entry).text for entry in history.children] == ["before", "after"]

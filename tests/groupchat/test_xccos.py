"""Envelopes: the real client's as vectors, and the rules of what makes one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipgw.groupchat import xccos
from sipgw.groupchat.element import NAMESPACE, Element
from sipgw.groupchat.xccos import Command, Envelope, GroupChat, Notice, Reply, Unknown, XccosError
from tests.groupchat import captured
from tests.groupchat.test_element import TEXTS, TREES

IDS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=xccos.MAX_ID)
DATA = TREES.map(lambda tree: Element("data", tree.attributes, tree.children, tree.text))
ITEMS = st.one_of(
    st.builds(Command, IDS, DATA, IDS),
    st.builds(Notice, IDS, DATA, IDS),
    st.builds(Reply, IDS, st.integers(0, 999), TEXTS, DATA, IDS, IDS, IDS),
    st.builds(Reply, IDS, st.integers(0, 999), TEXTS, DATA, seqid=IDS),
    st.builds(GroupChat, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, st.booleans(), TEXTS, TEXTS, IDS),
    st.builds(Unknown, TREES.filter(lambda tree: tree.name not in ("cmd", "rpl", "ntc", "grpchat"))),
)


def parsed(content: str, envid: str = "7") -> Envelope:
    return xccos.parse(f'<xccos ver="1" envid="{envid}" xmlns="{NAMESPACE}">{content}</xccos>'.encode())


@given(st.builds(Envelope, IDS, st.lists(ITEMS, max_size=3)))
def test_what_is_written_reads_back(envelope: Envelope) -> None:
    assert xccos.parse(xccos.write(envelope)) == envelope


@pytest.mark.parametrize("body", captured.FROM_CLIENT + captured.TO_CLIENT)
def test_captured_envelopes_are_written_as_they_were(body: bytes) -> None:
    assert xccos.write(xccos.parse(body)) == body.replace(b"\r\n", b"\n")  # which XML takes for the same


@given(st.binary(max_size=200))
def test_any_bytes_parse_or_raise_the_one_error(body: bytes) -> None:
    try:
        xccos.parse(body)
    except XccosError as error:
        assert error.reason


ATTRIBUTES = st.dictionaries(
    st.sampled_from(["id", "seqid", "code", "envid", "chanUri", "alert"]),
    TEXTS | st.sampled_from(["cmd:join", "rpl:join", "ntc:join", "200", "-1", "true"]),
)
PARTS = st.builds(
    Element,
    st.sampled_from(["resp", "commandid", "data", "chat", "story", "x"]),
    ATTRIBUTES,
    st.just([]),
    TEXTS,
)
NEARLY = st.builds(
    Element, st.sampled_from(["cmd", "rpl", "ntc", "grpchat", "err"]), ATTRIBUTES, st.lists(PARTS, max_size=4), TEXTS
)


@given(st.lists(NEARLY, max_size=4))
def test_any_children_parse_or_raise_the_one_error(children: list[Element]) -> None:
    body = xccos.write(Envelope("9", [Unknown(child) for child in children]))
    try:
        assert len(xccos.parse(body).items) == len(children)
    except XccosError as error:
        assert error.envid == "9"


def test_the_captured_commands() -> None:
    envelope = xccos.parse(captured.JOIN)
    assert envelope.envid == "1901187626"
    chanid = Element("chanid", {"key": "0", "domain": "example.test", "value": captured.LOBBY_GUID})
    assert envelope.items == [Command("join", Element("data", children=[chanid]))]
    assert xccos.parse(captured.REQURI).items == [Command("requri")]


def test_the_captured_message() -> None:
    author, ts = "sip:alice@example.test", "2026-11-22T21:42:20Z"
    message = GroupChat(captured.LOBBY, author, ts, "hello <b> & wörld bold\nline2")
    assert xccos.parse(captured.GRPCHAT).items == [message]
    assert xccos.chat("1901187628", captured.LOBBY, author, ts, message.text) == captured.GRPCHAT.replace(b"\r", b"")


def test_the_captured_replies() -> None:
    reply = xccos.parse(captured.RPL_BCCONTEXT).items[0]
    assert isinstance(reply, Reply)
    assert (reply.name, reply.code, reply.text, reply.command_envid) == ("bccontext", 200, "SUCCESS_OK", "1901187627")
    chanib = reply.data.find("chanib")
    assert chanib is not None
    entry = GroupChat.from_element(chanib.children[0])
    assert (entry.author, entry.display, entry.chat_id, entry.text) == (
        "sip:bob@example.test",
        "Bob B",
        "1",
        "old line <1>",
    )
    assert entry.element("msg") == chanib.children[0]


def test_several_items_keep_their_order() -> None:
    envelope = parsed(
        '<ntc id="ntc:part" seqid="1"><data/></ntc><err code="1"/><rpl id="rpl:part" seqid="2"><resp code="500"/></rpl>'
    )
    unknown = Unknown(Element("err", {"code": "1"}))
    assert envelope.items == [Notice("part"), unknown, Reply("part", 500, "", seqid="2")]


def test_an_envid_is_text_of_any_size() -> None:
    assert parsed("", "7962449779256945056").envid == "7962449779256945056"


def test_declarations_of_other_namespaces_and_none_at_all() -> None:
    body = captured.REQURI.replace(b' xmlns="', b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns="')
    assert xccos.parse(body) == xccos.parse(captured.REQURI)
    assert xccos.parse(captured.REQURI.replace(f' xmlns="{NAMESPACE}"'.encode(), b"")) == xccos.parse(captured.REQURI)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("<cmd/>", "the id of a cmd"),
        ('<cmd id="rpl:join"/>', "the id of a cmd"),
        ('<cmd id="join"/>', "the id of a cmd"),
        ('<ntc id="ntc:"/>', "the id of a ntc"),
        (f'<cmd id="cmd:{"x" * 65}"/>', "at most 64 characters"),
        (f'<cmd id="cmd:x" seqid="{"1" * 65}"/>', "seqid"),
        ('<rpl id="rpl:x"/>', "resp"),
        ('<rpl id="rpl:x"><resp/></rpl>', "numeric code"),
        ('<rpl id="rpl:x"><resp code="-1"/></rpl>', "numeric code"),
        ("<x/>" * (xccos.MAX_ITEMS + 1), "33 items"),
    ],
)
def test_what_breaks_the_rules_is_refused_by_the_envelopes_id(content: str, reason: str) -> None:
    with pytest.raises(XccosError, match=reason) as caught:
        parsed(content)
    assert caught.value.envid == "7"


def test_as_many_items_as_allowed() -> None:
    assert len(parsed("<x/>" * xccos.MAX_ITEMS).items) == xccos.MAX_ITEMS


@pytest.mark.parametrize(
    "body", [b"<data/>", b'<xccos xmlns="urn:other" envid="1"/>', b"<xccos/>", b'<xccos envid=""/>']
)
def test_other_roots_and_no_envid_are_refused(body: bytes) -> None:
    with pytest.raises(XccosError) as caught:
        xccos.parse(body)
    assert caught.value.envid == ""


def test_a_long_envid_is_refused() -> None:
    with pytest.raises(XccosError, match="envid"):
        parsed("", "1" * 65)


def test_the_size_bound_is_the_callers() -> None:
    with pytest.raises(XccosError, match="allowed"):
        xccos.parse(captured.JOIN, len(captured.JOIN) - 1)
    xccos.parse(captured.JOIN, len(captured.JOIN))


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("25", 25), ("", None), ("-1", None), ("1.5", None), ("٣", None), ("²", None), ("9" * 19, None)],
)
def test_numbers(text: str, number: int | None) -> None:
    assert xccos.read_number(text) == number


def test_the_channel_uri_of_a_lookup() -> None:
    assert xccos.channel_uri(xccos.parse(captured.RPL_REQURI)) == captured.CHANNEL
    failed = captured.RPL_REQURI.replace(b'code="200"', b'code="503"')
    for body in (captured.RPL_PART, failed, captured.RPL_REQURI.replace(captured.CHANNEL.encode(), b"")):
        assert xccos.channel_uri(xccos.parse(body)) is None
    assert xccos.channel_uri(parsed('<rpl id="rpl:requri"><resp code="200"/></rpl>')) is None


def test_a_clients_command() -> None:
    uri = Element("chanib", {"uri": captured.LOBBY})
    assert xccos.command("1901187629", "part", uri) == captured.PART

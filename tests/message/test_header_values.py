"""Via, name-addr, parameters, lists, CSeq, quoting (RFC 3261 §20, §25.1)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipgw.message import MalformedMessage, parse_name_addr, parse_via
from sipgw.message.values import (
    host_port,
    line_method,
    parse_cseq,
    parse_params,
    quote,
    split_host_port,
    split_list,
    tag_of,
    unquote,
)


@pytest.mark.parametrize(
    ("text", "transport", "host", "port", "branch"),
    [
        ("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1", "UDP", "192.0.2.1", 5060, "z9hG4bK1"),
        ("SIP/2.0/tcp 127.0.0.1:42002", "tcp", "127.0.0.1", 42002, ""),
        ("SIP/2.0/TLS [2001:db8::1]:5061;BRANCH=a", "TLS", "2001:db8::1", 5061, "a"),
        ("SIP/2.0/UDP [::1] ;branch=a", "UDP", "::1", 0, "a"),
        ("SIP / 2.0 / UDP 192.0.2.2;branch=390skdjuw", "UDP", "192.0.2.2", 0, "390skdjuw"),
        ("SIP  / 2.0 /\tTCP host.test : 5070 ; branch = a", "TCP", "host.test", 5070, "a"),
        ("SIP/2.0/UDP a;branch=1, SIP/2.0/UDP b;branch=2", "UDP", "a", 0, "1"),
        ('SIP/2.0/UDP a;x="1,2;3";branch=1,SIP/2.0/UDP b', "UDP", "a", 0, "1"),
        ("sip/2.0/UDP a;rport;branch=1", "UDP", "a", 0, "1"),
        ("SIP/2.0/UDP host.test:\t5060", "UDP", "host.test", 5060, ""),
    ],
)
def test_via(text: str, transport: str, host: str, port: int, branch: str) -> None:
    via = parse_via(text)
    assert (via.transport, via.host, via.port, via.branch) == (transport, host, port, branch)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "SIP/2.0/UDP",
        "SIP/2.0/ host",
        "SIP/3.0/UDP host",
        "HTTP/1.1/TCP host",
        "SIP/2.0/UDP host:0",
        "SIP/2.0/UDP host:99999",
        "SIP/2.0/UDP host:x",
        "SIP/2.0/UDP [::1",
        "SIP/2.0/UDP :5060",
        "SIP/2.0/UDP ;branch=1",
        'SIP/2.0/UDP host;"branch=1',  # or what is added after it would be in quotes
    ],
)
def test_what_is_no_via(text: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_via(text)


def test_white_space_after_an_address_without_brackets() -> None:
    address = parse_name_addr("sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n")
    assert (address.uri, address.tag) == ("sip:vivekg@chair-dnrc.example.com", "1918181833n")


def test_two_words_are_no_sent_by() -> None:
    with pytest.raises(MalformedMessage):
        parse_via("SIP/2.0/UDP a b")


@pytest.mark.parametrize(
    "text", ["SIP/2.0/UDP [2001:db8::1]:5060;rport;branch=a", "SIP/2.0/tcp h;ms-x", "SIP/2.0/X-Y h:1"]
)
def test_via_encodes_as_it_came(text: str) -> None:
    assert parse_via(text).encode() == text


def test_via_parameters() -> None:
    via = parse_via("SIP/2.0/UDP h;rport;Received=192.0.2.9")
    assert via.param("rport") == ""
    assert via.param("received") == "192.0.2.9"
    assert via.param("maddr") is None


@pytest.mark.parametrize(
    ("text", "display", "uri", "params"),
    [
        ("<sip:a@x.test>", "", "sip:a@x.test", {}),
        ("sip:a@x.test;tag=1;x", "", "sip:a@x.test", {"tag": "1", "x": None}),
        ("Bob <sip:b@x.test;lr>;tag=1", "Bob", "sip:b@x.test;lr", {"tag": "1"}),
        ('"Bob \\"B\\" \\\\" <sip:b@x.test> ; Tag = 1', 'Bob "B" \\', "sip:b@x.test", {"tag": "1"}),
        ('"a <sip:evil@x.test>" <sip:b@x.test>', "a <sip:evil@x.test>", "sip:b@x.test", {}),
        ('"" <sip:b@x.test>', "", "sip:b@x.test", {}),
        ('"x"<sip:b@x.test>;p="a;b=c"', "x", "sip:b@x.test", {"p": '"a;b=c"'}),
        ("token words  <sip:b@x.test?a=b,c>", "token words", "sip:b@x.test?a=b,c", {}),
        ("  <sip:b@x.test>;;tag=1;", "", "sip:b@x.test", {"tag": "1"}),
        ("<sip:b@x.test>;epid=b34afb6ebb23;tag=a", "", "sip:b@x.test", {"epid": "b34afb6ebb23", "tag": "a"}),
        ("tel:+12125551212;tag=1", "", "tel:+12125551212", {"tag": "1"}),
    ],
)
def test_name_addr(text: str, display: str, uri: str, params: dict[str, str | None]) -> None:
    address = parse_name_addr(text)
    assert (address.display, address.uri, address.params) == (display, uri, params)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "<sip:a@x.test",
        '"a <sip:a@x.test>',
        '"a" sip:a@x.test',
        "<sip:a@x.test> x",
        "sip:a@x.test?a=b",
        "sip:a,b@x",
        "a b",
    ],
)
def test_what_is_no_name_addr(text: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_name_addr(text)


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("<sip:a@x.test>;tag=1", "1"),
        ("<sip:a@x.test;tag=no>", ""),
        ("<sip:a@x.test;tag=no>;tag=yes;epid=2", "yes"),
        ('"x;tag=no" <sip:a@x.test>;tag=yes', "yes"),
        ('"x>;tag=no" <sip:a@x.test>', ""),
        ("<sip:a@x.test> ; Tag=1", "1"),
        ('<sip:a@x.test>;x=";tag=no";tag=yes', "yes"),
        ("sip:a@x.test;tag=1", "1"),
        ("<sip:a@x.test>;tag= 1 ", "1"),
        ("<sip:a@x.test", ""),
        ("", ""),
    ],
)
def test_tags(text: str, tag: str) -> None:
    assert tag_of(text) == tag


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("a", ["a"]),
        ("a, b ,c", ["a", "b", "c"]),
        (",a,,b,", ["a", "b"]),
        ('"a,b",c', ['"a,b"', "c"]),
        ('"a\\",b",c', ['"a\\",b"', "c"]),
        ("<sip:a,b@x>,<sip:c@x>", ["<sip:a,b@x>", "<sip:c@x>"]),
        ('"<" <sip:a@x>,b', ['"<" <sip:a@x>', "b"]),
        ('"unbalanced, a', ['"unbalanced, a']),
    ],
)
def test_lists(text: str, parts: list[str]) -> None:
    assert split_list(text) == parts


def test_parameters() -> None:
    assert parse_params('a=1 ; b;C="x;y"; =z;d=') == [("a", "1"), ("b", None), ("C", '"x;y"'), ("d", "")]


@pytest.mark.parametrize(
    ("text", "host", "port"), [("h", "h", 0), ("h:1", "h", 1), ("[::1]", "::1", 0), ("[::1]:65535", "::1", 65535)]
)
def test_host_port(text: str, host: str, port: int) -> None:
    assert split_host_port(text) == (host, port)
    assert host_port(host, port) == text


@pytest.mark.parametrize("text", ["", ":1", "h:0", "h:65536", "h:-1", "h:1x", "[::1", "[::1]1", "[]", "h:000005060"])
def test_what_is_no_host_port(text: str) -> None:
    with pytest.raises(MalformedMessage):
        split_host_port(text)


def test_cseq() -> None:
    assert parse_cseq("2147483647 INVITE") == (2147483647, "INVITE")
    assert line_method("1 INVITE") == "INVITE"
    assert line_method(None) == ""
    for text in (None, "", "INVITE", "1", "1 ", "2147483648 INVITE", "\xb2 INVITE", "-1 X"):
        with pytest.raises(MalformedMessage):
            parse_cseq(text)


@pytest.mark.parametrize("text", ["", "plain", 'quo"te', "back\\slash", '\\"', "semi;colon, comma"])
def test_quoting(text: str) -> None:
    assert unquote(quote(text)) == text


def test_quoting_lets_no_line_break_out() -> None:
    assert quote("a\r\nVia: b") == '"a  Via: b"'


def test_unquoting_leaves_tokens() -> None:
    assert unquote("token") == "token"
    assert unquote('"') == '"'


TEXT = st.text(st.sampled_from('ab<>"\\;,=: @/.[]\xe4'), max_size=30)


@settings(max_examples=200, deadline=None)
@given(TEXT)
def test_any_text_is_read_or_malformed(text: str) -> None:
    for read in (parse_name_addr, parse_via, split_host_port):
        try:
            read(text)
        except MalformedMessage as error:
            assert error.reason
    assert isinstance(tag_of(text), str)
    assert ",".join(split_list(text)).replace(" ", "").replace(",", "") == text.replace(" ", "").replace(",", "")
    parse_params(text)


@settings(max_examples=200, deadline=None)
@given(TEXT)
def test_quoting_is_undone(text: str) -> None:
    assert unquote(quote(text)) == text
    assert split_list(f"{quote(text)},b") == [quote(text), "b"]

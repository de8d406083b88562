"""Reading messages: names, folding, white space, lists, bytes, lengths, start lines; and writing them back."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sipgw.message import MalformedMessage, Message, Request, Response, names, parse_message
from sipgw.message.checks import check_mandatory, check_request
from sipgw.message.parser import MAX_HEADERS
from sipgw.message.values import line_method

PLAIN = (
    b"INVITE sip:bob@example.test SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1\r\n"
    b"From: <sip:alice@example.test>;tag=1\r\n"
    b"To: <sip:bob@example.test>\r\n"
    b"Call-ID: 1@192.0.2.7\r\n"
    b"CSeq: 1 INVITE\r\n"
)


def with_lines(*lines: bytes, body: bytes = b"") -> bytes:
    return PLAIN + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def parsed(*lines: bytes, body: bytes = b"") -> Message:
    return parse_message(with_lines(*lines, body=body))


@pytest.mark.parametrize(
    ("compact", "name"),
    [
        (b"a", "accept-contact"),
        (b"b", "referred-by"),
        (b"c", "content-type"),
        (b"d", "request-disposition"),
        (b"e", "content-encoding"),
        (b"f", "from"),
        (b"i", "call-id"),
        (b"j", "reject-contact"),
        (b"k", "supported"),
        (b"m", "contact"),
        (b"o", "event"),
        (b"r", "refer-to"),
        (b"s", "subject"),
        (b"t", "to"),
        (b"u", "allow-events"),
        (b"v", "via"),
        (b"x", "session-expires"),
    ],
)
def test_compact_names(compact: bytes, name: str) -> None:
    for spelling in (compact, compact.upper()):
        message = parse_message(b"OPTIONS sip:x SIP/2.0\r\n" + spelling + b": value\r\n\r\n")
        assert message.first(name) == "value"


def test_names_are_compared_without_case() -> None:
    message = parse_message(b"OPTIONS sip:x SIP/2.0\r\ncAlL-iD: 1\r\nMS-Diagnostics: 2\r\nx-ODD: 3\r\n\r\n")
    assert [message.first(name) for name in ("call-id", "ms-diagnostics", "x-odd")] == ["1", "2", "3"]


@pytest.mark.parametrize(
    "line", [b"Subject : a b", b"Subject\t: a b", b"Subject:a b", b"Subject: \t a b \t", b"s   :a b"]
)
def test_white_space_around_the_colon_and_the_value(line: bytes) -> None:
    assert parsed(line).first("subject") == "a b"


@pytest.mark.parametrize(
    "line", [b"Subject: a\r\n b", b"Subject: a \r\n\t b", b"Subject:\r\n a\r\n  b", b"Subject: a\r\n b\r\n "]
)
def test_folded_lines(line: bytes) -> None:
    message = parsed(line, b"X-After: 1")
    assert message.first("subject") == "a b"
    assert message.first("x-after") == "1"


def test_a_folded_line_may_look_like_a_header() -> None:
    message = parsed(b"Subject: a", b" Route: <sip:evil>")
    assert message.first("route") is None
    assert message.first("subject") == "a Route: <sip:evil>"


def test_comma_lists_and_several_lines_are_one_list() -> None:
    message = parsed(b'Contact: "a, b" <sip:a,b@x>;p="c,d" , <sip:c@x>', b"m: sip:e@x", b"Contact: ,")
    assert message.values("contact") == ['"a, b" <sip:a,b@x>;p="c,d"', "<sip:c@x>", "sip:e@x"]
    assert message.lines_of("contact")[1] == "sip:e@x"


def test_tokens_ignore_case() -> None:
    assert parsed(b"Supported: Gruu-10 , path", b"k: timer").tokens("supported") == {"gruu-10", "path", "timer"}


def test_what_is_absent() -> None:
    message = parsed()
    assert message.first("route") is None
    assert message.values("route") == []
    assert message.lines_of("route") == []


def test_empty_values() -> None:
    message = parsed(b"Subject:", b"Supported: ")
    assert message.first("subject") == ""
    assert message.values("supported") == []


ODD_MESSAGES = [
    with_lines(),
    with_lines(b"sUBJECT  :  a ,b", b"X: \xe4\xf6\xfc\xff\x80"),
    with_lines(b"Subject: a\r\n  b", b"X-Empty:", b"v: SIP/2.0/UDP x , SIP / 2.0 / TCP y"),
    with_lines(b"Content-Length: 3", body=b"\x00\r\n"),
    b"SIP/2.0 200 \r\nVia: SIP/2.0/UDP x\r\n\r\n",
    b"SIP/2.0 486 Besch\xe4ftigt, sehr\r\nVia: SIP/2.0/UDP x\r\n\r\nbody without a length",
]


@pytest.mark.parametrize("data", ODD_MESSAGES)
def test_an_untouched_message_encodes_to_the_same_bytes(data: bytes) -> None:
    assert parse_message(data).encode() == data


def test_utf8_survives_as_bytes() -> None:
    name = "Jürgen 漢字".encode()
    message = parsed(b"Subject: " + name, body=name)
    assert (message.first("subject") or "").encode("latin-1") == name
    assert message.encode().count(name) == 2


def test_status_line() -> None:
    response = parse_message(b"SIP/2.0 480 Temporarily not  available\r\n\r\n")
    assert isinstance(response, Response)
    assert (response.status, response.reason) == (480, "Temporarily not  available")


def test_request_line() -> None:
    request = parse_message(b"!interesting-Method0123456789_*+`.%indeed'~ sip:x SIP/2.0\r\n\r\n")
    assert isinstance(request, Request)
    assert request.uri == "sip:x"
    assert request.method.startswith("!interesting")


def test_the_version_is_compared_without_case() -> None:
    """§7.1: SIP/2.0 is case-insensitive; implementations must send upper case."""
    data = b"OPTIONS sip:x sip/2.0\r\n\r\n"
    assert parse_message(data).encode() == data


# Content-Length


def test_the_body_is_cut_to_content_length() -> None:
    assert parsed(b"Content-Length: 2", body=b"abcdef").body == b"ab"
    assert parsed(b"l: 0", body=b"abcdef").body == b""


def test_without_content_length_the_body_is_all_that_follows() -> None:
    assert parsed(body=b"a\r\n\r\nb").body == b"a\r\n\r\nb"


@pytest.mark.parametrize("value", [b"5", b"-1", b"1.0", b"abc", b"", b"99999999999999999999", b"+1", b"1 1", b"\xb2"])
def test_a_content_length_that_is_wrong(value: bytes) -> None:
    with pytest.raises(MalformedMessage) as caught:
        parsed(b"Content-Length: " + value, body=b"abcd")
    assert caught.value.status == 400
    assert isinstance(caught.value.message, Request)


# what is no message


@pytest.mark.parametrize(
    ("start", "status"),
    [
        (b"INVITE sip:x SIP/3.0", 505),
        (b"INVITE sip:x SIP/2.1", 505),
        (b"INVITE sip:x sip/7.0", 505),
        (b"INVITE sip:x HTTP/1.1", 400),
        (b"INVITE sip:x  SIP/2.0", 400),
        (b"INVITE  sip:x SIP/2.0", 400),
        (b"INVITE sip:x SIP/2.0 ", 400),
        (b"INVITE sip:x y SIP/2.0", 400),
        (b"INV(ITE sip:x SIP/2.0", 400),
        (b"INV\xe4TE sip:x SIP/2.0", 400),
        (b" sip:x SIP/2.0", 400),
    ],
)
def test_bad_request_lines_can_be_answered(start: bytes, status: int) -> None:
    with pytest.raises(MalformedMessage) as caught:
        parse_message(start + with_lines()[with_lines().index(b"\r\n") :])
    assert caught.value.status == status
    assert isinstance(caught.value.message, Request)
    assert caught.value.message.call_id == "1@192.0.2.7"


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"INVITE",
        b"INVITE sip:x",
        b"SIP/2.0",
        b"SIP/2.0 200",
        b"SIP/2.0 99 Odd",
        b"SIP/2.0 700 Odd",
        b"SIP/2.0 2000 Odd",
        b"SIP/2.0 abc Odd",
        b"SIP/2.0 \xb2\xb2\xb2 Odd",
        b"SIP/3.0 200 OK",
        b"\x00\x01\x02",
    ],
)
def test_other_bad_start_lines_cannot(start: bytes) -> None:
    with pytest.raises(MalformedMessage) as caught:
        parse_message(start + b"\r\nCall-ID: 1\r\n\r\n")
    assert not isinstance(caught.value.message, Request)


@pytest.mark.parametrize(
    "line", [b"no colon here", b": no name", b"bad name: x", b"b\xe4d: x", b"<bad>: x", b'"bad": x']
)
def test_lines_that_are_no_headers(line: bytes) -> None:
    with pytest.raises(MalformedMessage) as caught:
        parsed(line)
    assert caught.value.status == 400
    assert isinstance(caught.value.message, Request)


@pytest.mark.parametrize("line", [b"Subject", b"Route", b"Expires"])
def test_a_known_name_without_a_colon_is_no_header(line: bytes) -> None:
    with pytest.raises(MalformedMessage):
        parsed(line)


def test_the_head_must_end() -> None:
    with pytest.raises(MalformedMessage):
        parse_message(PLAIN)


def test_a_first_line_that_is_folded_is_no_header() -> None:
    with pytest.raises(MalformedMessage):
        parse_message(b"OPTIONS sip:x SIP/2.0\r\n Subject: a\r\n\r\n")


def test_the_number_of_headers_is_bounded() -> None:
    room = MAX_HEADERS - PLAIN.count(b"\r\n") + 1
    assert parsed(*[b"X: 1"] * room)
    with pytest.raises(MalformedMessage) as caught:
        parsed(*[b"X: 1"] * (room + 1))
    assert caught.value.status == 400
    assert isinstance(caught.value.message, Request)


def test_invented_names_do_not_fill_the_table_of_spellings() -> None:
    for number in range(3000):
        parsed(f"X-{number}: 1".encode())
    assert len(names.SPELLINGS) <= names._MAX_SPELLINGS
    assert parsed(b"X-2999: 7").first("x-2999") == "7"


# what every message must have


@pytest.mark.parametrize("name", ["From", "To", "Call-ID", "CSeq"])
def test_mandatory_headers(name: str) -> None:
    lines = [line for line in with_lines().split(b"\r\n") if not line.startswith(name.encode() + b":")]
    message = parse_message(b"\r\n".join(lines))
    with pytest.raises(MalformedMessage, match="(?i)" + name):
        check_mandatory(message)


@pytest.mark.parametrize("line", [b"From: <sip:x@y>;tag=2", b"t: <sip:x@y>", b"i: 2", b"CSeq: 2 INVITE"])
def test_headers_that_stand_once(line: bytes) -> None:
    with pytest.raises(MalformedMessage, match="more than one"):
        check_mandatory(parsed(line))


def test_two_lengths_that_disagree() -> None:
    with pytest.raises(MalformedMessage, match="more than one"):
        check_mandatory(parsed(b"Content-Length: 0", b"l: 4", body=b"abcd"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"1 INVITE", b"1 OPTIONS"),
        (b"1 INVITE", b"2147483648 INVITE"),
        (b"1 INVITE", b"36893488147419103232 INVITE"),
        (b"1 INVITE", b"x INVITE"),
        (b"1 INVITE", b"-1 INVITE"),
        (b"1 INVITE", b"1"),
        (b"1 INVITE", b"1 invite"),
        (b"<sip:bob@example.test>", b"<sip:bob@example.test"),
        (b"<sip:alice@example.test>", b'"alice <sip:alice@example.test>'),
        (b"<sip:bob@example.test>", b""),
    ],
)
def test_requests_that_contradict_themselves(old: bytes, new: bytes) -> None:
    message = parse_message(with_lines().replace(b": " + old, b": " + new))
    assert isinstance(message, Request)
    with pytest.raises(MalformedMessage) as caught:
        check_request(message)
    assert caught.value.message is message


def test_text_after_the_address_is_no_parameter() -> None:
    message = parse_message(with_lines().replace(b"test>;tag=1", b"test> tag=1"))
    assert isinstance(message, Request)
    with pytest.raises(MalformedMessage):
        check_request(message)


@pytest.mark.parametrize("cseq", [b"0 INVITE", b"2147483647 INVITE", b"0009 INVITE"])
def test_sequence_numbers_that_are_legal(cseq: bytes) -> None:
    message = parse_message(with_lines().replace(b"1 INVITE", cseq))
    assert isinstance(message, Request)
    check_request(message)


TAB = b"1\tINVITE"  # a tab is LWS too (§25.1)


@pytest.mark.parametrize("cseq", [b"1  INVITE", b"1\r\n INVITE", b"1 \t INVITE", TAB])
def test_white_space_inside_cseq(cseq: bytes) -> None:
    message = parse_message(with_lines().replace(b"1 INVITE", cseq))
    assert message.cseq == (1, "INVITE")
    assert line_method(message.first("cseq")) == "INVITE"


# editing


def test_replacing_the_topmost_via_leaves_the_others() -> None:
    message = parse_message(b"OPTIONS sip:x SIP/2.0\r\nv: SIP/2.0/UDP a;branch=1, SIP/2.0/UDP b;branch=2\r\n\r\n")
    via = message.via
    via.params.append(("received", "192.0.2.1"))
    message.set_via(via)
    assert message.lines == ["Via: SIP/2.0/UDP a;branch=1;received=192.0.2.1, SIP/2.0/UDP b;branch=2"]


def test_dropping_the_first_value() -> None:
    message = parse_message(
        b"OPTIONS sip:x SIP/2.0\r\nv: SIP/2.0/UDP a,\r\n SIP/2.0/UDP b\r\nX-A: 1\r\nVia: SIP/2.0/UDP c\r\n\r\n"
    )
    for host in "abc":
        assert message.via.host == host
        message.drop_first("via")
    assert message.lines == ["X-A: 1"]
    assert message.first("x-a") == "1"
    with pytest.raises(MalformedMessage):
        _ = message.via


# any bytes at all


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
@example(b"\r\n\r\n")
@example(b"SIP/2.0 200 OK\r\n\r\n")
@example(b"\xff \xff SIP/2.0\r\n\xff: \xff\r\n\r\n")
def test_any_bytes_parse_or_are_malformed(data: bytes) -> None:
    try:
        message = parse_message(data)
    except MalformedMessage as error:
        assert error.reason
        assert 400 <= error.status <= 505
    else:
        assert data.startswith(message.encode()[: -len(message.body) or None])


HEADER_NAMES = st.sampled_from(["Via", "v", "Subject", "X-Odd", "x-odd ", "Content-Type", "Contact", "to", "CSEQ"])
HEADER_VALUES = st.text(
    st.characters(max_codepoint=255, exclude_categories=["Cc"], include_characters="\t\x80\x9f"), max_size=30
)
FOLDS = st.sampled_from(["", "\r\n ", "\r\n\t x"])


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    start = draw(st.sampled_from(["INVITE sip:x SIP/2.0", "SIP/2.0 200 OK", "SIP/2.0 404 \xe4", "x sip:y sip/2.0"]))
    headers = draw(st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES, FOLDS), max_size=8))
    lines = [f"{name}:{value}{fold}" for name, value, fold in headers]
    return "\r\n".join([start, *lines, "", ""]).encode("latin-1") + draw(st.binary(max_size=40))


@settings(max_examples=300, deadline=None)
@given(messages())
def test_parsing_and_encoding_are_inverse(data: bytes) -> None:
    message = parse_message(data)
    assert message.encode() == data
    for name in message.names:
        message.values(name)
        assert "\r" not in (message.first(name) or "")

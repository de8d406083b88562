"""Bounds of messages and values, characters that may not be anywhere, and values too odd to act on."""

import pytest

from sipgw.message import (
    MalformedMessage,
    MalformedUri,
    Message,
    Request,
    parse_message,
    parse_name_addr,
    parse_uri,
    parse_via,
)
from sipgw.message.checks import MAX_VIAS, check_mandatory, check_request, check_response
from sipgw.message.parser import MAX_BODY, MAX_LINE, MAX_VALUES, salvage
from sipgw.message.uri import MAX_URI
from sipgw.message.values import MAX_PARAMS, salvage_via, split_list

START = b"OPTIONS sip:bob@example.test SIP/2.0"
LINES = (
    b"Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1",
    b"From: <sip:alice@example.test>;tag=1",
    b"To: <sip:bob@example.test>",
    b"Call-ID: 1",
    b"CSeq: 1 OPTIONS",
)


def message(*lines: bytes, start: bytes = START, body: bytes = b"", first: tuple[bytes, ...] = LINES) -> bytes:
    return b"\r\n".join([start, *first, *lines, b"", body])


def parsed(*lines: bytes, start: bytes = START) -> Message:
    return parse_message(message(*lines, start=start))


def fault(data: bytes, status: int) -> MalformedMessage:
    """Reading it or looking at it fails so."""
    with pytest.raises(MalformedMessage) as caught:
        request = parse_message(data)
        check_mandatory(request)
        assert isinstance(request, Request)
        check_request(request)
        assert request.via
    assert caught.value.status == status
    return caught.value


# bounds: the largest that is taken, and one more


def test_the_longest_line() -> None:
    assert parsed(b"X: " + b"x" * (MAX_LINE - 3))
    assert "header line longer" in fault(message(b"X: " + b"x" * (MAX_LINE - 2)), 513).reason


def test_folds_count_for_their_line() -> None:
    folded = b"X: x" + b"\r\n x" * (MAX_LINE // 4 + 1)
    assert "header line longer" in fault(message(folded), 513).reason


def test_the_longest_request_uri() -> None:
    room = MAX_URI - len("sip:@example.test")
    assert parsed(start=b"OPTIONS sip:" + b"u" * room + b"@example.test SIP/2.0")
    long = message(start=b"OPTIONS sip:" + b"u" * (room + 1) + b"@example.test SIP/2.0")
    assert "Request-URI is longer" in fault(long, 414).reason


def test_the_largest_body() -> None:
    assert parse_message(message(body=b"x" * 10), max_body=10).body == b"x" * 10
    assert parse_message(message(b"Content-Length: 10", body=b"x" * 11), max_body=10).body == b"x" * 10
    with pytest.raises(MalformedMessage, match="body longer than 9") as caught:
        parse_message(message(body=b"x" * 10), max_body=9)
    assert caught.value.status == 413
    assert MAX_BODY > 65_535, "no datagram is refused unless a setting says so"


@pytest.mark.parametrize("name", [b"Route", b"Record-Route", b"m", b"Path", b"Require", b"Proxy-Require", b"k"])
def test_the_longest_list(name: bytes) -> None:
    value = b"<sip:x.example.test;lr>"
    assert parsed(name + b": " + b",".join([value] * MAX_VALUES))
    assert "more than 100 values" in fault(message(name + b": " + b",".join([value] * (MAX_VALUES + 1))), 400).reason
    assert "more than 100 values" in fault(message(*[name + b": " + value] * (MAX_VALUES + 1)), 400).reason


def test_commas_that_separate_nothing_do_not_count() -> None:
    assert parsed(b'Contact: "' + b"," * 2000 + b'" <sip:x@y>')
    assert parsed(b"Subject: " + b"a," * 2000)


def test_the_most_vias() -> None:
    line = b"Via: SIP/2.0/UDP a.example.test;branch=z9hG4bK1"
    request = parsed(*[line] * (MAX_VIAS - 1))
    assert isinstance(request, Request)
    check_request(request)
    assert "more than 70 Via" in fault(message(*[line] * MAX_VIAS), 483).reason
    assert "more than 70 Via" in fault(message(b"v: " + b",".join([line[5:]] * MAX_VIAS)), 483).reason


def test_a_single_line_with_too_many_vias() -> None:
    line = b"Via: " + b",".join([b"SIP/2.0/UDP a;branch=z9hG4bK1"] * (MAX_VIAS + 1))
    assert "more than 70 Via" in fault(message(first=(line, *LINES[1:])), 483).reason


def test_the_most_parameters() -> None:
    tail = ";a=1" * MAX_PARAMS
    assert len(parse_name_addr(f"<sip:x@y>{tail}").params) == 1
    assert len(parse_via(f"SIP/2.0/UDP h{tail}").params) == MAX_PARAMS
    assert parse_uri(f"sip:x@y{tail}")
    for parse, text in ((parse_name_addr, "<sip:x@y>"), (parse_via, "SIP/2.0/UDP h"), (parse_uri, "sip:x@y")):
        with pytest.raises(MalformedMessage, match="more than 64 parameters"):
            parse(f"{text}{tail};b")


# nothing recurses, however deep


@pytest.mark.parametrize("value", ["(" * 16_000, "<" * 16_000, '"' * 15_999, '"' + "\\" * 15_999, "((\\)" * 4_000])
def test_nesting(value: str) -> None:
    """A comment is never taken apart; quotes, escapes and brackets are gone through once."""
    request = parsed(f"User-Agent: {value}".encode())
    assert request.first("user-agent") == value
    split_list(value)
    for parse in (parse_via, parse_uri):
        with pytest.raises(MalformedMessage):
            parse(value)
    fault(message(first=(LINES[0], b"From: " + value.encode(), *LINES[2:])), 400)


def test_escapes_to_the_end() -> None:
    assert parse_name_addr('"' + "\\\\" * 8000 + '" <sip:x@y>').display == "\\" * 8000
    assert split_list('"a\\",", b') == ['"a\\","', "b"]
    assert split_list('a\\"b,c", d') == ['a\\"b,c"', "d"], "outside of quotes a backslash escapes nothing"


# control characters


@pytest.mark.parametrize("control", [b"\x00", b"\n", b"\r", b"\x1b"])
@pytest.mark.parametrize("place", [b"Subject: a%sb", b'From: "a%sb" <sip:x@y>', b"X%s: b", b"\x00%s"])
def test_controls_within_a_line(control: bytes, place: bytes) -> None:
    error = fault(message(place % control), 400)
    assert isinstance(error.message, Request)
    assert not set("\x00\x1b\n") & set("".join(error.message.lines)), "what is echoed does not carry them on"


@pytest.mark.parametrize(
    "start", [b"OPTIONS sip:b\nob@x SIP/2.0", b"OPTIONS sip:b\x00@x SIP/2.0", b"OPT\rIONS sip:x SIP/2.0"]
)
def test_controls_in_the_start_line(start: bytes) -> None:
    fault(message(start=start), 400)


def test_a_header_smuggled_in_by_a_lone_line_feed() -> None:
    """It is not seen as one, and nobody behind us may see it as one."""
    with pytest.raises(MalformedMessage, match="lone line end"):
        parsed(b"Subject: a\nRoute: <sip:evil.example.test>")


def test_quoted_pairs_may_hold_controls() -> None:
    """§25.1; RFC 4475 §3.1.1.2 sends some."""
    line = b'To: "\\\x00\\\x1b\\\x07" <sip:bob@example.test>'
    assert (
        message(b"X: 1", first=(*LINES[:2], line, *LINES[3:]))
        == parse_message(message(b"X: 1", first=(*LINES[:2], line, *LINES[3:]))).encode()
    )


@pytest.mark.parametrize("pair", [b"\\\n", b"\\\r", b"\\\\\x00"])
def test_but_not_line_ends(pair: bytes) -> None:
    fault(message(b'X: "' + pair + b'"'), 400)


def test_lines_that_end_in_line_feeds_only() -> None:
    with pytest.raises(MalformedMessage, match="blank line"):
        parse_message(message().replace(b"\r\n", b"\n"))


# heads that break off


def test_a_head_without_its_end_can_be_answered() -> None:
    data = message(b"Subject: a")[:-2]
    with pytest.raises(MalformedMessage, match="blank line") as caught:
        parse_message(data)
    assert isinstance(caught.value.message, Request)
    assert caught.value.message.first("subject") == "a"


def test_salvage() -> None:
    """Up to the last whole line, and only of a request."""
    assert (salvage(message(b"Subject: abc")[:-6]) or parsed()).names == parsed().names
    for nothing in (b"", b"\r\n", b"OPTIONS sip:x SIP/2.0", b"SIP/2.0 200 OK\r\nVia: x\r\n\r\n", b"junk\r\n\r\n"):
        assert salvage(nothing) is None


# values


@pytest.mark.parametrize(
    "via",
    ["SIP/2.0/UDP h;", "SIP/2.0/UDP h;;branch=1", "SIP/2.0/UDP h;a;;", "SIP/2.0/UDP h;=1", "SIP/2.0/UDP h;a=b c",
     "SIP/2.0/UDP h;a b", 'SIP/2.0/UDP h;a="b;c', "SIP/2.0/UDP h; ;a", 'SIP/2.0/UDP h;;a="b;c"',
     "SIP/2.0/UDP [x]", "SIP/2.0/UDP [::1::]"],
)  # fmt: skip
def test_a_via_that_nobody_can_be_sure_of(via: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_via(via)
    line = b"Via: " + via.encode()
    fault(message(first=(line, *LINES[1:])), 400)


def test_quotes_in_a_via() -> None:
    assert parse_via('SIP/2.0/UDP h;a="b ; \\" c";branch=1').params == [("a", '"b ; \\" c"'), ("branch", "1")]


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("SIP/7.0/UDP h:5070;branch=z9hG4bK1;rport", "SIP/2.0/UDP h:5070;branch=z9hG4bK1;rport"),
        ("SIP/2.0/UDP h;;branch=1;, x", "SIP/2.0/UDP h;branch=1"),
        ("SIP / 2.0 / TCP h;a b=1;c=<x>", "SIP/2.0/TCP h"),
    ],
)
def test_what_is_left_of_a_broken_via(text: str, encoded: str) -> None:
    assert salvage_via(text).encode() == encoded


@pytest.mark.parametrize("text", ["", "SIP/2.0/UDP", "UDP h", "SIP/2.0/UDP [h"])
def test_nothing_is_left_of_a_via(text: str) -> None:
    with pytest.raises(MalformedMessage):
        salvage_via(text)


@pytest.mark.parametrize(
    "value",
    ["Bell, Alexander <sip:x@y>", 'Bob "B" <sip:x@y>', '"Bob" B <sip:x@y>', "< sip:x@y>", "<sip:x@y >", "<sip:x \t@y>",
     "a;b <sip:x@y>", "a\\ <sip:x@y>"],
)  # fmt: skip
def test_addresses_that_are_not_clear(value: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_name_addr(value)
    line = b"From: " + value.encode()
    fault(message(first=(LINES[0], line, *LINES[2:])), 400)


@pytest.mark.parametrize(
    "value", ["sipp <sip:x@y>;tag=1", "Jürgen Groß <sip:x@y>", "a.b-c!%*_+`'~ d <sip:x@y>", "1<sip:x@y>"]
)
def test_display_names_without_quotes(value: str) -> None:
    line = b"From: " + value.encode()
    request = parse_message(message(first=(LINES[0], line, *LINES[2:])))
    assert isinstance(request, Request)
    check_request(request)


@pytest.mark.parametrize("call_id", [b"", b"a b"])
def test_call_ids(call_id: bytes) -> None:
    fault(message(first=(*LINES[:3], b"Call-ID: " + call_id, LINES[4])), 400)


@pytest.mark.parametrize("uri", [b"sip:bob@x?Route=%3Csip:y%3E", b"sip:x?a=b", b"sip:a?b@x?", b"sip:x?"])
def test_a_request_uri_has_no_headers(uri: bytes) -> None:
    fault(message(start=b"OPTIONS " + uri + b" SIP/2.0"), 400)


def test_a_question_mark_in_the_user_part() -> None:
    request = parsed(start=b"OPTIONS sip:a?b=c@x SIP/2.0")
    assert isinstance(request, Request)
    check_request(request)
    assert parse_uri(request.uri).user == "a?b=c"


@pytest.mark.parametrize("cseq", ["", "x", "1", "-1 INVITE", "4294967296 INVITE", "9292394834772304023312 OPTIONS"])
def test_responses_whose_cseq_cannot_be_read(cseq: str) -> None:
    response = parse_message(f"SIP/2.0 200 OK\r\nCSeq: {cseq}\r\n\r\n".encode())
    assert not isinstance(response, Request)
    with pytest.raises(MalformedMessage):
        check_response(response)


@pytest.mark.parametrize("cseq", ["1 INVITE", "0009  INVITE", "2147483647 INVITE", "1\tINVITE"])
def test_responses_whose_cseq_can(cseq: str) -> None:
    response = parse_message(f"SIP/2.0 200 OK\r\nCSeq: {cseq}\r\n\r\n".encode())
    assert not isinstance(response, Request)
    check_response(response)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:DB8:::192.0.2.1]", "2001:db8::192.0.2.1"),
        ("[:::192.0.2.1]:5060", "::192.0.2.1"),
    ],
)
def test_ipv6_references(text: str, host: str) -> None:
    assert parse_uri(f"sip:u@{text}").host == host
    assert parse_via(f"SIP/2.0/UDP {text}").host.lower() == host


@pytest.mark.parametrize(
    "text", ["[]", "[x]", "[1]", "[2001:db8:::1]", "[::::192.0.2.1]", "[1::2:::192.0.2.1]", "[192.0.2.1]"]
)
def test_what_is_no_ipv6_reference(text: str) -> None:
    with pytest.raises(MalformedUri):
        parse_uri(f"sip:u@{text}")

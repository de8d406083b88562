"""Any bytes are a message or the one documented error, and so for every value; untouched means unchanged."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

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
from sipgw.message.checks import check_mandatory, check_request, check_response
from sipgw.message.parser import salvage
from sipgw.message.uri import equivalent
from sipgw.message.values import parse_cseq, salvage_via, split_host_port, tag_of
from tests.harness import SIPE
from tests.torture.messages import MESSAGES

SEEDS = [*MESSAGES.values(), *(path.read_bytes() for path in sorted(SIPE.glob("*.sip")))]
MARKS = [bytes([mark]) for mark in b'\r\n\t :;,<>"\\@?=&%/[]()0\x00\xff'] + [
    b"\r\n",
    b"\r\n ",
    b"\r\n\r\n",
    b"SIP/2.0",
    b"",
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A real message with pieces cut out, put in and copied elsewhere."""
    data = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.sampled_from([0, 0, 1, 1, 2, 20, 400])))
        piece = draw(st.sampled_from([*MARKS, data[at:end]]))
        to = draw(st.integers(0, len(data)))
        data = data[:at] + piece + data[end:] if draw(st.booleans()) else data[:to] + piece + data[to:]
    return data


def look_at(data: bytes) -> None:
    """Everything that a server looks at in a message may be wrong, but only in the documented way."""
    message = parse_message(data)
    check_mandatory(message)
    if isinstance(message, Request):
        check_request(message)
        parse_uri(message.uri)
    else:
        check_response(message)
    assert message.via.host
    assert tag_of(message.first("to") or "") is not None
    for value in message.values("contact"):
        parse_name_addr(value)


@settings(max_examples=1500)
@given(damaged())
def test_damaged_messages_are_read_or_refused(data: bytes) -> None:
    try:
        look_at(data)
    except MalformedMessage as error:
        assert error.reason
        assert error.status in (400, 413, 414, 416, 483, 505, 513)
        assert error.message is None or isinstance(error.message, Message)


@settings(max_examples=500)
@given(damaged())
def test_what_was_read_encodes_to_what_came(data: bytes) -> None:
    """The identity, but for what a datagram holds beyond its Content-Length."""
    try:
        message = parse_message(data)
    except MalformedMessage:
        return
    assert data.startswith(message.encode())
    assert parse_message(message.encode()).encode() == message.encode()


@settings(max_examples=300)
@given(st.one_of(st.binary(max_size=300), damaged()))
def test_salvage_never_fails(data: bytes) -> None:
    request = salvage(data)
    assert request is None or request.index.keys() == set(request.names)


TEXT = st.text(st.characters(max_codepoint=255), max_size=60)
WORDS = "sip: sips: tel: SIP/2.0/ UDP b.c 5060 99999 %41 ::1 ::: 192.0.2.1 branch=z9hG4bK1 tag=1"
FRAGMENTS = st.lists(st.sampled_from([*' \t:;=,<>"\\@?&%[]*\x00\xe4a', *WORDS.split()]), max_size=14).map("".join)
VALUES = st.one_of(TEXT, FRAGMENTS)


@settings(max_examples=600)
@given(VALUES)
@example("sip:[")
@example("sip:" + "x" * 5000)
def test_any_text_is_a_uri_or_a_malformed_one(text: str) -> None:
    for candidate in (text, f"sip:{text}"):
        try:
            uri = parse_uri(candidate)
        except MalformedUri as error:
            assert error.status in (400, 414, 416)
        else:
            assert str(uri) == candidate
            assert equivalent(uri, parse_uri(candidate))
            assert uri.aor == uri.aor.lower()


@settings(max_examples=600)
@given(VALUES)
@example('";')
def test_any_text_is_a_via_or_malformed(text: str) -> None:
    for candidate in (text, f"SIP/2.0/UDP {text}", f"SIP/2.0/UDP h;{text}"):
        for parse in (parse_via, salvage_via):
            try:
                via = parse(candidate)
            except MalformedMessage as error:
                assert error.status == 400
            else:
                again = parse_via(via.encode())
                assert (again.encode(), again.host, again.port) == (via.encode(), via.host, via.port)


@settings(max_examples=600)
@given(VALUES)
@example('"\\')
@example('"a"<')
def test_any_text_is_an_address_or_malformed(text: str) -> None:
    for candidate in (text, f"<{text}>", f"<sip:a@b>{text}", f'"{text}" <sip:a@b>'):
        try:
            address = parse_name_addr(candidate)
        except MalformedMessage as error:
            assert error.status == 400
        else:
            assert address.uri in candidate
            assert all(key == key.lower() for key in address.params)
        tag_of(candidate)


@settings(max_examples=300)
@given(st.one_of(VALUES, st.from_regex(r"[0-9]{0,12}[ \t]{0,2}[A-Z]{0,3}", fullmatch=True)))
def test_any_text_is_a_cseq_or_malformed(text: str) -> None:
    try:
        number, method = parse_cseq(text)
    except MalformedMessage as error:
        assert error.status == 400
    else:
        assert 0 <= number < 2**31
        assert method


@settings(max_examples=300)
@given(VALUES)
def test_any_text_is_host_and_port_or_malformed(text: str) -> None:
    try:
        host, port = split_host_port(text)
    except MalformedMessage:
        return
    assert host
    assert 0 <= port < 65536


HOSTS = st.sampled_from(["example.test", "192.0.2.1", "[2001:db8::1]", "EXAMPLE.Test"])
USERS = st.text(st.sampled_from("aZ0-_.!~*'()&=+$,;?/"), min_size=1, max_size=12)
TOKENS = st.text(st.sampled_from("abcXYZ019-.!%*_+`'~"), min_size=1, max_size=8).map(
    lambda text: text.replace("%", "%25")
)
PARAMS = st.lists(st.tuples(TOKENS, st.none() | TOKENS), max_size=5)


@settings(max_examples=400)
@given(st.sampled_from(["sip", "sips", "SIP"]), st.none() | USERS, HOSTS, st.integers(0, 65535), PARAMS)
def test_a_uri_of_good_parts_is_read_as_them(
    scheme: str, user: str | None, host: str, port: int, params: list[tuple[str, str | None]]
) -> None:
    tail = "".join(f";{key}" if value is None else f";{key}={value}" for key, value in params)
    at = f"{user}@" if user else ""
    uri = parse_uri(f"{scheme}:{at}{host}{f':{port}' if port else ''}{tail}")
    assert (uri.scheme, uri.user, uri.port) == (scheme.lower(), user, port)
    assert uri.host == host.strip("[]").lower()
    assert uri.params == {key.lower(): value for key, value in params}

"""What signatures cover: a captured session, both ways, and each value as it may stand on the wire."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipgw.auth.ntlm_session import NtlmSession
from sipgw.auth.sipae_buffer import signing_buffer
from sipgw.auth.sipae_wire import REALM
from sipgw.message.message import Request, Response, names_of
from tests.auth.vectors import captured

FLAGS = 0x62988255
ADDRESSES = ("From: <sip:a@x>;tag=1", "To: <sip:b@x>;tag=2", "Call-ID: c", "CSeq: 5 INFO")


def request(*lines: str, method: str = "INFO") -> Request:
    return Request(method, "sip:b@x", list(lines), names_of(lines), b"body")


def response(*lines: str, status: int = 180) -> Response:
    return Response(status, "R", list(lines), names_of(lines), b"body")


def covered(message: Request | Response, version: int = 4) -> str:
    data = signing_buffer(message, "NTLM", "r", "1", "R", "T", version)
    assert data is not None
    return data.decode("latin-1").removeprefix("<NTLM><r><1><R><T>")


def told(message: captured.Captured) -> dict[str, str]:
    line = next(line for line in message.lines if ' response="' in line or ' rspauth="' in line)
    return dict(re.findall(r'(\w+)="([^"]*)"', line))


@pytest.mark.parametrize("message", captured.CLIENT, ids=lambda message: message.start[:30])
def test_what_the_real_client_signed(message: captured.Captured) -> None:
    params = told(message)
    data = signing_buffer(message.message(), "NTLM", params["crand"], params["cnum"], REALM, captured.TARGETNAME, 4)
    assert data == message.buffer.encode()


@pytest.mark.parametrize("message", captured.SERVER, ids=lambda message: message.start[:30])
def test_what_the_real_client_verified(message: captured.Captured) -> None:
    params = told(message)
    data = signing_buffer(message.message(), "NTLM", params["srand"], params["snum"], REALM, captured.TARGETNAME, 4)
    session = NtlmSession(captured.SESSION_KEY, FLAGS, client=True)
    assert data is not None and session.verify(data, bytes.fromhex(params["rspauth"]))


def test_the_capture_is_whole() -> None:
    assert len(captured.CLIENT) == 22 and len(captured.SERVER) == 20
    assert {type(message.message()) for message in captured.CLIENT} == {Request, Response}
    assert {type(message.message()) for message in captured.SERVER} == {Request, Response}


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (2, "<c><5><INFO><sip:a@x><1><2><60>"),
        (3, "<c><5><INFO><sip:a@x><1><sip:b@x><2><sip:i@x><tel:+1><60>"),
        (4, "<c><5><INFO><sip:a@x><1><sip:b@x><2><sip:i@x><tel:+1><60>"),
    ],
)
def test_versions(version: int, expected: str) -> None:
    lines = (*ADDRESSES, "P-Asserted-Identity: <sip:i@x>, <tel:+1>", "Expires: 60")
    assert covered(request(*lines), version) == expected
    assert covered(response(*lines), version) == f"{expected}<180>"


def test_absent_values_are_empty() -> None:
    lines = ("From: <sip:a@x>", "To: <sip:b@x>", "CSeq: 5 INFO")
    assert covered(request(*lines)) == "<><5><INFO><sip:a@x><><sip:b@x><><><><>"
    assert covered(request(*lines), 2) == "<><5><INFO><sip:a@x><><><>"


@pytest.mark.parametrize(
    ("value", "uri", "tag"),
    [
        ("<sip:A@X>;tag=T", "sip:A@X", "T"),
        ("<sip:a@x;p=1?h=2>;epid=e;tag=T;x", "sip:a@x;p=1?h=2", "T"),
        ('"Doe <J>, John" <sip:a@x>;tag=T', "sip:a@x", "T"),
        ('"\\"<" <sip:a@x>;tag=T', "sip:a@x", "T"),
        ("John <sip:a@x> ; tag=T", "sip:a@x", "T"),
        ("sip:a@x;tag=T;epid=e", "sip:a@x", "T"),
        ("<sip:a@x>;TAG=T", "sip:a@x", "T"),
        ("<sip:a@x>\r\n ;tag=T", "sip:a@x", "T"),
        ("<sip:a@x>", "sip:a@x", ""),
        ("<sip:a@x;tag=in-the-uri>", "sip:a@x;tag=in-the-uri", ""),
    ],
)
def test_addresses(value: str, uri: str, tag: str) -> None:
    rest = ("Call-ID: c", "CSeq: 5 INFO")
    assert covered(request(f"f: {value}", "To: <sip:b@x>", *rest)) == f"<c><5><INFO><{uri}><{tag}><sip:b@x><><><><>"
    assert covered(request("From: <sip:b@x>", f"t : {value}", *rest)) == f"<c><5><INFO><sip:b@x><><{uri}><{tag}><><><>"


@pytest.mark.parametrize(
    ("lines", "sip", "tel"),
    [
        (["P-Asserted-Identity: <sip:i@x>"], "sip:i@x", ""),
        (['P-Asserted-Identity: "Lunch, L" <SIP:i@X>,<tel:+42;ext=8>'], "SIP:i@X", "tel:+42;ext=8"),
        (["P-Asserted-Identity: tel:+14085264000"], "", "tel:+14085264000"),
        (["P-Asserted-Identity: <tel:+1>, <sip:i@x>, <sip:j@x>, <tel:+2>"], "sip:i@x", "tel:+1"),
        (["P-Preferred-Identity: <sip:p@x>"], "sip:p@x", ""),
        (["P-Preferred-Identity: <sip:p@x>", "P-Asserted-Identity: <sip:i@x>"], "sip:i@x", ""),
        (["P-Asserted-Identity: <mailto:i@x>"], "", ""),
    ],
)
def test_identities(lines: list[str], sip: str, tel: str) -> None:
    assert covered(request(*ADDRESSES, *lines)) == f"<c><5><INFO><sip:a@x><1><sip:b@x><2><{sip}><{tel}><>"


def test_the_first_line_of_a_name_counts() -> None:
    lines = (*ADDRESSES, "Expires: 1", "Expires: 2", "From: <sip:z@x>", "i: other")
    assert covered(request(*lines)) == "<c><5><INFO><sip:a@x><1><sip:b@x><2><><><1>"


@pytest.mark.parametrize(
    "lines",
    [
        ("From: nobody here", *ADDRESSES[1:]),
        (*ADDRESSES[:1], "To: <sip:b@x", *ADDRESSES[2:]),
        (*ADDRESSES[:1], *ADDRESSES[2:]),
        (*ADDRESSES[:3],),
        (*ADDRESSES[:3], "CSeq: 5 BYE"),
        (*ADDRESSES[:3], "CSeq: 5"),
        (*ADDRESSES, "P-Asserted-Identity: <sip:i@x"),
        (*ADDRESSES, "Expires: ><200"),
        (*ADDRESSES[:2], "Call-ID: c><5", *ADDRESSES[3:]),
        ("From: <sip:a@x>;tag=1><sip:b@x", *ADDRESSES[1:]),
        ("From: <sip:a<@x>;tag=1", *ADDRESSES[1:]),
    ],
)
def test_what_cannot_be_signed(lines: tuple[str, ...]) -> None:
    assert signing_buffer(request(*lines), "NTLM", "r", "1", "R", "T", 4) is None


def test_a_response_cannot_be_turned_into_a_request() -> None:
    """Its buffer is that of a request with an Expires that has brackets in it."""
    assert covered(response(*ADDRESSES, status=200)) == "<c><5><INFO><sip:a@x><1><sip:b@x><2><><><><200>"
    assert signing_buffer(request(*ADDRESSES, "Expires: ><200"), "NTLM", "r", "1", "R", "T", 4) is None


@given(st.lists(st.text(st.characters(codec="latin-1", exclude_characters="\r\n")), min_size=6, max_size=6))
def test_anything_on_the_wire_gives_a_buffer_or_none(values: list[str]) -> None:
    names = ("From", "To", "Call-ID", "CSeq", "P-Asserted-Identity", "Expires")
    lines = [f"{name}: {value}" for name, value in zip(names, values, strict=True)]
    for version in (2, 3, 4):
        data = signing_buffer(request(*lines), "NTLM", "r", "1", "R", "T", version)
        assert data is None or data.count(b"<") == data.count(b">") == (15 if version > 2 else 12)

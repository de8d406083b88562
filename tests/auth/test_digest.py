"""Digest header values and responses, by the published vectors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipgw.auth.digest import from_wire, read_auth, response_of, to_wire
from sipgw.auth.password import ha1_of
from sipgw.message.errors import MalformedMessage
from sipgw.message.values import quote

RFC7616 = {
    "uri": "/dir/index.html",
    "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    "nc": "00000001",
    "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
}


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc_7616_section_3_9_1(algorithm: str, expected: str) -> None:
    ha1 = ha1_of("Mufasa", "http-auth@example.org", "Circle of Life")[algorithm]
    assert response_of(algorithm, ha1, "GET", RFC7616) == expected


def test_rfc_2617_section_3_5() -> None:
    params = {
        "uri": "/dir/index.html",
        "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        "nc": "00000001",
        "cnonce": "0a4f113b",
    }
    ha1 = ha1_of("Mufasa", "testrealm@host.com", "Circle Of Life")["MD5"]
    assert response_of("MD5", ha1, "GET", params) == "6629fae49393a05397450978507c4ef1"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('Digest realm="a", nonce=b', ("digest", {"realm": "a", "nonce": "b"})),
        ('DIGEST  Realm = "a" ,nonce= "x,y=\\"z" ', ("digest", {"realm": "a", "nonce": 'x,y="z'})),
        ('Digest uri="sip:a@b;lr?x=<y>", qop=auth', ("digest", {"uri": "sip:a@b;lr?x=<y>", "qop": "auth"})),
        ('Digest username="CORP\\\\alice"', ("digest", {"username": "CORP\\alice"})),
        ("NTLM", ("ntlm", {})),
        ("", ("", {})),
    ],
)
def test_header_values(value: str, expected: tuple[str, dict[str, str]]) -> None:
    assert read_auth(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "Digest realm",
        "Digest =x",
        'Digest realm="a", REALM="b"',
        "Digest " + ", ".join(f"p{at}=1" for at in range(33)),
        f'Digest realm="{"x" * 1025}"',
    ],
)
def test_header_values_that_cannot_be_read(value: str) -> None:
    with pytest.raises(MalformedMessage):
        read_auth(value)


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)  # no quoted-string has control characters
)
def test_any_text_survives_the_wire(text: str) -> None:
    _, params = read_auth(f"Digest username={quote(to_wire(text))}, nc=1")
    assert from_wire(params["username"]) == text


def test_latin_1_is_read_where_it_is_not_utf_8() -> None:
    assert from_wire("J\xf6rg") == "J\xf6rg"
    assert from_wire("J\xc3\xb6rg") == "J\xf6rg"

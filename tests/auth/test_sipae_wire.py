"""Header lines and endpoint names: as a real server writes them, as clients may, and as nobody should."""

from base64 import b64decode
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipgw.auth.sipae_endpoint import endpoint_agrees, epid_of, instance_of
from sipgw.auth.sipae_wire import (
    REALM,
    Credentials,
    challenge_line,
    handshake_line,
    read_credentials,
    read_params,
    signature_line,
)
from sipgw.message.build import new_request
from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Request
from tests.auth.vectors import captured

TARGETS = {"ntlm": ("NTLM", "fe01.example.test"), "kerberos": ("Kerberos", "sip/fe01.example.test")}
OURS = f'realm="{REALM}", targetname="fe01.example.test"'


def request(*lines: str) -> Request:
    return new_request("REGISTER", "sip:x", lines)


def read(*lines: str) -> Credentials | None:
    return read_credentials(request(*lines), TARGETS)


def one(params: str) -> Credentials:
    found = read(f"Authorization: NTLM {OURS}, {params}")
    assert found is not None
    return found


def test_lines_are_those_of_a_real_server() -> None:
    assert challenge_line(401, "NTLM", "fe01.example.test") == (
        'WWW-Authenticate: NTLM targetname="fe01.example.test", realm="SIP Communications Service", version=4'
    )
    assert challenge_line(407, "Kerberos", "sip/fe01.example.test") == (
        'Proxy-Authenticate: Kerberos targetname="sip/fe01.example.test", realm="SIP Communications Service", version=4'
    )
    line = captured.MESSAGES[1].lines[-1]
    token = read_params(line)["gssapi-data"]
    again = handshake_line(401, "NTLM", captured.TARGETNAME, captured.OPAQUE, b64decode(token))
    assert again == line


@pytest.mark.parametrize("message", captured.SERVER, ids=lambda message: message.start[:30])
def test_signatures_are_written_as_a_real_server_does(message: captured.Captured) -> None:
    line = message.lines[0]
    params = read_params(line)
    signature = bytes.fromhex(params["rspauth"])
    given = signature, params["srand"], params["snum"]
    assert signature_line("NTLM", captured.TARGETNAME, captured.OPAQUE, *given, proxy=False) == line


def test_proxy_signature_and_last_token() -> None:
    line = signature_line("Kerberos", "sip/h", "O", b"\xab", "R", "1", proxy=True, token=b"last")
    assert line == (
        'Proxy-Authentication-Info: Kerberos rspauth="AB", srand="R", snum="1", opaque="O", qop="auth", '
        f'targetname="sip/h", realm="{REALM}", gssapi-data="bGFzdA=="'
    )


@pytest.mark.parametrize("message", captured.CLIENT, ids=lambda message: message.start[:30])
def test_credentials_of_the_real_client(message: captured.Captured) -> None:
    found = read_credentials(message.message(), TARGETS)
    assert found is not None and found.ours and not found.proxy
    assert (found.scheme, found.opaque, found.targetname) == ("NTLM", captured.OPAQUE, captured.TARGETNAME)
    signature = found.signature()
    assert signature is not None and len(signature.value) == 16 and str(signature.number) == signature.num
    assert found.shakes == (message is captured.CLIENT[0])


def test_the_first_step_of_the_real_client() -> None:
    found = read_credentials(captured.MESSAGES[0].message(), TARGETS)
    assert found is not None and found.shakes and found.token() == b"" and found.version() == 4
    assert found.opaque == "" and found.signature() is None


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ('Authorization: Digest username="a", realm="SIP Communications Service"',),
        (f"Authorization: TLS-DSK {OURS}",),
        ("Authorization:",),
        ("Proxy-Authorization: Basic YTpi",),
    ],
)
def test_no_credentials_of_ours(lines: tuple[str, ...]) -> None:
    assert read(*lines) is None


@pytest.mark.parametrize(
    "params",
    [
        'realm="other", targetname="fe01.example.test"',
        'realm="sip communications service", targetname="fe01.example.test"',
        f'realm="{REALM}", targetname="sip/fe01.example.test"',
        f'realm="{REALM}"',
        "",
    ],
)
def test_credentials_for_somebody_else(params: str) -> None:
    found = read(f'Authorization: NTLM {params}, gssapi-data=""')
    assert found is not None and not found.ours


def test_ours_are_found_among_others() -> None:
    found = read(
        'Authorization: Digest realm="x"',
        'Authorization: NTLM realm="x", targetname="y", opaque="1"',
        f'Proxy-Authorization: ntlm  {OURS} ,opaque = "2"',
    )
    assert found is not None and found.ours and found.proxy and (found.scheme, found.opaque) == ("NTLM", "2")
    kerberos = read(f'Authorization: KERBEROS targetname="SIP/FE01.example.test", realm="{REALM}"')
    assert kerberos is not None and kerberos.ours and kerberos.targetname == "SIP/FE01.example.test"


@pytest.mark.parametrize("text", ['a="1", A="2"', 'a="\\""', "a=1,a=1"])
def test_parameters_that_are_not_read(text: str) -> None:
    with pytest.raises(MalformedMessage):
        read_params(text)


def test_parameters() -> None:
    assert read_params('A = "x, y=z" ,b=1,\tc-d="",e=a+/=') == {"a": "x, y=z", "b": "1", "c-d": "", "e": "a+/="}


@given(st.text('a="\\, <>\t-', max_size=60))
def test_parameters_of_garbage(text: str) -> None:
    try:
        assert all(name == name.lower() for name in read_params(text))
    except MalformedMessage:
        assert "\\" in text or text.lower().count("a") + text.count("-") > 1


@pytest.mark.parametrize("text", ["a" * 60_000, 'a="' * 20_000, "a= " * 20_000, "a " * 30_000, "a" + " " * 60_000])
def test_parameters_take_no_time(text: str) -> None:
    """A pattern that tried again from each character would take minutes."""
    with suppress(MalformedMessage):
        assert len(read_params(text)) <= 1


@pytest.mark.parametrize("token", ["=", "a", "a===", "Ã¤", "YQ==x", "YQ== YQ=="])
def test_tokens_that_are_not_base64(token: str) -> None:
    with pytest.raises(MalformedMessage):
        one(f'gssapi-data="{token}"').token()


@pytest.mark.parametrize(("text", "version"), [("", 2), (", version=2", 2), (", version=3", 3), (", version=4", 4)])
def test_versions(text: str, version: int) -> None:
    assert one(f'gssapi-data=""{text}').version() == version


def test_a_newer_client_speaks_what_we_do() -> None:
    assert one("version=7").version() == 4


@pytest.mark.parametrize("text", ["1", "0", "x", "-3", "3.5", "12345", "²"])
def test_versions_that_there_are_not(text: str) -> None:
    with pytest.raises(MalformedMessage):
        one(f'version="{text}"').version()


@pytest.mark.parametrize(
    "text",
    [
        'response="00"',
        'crand="a", response="00"',
        'cnum="1", response="00"',
        'crand="a", cnum="x", response="00"',
        'crand="a", cnum="-1", response="00"',
        'crand="a", cnum="12345678901", response="00"',
        'crand="a", cnum="²", response="00"',
        f'crand="{"a" * 65}", cnum="1", response="00"',
        'crand="a", cnum="1", response="0"',
        'crand="a", cnum="1", response="xy"',
    ],
)
def test_signatures_that_cannot_be_right(text: str) -> None:
    with pytest.raises(MalformedMessage):
        one(text).signature()


def test_secrets_are_not_shown() -> None:
    assert "c2VjcmV0" not in repr(one('gssapi-data="c2VjcmV0"'))


# endpoints


@pytest.mark.parametrize(
    ("epid", "uuid"),
    [
        ("01010101", "4b1682a8-f968-5701-83fc-7c6741dc6697"),  # [MS-SIPRE] §4.2
        ("8248ca9ebb", "4233fd41-093b-5fd6-b5d2-651ed55969e6"),  # [MS-SIPAE] §4.1
        ("2ebb6f264f", "124841e4-264d-52e8-96c5-d22aa8cdc316"),  # [MS-SIPAE] §4.2
        (captured.EPID, "085e0bd8-031c-5a0d-8d9a-f149aae6954a"),  # pidgin-sipe
    ],
)
def test_the_instance_of_an_epid(epid: str, uuid: str) -> None:
    assert instance_of(epid) == f"urn:uuid:{uuid}"


@pytest.mark.parametrize(
    ("sender", "contacts", "agrees"),
    [
        ("<sip:a@x>;epid=01010101", '<sip:1>;+sip.instance="<urn:uuid:4b1682a8-f968-5701-83fc-7c6741dc6697>"', True),
        ("<sip:a@x>;epid=01010101", '<sip:1>;+SIP.instance="<URN:UUID:4B1682A8-F968-5701-83FC-7C6741DC6697>"', True),
        ("<sip:a@x>;epid=01010101", '<sip:1>;+sip.instance="<urn:uuid:4b1682a8-f968-5701-83fc-7c6741dc6698>"', False),
        ("<sip:a@x>;epid=01010102", '<sip:1>;+sip.instance="<urn:uuid:4b1682a8-f968-5701-83fc-7c6741dc6697>"', False),
        ("<sip:a@x>;epid=01010101", '<sip:1>, <sip:2>;+sip.instance="<urn:uuid:1>"', False),
        ("<sip:a@x>;epid=01010101", "<sip:1>", True),
        ("<sip:a@x>;epid=01010101", "*", True),
        ("<sip:a@x>;epid=01010101", '"', True),
        ("<sip:a@x>", '<sip:1>;+sip.instance="<urn:uuid:1>"', True),
        ('"', '<sip:1>;+sip.instance="<urn:uuid:1>"', True),
    ],
)
def test_endpoint_names_have_to_agree(sender: str, contacts: str, agrees: bool) -> None:
    assert endpoint_agrees(request(f"From: {sender}", f"Contact: {contacts}")) is agrees


@pytest.mark.parametrize(
    ("value", "epid"), [("<sip:a;epid=u@x>;EPID=e;x", "e"), ("<sip:a@x>;epid", ""), ("<sip:a@x>", ""), ('"', "")]
)
def test_epids(value: str, epid: str) -> None:
    assert epid_of(value) == epid

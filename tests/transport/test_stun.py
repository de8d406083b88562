"""STUN keep-alives over UDP (RFC 5626 §3.5.2). The expected bytes are put together from RFC 5389 §15.2 by hand."""

import pytest

from sipgw.transport import stun

TRANSACTION = bytes(range(12))
REQUEST = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + TRANSACTION


def test_a_binding_request_is_answered_with_its_source() -> None:
    port, address = 32853 ^ 0x2112, bytes([192 ^ 0x21, 0 ^ 0x12, 2 ^ 0xA4, 1 ^ 0x42])
    expected = b"\x01\x01\x00\x0c\x21\x12\xa4\x42" + TRANSACTION + b"\x00\x20\x00\x08\x00\x01"
    assert stun.answer(REQUEST, "192.0.2.1", 32853) == expected + port.to_bytes(2, "big") + address


def test_an_ipv6_source_is_hidden_by_cookie_and_transaction_id() -> None:
    answer = stun.answer(REQUEST, "2001:db8::1", 5060)
    assert answer is not None
    assert answer[24:26] == b"\x00\x02"
    mask = REQUEST[4:20]
    assert bytes(a ^ b for a, b in zip(answer[28:44], mask, strict=True)).hex() == "20010db8" + "0" * 23 + "1"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x00\x11" + REQUEST[2:], id="an indication"),
        pytest.param(b"\x01\x01" + REQUEST[2:], id="a response"),
        pytest.param(b"\x00\x01\x00\x08" + REQUEST[4:], id="a length that is not there"),
        pytest.param(b"\x00\x01\x00\x03" + REQUEST[4:] + b"abc", id="a length that is not aligned"),
    ],
)
def test_what_asks_for_nothing_gets_nothing(data: bytes) -> None:
    assert stun.is_stun(data)
    assert stun.answer(data, "192.0.2.1", 5060) is None


@pytest.mark.parametrize(
    "data", [b"OPTIONS sip:a@b SIP/2.0\r\n", b"\r\n\r\n", b"\x00\x01\x00\x00", REQUEST[:4] + bytes(16)]
)
def test_sip_is_not_taken_for_stun(data: bytes) -> None:
    assert not stun.is_stun(data)

"""Flow tokens (RFC 5626 §5.2): what goes in comes out, for this dialog, towards the other side, and for nobody else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipgw.core.flow_token import MAX_KEPT, FlowTokens, Side, checksum, mark_of, read_side, write_side
from sipgw.events import Flow, Hop
from sipgw.message import parse_uri

TOKENS = FlowTokens(b"0123456789abcdef")
CONNECTION = Flow("TCP", "198.51.100.7", 42002, None, 0xABC)

SIDES = [
    (CONNECTION, "", Side(cid=0xABC)),
    (Flow("TLS", "2001:db8::7", 1, None, 1 << 60), "", Side(cid=1 << 60)),
    (Flow("UDP", "198.51.100.7", 5060, None), "", Side(0, "UDP", "198.51.100.7", 5060, datagram=True)),
    (Flow("UDP", "2001:db8::7", 65535, None), "", Side(0, "UDP", "2001:db8::7", 65535, datagram=True)),
    (Flow("UDP", "fe80::1%eth0", 5060, None), "", Side(0, "UDP", "fe80::1", 5060, datagram=True)),
    (Hop("UDP", "192.0.2.51", 5060), "", Side(0, "UDP", "192.0.2.51", 5060)),
    (Hop("TCP", "192.0.2.51", 5041), "pc.test", Side(0, "TCP", "192.0.2.51", 5041, checksum("PC.test"))),
    (Hop("TLS", "2001:db8::51", 5061, "pc.test"), "pc.test", Side(0, "TLS", "2001:db8::51", 5061, checksum("pc.test"))),
]


@pytest.mark.parametrize(("to", "pool", "side"), SIDES)
def test_a_side_comes_back(to: Flow | Hop, pool: str, side: Side) -> None:
    assert read_side(write_side(to, pool)) == side


@pytest.mark.parametrize("text", ["", "x", "c", "cxyz", "u", "u123", "Z7f0000011388", "T7f000001", "uzz00000113c4"])
def test_what_is_no_side(text: str) -> None:
    with pytest.raises(ValueError):
        read_side(text)


def token(call_id: str = "call", tag: str = "a") -> str:
    return TOKENS.make(call_id, tag, write_side(CONNECTION), write_side(Hop("TCP", "192.0.2.51", 5041)))


def test_the_tags_tell_the_direction() -> None:
    towards_callee = TOKENS.towards(token(), "call", "a", "b")
    towards_caller = TOKENS.towards(token(), "call", "b", "a")
    assert towards_callee == Side(0, "TCP", "192.0.2.51", 5041)
    assert towards_caller == Side(cid=0xABC)


def test_an_unknown_side_is_told_apart() -> None:
    made = TOKENS.make("call", "a", "0", write_side(CONNECTION))
    assert TOKENS.towards(made, "call", "b", "a") == Side()


@pytest.mark.parametrize(
    ("call_id", "from_tag", "to_tag"), [("other", "a", "b"), ("call", "x", "y"), ("call", "", ""), ("", "a", "b")]
)
def test_another_dialogs_token(call_id: str, from_tag: str, to_tag: str) -> None:
    with pytest.raises(ValueError):
        TOKENS.towards(token(), call_id, from_tag, to_tag)


def test_another_key() -> None:
    with pytest.raises(ValueError):
        FlowTokens(b"another key, 16+").towards(token(), "call", "a", "b")


def test_the_same_key_after_a_restart() -> None:
    assert FlowTokens(b"0123456789abcdef").towards(token(), "call", "a", "b") is not None


def test_every_character_counts() -> None:
    made = token()
    for at in range(len(made)):
        for other in ("0", "1", "z", "."):
            if other != made[at]:
                forged = made[:at] + other + made[at + 1 :]
                with pytest.raises(ValueError):
                    TOKENS.towards(forged, "call", "a", "b")


@pytest.mark.parametrize(
    "text", ["", ".", "..", "...", "a.b.c.d", token() + ".x", token()[:-1], token()[1:], "\xe4.\xff"]
)
def test_other_text(text: str) -> None:
    with pytest.raises(ValueError):
        TOKENS.towards(text, "call", "a", "b")


def test_a_token_stands_in_a_uri() -> None:
    uri = parse_uri(f"sip:{token()}@192.0.2.1:5060;lr")
    assert uri.user == token()
    assert token().replace(".", "").isalnum()


def test_marks() -> None:
    assert mark_of("call", "a") != mark_of("call", "b")
    assert len(mark_of("\xe4\u0142", "a")) == 8


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_refused(text: str) -> None:
    text = text.encode("latin-1", "replace").decode("latin-1")
    with pytest.raises(ValueError):
        TOKENS.towards(text, "call", "a", "b")


@settings(max_examples=100, deadline=None)
@given(
    st.ip_addresses(), st.integers(1, 65535), st.sampled_from(["UDP", "TCP", "TLS"]), st.sampled_from(["", "pc.test"])
)
def test_any_address_comes_back(address: object, port: int, transport: str, pool: str) -> None:
    side = read_side(write_side(Hop(transport, str(address), port), pool))
    assert (side.transport, side.port, side.pool) == (transport, port, checksum(pool) if pool else 0)
    assert side.host == str(address)


def test_what_was_proved_is_bounded_and_proved_anew_when_forgotten() -> None:
    tokens = FlowTokens(b"0123456789abcdef")
    sides = write_side(CONNECTION), write_side(Hop("TCP", "192.0.2.51", 5041))
    made = [tokens.make(f"call-{number}", "a", *sides) for number in range(MAX_KEPT + 10)]
    for number, one in enumerate(made):
        assert tokens.towards(one, f"call-{number}", "a", "b").host == "192.0.2.51"
    assert len(tokens._proved) <= MAX_KEPT
    assert tokens.towards(made[0], "call-0", "a", "b").host == "192.0.2.51"
    with pytest.raises(ValueError):
        tokens.towards(made[0], "call-1", "a", "b")

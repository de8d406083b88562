"""The torture messages are byte for byte what the RFCs hold."""

import pytest

from tests.torture.messages import DATA, MESSAGES, RFC_OF, RFCS, digest, encode, find_vectors, read_sums

SUMS = {name: value for rfc in RFCS for name, value in read_sums(DATA / rfc / "SHA256SUMS").items()}
VECTORS = find_vectors()

# What the circulating copies of these have for a Content-Length; it fits neither their bodies nor (the first) the RFC.
COPIES_SAY = {"ipv6-in-sdp": b"241", "mult-ip-in-sdp": b"181", "ipv4-mapped-ipv6": b"236"}


def test_all_are_there() -> None:
    assert [sum(RFC_OF[name] == rfc for name in MESSAGES) for rfc in RFCS] == [49, 12]
    assert {f"{RFC_OF[name]}/{name}" for name in MESSAGES} == SUMS.keys()


@pytest.mark.parametrize("name", MESSAGES)
def test_digest(name: str) -> None:
    assert digest(MESSAGES[name]) == SUMS[f"{RFC_OF[name]}/{name}"]


if VECTORS is not None:
    REFERENCE = read_sums(VECTORS / "SHA256SUMS")

    @pytest.mark.parametrize("name", MESSAGES)
    def test_independent_copies_agree(name: str) -> None:
        assert digest(as_copied(name)) == REFERENCE[f"{RFC_OF[name]}/{name}"]


def as_copied(name: str) -> bytes:
    data = MESSAGES[name]
    if name not in COPIES_SAY:
        return data
    fitting = b"Content-Length: %d\r\n" % len(body(data))
    assert data.count(fitting) == 1
    return data.replace(fitting, b"Content-Length: " + COPIES_SAY[name] + b"\r\n")


def body(data: bytes) -> bytes:
    return data.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("name", COPIES_SAY)
def test_lengths_that_were_put_right(name: str) -> None:
    """In the data the number is that of the body's octets."""
    assert b"Content-Length: %d\r\n" % len(body(MESSAGES[name])) in MESSAGES[name]


def test_the_notation() -> None:
    assert encode("a«2 x xy»b\n") == b"axyxyb\r\n"
    assert encode("a«join»\nb«hex 00 FF»\nя«end»\n") == b"ab\x00\xff\r\n\xd1\x8f"
    with pytest.raises(AssertionError):
        encode("«hex 0»\n«no»\n")

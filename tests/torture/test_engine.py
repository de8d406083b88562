"""Every message of RFC 4475 and RFC 5118 through the whole engine, over UDP and over TCP."""

import pytest

from sipgw.message import Request, parse_message, parse_via
from sipgw.message.parser import salvage
from tests.torture.expectations import EXPECTED, FORWARDED
from tests.torture.messages import MESSAGES
from tests.torture.world import CALLEE, TortureWorld

COPIED = ("via", "from", "to", "call-id", "cseq")


def test_every_message_is_expected() -> None:
    assert EXPECTED.keys() == MESSAGES.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_over_udp(name: str) -> None:
    world = TortureWorld()
    world.datagram(MESSAGES[name])
    assert world.outcome() == EXPECTED[name].udp
    world.finish()


@pytest.mark.parametrize("name", EXPECTED)
def test_over_tcp(name: str) -> None:
    world = TortureWorld()
    then = world.stream(MESSAGES[name])
    assert (world.outcome(), then) == (EXPECTED[name].by("TCP"), EXPECTED[name].then)
    world.finish()


@pytest.mark.parametrize("name", [name for name, owed in EXPECTED.items() if owed.stranger])
def test_from_a_stranger(name: str) -> None:
    """Only routing decides about what was accepted: who may not relay is told so."""
    world = TortureWorld(trusted=False)
    world.datagram(MESSAGES[name])
    assert world.outcome() == EXPECTED[name].stranger
    world.finish()


@pytest.mark.parametrize("name", [name for name, owed in EXPECTED.items() if owed.udp == FORWARDED])
def test_what_is_forwarded_is_as_it_came(name: str) -> None:
    """Every header line, whatever its spelling, and the body; but for what a proxy changes (§16.6)."""
    world = TortureWorld()
    world.datagram(MESSAGES[name])
    copy = world.forwarded()
    original = parse_message(MESSAGES[name])
    assert isinstance(original, Request)
    assert copy.method == original.method
    assert copy.body == original.body
    assert untouched(original) == untouched(copy)
    assert copy.values("via")[2:] == original.values("via")[1:]


def untouched(request: Request) -> list[str]:
    """The lines that a proxy has no business with."""
    changed = ("via", "route", "record-route", "max-forwards", "max-breadth")
    return [line for line, name in zip(request.lines, request.names, strict=True) if name not in changed]


@pytest.mark.parametrize("name", [name for name, owed in EXPECTED.items() if owed.counter])
def test_what_is_dropped_is_counted(name: str) -> None:
    world = TortureWorld()
    before = world.engine.counters.copy()
    world.datagram(MESSAGES[name])
    assert (world.engine.counters - before)[EXPECTED[name].counter] == 1


@pytest.mark.parametrize("name", [name for name, owed in EXPECTED.items() if owed.udp in ("400", "505", "483", "416")])
def test_a_refusal_says_why(name: str) -> None:
    world = TortureWorld()
    world.datagram(MESSAGES[name])
    answer = world.answer()
    assert (answer.first("warning") or "").startswith("399 ")
    assert answer.via.param("received") == "198.51.100.7"
    assert answer.first("cseq") == parse_refused(name).first("cseq")


def parse_refused(name: str) -> Request:
    request = salvage(MESSAGES[name])
    assert request is not None
    return request


# what single messages are about


def forwarded(name: str) -> Request:
    world = TortureWorld()
    world.datagram(MESSAGES[name])
    return world.forwarded()


def test_wsinv() -> None:
    """Leading zeros, folds and odd spacing are understood where we have to."""
    copy = forwarded("wsinv")
    assert copy.first("max-forwards") == "67"
    assert copy.cseq == (9, "INVITE")
    assert (copy.from_tag, copy.to_tag) == ("98asjd8", "1918181833n")
    assert [parse_via(value).branch for value in copy.values("via")[2:]] == ["z9hG4bK9ikj8", "z9hG4bK30239"]
    assert "route" not in copy.index, "it was ours"


def test_mpart01() -> None:
    """§16.6 item 6: a next hop without lr is the Request-URI, and the real one goes last."""
    copy = forwarded("mpart01")
    assert copy.uri == "sip:127.0.0.1:5080"
    assert copy.values("route") == ["<sip:kumiko@example.org>"]


def test_three_colons_lead_to_the_same_address() -> None:
    addresses = []
    for name in ("ipv6-bug-abnf-3-colons", "ipv6-correct-abnf-2-colons"):
        world = TortureWorld()
        world.datagram(MESSAGES[name])
        addresses += [send.to.host for send, read in world.sent if isinstance(read, Request)]
    assert addresses == ["2001:db8::192.0.2.1"] * 2


@pytest.mark.parametrize(
    ("name", "host", "port"),
    [("port-ambiguous", "2001:db8::10:5070", 5060), ("port-unambiguous", "2001:db8::10", 5070)],
)
def test_where_the_port_stands(name: str, host: str, port: int) -> None:
    world = TortureWorld()
    world.datagram(MESSAGES[name])
    (to,) = [send.to for send, read in world.sent if isinstance(read, Request)]
    assert (to.host, to.port) == (host, port)


@pytest.mark.parametrize(
    ("name", "contacts"),
    [
        ("escnull", ["<sip:%00@host5.example.com>", "<sip:%00%00@host5.example.com>"]),
        ("cparam01", ["<sip:+19725552222@gw1.example.net>"]),
        ("cparam02", ["<sip:+19725552222@gw1.example.net;unknownparam>"]),
        ("regaut01", []),
    ],
)
def test_what_is_registered(name: str, contacts: list[str]) -> None:
    world = TortureWorld()
    world.datagram(MESSAGES[name])
    assert [value.partition(";expires")[0] for value in world.answer().values("contact")] == contacts


def test_bext01() -> None:
    world = TortureWorld()
    world.datagram(MESSAGES["bext01"])
    assert world.answer().first("unsupported") == "noProxiesSupportThis, norDoAnyProxiesSupportThis"


def test_a_reason_phrase_in_any_language_reaches_the_caller() -> None:
    """unreason and noreason answer nothing here; this is what their start lines are to somebody who waits for them."""
    for name in ("unreason", "noreason"):
        world = TortureWorld()
        world.datagram(MESSAGES["sdp01"])
        request = world.forwarded()
        start = MESSAGES[name].partition(b"\r\n")[0].replace(b"100", b"180")
        lines = [line for line, kind in zip(request.lines, request.names, strict=True) if kind in COPIED]
        world.datagram(b"\r\n".join([start, *[line.encode("latin-1") for line in lines], b"", b""]), CALLEE)
        assert world.answer().start.encode("latin-1") == start


def test_insuf_and_badvers_are_answered_with_what_they_have() -> None:
    for name, absent in (("insuf", ("call-id", "from", "to")), ("badvers", ())):
        world = TortureWorld()
        world.datagram(MESSAGES[name])
        answer = world.answer()
        assert not answer.index.keys() & set(absent)
        assert answer.via.branch == ("z9hG4bKkdj.insuf" if name == "insuf" else "z9hG4bKkdjuw")

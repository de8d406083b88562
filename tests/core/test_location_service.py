"""The location service: bindings by AOR, order, expiry, connections, GRUUs, bounds."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipgw.core import location
from sipgw.core.gruu import microsoft_gruu, public_gruu
from sipgw.core.location import ROW, Binding, LocationService
from sipgw.events import Flow
from sipgw.message import SipUri, parse_uri

AOR = "alice@example.test"


def binding(
    contact: str = "sip:alice@a", expires_at: float = 100.0, flow: Flow | None = None, **changes: Any
) -> Binding:
    row: dict[str, Any] = dict.fromkeys(ROW, "")
    row |= {"aor": AOR, "contact": contact, "reg_id": 0, "q": 1.0, "expires_at": expires_at, "cseq": 1, "since": 1}
    row |= changes
    return Binding(row.values(), flow)


def service(*bindings: Binding, most: int = 1000) -> LocationService:
    made = LocationService(most)
    for one in bindings:
        made.add(one)
    return made


def test_rows_come_back() -> None:
    row = ("a@b", "sip:c", "urn:x", 2, "e", 0.5, 7.0, "call", 3, "<sip:p>", "udp:1.2.3.4:5060", "agent", 2)
    assert Binding(row).row() == row
    assert len(row) == len(ROW)


def test_order_is_q_then_the_most_recent() -> None:
    low, old, new = binding("sip:low", q=0.1), binding("sip:old", 100), binding("sip:new", 200)
    assert service(low, old, new).bindings(AOR, 0) == [new, old, low]


def test_what_has_expired_is_not_found() -> None:
    held = service(binding(expires_at=100))
    assert len(held.bindings(AOR, 99.9)) == 1
    assert held.bindings(AOR, 100) == []
    assert held.bindings("bob@example.test", 0) == []


def test_expire_removes_and_tells() -> None:
    first, second = binding("sip:1", 100), binding("sip:2", 200)
    held = service(first, second)
    assert held.next_expiry() == 100
    assert held.expire(99) == []
    assert held.expire(100) == [first]
    assert held.count == 1
    assert held.next_expiry() == 200
    assert held.expire(500) == [second]
    assert held.next_expiry() is None
    assert list(held) == []


def test_removing_twice_counts_once() -> None:
    one = binding()
    held = service(one)
    held.remove(one)
    held.remove(one)
    assert held.count == 0
    assert held.expire(1000) == []


def test_removed_and_added_again_expires_once() -> None:
    """As when a change is taken back."""
    one = binding()
    held = service(one)
    held.remove(one)
    one.expires_at = 100
    held.add(one)
    assert held.expire(100) == [one]
    assert held.count == 0


def test_users_are_remembered_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(location, "MAX_REMEMBERED", 2)
    held = service()
    assert not held.known(AOR)
    for number in range(3):
        one = binding(aor=f"u{number}@x")
        held.add(one)
        assert held.known(f"u{number}@x")
        held.remove(one)
    assert [held.known(f"u{number}@x") for number in range(3)] == [False, True, True]
    back = binding(aor="u1@x")
    held.add(back)
    assert held.known("u1@x")


def test_the_bound() -> None:
    held = service(binding(), most=2)
    assert held.has_room(1)
    assert not held.has_room(2)
    held.add(binding("sip:other"))
    assert held.has_room(0)
    assert not held.has_room(1)


def test_a_lost_connection_leaves_the_binding() -> None:
    flow = Flow("TCP", "198.51.100.7", 1, None, 5)
    one, two = binding("sip:1", flow=flow), binding("sip:2", flow=flow)
    held = service(one, two, binding("sip:3"))
    held.remove(two)
    held.connection_lost(5)
    assert one.flow is None
    assert held.count == 2
    held.connection_lost(5)
    held.connection_lost(6)


@pytest.mark.parametrize(
    ("received", "source"),
    [
        ("udp:1.2.3.4:5060", ("UDP", "1.2.3.4", 5060)),
        ("tls:[::1]:40000", ("TLS", "::1", 40000)),
        ("tcp:[fe80::1%eth0]:1", ("TCP", "fe80::1%eth0", 1)),
    ],
)
def test_the_source_of_a_registration(received: str, source: tuple[str, str, int]) -> None:
    assert binding(received=received).source == source


def test_a_public_or_microsofts_gruu_finds_its_endpoint() -> None:
    one, two = binding("sip:1", instance="urn:uuid:1"), binding("sip:2", epid="e2")
    held = service(one, two, binding("sip:3"))
    for wanted, gruu in (
        (one, microsoft_gruu(AOR, "urn:uuid:1")),
        (one, public_gruu(AOR, "urn:uuid:1")),
        (one, public_gruu(AOR, "urn:uuid:1").upper().replace("SIP:ALICE", "sip:alice")),
        (two, microsoft_gruu(AOR, "e2")),
    ):
        uri = parse_uri(gruu)
        assert held.by_gruu(uri, 0) == [wanted]
        assert held.by_gruu(uri, 100) == []
        assert held.by_gruu(parse_uri(gruu.replace("alice", "bob")), 0) == []

    assert held.by_gruu(parse_uri(public_gruu(AOR, "urn:uuid:2")), 0) == []
    assert held.by_gruu(parse_uri(microsoft_gruu(AOR, "e3")), 0) == []


def test_a_gruu_leads_to_where_the_endpoint_was_last_heard_of_or_to_all_its_flows() -> None:
    old, new = binding("sip:1", 100, instance="i"), binding("sip:2", 200, instance="i", q=0.5)
    flows = [binding("sip:3", 100, instance="j", reg_id=number) for number in (1, 2)]
    held = service(old, new, *flows)
    assert held.by_gruu(parse_uri(public_gruu(AOR, "i")), 0) == [new]
    assert held.by_gruu(parse_uri(public_gruu(AOR, "j")), 0) == flows


def temporary(held: LocationService, one: Binding, nonce: int = 1) -> SipUri:
    return parse_uri(held.temporary_gruu(one, f"{nonce:012x}"))


def test_a_temporary_gruu_tells_nothing_and_finds_its_endpoint() -> None:
    one, two = binding("sip:1", instance="urn:uuid:1"), binding("sip:2", instance="urn:uuid:2")
    held = service(one, two)
    first, second = temporary(held, one, 1), temporary(held, one, 2)
    assert first.text != second.text
    assert "alice" not in first.text
    assert first.params == {"gr": None}
    assert held.by_gruu(first, 0) == held.by_gruu(second, 0) == [one]
    assert held.by_gruu(temporary(held, two), 0) == [two]
    assert held.by_gruu(first, 100) == []


def test_a_temporary_gruu_dies_with_its_registration() -> None:
    one = binding(instance="i", call_id="c", since=1)
    held = service(one)
    gruu = temporary(held, one)
    held.remove(one)
    assert held.by_gruu(gruu, 0) == []
    for contact, call_id, since, found in (("sip:1", "c", 7, False), ("sip:1", "d", 1, False), ("sip:2", "c", 1, True)):
        again = binding(contact, instance="i", call_id=call_id, since=since)
        held.add(again)
        assert (held.by_gruu(gruu, 0) == [again]) is found
        held.remove(again)
    assert held._by_handle == {}


def test_a_temporary_gruu_survives_a_restart_and_no_change_of_the_secret() -> None:
    one = binding(instance="i")
    gruu = temporary(service(one), one)
    assert service(binding(instance="i")).by_gruu(gruu, 0)
    other = LocationService(secret=b"another")
    other.add(binding(instance="i"))
    assert other.by_gruu(gruu, 0) == []


@given(st.integers(0, 51), st.sampled_from("0123456789abcdef"))
def test_a_temporary_gruu_cannot_be_made_up(at: int, digit: str) -> None:
    one = binding(instance="i")
    held = service(one)
    user, host = temporary(held, one).text.split("@")
    at += len("sip:tgruu.")
    forged = f"{user[:at]}{digit}{user[at + 1 :]}@{host}"
    assert bool(held.by_gruu(parse_uri(forged), 0)) is (forged == f"{user}@{host}")


@pytest.mark.parametrize("user", ["tgruu.", "tgruu.00", "tgruu.zz", "alice", "tgruu." + "0" * 52, "tgruu." + "0" * 400])
def test_what_is_no_temporary_gruu(user: str) -> None:
    assert service(binding(instance="i")).by_gruu(parse_uri(f"sip:{user}@example.test;gr"), 0) == []


def test_users_with_odd_characters_have_gruus_that_are_uris() -> None:
    """An address-of-record has its escapes undone; in a header they have to be there again."""
    aor = parse_uri("sip:a%0d%0ax%22%3c@example.test").aor
    for gruu in (microsoft_gruu(aor, "i"), public_gruu(aor, 'i"\r\n;x')):
        assert parse_uri(gruu).aor == aor


def test_refreshes_do_not_pile_up() -> None:
    held = service()
    for number in range(1000):
        one = binding(expires_at=1000.0 + number)
        held.add(one)
        if number < 999:
            held.remove(one)
    assert held.count == 1
    assert len(held._expiry) < 100

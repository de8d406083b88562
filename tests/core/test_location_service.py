"""The location service: bindings by AOR, order, expiry, connections, GRUUs, bounds."""

from typing import Any

import pytest

from sipgw.core import location
from sipgw.core.location import ROW, Binding, LocationService, gruu_of
from sipgw.events import Flow
from sipgw.message import parse_uri

AOR = "alice@example.test"


def binding(
    contact: str = "sip:alice@a", expires_at: float = 100.0, flow: Flow | None = None, **changes: Any
) -> Binding:
    row: dict[str, Any] = dict.fromkeys(ROW, "")
    row |= {"aor": AOR, "contact": contact, "reg_id": 0, "q": 1.0, "expires_at": expires_at, "cseq": 1} | changes
    return Binding(row.values(), flow)


def service(*bindings: Binding, most: int = 1000) -> LocationService:
    made = LocationService(most)
    for one in bindings:
        made.add(one)
    return made


def test_rows_come_back() -> None:
    row = ("a@b", "sip:c", "urn:x", 2, "e", 0.5, 7.0, "call", 3, "<sip:p>", "udp:1.2.3.4:5060", "agent")
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
    assert not held.full
    held.add(binding("sip:other"))
    assert held.full


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


def test_gruus() -> None:
    gruu = gruu_of(AOR, "urn:uuid:1")
    uri = parse_uri(gruu)
    assert uri.aor == AOR
    assert "gruu" in uri.params
    assert gruu == gruu_of(AOR, "urn:uuid:1")
    assert gruu != gruu_of(AOR, "urn:uuid:2") != gruu_of("bob@example.test", "urn:uuid:2")


def test_by_gruu() -> None:
    one, two = binding("sip:1", instance="urn:uuid:1"), binding("sip:2", epid="e2")
    held = service(one, two, binding("sip:3"))
    for wanted in (one, two):
        opaque = parse_uri(gruu_of(AOR, wanted.identity)).params["opaque"]
        assert opaque
        assert held.by_gruu(AOR, opaque, 0) is wanted
        assert held.by_gruu(AOR, opaque[:-1], 0) is None
        assert held.by_gruu("bob@example.test", opaque, 0) is None
        assert held.by_gruu(AOR, opaque, 100) is None


def test_refreshes_do_not_pile_up() -> None:
    held = service()
    for number in range(1000):
        one = binding(expires_at=1000.0 + number)
        held.add(one)
        if number < 999:
            held.remove(one)
    assert held.count == 1
    assert len(held._expiry) < 100

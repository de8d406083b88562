"""RFC 2782: priority, weight by lot; RFC 8305 §4: families in turn."""

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from sipgw.locating import Located
from sipgw.locating.result import Service, by_lot, interleaved


def service(name: str, priority: int = 0, weight: int = 0, rank: int = 0) -> Service:
    return Service(rank, priority, weight, "TCP", name, 5060, ((f"address of {name}",),))


def firsts(services: list[Service], times: int) -> Counter[str]:
    random = Random(7)
    return Counter(next(by_lot(services, random)).host for _ in range(times))


def test_the_share_of_first_places_is_that_of_the_weights() -> None:
    found = firsts([service("a", weight=10), service("b", weight=30), service("c", weight=60)], 10_000)
    assert 850 < found["a"] < 1150
    assert 2800 < found["b"] < 3200
    assert 5750 < found["c"] < 6250


def test_weight_0_beside_others_has_a_small_chance() -> None:
    found = firsts([service("a", weight=0), service("b", weight=99)], 10_000)
    assert 50 < found["a"] < 170


def test_equal_weights_of_0_share_alike() -> None:
    found = firsts([service(name) for name in "abcd"], 10_000)
    assert all(2300 < found[name] < 2700 for name in "abcd")


def test_the_rest_follows_by_weight_too() -> None:
    random, seconds = Random(7), Counter[str]()
    services = [service("a", weight=1), service("b", weight=10), service("c", weight=1000)]
    for _ in range(5000):
        order = [one.host for one in by_lot(services, random)]
        seconds[order[1]] += order[0] == "c"
    assert seconds["b"] > 5 * seconds["a"] > 0


def test_priority_goes_before_weight_and_rank_before_priority() -> None:
    services = (service("a", 1, 0), service("b", 2, 65_535), service("c", 0, 65_535, rank=1))
    located = Located(services, "contoso.com")
    for seed in range(20):
        order = [one.address for one in located.order(Random(seed))]
        assert order == ["address of a", "address of b", "address of c"]


def test_a_server_that_is_named_twice_is_tried_once() -> None:
    twice = service("a", 1)._replace(families=(("192.0.2.1",),)), service("b", 2)._replace(families=(("192.0.2.1",),))
    assert [one.address for one in Located(twice, "").order(Random(1))] == ["192.0.2.1"]


def test_interleaved() -> None:
    assert list(interleaved([["6a", "6b", "6c"], ["4a"]])) == ["6a", "4a", "6b", "6c"]
    assert list(interleaved([[], ["4a", "4b"]])) == ["4a", "4b"]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 65_535)), min_size=1, max_size=12), st.integers(0, 99))
def test_every_server_comes_once_in_order_of_priority(records: list[tuple[int, int]], seed: int) -> None:
    services = sorted(
        (service(f"s{at}", priority, weight) for at, (priority, weight) in enumerate(records)),
        key=lambda one: one.priority,
    )
    priority = {f"address of {one.host}": one.priority for one in services}
    order = [one.address for one in Located(tuple(services), "").order(Random(seed))]
    assert sorted(order) == sorted(priority)
    assert [priority[one] for one in order] == sorted(priority.values())

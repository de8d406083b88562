"""How long an answer counts, and what happens at the bounds of the cache."""

import pytest

from sipgw.locating import Answer, CacheLimits, Question
from sipgw.locating.cache import Cache
from sipgw.locating.records import NO_NAME, NO_RECORDS, SERVER_FAILURE, TIMEOUT

POOL = Question("pcpool.contoso.com", "A")
LIMITS = CacheLimits(shortest=5, longest=100, longest_negative=50, first_retry=2, longest_retry=10, stale=20, kept=1000)


def positive(ttl: float, address: str = "192.0.2.1") -> Answer:
    return Answer(POOL, addresses=(address,), ttl=ttl)


def failure(kind: str) -> Answer:
    return Answer(POOL, failure=kind)


def state(cache: Cache, now: float) -> str:
    known = cache.look(POOL, now)
    return "unknown" if known is None else "fresh" if known.fresh else "stale"


@pytest.mark.parametrize(("ttl", "lasts"), [(60, 60), (0, 5), (86_400, 100)])
def test_the_ttl_counts_between_its_bounds(ttl: float, lasts: float) -> None:
    cache = Cache(LIMITS)
    cache.store(positive(ttl), 0)
    assert state(cache, lasts - 0.1) == "fresh"
    assert state(cache, lasts) == "stale"
    assert state(cache, lasts + 19.9) == "stale"
    assert state(cache, lasts + 20) == "unknown"


@pytest.mark.parametrize("kind", [NO_NAME, NO_RECORDS])
@pytest.mark.parametrize(("ttl", "lasts"), [(30, 30), (0, 5), (3600, 50)])
def test_a_negative_answer_counts_as_the_zone_says_but_not_for_long(kind: str, ttl: float, lasts: float) -> None:
    cache = Cache(LIMITS)
    cache.store(Answer(POOL, ttl=ttl, failure=kind), 0)
    assert state(cache, lasts - 0.1) == "fresh"
    assert state(cache, lasts) == "stale"


def test_after_failures_the_pauses_grow() -> None:
    cache, now, pauses = Cache(LIMITS), 0.0, []
    for _ in range(5):
        cache.store(failure(TIMEOUT), now)
        known = cache.look(POOL, now)
        assert known is not None
        pauses.append(known.until - now)
        now = known.until
    assert pauses == [2, 4, 8, 10, 10]
    cache.store(positive(60), now)
    now += 2000
    cache.store(failure(TIMEOUT), now)
    known = cache.look(POOL, now)
    assert known is not None
    assert known.until == now + 2, "an answer starts the count anew"


@pytest.mark.parametrize("kind", [SERVER_FAILURE, TIMEOUT])
def test_a_failure_leaves_what_is_known(kind: str) -> None:
    cache = Cache(LIMITS)
    cache.store(positive(60), 0)
    assert not cache.store(failure(kind), 70)
    known = cache.look(POOL, 70)
    assert known is not None
    assert (known.answer.addresses, known.fresh, known.until) == (("192.0.2.1",), True, 72)
    assert state(cache, 72) == "stale"


def test_what_is_known_comes_back_when_asking_fails_long_after() -> None:
    cache = Cache(LIMITS)
    cache.store(positive(60), 0)
    assert state(cache, 500) == "unknown"
    assert not cache.store(failure(TIMEOUT), 500)
    assert state(cache, 500) == "fresh"


def test_what_is_known_is_given_up_in_the_end() -> None:
    cache = Cache(LIMITS)
    cache.store(positive(60), 0)
    cache.store(failure(TIMEOUT), 1059)
    assert state(cache, 1059.9) == "fresh"
    assert state(cache, 1060) == "unknown"
    assert cache.store(failure(TIMEOUT), 1060)
    known = cache.look(POOL, 1060)
    assert known is not None
    assert known.answer.failure == TIMEOUT


@pytest.mark.parametrize("kind", [NO_NAME, NO_RECORDS])
def test_a_record_that_is_gone_is_gone(kind: str) -> None:
    cache = Cache(LIMITS)
    cache.store(positive(60), 0)
    assert cache.store(Answer(POOL, ttl=30, failure=kind), 70)
    known = cache.look(POOL, 70)
    assert known is not None
    assert known.answer.failure == kind


def test_the_answer_used_least_lately_goes() -> None:
    cache = Cache(CacheLimits(size=3))
    names = [Question(f"s{number}.contoso.com", "A") for number in range(4)]
    for question in names[:3]:
        cache.store(Answer(question, addresses=("192.0.2.1",), ttl=60), 0)
    assert cache.look(names[0], 1) is not None
    cache.store(Answer(names[3], addresses=("192.0.2.1",), ttl=60), 1)
    assert [cache.look(question, 1) is not None for question in names] == [True, False, True, True]
    assert (len(cache), cache.evicted) == (3, 1)


def test_a_newer_answer_to_the_same_question_evicts_nobody() -> None:
    cache = Cache(CacheLimits(size=1))
    for number in range(5):
        cache.store(positive(60, f"192.0.2.{number}"), number)
    assert (len(cache), cache.evicted) == (1, 0)
    known = cache.look(POOL, 5)
    assert known is not None
    assert known.answer.addresses == ("192.0.2.4",)

"""Asking once, waiting, renewing, and what happens when name servers fail."""

import pytest

from sipgw.locating import Answer, CacheLimits, Located, NotLocated, Question, Reach, of_pool, of_server
from sipgw.locating.locator import MAX_ASKED, MAX_DESTINATIONS
from sipgw.locating.records import NO_NAME, SERVER_FAILURE, TIMEOUT
from sipgw.locating.result import TOO_MUCH
from tests.locating.zone import Client, Zone

POOL = "pcpool.contoso.com"
ONE = of_server("TCP", "pc1.contoso.com", 5041, POOL)
FIRST, SECOND = ["tcp:192.0.2.1:5041"], ["tcp:192.0.2.2:5041"]


def one_server(ttl: float = 60.0) -> Client:
    return Client(Zone(ttl).a("pc1.contoso.com", "192.0.2.1"), Reach(families=("A",)))


def order(client: Client, found: Located | NotLocated | None) -> list[str]:
    assert isinstance(found, Located), found
    return [f"tcp:{one.address}:{one.port}" for one in found.order(client.random)]


def now_at(client: Client, address: str) -> None:
    client.zone.forget("pc1.contoso.com")
    client.zone.a("pc1.contoso.com", address)


def test_a_fresh_answer_asks_nothing() -> None:
    client = one_server()
    assert client.servers(ONE) == FIRST
    client.now += 59
    assert client.servers(ONE) == FIRST
    assert len(client.zone.asked) == 1


def test_another_reach_counts_at_once() -> None:
    """As after a reload: what was found by the one before is not kept until its time is up."""
    zone = Zone().a(POOL, "192.0.2.1").srv(f"_sips._tcp.{POOL}", (0, 0, 5041, POOL))
    client = Client(zone.srv(f"_sip._tcp.{POOL}", (0, 0, 5060, POOL)), Reach(("TCP",), ("A",)))
    assert client.servers(of_pool(POOL)) == ["tcp:192.0.2.1:5060"]
    client.locator.use(Reach(("TLS", "TCP"), ("A",)))
    assert client.servers(of_pool(POOL)) == ["tls:192.0.2.1:5041", "tcp:192.0.2.1:5060"]


def test_one_question_is_out_at_any_time() -> None:
    client = one_server()
    locator, tls = client.locator, of_server("TLS", "pc1.contoso.com", 5061, POOL)
    assert [locator.find(one, client.now) for one in (ONE, ONE, tls)] == [None, None, None]
    assert locator.take_questions() == [Question("pc1.contoso.com", "A")]
    assert locator.find(ONE, client.now) is None
    assert locator.take_questions() == []
    answer = client.zone.answer(Question("pc1.contoso.com", "A"))
    assert locator.answered(answer, client.now) == [ONE, tls]
    assert order(client, locator.find(ONE, client.now)) == FIRST
    assert locator.under_way == 0


def test_who_waits_is_told_when_all_is_there() -> None:
    client = Client(Zone().a(POOL, "192.0.2.1"))
    locator = client.locator
    assert locator.find(of_pool(POOL), client.now) is None
    for last_round in (False, True):
        *earlier, last = locator.take_questions()
        assert [locator.answered(client.zone.answer(one), client.now) for one in earlier] == [[] for _ in earlier]
        assert locator.answered(client.zone.answer(last), client.now) == ([of_pool(POOL)] if last_round else [])


def test_an_answer_that_nobody_asked_for_is_nothing() -> None:
    client = one_server()
    spoofed = Answer(Question("pc1.contoso.com", "A"), addresses=("203.0.113.66",), ttl=9999)
    assert client.locator.answered(spoofed, client.now) == []
    assert client.servers(ONE) == FIRST


def test_a_stale_answer_serves_while_one_newer_is_asked_for() -> None:
    client = one_server()
    client.servers(ONE)
    now_at(client, "192.0.2.2")
    client.now += 61
    locator = client.locator
    assert order(client, locator.find(ONE, client.now)) == FIRST
    assert locator.take_questions() == [Question("pc1.contoso.com", "A")]
    client.now += 3  # the name server is slow
    assert order(client, locator.find(ONE, client.now)) == FIRST
    assert locator.take_questions() == [], "one is under way"
    assert locator.answered(client.zone.answer(Question("pc1.contoso.com", "A")), client.now) == [], "nobody waited"
    assert order(client, locator.find(ONE, client.now)) == SECOND


def test_after_a_long_pause_the_old_answer_is_not_trusted() -> None:
    client = one_server()
    client.servers(ONE)
    now_at(client, "192.0.2.2")
    client.now += 60 + 300
    assert client.locator.find(ONE, client.now) is None
    client.answer_all()
    assert client.servers(ONE) == SECOND


@pytest.mark.parametrize("kind", [SERVER_FAILURE, TIMEOUT])
@pytest.mark.parametrize("pause", [61, 3600])
def test_when_the_name_servers_fail_the_old_answer_serves_on(kind: str, pause: float) -> None:
    client = one_server()
    client.servers(ONE)
    client.zone.failures["pc1.contoso.com"] = kind
    client.now += pause
    for _ in range(1000):
        assert client.servers(ONE) == FIRST
        client.now += 10
    assert client.locator.counters["dns_kept_stale"] > 100
    now_at(client, "192.0.2.2")
    client.zone.failures.clear()
    client.now += 31
    client.find(ONE)
    assert client.servers(ONE) == SECOND


def test_when_the_name_servers_fail_for_a_day_it_is_said() -> None:
    client = one_server()
    client.servers(ONE)
    client.zone.failures["pc1.contoso.com"] = TIMEOUT
    client.now += 86_400 + 61
    assert client.failure(ONE).kind == TIMEOUT


def test_a_failure_is_not_asked_about_all_the_time() -> None:
    client = one_server()
    client.zone.failures["pc1.contoso.com"] = TIMEOUT
    for _ in range(60):
        assert client.failure(ONE).kind == TIMEOUT
        client.now += 1
    assert len(client.zone.asked) == 5  # 2, 4, 8, 16 and 30 seconds apart


def test_a_server_that_appears_later_is_found_at_once_when_the_negative_answer_has_passed() -> None:
    """And a caller waits for the new answer rather than being refused for the old one."""
    client = one_server()
    client.zone.forget("pc1.contoso.com")
    assert client.failure(ONE).kind == NO_NAME
    client.zone.a("pc1.contoso.com", "192.0.2.1")
    client.now += 29
    assert client.failure(ONE).kind == NO_NAME
    client.now += 1
    assert client.locator.find(ONE, client.now) is None
    client.answer_all()
    assert client.servers(ONE) == FIRST


def test_a_name_server_that_comes_back_is_noticed_by_the_first_caller_after_the_pause() -> None:
    client = one_server()
    client.zone.failures["pc1.contoso.com"] = TIMEOUT
    assert client.failure(ONE).kind == TIMEOUT
    client.zone.failures.clear()
    client.now += 2
    assert client.servers(ONE) == FIRST


def test_what_fails_beside_what_works_makes_nobody_wait() -> None:
    """A name server that swallows AAAA questions costs the first caller only."""
    client = Client(Zone(3600).a("pc1.contoso.com", "192.0.2.1"))
    client.zone.failures[Question("pc1.contoso.com", "AAAA")] = TIMEOUT
    client.servers(ONE)
    for _ in range(50):
        client.now += 20
        assert order(client, client.locator.find(ONE, client.now)) == FIRST
        client.answer_all()
    assert len(client.zone.asked) > 20, "it is tried again all the same"


def test_each_request_has_its_own_order() -> None:
    addresses = [f"192.0.2.{number}" for number in range(1, 5)]
    client = Client(Zone().a(POOL, *addresses))
    firsts = {client.servers(of_pool(POOL))[0] for _ in range(60)}
    assert firsts == {f"tls:{address}:5041" for address in addresses}
    assert len(client.zone.asked) == 6, "without asking again"


def test_too_many_questions_at_once() -> None:
    client = one_server()
    for number in range(MAX_ASKED):
        assert client.locator.find(of_server("TCP", f"s{number}.test", 5060, ""), client.now) is None
    refused = client.locator.find(ONE, client.now)
    assert isinstance(refused, NotLocated)
    assert (refused.kind, refused.diagnostics) == (TOO_MUCH, 13011)
    assert client.locator.counters["dns_refused"] == 1
    assert client.locator.under_way == len(client.locator.take_questions()) == MAX_ASKED


def test_too_many_destinations_at_once() -> None:
    client = one_server()
    for port in range(1, MAX_DESTINATIONS + 1):
        assert client.locator.find(of_server("TCP", "pc1.contoso.com", port, ""), client.now) is None
    refused = client.locator.find(ONE, client.now)
    assert isinstance(refused, NotLocated)
    assert refused.kind == TOO_MUCH
    client.answer_all()
    client.now += 2
    assert client.servers(ONE) == FIRST


def test_renewals_wait_while_there_is_no_room() -> None:
    client = one_server()
    client.servers(ONE)
    for number in range(MAX_ASKED):
        client.locator.find(of_server("TCP", f"s{number}.test", 5060, ""), client.now)
    client.locator.take_questions()
    client.now += 61
    assert order(client, client.locator.find(ONE, client.now)) == FIRST
    assert client.locator.take_questions() == []


def test_a_cache_that_is_too_small_does_not_ask_for_ever() -> None:
    client = Client(Zone().a(POOL, "192.0.2.1"), limits=CacheLimits(size=2))
    assert client.failure(of_pool(POOL)).kind == TOO_MUCH
    assert len(client.rounds) == 8
    assert client.locator.cache.evicted > 0


def test_results_are_kept_up_to_a_bound() -> None:
    client = one_server()
    for port in range(1, 2 * MAX_DESTINATIONS):
        assert client.servers(of_server("TCP", "pc1.contoso.com", port, "")) == [f"tcp:192.0.2.1:{port}"]
    assert len(client.locator._results) <= MAX_DESTINATIONS
    assert len(client.zone.asked) == 1


def test_what_is_counted() -> None:
    client = one_server()
    client.zone.failures["pc2.contoso.com"] = TIMEOUT
    client.servers(ONE)
    client.failure(of_server("TCP", "pc2.contoso.com", 5041, POOL))
    counters = client.locator.counters
    assert [counters[f"dns_{name}"] for name in ("questions", "answers", "failures")] == [2, 1, 1]

"""What several workers have counted, put together."""

import pickle
from collections import Counter
from dataclasses import replace
from typing import Any

from sipgw.core.meter import BOUNDS, Durations
from sipgw.observability.metrics import families
from sipgw.observability.shares import Share, WorkerReading, counted, counts_only, times_of, together, with_share
from tests.observability.test_metrics import ENDPOINT, POOL, readings, some_meter


def share(**changes: Any) -> Share:
    responses = [0] * 1000
    responses[200] = 7
    lag = Durations()
    lag.add(0.0001)
    found = counted(some_meter(), responses)._replace(
        core_events={"retransmitted": 3},
        shell_events={"connections": 4},
        lag=times_of(lag),
        sizes={"bindings": 5, "connections": 2, "server_transactions": 1},
        queues={"register": 1},
        sign_in={"associations": 2, "lockout_account": 3},
    )
    return found._replace(**changes)


def test_what_is_counted_adds_up() -> None:
    found = together([share(), share(core_events={"retransmitted": 1, "stray": 2})])
    assert found.responses == {200: 14}
    assert found.core_events == {"retransmitted": 4, "stray": 2}
    assert found.calls[f"endpoint {ENDPOINT}", POOL.fqdn] == {200: 2, 504: 2}
    assert found.failures == {1011: 2}
    assert sum(found.until_final[POOL.fqdn][0]) == 4
    assert sum(found.lag[0]) == 2


def test_of_what_each_has_all_of_there_is_no_sum() -> None:
    found = together([share(), share(sizes={"bindings": 6, "connections": 3}, overloaded=True)])
    assert found.sizes == {"bindings": 6, "connections": 5, "server_transactions": 1}
    assert found.sign_in == {"associations": 4, "lockout_account": 3}
    assert found.overloaded


def test_of_a_worker_that_has_ended_the_counts_stay() -> None:
    found = together([counts_only(share()), Share()])
    assert found.responses == {200: 7} and sum(found.lag[0]) == 1
    assert not found.sizes and not found.queues and not found.sign_in


def test_nothing_is_nothing() -> None:
    assert together([]) == together([Share(), Share()]) == Share()


def test_it_can_be_sent() -> None:
    assert pickle.loads(pickle.dumps(share())) == share()


def test_readings_of_all() -> None:
    alone = readings()
    workers = {0: WorkerReading(1.0, 2, 3), 1: WorkerReading(2.0, 3, 4)}
    sizes = dict(alone.sizes)
    found = with_share(alone, together([share(sizes=sizes), share(sizes=sizes)]), workers, restarts=2)
    assert found.limits["transactions"] == 2 * alone.limits["transactions"]
    assert found.limits["registrations"] == alone.limits["registrations"], "of these each has all"
    assert found.responses[200] == 14
    assert found.meter.failures == Counter({1011: 2})
    assert len(found.lag.buckets) == len(BOUNDS) + 1
    samples = {sample.name: sample.value for metric in families(found) for sample in metric.samples}
    assert samples["sipgw_workers"] == 2 and samples["sipgw_worker_restarts_total"] == 2
    assert replace(found, workers={}).workers == {}

"""The pure part of scripts/bench: medians, ratios, what counts as clean."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from benchmark import signed
from benchmark.figures import Round, is_clean, medians, summary

CLEAN = {"calls": 1000, "timed_out": 0, "rejected": 0, "retransmitted_requests": 0, "retransmitted_responses": 0}


def a_round(proxy: str, cpu: float, rate: int = 500, clean: bool = True) -> Round:
    return Round(proxy, rate, cpu, 0.2, 1.0, 60.0, clean)


def test_figures_are_medians() -> None:
    found = medians([a_round("sipgw", 0.3), a_round("sipgw", 9.0, clean=False), a_round("sipgw", 0.2)])
    assert found["cpu_per_call"] == 0.3
    assert found["clean"] == pytest.approx(2 / 3)


def test_the_ratio_is_ours_by_theirs_for_each_rate() -> None:
    rounds = [a_round("sipgw", 0.3), a_round("kamailio", 0.2), a_round("sipgw", 0.5, rate=900)]
    slow, fast = summary(rounds)
    assert slow.ratios["sipgw"]["cpu_per_call"] == pytest.approx(1.5)
    assert not fast.ratios, "there is nothing to compare with"


@pytest.mark.parametrize("fault", [{"retransmitted_requests": 1}, {"timed_out": 1}, {"rejected": 2}])
def test_a_lossy_round_is_not_clean(fault: dict[str, float]) -> None:
    assert is_clean(dict(CLEAN))
    assert not is_clean(CLEAN | fault)


def test_a_client_that_signs_is_let_in_and_answered() -> None:
    caller = signed.Caller(signs=True)
    for _ in range(3):
        caller.call()
    assert caller.engine.counters["sipae_bad_signature"] == caller.engine.counters["challenged"] == 0
    assert caller.spent > 0

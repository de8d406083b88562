"""scripts/bench without its processes: medians, ratios, what counts as clean, the search, the report."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
from benchmark import overload, report, scaled, signed, stored
from benchmark.__main__ import command_line, main
from benchmark.figures import Offered, Round, is_clean, medians, summary
from benchmark.rig import Generator
from benchmark.search import LARGEST, highest_clean
from click.testing import CliRunner

ROOT = Path(__file__).parents[1]

CLEAN = {
    "calls": 1000,
    "timed_out": 0,
    "rejected": 0,
    "retransmitted_requests": 0,
    "retransmitted_responses": 0,
    "faults": {"no_ack": 0},
}


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


@pytest.mark.parametrize(
    "fault", [{"retransmitted_requests": 1}, {"timed_out": 1}, {"rejected": 2}, {"faults": {"no_ack": 1}}]
)
def test_a_lossy_round_is_not_clean(fault: dict[str, Any]) -> None:
    assert is_clean(dict(CLEAN))
    assert not is_clean(CLEAN | fault)


@pytest.mark.parametrize(("scheme", "challenged"), [("", 0), ("ntlm", 0), ("digest", 1)])
def test_a_client_that_signs_is_let_in_and_answered(scheme: str, challenged: int) -> None:
    caller = signed.Caller(scheme)
    for _ in range(3):
        caller.call()
    counted = caller.engine.counters
    assert (counted["sipae_bad_signature"], counted["challenged"]) == (0, challenged)
    assert counted["digest_accepted"] == (3 * signed.VERIFIED if scheme == "digest" else 0)
    assert caller.spent > 0


@dataclass
class Gateway:
    """In the place of a running load: clean up to its capacity, but for a hiccup in the first trial at each rate."""

    capacity: float
    trials: int = 0

    def offer(self, port: int, rate: float, seconds: int) -> Offered:
        self.trials += 1
        return Offered(rate, 0.0, 0.0, 1.0, rate <= self.capacity and self.trials % 2 == 0, 0.3)


@pytest.mark.parametrize("capacity", [90.0, 800.0, 4321.0, 1e9])
def test_the_highest_clean_rate_is_found(capacity: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.search.SETTLE", 0.0)
    gateway = Gateway(capacity)
    found = highest_clean(cast(Generator, gateway), 5060, 400.0, 1)
    assert min(capacity, LARGEST) * 0.95 <= found <= capacity
    assert gateway.trials < 60


class Overloaded:
    """In the place of a load, and of a gateway whose memory is what was offered last, once it has been for long."""

    def __init__(self) -> None:
        self.offers: list[tuple[float, int, int]] = []
        self.since_last = 0.5

    def offer(self, port: int, rate: float, seconds: int, warm_up: int = 1) -> Offered:
        self.offers.append((rate, seconds, warm_up))
        taken = min(rate, 1000.0)
        return Offered(taken, rate - taken, 0.0, 40.0, rate <= 1000.0, 0.3)

    def memory(self) -> float:
        rate, seconds, warm_up = self.offers[-1]
        return min(rate, 1000.0) * min(warm_up + seconds, 50) if warm_up > 1 else 50_500.0


def test_overload_is_seen_beside_the_capacity_once_memory_has_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.search.SETTLE", 0.0)
    gateway, waits = Overloaded(), list[float]()
    found = overload.observe(cast(Generator, gateway), 5060, gateway.memory, 10, 40, waits.append)
    capacity = found.capacity
    assert 950 < capacity <= 1000
    assert gateway.offers[-3:] == [(capacity, 10, 40), (capacity * 2, 10, 1), (capacity * 0.9, 5, 0)]
    assert waits == [1.5], "two seconds after the last call was begun"
    assert (found.finished, found.failed_afterwards) == (1000.0, 0.0)
    assert found.memory_before == capacity * 50
    assert all(goal.met for goal in overload.goals("compiled", found))


@pytest.mark.parametrize(
    "changed", [{"finished": 890.0}, {"p99_ms": 501.0}, {"memory_after": 106.0}, {"failed_afterwards": 0.002}]
)
def test_each_goal_of_overload_can_be_missed(changed: dict[str, float]) -> None:
    good = overload.Figures(1000.0, 2000.0, 901.0, 1000.0, 0.0, 499.0, 100.0, 104.0, 0.0005)
    assert [goal.met for goal in overload.goals("compiled", good)] == [True] * 4
    assert [goal.met for goal in overload.goals("compiled", replace(good, **changed))].count(False) == 1


def a_section(name: str = "udp", found: float = 0.7) -> report.Section:
    goals = [report.at_most("CPU", found, 0.75, " ms"), report.at_least("rate", 1234.0, 1000.0)]
    return report.Section(name, f"All of {name}", f"scripts/bench {name}", ["a", "b"], [["1", "x|y"]], goals, {"k": 1})


def test_the_document_gets_all_that_was_found(tmp_path: Path) -> None:
    file, document = tmp_path / "new" / "bench.json", tmp_path / "page.md"
    document.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    for section in (a_section("tcp"), a_section("udp", 0.9), a_section("udp", 0.8)):
        report.keep(section, file)
    for _ in range(2):  # the same again changes nothing
        report.write(document, file, ["udp", "tcp"])
    text = document.read_text()
    assert text.startswith(f"before\n{report.BEGIN}\n") and text.endswith(f"{report.END}\nafter\n")
    assert "old" not in text and "0.9" not in text, "what was found before is gone"
    assert "| CPU | at most 0.75 ms | 0.8 ms | **no** |" in text
    assert "| rate | at least 1,000 | 1,234 | yes |" in text
    assert text.index("### All of udp") < text.index("### All of tcp")
    assert "    scripts/bench tcp\n" in text and "| 1 | x/y |" in text


def test_a_document_without_marks_is_left_alone(tmp_path: Path) -> None:
    file, document = tmp_path / "bench.json", tmp_path / "page.md"
    document.write_text("prose")
    report.keep(a_section(), file)
    with pytest.raises(report.ReportError, match="no lines"):
        report.write(document, file, ["udp"])
    assert document.read_text() == "prose"


def test_figures_that_are_no_json_are_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    file.write_text("notes of mine")
    with pytest.raises(report.ReportError, match="no JSON"):
        report.keep(a_section(), file)
    assert file.read_text() == "notes of mine"


def test_the_figures_have_a_place_in_the_documents() -> None:
    text = (ROOT / "docs" / "performance.md").read_text()
    assert text.count(report.BEGIN) == text.count(report.END) == 1


def test_udp_is_what_is_measured_without_a_command() -> None:
    for arguments in ([], ["--rounds", "0"]):
        found = CliRunner().invoke(main, [*arguments, "--seconds", "0"])
        assert found.exit_code == 2 and "main udp" in found.output, "refused by that command, for its numbers"


def test_the_command_is_told_without_where_the_figures_went() -> None:
    given = ["udp", "--json", "/home/x/a.json", "--rate", "500", "--write=/home/x/b.md", "--write", "c.md"]
    assert command_line(given) == "scripts/bench udp --rate 500"
    assert command_line([]) == "scripts/bench"


def test_how_cost_grows_is_told_for_both_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    scaled.main(rounds=1, endpoints=3, bindings=3)
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"call", "call by lot", "user", "user by lot"}
    assert all(value > 0 for pair in found.values() for value in pair)


def test_stored_registrations_are_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored.main(tmp_path / "bench.db", 50)
    assert json.loads(capsys.readouterr().out)["seconds"] > 0

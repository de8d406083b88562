"""Metrics: what is shown of a gateway, that it is documented, and that alerts and dashboard speak of nothing else."""

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from sipgw.core.meter import BOUNDS, MOST, OTHER, Durations, Meter
from sipgw.core.route import Route, Target
from sipgw.events import Hop
from sipgw.observability.metrics import CertificateReading, Readings, ServerReading, families, result_of
from sipgw.observability.shares import WorkerReading
from sipgw.registry import Pool

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "config/prometheus/alerts.yml"
DASHBOARD = json.loads((ROOT / "config/grafana/sipgw.json").read_text("utf-8"))
POOL = Pool("pc.contoso.com", (), "sip:service@contoso.com")
HOP = Hop("TCP", "10.1.0.5", 5041)
ENDPOINT = "sip:ocschat@contoso.com"


def route(matched: str, pool: Pool | None = POOL) -> Route:
    return Route(groups=[[Target([HOP], "label", pool=pool)]], matched=matched)


def some_meter() -> Meter:
    meter = Meter()
    meter.ended(route(f"endpoint {ENDPOINT}"), 200, 0.003)
    meter.ended(route(f"endpoint {ENDPOINT}"), 504, 3.1)
    meter.ended(route("user alice@contoso.com", None), 486, 12.0)
    meter.turned_down("", 404)
    meter.responded(POOL.fqdn, HOP, 0.002)
    meter.failures[1011] += 1
    return meter


def readings(**changes: Any) -> Readings:
    responses = [0] * 1000
    responses[200], responses[504] = 7, 1
    lag = Durations()
    lag.add(0.0001)
    found = Readings(
        version="1.2.3",
        since=1000.0,
        reloaded=2000.0,
        reloaded_well=True,
        meter=some_meter(),
        responses=responses,
        core_events=Counter(retransmitted=3, locked_account=2, challenged=5),
        shell_events=Counter(connections=4, certificate_days_left=30),
        addresses={ENDPOINT},
        pools={POOL.fqdn},
        endpoints={True: 1, False: 2},
        sizes={"server_transactions": 8, "client_transactions": 9, "timers": 10, "bindings": 11, "connections": 12}
        | {"banned": 13},
        queues={"store": 1, "register": 2, "names": 3},
        limits={"transactions": 100, "registrations": 200, "connections": 300},
        overloaded=True,
        failed_over={POOL.fqdn: False},
        servers=[ServerReading(POOL.fqdn, str(HOP), "standby", False)],
        certificates=[CertificateReading("/etc/gw.pem", 'a "name"\n', 3000.0)],
        sign_in={"lockout_account": 1},
        lag=lag,
        workers={0: WorkerReading(1.5, 2, 3)},
        restarts=1,
    )
    return replace(found, **changes)


class One(Collector):
    """A metric as `generate_latest` takes it."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        yield self._metric


def text_of(found: Readings) -> str:
    return "".join(generate_latest(One(metric)).decode() for metric in families(found))


def shown(found: Readings) -> dict[str, float]:
    lines = [line for line in text_of(found).splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def names() -> set[str]:
    """As they stand in queries: of histograms all three."""
    return {re.split(r"[{ ]", line)[0] for line in text_of(readings()).splitlines() if not line.startswith("#")}


def documented() -> set[str]:
    page = (ROOT / "docs/metrics.md").read_text("utf-8")
    return set(re.findall(r"^\| `(sipgw_\w+)` \|", page, re.MULTILINE))


def test_values() -> None:
    found = shown(readings())
    labels = f'endpoint="{ENDPOINT}",pool="{POOL.fqdn}"'
    assert found[f'sipgw_calls_total{{{labels},result="answered"}}'] == 1
    assert found[f'sipgw_calls_total{{{labels},result="unavailable"}}'] == 1
    assert found['sipgw_calls_total{endpoint="",pool="",result="refused"}'] == 2
    assert found['sipgw_failures_total{diagnostics="1011"}'] == 1
    assert found['sipgw_responses_total{status="200"}'] == 7
    assert found['sipgw_core_events_total{event="retransmitted"}'] == 3
    assert found['sipgw_shell_events_total{event="connections"}'] == 4
    assert not [name for name in found if "certificate_days_left" in name]
    assert found['sipgw_lockouts_total{of="account"}'] == 2
    assert found["sipgw_challenges_total"] == 5
    assert found["sipgw_registrations"] == 11
    assert found["sipgw_banned_sources"] == 13
    assert found["sipgw_overloaded"] == 1
    assert found['sipgw_endpoints{declared="false"}'] == 2
    assert found[f'sipgw_pool_server_up{{pool="{POOL.fqdn}",role="standby",server="tcp:10.1.0.5:5041"}}'] == 0
    assert found['sipgw_certificate_expiry_timestamp_seconds{file="/etc/gw.pem",name="a \\"name\\"\\n"}'] == 3000


def test_histograms_are_cumulative() -> None:
    found = shown(readings())
    pool = f'pool="{POOL.fqdn}"'
    buckets = [found[f'sipgw_call_setup_seconds_bucket{{le="{bound}",{pool}}}'] for bound in (*BOUNDS, "+Inf")]
    assert buckets == sorted(buckets)
    assert (buckets[0], buckets[BOUNDS.index(0.005)], buckets[-1]) == (0, 1, 2)
    assert found[f"sipgw_call_setup_seconds_count{{{pool}}}"] == 2
    assert found[f"sipgw_call_setup_seconds_sum{{{pool}}}"] == pytest.approx(3.103)
    assert found[f'sipgw_pool_first_response_seconds_count{{{pool},server="tcp:10.1.0.5:5041"}}'] == 1


def test_what_is_on_a_bound_belongs_to_it() -> None:
    durations = Durations()
    for bound in (*BOUNDS, 1000.0):
        durations.add(bound)
    assert durations.buckets == [1] * (len(BOUNDS) + 1)


@pytest.mark.parametrize(
    ("status", "result"),
    [
        *[(200, "answered"), (202, "answered"), (302, "redirected"), (404, "refused"), (486, "refused")],
        *[(603, "refused"), (487, "cancelled"), (408, "unavailable"), (480, "unavailable"), (504, "unavailable")],
    ],
)
def test_results(status: int, result: str) -> None:
    assert result_of(status) == result


def test_what_is_no_longer_configured_is_counted_together() -> None:
    found = shown(readings(addresses=set(), pools={POOL.fqdn}))
    assert found[f'sipgw_calls_total{{endpoint="{OTHER}",pool="{OTHER}",result="answered"}}'] == 1
    assert not [name for name in found if ENDPOINT in name]
    assert not [
        name for name in shown(readings(addresses=set(), pools=set(), servers=[], failed_over={})) if "pc." in name
    ]


def test_labels_are_bounded() -> None:
    meter = Meter()
    for number in range(3 * MOST):
        pool = Pool(f"pc{number}.contoso.com", (), "sip:service@contoso.com")
        hop = Hop("TCP", f"10.1.{number // 256}.{number % 256}", 5041)
        for _ in range(2):
            meter.ended(route(f"endpoint sip:e{number}@contoso.com", pool), 200, 0.1)
            meter.responded(pool.fqdn, hop, 0.1)
            meter.turned_down(f"endpoint sip:x{number}@contoso.com", 404)
    assert max(len(meter.calls), len(meter.until_final), len(meter.until_first)) <= MOST + 1
    assert sum(line.total() for line in meter.calls.values()) == 12 * MOST
    assert sum(sum(durations.buckets) for durations in meter.until_first.values()) == 6 * MOST
    pools = {f"pc{number}.contoso.com" for number in range(3 * MOST)}
    found = shown(readings(meter=meter, pools=pools, addresses={f"sip:e{n}@contoso.com" for n in range(3 * MOST)}))
    counted = [count for name, count in found.items() if name.startswith("sipgw_calls_total")]
    assert (len(counted) <= MOST + 2, sum(counted)) == (True, 12 * MOST)


def test_every_metric_is_documented_and_no_other() -> None:
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in names()} == documented()


@pytest.mark.peer("promtool", "prometheus")
def test_promtool_finds_nothing_to_say() -> None:
    checked = promtool("check", "metrics", text=text_of(readings()))
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def promtool(*arguments: str, text: str = "") -> "subprocess.CompletedProcess[str]":
    program = shutil.which("promtool")
    assert program is not None
    return subprocess.run([program, *arguments], input=text, capture_output=True, text=True, check=False)


@pytest.mark.peer("promtool", "prometheus")
def test_alert_rules_are_rules_and_fire_when_they_should() -> None:
    checked = promtool("check", "rules", str(ALERTS))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tested = promtool("test", "rules", str(Path(__file__).with_name("alerts_test.yml")))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_alert_is_tested_says_what_to_do_and_speaks_of_metrics_that_there_are() -> None:
    text = ALERTS.read_text("utf-8")
    alerts = re.findall(r"- alert: (\w+)", text)
    tests = Path(__file__).with_name("alerts_test.yml").read_text("utf-8")
    assert [alert for alert in alerts if f'alertname="{alert}"' not in tests] == []
    assert text.count("action:") == text.count("summary:") == len(alerts)
    assert set(re.findall(r"\b(sipgw_\w+)", text)) <= names() | documented()


def expressions() -> list[str]:
    targets = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    return targets + [one["expr"] for one in DASHBOARD["annotations"]["list"]]


def test_the_dashboard_speaks_of_metrics_that_there_are() -> None:
    used = set(re.findall(r"\b(sipgw_\w+)", " ".join(expressions())))
    assert used <= names()
    queries = " ".join(one["definition"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query")
    assert set(re.findall(r"\b(sipgw_\w+)", queries)) <= names()
    assert len(used) >= 20


def test_panels_lie_side_by_side() -> None:
    """Nothing overlaps, nothing is wider than the page, no id is there twice."""
    taken: Counter[tuple[int, int]] = Counter()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        taken.update((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"]))
    assert set(taken.values()) == {1}
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.peer("promtool", "prometheus")
def test_the_queries_of_the_dashboard_are_queries(tmp_path: Path) -> None:
    values = {"$__rate_interval": "5m", "$instance": ".*", "$endpoint": ".*"}
    rules = []
    for number, expression in enumerate(expressions()):
        for name, value in values.items():
            expression = expression.replace(name, value)
        rules.append({"record": f"query:{number}", "expr": expression})
    path = tmp_path / "rules.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML
    checked = promtool("check", "rules", str(path))
    assert checked.returncode == 0, checked.stdout + checked.stderr

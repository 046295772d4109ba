"""docker/prometheus and docker/grafana: alerts fire when they should and not otherwise, and ask for what the roles export."""

import json
import re
import shutil
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from deployment_files import DASHBOARDS, PROMETHEUS, prometheus_configuration
from fleet.dashboards import dashboards
from prometheus_client import generate_latest
from support.served_edge import served

from topics.roles import EDGE, ROLES

ROOT = Path(__file__).parents[3]
RULES = ROOT / "docker" / "prometheus" / "rules.yaml"
GROUPS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"]
ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for group in GROUPS for rule in group["rules"] if "alert" in rule}
RUNBOOKS = (ROOT / "docs" / "runbooks.md").read_text()
BUILT_IN = {"up"}
FUNCTIONS = {
    "sum", "rate", "max", "by", "and", "or", "increase", "delta", "histogram_quantile", "le", "on", "ignoring", "time", "clamp_min", "vector",
}  # fmt: skip

ORDERS = 'outcry_edge_requests_total{method="POST", route="/v2/orders", status="%s"}'
LAG = 'outcry_input_lag_records{role="%s", topic="t", partition="0"}'
CASES: dict[str, tuple[dict[str, str], dict[str, str], str, dict[str, str]]] = {
    # alert: series that fire it, series that must not, when (of series with a sample a minute), labels of the firing alert
    "OrderFailuresFast": ({ORDERS % 200: "0+1000x120", ORDERS % 503: "0+2x120"}, {ORDERS % 200: "0+1000x120", ORDERS % 503: "0+1x120"}, "2h", {}),
    "OrderFailuresSteady": (
        {ORDERS % 200: "0+10000x420", ORDERS % 503: "0+7x420"}, {ORDERS % 200: "0+10000x420", ORDERS % 503: "0+5x420"}, "7h", {},
    ),
    "OrderFailuresSlow": (
        {ORDERS % 200: "0+10000x480", ORDERS % 503: "0+2x480"}, {ORDERS % 200: "0+20000x480", ORDERS % 503: "0+1x480", ORDERS % 429: "0+99x480"}, "8h", {},
    ),
    "DecisionsSlow": (
        {'outcry_edge_decision_seconds_bucket{le="0.1"}': "0+980x30", 'outcry_edge_decision_seconds_bucket{le="0.25"}': "0+1000x30"}
        | {'outcry_edge_decision_seconds_bucket{le="+Inf"}': "0+1000x30"},
        {'outcry_edge_decision_seconds_bucket{le="0.1"}': "0+995x30", 'outcry_edge_decision_seconds_bucket{le="+Inf"}': "0+1000x30"}, "20m", {},
    ),
    "ProcessDown": ({'up{job="open-outcry"}': "0x10"}, {'up{job="open-outcry"}': "1x10", 'up{job="other"}': "0x10"}, "5m", {"job": "open-outcry"}),
    "EdgeNotReady": ({"outcry_edge_ready": "0x10"}, {"outcry_edge_ready": "1x3 0x0 1x5"}, "5m", {}),
    "ShardBehind": (
        {LAG % "match-orders": "5000x10"}, {LAG % "match-orders": "900x10", LAG % "persist-mysql": "5000x10"}, "5m",
        {"role": "match-orders", "topic": "t", "partition": "0"},
    ),
    "MarketDataBehind": ({"outcry_edge_market_data_lag": "2000x10"}, {"outcry_edge_market_data_lag": "10x10"}, "5m", {}),
    "MarketDataGap": ({"outcry_edge_market_data_gaps": "0x5 3x15"}, {"outcry_edge_market_data_gaps": "3x20"}, "10m", {}),
    "DecisionsMissing": ({"outcry_edge_decision_timeouts_total": "0x5 4x15"}, {"outcry_edge_decision_timeouts_total": "4x20"}, "7m", {}),
    "SlowSockets": (
        {'outcry_edge_slow_sockets_total{stream="prices"}': "0+120x30"}, {'outcry_edge_slow_sockets_total{stream="prices"}': "0+30x30"}, "20m", {},
    ),
    "SinkBehind": (
        {LAG % "persist-redis": "30000x20"}, {LAG % "persist-redis": "10000x20", LAG % "archive": "30000x20"}, "15m",
        {"role": "persist-redis", "topic": "t", "partition": "0"},
    ),
    "OrdersRefusedForLag": (
        {"outcry_edge_sink_lag_records": "200000x5", "outcry_edge_sink_lag_records_max": "100000x5"},
        {"outcry_edge_sink_lag_records": "200000x5", "outcry_edge_sink_lag_records_max": "0x5"}, "3m", {},
    ),
    "StoreUnavailable": (
        {'outcry_store_unavailable_total{role="persist-mysql"}': "0+2x20"}, {'outcry_store_unavailable_total{role="persist-mysql"}': "0x5 1x15"}, "10m",
        {"role": "persist-mysql"},
    ),
    "OptionalRoleBehind": (
        {LAG % "watch-trading": "200000x30"}, {LAG % "watch-trading": "200000x5 0x25"}, "25m", {"role": "watch-trading", "topic": "t", "partition": "0"},
    ),
    "ReportsNotMade": ({"outcry_report_days_not_made": "1x20"}, {"outcry_report_days_not_made": "1x5 0x15"}, "15m", {}),
    "ReportFindings": (
        {'outcry_report_findings{report="cat"}': "0x5 3x5"}, {'outcry_report_findings{report="cat"}': "0x10"}, "7m", {"report": "cat"},
    ),
    "ReportsDue": ({"outcry_report_due_seconds": "7260-60x10"}, {"outcry_report_due_seconds": "90000x10"}, "5m", {}),
    "ReportsLate": ({'outcry_reports_late{report="cat"}': "0x5 1x5"}, {'outcry_reports_late{report="cat"}': "0x10"}, "7m", {"report": "cat"}),
    "ClockWrong": ({'outcry_clock_wrong{instance="w"}': "1x30"}, {'outcry_clock_wrong{instance="w"}': "1x5 0x25"}, "20m", {"instance": "w"}),
    "SuspiciousRecords": (
        {'outcry_suspicious_frames_total{role="hold-funds", what="WRONG_CODE"}': "0x5 1x15"},
        {'outcry_suspicious_frames_total{role="hold-funds", what="jump"}': "0x5 1x15"}, "7m", {"role": "hold-funds", "what": "WRONG_CODE"},
    ),
    "DeadLetters": (
        {'outcry_dead_letters_total{role="hold-funds", partition="0"}': "0x5 1x15"}, {'outcry_dead_letters_total{role="hold-funds", partition="0"}': "7x20"}, "7m",
        {"role": "hold-funds", "partition": "0"},
    ),
    "HistoryChanged": (
        {'outcry_audit_witness_failures_total{what="fork"}': "0x5 1x15"}, {'outcry_audit_witness_failures_total{what="away"}': "0x5 1x15"}, "7m", {"what": "fork"},
    ),
    "WitnessAway": (
        {'outcry_audit_entries{log="l"}': "500000x30", 'outcry_audit_cosigned_entries{log="l"}': "1x30"},
        {'outcry_audit_entries{log="l"}': "500000x30", 'outcry_audit_cosigned_entries{log="l"}': "499000x30"}, "25m", {"log": "l"},
    ),
    "FunctionGivenUp": (
        {'outcry_function_given_up_total{function="f"}': "0x5 1x15"}, {'outcry_function_given_up_total{function="f"}': "1x20"}, "7m", {"function": "f"},
    ),
    "PasswordsGuessed": ({"outcry_edge_refused_sign_ins_total": "0+10x20"}, {"outcry_edge_refused_sign_ins_total": "0+2x20"}, "15m", {}),
}  # fmt: skip


def promtool() -> str:
    """Of the machine: Debian has it in the package `prometheus`."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("needs promtool, which is in the package `prometheus` of Debian: alerts were not run over series")
    return found


def anchor_of(alert: str) -> str:
    """As forges and mkdocs make it of a heading."""
    return f"docs/runbooks.md#{alert.lower()}"


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    """Whoever is woken finds the page by the alert."""
    assert {name: rule["annotations"]["runbook"] for name, rule in ALERTS.items()} == {name: anchor_of(name) for name in ALERTS}
    assert re.findall(r"^## (\w+)$", RUNBOOKS, re.MULTILINE) == list(ALERTS)
    assert {rule["labels"]["severity"] for rule in ALERTS.values()} == {"page", "ticket"}


def test_the_burn_rates_are_those_of_99_99_percent() -> None:
    """Each alert wants a long window and a short one, so that it ends soon after its cause; both above so many times what is allowed."""
    for name, times in {"OrderFailuresFast": "14.4 * ", "OrderFailuresSteady": "6 * ", "OrderFailuresSlow": ""}.items():
        assert ALERTS[name]["expr"].count(f"> {times}0.0001") == 2
    recorded = {rule["record"]: rule["expr"] for group in GROUPS for rule in group["rules"] if "record" in rule}
    for name, expression in recorded.items():
        window = name.rpartition("_")[2]
        assert re.findall(r"\[(\w+)\]", expression) == [window, window], name


def test_every_alert_has_a_series_that_fires_it_and_one_that_must_not() -> None:
    """A new alert needs both."""
    assert list(CASES) == list(ALERTS)


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What promtool says of all cases at once: it takes seconds to start."""
    tests: list[dict[str, Any]] = []
    for alert, (fires, quiet, at, labels) in CASES.items():
        wanted = [{"exp_labels": labels | ALERTS[alert]["labels"], "exp_annotations": ALERTS[alert]["annotations"]}]
        for series, expected in ((fires, wanted), (quiet, [])):
            given = [{"series": name, "values": values} for name, values in series.items()]
            tests.append({
                "interval": "1m", "input_series": given, "name": f"{alert} {'fires' if expected else 'is quiet'}",
                "alert_rule_test": [{"eval_time": at, "alertname": alert, "exp_alerts": expected}],
            })  # fmt: skip
    path = tmp_path_factory.mktemp("rules") / "cases.yaml"
    path.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run([promtool(), "test", "rules", str(path)], capture_output=True, text=True, check=False)
    return f"{done.returncode}\n{done.stdout}{done.stderr}"


def test_each_alert_fires_on_its_series_and_only_then(verdict: str) -> None:
    """By Prometheus itself, over every rule and both kinds of series."""
    assert verdict.startswith("0\n"), verdict


async def exported() -> set[str]:
    """Every metric of every role, by the name that a query uses."""
    for role in ROLES.values():
        if role is not EDGE:
            import_module(role.runs.partition(":")[0])
    import_module("streams.functions.webhooks")
    text = generate_latest().decode()
    async with served() as edge:
        text += (await edge.get("/metrics"))[1]
    names: set[str] = set()
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE):
        names |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"} if kind == "histogram" else {name}
    return names | {"outcry_suspicious_frames_total"}  # of a collector that is registered when a role starts


def named_in(expression: str) -> set[str]:
    """The metrics of a query."""
    plain = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"|(by|on|ignoring) \([^)]*\)", " ", expression)
    return {word for word in re.findall(r"[a-zA-Z_:][\w:]*", plain) if word not in FUNCTIONS}


async def test_every_query_asks_for_a_metric_that_a_role_exports() -> None:
    """Rules and dashboards; a metric that is renamed takes them along."""
    known = await exported() | BUILT_IN | {rule["record"] for group in GROUPS for rule in group["rules"] if "record" in rule}
    queries = [rule["expr"] for group in GROUPS for rule in group["rules"]]
    queries += [target["expr"] for board in dashboards().values() for panel in board["panels"] for target in panel.get("targets", ())]
    assert len(queries) > 40
    assert {name for query in queries for name in named_in(query)} - known == set()


def test_a_query_for_what_nobody_exports_would_be_found() -> None:
    """Else the test before would show nothing."""
    assert named_in('sum by (le) (rate(outcry_edge_request_secnds_bucket{kind="x"}[5m])) / 2') == {"outcry_edge_request_secnds_bucket"}


def test_the_dashboards_and_the_list_of_processes_are_what_the_code_makes() -> None:
    """Run `make tables`."""
    there = {path.stem: json.loads(path.read_text()) for path in DASHBOARDS.glob("*.json")}
    assert there == dashboards()
    assert PROMETHEUS.read_text() == prometheus_configuration()
    targets = re.findall(r"- ([\w-]+):\d+$", PROMETHEUS.read_text(), re.MULTILINE)
    assert targets == [name for name, role in ROLES.items() if not role.optional]

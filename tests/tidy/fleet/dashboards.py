"""Grafana's dashboards as code: what customers get, how the parts keep up, and what nobody should see.

Plain objects of Grafana's JSON model. Its SDK would be a package more for four kinds of field.
"""

from typing import Any, Final

Panel = dict[str, Any]
SOURCE: Final = {"type": "prometheus", "uid": "${source}"}
_WIDE, _HIGH, _ROW = 12, 8, 24


def _panel(title: str, unit: str, *queries: tuple[str, str], text: str = "") -> Panel:
    """A graph. queries: (expression, legend)."""
    return {
        "type": "timeseries",
        "title": title,
        "description": text,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": query, "legendFormat": legend}
            for index, (query, legend) in enumerate(queries)
        ],
    }


def _quantiles(metric: str, by: str = "") -> list[tuple[str, str]]:
    """Of a histogram."""
    labels = f"le, {by}" if by else "le"
    name = f"{{{{{by}}}}} " if by else ""
    return [
        (f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket[$__rate_interval])))", f"{name}{word}")
        for share, word in ((0.5, "median"), (0.99, "99 %"), (0.999, "99.9 %"))
    ]


_ORDERS: Final = 'outcry_edge_requests_total{method="POST", route="/v2/orders"}'
_TRADING: Final = (
    _panel("Orders a second, by answer", "reqps", (f"sum by (status) (rate({_ORDERS}[$__rate_interval]))", "{{status}}")),
    _panel(
        "Failed orders: share, and what 99.99 % allows", "percentunit",
        ("outcry:order_failures:ratio_5m", "5 min"), ("outcry:order_failures:ratio_1h", "1 h"), ("outcry:order_failures:ratio_3d", "3 d"),
        ("vector(0.0001)", "allowed"),
    ),
    _panel("From an order to its decision", "s", *_quantiles("outcry_edge_decision_seconds")),
    _panel("Answers of the edge, by kind of request", "s", *_quantiles("outcry_edge_request_seconds", "kind")),
    _panel("From the shard's clock to the edge", "s", *_quantiles("outcry_edge_reply_delay_seconds")),
    _panel("Requests a second, by route", "reqps", ("sum by (route) (rate(outcry_edge_requests_total[$__rate_interval]))", "{{route}}")),
    _panel("Open sockets", "short", ("outcry_edge_websockets", "{{instance}}"), ("outcry_edge_market_data_sockets", "{{instance}} prices")),
    _panel(
        "Messages to sockets a second", "short", ("sum(rate(outcry_edge_trade_update_messages_total[$__rate_interval]))", "order updates"),
        ("sum(rate(outcry_edge_fanout_delivered_total[$__rate_interval]))", "prices"),
    ),
    _panel("Sockets closed for not reading", "short", ("sum by (stream) (rate(outcry_edge_slow_sockets_total[$__rate_interval]))", "{{stream}}")),
    _panel("Waiting for a decision", "short", ("sum(outcry_edge_pending_requests)", "orders"), ("sum(outcry_edge_queued_commands)", "not yet in the log")),
)  # fmt: skip
_PIPELINE: Final = (
    _panel("Records behind, by role", "short", ("max by (role, topic, partition) (outcry_input_lag_records)", "{{role}} {{topic}}/{{partition}}")),
    _panel("Rows applied a second", "short", ("sum by (role) (rate(outcry_rows_total[$__rate_interval]))", "{{role}}")),
    _panel("Rows stored a second", "short", ("sum by (role) (rate(outcry_stored_rows_total[$__rate_interval]))", "{{role}}")),
    _panel("Age of a shard's newest input", "s", ("time() - max by (role, partition) (outcry_log_time_seconds)", "{{role}} {{partition}}")),
    _panel("Inputs held up by a snapshot", "s", ("outcry_snapshot_held_seconds", "{{role}} {{partition}}")),
    _panel("Snapshots, bytes a second", "Bps", ("sum by (role) (rate(outcry_snapshot_bytes_total[$__rate_interval]))", "{{role}}")),
    _panel("Copies dropped a second", "short", ("sum by (role) (rate(outcry_duplicates_total[$__rate_interval]))", "{{role}}"), text="Of replicas, and repeats"),
    _panel("Records that MySQL has not stored", "short", ("outcry_edge_sink_lag_records", "behind"), ("outcry_edge_sink_lag_records_max", "orders are refused")),
    _panel("Prices not read by an edge", "short", ("outcry_edge_market_data_lag", "{{instance}}")),
    _panel("Archive, rows a second", "short", ("sum by (table) (rate(outcry_archived_rows_total[$__rate_interval]))", "{{table}}")),
)  # fmt: skip
_TRUST: Final = (
    _panel("Records that are not believed", "short", ("sum by (role, what) (rate(outcry_suspicious_frames_total[$__rate_interval]))", "{{role}} {{what}}")),
    _panel("Dead letters", "short", ("sum by (role) (rate(outcry_dead_letters_total[$__rate_interval]))", "{{role}}")),
    _panel("Audit log: entries, and cosigned ones", "short", ("outcry_audit_entries", "{{log}}"), ("outcry_audit_cosigned_entries", "{{log}} cosigned")),
    _panel("Witnesses", "short", ("sum by (what) (rate(outcry_audit_witness_failures_total[$__rate_interval]))", "{{what}}")),
    _panel(
        "Refused guesses", "short", ("sum(rate(outcry_edge_refused_guesses_total[$__rate_interval]))", "API keys"),
        ("sum(rate(outcry_edge_refused_sign_ins_total[$__rate_interval]))", "passwords"),
    ),
    _panel("Stores that did not take a batch", "short", ("sum by (role) (rate(outcry_store_unavailable_total[$__rate_interval]))", "{{role}}")),
    _panel(
        "Functions: batches, and records given up", "short", ("sum by (function) (rate(outcry_function_invocations_total[$__rate_interval]))", "{{function}}"),
        ("sum by (function) (rate(outcry_function_given_up_total[$__rate_interval]))", "{{function}} given up"),
    ),
    _panel("Alerts of functions that wait for their webhook", "short", ("outcry_function_undelivered", "{{function}}")),
)  # fmt: skip
_BOARDS: Final = {"trading": ("Trading", _TRADING), "pipeline": ("Pipeline", _PIPELINE), "trust": ("Trust", _TRUST)}


def dashboards() -> dict[str, dict[str, Any]]:
    """By file name, without its ending."""
    return {name: _board(name, title, panels) for name, (title, panels) in _BOARDS.items()}


def _board(name: str, title: str, panels: tuple[Panel, ...]) -> dict[str, Any]:
    source = {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    return {
        "uid": f"open-outcry-{name}", "title": f"Open Outcry: {title}", "tags": ["open-outcry"], "schemaVersion": 39, "editable": False,
        "time": {"from": "now-1h", "to": "now"}, "refresh": "10s", "templating": {"list": [source]},
        "panels": [{"id": index + 1, **one, "gridPos": _place(index)} for index, one in enumerate(panels)],
    }  # fmt: skip


def _place(index: int) -> dict[str, int]:
    across = _ROW // _WIDE
    return {"x": index % across * _WIDE, "y": index // across * _HIGH, "w": _WIDE, "h": _HIGH}

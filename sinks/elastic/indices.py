"""Where audit documents go: index names, templates, explicit mappings. Pure.

One index per stream and day of log time, so that old data is deleted by index. No data streams: their backing index depends on when a
document arrives, but a repeated document must go to the same index. Identifiers are keywords: they are looked up, never computed with,
and a refused request may have any 64 bits, more than `long` allows. Prices: `price` in ticks, and a double for display.
"""

from typing import Any, Final

TEMPLATE_VERSION: Final = 4
EXECUTIONS, ACCOUNT_EVENTS, ALERTS = "audit-executions", "audit-account-events", "audit-alerts"
REBUILD: Final = "rebuild-"
"""Prefix of indices that are being rebuilt from the log (sinks.elastic.generation). `audit-*` does not find them until they are in use."""

_KEYWORD: Final = {"type": "keyword"}
_LONG: Final = {"type": "long"}
_TIME: Final = {"type": "date_nanos"}
_TEXT: Final = {"type": "text"}
_INTEGER: Final = {"type": "integer"}
# what is summed keeps its column; the state after an event is only read with its document, and each column costs the node on every write
_AMOUNT: Final = {"type": "long", "index": False}
_STATE: Final = {"type": "long", "index": False, "doc_values": False}
_DISPLAY: Final = {"type": "double", "index": False, "doc_values": False}

_ORIGIN: Final[dict[str, Any]] = {
    "topic": _KEYWORD, "partition": {"type": "integer"}, "offset": _LONG, "seq": _LONG,
    "source": _KEYWORD, "source_offset": _LONG, "transact_time": _TIME,
}  # fmt: skip
_WORDS: Final = dict.fromkeys(("kind", "symbol", "side", "ord_type", "time_in_force", "reason"), _KEYWORD)

_PROPERTIES: Final[dict[str, dict[str, Any]]] = {
    EXECUTIONS: {
        **_ORIGIN, **_WORDS, "phase": _KEYWORD, "flags": _KEYWORD, "instrument": _LONG, "rpt_seq": _LONG, "price": _LONG, "price_display": _DISPLAY,
        **dict.fromkeys(("order_id", "account", "contra_order_id", "contra_account", "trd_match_id"), _KEYWORD),
        "qty": _AMOUNT, **dict.fromkeys(("leaves_qty", "contra_leaves_qty", "display_qty"), _STATE),
    },
    ACCOUNT_EVENTS: {
        **_ORIGIN, **_WORDS, "ord_status": _KEYWORD, "aggressor": {"type": "boolean"}, "instrument": _LONG, "rpt_seq": _LONG,
        "price": _LONG, "price_display": _DISPLAY, "last_px": _LONG, "last_px_display": _DISPLAY, "submitted_at": _TIME,
        **dict.fromkeys(("cl_ord_id", "orig_cl_ord_id", "order_id", "account", "trd_match_id", "request_id"), _KEYWORD),
        **dict.fromkeys(("order_qty", "last_qty", "cash_delta", "shares_delta"), _AMOUNT),
        **dict.fromkeys(("leaves_qty", "cum_qty", "cum_cost", "cash", "cash_held", "position", "position_held", "position_cost"), _STATE),
    },
    ALERTS: {
        "topic": _KEYWORD, "partition": {"type": "integer"}, "offset": _LONG, "alert_id": _KEYWORD, "pattern": _KEYWORD, "instrument": _LONG,
        "symbol": _KEYWORD, "account": _KEYWORD, "side": _KEYWORD, "score": {"type": "double"}, "explanation": {"type": "text"},
        "window_start": _TIME, "window_end": _TIME, "detected_at": _TIME, "revised_at": _TIME, "source": _KEYWORD,
        **dict.fromkeys(("episode_key", "status", "severity", "accounts", "rule_refs", "config_digest", "reference_digest"), _KEYWORD),
        **dict.fromkeys(("revision", "occurrences", "evidence_total", "detector_version"), _INTEGER),
        **dict.fromkeys(("steps", "counterfactual"), _TEXT),
        "features": {"type": "nested", "dynamic": "strict", "properties": {"name": _KEYWORD, "value": _LONG}},
        "evidence": {
            "type": "nested",
            "dynamic": "strict",
            "properties": {
                "role": _KEYWORD, "order_id": _KEYWORD, "side": _KEYWORD, "price": _LONG, "price_display": _DISPLAY, "qty": _AMOUNT,
                "traded_qty": _AMOUNT, "placed_at": _TIME, "ended_at": _TIME, "account": _KEYWORD, "trd_match_id": _KEYWORD,
                "seq": _LONG, "offset": _AMOUNT, "place": _KEYWORD, "instrument": _LONG,
            },
        },
    },
}  # fmt: skip

_SETTINGS: Final = {
    "number_of_shards": 1,
    "auto_expand_replicas": "0-1",  # one node: none; more: one
    "refresh_interval": "2s",  # an analyst does not notice; each refresh makes a segment
}


def templates() -> dict[str, dict[str, Any]]:
    """Name -> body of each composable index template."""
    return {
        f"outcry-{stream}": {
            "index_patterns": [f"{stream}-*", f"{REBUILD}{stream}-*"],
            "priority": 500,
            "version": TEMPLATE_VERSION,
            "template": {"settings": _SETTINGS, "mappings": {"dynamic": "strict", "properties": properties}},
        }
        for stream, properties in _PROPERTIES.items()
    }


def index_of(stream: str, day: str, generation: str = "") -> str:
    """The index of a stream for a day given as YYYY-MM-DD. `generation`: of a rebuild."""
    name = f"{stream}-{day.replace('-', '.')}"
    return f"{REBUILD}{name}-{generation}" if generation else name

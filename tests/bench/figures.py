"""Writes the tables of docs/benchmarks.md from the stored result lines, docs/benchmarks/*.jsonl: `make figures`.

    python tests/bench/figures.py                    # write the page
    python tests/bench/figures.py run.jsonl ...      # store the result lines in these files first (`make figures FROM="run.jsonl ..."`)

Benches print the lines (`result_lines.py`). A bench that is stored replaces all of its former lines, so the page never mixes two runs. Lines that are
no JSON objects (progress) are passed over. Figures of code that is in no commit are refused. A table stands between `<!-- figures: BENCH -->`
and `<!-- end -->`; a test fails while the page differs from what this command writes.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from harness.result_lines import ROOT, UNCOMMITTED, WHERE

PAGE: Final = ROOT / "docs" / "benchmarks.md"
STORED: Final = ROOT / "docs" / "benchmarks"
NOTHING: Final = "No figures are stored for this version yet."
_MARKED: Final = re.compile(r"(<!-- figures: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_GROWN: Final = ("ns_per_order", "memory_mb", "state_mb", "idle_held_ms", "after_orders_held_ms", "hash_ms", "load_s", "restore_s")

COLUMNS: Final[dict[str, dict[str, str]]] = {
    "counts": {
        "orders": "orders_do", "orders per frame": "frame_rows", "records per order": "records_per_order", "bytes per order": "bytes_per_order",
        "account.commands": "bytes_per_order_by_topic/account.commands", "book.commands": "bytes_per_order_by_topic/book.commands",
        "executions": "bytes_per_order_by_topic/executions", "account.events": "bytes_per_order_by_topic/account.events",
        "edge.replies": "bytes_per_order_by_topic/edge.replies", "market.data": "bytes_per_order_by_topic/market.data",
    },
    "engine": {
        "workload": "workload", "engine": "engine", "messages/s": "messages_per_s", "trades/s": "trades_per_s", "ns per message": "ns_per_message_mean",
        "p99, ns": "ns_per_message_p99", "resting orders": "resting_orders", "bytes per resting order": "bytes_per_resting_order",
        "shortened": "shortened",
    },
    "engine-growth": {
        "series": "workload", "engine": "engine", "symbols": "symbols", "resting orders": "resting_orders", "ns per message": "ns_per_message_mean",
        "p99, ns": "ns_per_message_p99",
    },
    "engine-start": {"start": "what", "imported after, s": "import_s", "ready after, s": "ready_s"},
    "accounts": {
        "what": "engine", "orders per frame": "frame_rows", "orders/s": "orders_per_s", "orders per CPU second": "orders_per_cpu_s",
        "reports/s": "reports_per_s", "trades/s": "trades_per_s", "us of CPU per frame": "cpu_us_per_frame",
    },
    "accounts-growth": {
        "accounts": "accounts", "orders": "orders", "bytes per account": "bytes_per_account", "ns per hold": "hold_ns_again",
        "ns per settlement": "settle_ns_again", "bytes per order": "bytes_per_order", "snapshot, MB": "snapshot_mb",
    },
    "accounts-start": {"compile cache": "compile_cache", "seconds": "seconds"},
    "surveillance": {
        "detectors": "detectors", "rows per frame": "frame_rows", "rows per CPU second": "rows_per_cpu_s", "orders per CPU second": "orders_per_cpu_s",
        "us per row": "us_per_row", "snapshot, ms": "snapshot_ms", "snapshot, KB": "snapshot_kb",
    },
    "surveillance-parties": {"parties": "parties", "us per party": "us_per_party", "orders per CPU second": "orders_per_cpu_s", "facts, KB": "facts_kb"},
    "surveillance-what-if": {"rows per frame": "frame_rows", "rows per CPU second": "rows_per_cpu_s", "ms per frame": "ms_per_frame"},
    "sinks": {
        "store": "sink", "trades/s": "trades_per_s", "rows/s": "rows_per_s", "us of CPU per row": "sink_cpu_us_per_row",
        "batch p50, ms": "batch_ms_p50", "batch p99, ms": "batch_ms_p99",
    },
    "search-store": {
        "documents": "documents", "days": "days", "seconds": "seconds", "documents/s": "documents_per_s", "bytes per document": "bytes_per_document",
        "segments": "segments", "load average": "load_average",
    },
    "search": {
        "question": "question", "asked": "asked", "documents": "documents_per_question", "first page p50, ms": "first_page_p50_ms",
        "p99, ms": "first_page_p99_ms", "later pages p50, ms": "later_page_p50_ms", "later pages p99, ms": "later_page_p99_ms",
    },
    "caches": {
        "cache": "cache", "customers/s": "customers_per_s", "reads": "reads", "failed": "failed", "without MySQL": "hit_share",
        "reads/s of MySQL": "mysql_reads_per_s", "SELECTs/s": "mysql_selects_per_s", "p50, ms": "p50_ms", "p99, ms": "p99_ms", "max, ms": "max_ms",
    },
    "codes": {
        "rows per frame": "frame_rows", "bytes per row": "bytes_per_row", "sign, us per record": "sign_us_per_record",
        "check, us per record": "check_us_per_record", "sign, ns per row": "sign_ns_per_row", "check, ns per row": "check_ns_per_row",
        "keyed BLAKE2b, ns per row": "keyed_blake2b_ns_per_row", "shards, ns per row": "shards_ns_per_row",
        "codes, us per order": "codes_us_per_order", "shards, us per order": "shards_us_per_order", "codes' share, %": "share_percent",
    },
    "secure": {
        "orders/s": "rate_per_s", "sent by": "door", "orders": "orders", "CPU per order, plain, ms": "cpu_ms_per_order_plain",
        "secure, ms": "cpu_ms_per_order_secure", "CPU, ratio": "cpu_ms_per_order_ratio", "p50, plain, ms": "p50_ms_plain", "p50, secure, ms": "p50_ms_secure",
        "p50, ratio": "p50_ms_ratio", "p99, plain, ms": "p99_ms_plain", "p99, secure, ms": "p99_ms_secure", "p99, ratio": "p99_ms_ratio",
        "load average": "load_average",
    },
    "archive": {
        "symbols": "symbols", "rows": "rows", "files": "files", "rows/s": "rows_per_s", "rows per CPU second": "rows_per_cpu_s",
        "bytes per row": "bytes_per_row", "in memory": "raw_bytes_per_row",
    },
    "archive-layout": {
        "layout": "layout", "rows": "rows", "symbols": "symbols", "files": "files", "MB": "megabytes", "VWAP of all, ms": "vwap_all_ms",
        "VWAP of one, ms": "vwap_one_ms", "bars of one, ms": "bars_one_ms",
    },
    "audit": {
        "what": "what", "bytes per record": "record_bytes", "records": "records", "records per CPU second": "records_per_cpu_s",
        "MB per CPU second": "mb_per_cpu_s", "ms per checkpoint of 1,000": "checkpoint_ms", "entries": "entries", "p50, ms": "proof_ms_p50",
        "p99, ms": "proof_ms_p99", "bytes per proof": "proof_bytes", "CPU, s": "cpu_s", "seconds": "seconds", "log, MB": "log_mb",
    },
    "reports": {
        "what": "what", "orders": "orders", "records": "records", "make, s": "seconds", "CPU, s": "cpu_seconds", "check, s": "check_seconds",
        "CPU of the check, s": "check_cpu_seconds", "findings": "findings", "memory, MB": "memory_mb",
    },
    "catch-up": {
        "role": "role", "busy loops beside it": "busy_loops", "events/s": "events_per_s", "records/s": "records_per_s", "seconds": "seconds",
        "CPU of the role, s": "role_cpu_s", "CPU of the store, s": "store_cpu_s",
    },
    "edge": {
        "orders/s offered": "orders_per_s_offered", "orders/s": "orders_per_s", "POST p50, ms": "post_ms/p50", "POST p99, ms": "post_ms/p99",
        "to execution p50, ms": "order_to_execution_ms/p50", "to execution p99, ms": "order_to_execution_ms/p99",
        "us of CPU per order": "edge_cpu_us_per_order",
    },
    "fanout": {
        "what": "what", "server": "variant", "connections": "connections", "resident kB each": "resident_kb_per_connection",
        "kernel kB each": "kernel_kb_per_connection", "idle, us of CPU each per s": "idle_cpu_us_per_connection_per_s", "opened/s": "opened_per_s",
        "messages/s": "messages_per_s", "us of CPU per message": "cpu_us_per_message", "delay p50, ms": "delay_ms/p50", "delay p99, ms": "delay_ms/p99",
        "delay p99.9, ms": "delay_ms/p99_9", "slow readers": "slow_share", "evicted": "evicted", "memory, GB": "memory_gb", "cores": "cores_joined", "load average": "load_average",
    },
    "native-orders": {
        "orders of a request": "orders_per_request", "under way": "under_way", "orders/s": "orders_per_s", "answer p50, ms": "answer_p50_ms",
        "answer p99, ms": "answer_p99_ms", "us of the edge's CPU per order": "edge_us_per_order", "with a core of its own, orders/s": "edge_alone_per_s",
        "busy cores": "busy", "refused": "refused", "load average": "load_average",
    },
    "storm": {
        "what": "what", "sockets": "sockets", "orders/s": "rate_per_s", "orders": "orders", "answer p50, ms": "answer_p50_ms", "answer p99, ms": "answer_p99_ms",
        "max, ms": "answer_max_ms", "later than 50 ms": "later_than_50_ms", "all back after, s": "reconnect_s", "failures": "failures",
        "load average": "load_average",
    },
    "latency": {
        "door": "door", "orders/s": "rate_per_s", "executed": "executed", "p50, ms": "p50_ms", "p99, ms": "p99_ms", "p99.9, ms": "p999_ms", "max, ms": "max_ms",
        "answer p50, ms": "answer_p50_ms", "answer p99, ms": "answer_p99_ms", "failures": "failures",
        "ms of CPU per order": "cpu_ms_per_order", "of it": "cpu_ms_per_order_by_process",
    },
    "pipeline": {
        "path": "path", "mix": "mix", "orders/s": "orders_per_s", "trades/s": "trades_per_s", "seconds": "seconds",
        "us of CPU per trade": "cpu_us_per_trade_all", "of it": "cpu_us_per_trade",
    },
    "pipeline-latency": {
        "orders/s offered": "rate", "orders/s": "orders_per_s", "p50, ms": "p50_ms", "p99, ms": "p99_ms", "p99.9, ms": "p999_ms", "max, ms": "max_ms",
    },
    "pipeline-beside": {
        "role": "role", "mix": "mix", "pairs": "pairs", "trades/s": "trades_per_s", "trades/s beside it": "trades_per_s_beside",
        "cost, %": "cost_percent_median", "us of CPU per trade": "cpu_us_per_trade",
    },
    "growth": {
        "series": "series", "accounts": "accounts", "symbols": "symbols", "resting orders": "resting_orders", "shard": "shard",
        **{name.replace("_", " "): name for name in _GROWN},
    },
    "growth-partitions": {
        "partitions": "partitions", "orders/s": "orders_per_s", "us of CPU per order": "cpu_us_per_order", "memory, MB": "memory_mb",
        "snapshots, MB": "snapshot_mb", "recovery, s": "recovery_s",
    },
    "recovery": {
        "accounts": "accounts", "orders": "orders", "tables kept": "kept_tables", "seconds": "seconds",
        **{f"{role} {part}": f"{role}/{part}" for role in ("hold-funds", "match-orders") for part in ("start_s", "changelog_s", "load_s", "restore_s")},
    },
    "failover": {
        "case": "case", "tries": "tries", "silence p50, ms": "silence_ms_p50", "silence max, ms": "silence_ms_max",
        "without a kill p50, ms": "quiet_ms_p50", "all back p50, ms": "back_ms_p50",
    },
    "moves": {
        "moves": "moves", "orders/s": "orders_per_s", "silence p50, ms": "silence_ms_p50", "silence max, ms": "silence_ms_max",
        "before a move p50, ms": "quiet_ms_p50", "before a move max, ms": "quiet_ms_max", "whole move p50, ms": "took_ms_p50", "orders": "orders",
    },
}  # fmt: skip
"""By bench: the heading of each column, and the figure in it ("a/b": figure b of the object a)."""

Line = dict[str, Any]


def with_figures(page: str, stored: Path = STORED) -> str:
    """The page with every table as the stored lines have it. Raises KeyError for a marker that names no bench."""
    return _MARKED.sub(lambda found: f"{found[1]}\n{table(found[2], lines_of(found[2], stored))}\n\n{found[3]}", page)


def lines_of(bench: str, stored: Path = STORED) -> list[Line]:
    """The stored lines of a bench, none if it has none."""
    path = stored / f"{bench}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(bench: str, lines: list[Line]) -> str:
    """A table for each machine, commit and day, in the order of the lines."""
    columns = COLUMNS[bench]
    groups: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        groups.setdefault((line["machine"], line["commit"], line["date"]), []).append(line)
    parts = []
    for (machine, commit, date), group in groups.items():
        used = {heading: key for heading, key in columns.items() if any(value_of(line, key) is not None for line in group)}
        rows = [list(used), ["---"] * len(used), *([text_of(value_of(line, key)) for key in used.values()] for line in group)]
        written = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        load = max(line["load_average"] for line in group)
        parts.append(f"{date}, commit `{commit}`, {machine}, load average up to {load}:\n\n{written}")
    return "\n\n".join(parts) or NOTHING


def value_of(line: Line, key: str) -> Any:
    """A figure, or None."""
    value: Any = line
    for name in key.split("/"):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def text_of(value: Any) -> str:
    """As the page shows it."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return f"{value:,}"
        case dict():
            return ", ".join(f"{name} {text_of(one)}" for name, one in value.items()) or "none"
        case _:
            return str(value).replace("|", "\\|")


def read_results(texts: Iterable[str]) -> dict[str, list[Line]]:
    """Bench -> lines. Raises ValueError for a result that cannot be stored."""
    found: dict[str, list[Line]] = {}
    for text in texts:
        if not text.startswith("{"):
            continue
        line = json.loads(text)
        if line.get("bench") not in COLUMNS:
            raise ValueError(f"no such bench: {line.get('bench')}")
        if missing := [name for name in WHERE if name not in line]:
            raise ValueError(f"{line['bench']}: the line has no {', '.join(missing)}")
        if line["commit"].endswith(UNCOMMITTED) or line["commit"] == "unknown":
            raise ValueError(f"{line['bench']}: measured code that is in no commit ({line['commit']})")
        found.setdefault(line["bench"], []).append(line)
    return found


def store(results: dict[str, list[Line]], stored: Path = STORED) -> None:
    """Replace the lines of these benches."""
    stored.mkdir(exist_ok=True)
    for bench, lines in results.items():
        (stored / f"{bench}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def main() -> int:
    """Store what is given, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="output of benches, to be stored first")
    arguments = parser.parse_args()
    try:
        results = read_results(line for path in arguments.files for line in path.read_text().splitlines())
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    store(results)
    PAGE.write_text(with_figures(PAGE.read_text()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

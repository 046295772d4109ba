"""The final report of the demo: `summary.json` for programs, a table for people."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.demo.availability import line_of
from streams.demo.chaos import Kill
from streams.demo.reconcile import PLACES, Check, Verdict
from streams.process.files import write_atomically

DETAILS = (" each trade", " shares", " notional")
"""Ends of the names of checks that are shown only when they fail."""
STYLES = {Verdict.AGREES: "green", Verdict.NOT_CAUGHT_UP: "yellow", Verdict.DISAGREES: "bold red"}


def percentile_ms(values_ns: Sequence[int], percent: float) -> float | None:
    """The value that `percent` of the samples do not exceed, in milliseconds; None without samples."""
    if not values_ns:
        return None
    ordered = sorted(values_ns)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] / 1e6, 3)


def percentiles(values_ns: Sequence[int]) -> dict[str, float | int | None]:
    """p50, p99 and the number of samples."""
    return {"p50": percentile_ms(values_ns, 50), "p99": percentile_ms(values_ns, 99), "samples": len(values_ns)}


@dataclass
class Summary:
    """The figures of a session; fields appear in summary.json under their names. Filled as the demo goes on."""

    reconciled: bool = False
    verdict: Verdict = Verdict.NOT_CAUGHT_UP
    interrupted: bool = False
    orders_accepted: int = 0
    orders_rejected: int = 0
    trades: int = 0
    trades_mysql: int = 0
    trades_elasticsearch: int = 0
    trades_websocket: int = 0
    last_price_mismatches: int = 0
    money_conserved: bool = False
    shares_conserved: bool = False
    holds_agree: bool = False
    alerts: int = 0
    order_to_execution_ms: dict[str, float | int | None] = field(default_factory=dict)
    order_to_answer_ms: dict[str, float | int | None] = field(default_factory=dict)
    price_update_ms: dict[str, float | int | None] = field(default_factory=dict)
    availability: dict[str, Any] = field(default_factory=dict)
    session: dict[str, Any] = field(default_factory=dict)
    kills: list[Kill] = field(default_factory=list)
    steps_s: dict[str, float] = field(default_factory=dict)
    disagreements: list[str] = field(default_factory=list)
    not_caught_up: list[str] = field(default_factory=list)
    """Facts that cannot be judged, because a consumer has not read the whole log."""
    checks: list[Check] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """As JSON."""
        write_atomically(path, json.dumps(asdict(self), indent=1, default=sorted) + "\n")


def show(console: Console, summary: Summary) -> None:
    """The reconciliation line by line, the figures, and the disagreements by name; summary.json has the lines that are left out here."""
    table = Table(title="reconciliation", title_justify="left", header_style="bold", pad_edge=False, box=None)
    for heading in ("fact", *PLACES, ""):
        table.add_column(heading, justify="left" if heading in ("fact", "") else "right", overflow="fold")
    shown = [check for check in summary.checks if not check.agrees or not check.name.endswith(DETAILS)]
    for check in shown:
        table.add_row(check.name, *(check.seen.get(place, "") for place in PLACES), Text(check.verdict, style=STYLES[check.verdict]))
    console.print(table)
    if len(shown) < len(summary.checks):
        console.print(
            f"and {len(summary.checks) - len(shown)} more facts on which all agree: each trade by its id, shares and notional of each symbol",
            highlight=False,
        )
    figures = {
        "orders accepted / rejected": f"{summary.orders_accepted} / {summary.orders_rejected}",
        "trades": str(summary.trades),
        "alerts": str(summary.alerts),
        "order to execution (HTTP POST to fill)": _milliseconds(summary.order_to_execution_ms),
        "order to answer (HTTP POST to its answer)": _milliseconds(summary.order_to_answer_ms),
        "price update (order in to WebSocket client)": _milliseconds(summary.price_update_ms),
        "availability over HTTP": line_of(summary.availability),
        "seconds a step": ", ".join(f"{name} {seconds:g}" for name, seconds in summary.steps_s.items()),
    }
    if summary.kills:
        figures["killed, seconds until ready again"] = ", ".join(f"{kill.role} {kill.recovery_s:g}" for kill in summary.kills)
    for name, figure in figures.items():
        console.print(f"{name:<44} {figure}", highlight=False)
    for problem in summary.disagreements:
        console.print(f"DISAGREE {problem}", style="red", highlight=False)
    for problem in summary.not_caught_up:
        console.print(f"not caught up: {problem}", style="yellow", highlight=False)
    if summary.verdict is Verdict.NOT_CAUGHT_UP:
        console.print("nothing disagrees, but something stopped catching up", style="yellow", highlight=False)
    if summary.reconciled:
        console.print("everything agrees: the log, MySQL, Elasticsearch, Redis, and the clients", style="green", highlight=False)


def _milliseconds(figures: dict[str, float | int | None]) -> str:
    return f"p50 {figures.get('p50')} ms, p99 {figures.get('p99')} ms, {figures.get('samples')} samples"

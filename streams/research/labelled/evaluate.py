"""Run many labelled markets and say how good surveillance is: tables, JSON lines, plots."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from schemas.errors import OutcryError
from streams.research.labelled.injectors import INJECTORS
from streams.research.labelled.markets import Outcome, Scenario, background, injected
from streams.research.labelled.pairs import PAIR_INJECTORS, background_pair, injected_pair
from streams.research.labelled.scoring import Cell, Scores

PATTERNS: Final = (*INJECTORS, *PAIR_INJECTORS)
DENSITIES: Final = (3.0, 17.0, 70.0, 250.0)
SEVERITIES: Final = (0.2, 0.5, 0.8)
BACKGROUND_ORDERS_MAX: Final = 50_000
"""Of one session without manipulation; more are several sessions."""


@dataclass(frozen=True)
class Plan:
    """What is run."""

    patterns: tuple[str, ...] = PATTERNS
    densities: tuple[float, ...] = DENSITIES
    severities: tuple[float, ...] = SEVERITIES
    scenarios: int = 4
    """Of each pattern, density and severity; every other one hides."""
    background_orders: int = 100_000
    """Of each density."""
    seed: int = 1

    def markets(self) -> int:
        """How many sessions it is."""
        sessions = -(-self.background_orders // BACKGROUND_ORDERS_MAX) * len(self.kinds())
        return len(self.densities) * (sessions + len(self.patterns) * len(self.severities) * self.scenarios)

    def kinds(self) -> list[int]:
        """Of sessions without manipulation: 0 of one market, 1 of two with doors and news. Those that the patterns are looked for in."""
        pairs = {int(pattern in PAIR_INJECTORS) for pattern in self.patterns}
        return sorted(pairs)


def run(plan: Plan) -> Iterator[tuple[Outcome, Scenario | None]]:
    """Market by market."""
    for density in plan.densities:
        orders = plan.background_orders
        for kind in plan.kinds():
            for session in range(-(-orders // BACKGROUND_ORDERS_MAX)):
                seed = _seed(plan.seed, 0, round(density * 10), kind, session)
                run_one = background_pair if kind else background
                yield run_one(density, seed, min(BACKGROUND_ORDERS_MAX, orders - session * BACKGROUND_ORDERS_MAX)), None
        for pattern in plan.patterns:
            place = PATTERNS.index(pattern) + 1  # the same markets, whatever else is run
            for severity in plan.severities:
                for number in range(plan.scenarios):
                    seed = _seed(plan.seed, place, round(density * 10), round(severity * 100), number)
                    scenario = Scenario(pattern, severity, density, seed, number % 2 == 1)
                    yield (injected_pair if pattern in PAIR_INJECTORS else injected)(scenario), scenario


def _seed(*parts: int) -> int:
    found = 0
    for part in parts:
        found = found * 1_000_003 + part
    return found % (1 << 63)


def report(scores: Scores, plan: Plan) -> str:
    """The tables, to be read by people."""
    parts = [
        f"recall by pattern, density (orders/s) and severity; {plan.scenarios} scenarios a cell, seed {plan.seed}; z: naive z-score baseline",
        _grid(scores, plan),
        "event by event: precision and recall of the orders that alerts list, and the delay of the first alert",
        _lines(scores.table(), ("pattern", "density", "severity", "event_precision", "event_recall", "delay_s")),
        "alerts: true / related / false, precision, false per 100,000 orders",
        _lines(scores.alerts(), ("pattern", "density", "true", "related", "false", "precision", "false_per_100k_orders")),
        "baseline: accounts that it flags",
        _lines(scores.baseline(), ("density", "true", "false", "precision", "false_per_100k_orders")),
    ]
    if scores.accused:
        parts += ["false alerts by whom they name", "\n".join(f"  {who}: {count}" for who, count in sorted(scores.accused.items()))]
    orders = sum(scores.orders.values())
    speed = scores.rows / scores.watch_cpu_s if scores.watch_cpu_s else 0.0
    parts.append(f"{orders:,} orders, {scores.rows:,} rows; {speed:,.0f} rows per CPU second through all detectors")
    return "\n\n".join(parts)


def _grid(scores: Scores, plan: Plan) -> str:
    columns = [(density, severity) for density in plan.densities for severity in plan.severities]
    lines = [f"{'':20}" + "".join(f"{f'{density:g}/s {severity:g}':>14}" for density, severity in columns)]
    cells = {(one["pattern"], one["density"], one["severity"]): one for one in scores.table()}
    for pattern in plan.patterns:
        found = [cells.get((pattern, density, severity)) for density, severity in columns]
        lines.append(f"{pattern:20}" + "".join(f"{_text(one):>14}" for one in found))
    return "\n".join(lines)


def _text(cell: Cell | None) -> str:
    return "" if cell is None else f"{_figure(cell['recall'])} z {_figure(cell['baseline_recall'])}"


def _figure(value: Any) -> str:
    return "-" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def _lines(cells: Sequence[Cell], names: Sequence[str]) -> str:
    heads = [name.replace("_", " ") for name in names]
    texts = [[_figure(cell[name]) for name in names] for cell in cells]
    widths = [max(len(row[at]) for row in [heads, *texts]) for at in range(len(names))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in [heads, *texts])


def write_json(path: Path, scores: Scores, plan: Plan) -> None:
    """One JSON object a line: cells of recall, alerts of a pattern, the baseline."""
    tables = {"recall": scores.table(), "alerts": scores.alerts(), "baseline": scores.baseline()}
    lines = [json.dumps({"table": name, "seed": plan.seed, **cell}) for name, cells in tables.items() for cell in cells]
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def draw(folder: Path, scores: Scores, plan: Plan) -> list[Path]:
    """A plot of recall by severity a pattern, one line a density. Raises OutcryError without matplotlib."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise OutcryError("plots need matplotlib: pip install 'open-outcry[research]'") from None
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    cells = {(one["pattern"], one["density"], one["severity"]): one for one in scores.table()}
    rows = -(-len(plan.patterns) // 4)
    figure, axes = plt.subplots(rows, 4, figsize=(14, 3 * rows), sharex=True, sharey=True, squeeze=False)
    for place, axis in enumerate(axes.flat):
        if place >= len(plan.patterns):
            axis.set_visible(False)
            continue
        pattern = plan.patterns[place]
        for density in plan.densities:
            found = [cells.get((pattern, density, severity)) for severity in plan.severities]
            axis.plot(plan.severities, [one["recall"] if one else None for one in found], marker="o", label=f"{density:g} orders/s")
        axis.set_title(pattern.replace("_", " ").lower())
        axis.set_ylim(-0.05, 1.05)
        axis.grid(alpha=0.3)
    axes[0][0].legend(fontsize=8)
    figure.supxlabel("severity")
    figure.supylabel(f"recall, {plan.scenarios} scenarios a point, seed {plan.seed}")
    figure.tight_layout()
    path = folder / "recall.png"
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return [path]

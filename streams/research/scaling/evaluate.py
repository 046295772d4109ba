"""Run every policy over the same days, and say what each was worth: a table, JSON lines, plots."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from forecast.costs import Costs
from forecast.model import ModelSettings
from schemas.errors import OutcryError
from schemas.market_hours import MarketCalendar
from streams.research.scaling.days import SURPRISES, TICK_S, Day, days
from streams.research.scaling.fleet import Outcome, run
from streams.research.scaling.policies import policies

BASE: Final = "reactive HPA"
ALL: Final = "all"
CALM: Final = 20
"""Days without surprises that are only learned from."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is run: so many days with surprises, behind CALM without."""

    days: int = 60
    seed: int = 1
    names: tuple[str, ...] = ()
    """Of policies; empty: all."""


def outcomes(plan: Plan, calendar: MarketCalendar, costs: Costs) -> Iterator[list[Outcome]]:
    """Policy by policy, over the same days."""
    world = list(days(plan.days, plan.seed, calendar, CALM))
    for name, make in policies(calendar, costs, ModelSettings()).items():
        if name in plan.names or not plan.names:
            yield run(make(), name, world, CALM)


def summary(found: Mapping[str, Sequence[Outcome]]) -> list[Row]:
    """A row a policy and kind of day, and one a policy over all of them."""
    rows: list[Row] = []
    for name, results in found.items():
        for kind in (ALL, *SURPRISES, "half day"):
            some = [one for one in results if _is_of(one.day, kind)]
            if some:
                rows.append({"policy": name, "days_kind": kind, "days": len(some)} | _sums(some))
    by = {row["days_kind"]: row for row in rows if row["policy"] == BASE}
    for row in rows:
        base = by.get(row["days_kind"])
        if base is not None and base["minutes_short"]:
            row["less_short_percent"] = round(100 * (1 - row["minutes_short"] / base["minutes_short"]), 1)
        if base is not None:
            row["more_hours_percent"] = round(100 * (row["process_hours"] / base["process_hours"] - 1), 1)
    return rows


def _is_of(day: Day, kind: str) -> bool:
    return kind == ALL or (day.half if kind == "half day" else day.surprise == kind)


def _sums(some: Sequence[Outcome]) -> Row:
    loads = sum(float(one.day.loads.sum()) for one in some)
    return {
        "minutes_short": round(sum(one.minutes_short for one in some), 2),
        "over_percent": round(100 * sum(one.over * float(one.day.loads.sum()) for one in some) / loads, 4),
        "process_hours": round(sum(one.process_hours for one in some)),
        "scale_ups_a_day": round(sum(one.scale_ups for one in some) / len(some), 1),
    }


def report(rows: Sequence[Row], plan: Plan) -> str:
    """The table, for people."""
    heads = (
        "policy",
        "days_kind",
        "days",
        "minutes_short",
        "less_short_percent",
        "over_percent",
        "process_hours",
        "more_hours_percent",
        "scale_ups_a_day",
    )
    texts = [[_text(row.get(head)) for head in heads] for row in rows]
    titles = [head.replace("_", " ").replace("percent", "%") for head in heads]
    widths = [max(len(line[at]) for line in [titles, *texts]) for at in range(len(heads))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in [titles, *texts]]
    said = (
        f"{plan.days} simulated days behind {CALM} calm ones, seed {plan.seed}. A simulation, no evidence about markets.",
        "minutes short: fewer processes than the load takes at 85 % use. less short, more hours: beside the reactive HPA, same days.",
    )
    return "\n".join([*said, "", *lines])


def _text(value: Any) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int | float) else str(value)


def write_json(path: Path, rows: Sequence[Row], plan: Plan) -> None:
    """One object a line."""
    path.write_text("".join(json.dumps({"bench": "forecast", "seed": plan.seed, **row}) + "\n" for row in rows), "utf-8")


def draw(folder: Path, found: Mapping[str, Sequence[Outcome]]) -> list[Path]:
    """One plot a kind of day: its first day's load and the processes of each policy. Raises OutcryError without matplotlib."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise OutcryError("plots need matplotlib: pip install 'open-outcry[research]'") from None
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for kind in (*SURPRISES, "half day"):
        chosen = {name: one for name, results in found.items() for one in [one for one in results if _is_of(one.day, kind)][:1]}
        if not chosen:
            continue
        figure, axis = plt.subplots(figsize=(11, 4.5))
        for name, one in chosen.items():
            hours = [tick * TICK_S / 3_600 for tick in range(len(one.counts))]
            axis.step(
                hours, one.counts, label=f"{name}: {one.minutes_short:.1f} min short, {one.process_hours:.0f} process hours", linewidth=1
            )
        axis.set_xlim(6, 20)
        axis.set_xlabel(f"hour, New York; {next(iter(chosen.values())).day.day}, {kind}")
        axis.set_ylabel("processes")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
        figure.tight_layout()
        paths.append(folder / f"{kind.replace(' ', '-')}.png")
        figure.savefig(paths[-1], dpi=110)
        plt.close(figure)
    return paths

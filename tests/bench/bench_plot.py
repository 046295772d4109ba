"""How benches plot, and the plot of the engine bench: cost of a message against symbols and against resting orders."""

from pathlib import Path
from typing import Any, Final

Lines = dict[str, list[tuple[int, float, int]]]
"""engine -> (x, mean ns per message, p99 ns per message), by x."""

PANELS: Final = (
    ("growth-symbols", "symbols", "symbols (100,000 resting orders)"),
    ("growth-resting", "resting_orders", "resting orders (one symbol)"),
)


def pyplot() -> Any:
    """matplotlib.pyplot without a screen. Raises ImportError without matplotlib (optional dependencies `bench`)."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    return plt


def lines_of(rows: list[dict[str, Any]], workload: str, x: str) -> Lines:
    """The points of one panel."""
    lines: Lines = {}
    for row in sorted((row for row in rows if row["workload"] == workload), key=lambda row: int(row[x])):
        lines.setdefault(row["engine"], []).append((row[x], row["ns_per_message_mean"], row["ns_per_message_p99"]))
    return lines


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Write the PNG."""
    plt = pyplot()
    figure, panels = plt.subplots(1, 2, figsize=(12, 4.5), sharey=True, layout="constrained")
    for axes, (workload, x, label) in zip(panels, PANELS, strict=True):
        for engine, points in lines_of(rows, workload, x).items():
            places, means, p99s = zip(*points, strict=True)
            (line,) = axes.plot(places, means, marker="o", label=f"{engine}: mean")
            axes.plot(places, p99s, linestyle=":", color=line.get_color(), label=f"{engine}: p99 of batches of 16")
        axes.set_xscale("log")
        axes.set_xlabel(label)
        axes.grid(visible=True, alpha=0.3)
        axes.set_ylim(bottom=0)
    panels[0].set_ylabel("ns per message")
    panels[0].legend()
    figure.suptitle("Cost of a message of the itch-mix, one core")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)

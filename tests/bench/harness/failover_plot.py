"""The plot of the failover bench: each try of each case, and what share of the tries took no longer."""

from pathlib import Path
from typing import Any


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Write the PNG: cumulative shares over a logarithmic axis, dotted for the windows without a kill. Raises ImportError without matplotlib."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    for row in rows:
        label = f"{row['case']}: p50 {row['silence_ms_p50']:,} ms, max {row['silence_ms_max']:,} ms"
        (line,) = axes.plot(*_shares(row["silence_ms"]), drawstyle="steps-post", marker="o", markersize=3, label=label)
        axes.plot(*_shares(row["quiet_ms"]), drawstyle="steps-post", linestyle=":", color=line.get_color())
    axes.set_xscale("log")
    axes.set_xlabel("longest time without an execution of a book shard, ms (dotted: nothing was killed)")
    axes.set_ylabel("share of the tries")
    axes.grid(visible=True, which="both", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2)
    figure.suptitle(f"Time without service after kill -9, {rows[0]['orders_per_s']:g} orders/s")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _shares(values: list[int]) -> tuple[list[int], list[float]]:
    ordered = sorted(values)
    return ordered, [number / len(ordered) for number in range(1, len(ordered) + 1)]

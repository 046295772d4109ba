"""Writes the generated parts of docs/capacity.md between their markers: python tests/tidy/capacity_page.py (`make capacity`).

Constants are those of forecast/costs.toml and of the stored lines in docs/benchmarks. Everything else is a parameter here, and an assumption.
"""

import json
import math
import re
from pathlib import Path
from typing import Any, Final

from forecast.costs import Costs
from streams.research.scaling.market_open import Open, simulate

PAGE: Final = Path(__file__).parents[2] / "docs" / "capacity.md"
BENCHMARKS: Final = PAGE.parent / "benchmarks"
_MARKED: Final = re.compile(r"(<!-- capacity: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

TRADERS: Final = 10_000_000
ACTIVE_PER_S: Final = 0.001
"""Of the traders, how many send an order in a second, long after the open."""
BURST: Final = 5.0
DECAY_S: Final = 60.0
TRADES_PER_S: Final = 1_000_000
USE: Final = 0.6
"""Of a core."""
NODE_CORES: Final = 4
COPIES: Final = 3
SHARDS: Final = 240
BUSIEST_BOOK: Final = 0.05
"""Share of all orders in the busiest book shard."""
ASSUMPTIONS: Final = {
    "traders connected": f"{TRADERS:,}", "of them, orders in a second": f"{ACTIVE_PER_S:.1%}", "burst at the open": f"{BURST:g} times, falls to 1/e in {DECAY_S:g} s",
    "trades a second": f"{TRADES_PER_S:,}", "use of a core": f"{USE:.0%}", "cores of a node": str(NODE_CORES), "copies of a record": str(COPIES),
    "account shards": str(SHARDS), "orders in the busiest book shard": f"{BUSIEST_BOOK:.0%}",
}  # fmt: skip


def with_figures(page: str) -> str:
    """The page with every part as the constants have it. Raises KeyError for a marker that names none."""
    return _MARKED.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n\n{found[3]}", page)


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def _stored(bench: str, **where: Any) -> dict[str, Any]:
    lines = [json.loads(line) for line in (BENCHMARKS / f"{bench}.jsonl").read_text().splitlines()]
    return next(line for line in lines if all(line[key] == value for key, value in where.items()))


def _us(name: str) -> float:
    return Costs.load().constants[name].value


def _constants() -> str:
    rows = [(one.name, f"{one.value:g} {one.unit}", one.kind, one.source) for one in Costs.load().constants.values()]
    counts = _stored("counts", orders_do="trade", frame_rows=100)
    rows.append(
        ("bytes of an order that trades", f"{counts['bytes_per_order']} B", "measured", "`make bench-counts`, frames of 100 orders")
    )
    return _table(
        ("constant", "value", "kind", "source"), [(name, value, kind, source.replace("|", "/")) for name, value, kind, source in rows]
    )


def _assumptions() -> str:
    return _table(("assumption", "value"), list(ASSUMPTIONS.items()))


def _open() -> Open:
    orders = TRADERS * ACTIVE_PER_S
    return Open(orders, BURST, DECAY_S, 60, _edges(), SHARDS, BUSIEST_BOOK, _us("edge_order_us"), _us("hold_order_us"), _us("match_order_us"),
                _us("hold_report_us"))  # fmt: skip


def _edge_cores() -> tuple[float, float, int]:
    """Of sockets, of orders at the peak, and of both at USE."""
    sockets, orders = TRADERS * _us("edge_socket_us") / 1e6, TRADERS * ACTIVE_PER_S * BURST * _us("edge_order_us") / 1e6
    return sockets, orders, math.ceil((sockets + orders) / USE)


def _edges() -> int:
    """Processes of one core."""
    return max(math.ceil(TRADERS / _us("edge_sockets")), _edge_cores()[2])


def _bill() -> str:
    orders, peak = TRADERS * ACTIVE_PER_S, TRADERS * ACTIVE_PER_S * BURST
    socket_cores, order_cores, edge_cores = _edge_cores()
    hold, match = peak * (_us("hold_order_us") + _us("hold_report_us")) / 1e6, peak * _us("match_order_us") / 1e6
    watch = 4.2 * peak * _us("watch_row_us") / 1e6
    counts = _stored("counts", orders_do="trade", frame_rows=100)
    log_mb = 2 * TRADES_PER_S * counts["bytes_per_order"] / 1e6
    rows = [
        (
            "edges, by sockets held",
            math.ceil(TRADERS / _us("edge_sockets")),
            "extrapolated",
            f"{TRADERS:,} / {_us('edge_sockets'):,.0f} a process",
        ),
        (
            "edges, cores at the peak",
            edge_cores,
            "extrapolated",
            f"sockets {socket_cores:,.0f} and {peak:,.0f} orders/s {order_cores:,.0f}, at {USE:.0%}",
        ),
        ("edges, nodes", math.ceil(_edges() / NODE_CORES), "extrapolated", f"{_edges():,} processes of one core, {NODE_CORES} a node"),
        (
            "hold-funds, cores",
            math.ceil(hold / USE),
            "extrapolated",
            f"{peak:,.0f} orders/s, each with a report, one a frame: the dearest case",
        ),
        ("match-orders, cores", math.ceil(match / USE), "extrapolated", f"{peak:,.0f} orders/s, one a frame"),
        ("watch-trading, cores", math.ceil(watch / USE), "extrapolated", "4.2 rows an order, as in bench_surveillance"),
        (
            "log at 1M trades/s",
            f"{log_mb:,.0f} MB/s",
            "extrapolated",
            f"2 orders a trade, {counts['bytes_per_order']} B each, frames of 100",
        ),
        ("the same, all copies", f"{COPIES * log_mb:,.0f} MB/s", "extrapolated", f"{COPIES} copies"),
        ("steady orders", f"{orders:,.0f}/s", "assumption", ""),
    ]
    return _table(("what", "how much", "kind", "how"), rows)


def _market_open() -> str:
    rows = [
        (one.place, f"{one.orders:,}", f"{one.use_max:.0%}", f"{one.p50_ms:.2f}", f"{one.p99_ms:.2f}", f"{one.max_ms:.1f}", one.queue_max)
        for one in simulate(_open())
    ]
    return _table(("place", "orders in 60 s", "busiest second, of a core", "p50, ms", "p99, ms", "max, ms", "longest queue"), rows)


def _availability() -> str:
    allowed = 1 - 0.9999
    rows = [
        (name, f"{seconds * allowed:,.2f} s")
        for name, seconds in (("a session of 6.5 h", 23_400), ("a month, 21 sessions", 21 * 23_400), ("a year, 252 sessions", 252 * 23_400))
    ]
    return _table(("window", "out of service at 99.99 %"), rows)


PARTS: Final = {
    "constants": _constants, "assumptions": _assumptions, "bill": _bill, "open": _market_open, "availability": _availability,
}  # fmt: skip


if __name__ == "__main__":
    PAGE.write_text(with_figures(PAGE.read_text()))

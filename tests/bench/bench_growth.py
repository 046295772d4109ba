"""What growth costs: an order, memory, snapshots and recovery against accounts, symbols, resting orders and partitions. JSON lines, and a plot per series.

    python tests/bench/bench_growth.py                                  # every series; 10 million accounts take some 6 GB and minutes
    python tests/bench/bench_growth.py --quick                          # small sizes, in seconds
    python tests/bench/bench_growth.py --series accounts --plots var/growth

accounts, symbols, resting: both shards in one process, without Kafka, each size in a process of its own; a row for each shard, see growth_runs. `ns_per_order`:
processor time from a producer's frame to the settlement of its trades, through both shards, frames of 4,000. `memory_mb`: what the process took for the filled
shards. Of each snapshot, first, of an idle shard, and after the orders: `_held_ms` while inputs wait, `_packed_ms` beside them, `_mb` bytes. `hash_ms`: the
canonical hash, see streams.host.snapshot_pace. `load_s`, `restore_s`: reading the snapshot back, and the shard with its indexes. All of it is processor time, which a busy
machine changes less (nothing here waits for anything).

partitions: through Kafka, one worker a role with all of its partitions; `cpu_us_per_order` of both roles; memory and snapshot bytes of both roles; `recovery_s` as
in bench_recovery.py, until every partition of both roles serves.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.request import urlopen

import click
import psutil
from bench_recovery import INPUTS, Market, recover, stop_roles, wait_durable, wait_for
from harness.result_lines import print_result
from tapes.growth_runs import measured

from schemas.enums import Phase
from schemas.instruments import load_instruments
from schemas.settings import load_settings
from streams.operate.command_books import change_session
from streams.process.record_keys import record_keys
from streams.services.local_set import LocalSet
from topics import OrderProducer
from topics.speakers import PRODUCER

SERIES: Final[dict[str, tuple[int, ...]]] = {
    "accounts": (1_000, 100_000, 10_000_000), "symbols": (1_000, 10_000), "resting": (10_000, 1_000_000), "partitions": (1, 2, 4, 8),
}  # fmt: skip
QUICK: Final[dict[str, tuple[int, ...]]] = {
    "accounts": (1_000, 10_000), "symbols": (10, 100), "resting": (1_000, 10_000), "partitions": (1, 2),
}  # fmt: skip
X: Final = {"accounts": "accounts", "symbols": "symbols", "resting": "resting_orders", "partitions": "partitions"}
ORDERS: Final = 200_000
QUICK_ORDERS: Final = 20_000
INSTRUMENTS: Final = 16
"""Through Kafka, where the last series has eight book shards."""
BASE: Final = {"accounts": 10_000, "symbols": 100, "resting": 10_000}
"""What the sizes are that a series does not grow."""
OF_BOTH: Final = ("ns_per_order", "memory_mb", "cpu_us_per_order", "orders_per_s", "snapshot_mb", "recovery_s")
"""What is measured of the two shards together."""
PANELS: Final = {
    "in one process": (
        ("ns per order", ("ns_per_order",)), ("MB", ("memory_mb", "state_mb", "first_mb", "after_orders_mb")),
        ("snapshot, ms", ("first_held_ms", "idle_held_ms", "after_orders_held_ms", "first_packed_ms", "hash_ms")),
        ("recovery, s", ("load_s", "restore_s")),
    ),
    "through Kafka": (
        ("us of processor an order", ("cpu_us_per_order",)), ("orders/s", ("orders_per_s",)), ("MB", ("memory_mb", "snapshot_mb")),
        ("recovery, s", ("recovery_s",)),
    ),
}  # fmt: skip


def in_one_process(series: str, size: int, orders: int) -> list[dict[str, Any]]:
    """A size of a series, in a process of its own."""
    sizes = BASE | {series: size}
    command = [sys.executable, __file__, "--one", json.dumps([sizes["accounts"], sizes["symbols"], sizes["resting"], orders])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def write_instruments(path: Path, count: int) -> None:
    """A list with instruments for every book shard."""
    terms = 'tick_size = "0.01"\nlot_size = "1"\nmax_order_qty = "100000"\nmax_notional = "50000000"\nreference_price = "180.00"\nprotection_percent = 20'
    path.write_text(
        "".join(f'[[instrument]]\nnumber = {n}\nsymbol = "I{n}"\nname = "Instrument {n}"\n{terms}\n\n' for n in range(1, count + 1))
    )


def through_kafka(partitions: int, orders: int) -> list[dict[str, Any]]:
    """A set with so many account and book shards: orders that rest, as fast as they are taken; then an empty machine."""
    with TemporaryDirectory(prefix="outcry-growth-") as scratch:
        listed = Path(scratch) / "instruments.toml"
        write_instruments(listed, INSTRUMENTS)
        settings = load_settings().model_copy(
            update={"home": Path(scratch), "account_shards": partitions, "book_shards": partitions, "instruments_file": listed}
        )
        local = LocalSet(settings)
        with local.running(("kafka",), tuple(INPUTS)) as connected:
            market = Market(connected, load_instruments(connected.instruments_file), BASE["accounts"])
            change_session(connected, Phase.CONTINUOUS)
            market.fill(0)
            wait_durable(connected)
            before, began = _spent(local), time.monotonic()
            with OrderProducer(
                connected.kafka_url, market.instruments, buffer_rows_max=200_000, sign=record_keys(connected).signer(PRODUCER)
            ) as producer:
                for first in range(0, orders, 4_000):
                    producer.new_orders(*market.resting(first, min(4_000, orders - first)))
            wait_for("all orders are decided", lambda: _rows(local, "match-orders") >= orders, 0.02)
            seconds, after = time.monotonic() - began, _spent(local)
            wait_durable(connected)
            row = {
                "series": "partitions", "partitions": partitions, "accounts": market.accounts, "orders": orders,
                "orders_per_s": round(orders / seconds), "cpu_us_per_order": round((after - before) / orders * 1e6, 2),
                "memory_mb": round(sum(_process(local, role).memory_info().rss for role in INPUTS) / 1e6),
                "snapshot_mb": round(sum(_metric(local, role, "outcry_snapshot_bytes_total") for role in INPUTS) / 1e6, 1),
            }  # fmt: skip
            stop_roles(local)
            recovery_s, _, _ = recover(local, market, keep_tables=False)
            return [row | {"recovery_s": round(recovery_s, 2)}]


def _process(local: LocalSet, role: str) -> psutil.Process:
    status = local.status()
    assert status is not None
    return psutil.Process(next(child.pid for child in status.children if child.name == role))


def _spent(local: LocalSet) -> float:
    """Processor time of both roles, s."""
    times = [_process(local, role).cpu_times() for role in INPUTS]
    return sum(one.user + one.system for one in times)


def _address(local: LocalSet, role: str) -> str:
    status = local.status()
    assert status is not None
    return next(child.address for child in status.children if child.name == role)


def _rows(local: LocalSet, role: str) -> int:
    """Rows that the role has applied since it was started."""
    with urlopen(_address(local, role) + "/readyz", timeout=10) as answer:
        return sum(one["rows"] for one in json.load(answer)["partitions"].values())


def _metric(local: LocalSet, role: str, name: str) -> float:
    """Sum of a metric over the partitions of a role."""
    with urlopen(_address(local, role) + "/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + "{"))


def draw(series: str, rows: list[dict[str, Any]], path: Path) -> None:
    """The PNG of a series. Raises ImportError without matplotlib (optional dependencies `bench`)."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    where = "through Kafka" if series == "partitions" else "in one process"
    figure, all_axes = plt.subplots(1, len(PANELS[where]), figsize=(20, 6), layout="constrained")
    shards = sorted({row.get("shard", "") for row in rows})
    for axes, (label, names) in zip(all_axes, PANELS[where], strict=True):
        for shard, style in zip(shards, ("-", "--"), strict=False):
            of_shard = [row for row in rows if row.get("shard", "") == shard]
            for name in names if shard == shards[0] else [name for name in names if name not in OF_BOTH]:
                line = "of both " + name if name in OF_BOTH else f"{shard} {name}"
                axes.plot([row[X[series]] for row in of_shard], [row[name] for row in of_shard], style, marker="o", label=line.strip())
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(X[series].replace("_", " "))
        axes.set_ylabel(label)
        axes.grid(visible=True, which="both", alpha=0.3)
        axes.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.12))
    figure.suptitle(f"Growth with {X[series].replace('_', ' ')}, {where}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


@click.command()
@click.option("--series", "wanted", multiple=True, type=click.Choice(list(SERIES)), help="Only these; may be repeated.")
@click.option("--quick", is_flag=True, help="Small sizes, to see that it works.")
@click.option(
    "--plots", type=click.Path(file_okay=False, path_type=Path), default=Path("var/bench"), show_default=True, help="Where PNGs go."
)
@click.option("--one", hidden=True, help="accounts, symbols, resting orders, orders: one size, in this process.")
def main(wanted: tuple[str, ...], quick: bool, plots: Path, one: str | None) -> None:
    """What an order, memory, snapshots and recovery cost while the exchange grows."""
    if one is not None:
        for row in measured(*json.loads(one)):
            print(json.dumps(row), flush=True)
        return
    orders = QUICK_ORDERS if quick else ORDERS
    for series in wanted or SERIES:
        rows = []
        for size in (QUICK if quick else SERIES)[series]:
            print(f"# {series}: {size:,}", flush=True)
            found = through_kafka(size, orders) if series == "partitions" else in_one_process(series, size, orders)
            rows += [{**row, "series": series} for row in found]
            for row in rows[-len(found) :]:
                print_result("growth-partitions" if series == "partitions" else "growth", row)
        draw(series, rows, plots / f"growth-{series}.png")
        print(f"# {plots / f'growth-{series}.png'}", flush=True)


if __name__ == "__main__":
    main()

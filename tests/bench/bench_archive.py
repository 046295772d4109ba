"""What the archive costs, and its layout beside two others: `python tests/bench/bench_archive.py [--rows N] [--symbols N]` prints JSON lines.

Synthetic executions: orders with levels, trades with two orders each, symbols by Zipf's law, prices that walk. `writing` is the role's commit:
columns, sorting, digests, Parquet, fsync. `layout` is the same rows as files of a day and partition (ours), the same unsorted, and as a file for each
symbol; size and the best of ten scans, by DuckDB with two threads and the archive's own limits.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow.parquet as pq
from harness.result_lines import print_result

from audit.disk import Disk
from schemas.codec import FRAMES, Frame, Header, Rows
from schemas.enums import ExecKind
from sinks import Input
from sinks.parquet import files
from sinks.parquet.files import ArchivedPartition, manifests
from sinks.parquet.tables import BY_TOPIC, columns_of_arrow

TABLE: Final = BY_TOPIC["executions"]
FRAME_ROWS: Final = 200
START_NS: Final = 1_800_000_000_000_000_000
QUESTIONS: Final = {
    "vwap_all_ms": "SELECT instrument, sum(price * qty) / sum(qty) FROM read_parquet({files}) WHERE kind = 2 GROUP BY instrument",
    "vwap_one_ms": "SELECT sum(price * qty) / sum(qty) FROM read_parquet({files}) WHERE kind = 2 AND instrument = {symbol}",
    "bars_one_ms": "SELECT transact_time // 1000000000, max(price), min(price), sum(qty) FROM read_parquet({files}) "
                   "WHERE kind = 2 AND instrument = {symbol} GROUP BY 1",
}  # fmt: skip


def rows_of(draw: np.random.Generator, first: int, count: int, symbols: int) -> Rows:
    """Executions with what their kinds have."""
    rows = np.zeros(count, FRAMES["execution_frame"].dtype)
    rows["kind"] = draw.choice(
        [ExecKind.NEW, ExecKind.TRADE, ExecKind.CANCELED, ExecKind.LEVEL, ExecKind.TOP], count, p=[0.25, 0.1, 0.2, 0.35, 0.1]
    )
    weights = 1 / np.arange(1, symbols + 1)
    rows["instrument"] = 1 + draw.choice(symbols, count, p=weights / weights.sum())
    rows["side"], rows["price"] = draw.integers(1, 3, count), 18_000 + np.cumsum(draw.integers(-1, 2, count))
    rows["qty"] = 100 * draw.integers(1, 20, count)
    is_order = rows["kind"] <= ExecKind.CANCELED
    for name, most in (("order_id", 1 << 40), ("account", 100_000)):
        rows[name] = np.where(is_order, draw.integers(1, most, count), 0)
    rows["leaves_qty"] = np.where(is_order, rows["qty"], 0)
    trades = rows["kind"] == ExecKind.TRADE
    for name, most in (("contra_order_id", 1 << 40), ("contra_account", 100_000)):
        rows[name] = np.where(trades, draw.integers(1, most, count), 0)
    rows["trd_match_id"] = np.where(trades, first + np.arange(count), 0)
    rows["rpt_seq"], rows["command_index"] = first + np.arange(count), np.arange(count) % FRAME_ROWS
    rows["transact_time"] = START_NS + (first + np.arange(count)) * 10_000
    return rows


def records(rows: int, symbols: int) -> list[Input]:
    """As the role reads them."""
    draw, found = np.random.default_rng(7), []
    for offset in range(rows // FRAME_ROWS):
        frame = Frame("execution_frame", Header("book.commands/0", offset, 0, offset * FRAME_ROWS + 1, START_NS),
                      rows_of(draw, offset * FRAME_ROWS + 1, FRAME_ROWS, symbols))  # fmt: skip
        found.append(Input("executions", 0, offset, frame, START_NS + offset * 2_000_000))
    return found


def write(folder: Path, made: list[Input]) -> dict[str, Any]:
    """As the role does; seconds of processor and clock."""
    one = ArchivedPartition(folder, TABLE, 0, Disk(), None)
    began, cpu = time.perf_counter(), time.process_time()
    for record in made:
        if one.ends_before(record.time_ns):
            one.commit()
        one.take(record)
        if one.is_full:
            one.commit()
    one.commit()
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    found = [file for _, manifest in manifests(folder, TABLE) for file in manifest.files]
    rows = sum(file.rows for file in found)
    return {"rows": rows, "files": len(found), "rows_per_s": round(rows / seconds), "rows_per_cpu_s": round(rows / cpu_s),
            "bytes_per_row": round(sum(file.bytes for file in found) / rows, 1), "raw_bytes_per_row": FRAMES["execution_frame"].dtype.itemsize}  # fmt: skip


def ask(paths: list[Path], symbol: int) -> dict[str, Any]:
    """The best of ten runs of each question, and the size."""
    listed = "[" + ", ".join(f"'{path}'" for path in paths) + "]"
    found: dict[str, Any] = {"files": len(paths), "megabytes": round(sum(path.stat().st_size for path in paths) / 1e6, 1)}
    with duckdb.connect(":memory:", config={"threads": 2, "memory_limit": "512MB"}) as db:
        for name, sql in QUESTIONS.items():
            times = []
            for _ in range(10):
                began = time.perf_counter()
                db.execute(sql.format(files=listed, symbol=symbol)).fetchall()
                times.append(time.perf_counter() - began)
            found[name] = round(min(times) * 1e3, 1)
    return found


def layouts(folder: Path, archive: Path, symbols: int) -> None:
    """Ours, and the two others made from it."""
    ours = sorted(archive.rglob("*.parquet"))
    columns = {name: np.concatenate(parts) for name, parts in _columns(ours).items()}
    unsorted_ = folder / "unsorted"
    unsorted_.mkdir()
    by_symbol = folder / "by_symbol"
    by_symbol.mkdir()
    for number, path in enumerate(ours):
        part = columns_of_arrow(TABLE, pq.read_table(path, schema=TABLE.schema, partitioning=None))
        (unsorted_ / path.name).write_bytes(files.parquet_bytes(_as_it_comes(), part))
        for symbol in range(1, symbols + 1):
            mine = part["instrument"] == symbol
            if mine.any():
                (by_symbol / f"{symbol}-{number}.parquet").write_bytes(
                    files.parquet_bytes(TABLE, {name: column[mine] for name, column in part.items()})
                )
    symbol = symbols // 2
    for name, paths in (("day and partition, sorted", ours), ("day and partition, as it comes", sorted(unsorted_.iterdir())),
                        ("day and symbol", sorted(by_symbol.iterdir()))):  # fmt: skip
        print_result("archive-layout", {"layout": name, "rows": len(columns["kind"]), "symbols": symbols, **ask(paths, symbol)})


def _as_it_comes() -> Any:
    from dataclasses import replace

    return replace(TABLE, sorted_by="log_offset")


def _columns(paths: list[Path]) -> dict[str, list[Any]]:
    tables = [columns_of_arrow(TABLE, pq.read_table(path, schema=TABLE.schema, partitioning=None)) for path in paths]
    return {name: [one[name] for one in tables] for name in tables[0]}


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--symbols", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        made = records(options.rows, options.symbols)
        print_result("archive", {"symbols": options.symbols, **write(Path(home) / "archive", made)})
        del made
        layouts(Path(home), Path(home) / "archive", options.symbols)


if __name__ == "__main__":
    main()

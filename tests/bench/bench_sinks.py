"""Rows per second of each sink on the real stores: `python tests/bench/bench_sinks.py [--trades N]` prints one JSON line per sink.

The log is synthetic but whole: each trade has its two orders, both reports and both postings, as the shards write them. Frames of
`--frame-trades` trades, `--batch` records a call of write_batch, as the persist roles do under load. The stores are those of
OUTCRY_*_URL if set, else started in a temporary home. What is timed is write_batch alone, from decoded frames to durable rows.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from harness.result_lines import print_result

from schemas.codec import FRAMES, Frame, Header, Rows
from schemas.enums import AccountEventKind, ExecKind, MarketDataKind, OrdStatus, OrdType, Side
from schemas.instruments import load_instruments
from schemas.settings import Settings
from sinks import Input
from sinks.elastic import queries as elastic_queries
from sinks.elastic.client import open_elasticsearch
from sinks.elastic.sink import ElasticSink
from sinks.mysql import queries as mysql_queries
from sinks.mysql.pool import MySql
from sinks.mysql.sink import MySqlSink
from sinks.redis.sink import RedisSink
from streams.services.local_set import LocalSet

INSTRUMENTS = load_instruments(None)
ROWS_PER_TRADE = {"events": 4, "executions": 4}  # two orders accepted and settled; two orders entered, one trade, one level


def account_rows(first: int, trades: int, now: int) -> tuple[Rows, Rows]:
    """Account events of `trades` trades: ACCEPTED twice, TRADE twice; order ids 2n and 2n+1."""
    rows = np.zeros(4 * trades, FRAMES["account_event_frame"].dtype)
    number = np.repeat(np.arange(first, first + trades, dtype=np.uint64), 4)
    kind = np.tile([AccountEventKind.ACCEPTED, AccountEventKind.ACCEPTED, AccountEventKind.TRADE, AccountEventKind.TRADE], trades)
    sell = np.tile([0, 1, 0, 1], trades).astype(np.uint64)
    traded = kind == AccountEventKind.TRADE
    rows["kind"], rows["side"], rows["ord_type"] = kind, np.where(sell, Side.SELL, Side.BUY), OrdType.LIMIT
    rows["order_id"], rows["account"], rows["instrument"] = 2 * number + sell + 1, 1 + (2 * number + sell) % 100_000, 1 + number % 6
    rows["seq"], rows["order_qty"], rows["price"] = np.arange(4 * first + 1, 4 * (first + trades) + 1), 100, 18_000
    rows["ord_status"], rows["leaves_qty"] = np.where(traded, OrdStatus.FILLED, OrdStatus.NEW), np.where(traded, 0, 100)
    for column, value in {"cum_qty": 100, "cum_cost": 1_800_000, "last_px": 18_000, "last_qty": 100}.items():
        rows[column] = np.where(traded, value, 0)
    rows["trd_match_id"] = np.where(traded, number + 1, 0)
    sign = np.where(sell, 1, -1)
    rows["cash_delta"], rows["shares_delta"] = np.where(traded, sign * 180_000_000, 0), np.where(traded, -sign * 100, 0)
    rows["submitted_at"] = rows["transact_time"] = now
    rows["cash"], rows["position"] = 10_000_000_000, 5_000
    return rows, np.array([f"client-order-{n}" for n in rows["order_id"].tolist()], "S32")


def execution_rows(first: int, trades: int, now: int) -> Rows:
    """Executions of the same trades: NEW, NEW, TRADE, LEVEL."""
    rows = np.zeros(4 * trades, FRAMES["execution_frame"].dtype)
    number = np.repeat(np.arange(first, first + trades, dtype=np.uint64), 4)
    rows["kind"] = np.tile([ExecKind.NEW, ExecKind.NEW, ExecKind.TRADE, ExecKind.LEVEL], trades)
    rows["side"], rows["ord_type"], rows["instrument"] = np.tile([1, 2, 2, 1], trades), OrdType.LIMIT, 1 + number % 6
    rows["order_id"] = 2 * number + np.tile([1, 2, 2, 0], trades).astype(np.uint64)
    rows["account"], rows["contra_order_id"], rows["contra_account"] = (
        1 + rows["order_id"] % 100_000,
        2 * number + 1,
        1 + (2 * number) % 100_000,
    )
    rows["trd_match_id"] = np.where(rows["kind"] == ExecKind.TRADE, number + 1, 0)
    rows["price"], rows["qty"], rows["rpt_seq"], rows["transact_time"] = (
        18_000,
        100,
        np.arange(4 * first + 1, 4 * (first + trades) + 1),
        now,
    )
    return rows


def market_rows(first: int, trades: int, now: int) -> Rows:
    """Market data of the same trades: each with a quote."""
    rows = np.zeros(2 * trades, FRAMES["market_data_frame"].dtype)
    rows["kind"], rows["instrument"] = (
        np.tile([MarketDataKind.TRADE, MarketDataKind.QUOTE], trades),
        np.repeat(1 + np.arange(first, first + trades) % 6, 2),
    )
    rows["seq"], rows["price"], rows["transact_time"] = np.repeat(np.arange(first + 1, first + trades + 1), 2), 18_000, now
    return rows


def make_log(trades: int, frame_trades: int) -> dict[str, list[Input]]:
    """Topic -> inputs."""
    now = time.time_ns()
    log: dict[str, list[Input]] = {"account.events": [], "executions": [], "market.data": []}
    for number, first in enumerate(range(0, trades, frame_trades)):
        count = min(frame_trades, trades - first)
        rows, text = account_rows(first, count, now)
        heads = [Header(source, number, 0, 4 * first + 1, now) for source in ("account.commands/0", "book.commands/0", "executions/0")]
        log["account.events"].append(Input("account.events", 0, number, Frame("account_event_frame", heads[0], rows, text)))
        log["executions"].append(Input("executions", 0, number, Frame("execution_frame", heads[1], execution_rows(first, count, now))))
        log["market.data"].append(Input("market.data", 0, number, Frame("market_data_frame", heads[2], market_rows(first, count, now))))
    return log


@dataclass(frozen=True)
class Timing:
    """How long the calls took: all of them, each in milliseconds, and the processor time of this process (the rest is the store's)."""

    seconds: float
    took_ms: list[float]
    cpu_seconds: float


async def timed(sink: Any, inputs: Sequence[Input], batch: int) -> Timing:
    """Write all inputs, `batch` of them a call."""
    took_ms, began, cpu_began = [], time.perf_counter(), time.process_time()
    for start in range(0, len(inputs), batch):
        batch_began = time.perf_counter()
        await sink.write_batch(inputs[start : start + batch])
        took_ms.append((time.perf_counter() - batch_began) * 1_000)
    return Timing(time.perf_counter() - began, took_ms, time.process_time() - cpu_began)


def tell(sink: str, rows: int, input_rows: int, trades: int, timing: Timing, **more: Any) -> None:
    """One JSON line."""
    seconds, took_ms = timing.seconds, timing.took_ms
    line = {
        "sink": sink, "rows_per_s": round(rows / seconds), "trades_per_s": round(trades / seconds), "rows": rows,
        "input_rows_per_s": round(input_rows / seconds), "seconds": round(seconds, 3),
        "sink_cpu_us_per_row": round(timing.cpu_seconds / rows * 1e6, 2),
        "batch_ms_p50": round(float(np.percentile(took_ms, 50)), 2), "batch_ms_p99": round(float(np.percentile(took_ms, 99)), 2), **more,
    }  # fmt: skip
    print_result("sinks", line)


async def bench_mysql(url: str, log: dict[str, list[Input]], trades: int, batch: int) -> None:
    """Rows in the tables: 1 trade, 2 orders, 2 executions, 4 postings a trade."""
    sink, db = await MySqlSink.connect(url, INSTRUMENTS), await MySql.connect(url)
    before = await mysql_queries.counts(db)
    inputs = [one for pair in zip(log["executions"], log["account.events"], strict=True) for one in pair]
    timing = await timed(sink, inputs, batch)
    after = await mysql_queries.counts(db)
    assert (after.trades - before.trades, after.postings - before.postings) == (trades, 4 * trades), (
        "not all rows are there, or the database was not empty"
    )
    tell("mysql", 9 * trades, sum(ROWS_PER_TRADE.values()) * trades, trades, timing)
    await sink.close()
    await db.close()


async def bench_elastic(url: str, log: dict[str, list[Input]], trades: int, batch: int) -> None:
    """Documents: 3 of executions (the level is derived) and 4 of account events per trade."""
    sink, client = await ElasticSink.connect(url, INSTRUMENTS), open_elasticsearch(url)
    inputs = [one for pair in zip(log["executions"], log["account.events"], strict=True) for one in pair]
    timing = await timed(sink, inputs, batch)
    await sink.flush()
    assert await elastic_queries.trade_count(client) == trades, "not all documents are there, or the indices were not empty"
    tell("elasticsearch", sink.stats().rows, sum(ROWS_PER_TRADE.values()) * trades, trades, timing)
    await sink.close()
    await client.close()


async def bench_redis(url: str, log: dict[str, list[Input]], trades: int) -> None:
    """Market-data rows taken, one frame per call (no batching: a price is wanted now), conflated to one write per symbol and kind."""
    sink = await RedisSink.connect(url, INSTRUMENTS)
    timing = await timed(sink, log["market.data"], 1)
    tell("redis", 2 * trades, 2 * trades, trades, timing, values_written=sink.stats().rows)
    await sink.close()


async def run(settings: Settings, options: argparse.Namespace) -> None:
    """All three, one after the other."""
    log = make_log(options.trades, options.frame_trades)
    await bench_redis(settings.redis_url, log, options.trades)
    await bench_mysql(settings.mysql_url, log, options.trades, options.batch)
    await bench_elastic(settings.elasticsearch_url, log, options.trades, options.batch)


def main(arguments: Sequence[str]) -> None:
    """Start what is not there, run, stop it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trades", type=int, default=20_000)
    parser.add_argument("--frame-trades", type=int, default=500)
    parser.add_argument("--batch", type=int, default=4, help="records a call of write_batch (MySQL, Elasticsearch)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="outcry-bench-", ignore_cleanup_errors=True) as home:
        local = LocalSet(Settings(home=Path(home)))
        services = tuple(name for name in ("valkey", "mariadb", "elasticsearch"))
        with local.running(services=services) as settings:
            asyncio.run(run(settings, options))


if __name__ == "__main__":
    os.environ.pop("OUTCRY_HOME", None)
    main(sys.argv[1:])

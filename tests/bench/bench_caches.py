"""History reads at a simulated open, with the cache warmed, cold, without it, and with its Redis killed: `python tests/bench/bench_caches.py`.

On a real MariaDB and Valkey in a temporary home. Yesterday is synthetic: accounts and symbols traded by Zipf's law. At the open customers sign in
at `--rate` a second, at two edges by turns, also by Zipf's law; each asks for his done orders and fills and, of three symbols, for the minutes of today
and of yesterday. Meanwhile symbols trade: their bars change in MySQL, and the edges tell of it. A tenth of the accounts has traded since the cache
was warmed, and their edges know. What is measured: seconds a read, reads that reach MySQL, and SELECTs that its server counts.

It does not show the first reads behind a sign-in at an edge that has just taken the account over: see docs/caches.md.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from harness.result_lines import print_result

from edge.gateway.stored.stores import EdgeStores
from schemas.enums import AccountEventKind, OrdStatus
from schemas.instruments import load_instruments
from schemas.settings import Settings
from sinks.cached.kinds import Head
from sinks.cached.pages import Page, pages_of_account, pages_of_symbol
from sinks.mysql import queries
from sinks.mysql.places import Place
from sinks.mysql.pool import MySql
from sinks.mysql.rows import CASH, MINUTE_NS, SHARES
from sinks.mysql.schema import apply_schema
from sinks.redis.client import open_redis
from streams.operate.cache_warming import Wish, trading_days, warmed
from streams.services.local_set import LocalSet

SYMBOLS_ASKED = 3
MINUTES = 390
MOVED = 0.1
SKEW = 1.1
BATCH = 2_000


def zipf(count: int) -> list[float]:
    """Cumulative weights."""
    return list(accumulate(1 / rank**SKEW for rank in range(1, count + 1)))


@dataclass
class Market:
    """What is true now: of symbols the newest trade, of accounts the newest event."""

    instruments: list[int]
    day_ns: int
    before_ns: int
    heads: dict[int, int] = field(default_factory=dict)
    seqs: dict[int, int] = field(default_factory=dict)
    last_trade: int = 0
    last_seq: int = 0


@dataclass
class Run:
    """What one open came to."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0


async def fill(db: MySql, market: Market, accounts: int, orders: int, rng: random.Random) -> None:
    """Yesterday: `orders` filled orders with two postings each, and the bars of every symbol."""
    owners = rng.choices(range(1, accounts + 1), cum_weights=zipf(accounts), k=orders)
    now = market.before_ns + 12 * 3_600 * 10**9
    for start in range(0, orders, BATCH):
        rows, executions, postings = [], [], []
        for number in range(start, min(start + BATCH, orders)):
            account, instrument, order_id, seq = owners[number], rng.choice(market.instruments), number + 1, number * 2 + 2
            at = now + number * 1_000
            values = dict.fromkeys((one.strip() for one in queries._ORDER_COLUMNS.split(",")), 0)
            values |= {
                "order_id": order_id, "account": account, "instrument": instrument, "side": 1, "ord_type": 2, "order_qty": 10, "price": 18_000,
                "ord_status": int(OrdStatus.FILLED), "cum_qty": 10, "cum_cost": 180_000, "submitted_at": at, "updated_at": at, "version": seq,
                "cl_ord_id": f"order-{order_id}",
            }  # fmt: skip
            rows.append(values)
            executions.append((order_id, 1, order_id, account, instrument, 18_000, 10, 1, 10, 0, at))
            postings += [
                (0, seq, leg, account, int(AccountEventKind.TRADE), inst, amount, order_id, at)
                for leg, inst, amount in ((CASH, 0, -180_000), (SHARES, instrument, 10))
            ]
            market.seqs[account] = market.last_seq = seq
        await _insert(db, "orders", list(rows[0]), [tuple(one.values()) for one in rows])
        await _insert(db, "executions", [one.strip() for one in queries.columns_of(queries.StoredExecution).split(",")], executions)
        await _insert(
            db, "postings", ["shard", "seq", "leg", "account", "kind", "instrument", "amount", "trd_match_id", "transact_time"], postings
        )
    for instrument in market.instruments:
        opened = market.before_ns + 34_200 * 10**9
        bars = []
        for minute in range(MINUTES):
            market.last_trade += 2
            bars.append(
                (
                    instrument,
                    opened + minute * MINUTE_NS,
                    18_000,
                    18_010,
                    17_990,
                    18_005,
                    100,
                    2,
                    3_600_000,
                    market.last_trade - 1,
                    market.last_trade,
                )
            )
        market.heads[instrument] = market.last_trade
        await _insert(db, "bars", _BAR_COLUMNS, bars)
    await mark(db, market)


_BAR_COLUMNS = [
    "instrument",
    "started_at",
    "open_px",
    "high_px",
    "low_px",
    "close_px",
    "qty",
    "trades",
    "notional",
    "first_trade",
    "last_trade",
]


async def _insert(db: MySql, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    for start in range(0, len(rows), 500):
        some = rows[start : start + 500]
        values = ", ".join([f"({', '.join(['%s'] * len(columns))})"] * len(some))
        async with db.transaction() as transaction:
            await transaction.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES {values}", [value for row in some for value in row]
            )


async def mark(db: MySql, market: Market) -> None:
    """How far the sink has come."""
    async with db.transaction() as transaction:
        await transaction.execute(
            "INSERT INTO sink_marks (sink, topic, part, source, next_offset, source_offset, source_index, mark_ns, last_seq, db_epoch) "
            "VALUES ('mysql', 'account.events', 0, '', 0, 0, 0, 0, %s, 0) ON DUPLICATE KEY UPDATE last_seq = VALUES(last_seq)",
            (market.last_seq,),
        )


async def trade(db: MySql, market: Market, rng: random.Random, per_s: float) -> None:
    """Until cancelled: symbols trade, stored first, then told."""
    weights = zipf(len(market.instruments))
    while True:
        await asyncio.sleep(1 / per_s)
        (instrument,) = rng.choices(market.instruments, cum_weights=weights)
        market.last_trade += 1
        minute, new = time.time_ns() // MINUTE_NS * MINUTE_NS, market.last_trade
        async with db.transaction() as transaction:
            await transaction.execute(
                f"INSERT INTO bars ({', '.join(_BAR_COLUMNS)}) VALUES (%s, %s, 18000, 18000, 18000, 18000, 1, 1, 18000, %s, %s) "
                "ON DUPLICATE KEY UPDATE qty = qty + 1, trades = trades + 1, last_trade = VALUES(last_trade)",
                (instrument, minute, new, new),
            )
        market.heads[instrument] = new


async def selects(db: MySql) -> int:
    """SELECTs of the server so far."""
    return int((await db.fetch("SHOW GLOBAL STATUS LIKE 'Com_select'"))[0][1])


async def one_read(stores: EdgeStores, page: Page, account: int | None, run: Run) -> None:
    """And how long it took."""
    began_s = time.perf_counter()
    (_, first), *more = page.arguments.items()  # the first one of an account's pages is called as a parameter of `read`
    try:
        await stores.read(page.kind.query, account, first, **dict(more))
    except Exception as error:
        run.failed += 1
        if run.failed == 1:
            print(f"failed: {error!r}", file=sys.stderr)
    run.seconds.append(time.perf_counter() - began_s)


async def customer(stores: EdgeStores, market: Market, account: int, symbols: list[int], run: Run) -> None:
    """What a page asks for when somebody signs in: all of it at once."""
    now_ns = time.time_ns()
    pages = [(account, page) for page in pages_of_account(account, Place(0, 0))]
    pages += [
        (None, page) for symbol in dict.fromkeys(symbols) for page in pages_of_symbol(symbol, market.day_ns, market.before_ns, now_ns)
    ]
    await asyncio.gather(*(one_read(stores, page, whose, run) for whose, page in pages))


async def opening(edges: list[EdgeStores], market: Market, options: argparse.Namespace, rng: random.Random) -> Run:
    """Customers come at the rate, whether the ones before have their answers or not."""
    run, tasks = Run(), set[asyncio.Task[None]]()
    accounts, names = zipf(options.accounts), zipf(len(market.instruments))
    began_s = time.perf_counter()
    for number in range(int(options.rate * options.seconds)):
        await asyncio.sleep(max(0.0, began_s + number / options.rate - time.perf_counter()))
        (account,) = rng.choices(range(1, options.accounts + 1), cum_weights=accounts)
        symbols = rng.choices(market.instruments, cum_weights=names, k=SYMBOLS_ASKED)
        tasks.add(asyncio.create_task(customer(edges[number % len(edges)], market, account, symbols, run)))
    await asyncio.gather(*tasks)
    return run


def edge(settings: Settings, market: Market, *, cached: bool) -> EdgeStores:
    """Stores of an edge that knows what is true."""
    made = EdgeStores(settings if cached else settings.model_copy(update={"cache_url": ""}))
    made.place_of = lambda account: Place(0, market.seqs.get(account or 0, 0))
    made.head_of = lambda instrument, end_ns: Head(market.heads.get(instrument, 0) if end_ns > market.day_ns else 0, 0)
    return made


async def measured(local: LocalSet, settings: Settings, market: Market, how: str, options: argparse.Namespace) -> None:
    """One open, printed."""
    client = await open_redis(settings.cache_url)
    await client.flushdb()
    await client.aclose()
    warming: dict[str, Any] = {}
    if how in ("warmed", "warmed, Redis killed"):
        progress = await warmed(settings, Wish(len(market.instruments), options.accounts, 100_000), lambda _: None)
        warming = {"warmed_pages": progress.pages, "warming_s": round(progress.seconds, 1)}
    db, rng = await MySql.connect(settings.mysql_url), random.Random(options.seed)
    for account in rng.sample(sorted(market.seqs), int(MOVED * len(market.seqs))):
        market.last_seq += 1
        market.seqs[account] = market.last_seq
    await mark(db, market)
    edges = [edge(settings, market, cached=how != "no cache") for _ in range(2)]
    trading = asyncio.create_task(trade(db, market, rng, options.trades))
    before, began_s = await selects(db), time.perf_counter()
    killing = asyncio.create_task(_kill(local, options.seconds / 2)) if how.endswith("killed") else None
    run = await opening(edges, market, options, rng)
    took_s = time.perf_counter() - began_s
    after = await selects(db)
    trading.cancel()
    if killing is not None:
        await killing
    caches = [one.cache for one in edges if one.cache is not None]
    reached = sum(one.queries for one in caches) if caches else len(run.seconds)
    outcomes = {name: sum(one.outcomes[name] for one in caches) for name in ("hit", "joined", "waited", "miss", "away")} if caches else {}
    for one in edges:
        await one.close()
    await db.close()
    ordered = sorted(run.seconds)
    print_result(
        "caches",
        {
            "cache": how, "customers_per_s": options.rate, "seconds": options.seconds, "reads": len(ordered), "failed": run.failed,
            "reads_per_s": round(len(ordered) / took_s), "hit_share": round(1 - reached / len(ordered), 4),
            "mysql_reads_per_s": round(reached / took_s, 1), "mysql_selects_per_s": round((after - before) / took_s, 1),
            **{f"p{p}_ms": round(1_000 * ordered[min(len(ordered) - 1, len(ordered) * p // 100)], 2) for p in (50, 99)},
            "max_ms": round(1_000 * ordered[-1], 1), "accounts": options.accounts, "symbols": len(market.instruments),
            "outcomes": outcomes, **warming,
        },
    )  # fmt: skip


async def _kill(local: LocalSet, after_s: float) -> None:
    """The supervisor starts it again, empty."""
    await asyncio.sleep(after_s)
    status = local.status()
    assert status is not None
    pid = next(child.pid for child in status.children if child.name == "valkey-cache")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


async def bench(local: LocalSet, settings: Settings, options: argparse.Namespace) -> None:
    """Every way, one after the other, on the same rows."""
    instruments = load_instruments(settings.instruments_file)
    day_ns, before_ns = trading_days(settings, time.time_ns())
    market = Market([one.number for one in instruments], day_ns, before_ns)
    db = await MySql.connect(settings.mysql_url)
    await apply_schema(db, instruments)
    await fill(db, market, options.accounts, options.orders, random.Random(options.seed))
    await db.close()
    for how in ("no cache", "cold", "warmed", "warmed, Redis killed"):
        await measured(local, settings, market, how, options)


def write_instruments(path: Path, count: int) -> Path:
    """A list of so many symbols."""
    one = (
        '[[instrument]]\nnumber = {n}\nsymbol = "S{n}"\nname = "Share {n}"\ntick_size = "0.01"\nlot_size = "1"\nmax_order_qty = "100000"\n'
        'max_notional = "50000000"\nreference_price = "180.00"\nprotection_percent = 20\n'
    )
    path.write_text("\n".join(one.format(n=number) for number in range(1, count + 1)))
    return path


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=5_000, help="that have traded yesterday")
    parser.add_argument("--orders", type=int, default=100_000, help="of yesterday")
    parser.add_argument("--symbols", type=int, default=0, help="0: the built-in list")
    parser.add_argument("--rate", type=float, default=20.0, help="customers that sign in a second; each makes 8 reads")
    parser.add_argument("--trades", type=float, default=20.0, help="trades of symbols a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each open")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="caches-") as home:
        more = {"instruments_file": write_instruments(Path(home) / "instruments.toml", options.symbols)} if options.symbols else {}
        local = LocalSet(Settings(home=Path(home), **more), bound=True)
        with local.running(services=("mariadb", "valkey")) as settings:
            asyncio.run(bench(local, settings.model_copy(update=more), options))


if __name__ == "__main__":
    main()

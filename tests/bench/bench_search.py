"""How long searches among millions of account events take: `python tests/bench/bench_search.py [--documents 10000000]` prints JSON lines.

The documents are those of the persist role (sinks.elastic.sink), made from frames: orders of 100,000 accounts in every instrument, half of them traded,
over `--days` days, so over as many indices. One line says what storing them costs, one for each kind of question how long a page of 100 took, first pages and
later ones. Questions are drawn by `--seed`: they differ from one another, so no answer comes from a cache of whole answers. Elasticsearch is that of
OUTCRY_ELASTICSEARCH_URL if it is set, else one in a temporary home. Ten million documents take about 2 GB of disk.
"""

import asyncio
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
from elasticsearch import AsyncElasticsearch
from harness.result_lines import print_result

from schemas.codec import FRAMES, Frame, Header, Rows
from schemas.enums import AccountEventKind, OrdStatus, OrdType, Side
from schemas.instruments import load_instruments
from schemas.reject_reasons import Reason
from schemas.settings import Settings
from sinks import Input
from sinks.elastic.indices import ACCOUNT_EVENTS
from sinks.elastic.search import search
from sinks.elastic.search_words import Wanted
from sinks.elastic.sink import ElasticSink
from streams.services.local_set import LocalSet

INSTRUMENTS: Final = load_instruments(None)
SYMBOLS: Final = [one.symbol for one in INSTRUMENTS]
ACCOUNTS: Final = 100_000
ROWS: Final = 2_000
"""Of a frame."""
BATCH: Final = 4
PAGE: Final = 100
DAY_NS: Final = 86_400_000_000_000
SESSION_NS: Final = 23_400_000_000_000
"""From 09:30 to 16:00."""
LAST_DAY_NS: Final = int(np.datetime64("2026-11-27T14:30:00", "ns").astype("int64"))
PRICE: Final = 18_000
REASONS: Final = (Reason.INSUFFICIENT_BUYING_POWER, Reason.INSUFFICIENT_SHARES, Reason.MARKET_CLOSED)


def events(first: int, count: int, total: int, days: int, draw: np.random.Generator) -> tuple[Rows, Rows]:
    """Rows `first` to `first + count` of `total`: of each four one refused, one accepted, one traded and one canceled; times rise."""
    rows, number = np.zeros(count, FRAMES["account_event_frame"].dtype), np.arange(first, first + count, dtype=np.int64)
    kinds = np.array([AccountEventKind.REJECTED, AccountEventKind.ACCEPTED, AccountEventKind.TRADE, AccountEventKind.CANCELED])
    statuses = np.array([OrdStatus.REJECTED, OrdStatus.NEW, OrdStatus.FILLED, OrdStatus.CANCELED])
    rows["kind"], rows["ord_status"] = kinds[number % 4], statuses[number % 4]
    rows["side"], rows["ord_type"] = np.where(draw.random(count) < 0.5, Side.BUY, Side.SELL), OrdType.LIMIT
    rows["account"], rows["instrument"] = 1 + draw.integers(0, ACCOUNTS, count), 1 + draw.integers(0, len(SYMBOLS), count)
    rows["order_id"], rows["seq"] = 1 + number, 1 + number
    rows["order_qty"], rows["price"] = 1 + draw.integers(0, 1_000, count), PRICE + draw.integers(-500, 500, count)
    traded = rows["kind"] == AccountEventKind.TRADE
    rows["last_px"], rows["last_qty"] = np.where(traded, rows["price"], 0), np.where(traded, rows["order_qty"], 0)
    rows["trd_match_id"] = np.where(traded, 1 + number, 0)
    rows["reason"] = np.where(rows["kind"] == AccountEventKind.REJECTED, np.array(REASONS)[number // 4 % len(REASONS)], 0)
    day, within = np.divmod(number * days, total)
    rows["transact_time"] = LAST_DAY_NS - (days - 1 - day) * DAY_NS + within * (SESSION_NS // total)
    rows["submitted_at"] = rows["transact_time"]
    return rows, np.array([b"client-%d-%d" % pair for pair in zip(rows["account"].tolist(), number.tolist(), strict=True)], "S32")


async def store(url: str, total: int, days: int, seed: int) -> None:
    """All documents, and one line about them."""
    sink, draw, began = await ElasticSink.connect(url, INSTRUMENTS), np.random.default_rng(seed), time.perf_counter()
    told, batch = began, []
    for number, first in enumerate(range(0, total, ROWS)):
        count = min(ROWS, total - first)
        rows, text = events(first, count, total, days, draw)
        header = Header("account.commands/0", number, 0, first + 1, int(rows["transact_time"][-1]))
        batch.append(Input("account.events", 0, number, Frame("account_event_frame", header, rows, text)))
        if len(batch) == BATCH or first + count == total:
            await sink.write_batch(batch)
            batch = []
        if time.perf_counter() - told > 10:
            told = time.perf_counter()
            click.echo(f"{first + count:,} of {total:,} stored after {told - began:.0f} s", err=True)
    await sink.flush()
    seconds = time.perf_counter() - began
    stats = await sink.client.indices.stats(index=f"{ACCOUNT_EVENTS}-*", metric=["docs", "store", "segments"])
    found = stats["_all"]["primaries"]
    assert found["docs"]["count"] == total, "not all documents are there, or the indices were not empty"
    print_result("search-store", {
        "documents": total, "days": days, "seconds": round(seconds, 1), "documents_per_s": round(total / seconds),
        "bytes_per_document": round(found["store"]["size_in_bytes"] / total, 1), "segments": found["segments"]["count"],
    })  # fmt: skip
    await sink.close()


def questions(total: int, days: int) -> dict[str, Callable[[random.Random], Wanted]]:
    """What people ask, by name."""

    def moment(draw: random.Random) -> int:
        return LAST_DAY_NS - draw.randrange(days) * DAY_NS + draw.randrange(SESSION_NS)

    def hour(draw: random.Random) -> dict[str, int]:
        begin = moment(draw)
        return {"from_ns": begin, "to_ns": begin + 3_600_000_000_000}

    def prices(draw: random.Random) -> tuple[int, int]:
        low = PRICE + draw.randrange(-500, 490)
        return low, low + 10

    return {
        "an account": lambda draw: Wanted(account=1 + draw.randrange(ACCOUNTS)),
        "trades of a symbol in an hour": lambda draw: Wanted(symbols=(draw.choice(SYMBOLS),), kinds=("TRADE",), **hour(draw)),
        "a symbol, a price range, an hour": lambda draw: Wanted(symbols=(draw.choice(SYMBOLS),), price=prices(draw), **hour(draw)),
        "large trades of a symbol, largest first": lambda draw: Wanted(
            symbols=(draw.choice(SYMBOLS),), kinds=("TRADE",), size=(900 + draw.randrange(100), None), sort="size"
        ),
        "a reason since a moment": lambda draw: Wanted(reason=draw.choice(REASONS).name, from_ns=moment(draw)),
        "a client's order id": lambda draw: Wanted(text=f"client-{1 + draw.randrange(ACCOUNTS)}-"),
        "an order id": lambda draw: Wanted(text=str(1 + draw.randrange(total))),
        "everything, newest first": lambda draw: Wanted(to_ns=moment(draw)),
    }


async def ask(client: AsyncElasticsearch, wanted: Wanted, pages: int) -> tuple[list[float], int]:
    """Milliseconds of each page, one after the other, and how many documents there were."""
    took, place, count = [], None, 0
    for _ in range(pages):
        began = time.perf_counter()
        found = await search(client, wanted, PAGE, place)
        took.append((time.perf_counter() - began) * 1_000)
        count, place = count + len(found.documents), found.place
        if place is None:
            break
    return took, count


async def answer(url: str, kinds: dict[str, Callable[[random.Random], Wanted]], asked: int, pages: int, seed: int) -> None:
    """A line for each kind of question."""
    sink = await ElasticSink.connect(url, INSTRUMENTS)
    for name, question in kinds.items():
        draw, first, later, documents = random.Random(f"{seed} {name}"), [], [], 0
        for _ in range(asked):
            took, count = await ask(sink.client, question(draw), pages)
            first.append(took[0])
            later += took[1:]
            documents += count
        figures: dict[str, Any] = {"question": name, "asked": asked, "documents_per_question": round(documents / asked, 1)}
        for part, times in (("first", first), ("later", later)):
            for percent in (50, 99):
                figures[f"{part}_page_p{percent}_ms"] = round(float(np.percentile(times, percent)), 1) if times else None
        print_result("search", figures)
    await sink.close()


@click.command(help="Searches among millions of account events.")
@click.option("--documents", default=10_000_000, show_default=True, type=click.IntRange(min=1))
@click.option("--days", default=5, show_default=True, type=click.IntRange(1, 365), help="Over so many days, each of which is an index.")
@click.option("--asked", default=200, show_default=True, type=click.IntRange(min=1), help="Questions of each kind.")
@click.option("--pages", default=3, show_default=True, type=click.IntRange(min=1), help="Pages of each question, at most.")
@click.option("--seed", default=1, show_default=True)
def main(documents: int, days: int, asked: int, pages: int, seed: int) -> None:
    """Start what is not there, store, ask, stop it."""
    with (
        tempfile.TemporaryDirectory(prefix="outcry-bench-", ignore_cleanup_errors=True) as home,
        LocalSet(Settings(home=Path(home))).running(services=("elasticsearch",)) as settings,
    ):
        asyncio.run(store(settings.elasticsearch_url, documents, days, seed))
        asyncio.run(answer(settings.elasticsearch_url, questions(documents, days), asked, pages, seed))


if __name__ == "__main__":
    os.environ.pop("OUTCRY_HOME", None)
    main()

"""Search among account events on a real Elasticsearch, against the log that they came from."""

import asyncio
import csv
import io
import json
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from click.testing import CliRunner
from sink_session import INSTRUMENTS, START, Session, disturbed, play

from schemas.enums import AccountEventKind, Side
from schemas.reject_reasons import Reason
from schemas.settings import Settings
from sinks.elastic import queries as elastic_queries
from sinks.elastic.search import search
from sinks.elastic.search_places import place_of, place_text
from sinks.elastic.search_words import Wanted
from sinks.elastic.sink import ElasticSink
from streams.operate.search import search_command

pytestmark = pytest.mark.integration
KIND = {kind.name: int(kind) for kind in AccountEventKind}


def _price(row: Any) -> int:
    return int(row["last_px"] if row["kind"] in (KIND["TRADE"], KIND["TRADE_BUSTED"]) else row["price"])


def _size(row: Any) -> int:
    return int(row["last_qty"] if row["kind"] in (KIND["TRADE"], KIND["TRADE_BUSTED"]) else row["order_qty"])


CASES: list[tuple[Wanted, Callable[[Any], bool]]] = [
    (Wanted(), lambda _: True),
    (Wanted(account=3), lambda row: row["account"] == 3),
    (Wanted(kinds=("TRADE",)), lambda row: row["kind"] == KIND["TRADE"]),
    (Wanted(account=2, kinds=("TRADE", "CANCELED")), lambda row: row["account"] == 2 and row["kind"] in (KIND["TRADE"], KIND["CANCELED"])),
    (Wanted(symbols=("AAPL",), kinds=("TRADE",), side="SELL"), lambda row: row["instrument"] == 1 and row["kind"] == KIND["TRADE"] and row["side"] == Side.SELL),
    (Wanted(kinds=("TRADE",), price=(18_000, 18_003)), lambda row: row["kind"] == KIND["TRADE"] and 18_000 <= _price(row) <= 18_003),
    (Wanted(kinds=("ACCEPTED", "TRADE"), size=(6, None)), lambda row: row["kind"] in (KIND["ACCEPTED"], KIND["TRADE"]) and _size(row) >= 6),
    (Wanted(from_ns=START + 5_000_001, to_ns=START + 20_000_007), lambda row: START + 5_000_001 <= row["transact_time"] < START + 20_000_007),
    (Wanted(reason="UNKNOWN_ORDER"), lambda row: row["reason"] == Reason.UNKNOWN_ORDER and row["kind"] == KIND["CANCEL_REJECTED"]),
    (Wanted(symbols=("MSFT",)), lambda row: row["instrument"] == 2),
]  # fmt: skip


@pytest.fixture(scope="module")
def session() -> Session:
    """Trades, cancels, refusals, a bust."""
    return play(8)


async def _stored(url: str, elastic: Any, session: Session) -> None:
    sink = await ElasticSink.connect(url, INSTRUMENTS)
    for batch in disturbed(session.inputs, random.Random(8)):
        await sink.write_batch(batch)
    await sink.close()
    await elastic_queries.refresh(elastic)


async def _all(elastic: Any, wanted: Wanted, limit: int) -> list[dict[str, Any]]:
    """Page after page."""
    found, place = [], None
    while True:
        page = await search(elastic, wanted, limit, place)
        assert len(page.documents) <= limit
        found += page.documents
        if page.place is None:
            return found
        place = place_of(wanted, place_text(wanted, page.place))


async def test_what_is_found_is_what_the_log_has_in_every_sort_page_after_page(stores: Any, elastic: Any, session: Session) -> None:
    """Each case against the rows themselves; pages of 7 and of 500 give the same."""
    await _stored(stores[1].elasticsearch_url, elastic, session)
    for wanted, fits in CASES:
        expected = sorted(int(row["seq"]) for row in session.events if fits(row))
        found = await _all(elastic, wanted, 500)
        assert sorted(one["seq"] for one in found) == expected, wanted
        assert await _all(elastic, wanted, 7) == found, wanted
        times = [one["transact_time"] for one in found]
        assert times == sorted(times, reverse=True)
    for sort in ("time", "price", "size"):
        for ascending in (True, False):
            found = await _all(elastic, Wanted(kinds=("TRADE",), sort=sort, ascending=ascending), 9)
            values = [one[{"time": "transact_time", "price": "price", "size": "last_qty"}[sort]] for one in found]
            assert values == sorted(values, reverse=not ascending) and len({one["seq"] for one in found}) == len(found)


async def test_ids_are_found_whole_and_a_clients_own_by_their_beginning(stores: Any, elastic: Any, session: Session) -> None:
    """Whatever is in them: they are values, never syntax."""
    await _stored(stores[1].elasticsearch_url, elastic, session)
    traded = next(row for row in session.events if row["kind"] == KIND["TRADE"])
    by_order = await _all(elastic, Wanted(text=str(traded["order_id"])), 500)
    assert {"ACCEPTED", "TRADE"} <= {one["kind"] for one in by_order}
    mine = next(one for one in by_order if one["kind"] == "ACCEPTED" and one["order_id"] == int(traded["order_id"]))
    begins = await _all(elastic, Wanted(text=mine["cl_ord_id"][:-1]), 500)
    assert mine["seq"] in {one["seq"] for one in begins}
    assert all(one["cl_ord_id"].startswith(mine["cl_ord_id"][:-1]) for one in begins)
    for strange in ("*", "a OR b", '"', "\\", "it's \\0\"%s-*"):
        assert all(one["cl_ord_id"].startswith(strange) for one in await _all(elastic, Wanted(text=strange), 500))


async def test_before_anything_is_stored_nothing_is_found(elastic: Any) -> None:
    """No index is no error."""
    assert (await search(elastic, Wanted(account=1, sort="price"), 10)).documents == []


async def test_the_command_exports_every_page_as_csv_and_as_ndjson(stores: Any, elastic: Any, session: Session) -> None:
    """More than a page; the same rows both ways; prices and sizes as people read them."""
    settings = stores[1]
    await _stored(settings.elasticsearch_url, elastic, session)

    async def run(*arguments: str) -> str:
        done = await asyncio.to_thread(CliRunner().invoke, search_command, arguments, obj=settings, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    lines = [json.loads(line) for line in (await run("--limit", "100000", "--format", "ndjson")).splitlines()]
    assert sorted(one["seq"] for one in lines) == sorted(session.events["seq"].tolist()) and len(lines) > 500
    rows = list(csv.DictReader(io.StringIO(await run("--limit", "100000"))))
    assert [(int(one["seq"]), one["kind"]) for one in rows] == [(one["seq"], one["kind"]) for one in lines]
    cheap = list(
        csv.DictReader(io.StringIO(await run("--symbol", "AAPL", "--kind", "TRADE", "--price", "180.00..180.03", "--size", "5..")))
    )
    wanted = [row for row in session.events if row["kind"] == KIND["TRADE"] and 18_000 <= row["last_px"] <= 18_003 and row["last_qty"] >= 5]
    assert {int(one["seq"]) for one in cheap} == {int(row["seq"]) for row in wanted} != set()
    assert all(Decimal("180.00") <= Decimal(one["price"]) <= Decimal("180.03") for one in cheap)
    assert len((await run("--limit", "7")).splitlines()) == 8


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--symbol", "NOPE"], "'NOPE' is not a symbol of this exchange"),
        (["--price", "180.."], "needs one --symbol"),
        (["--symbol", "AAPL", "--price", "180.005.."], "AAPL"),
        (["--symbol", "AAPL", "--price", "cheap"], "is not a range such as"),
        (["--symbol", "AAPL", "--size", "9..3"], "ends below its beginning"),
        (["--from", "yesterday"], "is not a time such as"),
        (["--kind", "SOLD"], "is not one of"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_the_name_of_its_option(arguments: list[str], told: str) -> None:
    """Before anything is asked."""
    done = CliRunner().invoke(search_command, arguments, obj=Settings())
    assert done.exit_code == 2
    assert arguments[-2] in done.output and told in done.output

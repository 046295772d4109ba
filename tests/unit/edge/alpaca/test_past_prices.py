"""Past and newest prices over HTTP: pages go from symbol to symbol, days are New York's, and what is wrong is refused by its name."""

from datetime import date
from typing import Any

import pytest
from support.edge_requests import KEY
from support.served_edge import Served, served

from edge.gateway.market.days import day_start_ns
from edge.gateway.market.view import MarketRow
from edge.http.timestamps import rfc3339
from schemas.enums import MarketDataKind, Phase
from sinks.mysql.market_history import HOUR_NS, BarPage, PastAuction, PastTrade, StoredBar
from sinks.redis.prices import Newest

MINUTE_NS = 60_000_000_000
MONDAY = day_start_ns(date(2026, 11, 23))


async def get(edge: Served, path: str, **query: Any) -> tuple[int, Any]:
    """(status, body) with a key."""
    status, body, _ = await edge.get(path, headers=KEY, params={name: str(value) for name, value in query.items()})
    return status, body


def stored_bars(
    _db: Any, instrument: int = 0, width_ns: int = 0, start: int = 0, end: int = 0, limit: int = 0, *, ascending: bool = True
) -> BarPage:
    """Hours or minutes of two weeks, one trade each, whose price is the instrument's hundreds and a running number."""
    numbers = range(-(-(start - MONDAY) // width_ns), -(-(end - MONDAY) // width_ns))
    bars = [
        StoredBar(MONDAY + n * width_ns, *[100 * instrument + n] * 4, 10, 1, 10 * (100 * instrument + n))
        for n in numbers
        if 0 <= n < 14 * 24
    ]
    bars = bars if ascending else bars[::-1]
    if len(bars) <= limit:
        return BarPage(bars, None)
    last = bars[limit - 1].started_at
    return BarPage(bars[:limit], last + width_ns if ascending else last)


def with_bars(edge: Served) -> None:
    """The store has them."""
    edge.stores.answers["bars"] = lambda *args, **kwargs: stored_bars(None, *args, **kwargs)


@pytest.mark.parametrize("sort", ["asc", "desc"])
async def test_pages_go_through_all_symbols_and_nothing_is_missing_or_twice(sort: str) -> None:
    """Whatever the size of a page; the token is opaque."""
    async with served() as edge:
        with_bars(edge)
        query = {
            "symbols": "MSFT,AAPL",
            "timeframe": "1Min",
            "start": rfc3339(MONDAY),
            "end": rfc3339(MONDAY + 9 * MINUTE_NS),
            "sort": sort,
        }
        status, whole = await get(edge, "/v2/stocks/bars", **query)
        assert (status, whole["next_page_token"], list(whole["bars"])) == (200, None, ["AAPL", "MSFT"])
        assert [len(bars) for bars in whole["bars"].values()] == [10, 10]
        assert (await get(edge, "/v2/stocks/bars", **query | {"timeframe": "1min"}))[1]["bars"] == whole["bars"], "as ccxt writes it"
        for limit in (1, 3, 10, 20):
            seen: dict[str, list[Any]] = {}
            token, pages = "", 0
            while token is not None:
                status, page = await get(edge, "/v2/stocks/bars", **query, limit=limit, page_token=token)
                assert status == 200
                assert sum(map(len, page["bars"].values())) <= limit
                for symbol, bars in page["bars"].items():
                    seen.setdefault(symbol, []).extend(bars)
                token, pages = page["next_page_token"], pages + 1
            assert seen == whole["bars"], limit
            assert pages == -(-20 // limit)
        status, one = await get(edge, "/v2/stocks/AAPL/bars", **{name: value for name, value in query.items() if name != "symbols"})
        assert (one["symbol"], one["bars"], one["next_page_token"]) == ("AAPL", whole["bars"]["AAPL"], None)


@pytest.mark.parametrize(
    ("timeframe", "begins", "volumes"),
    [
        ("1Day", ["2026-11-23", "2026-11-24", "2026-11-25"], [240, 240, 240]),
        ("1Week", ["2026-11-23", "2026-11-30"], [7 * 240, 7 * 240]),
        ("1Month", ["2026-12-01"], [6 * 240]),
    ],
)
async def test_days_weeks_and_months_are_new_yorks(timeframe: str, begins: list[str], volumes: list[int]) -> None:
    """A bar that began before `start` is left out: the month of November is."""
    async with served() as edge:
        with_bars(edge)
        query = {"timeframe": timeframe, "start": rfc3339(MONDAY), "end": "2026-12-31", "limit": 3}
        status, page = await get(edge, "/v1beta3/crypto/us/bars", symbols="AAPL/USD", **query)
        assert status == 200
        bars = page["bars"]["AAPL/USD"]
        assert [one["t"] for one in bars] == [rfc3339(day_start_ns(date.fromisoformat(day))) for day in begins]
        assert [one["v"] for one in bars] == volumes
        assert bars[0]["o"] == (1.0 if timeframe != "1Month" else 2.92)


async def test_trades_tell_their_busts_and_auctions_their_days() -> None:
    """And each page begins behind the last one of the page before."""
    trades = [PastTrade(n, 100 + n, 5, 1 if n % 2 else 0, MONDAY + n, 265 if n == 2 else 0) for n in range(1, 6)]

    def find(instrument: int, start: int, end: int, limit: int, *, ascending: bool, behind: int | None) -> list[PastTrade]:
        found = [one for one in trades if instrument == 1 and start <= one.transact_time < end]
        found = found if ascending else found[::-1]
        return [one for one in found if behind is None or (one.trd_match_id > behind if ascending else one.trd_match_id < behind)][:limit]

    async with served() as edge:
        edge.stores.answers["trades"] = find
        edge.stores.answers["auctions"] = [
            PastAuction(MONDAY + 9 * HOUR_NS, int(Phase.OPENING_AUCTION), 18_000, 70), PastAuction(MONDAY + 10 * HOUR_NS, int(Phase.VOLATILITY_AUCTION), 1, 1),
            PastAuction(MONDAY + 16 * HOUR_NS, int(Phase.CLOSING_AUCTION), 18_100, 80),
        ]  # fmt: skip
        seen, token = [], ""
        while token is not None:
            _, page = await get(edge, "/v2/stocks/trades", symbols="AAPL,MSFT", start=rfc3339(MONDAY), limit=2, page_token=token)
            seen += page["trades"].get("AAPL", [])
            token = page["next_page_token"]
        assert [(one["i"], one["p"], one.get("u")) for one in seen] == [
            (n, 1 + n / 100, "canceled" if n == 2 else None) for n in range(1, 6)
        ]
        assert [one["c"] for one in seen[:2]] == [["@"], ["@", "X"]]
        _, page = await get(edge, "/v2/stocks/AAPL/auctions", start=rfc3339(MONDAY))
        (day,) = page["auctions"]
        assert (day["d"], [one["p"] for one in day["o"]], [one["s"] for one in day["c"]]) == ("2026-11-23", [180], [80])


def quote(seq: int) -> MarketRow:
    """Of AAPL."""
    named = {"kind": int(MarketDataKind.QUOTE), "instrument": 1, "seq": seq, "bid_px": 100 + seq, "bid_qty": 1, "ask_px": 200, "ask_qty": 2}
    return MarketRow(**dict.fromkeys(MarketRow._fields, 0) | named | {"transact_time": MONDAY + seq})


async def test_quotes_come_from_memory_and_the_newest_of_all_from_the_price_cache_where_that_has_none() -> None:
    """Latest and snapshots, of several symbols and of one."""
    async with served() as edge:
        edge.gateway.market.apply([quote(seq) for seq in range(1, 8)])
        _, first = await get(edge, "/v2/stocks/quotes", symbols="AAPL", start=rfc3339(MONDAY), limit=4)
        _, rest = await get(edge, "/v2/stocks/quotes", symbols="AAPL", start=rfc3339(MONDAY), limit=4, page_token=first["next_page_token"])
        assert [one["bp"] for one in first["quotes"]["AAPL"] + rest["quotes"]["AAPL"]] == [1 + n / 100 for n in range(1, 8)]
        trade = {"seq": 3, "transact_time": MONDAY, "trd_match_id": 9, "price": 18_000, "qty": 5, "side": 1}
        edge.stores.newest = Newest({"AAPL": trade}, {"AAPL": {}}, {})
        _, latest = await get(edge, "/v2/stocks/trades/latest", symbols="AAPL,MSFT")
        assert latest == {"trades": {"AAPL": {"i": 9, "x": "", "p": 180, "s": 5, "c": ["@"], "t": rfc3339(MONDAY), "z": "C", "tks": "B"}}}
        _, snapshot = await get(edge, "/v2/stocks/AAPL/snapshot")
        assert (snapshot["symbol"], snapshot["latestTrade"]["p"], snapshot["latestQuote"]["bp"], snapshot["dailyBar"]) == (
            "AAPL",
            180,
            1.07,
            None,
        )
        _, book = await get(edge, "/v1beta3/crypto/us/latest/orderbooks", symbols="AAPL/USD")
        assert book["orderbooks"]["AAPL/USD"].keys() == {"a", "b", "t"}


async def test_movers_and_most_actives_are_those_of_the_newest_day() -> None:
    """Changes are from the day before, or from the reference price."""
    async with served() as edge:
        for number, symbol in ((1, "AAPL"), (2, "MSFT"), (3, "NVDA")):
            days = edge.gateway.market.symbols[symbol].days
            days.take_stored([StoredBar(MONDAY - 24 * HOUR_NS, *[100] * 4, 1, 1, 1)])
            for n in range(number):
                days.trade((50, 120, 150)[number - 1], 10 - 3 * number, MONDAY + n)
        _, moved = await get(edge, "/v1beta1/screener/stocks/movers", top=1)
        assert moved["gainers"] == [{"symbol": "NVDA", "percent_change": 50, "change": 0.5, "price": 1.5}]
        assert moved["losers"] == [{"symbol": "AAPL", "percent_change": -50, "change": -0.5, "price": 0.5}]
        _, active = await get(edge, "/v1beta1/screener/stocks/most-actives", top=2)
        assert [(one["symbol"], one["volume"], one["trade_count"]) for one in active["most_actives"]] == [("MSFT", 8, 2), ("AAPL", 7, 1)]
        _, active = await get(edge, "/v1beta1/screener/stocks/most-actives", by="trades", top=1)
        assert active["most_actives"][0]["symbol"] == "NVDA"


@pytest.mark.parametrize(
    ("path", "query", "says"),
    [
        ("/v2/stocks/bars", {"timeframe": "1Min"}, "symbols is required"),
        ("/v2/stocks/bars", {"symbols": "AAPL"}, "timeframe is required"),
        ("/v2/stocks/bars", {"symbols": "AAPL", "timeframe": "60Min"}, "invalid timeframe"),
        ("/v2/stocks/bars", {"symbols": "AAPL", "timeframe": "2Day"}, "invalid timeframe"),
        ("/v2/stocks/bars", {"symbols": "NOPE", "timeframe": "1Min"}, "invalid symbol"),
        ("/v2/stocks/bars", {"symbols": "AAPL", "timeframe": "1Min", "limit": "10001"}, "invalid limit"),
        ("/v2/stocks/bars", {"symbols": "AAPL", "timeframe": "1Min", "start": "2026-02-01", "end": "2026-01-01"}, "start must not be behind end"),
        ("/v2/stocks/trades", {"symbols": "AAPL", "page_token": "x"}, "invalid page_token"),
        ("/v2/stocks/trades", {"symbols": "AAPL", "feed": "mine"}, "invalid feed"),
        ("/v2/stocks/trades", {"symbols": "AAPL", "currency": "EUR"}, "currency must be USD"),
        ("/v2/stocks/NOPE/trades", {}, "invalid symbol"),
        ("/v2/stocks/meta/conditions/trade", {}, "tape is required"),
        ("/v2/stocks/meta/conditions/fill", {"tape": "A"}, "invalid ticktype"),
        ("/v1beta1/screener/bonds/movers", {}, "invalid market_type"),
        ("/v1beta1/screener/stocks/most-actives", {"by": "age"}, "invalid by"),
        ("/v1beta3/crypto/moon/snapshots", {"symbols": "AAPL"}, "invalid loc"),
        ("/v1beta3/crypto/us/latest/trades", {"symbols": "AAPL/EUR"}, "Invalid symbol"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_refused_with_400(path: str, query: dict[str, str], says: str) -> None:
    """In Alpaca's form."""
    async with served() as edge:
        status, body = await get(edge, path, **query)
        assert (status, body["code"]) == (400, 40010000)
        assert says in body["message"]


async def test_a_store_that_is_away_is_said_and_an_address_without_a_key_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """503; 429 beyond what an address may ask for."""
    monkeypatch.setattr("edge.alpaca.market_data.crypto_api.PUBLIC_REQUESTS_BURST", 3)
    monkeypatch.setattr("edge.alpaca.market_data.crypto_api.PUBLIC_REQUESTS_PER_S", 1e-6)
    async with served(away=True) as edge:
        assert (await get(edge, "/v2/stocks/trades", symbols="AAPL"))[0] == 503
    async with served() as edge:
        answers = [(await edge.get("/v1beta3/crypto/us/latest/trades", params={"symbols": "AAPL"}))[0] for _ in range(5)]
        assert answers == [200] * 3 + [429] * 2
        assert (await get(edge, "/v1beta3/crypto/us/latest/trades", symbols="AAPL"))[0] == 200, "who has a key is counted by it"

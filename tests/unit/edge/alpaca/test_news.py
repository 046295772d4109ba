"""News over HTTP: pages by the time of publishing, of all instruments or of some, and what is wrong is refused by its name."""

from typing import Any

import pytest
from support.edge_requests import KEY
from support.served_edge import Served, served

from edge.http.timestamps import rfc3339
from schemas.instruments import load_instruments
from sinks.mysql.news import Article

S = 1_000_000_000
START = 1_790_000_000 * S
AAPL, MSFT = (load_instruments(None).by_symbol[symbol].number for symbol in ("AAPL", "MSFT"))
TOLD = [Article(7 * n, START + n * S, START + n * S - 5, f"headline {n}", (AAPL, MSFT) if n % 3 else (MSFT,)) for n in range(25)]


def articles(
    start: int, end: int, limit: int, *, ascending: bool, instruments: list[int], behind: int | None, known: list[Article] = TOLD
) -> list[Article]:
    """What the store has, as sinks.mysql.news reads it."""
    found = [one for one in known if start <= one.told_at < end and (not instruments or set(instruments) & set(one.instruments))]
    found = found if ascending else found[::-1]
    if behind is not None:
        found = [one for one in found if (one.told_at > behind if ascending else one.told_at < behind)]
    times = list(dict.fromkeys(one.told_at for one in found))[:limit]
    return [one for one in found if one.told_at in times]


async def get(edge: Served, **query: Any) -> tuple[int, Any]:
    """(status, body) with a key."""
    status, body, _ = await edge.get("/v1beta1/news", headers=KEY, params={name: str(value) for name, value in query.items()})
    return status, body


async def test_an_article_has_what_an_operator_published_and_every_field_of_alpacas() -> None:
    """Texts that there are none of are empty."""
    async with served() as edge:
        edge.stores.answers["articles"] = articles
        status, body = await get(edge, limit=1)
        assert (status, body["news"]) == (200, [{
            "id": 168, "headline": "headline 24", "author": "Open Outcry", "source": "Open Outcry", "created_at": rfc3339(START + 24 * S - 5),
            "updated_at": rfc3339(START + 24 * S), "summary": "", "content": "", "url": None, "images": [], "symbols": ["MSFT"],
        }])  # fmt: skip
        assert [len((await get(edge, **query))[1]["news"]) for query in ({}, {"exclude_contentless": "true"}, {"include_content": "True"})] == [
            10, 0, 10,
        ]  # fmt: skip


@pytest.mark.parametrize("sort", ["asc", "desc"])
@pytest.mark.parametrize("symbols", ["", "AAPL", "AAPL,MSFT"])
async def test_pages_go_through_all_articles_and_nothing_is_missing_or_twice(sort: str, symbols: str) -> None:
    """Within start <= updated_at <= end, whatever the size of a page."""
    async with served() as edge:
        edge.stores.answers["articles"] = articles
        query = {"start": rfc3339(START + S), "end": rfc3339(START + 22 * S), "sort": sort, "symbols": symbols}
        wanted = [one.number for one in TOLD[1:23] if symbols != "AAPL" or AAPL in one.instruments]
        for limit in (1, 4, 11, 50):
            seen: list[int] = []
            token: str | None = ""
            while token is not None:
                status, page = await get(edge, **query, limit=limit, page_token=token)
                assert status == 200
                assert len(page["news"]) <= limit
                seen += [one["id"] for one in page["news"]]
                token = page["next_page_token"]
            assert seen == (wanted if sort == "asc" else wanted[::-1]), limit


async def test_articles_of_one_nanosecond_are_on_one_page() -> None:
    """A page token is a time, so what is at that time must not be cut."""
    twins = [Article(n, START + n // 2, START, f"headline {n}", (AAPL,)) for n in range(6)]
    async with served() as edge:
        edge.stores.answers["articles"] = lambda *args, **kwargs: articles(*args, **kwargs, known=twins)
        _, first = await get(edge, limit=2, sort="asc")
        _, second = await get(edge, limit=2, sort="asc", page_token=first["next_page_token"])
    assert [[one["id"] for one in page["news"]] for page in (first, second)] == [[0, 1, 2, 3], [4, 5]]
    assert second["next_page_token"] is None


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"limit": "51"}, "from 1 to 50"), ({"sort": "up"}, "invalid sort"), ({"symbols": "NOPE"}, "invalid symbol"), ({"start": "noon"}, "start"),
        ({"start": "2026-01-02", "end": "2026-01-01"}, "start must not be behind end"), ({"page_token": "x"}, "invalid page_token"),
        ({"include_content": "perhaps"}, "include_content"),
    ],
)  # fmt: skip
async def test_a_wrong_parameter_is_refused_by_its_name(query: dict[str, str], says: str) -> None:
    """400, as the market-data API does."""
    async with served() as edge:
        status, body = await get(edge, **query)
    assert status == 400
    assert says in body["message"]


async def test_news_cannot_be_read_while_the_store_is_away() -> None:
    """503; nobody is told that there is none."""
    async with served(away=True) as edge:
        edge.stores.answers["articles"] = articles
        status, body = await get(edge)
    assert (status, "news cannot be read" in body["message"]) == (503, True)


async def test_an_instrument_that_is_not_traded_any_more_is_left_out() -> None:
    """Its number says nothing to clients."""
    async with served() as edge:
        edge.stores.answers["articles"] = [Article(1, START, START, "x", (AAPL, 99_999))]
        assert (await get(edge))[1]["news"][0]["symbols"] == ["AAPL"]

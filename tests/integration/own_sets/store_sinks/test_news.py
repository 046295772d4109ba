"""News in MySQL: stored from party.facts once, whatever is delivered again, and read by the time of its telling."""

from typing import Any

import pytest
from sink_session import START

from sinks import Input
from sinks.mysql.news import HEADLINE_MAX, articles
from sinks.mysql.pool import MySql
from sinks.mysql.sink import MySqlSink

pytestmark = pytest.mark.integration

ALL = (0, 1 << 62)


def told(offset: int, at: int, instrument: int, headline: str, public_at: int = START) -> Input:
    """A record of an operator."""
    body: dict[str, Any] = {"source": "operator", "created_at": at, "at": public_at, "instrument": instrument, "headline": headline}
    return Input("party.facts", 0, offset, body, START + offset)


def other_fact(offset: int) -> Input:
    """One of which only the place counts."""
    return Input("party.facts", 0, offset, {}, START + offset)


async def test_news_is_stored_once_and_read_whole_by_time(mysql_sink: MySqlSink, mysql: MySql) -> None:
    """In batches that overlap; a copy of a record further on in the log adds nothing. An article is whole, whoever asks."""
    later = START + 50
    log = [
        other_fact(0), told(1, START, 1, "A merger – it's \\ \"on\" €"), told(2, START, 2, "A merger – it's \\ \"on\" €"), other_fact(3),
        told(4, later, 2, "Results"), told(5, START, 1, "A merger – it's \\ \"on\" €"), told(6, later + 1, 3, "x" * 900, public_at=1 << 62), other_fact(7),
    ]  # fmt: skip
    await mysql_sink.write_batch(log[:4])
    await mysql_sink.write_batch(log[2:])
    everything = await articles(mysql, *ALL, 10, ascending=True)
    assert [(one.number, one.told_at, one.instruments) for one in everything] == [
        (1, START, (1, 2)), (4, later, (2,)), (6, later + 1, (3,)),
    ]  # fmt: skip
    assert [one.headline for one in everything] == ['A merger – it\'s \\ "on" €', "Results", "x" * HEADLINE_MAX]
    assert [one.public_at for one in everything] == [START, START, later + 1], "nothing is public after it was told"
    assert await articles(mysql, *ALL, 10, ascending=False) == everything[::-1]
    assert await articles(mysql, *ALL, 2, ascending=False) == everything[:0:-1]
    assert await articles(mysql, *ALL, 10, ascending=False, behind=later) == everything[:1]
    assert await articles(mysql, *ALL, 10, ascending=True, behind=later) == everything[2:]
    assert await articles(mysql, START + 1, later + 1, 10, ascending=True) == everything[1:2]
    assert await articles(mysql, *ALL, 10, ascending=True, instruments=[1]) == everything[:1]
    assert await articles(mysql, *ALL, 10, ascending=True, instruments=[1, 3]) == [everything[0], everything[2]]
    assert (await mysql_sink.reached())["party.facts", 0].next_offset == 8, "what is passed by is not read again"

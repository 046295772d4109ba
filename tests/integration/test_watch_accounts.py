"""The second stage on the real services: facts of the edge, of watch-trading and of operators come to alerts that an analyst's program reads."""

import asyncio
import json
import os
import signal
import time
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import pytest
from click.testing import CliRunner
from support.log_reader import eventually, read_partition
from support.party_facts import ahead, takeover
from support.told_facts import INSTRUMENTS, NUMBERS, Told, facts_of

from access.people import Role
from schemas.codec import decode_record
from streams.operate.news import news
from streams.operate.users import make_token, put_person
from streams.proofs.verify import Range, verify_shards
from topics.catalogue import PARTY_FACTS

pytestmark = pytest.mark.integration

S: Final = 1_000_000_000
AAPL: Final = INSTRUMENTS.by_symbol["AAPL"].number


async def alerts(exchange: Any, token: str, account: int) -> list[dict[str, Any]]:
    """What an analyst's program is told."""
    url = f"{exchange.edge_url}/surveillance/alerts?account={account}"
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http, http.get(url) as answer:
        body = await answer.json()
        assert answer.status == 200, body
        return list(body)


async def news_of(exchange: Any, symbol: str) -> list[dict[str, Any]]:
    """What a customer's program reads."""
    headers = dict(zip(("APCA-API-KEY-ID", "APCA-API-SECRET-KEY"), exchange.api_keys[2][:2], strict=True))
    url = f"{exchange.edge_url}/v1beta1/news?symbols={symbol}"
    async with aiohttp.ClientSession(headers=headers) as http, http.get(url) as answer:
        body = await answer.json()
        assert answer.status == 200, body
        return list(body["news"])


def analysts_token(exchange: Any) -> str:
    """Of somebody who may read."""
    put_person(exchange.settings, "watch-ann", "a few plain words", frozenset({Role.ANALYST}))
    return make_token(exchange.settings, "watch-ann", frozenset({Role.ANALYST}), read_only=True, days=1, label="")[1]


def test_a_takeover_and_trading_ahead_of_news_are_alerted_though_the_role_is_killed(exchange: Any) -> None:
    """Kill -9 in the middle of the facts; each pattern is one alert in MySQL, with its evidence in its own book; a replay agrees."""
    token, told, base = analysts_token(exchange), Told(exchange.settings), time.time_ns() - 2_400 * S
    stolen, knew = 900_701, 900_711
    taken = facts_of(takeover(), base, stolen)
    told.tell(taken[: len(taken) // 2])
    old = exchange.role_pid("watch-accounts")
    os.kill(old, signal.SIGKILL)
    told.tell(taken[len(taken) // 2 :])
    told.tell(facts_of(ahead(), base + 600 * S, knew))
    public_at = datetime.fromtimestamp((base + 600 * S + (24 * 30 + 1) * S) // S, UTC).isoformat()
    symbol = INSTRUMENTS.by_number[NUMBERS[0]].symbol
    done = CliRunner().invoke(news, ["publish", symbol, "--headline", "A takeover bid", "--at", public_at], obj=exchange.settings)
    assert done.exit_code == 0, done.output + repr(done.exception)
    (article,) = eventually(lambda: asyncio.run(news_of(exchange, symbol)), bool)
    assert (article["headline"], article["symbols"]) == ("A takeover bid", [symbol])
    for account, pattern in ((stolen, "ACCOUNT_TAKEOVER"), (knew, "AHEAD_OF_NEWS")):
        (alert,) = eventually(lambda who=account: asyncio.run(alerts(exchange, token, who)), bool)  # type: ignore[misc]
        assert (alert["pattern"], alert["symbol"], alert["account"]) == (pattern, symbol, account)
        assert alert["source"].startswith("party.facts/0@")
        assert {(one["topic"], one["partition"], one["symbol"]) for one in alert["evidence"]} == {("executions", NUMBERS[0], symbol)}
    assert exchange.role_pid("watch-accounts") != old
    (report,) = verify_shards(exchange.settings, ("parties",), None, Range(), quiet=True)
    assert report.difference is None
    assert report.compared.frames >= 2


def test_the_edge_tells_from_where_and_watch_trading_what_was_traded(exchange: Any) -> None:
    """Without anybody asking for it."""
    key_id, secret, account = exchange.api_keys[2]
    other_id, other_secret, _ = exchange.api_keys[3]

    async def trade() -> None:
        for who, word, side in ((key_id, secret, "sell"), (other_id, other_secret, "buy")):
            headers = {"APCA-API-KEY-ID": who, "APCA-API-SECRET-KEY": word}
            order = {"symbol": "AAPL", "qty": "3", "side": side, "type": "limit", "time_in_force": "day", "limit_price": "190.00"}
            async with aiohttp.ClientSession(headers=headers) as http, http.post(f"{exchange.edge_url}/v2/orders", json=order) as answer:
                assert answer.status == 200, await answer.text()

    asyncio.run(trade())

    def facts(schema: str) -> list[dict[str, Any]]:
        read = (decode_record(record.value or b"") for record in read_partition(exchange.settings, PARTY_FACTS, 0))
        return [one for name, one in read if name == schema]

    seen, *_ = eventually(lambda: [one for one in facts("sign_in") if one["account"] == account], bool)
    assert (seen["source"], seen["door"]) == ("edge-0", "Alpaca's API")
    assert "127.0.0.1" not in json.dumps(seen)
    halves = eventually(lambda: [one for one in facts("book_sums") if one["instrument"] == AAPL], bool)
    assert {party["owner"] for one in halves for party in one["sums"]} & {account, exchange.api_keys[3][2]}

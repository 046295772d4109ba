"""Alerts and cases: read from MySQL, decided by the log, the same on every edge."""

import asyncio
from typing import Any

import pytest
from edge_session import Edge, ThinExchange, call, wait_for
from support.book_session import MS, OWN, frames, session
from support.records.alert_records import whole

from access.people import Role
from schemas.codec import Header, encode_frame
from schemas.ids import order_uuid
from schemas.instruments import load_instruments
from schemas.settings import Settings
from sinks import Input
from sinks.mysql.sink import MySqlSink
from streams.operate.users import make_token, put_person
from surveillance.cases.desk import decide
from topics.catalogue import EXECUTIONS

pytestmark = pytest.mark.integration


def an_alert(number: int, pattern: str, instrument: int, account: int) -> dict[str, Any]:
    """A record of alert.avsc, detected `number` seconds after another."""
    at = 1_800_000_000_000_000_000 + number * 1_000_000_000
    layer = {
        "role": "LAYER",
        "order_id": 40 + number,
        "side": "SELL",
        "price": 18_005,
        "qty": 30,
        "traded_qty": 0,
        "placed_at": at - 9,
        "ended_at": 0,
    }
    trade = {**layer, "role": "EXECUTION", "order_id": 41 + number, "side": "BUY", "traded_qty": 30, "ended_at": at}
    return whole({
        "alert_id": f"alert-{number}", "pattern": pattern, "instrument": instrument, "symbol": "", "account": account, "side": "SELL",
        "score": 0.5 + number / 100, "explanation": f"it's \"{number}\" – see there", "window_start": at - 9, "window_end": at,
        "detected_at": at, "source": f"executions/0@{number}", "evidence": [layer, trade],
    })  # fmt: skip


async def test_alerts_are_listed_newest_first_filtered_and_read_one_by_one(own_services: Settings, edge: Edge, analyst: str) -> None:
    """Rows as the sink stores them; filters combine; limit counts what has passed them."""
    rows = [("LAYERING", 1, 3), ("LAYERING", 2, 3), ("SPOOFING", 1, 3), ("LAYERING", 1, 4), ("SPOOFING", 2, 5)]
    sink = await MySqlSink.connect(own_services.mysql_url, load_instruments(None))
    await sink.write_batch([Input("alerts", 0, n, an_alert(n, *row)) for n, row in enumerate(rows)])
    await sink.close()

    async def ids(query: str) -> list[int]:
        status, body, _ = await call(edge, 1, "GET", f"/surveillance/alerts?{query}", token=analyst)
        assert status == 200, body
        return [int(one["alert_id"].removeprefix("alert-")) for one in body]

    cases = {
        "": [4, 3, 2, 1, 0], "limit=2": [4, 3], "pattern=LAYERING": [3, 1, 0], "symbol=AAPL": [3, 2, 0], "account=3": [2, 1, 0],
        "pattern=LAYERING&symbol=AAPL&account=3": [0], "pattern=LAYERING&limit=1": [3], "account=77": [], "pattern=layering": [],
        "pattern=%C3%A9": [], "pattern=&symbol=&account=": [4, 3, 2, 1, 0],
    }  # fmt: skip
    assert {query: await ids(query) for query in cases} == cases
    listed = (await call(edge, 1, "GET", "/surveillance/alerts?limit=1&account=4", token=analyst))[1]
    status, alert, _ = await call(edge, 1, "GET", "/surveillance/alerts/alert-3", token=analyst)
    assert (status, [alert]) == (200, listed)
    assert (alert["symbol"], alert["side"], alert["score"], alert["explanation"]) == ("AAPL", "sell", 0.53, 'it\'s "3" – see there')
    assert alert["detected_at"] == "2027-01-15T08:00:03.000000000Z"
    layer, trade = alert["evidence"]
    assert (layer["order_id"], layer["price"], layer["qty"], layer["ended_at"]) == (order_uuid(43), "180.05", "30", None)
    assert (trade["role"], trade["traded_qty"], trade["ended_at"]) == ("EXECUTION", "30", alert["detected_at"])
    for unknown in ("alert-99", "%C3%A9", "'%20OR%20''='"):
        status, body, _ = await call(edge, 1, "GET", f"/surveillance/alerts/{unknown}", token=analyst)
        assert (status, body["code"]) == (404, 40410000), unknown


async def test_two_edges_agree_on_a_case_and_replay_the_book_from_the_log(own_services: Settings, edge: Edge, thin: ThinExchange) -> None:
    """The log decides: who opens second is told so by whichever edge, and an edge that starts later knows all of it."""
    offsets = [
        await thin.write(EXECUTIONS.name, 0, encode_frame("execution_frame", Header("book.commands/0", offset, first_seq=first_seq), rows))
        for offset, rows, first_seq, _ in frames(session())
    ]
    alert = {**an_alert(7, "LAYERING", 1, OWN), "window_start": 90 * MS, "window_end": 100 * MS, "source": f"executions/0@{offsets[-1]}"}
    sink = await MySqlSink.connect(own_services.mysql_url, load_instruments(None), decide)
    await sink.write_batch([Input("alerts", 0, 70, alert)])
    await sink.close()
    workers = {}
    for name in ("bob", "sue"):
        await asyncio.to_thread(put_person, own_services, name, "a few plain words", frozenset({Role.ANALYST}))
        workers[name] = (
            await asyncio.to_thread(make_token, own_services, name, frozenset({Role.ANALYST}), read_only=False, days=1, label="")
        )[1]
    opening = {"alerts": ["alert-7"], "comment": "odd"}
    status, file, _ = await call(edge, 1, "POST", "/surveillance/cases", opening, token=workers["bob"])
    assert (status, file["case"]["owner"]) == (201, "bob")
    status, book, _ = await call(edge, 1, "GET", "/surveillance/alerts/alert-7/book", token=workers["bob"])
    assert (status, book["complete"], book["full"]) == (200, offsets[0] == 0, False)
    assert len(book["steps"]) > 50
    assert {account for step in book["steps"] for event in step["events"] for account in event.get("own", [])} == {OWN}
    later = Edge(own_services)
    try:
        await later.wait_until_ready()
        at = f"/surveillance/cases/{file['case']['case_id']}"
        answers: list[tuple[int, Any]] = []

        async def has_read_the_cases() -> bool:
            """An edge serves customers before it has read them, and says so with 503."""
            answers.append((await call(later, 1, "POST", "/surveillance/cases", opening, token=workers["sue"]))[:2])
            return answers[-1][0] != 503

        await wait_for(has_read_the_cases, "the later edge has read the cases")
        status, body = answers[-1]
        assert (status, body["refusal"], body["version"]) == (409, "CHANGED", 1)
        note = {"action": "NOTE", "version": 1, "comment": "from another edge"}
        assert (await call(later, 1, "POST", f"{at}/actions", note, token=workers["bob"]))[0] == 200

        async def is_told() -> bool:
            return bool((await call(edge, 1, "POST", f"{at}/actions", note, token=workers["bob"]))[1].get("version") == 2)

        await wait_for(is_told, "the first edge has heard of it")
    finally:
        later.stop()

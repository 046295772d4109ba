"""Cases in MySQL: the same as the fold over the log."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sink_session import ALERT, INSTRUMENTS, START
from support.records.alert_records import whole
from support.records.case_records import ANN, SECOND, SUE, action, opening

from schemas.settings import Settings
from sinks import Input
from sinks.mysql import case_queries
from sinks.mysql.pool import MySql
from sinks.mysql.sink import MySqlSink
from streams.services.local_set import LocalSet
from surveillance.cases.desk import Desk, decide
from surveillance.cases.refused import Refused
from surveillance.cases.words import FIRST_LOOK_NS

pytestmark = pytest.mark.integration


def case_inputs(*records: dict[str, Any]) -> list[Input]:
    """Records of `cases`."""
    return [Input("cases", 0, offset, record, START + offset) for offset, record in enumerate(records)]


@pytest.fixture
async def case_sink(stores: tuple[LocalSet, Settings], mysql: MySql) -> AsyncIterator[MySqlSink]:
    """A sink that knows the rules of cases."""
    sink = await MySqlSink.connect(stores[1].mysql_url, INSTRUMENTS, decide)
    yield sink
    await sink.close()


async def test_mysql_has_what_the_fold_over_cases_has(case_sink: MySqlSink, mysql: MySql) -> None:
    """Actions that were refused and strange ones too, whatever is delivered twice; no record stops the sink."""
    records = [
        opening(), action("NOTE", ANN, 1, comment="it's \\ \"quoted\" – €"), action("NOTE", SUE, 1, comment="too late"),
        action("LINK", ANN, 2, alerts=["alert-2"]), action("READ_ALERT", "bob", case_id="", alerts=["alert-2"]),
        action("NOTE", "x" * 500, 3, case_id="é" * 300), action("BURN" * 30, "\u2028", 3, case_id="case-1 "), action("CLOSE", ANN, 3),
        {**opening(), "case_id": "case-é"}, {**opening(), "case_id": "case-2", "alerts": ["alert-2", "alert-3"]}, action("UNLINK", ANN, 3, alerts=["alert-1"]),
        action("SUPPRESS", SUE, case_id="suppression-1", facts={"pattern": "LAYERING", "symbol": "AAPL", "account": "0", "expires_at": str(90 * SECOND)}),
        action("APPROVE_SUPPRESSION", "carl", 1, case_id="suppression-1"),
    ]  # fmt: skip
    inputs = case_inputs(*records)
    await case_sink.write_batch(inputs[:5])
    await case_sink.write_batch(inputs[3:])
    desk = Desk()
    refusals = [made.code if isinstance(made, Refused) else "" for made in map(desk.take, records)]
    stored = await mysql.fetch("SELECT log_offset, refusal, body FROM case_actions ORDER BY log_offset")
    assert [(offset, refusal, json.loads(body)) for offset, refusal, body in stored] == list(
        zip(range(len(records)), refusals, records, strict=True)
    )
    states = {key: json.loads(state) for key, state in await mysql.fetch("SELECT case_id, state FROM cases")}
    assert states == {key: json.loads(json.dumps(one.as_json())) for key, one in [*desk.cases.items(), *desk.suppressions.items()]}
    assert set(states) == {"case-1", "case-2", "suppression-1"}
    held = dict(await mysql.fetch("SELECT alert_id, case_id FROM case_alerts"))
    assert held == {"alert-2": "case-1", "alert-3": "case-2"}, "the newest linking decides"
    (note,) = [one for one in await case_queries.actions_of_case(mysql, "case-1") if one.body["comment"].startswith("it's")]
    assert (note.log_offset, note.refusal) == (1, "")


async def test_the_queue_is_filtered_counted_and_in_order(case_sink: MySqlSink, mysql: MySql) -> None:
    """Alerts without a case are new; suppressed ones stay out until they are asked for, or somebody has begun with them."""
    hour = 3_600 * SECOND
    alerts = [
        whole({**ALERT, "alert_id": f"alert-{n}", "score": score, "severity": severity, "detected_at": n * hour, "pattern": pattern, "account": account,
               "accounts": [account, 90 + n], "instrument": instrument, "detector_version": 2})
        for n, (score, severity, pattern, account, instrument) in enumerate(
            [(0.9, "HIGH", "LAYERING", 3, 1), (0.6, "MEDIUM", "LAYERING", 3, 2), (0.4, "LOW", "SPOOFING", 4, 1), (0.8, "HIGH", "SPOOFING", 5, 1)], 1)
    ]  # fmt: skip
    await case_sink.write_batch([Input("alerts", 0, n, alert) for n, alert in enumerate(alerts)])
    await case_sink.write_batch(case_inputs(
        {**opening(severity="HIGH"), "alerts": ["alert-1"], "at": hour}, {**opening("bob", severity="LOW"), "case_id": "case-2", "alerts": ["alert-3"], "at": hour},
        action("CLOSE", "bob", 1, case_id="case-2", to="NO_ACTION", reason="HEDGING"),
    ))  # fmt: skip
    first_look = tuple(FIRST_LOOK_NS.items())

    async def ids(**wanted: Any) -> list[int]:
        rows, total = await case_queries.queue(mysql, case_queries.QueueFilter(**{"limit": 10, "first_look": first_look, **wanted}))
        assert total >= len(rows)
        return [int(one.alert.alert_id.removeprefix("alert-")) for one in rows]

    window = case_queries.Window("LAYERING", 0, 3, 0, 9 * hour)
    other = case_queries.Window("SPOOFING", 1, 94, 0, 9 * hour)
    assert await ids() == [1, 4, 2, 3]
    assert await ids(order="newest", limit=2, offset=1) == [3, 2]
    assert await ids(order="due") == [4, 2, 1, 3]
    assert await ids(statuses=("NEW",)) == [4, 2]
    assert await ids(statuses=("IN_REVIEW",)) == await ids(owner="ann") == await ids(severity="HIGH", pattern="LAYERING") == [1]
    assert await ids(account=92) == await ids(instrument=2) == [2]
    assert await ids(overdue_at=9 * hour) == [4], "an alert has to be looked at, an open case decided; a closed one nothing"
    assert await ids(windows=(window, other)) == [1, 3], "a case that is there stays"
    assert await ids(windows=(window, other), suppressed=True) == [1, 4, 2]
    assert await ids(suppressed=True) == []
    counts = await case_queries.counts(mysql, case_queries.QueueFilter(10, first_look=first_look))
    assert counts == {
        "status": {"NEW": 2, "IN_REVIEW": 1, "CLOSED_NO_ACTION": 1},
        "severity": {"HIGH": 2, "MEDIUM": 1, "LOW": 1},
        "pattern": {"LAYERING": 2, "SPOOFING": 2},
    }
    assert await case_queries.covered(mysql, window) == 2
    assert await case_queries.volumes(mysql, 2 * hour) == [(0, "LAYERING", 2, 1), (0, "SPOOFING", 2, 2)]
    assert [one.alert.alert_id for one in await case_queries.related(mysql, "alert-1")] == ["alert-2"]
    assert await case_queries.related(mysql, "é") == await case_queries.alerts_named(mysql, ["é", "alert-9"]) == []
    (row,) = await case_queries.alerts_named(mysql, ["alert-3"])
    assert (row.case_id, row.status, row.owner, row.version) == ("case-2", "CLOSED_NO_ACTION", "bob", 2)

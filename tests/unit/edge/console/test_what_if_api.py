"""What-ifs over HTTP: a run with its progress and answer, what is in the log, who sees it, its end, and what is refused."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.served_edge import Served, served, until

from access.people import Role
from edge.gateway.analysts import what_ifs
from edge.gateway.analysts.what_ifs import WhatIfs
from schemas.codec import decode_record

AT = "/surveillance/what-ifs"
ASKED = {"pattern": "LAYERING", "parameters": {"orders_min": 3}, "from": "2027-01-15", "to": "2027-01-16T12:00:00Z", "symbols": ["AAPL"]}
ALERT = {
    "pattern": "LAYERING", "symbol": "AAPL", "accounts": [7], "severity": "HIGH", "score": 0.9, "occurrences": 1, "steps": ["said"], "counterfactual": "",
    "evidence_total": 4, "episode_key": "episode-1", "window_start": 1, "window_end": 2, "detected_at": 3,
}  # fmt: skip
RESULT = {
    "both": 0,
    "only_now": 1,
    "only_then": 0,
    "rows": 5,
    "records": 2,
    "complete": True,
    "alerts": {"both": [], "only_now": [ALERT], "only_then": []},
}
ANSWERS = (
    f"print(json.dumps({{'done': 1, 'records': 2}}), flush=True); print(json.dumps({{'result': {RESULT!r}}}), flush=True); sys.stdin.read()"
)
WAITS = "print(json.dumps({'done': 1, 'records': 2}), flush=True); sys.stdin.read()"


def program(then: str) -> tuple[str, ...]:
    """One that reads its question and does this."""
    return sys.executable, "-c", f"import json, sys; asked = json.loads(sys.stdin.readline()); {then}"


@asynccontextmanager
async def edge_with(then: str) -> AsyncIterator[Served]:
    """Whose runs do this."""
    async with served() as edge:
        edge.gateway.what_ifs = WhatIfs(edge.gateway.settings, program(then))
        yield edge
        await edge.gateway.what_ifs.close()


async def over(edge: Served, headers: dict[str, str], run_id: str) -> dict[str, Any]:
    """The run once it is."""
    await until(lambda: edge.gateway.what_ifs.runs[run_id].is_over, "the run is not over")
    return (await edge.get(f"{AT}/{run_id}", headers=headers))[1]


async def test_a_run_is_asked_answered_and_in_the_log() -> None:
    """With its question before it begins, and once more for each reading of the answer; the case of an alert is beside it."""
    async with edge_with(ANSWERS) as edge:
        ann = edge.stores.bearer(Role.ANALYST)
        await edge.post("/surveillance/cases", headers=ann, json={"alerts": ["alert-1"]})
        status, run, _ = await edge.post(AT, headers=ann, json=ASKED)
        assert (status, run["state"], run["to"]) == (202, "WAITING", "2027-01-16T12:00:00.000000000Z")
        found = await over(edge, ann, run["run_id"])
        assert (found["state"], found["done"], found["records"], found["result"]["only_now"]) == ("DONE", 1, 2, 1)
        (alert,) = found["result"]["alerts"]["only_now"]
        assert (alert["case"]["state"], alert["detected_at"]) == ("IN_REVIEW", "1970-01-01T00:00:00.000000003Z")
        facts = [decode_record(value)[1]["facts"] for value in edge.cases.values[1:]]
        assert facts == [
            {"pattern": "LAYERING", "parameters": "orders_min=3", "from": "2027-01-15T00:00:00.000000000Z", "to": "2027-01-16T12:00:00.000000000Z", "symbols": "AAPL"},
            {"run": run["run_id"]},
        ]  # fmt: skip
        assert [one[0] for one in edge.cases.records] == ["OPEN", "WHAT_IF", "WHAT_IF"]


async def test_a_run_is_of_one_person_one_at_a_time_and_is_ended_with_its_process() -> None:
    """Others find no trace of it. Whoever comes meanwhile waits."""
    async with edge_with(WAITS) as edge:
        ann, bob = edge.stores.bearer(Role.ANALYST), {"Authorization": f"Bearer {edge.stores.add_token(Role.ANALYST, name='bob')}"}
        run_id = (await edge.post(AT, headers=ann, json=ASKED))[1]["run_id"]
        await until(lambda: edge.gateway.what_ifs.runs[run_id].done == 1, "the run does not tell")
        again = await edge.post(AT, headers=ann, json=ASKED)
        assert (again[0], "is not over" in again[1]["message"]) == (503, True)
        second = (await edge.post(AT, headers=bob, json=ASKED))[1]
        assert second["state"] == "WAITING"
        assert (await edge.get(f"{AT}/{run_id}", headers=bob))[0] == 404
        assert (await edge.post(f"{AT}/{run_id}/cancel", headers=bob, json={}))[0] == 404
        assert [one["run_id"] for one in (await edge.get(AT, headers=bob))[1]] == [second["run_id"]]
        assert (await edge.post(f"{AT}/{run_id}/cancel", headers=ann, json={}))[1]["state"] == "CANCELED"
        await until(lambda: edge.gateway.what_ifs.runs[second["run_id"]].done == 1, "the next run has not begun")


@pytest.mark.parametrize(
    ("then", "problem"),
    [
        ("print(json.dumps({'failed': 'ask for less'}), flush=True)", "ask for less"),
        ("sys.exit(9)", "its process ended without an answer (status 9)"),
        ("print('?', flush=True); sys.stdin.read()", "is no answer"),
        ("import os; print('x' * 9_000_000, flush=True); sys.stdin.read()", "is no answer"),
    ],
)
async def test_a_run_that_fails_says_why(then: str, problem: str) -> None:
    """And its process is gone."""
    async with edge_with(then) as edge:
        ann = edge.stores.bearer(Role.ANALYST)
        run_id = (await edge.post(AT, headers=ann, json=ASKED))[1]["run_id"]
        found = await over(edge, ann, run_id)
        assert found["state"] == "FAILED"
        assert problem in found["problem"]


async def test_a_run_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time."""
    monkeypatch.setattr(what_ifs, "WHAT_IF_TIMEOUT_S", 0.2)
    async with edge_with(WAITS) as edge:
        ann = edge.stores.bearer(Role.ANALYST)
        run_id = (await edge.post(AT, headers=ann, json=ASKED))[1]["run_id"]
        assert "it took longer" in (await over(edge, ann, run_id))["problem"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"parameters": {"canceled_percent_min": 101}}, "canceled_percent_min must be a whole number from 0 to 100, not 101. canceled_percent_min: Share of"),
        ({"parameters": {"orders_min": None}}, "orders_min must be a whole number"),
        ({"parameters": []}, "parameters an object"),
        ({"pattern": "NOTHING"}, "'NOTHING' is no pattern"),
        ({"from": "2026-11-01"}, "from and to may be 31 days apart at the most"),
        ({"from": "2027-01-17"}, "from must be before to"),
        ({"from": "yesterday"}, "from must be a date or an RFC 3339 time"),
        ({"to": 5}, "to must be a date"),
        ({"symbols": ["NOPE"]}, "symbols: 'NOPE' is not known"),
        ({"symbols": "AAPL"}, "symbols must be a list"),
        ({"limit": 5}, "limit is not known"),
    ],
)  # fmt: skip
async def test_a_question_that_cannot_be_is_refused_and_nothing_begins(changed: dict[str, Any], message: str) -> None:
    """Nor is anything in the log."""
    async with edge_with(WAITS) as edge:
        status, body, _ = await edge.post(AT, headers=edge.stores.bearer(Role.ANALYST), json=ASKED | changed)
        assert (status, message in body["message"]) == (422, True), body
        assert (edge.gateway.what_ifs.runs, edge.cases.records) == ({}, [])


async def test_nothing_begins_where_it_cannot_be_recorded() -> None:
    """The log is away."""
    async with edge_with(WAITS) as edge:
        edge.cases.away = True
        assert (await edge.post(AT, headers=edge.stores.bearer(Role.ANALYST), json=ASKED))[0] == 503
        assert edge.gateway.what_ifs.runs == {}


async def test_the_process_gets_the_settings_and_the_question() -> None:
    """As one line of JSON."""
    async with edge_with(
        "print(json.dumps({'failed': json.dumps([asked['settings']['book_shards'], asked['question']])}), flush=True)"
    ) as edge:
        ann = edge.stores.bearer(Role.ANALYST)
        run_id = (await edge.post(AT, headers=ann, json=ASKED))[1]["run_id"]
        shards, question = json.loads((await over(edge, ann, run_id))["problem"])
        assert shards == edge.gateway.settings.book_shards
        assert question == {
            "pattern": "LAYERING", "parameters": {"orders_min": 3}, "begin": 1_799_971_200 * 10**9, "end": 1_800_100_800 * 10**9, "symbols": ["AAPL"],
        }  # fmt: skip

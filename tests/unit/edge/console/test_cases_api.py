"""Cases over HTTP: the life of one, who may do what, and the exact answer to each mistake."""

import csv
import hashlib
import io
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from argon2 import PasswordHasher
from support.records.case_records import action
from support.served_edge import Served, served

from access import passwords
from access.people import Role
from edge.http.errors import BAD_PARAMETER
from schemas.codec import decode_record, encode_record
from surveillance.cases.desk import case_id_of

CASE = case_id_of("episode-1")
AT = f"/surveillance/cases/{CASE}"
OPENING = {"alerts": ["alert-1"], "comment": "looks odd"}


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hashes that cost nothing."""
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    passwords.nobodys_hash.cache_clear()
    yield
    passwords.nobodys_hash.cache_clear()


class Worker:
    """Somebody with a token."""

    def __init__(self, edge: Served, name: str, *roles: Role) -> None:
        self.edge, self.headers = edge, {"Authorization": f"Bearer {edge.stores.add_token(*roles, name=name)}"}

    async def get(self, path: str) -> tuple[int, Any]:
        """(status, body)."""
        return (await self.edge.get(path, headers=self.headers))[:2]

    async def post(self, path: str, **body: Any) -> tuple[int, Any]:
        """The same."""
        return (await self.edge.post(path, headers=self.headers, json=body))[:2]

    async def act(self, name: str, version: int, **fields: Any) -> tuple[int, Any]:
        """Do something with CASE."""
        return await self.post(f"{AT}/actions", action=name, version=version, **{"comment": "because", **fields})


@asynccontextmanager
async def desk() -> AsyncIterator[tuple[Served, Worker, Worker, Worker]]:
    """An edge, an analyst, another one, and a supervisor."""
    async with served() as edge:
        edge.record_events()
        yield edge, Worker(edge, "ann", Role.ANALYST), Worker(edge, "bob", Role.ANALYST), Worker(edge, "sue", Role.SUPERVISOR)


async def test_the_life_of_a_case_and_everything_that_is_recorded_of_it() -> None:
    """Opened, read, handed on, closed by two; the history has all of it in the order of the log."""
    async with desk() as (edge, ann, bob, sue):
        status, file = await ann.post("/surveillance/cases", **OPENING)
        assert (status, file["case"]["case_id"], file["case"]["owner"], file["case"]["status"]) == (201, CASE, "ann", "IN_REVIEW")
        assert file["case"]["alerted_at"] == "2027-01-15T08:00:00.000000000Z"
        assert [one["alert_id"] for one in file["alerts"]] == ["alert-1"]
        assert set(file["allowed"]) == {"RELEASE", "NOTE", "LINK", "UNLINK", "ASK", "ESCALATE", "CLOSE"}
        assert (await ann.act("LINK", 1, alerts=["alert-2"]))[1]["case"]["alerts"] == ["alert-1", "alert-2"]
        assert (await sue.act("ASSIGN", 2, to="bob"))[1]["case"]["owner"] == "bob"
        assert (await bob.act("TAKE", 3))[0] == 200
        assert (await bob.act("CLOSE", 4, to="FORMAL", reason="SUSPECTED_ABUSE"))[1]["case"]["status"] == "CLOSING"
        status, body = await sue.act("CONFIRM", 5)
        assert (status, body["refusal"]) == (403, "SAME_PERSON")
        carl = Worker(edge, "carl", Role.COMPLIANCE)
        closed = (await carl.act("CONFIRM", 5))[1]
        assert (closed["case"]["status"], closed["allowed"]) == ("CLOSED_FORMAL", [])
        assert (await bob.get(AT))[1]["case"]["version"] == 6
        history = [(one["action"], one["actor"], one["refusal"]) for one in (await ann.get(AT))[1]["history"]]
        assert history == [
            ("OPEN", "ann", ""), ("LINK", "ann", ""), ("ASSIGN", "sue", ""), ("TAKE", "bob", ""), ("CLOSE", "bob", ""), ("CONFIRM", "carl", ""),
            ("READ_CASE", "bob", ""), ("READ_CASE", "ann", ""),
        ]  # fmt: skip


async def test_of_two_at_once_the_second_is_told_the_version_that_there_is_now() -> None:
    """Whether this edge knows it already, or another edge's record comes first in the log."""
    async with desk() as (edge, ann, bob, _):
        await ann.post("/surveillance/cases", **OPENING)
        assert (await ann.act("NOTE", 1))[0] == 200
        late = await ann.act("NOTE", 1, comment="typed meanwhile")
        assert (late[0], late[1]["refusal"], late[1]["version"], late[1]["code"]) == (409, "CHANGED", 2, 40910000)
        assert "ann was first" in late[1]["message"]
        edge.cases.before = [encode_record("case_action", action("NOTE", "ann", 2, case_id=CASE))]
        later = await ann.act("NOTE", 2)
        assert (later[0], later[1]["version"]) == (409, 3)
        again = await bob.post("/surveillance/cases", **OPENING)
        assert (again[0], again[1]["refusal"], again[1]["version"]) == (409, "CHANGED", 3)
        assert (await bob.act("REOPEN", 3))[1]["refusal"] == "WRONG_STATE"
        history = (await ann.get(AT))[1]["history"]
        assert [one["refusal"] for one in history[:-1]] == ["", "", "", "CHANGED"], "what lost the race is in the log too"


@pytest.mark.parametrize(
    ("body", "status", "facts"),
    [
        ({"action": "CLOSE", "version": 1, "to": "NO_ACTION", "reason": "HEDGING"}, 422, {"field": "comment", "code": BAD_PARAMETER}),
        ({"action": "CLOSE", "version": 1, "to": "NO_ACTION", "reason": "bored", "comment": "x"}, 422, {"field": "reason"}),
        ({"action": "NOTE", "comment": "x"}, 422, {"field": "version"}),
        ({"action": "NOTE", "version": "1", "comment": "x"}, 422, {"field": "version"}),
        ({"action": "NOTE", "version": True, "comment": "x"}, 422, {"field": "version"}),
        ({"action": "NOTE", "version": 1, "comment": 5}, 422, {"field": "comment"}),
        ({"action": "LINK", "version": 1, "alerts": "alert-2"}, 422, {"field": "alerts"}),
        ({"action": "LINK", "version": 1, "alerts": ["alert-99"]}, 422, {"field": "alerts"}),
        ({"action": "LINK", "version": 1, "alerts": ["é"]}, 422, {"field": "alerts"}),
        ({"action": "OPEN", "version": 1}, 422, {"field": "action", "refusal": "UNKNOWN_ACTION"}),
        ({"version": 1}, 422, {"field": "action"}),
        ({"action": "ASSIGN", "version": 1, "to": "bob", "comment": "x"}, 403, {"refusal": "ROLE_NEEDED", "message": "ASSIGN is for supervisor"}),
        ({"action": "RESUME", "version": 1, "comment": "x"}, 409, {"refusal": "WRONG_STATE", "version": 1}),
    ],
)  # fmt: skip
async def test_each_mistake_is_named_and_changes_nothing(body: dict[str, Any], status: int, facts: dict[str, Any]) -> None:
    """Nothing of it is in the log."""
    async with desk() as (edge, ann, _, _):
        await ann.post("/surveillance/cases", **OPENING)
        answer = await ann.post(f"{AT}/actions", **body)
        assert (answer[0], {name: answer[1].get(name) for name in facts}) == (status, facts), answer
        assert len(edge.cases.values) == 1


async def test_what_is_not_there_and_what_is_no_json() -> None:
    """404, 400, 422."""
    async with desk() as (edge, ann, _, sue):
        assert (await ann.get("/surveillance/cases/case-0"))[0] == 404
        assert (await ann.get("/surveillance/cases/%C3%A9"))[0] == 404
        assert (await ann.act("NOTE", 1))[0] == 404
        assert (await ann.post("/surveillance/cases", alerts=["alert-77"]))[1]["field"] == "alerts"
        assert (await ann.post("/surveillance/cases", alerts=[]))[1]["field"] == "alerts"
        assert (await sue.post("/surveillance/suppressions/suppression-1/actions", action="LIFT", version=1, comment="x"))[0] == 404
        assert (await edge.post("/surveillance/cases", headers=ann.headers, data="{"))[0] == 400
        assert (await edge.post("/surveillance/cases", headers=ann.headers, data="[]"))[0] == 422
        assert edge.cases.values == []


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "limit=x", "offset=-1", "state=lost", "severity=high", "symbol=NOPE", "account=x", "order=random", "overdue=1",
     "suppressed=yes", "pattern=%C3%A9"],
)  # fmt: skip
async def test_a_filter_that_is_wrong_is_refused(query: str) -> None:
    """Never taken for another."""
    async with desk() as (edge, ann, _, _):
        assert (await ann.get(f"/surveillance/queue?{query}"))[0] == 422
        assert edge.stores.filters == []


async def test_the_queue_asks_for_what_was_chosen() -> None:
    """`me` is whoever asks; open is what is not closed; suppressed alerts stay out unless they are asked for."""
    async with desk() as (edge, ann, _, sue):
        status, body = await ann.get("/surveillance/queue?owner=me&severity=HIGH&symbol=AAPL&account=7&order=due&limit=2&overdue=true")
        assert (status, body["total"], len(body["alerts"])) == (200, 3, 3)
        first = body["alerts"][0]
        assert (first["state"], first["case_id"], first["symbol"], first["accounts"], first["summary"]) == (
            "NEW",
            None,
            "AAPL",
            [7, 8],
            "said",
        )
        (asked,) = edge.stores.filters
        assert (asked.owner, asked.severity, asked.instrument, asked.account, asked.order, asked.limit) == ("ann", "HIGH", 1, 7, "due", 2)
        assert asked.overdue_at is not None
        assert "NEW" in asked.statuses
        assert "CLOSED_FORMAL" not in asked.statuses
        assert (await sue.post("/surveillance/suppressions", pattern="LAYERING", symbol="AAPL", hours=1, comment="tests"))[0] == 201
        await ann.get("/surveillance/queue")
        assert edge.stores.filters[-1].windows == (), "it is not approved yet"
        (one,) = (await ann.get("/surveillance/suppressions"))[1]
        carl = Worker(edge, "carl", Role.COMPLIANCE)
        at = f"/surveillance/suppressions/{one['case_id']}/actions"
        assert (await sue.post(at, action="APPROVE_SUPPRESSION", version=1, comment="x"))[1]["refusal"] == "SAME_PERSON"
        assert (await carl.post(at, action="APPROVE_SUPPRESSION", version=1, comment="x"))[1]["status"] == "ACTIVE"
        await ann.get("/surveillance/queue")
        (window,) = edge.stores.filters[-1].windows
        assert (window.pattern, window.instrument, window.account) == ("LAYERING", 1, 0)
        assert [one["alerts"] for one in (await ann.get("/surveillance/suppressions"))[1]] == [1]
        assert (await sue.post(at, action="LIFT", version=2, comment="over"))[1]["status"] == "LIFTED"


async def test_only_seniors_suppress_and_look_at_everybody() -> None:
    """403 from the route, before anything is read."""
    async with desk() as (edge, ann, _, sue):
        assert (await ann.get("/surveillance/overview"))[0] == 403
        assert (await ann.post("/surveillance/suppressions", pattern="LAYERING", symbol="AAPL", hours=1, comment="x"))[0] == 403
        await ann.post("/surveillance/cases", **OPENING)
        await ann.act("CLOSE", 1, to="INFORMAL", reason="HEDGING")
        seen = (await sue.get("/surveillance/overview"))[1]
        assert (seen["cases"], seen["open"], seen["status"]) == (1, 0, {"CLOSED_INFORMAL": 1})
        assert [(one["pattern"], one["rule_version"], one["hit_rate"]) for one in seen["rules"]] == [("LAYERING", "2", 1.0)]
        assert seen["alerts_by_day"] == [{"day": "2024-10-04", "pattern": "LAYERING", "rule_version": "2", "alerts": 3}]
        operator = Worker(edge, "olga", Role.OPERATOR)
        assert (await operator.get(AT))[0] == 403


async def test_every_read_of_evidence_is_recorded_before_it_is_shown() -> None:
    """And where it cannot be recorded nothing is shown; a list without evidence is no such read."""
    async with desk() as (edge, ann, _, _):
        assert (await ann.get("/surveillance/alerts/alert-2"))[0] == 200
        assert (await ann.get("/surveillance/queue"))[0] == 200
        assert (await ann.get("/surveillance/counts"))[1]["mine"] == 0
        assert (await ann.get("/surveillance/alerts"))[0] == 200
        assert edge.cases.records == [("READ_ALERT", "ann", ""), ("READ_ALERTS", "ann", "")]
        await ann.post("/surveillance/cases", **OPENING)
        edge.cases.away = True
        for path in ("/surveillance/alerts/alert-2", "/surveillance/alerts", AT, f"{AT}/export"):
            status, body = await ann.get(path)
            assert status == 503
            assert "recorded" in body["message"]
            assert "said" not in str(body)
        assert (await ann.act("NOTE", 1))[0] == 503
        assert (await ann.get("/surveillance/alerts/alert-99"))[0] == 404


async def test_an_export_carries_its_digest() -> None:
    """Of JSON also in the file; formulas of a spreadsheet are text."""
    async with desk() as (edge, ann, _, _):
        await ann.post("/surveillance/cases", **{**OPENING, "comment": '=HYPERLINK("http://evil.example")'})
        async with edge.client.get(f"{AT}/export?format=json", headers=ann.headers) as response:
            data, headers = await response.read(), response.headers
        assert headers["Digest"] == f"sha-256={hashlib.sha256(data).hexdigest()}"
        assert headers["Content-Disposition"] == f'attachment; filename="{CASE}-v1.json"'
        file = json.loads(data)
        digest = file.pop("sha256")
        assert data.endswith(f',"sha256":"{digest}"}}'.encode())
        assert hashlib.sha256(data.removesuffix(f',"sha256":"{digest}"}}'.encode()) + b"}").hexdigest() == digest
        assert [one["action"] for one in file["history"]] == ["OPEN"], "up to this export"
        taken = decode_record(edge.cases.values[-1])[1]
        assert (taken["action"], taken["facts"]) == ("EXPORT", {"format": "json", "sha256": digest})
        status, text, headers = await edge.get(f"{AT}/export?format=csv", headers=ann.headers)
        assert (status, headers["Digest"]) == (200, f"sha-256={hashlib.sha256(text.encode()).hexdigest()}")
        rows = list(csv.DictReader(io.StringIO(text)))
        assert [row["action"] for row in rows] == ["OPEN", "EXPORT"]
        assert rows[0]["comment"].startswith("'=HYPERLINK")
        assert (await ann.get(f"{AT}/export?format=exe"))[0] == 422


async def test_nothing_is_done_before_the_log_has_been_read() -> None:
    """An edge that has just started does not know what others did."""
    async with desk() as (edge, ann, _, _):
        edge.gateway.cases.caught_up = False
        assert (await ann.post("/surveillance/cases", **OPENING))[0] == 503
        assert (await ann.get(AT))[0] == 503

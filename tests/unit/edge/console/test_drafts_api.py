"""Reports to authorities over HTTP: their life by two people of compliance, exports with digest, and no trace of them for anybody else."""

import csv
import hashlib
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pypdf
import pytest
from support.served_edge import Served, served

from access.people import Role
from schemas.codec import decode_record
from surveillance.cases.desk import case_id_of
from surveillance.cases.report_fields import STOR

CASE = case_id_of("episode-1")
AT = "/surveillance/reports"
FULL = {one.name: "filled in" for one in STOR.fields if one.needed}


class Worker:
    """Somebody with a token."""

    def __init__(self, edge: Served, name: str, role: Role) -> None:
        self.edge, self.headers = edge, {"Authorization": f"Bearer {edge.stores.add_token(role, name=name)}"}

    async def get(self, path: str) -> tuple[int, Any]:
        """(status, body)."""
        return (await self.edge.get(path, headers=self.headers))[:2]

    async def post(self, path: str, **body: Any) -> tuple[int, Any]:
        """The same."""
        return (await self.edge.post(path, headers=self.headers, json={"comment": "because", **body}))[:2]

    async def export(self, path: str) -> tuple[bytes, Any]:
        """Bytes and headers."""
        async with self.edge.client.get(path, headers=self.headers) as response:
            assert response.status == 200
            return await response.read(), response.headers


@asynccontextmanager
async def desk() -> AsyncIterator[tuple[Served, Worker, Worker, Worker]]:
    """An edge with a case of ann's, and ann, carl and dora of compliance."""
    async with served() as edge:
        edge.record_events()
        ann, carl, dora = Worker(edge, "ann", Role.ANALYST), Worker(edge, "carl", Role.COMPLIANCE), Worker(edge, "dora", Role.COMPLIANCE)
        await ann.post("/surveillance/cases", alerts=["alert-1"])
        yield edge, ann, carl, dora


async def test_a_report_is_made_filled_in_released_by_another_and_exported_with_its_digest() -> None:
    """All of it is in the log; PDF and CSV have what the JSON has."""
    async with desk() as (edge, _, carl, dora):
        status, file = await carl.post(AT, kind="STOR", case=CASE)
        path = f"{AT}/{file['report']['case_id']}"
        assert (status, file["report"]["status"], file["report"]["not_released"]) == (201, "DRAFT", "Draft, not released")
        known = {one["name"] for one in file["fields"] if one["known"]}
        assert known == {"acting_capacity", "instrument", "period", "nature", "reasons", "person_accounts"}
        assert "submitter_name" in file["missing"]
        assert (await dora.post(f"{path}/actions", action="RELEASE_REPORT", version=1))[1]["field"] == file["missing"][0]
        file = (await carl.post(f"{path}/actions", action="EDIT_REPORT", version=1, fields=FULL | {"contact": "=cmd()"}))[1]
        assert (file["missing"], file["allowed"]) == ([], ["EDIT_REPORT", "WITHDRAW_REPORT"])
        assert (await carl.post(f"{path}/actions", action="RELEASE_REPORT", version=2))[1]["refusal"] == "SAME_PERSON"
        file = (await dora.post(f"{path}/actions", action="RELEASE_REPORT", version=2))[1]
        assert (file["report"]["status"], file["report"]["released_by"], file["report"]["not_released"]) == ("RELEASED", "dora", "")
        data, headers = await carl.export(f"{path}/export")
        content = json.loads(data)
        assert headers["Digest"] == f"sha-256={hashlib.sha256(data).hexdigest()}"
        assert content["content_sha256"] == file["report"]["digest"]
        rows = list(csv.DictReader(io.StringIO((await carl.export(f"{path}/export?format=csv"))[0].decode())))
        assert {row["field"]: row["text"] for row in rows}["contact"] == "'=cmd()"
        assert [row["field"] for row in rows] == [one.name for one in STOR.fields]
        pdf, headers = await carl.export(f"{path}/export?format=pdf")
        assert (headers["Content-Type"], pdf[:5]) == ("application/pdf", b"%PDF-")
        text = " ".join("".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages).split())
        assert file["report"]["digest"] in text.replace(" ", "")
        assert "Date of birth" in text
        assert "(not known)" in text
        file = (await dora.post(f"{path}/actions", action="FILE_REPORT", version=3, reference="NCA-77"))[1]
        assert (file["report"]["status"], file["report"]["reference"]) == ("FILED", "NCA-77")
        assert (await dora.get(f"{AT}?case={CASE}"))[1][0]["status"] == "FILED"
        assert [(one["action"], one["refusal"]) for one in (await carl.get(path))[1]["history"]] == [
            ("DRAFT_REPORT", ""), ("EDIT_REPORT", ""), ("RELEASE_REPORT", ""), *[("EXPORT_REPORT", "")] * 3, ("FILE_REPORT", ""), ("READ_REPORT", ""),
        ]  # fmt: skip
        exports = [decode_record(value)[1] for value in edge.cases.values if decode_record(value)[1]["action"] == "EXPORT_REPORT"]
        assert {one["facts"]["sha256"] for one in exports} == {content["content_sha256"]}


@pytest.mark.parametrize("role", [Role.ANALYST, Role.SUPERVISOR, Role.OPERATOR])
async def test_nobody_else_finds_a_trace_of_a_report(role: Role) -> None:
    """Not in any answer about the case, compared byte by byte; the report's own addresses answer as they do for one that there is not."""
    async with desk() as (edge, _, carl, _dora):
        other = Worker(edge, "mole", role)
        paths = ["/surveillance/queue", "/surveillance/counts", f"/surveillance/cases/{CASE}", f"/surveillance/cases/{CASE}/export", "/surveillance/overview",
                 "/surveillance/alerts/alert-1/related", "/surveillance/suppressions"]  # fmt: skip

        async def seen() -> list[str]:
            answers = [await other.get(path) for path in paths]
            kept = [
                (
                    status,
                    {name: value for name, value in body.items() if name not in ("as_of", "history", "sha256")}
                    if isinstance(body, dict)
                    else body,
                )
                for status, body in answers
            ]
            histories = [
                [one for one in body["history"] if one["actor"] != "mole"]
                for _, body in answers
                if isinstance(body, dict) and "history" in body
            ]
            return [json.dumps(kept), json.dumps(histories)]

        before = await seen()
        report = (await carl.post(AT, kind="SAR", case=CASE))[1]["report"]["case_id"]
        await carl.get(f"{AT}/{report}")
        assert await seen() == before
        for one in (report, "report-" + "0" * 32):
            answers = [
                await other.get(f"{AT}/{one}"),
                await other.get(f"{AT}/{one}/export?format=pdf"),
                await other.post(f"{AT}/{one}/actions", action="EDIT_REPORT", version=1),
            ]
            assert {(status, body["message"]) for status, body in answers} == {(403, "this is for compliance only")}
        assert (await other.get(AT))[0] == (await other.post(AT, kind="STOR", case=CASE))[0] == 403
        assert (await other.get(f"/surveillance/cases/{report}"))[0] in (403, 404)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"kind": "MEMO", "case": CASE}, 422, "kind"),
        ({"kind": "STOR", "case": "case-99"}, 422, "case"),
        ({"kind": "STOR", "case": CASE, "comment": " "}, 422, "comment"),
        ({"kind": 5, "case": CASE}, 422, "kind"),
    ],
)
async def test_a_report_that_cannot_be_made_says_which_field(body: dict[str, Any], status: int, field: str) -> None:
    """And there is none."""
    async with desk() as (edge, _, carl, _dora):
        found, answer = await carl.post(AT, **body)
        assert (found, answer["field"]) == (status, field)
        assert edge.gateway.cases.desk.reports == {}


async def test_nothing_is_shown_or_exported_where_it_cannot_be_recorded() -> None:
    """The log is away."""
    async with desk() as (edge, _, carl, _dora):
        report = (await carl.post(AT, kind="STOR", case=CASE))[1]["report"]["case_id"]
        edge.cases.away = True
        for path in (AT, f"{AT}/{report}", f"{AT}/{report}/export?format=csv"):
            status, body = await carl.get(path)
            assert (status, "recorded" in body["message"]) == (503, True)

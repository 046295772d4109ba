"""Regulatory reports over HTTP: for compliance staff only, with exact errors; who takes a file is recorded before it is served."""

import hashlib
import json
import shutil
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from support.records.filed_reports import file_day
from support.records.reported_day import DAY
from support.served_edge import served

from access.events import Act
from access.people import Role
from reports.catalogue import CAT, KINDS
from reports.filed.notes import Notes
from reports.filed.stored import require
from reports.filed.submissions import submit

FILE = f"OUTCRY_{DAY.compact}_OrderEvents_000001"


@asynccontextmanager
async def exchange(folder, *, with_reports=True):
    """An edge whose folder of reports has a day; carl is of compliance."""
    async with served() as edge:
        settings = edge.gateway.settings.model_copy(update={"reports_dir": folder / "reports"})
        edge.gateway.settings = settings
        if with_reports:
            file_day(settings)
        yield edge, settings, edge.stores.bearer(Role.COMPLIANCE, name="carl")


async def test_only_compliance_staff_sees_reports(tmp_path):
    """Nobody without a name, and no other role."""
    async with exchange(tmp_path) as (edge, _, _):
        for path in ("/reports", "/reports/days", f"/reports/days/{DAY}", f"/reports/days/{DAY}/cat/{FILE}.meta"):
            assert (await edge.get(path, headers={"Accept": "application/json"}))[0] in (401, 303), path
            for role in (Role.OPERATOR, Role.ANALYST, Role.SUPERVISOR):
                assert (await edge.get(path, headers=edge.stores.bearer(role, name=f"a-{role}")))[0] == 403, (path, role)


async def test_days_and_a_day_say_how_reports_stand(tmp_path):
    """Made, checked, handed over, answered."""
    async with exchange(tmp_path) as (edge, settings, carl):
        outbox = tmp_path / "outbox"
        outbox.mkdir()
        submit(require(settings, DAY, CAT), outbox, datetime(2027, 1, 16, 12, tzinfo=UTC))
        fault = {"recordNumber": 3, "errorROEID": 17, "code": "2098"}
        answer = {"fileName": f"{FILE}.json.gz", "status": "Rejected", "errors": [fault]}
        (outbox / f"{FILE}.ingestion").write_text(json.dumps(answer))
        status, found, _ = await edge.get("/reports/days", headers=carl)
        assert (status, [one["day"] for one in found["days"]], found["next"]) == (200, [str(DAY)], "")
        states = {one["report"]: one for one in found["days"][0]["reports"]}
        assert set(states) == set(KINDS)
        cat = states["cat"]
        assert (cat["made"], cat["findings"], cat["submitted"], cat["acknowledged"], cat["to_correct"]) == (True, 0, 1, 0, 1)
        assert cat["due"] == "2027-01-21T08:00:00-05:00", "three trading days later: Monday is a holiday"
        assert (states["summary"]["due"], states["summary"]["late"]) == ("", False)
        status, day, _ = await edge.get(f"/reports/days/{DAY}", headers=carl)
        (file,) = next(one for one in day["reports"] if one["report"] == "cat")["stored_files"]
        assert (file["name"], file["companion"], len(file["sha256"])) == (f"{FILE}.json.gz", f"{FILE}.meta", 64)
        (sent,) = file["submissions"]
        assert (sent["target"], sent["at"]) == (str(outbox), "2027-01-16T12:00:00+00:00")
        assert sent["answers"] == [
            {"stage": "ingestion", "status": "Rejected", "codes": [], "rejected": 1, "records": [{"line": 3, "code": "2098", "roe_id": 17}]}
        ]


async def test_a_file_is_served_as_it_was_made_and_who_takes_it_is_recorded(tmp_path):
    """And not served where that is not possible."""
    async with exchange(tmp_path) as (edge, settings, carl):
        events = edge.record_events()
        for name in (f"{FILE}.json.gz", f"{FILE}.meta"):
            path = f"/reports/days/{DAY}/cat/{name}"
            async with edge.client.get(path, headers=carl) as answer:
                assert (answer.status, answer.headers["Content-Disposition"]) == (200, f'attachment; filename="{name}"')
                served_digest = hashlib.sha256(await answer.read()).hexdigest()
            stored = settings.reports_folder / str(DAY) / "cat" / name
            assert served_digest == hashlib.sha256(stored.read_bytes()).hexdigest()
            assert (events[-1].act, events[-1].what) == (Act.ACTED, f"GET {path}")
        edge.record_events(away=True)
        status, body, _ = await edge.get(f"/reports/days/{DAY}/cat/{FILE}.meta", headers=carl)
        assert (status, body["message"]) == (503, "the file was not served: it could not be recorded who takes it")


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/reports/days?before=yesterday", 422, "'yesterday' is no day: use YYYY-MM-DD"),
        ("/reports/days?limit=0", 422, "limit must be from 1 to 366"),
        ("/reports/days?limit=many", 422, "limit must be a whole number"),
        ("/reports/days/2027-13-01", 422, "'2027-13-01' is no day"),
        ("/reports/days/2027-01-13", 404, "there are no reports of 2027-01-13"),
        ("/reports/days/2027-01-16", 404, "2027-01-16 has nothing to report: the market was closed"),
        (f"/reports/days/{DAY}/dog/x", 404, "'dog' is no report: there are cat, quality"),
        (f"/reports/days/{DAY}/cat/report.json", 404, f"the cat report of {DAY} has no file 'report.json'"),
        (f"/reports/days/{DAY}/cat/..%2Fcat%2Freport.json", 404, "has no file '../cat/report.json'"),
        ("/reports/days/2027-01-13/cat/x", 404, "there is no cat report of 2027-01-13"),
    ],
)
async def test_what_is_not_there_is_said_exactly(tmp_path, path, status, text):
    """Days, reports, files; and questions that are none."""
    async with exchange(tmp_path) as (edge, settings, carl):
        Notes({"2027-01-16"}).keep(settings)
        found, body, _ = await edge.get(path, headers=carl)
        assert found == status, body
        assert text in body["message"]


async def test_what_cannot_be_read_is_said_and_hides_nothing_else(tmp_path):
    """A damaged report is one row; damaged notes, or no folder at all, are the answer."""
    async with exchange(tmp_path) as (edge, settings, carl):
        Notes(set(), {"2027-01-14": "the disk is full"}).keep(settings)
        (settings.reports_folder / str(DAY) / "halts" / "report.json").write_text("{")
        _, found, _ = await edge.get("/reports/days?limit=1", headers=carl)
        halts = next(one for one in found["days"][0]["reports"] if one["report"] == "halts")
        assert "report.json cannot be read" in halts["trouble"]
        assert found["next"] == str(DAY)
        _, found, _ = await edge.get(f"/reports/days?before={DAY}", headers=carl)
        assert [(one["day"], one["not_made"]) for one in found["days"]] == [("2027-01-14", "the disk is full")]
        assert (await edge.get(f"/reports/days/{DAY}", headers=carl))[0] == 200
        (settings.reports_folder / "making.json").write_text("[]")
        status, body, _ = await edge.get("/reports/days", headers=carl)
        assert (status, "making.json cannot be read" in body["message"]) == (503, True)
        shutil.rmtree(settings.reports_folder)
        status, body, _ = await edge.get("/reports/days", headers=carl)
        assert (status, "OUTCRY_REPORTS_DIR names the one that make-reports fills" in body["message"]) == (404, True)

"""Files of a case to be taken away: JSON, CSV and PDF of one content, whose SHA-256 is in the JSON, on the PDF, and in the log with who took it.

The content is the case with its alerts and the history up to this export, as JSON without spaces. The header `Digest` is of the bytes that are sent.
"""

import csv
import hashlib
import io
from typing import Any, Final

import msgspec
from aiohttp import web

from edge.console.cases_api import ANALYSTS, case_of, file_of, note_read
from edge.console.pdf import PdfMaker, part
from edge.console.sign_in import allowed
from edge.http.errors import bad_parameter
from surveillance.cases.words import ReadAction

FORMATS: Final = {"json": "application/json", "csv": "text/csv", "pdf": "application/pdf"}
CSV_COLUMNS: Final = ("offset", "at", "action", "actor", "roles", "version", "to", "reason", "alerts", "comment", "refusal")
_FACTS: Final = (
    "case_id", "version", "status", "owner", "severity", "pattern", "rule_version", "symbol", "alerted_at", "opened_at", "updated_at", "due_at",
    "overdue", "outcome", "reason", "closed_at", "reopened",
)  # fmt: skip
_ALERT_FACTS: Final = ("pattern", "symbol", "accounts", "severity", "score", "occurrences", "detected_at", "revised_at")
PDFS: Final = PdfMaker()


@allowed(*ANALYSTS)
async def get_export(request: web.Request) -> web.Response:
    """The file of a case as JSON, CSV or PDF, with its SHA-256. Who takes it, and the digest of the content, are in the log first."""
    case, form = case_of(request), format_of(request)
    file = await file_of(request, case)
    del file["allowed"]
    digest = content_digest(file)
    if form == "pdf":
        data = await PDFS.make(case_document(file, digest))
    else:
        data = sealed(file) if form == "json" else as_csv(file["history"])
    await note_read(request, ReadAction.EXPORT, case.case_id, case.alerts, format=form, sha256=digest)
    return as_file(data, form, f"{case.case_id}-v{case.version}")


def format_of(request: web.Request) -> str:
    """Raises HttpError 422."""
    form = request.query.get("format", "json")
    if form not in FORMATS:
        raise bad_parameter(f"format must be one of {', '.join(FORMATS)}")
    return form


def as_file(data: bytes, form: str, name: str) -> web.Response:
    """An answer that browsers keep as a file; `Digest` is of its bytes."""
    headers = {
        "Content-Disposition": f'attachment; filename="{name}.{form}"', "Digest": f"sha-256={hashlib.sha256(data).hexdigest()}",
    }  # fmt: skip
    charset = None if form == "pdf" else "utf-8"
    return web.Response(body=data, content_type=FORMATS[form], charset=charset, headers=headers)


def content_digest(file: dict[str, Any]) -> str:
    """SHA-256 of the file as JSON."""
    return hashlib.sha256(msgspec.json.encode(file)).hexdigest()


def sealed(file: dict[str, Any]) -> bytes:
    """The file with the SHA-256 of its bytes without that: "sha256" stands last, and what was digested is the file without this member."""
    return msgspec.json.encode({**file, "sha256": content_digest(file)})


def as_csv(history: list[dict[str, Any]]) -> bytes:
    """A row for each record about the case. What a spreadsheet would take for a formula begins with an apostrophe."""
    return csv_of(CSV_COLUMNS, ([one[name] for name in CSV_COLUMNS] for one in history))


def csv_of(head: Any, rows: Any) -> bytes:
    """Rows of values, each cell as text that no spreadsheet runs."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(head)
    for row in rows:
        cells = [" ".join(value) if isinstance(value, list) else str(value) for value in row]
        writer.writerow([f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell for cell in cells])
    return out.getvalue().encode()


def case_document(file: dict[str, Any], digest: str) -> dict[str, Any]:
    """For edge.console.pdf: facts, each alert with its story, everything that was done."""
    case = file["case"]
    facts = [(name.replace("_", " "), "" if case[name] is None else case[name]) for name in _FACTS]
    return {
        "title": f"Case {case['case_id']}", "subtitle": f"Version {case['version']} of the case, {case['status'].replace('_', ' ').lower()}", "banner": "", "digest": digest,
        "parts": [
            part("The case", facts=[*facts, ("worked on by", ", ".join(case["workers"])), ("alerts", ", ".join(case["alerts"]))]),
            *(part(f"Alert {one['alert_id']}", facts=[(name.replace("_", " "), _text(one[name])) for name in _ALERT_FACTS], text=one["summary"]) for one in file["alerts"]),
            part("History", head=("when (UTC)", "who", "what", "to", "reason", "words", "refused"), rows=[_history_row(one) for one in file["history"]]),
        ],
    }  # fmt: skip


def _history_row(one: dict[str, Any]) -> list[str]:
    return [
        one["at"][:19].replace("T", " "),
        one["actor"],
        *(str(one[name]).replace("_", " ") for name in ("action", "to", "reason")),
        one["comment"],
        one["refusal"],
    ]


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)


ROUTES: Final = (web.get("/surveillance/cases/{case_id}/export", get_export),)

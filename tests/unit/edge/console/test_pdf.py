"""PDF of a case: tagged, its text can be selected, no text of anybody is markup, the same bytes for the same content; and what fails says so."""

import io
import sys
from typing import Any

import pypdf
import pytest
from support.served_edge import served

from access.people import Role
from edge.console import pdf
from edge.console.pdf import PdfMaker, part
from edge.console.pdf_process import pdf_of, shown
from edge.http.errors import HttpError
from schemas.codec import decode_record
from surveillance.cases.desk import case_id_of

EVIL = '#read("/etc/passwd") *bold* $x$ <img src=x> \\ é Ж ▲'


def document(**more: Any) -> dict[str, Any]:
    """With one part of each kind."""
    return {
        "title": "Case case-1", "subtitle": "Version 3", "banner": "", "digest": "ab" * 32,
        "parts": [part("Facts", facts=[("owner", EVIL)], items=[EVIL], text=EVIL, head=("a", "b"), rows=[(EVIL, 1)])], **more,
    }  # fmt: skip


def text_of(data: bytes) -> str:
    """All of it, without line breaks."""
    return " ".join(" ".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(data)).pages).split())


def test_a_document_is_tagged_its_text_is_text_and_its_bytes_are_the_same_again() -> None:
    """PDF/UA-1 by its own word, with structure, language and title."""
    data = pdf_of(document())
    assert data == pdf_of(document())
    root: Any = pypdf.PdfReader(io.BytesIO(data)).trailer["/Root"]
    assert (root["/MarkInfo"]["/Marked"], "/StructTreeRoot" in root, root["/Lang"]) == (True, True, "en")
    assert b"pdfuaid" in data
    assert text_of(data).count('#read("/etc/passwd") *bold* $x$') == 4
    assert "ab" * 32 in text_of(data)


def test_what_the_fonts_have_not_is_named_by_its_number() -> None:
    """Nothing is lost unseen."""
    assert shown({"a": ["漢 \u202e x"]}) == {"a": ["[U+6F22] [U+202E] x"]}
    assert "[U+6F22]" in text_of(pdf_of(document(subtitle="漢")))


def test_of_a_long_table_the_rest_is_counted() -> None:
    """So a document has a bound."""
    made = part("History", head=("a",), rows=[(number,) for number in range(pdf.ROWS_MAX + 5)])
    assert len(made["table"]["rows"]) == pdf.ROWS_MAX
    assert made["text"].endswith("5 more rows are not shown here; the export as JSON has all.")


@pytest.mark.parametrize("then", ["raise SystemExit(3)", "print('no PDF')"])
async def test_a_process_that_makes_none_is_told(then: str) -> None:
    """As 503 with what to do."""
    with pytest.raises(HttpError, match="take JSON or CSV") as error:
        await PdfMaker((sys.executable, "-c", f"import sys; sys.stdin.read(); {then}")).make(document())
    assert error.value.status == 503


async def test_one_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time."""
    monkeypatch.setattr(pdf, "TIMEOUT_S", 0.2)
    with pytest.raises(HttpError, match="was not made within"):
        await PdfMaker((sys.executable, "-c", "import signal; signal.pause()")).make(document())


async def test_the_pdf_of_a_case_has_the_digest_that_is_in_the_log() -> None:
    """And the case's facts, alerts and history."""
    async with served() as edge:
        edge.record_events()
        ann = edge.stores.bearer(Role.ANALYST)
        await edge.post("/surveillance/cases", headers=ann, json={"alerts": ["alert-1"], "comment": EVIL})
        path = f"/surveillance/cases/{case_id_of('episode-1')}/export?format=pdf"
        async with edge.client.get(path, headers=ann) as response:
            data = await response.read()
            assert (response.status, response.content_type) == (200, "application/pdf")
        taken = decode_record(edge.cases.values[-1])[1]
        assert (taken["action"], taken["facts"]["format"]) == ("EXPORT", "pdf")
        text = text_of(data)
        assert taken["facts"]["sha256"] in text
        assert "Alert alert-1" in text
        assert '#read("/etc/passwd")' in text

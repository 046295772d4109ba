"""Documents as PDF: a process for each (edge.console.pdf_process), nice, with a bound of memory and time; a few at once."""

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from edge.http.errors import HttpError

TIMEOUT_S: Final = 60.0
ROWS_MAX: Final = 300
"""Of one table: more are counted and in the JSON. A table of so many takes Typst ~1 s."""
TEXT_MAX: Final = 200_000
AT_ONCE: Final = 2
WAITING_MAX: Final = 8
PROGRAM: Final = (sys.executable, "-m", "edge.console.pdf_process")


def part(
    title: str,
    *,
    facts: Sequence[tuple[str, Any]] = (),
    items: Sequence[str] = (),
    text: str = "",
    head: Sequence[str] = (),
    rows: Sequence[Sequence[Any]] = (),
) -> dict[str, Any]:
    """A part of a document, bounded; what is left out is said."""
    left_out = f"\n{len(rows) - ROWS_MAX:,} more rows are not shown here; the export as JSON has all." if len(rows) > ROWS_MAX else ""
    return {
        "title": title, "facts": [[name, str(value)] for name, value in facts], "items": list(items), "text": text[:TEXT_MAX] + left_out,
        "table": {"head": list(head), "rows": [[str(cell) for cell in row] for row in rows[:ROWS_MAX]]},
    }  # fmt: skip


class PdfMaker:
    """Makes them one after the other, AT_ONCE at a time."""

    def __init__(self, program: Sequence[str] = PROGRAM) -> None:
        self._program, self._places, self._waiting = program, asyncio.Semaphore(AT_ONCE), 0

    async def make(self, document: dict[str, Any]) -> bytes:
        """The document as PDF. Raises HttpError 503 where too many are wanted, or it could not be made."""
        if self._waiting >= WAITING_MAX:
            raise HttpError(503, "too many documents are being made: try again in a moment", headers={"Retry-After": "2"})
        self._waiting += 1
        try:
            async with self._places, asyncio.timeout(TIMEOUT_S):
                return await self._run(json.dumps(document).encode())
        except TimeoutError:
            raise HttpError(503, f"the PDF was not made within {TIMEOUT_S:g} s: take JSON or CSV") from None
        finally:
            self._waiting -= 1

    async def _run(self, document: bytes) -> bytes:
        child = await asyncio.create_subprocess_exec(*self._program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        try:
            made, _ = await child.communicate(document)
        finally:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
        if child.returncode or not made.startswith(b"%PDF-"):
            raise HttpError(503, f"the PDF could not be made (its process ended with {child.returncode}): take JSON or CSV")
        return made

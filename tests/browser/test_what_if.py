"""The page of what-ifs in a real Chromium: a run by keyboard, what is refused, a run that is canceled, what axe-core finds in both sizes."""

import sys
from typing import Any

import pytest
from playwright.async_api import Page, expect
from support.analyst_desk import Desk, desk
from support.browser import NARROW, NEEDS_CHROMIUM, WIDE, findings, fits

from edge.gateway.analysts.what_ifs import WhatIfs

pytestmark = NEEDS_CHROMIUM

ALERT = {
    "pattern": "LAYERING", "symbol": "AAPL", "accounts": [7, 8], "severity": "HIGH", "score": 0.9, "occurrences": 1, "counterfactual": "",
    "steps": ["Account 7 entered 3 sell orders for 1,500 AAPL at 3 prices from 180.10 to 180.12 within 0.2 s."], "evidence_total": 4,
    "episode_key": "episode-1", "window_start": 1, "window_end": 2, "detected_at": 1_800_000_000_000_000_000,
}  # fmt: skip
RESULT = {
    "both": 1,
    "only_now": 0,
    "only_then": 2,
    "rows": 51_000,
    "records": 2_000,
    "complete": False,
    "alerts": {"both": [ALERT], "only_now": [], "only_then": [ALERT] * 2},
}
ANSWERS = (
    f"print(json.dumps({{'done': 1, 'records': 2}}), flush=True); print(json.dumps({{'result': {RESULT!r}}}), flush=True); sys.stdin.read()"
)
WAITS = "print(json.dumps({'done': 1000, 'records': 2000}), flush=True); sys.stdin.read()"


async def opened(at: Desk, then: str, **options: Any) -> Page:
    """The page, with runs that do this."""
    at.edge.gateway.what_ifs = WhatIfs(at.edge.gateway.settings, (sys.executable, "-c", f"import json, sys; sys.stdin.readline(); {then}"))
    page = await at.sign_in("ann", refused=("422",), **options)
    await page.goto(f"{at.edge.origin}/surveillance/what-if?pattern=LAYERING")
    await expect(page.locator("#parameters input")).to_have_count(9)
    return page


async def test_a_run_by_keyboard_and_what_is_refused_in_the_words_of_the_table() -> None:
    """The field that is wrong has the focus; then lost, gained and kept alerts."""
    async with desk() as at:
        ann = await opened(at, ANSWERS)
        await ann.fill("#bound-canceled_percent_min", "101")
        await ann.keyboard.press("Enter")
        await expect(ann.locator("#problem")).to_contain_text("must be a whole number from 0 to 100, not 101")
        await expect(ann.locator("#problem")).to_contain_text("Share of the layers' open lots")
        await expect(ann.locator("#bound-canceled_percent_min")).to_be_focused()
        await ann.fill("#bound-canceled_percent_min", "90")
        await ann.fill("#bound-orders_min", "3")
        await ann.keyboard.press("Enter")
        await expect(ann.locator("#only_then tr")).to_have_count(2)
        await expect(ann.locator("#only_now")).to_contain_text("None")
        await expect(ann.locator("#both")).to_contain_text("Account 7 entered 3 sell orders")
        await expect(ann.locator("#result-note")).to_contain_text("layering with orders min 3")
        await expect(ann.locator("#runs tr")).to_have_count(1)
        asked = [one[0] for one in at.edge.cases.records if one[0] == "WHAT_IF"]
        assert len(asked) == 2, "the question, and one reading of the answer"
        await at.edge.gateway.what_ifs.close()
        assert at.trouble == []


@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "light"), (NARROW, "dark")])
async def test_axe_finds_nothing_while_it_runs_and_when_it_is_over(viewport: Any, scheme: Any) -> None:
    """A run is canceled; a problem is shown; no page is wider than its screen."""
    async with desk() as at:
        ann = await opened(at, WAITS, viewport=viewport, color_scheme=scheme)
        await ann.click("#run")
        await expect(ann.locator("#problem")).to_contain_text("name one of")
        await ann.fill("#bound-orders_min", "3")
        await ann.click("#run")
        await expect(ann.locator("#progress-text")).to_have_text("1,000 of 2,000 records")
        assert await findings(ann) == []
        await ann.click("#cancel")
        await expect(ann.locator("#result-note")).to_have_text("The run was canceled.")
        at.edge.gateway.what_ifs._program = (sys.executable, "-c", f"import json, sys; sys.stdin.readline(); {ANSWERS}")
        await ann.click("#run")
        await expect(ann.locator("#only_then tr")).to_have_count(2)
        assert await findings(ann) == []
        assert await fits(ann)
        await at.edge.gateway.what_ifs.close()
        assert at.trouble == []

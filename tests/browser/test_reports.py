"""The page of regulatory reports in a real Chromium: days, a day with digests and answers, a download; by keyboard, and what axe-core finds."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect
from support.browser import NARROW, NEEDS_CHROMIUM, WIDE, chromium, findings, fits, open_page
from support.people_store import PASSWORD
from support.records.filed_reports import file_day
from support.records.reported_day import DAY
from support.served_edge import Served, served

from access.people import Role
from reports.catalogue import CAT
from reports.filed.notes import Notes
from reports.filed.stored import require
from reports.filed.submissions import submit

FILE = f"OUTCRY_{DAY.compact}_OrderEvents_000001"
UHD = {"width": 3840, "height": 2160}
pytestmark = NEEDS_CHROMIUM


@asynccontextmanager
async def office(folder: Path) -> AsyncIterator[tuple[Served, Browser, list[str]]]:
    """A day that was handed over and partly rejected, one that could not be made, and a browser."""
    async with served() as edge, chromium() as browser:
        edge.record_events()
        settings = edge.gateway.settings = edge.gateway.settings.model_copy(update={"reports_dir": folder / "reports"})
        file_day(settings)
        Notes(set(), {"2027-01-14": "the disk does not take the reports: No space left on device"}).keep(settings)
        outbox = folder / "outbox"
        outbox.mkdir()
        submit(require(settings, DAY, CAT), outbox, datetime(2027, 1, 16, 12, tzinfo=UTC))
        errors = [{"recordNumber": 3, "errorROEID": 17, "code": "2098"}]
        (outbox / f"{FILE}.ingestion").write_text(json.dumps({"fileName": f"{FILE}.json.gz", "status": "Rejected", "errors": errors}))
        for name, role in (("carl", Role.COMPLIANCE), ("ann", Role.ANALYST)):
            edge.stores.add(name, role)
        yield edge, browser, []


async def sign_in(edge: Served, browser: Browser, trouble: list[str], name: str, address: str = "/reports", **options: Any) -> Page:
    """On the page of reports."""
    page = await open_page(browser, edge.origin, trouble, refusals=("403",), **options)
    await page.goto(f"{edge.origin}{address}")
    await page.fill("input[name=name]", name)
    await page.fill("input[name=password]", PASSWORD)
    await page.keyboard.press("Enter")
    return page


def bytes_of(path: Path) -> bytes:
    """A whole file."""
    return path.read_bytes()


async def test_a_day_with_its_digests_answers_and_files(tmp_path: Path) -> None:
    """The newest day is open; the other one is reached by keyboard, and says why it was not made."""
    async with office(tmp_path) as (edge, browser, trouble):
        page = await sign_in(edge, browser, trouble, "carl")
        await expect(page.locator("#days tr")).to_have_count(2)
        await expect(page.locator("#days tr").first).to_contain_text("to correct")
        await expect(page.locator("#reports tr")).to_have_count(7)
        cat = page.get_by_label("Report cat")
        await expect(cat).to_contain_text("line 3: 2098")
        digest = require(edge.gateway.settings, DAY, CAT).files[0].sha256
        await expect(cat).to_contain_text(digest)
        async with page.expect_download() as started:
            await cat.get_by_role("link", name=f"{FILE}.meta").click()
        download = await started.value
        made = edge.gateway.settings.reports_folder / str(DAY) / "cat" / f"{FILE}.meta"
        assert bytes_of(Path(await download.path())) == bytes_of(made)
        await page.get_by_role("button", name="2027-01-14").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#not-made")).to_contain_text("No space left on device")
        await expect(page.locator("#day-title")).to_be_focused()
        assert trouble == []


async def test_an_analyst_is_told_that_it_is_not_for_them(tmp_path: Path) -> None:
    """The page itself is refused, and their other pages do not lead there; those of compliance staff do."""
    async with office(tmp_path) as (edge, browser, trouble):
        page = await sign_in(edge, browser, trouble, "ann")
        await expect(page.locator("body")).to_contain_text("this is for compliance only")
        for name, is_led in (("ann", False), ("carl", True)):
            page = await sign_in(edge, browser, trouble, name, "/surveillance")
            await expect(page.locator("#person")).to_contain_text(name)
            for address in ("/reports", "/surveillance/team"):
                await expect(page.locator(f"nav a[href='{address}']")).to_be_visible(visible=is_led)


@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "light"), (NARROW, "dark"), (UHD, "dark")])
async def test_axe_finds_nothing_from_a_telephone_to_4k(tmp_path: Path, viewport: Any, scheme: Any) -> None:
    """A day with everything, then one that was not made; no page is wider than its screen."""
    async with office(tmp_path) as (edge, browser, trouble):
        page = await sign_in(edge, browser, trouble, "carl", viewport=viewport, color_scheme=scheme)
        await expect(page.get_by_label("Report cat")).to_contain_text("line 3: 2098")
        assert await findings(page) == []
        assert await fits(page)
        await page.get_by_role("button", name="2027-01-14").click()
        await expect(page.locator("#not-made")).to_be_visible()
        assert await findings(page) == []
        assert await fits(page)
        assert trouble == []

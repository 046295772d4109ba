"""The page of search in a real Chromium: the form by keyboard, pages, an export, what is wrong; from a telephone to a desk, and what axe-core finds."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect
from support.browser import NARROW, NEEDS_CHROMIUM, WIDE, chromium, findings, fits, open_page
from support.people_store import PASSWORD
from support.records.trail_in_memory import TrailInMemory, event
from support.served_edge import Served, served

from access.people import Role

EVIL = "<img src=x onerror='document.title=1'>"
pytestmark = NEEDS_CHROMIUM


@asynccontextmanager
async def desk() -> AsyncIterator[tuple[Served, Browser]]:
    """Sixty events of an account, one of another, an analyst, a browser."""
    async with served() as edge, chromium() as browser:
        edge.record_events()
        trail = TrailInMemory([*(event(seq, 7, cl_ord_id=EVIL if seq == 60 else f"a-{seq}") for seq in range(1, 61)), event(99, 8)])
        trail.stand_behind(edge.gateway)
        edge.stores.add("ann", Role.ANALYST)
        yield edge, browser


async def sign_in(edge: Served, browser: Browser, trouble: list[str], **options: Any) -> Page:
    """On the page of search, by the way through the sign-in."""
    page = await open_page(browser, edge.origin, trouble, refusals=("422", "503"), **options)
    await page.goto(f"{edge.origin}/surveillance/find")
    await page.fill("input[name=name]", "ann")
    await page.fill("input[name=password]", PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.locator("#person")).to_contain_text("ann")
    return page


def lines_of(path: Path) -> list[str]:
    """Of a whole file."""
    return path.read_text().splitlines()


async def test_an_analyst_searches_by_keyboard_pages_and_takes_a_file() -> None:
    """What is shown is text; every page is recorded; a mistake is said and keeps what was found."""
    async with desk() as (edge, browser):
        trouble: list[str] = []
        page = await sign_in(edge, browser, trouble)
        await page.locator("#limit").select_option("50")
        await page.locator("#account").focus()
        await page.keyboard.type("7")
        await page.keyboard.press("Enter")
        await expect(page.locator("#events tr")).to_have_count(50)
        await expect(page.locator("#events tr").first).to_contain_text(EVIL)
        await expect(page.locator("#events tr").first).to_contain_text("180.05")
        await expect(page.locator("#found")).to_have_text("50 events, and there are more.")
        await page.locator("#next").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#events tr")).to_have_count(10)
        await expect(page.locator("#next")).to_be_disabled()
        async with page.expect_download() as started:
            await page.get_by_role("link", name="This page as CSV").click()
        lines = lines_of(Path(await (await started.value).path()))
        assert len(lines) == 11 and "a-10" in lines[1]
        assert edge.cases.records == [("SEARCH", "ann", "")] * 3
        await page.fill("#price", "cheap")
        await page.click("#search")
        await expect(page.locator("#problem")).to_contain_text("price 'cheap' is not a range")
        await expect(page.locator("#events tr")).to_have_count(10)
        edge.cases.away = True
        await page.fill("#price", "")
        await page.click("#search")
        await expect(page.locator("#problem")).to_contain_text("could not be recorded")
        assert trouble == []


@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "light"), (NARROW, "dark"), (NARROW, "light"), (WIDE, "dark")])
async def test_axe_finds_nothing_on_a_telephone_and_on_a_desk(viewport: Any, scheme: Any) -> None:
    """Before a search, with events, and with a mistake; the queue leads here."""
    async with desk() as (edge, browser):
        trouble: list[str] = []
        page = await sign_in(edge, browser, trouble, viewport=viewport, color_scheme=scheme)
        assert await findings(page) == []
        await page.click("#search")
        await expect(page.locator("#events tr")).to_have_count(61)
        await page.fill("#from", "yesterday")
        await page.click("#search")
        await expect(page.locator("#problem")).to_contain_text("is not a time")
        assert await findings(page) == []
        assert await fits(page)
        await page.goto(f"{edge.origin}/surveillance")
        await expect(page.locator("nav a[href='/surveillance/find']")).to_be_visible()
        assert await fits(page)
        assert trouble == []

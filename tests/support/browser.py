"""A real Chromium for the tests of pages, what no page may do, and what axe-core finds."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

AXE: Final = Path(__file__).parents[1] / "browser" / "axe-core-4.14.1" / "axe.min.js"
CHROMIUM: Final = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDE: Final = {"width": 1400, "height": 900}
NARROW: Final = {"width": 390, "height": 844}
WAIT_MS: Final = 60_000
"""A busy machine is slow; who waits is told at once when it is there."""
NEEDS_CHROMIUM: Final = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: install one (apt install chromium)")

expect.set_options(timeout=WAIT_MS)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A running one."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


async def open_page(browser: Browser, origin: str, trouble: list[str], *, refusals: tuple[str, ...] = (), **options: Any) -> Page:
    """A page in a browser of its own. trouble: gets what no page may do: errors, refused scripts and styles, requests to other hosts. refusals: statuses that the test brings about."""
    context = await browser.new_context(viewport=options.pop("viewport", WIDE), **options)
    context.set_default_timeout(WAIT_MS)
    page = await context.new_page()

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and not any(f"status of {status}" in message.text for status in refusals):
            trouble.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith((origin, "data:", "blob:")) else trouble.append(request.url))
    return page


async def findings(page: Page) -> list[str]:
    """What axe-core finds, all of WCAG 2.2 A and AA and its best practices."""
    await page.evaluate(AXE.read_text())
    found = await page.evaluate(
        "axe.run().then((found) => found.violations.map((one) => [one.id, one.nodes.map((node) => node.html).slice(0, 3)]))"
    )
    return [f"{name}: {nodes}" for name, nodes in found]


async def fits(page: Page) -> bool:
    """Whether nothing has to be scrolled sideways but tables in their frames."""
    return bool(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"))

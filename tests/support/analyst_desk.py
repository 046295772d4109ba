"""A desk for the browser tests of the analysts' pages: a served edge with alerts and people, and a Chromium. Stores and log are in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from playwright.async_api import Browser, Page, expect

from access.people import Role
from edge.gateway.outcomes import Accepted
from support.book_session import MS, OWN, frames, session
from support.browser import chromium, open_page
from support.case_store import STORED
from support.people_store import PASSWORD
from support.served_edge import Served, served
from surveillance.book_replay import BookReplay


class Replays:
    """What BookReplays answers, from a session of the reference book."""

    async def around(self, alert: dict[str, Any]) -> Accepted[dict[str, Any] | None]:
        """The second half of the session."""
        replay = BookReplay(1, frozenset({OWN}), 50 * MS, 1 << 62)
        for offset, rows, first_seq, _ in frames(session()):
            replay.take(offset, rows, first_seq)
        return Accepted({**replay.document(), "complete": True, "accounts": [OWN], "topic": "executions", "partition": 0})


@dataclass
class Desk:
    """A served edge with a browser."""

    edge: Served
    browser: Browser
    trouble: list[str]
    """What no page may do: errors, refused scripts and styles, requests to other hosts."""

    async def sign_in(self, name: str, *, refused: tuple[str, ...] = (), **options: Any) -> Page:
        """A browser of its own for somebody, on the queue. refused: more statuses that the test brings about."""
        page = await open_page(self.browser, self.edge.origin, self.trouble, refusals=("403", "409", *refused), **options)
        await page.goto(f"{self.edge.origin}/surveillance")
        await page.fill("input[name=name]", name)
        await page.fill("input[name=password]", PASSWORD)
        await page.keyboard.press("Enter")
        await expect(page.locator("#alerts tr")).to_have_count(3)
        return page


def stored_alerts() -> dict[str, Any]:
    """Three alerts with evidence."""
    at = STORED.detected_at
    layer = {
        "role": "LAYER", "order_id": 41, "side": "SELL", "price": 18_005, "qty": 300, "traded_qty": 0, "placed_at": at - 4_000 * MS, "ended_at": at,
        "account": OWN, "trd_match_id": 0, "seq": 12, "offset": 60,
    }  # fmt: skip
    evidence = [
        layer, {**layer, "order_id": 42, "price": 18_006, "placed_at": at - 3_500 * MS}, {**layer, "order_id": 43, "price": 18_007, "placed_at": at - 3_000 * MS},
        {**layer, "role": "EXECUTION", "order_id": 44, "side": "BUY", "price": 18_001, "qty": 120, "traded_qty": 120, "placed_at": at - 2_000 * MS, "trd_match_id": 9},
    ]  # fmt: skip
    details = {
        "accounts": [OWN, 8], "rule_refs": ["FINRA 5210.03"], "features": {"imbalance": 7}, "counterfactual": "Below 4 orders nothing is reported.",
        "steps": ["Account 7 placed 3 sell orders over 900 shares.", "It bought 120 shares.", "It canceled the sell orders within 2 s."],
        "detector_version": 2, "config_digest": "00ff00ff00ff00ff", "reference_digest": "", "evidence_total": 4,
    }  # fmt: skip
    first = replace(
        STORED, alert_id="alert-1", episode_key="episode-1", score=0.93, severity="HIGH", evidence=evidence, details=details, window_start=at - 4_000 * MS, window_end=at
    )  # fmt: skip
    second = replace(
        first, alert_id="alert-2", episode_key="episode-2", pattern="SPOOFING", score=0.6, severity="MEDIUM", detected_at=at + 1
    )
    third = replace(
        first, alert_id="alert-3", episode_key="episode-3", pattern="PINGING", score=0.3, severity="LOW", detected_at=at + 2, account=8
    )
    return {one.alert_id: one for one in (first, second, third)}


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    """People, alerts and a browser."""
    async with served() as edge, chromium() as browser:
        edge.record_events()
        edge.stores.stored = stored_alerts()
        replays: Any = Replays()
        edge.gateway.book_replays = replays
        for name, role in (("ann", Role.ANALYST), ("sue", Role.SUPERVISOR), ("carl", Role.COMPLIANCE)):
            edge.stores.add(name, role)
        yield Desk(edge, browser, [])


async def do(page: Page, action: str, comment: str, **fields: str) -> None:
    """Press a button of the case, fill in its form, send it."""
    await page.click(f"[data-action={action}]")
    for name, value in fields.items():
        field = page.locator(f"#doing-{name}")
        await (field.select_option(value) if name in ("to", "reason") else field.fill(value))
    await page.fill("#doing-comment", comment)
    await page.click("#doing-send")


async def state_is(page: Page, text: str) -> None:
    """The state of the case, as the page says it."""
    await expect(page.locator("#case-state")).to_have_text(text)

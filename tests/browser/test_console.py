"""The analysts' pages in a real Chromium: the life of a case by several people, by keyboard too, and what axe-core finds.

The edge is the real one over HTTP, with the sign-in of people. Stores and log are in memory, so that a test takes seconds.
"""

import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from argon2 import PasswordHasher
from playwright.async_api import Browser, Page, expect
from support.book_session import MS, OWN, frames, session
from support.browser import AXE, NARROW, NEEDS_CHROMIUM, WIDE, chromium, findings, fits, open_page
from support.case_store import STORED
from support.people_store import PASSWORD
from support.served_edge import Served, served

from access import passwords
from access.people import Role
from edge.gateway.outcomes import Accepted
from surveillance.book_replay import BookReplay

AXE_SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
"""Of the file in the package axe-core 4.14.1 at npm."""
EVIL = '<img src=x onerror="document.title=1">'

pytestmark = NEEDS_CHROMIUM


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hashes that cost nothing."""
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    passwords.nobodys_hash.cache_clear()
    yield
    passwords.nobodys_hash.cache_clear()


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

    async def sign_in(self, name: str, **options: Any) -> Page:
        """A browser of its own for somebody, on the queue."""
        page = await open_page(self.browser, self.edge.origin, self.trouble, refusals=("403", "409"), **options)
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


def test_the_copy_of_axe_core_is_the_published_one() -> None:
    """Nobody has changed what finds faults."""
    assert hashlib.sha256(AXE.read_bytes()).hexdigest() == AXE_SHA256


async def test_the_life_of_a_case_by_three_people() -> None:
    """Opened by keyboard, replayed, noted by two at once without losing a word, closed by one and confirmed by another; all of it is in the log."""
    async with desk() as at:
        ann = await at.sign_in("ann")
        await ann.keyboard.press("j")
        await expect(ann.locator("#alert-title")).to_contain_text("spoofing")
        await ann.keyboard.press("k")
        await expect(ann.locator("#steps li")).to_have_count(3)
        await ann.keyboard.press("t")
        await expect(ann.locator("#doing-comment")).to_be_focused()
        await ann.keyboard.type(f"looks odd {EVIL}")
        await ann.keyboard.press("Tab")
        await ann.keyboard.press("Enter")
        await state_is(ann, "in review, ann")
        await expect(ann.locator("#history")).to_contain_text(EVIL)
        sue = await at.sign_in("sue")
        await state_is(sue, "in review, ann")
        await ann.click("[data-action=NOTE]")
        await ann.fill("#doing-comment", "what I have typed")
        await do(sue, "NOTE", "mind the deadline")
        await expect(sue.locator("#history")).to_contain_text("mind the deadline")
        await expect(ann.locator("#case-problem")).to_contain_text("Your text is kept")
        await expect(ann.locator("#doing-comment")).to_have_value("what I have typed")
        await ann.click("#doing-send")
        await expect(ann.locator("#history")).to_contain_text("what I have typed")
        await do(ann, "CLOSE", "clear pattern", to="FORMAL", reason="SUSPECTED_ABUSE")
        await state_is(ann, "closing, ann")
        await state_is(sue, "closing, ann")
        await expect(sue.locator("[data-action=CONFIRM]")).to_have_count(0)
        carl = await at.sign_in("carl")
        await do(carl, "CONFIRM", "agreed")
        await state_is(carl, "closed formal, ann")
        await expect(ann.locator("#alerts tr")).to_have_count(2)
        await ann.select_option("#state", "closed")
        await expect(ann.locator("#alerts")).to_contain_text("closed formal")
        done = [(action, actor) for action, actor, _ in at.edge.cases.records if not action.startswith("READ")]
        assert done == [("OPEN", "ann"), ("NOTE", "sue"), ("NOTE", "ann"), ("CLOSE", "ann"), ("CONFIRM", "carl")]
        reads = {(action, actor) for action, actor, _ in at.edge.cases.records if action.startswith("READ")}
        assert reads == {(action, name) for action in ("READ_ALERT", "READ_CASE") for name in ("ann", "sue", "carl")}
        assert at.trouble == []


async def test_a_note_on_an_old_version_is_refused_and_kept() -> None:
    """Before the page has heard of the other's."""
    async with desk() as at:
        ann = await at.sign_in("ann")
        await do(ann, "OPEN", "")
        await state_is(ann, "in review, ann")
        await ann.evaluate(
            "fetch = ((fetch) => (address, options) => options?.headers?.['X-Poll'] ? new Promise(() => {}) : fetch(address, options))(fetch)"
        )
        sue = await at.sign_in("sue")
        await do(sue, "NOTE", "first")
        await expect(sue.locator("#history")).to_contain_text("first")
        await do(ann, "NOTE", "second")
        await expect(ann.locator("#case-problem")).to_contain_text("sue was first")
        await expect(ann.locator("#doing-comment")).to_have_value("second")
        await expect(ann.locator("#history")).to_contain_text("first")
        await ann.click("#doing-send")
        await expect(ann.locator("#history")).to_contain_text("second")


async def test_the_replay_steps_through_the_book_and_never_looks_live() -> None:
    """By keyboard; the banner is there at every step, own orders are marked."""
    async with desk() as at:
        ann = await at.sign_in("ann")
        await expect(ann.locator("#steps li")).to_have_count(3)
        await ann.keyboard.press("r")
        await expect(ann.locator("#replay")).to_be_focused()
        seen = set()
        for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "]", "]", "["):
            await ann.keyboard.press(key)
            await expect(ann.locator("#replay-banner")).to_contain_text("REPLAY, not live: AAPL")
            seen.add(await ann.locator("#replay-step").text_content())
        assert len(seen) >= 3
        await ann.keyboard.press("]")
        await expect(ann.locator("#replay-event")).to_contain_text("by account 7")
        rows = await ann.locator(".ladder tbody tr").count()
        assert 2 <= rows <= 20
        assert await ann.locator(".ladder tr.mine").count() >= 1
        await ann.keyboard.press("Space")
        await expect(ann.locator("#replay-play")).to_have_text("Pause")
        await ann.keyboard.press("Space")
        await expect(ann.locator("#replay-play")).to_have_text("Play")
        assert ("READ_BOOK", "ann", "") in at.edge.cases.records
        assert at.trouble == []


@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "light"), (NARROW, "dark")])
async def test_axe_finds_nothing_and_a_telephone_shows_everything(viewport: Any, scheme: Any) -> None:
    """Queue, alert, replay, an open form, a problem, the team's page; no page is wider than its screen."""
    async with desk() as at:
        sue = await at.sign_in("sue", viewport=viewport, color_scheme=scheme)
        await expect(sue.locator("#steps li")).to_have_count(3)
        await sue.click("#replay-open")
        await expect(sue.locator("#replay-banner")).to_be_visible()
        await do(sue, "OPEN", "")
        await state_is(sue, "in review, sue")
        await do(sue, "CLOSE", " ", to="NO_ACTION", reason="HEDGING")
        await expect(sue.locator("#case-problem")).to_contain_text("must say why")
        assert await findings(sue) == []
        assert await fits(sue)
        await sue.goto(f"{at.edge.origin}/surveillance/team")
        await expect(sue.locator("#rules tr")).to_have_count(1)
        await sue.fill("#pattern", "LAYERING")
        await sue.fill("#symbol", "AAPL")
        await sue.fill("#comment", "an agreed market maker")
        await sue.keyboard.press("Enter")
        await expect(sue.locator("#suppressions tr")).to_have_count(1)
        assert await findings(sue) == []
        assert await fits(sue)

"""The analysts' pages in a real Chromium: the life of a case by several people, by keyboard too, and what axe-core finds.

The edge is the real one over HTTP, with the sign-in of people. Stores and log are in memory, so that a test takes seconds.
"""

import hashlib
from typing import Any

import pytest
from playwright.async_api import expect
from support.analyst_desk import desk, do, state_is
from support.browser import AXE, NARROW, NEEDS_CHROMIUM, WIDE, findings, fits

AXE_SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
"""Of the file in the package axe-core 4.14.1 at npm."""
EVIL = '<img src=x onerror="document.title=1">'

pytestmark = NEEDS_CHROMIUM


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
        await expect(ann.locator("#replay-chart path")).to_have_count(2)
        assert await ann.locator("#replay-chart circle").count() > 0
        assert await ann.locator("#replay-chart rect").count() > 0
        before = await ann.locator("#replay-cursor").get_attribute("x1")
        await ann.keyboard.press("]")
        await expect(ann.locator("#replay-event")).to_contain_text("by account 7")
        await expect(ann.locator("#replay-cursor")).not_to_have_attribute("x1", before or "")
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

"""The ring of linked accounts in a real Chromium: by keyboard, on a telephone, what axe-core finds, and what is in the log."""

from typing import Any

import pytest
from playwright.async_api import expect
from support.analyst_desk import Desk, desk
from support.book_session import OWN
from support.browser import NARROW, NEEDS_CHROMIUM, WIDE, findings, fits

from edge.gateway.analysts.linked_accounts import LinkedAccounts
from edge.gateway.outcomes import Accepted
from surveillance.linked_accounts import SignIn, TradedPair, linked

pytestmark = NEEDS_CHROMIUM


class Links:
    """What AccountLinks answers: a ring of three around the alert's account, and some others."""

    async def around(self, alert: dict[str, Any], span_ns: int, accounts_max: int) -> Accepted[LinkedAccounts]:
        """Of the accounts that are asked for."""
        at = alert["window_end"]
        trades = [
            TradedPair(OWN, 8, 12, 600, 600 * 18_001),
            TradedPair(8, 21, 9, 580, 580 * 18_003),
            TradedPair(21, OWN, 8, 570, 570 * 18_002),
        ]
        trades += [TradedPair(1_000 + number, OWN, 1, 40 - number, (40 - number) * 18_000) for number in range(9)]
        signed_in = [SignIn(8, "192.0.2.17", at - 9_000_000_000), SignIn(21, "192.0.2.17", at - 5_000_000_000)]
        graph = linked([OWN, 8], trades, [(OWN, 8)], signed_in, accounts_max)
        shown = [one for one in trades if one.seller in graph.accounts and one.buyer in graph.accounts]
        return Accepted(
            LinkedAccounts(
                graph, shown, alert["window_start"] - span_ns, at + span_ns, 0, owners_known=True, sign_ins_since=at - 86_400_000_000_000
            )
        )


def with_links(at: Desk) -> None:
    """Instead of MySQL and Kafka."""
    links: Any = Links()
    at.edge.gateway.account_links = links


async def test_the_ring_is_read_and_worked_by_keyboard() -> None:
    """A key opens it, enter on an account leaves what is about it, another alert closes it; each read is in the log."""
    async with desk() as at:
        with_links(at)
        ann = await at.sign_in("ann")
        await expect(ann.locator("#steps li")).to_have_count(3)
        await ann.keyboard.press("l")
        await expect(ann.locator("#links")).to_be_focused()
        await expect(ann.locator("#links-table tr")).to_have_count(12)
        await expect(ann.locator("#links-trades tr")).to_have_count(12)
        await expect(ann.locator("#links-table")).to_contain_text("owner 7: 7, 8")
        await ann.focus('[data-account="21"]')
        await ann.keyboard.press("Enter")
        await expect(ann.locator('[data-account="21"]')).to_be_focused()
        await expect(ann.locator('[data-account="21"]')).to_have_attribute("aria-pressed", "true")
        await expect(ann.locator("#links-trades tr")).to_have_count(2)
        await ann.keyboard.press("Space")
        await expect(ann.locator("#links-trades tr")).to_have_count(12)
        await ann.select_option("#links-accounts", "12")
        await ann.keyboard.press("Tab")
        await expect(ann.locator("#links-told")).to_contain_text("Devices are not recorded")
        await ann.click("#alerts tr:nth-child(2) button")
        await expect(ann.locator("#links")).to_be_hidden()
        assert [one for one in at.edge.cases.records if one[0] == "READ_LINKS"] == [("READ_LINKS", "ann", "")] * 2
        assert at.trouble == []


@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "dark"), (NARROW, "light")])
async def test_axe_finds_nothing_in_the_ring(viewport: Any, scheme: Any) -> None:
    """In both sizes and colours; no page is wider than its screen."""
    async with desk() as at:
        with_links(at)
        ann = await at.sign_in("ann", viewport=viewport, color_scheme=scheme)
        await expect(ann.locator("#steps li")).to_have_count(3)
        await ann.click("#links-open")
        await expect(ann.locator("#links-table tr")).to_have_count(12)
        await ann.click('[data-account="8"]')
        assert await findings(ann) == []
        assert await fits(ann)
        assert at.trouble == []

"""The trading page in a real Chromium, over the real edge and an exchange in memory: orders from the first key to the fill, auctions, halts, lost connections."""

import hashlib
import json
import os
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, WebSocketRoute, expect
from support.browser import NARROW, NEEDS_CHROMIUM, WIDE, chromium, findings, fits, open_page
from support.edge_requests import OTHER_KEY, Traded, traded
from support.exchange_in_memory import until

from edge.alpaca.order_words import ORDER_TYPES
from edge.gateway.market.consumer import MarketConsumer
from edge.http.state import STATE
from schemas.enums import CommandKind, Phase

pytestmark = NEEDS_CHROMIUM
PICTURES = os.environ.get("OUTCRY_TEST_PICTURES")
"""A folder for pictures of the pages, for people who look at them."""


class _Log:
    async def record(self, event: Any) -> None:
        """Nobody looks at it here."""


@dataclass
class Desk:
    """An exchange, and a browser on its trading page."""

    edge: Traded
    browser: Browser
    trouble: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        """Of the edge."""
        return f"http://{self.edge.client.host}:{self.edge.client.port}"

    async def sign_in(self, prepare: Callable[[Page], Awaitable[None]] | None = None, **options: Any) -> Page:
        """Account 1, with the page live; `prepare` is done with the page before it is loaded."""
        page = await open_page(self.browser, self.origin, self.trouble, refusals=("403", "422"), **options)
        if prepare is not None:
            await prepare(page)
        await page.goto(f"{self.origin}/trade")
        await page.fill("input[name=key_id]", "KEY1")
        await page.fill("input[name=secret]", "secret-1")
        await page.keyboard.press("Enter")
        await expect(page.locator("#state")).to_have_text("live")
        await expect(page.locator("#orders-note")).to_have_text("No open orders.")
        return page


@asynccontextmanager
async def desk(phase: Phase = Phase.CONTINUOUS) -> AsyncIterator[Desk]:
    """Account 1 has 10,000.00 and 50 AAPL; account 2 too, and nobody has an order."""
    async with traded(phase) as edge, chromium() as browser:
        gateway, unread = edge.gateway, None
        consumer: Any = unread
        gateway.market_consumer = MarketConsumer(consumer, consumer, [], gateway.market, gateway.tell_market)
        gateway.market_consumer.running, gateway.kafka_problem = True, ""
        log: Any = _Log()
        gateway.traders._access_log = log
        edge.stores.answers["activities"] = []
        yield Desk(edge, browser)


async def fill_in(page: Page, side: str, qty: str, price: str = "", **more: str) -> None:
    """The ticket."""
    await page.check(f"input[name=side][value={side}]")
    for name, value in more.items():
        await page.select_option(f"#ticket select[name={name}]", value)
    await page.fill("#ticket input[name=qty]", qty)
    if price:
        await page.fill("#ticket input[name=limit_price]", price)


async def send(page: Page) -> None:
    """Review it, and send it."""
    await page.click("#review")
    await expect(page.locator("#send")).to_be_focused()
    await page.keyboard.press("Enter")


async def picture(page: Page, name: str) -> None:
    """For people."""
    if PICTURES:
        await page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


async def test_an_order_is_placed_changed_filled_and_another_canceled() -> None:
    """The whole life of an order on the page."""
    async with desk() as at:
        page = await at.sign_in()
        await fill_in(page, "buy", "10", "150.00")
        await expect(page.locator("#worth")).to_have_text("1,500.00")
        await send(page)
        row = page.locator("#orders tr")
        await expect(row).to_have_count(1)
        await expect(row).to_contain_text("0 / 10")
        await expect(page.locator("#book")).to_contain_text("yours")
        await row.get_by_role("button", name="Change").click()
        await page.fill("#amend-fields input[name=qty]", "8")
        await page.fill("#amend-fields input[name=limit_price]", "151.00")
        await page.click("#amend-send")
        await expect(row).to_contain_text("0 / 8")
        await expect(row).to_contain_text("151.00")
        await at.edge.place("sell", 3, "151.00", OTHER_KEY)
        await expect(row).to_contain_text("3 / 8")
        await expect(page.locator("#urgent")).to_contain_text("Filled: buy AAPL, 3 at 151.00")
        await expect(page.locator("#fills tr")).to_have_count(1)
        await expect(page.locator("#positions tr")).to_contain_text("53")
        await expect(page.locator("#tape tr")).to_have_count(1)
        await row.get_by_role("button", name="Cancel").click()
        await expect(row).to_have_count(0)
        await expect(page.locator("#done")).to_contain_text("canceled")
        assert at.trouble == []


async def test_a_double_click_sends_one_order() -> None:
    """And what is sent again where the outcome is not known has the same id."""
    async with desk() as at:
        page = await at.sign_in()
        await fill_in(page, "buy", "1", "150.00")
        await page.click("#review")
        await page.dblclick("#send", force=True)
        await expect(page.locator("#orders tr")).to_have_count(1)
        assert at.edge.exchange.commands(CommandKind.NEW_ORDER) == 1
        answered = 0

        async def lose_the_first(route: Any) -> None:
            nonlocal answered
            response = await route.fetch()
            answered += 1
            await (route.abort() if answered == 1 else route.fulfill(response=response))

        await page.route("**/v2/orders", lose_the_first)
        at.trouble.clear()
        await fill_in(page, "buy", "2", "150.00")
        await send(page)
        await expect(page.locator("#confirm-problem")).to_contain_text("it can never become two orders")
        await page.click("#send")
        await expect(page.locator("#orders tr")).to_have_count(2)
        assert answered == 2
        assert all("ERR_FAILED" in one for one in at.trouble)
        assert len((await at.edge.ask("GET", "/v2/orders"))[1]) == 2


async def test_a_refusal_is_said_in_words_beside_its_field() -> None:
    """Before it is sent where the page knows, and where the exchange decides."""
    async with desk() as at:
        page = await at.sign_in()
        await fill_in(page, "buy", "10", "150.005")
        await page.click("#review")
        await expect(page.locator("#fields .problem:visible")).to_contain_text("multiples of 0.01")
        await expect(page.locator("#ticket input[name=limit_price]")).to_be_focused()
        await fill_in(page, "buy", "1000", "150.00")
        await send(page)
        await expect(page.locator("#fields .problem:visible")).to_contain_text("available: 10000.00")
        await expect(page.locator("#ticket input[name=qty]")).to_have_attribute("aria-invalid", "true")
        assert at.edge.exchange.commands(CommandKind.NEW_ORDER) == 1
        assert at.trouble == []


async def test_everything_can_be_done_by_keyboard() -> None:
    """An order, and cancel-all with its question; single keys can be turned off."""
    async with desk() as at:
        page = await at.sign_in()
        await page.keyboard.press("s")
        await page.keyboard.type("5")
        await page.keyboard.press("Tab")
        await page.keyboard.type("160.00")
        await page.keyboard.press("Enter")
        await expect(page.locator("#summary")).to_contain_text("Sell 5 AAPL, limit")
        await page.keyboard.press("Escape")
        await expect(page.locator("#confirm")).to_be_hidden()
        await page.keyboard.press("Enter")
        await expect(page.locator("#send")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("#orders tr")).to_have_count(1)
        await page.keyboard.press("Escape")
        await page.keyboard.press("x")
        await expect(page.locator("#summary")).to_contain_text("1 open order")
        await page.keyboard.press("Enter")
        await expect(page.locator("#orders tr")).to_have_count(0)
        await page.uncheck("#shortcuts")
        await page.keyboard.press("x")
        await expect(page.locator("#confirm")).to_be_hidden()


async def test_the_ticket_offers_every_type_and_the_exchange_takes_it() -> None:
    """Each one by the fields that the page shows for it."""
    values = {
        "limit_price": "150.00", "stop_price": "170.00", "trail": "1.50", "limit_offset": "0.50", "peg_offset": "-0.05", "qty": "1",
    }  # fmt: skip
    async with desk() as at:
        await at.edge.place("sell", 5, "160.00", OTHER_KEY)
        await at.edge.place("buy", 5, "140.00", OTHER_KEY)
        page = await at.sign_in()
        for number, word in enumerate(ORDER_TYPES):
            await page.select_option("#ticket select[name=type]", word)
            await expect(page.locator("#type-meaning")).not_to_be_empty()
            for name, value in values.items():
                if await page.locator(f"#ticket input[name={name}]").count():
                    await page.fill(f"#ticket input[name={name}]", value)
            await send(page)
            await until(lambda number=number: at.edge.exchange.commands(CommandKind.NEW_ORDER) == number + 3)
            await expect(page.locator("#confirm")).to_be_hidden()
        taken = {one["ord_type"] for status in ("open", "closed") for one in (await at.edge.ask("GET", "/v2/orders", status=status))[1]}
        assert taken == set(ORDER_TYPES)
        assert at.trouble == []


async def test_auctions_and_halts_are_shown() -> None:
    """With what an auction would do, and said aloud when it changes."""
    async with desk(Phase.OPENING_AUCTION) as at:
        page = await at.sign_in()
        await expect(page.locator("#phase")).to_contain_text("Opening auction")
        await fill_in(page, "buy", "10", "150.00")
        await send(page)
        await at.edge.place("sell", 10, "150.00", OTHER_KEY)
        await expect(page.locator("#bands")).to_contain_text("Would trade 10 at 150.00")
        at.edge.exchange.phase(Phase.CONTINUOUS)
        await expect(page.locator("#phase")).to_have_text("Trading.")
        await expect(page.locator("#fills tr")).to_have_count(1)
        at.edge.exchange.halt()
        await expect(page.locator("#phase")).to_contain_text("HALTED")
        await expect(page.locator("#urgent")).to_contain_text("AAPL: HALTED")
        await picture(page, "trade-halted")


async def test_a_lost_connection_is_shown_and_nothing_is_missed() -> None:
    """Prices are grey meanwhile; what happened is there afterwards."""
    async with desk() as at:
        page = await at.sign_in()
        await fill_in(page, "buy", "4", "150.00")
        await send(page)
        await expect(page.locator("#orders tr")).to_have_count(1)
        await page.evaluate(
            "window.seen = []; new MutationObserver(() => window.seen.push(document.body.dataset.feed)).observe(document.body, {attributes: true})"
        )
        for socket in tuple(at.edge.client.server.app[STATE].sockets):  # type: ignore[attr-defined]
            socket.abort()
        await at.edge.place("sell", 4, "150.00", OTHER_KEY)
        await expect(page.locator("#state")).to_have_text("live")
        await expect(page.locator("#orders tr")).to_have_count(0)
        await expect(page.locator("#tape tr")).to_have_count(1)
        assert "resuming" in await page.evaluate("window.seen")


async def test_a_mute_connection_is_told_from_a_quiet_market_and_left() -> None:
    """It stays open and says nothing: prices are late, then there is another connection, which has what was missed. A quiet one stays live."""
    sockets: list[WebSocketRoute] = []
    is_mute = False

    def relay(ws: WebSocketRoute) -> None:
        number, server = len(sockets), ws.connect_to_server()
        sockets.append(ws)
        ws.on_message(lambda message: None if is_mute and number == 0 else server.send(message))
        server.on_message(lambda message: None if is_mute and number == 0 else ws.send(message))

    async def prepare(page: Page) -> None:
        await page.route_web_socket("**/ws/public-prices", relay)

    async with desk() as at:
        page = await at.sign_in(prepare)
        await page.evaluate(
            "window.seen = []; new MutationObserver(() => window.seen.push(document.body.dataset.feed)).observe(document.body, {attributes: true})"
        )
        is_mute = True
        await at.edge.place("buy", 4, "150.00")
        await at.edge.place("sell", 4, "150.00", OTHER_KEY)
        await expect(page.locator("#state")).to_contain_text("late: nothing heard for")
        await expect(page.locator("#state")).to_have_text("live")
        await expect(page.locator("#tape tr")).to_have_count(1)
        assert len(sockets) == 2
        seen = [word for word in await page.evaluate("window.seen") if word != "live"]
        assert (seen[0], "resuming" in seen) == ("late", True)


@pytest.mark.parametrize(
    ("viewport", "scheme", "name"), [(WIDE, "light", "wide"), (NARROW, "dark", "narrow"), ({"width": 3840, "height": 2160}, "dark", "4k")]
)
async def test_axe_finds_nothing_on_any_page_of_a_customer(viewport: Any, scheme: Any, name: str) -> None:
    """The sign-in, the desk with orders, a question, a refusal; the market; and no page is wider than its screen."""
    async with desk() as at:
        for step in range(8):
            await at.edge.place("sell", 2 + step, f"{151 + step / 4:.2f}", OTHER_KEY)
            await at.edge.place("buy", 2 + step, f"{149 - step / 4:.2f}", OTHER_KEY)
        page = await open_page(at.browser, at.origin, at.trouble, refusals=("401", "403", "422"), viewport=viewport, color_scheme=scheme)
        await page.goto(f"{at.origin}/trade/sign-in")
        await page.fill("input[name=key_id]", "KEY1")
        await page.fill("input[name=secret]", "wrong")
        await page.keyboard.press("Enter")
        await expect(page.locator("[role=alert]")).to_be_visible()
        assert await findings(page) == []
        await page.fill("input[name=key_id]", "KEY1")
        await page.fill("input[name=secret]", "secret-1")
        await page.keyboard.press("Enter")
        await expect(page.locator("#state")).to_have_text("live")
        await expect(page.locator("#book tr")).to_have_count(16)
        await fill_in(page, "buy", "3", "151.00")
        await send(page)
        await expect(page.locator("#orders tr")).to_have_count(1)
        await fill_in(page, "buy", "3000", "150.00")
        await send(page)
        await expect(page.locator("#fields .problem:visible")).to_have_count(1)
        await expect(page.locator("#chart canvas").first).to_be_visible()
        await picture(page, f"trade-{name}")
        assert await findings(page) == []
        assert await fits(page)
        await fill_in(page, "sell", "1", "155.00")
        await page.click("#review")
        await expect(page.locator("#confirm")).to_be_visible()
        assert await findings(page) == []
        await page.click("#confirm-back")
        await page.goto(f"{at.origin}/market")
        await expect(page.locator("#state")).to_have_text("live")
        await expect(page.locator("#active tr")).to_have_count(1)
        await picture(page, f"market-{name}")
        assert await findings(page) == []
        assert await fits(page)
        assert at.trouble == []


def test_vendored_files_are_the_published_ones() -> None:
    """By the digests of the manifest, which was made from the packages; each is named in its page with its digest, and comes with its licence."""
    web = files("edge") / "console" / "web"
    manifest = json.loads((web / "vendor" / "manifest.json").read_text())
    kept = {str(path.relative_to(str(web / "vendor"))) for path in Path(str(web / "vendor")).rglob("*") if path.is_file()} - {
        "manifest.json"
    }
    told = {f"{one['folder']}/{name}": digest for one in manifest["packages"] for name, digest in one["files"].items()}
    assert kept == set(told)
    for name, digest in told.items():
        assert f"sha384-{b64encode(hashlib.sha384((web / 'vendor' / name).read_bytes()).digest()).decode()}" == digest, name
    assert all(f"{one['folder']}/LICENSE" in told for one in manifest["packages"])
    assert told["lightweight-charts-5.2.1/lightweight-charts.standalone.production.js"] in (web / "trade" / "trade.html").read_text()

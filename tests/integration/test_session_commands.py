"""`outcry session` on the real services: a halt reaches customers, an auction is collected, told and executed, a mass cancel releases holds."""

import time
import uuid

import aiohttp
import pytest
from click.testing import CliRunner

from streams.operate.session import session

pytestmark = pytest.mark.integration
SYMBOL = "MSFT"  # other tests trade AAPL
TIMEOUT_S = 600


class Customer:
    """One account's requests to the edge."""

    def __init__(self, exchange, who):
        key_id, secret, self.account = exchange.api_keys[who]
        self._url = exchange.edge_url
        self._headers = {"APCA-API-KEY-ID": key_id, "APCA-API-SECRET-KEY": secret}

    async def ask(self, method, path, **body):
        """JSON of an answer that is well."""
        async with (
            aiohttp.ClientSession(headers=self._headers) as client,
            client.request(method, self._url + path, json=body or None) as answer,
        ):
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def order(self, **order):
        """The order as it was accepted."""
        return await self.ask("POST", "/v2/orders", symbol=SYMBOL, time_in_force="day", client_order_id=f"s-{uuid.uuid4()}", **order)

    async def until(self, path, **wanted):
        """The object at `path` once its fields are as wanted."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            found = await self.ask("GET", path)
            if all(found.get(name) == value for name, value in wanted.items()):
                return found
            assert time.monotonic() < deadline, f"{path} is {found}, not {wanted}"


def outcry_session(exchange, *arguments):
    """Output of `outcry session ...`, which must succeed."""
    done = CliRunner().invoke(session, arguments, obj=exchange.settings)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


async def test_a_halt_an_auction_and_a_mass_cancel_from_the_command_line_to_the_customers(exchange):
    """What operators do to one instrument, as its traders see it over HTTP and the market over its public page."""
    seller, buyer = Customer(exchange, 0), Customer(exchange, 1)
    prices = f"/public/prices/{SYMBOL}"
    assert outcry_session(exchange, "halt", "--symbol", SYMBOL, "--reason", "regulatory") == f"{SYMBOL:<8} HALTED: regulatory halt\n"
    await buyer.until(prices, phase="halted")
    with pytest.raises(AssertionError, match="NOT_IN_THIS_PHASE"):
        await buyer.order(side="buy", type="limit", qty="1", limit_price="400")

    assert "VOLATILITY_AUCTION" in outcry_session(exchange, "resume", "--symbol", SYMBOL)
    sale = await seller.order(side="sell", type="limit", qty="10", limit_price="401")
    purchase = await buyer.order(side="buy", type="limit", qty="10", limit_price="401")
    await buyer.until(prices, phase="volatility_auction", auction_price=401, auction_size=10)
    assert (await buyer.ask("GET", f"/v2/orders/{purchase['id']}"))["filled_qty"] == "0", "it is collected, not matched"

    assert "CONTINUOUS" in outcry_session(exchange, "open", "--symbol", SYMBOL)
    for who, order in ((seller, sale), (buyer, purchase)):
        done = await who.until(f"/v2/orders/{order['id']}", status="filled")
        assert done["filled_avg_price"] == "401"
    (trade,) = (await buyer.until(prices, phase="continuous"))["trades"][-1:]
    assert (trade["p"], trade["s"], trade["c"], trade["tks"]) == (401, 10, ["@", "5"], "")

    free = await buyer.ask("GET", "/v2/account")
    resting = await buyer.order(side="buy", type="limit", qty="3", limit_price="300")
    cancel = ("mass-cancel", "--account", str(buyer.account), "--symbol", SYMBOL)
    assert outcry_session(exchange, *cancel) == f"{SYMBOL:<8} 1 canceled\ncanceled 1 orders of 1 accounts\n"
    await buyer.until(f"/v2/orders/{resting['id']}", status="canceled", reject_reason="MASS_CANCEL")
    await buyer.until("/v2/account", buying_power=free["buying_power"])
    assert outcry_session(exchange, *cancel) == "canceled 0 orders of 0 accounts\n"

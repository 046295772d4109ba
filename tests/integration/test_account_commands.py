"""What an operator decides about accounts, as the customer meets it at the edge: suspension, the kill switch, limits."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from streams.operate.accounts import accounts

pytestmark = pytest.mark.integration

WAIT_S = 300.0
ACCOUNT = "7"


def operate(exchange: Any, *arguments: str) -> str:
    """What `outcry accounts` says; it must succeed."""
    done = CliRunner().invoke(accounts, list(arguments), obj=exchange.settings)
    assert done.exit_code == 0, done.output + repr(done.exception)
    return done.output.strip()


def call(exchange: Any, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """(status, body) of a request of the account."""
    key, secret = next(key[:2] for key in exchange.api_keys if str(key[2]) == ACCOUNT)
    headers = {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret}
    request = urllib.request.Request(exchange.edge_url + path, json.dumps(body).encode() if body else None, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as response:
            return response.status, json.loads(response.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def place(exchange: Any, **changes: Any) -> tuple[int, Any]:
    """Send a small order that rests."""
    order = {"symbol": "MSFT", "qty": "2", "side": "buy", "type": "limit", "time_in_force": "gtc", "limit_price": "350"}
    return call(exchange, "POST", "/v2/orders", order | changes)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Until it holds."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, what


def wait_until_closed(exchange: Any) -> None:
    """No order of the account is open."""
    wait_for(lambda: call(exchange, "GET", "/v2/orders")[1] == [], "an order stays open")


def test_a_suspended_account_keeps_its_orders_and_a_killed_one_loses_them(exchange: Any) -> None:
    """Nothing new meanwhile; cancels are always taken; resume ends it."""
    status, first = place(exchange)
    assert status == 200, first
    operate(exchange, "suspend", ACCOUNT)
    try:
        status, refused = place(exchange)
        assert (status, refused["code"], refused["reject_reason"]) == (403, 40310000, "ACCOUNT_SUSPENDED")
        status, refused = call(exchange, "PATCH", f"/v2/orders/{first['id']}", {"qty": 3})
        assert (status, refused["reject_reason"]) == (403, "ACCOUNT_SUSPENDED")
        assert call(exchange, "GET", "/v2/account")[1]["trading_blocked"] is True
        assert [one["id"] for one in call(exchange, "GET", "/v2/orders")[1]] == [first["id"]]
        assert operate(exchange, "kill", ACCOUNT) == f"killed: {ACCOUNT}; open orders being canceled: 1"
        wait_until_closed(exchange)
    finally:
        operate(exchange, "resume", ACCOUNT)
    # the operator's command has its answer from the log, the edge its own copy a little later
    wait_for(lambda: call(exchange, "GET", "/v2/account")[1]["trading_blocked"] is False, "the account stays blocked")
    status, order = place(exchange)
    assert status == 200, order
    assert call(exchange, "DELETE", f"/v2/orders/{order['id']}")[0] == 204
    wait_until_closed(exchange)


def test_limits_are_met_at_the_edge_by_name_and_can_be_lifted(exchange: Any) -> None:
    """The largest order, a restricted instrument, the largest position, the rate."""
    cases: list[tuple[list[str], dict[str, Any], str]] = [
        (["--max-order", "100"], {}, "NOTIONAL_ABOVE_LIMIT"),
        (["--symbol", "MSFT", "--restrict"], {}, "RESTRICTED"),
        (["--symbol", "MSFT", "--max-position", "5"], {}, "POSITION_LIMIT"),
    ]
    for options, order, reason in cases:
        operate(exchange, "limits", ACCOUNT, *options)
        status, refused = place(exchange, **order)
        operate(exchange, "limits", ACCOUNT, *options[:2] if options[0] == "--symbol" else ())
        assert (status in (403, 422), refused.get("reject_reason")) == (True, reason), refused
    status, order = place(exchange)
    assert status == 200, order
    call(exchange, "DELETE", f"/v2/orders/{order['id']}")
    wait_until_closed(exchange)


def test_an_account_that_is_none_is_named(exchange: Any) -> None:
    """Exit by a known error, not silence."""
    done = CliRunner().invoke(accounts, ["suspend", "987654"], obj=exchange.settings)
    assert done.exit_code == 1
    assert "account 987654: account is not known" in str(done.exception)


def test_a_deposit_that_is_sent_again_pays_once(exchange: Any, tmp_path: Path) -> None:
    """The same command with the same --update-id; without one each is another deposit."""
    cash = Decimal(call(exchange, "GET", "/v2/account")[1]["cash"])
    deposit = ["open", "--first", ACCOUNT, "--cash", "100", "--keys-file", str(tmp_path / "keys.json")]
    number = str(time.time_ns())
    for _ in range(3):
        operate(exchange, *deposit, "--update-id", number)
    wait_for(lambda: Decimal(call(exchange, "GET", "/v2/account")[1]["cash"]) == cash + 100, "the deposit is paid once")
    operate(exchange, *deposit)
    wait_for(lambda: Decimal(call(exchange, "GET", "/v2/account")[1]["cash"]) == cash + 200, "another deposit is paid")
    refused = CliRunner().invoke(accounts, [*deposit, "--cash", "101", "--update-id", number], obj=exchange.settings)
    assert refused.exit_code != 0
    assert "another update of the account has used this request_id" in str(refused.exception)

"""The unmodified alpaca-py 0.44.0 against the running exchange: orders, refusals, account, positions, trade updates, trades, quotes."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def seen(exchange: Any, client_python: Path) -> dict[str, Any]:
    """What one session of the client saw."""
    keys = [list(key[:2]) for key in exchange.api_keys[:2]]
    done = subprocess.run(
        [client_python, HERE / "alpaca_session.py", exchange.edge_url, json.dumps(keys)],
        capture_output=True,
        text=True,
        timeout=1_800,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_account_clock_and_assets_are_read(seen: dict[str, Any]) -> None:
    """The SDK's models take them."""
    assert seen["account"]["status"] == "ACTIVE"
    assert float(seen["account"]["cash"]) > 0
    assert seen["clock_open"] is True
    assert "AAPL" in seen["assets"]


def test_an_order_is_submitted_read_listed_and_canceled(seen: dict[str, Any]) -> None:
    """By id, by client id, in the list of open orders."""
    assert seen["resting"] == {"status": "new", "qty": "5", "limit_price": "100.05"}
    assert (seen["same_by_id"], seen["same_by_client_id"], seen["listed"]) == (True, True, True)
    assert (seen["cancel_again"]["status"], seen["cancel_again"]["code"]) == (422, 42210000)
    assert seen["cancel_all"]
    assert set(seen["cancel_all"]) == {200}


def test_refusals_have_alpacas_status_code_and_message(seen: dict[str, Any]) -> None:
    """The same order again is the first one; another body, too little money and half a cent are refused."""
    assert seen["repeated"] is True
    assert (seen["duplicate"]["status"], seen["duplicate"]["code"]) == (422, 40010001)
    assert "client_order_id must be unique" in seen["duplicate"]["message"]
    assert (seen["insufficient"]["status"], seen["insufficient"]["code"]) == (403, 40310000)
    assert "insufficient buying power" in seen["insufficient"]["message"]
    assert (seen["sub_penny"]["status"], seen["sub_penny"]["code"]) == (422, 42210000)


def test_every_type_class_and_time_in_force_of_the_sdk_is_taken(seen: dict[str, Any]) -> None:
    """[type, class, time in force, status, limit, stop, legs] as the SDK's model has them."""
    kinds = seen["kinds"]
    loss, profit = ["stop", "gtc", None, "340"], ["limit", "gtc", "520", None]

    def leg_of(leg: list[Any], kind: str, status: str = "held") -> list[Any]:
        return [leg[0], kind, leg[1], status, *leg[2:], []]

    assert {name: kinds[name] for name in ("stop", "stop_limit", "trail_percent", "trail_price", "cls", "bracket", "oto", "oco")} == {
        "stop": ["stop", "simple", "gtc", "new", None, "350", []],
        "stop_limit": ["stop_limit", "simple", "gtc", "new", "349", "350.5", []],
        "trail_percent": ["trailing_stop", "simple", "gtc", "new", None, None, []],
        "trail_price": ["trailing_stop", "simple", "gtc", "new", None, None, []],
        "cls": ["limit", "simple", "cls", "new", "350", None, []],
        "bracket": ["limit", "bracket", "gtc", "new", "350", None, [leg_of(profit, "bracket"), leg_of(loss, "bracket")]],
        "oto": ["limit", "oto", "gtc", "new", "350", None, [leg_of(loss, "oto")]],
        "oco": ["limit", "oco", "gtc", "new", "520", None, [leg_of(loss, "oco", "new")]],
    }
    assert kinds["trails"] == ["20.5", "100"]
    assert kinds["own"] == ["20", "pegged", "limit"], "our own fields pass; a peg is a limit order to the SDK"
    assert kinds["legs"][-3:] == [1, 1, 2], "nested: the legs of oco, oto and bracket"


def test_an_order_is_replaced_in_place_and_a_killed_one_says_so(seen: dict[str, Any]) -> None:
    """The SDK's replace answers the order as the book has it, under its own id."""
    kinds = seen["kinds"]
    assert kinds["replaced"] == [True, "3", "352.5", "new", True]
    assert kinds["renamed"] == [True, True, "4", True], "client_order_id of a replace, as Alpaca's clients send it"
    assert (kinds["replace_refused"]["status"], kinds["replace_refused"]["code"]) == (403, 40310000)
    assert (kinds["replace_late"]["status"], kinds["replace_late"]["code"], kinds["fok"]) == (422, 42210000, "canceled")
    told = {name: [update[0] for update in seen["updates"] if update[1] == text] for name, text in kinds["names"].items()}
    assert told == {
        "fok": ["new", "canceled"],
        "replaced": ["new", "pending_replace", "replaced", "pending_replace"],
        "renamed": ["replaced", "pending_cancel", "canceled"],
    }  # fmt: skip


def test_trade_updates_tell_the_life_of_every_order(seen: dict[str, Any]) -> None:
    """New, pending_cancel, canceled; new, fill; each with its amounts."""
    events = {name: [update[0] for update in seen["updates"] if update[1] == name] for name in seen["names"].values()}
    assert events[seen["names"]["resting"]] == ["new", "pending_cancel", "canceled"]
    assert events[seen["names"]["bought"]] == ["new", "fill"]
    fill = next(update for update in seen["updates"] if update[:2] == ["fill", seen["names"]["bought"]])
    assert fill[2:] == [3.0, 180.1]
    assert seen["filled"] == {"qty": "3", "price": "180.1"}
    assert (seen["bought_shares"], seen["position"]) == (3, True)
    assert seen["market_gtc"] == "day", "a market order never rests"


def test_live_trades_and_quotes_arrive(seen: dict[str, Any]) -> None:
    """Decoded from msgpack by the SDK's own models; one message asks for all channels."""
    assert ["AAPL", 180.1, 3.0] in [trade[:3] for trade in seen["trades"]]
    assert any(quote[2] == 180.1 for quote in seen["quotes"])

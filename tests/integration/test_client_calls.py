"""Every public call of the unmodified alpaca-py and ccxt against the running exchange: all that apply to shares work, and how many there are is told."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from streams.operate.news import news

HERE = Path(__file__).parent
HEADLINE: Final = "Both are bought by a third"

NOT_HERE: Final = {
    "TradingClient": {
        "get_corporate_announcement_by_id": "404",
        "get_option_contract": "404",
        "exercise_options_position": "options are not traded here",
    },
    "OptionHistoricalDataClient": dict.fromkeys(
        (
            "get_option_bars", "get_option_chain", "get_option_exchange_codes", "get_option_latest_quote", "get_option_latest_trade", "get_option_snapshot",
            "get_option_trades",
        ),
        "options are not traded here",
    ),
    "ccxt": {"fetchDepositAddress": "there are no crypto wallets here", "withdraw": "there are no crypto wallets here"},
}  # fmt: skip
"""Calls that do not apply, by client, and what their error says: a part of it."""


@pytest.fixture(scope="session")
def found(exchange: Any, client_python: Path) -> dict[str, dict[str, Any]]:
    """What each call of each client gave."""
    published = CliRunner().invoke(news, ["publish", "AAPL", "MSFT", "--headline", HEADLINE], obj=exchange.settings)
    assert published.exit_code == 0, published.output + repr(published.exception)
    keys = [list(key[:2]) for key in exchange.api_keys[2:4]]
    command = [client_python, HERE / "client_calls.py", exchange.edge_url, json.dumps(keys)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1_800, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    seen: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return seen


def test_every_call_that_applies_works(found: dict[str, dict[str, Any]], told: list[str]) -> None:
    """A call works if the client's own models take its answer, and it has what the session put there."""
    failed = {}
    for client, calls in sorted(found.items()):
        absent = NOT_HERE.get(client, {})
        works = {name for name, answer in calls.items() if not (isinstance(answer, dict) and "error" in answer)}
        told.append(f"{client}: {len(works)} calls work of {len(calls)} that exist; {len(absent)} do not apply")
        failed |= {f"{client}.{name}": answer for name, answer in calls.items() if name not in works | set(absent)}
        assert not works & set(absent), f"{client}: these are listed as not here, and work"
    assert failed == {}


def test_a_call_that_does_not_apply_says_why(found: dict[str, dict[str, Any]]) -> None:
    """In the client's own exception."""
    for client, calls in NOT_HERE.items():
        for name, says in calls.items():
            answer = found[client][name]
            assert "error" in answer, f"{client}.{name}"
            assert says in answer["error"] or says == "404", f"{client}.{name}: {answer}"


def test_what_the_calls_give_is_what_was_done(found: dict[str, dict[str, Any]]) -> None:
    """Some of the answers in full."""
    trading, ccxt = found["TradingClient"], found["ccxt"]
    assert trading["close_position"] == ["sell", "5", "3"], "0.005 % of 100,0xx shares, rounded down; three shares"
    assert ["AAPL", 200] in trading["close_all_positions"]
    assert trading["get_calendar"] == 5
    assert ccxt["editOrder"] == [3.0, 101.05]
    assert (ccxt["createMarketBuyOrderWithCost"], ccxt["createMarketSellOrderWithCost"]) == (2.0, 2.0), "whole shares for 400 dollars"
    assert HEADLINE in found["NewsClient"]["get_news"]
    assert found["ScreenerClient"]["get_most_actives"][0] == "AAPL"

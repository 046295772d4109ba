"""Every call of the unmodified @alpacahq/alpaca-trade-api on Node against the running exchange, as its own tables of calls name them."""

import fcntl
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from streams.operate.accounts import Opening, make_api_keys, open_accounts, store_api_keys

HERE: Final = Path(__file__).parent / "node_client"
ACCOUNTS: Final = (902, 903)
"""Of this session alone: it closes all positions."""
NODE_MIN: Final = 20
"""What the SDK asks for."""
_FORBIDDEN: Final = "forbidden."
_BONDS: Final = ("fixedIncomeLatestPrices", "fixedIncomeLatestQuotes")
NOT_HERE: Final[dict[str, dict[str, str]]] = {
    "streams": dict.fromkeys(("OptionDataStream", "NewsStream"), "there is no such stream"),
    "trading.assets": {"getOptionContractSymbolOrId": "not found"},
    "trading.corporateActions": {"getV2CorporateActionsAnnouncementsId": "not found"},
    "trading.cryptoFunding": {
        "getCryptoFundingTransfer": "not found",
        **dict.fromkeys(
            ("createCryptoTransferForAccount", "getCryptoTransferEstimate", "listCryptoFundingWallets", "createWhitelistedAddress",
             "deleteWhitelistedAddress", "listWhitelistedAddress"), _FORBIDDEN,
        ),
    },
    "trading.events": {"subscribeToActivitiesSSE": _FORBIDDEN},
    "trading.locates": dict.fromkeys(("createLocates", "getLocate", "listLocateQuotes", "listLocates"), _FORBIDDEN),
    "trading.positions": dict.fromkeys(("optionExercise", "optionDoNotExercise"), _FORBIDDEN),
    "trading.tokenization": {
        **dict.fromkeys(("getTokenizationRequests", "postTokenizationMint"), _FORBIDDEN),
        **dict.fromkeys(("getTokenizationRequest", "getTokenizationRequestByClientRequestID"), "endpoint not found"),
    },
    "marketData.cryptoPerpetualFutures": dict.fromkeys(
        ("cryptoPerpLatestBars", "cryptoPerpLatestQuotes", "cryptoPerpLatestTrades", "cryptoPerpLatestOrderbooks", "cryptoPerpLatestFuturesPricing"),
        "request is not authorized",
    ),
    "marketData.fixedIncome": dict.fromkeys(_BONDS, _FORBIDDEN),
    "marketData.forex": dict.fromkeys(("rates", "latestRates"), _FORBIDDEN),
    "marketData.indices": dict.fromkeys(("indexValues", "indexLatestValues"), _FORBIDDEN),
    "marketData.logos": {"logos": _FORBIDDEN},
    "marketData.options": dict.fromkeys(
        ("optionBars", "optionTrades", "optionChain", "optionSnapshots", "optionLatestQuotes", "optionLatestTrades", "optionMetaConditions",
         "optionMetaExchanges"), _FORBIDDEN,
    ),
    "helpers": dict.fromkeys(
        ("getOptionBars", "getOptionBarsFor", "iterateOptionBars", "collectOptionBarsBySymbol", "iterateOptionTrades", "collectOptionTradesBySymbol",
         "iterateOptionSnapshots", "collectOptionSnapshotsBySymbol", "iterateOptionChain", "collectOptionChainBySymbol", "getIndexValues", "iterateIndexValues",
         "collectIndexValuesBySymbol", "iterateForexRates", "collectForexRatesBySymbol"), _FORBIDDEN,
    ),
}  # fmt: skip
"""Calls that do not apply to a venue of shares, by where the SDK has them, and a part of what their error says. (Perpetual futures are asked for without a key.)"""


def node_problem() -> str:
    """Why the SDK cannot run on this machine; empty if it can."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "the SDK for Node is not tested: this machine has no node and npm"
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=60, check=False).stdout
    found = re.match(r"v(\d+)\.", said)
    if found is None or int(found[1]) < NODE_MIN:
        return f"the SDK for Node is not tested: it needs Node {NODE_MIN}, and this machine has {said.strip() or 'one that does not start'}"
    return ""


@pytest.fixture(scope="session")
def node_client(pytestconfig: pytest.Config) -> Path:
    """A folder with the SDK, by our lock file; filled once, kept in pytest's cache, made anew when the lock changes."""
    if problem := node_problem():
        pytest.skip(problem)
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()[:12]
    home = pytestconfig.cache.mkdir("node-clients") / wanted
    with (home.parent / f"{wanted}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once must not both fill it
        if not (home / "complete").exists():
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir()
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name, home)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=600, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            (home / "complete").touch()
    shutil.copy(HERE / "calls.mjs", home)
    return home


@pytest.fixture(scope="session")
def found(exchange: Any, node_client: Path) -> dict[str, dict[str, Any]]:
    """What each call gave."""
    open_accounts(exchange.settings, [Opening(account, 1_000_000_000_000, {1: 4_000, 2: 10}) for account in ACCOUNTS])
    keys = make_api_keys(ACCOUNTS)
    store_api_keys(exchange.settings, keys)
    command = ["node", "calls.mjs", exchange.edge_url, json.dumps([[key.key_id, key.secret] for key in keys])]
    done = subprocess.run(command, cwd=node_client, capture_output=True, text=True, timeout=1_200, check=False)
    assert done.returncode == 0, done.stderr[:2_000]
    seen: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return seen


def test_every_call_of_the_sdk_for_node_that_applies_works(found: dict[str, dict[str, Any]], told: list[str]) -> None:
    """And what does not apply says so in the SDK's own error. The SDK's tables name every call, so none is left out."""
    exist = works = absent = 0
    wrong: dict[str, Any] = {}
    for where, calls in sorted(found.items()):
        says = NOT_HERE.get(where, {})
        assert set(says) <= set(calls), where
        for name, answer in calls.items():
            error = answer.get("error", "") if isinstance(answer, dict) else ""
            exist, works, absent = exist + 1, works + (not error), absent + (name in says)
            if says[name] not in error if name in says else error:
                wrong[f"{where}.{name}"] = answer
    told.append(f"@alpacahq/alpaca-trade-api 4.0.2 on Node: {works} calls work of {exist} that exist; {absent} do not apply")
    assert wrong == {}
    assert works + absent == exist >= 180


def test_what_the_calls_give_is_what_was_done(found: dict[str, dict[str, Any]]) -> None:
    """Some of the answers in full."""
    assert found["trading.account"]["getAccount"] == "ACTIVE"
    assert found["trading.positions"]["deleteOpenPosition"] == "sell"
    assert found["helpers"]["submitAndWait"] == "filled"
    assert found["marketData.screener"]["movers"] == "stocks"
    assert found["helpers"]["getLatestPrice"] > 0

"""One side of the best quote has been IMBALANCE_PERCENT or more of both for HOLD_S.

Reads QUOTE rows of market.data. Environment: IMBALANCE_PERCENT (90), HOLD_S (5).
"""

import base64
import json
import os
from typing import Any

IMBALANCE = float(os.environ.get("IMBALANCE_PERCENT", "90")) / 100
HOLD_NS = int(float(os.environ.get("HOLD_S", "5")) * 1_000_000_000)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Alerts of the batch."""
    state: dict[str, Any] = getattr(context, "state", {})
    alerts: list[dict[str, Any]] = []
    for record in (one for part in event["records"].values() for one in part):
        for number, row in enumerate(json.loads(base64.b64decode(record["value"]))["rows"]):
            if row["kind"] != "QUOTE":
                continue
            symbol, bid, ask, at = row["symbol"], row["bid_qty"], row["ask_qty"], row["transact_time"]
            heavy = max(bid, ask) / (bid + ask) if bid and ask else 0
            side = "BUY" if bid > ask else "SELL"
            known = state.get(symbol)
            if heavy < IMBALANCE:
                state.pop(symbol, None)
            elif known is None or known["side"] != side:
                state[symbol] = {"side": side, "since": at, "told": False}
            elif not known["told"] and at - known["since"] >= HOLD_NS:
                known["told"] = True
                cause = {name: record[name] for name in ("topic", "partition", "offset")} | {"row": number}
                alerts.append({"rule": "quote_imbalance", "symbol": symbol, "cause": cause,
                               "message": f"{symbol}: {100 * heavy:.0f}% of the best quote is on the {side} side",
                               "data": {"side": side, "bid_lots": bid, "ask_lots": ask}})  # fmt: skip
    return {"alerts": alerts}

"""A trade was DEVIATION_PERCENT away from the volume-weighted average price of the day so far, after MIN_TRADES of them.

Reads TRADE rows of market.data. Environment: DEVIATION_PERCENT (2), MIN_TRADES (20). A day is one of UTC; after a trade within half the deviation,
the symbol may alert again.
"""

import base64
import json
import os
from typing import Any

DEVIATION = float(os.environ.get("DEVIATION_PERCENT", "2")) / 100
MIN_TRADES = int(os.environ.get("MIN_TRADES", "20"))
DAY_NS = 86_400 * 1_000_000_000


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Alerts of the batch."""
    state: dict[str, Any] = getattr(context, "state", {})
    alerts: list[dict[str, Any]] = []
    for record in (one for part in event["records"].values() for one in part):
        for number, row in enumerate(json.loads(base64.b64decode(record["value"]))["rows"]):
            if row["kind"] != "TRADE":
                continue
            symbol, price, qty, day = row["symbol"], row["price"], row["qty"], row["transact_time"] // DAY_NS
            known = state.get(symbol)
            if known is None or known["day"] != day:
                known = state[symbol] = {"day": day, "cost": 0, "qty": 0, "trades": 0, "away": False}
            if known["trades"] >= MIN_TRADES:
                vwap = known["cost"] / known["qty"]
                off = (price - vwap) / vwap
                if abs(off) >= DEVIATION and not known["away"]:
                    known["away"] = True
                    cause = {name: record[name] for name in ("topic", "partition", "offset")} | {"row": number}
                    alerts.append({"rule": "vwap_deviation", "symbol": symbol, "cause": cause, "message": f"{symbol} traded {100 * off:+.2f}% from its VWAP",
                                   "data": {"price_ticks": price, "vwap_ticks": round(vwap, 4), "percent": round(100 * off, 2)}})  # fmt: skip
                elif abs(off) < DEVIATION / 2:
                    known["away"] = False
            known["cost"] += price * qty
            known["qty"] += qty
            known["trades"] += 1
    return {"alerts": alerts}

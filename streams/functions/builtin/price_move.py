"""A price has moved by MOVE_PERCENT within WINDOW_S: one alert, and another once it has moved as far again from there.

Reads TRADE rows of market.data. Environment: MOVE_PERCENT (1), WINDOW_S (60).
"""

import base64
import json
import os
from typing import Any

MOVE = float(os.environ.get("MOVE_PERCENT", "1")) / 100
WINDOW_NS = int(float(os.environ.get("WINDOW_S", "60")) * 1_000_000_000)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Alerts of the batch."""
    state: dict[str, Any] = getattr(context, "state", {})
    alerts: list[dict[str, Any]] = []
    for record in (one for part in event["records"].values() for one in part):
        for number, row in enumerate(json.loads(base64.b64decode(record["value"]))["rows"]):
            if row["kind"] != "TRADE":
                continue
            symbol, price, at = row["symbol"], row["price"], row["transact_time"]
            first = state.get(symbol)
            if first is None or at - first[1] > WINDOW_NS:
                state[symbol] = [price, at]
            elif abs(price - first[0]) >= MOVE * first[0]:
                percent = round(100 * (price - first[0]) / first[0], 2)
                cause = {name: record[name] for name in ("topic", "partition", "offset")} | {"row": number}
                alerts.append({"rule": "price_move", "symbol": symbol, "cause": cause, "message": f"{symbol} moved {percent:+}%",
                               "data": {"from_ticks": first[0], "to_ticks": price, "percent": percent}})  # fmt: skip
                state[symbol] = [price, at]
    return {"alerts": alerts}

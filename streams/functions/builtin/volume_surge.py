"""A minute's volume is SURGE times the mean of the BARS minutes before it.

Reads BAR rows of market.data. Environment: SURGE (5), BARS (20), MIN_LOTS (1000).
"""

import base64
import json
import os
from typing import Any

SURGE = float(os.environ.get("SURGE", "5"))
BARS = int(os.environ.get("BARS", "20"))
MIN_LOTS = int(os.environ.get("MIN_LOTS", "1000"))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Alerts of the batch."""
    state: dict[str, Any] = getattr(context, "state", {})
    alerts: list[dict[str, Any]] = []
    for record in (one for part in event["records"].values() for one in part):
        for number, row in enumerate(json.loads(base64.b64decode(record["value"]))["rows"]):
            if row["kind"] != "BAR":
                continue
            symbol, volume = row["symbol"], row["qty"]
            before = state.get(symbol, [])
            mean = sum(before) / len(before) if before else 0
            if len(before) == BARS and volume >= MIN_LOTS and volume >= SURGE * mean:
                cause = {name: record[name] for name in ("topic", "partition", "offset")} | {"row": number}
                alerts.append({"rule": "volume_surge", "symbol": symbol, "cause": cause,
                               "message": f"{symbol}: {volume} lots in a minute, {volume / max(mean, 1):.1f} times the mean",
                               "data": {"lots": volume, "mean_lots": round(mean, 1)}})  # fmt: skip
            state[symbol] = [*before, volume][-BARS:]
    return {"alerts": alerts}

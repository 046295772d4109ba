"""Realised volatility over the last BARS minutes is VOLATILITY_PERCENT or more (root of the sum of squared log returns of minute closes).

Reads BAR rows of market.data. Environment: VOLATILITY_PERCENT (1), BARS (10). It alerts when the threshold is crossed from below.
"""

import base64
import json
import math
import os
from itertools import pairwise
from typing import Any

THRESHOLD = float(os.environ.get("VOLATILITY_PERCENT", "1")) / 100
BARS = int(os.environ.get("BARS", "10"))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Alerts of the batch."""
    state: dict[str, Any] = getattr(context, "state", {})
    alerts: list[dict[str, Any]] = []
    for record in (one for part in event["records"].values() for one in part):
        for number, row in enumerate(json.loads(base64.b64decode(record["value"]))["rows"]):
            if row["kind"] != "BAR" or row["price"] <= 0:
                continue
            symbol = row["symbol"]
            known = state.setdefault(symbol, {"closes": [], "above": False})
            known["closes"] = [*known["closes"], row["price"]][-BARS - 1 :]
            closes = known["closes"]
            volatility = math.sqrt(sum(math.log(now / before) ** 2 for before, now in pairwise(closes)))
            above = len(closes) > BARS and volatility >= THRESHOLD
            if above and not known["above"]:
                cause = {name: record[name] for name in ("topic", "partition", "offset")} | {"row": number}
                alerts.append({"rule": "realised_volatility", "symbol": symbol, "cause": cause,
                               "message": f"{symbol}: realised volatility {100 * volatility:.2f}% over {BARS} bars",
                               "data": {"percent": round(100 * volatility, 4), "bars": BARS}})  # fmt: skip
            known["above"] = above
    return {"alerts": alerts}

"""Bounds of Alpaca's API, with their unit and arithmetic."""

from typing import Final

NUMBER_DIGITS_MAX: Final = 24
"""Digits of a number in a request: 2^62 has 19, plus decimals; few enough that division by the step stays exact in 28 digits."""

ORDERS_PAGE_DEFAULT: Final = 50
ORDERS_PAGE_MAX: Final = 500
"""GET /v2/orders, as at Alpaca."""

MESSAGES_PER_ARRAY_MAX: Final = 1_000
"""Resumed trades in one WebSocket message: ~200 KB, below the 1 MiB that common clients take."""

RESUMED_TRADES_MAX: Final = 40_000
"""Trades that one message brings back, of all its symbols: two full rings (TRADES_KEPT_PER_SYMBOL), ~8 MB. What is older is told as a gap."""

SUBSCRIPTIONS_MAX: Final = 3_000
"""Names in all channels of one connection; beyond it error 405. ~200 KB a connection, a confirmation of 24 to 72 KB; who wants more takes "*"."""

UNKNOWN_NAMES_TOLD: Final = 5
"""Names in an error message; the others are counted."""

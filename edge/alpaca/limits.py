"""Bounds of Alpaca's API, with their unit and arithmetic."""

from typing import Final

NUMBER_DIGITS_MAX: Final = 24
"""Digits of a number in a request: 2^62 has 19, plus decimals; few enough that division by the step stays exact in 28 digits."""

ORDERS_PAGE_DEFAULT: Final = 50
ORDERS_PAGE_MAX: Final = 500
"""GET /v2/orders, as at Alpaca."""

LIST_NAMES_MAX: Final = 100
"""Names in one parameter of a query: each may cost a question to a store, ~1 ms."""

ACTIVITIES_PAGE_MAX: Final = 100
DATA_PAGE_DEFAULT: Final = 1_000
DATA_PAGE_MAX: Final = 10_000
"""Items of a page of past prices, as at Alpaca: ~1.5 MB."""
NEWS_PAGE_DEFAULT: Final = 10
NEWS_PAGE_MAX: Final = 50
"""Articles, as at Alpaca: ~30 KB."""
AUCTIONS_PAGE_MAX: Final = 1_000
MOVERS_MAX: Final = 50
MOST_ACTIVES_MAX: Final = 100
HISTORY_POINTS_MAX: Final = 2_000
"""Values in one portfolio history: a month of 15 minutes of trading days has ~600."""
WATCHLIST_NAME_MAX: Final = 64
WATCHLIST_SYMBOLS_MAX: Final = 200
"""In one watchlist."""

HEARTBEAT_EVERY_S: Final = 1.0
"""For those who have asked for it. It goes with the prices of the same flush; alone it costs a write, ~7 us: 20,000 idle sockets 14 % of a core."""

MESSAGES_PER_ARRAY_MAX: Final = 1_000
"""Resumed trades in one WebSocket message: ~200 KB, below the 1 MiB that common clients take."""

RESUMED_TRADES_MAX: Final = 40_000
"""Trades that one message brings back, of all its symbols: two full rings (TRADES_KEPT_PER_SYMBOL), ~8 MB. What is older is told as a gap."""

SUBSCRIPTIONS_MAX: Final = 3_000
"""Names in all channels of one connection; beyond it error 405. ~200 KB a connection, a confirmation of 24 to 72 KB; who wants more takes "*"."""

UNKNOWN_NAMES_TOLD: Final = 5
"""Names in an error message; the others are counted."""

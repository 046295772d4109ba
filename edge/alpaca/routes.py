"""All routes of Alpaca's API."""

from typing import Final

from edge.alpaca import absent_api, calendar_api, operations
from edge.alpaca.accounts import account_api, activities_api, configurations_api, portfolio_api, positions_api, watchlists_api
from edge.alpaca.market_data import crypto_api, news_api, prices_api, stocks_api
from edge.alpaca.orders import order_queries, orders_api

_MODULES: Final = (
    orders_api, order_queries, account_api, activities_api, calendar_api, configurations_api, portfolio_api, positions_api, watchlists_api, stocks_api, crypto_api,
    absent_api, operations, news_api, prices_api,
)  # fmt: skip
ROUTES: Final = tuple(route for module in _MODULES for route in module.ROUTES)

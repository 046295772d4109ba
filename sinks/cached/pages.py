"""The pages that are asked for first: those of the trading page, and what Alpaca's clients ask for without further words."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from schemas.enums import AccountEventKind
from sinks.cached.kinds import KINDS, Head, Kind, Seen
from sinks.mysql import account_history, market_history, queries
from sinks.mysql.account_history import ActivityFilter
from sinks.mysql.places import Place
from sinks.mysql.queries import OrderFilter
from sinks.mysql.rows import MINUTE_NS, SHARES

DONE_ORDERS: Final = 50
FILLS: Final = 50
BARS: Final = 1_000


class Page(NamedTuple):
    """A question to MySQL, and what the answer must cover."""

    kind: Kind
    arguments: dict[str, Any]
    seen: Seen


def pages_of_account(account: int, seen: Place) -> Iterator[Page]:
    """Its done orders, and its fills."""
    orders, activities = KINDS[queries.orders_of_account], KINDS[account_history.activities]
    yield Page(orders, orders.arguments((account, OrderFilter(status="closed", limit=DONE_ORDERS)), {}), seen)
    fills = ActivityFilter([(int(AccountEventKind.TRADE), SHARES)], FILLS, incoming=False, outgoing=False)
    yield Page(activities, activities.arguments((account, fills), {}), seen)


def pages_of_symbol(instrument: int, day_start_ns: int, day_before_ns: int, now_ns: int) -> Iterator[Page]:
    """The minutes of this trading day so far, and those of the day before."""
    bars = KINDS[market_history.bars]
    for start, end in ((day_start_ns, now_ns + 1), (day_before_ns, day_start_ns)):
        yield Page(bars, bars.arguments((instrument, MINUTE_NS, start, end, BARS), {"ascending": True}), Head(0, 0))

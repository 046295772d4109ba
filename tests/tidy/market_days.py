"""Writes schemas/market_days.toml from exchange_calendars: python tests/tidy/market_days.py (`make tables`). A test compares the two.

The library brings pandas, which a running exchange has no other use for; and it ends a year from today unless it is told otherwise.
"""

from datetime import date, time
from pathlib import Path
from typing import Any, Final

import exchange_calendars
import pandas as pd

TABLE: Final = Path(__file__).parents[2] / "schemas" / "market_days.toml"
FIRST, LAST = date(2016, 1, 1), date(2040, 12, 31)
HEAD: Final = """\
# Weekdays on which NYSE (XNYS) is closed or closes early, New York time. Made by `make tables` from exchange_calendars.
# A closure that is announced later, or another market's days: name them in the file of OUTCRY_MARKET_DAYS_FILE.
"""


def library(first: date = FIRST, last: date = LAST) -> Any:
    """The library's calendar."""
    return exchange_calendars.get_calendar("XNYS", start=first.isoformat(), end=last.isoformat())


def market_days() -> str:
    """The table."""
    schedule = library().schedule
    closes = {day.date(): row.close.tz_convert("America/New_York").time() for day, row in schedule.iterrows()}
    weekdays = [day.date() for day in pd.date_range(FIRST, LAST, freq="B")]
    closed = [day for day in weekdays if day not in closes]
    early = [f"{day} = {at.isoformat()}" for day, at in closes.items() if at != time(16)]
    years = [[day for day in closed if day.year == year] for year in range(FIRST.year, LAST.year + 1)]
    lines = [f"    {', '.join(map(str, days))}," for days in years if days]
    return "\n".join([HEAD, f"first = {FIRST}", f"last = {LAST}", "closed = [", *lines, "]", "", "[early]", *early, ""])


if __name__ == "__main__":
    TABLE.write_text(market_days())

"""The table of market days is what the library says."""

from market_days import TABLE, market_days


def test_the_table_of_market_days_is_the_librarys():
    """Run `make tables` with a newer exchange_calendars; a closure that was announced comes with it."""
    assert TABLE.read_text() == market_days()

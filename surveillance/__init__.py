"""Watch trading for suspicious patterns: pure functions of the executions log, one TradingWatch a book shard."""

from surveillance.alerts import alert_source
from surveillance.layering import LayeringParameters
from surveillance.trading_watch import TradingWatch, WatchStats

__all__ = ["LayeringParameters", "TradingWatch", "WatchStats", "alert_source"]

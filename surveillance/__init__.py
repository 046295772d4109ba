"""Watch trading for suspicious patterns: pure functions of the executions log, one TradingWatch per book shard."""

from surveillance.alerts import alert_source
from surveillance.detectors.layering import LayeringDetector, LayeringParameters
from surveillance.orders import Tracking
from surveillance.watch import TradingWatch, WatchStats

__all__ = ["LayeringDetector", "LayeringParameters", "Tracking", "TradingWatch", "WatchStats", "alert_source"]

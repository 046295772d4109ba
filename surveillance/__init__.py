"""Watch trading for suspicious patterns: pure functions of the executions log, one TradingWatch per book shard."""

from surveillance.alerts import Place
from surveillance.detectors.layering import LayeringDetector, LayeringParameters
from surveillance.episodes import EpisodeRules
from surveillance.orders import Tracking
from surveillance.owners import Owners
from surveillance.watch import TradingWatch, WatchStats

__all__ = ["EpisodeRules", "LayeringDetector", "LayeringParameters", "Owners", "Place", "Tracking", "TradingWatch", "WatchStats"]

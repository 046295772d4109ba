"""Where the log is stored for reading: MySQL (system of record), Redis (prices, sessions), Elasticsearch (audit). They share only a contract."""

from sinks.contract import Input, Reached, Sink, SinkStats, StoreMoved

__all__ = ["Input", "Reached", "Sink", "SinkStats", "StoreMoved"]

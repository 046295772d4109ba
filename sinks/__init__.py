"""Where the log is stored for reading: MySQL (system of record), Redis (prices, sessions), Elasticsearch (audit). They share a contract only."""

from sinks.contract import Input, Reached, Sink, SinkStats

__all__ = ["Input", "Reached", "Sink", "SinkStats"]

"""How many records and bytes an order writes to each topic: `python tests/bench/bench_counts.py [--orders N]`.

It counts and takes no time, so the figures are the same on every machine. Orders come from an edge, which gets a reply for each. Half of them sell one
lot, the other half buy it, so every two orders make a trade; or all of them rest. One shard of each kind, in this process, without Kafka. Prints a
JSON line per size of the customers' frames.
"""

import argparse
from collections import Counter
from typing import Final

from harness.result_lines import print_result
from tapes.growth_runs import TwoShards

from schemas.codec import Header
from streams.host.shard_runner import Output, Record, ShardRunner
from streams.roles.publish_market_data import PublishMarketData
from topics.catalogue import ACCOUNT_COMMANDS, ACCOUNT_EVENTS, BOOK_COMMANDS, EDGE_REPLIES, EXECUTIONS, MARKET_DATA

FRAME_ROWS: Final = (1, 100, 4_000)
TOPICS: Final = (ACCOUNT_COMMANDS, BOOK_COMMANDS, EXECUTIONS, ACCOUNT_EVENTS, EDGE_REPLIES, MARKET_DATA)
ACCOUNTS: Final = 1_000
SYMBOLS: Final = 6


class CountedShards(TwoShards):
    """Two shards and the publisher of market data; counts what is written."""

    def __init__(self, frame_rows: int) -> None:
        self.records: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self._market: ShardRunner | None = None
        super().__init__(ACCOUNTS, SYMBOLS, frame_rows)

    def _header(self) -> Header:
        return Header("edge", reply_partition=0)

    def wrote(self, output: Output) -> None:
        """Count it; what the books decide goes on to the public."""
        self.records[output.topic] += 1
        self.bytes[output.topic] += len(output.value)
        if output.topic == EXECUTIONS.name:
            self._market = self._market or ShardRunner(PublishMarketData(0, self.table), None)
            for public in self._market.feed(Record(output.topic, 0, self._market.next_offset, self.now, None, output.value)):
                self.wrote(public)


def count(frame_rows: int, orders: int, *, resting: bool) -> None:
    """One line."""
    shards = CountedShards(frame_rows)
    shards.send(shards.openings())
    shards.records.clear()
    shards.bytes.clear()
    shards.send(shards.orders(orders, resting=resting))
    by_topic = {topic.name: round(shards.bytes[topic.name] / orders, 1) for topic in TOPICS}
    assert shards.bytes.keys() == by_topic.keys()
    print_result(
        "counts",
        {
            "orders_do": "rest" if resting else "trade", "frame_rows": frame_rows, "orders": orders,
            "records_per_order": round(shards.records.total() / orders, 4), "bytes_per_order": round(shards.bytes.total() / orders, 1),
            "bytes_per_order_by_topic": by_topic,
        },
    )  # fmt: skip


def main() -> None:
    """Every size of frame, resting and trading."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=8_000, help="orders of each measurement (default %(default)s)")
    arguments = parser.parse_args()
    for resting in (False, True):
        for frame_rows in FRAME_ROWS:
            count(frame_rows, arguments.orders, resting=resting)


if __name__ == "__main__":
    main()

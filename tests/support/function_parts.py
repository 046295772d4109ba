"""Parts for tests of functions: market data with prices that walk, deployed handlers, a runner over records in memory."""

import numpy as np

from schemas.codec import FRAMES, Header, encode_frame
from schemas.enums import MarketDataKind
from schemas.instruments import load_instruments
from sinks.partition_marks import PartitionMarks
from streams.functions.deployed import read_function
from streams.functions.runner import FunctionRunner
from streams.functions.store import FunctionStore
from streams.host.shard_runner import Record

INSTRUMENTS = load_instruments(None)
TOPIC = "market.data"
START_NS = 1_800_000_000_000_000_000


def trades(offset, rows=4):
    """The record at an offset, always the same: trades of four symbols whose prices jump now and then; every tenth is a replica's copy."""
    number = offset - 1 if offset % 10 == 9 else offset
    draw = np.random.default_rng(number)
    made = np.zeros(rows, FRAMES["market_data_frame"].dtype)
    made["kind"], made["instrument"] = MarketDataKind.TRADE, 1 + np.arange(rows) % 4
    made["price"] = 10_000 + 300 * draw.integers(0, 3, rows)
    made["qty"], made["seq"], made["side"] = draw.integers(1, 100, rows), number + 1, 1
    made["transact_time"] = START_NS + number * 1_000_000_000
    value = encode_frame("market_data_frame", Header("executions/0", number, 0, 0, START_NS), made)
    return Record(TOPIC, 0, offset, START_NS + offset * 1_000_000_000, None, value)


def deploy(folder, name="moves", settings='builtin = "price_move"\n', code=None):
    """A function's files, read."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.toml").write_text(settings)
    if code is not None:
        (folder / "code.py").write_text(code)
    return read_function(folder / f"{name}.toml")


def run_over(function, path, log_dir, offsets, make=trades, batch=10_000):
    """The stored alerts of a run on from where the store is, and what was given up."""
    given_up = []
    with FunctionStore(path) as store:
        runner = FunctionRunner(function, store, INSTRUMENTS, log_dir, lambda record, why: given_up.append((record.offset, why)))
        marks = runner.places.setdefault((TOPIC, 0), PartitionMarks(store="the function"))
        try:
            for offset in offsets:
                if offset >= marks.next_offset:
                    runner.take(make(offset))
                if runner.waiting >= batch:
                    runner.run_due()
            runner.run_due()
        finally:
            runner.stop()
        return store.alerts(limit=100_000), given_up

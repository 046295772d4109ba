"""Publish market data: what the public sees of each book shard, once per input frame.

In:     executions (partition = book shard)
Out:    market.data (same partition)
State:  quotes, bars and sequences; table `market_data`, see streams.host.shard_host
On failure: the process stops; replay continues the sequences where they were.
"""

from matchers.market_data import MarketData
from schemas.codec import Frame, decode_frame
from schemas.instruments import InstrumentTable, load_instruments
from schemas.settings import Settings
from streams.host.run_role import run_role
from streams.host.shard_host import role_of
from streams.host.shard_runner import Emitter, Record, configuration_digest
from streams.host.snapshots import Arrays
from topics.catalogue import EXECUTIONS, MARKET_DATA
from topics.roles import PUBLISH_MARKET_DATA
from topics.sources import Sources, sources_of


class PublishMarketData:
    """The public view of one partition of executions."""

    def __init__(self, shard: int, instruments: InstrumentTable) -> None:
        self._shard, self._instruments = shard, instruments
        self._view = MarketData(len(instruments.rules))

    @property
    def log_time(self) -> int:
        """Log time of the shard, ns."""
        return self._view.log_time

    @property
    def sources(self) -> Sources:
        """The book shard of the same number."""
        return sources_of(EXECUTIONS, self._shard)

    def decode(self, record: Record) -> Frame:
        """A frame of executions."""
        return decode_frame(record.value or b"", "execution_frame")

    def apply(self, frame: Frame, emit: Emitter) -> None:
        """Publish what changed."""
        rows = self._view.apply(frame.rows)
        emit.frame(MARKET_DATA, self._shard, "market_data_frame", rows, log_time=self.log_time)

    def snapshot(self) -> Arrays:
        """Named arrays of the view."""
        return self._view.snapshot()

    def restore(self, arrays: Arrays) -> None:
        """Restore a snapshot."""
        self._view = MarketData.restore(arrays)

    def state_hash(self) -> bytes:
        """The view's hash."""
        return self._view.state_hash()

    def configuration(self) -> bytes:
        """The instruments: their number is the size of the state."""
        return configuration_digest(self._instruments, self._shard)


def run(settings: Settings) -> None:
    """Run the role until it is stopped."""
    instruments = load_instruments(settings.instruments_file)
    run_role(settings, role_of(PUBLISH_MARKET_DATA, lambda shard: PublishMarketData(shard, instruments)))

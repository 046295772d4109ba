"""Watch trading: look for suspicious patterns in each book shard's executions.

In:     executions (partition = book shard)
Out:    alerts (same partition)
State:  the detectors' windows; table `surveillance`, see streams.host.shard_host
On failure: the process stops; replay raises the same alerts with the same ids.
"""

from schemas.codec import Frame, decode_frame
from schemas.instruments import InstrumentTable, load_instruments
from schemas.settings import Settings
from streams.host.shard_host import role_of, run_role
from streams.host.shard_runner import Emitter, Record, configuration_digest
from streams.host.snapshots import Arrays
from streams.transport.consumer import consumer_class
from surveillance.watch import TradingWatch
from topics.catalogue import ALERTS, EXECUTIONS
from topics.roles import WATCH_TRADING
from topics.sources import Sources, sources_of

GULP_BYTES = 1 << 20
GULP_WAIT_MS = 100
"""An alert may come 100 ms later. Reading in bulk leaves the processor to what an execution waits for."""


class WatchTrading:
    """The detectors over one partition of executions."""

    def __init__(self, shard: int, instruments: InstrumentTable) -> None:
        self._shard, self._instruments = shard, instruments
        self._watch = TradingWatch(instruments)
        self._where = ""

    @property
    def log_time(self) -> int:
        """Log time of the shard, ns."""
        return self._watch.log_time

    @property
    def sources(self) -> Sources:
        """The book shard of the same number."""
        return sources_of(EXECUTIONS, self._shard)

    def decode(self, record: Record) -> Frame:
        """A frame of executions."""
        frame = decode_frame(record.value or b"", "execution_frame")
        self._where = f"{record.topic}/{record.partition}@{record.offset}"
        return frame

    def apply(self, frame: Frame, emit: Emitter) -> None:
        """Raise the alerts that this frame completes."""
        for alert in self._watch.apply(frame.rows, self._where):
            emit.record(ALERTS, self._shard, "alert", alert)

    def snapshot(self) -> Arrays:
        """Named arrays of the detectors."""
        return self._watch.snapshot()

    def restore(self, arrays: Arrays) -> None:
        """Restore a snapshot."""
        self._watch = TradingWatch.restore(self._instruments, dict(arrays))

    def state_hash(self) -> bytes:
        """The detectors' hash."""
        return self._watch.state_hash()

    def configuration(self) -> bytes:
        """The instruments: explanations name them."""
        return configuration_digest(self._instruments, self._shard)


def run(settings: Settings) -> None:
    """Run the role until it is stopped."""
    instruments = load_instruments(settings.instruments_file)
    gulping = consumer_class(GULP_BYTES, GULP_WAIT_MS)
    run_role(settings, role_of(WATCH_TRADING, lambda shard: WatchTrading(shard, instruments), consumer=gulping))

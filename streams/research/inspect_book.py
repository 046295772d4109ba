"""`outcry book`: one instrument's book after a line of a replayed file, or after an offset of the log.

In:     NDJSON commands (--replay), or book.commands from its beginning
Out:    standard output
State:  a reference book shard of this call only; nothing is written to the log, and no role is contacted
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition
from rich.console import Console
from rich.progress import Progress

from matchers.books.reference.shard import BookShard
from matchers.research.book_view import view_book
from matchers.research.command_fields import BadCommand, convert
from matchers.research.engines import BookEngine
from matchers.research.replay import Replay
from matchers.rules.outputs import BookOutput
from schemas.codec import Frame, Rows
from schemas.enums import ExecKind
from schemas.errors import OutcryError, ServiceUnavailable, StaleData
from schemas.instruments import Instrument, InstrumentTable, load_instruments
from schemas.limits import FRAME_BYTES_MAX
from schemas.settings import Settings
from streams.__main__ import settings_of
from streams.host.kafka_records import polled_record
from streams.host.set_aside import set_aside_of
from streams.host.shard_runner import Emitter, Record, ShardRunner
from streams.host.snapshots import Arrays
from streams.process.record_keys import record_keys
from streams.research.book_screen import PLAIN_COLUMNS, Shown, book_json, show_book, show_queue
from streams.research.command_files import BadLine, decode_line, read_lines
from streams.research.replay import reader_has_gone
from streams.roles.match_orders import MatchOrders
from streams.transport.cluster import partition_counts, watermarks
from topics.catalogue import ACCOUNT_COMMANDS, BOOK_COMMANDS
from topics.kafka_clients import native_client
from topics.key_files import RecordKeys
from topics.partitioning import book_shard
from topics.sources import Sources

FETCH_TIMEOUT_S: Final = 10.0
_ENDED: Final = (ExecKind.CANCELED, ExecKind.EXPIRED, ExecKind.REJECTED)


class EntryTimes:
    """When each live order of one instrument was accepted."""

    def __init__(self, instrument: int) -> None:
        self._instrument = instrument
        self.times: dict[int, int] = {}

    def learn(self, executions: Rows) -> None:
        """Follow the rows of a call."""
        rows = executions[executions["instrument"] == self._instrument]
        columns = (
            rows[name].tolist() for name in ("kind", "order_id", "leaves_qty", "contra_order_id", "contra_leaves_qty", "transact_time")
        )
        for kind, order_id, leaves, contra, contra_leaves, time in zip(*columns, strict=True):
            if kind == ExecKind.NEW:
                self.times[order_id] = time
            elif kind in _ENDED or (kind == ExecKind.TRADE and not leaves):
                self.times.pop(order_id, None)
            if kind == ExecKind.TRADE and not contra_leaves:
                self.times.pop(contra, None)


class WatchedShard:
    """A reference book shard whose order entries are noted; a BookEngine."""

    def __init__(self, shard: BookShard, entries: EntryTimes) -> None:
        self._shard, self._entries = shard, entries

    @property
    def log_time(self) -> int:
        """See BookEngine."""
        return self._shard.log_time

    @property
    def last_seq(self) -> int:
        """See BookEngine."""
        return self._shard.last_seq

    def apply(self, rows: Rows) -> BookOutput:
        """See BookEngine."""
        out = self._shard.apply(rows)
        self._entries.learn(out.executions)
        return out

    def state_hash(self) -> bytes:
        """See BookEngine."""
        return self._shard.state_hash()

    def snapshot(self) -> dict[str, Rows]:
        """See BookEngine."""
        return self._shard.snapshot()


# ---- from a file


def book_of_file(name: str, at: int | None, instruments: InstrumentTable, instrument: Instrument, account: int) -> Shown:
    """The book after line `at` (None: the last). Raises OutcryError naming the line that is not understood."""
    entries = EntryTimes(instrument.number)
    engine = WatchedShard(BookShard(0, instruments, 1), entries)
    replay, last = Replay(engine, instruments), 0
    for line, text in read_lines(name):
        if at is not None and line > at:
            break
        last = line
        try:
            replay.add(line, decode_line(text))
        except (BadCommand, BadLine) as error:
            raise OutcryError(f"{name}:{line}: {error}") from error
        replay.take_events()
    replay.flush()
    view = view_book(engine.snapshot(), instrument.number)
    return Shown(view, instrument, f"{name}, line {last:,}", account, entries.times, replay.name_of)


# ---- from the log


@dataclass
class _Books:
    """The reference books of one partition as the processor of a ShardRunner. They get the inputs of match-orders and write nothing."""

    engine: BookEngine
    decoder: MatchOrders

    @property
    def log_time(self) -> int:
        return self.engine.log_time

    @property
    def sources(self) -> Sources:
        return self.decoder.sources

    def decode(self, record: Record) -> Frame:
        return self.decoder.decode(record)

    def apply(self, frame: Frame, emit: Emitter) -> None:
        self.engine.apply(frame.rows)

    def snapshot(self) -> Arrays:
        return self.engine.snapshot()

    def restore(self, arrays: Arrays) -> None:
        raise AssertionError("an inspected book begins with the log")

    def state_hash(self) -> bytes:
        return self.engine.state_hash()

    def configuration(self) -> bytes:
        return self.decoder.configuration()


def book_of_log(settings: Settings, at: int | None, instruments: InstrumentTable, instrument: Instrument, account: int) -> Shown:
    """The book after the record at offset `at` of book.commands (None: where the log ends now).

    Raises ServiceUnavailable, StaleData if the log no longer has its beginning, OutcryError for an offset that is not there.
    """
    counts = partition_counts(settings, ACCOUNT_COMMANDS, BOOK_COMMANDS)
    partition = book_shard(instrument.number, counts[BOOK_COMMANDS.name])
    aside = set_aside_of(settings).of("match-orders", partition)
    return book_of_records(records_to(settings, partition, at), counts, aside, instruments, instrument, account)


def book_of_records(
    records: Iterable[Record],
    counts: Mapping[str, int],
    aside: Mapping[int, str],
    instruments: InstrumentTable,
    instrument: Instrument,
    account: int,
) -> Shown:
    """The book after these records, the first ones of its partition of book.commands. counts: partitions by topic. aside: offsets that were set aside."""
    shards = counts[BOOK_COMMANDS.name]
    partition = book_shard(instrument.number, shards)
    entries = EntryTimes(instrument.number)
    engine = WatchedShard(BookShard(partition, instruments, shards), entries)
    decoder = MatchOrders(partition, instruments, counts[ACCOUNT_COMMANDS.name], shards)
    runner = ShardRunner(_Books(engine, decoder), set_aside=aside)
    last = -1
    for record in records:
        runner.feed(record)
        last = record.offset
    where = f"offset {last:,} of {BOOK_COMMANDS.name}/{partition}" if last >= 0 else f"{BOOK_COMMANDS.name}/{partition} is empty"
    return Shown(view_book(engine.snapshot(), instrument.number), instrument, where, account, entries.times)


def records_to(settings: Settings, partition: int, at: int | None) -> Iterator[Record]:
    """The records of a partition of book.commands from the first to offset `at`, or to where it ends now."""
    consumer = Consumer(
        {
            **native_client(settings.kafka_url), "group.id": "outcry-book",  # never committed to, never joined
            "enable.auto.commit": False, "fetch.message.max.bytes": FRAME_BYTES_MAX,
        }
    )  # fmt: skip
    try:
        low, high = watermarks(consumer, BOOK_COMMANDS.name, partition, FETCH_TIMEOUT_S)
        if low > 0:
            raise StaleData(f"{BOOK_COMMANDS.name}/{partition} begins at offset {low}: no book can be made without its beginning")
        if at is not None and at >= high:
            raise OutcryError(
                f"{BOOK_COMMANDS.name}/{partition} has no offset {at:,}; " + (f"its last is {high - 1:,}" if high else "it is empty")
            )
        end = high if at is None else at + 1
        consumer.assign([TopicPartition(BOOK_COMMANDS.name, partition, low)])
        yield from _consumed(consumer, partition, end, record_keys(settings))
    except KafkaException as error:
        raise ServiceUnavailable(f"Kafka at {settings.kafka_url} does not answer: {error}") from error
    finally:
        consumer.close()


def _consumed(consumer: Consumer, partition: int, end: int, keys: RecordKeys) -> Iterator[Record]:
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("reading the log", total=end)
        offset = -1
        while offset < end - 1:
            message = consumer.poll(FETCH_TIMEOUT_S)
            if message is None:
                raise ServiceUnavailable(
                    f"{BOOK_COMMANDS.name}/{partition} returned nothing after offset {offset} within {FETCH_TIMEOUT_S:g} s"
                )
            if message.error() is not None:
                raise ServiceUnavailable(f"{BOOK_COMMANDS.name}/{partition}: {message.error()}")
            found = message.offset()
            assert found is not None
            offset = found
            progress.update(task, completed=offset + 1)
            if offset < end:
                yield polled_record(message, keys)


# ---- command


@click.command()
@click.argument("symbol")
@click.option(
    "--replay", "replay_file", metavar="FILE", help="Take the commands of this NDJSON file (see outcry replay) instead of the log."
)
@click.option(
    "--at", type=click.IntRange(min=0), help="The line of the file, or the offset of book.commands, after which to look (default: the end)."
)
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="With --replay: TOML list of instruments.")
@click.option("--depth", type=click.IntRange(1, 1_000_000), default=10, show_default=True, help="Levels per side.")
@click.option("--queue", metavar="PRICE", help="The orders at this price, in priority, instead of the levels.")
@click.option("--account", type=click.IntRange(min=1), default=None, help="Mark the orders of this account.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_context
def book(
    ctx: click.Context,
    symbol: str,
    replay_file: str | None,
    at: int | None,
    config: Path | None,
    depth: int,
    queue: str | None,
    account: int | None,
    as_json: bool,
) -> None:
    """Show the book of SYMBOL: phase, prices, levels with depth, and the queue of a level.

    Without --replay the reference engine makes the book from the log, from its beginning. The running exchange is not affected. A long log takes
    time: the engine applies about ten thousand commands per second.

    \b
    Examples:
      outcry book AAPL                                      the live book, now
      outcry book AAPL --at 1500                            as it was after offset 1500 of book.commands
      outcry book AAPL --queue 180.05 --account 7           the queue at 180.05
      outcry book AAPL --replay orders.ndjson --at 120      after line 120 of a file
      outcry book AAPL --json | jq .bids                    for programs
    """
    if config is not None and replay_file is None:
        raise click.UsageError("--config goes with --replay: the log is of the instruments in OUTCRY_INSTRUMENTS_FILE")
    settings = settings_of(ctx)
    instruments = load_instruments(config or settings.instruments_file)
    instrument = instruments.by_symbol.get(symbol)
    if instrument is None:
        raise click.BadParameter(
            f"{symbol!r} is not in the instrument list; there are {', '.join(sorted(instruments.by_symbol))}", param_hint="SYMBOL"
        )
    price = _queue_price(queue, instrument)
    if replay_file is not None:
        shown = book_of_file(replay_file, at, instruments, instrument, account or 0)
    else:
        shown = book_of_log(settings, at, instruments, instrument, account or 0)
    try:
        _print(shown, depth, price, as_json=as_json)
    except BrokenPipeError:
        reader_has_gone(ctx)


def _queue_price(text: str | None, instrument: Instrument) -> int | None:
    try:
        return None if text is None else convert("price", text, instrument)
    except BadCommand as error:
        raise click.BadParameter(error.why, param_hint="--queue") from None


def _print(shown: Shown, depth: int, queue: int | None, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(book_json(shown, depth, queue)))
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=PLAIN_COLUMNS)
    if queue is None:
        show_book(shown, depth, console)
    else:
        show_queue(shown, queue, console)

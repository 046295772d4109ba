"""`outcry rebuild STORE`: make the content of a store again from the log alone, beside the live one, and switch to it.

In:     executions, account.events, alerts, cases and party.facts (MySQL alone), each from its first record (Redis: executions, from which market data is made again)
Out:    the store: new tables, keys or indices, then the switch; standard output
State:  MySQL: the new tables' own marks, so an interrupted rebuild continues; the others begin again
On failure: nothing that is in use is touched before the switch; each switch may happen while the live sink writes, see sinks.*_generation.
"""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Final

import click
import msgspec

from schemas.codec import UNKNOWN_FINGERPRINT, BadBytes, Frame, decode_frame
from schemas.errors import OutcryError, StaleData
from schemas.instruments import InstrumentTable, load_instruments
from schemas.marks import Marks
from schemas.settings import Settings
from sinks import Input, Sink
from sinks.elastic.generation import ElasticGeneration
from sinks.elastic.trail_days import delete_days
from sinks.mysql.generation import FORMER, MySqlGeneration
from sinks.redis.generation import RedisGeneration
from streams.__main__ import settings_of
from streams.host.lost_records import lost_state_of
from streams.host.read_log import Log, Meter, place
from streams.host.set_aside import NOTHING, SetAside, read_set_aside
from streams.host.shard_runner import Record, ShardRunner
from streams.host.sink_feeder import BATCH_RECORDS_MAX, input_of
from streams.proofs.audit_trail import retention_of
from streams.roles.persist_elasticsearch import sink_role as elasticsearch_role
from streams.roles.persist_mysql import sink_role as mysql_role
from streams.roles.publish_market_data import PublishMarketData
from streams.transport.cluster import cluster_id
from surveillance.cases.desk import decide
from topics.catalogue import EXECUTIONS, MARKET_DATA, Topic
from topics.log_ends import lost_end

EXIT_INTERRUPTED: Final = 130
SWITCH_TRIES: Final = 50
"""Each try reads the few records that arrived during the one before."""
Place = tuple[str, int]
Read = Callable[[Record], list[Input]]


@dataclass
class RebuildReport:
    """What a rebuild did."""

    store: str
    records: int = 0
    unreadable: int = 0
    """Records that no sink can store; they are in the dead letters."""
    rows: int = 0
    resumed_at: dict[str, int] = field(default_factory=dict)
    """Where an interrupted rebuild continued."""
    next_offsets: dict[str, int] = field(default_factory=dict)
    switch_tries: int = 0
    seconds: float = 0.0

    def line(self) -> str:
        """One line for people."""
        ends = ", ".join(f"{where} {offset:,}" for where, offset in sorted(self.next_offsets.items()))
        unreadable = f", {self.unreadable:,} unreadable ones passed over" if self.unreadable else ""
        resumed = ", continued from an interrupted rebuild" if any(self.resumed_at.values()) else ""
        return (
            f"{self.store} rebuilt: {self.records:,} records{unreadable}, {self.rows:,} rows in {self.seconds:.1f} s{resumed}; up to {ends}"
        )


class Rebuild:
    """One rebuild: reads ranges of the log and feeds them to sinks."""

    def __init__(self, log: Log, report: RebuildReport, topics: Sequence[Topic], *, quiet: bool) -> None:
        self._log, self.report, self._topics, self._quiet = log, report, topics, quiet

    def ends(self) -> dict[Place, int]:
        """The current end of each partition. Raises StaleData for one that has lost its beginning."""
        return {
            (topic.name, partition): self._log.whole(topic, partition).high
            for topic in self._topics
            for partition in range(self._log.partitions(topic))
        }

    async def feed(self, sink: Sink, starts: Mapping[Place, int], ends: Mapping[Place, int], read: Read) -> None:
        """Store what is between starts (default 0) and ends, in batches. Reads the next batch while one is stored."""
        total = sum(max(0, end - starts.get(where, 0)) for where, end in ends.items())
        with Meter(f"rebuilding {self.report.store}", total, quiet=self._quiet) as meter:
            async for batch, records in self._batches(starts, ends, read):
                if batch:
                    await sink.write_batch(batch)
                self.report.records += records
                meter.add(records)
        self.report.next_offsets |= {place(*where): end for where, end in ends.items()}

    async def _batches(self, starts: Mapping[Place, int], ends: Mapping[Place, int], read: Read) -> AsyncGenerator[tuple[list[Input], int]]:
        for (topic, partition), end in ends.items():
            records = self._log.records(topic, partition, starts.get((topic, partition), 0), end)
            try:
                coming = asyncio.create_task(asyncio.to_thread(self._next_batch, records, read))
                while (batch := await coming)[1]:
                    coming = asyncio.create_task(asyncio.to_thread(self._next_batch, records, read))
                    yield batch
            finally:
                coming.cancel()
                with suppress(ValueError):  # the thread is still in it: it is closed when that is done
                    records.close()

    def _next_batch(self, records: Iterator[Record], read: Read) -> tuple[list[Input], int]:
        taken = list(islice(records, BATCH_RECORDS_MAX))
        batch: list[Input] = []
        for record in taken:
            try:
                batch += read(record)
            except BadBytes as error:
                if lost_state_of(record.value) is not None:
                    continue
                if error.reason == UNKNOWN_FINGERPRINT:
                    where = f"{place(record.topic, record.partition)} offset {record.offset:,}"
                    raise StaleData(
                        f"{where} is of another version: {error.detail}. Nothing was replaced; rebuild with that version"
                    ) from error
                self.report.unreadable += 1
        return batch, len(taken)


class AsItIs:
    """Records as the live sink receives them. passed_by: see streams.host.sink_feeder.SinkRole."""

    def __init__(self, passed_by: frozenset[str] = frozenset()) -> None:
        self._passed_by = passed_by
        self._marks: dict[Place, Marks] = {}

    def read(self, record: Record) -> list[Input]:
        """A record. Raises BadBytes for one that every reader refuses."""
        one = input_of(record, self._passed_by)
        if isinstance(one.body, Frame):
            self._marks.setdefault((record.topic, record.partition), Marks()).take(one.body.header, record.time_ns)
        return [one]


class MarketDataAgain:
    """Market data made from executions: market.data itself is kept for only a week, executions for ever."""

    def __init__(self, instruments: InstrumentTable, set_aside: SetAside = NOTHING) -> None:
        self._instruments, self._set_aside = instruments, set_aside
        self._runners: dict[int, ShardRunner] = {}

    def read(self, record: Record) -> list[Input]:
        """The frames that publish-market-data makes of a record; records of a partition in order."""
        runner = self._runners.get(record.partition)
        if runner is None:
            aside = self._set_aside.of("publish-market-data", record.partition)
            runner = ShardRunner(PublishMarketData(record.partition, self._instruments), set_aside=aside)
            self._runners[record.partition] = runner
        made = [output for output in runner.feed(record) if output.topic == MARKET_DATA.name]
        return [Input(output.topic, output.partition, record.offset, decode_frame(output.value), record.time_ns) for output in made]


# ---- the stores


async def rebuild_mysql(settings: Settings, log: Log, report: RebuildReport, options: "Options") -> None:
    """New tables, filled under the live sink's marks, then renamed. Raises OutcryError."""
    instruments, role = load_instruments(settings.instruments_file), mysql_role(settings)
    work = Rebuild(log, report, role.sources, quiet=options.quiet)
    work.ends()  # a log that cannot be rebuilt from is refused before anything is made
    made = await MySqlGeneration.connect(
        settings.mysql_url, instruments, cluster_id(settings), decide, restart=options.restart, drop_former=options.drop_former
    )
    try:
        report.resumed_at = {place(*where): offset for where, offset in (await made.offsets()).items()}
        for report.switch_tries in range(1, SWITCH_TRIES + 1):
            live = await made.live_offsets()  # before the ends: the live sink is at work
            ends = work.ends()
            if not options.force:
                _require_same_log(live, ends)
            await work.feed(made.sink, await made.offsets(), ends, AsItIs(role.passed_by).read)
            if await made.switch(whatever=options.force):
                break
        else:
            raise OutcryError(
                f"the live sink was ahead {SWITCH_TRIES} times: stop persist-mysql for a moment, then run this again; it continues"
            )
        if options.drop_former:
            await made.drop_former()
        report.rows = made.sink.stats().rows
    finally:
        await made.close()


def _require_same_log(live: Mapping[Place, int], ends: Mapping[Place, int]) -> None:
    for where, offset in live.items():
        if offset > ends.get(where, 0):
            raise StaleData(
                f"{lost_end(place(*where), ends.get(where, 0), 'MySQL', offset)}. If its tables are of another log instead: "
                "check OUTCRY_MYSQL_URL and OUTCRY_KAFKA_URL; --force replaces the tables anyway"
            )


async def rebuild_redis(settings: Settings, log: Log, report: RebuildReport, options: "Options") -> None:
    """New keys, renamed in one transaction, then what arrived meanwhile."""
    instruments = load_instruments(settings.instruments_file)
    work, again = Rebuild(log, report, (EXECUTIONS,), quiet=options.quiet), MarketDataAgain(instruments, read_set_aside(log))
    ends = work.ends()
    made = await RedisGeneration.connect(settings.redis_url, instruments)
    try:
        await work.feed(made.sink, {}, ends, again.read)
        await made.switch()
        await work.feed(made.live_sink, ends, work.ends(), again.read)
        report.rows, report.switch_tries = made.sink.stats().rows + made.live_sink.stats().rows, 1
    finally:
        await made.close()


async def rebuild_elasticsearch(settings: Settings, log: Log, report: RebuildReport, options: "Options") -> None:
    """New indices, which replace the former ones by aliases, then what arrived meanwhile."""
    role = elasticsearch_role(settings)
    work, as_it_is = Rebuild(log, report, role.sources, quiet=options.quiet), AsItIs(role.passed_by)
    ends = work.ends()
    made = await ElasticGeneration.connect(settings.elasticsearch_url, load_instruments(settings.instruments_file))
    try:
        await work.feed(made.sink, {}, ends, as_it_is.read)
        await made.switch()
        await work.feed(made.live_sink, ends, work.ends(), as_it_is.read)
        await made.live_sink.flush()
        await delete_days(made.live_sink.client, retention_of(log).may_go)  # what was pruned does not come back
        report.rows, report.switch_tries = made.sink.stats().rows + made.live_sink.stats().rows, 1
    finally:
        await made.close()


@dataclass(frozen=True)
class Options:
    """Options of the command besides the store."""

    restart: bool = False
    force: bool = False
    drop_former: bool = False
    quiet: bool = False


STORES: Final[dict[str, Callable[[Settings, Log, RebuildReport, Options], Awaitable[None]]]] = {
    "mysql": rebuild_mysql, "redis": rebuild_redis, "elasticsearch": rebuild_elasticsearch,
}  # fmt: skip


async def rebuild_store(settings: Settings, store: str, options: Options) -> RebuildReport:
    """Rebuild one store. Raises OutcryError."""
    report, started = RebuildReport(store), time.perf_counter()
    with Log(settings) as log:
        await STORES[store](settings, log, report, options)
    report.seconds = round(time.perf_counter() - started, 3)
    return report


@click.command()
@click.argument("store", type=click.Choice(list(STORES)))
@click.option("--restart", is_flag=True, help="mysql: discard what an interrupted rebuild has made so far.")
@click.option("--force", is_flag=True, help="mysql: replace the tables although they are of another log, or ahead of this one.")
@click.option("--drop-former", is_flag=True, help=f"mysql: drop replaced tables ({FORMER}*), those of this rebuild and of an earlier one.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--quiet", is_flag=True, help="No progress.")
@click.pass_context
def rebuild(ctx: click.Context, store: str, restart: bool, force: bool, drop_former: bool, as_json: bool, quiet: bool) -> None:
    """Rebuild the content of STORE from the log alone.

    The exchange may keep running. A new generation is filled beside the live one and replaces it at once; the live sink continues with it, without a
    gap and without storing anything twice. API keys and sessions are not in the log, so they stay. An interrupted rebuild of MySQL continues where it
    was, the others begin again. Exit status: 0 rebuilt, 1 refused or failed, 130 interrupted; unless it is 0, the live generation stays in use.

    \b
    Examples:
      outcry rebuild mysql                 keeps the replaced tables as former_*
      outcry rebuild mysql --drop-former   drops them
      outcry rebuild elasticsearch --json
    """
    if store != "mysql" and (restart or force or drop_former):
        raise click.UsageError("--restart, --force and --drop-former are for mysql only")
    try:
        report = asyncio.run(rebuild_store(settings_of(ctx), store, Options(restart, force, drop_former, quiet)))
    except KeyboardInterrupt:
        click.echo(f"interrupted: {store} is unchanged; run the command again" + (", it goes on" if store == "mysql" else ""), err=True)
        sys.exit(EXIT_INTERRUPTED)
    click.echo(msgspec.json.encode(asdict(report)) if as_json else report.line())

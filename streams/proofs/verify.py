"""`outcry verify`: replay the inputs of shards from the log and compare outputs and state with what is recorded, byte for byte.

In:     account.commands, book.commands, executions, party.facts; the outputs of their shards; the changelogs of their snapshots
Out:    standard output, one line per shard, or JSON
State:  that of the replay, in this process only; nothing is written, and no role is contacted
On failure: the first difference of each shard, with topic, partition, offset and row; exit status 1.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import click
import msgspec

from schemas.errors import OutcryError, StaleData
from schemas.instruments import load_instruments
from schemas.settings import Settings
from streams.__main__ import settings_of
from streams.host.read_log import Bounds, Log, Meter, place
from streams.host.set_aside import read_set_aside
from streams.host.shard_runner import Processor, ShardRunner
from streams.host.snapshots import Snapshot
from streams.process.worker_identity import WorkerId
from streams.proofs.compare_outputs import Compared, Difference, Differs, RecordedOutputs
from streams.proofs.recorded_snapshots import RecordedSnapshots, read_snapshots
from streams.proofs.verified_roles import ROLES, Setup
from streams.roles.watch_trading import read_owner_sets
from topics.catalogue import (
    DEAD_LETTERS,
)
from topics.log_ends import lost_end
from topics.roles import REPLICAS, WATCH_ACCOUNTS, WATCH_TRADING, changelog_topic

EXIT_DIFFERS: Final = 1
EXIT_INTERRUPTED: Final = 130
HASHES_DEFAULT: Final = 50
FROM_SNAPSHOT: Final = "snapshot"


@dataclass(frozen=True)
class Range:
    """What to verify: inputs from `start` (None: from the newest snapshot) to before `end` (None: where the log ends now)."""

    start: int | None = 0
    end: int | None = None
    hashes: int = HASHES_DEFAULT


@dataclass
class ShardReport:
    """The result for one shard."""

    role: str
    source: str
    start: int = 0
    """First input whose outputs were compared; those before it were only replayed."""
    next_offset: int = 0
    inputs: int = 0
    compared: Compared = field(default_factory=Compared)
    hashes_compared: int = 0
    hashes_recorded: int = 0
    snapshot_offset: int | None = None
    """Of the newest recorded snapshot of all replicas. The newest of each was found complete and restorable."""
    refused_snapshots: list[str] = field(default_factory=list)
    """Manifests in the changelogs that roles pass over: damaged, or forged."""
    state_hash: str = ""
    seconds: float = 0.0
    interrupted: bool = False
    difference: Difference | None = None

    def line(self) -> str:
        """One line for people."""
        done = self.compared
        if self.difference is not None:
            return f"{self.role} {self.source}: DIFFERS at {self.difference}"
        rows = ", ".join(f"{topic} {count:,}" for topic, count in done.by_topic.items()) or "none"
        notes = [
            f"state hash equal at {self.hashes_compared} of {self.hashes_recorded} snapshots",
            *([f"{done.repeats:,} identical repeats"] if done.repeats else []),
            *([f"{done.in_flight:,} frames not there yet"] if done.in_flight else []),
            *([f"{done.expired:,} frames expired"] if done.expired else []),
            *([f"{done.forged:,} forged frames, which readers ignore"] if done.forged else []),
            *([f"{len(self.refused_snapshots):,} snapshots passed over ({self.refused_snapshots[0]})"] if self.refused_snapshots else []),
            f"state {self.state_hash[:16]}",
            f"{self.seconds:.1f} s",
        ]
        what = "interrupted, same so far" if self.interrupted else "same"
        return (
            f"{self.role} {self.source}: {what}: inputs {self.start:,} to {self.next_offset:,}, {done.frames:,} frames (rows: {rows}); "
            + "; ".join(notes)
        )

    def as_json(self) -> dict[str, Any]:
        """Its fields."""
        return asdict(self) | {"same": self.difference is None}


class ShardVerifier:
    """Verifies one shard. Raises OutcryError if the log or the request is not valid."""

    def __init__(self, log: Log, name: str, shard: int, setup: Setup, wanted: Range, *, quiet: bool) -> None:
        self._log, self._role, self._shard, self._setup = log, ROLES[name], shard, setup
        self._wanted, self._quiet = wanted, quiet
        self._source = place(self._role.source.name, shard)
        self._aside = read_set_aside(log).of(self._role.role, shard)
        self.report = ShardReport(name, self._source)
        self._outputs: dict[tuple[str, int], RecordedOutputs] = {}

    def run(self) -> ShardReport:
        """Replay and compare. An interrupt ends it early and is recorded in the report."""
        started = time.perf_counter()
        try:
            snapshots = self._snapshots()
            for one in snapshots:
                self._check(one)
            newest = max(snapshots, key=_covered)
            bounds = self._bounds(newest)
            with ExitStack() as stack:
                self._replay(bounds, newest.newest, snapshots, stack)
        except Differs as error:
            self.report.difference = error.difference
        except KeyboardInterrupt:
            self.report.interrupted = True
        self.report.seconds = round(time.perf_counter() - started, 3)
        return self.report

    def _snapshots(self) -> list[RecordedSnapshots]:
        """Those of every active-active replica that the role has had, and always of the first one."""
        workers = [WorkerId(self._role.role, letter) for letter in REPLICAS]
        kept = [one for one in workers[1:] if self._log.bounds(changelog_topic(one.group, self._role.table), self._shard) is not None]
        return [read_snapshots(self._log, one, self._role.table, self._shard) for one in (workers[0], *kept)]

    def _check(self, snapshots: RecordedSnapshots) -> None:
        """Check that the newest snapshot is of this version and configuration, complete, and restores to the hash that it names."""
        self.report.refused_snapshots += snapshots.refused
        if snapshots.newest is None:
            return
        try:
            runner = ShardRunner(self._processor(), snapshots.newest, self._aside)
        except StaleData as error:
            raise StaleData(f"{snapshots.where}: {error} ({self._configured()})") from error
        except AssertionError as error:
            raise StaleData(f"{snapshots.where}: the newest snapshot is damaged: {error}") from error
        self.report.snapshot_offset = max(runner.next_offset, self.report.snapshot_offset or 0)
        self.report.hashes_recorded += len(snapshots.hashes)

    def _configured(self) -> str:
        owners = "owners: OUTCRY_OWNER_SETS_FILE, " if self._role.entry in (WATCH_TRADING, WATCH_ACCOUNTS) else ""
        return f"instruments: OUTCRY_INSTRUMENTS_FILE, {owners}numbers of shards: partitions of the topics, here " + ", ".join(
            f"{name} {count}" for name, count in self._setup.counts.items()
        )

    def _processor(self) -> Processor:
        return self._role.make(self._shard, self._setup)

    def _bounds(self, snapshots: RecordedSnapshots) -> Bounds:
        """First input to be replayed, and the one behind the last."""
        source, wanted = self._role.source, self._wanted
        if wanted.start is None:
            if snapshots.newest is None:
                raise StaleData(f"{snapshots.where} has no snapshot of {self._source}: verify from the beginning (--from 0)")
            known, low = self._log.bounds(source.name, self._shard) or Bounds(0, 0), self.report.snapshot_offset or 0
        else:
            known, low = self._log.whole(source, self._shard), 0
        if known.high < (self.report.snapshot_offset or 0):
            raise StaleData(lost_end(self._source, known.high, f"the snapshot in {snapshots.where}", self.report.snapshot_offset or 0))
        end = known.high if wanted.end is None else wanted.end
        start = low if wanted.start is None else wanted.start
        if not start <= end <= known.high:
            raise OutcryError(f"{self._source} has offsets {low:,} to before {known.high:,}: {start:,} to {end:,} is not within them")
        self.report.start = start
        return Bounds(low, end)

    def _replay(self, bounds: Bounds, newest: Snapshot | None, snapshots: list[RecordedSnapshots], stack: ExitStack) -> None:
        runner = ShardRunner(self._processor(), newest if self._wanted.start is None else None, self._aside)
        hashes = [chosen(one.hashes, bounds, self._wanted.hashes) for one in snapshots]
        durable = self.report.snapshot_offset or 0
        report = self.report
        report.next_offset = bounds.low
        self._compare_hash(runner, hashes)
        with Meter(f"verifying {report.role} {report.source}", bounds.high - bounds.low, quiet=self._quiet) as meter:
            for record in self._log.records(self._role.source.name, self._shard, bounds.low, bounds.high):
                try:
                    outputs = runner.feed(record)
                except AssertionError as error:
                    raise Differs(self._engine_refuses(record.offset, error)) from error
                if record.offset >= report.start:
                    for output in outputs:
                        self._recorded(output.topic, output.partition, stack).expect(output, durable)
                report.inputs, report.next_offset = report.inputs + 1, runner.next_offset
                self._compare_hash(runner, hashes)
                meter.add()
        for topic, partition in dict.fromkeys(self._targets()):
            self._recorded(topic, partition, stack).finish(bounds.high)
        report.state_hash = runner.processor.state_hash().hex()

    def _engine_refuses(self, offset: int, error: AssertionError) -> Difference:
        return Difference(self._role.source.name, self._shard, offset, self._source, offset, f"the engine refuses this input: {error}")

    def _compare_hash(self, runner: ShardRunner, hashes: list[dict[int, bytes]]) -> None:
        recorded = [one.pop(runner.next_offset) for one in hashes if runner.next_offset in one]
        if not recorded:
            return
        found = runner.processor.state_hash()
        for one in recorded:
            if found != one:
                what = f"the state before this input has hash {found.hex()}, the snapshot of that offset says {one.hex()}"
                raise Differs(Difference(self._role.source.name, self._shard, runner.next_offset, self._source, runner.next_offset, what))
        self.report.hashes_compared += len(recorded)

    def _targets(self) -> Iterator[tuple[str, int]]:
        yield self._role.own.name, self._shard
        for topic in self._role.spread:
            yield from ((topic.name, partition) for partition in range(self._log.partitions(topic)))
        yield DEAD_LETTERS.name, 0

    def _recorded(self, topic: str, partition: int, stack: ExitStack) -> RecordedOutputs:
        """The recorded side of an output partition; read from its beginning, because identities do not say where a frame is."""
        known = self._outputs.get((topic, partition))
        if known is None:
            bounds = self._log.bounds(topic, partition)
            if bounds is None:
                raise OutcryError(
                    f"there is no {place(topic, partition)}, where the replay of {self._source} writes to: `outcry topics list`"
                )
            records = self._log.records(topic, partition, bounds.low, bounds.high)
            stack.callback(records.close)
            known = RecordedOutputs(topic, partition, self._source, records, self.report.compared, cut=bounds.low > 0)
            known.skip_below(self.report.start)
            self._outputs[topic, partition] = known
        return known


def _covered(snapshots: RecordedSnapshots) -> int:
    return -1 if snapshots.newest is None else int(snapshots.newest.meta["next_offset"])


def chosen(hashes: dict[int, bytes], bounds: Bounds, count: int) -> dict[int, bytes]:
    """At most `count` of the recorded hashes within the bounds, evenly spread, including the newest. A hash has to read the whole state."""
    offsets = sorted(offset for offset in hashes if bounds.low <= offset <= bounds.high)
    if count < len(offsets):
        offsets = [offsets[-1 - (index * len(offsets)) // count] for index in range(count)]
    return {offset: hashes[offset] for offset in offsets}


def verify_shards(
    settings: Settings, roles: tuple[str, ...], shard: int | None, wanted: Range, *, quiet: bool = False
) -> Iterator[ShardReport]:
    """Verify each shard of each role (or that one) and yield the reports; an interrupted one is the last. Raises OutcryError."""
    instruments, owner_sets = load_instruments(settings.instruments_file), read_owner_sets(settings)
    with Log(settings) as log:
        for name in roles:
            counts = {topic.name: log.partitions(topic) for topic in ROLES[name].needs}
            setup, shards = Setup(instruments, counts, owner_sets), counts[ROLES[name].source.name]
            if shard is not None and shard >= shards:
                if roles == tuple(ROLES) and shard < max(log.partitions(one.source) for one in ROLES.values()):
                    continue  # of all roles those that have a shard of this number
                raise OutcryError(f"{ROLES[name].source.name} has no partition {shard}, it has {shards}: there is no such {name} shard")
            ROLES[name].warm()
            for one in range(shards) if shard is None else (shard,):
                report = ShardVerifier(log, name, one, setup, wanted, quiet=quiet).run()
                yield report
                if report.interrupted:
                    return


def _start(_ctx: click.Context, _param: click.Parameter, text: str) -> int | None:
    if text == FROM_SNAPSHOT:
        return None
    if not text.isdecimal():
        raise click.BadParameter(f"{text!r} is neither an offset nor the word {FROM_SNAPSHOT}")
    return int(text)


@click.command()
@click.option("--role", "roles", type=click.Choice(list(ROLES)), multiple=True, help="Which shards; may be repeated (default: all roles).")
@click.option("--shard", type=click.IntRange(0, 1023), default=None, help="Only the shard of this number.")
@click.option(
    "--from", "start", default="0", show_default=True, callback=_start, metavar="OFFSET|snapshot",
    help="Compare outputs from this input on (the state is replayed from the beginning), or replay from the newest snapshot only.",
)  # fmt: skip
@click.option(
    "--to", "end", type=click.IntRange(0), default=None, metavar="OFFSET", help="Stop before this input (default: the end of the log)."
)
@click.option(
    "--hashes", type=click.IntRange(1, 1_000_000), default=HASHES_DEFAULT, show_default=True,
    help="Compare this many of the recorded state hashes, evenly spread.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object per shard.")
@click.option("--quiet", is_flag=True, help="No progress.")
@click.pass_context
def verify(
    ctx: click.Context,
    roles: tuple[str, ...],
    shard: int | None,
    start: int | None,
    end: int | None,
    hashes: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Prove that the log's outputs follow from its inputs: replay the shards and compare every output row and the state.

    The exchange may keep running. Every frame of account.events, book.commands, edge.replies, executions, reports, market data and dead letters, every half minute of a book and every alert, that the
    shards made must be there once, as readers see it, with the same bytes. Each recorded snapshot, of every replica, must have the replay's state hash, and
    the newest must be complete. Exit status: 0 everything is the same, 1 something differs or cannot be read, 130 interrupted.

    \b
    Examples:
      outcry verify                                  everything, from the beginning of the log
      outcry verify --role book --shard 0            one book shard
      outcry verify --from snapshot                  only what came after the newest snapshots: quick
      outcry verify --role account --from 5000 --to 6000 --shard 1 --json
    """
    reports = verify_shards(settings_of(ctx), roles or tuple(ROLES), shard, Range(start, end, hashes), quiet=quiet)
    status = 0
    for report in reports:
        click.echo(msgspec.json.encode(report.as_json()) if as_json else report.line())
        status = EXIT_INTERRUPTED if report.interrupted else EXIT_DIFFERS if report.difference is not None else status
    ctx.exit(status)
